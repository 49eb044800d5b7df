//! The app itself is checked: what each kind of answer comes to, how often it is asked, and who waits.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop, and lives in the world"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::{env, fs, thread};

use container_healthcheck::limits;
use support::{Answer, Daemon, FakeDocker, Folder, Gate, PREFIX, eventually, free_port, list, read_head};

/// What the scripted app does with a connection, given the head of its request.
type Behaviour = Arc<dyn Fn(&mut TcpStream, &str) + Send + Sync>;

/// An app, or the Nginx before it. Each connection has a thread of its own.
struct App {
    port: u16,
    behaviour: Arc<Mutex<Behaviour>>,
    heads: Arc<Mutex<Vec<String>>>,
    /// Those of [`App::held`] that have no answer at present, and at most.
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl App {
    fn start(behaviour: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let app = Self {
            port: listener.local_addr().unwrap().port(),
            behaviour: Arc::new(Mutex::new(Arc::new(behaviour))),
            heads: Arc::default(),
            now: Arc::default(),
            most: Arc::default(),
        };
        let (behaviour, heads, now, most) =
            (Arc::clone(&app.behaviour), Arc::clone(&app.heads), Arc::clone(&app.now), Arc::clone(&app.most));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                let (behaviour, heads, now, most) = (Arc::clone(&behaviour), Arc::clone(&heads), Arc::clone(&now), Arc::clone(&most));
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::spawn(move || {
                    if let Some(head) = read_head(&mut stream) {
                        heads.lock().unwrap().push(head.clone());
                        let behaviour = Arc::clone(&behaviour.lock().unwrap());
                        behaviour(&mut stream, &head);
                    }
                });
            }
        });
        app
    }

    /// One that says this to each request.
    fn saying(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::start(move |stream, _| say(stream, &text))
    }

    /// One that answers each head so once the gate is open.
    fn held(answer: fn(&str) -> String) -> (Self, Gate) {
        let gate = Gate::default();
        let held = gate.clone();
        let app = Self::start(|_, _| ());
        let now = Arc::clone(&app.now);
        app.behave(move |stream, head| {
            held.pass();
            // Once it is said, the next one may come before we go on.
            now.fetch_sub(1, Ordering::SeqCst);
            say(stream, &answer(head));
        });
        (app, gate)
    }

    fn behave(&self, behaviour: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) {
        *self.behaviour.lock().unwrap() = Arc::new(behaviour);
    }

    fn say(&self, text: impl Into<String>) {
        let text = text.into();
        self.behave(move |stream, _| say(stream, &text));
    }

    /// Requests that have come so far.
    fn requests(&self) -> usize {
        self.heads.lock().unwrap().len()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/o/bk_iam/", self.port)
    }
}

