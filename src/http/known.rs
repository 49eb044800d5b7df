//! Requests that are known by their bytes. A balancer sends the same bytes with each probe, and what a head means depends on nothing
//! but its bytes: so what was made of it is kept beside them, and to find it there costs a tenth of reading it again.
//!
//! Whoever makes up ever new heads only takes places from others, whose next request is read as if it were their first.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Range;

use rustc_hash::FxBuildHasher;

use super::request::{self, Bad, Head, Method, Request};
use crate::limits;

/// Heads that have come before.
#[derive(Debug, Default)]
pub struct Known {
    /// By the hash of their bytes. None before the first request.
    heads: Vec<KnownHead>,
}

/// A head without a body, a query, or anything that is percent-encoded, that came alone: what a probe is.
#[derive(Debug)]
struct KnownHead {
    bytes: Vec<u8>,
    method: Method,
    /// Where its path stands.
    path: Range<usize>,
    close: bool,
}

impl KnownHead {
    const NONE: Self = Self { bytes: Vec::new(), method: Method::Other, path: 0..0, close: false };

    /// The same for bytes that are the same.
    fn of<'a>(&self, bytes: &'a [u8]) -> Head<'a> {
        let path = Cow::Borrowed(bytes.get(self.path.clone()).unwrap_or_default());
        Head { request: Request { method: self.method, path, query: "" }, bytes: bytes.len(), body: Some(0), close: self.close }
    }

    fn keep(&mut self, bytes: &[u8], head: &Head<'_>) {
        let Head { request: Request { method, path: Cow::Borrowed(path), query: "" }, body: Some(0), close, .. } = *head else { return };
        let start = path.as_ptr().addr().saturating_sub(bytes.as_ptr().addr());
        let range = start..start.saturating_add(path.len());
        // `*`, and the path of an absolute form without one, may stand elsewhere.
        if head.bytes != bytes.len() || bytes.get(range.clone()) != Some(path) {
            return;
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        (self.method, self.path, self.close) = (method, range, close);
    }
}

impl Known {
    /// What [`request::parse`] gives.
    ///
    /// # Errors
    /// As there.
    pub fn parse<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Head<'a>>, Bad> {
        if bytes.is_empty() || bytes.len() > limits::KNOWN_BYTES {
            return request::parse(bytes);
        }
        if self.heads.is_empty() {
            self.heads.resize_with(limits::KNOWN, || KnownHead::NONE);
        }
        let place = usize::try_from(FxBuildHasher.hash_one(bytes)).unwrap_or_default() % limits::KNOWN;
        let Some(known) = self.heads.get_mut(place) else { return request::parse(bytes) };
        if known.bytes == bytes {
            return Ok(Some(known.of(bytes)));
        }
        let parsed = request::parse(bytes);
        if let Ok(Some(head)) = &parsed {
            known.keep(bytes, head);
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_known(known: &Known, head: &str) -> bool {
        known.heads.iter().any(|known| known.bytes == head.as_bytes())
    }

    #[test]
    fn what_is_known_means_what_it_meant() {
        let mut known = Known::default();
        // More than there are places, so that many take one from another.
        let heads: Vec<_> = (0..4 * limits::KNOWN).map(|number| format!("GET /app{number} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
        for _ in 0..2 {
            for head in &heads {
                let bytes = head.as_bytes();
                assert_eq!(known.parse(bytes), request::parse(bytes), "read");
                assert!(is_known(&known, head), "{head}");
                assert_eq!(known.parse(bytes), request::parse(bytes), "known");
            }
        }
        assert!(heads.iter().any(|head| !is_known(&known, head)));
        assert!(known.heads.iter().filter(|head| !head.bytes.is_empty()).count() > limits::KNOWN * 9 / 10, "they are spread badly");
    }

    #[test]
    fn a_head_is_kept_if_it_is_a_probe() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(limits::KNOWN_BYTES));
        let cases = [
            ("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", true),
            ("GET /a HTTP/1.0\r\n\r\n", true),
            ("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", true),
            ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", false),
            ("GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n", true),
            ("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", false),
            ("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", true),
            ("GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", false),
            ("GET /%61 HTTP/1.1\r\nHost: h\r\n\r\n", false),
            ("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET", false),
            ("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n", false),
            ("PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("GET /a HTTP/1.1\r\nHost: h\r\n", false),
            ("GET /a HTTP/1.1\r\n\r\n", false),
            ("", false),
            (&long, false),
        ];
        for (head, is_kept) in cases {
            let mut known = Known::default();
            for _ in 0..2 {
                assert_eq!(known.parse(head.as_bytes()), request::parse(head.as_bytes()), "{head:?}");
            }
            assert_eq!(!head.is_empty() && is_known(&known, head), is_kept, "{head:?}");
        }
    }
}
