//! The engine against dice, a virtual clock, a Docker that misbehaves, and a model that knows the truth.
//!
//! The Docker of this world is late; after a death, a pause and an unpause its lists lie for as long as was measured on Docker
//! 20.10; it loses events, hangs, and goes away and comes back, with its containers or without. The process stands still for seconds or
//! hours, and the clock is set back and forth. What is checked:
//!
//! - whoever asked is answered exactly once, in time, about the app they asked for; whoever has left is not;
//! - whoever is told "up" is told so by facts that no event read before contradicts;
//! - after a standstill in which events may have been lost, nobody who comes is told anything of an app before it was listed again, unless it
//!   is called stale, and nothing that is older than the grace;
//! - whoever asks about a drained app is told that and nothing else;
//! - all apps together are told of as each of them is, the index of that changes exactly when it does, and whoever waits for that is told
//!   once, and not before;
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

mod calm;
mod docker;
mod overview;
mod promises;
mod time;
mod truth;

use truth::Truth;

use super::groups::Row;
use super::watch::Query;
use super::{
    Action, Answer, AppName, CheckFault, CheckSettings, DockerHealth, Engine, FlightId, Path, Policy, Route, Settings, Ticket, Trust,
};
use crate::docker::event::{Event, Line, What};
use crate::docker::exchange::{Listed, Told};
use crate::docker::{ApiVersion, Container, Fault, Health, Parts, Question, State, Texts};
use crate::drain::Drain;
use crate::http::response::Broken;
use crate::limits;
use crate::lost::Lost;
use crate::slots::Slots;

const APPS: [&str; 4] = ["bk", "bk_gse", "bk_gsekit", "bk-1"];
const TIMEOUT: Duration = Duration::from_secs(5);
const RESYNC: Duration = Duration::from_secs(30);
const SELDOM: Duration = Duration::from_hours(24);
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

/// A probe that has no answer yet.
struct Probe {
    ticket: Ticket,
    app: usize,
    came: Instant,
    /// The process has stood still for so long since.
    stood: Duration,
    /// How far the view was trusted then.
    trust: Trust,
}

impl Probe {
    /// When it would have come, had the process not stood still.
    fn began(&self) -> Instant {
        self.came + self.stood
    }
}

/// A question that Docker has.
struct Asked {
    flight: FlightId,
    question: Question,
    at: Instant,
    stood: Duration,
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
    /// A list has agreed, that was asked for then.
    agreed: Option<u64>,
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
    /// Unix time when the world began, as the clock has it now, in nanoseconds.
    epoch: u64,
    /// The process stood still until then, for so long that events may have been lost, and that nothing may stand any more, or not. No
    /// list of all that was asked for since has landed.
    stood: Option<(Instant, Duration)>,
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
    /// The questions that could not be asked, since the socket's queue was full.
    full: Vec<FlightId>,
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
    /// Who asks about all apps, and has no answer yet.
    surveys: Vec<Survey>,
    /// So many of them were told nothing new early, since others wanted to wait.
    early: u64,
    /// What was told of all apps after the last turn, and its index.
    overview: (u64, Trust, Vec<(String, Row)>),
}

/// Somebody who asks about all apps.
struct Survey {
    ticket: Ticket,
    query: Query,
    came: Instant,
    stood: Duration,
}

impl<'a> World<'a> {
    /// Where the next list of all comes too late to mend anything, events and small lists have to be enough, and no event is lost.
    fn loses_nothing(&self) -> bool {
        self.engine.settings.resync == SELDOM
    }

    fn new(mut dice: Dice<'a>) -> Self {
        let kind = dice.throw(4);
        let podman = (kind == 3).then(|| ApiVersion::parse_podman(b"4.3.1").unwrap());
        let resync = if kind == 2 { SELDOM } else { RESYNC };
        let is_checked = dice.throw(2) == 1;
        let now = Instant::now();
        let settings = Settings {
            docker_timeout: TIMEOUT,
            docker_grace: GRACE,
            resync,
            policy: Policy::Any,
            docker_health: DockerHealth::Respect,
            min_uptime: Duration::ZERO,
            apps: Vec::new(),
            watchers: 3,
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
            epoch: EPOCH,
            stood: None,
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
            full: Vec::new(),
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
            surveys: Vec::new(),
            early: 0,
            overview: (EPOCH / 1000, Trust::Blind, Vec::new()),
        }
    }

