//! Bytes of a server to the head of its answer, and what frames its body (RFC 9112 section 6.3).
//!
//! Only the syntax of a head and the length of a body are decided here; what a status means is its reader's business.

use super::{content_length, elements};
use crate::limits;

/// What was wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It does not begin like an answer of HTTP/1, or its head is longer than [`limits::RESPONSE_HEAD_BYTES`].
    Head,
    /// Its body is framed in two ways, or in a way we do not speak.
    Framing,
    /// Its chunks are no chunks.
    Chunk,
    /// The connection ended before it did.
    CutShort,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// Where its chunks say.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// Its status. Never 1xx: those are skipped.
    pub status: u16,
    /// What frames the body behind it.
    pub framing: Framing,
    fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// The first field of that name, which is given in small letters.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }
}

/// The head at the start of `bytes` and the bytes it took, once it is complete. Interim answers before it are taken too.
///
/// # Errors
/// When it cannot become one.
pub fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Broken> {
    let mut skipped: usize = 0;
    loop {
        let within = bytes.get(..limits::RESPONSE_HEAD_BYTES).unwrap_or(bytes).get(skipped..).unwrap_or_default();
        let mut headers = [httparse::EMPTY_HEADER; limits::RESPONSE_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(within) {
            Ok(httparse::Status::Complete(length)) => {
                skipped = skipped.saturating_add(length);
                match parsed.code {
                    // Interim answers may come unasked (RFC 9110 section 15.2), but nobody here asked for another protocol.
                    Some(100..=199) if parsed.code != Some(101) => {}
                    Some(status @ 200..=999) => return understand(status, parsed.headers).map(|head| Some((head, skipped))),
                    _ => return Err(Broken::Head),
                }
            }
            Ok(httparse::Status::Partial) if bytes.len() < limits::RESPONSE_HEAD_BYTES => return Ok(None),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Broken::Head),
        }
    }
}

fn understand(status: u16, headers: &[httparse::Header<'_>]) -> Result<Head, Broken> {
    let fields: Vec<_> = headers.iter().map(|header| (header.name.to_ascii_lowercase(), header.value.to_vec())).collect();
    let values = |name: &'static str| fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_slice());

    let mut lengths = values("content-length");
    let length = lengths.next();
    let is_coded = values("transfer-encoding").next().is_some();
    let codings: Vec<_> = values("transfer-encoding").flat_map(elements).collect();
    let framing = match (length, codings.as_slice()) {
        // No body, whatever the head says.
        _ if matches!(status, 204 | 304) => Framing::Length(0),
        (Some(length), []) if !is_coded && lengths.all(|other| other == length) => {
            Framing::Length(content_length(length).ok_or(Broken::Framing)?)
        }
        (None, [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (None, []) if !is_coded => Framing::UntilClose,
        _ => return Err(Broken::Framing),
    };
    Ok(Head { status, framing, fields })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::however_cut;

    fn outcome(pieces: &[&[u8]]) -> Result<Option<(u16, Framing, usize)>, Broken> {
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend_from_slice(piece);
            if let Some((head, length)) = parse(&bytes)? {
                return Ok(Some((head.status, head.framing, length)));
            }
        }
        Ok(None)
    }

    #[test]
    fn heads_and_what_frames_their_bodies() {
        let cases: &[(&str, u16, Framing)] = &[
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 200, Framing::Length(3)),
            ("HTTP/1.1 200\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 200, Framing::Length(3)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n", 200, Framing::Chunked),
            ("HTTP/1.0 200 OK\r\n\r\n", 200, Framing::UntilClose),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", 204, Framing::Length(0)),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", 304, Framing::Length(0)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 500 No\r\n\r\n", 500, Framing::UntilClose),
            ("HTTP/1.1 403 Forbidden\nContent-Type: text/html\n\n", 403, Framing::UntilClose),
        ];
        for &(bytes, status, framing) in cases {
            let want = Ok(Some((status, framing, bytes.len())));
            assert_eq!(however_cut(bytes.as_bytes(), outcome), want, "{bytes:?}");
            assert_eq!(however_cut(format!("{bytes}[]").as_bytes(), outcome), want, "{bytes:?}");
        }
    }

    #[test]
    fn broken_heads() {
        let cases: &[(&str, Broken)] = &[
            ("garbage", Broken::Head),
            ("HTTP/2 200\r\n\r\n", Broken::Head),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Broken::Head),
            ("HTTP/1.1 099 No\r\n\r\n", Broken::Head),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", Broken::Head),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Broken::Framing),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", Broken::Framing),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", Broken::Framing),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Broken::Framing),
        ];
        for &(bytes, broken) in cases {
            assert_eq!(however_cut(bytes.as_bytes(), outcome), Err(broken), "{bytes:?}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(limits::RESPONSE_HEAD_BYTES));
        assert_eq!(outcome(&[long.as_bytes()]), Err(Broken::Head));
        let lines = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(count));
        assert!(outcome(&[lines(limits::RESPONSE_HEADERS).as_bytes()]).is_ok());
        assert_eq!(outcome(&[lines(limits::RESPONSE_HEADERS + 1).as_bytes()]), Err(Broken::Head));
        let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(limits::RESPONSE_HEAD_BYTES / 20);
        assert_eq!(outcome(&[endless.as_bytes()]), Err(Broken::Head));
    }

    #[test]
    fn a_field_is_found_whatever_its_case() {
        let (head, _) = parse(b"HTTP/1.1 400 Bad\r\nAPI-Version: 1.26\r\n\r\n").unwrap().unwrap();
        assert_eq!(head.field("api-version"), Some(&b"1.26"[..]));
        assert_eq!(head.field("server"), None);
    }
}
