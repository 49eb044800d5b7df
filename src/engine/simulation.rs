//! The engine against dice, a virtual clock, a Docker that misbehaves, and a model that knows the truth.
//!
//! The Docker of this world is late; after a death, a pause and an unpause its lists lie for as long as was measured on Docker
//! 20.10; it loses events, hangs, and goes away and comes back, with its containers or without. What is checked:
//!
//! - whoever asked is answered exactly once, in time, about the app they asked for;
//! - whoever is told "up" is told so by facts that no event read before contradicts;
//! - whoever asks about a drained app is told that and nothing else;
//! - while blind, what is told was listed after the probe came;
//! - where apps are checked: at most one check of an app is on its way, none of one that is down, and nobody is told "up" or "down"
//!   against what the last checks of this run say;
//! - there is at most one list, one question about some containers, and one stream at a time, and Docker is left alone after it
//!   was found gone;
//! - the next deadline is later than now, and never later than somebody's patience;
//! - once the world is calm, the view is live and every verdict is the truth; a death is told from the moment its event is read,
//!   whatever the lists say, and a start as soon as one question about it is answered.
//!
//! `cargo test` runs many seeds; `SIMULATION_SEED=N` replays one, `SIMULATION_SEEDS=N` widens the sweep. A fuzzer feeds a
//! script instead of dice ([`script`]).

#![allow(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a simulation stops when a promise is broken"
)]

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::{
    Action, Answer, AppName, CheckFault, CheckSettings, DockerHealth, Engine, FlightId, Path, Policy, Route, Settings, Ticket, Trust,
};
use crate::docker::event::{Event, Line, What};
use crate::docker::exchange::{Listed, Told};
use crate::docker::{ApiVersion, Container, Fault, Health, Question, State};
use crate::drain::Drain;
use crate::http::response::Broken;
use crate::limits;
use crate::slots::Slots;

const APPS: [&str; 4] = ["bk", "bk_gse", "bk_gsekit", "bk-1"];
const TIMEOUT: Duration = Duration::from_secs(5);
const RESYNC: Duration = Duration::from_secs(30);
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);
const FALL: u32 = 2;
const RISE: u32 = 2;
const GRACE: Duration = Duration::from_mins(1);
/// Unix time when the world begins, in nanoseconds.
const EPOCH: u64 = 1_700_000_000_000_000_000;
/// After so long without anything new the truth has to be known: a lost event is found by the next list, a lost start no earlier
/// than a death stands.
const CALM: Duration = Duration::from_secs(75);

/// Where chance comes from.
enum Dice<'a> {
    #[cfg(test)]
    Seed(u64),
    /// Bytes; zeros when they have run out, so that any input is a valid script.
    Script(&'a [u8]),
}

impl Dice<'_> {
    /// A number below `sides`.
    fn throw(&mut self, sides: u64) -> u64 {
        match self {
            #[cfg(test)]
            Self::Seed(state) => {
                // splitmix64
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (mixed ^ (mixed >> 31)) % sides
            }
            Self::Script(bytes) => {
                let Some((&byte, rest)) = bytes.split_first() else { return 0 };
                *bytes = rest;
                u64::from(byte) % sides
            }
        }
    }
}

/// A container as it truly is, and what the lists say of it.
#[derive(Clone, Debug)]
struct Truth {
    id: Box<str>,
    name: String,
    life: State,
    /// None: it has no HEALTHCHECK.
    health: Option<Health>,
    created: i64,
    /// When it was last started or died.
    since: Option<Instant>,
    /// Until then the lists say this instead.
    lie: Option<(State, Instant)>,
    /// A HEALTHCHECK of a Podman that tells of it too early.
    check: Option<Check>,
}

/// A HEALTHCHECK on its way: it began with an event, ends with another one, and what came of it shows a little later.
#[derive(Clone, Copy, Debug)]
struct Check {
    outcome: Health,
    ends: Instant,
    shows: Option<Instant>,
}

impl Truth {
    fn serves(&self) -> bool {
        self.life == State::Running && self.health.is_none_or(|health| health == Health::Healthy)
    }

    /// Docker's own words, which are those that the view puts in their place after an event, or not.
    fn words(&self, state: State, now: Instant) -> String {
        let age = self.since.map_or(0, |since| (now - since).as_secs());
        match (state, age) {
            (State::Running, 0) => "Up Less than a second".into(),
            (State::Exited, 0) => "Exited (137) Less than a second ago".into(),
            _ => format!("{state:?} {age} seconds"),
        }
    }

    fn listed(&self, now: Instant) -> Container {
        let state = self.lie.filter(|(_, until)| *until > now).map_or(self.life, |(state, _)| state);
        let health = if state == State::Running { self.health.unwrap_or(Health::None) } else { Health::None };
        Container {
            id: self.id.clone(),
            names: vec![self.name.as_str().into()],
            image: "image".into(),
            status: self.words(state, now).into(),
            created: self.created,
            state,
            health,
            ports: "[]".into(),
            ..Container::default()
        }
    }
}

/// A probe that has no answer yet.
struct Probe {
    ticket: Ticket,
    app: usize,
    came: Instant,
    /// How far the view was trusted then.
    trust: Trust,
}

/// A question that Docker has.
struct Asked {
    flight: FlightId,
    question: Question,
    at: Instant,
    order: u64,
    versioned: bool,
    /// What a list would say at the moment when it was asked for.
    then: Vec<Container>,
}

/// What an event that was read said last of a container's life.
#[derive(Clone, Copy, Debug)]
struct Read {
    what: What,
    at: Instant,
    comebacks: u32,
    /// In the order in which events were read and lists were asked for.
    order: u64,
}

