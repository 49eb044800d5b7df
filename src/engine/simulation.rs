//! The engine against dice, a virtual clock, a Docker that misbehaves, and a model that knows the truth.
//!
//! The world has a version that grows with every change; each container says in its status text which version it shows. So
//! the model can tell, for each answer, whether it is about the app that was asked for, right for the version it shows, and
//! not older than the probe it answers. The promises checked after every step are listed at [`World::check`].
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

use std::time::{Duration, Instant};

use super::{Action, Answer, AppName, DockerHealth, Engine, FlightId, Policy, Reason, Route, Settings, Ticket};
use crate::docker::exchange::Outcome;
use crate::docker::{ApiVersion, Container, Fault, State};
use crate::http::response::Broken;
use crate::limits;
use crate::slots::Slots;

const APPS: [&str; 4] = ["bk", "bk_gse", "bk_gsekit", "bk-1"];
const TIMEOUT: Duration = Duration::from_secs(5);
const RESYNC: Duration = Duration::from_secs(30);

/// Where chance comes from.
enum Dice<'a> {
    Seed(u64),
    /// Bytes; zeros when they have run out, so that any input is a valid script.
    Script(&'a [u8]),
}

impl Dice<'_> {
    /// A number below `sides`.
    fn throw(&mut self, sides: u64) -> u64 {
        match self {
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
    /// The world's version when it came.
    version: u64,
}

/// A question that Docker has.
struct Asked {
    flight: FlightId,
    at: Instant,
    /// The world's version when it was asked.
    version: u64,
    versioned: bool,
}

struct World<'a> {
    dice: Dice<'a>,
    now: Instant,
    engine: Engine,
    slots: Slots<()>,
    probes: Vec<Probe>,
    /// On the wire: at most one, as is checked.
    asked: Vec<Asked>,
    /// Forgotten by the engine; Docker may answer them all the same.
    forgotten: Vec<Asked>,
    /// For each app and version, whether it is up; none if it has no container.
    truth: Vec<[Option<bool>; APPS.len()]>,
    /// The version that paths must have, if any.
    demands: bool,
    /// The last outcome, and until when Docker is to be left alone at the least.
    fault: Option<Fault>,
    rest: Option<Instant>,
    answers: u64,
}

impl<'a> World<'a> {
    fn new(dice: Dice<'a>) -> Self {
        let now = Instant::now();
        let settings = Settings { docker_timeout: TIMEOUT, resync: RESYNC, policy: Policy::Any, docker_health: DockerHealth::Respect };
        Self {
            dice,
            now,
            engine: Engine::new(settings, 7, now),
            slots: Slots::new(),
            probes: Vec::new(),
            asked: Vec::new(),
            forgotten: Vec::new(),
            truth: vec![[Some(true), None, Some(false), Some(true)]],
            demands: false,
            fault: None,
            rest: None,
            answers: 0,
        }
    }

    fn version(&self) -> u64 {
        self.truth.len() as u64 - 1
    }

    fn step(&mut self) {
        match self.dice.throw(16) {
            0..=3 => self.pass_time(),
            4..=7 => self.probe(),
            8 | 9 => self.change(),
            10..=12 => self.docker_answers(),
            13 => self.docker_fails(),
            14 => self.a_late_answer_comes(),
            _ => self.ask_something_else(),
        }
        self.engine.due(self.now);
        self.perform();
        self.check();
    }

    fn pass_time(&mut self) {
        let longest = [1, 100, 1000, 7000][self.dice.throw(4) as usize];
        self.now += Duration::from_millis(1 + self.dice.throw(longest) * self.dice.throw(256) / 255);
    }

    fn ticket(&mut self) -> Ticket {
        Ticket { connection: self.slots.insert(()), number: 0 }
    }

    fn probe(&mut self) {
        let app = self.dice.throw(APPS.len() as u64) as usize;
        let ticket = self.ticket();
        self.probes.push(Probe { ticket, app, came: self.now, version: self.version() });
        let name = AppName::parse(APPS[app].as_bytes()).unwrap();
        self.engine.asked(ticket, Route::App(name), true, self.now);
    }

