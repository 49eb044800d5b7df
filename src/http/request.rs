//! Bytes of a client to a [`Request`] and what frames its body.
//!
//! httparse reads the syntax; what RFC 9110 and 9112 demand beyond it is decided here. The one thing that is not obvious:
//! the outcome must not depend on how the bytes were cut into reads, so of two faults the one that stands *first* in the
//! bytes is reported, whichever would be found first.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use memchr::memchr_iter;

use super::{content_length, elements, target};
use crate::limits;

/// What a method means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD: as GET, without the body.
    Head,
    /// OPTIONS: the status of GET, with `Allow` and without a body. `HAProxy` probes with it.
    Options,
    /// CONNECT, whose target has a form of its own.
    Connect,
    /// Any other token.
    Other,
}

impl Method {
    fn of(token: &str) -> Self {
        // Methods are case-sensitive (RFC 9110 section 9.1).
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            "CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// Whether it only reads: the methods we answer.
    #[must_use]
    pub const fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options)
    }
}

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its method.
    pub method: Method,
    /// Its path, percent-decoded; `*` for the server itself.
    pub path: Cow<'a, [u8]>,
    /// Its query, as it was sent ([`super::target::pairs`]).
    pub query: &'a str,
}

/// A request with what its connection needs to know.
#[derive(Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The request.
    pub request: Request<'a>,
    /// Bytes that the head took, the empty line included.
    pub bytes: usize,
    /// Bytes of body behind it that are to be read away. `None`: not worth it, or not known; the connection ends after the
    /// answer, so that no byte of that body is ever taken for a request.
    pub body: Option<u64>,
    /// Whether the connection ends after the answer: `Connection: close`, or HTTP/1.0.
    pub close: bool,
}

/// Why a request was refused before anybody looked at its path. Each ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// The bytes are no request: a malformed line, name or value, a folded line, a bare LF or CR.
    Syntax,
    /// The target has no form that its method allows (RFC 9112 section 3.2).
    Target,
    /// No Host in HTTP/1.1, two of them, or one that is no host (RFC 9112 section 3.2, a MUST).
    Host,
    /// The body is framed in two ways or in none that can be read (RFC 9112 section 6.3).
    Framing,
    /// The client closed its side in the middle of a head.
    CutShort,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    Version,
    /// A transfer coding other than chunked (RFC 9112 section 6.1).
    Coding,
    /// CONNECT: we are no proxy.
    Connect,
    /// The target is longer than [`limits::TARGET_BYTES`].
    TargetTooLong,
    /// The head is longer than [`limits::HEAD_BYTES`] or has more than [`limits::HEADERS`] lines.
    HeadTooLarge,
    /// The head did not end in time.
    Late,
}

impl Bad {
    /// All of them, for the counters.
    pub const ALL: [Self; 11] = [
        Self::Syntax,
        Self::Target,
        Self::Host,
        Self::Framing,
        Self::CutShort,
        Self::Version,
        Self::Coding,
        Self::Connect,
        Self::TargetTooLong,
        Self::HeadTooLarge,
        Self::Late,
    ];

    /// Its name, by which it is counted.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Syntax => "Syntax",
            Self::Target => "Target",
            Self::Host => "Host",
            Self::Framing => "Framing",
            Self::CutShort => "CutShort",
            Self::Version => "Version",
            Self::Coding => "Coding",
            Self::Connect => "Connect",
            Self::TargetTooLong => "TargetTooLong",
            Self::HeadTooLarge => "HeadTooLarge",
            Self::Late => "Late",
        }
    }
}

