//! Decisions: who asks, who waits, when Docker is asked, and what each probe is told. No socket, no clock of its own, no JSON.
//!
//! | file | what |
//! |---|---|
//! | `app`     | [`AppName`] |
//! | `route`   | a path to a [`Route`] |
//! | `contact` | whether Docker can be asked, and when again |
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

pub mod app;
pub mod contact;
pub mod route;
#[cfg(any(test, fuzzing))]
pub mod simulation;
pub mod verdict;
pub mod view;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use app::AppName;
use contact::Contact;
pub use route::Route;
pub use verdict::{DockerHealth, Policy, Shown};

use view::{Asked, Tick, Verdict, View};

use crate::docker::event::Line;
use crate::docker::exchange::{Listed, Outcome, Told};
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
    /// Unix time at some instant.
    started: (Duration, Instant),
    /// The list of all containers on the wire.
    list: Option<Flight>,
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

/// The stream of events.
#[derive(Clone, Copy, Debug)]
enum Stream {
    /// Not to be opened before then.
    Closed(Instant),
    /// Its head has to come by then.
    Opening(FlightId, Instant),
    /// Open since that moment, and whether a list that was asked for since has landed.
    Open { id: FlightId, since: Tick, caught_up: bool },
}

impl Stream {
    const fn id(&self) -> Option<FlightId> {
        match *self {
            Self::Closed(_) => None,
            Self::Opening(id, _) | Self::Open { id, .. } => Some(id),
        }
    }
}

