//! Decisions: who asks, who waits, when Docker is asked, and what each probe is told. No socket, no clock of its own, no JSON.
//!
//! | file | what |
//! |---|---|
//! | `app`     | [`AppName`] |
//! | `route`   | a path to a [`Route`] |
//! | `contact` | whether Docker can be asked, and when again |
//! | `verdict` | facts to an [`Answer`] |
//!
//! The view is *blind*: each probe waits for a list that was asked for after the probe came. Any number of them share at most
//! one list on the wire and one behind it, and none waits longer than the timeout after it came.
//!
//! The world tells the engine what happened ([`Engine::asked`], [`Engine::docker_said`], [`Engine::due`]), each time with the
//! present instant, and carries out its actions ([`Engine::next_action`]) until there are none.

pub mod app;
pub mod contact;
pub mod route;
#[cfg(any(test, fuzzing))]
pub mod simulation;
pub mod verdict;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use app::AppName;
use contact::Contact;
pub use route::Route;
pub use verdict::{DockerHealth, Policy, Shown};

use crate::docker::exchange::Outcome;
use crate::docker::{ApiVersion, Container, Fault, Question};
use crate::limits;
use crate::slots::Id;

/// Where an answer goes: a connection, and the number of the request on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The connection.
    pub connection: Id,
    /// The request.
    pub number: u32,
}

/// The name of one question on its way. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlightId(u64);

/// What the world is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Give a client its answer.
    Answer(Ticket, Answer),
    /// Give a client the counters of all parts.
    Metrics(Ticket),
    /// Ask Docker.
    Ask(FlightId, Question, Option<ApiVersion>),
    /// Whatever comes of that question, it is no longer wanted.
    Forget(FlightId),
    /// Say in the log that Docker answers, which it did not before.
    DockerFound,
    /// Say in the log that Docker does not answer, and why, which was not so before.
    DockerLost(Fault),
}

/// What a client is told. `answers.rs` has the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This server lives.
    Healthy,
    /// This host may be used.
    Ready,
    /// Docker has not answered yet, since the start.
    NotYet,
    /// The app is up, in this container.
    Up(Box<Shown>),
    /// The app is down, for that reason, as this container shows.
    Down(Reason, Box<Shown>),
    /// No container is the app's.
    NoContainer(AppName),
    /// Docker's state is not known.
    Unknown(Fault),
    /// That is no name of an app.
    BadName,
    /// That method does more than read.
    NotAllowed,
    /// No such path.
    NotFound,
    /// It would have to wait, and too many do already.
    Busy,
}

/// Why an app is down, one word each. Docker's faults have theirs in `answers.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The container was never started.
    Created,
    /// Its restart policy is about to start it again.
    Restarting,
    /// Its processes are frozen.
    Paused,
    /// It has ended.
    Exited,
    /// Docker could not remove it, or nobody knows its state.
    Dead,
    /// It is being removed.
    Removing,
    /// Its HEALTHCHECK has no outcome yet.
    Starting,
    /// Its HEALTHCHECK fails.
    Unhealthy,
}

impl Reason {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Restarting => "restarting",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Removing => "removing",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What the operator chose.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long Docker may take, and a probe wait.
    pub docker_timeout: Duration,
    /// How often the list is asked for when nobody probes, so that `P/ready` knows.
    pub resync: Duration,
    /// Which of several containers decide.
    pub policy: Policy,
    /// What HEALTHCHECK means.
    pub docker_health: DockerHealth,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Probes of apps.
    pub probes: u64,
    /// Lists asked for.
    pub lists: u64,
    /// Lists that did not land.
    pub lists_failed: u64,
    /// Probes that met the timeout.
    pub timeouts: u64,
    /// Probes refused since there was no room to wait.
    pub busy: u64,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    contact: Contact,
    /// The version that Docker demands in paths, if it does.
    api: Option<ApiVersion>,
    /// The list on the wire.
    flight: Option<Flight>,
    /// Probes that came after it was asked for.
    behind: VecDeque<Waiter>,
    /// When a list is asked for though nobody probes: at the start, after a failure, and each `resync`.
    resync_at: Instant,
    flights: u64,
    actions: VecDeque<Action>,
    counts: Counts,
}

#[derive(Debug)]
struct Flight {
    id: FlightId,
    due: Instant,
    /// The socket's queue was full: the question has not left, and is tried again then.
    again_at: Option<Instant>,
    /// The question was repeated with the version that the answer demanded.
    repeated: bool,
    waiting: VecDeque<Waiter>,
}

/// A probe that waits. Those of one queue came in its order, so the first is due first.
#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    app: AppName,
    due: Instant,
}