/// The request at the start of `bytes`, once its head is complete.
///
/// # Errors
/// Whatever is first wrong in the bytes.
pub fn parse(bytes: &[u8]) -> Result<Option<Head<'_>>, Bad> {
    let within = bytes.get(..limits::HEAD_BYTES).unwrap_or(bytes);
    // There is room for many fields, and a probe has three: what is not used is not even cleared.
    let mut headers = [const { MaybeUninit::uninit() }; limits::HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let outcome = parsed.parse_with_uninit_headers(within, &mut headers);
    if parsed.path.is_some_and(|target| target.len() > limits::TARGET_BYTES) {
        // A bare LF in place of an empty line before it stands first.
        let before = bare_line_feed(within).and_then(|at| within.get(..at));
        return Err(if before.is_some_and(|before| before.trim_ascii().is_empty()) { Bad::Syntax } else { Bad::TargetTooLong });
    }
    match outcome {
        Ok(httparse::Status::Complete(length)) => {
            // httparse takes a bare LF for a line's end; RFC 9112 section 2.2 lets us, and we do not.
            if !within.get(..length).is_some_and(|head| has_sound_lines(head, &parsed)) {
                return Err(Bad::Syntax);
            }
            understand(&parsed, length).map(Some)
        }
        Ok(httparse::Status::Partial) => match bare_line_feed(within) {
            Some(_) => Err(Bad::Syntax),
            None if bytes.len() < limits::HEAD_BYTES => Ok(None),
            // Not even the target has come to its end: it is the target that is too long, if it has begun.
            None if parsed.path.is_none() && parsed.method.is_some() => Err(Bad::TargetTooLong),
            None => Err(Bad::HeadTooLarge),
        },
        Err(error) => Err(first_fault(within, error)),
    }
}

/// The fault that stands first: a bare LF, if what is before it is sound so far, else what httparse found.
fn first_fault(bytes: &[u8], error: httparse::Error) -> Bad {
    if let Some(before) = bare_line_feed(bytes).and_then(|at| bytes.get(..at)) {
        let mut headers = [httparse::EMPTY_HEADER; limits::HEADERS];
        if let Err(earlier) = httparse::Request::new(&mut headers).parse(before) {
            return bad(before, earlier);
        }
        return Bad::Syntax;
    }
    bad(bytes, error)
}

fn bad(bytes: &[u8], error: httparse::Error) -> Bad {
    match error {
        httparse::Error::Version if names_another_version(bytes) => Bad::Version,
        httparse::Error::TooManyHeaders => Bad::HeadTooLarge,
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => Bad::Syntax,
    }
}

/// Whether the third word of a request line is a version of HTTP (RFC 9112 section 2.3), though none that is spoken here. Anything else
/// makes the line malformed: a space in a target, or another protocol. What httparse objects to decides, so that it is the same however
/// little of the word has come.
fn names_another_version(bytes: &[u8]) -> bool {
    let word = bytes.splitn(3, |&byte| byte == b' ').nth(2).and_then(|word| word.strip_prefix(b"HTTP/"));
    matches!(word, Some([b'0' | b'2'..=b'9', ..] | [b'1', b'.', b'2'..=b'9', ..]))
}

/// Whether each line of a head that is complete ends with CR LF. They are found by what begins the next one, since a search through all
/// bytes costs as much as the parser.
fn has_sound_lines(head: &[u8], parsed: &httparse::Request<'_, '_>) -> bool {
    let before = |text: &str| head.get(..text.as_ptr().addr().saturating_sub(head.as_ptr().addr())).unwrap_or_default();
    let empty_lines = parsed.method.map(before).unwrap_or_default();
    (empty_lines.is_empty() || bare_line_feed(empty_lines).is_none())
        && parsed.headers.iter().all(|header| before(header.name).ends_with(b"\r\n"))
        && head.ends_with(b"\r\n\r\n")
}

fn bare_line_feed(bytes: &[u8]) -> Option<usize> {
    let is_bare = |at: &usize| !bytes.get(..*at).is_some_and(|before| before.ends_with(b"\r"));
    memchr_iter(b'\n', bytes).find(is_bare)
}

fn understand<'a>(parsed: &httparse::Request<'_, 'a>, bytes: usize) -> Result<Head<'a>, Bad> {
    let (Some(token), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Bad::Syntax);
    };
    let method = Method::of(token);
    let (path, query) = target::parts(method, target)?;

    let mut host = None;
    let mut length = None;
    let mut codings = Vec::new();
    let mut chunked = false;
    let mut close = minor == 0;
    let mut expects = false;
    for header in parsed.headers.iter() {
        let name = header.name;
        if name.eq_ignore_ascii_case("host") {
            if host.replace(header.value).is_some() || !target::is_host(header.value) {
                return Err(Bad::Host);
            }
        } else if name.eq_ignore_ascii_case("content-length") {
            let value = content_length(header.value).ok_or(Bad::Framing)?;
            if length.replace(value).is_some() {
                return Err(Bad::Framing);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = true;
            codings.extend(elements(header.value));
        } else if name.eq_ignore_ascii_case("connection") {
            close |= elements(header.value).any(|option| option.eq_ignore_ascii_case(b"close"));
        } else if name.eq_ignore_ascii_case("expect") {
            expects |= elements(header.value).any(|option| option.eq_ignore_ascii_case(b"100-continue"));
        }
    }
    if host.is_none() && minor == 1 {
        return Err(Bad::Host);
    }
    let body = if chunked {
        chunked_only(&codings, minor, length)?;
        // It could be read away chunk by chunk, but who sends one to a server that has no use for it may as well connect anew.
        None
    } else {
        length.or(Some(0)).filter(|&length| length <= limits::BODY_BYTES)
    };
    // Our answer comes before the body, so the client need not send it any more, and we could not tell whether the next byte
    // is body or request (RFC 9110 section 10.1.1).
    let body = body.filter(|&length| length == 0 || !expects);
    Ok(Head { request: Request { method, path, query }, bytes, body, close })
}

