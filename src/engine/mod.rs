//! Decisions: who asks, who waits, when Docker is asked, and what each probe is told. No socket, no clock of its own, no JSON.
//!
//! | file | what |
//! |---|---|
//! | `app`     | [`AppName`] |
//! | `route`   | a path to a [`Route`] |
//! | `drains`  | what the operator has drained |
//! | `contact` | whether Docker can be asked, and when again |
//! | `questions` | what is asked of Docker, and what comes of it |
//! | `answer`  | what a client is told |
//! | `view`    | what is known of each container, and how far to trust it |
//! | `verdict` | facts to an [`Answer`] |
//!
//! How far the view is trusted:
//!
//! | trust | means | a probe | ends when |
//! |---|---|---|---|
//! | blind | no event stream | waits for a list that was asked for after it came; all who wait share at most one list on the wire and one behind it | the head of the stream has come |
//! | catching | the stream is open, a list has been asked for since | as blind | that list lands |
//! | live | the stream is open, the list has landed | is answered from memory, unless an event has left a question open about this app: then it waits for one answer by id | the stream ends |
//! | stale | Docker was found gone, for no longer than the grace | is answered from memory, and told so | Docker answers, or the grace is over |
//! | down | gone for longer, or nothing is known | is told what is wrong | Docker answers |
//!
//! The world tells the engine what happened ([`Engine::asked`], [`Engine::docker_said`], [`Engine::docker_told`], [`Engine::due`]),
//! each time with the present instant, and carries out its actions ([`Engine::next_action`]) until there are none.

mod answer;
pub mod app;
pub mod contact;
mod drains;
mod questions;
pub mod route;
#[cfg(any(test, fuzzing))]
pub mod simulation;
pub mod verdict;
pub mod view;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use answer::{Answer, Reason};
pub use app::AppName;
use contact::Contact;
pub use drains::{Drained, Drains};
pub use route::Route;
pub use verdict::{DockerHealth, Policy, Shown};

use questions::{List, Look, Stream};
use view::{Tick, Verdict, View};

use crate::docker::{ApiVersion, Fault, Question};
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
    /// Give a client the present verdict on an app ([`Engine::verdict`]), which is stale if this says so.
    Verdict(Ticket, AppName, bool),
    /// Give a client the counters of all parts.
    Metrics(Ticket),
    /// Ask Docker.
    Ask(FlightId, Question, Option<ApiVersion>),
    /// Whatever comes of that question, it is no longer wanted.
    Forget(FlightId),
    /// Say in the log that Docker answers, which it did not before.
    DockerFound,
    /// Say in the log that the view is live, which it was not before.
    Live,
    /// Say in the log that the stream of events could not be opened or has ended, and why.
    Blind(Fault),
    /// Say in the log that Docker does not answer, and why, which was not so before.
    DockerLost(Fault),
}

/// What the operator chose.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long Docker may take, and a probe wait.
    pub docker_timeout: Duration,
    /// How long the last facts stay good when Docker is gone.
    pub docker_grace: Duration,
    /// How often all containers are listed, whatever else happens.
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
    /// Those of them about an app that was drained.
    pub drained: u64,
    /// Lists of all containers asked for.
    pub lists: u64,
    /// Lists of some containers asked for.
    pub looks: u64,
    /// Questions that were not answered.
    pub failed: u64,
    /// Times that the stream of events was asked for.
    pub streams: u64,
    /// Events that said something new.
    pub events: u64,
    /// Events that were too long to be read.
    pub events_too_long: u64,
    /// Probes that met the timeout.
    pub timeouts: u64,
    /// Probes refused since there was no room to wait.
    pub busy: u64,
}

