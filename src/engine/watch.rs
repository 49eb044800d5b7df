//! Who waits for the answer about all apps to change (Consul's blocking query), and the index that tells them it has.

use std::time::{Duration, Instant};

use super::{AppName, Ticket};
use crate::limits;
use crate::slots::Id;

/// What is asked about all apps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The apps that must be up.
    pub require: Vec<AppName>,
    /// The index that the client knows.
    pub index: Option<u64>,
    /// How long it would wait for another.
    pub wait: Duration,
    /// A person wants to read the answer.
    pub page: bool,
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) ticket: Ticket,
    pub(super) query: Box<Query>,
    due: Instant,
}

/// All who wait, the longest-waiting first.
#[derive(Debug)]
pub(super) struct Watch {
    /// Changes exactly when what is told of all apps does. It starts from the clock, in microseconds, so that it never goes back
    /// over a restart: nothing changes a million times a second for long.
    pub(super) index: u64,
    watchers: Vec<Watcher>,
    /// How many may wait.
    room: usize,
    /// The first of their dues, so that it need not be looked for each turn.
    next: Option<Instant>,
}

impl Watch {
    pub(super) fn new(unix: Duration, room: usize) -> Self {
        let index = u64::try_from(unix.as_micros()).unwrap_or_default();
        Self { index, watchers: Vec::new(), room: room.clamp(1, limits::WATCHERS), next: None }
    }

    /// Whether anybody waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// How many wait.
    pub(super) const fn len(&self) -> usize {
        self.watchers.len()
    }

    /// One more waits. Gives the one who is to be answered early to make room, if there is none.
    pub(super) fn wait(&mut self, ticket: Ticket, query: Box<Query>, now: Instant) -> Option<Watcher> {
        let due = now + query.wait.min(limits::LONGEST_WAIT);
        let early = (self.watchers.len() >= self.room).then(|| self.watchers.remove(0));
        self.watchers.push(Watcher { ticket, query, due });
        self.next = self.watchers.iter().map(|watcher| watcher.due).min();
        early
    }

    /// Everybody, each to be answered once.
    pub(super) fn wake(&mut self) -> Vec<Watcher> {
        self.next = None;
        std::mem::take(&mut self.watchers)
    }

    /// Those who have waited as long as they would.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Watcher> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        let (due, waiting) = std::mem::take(&mut self.watchers).into_iter().partition(|watcher| watcher.due <= now);
        self.watchers = waiting;
        self.next = self.watchers.iter().map(|watcher| watcher.due).min();
        due
    }

    /// When the next one has waited as long as they would.
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.next
    }

    /// That connection has closed.
    pub(super) fn left(&mut self, connection: Id) {
        if !self.watchers.is_empty() {
            self.watchers.retain(|watcher| watcher.ticket.connection != connection);
            self.next = self.watchers.iter().map(|watcher| watcher.due).min();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test has to start at some instant")]

    use super::*;
    use crate::engine::Path;

    #[test]
    fn nobody_waits_for_longer_than_one_may() {
        let now = Instant::now();
        for (wait, due) in [(1, 1), (50, 50), (51, 50), (86_400, 50)] {
            let mut watch = Watch::new(Duration::ZERO, 8);
            let ticket = Ticket { connection: Id::from_usize(Id::FIRST), number: 0, path: Path::Apps };
            let query = Query { wait: Duration::from_secs(wait), ..Query::default() };
            assert!(watch.wait(ticket, Box::new(query), now).is_none());
            assert_eq!(watch.next_due(), Some(now + Duration::from_secs(due)), "{wait}");
        }
    }
}