/// RFC 9112 sections 6.1 and 6.3: chunked must stand last and once; a length beside it, or HTTP/1.0, makes the framing doubtful.
fn chunked_only(codings: &[&[u8]], minor: u8, length: Option<u64>) -> Result<(), Bad> {
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let Some((last, before)) = codings.split_last() else { return Err(Bad::Framing) };
    if minor == 0 || length.is_some() || !is_chunked(last) || before.iter().any(is_chunked) {
        return Err(Bad::Framing);
    }
    if before.is_empty() { Ok(()) } else { Err(Bad::Coding) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::however_cut;

    /// Method, path, bytes of the head, bytes of body to be read away, and whether the connection ends.
    type Understood = (Method, Vec<u8>, usize, Option<u64>, bool);

    /// What a server that reads pieces makes of them.
    fn outcome(pieces: &[&[u8]]) -> Result<Option<Understood>, Bad> {
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend_from_slice(piece);
            if let Some(head) = parse(&bytes)? {
                let Request { method, path, .. } = head.request;
                return Ok(Some((method, path.into_owned(), head.bytes, head.body, head.close)));
            }
        }
        Ok(None)
    }

    #[test]
    fn sound_requests() {
        let cases: &[(&str, Method, &str, Option<u64>, bool)] = &[
            ("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", Method::Get, "/a", Some(0), false),
            ("HEAD /a HTTP/1.1\r\nHost:\r\n\r\n", Method::Head, "/a", Some(0), false),
            ("OPTIONS / HTTP/1.0\r\n\r\n", Method::Options, "/", Some(0), true),
            ("OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n", Method::Options, "*", Some(0), false),
            ("GET http://h/a HTTP/1.1\r\nHost: other\r\n\r\n", Method::Get, "/a", Some(0), false),
            ("get /a HTTP/1.1\r\nHost: h\r\n\r\n", Method::Other, "/a", Some(0), false),
            ("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", Method::Other, "/a", Some(3), false),
            ("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 8192\r\n\r\n", Method::Other, "/a", Some(8192), false),
            ("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 8193\r\n\r\n", Method::Other, "/a", None, false),
            ("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n", Method::Other, "/a", None, false),
            ("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: , chunked ,\r\n\r\n", Method::Other, "/a", None, false),
            ("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", Method::Other, "/", None, false),
            ("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", Method::Get, "/", Some(0), false),
            ("GET / HTTP/1.1\r\nHost: h\r\nExpect: gold\r\nContent-Length: 1\r\n\r\n", Method::Get, "/", Some(1), false),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", Method::Get, "/", Some(0), true),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: x,  CLOSE\r\n\r\n", Method::Get, "/", Some(0), true),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\nConnection: close\r\n\r\n", Method::Get, "/", Some(0), true),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", Method::Get, "/", Some(0), false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Method::Get, "/", Some(0), true),
            ("GET / HTTP/1.1\r\nHost: h\r\nX: \t a b \t\r\nUpgrade: h2c\r\n\r\n", Method::Get, "/", Some(0), false),
        ];
        for &(bytes, method, path, body, close) in cases {
            let want = Ok(Some((method, path.as_bytes().to_vec(), bytes.len(), body, close)));
            assert_eq!(however_cut(bytes.as_bytes(), outcome), want, "{bytes:?}");
            let neighbour = format!("{bytes}GET /next HTTP/1.1\nbroken");
            assert_eq!(however_cut(neighbour.as_bytes(), outcome), want, "{neighbour:?}");
        }
    }

    #[test]
    fn refused_requests() {
        let cases: &[(&str, Bad)] = &[
            ("GET /a\r\n\r\n", Bad::Syntax),
            ("GET  /a HTTP/1.1\r\n\r\n", Bad::Syntax),
            ("GET /a  HTTP/1.1\r\n\r\n", Bad::Syntax),
            ("GET /a b HTTP/1.1\r\n\r\n", Bad::Syntax),
            (" GET /a HTTP/1.1\r\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1 \r\n\r\n", Bad::Syntax),
            ("GET\t/a HTTP/1.1\r\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1\nHost: h\r\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1\r\nHost: h\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1\r\nHost: h\r\n\n", Bad::Syntax),
            ("GET /a HTTP/1.1\rHost: h\r\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1\r\nHost : h\r\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1\r\n Host: h\r\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", Bad::Syntax),
            ("GET /a HTTP/1.1\r\nHost: h\r\n: none\r\n\r\n", Bad::Syntax),
            ("\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03", Bad::Syntax),
            ("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", Bad::Syntax),
            ("GET / HTTP/2.0\r\n\r\n", Bad::Version),
            ("GET / HTTP/1.2\r\n\r\n", Bad::Version),
            ("GET / http/1.1\r\n\r\n", Bad::Syntax),
            ("GET / HTTP/11.1\r\n\r\n", Bad::Syntax),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Bad::Version),
            ("GET / HTTP/2.0\nHost: h\n\n", Bad::Version),
            ("GET / HTTP/1.1\nHost : h\n\n", Bad::Syntax),
            ("GET /#x HTTP/1.1\r\nHost: h\r\n\r\n", Bad::Target),
            ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", Bad::Target),
            ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", Bad::Connect),
            ("GET / HTTP/1.1\r\n\r\n", Bad::Host),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Bad::Host),
            ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Bad::Host),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Bad::Host),
            ("GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", Bad::Host),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", Bad::Framing),
            ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Bad::Coding),
            ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", Bad::Coding),
        ];
        for &(bytes, bad) in cases {
            assert_eq!(however_cut(bytes.as_bytes(), outcome), Err(bad), "{bytes:?}");
        }
    }

    #[test]
    fn a_target_is_printable_ascii() {
        for byte in 0..=u8::MAX {
            let bytes = [b"GET /a", &[byte][..], b"b HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
            let is_sound = byte.is_ascii_graphic() && !b"#%".contains(&byte);
            assert_eq!(parse(&bytes).is_ok(), is_sound, "{byte:#04x}");
        }
        for (good, sound) in [("\u{e4}", false), ("%C3%A4", true)] {
            let bytes = format!("GET /{good} HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(parse(bytes.as_bytes()).is_ok(), sound, "{good}");
        }
    }

    #[test]
    fn a_head_is_bounded_in_bytes_and_lines_and_its_target_too() {
        let target = |length| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(length - 1));
        assert!(matches!(parse(target(limits::TARGET_BYTES).as_bytes()), Ok(Some(_))));
        let head = |length: usize| {
            let frame = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(length - frame))
        };
        assert!(matches!(parse(head(limits::HEAD_BYTES).as_bytes()), Ok(Some(_))));
        let lines = |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
        assert!(matches!(parse(lines(limits::HEADERS).as_bytes()), Ok(Some(_))));

        let cases = [
            (target(limits::TARGET_BYTES + 1), Bad::TargetTooLong),
            (target(2 * limits::HEAD_BYTES), Bad::TargetTooLong),
            (target(limits::TARGET_BYTES + 1).replace("1.1", "2.0"), Bad::TargetTooLong),
            (format!("\n{}", target(limits::TARGET_BYTES + 1)), Bad::Syntax),
            ("A".repeat(limits::HEAD_BYTES), Bad::HeadTooLarge),
            (head(limits::HEAD_BYTES + 1), Bad::HeadTooLarge),
            (head(limits::HEAD_BYTES + 1).replace("\r\n\r\n", "\r\nbad header\r\n\r\n"), Bad::HeadTooLarge),
            (lines(limits::HEADERS + 1), Bad::HeadTooLarge),
        ];
        for (bytes, bad) in cases {
            let byte_by_byte: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
            assert_eq!(outcome(&byte_by_byte), Err(bad));
            assert_eq!(outcome(&[bytes.as_bytes()]), Err(bad));
        }
    }
}
