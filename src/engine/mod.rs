//! Decisions: who asks, who waits, when Docker is asked, and what each probe is told. No socket, no clock of its own, no JSON.
//!
//! | file | what |
//! |---|---|
//! | `app`     | [`AppName`] |
//! | `route`   | a path to a [`Route`] |
//! | `drains`  | what the operator has drained |
//! | `contact` | whether Docker can be asked, and when again |
//! | `questions` | what is asked of Docker, and what comes of it |
//! | `check`   | which app is checked when, and what came of it |
//! | `answer`  | what a client is told |
//! | `groups`  | which containers answer to which name |
//! | `overview` | all apps at once |
//! | `watch`   | who waits for a change |
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
//! The world tells the engine what happened ([`Engine::asked`], [`Engine::docker_said`], [`Engine::docker_told`], [`Engine::check_told`],
//! [`Engine::check_said`], [`Engine::due`]), each time with the present instant, and carries out its actions ([`Engine::next_action`]) until there are none.

mod answer;
pub mod app;
mod check;
pub mod contact;
mod drains;
pub mod groups;
mod overview;
mod questions;
pub mod route;
#[cfg(test)]
mod scenes;
#[cfg(any(test, fuzzing))]
pub mod simulation;
mod stream;
pub mod verdict;
pub mod view;
pub mod watch;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use answer::{Answer, Reason};
pub use app::AppName;
use check::Checks;
pub use check::{CheckFailed, CheckFault, CheckSettings};
use contact::Contact;
pub use drains::{Drained, Drains};
pub use route::{Path, Route};
pub use verdict::{DockerHealth, Policy, Shown, Verdict};

use questions::{List, Look};
use stream::Stream;
use view::{Tick, View};
use watch::{Query, Watch};

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
    /// What it asked for; only whoever counts answers looks at it.
    pub path: Path,
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
    /// Give a client the answer about all apps ([`Engine::rows`]), or the verdict on the first app that it requires and that is down.
    Apps(Ticket, Box<Query>),
    /// Give a client the counters of all parts.
    Metrics(Ticket),
    /// Ask Docker.
    Ask(FlightId, Question, Option<ApiVersion>),
    /// Check an app.
    Check(FlightId, AppName),
    /// Whatever comes of that question, or check, it is no longer wanted.
    Forget(FlightId),
    /// Say in the log that an app went up, or why it went down.
    Turned(AppName, Option<Reason>),
    /// Say in the log that Docker answers, which it did not before.
    DockerFound,
    /// Say in the log that the view is live, which it was not before.
    Live,
    /// Say in the log that the stream of events could not be opened or has ended, and why.
    Blind(Fault),
    /// Say in the log that events come so late.
    Late(Duration),
    /// Say in the log that Docker does not answer, and why, which was not so before.
    DockerLost(Fault),
    /// Say in the log that the check of an app fails, or is good again.
    Checked(AppName, Result<(), CheckFault>),
}

/// What the operator chose.
#[derive(Clone, Debug)]
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
    /// How long a container has to be up to count.
    pub min_uptime: Duration,
    /// Apps that are down, not unknown, when they have no container.
    pub apps: Vec<AppName>,
    /// Clients that may wait for a change at once.
    pub watchers: usize,
    /// How apps are checked, if they are.
    pub check: Option<CheckSettings>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Probes of apps.
    pub probes: u64,
    /// Those of them about an app that was drained.
    pub drained: u64,
    /// Questions about all apps.
    pub surveys: u64,
    /// Those whose query was none.
    pub bad_queries: u64,
    /// Lists of all containers asked for.
    pub lists: u64,
    /// Those that have come.
    pub lists_landed: u64,
    /// How long these took, together.
    pub lists_took: Duration,
    /// The second of Unix time in which Docker last answered; 0: never.
    pub last_success: u64,
    /// Lists of some containers asked for.
    pub looks: u64,
    /// Questions that were not answered.
    pub failed: u64,
    /// Questions that met their deadline.
    pub met_time: u64,
    /// Lists that were too large, and events of too many containers.
    pub met_size: u64,
    /// Times that the stream of events was asked for.
    pub streams: u64,
    /// Those that were refused, late, or told nonsense.
    pub streams_failed: u64,
    /// Events that said something new.
    pub events: u64,
    /// Events that were too long to be read.
    pub events_too_long: u64,
    /// Events that came late.
    pub events_late: u64,
    /// Probes that met the timeout.
    pub timeouts: u64,
    /// Probes refused since there was no room to wait.
    pub busy: u64,
    /// Those who waited for a change and were answered early, to make room.
    pub watchers_early: u64,
    /// Those who would have waited for longer than one may.
    pub waits_cut: u64,
    /// Checks of apps sent.
    pub checks: u64,
    /// Those that failed, in the order of [`CheckFault::KINDS`].
    pub check_faults: [u64; CheckFault::KINDS.len()],
    /// Probes that waited for a first check as long as they may.
    pub unchecked: u64,
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

