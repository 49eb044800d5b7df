//! One client's connection: requests in, replies out in the order of their requests.
//!
//! ```text
//!        first byte           head complete               last reply sent
//!  Idle -------------> Head ------------------> Answering -----------------> Idle, or Head
//!    |                  |                        |      ^                    if more has come
//!    | the client's     | broken, too long,      |      | next head: one more is owed;
//!    | end              | late                   |      | at the limit, stop reading
//!    v                  v                        |
//!  over               Last <---------------------+  the client's end, Connection: close, HTTP/1.0, a body we will not read
//!                       |  reply what is owed; the last reply says Connection: close
//!                       v
//!                     Linger  write side shut, what comes is dropped, for a moment --> over
//! ```
//!
//! Idle, Head and Answering are one phase here, `Open`: which of them it is follows from what is stored and owed, and
//! [`Inbound::waiting`] says it. A client that has closed its writing side still gets what it is owed.

use std::collections::VecDeque;

use super::known::Known;
use super::reply::Reply;
use super::request::{Bad, Method, Request};
use crate::limits;

/// What a connection waits for. Each has its own patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For the first byte of a request: the connection is idle.
    Request,
    /// For the rest of a head, or of a body that is read away.
    RestOfRequest,
    /// For a reply of ours.
    Us,
    /// For the client to take what was written.
    ClientToRead,
    /// For the client to close, all being said.
    ClientToClose,
}

/// How often a connection met its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// A request was left lying since [`limits::PIPELINE`] replies were owed.
    pub pipeline: u64,
    /// [`limits::UNSENT_BYTES`] were unsent, so that no further request is read.
    pub unsent: u64,
    /// The connection ends since the body is longer than [`limits::BODY_BYTES`], its length is not known, or it does not come in time.
    pub body: u64,
}

/// One client's connection.
#[derive(Debug, Default)]
pub struct Inbound {
    /// Bytes of the client that could not be understood yet. No memory while there are none.
    stored: Vec<u8>,
    /// Whether what is stored is the beginning of a head, known to be incomplete.
    partial: bool,
    /// Bytes of a body still to be read away.
    skip: u64,
    phase: Phase,
    /// The client closed its writing side.
    ended: bool,
    /// Requests without a reply on its way, the oldest first.
    owed: VecDeque<Owed>,
    /// The number of the next request.
    next: u32,
    /// The request that nothing behind it is read before the reply to.
    held: Option<u32>,
    unsent: Vec<u8>,
    sent: usize,
    hits: Hits,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    Last,
    Linger,
}

#[derive(Debug)]
struct Owed {
    method: Method,
    /// The bytes of a reply that was ready before an earlier one.
    ready: Option<Vec<u8>>,
}

