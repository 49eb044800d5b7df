//! Where we listen, and what an error of `accept` means.

use std::io::{self, ErrorKind};

use log::info;
use mio::{Interest, Registry, Token};

use super::sock::{self, Listener, Stream};
use crate::config::{Address, Listen};

/// A listener in the poll.
#[derive(Debug)]
pub struct Listening {
    listener: Listener,
    /// Whether connections may wait. Readiness is state: an edge is told once.
    pub ready: bool,
}

/// What came of an `accept`.
#[derive(Debug)]
pub enum Accepted {
    /// A connection.
    Client(Stream),
    /// Nobody waits any more.
    Nobody,
    /// That one client failed before we came to it (accept(2): treat the network's errors as `EAGAIN`).
    Theirs,
    /// We lack a descriptor or memory, or something that nobody knows: to be tried again after a pause.
    Ours(io::Error),
}

impl Listening {
    /// Tries to accept a connection.
    pub fn accept(&mut self) -> Accepted {
        match self.listener.accept() {
            Ok(stream) => Accepted::Client(stream),
            Err(error) => match (error.kind(), error.raw_os_error()) {
                (ErrorKind::WouldBlock, _) => {
                    self.ready = false;
                    Accepted::Nobody
                }
                (ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset, _)
                | (
                    _,
                    Some(
                        libc::EPROTO
                        | libc::ENOPROTOOPT
                        | libc::EHOSTDOWN
                        | libc::ENONET
                        | libc::EHOSTUNREACH
                        | libc::EOPNOTSUPP
                        | libc::ENETDOWN
                        | libc::ENETUNREACH,
                    ),
                ) => Accepted::Theirs,
                _ => Accepted::Ours(error),
            },
        }
    }
}

/// Listens at those addresses, and goes on with those who listen already, with tokens from `first` on.
///
/// # Errors
/// One line that names the address.
pub fn listen(addresses: &[Listen], inherited: Vec<Listener>, registry: &Registry, first: usize) -> Result<Vec<Listening>, String> {
    let mut all = Vec::new();
    for listener in inherited {
        add(&mut all, listener, registry, first)?;
    }
    let mut bound: Vec<Address> = Vec::new();
    // `::` takes the connections of `0.0.0.0` too, but not the other way round, so it comes first.
    let takes_both =
        |listen: &&Listen| matches!(&listen.address, Address::Tcp(address) if address.is_ipv6() && address.ip().is_unspecified());
    let (first_ones, others): (Vec<&Listen>, Vec<&Listen>) = addresses.iter().partition(takes_both);
    for Listen { address, optional } in first_ones.into_iter().chain(others) {
        let listener = match Listener::bind(address) {
            Ok(listener) => listener,
            // A host without IPv6.
            Err(error) if *optional && is_not_here(&error) => continue,
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_taken_by_ours(address, &bound) => continue,
            Err(error) => return Err(format!("cannot listen on {address}: {error}{}", hint(&error))),
        };
        add(&mut all, listener, registry, first)?;
        bound.push(address.clone());
    }
    Ok(all)
}

fn add(all: &mut Vec<Listening>, mut listener: Listener, registry: &Registry, first: usize) -> Result<(), String> {
    let wrong = |error| format!("cannot poll a listener: {error}");
    registry.register(listener.source(), Token(first.saturating_add(all.len())), Interest::READABLE).map_err(wrong)?;
    // What is accepted has it from there.
    if let Listener::Tcp(listener) = &listener {
        sock::narrow(listener);
    }
    // For port 0 only this tells.
    info!("listening address={}", listener.address().map_err(wrong)?);
    all.push(Listening { listener, ready: true });
    Ok(())
}

fn is_not_here(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn is_taken_by_ours(address: &Address, bound: &[Address]) -> bool {
    let everywhere = |address: &Address| match address {
        Address::Tcp(address) if address.ip().is_unspecified() => Some((address.port(), address.is_ipv4())),
        Address::Tcp(_) | Address::Unix(_) => None,
    };
    everywhere(address).is_some_and(|(port, v4)| bound.iter().any(|other| everywhere(other) == Some((port, !v4))))
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error().unwrap_or(libc::EIO) {
        libc::EADDRINUSE => " (is it named twice, or does another server run there? -port or -bind choose another address)",
        libc::EADDRNOTAVAIL => " (-bind wants an address of this host)",
        libc::EACCES | libc::EPERM => " (ports below 1024 and folders of others need root)",
        libc::ENOENT => " (the folder of the socket does not exist)",
        _ => "",
    }
}