    fn unix(&self) -> u64 {
        self.epoch + (self.now - self.start).as_nanos() as u64
    }

    fn step(&mut self) {
        match self.dice.throw(40) {
            0..=4 => self.pass_time(),
            5..=10 => self.probe_any(),
            11..=16 => self.change(),
            17..=22 => self.docker_answers(),
            23..=27 => self.events_arrive(),
            28 => self.docker_fails(),
            29 => self.mood_swings(),
            30 => self.a_late_answer_comes(),
            31..=34 => self.a_check_goes_on(),
            35 | 36 => self.survey(),
            37 => self.stand_still(),
            38 => self.set_clock(),
            _ => self.ask_something_else(),
        }
        self.turn();
    }

    fn turn(&mut self) {
        self.checks_end();
        self.engine.due(self.now);
        self.act_on_all();
        self.check();
    }

    fn act_on_all(&mut self) {
        self.remember();
        while let Some(action) = self.engine.next_action(self.now) {
            self.act(action);
        }
        self.check_overview();
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
        self.probes.push(Probe { ticket, app, came: self.now, stood: Duration::ZERO, trust: self.engine.trust(self.now) });
        self.engine.asked(ticket, Route::App(name(app)), true, self.now);
    }

    /// Asks about all apps, and may wait for a change.
    fn survey(&mut self) {
        let ticket = self.ticket();
        let index = [None, Some(self.engine.index()), Some(self.engine.index() - 1)][self.dice.throw(3) as usize];
        let require = if self.dice.throw(4) == 0 { vec![name(0)] } else { Vec::new() };
        let query = Query { require, index, wait: Duration::from_secs(self.dice.throw(3) * 20), page: false };
        self.surveys.push(Survey { ticket, query: query.clone(), came: self.now, stood: Duration::ZERO });
        self.engine.asked(ticket, Route::Apps(Box::new(query)), true, self.now);
    }

    /// Everything else is answered at once, whatever Docker does.
    fn ask_something_else(&mut self) {
        let routes = [
            (Route::Health, Some(Answer::Healthy)),
            (Route::NotFound, Some(Answer::NotFound)),
            (Route::BadName(Path::App), Some(Answer::BadName)),
            (Route::NotAllowed, Some(Answer::NotAllowed)),
            (Route::Ready, None),
        ];
        let Some((route, want)) = routes.get(self.dice.throw(8) as usize).cloned() else { return self.somebody_leaves() };
        let ticket = self.ticket();
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

    /// One who waits does so no longer, and is told nothing.
    fn somebody_leaves(&mut self) {
        let (probes, surveys) = (self.probes.len(), self.surveys.len());
        if probes + surveys == 0 {
            return;
        }
        let which = self.dice.throw((probes + surveys) as u64) as usize;
        let ticket = if which < probes { self.probes.remove(which).ticket } else { self.surveys.remove(which - probes).ticket };
        self.engine.left(ticket.connection);
    }

    // ---- What the operator does.

    /// Drains somebody, for good or for a while, or no more.
    fn drain(&mut self) {
        let name = ["all", APPS[0], APPS[1], APPS[2]][self.dice.throw(4) as usize];
        let until = self.unix() / 1_000_000_000 + self.dice.throw(40);
        if self.drains.remove(name).is_none() {
            self.drains.insert(name, (self.dice.throw(4) > 0).then_some(until));
        }
        self.look_at_drains();
    }

    fn look_at_drains(&mut self) {
        let drain = |until: &Option<u64>| Drain { until: *until, ..Drain::default() };
        let drains = self.drains.iter().map(|(name, until)| (Box::from(*name), drain(until))).collect();
        self.engine.drains_are(drains, self.now);
    }

    fn is_drained(&self, name: &str) -> bool {
        self.drains.get(name).is_some_and(|until| until.is_none_or(|until| self.unix() < until * 1_000_000_000))
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
            Plant::TrustAfterAStandstill,
            Plant::KeepFactsOverAStandstill,
            Plant::KeepAResultOverAStandstill,
            Plant::ReplayFromTheFuture,
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
