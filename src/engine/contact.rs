//! Whether Docker can be asked: how the last question ended, and until when no further one is asked.

use std::time::{Duration, Instant};

use crate::docker::Fault;
use crate::limits;

/// What is known of Docker itself.
#[derive(Debug)]
pub struct Contact {
    last: Option<Result<(), Fault>>,
    /// No question before.
    rests_until: Option<Instant>,
    /// In a row, of those that had connected.
    failures: u32,
    dice: u64,
}

impl Contact {
    /// Nothing is known. The seed makes the pauses of many hosts differ.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { last: None, rests_until: None, failures: 0, dice: seed | 1 }
    }

    /// How the last question ended, if any has.
    #[must_use]
    pub const fn last(&self) -> Option<&Result<(), Fault>> {
        self.last.as_ref()
    }

    /// Until when Docker is left alone; none if it may be asked.
    #[must_use]
    pub fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.rests_until.filter(|&until| until > now)
    }

    /// Docker answered. Says whether that is news.
    pub fn reached(&mut self) -> bool {
        self.failures = 0;
        self.rests_until = None;
        self.last.replace(Ok(())) != Some(Ok(()))
    }

    /// A question failed. Says whether that is news.
    pub fn lost(&mut self, fault: Fault, now: Instant) -> bool {
        let pause = if fault.is_refusal() {
            self.failures = 0;
            limits::REFUSED_PAUSE
        } else {
            self.failures = self.failures.saturating_add(1);
            self.growing_pause(self.failures)
        };
        self.rests_until = now.checked_add(pause);
        let news = self.last.as_ref() != Some(&Err(fault.clone()));
        self.last = Some(Err(fault));
        news
    }

    /// A quarter more or less by the dice, and never longer than the longest.
    pub fn growing_pause(&mut self, failures: u32) -> Duration {
        let pause = growing_pause(failures);
        // xorshift: it only has to differ from host to host
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let percent = u32::try_from(self.dice % 51).unwrap_or(0).saturating_add(75);
        (pause.saturating_mul(percent) / 100).min(limits::LONGEST_PAUSE)
    }
}

/// Doubled with each failure in a row.
fn growing_pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    limits::FIRST_PAUSE.saturating_mul(1 << doublings).min(limits::LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test has to start at some instant")]

    use super::*;
    use crate::http::response::Broken;
    use crate::lost::Lost;

    #[test]
    fn a_refusal_costs_nobody_anything_and_is_tried_again_each_second() {
        let now = Instant::now();
        let mut contact = Contact::new(7);
        for _ in 0..5 {
            contact.lost(Fault::Lost(Lost::Refused), now);
            assert_eq!(contact.rests_until(now), Some(now + limits::REFUSED_PAUSE));
        }
        assert_eq!(contact.rests_until(now + limits::REFUSED_PAUSE), None);
    }

    #[test]
    fn other_failures_are_given_longer_and_longer_pauses() {
        let now = Instant::now();
        let mut contact = Contact::new(7);
        let mut pauses: Vec<Duration> = Vec::new();
        for _ in 0..40 {
            contact.lost(Fault::Broken(Broken::CutShort), now);
            pauses.push(contact.rests_until(now).unwrap() - now);
        }
        for (failures, pause) in pauses.iter().enumerate() {
            let plain = limits::FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(limits::LONGEST_PAUSE);
            assert!(*pause >= plain * 3 / 4 && *pause <= plain * 5 / 4 && *pause <= limits::LONGEST_PAUSE, "{failures}: {pause:?}");
        }
        assert!(pauses.windows(2).any(|two| two[0] > two[1]), "the dice are thrown");
        contact.reached();
        assert_eq!(contact.rests_until(now), None);
        contact.lost(Fault::Lost(Lost::Reset), now);
        assert!(contact.rests_until(now).unwrap() - now <= limits::FIRST_PAUSE * 5 / 4, "from the start after a success");
    }

    #[test]
    fn only_a_change_is_news() {
        let now = Instant::now();
        let mut contact = Contact::new(7);
        assert!(contact.last().is_none());
        assert!(contact.reached());
        assert!(!contact.reached());
        assert!(contact.lost(Fault::Lost(Lost::Refused), now));
        assert!(!contact.lost(Fault::Lost(Lost::Refused), now));
        assert!(contact.lost(Fault::Lost(Lost::Denied), now));
        assert!(contact.reached());
    }
}
