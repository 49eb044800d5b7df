//! A [`Reply`] to bytes.
//!
//! The head and the body leave in one piece: the Lua checkers of upper Nginxes read a status line and close, and one
//! write costs one system call. Nothing here but status, framing and a few fixed fields; what the body says is made elsewhere.

use std::io::Write as _;

use super::Method;

/// The methods answered, for `Allow`.
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON.
    Json,
    /// The text format of Prometheus.
    Metrics,
}

impl Kind {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// An answer to one request.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Its status.
    pub status: u16,
    /// What its body is.
    pub kind: Kind,
    /// Its body, which HEAD and OPTIONS leave out.
    pub body: &'a [u8],
}

impl Reply<'_> {
    /// Appends the reply to a request of that method. `date` is the present time as an HTTP date (RFC 9110 section 6.6.1, a MUST
    /// for who has a clock); `close` says that it is the last one of its connection.
    pub fn write(&self, method: Method, date: &str, close: bool, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\nDate: {date}\r\n", self.status, phrase(self.status));
        if method == Method::Options || self.status == 405 {
            let _ = write!(out, "Allow: {ALLOW}\r\n");
        }
        // An answer to OPTIONS has no body and has to say so (RFC 9110 section 9.3.7).
        let length = if method == Method::Options { 0 } else { self.body.len() };
        if length > 0 {
            let _ = write!(out, "Content-Type: {}\r\n", self.kind.media_type());
        }
        let _ = write!(out, "Content-Length: {length}\r\nCache-Control: no-store\r\n");
        out.extend_from_slice(if close { b"Connection: close\r\n\r\n" } else { b"\r\n" });
        if !matches!(method, Method::Head | Method::Options) {
            out.extend_from_slice(self.body);
        }
    }
}

/// The phrases of RFC 9110 section 15 for the statuses that are given.
const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(status: u16, method: Method, close: bool) -> String {
        let mut out = Vec::new();
        Reply { status, kind: Kind::Json, body: b"{}" }.write(method, "D", close, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_bytes_of_a_reply() {
        let json = "Content-Type: application/json; charset=utf-8\r\n";
        let none = "Cache-Control: no-store\r\n";
        let cases = [
            (200, Method::Get, false, format!("HTTP/1.1 200 OK\r\nDate: D\r\n{json}Content-Length: 2\r\n{none}\r\n{{}}")),
            (503, Method::Head, false, format!("HTTP/1.1 503 Service Unavailable\r\nDate: D\r\n{json}Content-Length: 2\r\n{none}\r\n")),
            (
                404,
                Method::Options,
                false,
                format!("HTTP/1.1 404 Not Found\r\nDate: D\r\nAllow: {ALLOW}\r\nContent-Length: 0\r\n{none}\r\n"),
            ),
            (
                405,
                Method::Other,
                true,
                format!(
                    "HTTP/1.1 405 Method Not Allowed\r\nDate: D\r\nAllow: {ALLOW}\r\n{json}Content-Length: 2\r\n{none}Connection: close\r\n\r\n{{}}"
                ),
            ),
        ];
        for (status, method, close, want) in cases {
            assert_eq!(written(status, method, close), want);
        }
    }
}