/// The checks of one app.
#[derive(Debug, Default)]
struct Checked {
    /// The app itself answers with a failing status.
    fails: bool,
    /// On its way.
    flight: Option<FlightId>,
    /// What checks have come to in this run, the latest first.
    results: VecDeque<bool>,
}

impl Checked {
    fn all(&self, last: u32, good: bool) -> bool {
        self.results.len() >= last as usize && self.results.iter().take(last as usize).all(|&result| result == good)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Hangs,
    Gone,
}

struct World<'a> {
    dice: Dice<'a>,
    start: Instant,
    now: Instant,
    engine: Engine,
    slots: Slots<()>,
    probes: Vec<Probe>,
    containers: Vec<Truth>,
    made: u64,
    mood: Mood,
    /// How often Docker was found to refuse connections, and came back.
    comebacks: u32,
    refused: bool,
    /// The version that paths must have, if any.
    demands: bool,
    /// It is a Podman, which says nothing of health in lists, replays nothing, and tells of each HEALTHCHECK when it begins, with the
    /// outcome of the one before, and that it has ended.
    podman: Option<ApiVersion>,
    /// On the wire.
    asked: Vec<Asked>,
    /// Forgotten by the engine; Docker may answer them all the same.
    forgotten: Vec<Asked>,
    /// The stream whose head has come.
    stream: Option<FlightId>,
    /// Events on their way to it, and when they are there.
    queue: VecDeque<(Event, Instant)>,
    /// The last events, for who asks for a replay.
    ring: VecDeque<Event>,
    read: HashMap<Box<str>, Read>,
    /// All events that were read, so that a replayed one is known.
    seen: HashSet<(Box<str>, What, u64)>,
    order: u64,
    /// For each app: how it was listed, since when.
    history: Vec<VecDeque<(Instant, Vec<Container>)>>,
    /// Docker is to be left alone until then.
    rest: Option<Instant>,
    gone_since: Option<Instant>,
    /// None of any app if they are not checked.
    checked: Vec<Checked>,
    /// When events were last read.
    last_line: Option<Instant>,
    /// A check that was given up may end all the same.
    given_up: Vec<FlightId>,
    /// Who is drained, until which second.
    drains: BTreeMap<&'static str, Option<u64>>,
    answers: u64,
}

impl<'a> World<'a> {
    fn new(mut dice: Dice<'a>) -> Self {
        let podman = (dice.throw(4) == 3).then(|| ApiVersion::parse_podman(b"4.3.1").unwrap());
        let is_checked = dice.throw(2) == 1;
        let now = Instant::now();
        let settings = Settings {
            docker_timeout: TIMEOUT,
            docker_grace: GRACE,
            resync: RESYNC,
            policy: Policy::Any,
            docker_health: DockerHealth::Respect,
            min_uptime: Duration::ZERO,
            apps: Vec::new(),
            check: is_checked.then(|| CheckSettings {
                interval: Duration::from_secs(2),
                timeout: CHECK_TIMEOUT,
                fall: FALL,
                rise: RISE,
                fail: vec![502..=504],
            }),
        };
        Self {
            dice,
            start: now,
            now,
            engine: Engine::new(settings, 7, now, Duration::from_nanos(EPOCH)),
            slots: Slots::new(),
            probes: Vec::new(),
            containers: Vec::new(),
            made: 0,
            mood: Mood::Well,
            comebacks: 0,
            refused: false,
            demands: false,
            podman,
            asked: Vec::new(),
            forgotten: Vec::new(),
            stream: None,
            queue: VecDeque::new(),
            ring: VecDeque::new(),
            read: HashMap::new(),
            seen: HashSet::new(),
            order: 0,
            history: vec![VecDeque::new(); APPS.len()],
            rest: None,
            gone_since: None,
            checked: if is_checked { APPS.iter().map(|_| Checked::default()).collect() } else { Vec::new() },
            last_line: None,
            given_up: Vec::new(),
            drains: BTreeMap::new(),
            answers: 0,
        }
    }

    fn unix(&self) -> u64 {
        EPOCH + (self.now - self.start).as_nanos() as u64
    }

    fn step(&mut self) {
        match self.dice.throw(36) {
            0..=4 => self.pass_time(),
            5..=10 => self.probe_any(),
            11..=16 => self.change(),
            17..=22 => self.docker_answers(),
            23..=27 => self.events_arrive(),
            28 => self.docker_fails(),
            29 => self.mood_swings(),
            30 => self.a_late_answer_comes(),
            31..=34 => self.a_check_goes_on(),
            _ => self.ask_something_else(),
        }
        self.turn();
    }

    fn turn(&mut self) {
        self.checks_end();
        self.remember();
        self.engine.due(self.now);
        while let Some(action) = self.engine.next_action(self.now) {
            self.act(action);
        }
        self.check();
    }

    fn pass_time(&mut self) {
        let longest = [10, 100, 1000, 7000, 40_000][self.dice.throw(5) as usize];
        let time = 1 + self.dice.throw(longest) * self.dice.throw(256) / 255;
        self.wait(Duration::from_millis(time));
    }

