//! The Docker Engine API, questions to bytes and bytes to facts: no socket, no clock, no client.
//!
//! Two calls, `GET /containers/json?all=1` and `GET /events`, and of each container in an answer to the first only `Id`, `Names`, `Image`, `Command`,
//! `Created`, `Ports`, `Labels`, `State`, `Status` and `Health`; everything else is passed over, and everything may be missing or null. Paths
//! have no version: Docker 1.13 (API up to 1.26) and 29.0 (from 1.44) share none. No byte of a client's request is ever part of
//! a question.
//!
//! | file | what |
//! |---|---|
//! | `ask`       | a [`Question`] to the bytes of a request |
//! | `event`     | the bytes of the event stream, as they come, to [`event::Event`]s |
//! | `refusal`   | what is said instead of an answer |
//! | `container` | the bytes of a list, as they come, to [`Container`]s |
//! | `texts`     | what is said of a container in words, in little memory |
//! | `exchange`  | one question and its answer on one connection |
//! | `json`      | an object, key by key, to a record |

pub mod ask;
pub mod container;
pub mod event;
pub mod exchange;
mod json;
mod refusal;
pub mod texts;

pub use ask::{ApiVersion, Question};
pub use container::{Container, Health, State};
pub use exchange::Exchange;
pub use texts::{Parts, Texts};

use crate::http::response::Broken;
use crate::lost::Lost;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no connection, or none any more; of one whose queue is full that was so to the end.
    Lost(Lost),
    /// No answer in time.
    Late,
    /// The answer is no HTTP, or was cut short.
    Broken(Broken),
    /// The answer is no list of containers.
    NotAList,
    /// The stream holds something that is no event.
    NotEvents,
    /// The list, or one container in it, is larger than we read, or there are too many.
    TooLarge,
    /// Another status than 200, with the first words of what was said.
    Status(u16, Box<str>),
    /// The path must have a version: this one.
    WantsVersion(ApiVersion),
}

impl Fault {
    /// Whether the kernel itself turned us away, so that no Docker was troubled.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Lost(lost) if !matches!(lost, Lost::Reset))
    }

    /// Whether the other side has only closed the connection, which is how each stream of events ends.
    #[must_use]
    pub const fn is_an_end(&self) -> bool {
        matches!(self, Self::Broken(Broken::CutShort))
    }
}

impl From<Lost> for Fault {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}
