//! Whether the app itself answers: which app is checked when, what came of it, and who waits for that.
//!
//! An app that was asked about in the last minute is checked in the background, so that probes do not multiply checks; only
//! the first probe of an app waits for a result. What becomes of an app's record:
//!
//! ```text
//!          asked about while up                   the containers' verdict goes down:
//!   none ----------------------> up, no result <--------- the result is forgotten, the check on its way too
//!    ^                               |                                   ^
//!    | not asked about for           | the first result decides alone    | up again: checked at once
//!    | a minute, or no               v                                   |
//!    | container left            passing <---- rise in a row ----+       |
//!    +---- any of these             |                            |     down, no check is sent
//!                                   +------- fall in a row --> failing
//! ```
//!
//! Each app has a place of its own in the interval, so that the checks of many apps are spread over it.

mod probes;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rustc_hash::FxBuildHasher;
use slab::Slab;

use super::verdict::Verdict;
use super::{Answer, AppName, FlightId, Plant, Reason, Ticket, planted};
use crate::limits;
use crate::lost::Lost;

/// How apps are checked.
#[derive(Clone, Debug)]
pub struct CheckSettings {
    /// How often.
    pub interval: Duration,
    /// How long one check may take, and a probe wait for it.
    pub timeout: Duration,
    /// Down after so many failures in a row.
    pub fall: u32,
    /// Up after so many successes in a row.
    pub rise: u32,
    /// Statuses that are failures.
    pub fail: Vec<RangeInclusive<u16>>,
}

/// Why a check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckFault {
    /// The answer has a status that is a failure.
    Status(u16),
    /// No status line in time.
    Late,
    /// There is no connection, or it was reset before there was an answer. Why that is ours is no fault of the app's, and no result.
    Lost(Lost),
    /// It was closed before there was an answer.
    Closed,
    /// What came is no HTTP.
    Malformed,
}

impl From<Lost> for CheckFault {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl CheckFault {
    /// The kinds of them, each in a word, in the order of their counters.
    pub const KINDS: [&str; 11] =
        ["status", "timeout", "refused", "no-socket", "denied", "full", "unreachable", "reset", "closed", "malformed", "not-sent"];

    const fn kind(self) -> usize {
        match self {
            Self::Status(_) => 0,
            Self::Late => 1,
            Self::Lost(Lost::Refused) => 2,
            Self::Lost(Lost::NoSocket) => 3,
            Self::Lost(Lost::Denied) => 4,
            Self::Lost(Lost::Full) => 5,
            Self::Lost(Lost::Unreachable(_)) => 6,
            Self::Lost(Lost::Reset) => 7,
            Self::Closed => 8,
            Self::Malformed => 9,
            Self::Lost(Lost::Ours(_)) => 10,
        }
    }
}

/// An app whose containers are up, but whose check fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckFailed {
    /// The app.
    pub app: AppName,
    /// The name of the container that is up.
    pub container: Box<str>,
    /// What is wrong.
    pub fault: CheckFault,
}

/// What a check came to.
type Outcome = Result<(), CheckFault>;

/// A check on its way.
#[derive(Debug)]
struct Flight {
    id: FlightId,
    due: Instant,
    /// Its status line has come and decided; only the rest of the answer is still to come.
    told: bool,
}

/// What is kept of one app.
#[derive(Debug)]
struct Record {
    app: AppName,
    /// When it was last asked about.
    asked: Instant,
    /// Whether its containers are up.
    up: bool,
    /// Its place in the interval.
    place: Duration,
    /// When it is to be checked.
    next: Instant,
    flight: Option<Flight>,
    result: Option<Outcome>,
    /// Results in a row that differ from that one.
    contrary: u32,
    /// What is told while it fails.
    failing: Option<Verdict>,
    /// Its last check had no answer in time.
    hung: bool,
    /// The entry of the index.
    wake: Option<Instant>,
}

/// A probe that waits for a first result.
#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    app: AppName,
    due: Instant,
    /// What Docker said of it was stale when it began to wait.
    stale: bool,
}

