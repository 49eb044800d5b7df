//! Clients that misbehave, each kind in turn. What they get is as sure as what the others get, and is counted.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use container_healthcheck::limits;

use super::support::{Client, Daemon, PREFIX, patience};
use super::{Dice, Soak};

/// How often what was done that is counted.
#[derive(Default)]
pub struct Misdeeds {
    late: AtomicU64,
    large: AtomicU64,
    garbage: AtomicU64,
    unread: AtomicU64,
}

impl Misdeeds {
    /// The daemon has counted each of them, and no other.
    pub fn are_counted(&self, daemon: &Daemon) {
        for (count, counter) in [
            (&self.late, r#"http_requests_refused_total{fault="Late",reason="timeout"}"#),
            (&self.large, r#"http_requests_refused_total{fault="HeadTooLarge",reason="too-large"}"#),
            (&self.garbage, r#"http_requests_refused_total{fault="Syntax",reason="bad-request"}"#),
            (&self.unread, r#"http_clients_closed_total{why="unread"}"#),
        ] {
            let count = count.load(Ordering::Relaxed);
            println!("{counter}: {count}");
            assert_eq!(daemon.counter(counter), count, "{counter}");
        }
    }
}

/// What needs most memory comes first, and from all at once: what has been needed once the system's allocator may keep.
const KINDS: [fn(&Soak, &mut Dice); 8] = [unread, garbage, reset, large, half_close, silence, nothing, trickle];

pub fn misbehave(soak: &Soak, mut dice: Dice) {
    for act in KINDS.into_iter().cycle() {
        if !soak.goes_on() {
            return;
        }
        act(soak, &mut dice);
    }
}

fn get(path: &str) -> String {
    format!("GET {PREFIX}{path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// The only answer has that status, and the connection ends with it.
fn is_refused(client: &mut Client, status: u16) {
    let answers = client.answers();
    assert!(answers.len() == 1 && answers[0].status == status && answers[0].is_last(), "{answers:?}");
}

/// Half a head, and silence.
fn silence(soak: &Soak, dice: &mut Dice) {
    let mut client = soak.daemon.connect();
    let request = get("/health");
    let half = usize::try_from(1 + dice.below(request.len() as u64 - 1)).unwrap();
    client.send(&request[..half]);
    is_refused(&mut client, 408);
    soak.misdeeds.late.fetch_add(1, Ordering::Relaxed);
}

/// The beginning of a TLS connection, more or less.
fn garbage(soak: &Soak, dice: &mut Dice) {
    let mut client = soak.daemon.connect();
    let noise: Vec<u8> = (0..dice.below(2000)).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
    client.stream().write_all(&[&b"\x16\x03\x01"[..], &noise].concat()).unwrap();
    is_refused(&mut client, 400);
    soak.misdeeds.garbage.fetch_add(1, Ordering::Relaxed);
}

/// Asks and asks, and never reads.
fn unread(soak: &Soak, _: &mut Dice) {
    let client = soak.daemon.connect();
    let questions = get("/apps").repeat(100);
    let mut stream = client.stream();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let (began, mut written) = (Instant::now(), 0);
    loop {
        match stream.write(&questions.as_bytes()[written..]) {
            Ok(length) => written = (written + length) % questions.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {
                soak.misdeeds.unread.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        assert!(began.elapsed() < limits::CLIENT_TO_READ + patience(), "whoever never reads is kept");
    }
}

/// Asks, and resets the connection over the answers.
fn reset(soak: &Soak, dice: &mut Dice) {
    let mut client = soak.daemon.connect();
    client.send(&get("/apps/health/app01").repeat(usize::try_from(1 + dice.below(16)).unwrap()));
    client.reset();
}

/// A head that comes byte by byte, and never ends in time.
fn trickle(soak: &Soak, _: &mut Dice) {
    let mut client = soak.daemon.connect();
    client.send("GET / HTTP/1.1\r\nX: ");
    let began = Instant::now();
    client.stream().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while client.stream().peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
        assert!(began.elapsed() < patience(), "it may trickle for ever");
        client.send("x");
    }
    client.stream().set_read_timeout(Some(patience())).unwrap();
    is_refused(&mut client, 408);
    soak.misdeeds.late.fetch_add(1, Ordering::Relaxed);
}

/// A head larger than any may be.
fn large(soak: &Soak, _: &mut Dice) {
    let mut client = soak.daemon.connect();
    client.send(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(10 * limits::HEAD_BYTES)));
    is_refused(&mut client, 431);
    soak.misdeeds.large.fetch_add(1, Ordering::Relaxed);
}

/// Closes its side behind its requests, which is no misdeed: all are answered.
fn half_close(soak: &Soak, dice: &mut Dice) {
    let mut client = soak.daemon.connect();
    let count = usize::try_from(1 + dice.below(10)).unwrap();
    client.send(&get("/health").repeat(count));
    client.finish();
    let answers = client.answers();
    assert!(answers.len() == count && answers.iter().all(|answer| answer.status == 200), "{answers:?}");
}

/// Comes, says nothing, and goes after a while.
fn nothing(soak: &Soak, dice: &mut Dice) {
    let client = soak.daemon.connect();
    thread::sleep(Duration::from_millis(dice.below(1000)));
    drop(client);
}