/// What a closed reader has no use for is none of ours.
fn say(stream: &mut impl Write, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

fn hang(stream: &mut impl Read) {
    let _ = stream.read(&mut [0; 16]);
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}

/// Of the apps behind one Nginx, the one of this name fails.
fn bad_fails(head: &str) -> String {
    status(if head.starts_with("GET /o/bad/") { "502 Bad Gateway" } else { "200 OK" })
}

const CONTAINER: (&str, &str, &str) = ("bk_iam-1709878117", "running", "Up 5 days");

/// A Docker with that container, and a daemon whose view of it is live and that checks with these arguments.
fn live(args: &[&str]) -> (FakeDocker, Daemon) {
    live_with(&[CONTAINER], args)
}

fn live_with(containers: &[(&str, &str, &str)], args: &[&str]) -> (FakeDocker, Daemon) {
    let docker = FakeDocker::listing(list(containers));
    docker.open_stream();
    let daemon = Daemon::start(&docker.path(), args);
    eventually("live", || daemon.counter("docker_state{state=\"live\"}") == 1);
    (docker, daemon)
}

fn message(answer: &Answer) -> String {
    answer.json()["message"].as_str().unwrap_or("").to_owned()
}

/// It is down for this.
fn fails(answer: &Answer, words: &str) {
    assert_eq!(answer.verdict(), (503, 12, "check-failed".to_owned()), "{answer:?}");
    assert_eq!(message(answer), format!("bk_iam-1709878117 is up, but GET {words}"));
}

#[test]
fn the_first_probes_wait_for_one_check_and_later_ones_for_none() {
    let (app, gate) = App::held(|_| status("200 OK"));
    let (_docker, daemon) = live(&["-ngx-port", &app.port.to_string(), "-check-interval", "1h"]);
    thread::scope(|scope| {
        let probes: Vec<_> = (0..5).map(|_| scope.spawn(|| daemon.app("bk_iam"))).collect();
        eventually("all five wait", || daemon.counter("probes_total") == 5 && app.requests() == 1);
        assert!(probes.iter().all(|probe| !probe.is_finished()));
        gate.open();
        assert!(probes.into_iter().all(|probe| probe.join().unwrap().status == 200));
    });
    let head = format!(
        "GET /o/bk_iam/ HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: container-healthcheck/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        app.port,
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(*app.heads.lock().unwrap(), [head]);
    for _ in 0..500 {
        assert_eq!(daemon.app("bk_iam").status, 200);
    }
    for name in ["nobody", "bk_iam2", "bk_ia", "bk_iam-1"] {
        assert_eq!(daemon.app(name).status, 404);
    }
    assert_eq!((app.requests(), daemon.counter("checks_total")), (1, 1), "probes do not multiply checks");
}

#[test]
fn without_the_flags_nobody_is_checked() {
    let (_docker, daemon) = live(&["-check-interval", "100ms"]);
    assert_eq!(daemon.app("bk_iam").status, 200);
    assert_eq!(daemon.counter("checks_total"), 0);
}

/// One way to fail, its words behind `GET <url>`, and the kind it is counted by.
type Fault = (&'static str, &'static str, fn(&mut TcpStream));

#[test]
fn each_fault_is_told_in_its_own_words_for_as_long_as_it_lasts() {
    let cases: &[Fault] = &[
        ("did not answer within 300ms", "timeout", |stream| hang(stream)),
        ("did not answer within 300ms", "timeout", |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nX: ");
            while stream.write_all(b"x").is_ok() {
                thread::sleep(std::time::Duration::from_millis(5));
            }
        }),
        ("closed the connection without an answer", "closed", |_| ()),
        ("closed the connection without an answer", "closed", |stream| say(stream, "HTTP/1.1 200 O")),
        ("answered something that is not HTTP", "malformed", |stream| say(stream, "SSH-2.0-OpenSSH_9.2\r\n")),
        ("answered something that is not HTTP", "malformed", |stream| {
            say(stream, &format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(limits::RESPONSE_HEADERS + 1)));
        }),
        ("answered something that is not HTTP", "malformed", |stream| {
            say(stream, &format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(limits::RESPONSE_HEAD_BYTES)));
        }),
        ("answered 502", "status", |stream| say(stream, &status("502 Bad Gateway"))),
        ("answered 504", "status", |stream| say(stream, "HTTP/1.1 504 Gateway Time-out\r\n\r\n")),
    ];
    thread::scope(|scope| {
        for &(words, kind, behaviour) in cases {
            scope.spawn(move || {
                let app = App::start(move |stream, _| behaviour(stream));
                let port = app.port.to_string();
                let timeout = if kind == "timeout" { "300ms" } else { "20s" };
                let (_docker, daemon) = live(&["-ngx-port", &port, "-check-interval", "100ms", "-check-timeout", timeout]);
                let words = format!("{} {words}", app.url());
                fails(&daemon.app("bk_iam"), &words);
                let so_far = app.requests();
                eventually("it is checked again", || app.requests() > so_far + 1);
                fails(&daemon.app("bk_iam"), &words);
                assert!(daemon.counter(&format!("check_failures_total{{why=\"{kind}\"}}")) >= 2);
                assert!(daemon.log().contains(&format!("check fails app=bk_iam: GET {words}")), "{}", daemon.log());
                app.say(status("200 OK"));
                eventually("it recovers", || daemon.app("bk_iam").status == 200);
                daemon.wait_for_log("check good again app=bk_iam");
                assert_eq!(daemon.log().matches("check fails").count(), 1, "a change is logged once");
            });
        }
    });
}

#[test]
fn a_connection_that_is_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A socket closed over what came for it is reset.
            let _ = stream.peek(&mut [0]);
        }
    });
    let (_docker, daemon) = live(&["-ngx-port", &port.to_string()]);
    fails(&daemon.app("bk_iam"), &format!("http://127.0.0.1:{port}/o/bk_iam/ reset the connection"));
}