/// All checks.
#[derive(Debug)]
pub(super) struct Checks {
    settings: CheckSettings,
    started: Instant,
    records: Slab<Record>,
    by_name: HashMap<Box<[u8]>, usize, FxBuildHasher>,
    /// When to look at whom who has no check on its way.
    wakes: BTreeSet<(Instant, usize)>,
    /// The same for those that hang.
    hung: BTreeSet<(Instant, usize)>,
    /// Whose check is on its way.
    flying: Vec<usize>,
    /// Probes that wait for a first result.
    waiting: VecDeque<Waiter>,
    /// So many records were made.
    made: u32,
    /// What was last told of an app without a result.
    checking: Option<Verdict>,
    /// The apps of which something else may be told since they were last taken.
    changed: Vec<AppName>,
}

impl Checks {
    pub(super) fn new(settings: CheckSettings, now: Instant) -> Self {
        Self {
            settings,
            started: now,
            records: Slab::new(),
            by_name: HashMap::default(),
            wakes: BTreeSet::new(),
            hung: BTreeSet::new(),
            flying: Vec::new(),
            waiting: VecDeque::new(),
            made: 0,
            checking: None,
            changed: Vec::new(),
        }
    }

    /// The next app of which something else may be told.
    pub(super) fn next_changed(&mut self) -> Option<AppName> {
        self.changed.pop()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lets those go who are told something else.
    pub(super) fn retain_waiting(&mut self, mut stays: impl FnMut(Ticket, &AppName) -> bool) {
        self.waiting.retain(|waiter| stays(waiter.ticket, &waiter.app));
    }

    /// Somebody asks about an app, whose containers are up or not. Says whether there is a result to wait for, and which check is
    /// no longer wanted. Only an app that is up gets a record, so that made-up names leave nothing behind.
    fn asked(&mut self, app: &AppName, up: bool, now: Instant) -> (bool, Option<FlightId>) {
        let known = self.by_name.get(app.as_bytes()).copied();
        let slot = match known {
            Some(slot) => slot,
            None if up => self.insert(app, now),
            None => return (false, None),
        };
        let forgotten = self.turned(slot, up);
        let Some(record) = self.records.get_mut(slot) else { return (false, forgotten) };
        record.asked = now;
        (up && record.result.is_none(), forgotten)
    }

    /// For so long nothing was done: checks on their way, and who waits for them, have that much longer. Whoever was to be forgotten by now
    /// is. Gives the checks that are no longer wanted.
    pub(super) fn stood_still(&mut self, time: Duration, now: Instant) -> Vec<FlightId> {
        let Self { flying, records, waiting, by_name, .. } = self;
        for &slot in &*flying {
            if let Some(flight) = records.get_mut(slot).and_then(|record| record.flight.as_mut()) {
                flight.due += time;
            }
        }
        for waiter in waiting {
            waiter.due += time;
            // Somebody asks about it still.
            if let Some(record) = by_name.get(waiter.app.as_bytes()).and_then(|&slot| records.get_mut(slot)) {
                record.asked = now;
            }
        }
        let is_old = |record: &Record| now.saturating_duration_since(record.asked) >= limits::ASKED_ABOUT;
        let old = records.iter().filter(|(_, record)| is_old(record) && !planted(Plant::KeepAResultOverAStandstill));
        let old: Vec<usize> = old.map(|(slot, _)| slot).collect();
        let unwanted = old.iter().filter_map(|&slot| self.turned(slot, false)).collect();
        for slot in old {
            self.remove(slot);
        }
        unwanted
    }

    fn insert(&mut self, app: &AppName, now: Instant) -> usize {
        // Multiples of the golden ratio lie apart from each other, however many there are.
        self.made = self.made.wrapping_add(1);
        let place = self.made.wrapping_mul(0x9e37_79b9) >> 16;
        let place = self.settings.interval.saturating_mul(place) / (1 << 16);
        let record = Record {
            app: *app,
            asked: now,
            up: false,
            place,
            next: now,
            flight: None,
            result: None,
            contrary: 0,
            failing: None,
            hung: false,
            wake: None,
        };
        self.changed.push(*app);
        let slot = self.records.insert(record);
        self.by_name.insert(app.as_bytes().into(), slot);
        slot
    }

    fn remove(&mut self, slot: usize) {
        self.unschedule(slot);
        if let Some(record) = self.records.try_remove(slot) {
            self.changed.push(record.app);
            self.by_name.remove(record.app.as_bytes());
        }
    }

    /// Its containers are up, or are not. Gives the check that is no longer wanted: what it finds may be of the former run.
    fn turned(&mut self, slot: usize, up: bool) -> Option<FlightId> {
        let record = self.records.get_mut(slot).filter(|record| record.up != up)?;
        record.up = up;
        // Before all that is due otherwise: somebody may wait for it.
        record.next = self.started;
        let flight = record.flight.take();
        if !up && !planted(Plant::KeepAResultOverADeath) {
            (record.result, record.contrary, record.failing) = (None, 0, None);
        }
        self.flying.retain(|&other| other != slot);
        // That the former run hung says nothing of the next one, whose first check waits for none of those that hang.
        self.unschedule(slot);
        if let Some(record) = self.records.get_mut(slot) {
            record.hung = false;
        }
        self.schedule(slot);
        flight.map(|flight| flight.id)
    }

    /// Sets when to look at it next: when it is to be checked, or to be forgotten. The index may be early, since being asked about
    /// moves nothing.
    fn schedule(&mut self, slot: usize) {
        self.unschedule(slot);
        let Some(record) = self.records.get_mut(slot).filter(|record| record.flight.is_none()) else { return };
        let forget = record.asked + limits::ASKED_ABOUT;
        let at = if record.up { record.next.min(forget) } else { forget };
        record.wake = Some(at);
        let wakes = if record.hung { &mut self.hung } else { &mut self.wakes };
        wakes.insert((at, slot));
    }

    fn unschedule(&mut self, slot: usize) {
        let Some(record) = self.records.get_mut(slot) else { return };
        let wakes = if record.hung { &mut self.hung } else { &mut self.wakes };
        if let Some(at) = record.wake.take() {
            wakes.remove(&(at, slot));
        }
    }

    /// Whether one more of those that hang may be checked: each of them keeps its place for as long as a check may take.
    fn has_room_for_hung(&self) -> bool {
        let is_hung = |slot: &&usize| self.records.get(**slot).is_some_and(|record| record.hung);
        self.flying.iter().filter(is_hung).count() < limits::HUNG_CHECKS_AT_ONCE
    }

    /// The first of those to be looked at, when there is room for their checks.
    fn first_wake(&self) -> Option<(Instant, usize)> {
        let hung = self.hung.first().filter(|_| self.has_room_for_hung());
        self.wakes.first().into_iter().chain(hung).min().copied()
    }

    /// The next app to be checked now, if there is one and room for it. Whoever was not asked about for a minute is forgotten.
    fn next(&mut self, now: Instant) -> Option<usize> {
        while self.flying.len() < limits::CHECKS_AT_ONCE {
            let (_, slot) = self.first_wake().filter(|(at, _)| *at <= now)?;
            let record = self.records.get(slot)?;
            if now.saturating_duration_since(record.asked) >= limits::ASKED_ABOUT {
                self.remove(slot);
            } else if record.up && record.next <= now {
                self.unschedule(slot);
                return Some(slot);
            } else {
                self.schedule(slot);
            }
        }
        None
    }

    /// The first moment after this in an app's place in the interval.
    fn next_place(&self, place: Duration, now: Instant) -> Instant {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (interval, place) = (nanos(self.settings.interval).max(1), nanos(place));
        let into = nanos(now.saturating_duration_since(self.started)) % interval;
        let wait = if place > into { place - into } else { (interval - into).saturating_add(place) };
        now + Duration::from_nanos(wait)
    }

    fn flying(&self, id: FlightId) -> Option<usize> {
        let is_it = |slot: &usize| self.records.get(*slot).and_then(|record| record.flight.as_ref()).is_some_and(|flight| flight.id == id);
        self.flying.iter().copied().find(is_it)
    }

    /// The check of an app has ended: the next one is due in its place in the interval.
    fn landed(&mut self, slot: usize, hung: bool, now: Instant) -> Option<Flight> {
        self.flying.retain(|&other| other != slot);
        let place = self.records.get(slot)?.place;
        let next = self.next_place(place, now);
        let record = self.records.get_mut(slot)?;
        record.next = next;
        // Nothing of it is in the index while its check is on its way.
        record.hung = hung;
        let flight = record.flight.take();
        self.schedule(slot);
        flight
    }

    fn judge(&self, status: u16) -> Outcome {
        if self.settings.fail.iter().any(|range| range.contains(&status)) { Err(CheckFault::Status(status)) } else { Ok(()) }
    }

    /// A check has come to this. Gives the app, whether that was its first result, and whether it turned from good to bad or back.
    fn decided(&mut self, slot: usize, outcome: Outcome) -> Option<(AppName, bool, bool)> {
        let record = self.records.get_mut(slot)?;
        let was = record.result;
        let in_a_row = match was {
            None => 1,
            Some(Ok(())) => self.settings.fall,
            Some(Err(_)) => self.settings.rise,
        };
        record.contrary = if was.is_some_and(|was| was.is_ok() == outcome.is_ok()) { 0 } else { record.contrary.saturating_add(1) };
        // One that fails goes on failing for the latest reason.
        if record.contrary >= in_a_row || (outcome.is_err() && was.is_some_and(|was| was.is_err())) {
            record.result = Some(outcome);
        }
        let turned = record.contrary >= in_a_row;
        if turned {
            record.contrary = 0;
            self.changed.push(record.app);
        }
        Some((record.app, was.is_none(), turned))
    }

    /// What is told of an app of which the containers tell this.
    pub(super) fn verdict<'a>(&'a mut self, app: &AppName, containers: &'a mut Verdict) -> &'a mut Verdict {
        let Answer::Up(shown) = &containers.answer else { return containers };
        let record = self.by_name.get(app.as_bytes()).and_then(|&slot| self.records.get_mut(slot));
        let Some((record, result)) = record.and_then(|record| record.result.map(|result| (record, result))) else {
            return self.checking.insert(Verdict { answer: Answer::Checking(shown.name.clone()), rendered: None });
        };
        let Err(fault) = result else { return containers };
        let is_it = |failed: &CheckFailed| failed.fault == fault && failed.container == shown.name;
        record.failing.take_if(|verdict| !matches!(&verdict.answer, Answer::CheckFailed(failed) if is_it(failed)));
        record.failing.get_or_insert_with(|| {
            let failed = CheckFailed { app: *app, container: shown.name.clone(), fault };
            Verdict { answer: Answer::CheckFailed(Box::new(failed)), rendered: None }
        })
    }

    /// Why an app is down of which the containers are up, if it is.
    pub(super) fn fault(&self, app: &AppName) -> Option<Reason> {
        let record = self.by_name.get(app.as_bytes()).and_then(|&slot| self.records.get(slot));
        match record.and_then(|record| record.result) {
            None => Some(Reason::Checking),
            Some(Ok(())) => None,
            Some(Err(_)) => Some(Reason::CheckFailed),
        }
    }

    /// When something is due: a check on its way, one that is to be sent, or the end of a wait.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let flights = self.flying.iter().filter_map(|&slot| self.records.get(slot)?.flight.as_ref()).map(|flight| flight.due);
        let has_room = self.flying.len() < limits::CHECKS_AT_ONCE;
        let wake = self.first_wake().filter(|_| has_room).map(|(at, _)| at);
        flights.chain(wake).chain(self.waiting.front().map(|waiter| waiter.due)).min()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test has to start at some instant")]

    use super::*;
    use crate::engine::Path;
    use crate::slots::Id;

    const INTERVAL: Duration = Duration::from_secs(2);

    fn checks(fall: u32, rise: u32, now: Instant) -> Checks {
        let settings = CheckSettings { interval: INTERVAL, timeout: Duration::from_secs(3), fall, rise, fail: vec![404..=404, 502..=504] };
        Checks::new(settings, now)
    }

    fn app(number: usize) -> AppName {
        AppName::parse(format!("app{number}").as_bytes()).unwrap()
    }

    /// So many apps are up and asked about.
    fn asked(apps: usize, now: Instant) -> Checks {
        let mut checks = checks(2, 1, now);
        for number in 0..apps {
            checks.asked(&app(number), true, now);
        }
        checks
    }

    /// A check is over, and came to this.
    fn ended(checks: &mut Checks, slot: usize, outcome: Outcome, now: Instant) {
        checks.landed(slot, false, now);
        checks.decided(slot, outcome);
    }

    /// Sends what is due now.
    fn send(checks: &mut Checks, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| {
            let slot = checks.next(now)?;
            checks.records[slot].flight = Some(Flight { id: FlightId(slot as u64), due: now + Duration::from_secs(3), told: false });
            checks.flying.push(slot);
            Some(slot)
        })
        .collect()
    }

