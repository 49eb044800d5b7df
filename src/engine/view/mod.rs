//! What we know of each container, and how far to trust it.
//!
//! Two sources speak: *events*, each a fact from the moment it is read, and *lists*, each of which is judged by when it was
//! asked for. The measured reason (`moby` issue 41698): on Docker 17.07 to 20.10 a list that is asked for after `die` was read
//! still says `running`, for up to a second as measured and without a bound in theory, and after a crash no further event ever
//! corrects it. So what an event said is kept by id, for ids not known yet too, until a list agrees that may speak about it;
//! `decides` is the one place where that is settled.
//!
//! Order is the order of reading, counted in ticks; the clock only says when a lost event becomes likely.

mod events;
mod lists;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use slab::Slab;

use super::groups::{Groups, answers_to};
use super::verdict::{self, DockerHealth, Member, Policy, Verdict};
use super::{Answer, AppName, Plant, Reason, planted};
use crate::docker::event::What;
use crate::docker::{Container, State};
use crate::limits;

/// A moment in the order in which events were read and lists were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u64);

/// When a list was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// In the order of reading.
    pub tick: Tick,
    /// By the clock.
    pub at: Instant,
    /// How often Docker had been away and come back by then.
    pub comeback: u32,
}

/// What an event said of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// `die`, `destroy`.
    Dead,
    /// `start`, `create`.
    Alive,
    /// `pause`.
    Paused,
    /// `unpause`.
    Resumed,
}

/// What an event said, and when, until a list agrees.
#[derive(Clone, Copy, Debug)]
struct Said {
    claim: Claim,
    at: Instant,
    comeback: u32,
}

/// Whether a list is believed about the life of a container of which an event has said something before the list was asked for.
/// `listed` is the state in the list, none if it is not in it.
///
/// - After `die` a list may add to the death at once (what kind of death, or that it is gone), but gives life back only when
///   the event must have been overtaken by one that was lost, or when Docker itself was away in between.
/// - `pause` and `unpause` are announced shortly before they show, so the contrary is not believed for a moment.
/// - `start` shows before it is announced, so whatever a list says after it is newer.
fn decides(said: &Said, asked: &Asked, listed: Option<State>) -> bool {
    let after = asked.at.saturating_duration_since(said.at);
    let lives = listed.is_some_and(lives);
    match said.claim {
        Claim::Dead => {
            planted(Plant::BelieveTheListAfterDeath) || !lives || after >= limits::DEATH_STANDS || asked.comeback != said.comeback
        }
        Claim::Alive => true,
        Claim::Paused => listed != Some(State::Running) || after >= limits::CHANGE_STANDS,
        Claim::Resumed => listed != Some(State::Paused) || after >= limits::CHANGE_STANDS,
    }
}

/// Whether a container of that state has a process.
const fn lives(state: State) -> bool {
    matches!(state, State::Running | State::Paused)
}

/// One container.
#[derive(Debug)]
struct Entry {
    container: Container,
    /// Of the last event that said something of it, or of the asking for the last list that did.
    tick: Tick,
    /// Of the last event that said something of its health, new or not.
    health_tick: Tick,
    said: Option<Said>,
    /// It was renamed then, and no list has agreed: for a moment lists give its old name too.
    renamed: Option<Instant>,
    /// How many of [`limits::LOOKS`] have been taken since the last event to which no list has agreed.
    looks: usize,
    looks_from: Instant,
    /// An event left a question open, which a list has to answer.
    suspect: bool,
    /// It is gone; what is left only keeps an older list from bringing it back, until a list of all lacks it.
    removed: bool,
    /// Whether it has a HEALTHCHECK, once a list has shown it running.
    has_check: Option<bool>,
    /// Podman has told of a HEALTHCHECK of its.
    is_checked: bool,
    /// One has run since it was last asked about, and perhaps another: its outcome is asked for then.
    outcome: [Option<Instant>; 2],
    /// The entry of the index of looks.
    look: Option<Instant>,
    /// It was started so lately that it does not count as up yet (`--min-uptime`): until then.
    young: Option<Instant>,
}

impl Entry {
    /// Why it does not serve, if it does not, as far as that is known.
    fn fault(&self, health: DockerHealth) -> Option<Reason> {
        verdict::fault(&self.container, health).or(self.young.is_some().then_some(Reason::Starting))
    }

    /// Whether an event has said something of it that lists may not show yet.
    fn is_open(&self) -> bool {
        self.renamed.is_some() || self.said.is_some_and(|said| said.claim != Claim::Alive)
    }

    /// Whether a list in which it is not is believed about that.
    fn may_be_gone(&self, asked: &Asked) -> bool {
        asked.tick >= self.tick && self.said.is_none_or(|said| decides(&said, asked, None))
    }
}