impl Trust {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Live, Self::Blind, Self::Stale, Self::Down];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Blind => "blind",
            Self::Stale => "stale",
            Self::Down => "down",
        }
    }
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
    clock: (Duration, Instant),
    /// The list of all containers on the wire.
    list: Option<List>,
    /// Probes that came after it was asked for.
    behind: VecDeque<Waiter>,
    /// The question about some containers on the wire.
    look: Option<Look>,
    /// Probes that wait for what such a question brings.
    open: VecDeque<Waiter>,
    /// None unless apps are checked.
    checks: Option<Checks>,
    /// When a list is asked for though nobody probes: at the start, after a failure, and each `resync`.
    resync_at: Instant,
    /// A list that was asked for before then does not do: something was missed.
    missed: Tick,
    /// The longest that a list has taken.
    longest: Duration,
    watch: Watch,
    /// The server stops.
    stops: bool,
    /// The last list took so long.
    took: Duration,
    /// The second of Unix time in which the first of the drains is over that are not yet.
    drains_end: Option<u64>,
    /// How far the view was trusted, and Docker's fault if it was down, when stock was last taken.
    stock: (Trust, Option<Reason>),
    flights: u64,
    actions: VecDeque<Action>,
    counts: Counts,
}

/// A probe that waits. Those of one queue came in its order, so the first is due first.
#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    wants: Wants,
    due: Instant,
}

/// What it wants to know.
#[derive(Debug)]
enum Wants {
    /// The verdict on one app.
    App(AppName),
    /// All apps.
    Apps(Box<Query>),
}

