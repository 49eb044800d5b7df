//! The only clock. It is read once a turn, right after the poll; everybody else is given the time.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use httpdate::HttpDate;

/// The present time, as of the last reading.
#[derive(Debug)]
pub struct Clock {
    now: Instant,
    /// Unix time, no later than `now`.
    unix: Duration,
    /// The whole second that `date` names.
    second: u64,
    date: String,
}

impl Clock {
    /// Reads the clock.
    #[must_use]
    pub fn new() -> Self {
        let mut clock = Self { now: instant(), unix: Duration::ZERO, second: 0, date: String::new() };
        clock.read();
        clock
    }

    /// Reads the clock anew.
    pub fn read(&mut self) {
        self.unix = since_1970();
        self.now = instant();
        let second = self.unix.as_secs();
        if second != self.second || self.date.is_empty() {
            self.second = second;
            // As text once a second, not once an answer.
            self.date.clear();
            // In place, and a string takes all.
            let _ = write!(self.date, "{}", HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(second)));
        }
    }

    /// The present instant.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The present Unix time.
    #[must_use]
    pub const fn unix(&self) -> Duration {
        self.unix
    }

    /// The present second as an HTTP date.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.date
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
fn since_1970() -> Duration {
    // A clock before 1970 is as wrong as one that stands there.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
