//! The engine's part in checks: whose probes wait for one, and what becomes of probes and checks as facts, answers and time come.

use std::collections::VecDeque;
use std::time::Instant;

use super::{CheckFault, Flight, Outcome, Waiter};
use crate::engine::{Action, Answer, AppName, Engine, FlightId, Ticket, Trust, count};
use crate::lost::Lost;

impl Engine {
    // ---- Probes.

    /// Gives a probe its verdict: all that Docker can say is known. The first one of an app waits for the result of a check. So a
    /// probe waits for Docker and then for the check, each as long as it may.
    #[inline]
    pub(in crate::engine) fn tell(&mut self, ticket: Ticket, app: &AppName, stale: bool, may_wait: bool, now: Instant) {
        let waits = self.asked_about(app, now);
        let has_room = !waits || self.has_room();
        let action = match &mut self.checks {
            Some(checks) if waits => {
                if may_wait && has_room {
                    let due = now + checks.settings.timeout;
                    return checks.waiting.push_back(Waiter { ticket, app: *app, due, stale });
                }
                count(&mut self.counts.busy);
                Action::Answer(ticket, Answer::Busy)
            }
            _ => Action::Verdict(ticket, *app, stale),
        };
        self.actions.push_back(action);
    }

    /// Somebody wants to know of an app, so that it is checked in the background for a minute from now on. Says whether there is no
    /// result yet; [`Engine::verdict`] gives [`Answer::Checking`] then.
    pub(in crate::engine) fn asked_about(&mut self, app: &AppName, now: Instant) -> bool {
        let Some(checks) = &mut self.checks else { return false };
        let up = self.view.is_up(app);
        let (waits, forgotten) = checks.asked(app, up, now);
        self.actions.extend(forgotten.map(Action::Forget));
        waits
    }

    /// As [`Engine::asked_about`], for all apps.
    pub(in crate::engine) fn asked_about_all(&mut self, now: Instant) {
        if self.checks.is_some() {
            for app in self.view.groups.apps() {
                self.asked_about(&app, now);
            }
        }
    }

    /// The apps of that container, if apps are checked: what happens to it may be undone before the turn is over.
    pub(in crate::engine) fn apps_checked_of(&self, container: &str) -> Vec<AppName> {
        if self.checks.is_some() { self.view.apps_of(container) } else { Vec::new() }
    }

    /// Facts about an app have changed: one that is down is no longer checked, and what the checks of that run said is forgotten.
    pub(in crate::engine) fn recheck(&mut self, app: &AppName, now: Instant) {
        let Some(checks) = &mut self.checks else { return };
        let Some(&slot) = checks.by_name.get(app.as_bytes()) else { return };
        let answer = self.view.verdict(app).map(|verdict| &verdict.answer);
        let up = matches!(answer, Some(Answer::Up(_)));
        self.actions.extend(checks.turned(slot, up).map(Action::Forget));
        if matches!(answer, None | Some(Answer::NoContainer { .. })) {
            checks.remove(slot);
        }
        if !up {
            self.tell_waiting(app, now);
        }
    }

    /// What the checks of apps that are down said is forgotten, though they may be up again before anybody is told.
    pub(in crate::engine) fn forget_former_results(&mut self) {
        let Some(checks) = &mut self.checks else { return };
        let down = checks.records.iter().filter(|(_, record)| !self.view.is_up(&record.app));
        let down: Vec<usize> = down.map(|(slot, _)| slot).collect();
        self.actions.extend(down.into_iter().filter_map(|slot| checks.turned(slot, false)).map(Action::Forget));
    }

    /// Tells those who wait for the first result of an app's check what is known now.
    fn tell_waiting(&mut self, app: &AppName, now: Instant) {
        let Some(checks) = &mut self.checks else { return };
        let (told, others) = std::mem::take(&mut checks.waiting).into_iter().partition(|waiter| waiter.app == *app);
        checks.waiting = others;
        let told: VecDeque<Waiter> = told;
        for waiter in told {
            self.tell_now(&waiter, now);
        }
    }

