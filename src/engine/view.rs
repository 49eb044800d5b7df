//! What we know of each container, and how far to trust it.
//!
//! Two sources speak: *events*, each a fact from the moment it is read, and *lists*, each of which is judged by when it was
//! asked for. The measured reason (`moby` issue 41698): on Docker 17.07 to 20.10 a list that is asked for after `die` was read
//! still says `running`, for up to a second as measured and without a bound in theory, and after a crash no further event ever
//! corrects it. So what an event said is kept by id, for ids not known yet too, until a list agrees that may speak about it;
//! `decides` is the one place where that is settled.
//!
//! Order is the order of reading, counted in ticks; the clock only says when a lost event becomes likely.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use slab::Slab;

use super::groups::{Groups, answers_to};
use super::verdict::{self, DockerHealth, Member, Policy, Verdict};
use super::{Answer, AppName, Plant, Reason, planted};
use crate::docker::event::{Event, What};
use crate::docker::{Container, Health, Parts, State, Texts};
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
    let lives = matches!(listed, Some(State::Running | State::Paused));
    match said.claim {
        Claim::Dead => {
            planted(Plant::BelieveTheListAfterDeath) || !lives || after >= limits::DEATH_STANDS || asked.comeback != said.comeback
        }
        Claim::Alive => true,
        Claim::Paused => listed != Some(State::Running) || after >= limits::CHANGE_STANDS,
        Claim::Resumed => listed != Some(State::Paused) || after >= limits::CHANGE_STANDS,
    }
}

/// One container.
#[derive(Debug)]
struct Entry {
    container: Container,
    /// Of the last event that said something of it, or of the asking for the last list that did.
    tick: Tick,
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

    // ---- Events.

    /// An event was read, of something that happened a little or some time before. Says whether it was news.
    pub fn happened(&mut self, event: &Event, began: Instant, now: Instant, comeback: u32) -> bool {
        if matches!(event.what, What::Other | What::CheckEnded) || event.id.is_empty() {
            return false;
        }
        let known = self.known(&event.id);
        if known.is_some_and(|slot| self.recent.contains(&(event.at, slot, event.what))) {
            return false;
        }
        let slot = known.unwrap_or_else(|| self.insert_unknown(event, now));
        if self.recent.len() >= limits::REPLAYED_EVENTS {
            self.recent.pop_front();
        }
        self.recent.push_back((event.at, slot, event.what));
        let tick = self.next_tick();
        let Some(entry) = self.entries.get_mut(slot) else { return false };
        if let What::Health(health) = event.what {
            // Podman says it on each check, and it never touches the run.
            if entry.container.health == health && entry.has_check == Some(true) && !entry.suspect {
                return false;
            }
        }
        entry.tick = tick;
        self.unindex(slot);
        self.apply(slot, event, began, now, comeback);
        self.index(slot);
        true
    }

    /// As [`View::happened`], for a Podman that tells of a HEALTHCHECK when it begins, with the outcome of the one before, and then that
    /// it has ended. No outcome is believed that makes a container serve; one that makes it not serve opens a question, as what was
    /// listed may be newer. What came of the check is asked for a moment after its end, once for each check.
    pub fn happened_early(&mut self, event: &Event, began: Instant, now: Instant, comeback: u32) -> bool {
        let tick = self.next_tick();
        let known = self.known(&event.id);
        let Some((slot, entry)) = known.and_then(|slot| Some((slot, self.entries.get_mut(slot)?))) else {
            return self.happened(event, began, now, comeback);
        };
        match event.what {
            What::CheckEnded => {
                // Others than its HEALTHCHECK can run commands in it; such a one is not worth a question.
                if entry.is_checked {
                    let [first, second] = &mut entry.outcome;
                    let next = if first.is_some() { second } else { first };
                    *next = Some(now + limits::CHECK_SETTLES);
                    self.schedule(slot);
                }
                false
            }
            What::Health(Health::Unhealthy | Health::Starting)
                if matches!(entry.container.health, Health::None | Health::Healthy) && entry.container.state == State::Running =>
            {
                entry.is_checked = true;
                entry.tick = tick;
                self.suspect(slot, true);
                true
            }
            What::Health(health) => {
                entry.is_checked = true;
                // Down it is either way.
                let is_worse = (entry.container.health, health) == (Health::Starting, Health::Unhealthy);
                is_worse && self.happened(event, began, now, comeback)
            }
            What::Created | What::Started | What::Died(_) | What::Paused | What::Unpaused | What::Renamed | What::Removed | What::Other => {
                self.happened(event, began, now, comeback)
            }
        }
    }

    /// Whether an event may tell of that container: of one that is known, or of one more.
    #[must_use]
    pub fn has_room_for(&self, id: &str) -> bool {
        self.entries.len() < limits::CONTAINERS.saturating_add(limits::UNLISTED) || self.known(id).is_some()
    }

