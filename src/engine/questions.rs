//! The engine's questions to Docker about containers: the list of all, and questions about some; what comes of them, and what their
//! failing means for those who wait.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::stream::Stream;
use super::view::Asked;
use super::{Action, Engine, FlightId, Plant, Trust, Waiter, count, planted};
use crate::docker::exchange::{Listed, Outcome};
use crate::docker::{Fault, Question};
use crate::limits;
use crate::lost::Lost;

/// A question about containers, on its way.
#[derive(Debug)]
pub(super) struct Flight {
    id: FlightId,
    asked: Asked,
    pub(super) due: Instant,
    /// For so long nothing was done since it was asked.
    stood: Duration,
    /// Its list has come, but says nothing of health: that has been asked for.
    silent: Option<Listed>,
    /// The socket's queue was full: the question has not left, and is tried again then.
    again_at: Option<Instant>,
}

impl Flight {
    /// What it is given up for when its time is over.
    const fn lateness(&self) -> Fault {
        if self.again_at.is_some() { Fault::Lost(Lost::Full) } else { Fault::Late }
    }
}

/// The question about all of them.
#[derive(Debug)]
pub(super) struct List {
    pub(super) flight: Flight,
    pub(super) waiting: VecDeque<Waiter>,
}

/// The question about some.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) flight: Flight,
    ids: Vec<Box<str>>,
}

