//! A [`Reply`] to bytes.
//!
//! The head and the body leave in one piece: the Lua checkers of upper Nginxes read a status line and close, and one
//! write costs one system call. Nothing here but status, framing and a few fixed fields; what the body says is made elsewhere.

use super::Method;

/// The methods answered.
const ALLOW: &str = "Allow: GET, HEAD, OPTIONS\r\n";

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON.
    Json,
    /// The text format of Prometheus.
    Metrics,
}

impl Kind {
    const fn field(self) -> &'static str {
        match self {
            Self::Json => "Content-Type: application/json; charset=utf-8\r\n",
            Self::Metrics => "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
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
    /// After how many seconds it is worth asking again, if that is known.
    pub retry_after: Option<u64>,
}

impl Reply<'_> {
    /// Appends the reply to a request of that method. `date` is the present time as an HTTP date (RFC 9110 section 6.6.1, a MUST
    /// for who has a clock); `close` says that it is the last one of its connection.
    pub fn write(&self, method: Method, date: &str, close: bool, out: &mut Vec<u8>) {
        let is_options = method == Method::Options;
        let body = if is_options || method == Method::Head { &[] } else { self.body };
        // An answer to OPTIONS has no body and has to say so (RFC 9110 section 9.3.7).
        let length = if is_options { 0 } else { self.body.len() };
        let (mut digits, mut seconds) = ([0; 20], [0; 20]);
        let retry = self.retry_after.map(|after| decimal(after, &mut seconds));
        // A head is put together for each probe, so by copying alone: `write!` costs as much as all else that is done for one.
        let parts = [
            status_line(self.status).as_bytes(),
            b"\r\nDate: ",
            date.as_bytes(),
            b"\r\n",
            if is_options || self.status == 405 { ALLOW.as_bytes() } else { b"" },
            if length > 0 { self.kind.field().as_bytes() } else { b"" },
            b"Content-Length: ",
            decimal(length as u64, &mut digits),
            if retry.is_some() { b"\r\nRetry-After: " } else { b"" },
            retry.unwrap_or_default(),
            b"\r\nCache-Control: no-store\r\n",
            if close { b"Connection: close\r\n\r\n" } else { b"\r\n" },
            body,
        ];
        out.reserve(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            out.extend_from_slice(part);
        }
    }
}

/// A number in decimal digits, of which there are at most twenty.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut from = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(number % 10).unwrap_or_default());
        number /= 10;
        from = from.saturating_sub(1);
        if number == 0 {
            break;
        }
    }
    digits.get(from..).unwrap_or_default()
}

/// The statuses that are given, with their phrases of RFC 9110 section 15.
fn status_line(status: u16) -> &'static str {
    match status {
        200 => "HTTP/1.1 200 OK",
        400 => "HTTP/1.1 400 Bad Request",
        404 => "HTTP/1.1 404 Not Found",
        405 => "HTTP/1.1 405 Method Not Allowed",
        408 => "HTTP/1.1 408 Request Timeout",
        414 => "HTTP/1.1 414 URI Too Long",
        431 => "HTTP/1.1 431 Request Header Fields Too Large",
        501 => "HTTP/1.1 501 Not Implemented",
        503 => "HTTP/1.1 503 Service Unavailable",
        505 => "HTTP/1.1 505 HTTP Version Not Supported",
        _ => {
            debug_assert!(false, "a status without a phrase: {status}");
            "HTTP/1.1 500 Internal Server Error"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(status: u16, method: Method, close: bool) -> String {
        let mut out = Vec::new();
        Reply { status, kind: Kind::Json, body: b"{}", retry_after: None }.write(method, "D", close, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_bytes_of_a_reply() {
        let json = "Content-Type: application/json; charset=utf-8\r\n";
        let none = "Cache-Control: no-store\r\n";
        let cases = [
            (200, Method::Get, false, format!("HTTP/1.1 200 OK\r\nDate: D\r\n{json}Content-Length: 2\r\n{none}\r\n{{}}")),
            (503, Method::Head, false, format!("HTTP/1.1 503 Service Unavailable\r\nDate: D\r\n{json}Content-Length: 2\r\n{none}\r\n")),
            (404, Method::Options, false, format!("HTTP/1.1 404 Not Found\r\nDate: D\r\n{ALLOW}Content-Length: 0\r\n{none}\r\n")),
            (
                405,
                Method::Other,
                true,
                format!(
                    "HTTP/1.1 405 Method Not Allowed\r\nDate: D\r\n{ALLOW}{json}Content-Length: 2\r\n{none}Connection: close\r\n\r\n{{}}"
                ),
            ),
        ];
        for (status, method, close, want) in cases {
            assert_eq!(written(status, method, close), want);
        }
    }

    #[test]
    fn when_to_ask_again() {
        let mut out = Vec::new();
        Reply { status: 503, kind: Kind::Json, body: b"{}", retry_after: Some(1800) }.write(Method::Head, "D", false, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.ends_with("\r\nContent-Length: 2\r\nRetry-After: 1800\r\nCache-Control: no-store\r\n\r\n"), "{out}");
    }

    #[test]
    fn any_length_in_digits() {
        for number in [0, 7, 10, 199, 65_536, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