impl Engine {
    /// An engine that knows nothing and asks for its first list at once. `unix` is the present Unix time.
    #[must_use]
    pub fn new(mut settings: Settings, seed: u64, now: Instant, unix: Duration) -> Self {
        let checks = settings.check.take().map(|check| Checks::new(check, now));
        Self {
            contact: Contact::new(seed),
            view: View::new(settings.policy, settings.docker_health, settings.min_uptime, &settings.apps),
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
            clock: (unix, now),
            list: None,
            behind: VecDeque::new(),
            look: None,
            open: VecDeque::new(),
            checks,
            resync_at: now,
            missed: Tick::default(),
            longest: Duration::ZERO,
            watch: Watch::new(unix, settings.watchers),
            stops: false,
            took: Duration::ZERO,
            drains_end: None,
            stock: (Trust::Blind, None),
            settings,
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
                return self.probed(ticket, Wants::App(app), may_wait, now);
            }
            Route::Apps(query) => {
                count(&mut self.counts.surveys);
                return self.probed(ticket, Wants::Apps(query), may_wait, now);
            }
            Route::Health => Answer::Healthy,
            Route::Ready => self.readiness(now),
            Route::Metrics => {
                // They tell how each app stands: unless a scrape keeps its checks going, one that nobody probes would be down there for ever.
                self.asked_about_all(now);
                return self.actions.push_back(Action::Metrics(ticket));
            }
            Route::BadName(Path::App) => Answer::BadName,
            Route::BadName(_) => {
                count(&mut self.counts.bad_queries);
                Answer::BadName
            }
            Route::BadQuery(wants) => {
                count(&mut self.counts.bad_queries);
                Answer::BadQuery(wants)
            }
            Route::NotAllowed => Answer::NotAllowed,
            Route::NotFound => Answer::NotFound,
        };
        self.actions.push_back(Action::Answer(ticket, answer));
    }

    fn probed(&mut self, ticket: Ticket, wants: Wants, may_wait: bool, now: Instant) {
        if let Wants::App(app) = &wants
            && !self.drains.is_empty()
            && let Some(drained) = self.drains.of(app, self.unix(now).as_secs())
        {
            count(&mut self.counts.drained);
            return self.actions.push_back(Action::Answer(ticket, Answer::Drained(Box::new(drained))));
        }
        let trust = self.trust(now);
        let at_hand = match trust {
            Trust::Live => !self.is_open(&wants),
            Trust::Stale => true,
            Trust::Blind | Trust::Down => false,
        };
        if let Wants::App(app) = &wants
            && at_hand
        {
            return self.tell(ticket, app, trust == Trust::Stale, may_wait, now);
        }
        let rests = || self.contact.rests_until(now).is_some();
        let action = match (wants, self.contact.last()) {
            // What is known stays listed, with Docker's fault.
            (Wants::Apps(query), last) if at_hand || trust == Trust::Down && matches!(last, Some(Err(_))) => {
                return self.survey(ticket, query, may_wait, now);
            }
            (Wants::App(_), Some(Err(fault))) if rests() => Action::Answer(ticket, Answer::Unknown(fault.clone())),
            _ if !may_wait || !self.has_room() => {
                count(&mut self.counts.busy);
                Action::Answer(ticket, Answer::Busy)
            }
            (wants, _) => {
                let waiter = Waiter { ticket, wants, due: now + self.settings.docker_timeout };
                return if trust == Trust::Live { self.open.push_back(waiter) } else { self.behind.push_back(waiter) };
            }
        };
        self.actions.push_back(action);
    }

    /// Whether one more probe may wait.
    fn has_room(&self) -> bool {
        let listed = self.list.as_ref().map_or(0, |list| list.waiting.len());
        let checked = self.checks.as_ref().map_or(0, Checks::waiting);
        listed.saturating_add(self.behind.len()).saturating_add(self.open.len()).saturating_add(checked) < limits::WAITING_PROBES
    }

    /// Whether this host may be used, and why not.
    #[must_use]
    pub fn readiness(&self, now: Instant) -> Answer {
        if let Some(drained) = self.drains.of_host(self.unix(now).as_secs()) {
            return Answer::Drained(Box::new(drained));
        }
        match self.contact.last() {
            None => Answer::NotYet,
            Some(Err(fault)) if self.trust(now) == Trust::Down => Answer::Unknown(fault.clone()),
            Some(_) => Answer::Ready,
        }
    }

    /// Whether anything has been heard of Docker, good or bad.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.contact.last().is_some()
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
        let verdict = self.view.verdict(app)?;
        Some(match &mut self.checks {
            Some(checks) => checks.verdict(app, verdict),
            None => verdict,
        })
    }

    // ---- The operator.

    /// These are the drains from now on. Who waits is told at once.
    pub fn drains_are(&mut self, drains: Drains, now: Instant) {
        self.drains = drains;
        self.set_drains_end(self.unix(now).as_secs());
        self.view.groups.touch_all();
        if planted(Plant::LetTheDrainedWait) {
            return;
        }
        let unix = self.unix(now).as_secs();
        let waiting = self.list.as_mut().map(|list| &mut list.waiting);
        let mut told = Vec::new();
        let mut stays = |ticket: Ticket, app: &AppName| {
            let drained = self.drains.of(app, unix);
            let stays = drained.is_none();
            told.extend(drained.map(|drained| Action::Answer(ticket, Answer::Drained(Box::new(drained)))));
            stays
        };
        for queue in [waiting, Some(&mut self.behind), Some(&mut self.open)].into_iter().flatten() {
            queue.retain(|waiter| if let Wants::App(app) = &waiter.wants { stays(waiter.ticket, app) } else { true });
        }
        if let Some(checks) = &mut self.checks {
            checks.retain_waiting(stays);
        }
        self.counts.drained = self.counts.drained.wrapping_add(told.len() as u64);
        self.actions.extend(told);
    }

    // ---- Time.

    /// What Unix time is, which may be set anew at any moment: for drains that end, and for what the times of events mean.
    pub fn clock_is(&mut self, unix: Duration, now: Instant) {
        let (before, _) = std::mem::replace(&mut self.clock, (unix, now));
        // What was over may not be over yet.
        if unix < before {
            self.set_drains_end(unix.as_secs());
        }
    }

    /// For so long until now nothing was done, though there was something to do: the process was stopped, or the whole machine. That is
    /// no lateness of Docker's or of an app's, so whoever waits for them, and all questions, have that much longer. But the facts are
    /// as much older, and Docker drops events for who does not read.
    pub fn stood_still(&mut self, time: Duration, now: Instant) {
        self.put_off(time, now);
        self.view.put_off(time);
        if let Some(checks) = &mut self.checks {
            self.actions.extend(checks.stood_still(time, now).into_iter().map(Action::Forget));
        }
        let queues = [self.list.as_mut().map(|list| &mut list.waiting), Some(&mut self.behind), Some(&mut self.open)];
        for waiter in queues.into_iter().flatten().flatten() {
            waiter.due += time;
        }
        // A lost event goes unfound for so long, and no longer.
        if time >= self.settings.resync && !planted(Plant::TrustAfterAStandstill) {
            self.doubt_all(now);
            self.has_facts &= time < self.settings.docker_grace || planted(Plant::KeepFactsOverAStandstill);
        }
    }

    fn set_drains_end(&mut self, unix: u64) {
        self.drains_end = self.drains.next_end(unix);
    }

    /// When that is, by the present clock.
    fn drains_end(&self, now: Instant) -> Option<Instant> {
        self.drains_end.map(|end| now + Duration::from_secs(end).saturating_sub(self.unix(now)))
    }

    /// Does what is due.
    pub fn due(&mut self, now: Instant) {
        self.questions_due(now);
        self.checks_due(now);
        let waiting = self.list.as_mut().map(|list| &mut list.waiting);
        let mut late = Vec::new();
        for queue in [waiting, Some(&mut self.behind), Some(&mut self.open)].into_iter().flatten() {
            while let Some(waiter) = queue.pop_front_if(|waiter| waiter.due <= now) {
                late.push(waiter);
            }
        }
        // Their time is over before that of the list, which may take longer than they may wait. To them Docker is as good as gone: what the
        // grace is for holds here too, or a Docker that grows slow would empty a fleet before it is found gone.
        let has_grace = self.has_facts && !self.settings.docker_grace.is_zero() && self.trust(now) != Trust::Down;
        for waiter in late {
            count(&mut self.counts.timeouts);
            if let (Wants::App(app), true) = (&waiter.wants, has_grace) {
                self.asked_about(app, now);
                self.actions.push_back(Action::Verdict(waiter.ticket, *app, true));
            } else {
                self.tell_fault(waiter, &Fault::Late, now);
            }
        }
        self.view.grow_up(now);
        if self.drains_end(now).is_some_and(|end| end <= now) {
            self.view.groups.touch_all();
            self.set_drains_end(self.unix(now).as_secs());
        }
        if self.watch.next_due().is_some_and(|due| due <= now) {
            self.take_stock(now);
            let watchers = self.watch.due(now);
            self.tell_watchers(watchers);
        }
    }

    /// Tells one who has waited for Docker that it was in vain.
    fn tell_fault(&mut self, Waiter { ticket, wants, .. }: Waiter, fault: &Fault, now: Instant) {
        match wants {
            Wants::App(_) => self.actions.push_back(Action::Answer(ticket, Answer::Unknown(fault.clone()))),
            // What is known stays listed.
            Wants::Apps(query) => self.survey(ticket, query, true, now),
        }
    }

    /// The next thing to do, until there is none. Only when all else is done is Docker asked, so that the probes of one turn
    /// share one list.
    pub fn next_action(&mut self, now: Instant) -> Option<Action> {
        if self.actions.is_empty() {
            self.take_stock(now);
        }
        if self.actions.is_empty() && self.contact.rests_until(now).is_none() {
            self.ask_what_is_open(now);
        }
        if self.actions.is_empty() {
            self.send_checks(now);
            // Some may have been forgotten instead.
            self.take_stock(now);
        }
        self.actions.pop_front()
    }

    /// When [`Engine::due`] is to be called at the latest, once there is nothing to do.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let first = |queue: &VecDeque<Waiter>| queue.front().map(|waiter| waiter.due);
        let waiting = self.list.as_ref().map(|list| &list.waiting);
        let queues = [waiting, Some(&self.behind), Some(&self.open)].into_iter().flatten().filter_map(first);
        let grace = self.gone_since.map(|since| since + self.settings.docker_grace).filter(|over| *over > now);
        let check = self.checks.as_ref().and_then(Checks::next_deadline);
        let others = [self.next_question(now), check, self.watch.next_due(), self.view.next_grown(), self.drains_end(now), grace];
        queues.chain(others.into_iter().flatten()).min()
    }

    /// The Unix time at that instant.
    fn unix(&self, now: Instant) -> Duration {
        let (unix, at) = self.clock;
        unix.saturating_add(now.saturating_duration_since(at))
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
    BelieveAnEarlyCheck,
    KeepAResultOverADeath,
    LetTheDrainedWait,
    TrustAfterAStandstill,
    KeepFactsOverAStandstill,
    KeepAResultOverAStandstill,
    ReplayFromTheFuture,
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
