//! An index over everybody's due time, which is a field of who waits.
//!
//! An entry may be early: a due time that moves later leaves its entry where it is, which is set anew when it comes up. So a
//! connection that is busy costs the index nothing, and there is nothing to cancel.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::slots::Id;

/// The index.
#[derive(Debug, Default)]
pub struct Deadlines {
    entries: BTreeSet<(Instant, Id)>,
}

/// A due time, with the entry that the index has for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Due {
    at: Option<Instant>,
    entry: Option<Instant>,
}

impl Due {
    /// Whether it is due.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

impl Deadlines {
    /// From now on it is due then, or never.
    #[inline]
    pub fn set(&mut self, id: Id, due: &mut Due, at: Option<Instant>) {
        due.at = at;
        let Some(at) = at else { return };
        if due.entry.is_some_and(|entry| entry <= at) {
            return;
        }
        if let Some(entry) = due.entry.replace(at) {
            self.entries.remove(&(entry, id));
        }
        self.entries.insert((at, id));
    }

    /// Forgets one who is gone.
    pub fn remove(&mut self, id: Id, due: &Due) {
        if let Some(entry) = due.entry {
            self.entries.remove(&(entry, id));
        }
    }

    /// When to look again.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.entries.first().map(|&(at, _)| at)
    }

    /// Takes out one whose entry has come up. Its owner then calls [`Deadlines::came_up`].
    pub fn pop(&mut self, now: Instant) -> Option<Id> {
        let &(at, id) = self.entries.first()?;
        if at > now {
            return None;
        }
        self.entries.pop_first();
        Some(id)
    }

    /// The entry came up: says whether its owner is due, and if it is only later, sets it anew.
    pub fn came_up(&mut self, id: Id, due: &mut Due, now: Instant) -> bool {
        due.entry = None;
        let over = due.is_over(now);
        if !over {
            self.set(id, due, due.at);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::slots::Slots;

    #[test]
    fn a_due_time_that_moves_later_costs_the_index_nothing_until_it_comes_up() {
        let mut slots = Slots::new();
        let id = slots.insert(());
        let start = Clock::start();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (mut deadlines, mut due) = (Deadlines::default(), Due::default());
        deadlines.set(id, &mut due, Some(at(5)));
        deadlines.set(id, &mut due, Some(at(9)));
        assert_eq!(deadlines.next(), Some(at(5)));
        assert_eq!(deadlines.pop(at(4)), None);
        assert_eq!(deadlines.pop(at(5)), Some(id));
        assert!(!deadlines.came_up(id, &mut due, at(5)));
        assert_eq!(deadlines.next(), Some(at(9)));
        deadlines.set(id, &mut due, Some(at(7)));
        assert_eq!(deadlines.next(), Some(at(7)), "one that moves earlier is set anew");
        assert_eq!(deadlines.entries.len(), 1);
        assert_eq!(deadlines.pop(at(8)), Some(id));
        assert!(deadlines.came_up(id, &mut due, at(8)));
    }

    #[test]
    fn one_who_is_never_due_comes_up_once_and_is_forgotten() {
        let mut slots = Slots::new();
        let id = slots.insert(());
        let start = Clock::start();
        let (mut deadlines, mut due) = (Deadlines::default(), Due::default());
        deadlines.set(id, &mut due, Some(start));
        deadlines.set(id, &mut due, None);
        assert_eq!(deadlines.pop(start), Some(id));
        assert!(!deadlines.came_up(id, &mut due, start));
        assert_eq!(deadlines.next(), None);
        deadlines.set(id, &mut due, Some(start));
        deadlines.remove(id, &due);
        assert_eq!(deadlines.next(), None);
    }

    struct Clock;

    impl Clock {
        fn start() -> Instant {
            crate::io::clock::Clock::new().now()
        }
    }
}