/// How far the view is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Events keep it right.
    Live,
    /// Each probe needs a list of its own.
    Blind,
    /// Docker is gone, and its last facts stand.
    Stale,
    /// Docker is gone, or has never been there.
    Down,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    contact: Contact,
    view: View,
    /// Whether any list has landed, so that there are facts.
    has_facts: bool,
    /// Docker was found gone then.
    gone_since: Option<Instant>,
    /// Docker was not there at all since.
    was_away: bool,
    /// How often it was not there and came back.
    comeback: u32,
    /// The version that Docker demands in paths, if it does.
    api: Option<ApiVersion>,
    podman: Option<ApiVersion>,
    stream: Stream,
    /// Streams that ended at once, in a row.
    stream_failures: u32,
    /// The last event: when by Docker's clock, in nanoseconds of Unix time, and when it was read.
    last_event: Option<(u64, Instant)>,
    drains: Drains,
    /// Unix time at some instant: at the last [`Engine::clock_is`].
    started: (Duration, Instant),
    /// The list of all containers on the wire.
    list: Option<List>,
    /// Probes that came after it was asked for.
    behind: VecDeque<Waiter>,
    /// The question about some containers on the wire.
    look: Option<Look>,
    /// Probes that wait for what such a question brings.
    open: VecDeque<Waiter>,
    /// When a list is asked for though nobody probes: at the start, after a failure, and each `resync`.
    resync_at: Instant,
    /// A list that was asked for before then does not do: something was missed.
    missed: Tick,
    /// The longest that a list has taken.
    longest: Duration,
    flights: u64,
    actions: VecDeque<Action>,
    counts: Counts,
}

/// A probe that waits. Those of one queue came in its order, so the first is due first.
#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    app: AppName,
    due: Instant,
}