impl Inbound {
    /// A connection on which nothing has come.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of the client, none too: then what is stored is looked at again. Each complete request, perhaps known, is handed to
    /// `ask` with its number, which [`Inbound::answer`] wants back; it says whether nothing behind that request is to be read before its
    /// reply, since that may be large or long in coming. A request that cannot be understood is the last one; its number and
    /// fault are given back, and it is owed a reply as well.
    pub fn feed(&mut self, bytes: &[u8], known: &mut Known, ask: impl FnMut(u32, Request<'_>) -> bool) -> Option<(u32, Bad)> {
        if self.phase != Phase::Open {
            return None;
        }
        if self.stored.is_empty() {
            let (used, bad) = self.understand(bytes, known, ask);
            self.stored.extend_from_slice(bytes.get(used..).unwrap_or_default());
            return bad;
        }
        self.stored.extend_from_slice(bytes);
        // A head that trickles in is looked at again when a line has ended, not for each byte.
        if self.partial && !bytes.contains(&b'\n') && self.stored.len() < limits::HEAD_BYTES {
            return None;
        }
        let mut stored = std::mem::take(&mut self.stored);
        let (used, bad) = self.understand(&stored, known, ask);
        if used < stored.len() {
            stored.drain(..used);
            self.stored = stored;
        }
        bad
    }

    /// Reads requests off `bytes` as long as there are any and we may; gives the number of bytes that are done with.
    fn understand(
        &mut self,
        bytes: &[u8],
        known: &mut Known,
        mut ask: impl FnMut(u32, Request<'_>) -> bool,
    ) -> (usize, Option<(u32, Bad)>) {
        let mut rest = bytes;
        let mut refused = None;
        self.partial = false;
        loop {
            let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rest.len());
            self.skip = self.skip.saturating_sub(skip as u64);
            rest = rest.get(skip..).unwrap_or_default();
            // Empty lines before a request are ignored (RFC 9112 section 2.2), so they do not start a head's deadline either.
            while let Some(behind) = rest.strip_prefix(b"\r\n") {
                if self.skip > 0 || self.phase != Phase::Open {
                    break;
                }
                rest = behind;
            }
            if rest.is_empty() || !self.may_read() {
                if !rest.is_empty() && self.phase == Phase::Open && self.held.is_none() {
                    self.hits.pipeline = self.hits.pipeline.wrapping_add(1);
                }
                break;
            }
            match known.parse(rest) {
                Ok(None) => {
                    self.partial = true;
                    break;
                }
                Ok(Some(head)) => {
                    rest = rest.get(head.bytes..).unwrap_or_default();
                    if let Some(length) = head.body {
                        self.skip = length;
                    } else {
                        self.phase = Phase::Last;
                        self.hits.body = self.hits.body.wrapping_add(1);
                    }
                    if head.close {
                        self.phase = Phase::Last;
                    }
                    let number = self.owe(head.request.method);
                    if ask(number, head.request) {
                        self.held = Some(number);
                    }
                }
                Err(bad) => refused = Some(self.refuse(bad, rest)),
            }
        }
        if self.phase != Phase::Open {
            // No answer is ever given to what stands behind a last request.
            rest = &[];
        }
        (bytes.len().saturating_sub(rest.len()), refused)
    }

    fn owe(&mut self, method: Method) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.owed.push_back(Owed { method, ready: None });
        number
    }

    fn refuse(&mut self, bad: Bad, bytes: &[u8]) -> (u32, Bad) {
        self.phase = Phase::Last;
        self.partial = false;
        // Whatever else it was, a body tells its sender more than its absence; but never one after HEAD (RFC 9110 section 9.3.2).
        let method = if bytes.starts_with(b"HEAD ") { Method::Head } else { Method::Other };
        (self.owe(method), bad)
    }

    /// Refuses what is stored of a request that will never be complete.
    fn refuse_stored(&mut self, bad: Bad) -> Option<(u32, Bad)> {
        let stored = std::mem::take(&mut self.stored);
        (self.phase == Phase::Open && self.partial).then(|| self.refuse(bad, &stored))
    }

    /// The client closed its writing side. The start of a request that will never be complete is refused.
    pub fn end(&mut self) -> Option<(u32, Bad)> {
        self.ended = true;
        let refused = self.refuse_stored(Bad::CutShort);
        self.finish();
        refused
    }

    /// The rest of a request did not come in time: what was begun is refused, and nothing more is read.
    pub fn late(&mut self) -> Option<(u32, Bad)> {
        let refused = self.refuse_stored(Bad::Late);
        if self.skip > 0 && self.phase == Phase::Open {
            self.hits.body = self.hits.body.wrapping_add(1);
        }
        self.finish();
        refused
    }

