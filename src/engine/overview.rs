//! All apps at once: how each of them stands, kept up to date as the facts change, and who is told when.
//!
//! What has changed is only noted where it changes; [`Engine::take_stock`] judges it anew once all of a turn has been read, so that
//! the cost of an event does not grow with the number of apps, and a burst of events is one change.

use std::time::{Duration, Instant};

use super::check::Checks;
use super::groups::Standing;
use super::watch::{Query, Watcher};
use super::{Action, Answer, AppName, Engine, Reason, Ticket, Trust, Waiter, Wants};
use crate::limits;

impl Engine {
    /// Somebody asks about all apps, and the facts are as fresh as they can be.
    pub(super) fn survey(&mut self, ticket: Ticket, query: Box<Query>, may_wait: bool, now: Instant) {
        self.asked_about_all(now);
        for app in &query.require {
            self.asked_about(app, now);
        }
        self.take_stock(now);
        let may_wait = may_wait && !self.stops;
        if !may_wait || query.wait.is_zero() || query.index != Some(self.watch.index) {
            return self.actions.push_back(Action::Apps(ticket, query));
        }
        if query.wait > limits::LONGEST_WAIT {
            super::count(&mut self.counts.waits_cut);
        }
        if let Some(Watcher { ticket, query, .. }) = self.watch.wait(ticket, query, now) {
            super::count(&mut self.counts.watchers_early);
            self.actions.push_back(Action::Apps(ticket, query));
        }
        if self.trust(now) == Trust::Blind {
            // No event would tell of a change.
            self.resync_at = self.resync_at.min(now + self.watched_rest());
        }
    }

    /// Between two lists while no event comes and somebody waits for a change.
    pub(super) fn watched_rest(&self) -> Duration {
        limits::WATCHED_REST.max(self.took.saturating_mul(limits::LIST_REST))
    }

    /// A connection has closed: nobody waits on it any more.
    pub fn left(&mut self, connection: crate::slots::Id) {
        self.watch.left(connection);
        let waiting = self.list.as_mut().map(|list| &mut list.waiting);
        for waiters in waiting.into_iter().chain([&mut self.behind, &mut self.open]) {
            waiters.retain(|waiter| waiter.ticket.connection != connection);
        }
        if let Some(checks) = &mut self.checks {
            checks.retain_waiting(|ticket, _| ticket.connection != connection);
        }
    }

    /// The server stops: who waits for a change is told what is so, and from now on nobody may wait.
    pub fn stopping(&mut self) {
        self.stops = true;
        let watchers = self.watch.wake();
        self.tell_watchers(watchers);
    }

    pub(super) fn tell_watchers(&mut self, watchers: Vec<Watcher>) {
        self.actions.extend(watchers.into_iter().map(|Watcher { ticket, query, .. }| Action::Apps(ticket, query)));
    }

    /// Judges anew what has changed since the last time, and wakes those who wait for that.
    pub(super) fn take_stock(&mut self, now: Instant) {
        let trust = self.trust(now);
        let away = if trust == Trust::Down { self.contact.last().and_then(|last| last.as_ref().err()).map(Reason::of) } else { None };
        let (was, was_away) = std::mem::replace(&mut self.stock, (trust, away));
        let mut has_changed = was != trust;
        // Only whether Docker is down is part of what is told of an app.
        if was_away != away {
            self.view.groups.touch_all();
        }
        while let Some(app) = self.checks.as_mut().and_then(Checks::next_changed) {
            self.view.groups.touch(app.as_bytes());
        }
        while let Some(name) = self.view.groups.next_changed() {
            has_changed |= self.judge_anew(&name, away, now);
        }
        if has_changed {
            self.watch.index = self.watch.index.wrapping_add(1);
            let watchers = self.watch.wake();
            self.tell_watchers(watchers);
        }
    }