impl Engine {
    /// An engine that knows nothing and asks for its first list at once. `unix` is the present Unix time.
    #[must_use]
    pub fn new(settings: Settings, seed: u64, now: Instant, unix: Duration) -> Self {
        Self {
            settings,
            contact: Contact::new(seed),
            view: View::new(settings.policy, settings.docker_health),
            has_facts: false,
            gone_since: None,
            was_away: false,
            comeback: 0,
            api: None,
            podman: None,
            stream: Stream::Closed(now),
            stream_failures: 0,
            last_event: None,
            drains: Drains::default(),
            started: (unix, now),
            list: None,
            behind: VecDeque::new(),
            look: None,
            open: VecDeque::new(),
            resync_at: now,
            missed: Tick::default(),
            longest: Duration::ZERO,
            flights: 0,
            actions: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    // ---- Clients.

    /// A client asks. One that may not wait, since there is no room for it, is told so if its answer is not at hand.
    pub fn asked(&mut self, ticket: Ticket, route: Route, may_wait: bool, now: Instant) {
        let answer = match route {
            Route::App(app) => {
                count(&mut self.counts.probes);
                let may_wait = may_wait && self.waiting() < limits::WAITING_PROBES;
                return self.probed(Waiter { ticket, app, due: now + self.settings.docker_timeout }, may_wait, now);
            }
            Route::Health => Answer::Healthy,
            Route::Ready => self.readiness(now),
            Route::Metrics => return self.actions.push_back(Action::Metrics(ticket)),
            Route::BadName => Answer::BadName,
            Route::NotAllowed => Answer::NotAllowed,
            Route::NotFound => Answer::NotFound,
        };
        self.actions.push_back(Action::Answer(ticket, answer));
    }

    fn probed(&mut self, waiter: Waiter, may_wait: bool, now: Instant) {
        let Waiter { ticket, app, .. } = waiter;
        if let Some(drained) = self.drains.of(&app, self.second(now)) {
            count(&mut self.counts.drained);
            return self.actions.push_back(Action::Answer(ticket, Answer::Drained(Box::new(drained))));
        }
        let trust = self.trust(now);
        let action = match trust {
            Trust::Live if !self.view.is_open(&app) => Action::Verdict(ticket, app, false),
            Trust::Stale => Action::Verdict(ticket, app, true),
            Trust::Live | Trust::Blind | Trust::Down => match self.contact.last() {
                Some(Err(fault)) if self.contact.rests_until(now).is_some() => Action::Answer(ticket, Answer::Unknown(fault.clone())),
                _ if !may_wait => {
                    count(&mut self.counts.busy);
                    Action::Answer(ticket, Answer::Busy)
                }
                _ => return if trust == Trust::Live { self.open.push_back(waiter) } else { self.behind.push_back(waiter) },
            },
        };
        self.actions.push_back(action);
    }

    fn waiting(&self) -> usize {
        let listed = self.list.as_ref().map_or(0, |list| list.waiting.len());
        listed.saturating_add(self.behind.len()).saturating_add(self.open.len())
    }

    fn readiness(&self, now: Instant) -> Answer {
        if let Some(drained) = self.drains.of_host(self.second(now)) {
            return Answer::Drained(Box::new(drained));
        }
        match self.contact.last() {
            None => Answer::NotYet,
            Some(Err(fault)) if self.trust(now) == Trust::Down => Answer::Unknown(fault.clone()),
            Some(_) => Answer::Ready,
        }
    }

    /// How far the view is trusted at present.
    #[must_use]
    pub fn trust(&self, now: Instant) -> Trust {
        match (self.gone_since, self.stream) {
            (Some(since), _) if self.has_facts && now.saturating_duration_since(since) < self.settings.docker_grace => Trust::Stale,
            (Some(_), _) => Trust::Down,
            (None, Stream::Open { caught_up: true, .. }) => Trust::Live,
            (None, _) => Trust::Blind,
        }
    }

    /// The present verdict on an app.
    pub fn verdict(&mut self, app: &AppName) -> Option<&mut Verdict> {
        self.view.verdict(app)
    }

    // ---- The operator.

    /// These are the drains from now on. Who waits is told at once.
    pub fn drains_are(&mut self, drains: Drains, now: Instant) {
        self.drains = drains;
        if planted(Plant::LetTheDrainedWait) {
            return;
        }
        let second = self.second(now);
        let waiting = self.list.as_mut().map(|list| &mut list.waiting);
        for queue in [waiting, Some(&mut self.behind), Some(&mut self.open)].into_iter().flatten() {
            queue.retain(|waiter| {
                let Some(drained) = self.drains.of(&waiter.app, second) else { return true };
                count(&mut self.counts.drained);
                self.actions.push_back(Action::Answer(waiter.ticket, Answer::Drained(Box::new(drained))));
                false
            });
        }
    }

    // ---- Time.

    /// What Unix time is, which may be set anew at any moment: for drains that end.
    pub const fn clock_is(&mut self, unix: Duration, now: Instant) {
        self.started = (unix, now);
    }

    /// The present second of Unix time.
    fn second(&self, now: Instant) -> u64 {
        let (unix, at) = self.started;
        unix.saturating_add(now.saturating_duration_since(at)).as_secs()
    }

    /// Does what is due.
    pub fn due(&mut self, now: Instant) {
        self.questions_due(now);
        let waiting = self.list.as_mut().map(|list| &mut list.waiting);
        for queue in [waiting, Some(&mut self.behind), Some(&mut self.open)].into_iter().flatten() {
            while let Some(waiter) = queue.pop_front_if(|waiter| waiter.due <= now) {
                count(&mut self.counts.timeouts);
                self.actions.push_back(Action::Answer(waiter.ticket, Answer::Unknown(Fault::Late)));
            }
        }
    }

    /// The next thing to do, until there is none. Only when all else is done is Docker asked, so that the probes of one turn
    /// share one list.
    pub fn next_action(&mut self, now: Instant) -> Option<Action> {
        if self.actions.is_empty() && self.contact.rests_until(now).is_none() {
            self.ask_what_is_open(now);
        }
        self.actions.pop_front()
    }

    /// When [`Engine::due`] is to be called at the latest, once there is nothing to do.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let first = |queue: &VecDeque<Waiter>| queue.front().map(|waiter| waiter.due);
        let waiting = self.list.as_ref().map(|list| &list.waiting);
        let queues = [waiting, Some(&self.behind), Some(&self.open)].into_iter().flatten().filter_map(first);
        queues.chain(self.next_question(now)).min()
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many containers are known.
    #[must_use]
    pub fn containers(&self) -> usize {
        self.view.len()
    }
}

/// A fault that a test plants, to see whether the simulation finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    BelieveTheListAfterDeath,
    ForgetASuspect,
    AnswerFromAnOlderList,
    LetTheDrainedWait,
}

#[cfg(test)]
use simulation::planted;

/// No fault is planted but in a test.
#[cfg(not(test))]
const fn planted(_: Plant) -> bool {
    false
}

fn count(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}