impl Engine {
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
        // Nothing announces room in the queue: it is tried again after a pause, for as long as an answer would have been waited for.
        if matches!(outcome, Err(Fault::Lost(Lost::Full))) {
            if let Some(flight) = self.flights_mut().find(|flight| flight.id == id) {
                flight.again_at = Some(now + limits::FULL_PAUSE);
            }
            return;
        }
        if let Some(look) = self.look.take_if(|look| look.flight.id == id) {
            if demanded.is_some() {
                self.api = demanded;
                return self.view.unanswered(&look.ids);
            }
            return self.looked(look, outcome, now);
        }
        let Some(mut list) = self.list.take_if(|list| list.flight.id == id) else { return };
        match outcome {
            Ok(listed) => match self.complete(&mut list.flight, listed) {
                Some(listed) => self.landed(list, listed, now),
                None => self.list = Some(list),
            },
            Err(Fault::WantsVersion(_)) => {
                self.api = demanded;
                self.ask(list, now);
            }
            Err(fault) => {
                self.behind.extend(list.waiting);
                self.lost(&fault, now);
            }
        }
    }

    /// Gives up the questions that have met their deadlines.
    pub(super) fn questions_due(&mut self, now: Instant) {
        if let Some(list) = self.list.take_if(|list| list.flight.due <= now) {
            self.actions.push_back(Action::Forget(list.flight.id));
            self.behind.extend(list.waiting);
            self.lost(&list.flight.lateness(), now);
        }
        if let Some(look) = self.look.take_if(|look| look.flight.due <= now) {
            self.actions.push_back(Action::Forget(look.flight.id));
            self.view.unanswered(&look.ids);
            self.lost(&look.flight.lateness(), now);
        }
        if let Stream::Opening(id, due) = self.stream
            && due <= now
        {
            self.actions.push_back(Action::Forget(id));
            self.stream_ended(Fault::Late, now);
        }
    }

    /// When [`Engine::questions_due`] has something to do, or a question is to be asked.
    pub(super) fn next_question(&self, now: Instant) -> Option<Instant> {
        let rests_until = self.contact.rests_until(now);
        let asks = |at: Option<Instant>| at.map(|at| rests_until.map_or(at, |until| at.max(until)));
        let (list, look) = (self.list.as_ref(), self.look.as_ref());
        let opening = if let Stream::Opening(_, due) = self.stream { Some(due) } else { None };
        [
            list.map(|list| list.flight.due),
            asks(list.and_then(|list| list.flight.again_at)),
            look.map(|look| look.flight.due),
            asks(look.and_then(|look| look.flight.again_at)),
            opening,
            asks(self.wants_stream()),
            asks(self.wants_look(now)),
            asks(list.is_none().then_some(self.resync_at)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The list as it came; or, of a Podman that says nothing of health, together with the answer to one more question. None: that
    /// is asked now, under a name of its own.
    fn complete(&mut self, flight: &mut Flight, listed: Listed) -> Option<Listed> {
        if let Some(mut first) = flight.silent.take() {
            self.view.fill_in_health(&mut first.containers, &listed.containers);
            return Some(first);
        }
        if !listed.is_silent_on_health {
            return Some(listed);
        }
        count(&mut self.counts.looks);
        flight.id = self.next_id();
        flight.silent = Some(listed);
        self.actions.push_back(Action::Ask(flight.id, Question::Ailing, self.api));
        None
    }

    fn landed(&mut self, list: List, Listed { containers, podman, .. }: Listed, now: Instant) {
        self.podman = podman;
        let up = self.view.landed(containers, &list.flight.asked);
        // One may have taken the place of another since the list before.
        self.forget_former_results();
        self.view.landed_up(up, &list.flight.asked);
        let is_whole = list.flight.asked.tick > self.missed;
        self.has_facts |= is_whole;
        let took = now.saturating_duration_since(list.flight.asked.at).saturating_sub(list.flight.stood);
        self.longest = self.longest.max(took);
        self.took = took;
        count(&mut self.counts.lists_landed);
        self.counts.lists_took = self.counts.lists_took.saturating_add(took);
        let is_blind = matches!(self.stream, Stream::Closed(_) | Stream::Opening(..));
        let rest = if is_blind && !self.watch.is_empty() { self.watched_rest() } else { self.settings.resync };
        let rest = rest.max(took.saturating_mul(limits::LIST_REST));
        self.resync_at = if is_whole { now + rest } else { now };
        self.reached(now);
        if let Stream::Open { since, caught_up, .. } = &mut self.stream
            && list.flight.asked.tick > *since
            && !std::mem::replace(caught_up, true)
        {
            self.actions.push_back(Action::Live);
            if self.replay_from(now).is_none() {
                // It sends the head of its stream before it reads its journal, and replays nothing.
                self.resync_at = self.resync_at.min(now + limits::UNREPLAYED_PAUSE);
            }
        }
        self.take_stock(now);
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
                let Some(listed) = self.complete(&mut look.flight, listed) else {
                    self.look = Some(look);
                    return;
                };
                self.view.landed_about(&look.ids, listed.containers, &look.flight.asked);
                self.reached(now);
                self.take_stock(now);
                self.settle_open(now);
            }
            Err(fault) => {
                self.view.unanswered(&look.ids);
                self.lost(&fault, now);
            }
        }
    }

    /// Something has changed for those who wait for the answer to an open question.
    pub(super) fn settle_open(&mut self, now: Instant) {
        let open = std::mem::take(&mut self.open);
        self.settle(open.into_iter().map(|waiter| (waiter, false)), now);
    }

    /// Tells each who can be told now: if the view is live, or their list has landed.
    fn settle(&mut self, waiters: impl Iterator<Item = (Waiter, bool)>, now: Instant) {
        let live = self.trust(now) == Trust::Live;
        for (waiter, has_list) in waiters {
            match (self.is_open(&waiter.wants), live || has_list) {
                (false, true) => self.tell_what_is_known(waiter, false, now),
                (true, _) if live => self.open.push_back(waiter),
                _ => self.behind.push_back(waiter),
            }
        }
    }

    fn reached(&mut self, now: Instant) {
        self.counts.last_success = self.unix(now).as_secs();
        self.gone_since = None;
        self.comeback = self.present_comeback();
        self.was_away = false;
        if self.contact.reached() {
            self.actions.push_back(Action::DockerFound);
        }
    }

    /// Docker was found gone. Within the grace all who wait are told what was known; else what is wrong.
    pub(super) fn lost(&mut self, fault: &Fault, now: Instant) {
        count(&mut self.counts.failed);
        self.meets_limit(fault);
        // The next one may be another Docker, which knows other versions.
        self.api = None;
        self.resync_at = now;
        self.gone_since.get_or_insert(now);
        // One that only hangs still knows, and still lies, as before.
        self.was_away |= matches!(fault, Fault::Lost(Lost::NoSocket | Lost::Refused));
        let stale = self.trust(now) == Trust::Stale;
        let waiting = self.list.as_mut().map(|list| std::mem::take(&mut list.waiting)).unwrap_or_default();
        if matches!(fault, Fault::Late | Fault::Lost(Lost::Full)) && !stale {
            let late = waiting.len().saturating_add(self.behind.len()).saturating_add(self.open.len());
            self.counts.timeouts = self.counts.timeouts.wrapping_add(late as u64);
        }
        if self.contact.lost(fault.clone(), now) {
            self.actions.push_back(Action::DockerLost(fault.clone()));
        }
        let behind = std::mem::take(&mut self.behind);
        let open = std::mem::take(&mut self.open);
        for waiter in waiting.into_iter().chain(behind).chain(open) {
            if stale { self.tell_what_is_known(waiter, true, now) } else { self.tell_fault(waiter, fault, now) }
        }
    }

    /// Counts a fault that is a limit of ours.
    pub(super) fn meets_limit(&mut self, fault: &Fault) {
        if matches!(fault, Fault::Late | Fault::Lost(Lost::Full)) {
            count(&mut self.counts.met_time);
        } else if *fault == Fault::TooLarge {
            count(&mut self.counts.met_size);
        }
    }

    /// Something was missed: a list is wanted that is asked for from now on.
    pub(super) fn list_anew(&mut self, now: Instant) {
        self.missed = self.view.next_tick();
        self.resync_at = now;
    }

    fn flights_mut(&mut self) -> impl Iterator<Item = &mut Flight> {
        let (list, look) = (self.list.as_mut(), self.look.as_mut());
        list.map(|list| &mut list.flight).into_iter().chain(look.map(|look| &mut look.flight))
    }

    /// The questions on their way have so much longer. What happened meanwhile is told from now on, as if it were replayed.
    pub(super) fn put_off(&mut self, time: Duration, now: Instant) {
        for flight in self.flights_mut() {
            flight.due += time;
            flight.stood = flight.stood.saturating_add(time);
        }
        match &mut self.stream {
            Stream::Closed(_) => {}
            Stream::Opening(_, due) => *due += time,
            Stream::Open { read_since, .. } => *read_since = now,
        }
    }

    /// Events may have been lost: until a list has landed that is asked for from now on, the view is as good as blind.
    pub(super) fn doubt_all(&mut self, now: Instant) {
        self.list_anew(now);
        if let Stream::Open { since, caught_up, .. } = &mut self.stream {
            (*since, *caught_up) = (self.missed, false);
        }
        self.open_need_a_list();
    }

    /// Probes that waited for the answer to an open question need a list now.
    pub(super) fn open_need_a_list(&mut self) {
        let (mut behind, mut open) = (std::mem::take(&mut self.behind), std::mem::take(&mut self.open));
        while let (Some(one), Some(other)) = (behind.front(), open.front()) {
            let first = if other.due < one.due { &mut open } else { &mut behind };
            self.behind.extend(first.pop_front());
        }
        self.behind.append(&mut behind);
        self.behind.append(&mut open);
    }

    pub(super) fn ask_what_is_open(&mut self, now: Instant) {
        if self.wants_stream().is_some_and(|at| at <= now) {
            return self.open_stream(now);
        }
        let is_again = |flight: &Flight| flight.again_at.is_some_and(|at| at <= now);
        if let Some(list) = self.list.take_if(|list| is_again(&list.flight)) {
            return self.ask(list, now);
        }
        if let Some(look) = self.look.take_if(|look| is_again(&look.flight)) {
            return self.ask_about(look.ids, look.flight.due, now);
        }
        if self.wants_look(now).is_some_and(|at| at <= now) {
            let ids = self.view.to_ask(now);
            if ids.len() > limits::IDS_IN_A_QUESTION {
                self.list_anew(now);
            } else if !ids.is_empty() {
                return self.ask_about(ids, now + self.settings.docker_timeout, now);
            }
        }
        if self.list.is_none() && (!self.behind.is_empty() || self.resync_at <= now) {
            let patience = self.longest.saturating_mul(limits::LIST_PATIENCE).min(limits::LONGEST_LIST).max(self.settings.docker_timeout);
            let flight = self.flight(now + patience, now);
            self.ask(List { flight, waiting: VecDeque::new() }, now);
        }
    }

    /// When containers are to be asked about, if events tell of any.
    fn wants_look(&self, now: Instant) -> Option<Instant> {
        let live = matches!(self.stream, Stream::Open { .. }) && self.gone_since.is_none();
        if live && self.look.is_none() { self.view.next_look(now) } else { None }
    }

    fn ask_about(&mut self, ids: Vec<Box<str>>, due: Instant, now: Instant) {
        count(&mut self.counts.looks);
        let flight = self.flight(due, now);
        self.actions.push_back(Action::Ask(flight.id, Question::About(ids.clone()), self.api));
        self.look = Some(Look { flight, ids });
    }

    /// Sends a question for all on its way, under a name of its own. Whoever waited behind it may come along: it leaves now.
    fn ask(&mut self, mut list: List, now: Instant) {
        count(&mut self.counts.lists);
        list.flight = self.flight(list.flight.due, now);
        list.waiting.append(&mut self.behind);
        self.actions.push_back(Action::Ask(list.flight.id, Question::All, self.api));
        self.list = Some(list);
    }

    /// A question that leaves now.
    fn flight(&mut self, due: Instant, now: Instant) -> Flight {
        let asked = Asked { tick: self.view.next_tick(), at: now, comeback: self.present_comeback() };
        Flight { id: self.next_id(), asked, due, stood: Duration::ZERO, silent: None, again_at: None }
    }

    /// How often Docker was away and has come back, if it is back: whoever answers now is.
    pub(super) fn present_comeback(&self) -> u32 {
        // As long as its stream goes on it is still the same: one that stops closes its socket first, and tells of deaths for seconds more.
        let is_another = self.was_away && !matches!(self.stream, Stream::Open { .. });
        self.comeback.wrapping_add(u32::from(is_another))
    }

    pub(super) fn next_id(&mut self) -> FlightId {
        self.flights = self.flights.wrapping_add(1);
        FlightId(self.flights)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test has to start at some instant")]

    use super::*;
    use crate::config::Config;
    use crate::docker::exchange::Listed;
    use crate::engine::Settings;

    #[test]
    fn a_standstill_is_not_the_lateness_of_docker() {
        let start = Instant::now();
        let hour = Duration::from_hours(1);
        let timeout = limits::DOCKER_TIMEOUT;
        for answers in [true, false] {
            let mut engine = Engine::new(Config::default().settings(), 1, start, hour);
            let Some(Action::Ask(flight, ..)) = engine.next_action(start) else { panic!("no question") };
            let now = start + hour;
            engine.stood_still(hour, now);
            engine.due(now);
            engine.due(now + timeout.saturating_sub(Duration::from_nanos(1)));
            assert_eq!(engine.counts.failed, 0);
            if answers {
                // What it says is of before.
                engine.docker_said(flight, Ok(Listed::default()), now + Duration::from_millis(3));
                assert_eq!(engine.longest, Duration::from_millis(3));
                let next = engine.next_action(now + Duration::from_millis(3));
                assert_eq!(next, Some(Action::DockerFound));
                let mut asks = std::iter::from_fn(|| engine.next_action(now + Duration::from_millis(3)));
                assert!(asks.any(|action| matches!(action, Action::Ask(_, Question::All, _))), "no newer list");
            } else {
                engine.due(now + timeout);
                assert_eq!(engine.counts.met_time, 1);
            }
        }
    }

    #[test]
    fn a_list_may_take_four_times_the_longest_but_no_longer_than_a_minute() {
        let now = Instant::now();
        // the timeout, the longest list so far, and how long the next one may take
        for (timeout, longest, patience) in [(5, 0, 5), (5, 1, 5), (5, 2, 8), (5, 15, 60), (5, 16, 60), (5, 3600, 60), (90, 16, 90)] {
            let settings = Settings { docker_timeout: Duration::from_secs(timeout), ..Config::default().settings() };
            let mut engine = Engine::new(settings, 7, now, Duration::ZERO);
            engine.longest = Duration::from_secs(longest);
            assert!(matches!(engine.next_action(now), Some(Action::Ask(..))));
            engine.due(now + Duration::from_secs(patience).saturating_sub(Duration::from_nanos(1)));
            assert_eq!(engine.counts.met_time, 0, "{timeout} {longest}");
            engine.due(now + Duration::from_secs(patience));
            assert_eq!((engine.counts.met_time, engine.counts.failed), (1, 1), "{timeout} {longest}");
        }
    }
}
