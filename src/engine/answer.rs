//! What a client is told, as the engine means it.

use super::{AppName, CheckFailed, Drained, Shown};
use crate::docker::Fault;
use crate::lost::Lost;

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
    /// The app's container of that name is up, and its first check has no result yet.
    Checking(Box<str>),
    /// A container of the app is up, and the app does not answer.
    CheckFailed(Box<CheckFailed>),
    /// No container is the app's.
    NoContainer {
        /// The app.
        app: AppName,
        /// Whether one should be: it is one of `--apps`.
        expected: bool,
    },
    /// Docker's state is not known.
    Unknown(Fault),
    /// That is no name of an app.
    BadName,
    /// The query of `P/apps` is none: what it wants.
    BadQuery(&'static str),
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

/// Why an app is down, one word each: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The operator has taken it, or this host, out of use.
    Drained,
    /// No container is its own.
    NoContainer,
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
    /// It was started lately, or its HEALTHCHECK has no outcome yet.
    Starting,
    /// Its HEALTHCHECK fails.
    Unhealthy,
    /// The app itself is being asked for the first time.
    Checking,
    /// The app itself does not answer as it should.
    CheckFailed,
    /// Docker cannot be reached.
    DockerUnreachable,
    /// Docker answers wrongly.
    DockerError,
    /// Docker does not answer in time.
    DockerTimeout,
}

impl Reason {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::NoContainer => "no-container",
            Self::Created => "created",
            Self::Restarting => "restarting",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Removing => "removing",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
            Self::Checking => "checking",
            Self::CheckFailed => "check-failed",
            Self::DockerUnreachable => "docker-unreachable",
            Self::DockerError => "docker-error",
            Self::DockerTimeout => "docker-timeout",
        }
    }

    /// That of an app of which nothing is known, since Docker has that fault.
    #[must_use]
    pub const fn of(fault: &Fault) -> Self {
        match fault {
            Fault::Lost(Lost::NoSocket | Lost::Refused | Lost::Denied | Lost::Unreachable(_) | Lost::Ours(_)) => Self::DockerUnreachable,
            Fault::Lost(Lost::Full) | Fault::Late => Self::DockerTimeout,
            Fault::Lost(Lost::Reset)
            | Fault::Broken(_)
            | Fault::NotAList
            | Fault::NotEvents
            | Fault::TooLarge
            | Fault::Status(..)
            | Fault::WantsVersion(_) => Self::DockerError,
        }
    }
}