    /// Everything else is answered at once, whatever Docker does.
    fn ask_something_else(&mut self) {
        let ticket = self.ticket();
        let (route, want) = match self.dice.throw(5) {
            0 => (Route::Health, Some(Answer::Healthy)),
            1 => (Route::NotFound, Some(Answer::NotFound)),
            2 => (Route::BadName, Some(Answer::BadName)),
            3 => (Route::NotAllowed, Some(Answer::NotAllowed)),
            _ => (Route::Ready, None),
        };
        self.engine.asked(ticket, route, false, self.now);
        let Some(Action::Answer(to, answer)) = self.engine.next_action(self.now) else { panic!("{route:?} waits") };
        assert_eq!(to, ticket);
        match want {
            Some(want) => assert_eq!(answer, want),
            None => match &self.fault {
                Some(fault) => assert_eq!(answer, Answer::Unknown(fault.clone())),
                None => assert!(matches!(answer, Answer::Ready | Answer::NotYet), "{answer:?}"),
            },
        }
    }

    fn change(&mut self) {
        let mut truth = *self.truth.last().unwrap();
        let app = self.dice.throw(APPS.len() as u64) as usize;
        truth[app] = [None, Some(false), Some(true)][self.dice.throw(3) as usize];
        self.truth.push(truth);
        if self.dice.throw(16) == 0 {
            self.demands = !self.demands;
        }
    }

    /// A list as Docker made it at some moment between question and answer.
    fn list(&mut self, asked: &Asked) -> Vec<Container> {
        let version = asked.version + self.dice.throw(self.version() - asked.version + 1);
        let truth = self.truth[version as usize];
        APPS.iter()
            .zip(truth)
            .filter_map(|(app, up)| {
                let state = if up? { State::Running } else { State::Exited };
                // `bk-1` is both an app and a container of `bk`: the older one
                let created = if *app == "bk-1" { 1 } else { 2 };
                Some(Container { names: vec![(*app).into()], status: version.to_string().into(), created, state, ..Container::default() })
            })
            .collect()
    }

    fn docker_answers(&mut self) {
        let Some(asked) = self.asked.pop() else { return };
        let outcome = if self.demands && !asked.versioned { Err(wants_version()) } else { Ok(self.list(&asked)) };
        self.say(&asked, outcome);
    }

    fn docker_fails(&mut self) {
        let Some(asked) = self.asked.pop() else { return };
        let faults = [
            Fault::NoSocket,
            Fault::Refused,
            Fault::Denied,
            Fault::Reset,
            Fault::Broken(Broken::CutShort),
            Fault::NotAList,
            Fault::Status(500, "no".into()),
            Fault::Full,
            Fault::Full,
        ];
        let fault = faults[self.dice.throw(faults.len() as u64) as usize].clone();
        self.say(&asked, Err(fault));
    }

    fn say(&mut self, asked: &Asked, outcome: Outcome) {
        match &outcome {
            Ok(_) => self.note(None),
            Err(Fault::Full) => {}
            Err(Fault::WantsVersion(_)) => assert!(!asked.versioned),
            Err(fault) => self.note(Some(fault.clone())),
        }
        self.engine.docker_said(asked.flight, outcome, self.now);
    }

    fn note(&mut self, fault: Option<Fault>) {
        let pause = fault.as_ref().map(|fault| if fault.is_refusal() { limits::REFUSED_PAUSE } else { limits::FIRST_PAUSE * 3 / 4 });
        self.rest = pause.map(|pause| self.now + pause);
        self.fault = fault;
    }

    /// It must change nothing, whatever it says.
    fn a_late_answer_comes(&mut self) {
        if self.forgotten.is_empty() {
            return;
        }
        let which = self.dice.throw(self.forgotten.len() as u64) as usize;
        let asked = self.forgotten.swap_remove(which);
        let outcome = if self.dice.throw(2) == 0 { Ok(self.list(&asked)) } else { Err(Fault::Reset) };
        self.engine.docker_said(asked.flight, outcome, self.now);
        while let Some(action) = self.engine.next_action(self.now) {
            assert!(!matches!(action, Action::DockerFound | Action::DockerLost(_)), "a late answer is believed");
            self.act(action);
        }
    }

