//! One request of ours and its answer, on a connection of its own.
//!
//! ```text
//!            head complete             end of the body
//!   Head -----------------> Body(framing) -----------> Done
//! ```
//!
//! The request is written while the answer is read: a server may answer before it has read all.

use super::chunked::Chunked;
use super::response::{self, Broken, Framing, Head};

/// What has come of an answer.
#[derive(Debug)]
pub enum Part<'a> {
    /// Its head, once.
    Head(Head),
    /// Some bytes of its body, without their framing.
    Body(&'a [u8]),
}

/// One request of ours and its answer.
#[derive(Debug)]
pub struct Outbound {
    request: Vec<u8>,
    sent: usize,
    /// Of a head that has not ended yet.
    stored: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
}

impl Outbound {
    /// A request that is still to be written.
    #[must_use]
    pub const fn new(request: Vec<u8>) -> Self {
        Self { request, sent: 0, stored: Vec::new(), state: State::Head }
    }

    /// What is still to be written.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.request.get(self.sent..).unwrap_or_default()
    }

    /// So many bytes of it were written.
    pub fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// Whether the answer is complete. What comes behind it is nobody's.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes bytes of the answer and hands on what they hold.
    ///
    /// # Errors
    /// When they are no answer; nothing more can be read then.
    pub fn feed(&mut self, bytes: &[u8], mut hand_on: impl FnMut(Part<'_>)) -> Result<(), Broken> {
        if !matches!(self.state, State::Head) {
            return self.body(bytes, hand_on);
        }
        self.stored.extend_from_slice(bytes);
        let Some((head, length)) = response::parse(&self.stored)? else { return Ok(()) };
        self.state = match head.framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::UntilClose => State::UntilClose,
        };
        hand_on(Part::Head(head));
        let stored = std::mem::take(&mut self.stored);
        self.body(stored.get(length..).unwrap_or_default(), hand_on)
    }

    fn body(&mut self, bytes: &[u8], mut hand_on: impl FnMut(Part<'_>)) -> Result<(), Broken> {
        match &mut self.state {
            State::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left = left.saturating_sub(take as u64);
                let done = *left == 0;
                hand_on(Part::Body(bytes.get(..take).unwrap_or_default()));
                if done {
                    self.state = State::Done;
                }
            }
            State::Chunked(chunked) => {
                chunked.feed(bytes, |part| hand_on(Part::Body(part)))?;
                if chunked.is_done() {
                    self.state = State::Done;
                }
            }
            State::UntilClose => hand_on(Part::Body(bytes)),
            State::Head | State::Done => {}
        }
        Ok(())
    }

    /// The server closed its side: the end of a body without a length, and of nothing else.
    ///
    /// # Errors
    /// When the answer is not complete.
    pub fn end(&mut self) -> Result<(), Broken> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Head | State::Length(_) | State::Chunked(_) => Err(Broken::CutShort),
        }
    }
}

/// One who knows what a request of ours and its answer are about.
pub trait Talk {
    /// What is told before the end.
    type Told;
    /// What it comes to.
    type Outcome;

    /// The two of them on their way.
    fn outbound(&mut self) -> &mut Outbound;

    /// Takes bytes of the answer, hands on what they tell, and gives the outcome once there is one.
    fn feed(&mut self, bytes: &[u8], tell: impl FnMut(Self::Told)) -> Option<Self::Outcome>;

    /// The other side closed its side.
    fn end(&mut self) -> Self::Outcome;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::however_cut;

    /// Status, body, and whether it was complete before and at the end of the connection.
    fn outcome(pieces: &[&[u8]]) -> Result<(u16, String, bool, bool), Broken> {
        let mut outbound = Outbound::new(Vec::new());
        let (mut status, mut body) = (0, Vec::new());
        for piece in pieces {
            outbound.feed(piece, |part| match part {
                Part::Head(head) => status = head.status,
                Part::Body(bytes) => body.extend_from_slice(bytes),
            })?;
        }
        let before = outbound.is_done();
        Ok((status, String::from_utf8(body).unwrap(), before, outbound.end().is_ok()))
    }

    #[test]
    fn answers_end_where_their_framing_says() {
        let cases: &[(&str, u16, &str, bool, bool)] = &[
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", 200, "[]", true, true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", true, true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[]", 200, "[]", false, false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]behind", 200, "[]", true, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\nbehind", 200, "[]", true, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n", 200, "[]", false, false),
            ("HTTP/1.0 200 OK\r\n\r\n[]", 200, "[]", false, true),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, "", true, true),
            ("HTTP/1.1 200 OK\r\nContent-", 0, "", false, false),
            ("", 0, "", false, false),
        ];
        for &(bytes, status, body, before, end) in cases {
            assert_eq!(however_cut(bytes.as_bytes(), outcome), Ok((status, body.to_owned(), before, end)), "{bytes:?}");
        }
        assert_eq!(outcome(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"x"]), Err(Broken::Chunk));
    }

    #[test]
    fn a_request_is_written_in_pieces() {
        let mut outbound = Outbound::new(b"GET /".to_vec());
        outbound.sent(3);
        assert_eq!(outbound.unsent(), b" /");
        outbound.sent(2);
        assert!(outbound.unsent().is_empty());
    }
}