/// All containers.
#[derive(Debug)]
pub struct View {
    policy: Policy,
    health: DockerHealth,
    min_uptime: Duration,
    entries: Slab<Entry>,
    /// In the order of their ids: a map would keep each id twice, and 64 characters are half of what is kept of a container.
    by_id: Vec<usize>,
    /// By each name that a container answers to.
    pub(super) groups: Groups,
    /// When which young container counts as up.
    young: BTreeSet<(Instant, usize)>,
    /// A list of all has landed: what runs in a later one and did not before was started in between.
    was_listed: bool,
    /// When to look at whom, whose event no list has agreed to yet.
    looks: BTreeSet<(Instant, usize)>,
    /// Whom to ask about at once.
    suspects: BTreeSet<usize>,
    /// How many containers an event has left a question open about. Most of the time there are none, and no probe has to look for them.
    open: usize,
    /// The events last read, so that a replayed one is known.
    recent: VecDeque<(u64, usize, What)>,
    tick: Tick,
}

impl View {
    /// A view of nothing.
    #[must_use]
    pub fn new(policy: Policy, health: DockerHealth, min_uptime: Duration, expected: &[AppName]) -> Self {
        Self {
            policy,
            health,
            min_uptime,
            entries: Slab::new(),
            by_id: Vec::new(),
            groups: Groups::new(expected),
            young: BTreeSet::new(),
            was_listed: false,
            looks: BTreeSet::new(),
            suspects: BTreeSet::new(),
            open: 0,
            recent: VecDeque::new(),
            tick: Tick(0),
        }
    }

    /// The next moment: for a list that is asked for now.
    pub fn next_tick(&mut self) -> Tick {
        self.tick = Tick(self.tick.0.wrapping_add(1));
        self.tick
    }

    // ---- Who is young.

    /// It was started then, or does not run any more.
    fn started(&mut self, slot: usize, at: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        if let Some(at) = entry.young.take() {
            self.young.remove(&(at, slot));
        }
        entry.young = at.filter(|_| !self.min_uptime.is_zero()).map(|at| at + self.min_uptime);
        self.young.extend(entry.young.map(|at| (at, slot)));
    }

    /// Whoever was started long enough ago counts as up.
    pub fn grow_up(&mut self, now: Instant) {
        while let Some(&(_, slot)) = self.young.first().filter(|(at, _)| *at <= now) {
            self.young.pop_first();
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            entry.young = None;
            self.groups.touch_all_of(&entry.container);
        }
    }

    /// When [`View::grow_up`] has something to do.
    #[must_use]
    pub fn next_grown(&self) -> Option<Instant> {
        self.young.first().map(|&(at, _)| at)
    }

    // ---- What is to be asked.

    /// For so long nothing was done, and Docker may have stood still too: what it says may be as old as before.
    pub fn put_off(&mut self, time: Duration) {
        let open: Vec<usize> = self.entries.iter().filter(|(_, entry)| entry.is_open()).map(|(slot, _)| slot).collect();
        for slot in open {
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            entry.looks_from += time;
            for at in entry.said.as_mut().map(|said| &mut said.at).into_iter().chain(&mut entry.renamed) {
                *at += time;
            }
            self.schedule(slot);
        }
    }

    fn look_from(&mut self, slot: usize, now: Instant) {
        if let Some(entry) = self.entries.get_mut(slot) {
            (entry.looks, entry.looks_from) = (0, now);
        }
        self.schedule(slot);
    }

