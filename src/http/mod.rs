//! HTTP/1.1, bytes in and bytes out: no socket, no clock, no Docker, no app names.
//!
//! | file | what |
//! |---|---|
//! | `request`  | bytes of a client to a [`Request`], and what frames its body |
//! | `target`   | the target of a request to its path |
//! | `inbound`  | one client's connection: requests in, replies out in their order |
//! | `reply`    | a [`Reply`] to bytes |
//! | `outbound` | one request of ours and its answer |
//! | `response` | bytes of a server to the head of its answer, and what frames its body |
//! | `chunked`  | bytes to body bytes |
//!
//! Spoken: HTTP/1.1 with persistent connections and pipelining, HTTP/1.0 with one request a connection. Not spoken, on
//! purpose: TLS, HTTP/2, compression, ranges, keep-alive for HTTP/1.0, request bodies (a small one is read away), trailers,
//! `Upgrade`. Where RFC 9112 lets a recipient be lenient with a *request* (bare LF, folded lines, spaces, repeated lengths)
//! we are not: a message that two readers may read differently is answered 400 and ends its connection.

pub mod chunked;
pub mod inbound;
pub mod known;
pub mod outbound;
pub mod reply;
pub mod request;
pub mod response;
pub mod target;

pub use inbound::{Inbound, Wait};
pub use known::Known;
pub use outbound::{Outbound, Part};
pub use reply::Reply;
pub use request::{Bad, Method, Request};

/// Splits a comma-separated field value (RFC 9110 section 5.6.1): trimmed, without its empty elements.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// A `Content-Length` (RFC 9110 section 8.6): digits and nothing else. A list of equal numbers, which the RFC lets us accept,
/// is refused.
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
pub(crate) mod testing {
    //! One helper for everything that eats bytes.

    /// Feeds `bytes` to `run` whole, byte by byte, and cut in two at every place, and demands the same outcome each time.
    /// `run` gets the pieces in order. What stands *behind* a message is part of `bytes` where that matters.
    pub(crate) fn however_cut<T: PartialEq + std::fmt::Debug>(bytes: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
        let whole = run(&[bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(run(&single), whole, "byte by byte: {shown:?}");
        for at in 1..bytes.len() {
            let (front, back) = bytes.split_at(at);
            assert_eq!(run(&[front, back]), whole, "cut at {at}: {shown:?}");
        }
        whole
    }
}