    /// Says whether what is told of that name among all apps has changed.
    fn judge_anew(&mut self, name: &[u8], away: Option<Reason>, now: Instant) -> bool {
        let Some(app) = AppName::parse(name) else {
            self.view.groups.tidy(name);
            return false;
        };
        self.recheck(&app, now);
        let Some(group) = self.view.groups.get_mut(name) else { return false };
        if !group.is_listed() {
            let was = group.standing.take();
            self.view.groups.tidy(name);
            if was.as_ref().is_some_and(|was| was.up == Some(true)) {
                self.actions.push_back(Action::Turned(app, Some(Reason::NoContainer)));
            }
            return was.is_some();
        }
        let containers = u32::try_from(group.members().count()).unwrap_or(u32::MAX);
        let (fault, created) = match self.view.verdict(&app).map(|verdict| &verdict.answer) {
            Some(Answer::Up(shown)) => {
                let created = shown.container.created;
                (self.checks.as_ref().and_then(|checks| checks.fault(&app)), Some(created))
            }
            Some(Answer::Down(reason, shown)) => (Some(*reason), Some(shown.container.created)),
            _ => (Some(Reason::NoContainer), None),
        };
        let unix = self.unix(now).as_secs();
        let drained = self.drains.of(&app, unix).map(|_| Reason::Drained);
        let fault = drained.or(away).or(fault);
        let Some(group) = self.view.groups.get_mut(name) else { return false };
        // It has a copy of the container, which not every app is worth: the first probe makes it anew.
        group.verdict = None;
        // Before there are facts, while Docker is away, and while it is being checked for the first time, nobody knows.
        let is_known = self.has_facts && (away.is_none() || drained.is_some()) && fault != Some(Reason::Checking);
        let (has_changed, turns) = group.stands(fault, is_known, containers, created, i64::try_from(unix).unwrap_or(i64::MAX));
        if turns {
            self.actions.push_back(Action::Turned(app, fault));
        }
        has_changed
    }

    /// How all apps stand, sorted by name.
    #[must_use]
    pub fn rows(&self) -> Vec<(&str, &Standing)> {
        let mut rows: Vec<_> = self.view.groups.rows().collect();
        rows.sort_unstable_by_key(|(name, _)| *name);
        rows
    }

    /// How many apps are up, and how many are not.
    #[must_use]
    pub fn tally(&self) -> (usize, usize) {
        let up = self.view.groups.rows().filter(|(_, standing)| standing.row.fault.is_none()).count();
        (up, self.view.groups.rows().count().saturating_sub(up))
    }

    /// What is wrong with each app that is down, in the order of their rows; none if it has come up since these were written.
    pub fn all_wrong(&mut self, now: Instant) -> Vec<Option<Answer>> {
        let down = |(name, standing): &(&str, &Standing)| standing.row.fault.and_then(|_| AppName::parse(name.as_bytes()));
        let down: Vec<_> = self.rows().iter().filter_map(down).collect();
        down.iter().map(|app| self.first_down(std::slice::from_ref(app), now)).collect()
    }

    /// What is wrong with the first of these apps that is not up.
    pub fn first_down(&mut self, apps: &[AppName], now: Instant) -> Option<Answer> {
        let (unix, is_down) = (self.unix(now).as_secs(), self.trust(now) == Trust::Down);
        apps.iter().find_map(|app| {
            if let Some(drained) = self.drains.of(app, unix) {
                return Some(Answer::Drained(Box::new(drained)));
            }
            match self.contact.last() {
                Some(Err(fault)) if is_down => Some(Answer::Unknown(fault.clone())),
                _ => match self.verdict(app).map(|verdict| &verdict.answer) {
                    Some(Answer::Up(_)) => None,
                    Some(other) => Some(other.clone()),
                    None => Some(Answer::NoContainer { app: *app, expected: false }),
                },
            }
        })
    }

    /// The index of what is told of all apps.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.watch.index
    }

    /// How far the view was trusted when stock was last taken.
    #[must_use]
    pub const fn told_trust(&self) -> Trust {
        self.stock.0
    }

    /// How many wait for a change.
    #[must_use]
    pub const fn watchers(&self) -> usize {
        self.watch.len()
    }

    /// Whether what a probe wants depends on a question that is open.
    pub(super) fn is_open(&self, wants: &Wants) -> bool {
        match wants {
            Wants::App(app) => self.view.is_open(app),
            Wants::Apps(query) => query.require.iter().any(|app| self.view.is_open(app)),
        }
    }

    /// Tells one who has waited for Docker what is so by now.
    pub(super) fn tell_what_is_known(&mut self, Waiter { ticket, wants, .. }: Waiter, stale: bool, now: Instant) {
        match wants {
            Wants::App(app) => self.tell(ticket, &app, stale, true, now),
            Wants::Apps(query) => self.survey(ticket, query, true, now),
        }
    }
}
