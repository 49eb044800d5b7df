//! One peer of the loop: its socket, its readiness, its role.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

use mio::event::Event;

use super::deadlines::Due;
use super::sock::Stream;
use crate::check;
use crate::docker::Exchange;
use crate::engine::FlightId;
use crate::http::outbound::Talk;
use crate::http::{Inbound, Wait};
use crate::lost::Lost;

/// A peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) socket: Socket,
    pub(super) role: Role,
    /// Whether it is on the list of those with something to do.
    pub(super) listed: bool,
    pub(super) due: Due,
}

#[derive(Debug)]
pub(super) enum Role {
    Client(Client),
    /// A question to Docker, the stream of events too. Boxed, since there are few of these and many clients.
    Docker(FlightId, Box<Exchange>),
    /// A check of an app.
    Check(FlightId, Box<check::Exchange>),
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) inbound: Inbound,
    /// What it waits for, and since when.
    pub(super) wait: (Wait, u32),
    pub(super) since: Instant,
    /// There was no room for it: it is told what is at hand, and goes.
    pub(super) extra: bool,
    /// The turn it last had a share of, and what is left of that.
    pub(super) turn: u64,
    pub(super) share: usize,
}

/// A connection and what is known of its readiness: an edge is told once, so that readiness is state, cleared when a read or a
/// write says that it would block.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(super) struct Socket {
    stream: Stream,
    readable: bool,
    writable: bool,
    /// The poll has seen the other side's end; only a read tells what came before it.
    ended: bool,
    /// The poll has seen the connection fail: for who is not read from at present.
    failed: bool,
    connected: bool,
}

/// What came of a read.
pub(super) enum Got {
    Bytes(usize),
    End,
    Nothing,
}

impl Socket {
    /// A connection that may be written to, and from which nothing is known to have come.
    pub(super) const fn new(stream: Stream, connected: bool) -> Self {
        Self { stream, readable: false, writable: connected, ended: false, failed: false, connected }
    }

    pub(super) const fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// What the poll says. Hang-ups and errors are hints: the next read or write tells.
    pub(super) fn note(&mut self, event: &Event) {
        let over = event.is_read_closed() || event.is_write_closed() || event.is_error();
        self.readable |= event.is_readable() || over;
        self.writable |= event.is_writable() || over;
        self.ended |= over;
        // Both directions are closed: a Unix client has gone. Of a TCP client that closes only its own half is known to be.
        self.failed |= event.is_error() || event.is_read_closed() && event.is_write_closed();
    }

    /// Whether the connection is known to have failed, or to be closed by the other side altogether.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed
    }

    pub(super) const fn is_readable(&self) -> bool {
        self.readable
    }

    /// The next read is worth trying, whatever the poll has said.
    pub(super) const fn try_reading(&mut self) {
        self.readable = true;
    }

    /// Reads, if it is known that there may be something.
    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        while self.readable {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.readable = false;
                    return Ok(Got::End);
                }
                Ok(length) => {
                    // A read that did not fill the buffer has drained the socket, and saves the one that would say so; unless the
                    // end is behind it, which no further edge announces. (TCP's urgent data would cut a read short too; no client
                    // of HTTP sends any, and who does waits for itself.)
                    self.readable = length == buffer.len() || self.ended;
                    return Ok(Got::Bytes(length));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Got::Nothing)
    }

    /// Writes, if there may be room. Gives the number of bytes written; none if it would block.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while self.writable && !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(length) => return Ok(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }

    /// Shuts the writing side.
    pub(super) fn shut(&self) -> io::Result<()> {
        self.stream.shut()
    }

    /// Whether the connection stands by now.
    fn is_connected(&mut self) -> io::Result<bool> {
        if !self.connected && self.writable {
            self.connected = self.stream.is_connected()?;
        }
        Ok(self.connected)
    }
}

/// How a round with a peer ended.
pub(super) enum Round<T> {
    /// It waits for something.
    Waits,
    /// It has had its share, and there is more.
    More,
    /// It is at its end.
    Over(T),
}

/// A round with one whom we ask: writes what is unsent, reads what may be read, hands on what is told.
pub(super) fn exchange<T: Talk>(
    socket: &mut Socket,
    exchange: &mut T,
    scratch: &mut [u8],
    share: usize,
    mut tell: impl FnMut(T::Told),
) -> io::Result<Round<T::Outcome>> {
    if !socket.is_connected()? {
        return Ok(Round::Waits);
    }
    while !exchange.outbound().unsent().is_empty() {
        match socket.write(exchange.outbound().unsent()) {
            Ok(length) if length > 0 => exchange.outbound().sent(length),
            // It would block; or they have answered before they had read all, and closed: then the answer can still be read.
            Ok(_) | Err(_) => break,
        }
    }
    let mut left = share;
    loop {
        match socket.read(scratch)? {
            Got::Nothing => return Ok(Round::Waits),
            Got::End => return Ok(Round::Over(exchange.end())),
            Got::Bytes(length) => {
                if let Some(outcome) = exchange.feed(scratch.get(..length).unwrap_or_default(), &mut tell) {
                    return Ok(Round::Over(outcome));
                }
                left = left.saturating_sub(length);
                if left == 0 {
                    return Ok(Round::More);
                }
            }
        }
    }
}

/// What an error of the system's means for a connection of ours.
pub(super) fn lost(error: &io::Error) -> Lost {
    // A path that is too long for a socket has no number.
    match error.raw_os_error().unwrap_or(libc::ENAMETOOLONG) {
        libc::ENOENT => Lost::NoSocket,
        libc::ECONNREFUSED => Lost::Refused,
        libc::EACCES | libc::EPERM => Lost::Denied,
        libc::EAGAIN => Lost::Full,
        libc::ECONNRESET | libc::EPIPE => Lost::Reset,
        ours @ (libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EADDRNOTAVAIL) => Lost::Ours(ours),
        other => Lost::Unreachable(other),
    }
}
