//! The stream of events: when it is opened and from when on, what it tells, and what its end means.

use std::time::{Duration, Instant};

use super::view::Tick;
use super::{Action, Engine, FlightId, Plant, count, planted};
use crate::docker::event::Line;
use crate::docker::exchange::Told;
use crate::docker::{ApiVersion, Fault, Question};
use crate::limits;
use crate::lost::Lost;

/// The stream of events.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    /// Not to be opened before then.
    Closed(Instant),
    /// Its head has to come by then.
    Opening(FlightId, Instant),
    /// Open since that moment, in the order of reading and by the clock, and read without a standstill since that instant; whether a list that
    /// was asked for since has landed, and whether events come late.
    Open { id: FlightId, since: Tick, at: Instant, read_since: Instant, caught_up: bool, late: bool },
}

impl Stream {
    pub(super) const fn id(&self) -> Option<FlightId> {
        match *self {
            Self::Closed(_) => None,
            Self::Opening(id, _) | Self::Open { id, .. } => Some(id),
        }
    }
}

impl Engine {
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
        self.stream = Stream::Open { id, since, at: now, read_since: now, caught_up: false, late: false };
        self.list_anew(now);
    }

    fn happened(&mut self, id: FlightId, line: &Line, now: Instant) {
        let Stream::Open { id: open, read_since, .. } = self.stream else { return };
        if open != id {
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
            Line::Event(event) if !self.view.has_room_for(&event.id) => {
                count(&mut self.counts.met_size);
                self.list_anew(now);
            }
            Line::Event(event) => {
                self.last_event = Some((event.at, now));
                // A rename takes it from one app and gives it to another.
                let before = self.apps_checked_of(&event.id);
                let is_early = self.podman.is_some_and(|version| version < ApiVersion::PODMAN_TELLS_OUTCOMES);
                let age = self.unix(now).saturating_sub(Duration::from_nanos(event.at)).min(limits::REPLAY);
                // What happened before the stream was read is a replay: it was so long ago, by clocks that may differ a little.
                let is_replay = age >= now.saturating_duration_since(read_since);
                let began = if is_replay { now.checked_sub(age).unwrap_or(now) } else { now };
                let is_late = !is_replay && age >= limits::EVENT_LATE;
                if is_late {
                    self.came_late(age);
                }
                let comeback = self.present_comeback();
                let is_news = if is_early && !planted(Plant::BelieveAnEarlyCheck) {
                    self.view.happened_early(event, began, now, comeback)
                } else {
                    self.view.happened(event, began, now, comeback)
                };
                if is_news {
                    if is_late {
                        self.view.doubt(&event.id);
                    }
                    count(&mut self.counts.events);
                    for app in before.into_iter().chain(self.apps_checked_of(&event.id)) {
                        self.recheck(&app, now);
                    }
                    self.settle_open(now);
                }
            }
        }
    }

    /// An event was held back on its way: what it tells was told by nobody until then.
    fn came_late(&mut self, age: Duration) {
        let Stream::Open { caught_up: true, late, .. } = &mut self.stream else { return };
        count(&mut self.counts.events_late);
        if !std::mem::replace(late, true) {
            self.actions.push_back(Action::Late(age));
        }
    }

    /// The stream could not be opened, or has ended.
    pub(super) fn stream_ended(&mut self, fault: Fault, now: Instant) {
        // Nothing announces room in the socket's queue; a list that finds none either finds Docker gone.
        if fault == Fault::Lost(Lost::Full) {
            self.stream = Stream::Closed(now + limits::FULL_PAUSE);
            return;
        }
        let was = std::mem::replace(&mut self.stream, Stream::Closed(now));
        let lived = if let Stream::Open { at, caught_up: true, .. } = was { Some(now.saturating_duration_since(at)) } else { None };
        if lived.is_some_and(|lived| lived >= limits::STREAM_LIVES) {
            self.stream_failures = 0;
        } else {
            self.stream_failures = self.stream_failures.saturating_add(1);
            self.stream = Stream::Closed(now + self.contact.growing_pause(self.stream_failures));
        }
        self.open_need_a_list();
        // That the network has lost one that was open says nothing yet of Docker.
        if fault.is_refusal() && matches!(was, Stream::Opening(..)) {
            return self.lost(&fault, now);
        }
        self.meets_limit(&fault);
        // A Docker that stops, and a Podman without a journal, end it in good order.
        if !fault.is_an_end() {
            count(&mut self.counts.streams_failed);
        }
        if lived.is_some() || self.stream_failures <= 1 {
            self.actions.push_back(Action::Blind(fault));
        }
    }

    /// When the stream is to be opened. Only Docker that answers is worth a stream, and its first list says what it is.
    pub(super) fn wants_stream(&self) -> Option<Instant> {
        match self.stream {
            Stream::Closed(at) if self.has_facts && self.gone_since.is_none() => Some(at),
            Stream::Closed(_) | Stream::Opening(..) | Stream::Open { .. } => None,
        }
    }

    pub(super) fn open_stream(&mut self, now: Instant) {
        let id = self.next_id();
        count(&mut self.counts.streams);
        self.stream = Stream::Opening(id, now + self.settings.docker_timeout);
        let question = Question::Events { since: self.replay_from(now) };
        self.actions.push_back(Action::Ask(id, question, self.api));
    }

    /// From when on events are to be replayed, in nanoseconds of Unix time: the head of a stream is sent before it is subscribed to,
    /// so an event right behind the head would be lost without (measured: 6 in 300). None for a Podman that reads its whole
    /// journal for it and loses track of the journal's rotation then (before 4.9).
    pub(super) fn replay_from(&self, now: Instant) -> Option<u64> {
        if self.podman.is_some_and(|version| version < ApiVersion::PODMAN_REPLAYS) {
            return None;
        }
        let first = nanoseconds(self.unix(now).saturating_sub(limits::FIRST_REPLAY));
        let Some((at, read)) = self.last_event else { return Some(first) };
        let beyond = now.saturating_duration_since(read).saturating_sub(limits::REPLAY);
        let since = at.saturating_add(nanoseconds(beyond));
        // When the clock has been set back the last event is of the future, and Podman holds back all that are not.
        Some(if planted(Plant::ReplayFromTheFuture) { since } else { since.min(first) })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test has to start at some instant")]

    use super::*;
    use crate::config::Config;
    use crate::docker::event::{Event, What};
    use crate::docker::exchange::Listed;
    use crate::docker::{Container, Parts, State, Texts};
    use crate::engine::{Answer, AppName, Reason, Settings, Trust};
    use crate::http::response::Broken;

    /// How often the stream is opened in ten minutes by a Docker that cuts it whenever it has lived for so long.
    fn opened(lives: Duration) -> u32 {
        let start = Instant::now();
        let mut now = start;
        let mut engine = Engine::new(Config::default().settings(), 1, now, Duration::from_hours(500_000));
        let (mut opened, mut cut_at) = (0, None);
        while now - start < Duration::from_mins(10) {
            while let Some(action) = engine.next_action(now) {
                let Action::Ask(flight, question, _) = action else { continue };
                if matches!(question, Question::Events { .. }) {
                    opened += 1;
                    engine.docker_told(flight, &Told::Opened, now);
                    cut_at = Some((flight, now + lives));
                } else {
                    engine.docker_said(flight, Ok(Listed::default()), now);
                }
            }
            if let Some((flight, _)) = cut_at.take_if(|(_, at)| *at <= now) {
                engine.docker_said(flight, Err(Fault::Broken(Broken::CutShort)), now);
                continue;
            }
            let next = engine.next_deadline(now).into_iter().chain(cut_at.map(|(_, at)| at)).min();
            now = next.unwrap_or(now).max(now + Duration::from_millis(1));
            engine.due(now);
        }
        opened
    }

    #[test]
    fn a_stream_that_is_cut_as_soon_as_it_lives_is_opened_again_after_longer_and_longer() {
        let often = opened(Duration::from_millis(1));
        assert!((40..60).contains(&often), "{often} times, each with a list of all");
        assert_eq!(opened(limits::STREAM_LIVES), 60, "one that has lived is opened again at once");
    }

    /// An engine whose view of an empty Docker is live, and its stream.
    fn live(settings: Settings, now: Instant, unix: Duration) -> (Engine, FlightId) {
        let mut engine = Engine::new(settings, 1, now, unix);
        let mut stream = None;
        while let Some(action) = engine.next_action(now) {
            let Action::Ask(flight, question, _) = action else { continue };
            if matches!(question, Question::Events { .. }) {
                stream = Some(flight);
                engine.docker_told(flight, &Told::Opened, now);
            } else {
                engine.docker_said(flight, Ok(Listed::default()), now);
            }
        }
        assert_eq!(engine.trust(now), Trust::Live);
        (engine, stream.unwrap())
    }

    /// That the container `a` of the app of that name was started then, in Unix time.
    fn started(at: Duration) -> Told {
        Told::Line(Line::Event(Event { id: "a".into(), name: "app".into(), what: What::Started, at: nanoseconds(at), ..Event::default() }))
    }

    /// Unix time when the tests begin, in milliseconds.
    const UNIX: u64 = 1_800_000_000_000;

    #[test]
    fn a_start_that_is_replayed_counts_from_when_it_was() {
        let start = Instant::now();
        let milliseconds = Duration::from_millis;
        // when Docker says it was, what our clock says by then, and for how long it is to be reported as starting
        let cases: [(u64, u64, u64); 7] = [
            (UNIX, UNIX, 3000),
            (UNIX - 1200, UNIX, 1800),
            (UNIX - 3000, UNIX, 0),
            (UNIX - 40_000, UNIX, 0),
            // Docker's clock goes before ours: it was now
            (UNIX + 500, UNIX, 3000),
            // both clocks have just been set
            (UNIX / 1000 - 1200, UNIX / 1000, 1800),
            (UNIX * 2 - 1200, UNIX * 2, 1800),
        ];
        for (at, unix, young) in cases {
            let settings = Settings { min_uptime: milliseconds(3000), ..Config::default().settings() };
            let (mut engine, stream) = live(settings, start, milliseconds(UNIX));
            let now = start + milliseconds(100);
            engine.clock_is(milliseconds(unix), now);
            engine.docker_told(stream, &started(milliseconds(at)), now);
            let app = AppName::parse(b"app").unwrap();
            let reason = |engine: &mut Engine| match engine.verdict(&app).map(|verdict| &verdict.answer) {
                Some(Answer::Down(reason, _)) => Some(*reason),
                Some(Answer::Up(_)) => None,
                other => panic!("{other:?}"),
            };
            // What it is, a list says.
            while let Some(action) = engine.next_action(now) {
                if let Action::Ask(flight, ..) = action {
                    let parts = Parts { id: "a", names: "app", image: "image", status: "Up 1 second", ports: "[]", ..Parts::default() };
                    let container = Container { texts: Texts::of(&parts), state: State::Running, ..Container::default() };
                    engine.docker_said(flight, Ok(Listed { containers: vec![container], ..Listed::default() }), now);
                }
            }
            for (after, is_young) in [(young.saturating_sub(1), young > 0), (young, false)] {
                engine.due(now + milliseconds(after));
                assert_eq!(reason(&mut engine) == Some(Reason::Starting), is_young, "{at} {unix} after {after}");
            }
            assert_eq!(reason(&mut engine), None);
        }
    }

    #[test]
    fn events_that_come_late_are_said_to_once_a_stream_and_replayed_ones_are_not_late() {
        let start = Instant::now();
        let (mut engine, stream) = live(Config::default().settings(), start, Duration::from_millis(UNIX));
        // when it is read, when Docker says it happened, in seconds after the stream was opened, and how many were late by then
        let cases: [(u64, i64, u64); 7] = [(10, 10, 0), (10, 8, 0), (10, -1, 0), (10, 0, 0), (10, 7, 1), (11, 11, 1), (200, 20, 2)];
        for (read, at, late) in cases {
            let now = start + Duration::from_secs(read);
            engine.docker_told(stream, &started(Duration::from_millis(UNIX.saturating_add_signed(at * 1000))), now);
            assert_eq!(engine.counts.events_late, late, "{at} read at {read}");
        }
        let said: Vec<_> = std::iter::from_fn(|| engine.next_action(start)).filter(|action| matches!(action, Action::Late(_))).collect();
        assert_eq!(said, [Action::Late(Duration::from_secs(3))]);
        // It was not read for a while.
        let now = start + Duration::from_secs(220);
        engine.stood_still(Duration::from_secs(20), now);
        engine.docker_told(stream, &started(Duration::from_millis(UNIX + 205_000)), now);
        assert_eq!(engine.counts.events_late, 2);
    }

    #[test]
    fn events_alone_make_no_more_containers_than_there_may_be() {
        let now = Instant::now();
        let (mut engine, stream) = live(Config::default().settings(), now, Duration::from_hours(500_000));
        let created = |number: usize| {
            let id = format!("{number:05}").into();
            Told::Line(Line::Event(Event { id, name: "app".into(), what: What::Created, at: number as u64, ..Event::default() }))
        };
        let most = limits::CONTAINERS + limits::UNLISTED;
        for number in 0..most {
            engine.docker_told(stream, &created(number), now);
        }
        assert_eq!((engine.containers(), engine.counts.met_size), (most, 0));
        engine.resync_at = now + Duration::from_hours(1);
        engine.docker_told(stream, &created(most), now);
        assert_eq!((engine.containers(), engine.counts.met_size, engine.resync_at), (most, 1, now));
        // One that is known is no further one.
        engine.docker_told(stream, &Told::Line(Line::Event(Event { what: What::Started, ..event(&created(7)) })), now);
        assert_eq!((engine.containers(), engine.counts.met_size), (most, 1));
    }

    fn event(told: &Told) -> Event {
        if let Told::Line(Line::Event(event)) = told { event.clone() } else { panic!("{told:?}") }
    }

    #[test]
    fn events_are_never_asked_for_from_the_future() {
        let start = Instant::now();
        let milliseconds = Duration::from_millis;
        // what the clock says ten seconds after the last event, and from when on events are asked for then
        for (unix, since) in [
            (UNIX + 10_000, UNIX),
            (UNIX + 3_600_000, UNIX),
            (UNIX + 9000, UNIX),
            (UNIX - 3_600_000, UNIX - 3_602_000),
            (UNIX / 1000, UNIX / 1000 - 2000),
            (0, 0),
        ] {
            let (mut engine, stream) = live(Config::default().settings(), start, milliseconds(UNIX));
            engine.docker_told(stream, &started(milliseconds(UNIX)), start);
            let now = start + milliseconds(10_000);
            engine.clock_is(milliseconds(unix), now);
            assert_eq!(engine.replay_from(now), Some(nanoseconds(milliseconds(since))), "{unix}");
        }
    }
}
