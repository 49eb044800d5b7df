//! What a load balancer needs to know of the Docker containers of one host, over HTTP.
//!
//! ```text
//!               http/                 engine/                 docker/
//!         bytes <-> messages     who asks, who waits,     questions -> bytes
//!                                what each is told        bytes -> facts
//!               \____________________   |   ____________________/
//!                                    \  |  /
//!                                      io/
//!                  sockets, the clock, signals, files: one loop
//! ```
//!
//! Three pure parts and one that touches the world. *A connection holds tickets, a flight holds a question, the engine joins the
//! two, the loop moves bytes.* `tests/borders.rs` holds the borders.
//!
//! | part | what |
//! |---|---|
//! | [`http`]    | HTTP/1.1, bytes in and bytes out |
//! | [`docker`]  | the Docker API, bytes in and facts out |
//! | [`engine`]  | decisions, with the time as a parameter |
//! | [`check`]   | one check of an app, to bytes and from bytes |
//! | [`io`]      | the loop |
//! | [`answers`] | what a client is told, in words and JSON |
//! | [`metrics`] | the counters of all parts as text |
//! | [`page`]    | how all apps stand, as a page for people |
//! | [`config`]  | flags and environment |
//! | [`duration`] | a time as people write it |
//! | [`cli`]     | the commands: a blocking client, and the files of drains |
//! | [`drain`]   | the text of one drain's file |
//! | [`limits`]  | every number that bounds something, with its reason |
//! | [`lost`]    | why a connection of ours came to nothing |
//! | [`slots`]   | a slab whose ids never lie |
//! | `properties` | for tests and fuzzers: what holds of any bytes at all |

pub mod answers;
pub mod check;
pub mod cli;
pub mod config;
pub mod docker;
pub mod drain;
pub mod duration;
pub mod engine;
pub mod http;
pub mod io;
pub mod limits;
pub mod lost;
pub mod metrics;
pub mod page;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod slots;
