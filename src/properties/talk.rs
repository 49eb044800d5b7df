//! One client's connection against a script, and a model that reads the client's bytes for itself.
//!
//! A script is what the client sends, in ASCII, and between it, as bytes from 0x80 on, what happens: the lowest three bits say what,
//! the next four are a number *n*.
//!
//! | bits | what happens |
//! |---|---|
//! | 0 | the bytes before this one come by themselves |
//! | 1 | the *n*-th of the requests that wait is answered |
//! | 2 | the same, with *n* times 8 KiB |
//! | 3 | the client takes all that was written |
//! | 4 | it takes 1 + 7 *n* bytes |
//! | 5 | the client closes its side |
//! | 6 | the rest of a request is late |
//! | 7 | the server ends |
//!
//! At its end the client closes its side and takes everything, and everything is answered: then the connection must come to its end.

use crate::http::request::{self, Bad};
use crate::http::{Inbound, Known, Method, Reply, Wait};
use crate::limits;

/// What stands behind the requests in some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tail {
    /// Nothing, or nothing that counts.
    #[default]
    Clean,
    /// The start of a head.
    Begun,
    /// A body that is not all there.
    Body,
    /// Nothing that may be read: the last request was the last one.
    Closed,
    Bad(Bad),
}

/// The requests in all bytes of a client, read without a thought of replies.
fn requests(bytes: &[u8]) -> (Vec<(Method, Vec<u8>)>, Tail) {
    let mut found = Vec::new();
    let mut rest = bytes;
    loop {
        while let Some(behind) = rest.strip_prefix(b"\r\n") {
            rest = behind;
        }
        if rest.is_empty() {
            return (found, Tail::Clean);
        }
        let head = match request::parse(rest) {
            Ok(Some(head)) => head,
            Ok(None) => return (found, Tail::Begun),
            Err(bad) => return (found, Tail::Bad(bad)),
        };
        rest = &rest[head.bytes..];
        found.push((head.request.method, head.request.path.into_owned()));
        let Some(length) = head.body.filter(|_| !head.close) else { return (found, Tail::Closed) };
        let length = usize::try_from(length).unwrap();
        if length > rest.len() {
            return (found, Tail::Body);
        }
        rest = &rest[length..];
    }
}

/// A request that was asked for, or refused, and the reply it got.
struct Asked {
    /// Its method and path, if it could be understood.
    request: Result<(Method, Vec<u8>), Bad>,
    reply: Option<Given>,
}

#[derive(Clone, Copy)]
struct Given {
    length: usize,
    is_last: bool,
}

#[derive(Default)]
struct Talk {
    inbound: Inbound,
    known: Known,
    /// What the client has sent and nobody has read.
    on_the_way: Vec<u8>,
    /// What was read as requests, and how the model understands it.
    read: Vec<u8>,
    requests: Vec<(Method, Vec<u8>)>,
    tail: Tail,
    asked: Vec<Asked>,
    /// What the client has taken.
    taken: Vec<u8>,
    client_closed: bool,
    /// Its end was read.
    ended: bool,
    /// No more requests are read, whatever comes.
    stopped: bool,
}

/// Runs a script, and then the connection to its end.
pub(super) fn run(script: &[u8]) {
    let mut talk = Talk::default();
    for &byte in script {
        let number = usize::from(byte >> 3 & 0xf);
        match (byte, byte & 7) {
            (..0x80, _) => {
                if !talk.client_closed {
                    talk.on_the_way.push(byte);
                }
                continue;
            }
            (_, 0) => {}
            (_, 1) => talk.answer(number, 30),
            (_, 2) => talk.answer(number, number * 8 * 1024),
            (_, 3) => talk.take(usize::MAX),
            (_, 4) => talk.take(1 + 7 * number),
            (_, 5) => talk.client_closed = true,
            (_, 6) => {
                let refused = talk.inbound.late();
                talk.stop(refused, Bad::Late);
            }
            _ => {
                talk.inbound.finish();
                talk.stop(None, Bad::Late);
            }
        }
        talk.settle();
    }
    talk.client_closed = true;
    talk.settle();
    while !talk.inbound.is_over() {
        assert!(talk.owed() > 0 || !talk.inbound.unsent().is_empty(), "it hangs, waiting for {:?}", talk.inbound.waiting());
        talk.answer(0, 30);
        talk.take(usize::MAX);
        talk.settle();
    }
    talk.replies();
}

