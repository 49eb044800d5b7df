//! One stream type over TCP and Unix sockets, and one listener type.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

use crate::config::Address;
use crate::limits;

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Starts to connect. A Unix socket is connected then, or it never will be: one whose queue is full says `WouldBlock`, and
    /// nothing announces room (mio #1560), so that it is tried again after a pause.
    ///
    /// # Errors
    /// Of `socket` and `connect`.
    pub fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(*address)?;
                // Of a machine that has lost its power, and of a path that has forgotten the connection, nothing else would tell a reader.
                let alive =
                    TcpKeepalive::new().with_time(limits::ALIVE_AFTER).with_interval(limits::ALIVE_PAUSE).with_retries(limits::ALIVE_TRIES);
                let _ = SockRef::from(&stream).set_tcp_keepalive(&alive);
                Ok(Self::Tcp(stream))
            }
            Address::Unix(path) => UnixStream::connect(path).map(Self::Unix),
        }
    }

    /// Whether it is connected by now; an error if it never will be. For TCP only this tells (mio, `TcpStream::connect`).
    ///
    /// # Errors
    /// Of `connect`, late.
    pub fn is_connected(&self) -> io::Result<bool> {
        let Self::Tcp(stream) = self else { return Ok(true) };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Closes the writing side.
    ///
    /// # Errors
    /// Of `shutdown`, if the other side has gone.
    pub fn shut(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}

/// A listener.
#[derive(Debug)]
pub enum Listener {
    /// On TCP.
    Tcp(TcpListener),
    /// On a Unix socket, whose file goes with it if we have made it, and not whoever passed it on or came later.
    Unix {
        /// Itself.
        listener: UnixListener,
        /// Its file.
        path: PathBuf,
        /// The inode that we have made.
        made: Option<u64>,
    },
}

impl Listener {
    /// Listens there. The file of a Unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// Of `bind` and `listen`; `AddrInUse` too if something other than a dead socket is in the way.
    pub fn bind(address: &Address) -> io::Result<Self> {
        let path = match address {
            Address::Tcp(address) => return TcpListener::bind(*address).map(Self::Tcp),
            Address::Unix(path) => path,
        };
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_dead(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            other => other?,
        };
        let listener = Self::Unix { listener, path: path.clone(), made: inode(path) };
        // As open as a TCP port of this host, whatever the umask; who is to be kept out is kept out by the folder.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(listener)
    }

    /// Where it listens; for port 0 the port that the kernel chose.
    ///
    /// # Errors
    /// Of `getsockname`.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix { path, .. } => Ok(Address::Unix(path.clone())),
        }
    }

    /// The next connection.
    ///
    /// # Errors
    /// Of `accept`.
    pub fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                // Each answer is one write; it must not wait for the client to acknowledge the one before. Without it answers
                // are only slower, so a failure is no reason to turn the client away.
                let _ = stream.set_nodelay(true);
                Ok(Stream::Tcp(stream))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                // It has nothing from its listener.
                narrow(&stream);
                Ok(Stream::Unix(stream))
            }
        }
    }

    /// The listener as the poll knows it.
    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener) => listener,
            Self::Unix { listener, .. } => listener,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Somebody may have removed it, and another one may listen there now. As long as the socket lives its inode is nobody else's.
        if let Self::Unix { path, made: Some(made), .. } = self
            && inode(path) == Some(*made)
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// So much the kernel holds at the most for that client, or for each client of that TCP listener. Without it clients can only make it hold more:
/// that is no reason to turn one away.
pub fn narrow(socket: &impl AsFd) {
    let socket = SockRef::from(socket);
    let _ = socket.set_send_buffer_size(limits::KERNEL_BYTES);
    let _ = socket.set_recv_buffer_size(limits::KERNEL_REQUEST_BYTES);
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|file| file.ino())
}

/// A connection to a Unix socket for who waits in place. It is there at once or says `WouldBlock`: a blocking connect would wait for
/// ever for a server that has stopped and whose queue is full.
///
/// # Errors
/// Of `connect`.
pub fn connect_waiting(path: &Path) -> io::Result<BlockingUnixStream> {
    let stream = BlockingUnixStream::from(UnixStream::connect(path)?);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Whether it is a socket on which nobody listens.
fn is_dead(path: &PathBuf) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket && connect_waiting(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}