    /// An id of which nothing is known: whatever the event says of it, a list has to say the rest.
    fn insert_unknown(&mut self, event: &Event, now: Instant) -> usize {
        let Event { id, name: names, app, service, .. } = event;
        let parts = Parts { id, names, app, service, ports: "[]", ..Parts::default() };
        // Of one that is made now that is what a list will say, too.
        let created = i64::try_from(event.at / 1_000_000_000).unwrap_or_default();
        let container = Container { texts: Texts::of(&parts), state: State::Created, created, ..Container::default() };
        let slot = self.insert(container, now);
        self.index(slot);
        self.suspect(slot, true);
        slot
    }

    fn apply(&mut self, slot: usize, event: &Event, began: Instant, now: Instant, comeback: u32) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        let container = &mut entry.container;
        // One whose list is still to come keeps its question, what it is.
        let unlisted = entry.suspect && container.parts().image.is_empty();
        let (claim, open) = match event.what {
            What::Created => (Claim::Alive, entry.suspect),
            What::Started => {
                container.state = State::Running;
                container.set_status("Up Less than a second");
                container.health = Health::None;
                entry.removed = false;
                // Its HEALTHCHECK starts anew, if it has one.
                (Claim::Alive, unlisted || entry.has_check != Some(false))
            }
            What::Died(code) => {
                container.state = State::Exited;
                container.set_status(&format!("Exited ({code}) Less than a second ago"));
                container.health = Health::None;
                (Claim::Dead, unlisted)
            }
            What::Removed => {
                entry.removed = true;
                (Claim::Dead, false)
            }
            What::Paused => {
                container.state = State::Paused;
                container.set_status(&format!("{} (Paused)", unpaused(container)));
                (Claim::Paused, entry.suspect)
            }
            What::Unpaused => {
                container.state = State::Running;
                container.set_status(&unpaused(container));
                // Of one that was found paused no list has shown the health.
                let is_known = container.health != Health::None || entry.has_check == Some(false);
                if !is_known {
                    container.health = Health::Starting;
                }
                (Claim::Resumed, entry.suspect || !is_known)
            }
            What::Renamed => {
                container.set_names(&event.name);
                entry.renamed = Some(now);
                return self.look_from(slot, now);
            }
            What::Health(health) => {
                container.health = health;
                container.set_status(&with_health(container.parts().status, health));
                entry.has_check = Some(true);
                return self.suspect(slot, unlisted);
            }
            What::CheckEnded | What::Other => return,
        };
        entry.said = Some(Said { claim, at: now, comeback });
        match claim {
            Claim::Alive if event.what == What::Started => self.started(slot, (began + self.min_uptime > now).then_some(began)),
            Claim::Dead => self.started(slot, None),
            Claim::Alive | Claim::Paused | Claim::Resumed => {}
        }
        self.suspect(slot, open);
        self.look_from(slot, now);
    }

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
        let open = entry.renamed.is_some() || entry.said.is_some_and(|said| said.claim != Claim::Alive);
        let after = limits::LOOKS.get(entry.looks).filter(|_| open).map(|after| entry.looks_from + *after);
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

    // ---- Lists.

    /// A list of all containers landed.
    pub fn landed(&mut self, containers: Vec<Container>, asked: &Asked) {
        let mut seen: Vec<bool> = vec![false; self.entries.capacity().max(self.entries.len())];
        for container in containers {
            let slot = self.listed(container, asked);
            match seen.get_mut(slot) {
                Some(seen) => *seen = true,
                None => seen.resize(slot.saturating_add(1), true),
            }
        }
        let absent: Vec<usize> =
            self.entries.iter().map(|(slot, _)| slot).filter(|&slot| !seen.get(slot).copied().unwrap_or(true)).collect();
        for slot in absent {
            self.absent(slot, asked);
        }
        self.was_listed = true;
    }

    /// A list of those ids landed.
    pub fn landed_about(&mut self, ids: &[Box<str>], containers: Vec<Container>, asked: &Asked) {
        let mut missing: Vec<usize> = ids.iter().filter_map(|id| self.known(id)).collect();
        for container in containers {
            // Whoever is not known any more was not in a list of all that landed meanwhile.
            if self.known(container.parts().id).is_some() {
                let slot = self.listed(container, asked);
                missing.retain(|&other| other != slot);
            }
        }
        for slot in missing {
            self.gone(slot, asked);
        }
        // An event that was read meanwhile has kept a question open.
        self.unanswered(ids);
    }

    /// Whatever a list did not say of the health of the running containers in it, told by who of them is ailing. Of those this
    /// does not say in which way: one that has been anything else in this run is unhealthy, any other is starting. Those that are not may have no
    /// HEALTHCHECK; they are up either way, and asked about after each start.
    pub fn fill_in_health(&self, containers: &mut [Container], ailing: &[Container]) {
        let ailing: HashSet<&str> = ailing.iter().map(|container| container.parts().id).collect();
        for container in containers.iter_mut().filter(|container| container.state == State::Running) {
            let id = container.parts().id;
            let known = self.known(id).and_then(|slot| self.entries.get(slot)).map(|entry| entry.container.health);
            container.health = match known {
                _ if !ailing.contains(id) => Health::Healthy,
                Some(Health::Healthy | Health::Unhealthy) => Health::Unhealthy,
                None | Some(Health::None | Health::Starting) => Health::Starting,
            };
        }
    }

    fn listed(&mut self, container: Container, asked: &Asked) -> usize {
        let Some(slot) = self.known(container.parts().id) else {
            let runs = container.state == State::Running;
            let has_check = runs.then_some(container.health != Health::None);
            let slot = self.insert(container, asked.at);
            if let Some(entry) = self.entries.get_mut(slot) {
                (entry.tick, entry.has_check) = (asked.tick, has_check);
            }
            if runs && self.was_listed {
                self.started(slot, Some(asked.at));
            }
            self.index(slot);
            return slot;
        };
        let Some(entry) = self.entries.get_mut(slot) else { return slot };
        // Asked for before the event was read, or before another list that has spoken, it says nothing about this container.
        if asked.tick < entry.tick {
            return slot;
        }
        entry.tick = asked.tick;
        let mut container = container;
        let believed = entry.said.is_none_or(|said| decides(&said, asked, Some(container.state)));
        if !believed {
            // Of its life the event knows better; what it is, the list says all the same. When to ask again is a matter of the
            // looks, or a list that lies would be asked for over and over.
            (container.state, container.health) = (entry.container.state, entry.container.health);
            container.set_status(entry.container.parts().status);
        }
        let stands = entry.renamed.is_some_and(|at| asked.at.saturating_duration_since(at) < limits::CHANGE_STANDS);
        // Docker releases the old name a moment after it has announced the new one (measured: both are listed). A list without the
        // new one knows of a later rename.
        let (own, listed) = (entry.container.parts(), container.parts());
        let new = own.own_names().next();
        if stands && listed.own_names().count() > 1 && new.is_some_and(|new| listed.own_names().any(|name| name == new)) {
            container.set_names(own.names);
        } else {
            entry.renamed = None;
        }
        if believed && container.state == State::Running {
            entry.has_check = Some(container.health != Health::None);
        }
        if believed {
            self.settle(slot);
        } else {
            self.suspect(slot, false);
        }
        if self.entries.get(slot).is_some_and(|entry| entry.container == container && !entry.removed) {
            return slot;
        }
        self.unindex(slot);
        let lives = |state| matches!(state, State::Running | State::Paused);
        let was = self.entries.get(slot).map(|entry| lives(entry.container.state));
        if was == Some(!lives(container.state)) {
            self.started(slot, lives(container.state).then_some(asked.at));
        }
        if let Some(entry) = self.entries.get_mut(slot) {
            let health = entry.container.health;
            let same_run = entry.container.state == State::Running || entry.container.state == State::Paused;
            entry.container = container;
            entry.removed &= !believed;
            // Its health is not shown, and is still that of this run.
            if believed && same_run && entry.container.state == State::Paused {
                entry.container.health = health;
            }
        }
        self.index(slot);
        slot
    }

    /// It is in no list of those ids. A list of all that was asked for before may still be on its way, and have it.
    fn gone(&mut self, slot: usize, asked: &Asked) {
        let Some(entry) = self.entries.get(slot) else { return };
        if asked.tick < entry.tick || entry.said.is_some_and(|said| !decides(&said, asked, None)) {
            return;
        }
        self.unindex(slot);
        if let Some(entry) = self.entries.get_mut(slot) {
            (entry.tick, entry.removed, entry.renamed, entry.outcome) = (asked.tick, true, None, [None; 2]);
        }
        self.settle(slot);
        self.started(slot, None);
    }

    fn absent(&mut self, slot: usize, asked: &Asked) {
        let Some(entry) = self.entries.get(slot) else { return };
        if asked.tick < entry.tick || entry.said.is_some_and(|said| !decides(&said, asked, None)) {
            return;
        }
        if let Ok(at) = self.place(entry.container.parts().id) {
            self.by_id.remove(at);
        }
        self.settle(slot);
        self.started(slot, None);
        self.unindex(slot);
        if let Some(entry) = self.entries.try_remove(slot) {
            // A rename, and a check that has ended, are still to be looked at: that is not for who has the slot next.
            if let Some(at) = entry.look {
                self.looks.remove(&(at, slot));
            }
            self.recent.retain(|(_, other, _)| *other != slot);
        }
    }

    /// A list that may speak about it has spoken.
    fn settle(&mut self, slot: usize) {
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.said = None;
        }
        self.schedule(slot);
        self.suspect(slot, false);
    }

    // ---- What is to be asked.

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

/// Docker's words for it when it is not paused.
fn unpaused(container: &Container) -> String {
    container.parts().status.trim_end_matches(" (Paused)").into()
}

/// Docker's words for a running container with another outcome of its HEALTHCHECK.
fn with_health(status: &str, health: Health) -> String {
    let words = match health {
        Health::None => return status.into(),
        Health::Starting => "(health: starting)",
        Health::Healthy => "(healthy)",
        Health::Unhealthy => "(unhealthy)",
    };
    let up = status.rsplit_once(" (").map_or(status, |(up, _)| up);
    format!("{up} {words}")
}
