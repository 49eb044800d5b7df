//! What a client can send, and what it gets: paths and methods, the protocol, and bodies that are never answered.

#![expect(clippy::unwrap_used, reason = "a test may stop, and lives in the world")]

mod support;

use std::fmt::Write as _;
use std::thread;

use container_healthcheck::limits;
use support::{Answer, Client, Daemon, FakeDocker, Gate, PREFIX, eventually, list};

/// A list with one app that is up and one that is down.
fn apps() -> String {
    list(&[("app-1709878117", "running", "Up 5 days"), ("gone", "exited", "Exited (137) 3 minutes ago")])
}

fn start(args: &[&str]) -> (FakeDocker, Daemon) {
    let docker = FakeDocker::listing(apps());
    let daemon = Daemon::start(&docker.path(), args);
    daemon.wait_for_log("docker answers");
    (docker, daemon)
}

/// A request in full, with those fields besides Host.
fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

fn health() -> String {
    request("GET", &format!("{PREFIX}/health"), "")
}

/// The answers to those bytes up to the end of the connection, which the daemon has to bring about.
fn all(daemon: &Daemon, bytes: &str) -> Vec<Answer> {
    let mut client = daemon.connect();
    client.send(bytes);
    client.answers()
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

#[test]
fn get_head_and_options_have_the_same_status_on_every_path() {
    let (docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    for (path, status) in [
        ("/", 200),
        ("/health", 404),
        ("/container-healthcheck", 404),
        ("/container-healthcheck/", 404),
        ("/container-healthcheck/health", 200),
        ("/container-healthcheck/health/", 200),
        ("/container-healthcheck/health?a=b", 200),
        ("/container-healthcheck/health//", 404),
        ("/container-healthcheck/Health", 404),
        ("/container-healthcheck/ready", 200),
        ("/container-healthcheck/ready/", 200),
        ("/container-healthcheck/metrics", 200),
        ("/container-healthcheck/apps/health/app", 200),
        ("/container-healthcheck/apps/health/app/", 200),
        ("/container-healthcheck/apps/health/app?all=true", 200),
        ("/container-healthcheck/apps/health/gone", 503),
        ("/container-healthcheck/apps/health/nobody", 404),
        ("/container-healthcheck/apps/health/", 400),
        ("/container-healthcheck/apps/health/(a+)+", 400),
        ("/container-healthcheck/nothing", 404),
    ] {
        client.send(&request("GET", path, ""));
        let get = client.answer_to("GET").unwrap();
        assert_eq!(get.status, status, "{path}");
        assert!(!get.body.is_empty() && get.field("allow").is_none(), "{get:?}");
        assert!(get.field("date").is_some() && get.field("cache-control") == Some("no-store"), "{get:?}");
        if !path.ends_with("metrics") {
            assert_eq!(get.field("content-type"), Some("application/json; charset=utf-8"), "{path}");
            assert_eq!(get.json()["status"], if status == 200 { "ok" } else { "error" }, "{get:?}");
        }

        client.send(&request("HEAD", path, ""));
        let head = client.answer_to("HEAD").unwrap();
        assert_eq!(head.status, status, "{path}");
        assert_eq!(head.field("content-type"), get.field("content-type"));
        if !path.ends_with("metrics") {
            assert_eq!(head.field("content-length"), get.field("content-length"), "{path}");
        }

        client.send(&request("OPTIONS", path, ""));
        let options = client.answer_to("OPTIONS").unwrap();
        assert_eq!((options.status, options.body.as_str()), (status, ""), "{path}");
        assert_eq!(options.field("allow"), Some("GET, HEAD, OPTIONS"), "{path}");
        assert!(![get, head, options].iter().any(Answer::is_last), "{path}");
    }
    client.finish();
    client.expect_end();
    let requests = docker.requests();
    assert!(requests.iter().all(|request| *request == requests[0]), "no byte of a client's is part of a question: {requests:?}");
}

#[test]
fn the_bodies_are_those_of_the_contract() {
    let (_docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    assert_eq!(client.get("/container-healthcheck/health").body, r#"{"code":0,"status":"ok","message":"i'm healthy"}"#);
    let up = client.get("/container-healthcheck/apps/health/app").body;
    let id = &up[up.find("container_id").unwrap()..][15..25];
    let want = format!(
        r#"{{"code":0,"status":"ok","message":{{"command":"sh /build/builder","container_id":"{id}","created":1709878119,"image":"python36e:1.1","names":"app-1709878117","port":[],"state":"running","status":"Up 5 days"}}}}"#
    );
    assert_eq!(up, want);
    let down = client.get("/container-healthcheck/apps/health/gone");
    assert_eq!(down.body, r#"{"code":12,"status":"error","message":"gone is exited: Exited (137) 3 minutes ago","reason":"exited"}"#);
    assert_eq!(client.get("/container-healthcheck/apps/health/nobody").verdict(), (404, 12, "no-container".into()));
    assert_eq!(client.get("/container-healthcheck/nothing").verdict(), (404, 404, "not-found".into()));
}

#[test]
fn other_methods_are_not_allowed_on_known_paths() {
    let (_docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "BREW"] {
        for path in ["/", "/container-healthcheck/health", "/container-healthcheck/apps/health/app", "/container-healthcheck/apps/health/"]
        {
            client.send(&request(method, path, ""));
            let answer = client.answer();
            assert_eq!(answer.verdict(), (405, 405, "method".into()), "{method} {path}");
            assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"));
        }
        client.send(&request(method, "/nothing", ""));
        assert_eq!(client.answer().verdict(), (404, 404, "not-found".into()), "{method}");
    }
    assert_eq!(client.get("/").status, 200, "the connection goes on");
    assert_eq!(daemon.counter("http_requests_total{path=\"other\",code=\"405\"}"), 28);
}

#[test]
fn a_name_that_is_none_is_a_bad_request_and_reaches_nobody() {
    let (_docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    let long = "a".repeat(129);
    for name in ["", "/", ".app", "-app", "_app", "a%20b", "a%00", "a%2Fb", "a/b", "..", "%2e%2e", "a*", "(a+)+$", "%E4%BD%A0", &long] {
        let answer = client.get(&format!("{PREFIX}/apps/health/{name}"));
        assert_eq!(answer.verdict(), (400, 400, "bad-name".into()), "{name}");
        assert!(!answer.is_last(), "{name}");
    }
    assert_eq!(client.get(&format!("{PREFIX}/apps/health/{}", &long[1..])).status, 404);
    assert_eq!(daemon.counter("probes_total"), 1);
}

#[test]
fn percent_encoding_makes_no_difference() {
    let (_docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    for path in [
        "/container-healthcheck/apps/health/%61pp",
        "/%63ontainer%2Dhealthcheck/apps/health/%61%70%70",
        "/container-healthcheck%2Fapps%2fhealth%2Fapp",
        "/container-healthcheck/apps/health/app?x=%",
    ] {
        assert_eq!(client.get(path).status, 200, "{path}");
    }
    for path in ["/container-healthcheck/health%", "/container-healthcheck/health%4", "/container-healthcheck/health%zz"] {
        let answers = all(&daemon, &request("GET", path, ""));
        assert_eq!(answers[0].verdict(), (400, 400, "bad-request".into()), "{path}");
    }
}

#[test]
fn options_asks_the_server_itself_with_an_asterisk() {
    let (_docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    client.send(&request("OPTIONS", "*", ""));
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("allow")), (200, Some("GET, HEAD, OPTIONS")));
    client.send(&request("GET", "*", ""));
    let answer = client.answer();
    assert_eq!((answer.status, answer.is_last()), (400, true));
    client.expect_end();
}

#[test]
fn the_absolute_form_is_understood() {
    let (_docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    for (target, status) in [
        ("http://127.0.0.1:4246/container-healthcheck/health", 200),
        ("HTTP://any.host/container-healthcheck/apps/health/gone", 503),
        ("http://any.host", 200),
        ("http://any.host?x", 200),
        ("http://[::1]/nothing", 404),
    ] {
        assert_eq!(client.get(target).status, status, "{target}");
    }
    for target in ["http:///health", "https://h/", "ftp://h/", "h:80", "http://user@h/"] {
        let answers = all(&daemon, &request("GET", target, ""));
        assert_eq!(statuses(&answers), [400], "{target}");
        assert!(answers[0].is_last());
    }
}

#[test]
fn a_prefix_has_one_slash_before_each_part_however_it_is_written() {
    for (prefix, known, unknown) in [
        ("/", "/health", "/container-healthcheck/health"),
        ("", "/apps/health/app", "//health"),
        ("a/b/", "/a/b/health", "/a/health"),
        ("//x.y~z-1_2", "/x.y~z-1_2/apps/health/app", "/health"),
        ("/apps/health", "/apps/health/apps/health/app", "/apps/health/app"),
        ("/health", "/health/health", "/health"),
    ] {
        let (_docker, daemon) = start(&["-prefix", prefix]);
        assert_eq!(daemon.get(known).status, 200, "{prefix:?} {known}");
        assert_eq!(daemon.get(unknown).verdict(), (404, 404, "not-found".into()), "{prefix:?} {unknown}");
        assert_eq!(daemon.get("/").status, 200, "{prefix:?}: the root is whether the host may be used, always");
    }
}

#[test]
fn a_connection_lives_on_after_its_answers() {
    let (_docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    let before = daemon.counter("http_clients_accepted_total");
    for round in 0..50 {
        assert_eq!(client.get("/container-healthcheck/health").status, 200, "{round}");
        assert_eq!(client.get("/container-healthcheck/apps/health/gone").status, 503, "{round}");
        // Empty lines before a request are ignored (RFC 9112 section 2.2).
        client.send("\r\n\r\n");
    }
    assert_eq!(daemon.counter("http_clients_accepted_total"), before + 1, "that of the counter");
}

/// Many requests whose answers tell their places.
fn pipeline(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let path = match number % 4 {
            0 => "/health".to_owned(),
            1 => format!("/nothing/{number}"),
            2 => "/apps/health/gone".to_owned(),
            _ => format!("/apps/health/nobody{number}"),
        };
        write!(text, "GET {PREFIX}{path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        text
    })
}

fn assert_in_order(answers: &[Answer], count: usize) {
    assert_eq!(answers.len(), count);
    for (number, answer) in answers.iter().enumerate() {
        let (status, words) = match number % 4 {
            0 => (200, "i'm healthy".to_owned()),
            1 => (404, "no such path".to_owned()),
            2 => (503, "gone is exited".to_owned()),
            _ => (404, format!("no container is named nobody{number} ")),
        };
        assert!(answer.status == status && answer.body.contains(&words), "{number}: {answer:?}");
    }
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_their_order() {
    let (_docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    client.send(&pipeline(1000));
    let answers: Vec<_> = (0..1000).map(|_| client.answer()).collect();
    assert_in_order(&answers, 1000);
    assert!(!answers.iter().any(Answer::is_last));
    assert_eq!(client.get("/").status, 200, "the connection goes on");
}

/// A daemon whose Docker holds back each list until the gate is open.
fn held(args: &[&str]) -> (FakeDocker, Daemon, Gate) {
    let (docker, daemon) = start(args);
    let gate = docker.hold_back(apps());
    (docker, daemon, gate)
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_their_order_while_docker_holds_its_list() {
    let (_docker, daemon, gate) = held(&["-docker-timeout", "60s"]);
    let mut client = daemon.connect();
    let mut writer = client.stream().try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut writer, pipeline(1000).as_bytes()).unwrap());
        // The first two are answered at once; of those behind them only so many are read as may be owed.
        eventually("the probes of one pipeline wait", || daemon.counter("probes_total") == limits::PIPELINE as u64 / 2);
        assert!((client.answer().status, client.answer().status) == (200, 404));
        gate.open();
        let mut answers: Vec<_> = (2..1000).map(|_| client.answer()).collect();
        answers.splice(0..0, all(&daemon, &(pipeline(1) + &request("GET", &format!("{PREFIX}/nothing/1"), "Connection: close\r\n"))));
        assert_in_order(&answers, 1000);
    });
    assert!(daemon.counter("http_limits_met_total{limit=\"pipeline\"}") > 0);
}

#[test]
fn a_half_closed_client_gets_its_answers() {
    let (_docker, daemon) = start(&[]);
    for count in [1, 2, 16, 17, 1000] {
        let mut client = daemon.connect();
        client.send(&pipeline(count));
        client.finish();
        assert_in_order(&client.answers(), count);
    }
    let mut silent = daemon.connect();
    silent.finish();
    silent.expect_end();
}

#[test]
fn a_half_closed_client_gets_its_answers_however_late_they_come() {
    for count in [3, 16, 17, 1000] {
        let (_docker, daemon, gate) = held(&["-docker-timeout", "60s"]);
        let mut client = daemon.connect();
        client.send(&pipeline(count));
        client.finish();
        eventually("a probe waits", || daemon.counter("probes_total") > 0);
        gate.open();
        let answers = client.answers();
        assert_in_order(&answers, count);
        // Of a single batch the daemon knows which one is the last.
        assert!(count > limits::PIPELINE || answers[count - 1].is_last());
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_head_is_told_so() {
    let (_docker, daemon) = start(&[]);
    let whole = health();
    for end in [1, 5, 20, whole.len() - 1] {
        let mut client = daemon.connect();
        client.send(&(health() + &whole[..end]));
        client.finish();
        let answers = client.answers();
        assert_eq!(statuses(&answers), [200, 400], "{end}");
        assert!(answers[1].is_last());
    }
    assert_eq!(daemon.counter("http_requests_refused_total{fault=\"CutShort\",reason=\"bad-request\"}"), 4);
}

#[test]
fn http_1_0_ends_after_one_answer() {
    let (_docker, daemon) = start(&[]);
    for fields in ["", "Connection: keep-alive\r\n", "Host: h\r\n"] {
        let request = format!("GET {PREFIX}/health HTTP/1.0\r\n{fields}\r\n");
        let answers = all(&daemon, &(request.clone() + &request));
        assert_eq!(statuses(&answers), [200], "{fields}");
        assert!(answers[0].is_last() && answers[0].head.starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn connection_close_makes_an_answer_the_last_one() {
    let (_docker, daemon) = start(&[]);
    for field in ["Connection: close", "connection: CLOSE", "Connection: x, close", "Connection: x\r\nConnection: close"] {
        let path = format!("{PREFIX}/apps/health/app");
        let answers = all(&daemon, &(health() + &request("GET", &path, &format!("{field}\r\n")) + &health()));
        assert_eq!(statuses(&answers), [200, 200], "{field}");
        assert_eq!(answers.iter().map(Answer::is_last).collect::<Vec<_>>(), [false, true], "{field}");
    }
}

#[test]
fn a_client_that_would_send_a_body_is_answered_before_it_does() {
    let (_docker, daemon) = start(&[]);
    // Whether the next byte would be body or request cannot be told, so the answer is the last one.
    let mut client = daemon.connect();
    client.send(&request("POST", "/container-healthcheck/health", "Expect: 100-continue\r\nContent-Length: 3\r\n"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.is_last()), (405, true));
    client.send(&format!("abc{}", health()));
    client.expect_end();
    // Without a body there is nothing to continue.
    let mut client = daemon.connect();
    client.send(&request("GET", "/container-healthcheck/health", "Expect: 100-continue\r\n"));
    assert!(!client.answer().is_last());
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_body_is_read_away_and_never_answered() {
    let (_docker, daemon) = start(&[]);
    let disguised = health().repeat(3);
    let limit = usize::try_from(limits::BODY_BYTES).unwrap();
    let mut client = daemon.connect();
    for body in ["x", "\r\n\r\n", disguised.as_str(), &disguised.repeat(10), &"x".repeat(limit)] {
        for (method, status) in [("POST", 405), ("GET", 200)] {
            let head = request(method, "/container-healthcheck/apps/health/app", &format!("Content-Length: {}\r\n", body.len()));
            let next = request("GET", "/nothing", "");
            // In one piece, in two, and byte by byte.
            client.send(&format!("{head}{body}{next}"));
            assert_eq!((client.answer().status, client.answer().status), (status, 404));
            client.send(&head);
            assert_eq!(client.answer().status, status);
            client.send(&format!("{body}{next}"));
            assert_eq!(client.answer().status, 404);
            if body.len() < limit {
                client.trickle(&format!("{head}{body}{next}"));
                assert_eq!((client.answer().status, client.answer().status), (status, 404));
            }
        }
    }
    client.finish();
    client.expect_end();
}

#[test]
fn a_body_that_is_not_read_away_ends_the_connection_after_the_answer() {
    let (_docker, daemon) = start(&[]);
    let disguised = health();
    let long = disguised.repeat(8000);
    let chunk = format!("{:x}\r\n{disguised}\r\n0\r\n\r\n", disguised.len());
    let bodies = [
        (format!("Content-Length: {}\r\n", limits::BODY_BYTES + 1), disguised.clone()),
        (format!("Content-Length: {}\r\n", long.len()), long),
        ("Content-Length: 18446744073709551615\r\n".to_owned(), disguised.clone()),
        ("Transfer-Encoding: chunked\r\n".to_owned(), chunk.clone()),
        ("Transfer-Encoding: CHUNKED\r\n".to_owned(), chunk + &disguised),
    ];
    for (field, body) in &bodies {
        let mut client = daemon.connect();
        client.send(&health());
        client.send(&request("POST", "/container-healthcheck/health", field));
        client.send(body);
        // The answer arrives although much of what was sent was never looked at.
        let answers = client.answers();
        assert_eq!(statuses(&answers), [200, 405], "{field}");
        assert!(answers[1].is_last(), "{field}");
    }
    assert_eq!(daemon.counter("http_limits_met_total{limit=\"body\"}"), bodies.len() as u64);
}

/// Requests that are none, with status and counter.
const BROKEN: &[(&str, u16, &str)] = &[
    ("garbage\r\n\r\n", 400, "Syntax"),
    ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n", 400, "Syntax"),
    ("GET / HTTP/1.1\nHost: h\n\n", 400, "Syntax"),
    ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400, "Syntax"),
    ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, "Syntax"),
    ("GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", 400, "Syntax"),
    ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "Syntax"),
    ("GET /\r\n\r\n", 400, "Syntax"),
    ("GET nothing HTTP/1.1\r\nHost: h\r\n\r\n", 400, "Target"),
    ("GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", 400, "Target"),
    ("GET / HTTP/1.1\r\n\r\n", 400, "Host"),
    ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400, "Host"),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host"),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Framing"),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400, "Framing"),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400, "Framing"),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\n", 400, "Framing"),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n", 400, "Framing"),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n", 400, "Framing"),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "Framing"),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "Framing"),
    ("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Framing"),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "Coding"),
    ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 501, "Connect"),
    ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, "Version"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "Version"),
];

#[test]
fn a_request_that_is_none_is_refused_and_ends_its_connection() {
    let (_docker, daemon) = start(&[]);
    for &(bytes, status, fault) in BROKEN {
        let answers = all(&daemon, &format!("{}{bytes}{}", health(), health()));
        assert_eq!(statuses(&answers), [200, status], "{bytes:?}");
        let answer = &answers[1];
        let reason = match status {
            501 => "not-implemented",
            505 => "version",
            _ => "bad-request",
        };
        assert_eq!(answer.verdict(), (status, status.into(), reason.into()), "{bytes:?}");
        assert!(answer.is_last(), "{bytes:?}");
        let same = BROKEN.iter().position(|case| case.0 == bytes).unwrap();
        let before = BROKEN[..=same].iter().filter(|case| case.2 == fault).count() as u64;
        assert_eq!(daemon.counter(&format!("http_requests_refused_total{{fault=\"{fault}\",reason=\"{reason}\"}}")), before, "{bytes:?}");
    }
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let (_docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    client.trickle(&pipeline(12));
    assert_in_order(&(0..12).map(|_| client.answer()).collect::<Vec<_>>(), 12);
    for &(bytes, status, _) in BROKEN {
        // One behind it would meet a connection that has ended in the meantime.
        let mut client = daemon.connect();
        let end = bytes.find("\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        for byte in bytes.as_bytes()[..end].chunks(1) {
            if std::io::Write::write_all(&mut client.stream(), byte).is_err() {
                break;
            }
        }
        let answers = client.answers();
        assert_eq!(statuses(&answers), [status], "{bytes:?}");
    }
}

#[test]
fn clients_that_reset_in_the_middle_of_everything_leave_nothing_behind() {
    let (_docker, daemon, gate) = held(&["-docker-timeout", "60s"]);
    let app = request("GET", &format!("{PREFIX}/apps/health/app"), "");
    let body = request("POST", "/", "Content-Length: 100\r\n");
    let before = daemon.descriptors().len();
    let middles = [
        ("an idle connection", String::new()),
        ("a head", "GET / HTT".to_owned()),
        ("a body", body + "abc"),
        ("a wait for Docker", app.clone()),
        ("a wait for Docker, with a head behind it", app.clone() + "GET / HTT"),
        ("a pipeline that may not grow", app.repeat(40)),
        ("a last answer", request("GET", "/", "Connection: close\r\n")),
        ("a refused request", "garbage\r\n\r\n".to_owned()),
        ("answers that nobody reads", request("GET", &format!("{PREFIX}/metrics"), "").repeat(200)),
    ];
    for round in 0..5 {
        for (middle, bytes) in &middles {
            let mut client = Client::new(std::net::TcpStream::connect(daemon.address()).unwrap());
            client.send(&(health() + bytes));
            client.reset();
            assert_eq!(daemon.get("/container-healthcheck/health").status, 200, "{round}: reset in the middle of {middle}");
        }
    }
    assert!(daemon.counter("http_clients_closed_total{why=\"reset\"}") > 0);
    gate.open();
    assert_eq!(daemon.app("app").status, 200);
    eventually("all of them are gone", || daemon.counter("http_clients") == 1);
    // One for a question to Docker may still be open.
    eventually("no descriptor is lost", || daemon.descriptors().len() <= before + 1);
}
