//! One question to the running server, over the same HTTP code as everywhere here, on a socket that waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::config::Address;
use crate::drain::plain;
use crate::http::{Outbound, Part};
use crate::io::clock::Clock;
use crate::io::sock;
use crate::limits;

/// The server, as it is to be reached.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) prefix: String,
    /// How long its answer may take: it may itself wait, for Docker and for the first check of an app.
    pub(super) patience: Duration,
}

/// Its answer.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Said {
    /// A text of its own in the answer.
    pub(super) fn text(&self, key: &str) -> &str {
        self.body.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its code.
    pub(super) fn code(&self) -> Option<u64> {
        self.body.get("code").and_then(Value::as_u64)
    }

    /// What it says is wrong.
    pub(super) fn wrong(&self) -> String {
        match self.text("message") {
            "" => format!("it answered {}, which is no verdict (is it another server?)", self.status),
            message => plain(message),
        }
    }
}

/// A socket that waits.
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// From now on it waits for so long and no longer.
    fn wait_for(&self, time: Duration) -> io::Result<()> {
        let time = Some(time);
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(time).and_then(|()| stream.set_write_timeout(time)),
            Self::Unix(stream) => stream.set_read_timeout(time).and_then(|()| stream.set_write_timeout(time)),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

impl Server {
    /// Asks for that path behind the prefix, and waits so long for the answer.
    pub(super) fn get(&self, path: &str, patience: Duration) -> Result<Said, String> {
        self.try_to_get(path, patience).map_err(|error| {
            let address = &self.address;
            // A socket that waits in vain says that it would block; so does a Unix socket whose queue is full.
            if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
                return format!("{address} does not answer (does the server hang, or has it a longer -docker-timeout?)");
            }
            let absent = matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound);
            format!("cannot ask {address}: {error}{}", if absent { " (does the server run?)" } else { "" })
        })
    }

    fn try_to_get(&self, path: &str, patience: Duration) -> io::Result<Said> {
        let mut clock = Clock::new();
        let until = clock.now() + patience;
        let mut socket = match &self.address {
            Address::Tcp(address) => Socket::Tcp(TcpStream::connect_timeout(address, patience)?),
            Address::Unix(path) => Socket::Unix(sock::connect_waiting(path)?),
        };
        // Any HTTP/1.1 request has a Host; this server looks at none.
        let request = format!("GET {}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", self.prefix);
        let mut outbound = Outbound::new(request.into_bytes());
        while !outbound.unsent().is_empty() {
            socket.wait_for(left(&mut clock, until)?)?;
            outbound.sent(socket.write(outbound.unsent())?);
        }
        let (mut status, mut body) = (0, Vec::new());
        let mut buffer = vec![0; limits::READ_BYTES];
        let broken = |_| io::Error::other("it answered with broken HTTP (is it another server?)");
        while !outbound.is_done() {
            socket.wait_for(left(&mut clock, until)?)?;
            let length = match socket.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            if length == 0 {
                outbound.end().map_err(broken)?;
                break;
            }
            let hand_on = |part: Part<'_>| match part {
                Part::Head(head) => status = head.status,
                Part::Body(bytes) => body.extend_from_slice(bytes),
            };
            outbound.feed(buffer.get(..length).unwrap_or_default(), hand_on).map_err(broken)?;
            if body.len() > limits::LIST_BYTES {
                return Err(io::Error::other("it answered too much (is it another server?)"));
            }
        }
        let body = serde_json::from_slice(&body).map_err(|_| io::Error::other("it did not answer in JSON (is it another server?)"))?;
        Ok(Said { status, body })
    }
}

/// How much time is left, if any is.
fn left(clock: &mut Clock, until: Instant) -> io::Result<Duration> {
    clock.read();
    let left = until.saturating_duration_since(clock.now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
