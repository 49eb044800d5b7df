//! System calls fail under the daemon's feet: whatever the kernel says, it lives on, and all is as before once that has passed.
//!
//! strace makes them fail, attached for as long as a row of the table lasts. A row that makes nothing fail is a failure too.

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
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use support::{
    Client, Daemon, FakeDocker, Folder, Gate, PREFIX, container, each, eventually, live, program, program_under, read_head, run, skipped,
};

/// strace, which makes the calls of a daemon fail until it is dropped.
struct Injection {
    child: Child,
    out: Folder,
    pid: u32,
}

impl Injection {
    /// Into these calls (each with a `?`, since not all machines have all of them), that error, that often.
    fn begin(daemon: &Daemon, calls: &str, error: &str, when: &str) -> Self {
        Self::of(daemon, calls, &format!("error={error}:when={when}"))
    }

    /// Into these calls, that, in the words of strace.
    fn of(daemon: &Daemon, calls: &str, what: &str) -> Self {
        let out = Folder::new();
        let child = Command::new("strace")
            .args(["-f", "-p", &daemon.pid().to_string(), "-e", &format!("trace={calls}")])
            .args(["-e", &format!("inject={calls}:{what}"), "-o"])
            .arg(out.join("calls"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let injection = Self { child, out, pid: daemon.pid() };
        eventually("strace is attached", || injection.tracer() != "0");
        injection
    }

    fn tracer(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap_or("0").trim().to_owned()
    }

    /// How many calls it has made fail so far.
    fn hits(&self) -> usize {
        self.calls().matches("(INJECTED)").count()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.out.join("calls")).unwrap_or_default()
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        // It lets go in good order.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Whether strace can attach to a process of ours; if not, the test is skipped.
fn can_inject() -> bool {
    let mut sleeper = Command::new("sleep").arg("30").spawn().unwrap();
    let attached = Command::new("timeout").args(["0.2", "strace", "-o", "/dev/null", "-p", &sleeper.id().to_string()]).output();
    let _ = sleeper.kill();
    let _ = sleeper.wait();
    match attached {
        // Ended by the time, since it was attached.
        Ok(output) if output.status.code() == Some(124) => true,
        Ok(output) => skipped(&format!("strace cannot attach to a process here: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => skipped(&format!("there is no strace here: {error}")),
    }
}

/// A daemon with all that makes it call the system: clients, Docker and its stream, an app that is checked, drains, a log that is a file.
struct Stage {
    docker: FakeDocker,
    daemon: Daemon,
    folder: Folder,
    /// The containers that have died.
    dead: AtomicUsize,
}

/// Containers that may die.
const MORTALS: usize = 100;

impl Stage {
    fn set() -> Self {
        let app = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = app.local_addr().unwrap().port().to_string();
        thread::spawn(move || {
            for mut stream in app.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    read_head(&mut stream);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                });
            }
        });
        let docker = FakeDocker::hung();
        docker.open_stream();
        let (folder, dead) = (Folder::new(), AtomicUsize::new(0));
        let (drains, logs) = (folder.join("drains"), folder.join("logs"));
        fs::create_dir_all(&drains).unwrap();
        fs::create_dir_all(&logs).unwrap();
        fs::write(drains.join("drained"), "").unwrap();
        let (drains, logs_path) = (drains.display().to_string(), logs.display().to_string());
        let args = ["-bind", "127.0.0.1:0", "-drain-dir", &drains, "-logpath", &logs_path, "-ngx-port", &port];
        let more = ["-resync", "200ms", "-docker-timeout", "1s", "-check-interval", "5s", "-check-timeout", "1s"];
        let mut command = program();
        command.args(args).args(more).args(["-docker-grace", "1h", "-docker-host"]).arg(format!("unix://{}", docker.path().display()));
        lists(&docker, 0);
        let daemon = Daemon::spawn_with_log(command, Some(logs.join("container-healthcheck.log")));
        let stage = Self { docker, daemon, folder, dead };
        stage.is_well();
        stage
    }

    /// Somebody asks, on a connection of their own, and may soon be disappointed.
    fn ask(&self, path: &str) -> Option<String> {
        self.ask_for(path, Duration::from_millis(500))
    }

    fn ask_for(&self, path: &str, patience: Duration) -> Option<String> {
        let mut stream = TcpStream::connect(self.daemon.address()).ok()?;
        stream.set_read_timeout(Some(patience)).ok()?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// All that can happen, once. Each time one more container dies.
    fn stir(&self) {
        self.ask(&format!("{PREFIX}/health"));
        let dead = self.dead.load(Ordering::SeqCst);
        if dead + 1 < MORTALS {
            self.dead.store(dead + 1, Ordering::SeqCst);
            lists(&self.docker, dead + 1);
            self.docker.event("die", &format!("app{dead}"), r#""exitCode":"1""#);
        }
        self.ask(&format!("{PREFIX}/apps/health/app{MORTALS}"));
        self.ask(&format!("{PREFIX}/metrics"));
        // The log is opened anew.
        self.daemon.signal("HUP");
    }

    /// However long that takes.
    fn is_healthy(&self) -> bool {
        self.ask_for(&format!("{PREFIX}/health"), support::patience()).is_some_and(|answer| answer.starts_with("HTTP/1.1 200 "))
    }

    /// All is as it should be.
    fn is_well(&self) {
        let is = |app: &str, status: &str, words: &str| {
            let answer = self.ask(&format!("{PREFIX}/apps/health/{app}"));
            answer.is_some_and(|answer| {
                answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(words) && !answer.contains("stale")
            })
        };
        eventually("P/health is answered", || self.is_healthy());
        self.daemon.is("live");
        eventually("who lives is up", || is(&format!("app{MORTALS}"), "200", "running"));
        eventually("who is drained is down", || is("drained", "503", "drained"));
        let dead = self.dead.load(Ordering::SeqCst);
        if dead > 0 {
            eventually("who has died is down", || is(&format!("app{}", dead - 1), "503", "exited"));
        }
        eventually("who has not is up", || is(&format!("app{dead}"), "200", "running"));
    }

    fn play(&self, calls: &str, error: &str, when: &str) {
        let row = format!("{calls} {error} {when}");
        eventually("nobody is there", || self.daemon.counter("http_clients") == 1);
        let before = self.daemon.descriptors().len();
        let injection = Injection::begin(&self.daemon, calls, error, when);
        let (began, wanted) = (Instant::now(), if when.contains('+') { 3 } else { 1 });
        while injection.hits() < wanted {
            assert!(began.elapsed() < support::patience(), "{row}: nothing fails");
            self.stir();
            if SPARES_CLIENTS.contains(&calls) {
                assert!(self.is_healthy(), "{row}");
            }
        }
        drop(injection);
        self.is_well();
        // What was never closed is there for ever.
        if !calls.contains("close") {
            eventually(&format!("{row}: all descriptors are back"), || self.daemon.descriptors().len() <= before);
        }
        let log = self.daemon.log() + &fs::read_to_string(self.folder.join("rotated")).unwrap_or_default();
        assert!(!log.contains("panicked"), "{row}: {log}");
        let turned_away = log.lines().filter(|line| line.contains(" WARN ") && line.contains(" a client"));
        assert!(turned_away.count() <= 1, "{row}: it is said once a minute: {log}");
    }
}

/// From now on Docker lists so many of them as dead.
fn lists(docker: &FakeDocker, dead: usize) {
    let all = (0..=MORTALS).map(|app| {
        let (state, status) = if app < dead { ("exited", "Exited (1) 1 second ago") } else { ("running", "Up 1 second") };
        container(&format!("app{app}"), state, status)
    });
    docker.holds(all.collect());
}

/// Calls, what they say, and when: the how manieth, from which on, and each how manieth from then.
const TABLE: &[(&str, &[&str], &[&str])] = &[
    // Passes by itself: that one client is gone.
    ("?accept,?accept4", &["EINTR", "ECONNABORTED", "EPROTO"], &["1", "2", "1+2"]),
    // Lasts as long as we, or the system, lack something.
    ("?accept,?accept4", &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPERM"], &["1", "2", "1+"]),
    ("?recvfrom,?recvmsg", &["EINTR"], &["1", "2", "1+2"]),
    ("?recvfrom,?recvmsg", &["ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOMEM", "EIO"], &["1", "3", "1+2", "1+"]),
    ("?sendto,?sendmsg", &["EINTR"], &["1", "2", "1+2"]),
    ("?sendto,?sendmsg", &["ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOMEM", "ENOBUFS", "EIO"], &["1", "3", "1+2", "1+"]),
    ("?connect", &["EAGAIN", "ECONNREFUSED", "EACCES", "ENOENT", "EINTR", "ENOMEM"], &["1", "2", "1+"]),
    ("?socket", &["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"], &["1", "2", "1+"]),
    ("?epoll_ctl", &["ENOMEM", "ENOSPC"], &["1", "2", "1+2", "1+"]),
    // It ends the program if strace lets go in the middle of one, which then is no call at all: hence three of them.
    ("?epoll_wait,?epoll_pwait", &["EINTR"], &["1", "2", "1..5+2"]),
    ("?getsockopt", &["ENOMEM", "EINVAL"], &["1", "1+"]),
    ("?getpeername", &["ENOMEM", "ENOTCONN"], &["1", "1+"]),
    ("?setsockopt", &["ENOMEM", "EINVAL"], &["1", "1+"]),
    ("?shutdown", &["ENOTCONN", "ENOMEM"], &["1", "1+"]),
    ("?open,?openat", &["EACCES", "EIO", "EMFILE", "ENFILE"], &["1", "2", "1+2", "1+"]),
    ("?getdents64", &["EIO", "ENOMEM", "ENOENT"], &["1", "1+"]),
    ("?statx", &["EIO", "EACCES", "ENOMEM"], &["1", "1+"]),
    // The log, and files.
    ("?write,?writev", &["EINTR", "EIO", "ENOSPC", "EPIPE"], &["1", "1+2"]),
    ("?read,?readv,?pread64", &["EINTR", "EIO", "ENOMEM"], &["1", "1+2"]),
    // A directory that cannot be closed ends the program: the standard library lets nothing but this pass.
    ("?close", &["EINTR"], &["1", "2", "1+2"]),
];

/// Calls that the way from a client to its answer does without.
const SPARES_CLIENTS: [&str; 8] =
    ["?connect", "?socket", "?getsockopt", "?getpeername", "?open,?openat", "?getdents64", "?statx", "?read,?readv,?pread64"];

#[test]
fn whatever_call_fails_all_is_as_before_once_that_has_passed() {
    if !can_inject() {
        return;
    }
    let rows: Vec<_> = TABLE.iter().flat_map(|(calls, errors, whens)| errors.iter().map(move |error| (*calls, *error, *whens))).collect();
    each(&rows, |(calls, error, whens)| {
        let stage = Stage::set();
        for when in *whens {
            stage.play(calls, error, when);
        }
    });
}

#[test]
fn what_it_cannot_start_without_is_one_line_and_its_end() {
    if !can_inject() {
        return;
    }
    let table = [
        ("?socket", "EMFILE", "1", "cannot listen on 127.0.0.1:0: "),
        ("?bind", "EACCES", "1", "cannot listen on 127.0.0.1:0: "),
        ("?listen", "EADDRINUSE", "1", "cannot listen on 127.0.0.1:0: "),
        ("?setsockopt", "ENOMEM", "1", "cannot listen on 127.0.0.1:0: "),
        ("?getsockname", "ENOBUFS", "1", "cannot poll a listener: "),
        ("?epoll_create1", "EMFILE", "1", "cannot poll: "),
        ("?socketpair", "EMFILE", "1", "cannot take signals: "),
        ("?epoll_ctl", "ENOMEM", "1", "cannot poll signals: "),
        ("?epoll_ctl", "ENOSPC", "2", "cannot poll a listener: "),
        // There is nothing that this could pass by, so that a service manager is to start it anew.
        ("?epoll_wait,?epoll_pwait", "EINVAL", "1", "cannot poll: "),
    ];
    each(&table, |(calls, error, when, words)| {
        let folder = Folder::new();
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error={error}:when={when}"));
        let out = folder.join("calls").display().to_string();
        let mut command = program_under(&["strace", "-o", &out, "-e", &trace, "-e", &inject]);
        command.args(["-bind", "127.0.0.1:0", "-docker-host", "unix:///no/such/socket"]);
        let ended = run(command);
        assert_eq!(ended.code, Some(71), "{calls} {error}: {ended:?}");
        let errors: Vec<_> = ended.stderr.lines().filter(|line| line.contains(" ERROR ")).collect();
        assert!(matches!(errors[..], [line] if line.contains(words)), "{calls} {error}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{calls} {error}: {ended:?}");
    });
}

// ---- It is stopped, as by an operator, a debugger or a machine that is moved, and goes on.

/// More than the kernel is asked for at once by default in most programs.
const MANY: usize = 400;

fn probes(daemon: &Daemon, count: usize) -> Vec<Client> {
    let _ = rlimit::increase_nofile_limit(4096);
    let clients: Vec<_> = (0..count).map(|_| daemon.connect()).collect();
    eventually("all have come", || daemon.counter("http_clients") == count as u64 + 1);
    clients
}

fn ask_all(clients: &mut [Client], app: &str) {
    for client in clients {
        client.send(&format!("GET {PREFIX}/apps/health/{app} HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
}

/// Lets time pass, which is what this is about.
fn pass(time: Duration) {
    let began = Instant::now();
    eventually("time passes", || began.elapsed() >= time);
}

#[test]
fn what_happened_while_it_was_stopped_is_known_to_all_who_asked_meanwhile() {
    let (docker, daemon) = live(vec![container("app", "running", "Up 1 second")], &["-docker-timeout", "300ms", "-docker-grace", "0s"]);
    let mut clients = probes(&daemon, MANY);
    daemon.freeze();
    // They come first, and the event last of all.
    ask_all(&mut clients, "app");
    docker.event("die", "app", r#""exitCode":"1""#);
    daemon.signal("CONT");
    for client in &mut clients {
        assert_eq!(client.answer().verdict(), (503, 12, "exited".to_owned()));
    }
}

/// Stops the daemon with a probe that waits for this list, which is given once the gate is open.
fn freeze_while_docker_is_asked(docker: &FakeDocker, daemon: &Daemon, list: String) -> (Client, Gate) {
    let gate = docker.hold_back(list);
    let asked = docker.requests().len();
    let mut client = daemon.connect();
    ask_all(std::slice::from_mut(&mut client), "app");
    eventually("Docker is asked", || docker.requests().len() == asked + 1);
    daemon.freeze();
    (client, gate)
}

#[test]
fn a_docker_that_answered_while_it_was_stopped_is_not_late_and_nor_is_a_client() {
    let list = support::list(&[("app", "running", "Up 1 second")]);
    let docker = FakeDocker::listing(list.clone());
    let args = ["-docker-timeout", "1s", "-docker-grace", "0s", "-idle-timeout", "3s", "-header-timeout", "3s"];
    let daemon = Daemon::start(&docker.path(), &args);
    eventually("it is up", || daemon.app("app").status == 200);
    daemon.is("blind");
    let mut clients = probes(&daemon, MANY);
    let (mut first, gate) = freeze_while_docker_is_asked(&docker, &daemon, list);
    for client in &mut clients {
        client.send(&format!("GET {PREFIX}/health HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    gate.open();
    // All are overdue by then.
    pass(Duration::from_secs(4));
    daemon.signal("CONT");
    let answer = first.answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    assert!(!daemon.log().contains("docker lost"), "{}", daemon.log());
}

#[test]
fn whoever_comes_while_it_is_told_to_stop_is_answered() {
    if !can_inject() {
        return;
    }
    let (_docker, mut daemon) = live(vec![container("app", "running", "Up 1 second")], &[]);
    // The loop hears of the signal first: what tells it of that takes its time to return, when it is on its way already.
    let injection = Injection::of(&daemon, "sendto", "delay_exit=2000000:when=1");
    daemon.signal("TERM");
    eventually("it is told", || injection.calls().contains("DELAYED"));
    let mut client = daemon.connect();
    client.send(&format!("GET {PREFIX}/health HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(client.answer().status, 200);
    drop(injection);
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn a_live_view_that_was_stopped_for_long_is_live() {
    let args = ["-docker-timeout", "1s", "-docker-grace", "0s", "-resync", "200ms", "-idle-timeout", "300ms"];
    let (_docker, daemon) = live(vec![container("app", "running", "Up 1 second")], &args);
    for _ in 0..3 {
        daemon.freeze();
        pass(Duration::from_millis(2200));
        daemon.signal("CONT");
        assert_eq!(daemon.app("app").status, 200);
        daemon.is("live");
    }
    assert!(!daemon.log().contains("docker lost"), "{}", daemon.log());
}

#[test]
fn a_docker_that_has_not_answered_by_the_time_it_goes_on_has_as_long_as_it_had() {
    let up = support::list(&[("app", "running", "Up 1 second")]);
    let docker = FakeDocker::listing(up.clone());
    let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "3s", "-docker-grace", "0s"]);
    eventually("it is up", || daemon.app("app").status == 200);
    let (mut client, gate) = freeze_while_docker_is_asked(&docker, &daemon, up);
    pass(Duration::from_secs(4));
    daemon.signal("CONT");
    daemon.wait_for_log("stood still for=");
    gate.open();
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!daemon.log().contains("docker lost"), "{}", daemon.log());
}

#[test]
fn after_it_was_stopped_for_long_nobody_is_told_what_was_so_before() {
    let (docker, daemon) = live(vec![container("app", "running", "Up 1 second")], &["-resync", "2s"]);
    let mut clients = probes(&daemon, 8);
    daemon.freeze();
    // Docker drops events for who does not read.
    docker.holds(vec![container("app", "exited", "Exited (1) 2 seconds ago")]);
    ask_all(&mut clients, "app");
    pass(Duration::from_secs(4));
    daemon.signal("CONT");
    for client in &mut clients {
        assert_eq!(client.answer().verdict(), (503, 12, "exited".to_owned()));
    }
    daemon.is("live");
}
