//! The only part that touches the world: sockets, the clock, signals, files. It carries bytes to the pure parts, carries out the
//! actions of the engine, and decides nothing.
//!
//! | file | what |
//! |---|---|
//! | `server`    | the loop, and what is done with each peer |
//! | `peer`      | one peer: its socket, its readiness, its role |
//! | `sock`      | one stream type over TCP and Unix sockets, one listener type |
//! | `listen`    | where we listen; sorted errors of `accept` |
//! | `deadlines` | an index over everybody's due time |
//! | `clock`     | the only clock |
//! | `drains`    | the folder of drains |
//! | `logfile`   | the log, on stderr or in a file that can be reopened |
//! | `systemd`   | inherited listeners, readiness, watchdog |
//! | `memory`    | what the allocator gives back to the system |
//! | `process`   | what the system says of this process |

pub mod clock;
pub mod deadlines;
pub mod drains;
pub mod listen;
pub mod logfile;
pub mod memory;
mod peer;
mod process;
pub mod server;
pub mod sock;
pub mod systemd;

pub use server::Server;