    /// Sets when to look at it next: at the moments after its last event, until a list agrees.
    fn schedule(&mut self, slot: usize) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        if let Some(at) = entry.look.take() {
            self.looks.remove(&(at, slot));
        }
        let after = limits::LOOKS.get(entry.looks).filter(|_| entry.is_open()).map(|after| entry.looks_from + *after);
        if let Some(at) = after.into_iter().chain(entry.outcome[0]).min() {
            entry.look = Some(at);
            self.looks.insert((at, slot));
        }
    }

    fn suspect(&mut self, slot: usize, open: bool) {
        let open = open && !planted(Plant::ForgetASuspect);
        let Self { entries, suspects, groups, open: count, .. } = self;
        let Some(entry) = entries.get_mut(slot) else { return };
        if open {
            suspects.insert(slot);
        } else {
            suspects.remove(&slot);
        }
        if std::mem::replace(&mut entry.suspect, open) != open {
            *count = if open { count.saturating_add(1) } else { count.saturating_sub(1) };
            // A suspect counts as starting: with the question its verdict changes too.
            groups.touch_all_of(&entry.container);
        }
    }

    /// Whom to ask about now: suspects, and those whose time to be looked at has come. Each is given once.
    pub fn to_ask(&mut self, now: Instant) -> Vec<Box<str>> {
        let mut slots = std::mem::take(&mut self.suspects);
        while let Some(&(at, slot)) = self.looks.first().filter(|(at, _)| *at <= now) {
            self.looks.remove(&(at, slot));
            debug_assert_eq!(self.entries.get(slot).map(|entry| entry.look), Some(Some(at)), "the index of looks is of others");
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.look = None;
                if entry.outcome[0].is_some_and(|outcome| outcome <= at) {
                    entry.outcome = [entry.outcome[1], None];
                } else {
                    entry.looks = entry.looks.saturating_add(1);
                }
            }
            self.schedule(slot);
            slots.insert(slot);
        }
        slots.into_iter().filter_map(|slot| self.entries.get(slot)).map(|entry| entry.container.parts().id.into()).collect()
    }

    /// Whether somebody is to be asked about now, and else when.
    #[must_use]
    pub fn next_look(&self, now: Instant) -> Option<Instant> {
        if self.suspects.is_empty() { self.looks.first().map(|&(at, _)| at) } else { Some(now) }
    }

    /// Whatever is still open of these is to be asked about again.
    pub fn unanswered(&mut self, ids: &[Box<str>]) {
        for id in ids {
            let Some(slot) = self.known(id) else { continue };
            if self.entries.get(slot).is_some_and(|entry| entry.suspect) {
                self.suspects.insert(slot);
            }
        }
    }

    // ---- Verdicts.

    /// Whether an open question could change the verdict on that app.
    #[must_use]
    pub fn is_open(&self, app: &AppName) -> bool {
        if self.open == 0 {
            debug_assert!(!self.entries.iter().any(|(_, entry)| entry.suspect), "one was not counted");
            return false;
        }
        let Some(group) = self.groups.get(app.as_bytes()) else { return false };
        let entries = |slot| self.entries.get(slot);
        if !group.candidates().filter_map(entries).any(|entry| entry.suspect) {
            return false;
        }
        // One that is up is enough, whatever comes of the others.
        self.policy != Policy::Any || !group.members().filter_map(entries).any(|entry| !entry.suspect && entry.fault(self.health).is_none())
    }

    /// The verdict on that app as the facts are. A suspect counts as starting. None if nobody answers to that name.
    pub fn verdict(&mut self, app: &AppName) -> Option<&mut Verdict> {
        let Self { policy, health, entries, groups, .. } = self;
        let group = groups.get_mut(app.as_bytes())?;
        if group.verdict.is_none() {
            let members = group.members().filter_map(|slot| entries.get(slot)).map(|entry| Member {
                container: &entry.container,
                fault: entry.fault(*health).or(entry.suspect.then_some(Reason::Starting)),
            });
            let answer = verdict::judge(app, members, *policy).unwrap_or(Answer::NoContainer { app: *app, expected: group.expected });
            group.verdict = Some(Box::new(Verdict { answer, rendered: None }));
        }
        group.verdict.as_deref_mut()
    }

    /// Whether its containers are up, as the facts are.
    pub fn is_up(&mut self, app: &AppName) -> bool {
        self.verdict(app).is_some_and(|verdict| matches!(verdict.answer, Answer::Up(_)))
    }

    /// The apps that the container of that id may be one of.
    #[must_use]
    pub fn apps_of(&self, id: &str) -> Vec<AppName> {
        let entry = self.known(id).and_then(|slot| self.entries.get(slot));
        entry.map(|entry| answers_to(&entry.container).filter_map(|(_, name)| AppName::parse(name)).collect()).unwrap_or_default()
    }

    /// How many containers are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.iter().filter(|(_, entry)| !entry.removed).count()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // ---- The index.

    /// Where that id is in the order, or would be.
    fn place(&self, id: &str) -> Result<usize, usize> {
        self.by_id.binary_search_by(|&slot| self.entries.get(slot).map_or("", |entry| entry.container.parts().id).cmp(id))
    }

    fn known(&self, id: &str) -> Option<usize> {
        self.place(id).ok().and_then(|at| self.by_id.get(at)).copied()
    }

    fn insert(&mut self, container: Container, now: Instant) -> usize {
        let place = self.place(container.parts().id);
        let entry = Entry {
            container,
            tick: Tick(0),
            health_tick: Tick(0),
            said: None,
            renamed: None,
            looks: 0,
            looks_from: now,
            suspect: false,
            removed: false,
            has_check: None,
            is_checked: false,
            outcome: [None; 2],
            look: None,
            young: None,
        };
        let slot = self.entries.insert(entry);
        if let Err(at) = place {
            self.by_id.insert(at, slot);
        }
        slot
    }

    fn index(&mut self, slot: usize) {
        if let Some(entry) = self.entries.get(slot).filter(|entry| !entry.removed) {
            self.groups.add(slot, &entry.container);
        }
    }

    fn unindex(&mut self, slot: usize) {
        if let Some(entry) = self.entries.get(slot).filter(|entry| !entry.removed) {
            self.groups.remove(slot, &entry.container);
        }
    }
}
