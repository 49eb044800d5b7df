//! What the server is compared with: a bare epoll loop that writes the same bytes as an answer, and nginx's `return 200`. Each is
//! a process of its own, so that its processor time is its own.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::IntoRawFd;
use std::process::{Child, Command, Stdio};

use super::support::{Folder, eventually, free_port};

/// The argument by which this program becomes the bare loop.
pub const BARE: &str = "--bare-loop";

/// A server beside ours. It is killed with its owner.
pub struct Rival {
    child: Child,
    pub address: SocketAddr,
    _folder: Option<Folder>,
}

impl Rival {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The bare loop, whose answer is always this.
    pub fn bare(answer: &[u8]) -> Self {
        let mut child =
            Command::new(std::env::current_exe().unwrap()).arg(BARE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(answer).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap(), _folder: None }
    }

    /// Nginx with one process, that answers 200 with a body of that length; none if there is no nginx here.
    pub fn nginx(body: usize) -> Option<Self> {
        let program = ["nginx", "/usr/sbin/nginx"].into_iter().find(|program| Command::new(program).arg("-v").output().is_ok())?;
        let (folder, port) = (Folder::new(), free_port());
        let at = folder.path().display();
        let mut conf = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; default_type application/json;\n"
        );
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(conf, "{kind}_temp_path {at}/{kind};").unwrap();
        }
        let body = "x".repeat(body);
        writeln!(conf, "server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"{body}\"; }} }} }}").unwrap();
        fs::write(folder.join("conf"), conf).unwrap();
        let child = Command::new(program).arg("-c").arg(folder.join("conf")).stderr(Stdio::null()).spawn().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let rival = Self { child, address, _folder: Some(folder) };
        eventually("nginx listens", || TcpStream::connect(address).is_ok());
        Some(rival)
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bare loop: reads until an empty line, writes what came on stdin. It is as cheap as a loop over epoll can be: edges, one wait
/// for many requests, one read, one write.
pub fn serve_bare() -> ! {
    let mut answer = Vec::new();
    std::io::stdin().read_to_end(&mut answer).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    println!("{}", listener.local_addr().unwrap());
    // Of each descriptor the last four bytes.
    let mut tails: Vec<u32> = Vec::new();
    let mut buffer = [0_u8; 16 * 1024];
    let epoll = Epoll::new();
    let door = listener.into_raw_fd();
    epoll.add(door);
    loop {
        epoll.wait(|fd| {
            if fd == door {
                while let Some(fd) = accept(door) {
                    tails.resize(tails.len().max(fd as usize + 1), 0);
                    epoll.add(fd);
                }
                return;
            }
            let length = read(fd, &mut buffer);
            if length == 0 {
                return close(fd);
            }
            let tail = &mut tails[fd as usize];
            for &byte in &buffer[length.saturating_sub(4)..length] {
                *tail = *tail << 8 | u32::from(byte);
            }
            if *tail == u32::from_be_bytes(*b"\r\n\r\n") {
                write(fd, &answer);
            }
        });
    }
}

pub use system::pin;
use system::{Epoll, accept, close, read, write};

mod system {
    #![expect(unsafe_code, reason = "the bare loop is to have nothing between it and the kernel")]

    use std::mem;

    /// From now on this thread, and whatever it starts, runs on that processor.
    pub fn pin(processor: usize) {
        // SAFETY: a set of processors is a plain array of bits, for which zeros are a value, and the kernel only reads it.
        let pinned = unsafe {
            let mut set: libc::cpu_set_t = mem::zeroed();
            libc::CPU_SET(processor, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
        };
        assert_eq!(pinned, 0, "there is no processor {processor}");
    }

    pub struct Epoll(i32);

    impl Epoll {
        pub fn new() -> Self {
            // SAFETY: takes no pointer.
            Self(unsafe { libc::epoll_create1(0) })
        }

        pub fn add(&self, fd: i32) {
            let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: fd as u64 };
            // SAFETY: the event lives as long as the call.
            assert_eq!(unsafe { libc::epoll_ctl(self.0, libc::EPOLL_CTL_ADD, fd, &raw mut event) }, 0);
        }

        pub fn wait(&self, mut ready: impl FnMut(i32)) {
            let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
            // SAFETY: there is room for as many events as are asked for.
            let count = unsafe { libc::epoll_wait(self.0, events.as_mut_ptr(), 256, -1) };
            for event in &events[..usize::try_from(count).unwrap_or(0)] {
                ready(event.u64 as i32);
            }
        }
    }

    pub fn accept(door: i32) -> Option<i32> {
        // SAFETY: nothing is to be written where the pointers are null.
        let fd = unsafe { libc::accept4(door, std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_NONBLOCK) };
        if fd < 0 {
            return None;
        }
        let on = 1_i32;
        // SAFETY: the value lives as long as the call, and has that size.
        unsafe { libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, (&raw const on).cast(), 4) };
        Some(fd)
    }

    pub fn read(fd: i32, buffer: &mut [u8]) -> usize {
        // SAFETY: the buffer is as long as is said.
        let length = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
        usize::try_from(length).unwrap_or(0)
    }

    pub fn write(fd: i32, bytes: &[u8]) {
        // SAFETY: the buffer is as long as is said.
        let length = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        assert_eq!(usize::try_from(length), Ok(bytes.len()));
    }

    pub fn close(fd: i32) {
        // SAFETY: nobody uses that descriptor any more.
        unsafe { libc::close(fd) };
    }
}