#[derive(Debug)]
struct Flight {
    id: FlightId,
    asked: Asked,
    due: Instant,
    /// The socket's queue was full: the question has not left, and is tried again then.
    again_at: Option<Instant>,
    /// The list has come, but says nothing of health: that has been asked for.
    silent: Option<Listed>,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Look {
    id: FlightId,
    asked: Asked,
    due: Instant,
    ids: Vec<Box<str>>,
    /// As in a [`Flight`].
    silent: Option<Listed>,
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

    // ---- Docker.

    /// A question has its outcome, or failed on its way. One that was forgotten is nobody's.
    pub fn docker_said(&mut self, id: FlightId, outcome: Outcome, now: Instant) {
        // Only a path without a version is told so: the question is repeated, and will not be told so again.
        let demanded = if let Err(Fault::WantsVersion(version)) = outcome { Some(version) } else { None };
        if self.stream.id() == Some(id) {
            if demanded.is_some() {
                self.api = demanded;
                self.stream = Stream::Closed(now);
                return;
            }
            return self.stream_ended(outcome.err().unwrap_or(Fault::NotEvents), now);
        }
        if let Some(look) = self.look.take_if(|look| look.id == id) {
            if demanded.is_some() {
                self.api = demanded;
                return self.view.unanswered(&look.ids);
            }
            return self.looked(look, outcome, now);
        }
        let Some(mut list) = self.list.take_if(|list| list.id == id) else { return };
        match outcome {
            Ok(listed) => match self.complete(&mut list.id, &mut list.silent, listed) {
                Some(listed) => self.landed(list, listed, now),
                None => self.list = Some(list),
            },
            // Nothing announces room in the queue: it is tried again after a pause, for as long as an answer would have been waited for.
            Err(Fault::Full) => self.list = Some(Flight { again_at: Some(now + limits::FULL_PAUSE), ..list }),
            Err(Fault::WantsVersion(_)) => {
                self.api = demanded;
                self.ask(list, now);
            }
            Err(fault) => {
                self.behind.extend(list.waiting);
                self.lost(fault, now);
            }
        }
    }

    /// The list as it came; or, of a Podman that says nothing of health, together with the answer to one more question. None: that
    /// is asked now, under a name of its own.
    fn complete(&mut self, id: &mut FlightId, silent: &mut Option<Listed>, listed: Listed) -> Option<Listed> {
        if let Some(mut first) = silent.take() {
            self.view.fill_in_health(&mut first.containers, &listed.containers);
            return Some(first);
        }
        if !listed.is_silent_on_health {
            return Some(listed);
        }
        count(&mut self.counts.looks);
        *id = self.next_id();
        *silent = Some(listed);
        self.actions.push_back(Action::Ask(*id, Question::Ailing, self.api));
        None
    }

    fn landed(&mut self, list: Flight, Listed { containers, podman, .. }: Listed, now: Instant) {
        self.podman = podman;
        self.view.landed(containers, &list.asked);
        self.has_facts = true;
        let took = now.saturating_duration_since(list.asked.at);
        self.longest = self.longest.max(took);
        let rest = self.settings.resync.max(took.saturating_mul(limits::LIST_REST));
        let is_whole = list.asked.tick > self.missed;
        self.resync_at = if is_whole { now + rest } else { now };
        self.reached();
        if let Stream::Open { since, caught_up, .. } = &mut self.stream
            && list.asked.tick > *since
            && !std::mem::replace(caught_up, true)
        {
            self.stream_failures = 0;
            self.actions.push_back(Action::Live);
            if self.replay_from(now).is_none() {
                // It sends the head of its stream before it reads its journal, and replays nothing.
                self.resync_at = self.resync_at.min(now + limits::UNREPLAYED_PAUSE);
            }
        }
        // The first waited for this list, unless something was missed since it was asked for. Whoever came after that goes on
        // waiting, unless events tell the rest.
        let behind = std::mem::take(&mut self.behind);
        let is_older = planted(Plant::AnswerFromAnOlderList);
        let waiters = list.waiting.into_iter().map(|waiter| (waiter, is_whole)).chain(behind.into_iter().map(|waiter| (waiter, is_older)));
        self.settle(waiters, now);
        self.settle_open(now);
    }

    fn looked(&mut self, mut look: Look, outcome: Outcome, now: Instant) {
        match outcome {
            Ok(listed) => {
                let Some(listed) = self.complete(&mut look.id, &mut look.silent, listed) else {
                    self.look = Some(look);
                    return;
                };
                self.view.landed_about(&look.ids, listed.containers, &look.asked);
                self.reached();
                self.settle_open(now);
            }
            Err(fault) => {
                self.view.unanswered(&look.ids);
                self.lost(fault, now);
            }
        }
    }

    /// Something has changed for those who wait for the answer to an open question.
    fn settle_open(&mut self, now: Instant) {
        let open = std::mem::take(&mut self.open);
        self.settle(open.into_iter().map(|waiter| (waiter, false)), now);
    }

    /// Tells each who can be told now: if the view is live, or their list has landed.
    fn settle(&mut self, waiters: impl Iterator<Item = (Waiter, bool)>, now: Instant) {
        let live = self.trust(now) == Trust::Live;
        for (waiter, has_list) in waiters {
            match (self.view.is_open(&waiter.app), live || has_list) {
                (false, true) => self.actions.push_back(Action::Verdict(waiter.ticket, waiter.app, false)),
                (true, _) if live => self.open.push_back(waiter),
                _ => self.behind.push_back(waiter),
            }
        }
    }

    fn reached(&mut self) {
        self.gone_since = None;
        if std::mem::take(&mut self.was_away) {
            self.comeback = self.comeback.wrapping_add(1);
        }
        if self.contact.reached() {
            self.actions.push_back(Action::DockerFound);
        }
    }

    /// Docker was found gone. Within the grace all who wait are told what was known; else what is wrong.
    fn lost(&mut self, fault: Fault, now: Instant) {
        count(&mut self.counts.failed);
        // The next one may be another Docker, which knows other versions.
        self.api = None;
        self.resync_at = now;
        self.gone_since.get_or_insert(now);
        // One that only hangs still knows, and still lies, as before.
        self.was_away |= matches!(fault, Fault::NoSocket | Fault::Refused);
        let stale = self.trust(now) == Trust::Stale;
        let waiting = self.list.as_mut().map(|list| std::mem::take(&mut list.waiting)).unwrap_or_default();
        if matches!(fault, Fault::Late | Fault::Full) && !stale {
            let late = waiting.len().saturating_add(self.behind.len()).saturating_add(self.open.len());
            self.counts.timeouts = self.counts.timeouts.wrapping_add(late as u64);
        }
        let told = waiting.into_iter().chain(self.behind.drain(..)).chain(self.open.drain(..));
        self.actions.extend(told.map(|Waiter { ticket, app, .. }| {
            if stale { Action::Verdict(ticket, app, true) } else { Action::Answer(ticket, Answer::Unknown(fault.clone())) }
        }));
        if self.contact.lost(fault.clone(), now) {
            self.actions.push_back(Action::DockerLost(fault));
        }
    }

    /// The stream of events told something.
    pub fn docker_told(&mut self, id: FlightId, told: &Told, now: Instant) {
        match told {
            Told::Opened => self.stream_opened(id, now),
            Told::Line(line) => self.happened(id, line, now),
        }
    }

    fn stream_opened(&mut self, id: FlightId, now: Instant) {
        if !matches!(self.stream, Stream::Opening(opening, _) if opening == id) {
            return;
        }
        let since = self.view.next_tick();
        self.stream = Stream::Open { id, since, caught_up: false };
        self.list_anew(now);
    }

    fn happened(&mut self, id: FlightId, line: &Line, now: Instant) {
        if !matches!(self.stream, Stream::Open { id: open, .. } if open == id) {
            return;
        }
        // A sign of life: the last facts are no older than this.
        if let Some(since) = &mut self.gone_since {
            *since = now;
        }
        match line {
            Line::TooLong => {
                count(&mut self.counts.events_too_long);
                self.list_anew(now);
            }
            Line::Event(event) => {
                self.last_event = Some((event.at, now));
                let is_early = self.podman.is_some_and(|version| version < ApiVersion::PODMAN_TELLS_OUTCOMES);
                let is_news = if is_early && !planted(Plant::BelieveAnEarlyCheck) {
                    self.view.happened_early(event, now, self.comeback)
                } else {
                    self.view.happened(event, now, self.comeback)
                };
                if is_news {
                    count(&mut self.counts.events);
                    self.settle_open(now);
                }
            }
        }
    }

    /// Something was missed: a list is wanted that is asked for from now on.
    fn list_anew(&mut self, now: Instant) {
        self.missed = self.view.next_tick();
        self.resync_at = now;
    }

    /// The stream could not be opened, or has ended.
    fn stream_ended(&mut self, fault: Fault, now: Instant) {
        let was = std::mem::replace(&mut self.stream, Stream::Closed(now));
        if !matches!(was, Stream::Open { caught_up: true, .. }) {
            self.stream_failures = self.stream_failures.saturating_add(1);
            self.stream = Stream::Closed(now + self.contact.growing_pause(self.stream_failures));
        }
        // Probes that waited for the answer to an open question need a list now.
        self.behind.append(&mut self.open);
        self.behind.make_contiguous().sort_by_key(|waiter| waiter.due);
        if fault.is_refusal() {
            return self.lost(fault, now);
        }
        if self.stream_failures <= 1 {
            self.actions.push_back(Action::Blind(fault));
        }
    }

    // ---- Time.

    /// Does what is due.
    pub fn due(&mut self, now: Instant) {
        if let Some(list) = self.list.take_if(|list| list.due <= now) {
            self.actions.push_back(Action::Forget(list.id));
            let fault = if list.again_at.is_some() { Fault::Full } else { Fault::Late };
            self.behind.extend(list.waiting);
            self.lost(fault, now);
        }
        if let Some(look) = self.look.take_if(|look| look.due <= now) {
            self.actions.push_back(Action::Forget(look.id));
            self.view.unanswered(&look.ids);
            self.lost(Fault::Late, now);
        }
        if let Stream::Opening(id, due) = self.stream
            && due <= now
        {
            self.actions.push_back(Action::Forget(id));
            self.stream_ended(Fault::Late, now);
        }
        let may_ask = self.contact.rests_until(now).is_none();
        if let Some(list) = self.list.take_if(|list| may_ask && list.again_at.is_some_and(|at| at <= now)) {
            self.ask(list, now);
        }
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

    fn ask_what_is_open(&mut self, now: Instant) {
        if self.wants_stream().is_some_and(|at| at <= now) {
            return self.open_stream(now);
        }
        if self.wants_look(now).is_some_and(|at| at <= now) {
            let ids = self.view.to_ask(now);
            if ids.len() > limits::IDS_IN_A_QUESTION {
                self.list_anew(now);
            } else if !ids.is_empty() {
                return self.ask_about(ids, now);
            }
        }
        if self.list.is_none() && (!self.behind.is_empty() || self.resync_at <= now) {
            let patience = self.longest.saturating_mul(limits::LIST_PATIENCE).min(limits::LONGEST_LIST).max(self.settings.docker_timeout);
            let asked = Asked { tick: Tick::default(), at: now, comeback: self.comeback };
            self.ask(Flight { id: FlightId(0), asked, due: now + patience, again_at: None, silent: None, waiting: VecDeque::new() }, now);
        }
    }

    /// When the stream is to be opened. Only Docker that answers is worth a stream, and its first list says what it is.
    fn wants_stream(&self) -> Option<Instant> {
        match self.stream {
            Stream::Closed(at) if self.has_facts && self.gone_since.is_none() => Some(at),
            Stream::Closed(_) | Stream::Opening(..) | Stream::Open { .. } => None,
        }
    }

    /// When containers are to be asked about, if events tell of any.
    fn wants_look(&self, now: Instant) -> Option<Instant> {
        let live = matches!(self.stream, Stream::Open { .. }) && self.gone_since.is_none();
        if live && self.look.is_none() { self.view.next_look(now) } else { None }
    }

    fn open_stream(&mut self, now: Instant) {
        let id = self.next_id();
        count(&mut self.counts.streams);
        self.stream = Stream::Opening(id, now + self.settings.docker_timeout);
        let question = Question::Events { since: self.replay_from(now) };
        self.actions.push_back(Action::Ask(id, question, self.api));
    }

    /// From when on events are to be replayed, in nanoseconds of Unix time: the head of a stream is sent before it is subscribed to,
    /// so an event right behind the head would be lost without (measured: 6 in 300). None for a Podman that reads its whole
    /// journal for it and loses track of the journal's rotation then (before 4.9).
    fn replay_from(&self, now: Instant) -> Option<u64> {
        if self.podman.is_some_and(|version| version < ApiVersion::PODMAN_REPLAYS) {
            return None;
        }
        let replay = limits::REPLAY;
        if let Some((at, read)) = self.last_event {
            let beyond = now.saturating_duration_since(read).saturating_sub(replay);
            return Some(at.saturating_add(nanoseconds(beyond)));
        }
        let (unix, started) = self.started;
        let now = unix.saturating_add(now.saturating_duration_since(started));
        Some(nanoseconds(now.saturating_sub(limits::FIRST_REPLAY)))
    }

    fn ask_about(&mut self, ids: Vec<Box<str>>, now: Instant) {
        count(&mut self.counts.looks);
        let id = self.next_id();
        let asked = Asked { tick: self.view.next_tick(), at: now, comeback: self.comeback };
        self.actions.push_back(Action::Ask(id, Question::About(ids.clone()), self.api));
        self.look = Some(Look { id, asked, due: now + self.settings.docker_timeout, ids, silent: None });
    }

    /// Sends a question for all on its way, under a name of its own. Whoever waited behind it may come along: it leaves now.
    fn ask(&mut self, mut list: Flight, now: Instant) {
        count(&mut self.counts.lists);
        list.id = self.next_id();
        list.asked = Asked { tick: self.view.next_tick(), at: now, comeback: self.comeback };
        (list.again_at, list.silent) = (None, None);
        list.waiting.append(&mut self.behind);
        self.actions.push_back(Action::Ask(list.id, Question::All, self.api));
        self.list = Some(list);
    }

    fn next_id(&mut self) -> FlightId {
        self.flights = self.flights.wrapping_add(1);
        FlightId(self.flights)
    }

    /// When [`Engine::due`] is to be called at the latest, once there is nothing to do.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let first = |queue: &VecDeque<Waiter>| queue.front().map(|waiter| waiter.due);
        let rests_until = self.contact.rests_until(now);
        let asks = |at: Option<Instant>| at.map(|at| rests_until.map_or(at, |until| at.max(until)));
        let list = self.list.as_ref();
        let opening = if let Stream::Opening(_, due) = self.stream { Some(due) } else { None };
        [
            list.map(|list| list.due),
            asks(list.and_then(|list| list.again_at)),
            list.and_then(|list| first(&list.waiting)),
            first(&self.behind),
            first(&self.open),
            self.look.as_ref().map(|look| look.due),
            opening,
            asks(self.wants_stream()),
            asks(self.wants_look(now)),
            asks(list.is_none().then_some(self.resync_at)),
        ]
        .into_iter()
        .flatten()
        .min()
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

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
