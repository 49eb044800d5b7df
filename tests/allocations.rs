//! A probe of a live view allocates nothing: the server runs in a thread of its own, whose allocations are counted.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::panic, reason = "a test may stop, and lives in the world")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use container_healthcheck::config::{self, Command};
use container_healthcheck::io::Server;
use std::time::Instant;

use support::{Client, FakeDocker, Folder, PREFIX, eventually, free_port, list, read_head};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// Which server is counted: those of the tests before go on in their threads.
static COUNTED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static SERVER: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count() {
    let server = SERVER.get();
    if server > 0 && server == COUNTED.load(Ordering::SeqCst) {
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
    count_those_of_probes(&[]);
    // Each app is checked once, and then not for as long as this takes; whether its check is good or fails.
    let app = |answer: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                read_head(&mut stream).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        format!("-ngx-port={port}")
    };
    count_those_of_probes(&[&app("HTTP/1.0 200 OK\r\n\r\n"), "-check-interval=1h"]);
    count_those_of_probes(&[&app("HTTP/1.0 502 Bad Gateway\r\n\r\n"), "-check-interval=1h"]);
}

fn count_those_of_probes(more: &[&str]) {
    const PROBES: u64 = 10_000;
    let docker = FakeDocker::listing(list(&[("up-1", "running", "Up 3 minutes"), ("down-1", "exited", "Exited (1) 2 days ago")]));
    docker.open_stream();
    let port = free_port();
    let drains = Folder::new();
    let (bind, host) = (format!("127.0.0.1:{port}"), format!("unix://{}", docker.path().display()));
    // Nothing else is to happen in between.
    let folder = drains.join("none").display().to_string();
    let args = ["-bind", &bind, "-docker-host", &host, "-resync", "1h", "-drain-dir", &folder];
    let args: Vec<String> = args.iter().chain(more).map(|&arg| arg.to_owned()).collect();
    let counted = COUNTED.fetch_add(1, Ordering::SeqCst) + 1;
    // It ends with this process.
    thread::spawn(move || {
        let Ok(Command::Serve(config, _)) = config::parse(args, |_| None) else { panic!("it would not serve") };
        let addresses = config.listen();
        let server = Server::new(*config, &addresses, Vec::new(), 1).unwrap();
        SERVER.set(counted);
        server.run().unwrap();
    });
    let connect = || TcpStream::connect(("127.0.0.1", port));
    eventually("it listens", || connect().is_ok());
    let mut client = Client::new(connect().unwrap());
    eventually("the view is live", || client.get(&format!("{PREFIX}/metrics")).counter("docker_state{state=\"live\"}") == 1);
    assert!(ALLOCATIONS.load(Ordering::SeqCst) > 100, "nothing is counted");

    for app in ["up", "down", "unknown"] {
        let path = format!("{PREFIX}/apps/health/{app}");
        let before_first = ALLOCATIONS.load(Ordering::SeqCst);
        let status = client.get(&path).status;
        // That of an app that nobody knows is not kept, and its buffer is there since the metrics were asked for.
        assert!(app == "unknown" || ALLOCATIONS.load(Ordering::SeqCst) > before_first, "the first answer is put together");
        // The buffers that are kept may have grown with it.
        assert_eq!(client.get(&path).status, status);
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        for _ in 0..PROBES {
            assert_eq!(client.get(&path).status, status);
        }
        let allocated = ALLOCATIONS.load(Ordering::SeqCst) - before;
        assert_eq!(allocated, 0, "{app}, {PROBES} probes");
    }

    // Nor while another one is drained; each second's look at the folder does.
    std::fs::create_dir(drains.join("none")).unwrap();
    std::fs::write(drains.join("none/down"), "").unwrap();
    let path = format!("{PREFIX}/apps/health/down");
    eventually("it is drained", || client.get(&path).body.contains("drained"));
    let path = format!("{PREFIX}/apps/health/up");
    let status = client.get(&path).status;
    let (began, before) = (Instant::now(), ALLOCATIONS.load(Ordering::SeqCst));
    for _ in 0..PROBES {
        assert_eq!(client.get(&path).status, status);
    }
    let allocated = ALLOCATIONS.load(Ordering::SeqCst) - before;
    let looks = began.elapsed().as_secs() + 1;
    assert!(allocated <= 100 * looks && 100 * looks < PROBES, "{allocated} in {looks} looks and {PROBES} probes");
}
