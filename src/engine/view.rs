//! What we know of each container, and how far to trust it.
//!
//! Two sources speak: *events*, each a fact from the moment it is read, and *lists*, each of which is judged by when it was
//! asked for. The measured reason (`moby` issue 41698): on Docker 17.07 to 20.10 a list that is asked for after `die` was read
//! still says `running`, for up to a second as measured and without a bound in theory, and after a crash no further event ever
//! corrects it. So what an event said is kept by id, for ids not known yet too, until a list agrees that may speak about it;
//! `decides` is the one place where that is settled.
//!
//! Order is the order of reading, counted in ticks; the clock only says when a lost event becomes likely.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Instant;

use slab::Slab;

use super::verdict::{self, DockerHealth, Member, Policy};
use super::{Answer, AppName, Plant, Reason, planted};
use crate::docker::event::{Event, What};
use crate::docker::{Container, Health, State};
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
    /// Of the last event that said something of it.
    tick: Tick,
    said: Option<Said>,
    /// It was renamed then, and no list has agreed: for a moment lists give its old name too.
    renamed: Option<Instant>,
    /// How many of [`limits::LOOKS`] have been taken since the last event to which no list has agreed.
    looks: usize,
    looks_from: Instant,
    /// An event left a question open, which a list has to answer.
    suspect: bool,
    /// It was removed; what is left only keeps an older list from bringing it back.
    removed: bool,
    /// Whether it has a HEALTHCHECK, once a list has shown it running.
    has_check: Option<bool>,
    /// The entry of the index of looks.
    look: Option<Instant>,
}

/// Those who answer to one name.
#[derive(Debug, Default)]
struct Group {
    members: Vec<usize>,
    verdict: Option<Verdict>,
}

/// The verdict on an app as the facts are, and what was made of it.
#[derive(Debug)]
pub struct Verdict {
    /// The verdict.
    pub answer: Answer,
    /// Status and body as they were last written; gone when a fact of the app changes.
    pub rendered: Option<(u16, Vec<u8>)>,
}

/// All containers.
#[derive(Debug)]
pub struct View {
    policy: Policy,
    health: DockerHealth,
    entries: Slab<Entry>,
    by_id: HashMap<Box<str>, usize>,
    /// By each name that a container answers to: its own, and its own without `-<digits>`.
    groups: HashMap<Box<str>, Group>,
    /// When to look at whom, whose event no list has agreed to yet.
    looks: BTreeSet<(Instant, usize)>,
    /// Whom to ask about at once.
    suspects: BTreeSet<usize>,
    /// The events last read, so that a replayed one is known.
    recent: VecDeque<(u64, usize, What)>,
    /// The names whose verdicts may have changed, if anybody wants to know.
    touched: Option<Vec<Box<str>>>,
    tick: Tick,
}

impl View {
    /// A view of nothing. It can keep in mind which names [`View::take_touched`] is to tell of.
    #[must_use]
    pub fn new(policy: Policy, health: DockerHealth, touches: bool) -> Self {
        Self {
            policy,
            health,
            entries: Slab::new(),
            by_id: HashMap::new(),
            groups: HashMap::new(),
            looks: BTreeSet::new(),
            suspects: BTreeSet::new(),
            recent: VecDeque::new(),
            touched: touches.then(Vec::new),
            tick: Tick(0),
        }
    }

    /// The next moment: for a list that is asked for now.
    pub fn next_tick(&mut self) -> Tick {
        self.tick = Tick(self.tick.0.wrapping_add(1));
        self.tick
    }

    // ---- Events.

    /// An event was read. Says whether it was news.
    pub fn happened(&mut self, event: &Event, now: Instant, comeback: u32) -> bool {
        if event.what == What::Other || event.id.is_empty() {
            return false;
        }
        let known = self.by_id.get(&event.id).copied();
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
        self.apply(slot, event, now, comeback);
        self.index(slot);
        true
    }

