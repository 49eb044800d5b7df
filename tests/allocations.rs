//! A probe of a live view allocates nothing: the server runs in a thread of its own, whose allocations are counted.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::panic, reason = "a test may stop, and lives in the world")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use container_healthcheck::config::{self, Command};
use container_healthcheck::io::Server;
use support::{Client, FakeDocker, PREFIX, eventually, free_port, list};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count() {
    if IS_COUNTED.get() {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
    }
}

#[expect(unsafe_code, reason = "an allocator cannot be had without, and this one only counts")]
// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[test]
fn a_probe_of_a_live_view_allocates_nothing() {
    const PROBES: u64 = 10_000;
    let docker = FakeDocker::listing(list(&[("up-1", "running", "Up 3 minutes"), ("down-1", "exited", "Exited (1) 2 days ago")]));
    docker.open_stream();
    let port = free_port();
    // Nothing else is to happen in between.
    let args = ["-bind", &format!("127.0.0.1:{port}"), "-docker-host", &format!("unix://{}", docker.path().display()), "-resync", "1h"];
    let args = args.map(ToOwned::to_owned);
    // It ends with this process.
    thread::spawn(move || {
        let Ok(Command::Serve(config, _)) = config::parse(args, |_| None) else { panic!("it would not serve") };
        let addresses = config.listen();
        let server = Server::new(*config, &addresses, Vec::new(), 1).unwrap();
        IS_COUNTED.set(true);
        server.run().unwrap();
    });
    let connect = || TcpStream::connect(("127.0.0.1", port));
    eventually("it listens", || connect().is_ok());
    let mut client = Client::new(connect().unwrap());
    eventually("the view is live", || client.get(&format!("{PREFIX}/metrics")).counter("docker_state{state=\"live\"}") == 1);
    assert!(ALLOCATIONS.load(Ordering::SeqCst) > 100, "nothing is counted");

    for (app, status) in [("up", 200), ("down", 503), ("unknown", 404)] {
        let path = format!("{PREFIX}/apps/health/{app}");
        let before_first = ALLOCATIONS.load(Ordering::SeqCst);
        assert_eq!(client.get(&path).status, status);
        assert!(ALLOCATIONS.load(Ordering::SeqCst) > before_first, "the first answer is put together");
        // The buffers that are kept may have grown with it.
        assert_eq!(client.get(&path).status, status);
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        for _ in 0..PROBES {
            assert_eq!(client.get(&path).status, status);
        }
        let allocated = ALLOCATIONS.load(Ordering::SeqCst) - before;
        assert_eq!(allocated, 0, "{app}, {PROBES} probes");
    }
}