impl Talk {
    /// The number of requests that wait for a reply, or for that of one before them.
    fn owed(&self) -> usize {
        self.asked.iter().skip_while(|asked| asked.reply.is_some()).count()
    }

    fn may_read(&self) -> bool {
        let held = self.asked.iter().any(|asked| asked.reply.is_none() && holds(asked));
        !self.stopped && !held && self.owed() < limits::PIPELINE && self.inbound.unsent().len() < limits::UNSENT_BYTES
    }

    /// Answers the n-th, counted round, of those that wait.
    fn answer(&mut self, number: usize, length: usize) {
        let open: Vec<_> = (0..self.asked.len()).filter(|&at| self.asked[at].reply.is_none()).collect();
        let Some(&at) = open.get(number % open.len().max(1)) else { return };
        let is_last = self.stopped && at + 1 == self.asked.len();
        self.asked[at].reply = Some(Given { length, is_last });
        let body = body(at, length);
        self.inbound.answer(u32::try_from(at).unwrap(), &Reply::json(status(at), &body), "D");
    }

    fn take(&mut self, most: usize) {
        let unsent = self.inbound.unsent();
        let taken = &unsent[..unsent.len().min(most)];
        self.taken.extend_from_slice(taken);
        let length = taken.len();
        self.inbound.sent(length);
    }

    /// Nothing more is read; the start of a request is refused with that fault.
    fn stop(&mut self, refused: Option<(u32, Bad)>, fault: Bad) {
        if let Some((number, bad)) = refused {
            assert!(!self.stopped, "refused after the last");
            assert_eq!((number as usize, bad), (self.asked.len(), fault));
            self.asked.push(Asked { request: Err(bad), reply: None });
        }
        self.stopped = true;
    }