    /// Lets time pass, but not past what the engine has to do: the loop would wake for it.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.engine.next_deadline(self.now).filter(|deadline| *deadline < until) {
            self.now = deadline;
            self.turn();
        }
        self.now = until;
    }

    // ---- Clients.

    fn ticket(&mut self) -> Ticket {
        Ticket { connection: self.slots.insert(()), number: 0, path: Path::App }
    }

    fn probe_any(&mut self) {
        let app = self.dice.throw(APPS.len() as u64) as usize;
        self.probe(app);
    }

    fn probe(&mut self, app: usize) {
        let ticket = self.ticket();
        self.probes.push(Probe { ticket, app, came: self.now, trust: self.engine.trust(self.now) });
        self.engine.asked(ticket, Route::App(name(app)), true, self.now);
    }

    /// Everything else is answered at once, whatever Docker does.
    fn ask_something_else(&mut self) {
        let ticket = self.ticket();
        let (route, want) = [
            (Route::Health, Some(Answer::Healthy)),
            (Route::NotFound, Some(Answer::NotFound)),
            (Route::BadName, Some(Answer::BadName)),
            (Route::NotAllowed, Some(Answer::NotAllowed)),
            (Route::Ready, None),
        ][self.dice.throw(5) as usize]
            .clone();
        let down = self.engine.trust(self.now) == Trust::Down;
        self.engine.asked(ticket, route.clone(), false, self.now);
        let Some(Action::Answer(to, answer)) = self.engine.next_action(self.now) else { panic!("{route:?} waits") };
        assert_eq!(to, ticket);
        match want {
            Some(want) => assert_eq!(answer, want),
            None if self.is_drained("all") => assert!(matches!(answer, Answer::Drained(_)), "{answer:?}"),
            None => assert_eq!(matches!(answer, Answer::Unknown(_)), down, "{answer:?}"),
        }
    }

    // ---- What the operator does.

    /// Drains somebody, for good or for a while, or no more.
    fn drain(&mut self) {
        let name = ["all", APPS[0], APPS[1], APPS[2]][self.dice.throw(4) as usize];
        let until = self.unix() / 1_000_000_000 + self.dice.throw(40);
        if self.drains.remove(name).is_none() {
            self.drains.insert(name, (self.dice.throw(4) > 0).then_some(until));
        }
        let drain = |until: &Option<u64>| Drain { until: *until, ..Drain::default() };
        let drains = self.drains.iter().map(|(name, until)| (Box::from(*name), drain(until))).collect();
        self.engine.drains_are(drains, self.now);
    }

    fn is_drained(&self, name: &str) -> bool {
        self.drains.get(name).is_some_and(|until| until.is_none_or(|until| self.unix() < until * 1_000_000_000))
    }

    // ---- What happens to containers.

    fn change(&mut self) {
        let which = self.dice.throw(8) as usize;
        match self.dice.throw(10) {
            0 | 1 if self.containers.len() < 7 => self.create(),
            2..=4 => self.toggle(which),
            5 => self.pause(which),
            6 => self.rename(which),
            7 => self.remove(which),
            8 => self.drain(),
            _ => self.check_health(which),
        }
    }

    fn create(&mut self) {
        self.made += 1;
        let app = APPS[self.dice.throw(APPS.len() as u64) as usize];
        let suffix = if self.dice.throw(2) == 0 { String::new() } else { format!("-{}", self.made + 100) };
        let health = (self.dice.throw(3) == 0).then_some(Health::Starting);
        let truth = Truth {
            id: format!("{:x}", self.made).into(),
            name: format!("{app}{suffix}"),
            life: State::Created,
            health,
            created: self.made.cast_signed(),
            since: None,
            lie: None,
            check: None,
        };
        self.containers.push(truth);
        let at = self.containers.len() - 1;
        self.emit(at, What::Created);
    }

    fn toggle(&mut self, which: usize) {
        let Some(truth) = self.containers.get_mut(which) else { return };
        let was = truth.life;
        truth.since = Some(self.now);
        truth.check = None;
        if was == State::Running || was == State::Paused {
            truth.life = State::Exited;
            self.lie(which, was, 900);
            self.emit(which, What::Died(137));
        } else {
            truth.life = State::Running;
            truth.lie = None;
            truth.health = truth.health.map(|_| Health::Starting);
            self.emit(which, What::Started);
        }
    }

    fn pause(&mut self, which: usize) {
        let Some(truth) = self.containers.get_mut(which) else { return };
        let was = truth.life;
        let (life, what) = match was {
            State::Running => (State::Paused, What::Paused),
            State::Paused => (State::Running, What::Unpaused),
            _ => return,
        };
        truth.life = life;
        self.lie(which, was, 150);
        self.emit(which, what);
    }

    fn lie(&mut self, which: usize, was: State, longest: u64) {
        let until = self.now + Duration::from_millis(self.dice.throw(longest));
        self.containers[which].lie = Some((was, until));
    }

    fn rename(&mut self, which: usize) {
        let app = APPS[self.dice.throw(APPS.len() as u64) as usize];
        let Some(truth) = self.containers.get_mut(which) else { return };
        truth.name = format!("{app}-{}", 1000 + self.made);
        self.emit(which, What::Renamed);
    }

    fn remove(&mut self, which: usize) {
        if self.containers.get(which).is_some_and(|truth| truth.life != State::Running && truth.life != State::Paused) {
            self.emit(which, What::Removed);
            self.containers.remove(which);
        }
    }

    fn check_health(&mut self, which: usize) {
        let outcome = [Health::Healthy, Health::Unhealthy][self.dice.throw(2) as usize];
        let Some(truth) = self.containers.get_mut(which).filter(|truth| truth.life == State::Running && truth.health.is_some()) else {
            return;
        };
        if self.podman.is_none() {
            truth.health = Some(outcome);
            return self.emit(which, What::Health(outcome));
        }
        if let (None, Some(before)) = (truth.check, truth.health) {
            let ends = self.now + Duration::from_millis(self.dice.throw(3000));
            truth.check = Some(Check { outcome, ends, shows: None });
            self.emit(which, What::Health(before));
        }
    }

    fn checks_end(&mut self) {
        for which in 0..self.containers.len() {
            let truth = &mut self.containers[which];
            let Some(check) = truth.check.as_mut().filter(|check| check.ends <= self.now) else { continue };
            if truth.life != State::Running {
                truth.check = None;
            } else if let Some(shows) = check.shows {
                if shows <= self.now {
                    truth.health = Some(check.outcome);
                    truth.check = None;
                }
            } else {
                check.shows = Some(self.now + Duration::from_millis(self.dice.throw(limits::CHECK_SETTLES.as_millis() as u64)));
                self.emit(which, What::CheckEnded);
            }
        }
    }

    fn emit(&mut self, which: usize, what: What) {
        let truth = &self.containers[which];
        let event = Event { id: truth.id.clone(), name: truth.name.as_str().into(), what, at: self.unix() };
        if self.mood == Mood::Gone {
            return;
        }
        self.ring.push_back(event.clone());
        if self.ring.len() > limits::REPLAYED_EVENTS {
            self.ring.pop_front();
        }
        // Now and then one is lost: dockerd drops them silently for who reads slowly.
        if self.stream.is_some() && self.dice.throw(64) != 63 {
            let after = self.queue.back().map_or(self.now, |(_, at)| *at);
            let at = after.max(self.now + Duration::from_millis(self.dice.throw(60)));
            self.queue.push_back((event, at));
        }
    }

    // ---- Docker.

    fn list(&self, about: Option<&[Box<str>]>) -> Vec<Container> {
        let wanted = |truth: &&Truth| about.is_none_or(|ids| ids.contains(&truth.id));
        self.containers.iter().filter(wanted).map(|truth| truth.listed(self.now)).collect()
    }

    fn docker_answers(&mut self) {
        if self.mood != Mood::Well || self.asked.is_empty() {
            return;
        }
        let which = self.dice.throw(self.asked.len() as u64) as usize;
        self.answer(which);
    }

    fn answer(&mut self, which: usize) {
        let asked = self.asked.remove(which);
        if self.demands && !asked.versioned {
            return self.say(&asked, Err(wants_version()));
        }
        let about = match &asked.question {
            Question::Events { since } => return self.open_stream(asked.flight, *since),
            Question::About(ids) => Some(ids.as_slice()),
            Question::All | Question::Ailing => None,
        };
        // Docker looks at some moment between question and answer.
        let mut containers = if self.dice.throw(2) == 0 { asked.then.clone() } else { self.list(about) };
        let is_silent_on_health = self.podman.is_some() && asked.question != Question::Ailing;
        if asked.question == Question::Ailing {
            containers.retain(|container| matches!(container.health, Health::Starting | Health::Unhealthy));
        }
        if self.podman.is_some() {
            for container in &mut containers {
                container.health = Health::None;
            }
        }
        self.say(&asked, Ok(Listed { containers, podman: self.podman, is_silent_on_health }));
    }

    fn open_stream(&mut self, flight: FlightId, since: Option<u64>) {
        self.stream = Some(flight);
        assert_eq!(since.is_none(), self.podman.is_some());
        let since = since.unwrap_or(u64::MAX);
        assert!(since <= self.unix() || self.podman.is_some(), "events would be missed");
        self.queue = self.ring.iter().filter(|event| event.at >= since).map(|event| (event.clone(), self.now)).collect();
        self.engine.docker_told(flight, &Told::Opened, self.now);
    }

    fn events_arrive(&mut self) {
        if self.mood != Mood::Well {
            return;
        }
        let Some(flight) = self.stream else { return };
        while let Some((event, _)) = self.queue.pop_front_if(|(_, at)| *at <= self.now) {
            let line = if self.dice.throw(64) == 63 { Line::TooLong } else { Line::Event(event.clone()) };
            let news = line != Line::TooLong && self.seen.insert((event.id.clone(), event.what, event.at));
            if news && !matches!(event.what, What::Renamed | What::Health(_) | What::CheckEnded | What::Created) {
                self.order += 1;
                let read = Read { what: event.what, at: self.now, comebacks: self.comebacks, order: self.order };
                self.read.insert(event.id, read);
            }
            self.engine.docker_told(flight, &Told::Line(line), self.now);
            self.last_line = Some(self.now);
            self.forget_results();
        }
    }

    fn docker_fails(&mut self) {
        if self.asked.is_empty() && self.stream.is_none() {
            return;
        }
        let which = self.dice.throw(self.asked.len() as u64 + 1) as usize;
        if which == self.asked.len() {
            return self.cut_stream();
        }
        let faults = [
            Fault::Reset,
            Fault::Broken(Broken::CutShort),
            Fault::NotAList,
            Fault::Status(500, "no".into()),
            Fault::Full,
            Fault::Refused,
            Fault::Denied,
        ];
        let fault = faults[self.dice.throw(faults.len() as u64) as usize].clone();
        let asked = self.asked.remove(which);
        self.say(&asked, Err(fault));
    }

    fn cut_stream(&mut self) {
        if let Some(flight) = self.stream.take() {
            self.queue.clear();
            self.engine.docker_said(flight, Err(Fault::Broken(Broken::CutShort)), self.now);
        }
    }

    fn say(&mut self, asked: &Asked, outcome: Result<Listed, Fault>) {
        let is_stream = matches!(asked.question, Question::Events { .. });
        match &outcome {
            Ok(listed) => {
                (self.rest, self.gone_since) = (None, None);
                self.comebacks += u32::from(std::mem::take(&mut self.refused));
                if asked.question != Question::Ailing {
                    self.agree(asked, &listed.containers);
                }
            }
            Err(Fault::Full) if asked.question == Question::All => {}
            // It may belong to a list, which is tried again, or to a question about some, which is not.
            Err(Fault::Full) if asked.question == Question::Ailing => _ = self.gone_since.get_or_insert(self.now),
            // It is repeated at once, whatever else has failed: Docker has just spoken.
            Err(Fault::WantsVersion(_)) => self.rest = None,
            Err(fault) if !is_stream || fault.is_refusal() => self.found_gone(fault),
            Err(_) => {}
        }
        self.engine.docker_said(asked.flight, outcome, self.now);
        self.forget_results();
    }

    /// A list that was asked for after a death was read, and shows it, has agreed: what later lists say is newer.
    fn agree(&mut self, asked: &Asked, containers: &[Container]) {
        self.read.retain(|id, read| {
            let about = if let Question::About(ids) = &asked.question { ids.contains(id) } else { true };
            let listed = containers.iter().find(|container| container.id == *id).map(|container| container.state);
            let dead = !matches!(listed, Some(State::Running | State::Paused));
            let agrees = about && asked.order > read.order && if read.what == What::Paused { listed != Some(State::Running) } else { dead };
            !agrees
        });
    }

    fn found_gone(&mut self, fault: &Fault) {
        let pause = if fault.is_refusal() { limits::REFUSED_PAUSE } else { limits::FIRST_PAUSE * 3 / 4 };
        self.rest = Some(self.now + pause);
        self.gone_since.get_or_insert(self.now);
        self.refused |= matches!(fault, Fault::NoSocket | Fault::Refused);
    }

    fn mood_swings(&mut self) {
        let next = [Mood::Well, Mood::Hangs, Mood::Gone][self.dice.throw(3) as usize];
        self.take_mood(next);
    }

    fn take_mood(&mut self, next: Mood) {
        if next == Mood::Gone && self.mood != Mood::Gone {
            self.cut_stream();
            for asked in std::mem::take(&mut self.asked) {
                self.say(&asked, Err(Fault::Reset));
            }
        }
        if self.mood == Mood::Gone && next != Mood::Gone {
            self.ring.clear();
            // Without live-restore the containers have died with it, and nobody says so.
            if self.dice.throw(2) == 0 {
                for truth in &mut self.containers {
                    if truth.life == State::Running || truth.life == State::Paused {
                        truth.life = State::Exited;
                    }
                }
            }
            self.containers.iter_mut().for_each(|truth| truth.lie = None);
            // Podman takes any version.
            self.demands = self.podman.is_none() && self.dice.throw(4) == 0;
        }
        self.mood = next;
    }

    /// It must change nothing, whatever it says.
    fn a_late_answer_comes(&mut self) {
        if self.forgotten.is_empty() {
            return;
        }
        let which = self.dice.throw(self.forgotten.len() as u64) as usize;
        let asked = self.forgotten.swap_remove(which);
        if self.dice.throw(2) == 0 {
            self.engine.docker_said(
                asked.flight,
                Ok(Listed { containers: Vec::new(), podman: None, is_silent_on_health: false }),
                self.now,
            );
        } else {
            self.engine.docker_told(asked.flight, &Told::Opened, self.now);
        }
        while let Some(action) = self.engine.next_action(self.now) {
            assert!(!matches!(action, Action::DockerFound | Action::DockerLost(_) | Action::Live), "a late answer is believed");
            self.act(action);
        }
    }

    // ---- Apps that are checked.

    fn a_check_goes_on(&mut self) {
        if self.checked.is_empty() {
            return;
        }
        let app = self.dice.throw(APPS.len() as u64) as usize;
        match self.dice.throw(8) {
            0 => self.checked[app].fails ^= true,
            1 => self.engine.asked_about_all(self.now),
            2 if !self.given_up.is_empty() => {
                let flight = self.given_up.swap_remove(0);
                self.engine.check_told(flight, 502, self.now);
                self.engine.check_said(flight, Ok(()), self.now);
            }
            3 => self.end_check(app, Some(Err(CheckFault::Ours(24)))),
            4 => self.end_check(app, Some(Err(CheckFault::Closed))),
            _ => self.end_check(app, None),
        }
    }

    /// A check ends with that fault, or with the status that the app has to give.
    fn end_check(&mut self, app: usize, fault: Option<Result<(), CheckFault>>) {
        let checked = &mut self.checked[app];
        let Some(flight) = checked.flight.take() else { return };
        match fault {
            Some(Err(CheckFault::Ours(_))) => {}
            Some(_) => checked.results.push_front(false),
            None => {
                checked.results.push_front(!checked.fails);
                let status = if checked.fails { 503 } else { 404 };
                self.engine.check_told(flight, status, self.now);
            }
        }
        // However the body ends.
        self.engine.check_said(flight, fault.unwrap_or(Err(CheckFault::Reset)), self.now);
    }

    /// Whoever is down by what the containers say begins anew.
    fn forget_results(&mut self) {
        for (app, checked) in self.checked.iter_mut().enumerate() {
            let told = self.engine.verdict(&name(app)).map(|verdict| &verdict.answer);
            if !matches!(told, Some(Answer::Up(_) | Answer::Checking(_) | Answer::CheckFailed(_))) {
                checked.results.clear();
            }
        }
    }

    fn patience(&self) -> Duration {
        if self.checked.is_empty() { TIMEOUT } else { TIMEOUT + CHECK_TIMEOUT }
    }

    // ---- What the engine wants.

    fn act(&mut self, action: Action) {
        match action {
            Action::Answer(ticket, answer) => self.told(ticket, &answer, false),
            Action::Verdict(ticket, app, stale) => {
                let answer =
                    self.engine.verdict(&app).map_or(Answer::NoContainer { app, expected: false }, |verdict| verdict.answer.clone());
                self.told(ticket, &answer, stale);
            }
            Action::Ask(flight, question, version) => {
                assert!(self.rest.is_none_or(|rest| rest <= self.now), "Docker is not left alone after it was found gone");
                let about = if let Question::About(ids) = &question { Some(ids.as_slice()) } else { None };
                self.order += 1;
                let asked =
                    Asked { flight, at: self.now, order: self.order, versioned: version.is_some(), then: self.list(about), question };
                if self.mood == Mood::Gone {
                    self.say(&asked, Err(Fault::NoSocket));
                } else {
                    self.asked.push(asked);
                }
            }
            Action::Check(flight, app) => {
                let at = (0..APPS.len()).find(|&at| name(at) == app).expect("another app is checked");
                let told = self.engine.verdict(&app).map(|verdict| &verdict.answer);
                assert!(matches!(told, Some(Answer::Up(_) | Answer::Checking(_) | Answer::CheckFailed(_))), "checked while {told:?}");
                assert_eq!(self.checked[at].flight.replace(flight), None, "two checks of one app at once");
            }
            Action::Forget(flight) if self.checked.iter().any(|checked| checked.flight == Some(flight)) => {
                let Some(checked) = self.checked.iter_mut().find(|checked| checked.flight == Some(flight)) else { return };
                checked.flight = None;
                // It was late, unless its app is down; a hung app is one that fails.
                checked.results.push_front(false);
                self.given_up.push(flight);
                self.forget_results();
            }
            Action::Forget(flight) => {
                let known = self.asked.iter().position(|asked| asked.flight == flight).map(|at| self.asked.remove(at));
                let is_stream = known.as_ref().is_some_and(|asked| matches!(asked.question, Question::Events { .. }));
                self.forgotten.extend(known);
                if !is_stream {
                    self.found_gone(&Fault::Late);
                }
            }
            Action::Metrics(_) | Action::Apps(..) => panic!("nobody asked for them"),
            Action::DockerFound => assert_eq!(self.gone_since, None),
            Action::DockerLost(_) => assert!(self.gone_since.is_some()),
            Action::Live => assert!(self.stream.is_some(), "live without a stream"),
            Action::Blind(_) | Action::Turned(..) | Action::Checked(..) => {}
        }
    }

    fn told(&mut self, ticket: Ticket, answer: &Answer, stale: bool) {
        let at = self.probes.iter().position(|probe| probe.ticket == ticket);
        let probe = self.probes.remove(at.expect("an answer to nobody, or a second one"));
        let due = self.now == probe.came + TIMEOUT;
        assert!(self.now <= probe.came + self.patience(), "late");
        self.answers += 1;
        let is_drained = self.is_drained(APPS[probe.app]) || self.is_drained("all");
        assert_eq!(is_drained, matches!(answer, Answer::Drained(_)), "{answer:?}");
        if is_drained {
            return;
        }
        let trust = self.engine.trust(self.now);
        assert_eq!(stale, trust == Trust::Stale && !matches!(answer, Answer::Unknown(_)), "{answer:?}");
        match answer {
            Answer::Unknown(Fault::Late) if due => {}
            Answer::Unknown(_) => assert!(trust == Trust::Down, "what is known is not told: {answer:?} while {trust:?}"),
            Answer::Checking(_) => {
                // An app that goes down and comes up within one turn ends the wait too.
                let turmoil = self.last_line == Some(self.now);
                assert!(turmoil || self.now >= probe.came + CHECK_TIMEOUT, "a first probe does not wait for its check");
            }
            Answer::CheckFailed(failed) => {
                let checked = &self.checked[probe.app];
                assert_eq!(failed.app, name(probe.app));
                assert!(checked.results.contains(&false) && !checked.all(RISE, true), "told down against {checked:?}");
            }
            Answer::Up(shown) => {
                if let Some(checked) = self.checked.get(probe.app) {
                    assert!(checked.results.contains(&true) && !checked.all(FALL, false), "told up against {checked:?}");
                }
                assert!(name(probe.app).number_in(&shown.name).is_some(), "another app's container");
                self.not_contradicted(&shown.container);
                // After `unpause` it is the lists that lie.
                let resumed = self.read.get(&shown.container.id).is_some_and(|read| read.what == What::Unpaused);
                // One that waits for a check may have had its facts before the view went blind.
                let had_facts = !self.checked.is_empty() && probe.trust != Trust::Blind;
                if trust == Trust::Blind && !resumed && !had_facts {
                    self.was_listed(&probe, |own| {
                        own.iter().any(|container| container.id == shown.container.id && container.state == State::Running)
                    });
                }
            }
            Answer::Down(_, shown) => {
                assert!(name(probe.app).number_in(&shown.name).is_some(), "another app's container");
            }
            Answer::NoContainer { app, .. } => {
                assert_eq!(app.as_str(), APPS[probe.app]);
                if trust == Trust::Blind && self.read.is_empty() {
                    self.was_listed(&probe, <[Container]>::is_empty);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whoever is told "up" is told so by facts that no event read before contradicts, until lists may.
    fn not_contradicted(&self, container: &Container) {
        let Some(read) = self.read.get(&container.id) else { return };
        let stands = match read.what {
            What::Died(_) | What::Removed => limits::DEATH_STANDS,
            What::Paused => limits::CHANGE_STANDS,
            _ => return,
        };
        let overtaken = self.now >= read.at + stands || self.comebacks != read.comebacks;
        assert!(overtaken, "told up, though {read:?} was read {:?} ago", self.now - read.at);
    }

    /// While blind: the list said so at some moment after the probe came.
    fn was_listed(&self, probe: &Probe, so: impl Fn(&[Container]) -> bool) {
        let history = &self.history[probe.app];
        let mut since = history.iter().rev();
        let listed = since.by_ref().take_while(|(at, _)| *at >= probe.came).any(|(_, own)| so(own));
        let before = history.iter().rev().find(|(at, _)| *at < probe.came).is_none_or(|(_, own)| so(own));
        assert!(listed || before, "told from a list that was asked for before the probe came");
    }

    /// How each app is listed, whenever that changes.
    fn remember(&mut self) {
        let all = self.list(None);
        for (app, history) in self.history.iter_mut().enumerate() {
            let own: Vec<_> = all.iter().filter(|container| name(app).number_in(&container.names[0]).is_some()).cloned().collect();
            if history.back().is_none_or(|(_, last)| *last != own) {
                history.push_back((self.now, own));
            }
            // Nobody waits longer than this.
            while history.len() > 1 && history[1].0 + 2 * TIMEOUT < self.now {
                history.pop_front();
            }
        }
    }

    /// What holds after every turn, besides what is checked of each answer.
    fn check(&self) {
        let questions = |so: fn(&Question) -> bool| self.asked.iter().filter(|asked| so(&asked.question)).count();
        assert!(questions(|question| *question == Question::All) <= 1, "more than one list on the wire");
        assert!(questions(|question| matches!(question, Question::About(_))) <= 1, "more than one question about some");
        let streams = questions(|question| matches!(question, Question::Events { .. }));
        assert!(streams + usize::from(self.stream.is_some()) <= 1, "more than one stream");
        let deadline = self.engine.next_deadline(self.now).expect("the engine always has something due");
        assert!(deadline > self.now, "the loop would spin");
        for asked in &self.asked {
            assert!(self.now < asked.at + limits::LONGEST_LIST, "a question without an end");
        }
        for probe in &self.probes {
            assert!(self.now < probe.came + self.patience(), "a probe is forgotten");
            assert!(deadline <= probe.came + self.patience(), "the loop would sleep over a probe");
        }
        if self.asked.is_empty() {
            assert!(deadline <= self.now + limits::LONGEST_LIST * limits::LIST_REST, "Docker would never be asked again");
        }
    }

    // ---- Calm.

    /// Nothing new happens, and Docker is quick: what is then told has to be true.
    fn calm_down(&mut self) {
        self.take_mood(Mood::Well);
        let (until, lists) = (self.now + CALM, self.engine.counts().lists);
        // A list that took long makes the next one wait.
        while self.now < until || self.engine.counts().lists < lists + 2 {
            self.serve();
            self.wait(Duration::from_millis(970));
            self.turn();
        }
        assert_eq!(self.engine.trust(self.now), Trust::Live, "calm, and not live");
        for app in 0..APPS.len() {
            self.expect_truth(app);
        }
        self.a_check_is_told_of_once_it_has_run();
        self.checks_tell_the_truth();
        self.a_death_and_a_start_are_told_at_once();
        self.a_new_container_is_told_of_once_it_is_asked_about();
        self.probes.clear();
    }

    /// Docker does all that it was asked to.
    fn serve(&mut self) {
        loop {
            self.turn();
            self.events_arrive();
            self.turn();
            for app in 0..self.checked.len() {
                self.end_check(app, None);
                self.turn();
            }
            if self.asked.is_empty() && self.checked.iter().all(|checked| checked.flight.is_none()) {
                return self.turn();
            }
            if !self.asked.is_empty() {
                self.answer(0);
            }
        }
    }

    fn expect_truth(&mut self, app: usize) {
        let own: Vec<&Truth> = self.containers.iter().filter(|truth| name(app).number_in(&truth.name).is_some()).collect();
        let serving = own.iter().filter(|truth| truth.serves()).max_by_key(|truth| truth.created).map(|truth| &truth.id);
        let (up, none) = (serving.is_some(), own.is_empty());
        let trust = self.engine.trust(self.now);
        let told = self.engine.view.verdict(&name(app)).map(|verdict| verdict.answer.clone());
        let is_right = match &told {
            None | Some(Answer::NoContainer { .. }) => none,
            Some(Answer::Up(shown)) => serving == Some(&shown.container.id),
            Some(Answer::Down(..)) => !up && !none,
            Some(_) => false,
        };
        assert!(is_right, "{trust:?}, {}: told {told:?}, but {own:?}", APPS[app]);
    }

    /// Not only once the next one has, which is when the events of an old Podman have the word for it; and it is asked about no more
    /// than it runs.
    fn a_check_is_told_of_once_it_has_run(&mut self) {
        let runs = |truth: &Truth| truth.life == State::Running && truth.health.is_some();
        let Some(which) = self.containers.iter().position(runs) else { return };
        let Truth { id, name: own, .. } = self.containers[which].clone();
        let app = (0..APPS.len()).find(|&app| name(app).number_in(&own).is_some()).unwrap();
        for outcome in [Health::Unhealthy, Health::Healthy, Health::Healthy, Health::Unhealthy, Health::Unhealthy, Health::Healthy] {
            self.serve();
            let counts = *self.engine.counts();
            let (flight, before) = (self.stream.unwrap(), self.containers[which].health.unwrap());
            let tell = |world: &mut Self, what| {
                world.wait(Duration::from_millis(1));
                let event = Event { id: id.clone(), name: own.as_str().into(), what, at: world.unix() };
                world.engine.docker_told(flight, &Told::Line(Line::Event(event)), world.now);
                world.serve();
            };
            if self.podman.is_some() {
                tell(self, What::Health(before));
                self.wait(Duration::from_millis(700));
                tell(self, What::CheckEnded);
                self.wait(limits::CHECK_SETTLES / 2);
                self.serve();
                self.expect_truth(app);
                self.containers[which].health = Some(outcome);
                self.wait(limits::CHECK_SETTLES / 2);
                self.serve();
            } else {
                self.containers[which].health = Some(outcome);
                tell(self, What::Health(outcome));
            }
            self.expect_truth(app);
            // One question by id, and one who of all is ailing; a list of all needs one of those too.
            let lists = self.engine.counts().lists - counts.lists;
            let most = if self.podman.is_some() { 2 + lists } else { 0 };
            assert!(self.engine.counts().looks <= counts.looks + most, "asked about more than it is checked");
        }
    }

    fn checks_tell_the_truth(&mut self) {
        for app in 0..APPS.len() {
            self.engine.asked_about(&name(app), self.now);
        }
        for _ in 0..8 {
            self.serve();
            self.wait(Duration::from_millis(970));
            self.turn();
        }
        for app in 0..self.checked.len() {
            self.expect_truth(app);
            let fails = self.checked[app].fails;
            match self.engine.verdict(&name(app)).map(|verdict| &verdict.answer) {
                Some(Answer::Up(_)) => assert!(!fails, "told up, and its checks fail"),
                Some(Answer::CheckFailed(_)) => assert!(fails, "told down, and its checks are good"),
                other => assert!(!matches!(other, Some(Answer::Checking(_))), "no check in all this time"),
            }
        }
    }

    fn a_death_and_a_start_are_told_at_once(&mut self) {
        let Some(which) = self.containers.iter().position(|truth| truth.life == State::Running && truth.health.is_none()) else { return };
        let app =
            APPS.iter().position(|app| AppName::parse(app.as_bytes()).unwrap().number_in(&self.containers[which].name).is_some()).unwrap();
        let id = self.containers[which].id.clone();
        self.containers[which].life = State::Exited;
        self.containers[which].lie = Some((State::Running, self.now + Duration::from_secs(5)));
        self.queue.clear();
        let (flight, unix) = (self.stream.unwrap(), self.unix());
        let line = |what, at| Told::Line(Line::Event(Event { id: id.clone(), name: "".into(), what, at }));
        self.engine.docker_told(flight, &line(What::Died(1), unix), self.now);
        for _ in 0..30 {
            self.serve();
            self.expect_down(app, &id);
            self.wait(Duration::from_millis(150));
        }
        self.containers[which].life = State::Running;
        self.containers[which].lie = None;
        self.engine.docker_told(flight, &line(What::Started, unix + 1), self.now);
        self.serve();
        self.expect_truth(app);
    }

    /// A redeploy: the old one serves on while the new one is made and started.
    fn a_new_container_is_told_of_once_it_is_asked_about(&mut self) {
        self.create();
        let which = self.containers.len() - 1;
        let own = |app: &usize| name(*app).number_in(&self.containers[which].name).is_some();
        let apps: Vec<usize> = (0..APPS.len()).filter(own).collect();
        let flight = self.stream.unwrap();
        for what in [What::Created, What::Started] {
            if what == What::Started {
                self.toggle(which);
            }
            self.queue.clear();
            self.wait(Duration::from_millis(1));
            let Truth { id, name, .. } = self.containers[which].clone();
            let event = Event { id, name: name.into(), what, at: self.unix() };
            self.engine.docker_told(flight, &Told::Line(Line::Event(event)), self.now);
            // Somebody asks while the question is open.
            for &app in &apps {
                self.probe(app);
            }
            self.serve();
        }
        for &app in &apps {
            self.expect_truth(app);
        }
    }

    fn expect_down(&mut self, app: usize, id: &str) {
        let told = self.engine.verdict(&name(app)).map(|verdict| verdict.answer.clone());
        let shown = if let Some(Answer::Up(shown)) = &told { Some(&*shown.container.id) } else { None };
        assert_ne!(shown, Some(id), "told up from a list, after its death was read");
    }
}

fn name(app: usize) -> AppName {
    AppName::parse(APPS[app].as_bytes()).unwrap()
}

fn wants_version() -> Fault {
    Fault::WantsVersion(ApiVersion::parse(b"1.44").unwrap())
}

/// Runs a script of bytes, for a fuzzer.
///
/// # Panics
/// When a promise is broken.
pub fn script(bytes: &[u8]) {
    let mut world = World::new(Dice::Script(bytes));
    while !matches!(world.dice, Dice::Script([])) {
        world.step();
    }
    world.calm_down();
}

#[cfg(test)]
fn run(seed: u64, steps: u32) -> u64 {
    let mut world = World::new(Dice::Seed(seed));
    for step in 0..steps {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world.step();
            if step % 250 == 249 {
                world.calm_down();
            }
        }));
        if let Err(fault) = outcome {
            eprintln!("SIMULATION_SEED={seed} fails at step {step}");
            std::panic::resume_unwind(fault);
        }
    }
    world.answers
}