#[test]
fn no_prefix_of_a_head_is_an_answer_and_behind_it_nothing_matters() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall right";
    let head = ANSWER.find("all right").unwrap();
    let ends =
        [("closed the connection without an answer", "20s"), ("reset the connection", "20s"), ("did not answer within 100ms", "100ms")];
    let cuts: Vec<usize> = (0..ANSWER.len()).collect();
    thread::scope(|scope| {
        for (words, timeout) in ends {
            for share in cuts.chunks(6) {
                scope.spawn(move || {
                    let (listener, cut) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(AtomicUsize::new(ANSWER.len())));
                    let (port, checks) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
                    let (now, count) = (Arc::clone(&cut), Arc::clone(&checks));
                    thread::spawn(move || {
                        for mut stream in listener.incoming().map_while(Result::ok) {
                            let (now, count) = (Arc::clone(&now), Arc::clone(&count));
                            thread::spawn(move || {
                                let is_reset = words.starts_with("reset");
                                // A socket closed over what came for it is reset.
                                let _ = if is_reset { stream.peek(&mut [0]).map(|_| String::new()).ok() } else { read_head(&mut stream) };
                                let cut = now.load(Ordering::SeqCst);
                                say(&mut stream, &ANSWER[..cut]);
                                count.fetch_add(1, Ordering::SeqCst);
                                if timeout != "20s" && cut < ANSWER.len() {
                                    hang(&mut stream);
                                }
                            });
                        }
                    });
                    let port = port.to_string();
                    let args = ["-ngx-port", &port, "-check-interval", "100ms", "-check-timeout", timeout, "-check-fall", "1"];
                    let (_docker, daemon) = live(&args);
                    for &at in share {
                        cut.store(at, Ordering::SeqCst);
                        let before = checks.load(Ordering::SeqCst);
                        // It is asked about, or it would not be checked; the one before the last has landed.
                        eventually("it is checked", || daemon.app("bk_iam").status > 0 && checks.load(Ordering::SeqCst) >= before + 3);
                        if at < head {
                            fails(&daemon.app("bk_iam"), &format!("http://127.0.0.1:{port}/o/bk_iam/ {words}"));
                        } else {
                            // On a busy machine one check may be late.
                            eventually(&format!("{words} after {:?} is good", &ANSWER[..at]), || daemon.app("bk_iam").status == 200);
                        }
                    }
                });
            }
        }
    });
}

