//! A [`Reply`] to bytes.
//!
//! The head and the body leave in one piece: the Lua checkers of upper Nginxes read a status line and close, and one
//! write costs one system call. Nothing here but status, framing and a few fixed fields; what the body says is made elsewhere.

use super::Method;

/// The methods answered.
const ALLOW: &str = "\r\nAllow: GET, HEAD, OPTIONS";

/// The end of a head, and that of the last one on its connection.
const END: &str = "\r\nCache-Control: no-store\r\n\r\n";
const LAST_END: &str = "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";

/// Room for a head, but for the fields of a page.
const ROOM: usize = 256;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON.
    Json,
    /// The text format of Prometheus.
    Metrics,
    /// A page for people, with these fields of its own: each begins with the end of a line, and the last is `Content-Length` without its value.
    Page(&'static str),
}

impl Kind {
    /// What it says of itself, up to its length.
    const fn fields(self) -> &'static str {
        match self {
            Self::Json => "\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ",
            Self::Metrics => "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: ",
            Self::Page(fields) => fields,
        }
    }
}

/// A field whose value is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The state that the body shows, for who would wait for another.
    Index,
    /// After how many seconds it is worth asking again (RFC 9110 section 10.2.3).
    RetryAfter,
}

impl Field {
    const fn start(self) -> &'static [u8] {
        match self {
            Self::Index => b"\r\nX-Index: ",
            Self::RetryAfter => b"\r\nRetry-After: ",
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
    /// Fields with numbers.
    pub numbers: [Option<(Field, u64)>; 2],
}

impl<'a> Reply<'a> {
    /// JSON.
    #[must_use]
    pub const fn json(status: u16, body: &'a [u8]) -> Self {
        Self { status, kind: Kind::Json, body, numbers: [None; 2] }
    }
}

impl Reply<'_> {
    /// Appends the reply to a request of that method. `date` is the present time as an HTTP date (RFC 9110 section 6.6.1, a MUST
    /// for who has a clock); `close` says that it is the last one of its connection.
    pub fn write(&self, method: Method, date: &str, close: bool, out: &mut Vec<u8>) {
        let is_options = method == Method::Options;
        let body = if is_options || method == Method::Head { &[] } else { self.body };
        // An answer to OPTIONS has no body and has to say so (RFC 9110 section 9.3.7).
        let length = if is_options { 0 } else { self.body.len() };
        // A head is put together for each probe, so by copying alone, and of few parts: `write!` costs as much as all else that is done
        // for one.
        out.reserve(body.len().saturating_add(ROOM));
        out.extend_from_slice(status_line(self.status).as_bytes());
        out.extend_from_slice(date.as_bytes());
        if is_options || self.status == 405 {
            out.extend_from_slice(ALLOW.as_bytes());
        }
        for (field, number) in self.numbers.iter().flatten() {
            out.extend_from_slice(field.start());
            out.extend_from_slice(decimal(*number, &mut [0; 20]));
        }
        out.extend_from_slice(if length > 0 { self.kind.fields() } else { "\r\nContent-Length: " }.as_bytes());
        out.extend_from_slice(decimal(length as u64, &mut [0; 20]));
        out.extend_from_slice(if close { LAST_END } else { END }.as_bytes());
        out.extend_from_slice(body);
    }
}

/// A number in decimal digits, of which there are at most twenty.
pub fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut from = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789".get((number % 10) as usize).copied().unwrap_or(b'0');
        number /= 10;
        from = from.saturating_sub(1);
        if number == 0 {
            break;
        }
    }
    digits.get(from..).unwrap_or_default()
}

/// The statuses that are given, with their phrases of RFC 9110 section 15, and the name of the field that comes next.
fn status_line(status: u16) -> &'static str {
    match status {
        200 => "HTTP/1.1 200 OK\r\nDate: ",
        400 => "HTTP/1.1 400 Bad Request\r\nDate: ",
        404 => "HTTP/1.1 404 Not Found\r\nDate: ",
        405 => "HTTP/1.1 405 Method Not Allowed\r\nDate: ",
        408 => "HTTP/1.1 408 Request Timeout\r\nDate: ",
        414 => "HTTP/1.1 414 URI Too Long\r\nDate: ",
        431 => "HTTP/1.1 431 Request Header Fields Too Large\r\nDate: ",
        501 => "HTTP/1.1 501 Not Implemented\r\nDate: ",
        503 => "HTTP/1.1 503 Service Unavailable\r\nDate: ",
        505 => "HTTP/1.1 505 HTTP Version Not Supported\r\nDate: ",
        _ => {
            debug_assert!(false, "a status without a phrase: {status}");
            "HTTP/1.1 500 Internal Server Error\r\nDate: "
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(status: u16, method: Method, close: bool) -> String {
        let mut out = Vec::new();
        Reply::json(status, b"{}").write(method, "D", close, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_bytes_of_a_reply() {
        let json = "\r\nContent-Type: application/json; charset=utf-8";
        let end = "\r\nCache-Control: no-store\r\n\r\n";
        let cases = [
            (200, Method::Get, false, format!("HTTP/1.1 200 OK\r\nDate: D{json}\r\nContent-Length: 2{end}{{}}")),
            (503, Method::Head, false, format!("HTTP/1.1 503 Service Unavailable\r\nDate: D{json}\r\nContent-Length: 2{end}")),
            (404, Method::Options, false, format!("HTTP/1.1 404 Not Found\r\nDate: D{ALLOW}\r\nContent-Length: 0{end}")),
            (
                405,
                Method::Other,
                true,
                format!(
                    "HTTP/1.1 405 Method Not Allowed\r\nDate: D{ALLOW}{json}\r\nContent-Length: 2\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{{}}"
                ),
            ),
        ];
        for (status, method, close, want) in cases {
            assert_eq!(written(status, method, close), want);
        }
    }

    #[test]
    fn what_can_be_waited_for_has_a_number_and_so_has_when_to_ask_again() {
        let mut out = Vec::new();
        let numbers = [Some((Field::Index, 1_795_378_133_463_202)), Some((Field::RetryAfter, 1800))];
        Reply { numbers, ..Reply::json(503, b"{}") }.write(Method::Get, "D", false, &mut out);
        let head = String::from_utf8(out).unwrap();
        for line in ["X-Index: 1795378133463202", "Retry-After: 1800", "Content-Length: 2"] {
            assert_eq!(head.lines().filter(|other| *other == line).count(), 1, "{head}");
        }
    }

    #[test]
    fn any_length_in_digits() {
        for number in [0, 7, 10, 199, 65_536, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