    fn perform(&mut self) {
        while let Some(action) = self.engine.next_action(self.now) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Answer(ticket, answer) => self.answered(ticket, &answer),
            Action::Ask(flight, _, version) => {
                assert!(self.rest.is_none_or(|rest| rest <= self.now), "Docker is not left alone after a fault");
                self.asked.push(Asked { flight, at: self.now, version: self.version(), versioned: version.is_some() });
            }
            Action::Forget(flight) => {
                let fault = match self.asked.iter().position(|asked| asked.flight == flight) {
                    Some(at) => {
                        self.forgotten.push(self.asked.remove(at));
                        Fault::Late
                    }
                    // It had not left: the socket's queue was full.
                    None => Fault::Full,
                };
                self.note(Some(fault));
            }
            Action::Metrics(_) => panic!("nobody asked for them"),
            Action::DockerFound => assert_eq!(self.fault, None),
            Action::DockerLost(fault) => assert_eq!(self.fault, Some(fault)),
        }
    }

    fn answered(&mut self, ticket: Ticket, answer: &Answer) {
        let at = self.probes.iter().position(|probe| probe.ticket == ticket);
        let probe = self.probes.remove(at.expect("an answer to nobody, or a second one"));
        assert!(self.now < probe.came + TIMEOUT || matches!(answer, Answer::Unknown(_)), "late, and not said so");
        self.answers += 1;
        let (up, container) = match answer {
            Answer::Up(shown) => (Some(true), &shown.container),
            Answer::Down(Reason::Exited, shown) => (Some(false), &shown.container),
            Answer::NoContainer(app) => {
                assert_eq!(app.as_str(), APPS[probe.app]);
                let versions = probe.version..=self.version();
                let absent = |version: u64| self.own(probe.app, version).is_none();
                assert!(versions.into_iter().any(absent), "it was there all the time since the probe came");
                return;
            }
            Answer::Unknown(Fault::Late) if self.now >= probe.came + TIMEOUT => return,
            Answer::Unknown(fault) => {
                assert_eq!(Some(fault), self.fault.as_ref(), "Docker's state is known");
                return;
            }
            other => panic!("{other:?}"),
        };
        let version: u64 = container.status.parse().unwrap();
        assert!(version >= probe.version, "the facts are older than the probe: {version} < {}", probe.version);
        assert_eq!(up, self.own(probe.app, version), "untrue, or about another app");
    }

    /// Whether the app was up in that version. `bk` has the container of `bk-1` too.
    fn own(&self, app: usize, version: u64) -> Option<bool> {
        let truth = self.truth[version as usize];
        let second = if APPS[app] == "bk" { truth[3] } else { None };
        match (truth[app], second) {
            (Some(a), Some(b)) => Some(a || b),
            (a, b) => a.or(b),
        }
    }

    /// What holds after every step, besides what [`World::answered`] checks of each answer.
    fn check(&self) {
        assert!(self.asked.len() <= 1, "more than one list on the wire");
        for asked in &self.asked {
            assert!(self.now < asked.at + TIMEOUT, "a question without an end");
        }
        for probe in &self.probes {
            assert!(self.now < probe.came + TIMEOUT, "a probe is forgotten");
        }
        let deadline = self.engine.next_deadline(self.now).expect("the engine always has something due");
        assert!(deadline > self.now, "the loop would spin");
        for probe in &self.probes {
            assert!(deadline <= probe.came + TIMEOUT, "the loop would sleep over a probe");
        }
        if self.asked.is_empty() {
            assert!(deadline <= self.now + RESYNC, "Docker would never be asked again");
        }
    }
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
}

#[cfg(test)]
fn run(seed: u64, steps: u32) -> u64 {
    let mut world = World::new(Dice::Seed(seed));
    for step in 0..steps {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.step()));
        if let Err(fault) = outcome {
            eprintln!("SIMULATION_SEED={seed} fails at step {step}");
            std::panic::resume_unwind(fault);
        }
    }
    world.answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_is_told_the_truth_once_and_in_time() {
        let number = |name: &str| std::env::var(name).ok().map(|value| value.parse().unwrap());
        let seeds = match number("SIMULATION_SEED") {
            Some(seed) => seed..seed + 1,
            None => 0..number("SIMULATION_SEEDS").unwrap_or(2000),
        };
        let runs = seeds.end - seeds.start;
        let answers: u64 = seeds.map(|seed| run(seed, 500)).sum();
        assert!(answers > 50 * runs, "{answers} answers in {runs} runs show nothing");
    }
}
