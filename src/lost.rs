//! Why a connection of ours came to nothing: one to Docker, or one to an app that is checked.

/// Why there is no connection, or none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// No such file at the socket's path.
    NoSocket,
    /// Nobody listens.
    Refused,
    /// The socket may not be opened.
    Denied,
    /// The socket's queue of connections is full.
    Full,
    /// It was reset.
    Reset,
    /// We had no descriptor or no memory for it, an error of the system's, by its number: no fault of theirs.
    Ours(i32),
    /// No way there, for another reason: an error of the system's, by its number.
    Unreachable(i32),
}
