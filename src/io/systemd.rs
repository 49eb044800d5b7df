//! systemd, without its library: the listeners it passes on (`sd_listen_fds(3)`), and what it is told (`sd_notify(3)`).
//!
//! It is told `READY=1` once Docker has been heard of, good or bad, or after a moment: a host without Docker is up too, and says so
//! over HTTP. The watchdog is fed by the loop, and by nothing else: a loop that stands still is what it is to find.
//!
//! The environment comes in as a parameter; `main.rs` reads it.

use std::ffi::c_int;
use std::fmt::Write as _;
use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::sock::Listener;
use crate::engine::Trust;
use crate::limits;

/// The first descriptor that is passed on (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// Takes over the listeners that were passed to the process of that id, which is ours. To be called once.
///
/// # Errors
/// One line that names what was passed and is no listener.
pub fn listeners(environment: impl Fn(&str) -> Option<String>, pid: u32) -> Result<Vec<Listener>, String> {
    // Without its id they were passed to one of our ancestors, who kept them from us or forgot to.
    if number::<u32>(&environment, "LISTEN_PID") != Some(pid) {
        return Ok(Vec::new());
    }
    let count = number::<RawFd>(&environment, "LISTEN_FDS").unwrap_or(0);
    let names = environment("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut all = Vec::new();
    for descriptor in FIRST..FIRST.saturating_add(count) {
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unnamed");
        let wrong =
            |error| format!("descriptor {descriptor} ({name}), passed by systemd, is no listener over TCP or a Unix socket: {error}");
        all.push(take_over(descriptor).map_err(wrong)?);
    }
    Ok(all)
}

fn take_over(descriptor: RawFd) -> io::Result<Listener> {
    // A datagram socket, or one that is connected, would be accepted from in vain, for ever.
    if !accepts(descriptor)? {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    #[expect(unsafe_code, reason = "only a descriptor's number is passed on")]
    // SAFETY: it is open, as was just seen, and by LISTEN_PID ours; nothing else here knows of it.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let unix = UnixListener::from(owned);
    // The standard library looks at the family of an address, so this tells which it is.
    if let Ok(address) = unix.local_addr() {
        unix.set_nonblocking(true)?;
        let name = || address.as_abstract_name().map(|name| format!("@{}", name.escape_ascii()));
        let path = address.as_pathname().map_or_else(|| name().unwrap_or_default().into(), PathBuf::from);
        return Ok(Listener::Unix { listener: mio::net::UnixListener::from_std(unix), path, made: None });
    }
    let tcp = TcpListener::from(OwnedFd::from(unix));
    tcp.local_addr()?;
    tcp.set_nonblocking(true)?;
    Ok(Listener::Tcp(mio::net::TcpListener::from_std(tcp)))
}

fn accepts(descriptor: RawFd) -> io::Result<bool> {
    let (mut value, mut length): (c_int, libc::socklen_t) = (0, libc::socklen_t::try_from(size_of::<c_int>()).unwrap_or_default());
    #[expect(unsafe_code, reason = "the standard library does not ask this")]
    // SAFETY: both pointers are to variables that live longer than the call, and the length is that of the first.
    let asked = unsafe { libc::getsockopt(descriptor, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, (&raw mut value).cast(), &raw mut length) };
    if asked == 0 { Ok(value != 0) } else { Err(io::Error::last_os_error()) }
}

fn number<T: std::str::FromStr>(environment: impl Fn(&str) -> Option<String>, name: &str) -> Option<T> {
    environment(name)?.parse().ok()
}

/// Who is told how we do.
#[derive(Debug)]
pub struct Supervisor {
    socket: UnixDatagram,
    /// Not connected to: a systemd that starts anew listens on another socket of the same name.
    address: SocketAddr,
    /// Twice as often as it wants to be fed, so that it is never late.
    watchdog: Option<Duration>,
    feed_at: Instant,
    stage: Stage,
    /// At this index of all apps the status was told last.
    index: Option<u64>,
    status: String,
    /// Not before then again.
    status_at: Instant,
    /// What was told last did not get through, and is tried again then.
    again_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not ready before something has been heard of Docker, or it is so late.
    Starting(Instant),
    Serving,
    Stopping,
}

impl Supervisor {
    /// The one who started the process of that id, which is ours, if he wants to be told anything.
    ///
    /// # Errors
    /// One line that says why he cannot be told.
    pub fn find(environment: impl Fn(&str) -> Option<String>, pid: u32, now: Instant) -> Result<Option<Self>, String> {
        let Some(name) = environment("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Ok(None) };
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None if name.starts_with('/') => SocketAddr::from_pathname(&name),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        let socket = UnixDatagram::unbound().and_then(|socket| {
            // Nothing may block the loop.
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        let wrong = |error| format!("systemd is not told anything: NOTIFY_SOCKET={name:?}: {error}");
        let (address, socket) = (address.map_err(wrong)?, socket.map_err(wrong)?);
        let is_fed = number::<u32>(&environment, "WATCHDOG_PID").is_none_or(|fed| fed == pid);
        let patience = number::<u64>(&environment, "WATCHDOG_USEC").filter(|patience| is_fed && *patience > 0);
        Ok(Some(Self {
            socket,
            address,
            watchdog: patience.map(|patience| Duration::from_micros(patience) / 2),
            feed_at: now,
            stage: Stage::Starting(now + limits::READY_PATIENCE),
            index: None,
            status: String::new(),
            status_at: now,
            again_at: None,
        }))
    }

    /// Tells what is new. `is_known` says whether Docker has been heard of, `index` changes with what `words` would say.
    pub fn tend(&mut self, now: Instant, is_known: bool, index: u64, words: impl FnOnce() -> String) {
        if self.again_at.is_some_and(|at| at > now) {
            return;
        }
        let mut message = String::new();
        let (mut stage, mut status) = (self.stage, None);
        if let Stage::Starting(at) = stage
            && (is_known || at <= now)
        {
            message.push_str("READY=1\n");
            stage = Stage::Serving;
        }
        let is_serving = stage == Stage::Serving;
        if is_serving && self.index != Some(index) && self.status_at <= now {
            let words = words();
            if words == self.status {
                self.index = Some(index);
            } else {
                // Writing to a string cannot fail.
                let _ = writeln!(message, "STATUS={words}");
                status = Some(words);
            }
        }
        let feeds = self.watchdog.filter(|_| self.feed_at <= now);
        if feeds.is_some() {
            message.push_str("WATCHDOG=1\n");
        }
        if message.is_empty() {
            return;
        }
        if !self.tell(&message) {
            self.again_at = Some(now + limits::STATUS_PAUSE.min(self.watchdog.unwrap_or(limits::STATUS_PAUSE) / 4));
            return;
        }
        self.again_at = None;
        self.stage = stage;
        if let Some(status) = status {
            (self.status, self.index, self.status_at) = (status, Some(index), now + limits::STATUS_PAUSE);
        }
        if let Some(rhythm) = feeds {
            self.feed_at = now + rhythm;
        }
    }

    /// When there may be something to tell next, if nothing else happens.
    #[must_use]
    pub fn next_due(&self, index: u64) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Starting(at) => Some(at),
            Stage::Serving if self.index != Some(index) => Some(self.status_at),
            Stage::Serving | Stage::Stopping => None,
        };
        let first = [stage, self.watchdog.map(|_| self.feed_at)].into_iter().flatten().min()?;
        Some(self.again_at.map_or(first, |again| first.max(again)))
    }

    /// We stop.
    pub fn stopping(&mut self) {
        // If he is not told he learns of it from our end.
        self.tell("STOPPING=1\nSTATUS=stopping\n");
        self.stage = Stage::Stopping;
    }

    fn tell(&self, message: &str) -> bool {
        self.socket.send_to_addr(message.as_bytes(), &self.address).is_ok()
    }
}

/// How we do, in words for a person.
#[must_use]
pub fn status(up: usize, down: usize, docker: Trust) -> String {
    let apps = |count| if count == 1 { "app" } else { "apps" };
    let known = up.saturating_add(down);
    let docker = docker.word();
    match (up, down) {
        (0, 0) => format!("no apps, docker {docker}"),
        // What is known stays listed, and is of no use.
        _ if docker == Trust::Down.word() => format!("{known} {} unknown, docker down", apps(known)),
        _ => format!("{up} {} up, {down} down, docker {docker}", apps(up)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_words_for_a_person() {
        for (up, down, docker, words) in [
            (12, 1, Trust::Live, "12 apps up, 1 down, docker live"),
            (1, 0, Trust::Blind, "1 app up, 0 down, docker blind"),
            (0, 2, Trust::Stale, "0 apps up, 2 down, docker stale"),
            (0, 0, Trust::Live, "no apps, docker live"),
            (0, 0, Trust::Down, "no apps, docker down"),
            (0, 1, Trust::Down, "1 app unknown, docker down"),
            (3, 1, Trust::Down, "4 apps unknown, docker down"),
        ] {
            assert_eq!(status(up, down, docker), words);
        }
    }
}