    /// An id of which nothing is known: whatever the event says of it, a list has to say the rest.
    fn insert_unknown(&mut self, event: &Event, now: Instant) -> usize {
        let container = Container {
            id: event.id.clone(),
            names: vec![event.name.clone()],
            ports: "[]".into(),
            state: State::Created,
            ..Container::default()
        };
        let slot = self.insert(container, now);
        self.suspect(slot, true);
        slot
    }

    fn apply(&mut self, slot: usize, event: &Event, now: Instant, comeback: u32) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        let container = &mut entry.container;
        // One whose list is still to come keeps its question, what it is.
        let unlisted = entry.suspect && container.image.is_empty();
        let (claim, open) = match event.what {
            What::Created => (Claim::Alive, entry.suspect),
            What::Started => {
                container.state = State::Running;
                container.status = "Up Less than a second".into();
                container.health = Health::None;
                entry.removed = false;
                // Its HEALTHCHECK starts anew, if it has one.
                (Claim::Alive, unlisted || entry.has_check != Some(false))
            }
            What::Died(code) => {
                container.state = State::Exited;
                container.status = format!("Exited ({code}) Less than a second ago").into();
                container.health = Health::None;
                (Claim::Dead, unlisted)
            }
            What::Removed => {
                entry.removed = true;
                (Claim::Dead, false)
            }
            What::Paused => {
                container.state = State::Paused;
                container.status = format!("{} (Paused)", container.status.trim_end_matches(" (Paused)")).into();
                (Claim::Paused, entry.suspect)
            }
            What::Unpaused => {
                container.state = State::Running;
                container.status = container.status.trim_end_matches(" (Paused)").into();
                (Claim::Resumed, entry.suspect)
            }
            What::Renamed => {
                container.names = vec![event.name.clone()];
                entry.renamed = Some(now);
                return self.look_from(slot, now);
            }
            What::Health(health) => {
                container.health = health;
                container.status = with_health(&container.status, health);
                entry.has_check = Some(true);
                return self.suspect(slot, unlisted);
            }
            What::Other => return,
        };
        entry.said = Some(Said { claim, at: now, comeback });
        self.suspect(slot, open);
        self.look_from(slot, now);
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
        if let Some(after) = limits::LOOKS.get(entry.looks).filter(|_| open) {
            let at = entry.looks_from + *after;
            entry.look = Some(at);
            self.looks.insert((at, slot));
        }
    }

    fn suspect(&mut self, slot: usize, open: bool) {
        let open = open && !planted(Plant::ForgetASuspect);
        let Self { entries, suspects, groups, touched, .. } = self;
        let Some(entry) = entries.get_mut(slot) else { return };
        if open {
            suspects.insert(slot);
        } else {
            suspects.remove(&slot);
        }
        if std::mem::replace(&mut entry.suspect, open) != open {
            // A suspect counts as starting: with the question its verdict changes too.
            for key in keys(&entry.container) {
                if let Some(group) = groups.get_mut(key) {
                    group.verdict = None;
                }
                touch(touched, key);
            }
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
    }

    /// A list of those ids landed.
    pub fn landed_about(&mut self, ids: &[Box<str>], containers: Vec<Container>, asked: &Asked) {
        let mut missing: Vec<usize> = ids.iter().filter_map(|id| self.by_id.get(id).copied()).collect();
        for container in containers {
            let slot = self.listed(container, asked);
            missing.retain(|&other| other != slot);
        }
        for slot in missing {
            self.absent(slot, asked);
        }
        // An event that was read meanwhile has kept a question open.
        self.unanswered(ids);
    }

    /// Whatever a list did not say of the health of the running containers in it, told by who of them is ailing. Of those this
    /// does not say in which way: one that was unhealthy in this run still is, any other is starting. Those that are not may have no
    /// HEALTHCHECK; they are up either way, and asked about after each start.
    pub fn fill_in_health(&self, containers: &mut [Container], ailing: &[Container]) {
        let ailing: HashSet<&str> = ailing.iter().map(|container| &*container.id).collect();
        for container in containers.iter_mut().filter(|container| container.state == State::Running) {
            let known = self.by_id.get(&container.id).and_then(|&slot| self.entries.get(slot)).map(|entry| entry.container.health);
            container.health = match known {
                _ if !ailing.contains(&*container.id) => Health::Healthy,
                Some(Health::Unhealthy) => Health::Unhealthy,
                None | Some(Health::None | Health::Starting | Health::Healthy) => Health::Starting,
            };
        }
    }

    fn listed(&mut self, container: Container, asked: &Asked) -> usize {
        let Some(&slot) = self.by_id.get(&container.id) else {
            let runs = container.state == State::Running;
            let has_check = runs.then_some(container.health != Health::None);
            let slot = self.insert(container, asked.at);
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.has_check = has_check;
            }
            self.index(slot);
            return slot;
        };
        let Some(entry) = self.entries.get_mut(slot) else { return slot };
        // Asked for before the event was read, it says nothing about this container.
        if asked.tick < entry.tick {
            return slot;
        }
        let mut container = container;
        let believed = entry.said.is_none_or(|said| decides(&said, asked, Some(container.state)));
        if !believed {
            // Of its life the event knows better; what it is, the list says all the same. When to ask again is a matter of the
            // looks, or a list that lies would be asked for over and over.
            let Container { state, status, health, .. } = &entry.container;
            (container.state, container.status, container.health) = (*state, status.clone(), *health);
        }
        let stands = entry.renamed.is_some_and(|at| asked.at.saturating_duration_since(at) < limits::CHANGE_STANDS);
        // Docker releases the old name a moment after it has announced the new one (measured: both are listed). A list without the
        // new one knows of a later rename.
        let new = entry.container.names.first();
        if stands && container.names.len() > 1 && new.is_some_and(|new| container.names.contains(new)) {
            container.names.clone_from(&entry.container.names);
        } else {
            entry.renamed = None;
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
        if let Some(entry) = self.entries.get_mut(slot) {
            let health = entry.container.health;
            let same_run = entry.container.state == State::Running || entry.container.state == State::Paused;
            entry.container = container;
            entry.removed &= !believed;
            match entry.container.state {
                _ if !believed => {}
                State::Running => entry.has_check = Some(entry.container.health != Health::None),
                // Its health is not shown, and is still that of this run.
                State::Paused if same_run => entry.container.health = health,
                State::Paused | State::Created | State::Restarting | State::Removing | State::Exited | State::Dead => {}
            }
        }
        self.index(slot);
        slot
    }

    fn absent(&mut self, slot: usize, asked: &Asked) {
        let Some(entry) = self.entries.get(slot) else { return };
        if asked.tick < entry.tick || entry.said.is_some_and(|said| !decides(&said, asked, None)) {
            return;
        }
        self.settle(slot);
        self.unindex(slot);
        if let Some(entry) = self.entries.try_remove(slot) {
            self.by_id.remove(&entry.container.id);
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
        let mut slots: Vec<usize> = std::mem::take(&mut self.suspects).into_iter().collect();
        while let Some(&(at, slot)) = self.looks.first().filter(|(at, _)| *at <= now) {
            self.looks.remove(&(at, slot));
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.look = None;
                entry.looks = entry.looks.saturating_add(1);
            }
            self.schedule(slot);
            slots.push(slot);
        }
        slots.sort_unstable();
        slots.dedup();
        slots.into_iter().filter_map(|slot| self.entries.get(slot)).map(|entry| entry.container.id.clone()).collect()
    }

    /// Whether somebody is to be asked about now, and else when.
    #[must_use]
    pub fn next_look(&self, now: Instant) -> Option<Instant> {
        if self.suspects.is_empty() { self.looks.first().map(|&(at, _)| at) } else { Some(now) }
    }

    /// Whatever is still open of these is to be asked about again.
    pub fn unanswered(&mut self, ids: &[Box<str>]) {
        for slot in ids.iter().filter_map(|id| self.by_id.get(id).copied()) {
            if self.entries.get(slot).is_some_and(|entry| entry.suspect) {
                self.suspects.insert(slot);
            }
        }
    }

    // ---- Verdicts.

    /// Whether an open question could change the verdict on that app.
    #[must_use]
    pub fn is_open(&self, app: &AppName) -> bool {
        let Some(group) = self.groups.get(app.as_str()) else { return false };
        let members = || group.members.iter().filter_map(|&slot| self.entries.get(slot));
        if !members().any(|entry| entry.suspect) {
            return false;
        }
        // One that is up is enough, whatever comes of the others.
        self.policy != Policy::Any || !members().any(|entry| !entry.suspect && verdict::fault(&entry.container, self.health).is_none())
    }

    /// The verdict on that app as the facts are. A suspect counts as starting. None if no container is its own.
    pub fn verdict(&mut self, app: &AppName) -> Option<&mut Verdict> {
        let Self { policy, health, entries, groups, .. } = self;
        let group = groups.get_mut(app.as_str())?;
        if group.verdict.is_none() {
            let members = group.members.iter().filter_map(|&slot| entries.get(slot)).map(|entry| Member {
                container: &entry.container,
                fault: verdict::fault(&entry.container, *health).or(entry.suspect.then_some(Reason::Starting)),
            });
            let answer = verdict::judge(app, members, *policy);
            group.verdict = Some(Verdict { answer, rendered: None });
        }
        group.verdict.as_mut()
    }

    /// The names whose verdicts may have changed since this was last asked.
    pub fn take_touched(&mut self) -> Vec<Box<str>> {
        self.touched.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// All apps, some of them more than once: the names of containers, without `-<digits>`.
    #[must_use]
    pub fn apps(&self) -> Vec<AppName> {
        let entries = self.entries.iter().filter(|(_, entry)| !entry.removed);
        entries.filter_map(|(_, entry)| keys(&entry.container).last()).filter_map(|key| AppName::parse(key.as_bytes())).collect()
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

    fn insert(&mut self, container: Container, now: Instant) -> usize {
        let id = container.id.clone();
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
            look: None,
        };
        let slot = self.entries.insert(entry);
        self.by_id.insert(id, slot);
        slot
    }

    fn index(&mut self, slot: usize) {
        let Self { entries, groups, touched, .. } = self;
        let Some(entry) = entries.get(slot).filter(|entry| !entry.removed) else { return };
        for key in keys(&entry.container) {
            touch(touched, key);
            if !groups.contains_key(key) {
                groups.insert(key.into(), Group::default());
            }
            if let Some(group) = groups.get_mut(key) {
                // Two names of one container can lead to one key.
                if group.members.last() != Some(&slot) {
                    group.members.push(slot);
                }
                group.verdict = None;
            }
        }
    }

    fn unindex(&mut self, slot: usize) {
        let Self { entries, groups, touched, .. } = self;
        let Some(entry) = entries.get(slot) else { return };
        for key in keys(&entry.container) {
            touch(touched, key);
            let Some(group) = groups.get_mut(key) else { continue };
            group.members.retain(|&other| other != slot);
            group.verdict = None;
            if group.members.is_empty() {
                groups.remove(key);
            }
        }
    }
}

fn touch(touched: &mut Option<Vec<Box<str>>>, key: &str) {
    if let Some(touched) = touched {
        touched.push(key.into());
    }
}

/// The names that a container answers to: its own, and its own without `-<digits>`.
fn keys(container: &Container) -> impl Iterator<Item = &str> {
    container.names.iter().flat_map(|name| {
        let stem = name.rsplit_once('-').filter(|(_, digits)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
        std::iter::once(&**name).chain(stem.map(|(stem, _)| stem))
    })
}

/// Docker's words for a running container with another outcome of its HEALTHCHECK.
fn with_health(status: &str, health: Health) -> Box<str> {
    let words = match health {
        Health::None => return status.into(),
        Health::Starting => "(health: starting)",
        Health::Healthy => "(healthy)",
        Health::Unhealthy => "(unhealthy)",
    };
    let up = status.rsplit_once(" (").map_or(status, |(up, _)| up);
    format!("{up} {words}").into()
}
