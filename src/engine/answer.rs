//! What a client is told, as the engine means it.

use super::{AppName, Drained, Shown};
use crate::docker::Fault;

/// What a client is told. `answers.rs` has the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This server lives.
    Healthy,
    /// This host may be used.
    Ready,
    /// Docker has not answered yet, since the start.
    NotYet,
    /// The app or this host is drained.
    Drained(Box<Drained>),
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

impl Answer {
    /// After how many seconds it is worth asking again, if that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u64> {
        if let Self::Drained(drained) = self { drained.left } else { None }
    }
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