    /// No further request will be read: what is owed is replied to, and the connection ends.
    pub fn finish(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Last;
            self.partial = false;
            self.stored = Vec::new();
        }
    }

    /// Lends a buffer for what is to be written, if there is none: [`Inbound::sent`] gives it back.
    pub fn lend(&mut self, buffer: &mut Vec<u8>) {
        if self.unsent.capacity() == 0 {
            std::mem::swap(&mut self.unsent, buffer);
        }
    }

    /// The reply to the request of that number. It leaves when those before it have left.
    pub fn answer(&mut self, number: u32, reply: &Reply<'_>, date: &str) {
        let front = self.next.wrapping_sub(u32::try_from(self.owed.len()).unwrap_or(0));
        let place = usize::try_from(number.wrapping_sub(front)).unwrap_or(usize::MAX);
        let last = self.phase == Phase::Last && place.saturating_add(1) == self.owed.len();
        self.held.take_if(|held| *held == number);
        let before = self.unsent().len();
        let Some(owed) = self.owed.get_mut(place) else {
            debug_assert!(false, "a reply to a request that was not made or is answered");
            return;
        };
        if place > 0 {
            debug_assert!(owed.ready.is_none(), "a second reply");
            reply.write(owed.method, date, last, owed.ready.insert(Vec::new()));
            return;
        }
        reply.write(owed.method, date, last, &mut self.unsent);
        self.owed.pop_front();
        while let Some(ready) = self.owed.front_mut().and_then(|owed| owed.ready.take()) {
            self.unsent.extend_from_slice(&ready);
            self.owed.pop_front();
        }
        if before < limits::UNSENT_BYTES && self.unsent().len() >= limits::UNSENT_BYTES {
            self.hits.unsent = self.hits.unsent.wrapping_add(1);
        }
    }

    /// Bytes to be written.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.unsent.get(self.sent..).unwrap_or_default()
    }

    /// The memory that replies take until they are written.
    #[must_use]
    pub fn unread(&self) -> usize {
        let behind = self.owed.iter().filter_map(|owed| owed.ready.as_ref()).map(Vec::capacity);
        behind.fold(self.unsent.capacity(), usize::saturating_add)
    }

    /// So many of them were written. Gives the buffer back when they were all: another connection may need one, and this one is
    /// perhaps idle for long.
    pub fn sent(&mut self, bytes: usize) -> Option<Vec<u8>> {
        self.sent = self.sent.saturating_add(bytes);
        if self.sent < self.unsent.len() {
            // A client that always leaves a rest would else keep all that it was ever sent. Each byte is moved once at most.
            if self.sent >= self.unsent.len() / 2 {
                self.unsent.drain(..self.sent);
                self.sent = 0;
            }
            return None;
        }
        self.sent = 0;
        let mut buffer = std::mem::take(&mut self.unsent);
        buffer.clear();
        Some(buffer)
    }

    /// Whether another request may be read: fewer are owed, and less is unsent, than the limits say, and none is held.
    fn may_read(&self) -> bool {
        self.phase == Phase::Open && self.held.is_none() && self.owed.len() < limits::PIPELINE && self.unsent().len() < limits::UNSENT_BYTES
    }

    /// Whether bytes of the client are welcome.
    #[must_use]
    #[inline]
    pub fn wants_bytes(&self) -> bool {
        !self.ended && (self.phase == Phase::Linger || self.may_read())
    }

    /// Whether a look at what is stored could find a request that was left lying because too much was owed.
    #[must_use]
    #[inline]
    pub fn has_more(&self) -> bool {
        !self.stored.is_empty() && !self.partial && self.may_read()
    }

    /// Whether all that was owed has been written and no more will be.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase != Phase::Open && self.owed.is_empty() && self.unsent().is_empty()
    }

    /// Whether there is nothing left to wait for: done, and the client has closed its side too.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_done() && self.ended
    }

    /// All is said and our side is shut; what still comes is dropped until the client closes (RFC 9112 section 9.6).
    pub fn linger(&mut self) {
        debug_assert!(self.is_done(), "something is still owed");
        self.phase = Phase::Linger;
    }

    /// Whether it lingers already.
    #[must_use]
    pub fn is_lingering(&self) -> bool {
        self.phase == Phase::Linger
    }

    /// How often limits were met since this was last asked.
    pub fn take_hits(&mut self) -> Hits {
        std::mem::take(&mut self.hits)
    }

    /// What the connection waits for, and since which request: two equal values are the same wait, whose deadline stands.
    #[must_use]
    #[inline]
    pub fn waiting(&self) -> (Wait, u32) {
        let wait = if self.phase == Phase::Linger {
            Wait::ClientToClose
        } else if !self.unsent().is_empty() {
            Wait::ClientToRead
        } else if !self.owed.is_empty() {
            Wait::Us
        } else if self.partial || self.skip > 0 {
            Wait::RestOfRequest
        } else {
            Wait::Request
        };
        (wait, self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::however_cut;

    const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

    fn reply(status: u16) -> Reply<'static> {
        Reply::json(status, b"{}")
    }

    /// The statuses in what was written, and whether the last reply says that it is the last.
    fn statuses(inbound: &mut Inbound) -> Vec<u16> {
        let text = String::from_utf8(inbound.unsent().to_vec()).unwrap();
        inbound.sent(text.len());
        text.split("HTTP/1.1 ").skip(1).map(|reply| reply[..3].parse().unwrap()).collect()
    }

    /// The paths that were asked for and how the connection ended, for a client that is answered at once.
    fn talk(pieces: &[&[u8]]) -> (Vec<String>, Option<Bad>, bool, String) {
        let mut inbound = Inbound::new();
        let (mut paths, mut fault, mut written) = (Vec::new(), None, String::new());
        let mut settle = |inbound: &mut Inbound, bytes: &[u8]| {
            let mut bytes = bytes;
            loop {
                let mut asked = Vec::new();
                let refused = inbound.feed(bytes, &mut Known::default(), |number, request| {
                    paths.push(String::from_utf8(request.path.into_owned()).unwrap());
                    asked.push(number);
                    false
                });
                fault = fault.or(refused.map(|(_, bad)| bad));
                asked.extend(refused.map(|(number, _)| number));
                for number in asked {
                    inbound.answer(number, &reply(200), "D");
                }
                written.push_str(std::str::from_utf8(inbound.unsent()).unwrap());
                inbound.sent(inbound.unsent().len());
                bytes = &[];
                if !inbound.has_more() {
                    break;
                }
            }
        };
        for piece in pieces {
            settle(&mut inbound, piece);
        }
        let done = inbound.is_done();
        (paths, fault, done, written)
    }

    #[test]
    fn nothing_behind_a_held_request_is_read_before_its_reply() {
        let mut inbound = Inbound::new();
        let mut asked = Vec::new();
        inbound.feed(GET.repeat(3).as_bytes(), &mut Known::default(), |number, _| {
            asked.push(number);
            number == 1
        });
        assert_eq!(asked, [0, 1]);
        assert!(!inbound.has_more() && !inbound.wants_bytes());
        inbound.answer(0, &reply(200), "D");
        assert!(!inbound.has_more() && !inbound.wants_bytes());
        inbound.answer(1, &reply(503), "D");
        assert_eq!(statuses(&mut inbound), [200, 503]);
        assert!(inbound.has_more());
        inbound.feed(&[], &mut Known::default(), |number, _| {
            asked.push(number);
            true
        });
        assert_eq!(asked, [0, 1, 2]);
        assert_eq!(inbound.take_hits(), Hits::default(), "that is no limit");
    }

    #[test]
    fn requests_are_found_however_the_bytes_come() {
        let cases: &[(&str, &[&str], Option<Bad>, bool)] = &[
            (GET, &["/a"], None, false),
            ("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n", &["/a", "/b"], None, false),
            ("\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n\r\n", &["/a", "/b"], None, false),
            ("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /GET /b HTTP/1.1\r\nHost: h\r\n\r\n", &["/a", "/b"], None, false),
            (
                "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
                &["/a", "/b"],
                None,
                false,
            ),
            ("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n", &["/a"], None, true),
            ("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n", &["/a"], None, true),
            ("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n", &["/a"], None, true),
            ("GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n", &["/a"], None, true),
            ("GET /a HTTP/1.1\r\nHost: h\r\n\r\nBROKEN\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n", &["/a"], Some(Bad::Syntax), true),
            ("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n", &[], Some(Bad::Host), true),
        ];
        for &(bytes, paths, fault, done) in cases {
            let (got, bad, over, written) = however_cut(bytes.as_bytes(), talk);
            assert_eq!(
                (got.as_slice(), bad, over),
                (paths.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice(), fault, done),
                "{bytes:?}"
            );
            assert_eq!(written.matches("Connection: close").count(), usize::from(done), "only the last reply says so: {bytes:?}");
        }
    }

    #[test]
    fn replies_leave_in_the_order_of_their_requests() {
        let mut inbound = Inbound::new();
        inbound.feed(GET.repeat(3).as_bytes(), &mut Known::default(), |_, _| false);
        inbound.answer(2, &reply(404), "D");
        inbound.answer(1, &reply(503), "D");
        assert!(inbound.unsent().is_empty());
        assert_eq!(inbound.waiting().0, Wait::Us);
        inbound.answer(0, &reply(200), "D");
        assert_eq!(statuses(&mut inbound), [200, 503, 404]);
        assert_eq!(inbound.waiting(), (Wait::Request, 3));
    }

    #[test]
    fn a_flood_is_left_lying_until_replies_leave() {
        let mut inbound = Inbound::new();
        let mut asked = Vec::new();
        inbound.feed(GET.repeat(limits::PIPELINE + 2).as_bytes(), &mut Known::default(), |number, _| {
            asked.push(number);
            false
        });
        assert_eq!(asked.len(), limits::PIPELINE);
        assert_eq!(inbound.take_hits(), Hits { pipeline: 1, ..Hits::default() });
        assert!(!inbound.wants_bytes() && !inbound.has_more());
        inbound.answer(0, &reply(200), "D");
        assert!(inbound.has_more());
        inbound.feed(&[], &mut Known::default(), |number, _| {
            asked.push(number);
            false
        });
        assert_eq!(asked.len(), limits::PIPELINE + 1);
        for number in 1..=u32::try_from(limits::PIPELINE).unwrap() {
            inbound.answer(number, &reply(200), "D");
        }
        inbound.feed(&[], &mut Known::default(), |number, _| {
            asked.push(number);
            false
        });
        assert_eq!(asked.len(), limits::PIPELINE + 2);
        assert!(inbound.stored.is_empty());
    }

    #[test]
    fn a_client_that_does_not_read_is_not_read_either() {
        let mut inbound = Inbound::new();
        let body = vec![b' '; limits::UNSENT_BYTES];
        inbound.feed(GET.repeat(2).as_bytes(), &mut Known::default(), |_, _| false);
        inbound.answer(0, &Reply::json(200, &body), "D");
        assert!(!inbound.wants_bytes());
        assert_eq!(inbound.waiting().0, Wait::ClientToRead);
        inbound.sent(inbound.unsent().len());
        assert!(inbound.wants_bytes());
    }

    #[test]
    fn a_half_closed_client_gets_what_it_is_owed() {
        let mut inbound = Inbound::new();
        inbound.feed(GET.as_bytes(), &mut Known::default(), |_, _| false);
        assert_eq!(inbound.end(), None);
        assert!(!inbound.is_done());
        inbound.answer(0, &reply(200), "D");
        assert!(String::from_utf8_lossy(inbound.unsent()).contains("Connection: close"));
        assert_eq!(statuses(&mut inbound), [200]);
        assert!(inbound.is_over());
    }

    #[test]
    fn the_end_of_a_client_in_the_middle_of_a_head_is_refused_and_between_heads_is_not() {
        let mut inbound = Inbound::new();
        inbound.feed(b"GET /a HT", &mut Known::default(), |_, _| false);
        assert_eq!(inbound.end(), Some((0, Bad::CutShort)));
        let mut inbound = Inbound::new();
        inbound.feed(b"\r\n", &mut Known::default(), |_, _| false);
        assert_eq!(inbound.end(), None);
        assert!(inbound.is_over());
        let mut inbound = Inbound::new();
        inbound.feed(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab", &mut Known::default(), |_, _| false);
        assert_eq!(inbound.end(), None, "the request was complete, only its body was not");
    }

    #[test]
    fn each_wait_begins_anew_with_its_request_and_not_with_a_byte() {
        let mut inbound = Inbound::new();
        assert_eq!(inbound.waiting(), (Wait::Request, 0));
        inbound.feed(b"\r\n", &mut Known::default(), |_, _| false);
        assert_eq!(inbound.waiting(), (Wait::Request, 0));
        inbound.feed(b"GET /a", &mut Known::default(), |_, _| false);
        assert_eq!(inbound.waiting(), (Wait::RestOfRequest, 0));
        inbound.feed(b" HTTP/1.1\r\nHost: h\r\n\r\nGET", &mut Known::default(), |_, _| false);
        assert_eq!(inbound.waiting(), (Wait::Us, 1));
        inbound.answer(0, &reply(200), "D");
        assert_eq!(inbound.waiting(), (Wait::ClientToRead, 1));
        statuses(&mut inbound);
        assert_eq!(inbound.waiting(), (Wait::RestOfRequest, 1));
        assert_eq!(inbound.late(), Some((1, Bad::Late)));
        inbound.answer(1, &reply(408), "D");
        statuses(&mut inbound);
        assert!(inbound.is_done() && !inbound.is_over());
        inbound.linger();
        assert_eq!(inbound.waiting(), (Wait::ClientToClose, 2));
        assert_eq!(inbound.feed(GET.as_bytes(), &mut Known::default(), |_, _| panic!("dropped")), None);
        inbound.end();
        assert!(inbound.is_over());
    }

    #[test]
    fn a_late_body_ends_the_connection_without_a_second_reply() {
        let mut inbound = Inbound::new();
        inbound.feed(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab", &mut Known::default(), |_, _| false);
        inbound.answer(0, &reply(405), "D");
        statuses(&mut inbound);
        assert_eq!(inbound.waiting(), (Wait::RestOfRequest, 1));
        assert_eq!(inbound.late(), None);
        assert!(inbound.is_done());
    }

    #[test]
    fn a_lent_buffer_comes_back_when_all_is_written() {
        let mut inbound = Inbound::new();
        let mut buffer = Vec::with_capacity(1000);
        let mine = buffer.as_ptr();
        inbound.feed(GET.repeat(2).as_bytes(), &mut Known::default(), |_, _| false);
        inbound.lend(&mut buffer);
        inbound.answer(0, &reply(200), "D");
        let mut other = Vec::with_capacity(10);
        inbound.lend(&mut other);
        assert_eq!((buffer.capacity(), other.capacity()), (0, 10), "it holds one already");
        inbound.answer(1, &reply(503), "D");
        let length = inbound.unsent().len();
        assert_eq!(inbound.sent(length - 1), None);
        let back = inbound.sent(1).unwrap();
        assert_eq!((back.as_ptr(), back.len(), back.capacity()), (mine, 0, 1000));
        assert_eq!(inbound.unsent.capacity(), 0);
    }

    #[test]
    fn a_client_that_always_leaves_a_rest_keeps_no_more_than_that() {
        let mut inbound = Inbound::new();
        let body = vec![b' '; limits::UNSENT_BYTES / 2];
        for number in 0..1000 {
            inbound.feed(GET.as_bytes(), &mut Known::default(), |_, _| false);
            inbound.answer(number, &Reply::json(200, &body), "D");
            assert_eq!(inbound.sent(inbound.unsent().len() - 1), None);
            assert_eq!(inbound.unsent().len(), 1);
        }
        assert!(inbound.unread() <= 2 * limits::UNSENT_BYTES, "{} bytes", inbound.unread());
    }

    #[test]
    fn an_idle_connection_holds_no_buffer() {
        let mut inbound = Inbound::new();
        inbound.feed(b"GET /a HTTP/1.1\r\n", &mut Known::default(), |_, _| false);
        inbound.feed(b"Host: h\r\n\r\n", &mut Known::default(), |_, _| false);
        inbound.answer(0, &reply(200), "D");
        statuses(&mut inbound);
        assert_eq!(inbound.stored.capacity() + inbound.unsent.capacity(), 0);
    }
}