#[test]
fn the_status_line_alone_decides() {
    let huge = "x".repeat(10 << 20);
    let cases: Vec<(&str, Behaviour)> = vec![
        (
            "a redirect is not followed",
            Arc::new(|stream, _| say(stream, "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")),
        ),
        ("404", Arc::new(|stream, _| say(stream, &status("404 Not Found")))),
        ("500", Arc::new(|stream, _| say(stream, &status("500 No")))),
        ("interim answers", Arc::new(|stream, _| say(stream, &format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", status("200 OK"))))),
        (
            "a body that trickles",
            Arc::new(|stream, _| {
                say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
                hang(stream);
            }),
        ),
        ("a body that is cut short", Arc::new(|stream, _| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"))),
        ("chunks that are none", Arc::new(|stream, _| say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"))),
        (
            "a huge page",
            Arc::new(move |stream, _| say(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{huge}", huge.len()))),
        ),
        (
            "a page without end",
            Arc::new(|stream, _| {
                say(stream, "HTTP/1.1 200 OK\r\n\r\n");
                while stream.write_all(&[b'x'; 4096]).is_ok() {}
            }),
        ),
    ];
    for (name, behaviour) in cases {
        println!("{name}");
        let app = App::start(move |stream, head| behaviour(stream, head));
        let args = ["-ngx-port", &app.port.to_string(), "-check-interval", "100ms", "-check-timeout", "2s"];
        let (_docker, daemon) = live(&args);
        for checks in [1, 3] {
            eventually("it is checked", || daemon.app("bk_iam").status == 200 && app.requests() >= checks);
        }
        assert!(KINDS.iter().all(|kind| daemon.counter(&format!("check_failures_total{{why=\"{kind}\"}}")) == 0), "{name}");
    }
}

const KINDS: [&str; 4] = ["status", "timeout", "closed", "malformed"];

#[test]
fn which_statuses_fail_is_the_operator_s_choice() {
    let app = App::saying(status("404 Not Found"));
    let port = app.port.to_string();
    let (_docker, daemon) = live(&["-ngx-port", &port, "-check-fail", "404,500-599", "-check-interval", "100ms"]);
    fails(&daemon.app("bk_iam"), &format!("{} answered 404", app.url()));
    app.say(status("403 Forbidden"));
    eventually("403 is no failure", || daemon.app("bk_iam").status == 200);
    app.say(status("599 No"));
    eventually("599 is", || message(&daemon.app("bk_iam")).ends_with("answered 599"));
}

/// An app that answers each request when, and as, it is told to.
struct Puppet {
    app: App,
    answers: Sender<String>,
    seen: usize,
}

impl Puppet {
    fn new() -> Self {
        let (answers, told): (_, Receiver<String>) = channel();
        let told = Mutex::new(told);
        let app = App::start(move |stream, _| {
            let answer = told.lock().unwrap().recv();
            if let Ok(answer) = answer {
                say(stream, &status(&answer));
            }
        });
        Self { app, answers, seen: 0 }
    }

    /// Answers the request that is there or still to come, and waits until the daemon has sent the next one: then it has taken the answer in.
    fn answer(&mut self, line: &str) {
        self.answers.send(line.to_owned()).unwrap();
        self.seen += 1;
        eventually("the next check", || self.app.requests() > self.seen);
    }
}

#[test]
fn the_first_result_decides_alone_and_then_so_many_in_a_row() {
    let mut puppet = Puppet::new();
    let port = puppet.app.port.to_string();
    let (_docker, daemon) =
        live(&["-ngx-port", &port, "-check-fall", "3", "-check-rise", "2", "-check-interval", "100ms", "-check-timeout", "20s"]);
    thread::scope(|scope| {
        let first = scope.spawn(|| daemon.app("bk_iam"));
        puppet.answer("200 OK");
        assert_eq!(first.join().unwrap().status, 200);
    });
    let results = [("502 x", 200), ("502 x", 200), ("200 x", 200), ("502 x", 200), ("503 x", 200), ("504 x", 503)];
    let back = [("200 x", 503), ("502 x", 503), ("200 x", 503), ("200 x", 200)];
    for (line, want) in results.into_iter().chain(back) {
        puppet.answer(line);
        assert_eq!(daemon.app("bk_iam").status, want, "{line}");
    }
}

#[test]
fn a_restart_of_the_container_forgets_the_result() {
    let mut puppet = Puppet::new();
    let port = puppet.app.port.to_string();
    let (docker, daemon) = live(&["-ngx-port", &port, "-check-fall", "1000", "-check-interval", "100ms", "-check-timeout", "20s"]);
    thread::scope(|scope| {
        let first = scope.spawn(|| daemon.app("bk_iam"));
        puppet.answer("200 OK");
        assert_eq!(first.join().unwrap().status, 200);
    });
    puppet.answer("502 x");
    assert_eq!(daemon.app("bk_iam").status, 200, "one of a thousand");
    // A check is on its way now, which is of the former run.
    docker.list(list(&[("bk_iam-1709878117", "exited", "Exited (1) 1 second ago")]));
    docker.event("die", "bk_iam-1709878117", r#""exitCode":"1""#);
    eventually("it is dead", || daemon.app("bk_iam").verdict().2 == "exited");
    let while_down = puppet.app.requests();
    docker.list(list(&[CONTAINER]));
    docker.event("start", "bk_iam-1709878117", "");
    eventually("it is checked at once", || puppet.app.requests() > while_down);
    assert_eq!(puppet.app.requests(), while_down + 1, "and was not while it was down");
    thread::scope(|scope| {
        let probe = scope.spawn(|| daemon.app("bk_iam"));
        // The first of these is for the check of the former run, which nobody waits for any more.
        puppet.answers.send("200 OK".into()).unwrap();
        puppet.answers.send("502 x".into()).unwrap();
        fails(&probe.join().unwrap(), &format!("{} answered 502", puppet.app.url()));
    });
}

#[test]
fn checks_go_on_while_docker_is_gone() {
    let app = App::saying(status("200 OK"));
    let port = app.port.to_string();
    let (docker, daemon) = live(&["-ngx-port", &port, "-check-interval", "100ms", "-docker-grace", "1h", "-resync", "100ms"]);
    assert_eq!(daemon.app("bk_iam").status, 200);
    docker.vanish();
    docker.cut_stream();
    eventually("in grace", || daemon.app("bk_iam").body.ends_with(r#"},"stale":true}"#));
    app.say(status("502 x"));
    eventually("it fails", || daemon.app("bk_iam").status == 503);
    fails(&daemon.app("bk_iam"), &format!("{} answered 502", app.url()));
}

#[test]
fn no_more_than_eight_at_once() {
    let (app, gate) = App::held(|_| status("200 OK"));
    let names: Vec<String> = (0..20).map(|number| format!("app{number}")).collect();
    let containers: Vec<_> = names.iter().map(|name| (name.as_str(), "running", "Up 1 day")).collect();
    let port = app.port.to_string();
    let (_docker, daemon) = live_with(&containers, &["-ngx-port", &port, "-check-interval", "100ms", "-check-timeout", "20s"]);
    thread::scope(|scope| {
        let probes: Vec<_> = names.iter().map(|name| scope.spawn(|| daemon.app(name))).collect();
        eventually("all have asked", || daemon.counter("probes_total") == 20 && app.requests() == 8);
        gate.open();
        assert!(probes.into_iter().all(|probe| probe.join().unwrap().status == 200));
    });
    eventually("they are checked again and again", || app.requests() > 100);
    assert_eq!(app.most.load(Ordering::SeqCst), 8);
    let heads = app.heads.lock().unwrap();
    assert!(names.iter().all(|name| heads.iter().any(|head| head.starts_with(&format!("GET /o/{name}/ ")))));
}

#[test]
fn who_has_waited_for_its_turn_as_long_as_it_may_is_told_so() {
    let app = App::start(|stream, _| hang(stream));
    let names: Vec<String> = (0..9).map(|number| format!("app{number}")).collect();
    let containers: Vec<_> = names.iter().map(|name| (name.as_str(), "running", "Up 1 day")).collect();
    let port = app.port.to_string();
    let (_docker, daemon) = live_with(&containers, &["-ngx-port", &port, "-check-timeout", "2s"]);
    // A scrape asks about all, and its order decides whose turn it is not.
    daemon.get(&format!("{PREFIX}/metrics"));
    eventually("eight hang", || app.requests() == 8);
    let heads = app.heads.lock().unwrap().clone();
    let is_asked = |name: &&String| heads.iter().any(|head| head.starts_with(&format!("GET /o/{name}/ ")));
    let (eight, ninth): (Vec<_>, Vec<_>) = names.iter().partition(is_asked);
    thread::scope(|scope| {
        let probes: Vec<_> = eight.iter().map(|name| scope.spawn(|| daemon.app(name))).collect();
        let answer = daemon.app(ninth[0]);
        assert_eq!(answer.verdict(), (503, 12, "checking".to_owned()));
        assert_eq!(message(&answer), format!("{} is up, and its first check has not ended yet", ninth[0]));
        assert!(probes.into_iter().all(|probe| probe.join().unwrap().verdict().2 == "check-failed"));
    });
    assert_eq!(daemon.counter("probes_unchecked_total"), 1);
}

#[test]
fn nobody_listens_there() {
    let port = free_port();
    let (_docker, daemon) = live(&["-ngx-port", &port.to_string()]);
    fails(&daemon.app("bk_iam"), &format!("http://127.0.0.1:{port}/o/bk_iam/ failed: connection refused"));
}

#[test]
fn unix_sockets_of_apps() {
    let folder = Folder::new();
    let path = folder.join("bk_iam.sock");
    let url = format!("unix:{}/{{app}}.sock:/ping", folder.path().display());
    let spelled = format!("unix:{}:/ping", path.display());
    // Both given: the URL counts.
    let (_docker, daemon) = live(&["-check-url", &url, "-ngx-port", "1", "-check-interval", "100ms", "-check-timeout", "300ms"]);
    fails(&daemon.app("bk_iam"), &format!("{spelled} failed: no such socket"));
    let listener = UnixListener::bind(&path).unwrap();
    let heads = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = read_head(&mut stream).unwrap();
        say(&mut stream, &status("200 OK"));
        (head, listener)
    });
    eventually("it serves", || daemon.app("bk_iam").status == 200);
    let (head, listener) = heads.join().unwrap();
    assert!(head.starts_with("GET /ping HTTP/1.1\r\nHost: localhost\r\n"), "{head}");
    // Nobody accepts any more, so that the checks themselves fill its queue.
    shorten_queue(&listener);
    eventually("full", || message(&daemon.app("bk_iam")).ends_with(&format!("GET {spelled} failed: the queue of the socket is full")));
    drop(listener);
    eventually("dead", || message(&daemon.app("bk_iam")).ends_with(&format!("GET {spelled} failed: connection refused")));
}

#[expect(unsafe_code, reason = "the standard library chooses the length of the queue itself")]
fn shorten_queue(listener: &UnixListener) {
    // SAFETY: it is a socket of ours that listens already, and the call reads nothing else.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
}

// ---- A real Nginx, as on a BlueKing appo.

/// An Nginx with its files in a folder. It is stopped with its owner.
struct Nginx {
    child: Child,
    folder: Folder,
    port: u16,
}

impl Nginx {
    /// None, in words, where there is no Nginx; but a failure in the gate.
    fn start() -> Option<Self> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            assert!(env::var("CI").as_deref() != Ok("true"), "no nginx");
            println!("SKIPPED: no nginx");
            return None;
        }
        let (folder, port) = (Folder::new(), free_port());
        let root = folder.path().display();
        // Each app is answered for by its own files: pid and socket of its uwsgi.
        let config = format!(
            r"
            user root; daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log info;
            events {{ worker_connections 256; }}
            http {{
                access_log {root}/access.log;
                client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; uwsgi_temp_path {root}/t3; fastcgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
                server {{
                    listen 127.0.0.1:{port};
                    location ~ ^/(t|o)/([^/]+) {{
                        set $run {root}/$2/run;
                        if (!-f $run/uwsgi.pid) {{ return 404; }}
                        uwsgi_param REQUEST_METHOD $request_method; uwsgi_param REQUEST_URI $request_uri; uwsgi_param SERVER_PROTOCOL $server_protocol;
                        uwsgi_read_timeout 300;
                        uwsgi_pass unix:$run/uwsgi.sock;
                    }}
                }}
            }}
            "
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let error_log = folder.join("error.log");
        let mut command = Command::new("nginx");
        command.arg("-e").arg(&error_log).arg("-c").arg(folder.join("nginx.conf"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { child, folder, port };
        eventually("nginx listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(nginx)
    }

    fn run(&self) -> PathBuf {
        let run = self.folder.join("bk_iam/run");
        fs::create_dir_all(&run).unwrap();
        run
    }

    /// The app's uwsgi, as far as Nginx can tell, which answers so.
    fn uwsgi(&self, answer: impl Into<String>) -> UnixListener {
        let (run, answer) = (self.run(), answer.into());
        let socket = run.join("uwsgi.sock");
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        fs::write(run.join("uwsgi.pid"), "1\n").unwrap();
        let accepting = listener.try_clone().unwrap();
        thread::spawn(move || {
            for mut stream in accepting.incoming().map_while(Result::ok) {
                let answer = answer.clone();
                thread::spawn(move || {
                    let mut head = [0; 4];
                    if stream.read_exact(&mut head).is_err() {
                        return;
                    }
                    let mut rest = vec![0; usize::from(u16::from_le_bytes([head[1], head[2]]))];
                    let _ = stream.read_exact(&mut rest);
                    if answer.is_empty() {
                        hang(&mut stream);
                    }
                    say(&mut stream, &answer);
                });
            }
        });
        listener
    }

    /// Ends that uwsgi, as when it is killed: its files stay.
    fn kill_uwsgi(listener: &UnixListener) {
        // Its thread goes on accepting, on a socket that has no name any more; a dead one has its name.
        let path = listener.local_addr().unwrap().as_pathname().unwrap().to_path_buf();
        fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

#[test]
fn an_app_behind_the_nginx_of_an_appo() {
    let Some(mut nginx) = Nginx::start() else { return };
    let port = nginx.port.to_string();
    let args = ["-ngx-port", &port, "-check-interval", "100ms", "-check-timeout", "500ms"];
    let (_docker, lenient) = live(&args);
    let (_other, strict) = live(&[&args[..], &["-check-fail", "404,502-504"]].concat());
    let url = format!("http://127.0.0.1:{port}/o/bk_iam/");
    let both = |what: &str, lenient_says: &str, strict_says: &str| {
        for (daemon, wanted) in [(&lenient, lenient_says), (&strict, strict_says)] {
            eventually(what, || {
                let answer = daemon.app("bk_iam");
                let said = if answer.status == 200 { String::new() } else { message(&answer) };
                said.strip_prefix(&format!("bk_iam-1709878117 is up, but GET {url} ")).unwrap_or(&said) == wanted
            });
        }
    };

    let page = "x".repeat(40_000);
    let uwsgi = nginx.uwsgi(format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{page}"));
    both("it serves", "", "");
    let access = nginx.log("access.log");
    assert!(!access.is_empty() && access.lines().all(|line| !line.contains("\" 499 ")), "{access}");

    Nginx::kill_uwsgi(&uwsgi);
    both("its uwsgi was killed, and its socket is stale", "answered 502", "answered 502");

    let _uwsgi = nginx.uwsgi("");
    both("it hangs", "did not answer within 500ms", "did not answer within 500ms");

    let _uwsgi = nginx.uwsgi("HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\n\r\nno");
    both("it answers, if only 500", "", "");

    let _uwsgi = nginx.uwsgi("HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n");
    both("it sends its users to a login", "", "");

    fs::remove_file(nginx.run().join("uwsgi.pid")).unwrap();
    both("its uwsgi has ended in good order, and the pid is gone", "", "answered 404");

    assert!(Command::new("kill").arg("-TERM").arg(nginx.child.id().to_string()).status().unwrap().success());
    nginx.child.wait().unwrap();
    both("nginx is stopped", "failed: connection refused", "failed: connection refused");

    let errors = nginx.log("error.log");
    assert!(!errors.contains("Broken pipe"), "{errors}");
}

#[test]
fn whoever_asks_about_all_apps_has_them_all_checked_and_is_told_of_what_comes_of_it() {
    let (app, gate) = App::held(bad_fails);
    let up = "Up 5 days";
    let containers = [("bad-1", "running", up), ("down-1", "exited", "Exited (1) 2 days ago"), ("good-1", "running", up)];
    let (docker, daemon) = live_with(&containers, &["-ngx-port", &app.port.to_string(), "-check-interval", "200ms", "-check-fall", "1"]);
    let told = |answer: &Answer| {
        let json = answer.json();
        let apps = json["message"]["apps"].as_object().unwrap().clone();
        let words = |app: &serde_json::Value| app["reason"].as_str().unwrap_or("up").to_owned();
        let told = apps.iter().map(|(name, app)| format!("{name} {}", words(app))).collect::<Vec<_>>().join(", ");
        (told, answer.field("x-index").unwrap().to_owned())
    };
    let ask = |query: &str| told(&daemon.get(&format!("{PREFIX}/apps{query}")));
    let (first, index) = ask("");
    assert_eq!(first, "bad checking, down exited, good checking");
    gate.open();
    let (mut now, mut index) = ask(&format!("?index={index}&wait=30s"));
    while now.contains("checking") {
        (now, index) = ask(&format!("?index={index}&wait=30s"));
    }
    assert_eq!(now, "bad check-failed, down exited, good up");
    // The others are probed by nobody, and each is checked all the same.
    app.say(status("200 OK"));
    (now, index) = ask(&format!("?index={index}&wait=30s"));
    assert_eq!(now, "bad up, down exited, good up");
    app.say(status("503 Service Unavailable"));
    while now != "bad check-failed, down exited, good check-failed" {
        (now, index) = ask(&format!("?index={index}&wait=30s"));
    }
    assert_eq!(daemon.get(&format!("{PREFIX}/apps?require=good")).verdict(), (503, 12, "check-failed".into()));
    docker.event("die", "good-1", r#""exitCode":"1""#);
    assert_eq!(ask("").0, "bad check-failed, down exited, good exited");
}

#[test]
fn a_scrape_of_the_metrics_has_all_apps_checked_and_waits_for_none() {
    let (app, gate) = App::held(bad_fails);
    let containers = [("bad-1", "running", "Up 5 days"), ("good-1", "running", "Up 5 days")];
    let (_docker, daemon) = live_with(&containers, &["-ngx-port", &app.port.to_string()]);
    let first = daemon.get(&format!("{PREFIX}/metrics"));
    assert_eq!(first.counter("app_state{app=\"good\",state=\"checking\"}"), 1);
    gate.open();
    eventually("it is known to be up", || daemon.counter("app_up{app=\"good\"}") == 1);
    eventually("the other one is known to be down", || {
        daemon.get(&format!("{PREFIX}/metrics")).body.contains("app_state{app=\"bad\",state=\"check-failed\"} 1")
    });
}