    #[test]
    fn the_first_result_decides_alone_and_then_so_many_in_a_row() {
        // fall, rise, results (. good, x bad), and what is told after each (+ up, - down)
        let cases = [
            (2, 1, "..x.xx.", "+++++-+"),
            (2, 1, "x.", "-+"),
            (1, 1, ".x.x", "+-+-"),
            (3, 2, "xx..xx.xxx..", "---++++++--+"),
            (2, 3, "x..x...x", "------++"),
        ];
        for (fall, rise, results, wants) in cases {
            let now = Instant::now();
            let mut checks = checks(fall, rise, now);
            assert_eq!(checks.asked(&app(0), true, now), (true, None));
            let slot = send(&mut checks, now)[0];
            let told: String = results
                .chars()
                .map(|result| {
                    checks.decided(slot, if result == '.' { Ok(()) } else { Err(CheckFault::Late) }).unwrap();
                    if checks.records[slot].result == Some(Ok(())) { '+' } else { '-' }
                })
                .collect();
            assert_eq!(told, wants, "{results} fall={fall} rise={rise}");
        }
    }

    #[test]
    fn whoever_fails_does_so_for_the_latest_reason() {
        let now = Instant::now();
        let mut checks = checks(2, 2, now);
        checks.asked(&app(0), true, now);
        for (outcome, turned) in [(Err(CheckFault::Late), true), (Ok(()), false), (Err(CheckFault::Lost(Lost::Refused)), false)] {
            assert_eq!(checks.decided(0, outcome).map(|(_, _, turned)| turned), Some(turned));
        }
        assert_eq!(checks.records[0].result, Some(Err(CheckFault::Lost(Lost::Refused))));
    }