    /// What the loop does with a connection, until it waits.
    fn settle(&mut self) {
        loop {
            self.check();
            if self.inbound.is_done() && !self.inbound.is_lingering() {
                self.inbound.linger();
            } else if self.inbound.has_more() {
                self.feed(&[]);
            } else if !self.inbound.wants_bytes() {
                break;
            } else if !self.on_the_way.is_empty() {
                let bytes = std::mem::take(&mut self.on_the_way);
                self.feed(&bytes);
            } else if self.client_closed {
                self.ended = true;
                let refused = self.inbound.end();
                let begun = matches!(self.tail, Tail::Begun | Tail::Bad(_));
                assert!(self.stopped || refused.is_some() == begun, "the start of a request is refused, and nothing else");
                self.stop(refused, Bad::CutShort);
            } else {
                break;
            }
        }
        if self.may_read() {
            assert!(self.on_the_way.is_empty(), "it would wait for bytes that have come");
            assert_eq!(self.asked.len(), self.requests.len(), "it would wait with a request in its hands");
            assert_ne!(self.tail, Tail::Closed);
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let before = self.asked.len();
        let was_stopped = self.stopped;
        let is_full = !self.may_read();
        if !was_stopped {
            self.read.extend_from_slice(bytes);
            (self.requests, self.tail) = requests(&self.read);
        }
        let asked = &mut self.asked;
        let refused = self.inbound.feed(bytes, &mut self.known, |number, request| {
            assert_eq!(number as usize, asked.len());
            asked.push(Asked { request: Ok((request.method, request.path.into_owned())), reply: None });
            asked.last().is_some_and(holds)
        });

        let understood = self.asked.iter().filter_map(|asked| asked.request.as_ref().ok());
        assert!(understood.eq(self.requests.iter().take(self.asked.len())) || was_stopped, "other requests than the client's");
        if let Some((_, bad)) = refused {
            assert_eq!((self.asked.len(), Tail::Bad(bad)), (self.requests.len(), self.tail));
            self.stop(refused, bad);
        }
        self.stopped |= self.tail == Tail::Closed && self.asked.len() == self.requests.len();
        assert!(self.asked.len() == before || !is_full, "asked though it may not read");
        // A head that trickles in is looked at again when a line has ended.
        if !was_stopped && (bytes.is_empty() || bytes.contains(&b'\n')) && self.may_read() {
            assert!(!matches!(self.tail, Tail::Bad(_)), "a fault is overlooked: {:?}", self.tail);
        }
    }

    /// What holds at any time.
    fn check(&self) {
        let owed = self.owed();
        let unsent = self.inbound.unsent();
        assert!(owed <= limits::PIPELINE, "{owed} are owed");
        assert_eq!(self.inbound.is_done(), self.inbound.is_lingering() || self.stopped && owed == 0 && unsent.is_empty());
        assert_eq!(self.inbound.is_over(), self.inbound.is_done() && self.ended);

        let (wait, number) = self.inbound.waiting();
        assert_eq!(number as usize, self.asked.len());
        let begun = || matches!(self.tail, Tail::Begun | Tail::Body | Tail::Bad(_));
        match wait {
            Wait::ClientToClose => assert!(self.inbound.is_lingering()),
            Wait::ClientToRead => assert!(!unsent.is_empty()),
            Wait::Us => assert!(owed > 0 && unsent.is_empty()),
            Wait::RestOfRequest => assert!(owed == 0 && unsent.is_empty() && (self.stopped || begun())),
            Wait::Request => assert!(owed == 0 && unsent.is_empty() && (self.stopped || self.inbound.has_more() || !begun())),
        }
        assert_eq!(self.inbound.wants_bytes(), !self.ended && (self.inbound.is_lingering() || self.may_read()));
    }

    /// Each request has its one reply, in order, and nothing stands behind the last.
    fn replies(&self) {
        let mut rest = &self.taken[..];
        for (at, asked) in self.asked.iter().enumerate() {
            let Given { length, is_last } = asked.reply.expect("a request without a reply");
            let end = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("a reply") + 4;
            let head = std::str::from_utf8(&rest[..end]).unwrap();
            rest = &rest[end..];
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", status(at))), "another reply than number {at}: {head}");
            assert_eq!(head.contains("\r\nConnection: close\r\n"), is_last, "number {at}");
            let method = match &asked.request {
                Ok((method, _)) => *method,
                // What was refused is the last; a HEAD gets no body even so.
                Err(_) if rest.is_empty() && self.read.windows(5).any(|five| five == b"HEAD ") => Method::Head,
                Err(_) => Method::Other,
            };
            let said = if method == Method::Options { 0 } else { length };
            assert!(head.contains(&format!("\r\nContent-Length: {said}\r\n")), "{head}");
            if !matches!(method, Method::Head | Method::Options) {
                assert!(rest.starts_with(&body(at, length)), "another body than number {at}");
                rest = &rest[length..];
            }
        }
        assert!(rest.is_empty(), "something behind the last reply");
    }
}

/// What the request of that number is answered with.
fn status(number: usize) -> u16 {
    [200, 503, 404][number % 3]
}

fn body(number: usize, length: usize) -> Vec<u8> {
    let mut body = format!("number {number}.").into_bytes();
    body.resize(length, b' ');
    body
}

/// Whether nothing behind that request is read before its reply.
fn holds(asked: &Asked) -> bool {
    asked.request.as_ref().is_ok_and(|(_, path)| path.len() % 4 == 3)
}