    /// Docker may have gone while it waited.
    fn tell_now(&mut self, waiter: &Waiter, now: Instant) {
        let action = match (self.trust(now), self.contact.last()) {
            (Trust::Down, Some(Err(fault))) => Action::Answer(waiter.ticket, Answer::Unknown(fault.clone())),
            // Docker may have been reached again meanwhile, but only a live view has had a list since.
            (trust, _) => Action::Verdict(waiter.ticket, waiter.app, trust == Trust::Stale || waiter.stale && trust != Trust::Live),
        };
        self.actions.push_back(action);
    }

    // ---- Checks.

    /// Sends the checks that are due, as many as may be on their way at once.
    pub(in crate::engine) fn send_checks(&mut self, now: Instant) {
        while let Some(slot) = self.checks.as_mut().and_then(|checks| checks.next(now)) {
            let id = self.next_id();
            count(&mut self.counts.checks);
            let Some(checks) = &mut self.checks else { return };
            let Some(record) = checks.records.get_mut(slot) else { return };
            record.flight = Some(Flight { id, due: now + checks.settings.timeout, told: false });
            checks.flying.push(slot);
            self.actions.push_back(Action::Check(id, record.app));
        }
    }

    /// The status line of a check's answer has come, and decides.
    pub fn check_told(&mut self, id: FlightId, status: u16, now: Instant) {
        let Some(checks) = &mut self.checks else { return };
        let Some(slot) = checks.flying(id) else { return };
        let outcome = checks.judge(status);
        if let Some(flight) = checks.records.get_mut(slot).and_then(|record| record.flight.as_mut()) {
            flight.told = true;
        }
        self.check_decided(slot, outcome, now);
    }

    /// A check is over, or failed on its way. However the rest of an answer ended, its status has decided.
    pub fn check_said(&mut self, id: FlightId, outcome: Result<(), CheckFault>, now: Instant) {
        if let Some(slot) = self.checks.as_ref().and_then(|checks| checks.flying(id)) {
            self.check_ended(slot, outcome, now);
        }
    }

    fn check_ended(&mut self, slot: usize, outcome: Outcome, now: Instant) {
        let flight = self.checks.as_mut().and_then(|checks| checks.landed(slot, outcome == Err(CheckFault::Late), now));
        if flight.is_some_and(|flight| !flight.told) {
            self.check_decided(slot, outcome, now);
        }
    }

    fn check_decided(&mut self, slot: usize, outcome: Outcome, now: Instant) {
        if let Err(fault) = outcome
            && let Some(counter) = self.counts.check_faults.get_mut(fault.kind())
        {
            count(counter);
        }
        if matches!(outcome, Err(CheckFault::Lost(Lost::Ours(_)))) {
            return;
        }
        let Some((app, is_first, turned)) = self.checks.as_mut().and_then(|checks| checks.decided(slot, outcome)) else { return };
        // That an app is well from the first is no news.
        if turned && !(is_first && outcome.is_ok()) {
            self.actions.push_back(Action::Checked(app, outcome));
        }
        if is_first {
            self.tell_waiting(&app, now);
        }
    }

    /// Gives up checks that have met their deadline, and tells those who have waited for as long as they may.
    pub(in crate::engine) fn checks_due(&mut self, now: Instant) {
        let Some(checks) = &self.checks else { return };
        let flights = checks.flying.iter().filter_map(|&slot| Some((slot, checks.records.get(slot)?.flight.as_ref()?)));
        let late: Vec<(usize, FlightId)> =
            flights.filter(|(_, flight)| flight.due <= now).map(|(slot, flight)| (slot, flight.id)).collect();
        for (slot, id) in late {
            self.actions.push_back(Action::Forget(id));
            self.check_ended(slot, Err(CheckFault::Late), now);
        }
        while let Some(waiter) = self.checks.as_mut().and_then(|checks| checks.waiting.pop_front_if(|waiter| waiter.due <= now)) {
            count(&mut self.counts.unchecked);
            self.tell_now(&waiter, now);
        }
    }
}