impl Engine {
    /// An engine that knows nothing and asks for its first list at once.
    #[must_use]
    pub fn new(settings: Settings, seed: u64, now: Instant) -> Self {
        Self {
            settings,
            contact: Contact::new(seed),
            api: None,
            flight: None,
            behind: VecDeque::new(),
            resync_at: now,
            flights: 0,
            actions: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// A client asks. One that may not wait, since there is no room for it, is told so if its answer is not at hand.
    pub fn asked(&mut self, ticket: Ticket, route: Route, may_wait: bool, now: Instant) {
        let answer = match route {
            Route::App(app) => {
                self.counts.probes = self.counts.probes.wrapping_add(1);
                match self.at_once(may_wait, now) {
                    Some(answer) => answer,
                    None => return self.behind.push_back(Waiter { ticket, app, due: now + self.settings.docker_timeout }),
                }
            }
            Route::Health => Answer::Healthy,
            Route::Ready => self.readiness(),
            Route::Metrics => return self.actions.push_back(Action::Metrics(ticket)),
            Route::BadName => Answer::BadName,
            Route::NotAllowed => Answer::NotAllowed,
            Route::NotFound => Answer::NotFound,
        };
        self.actions.push_back(Action::Answer(ticket, answer));
    }

    /// The answer to a probe that is not to wait: Docker is being left alone, or too many wait already.
    fn at_once(&mut self, may_wait: bool, now: Instant) -> Option<Answer> {
        if self.contact.rests_until(now).is_some()
            && let Some(Err(fault)) = self.contact.last()
        {
            return Some(Answer::Unknown(fault.clone()));
        }
        let waiting = self.behind.len().saturating_add(self.flight.as_ref().map_or(0, |flight| flight.waiting.len()));
        if may_wait && waiting < limits::WAITING_PROBES {
            return None;
        }
        self.counts.busy = self.counts.busy.wrapping_add(1);
        Some(Answer::Busy)
    }

    fn readiness(&self) -> Answer {
        match self.contact.last() {
            None => Answer::NotYet,
            Some(Ok(())) => Answer::Ready,
            Some(Err(fault)) => Answer::Unknown(fault.clone()),
        }
    }

    /// A question has its outcome, or failed on its way. One that was forgotten is nobody's.
    pub fn docker_said(&mut self, id: FlightId, outcome: Outcome, now: Instant) {
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else { return };
        match outcome {
            Ok(containers) => self.landed(flight, &containers, now),
            Err(Fault::Full) => self.flight = Some(Flight { again_at: Some(now + limits::FULL_PAUSE), ..flight }),
            Err(Fault::WantsVersion(version)) if !flight.repeated => {
                self.api = Some(version);
                self.ask(Flight { repeated: true, ..flight });
            }
            Err(fault) => self.failed(flight, fault, now),
        }
    }

    fn landed(&mut self, flight: Flight, containers: &[Container], now: Instant) {
        let Settings { policy, docker_health, resync, .. } = self.settings;
        self.resync_at = now + resync;
        if self.contact.reached() {
            self.actions.push_back(Action::DockerFound);
        }
        self.actions.extend(
            flight
                .waiting
                .into_iter()
                .map(|Waiter { ticket, app, .. }| Action::Answer(ticket, verdict::judge(&app, containers, policy, docker_health))),
        );
    }

    /// All who wait are told, those behind it too: Docker is left alone for a while now.
    fn failed(&mut self, flight: Flight, fault: Fault, now: Instant) {
        self.counts.lists_failed = self.counts.lists_failed.wrapping_add(1);
        // The next one may be another Docker, which knows other versions.
        self.api = None;
        self.resync_at = now;
        let told = flight.waiting.into_iter().chain(self.behind.drain(..));
        self.actions.extend(told.map(|Waiter { ticket, .. }| Action::Answer(ticket, Answer::Unknown(fault.clone()))));
        if self.contact.lost(fault.clone(), now) {
            self.actions.push_back(Action::DockerLost(fault));
        }
    }

    /// Does what is due.
    pub fn due(&mut self, now: Instant) {
        if let Some(flight) = self.flight.take_if(|flight| flight.due <= now) {
            self.actions.push_back(Action::Forget(flight.id));
            let fault = if flight.again_at.is_some() { Fault::Full } else { Fault::Late };
            self.failed(flight, fault, now);
        }
        if let Some(flight) = self.flight.take_if(|flight| flight.again_at.is_some_and(|at| at <= now)) {
            self.ask(flight);
        }
        let queues = [self.flight.as_mut().map(|flight| &mut flight.waiting), Some(&mut self.behind)];
        for queue in queues.into_iter().flatten() {
            while let Some(waiter) = queue.pop_front_if(|waiter| waiter.due <= now) {
                self.counts.timeouts = self.counts.timeouts.wrapping_add(1);
                self.actions.push_back(Action::Answer(waiter.ticket, Answer::Unknown(Fault::Late)));
            }
        }
    }

    /// The next thing to do, until there is none. Only when all else is done is Docker asked, so that the probes of one turn
    /// share one list.
    pub fn next_action(&mut self, now: Instant) -> Option<Action> {
        let wanted = !self.behind.is_empty() || self.resync_at <= now;
        if self.actions.is_empty() && self.flight.is_none() && wanted && self.contact.rests_until(now).is_none() {
            let due = now + self.settings.docker_timeout;
            self.ask(Flight { id: FlightId(0), due, again_at: None, repeated: false, waiting: VecDeque::new() });
        }
        self.actions.pop_front()
    }

    /// Sends a question on its way, under a name of its own. Whoever waited behind it may come along: it leaves now.
    fn ask(&mut self, mut flight: Flight) {
        self.flights = self.flights.wrapping_add(1);
        self.counts.lists = self.counts.lists.wrapping_add(1);
        flight.id = FlightId(self.flights);
        flight.again_at = None;
        flight.waiting.append(&mut self.behind);
        self.actions.push_back(Action::Ask(flight.id, Question::All, self.api));
        self.flight = Some(flight);
    }

    /// When [`Engine::due`] is to be called at the latest, once there is nothing to do.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let first = |queue: &VecDeque<Waiter>| queue.front().map(|waiter| waiter.due);
        match &self.flight {
            Some(flight) => [Some(flight.due), flight.again_at, first(&flight.waiting), first(&self.behind)].into_iter().flatten().min(),
            None => Some(self.resync_at.max(self.contact.rests_until(now).unwrap_or(now))),
        }
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether Docker answered the last question, if any was asked.
    #[must_use]
    pub fn is_docker_up(&self) -> Option<bool> {
        self.contact.last().map(Result::is_ok)
    }
}