#[cfg(test)]
std::thread_local! {
    static PLANTED: std::cell::Cell<Option<super::Plant>> = const { std::cell::Cell::new(None) };
}

/// Whether that fault has been planted, in this thread.
#[cfg(test)]
pub(super) fn planted(plant: super::Plant) -> bool {
    PLANTED.get() == Some(plant)
}

#[cfg(test)]
mod tests {
    use super::super::Plant;
    use super::*;

    /// A simulation that finds nothing may only be blind.
    #[test]
    fn a_planted_fault_is_found() {
        let plants = [
            Plant::BelieveTheListAfterDeath,
            Plant::ForgetASuspect,
            Plant::AnswerFromAnOlderList,
            Plant::BelieveAnEarlyCheck,
            Plant::KeepAResultOverADeath,
            Plant::LetTheDrainedWait,
        ];
        for plant in plants {
            PLANTED.set(Some(plant));
            let found = (0..200).find(|&seed| std::panic::catch_unwind(|| run(seed, 500)).is_err());
            PLANTED.set(None);
            assert!(found.is_some(), "{plant:?} is not found");
            eprintln!("{plant:?}: found with seed {found:?}");
        }
    }

    #[test]
    fn every_probe_is_told_the_truth_once_and_in_time() {
        let number = |name: &str| std::env::var(name).ok().map(|value| value.parse().unwrap());
        let seeds = match number("SIMULATION_SEED") {
            Some(seed) => seed..seed + 1,
            None => 0..number("SIMULATION_SEEDS").unwrap_or(1000),
        };
        let runs = seeds.end - seeds.start;
        let answers: u64 = seeds.map(|seed| run(seed, 500)).sum();
        assert!(answers > 30 * runs, "{answers} answers in {runs} runs show nothing");
    }
}
