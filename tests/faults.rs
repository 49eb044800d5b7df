//! Every fault of Docker's in every phase of the view, and answers that are cut off at every byte: what is told while it lasts, that
//! everything else goes on, and that it ends by itself.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop, and lives in the world"
)]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};
use std::{fs, thread};

use support::{Answer, Daemon, FakeDocker, PREFIX, container, container_id, eventually, hang, list, live, patience, read_head, send_list};

/// A fault that the daemon has to find out by its clock comes after this, in milliseconds; the others at once.
const SHORT: u64 = 300;

/// How much later than the timeout an answer may be on a busy machine.
const LATE: Duration = Duration::from_secs(5);

fn up() -> String {
    list(&[("app", "running", "Up 1 second")])
}

/// What a closed reader has no use for is none of ours.
fn say(stream: &mut impl Write, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

/// What comes back of a question, before which its head was read.
type Way = fn(&mut UnixStream);

/// One fault of Docker's.
struct Fault {
    name: &'static str,
    code: u64,
    reason: &'static str,
    way: Happens,
}

#[derive(Clone, Copy)]
enum Happens {
    /// Nobody listens at its socket.
    Gone,
    /// The question is taken in, and this comes of it.
    After(Way),
    /// The connection is treated so and nobody reads the question.
    Before(Way),
}

impl Fault {
    const fn error(name: &'static str, way: Way) -> Self {
        Self { name, code: 11, reason: "docker-error", way: Happens::After(way) }
    }

    const fn late(name: &'static str, way: Way) -> Self {
        Self { name, code: 11, reason: "docker-timeout", way: Happens::After(way) }
    }

    fn is_gone(&self) -> bool {
        matches!(self.way, Happens::Gone)
    }

    /// Whether only lists fail.
    fn spares_the_stream(&self) -> bool {
        matches!(self.way, Happens::After(_))
    }

    fn timeout(&self) -> Duration {
        if self.reason == "docker-timeout" { Duration::from_millis(SHORT) } else { patience() }
    }
}

/// Sends it again and again until nobody takes it any more.
fn for_ever(stream: &mut UnixStream, text: &str) {
    while stream.write_all(text.as_bytes()).is_ok() {}
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

const FAULTS: [Fault; 14] = [
    Fault { name: "refused", code: 10, reason: "docker-unreachable", way: Happens::Gone },
    Fault { name: "reset", code: 11, reason: "docker-error", way: Happens::Before(|stream| _ = stream.read(&mut [0; 1])) },
    Fault { name: "accepted and closed", code: 11, reason: "docker-error", way: Happens::Before(|_| ()) },
    Fault::error("read and closed", |_| ()),
    Fault::error("half an answer", |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[{\"Id\":\"a\",")),
    Fault::error("garbage", |stream| say(stream, "\u{16}\u{3}\u{1}garbage\r\n\r\n")),
    Fault::error("500", |stream| say(stream, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno")),
    Fault::error("another JSON", |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"message\":\"what?\"}\n")),
    Fault::error("a chunk that lies", |stream| say(stream, &format!("{CHUNKED}3\r\n[{{}}]\r\n0\r\n\r\n"))),
    Fault::error("a head without end", |stream| {
        say(stream, "HTTP/1.1 200 OK\r\nX: ");
        for_ever(stream, &"x".repeat(4096));
    }),
    Fault::error("a list over 16 MiB", |stream| {
        // Blanks are parsed the quickest.
        say(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n[", 17 << 20));
        (0..17).for_each(|_| say(stream, &" ".repeat(1 << 20)));
    }),
    Fault::error("a list without end", |stream| {
        say(stream, "HTTP/1.1 200 OK\r\n\r\n[");
        for_ever(stream, &r#"{"Names":["/app"],"State":"running"},"#.repeat(1000));
    }),
    Fault::late("a drip of one byte at a time", |stream| {
        for byte in format!("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n[{}]", " ".repeat(1998)).as_bytes().chunks(1) {
            if stream.write_all(byte).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(60));
        }
    }),
    Fault::late("a hang", hang),
];

/// How far the daemon has come when the fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nowhere: there are no facts.
    Start,
    /// It has a list, and no stream.
    Blind,
    /// The stream is open, and the list that is asked for since is the first to fail.
    Catching,
    Live,
}

/// A daemon and a Docker that fails in one way.
struct Stage {
    fault: &'static Fault,
    phase: Phase,
    /// Whether the last facts outlive the test, or are worth nothing.
    lenient: bool,
    docker: FakeDocker,
    daemon: Daemon,
}

impl Stage {
    fn set(fault: &'static Fault, phase: Phase, lenient: bool) -> Self {
        let docker = FakeDocker::listing(up());
        if phase == Phase::Start {
            fails(&docker, fault);
        }
        if phase == Phase::Live {
            docker.open_stream();
        }
        let timeout = format!("{}ms", fault.timeout().as_millis());
        // In a live view nobody asks Docker anything but for this.
        let resync = if phase == Phase::Live { "200ms" } else { "1h" };
        let grace = if lenient { "1h" } else { "0s" };
        let daemon = Daemon::start(&docker.path(), &["-docker-timeout", &timeout, "-docker-grace", grace, "-resync", resync]);
        let stage = Self { fault, phase, lenient, docker, daemon };
        if phase != Phase::Start {
            stage.is_well();
        }
        stage
    }

    fn begins(&self) {
        fails(&self.docker, self.fault);
        if self.phase == Phase::Catching {
            self.docker.open_stream();
            eventually("it listens", || self.docker.listeners() == 1);
        }
    }

    /// Everybody is told of it, in time, over several questions, and whoever asks for anything else does not notice.
    fn lasts(&self, has_facts: bool) {
        let Fault { name, code, reason, .. } = *self.fault;
        let place = format!("{name}, {:?}, {}", self.phase, if self.lenient { "lenient" } else { "strict" });
        let stale = has_facts && self.lenient;
        let is_told = |answer: &Answer| if stale { is_stale(answer) } else { answer.verdict() == (503, code, reason.to_owned()) };
        // A live view is told of it by the next list that nobody waits for.
        let mut may_be_unknown = self.phase == Phase::Live && has_facts;
        let failures = || self.daemon.counter("docker_failures_total");
        let before = failures();
        let mut other = self.daemon.connect();
        eventually("three questions have failed", || {
            assert_eq!(other.get(&format!("{PREFIX}/health")).status, 200, "{place}");
            let asked = Instant::now();
            let answer = self.daemon.app("app");
            assert!(asked.elapsed() < self.fault.timeout() + LATE, "{place}: {:?}", asked.elapsed());
            may_be_unknown &= !is_told(&answer);
            assert!(is_told(&answer) || may_be_unknown && is_fresh(&answer), "{place}: {answer:?}");
            // A list may take longer than whoever waits for it may wait, and only then is Docker found gone.
            let found = failures() > before;
            let ready = self.daemon.get("/");
            assert!(!found || (ready.status == 200) == stale, "{place}: {ready:?}");
            !may_be_unknown && failures() >= before + 3
        });
        assert_eq!(self.daemon.counter(&format!("docker_state{{state=\"{}\"}}", if stale { "stale" } else { "down" })), 1, "{place}");
    }

    fn ends(&self) {
        self.docker.list(up());
        if self.fault.is_gone() {
            fs::remove_file(self.docker.path()).unwrap();
            self.docker.listen();
        }
    }

    /// All is as if nothing had ever been.
    fn is_well(&self) {
        eventually("it recovers by itself", || is_fresh(&self.daemon.app("app")));
        // Whether it listens at this moment is chance: it is about to.
        let state = if self.docker.opens_stream() { "live" } else { "blind" };
        self.daemon.is(state);
        assert_eq!(self.daemon.get("/").status, 200);
    }

    /// Its descriptors, the stream's aside. One may be on its way.
    fn descriptors(&self) -> usize {
        self.daemon.descriptors().len() - self.docker.listeners()
    }

    fn play(&self) {
        let mut has_facts = self.phase != Phase::Start;
        if !has_facts {
            self.lasts(false);
            self.ends();
            self.is_well();
            has_facts = true;
        }
        let before = self.descriptors();
        self.begins();
        self.lasts(has_facts);
        self.ends();
        self.is_well();
        eventually("all descriptors are back", || self.descriptors() <= before);
        let peak = self.daemon.memory("VmHWM");
        assert!(peak < 64 * 1024, "{}: {peak} KiB at the most", self.fault.name);
    }
}

fn fails(docker: &FakeDocker, fault: &Fault) {
    match fault.way {
        Happens::Gone => {
            docker.vanish();
            drop(UnixListener::bind(docker.path()).unwrap());
        }
        Happens::After(way) => docker.behave(move |stream, _| way(stream)),
        Happens::Before(way) => docker.interrupt(move |stream, _| way(stream)),
    }
    // Who treats questions so treats the stream no better.
    if !fault.spares_the_stream() && docker.listeners() > 0 {
        docker.drop_listeners();
    }
}

fn is_stale(answer: &Answer) -> bool {
    answer.status == 200 && answer.body.ends_with(r#"},"stale":true}"#)
}

fn is_fresh(answer: &Answer) -> bool {
    answer.status == 200 && !answer.body.contains("stale")
}

/// Plays all of them at once: they wait for most of the time.
fn play(phase: Phase, lenient: &[bool]) {
    thread::scope(|scope| {
        for fault in FAULTS.iter().filter(|fault| phase != Phase::Catching || fault.spares_the_stream()) {
            for &lenient in lenient {
                scope.spawn(move || Stage::set(fault, phase, lenient).play());
            }
        }
    });
}

#[test]
fn a_docker_that_fails_from_the_start_is_told_of_whatever_the_grace_until_it_works() {
    play(Phase::Start, &[true]);
}

#[test]
fn a_docker_that_fails_while_the_view_is_blind_is_told_of_after_the_grace_until_it_works() {
    play(Phase::Blind, &[true, false]);
}

#[test]
fn a_docker_that_fails_while_the_view_catches_up_is_told_of_after_the_grace_until_it_works() {
    play(Phase::Catching, &[true, false]);
}

#[test]
fn a_docker_that_fails_while_the_view_is_live_is_told_of_after_the_grace_until_it_works() {
    play(Phase::Live, &[true, false]);
}

#[test]
fn the_last_facts_stand_until_the_grace_is_over_and_not_a_moment_longer() {
    let (docker, daemon) = live(vec![container("app", "running", "Up 1 second")], &["-docker-grace", "1s", "-docker-timeout", "300ms"]);
    docker.behave(|stream, _| hang(stream));
    let began = Instant::now();
    docker.cut_stream();
    let late = |answer: &Answer| answer.verdict() == (503, 11, "docker-timeout".to_owned());
    let (mut answers, mut told) = (Vec::new(), Instant::now());
    eventually("the grace is over", || {
        answers.push(daemon.app("app"));
        let stale = is_stale(&answers[answers.len() - 1]);
        told = if stale { Instant::now() } else { told };
        late(&answers[answers.len() - 1])
    });
    // Until it is seen that the stream has ended, the view is live.
    let states: Vec<_> = answers.iter().map(|answer| (is_fresh(answer), is_stale(answer), late(answer))).collect();
    assert!(states.is_sorted_by(|one, other| one >= other) && states.iter().any(|state| state.1), "{states:?}");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    for _ in 0..5 {
        assert!(late(&daemon.app("app")));
        assert_eq!(daemon.get("/").status, 503);
    }
}

#[test]
fn a_docker_that_grows_slow_is_no_reason_to_forget_what_is_known() {
    thread::scope(|scope| {
        for lenient in [true, false] {
            scope.spawn(move || {
                // It is blind, and a list may take four times as long as this one does.
                let docker = FakeDocker::start(|stream, _| {
                    thread::sleep(Duration::from_secs(1));
                    send_list(stream, &up());
                });
                let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "2s", "-docker-grace", if lenient { "1h" } else { "0s" }]);
                eventually("it is up", || is_fresh(&daemon.app("app")));
                docker.behave(|stream, _| hang(stream));
                let late = || daemon.counter("probes_timed_out_total");
                let before = late();
                let (asked, answer) = (Instant::now(), daemon.app("app"));
                assert!(asked.elapsed() < Duration::from_secs(2) + LATE, "{:?}", asked.elapsed());
                if lenient {
                    assert!(is_stale(&answer), "{answer:?}");
                } else {
                    assert_eq!(answer.verdict(), (503, 11, "docker-timeout".to_owned()));
                }
                assert_eq!(late(), before + 1);
            });
        }
    });
}

// ---- The stream of events fails, and lists do not.

/// Docker's answers are good, and so it treats those who want the stream.
fn treats_the_stream(docker: &FakeDocker, way: Way) {
    docker.interrupt(move |stream, _| match read_head(stream) {
        Some(head) if head.contains("/events") => way(stream),
        Some(_) => send_list(stream, &up()),
        None => {}
    });
}

#[test]
fn a_stream_that_fails_in_whatever_way_makes_nothing_unknown() {
    // What is no list is a good stream that says nothing, as long as it is no line.
    let is_one = |fault: &&Fault| matches!(fault.way, Happens::After(_)) && !fault.name.starts_with("a list");
    thread::scope(|scope| {
        for Fault { name, way, .. } in FAULTS.iter().filter(is_one) {
            let Happens::After(way) = *way else { continue };
            scope.spawn(move || {
                let docker = FakeDocker::hung();
                treats_the_stream(&docker, way);
                let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "2s", "-docker-grace", "0s"]);
                eventually("it is up", || daemon.app("app").status == 200);
                let before = daemon.descriptors().len();
                eventually("three streams have failed", || {
                    let answer = daemon.app("app");
                    assert!(is_fresh(&answer), "{name}: {answer:?}");
                    assert_eq!(daemon.get("/").status, 200, "{name}");
                    daemon.counter("docker_streams_total") >= 4
                });
                assert_eq!(daemon.counter("docker_failures_total"), 0, "{name}");
                docker.open_stream();
                docker.list(up());
                daemon.is("live");
                assert!(is_fresh(&daemon.app("app")), "{name}");
                eventually("all descriptors are back", || daemon.descriptors().len() <= before + 1);
            });
        }
    });
}

// ---- Answers that are cut off.

/// How an answer ends that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Reset,
    Silence,
}

/// Answers a question so, whose head has been read but for its last bytes.
fn cut(stream: &mut UnixStream, prefix: &str, end: End) {
    say(stream, prefix);
    match end {
        // What has come is read, or the end would be a reset.
        End::Close => _ = read_head(stream),
        End::Reset => {}
        End::Silence => {
            read_head(stream);
            hang(stream);
        }
    }
}

/// Small answers, and where they can be cut.
fn cuts() -> Vec<(&'static str, usize)> {
    const ANSWERS: [&str; 3] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 47\r\n\r\n[{\"Id\":\"a\",\"Names\":[\"/app\"],\"State\":\"running\"}]",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n2e\r\n{\"Id\":\"a\",\"Names\":[\"/app\"],\"State\":\"running\"}]\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n[{\"Id\":\"a\",\"Names\":[\"/app\"],\"State\":\"running\"}]",
    ];
    ANSWERS.iter().flat_map(|answer| (0..answer.len()).map(move |cut| (*answer, cut))).collect()
}

#[test]
fn no_prefix_of_a_list_is_a_list_however_it_ends() {
    let cuts: Vec<_> =
        [End::Close, End::Reset, End::Silence].iter().flat_map(|end| cuts().into_iter().map(move |cut| (*end, cut))).collect();
    let shares: Vec<_> = (0..32).map(|share| cuts.iter().skip(share).step_by(32).collect::<Vec<_>>()).collect();
    thread::scope(|scope| {
        for share in shares {
            scope.spawn(move || {
                let docker = FakeDocker::hung();
                let answers = |answer: &'static str, end: End| {
                    docker.interrupt(move |stream, _| {
                        // As much of the question as tells what it is about.
                        let mut start = [0; 6];
                        let _ = stream.read_exact(&mut start);
                        match &start {
                            b"GET /e" => cut(stream, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", End::Close),
                            _ => cut(stream, answer, end),
                        }
                    });
                };
                let daemon_of = |end| {
                    let timeout = if end == End::Silence { "100ms" } else { "20s" };
                    Daemon::start(&docker.path(), &["-docker-timeout", timeout])
                };
                answers(share[0].1.0, End::Close);
                let daemons = [End::Close, End::Silence].map(|end| (end, daemon_of(end)));
                for &&(end, (answer, at)) in &share {
                    let late = end == End::Silence;
                    let (_, daemon) = daemons.iter().find(|(end, _)| (*end == End::Silence) == late).unwrap();
                    eventually("it is up", || daemon.app("app").status == 200);
                    answers(&answer[..at], end);
                    let reason = if late { "docker-timeout" } else { "docker-error" };
                    assert_eq!(daemon.app("app").verdict(), (503, 11, reason.to_owned()), "{end:?} after {:?}", &answer[..at]);
                    answers(answer, End::Close);
                }
                for (_, daemon) in &daemons {
                    eventually("it is up", || daemon.app("app").status == 200);
                }
            });
        }
    });
}

#[test]
fn no_prefix_of_an_event_is_an_event() {
    const AT_ONCE: usize = 16;
    let id = container_id("app");
    let line = format!(
        r#"{{"Type":"container","Action":"die","Actor":{{"ID":"{id}","Attributes":{{"name":"app","exitCode":"1"}}}},"timeNano":1795378999000000000}}"#
    );
    let chunk = format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
    let cuts: Vec<_> = (0..=chunk.len()).collect();
    thread::scope(|scope| {
        for share in cuts.chunks(cuts.len().div_ceil(AT_ONCE)) {
            let (chunk, line) = (&chunk, &line);
            scope.spawn(move || {
                for &cut in share {
                    // One that has been cut is opened again after a pause, which grows: so each has a server of its own.
                    let (docker, daemon) = live(vec![container("app", "running", "Up 1 second")], &[]);
                    docker.send_bytes(&chunk[..cut]);
                    docker.drop_listeners();
                    eventually("it listens again", || daemon.counter("docker_streams_total") == 2 && docker.listeners() == 1);
                    daemon.is("live");
                    // What lists say of it for the next seconds makes no difference.
                    let answer = daemon.app("app");
                    if chunk[..cut].contains(&format!("{line}\n")) {
                        assert_eq!(answer.verdict(), (503, 12, "exited".to_owned()), "after {:?}", &chunk[..cut]);
                    } else {
                        assert!(is_fresh(&answer), "{answer:?} after {:?}", &chunk[..cut]);
                    }
                }
            });
        }
    });
}