    #[test]
    fn statuses_are_judged_by_the_list() {
        let checks = checks(2, 1, Instant::now());
        for (status, is_good) in
            [(200, true), (302, true), (404, false), (403, true), (500, true), (502, false), (504, false), (505, true), (999, true)]
        {
            assert_eq!(checks.judge(status).is_ok(), is_good, "{status}");
        }
    }

    #[test]
    fn no_more_than_eight_at_once_and_one_for_each_app_and_first_checks_first() {
        let now = Instant::now();
        let mut checks = asked(20, now);
        let mut sent = send(&mut checks, now);
        assert_eq!(sent.len(), limits::CHECKS_AT_ONCE);
        assert!(send(&mut checks, now).is_empty());
        // They hang, and are due again when they end; whoever has had none comes before them.
        let later = now + Duration::from_secs(3);
        for slot in sent.clone() {
            ended(&mut checks, slot, Err(CheckFault::Late), later);
        }
        let much_later = later + INTERVAL;
        let more = send(&mut checks, much_later);
        assert!(more.iter().all(|slot| !sent.contains(slot)), "{more:?} {sent:?}");
        sent.extend(more);
        let mut all = sent.clone();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 16);
    }

    #[test]
    fn checks_are_spread_over_the_interval() {
        let start = Instant::now();
        let mut checks = asked(62, start);
        let mut now = start;
        let mut moments = Vec::new();
        while now < start + Duration::from_secs(10) {
            for slot in send(&mut checks, now) {
                moments.push((slot, now));
                ended(&mut checks, slot, Ok(()), now);
            }
            now = checks.next_deadline().unwrap().max(now + Duration::from_nanos(1));
        }
        for slot in 0..62 {
            let own: Vec<Instant> = moments.iter().filter(|(other, _)| *other == slot).map(|(_, at)| *at).collect();
            assert!(own.len() >= 5, "{own:?}");
            assert!(own.windows(2).all(|two| two[1] - two[0] <= INTERVAL), "never later than it should be");
            assert!(own.windows(2).skip(1).all(|two| two[1] - two[0] == INTERVAL), "nor, but for the second, earlier");
        }
        // In any tenth of the interval there are about a tenth of them.
        for tenth in 0..10 {
            let from = start + INTERVAL * 2 + INTERVAL * tenth / 10;
            let within = moments.iter().filter(|(_, at)| *at >= from && *at < from + INTERVAL / 10).count();
            assert!((4..=9).contains(&within), "{within} in tenth {tenth}");
        }
    }

    #[test]
    fn whoever_is_not_asked_about_for_a_minute_is_forgotten_and_made_up_names_leave_nothing() {
        let now = Instant::now();
        let mut checks = checks(2, 1, now);
        assert_eq!(checks.asked(&app(1), false, now), (false, None));
        assert!(checks.records.is_empty());
        checks.asked(&app(0), true, now);
        let mut at = now;
        while let Some(next) = checks.next_deadline() {
            at = at.max(next);
            for slot in send(&mut checks, at) {
                ended(&mut checks, slot, Ok(()), at);
            }
        }
        assert_eq!(at, now + limits::ASKED_ABOUT);
        assert!(checks.records.is_empty() && checks.by_name.is_empty() && checks.wakes.is_empty());
        assert_eq!(checks.asked(&app(0), true, at), (true, None), "its next probe is a first one again");
    }

    #[test]
    fn over_a_standstill_old_results_are_forgotten_and_checks_on_their_way_have_longer() {
        let now = Instant::now();
        let a_moment_less = limits::ASKED_ABOUT.saturating_sub(Duration::from_nanos(1));
        for (stood, is_old) in [(a_moment_less, false), (limits::ASKED_ABOUT, true)] {
            let mut checks = checks(2, 1, now);
            // A first one has its result, and is checked again; for that of a second one somebody waits.
            checks.asked(&app(0), true, now);
            checks.asked(&app(1), true, now);
            send(&mut checks, now);
            checks.decided(0, Ok(())).unwrap();
            checks.waiting.push_back(Waiter {
                ticket: Ticket { connection: Id::from_usize(Id::FIRST), number: 0, path: Path::App },
                app: app(1),
                due: now,
                stale: false,
            });
            while checks.next_changed().is_some() {}
            let later = now + stood;
            assert_eq!(checks.stood_still(stood, later), if is_old { vec![FlightId(0)] } else { vec![] });
            assert_eq!(checks.next_changed(), is_old.then_some(app(0)));
            assert_eq!(checks.flying(FlightId(1)), Some(1));
            assert!(checks.flying.iter().all(|&slot| checks.records[slot].flight.as_ref().unwrap().due == later + Duration::from_secs(3)));
            assert_eq!(checks.waiting[0].due, later);
            assert_eq!(checks.asked(&app(0), true, later), (is_old, None), "{stood:?}");
        }
    }

    #[test]
    fn a_result_is_forgotten_with_the_run_it_was_found_in() {
        let now = Instant::now();
        let mut checks = asked(1, now);
        send(&mut checks, now);
        ended(&mut checks, 0, Ok(()), now);
        assert_eq!(checks.asked(&app(0), true, now), (false, None));
        let later = now + INTERVAL;
        assert_eq!(send(&mut checks, later), [0]);
        assert_eq!(checks.turned(0, false), Some(FlightId(0)), "what is on its way may be of the former run");
        assert!(checks.flying(FlightId(0)).is_none());
        assert!(send(&mut checks, later + INTERVAL * 2).is_empty(), "no check while it is down");
        assert_eq!(checks.asked(&app(0), false, later), (false, None), "nothing to wait for");
        assert_eq!(checks.asked(&app(0), true, later), (true, None));
        assert_eq!(send(&mut checks, later), [0], "checked at once");
        checks.decided(0, Err(CheckFault::Closed));
        assert_eq!(checks.records[0].result, Some(Err(CheckFault::Closed)), "the first result of the new run decides alone");
    }

    #[test]
    fn those_that_hang_leave_places_for_the_others() {
        let now = Instant::now();
        let mut checks = asked(20, now);
        // All have had their first check; the first sixteen hang.
        for _ in 0..3 {
            for slot in send(&mut checks, now) {
                checks.landed(slot, slot < 16, now);
            }
        }
        let later = now + INTERVAL * 2;
        let sent = send(&mut checks, later);
        assert_eq!(sent.len(), limits::CHECKS_AT_ONCE);
        assert_eq!(sent.iter().filter(|slot| **slot < 16).count(), limits::HUNG_CHECKS_AT_ONCE);
        // The others are answered, and their places are for the rest of them, not for those that hang.
        for &slot in sent.iter().filter(|slot| **slot >= 16) {
            checks.landed(slot, false, later);
        }
        assert!(send(&mut checks, later).iter().all(|slot| *slot >= 16));
        assert!(checks.next_deadline().is_some_and(|deadline| deadline > later), "the loop would spin");
    }
}
