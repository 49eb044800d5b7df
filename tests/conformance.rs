//! Plays each row of `tests/conformance.txt`, the table of requests that people argue about: through the machine of one connection,
//! whole, byte by byte and cut in two; and through the program, over TCP.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr, reason = "a test may stop")]

mod support;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::thread;

use container_healthcheck::engine::route::route;
use container_healthcheck::engine::{AppName, Route};
use container_healthcheck::http::chunked::Chunked;
use container_healthcheck::http::request::{Bad, Request};
use container_healthcheck::http::target::pairs;
use container_healthcheck::http::{Inbound, Known, Reply, Wait};
use container_healthcheck::{answers, limits};
use support::{Client, Daemon, FakeDocker, container};

const TABLE: &str = include_str!("conformance.txt");

/// How connections end, and how chunked bodies do.
const CONNECTIONS: &[&str] = &["open", "waits", "closed", "silent"];
const CHUNKS: &[&str] = &["done", "more", "broken"];

/// What stands before and behind a row.
const GOOD: &[u8] = b"GET /health HTTP/1.1\r\nHost: good\r\n\r\n";

/// Rows up to this length are cut everywhere; longer ones where lines and words end, and at the limits.
const SHORT: usize = 400;

/// What happens behind the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    /// The client closes its side.
    End,
    /// Nothing more comes in time.
    Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Waits,
    Closed,
    Silent,
}

struct Row {
    line: &'static str,
    bytes: Vec<u8>,
    then: Then,
    answers: Vec<Want>,
    end: End,
}

/// A status, and whether a body comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Want {
    status: u16,
    is_bare: bool,
}

/// The columns of each row whose third is one of these words.
fn columns(ends: &'static [&'static str]) -> impl Iterator<Item = (&'static str, [&'static str; 4])> {
    TABLE.lines().filter(|line| line.contains(" | ") && !line.starts_with('#')).filter_map(|line| {
        let columns: Vec<_> = line.splitn(4, " | ").map(str::trim).collect();
        let [bytes, answers, end, why] = columns[..] else { panic!("{line}") };
        assert!(["9110 ", "9112 ", "3986 ", "6585 ", "ours"].iter().any(|source| why.starts_with(source)), "no reason: {line}");
        assert!([CONNECTIONS, CHUNKS].iter().any(|ends| ends.contains(&end)), "no end: {line}");
        ends.contains(&end).then_some((line, [bytes, answers, end, why]))
    })
}

fn rows() -> Vec<Row> {
    let rows = columns(CONNECTIONS).map(|(line, [bytes, answers, end, _])| {
        let (bytes, then) = match (bytes.strip_suffix("{end}"), bytes.strip_suffix("{late}")) {
            (Some(bytes), _) => (bytes, Then::End),
            (_, Some(bytes)) => (bytes, Then::Late),
            _ => (bytes, Then::Nothing),
        };
        let end = match end {
            "open" => End::Open,
            "waits" => End::Waits,
            "closed" => End::Closed,
            _ => End::Silent,
        };
        Row { line, bytes: unescaped(bytes), then, answers: wanted(answers), end }
    });
    rows.collect()
}

/// `200 3*404h`
fn wanted(answers: &str) -> Vec<Want> {
    let mut wanted = Vec::new();
    for word in answers.split(' ').filter(|word| *word != "-") {
        let (times, status) = word.split_once('*').unwrap_or(("1", word));
        let want = Want { status: status.trim_end_matches('h').parse().unwrap(), is_bare: status.ends_with('h') };
        wanted.extend(vec![want; times.parse().unwrap()]);
    }
    wanted
}

/// `\r`, `\n`, `\t`, `\0`, `\\`, `\xNN` and `{3*text}`
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '\\' => {
                let (kind, behind) = rest.split_at(1);
                rest = behind;
                bytes.push(match kind {
                    "r" => b'\r',
                    "n" => b'\n',
                    "t" => b'\t',
                    "0" => 0,
                    "\\" => b'\\',
                    "x" => {
                        let (digits, behind) = rest.split_at(2);
                        rest = behind;
                        u8::from_str_radix(digits, 16).unwrap()
                    }
                    _ => panic!("{text}"),
                });
            }
            '{' => {
                let (inside, behind) = rest.split_once('}').unwrap();
                let (times, inside) = inside.split_once('*').unwrap();
                bytes.extend(unescaped(inside).repeat(times.parse().unwrap()));
                rest = behind;
            }
            other => {
                assert!(other.is_ascii() && !other.is_ascii_control(), "{text}");
                bytes.extend_from_slice(other.to_string().as_bytes());
            }
        }
    }
    bytes
}

/// A connection and what the program makes of it: `io::server` without a socket, and an engine that knows two apps.
#[derive(Default)]
struct Talk {
    inbound: Inbound,
    known: Known,
    /// What the client has sent and nobody has read.
    sent: VecDeque<Vec<u8>>,
    /// The requests without an answer, with its status.
    owed: VecDeque<(u32, u16)>,
    written: Vec<u8>,
}

impl Talk {
    /// Reads and writes as long as there is something to be done; then answers what is owed, or does so before it reads.
    fn go_on(&mut self, at_once: bool) {
        loop {
            if at_once {
                while self.answer() {}
            }
            let length = self.inbound.unsent().len();
            self.written.extend_from_slice(self.inbound.unsent());
            if length > 0 {
                self.inbound.sent(length);
            }
            if self.inbound.is_done() && !self.inbound.is_lingering() {
                self.inbound.linger();
            }
            if self.inbound.has_more() {
                self.feed(&[]);
            } else if let Some(bytes) = self.inbound.wants_bytes().then(|| self.sent.pop_front()).flatten() {
                self.feed(&bytes);
            } else if !self.answer() {
                break;
            }
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let owed = &mut self.owed;
        let refused = self.inbound.feed(bytes, &mut self.known, |number, request| {
            let (status, holds) = judged(&request);
            owed.push_back((number, status));
            holds
        });
        self.refused(refused);
    }

    fn refused(&mut self, refused: Option<(u32, Bad)>) {
        self.owed.extend(refused.map(|(number, bad)| (number, answers::refusal(bad).0)));
    }

    /// Answers the oldest that is owed.
    fn answer(&mut self) -> bool {
        let Some((number, status)) = self.owed.pop_front() else { return false };
        self.inbound.answer(number, &Reply::json(status, b"{}"), "D");
        true
    }
}

/// The status of a request, and whether nothing behind it is read before its answer.
fn judged(request: &Request<'_>) -> (u16, bool) {
    let app = |name: &str| AppName::parse(name.as_bytes()).unwrap();
    let route = route("", &request.path, pairs(request.query), request.method.reads());
    let holds = matches!(route, Route::Apps(_));
    let status = match route {
        Route::App(name) if name == app("app") => 200,
        Route::App(name) if name == app("gone") => 503,
        Route::App(_) | Route::NotFound => 404,
        Route::Apps(query) if query.require.contains(&app("gone")) => 503,
        Route::Health | Route::Ready | Route::Metrics | Route::Apps(_) => 200,
        Route::BadName(_) | Route::BadQuery(_) => 400,
        Route::NotAllowed => 405,
    };
    (status, holds)
}

/// The answers to those pieces, whether each says that it is the last one, and the end.
fn machine(pieces: &[&[u8]], then: Then, at_once: bool) -> (Vec<(Want, bool)>, End) {
    let mut talk = Talk::default();
    for piece in pieces {
        talk.sent.push_back(piece.to_vec());
        if at_once {
            talk.go_on(at_once);
        }
    }
    talk.go_on(at_once);
    match then {
        Then::Nothing => {}
        Then::End => {
            let refused = talk.inbound.end();
            talk.refused(refused);
        }
        Then::Late => {
            assert_eq!(talk.inbound.waiting().0, Wait::RestOfRequest);
            let refused = talk.inbound.late();
            talk.refused(refused);
        }
    }
    talk.go_on(at_once);
    let answers = answered(&talk.written);
    let end = match talk.inbound.waiting().0 {
        Wait::Request => End::Open,
        Wait::RestOfRequest => End::Waits,
        Wait::ClientToClose if answers.last().is_some_and(|(_, is_last)| *is_last) => End::Closed,
        Wait::ClientToClose => End::Silent,
        Wait::Us | Wait::ClientToRead => panic!("something is owed"),
    };
    (answers, end)
}

/// The answers in what was written, whose bodies are all `{}`.
fn answered(written: &[u8]) -> Vec<(Want, bool)> {
    let mut answers = Vec::new();
    let mut rest = std::str::from_utf8(written).unwrap();
    while !rest.is_empty() {
        let (head, behind) = rest.split_once("\r\n\r\n").unwrap();
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let body = behind.strip_prefix("{}");
        assert!(body.is_none() || head.contains("\r\nContent-Length: 2"), "{head}");
        rest = body.unwrap_or(behind);
        let is_bare = body.is_none() && head.contains("\r\nContent-Length: 2");
        answers.push((Want { status, is_bare }, head.ends_with("\r\nConnection: close")));
    }
    answers
}

/// Where a row is cut in two.
fn places(bytes: &[u8]) -> Vec<usize> {
    if bytes.len() <= SHORT {
        return (1..bytes.len()).collect();
    }
    let mut places: Vec<_> = (1..bytes.len()).filter(|&at| bytes[at - 1..=at].iter().any(|byte| b"\r\n :,/?%*;".contains(byte))).collect();
    // Thousands of equal lines are cut like their first ones.
    places.truncate(500);
    for limit in [limits::TARGET_BYTES, limits::HEAD_BYTES, bytes.len()] {
        places.extend((limit - 40..limit + 40).filter(|&at| at < bytes.len()));
    }
    places
}

/// That row by itself, or between two good ones: its bytes, and what they are to get.
fn between(row: &Row, is_between: bool) -> (Vec<u8>, Vec<Want>) {
    let good = Want { status: 200, is_bare: false };
    let mut bytes = row.bytes.clone();
    let mut answers = row.answers.clone();
    if is_between {
        bytes.splice(0..0, GOOD.iter().copied());
        answers.insert(0, good);
        if row.then == Then::Nothing && row.end != End::Waits {
            bytes.extend_from_slice(GOOD);
        }
        if row.end == End::Open {
            answers.push(good);
        }
    }
    (bytes, answers)
}

#[test]
fn every_row_is_so_however_its_bytes_are_cut() {
    let rows = rows();
    let mut wrong = String::new();
    for row in &rows {
        for is_between in [false, true] {
            let (bytes, answers) = between(row, is_between);
            let is_last = |at| row.end == End::Closed && at + 1 == answers.len();
            let want: Vec<_> = answers.iter().enumerate().map(|(at, want)| (*want, is_last(at))).collect();
            let single: Vec<_> = bytes.chunks(1).collect();
            let cuts = places(&bytes).into_iter().map(|at| (format!("cut at {at}"), vec![&bytes[..at], &bytes[at..]]));
            let ways = [("whole".to_owned(), vec![&bytes[..]]), ("byte by byte".to_owned(), single)].into_iter().chain(cuts);
            for ((how, pieces), at_once) in ways.flat_map(|way| [(way.clone(), true), (way, false)]) {
                let told = machine(&pieces, row.then, at_once);
                if told != (want.clone(), row.end) {
                    let between = if is_between { ", between two good ones" } else { "" };
                    write!(wrong, "\n{}\n    {how}{between}, gets {:?}, {:?}", row.line, told.0, told.1).unwrap();
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(rows.len() >= 500, "{} rows", rows.len());
}

/// Names the row in whose course a test stops.
struct Playing<'a>(&'a str);

impl Drop for Playing<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("in the row {}", self.0);
        }
    }
}

/// Sends a row in pieces of that size to the program, and demands its answers and its end.
fn talk(daemon: &Daemon, row: &Row, is_between: bool, size: usize) {
    let _playing = Playing(row.line);
    let (bytes, answers) = between(row, is_between);
    let mut client = daemon.connect();
    for piece in bytes.chunks(size) {
        if client.stream().write_all(piece).is_err() {
            // It has been answered for good in the meantime.
            assert_eq!(row.end, End::Closed, "it is not taken");
            break;
        }
    }
    if row.then == Then::End {
        client.finish();
    }
    for (at, want) in answers.iter().enumerate() {
        let answer = client.answer_to(if want.is_bare { "HEAD" } else { "GET" });
        let answer = answer.unwrap_or_else(|| panic!("closed before answer {at}"));
        assert_eq!(answer.status, want.status, "answer {at}: {answer:?}");
        // With the client's end behind its request, it depends on their arrival whether the answer knows of it.
        if row.end != End::Silent {
            assert_eq!(answer.is_last(), row.end == End::Closed && at + 1 == answers.len(), "answer {at}: {answer:?}");
        }
    }
    finish(client, row.end);
}

/// The connection comes to that end.
fn finish(mut client: Client, end: End) {
    match end {
        End::Open => {
            client.stream().write_all(GOOD).unwrap();
            let answer = client.answer();
            assert_eq!((answer.status, answer.is_last()), (200, false), "the next request");
            client.finish();
        }
        End::Waits => {
            client.finish();
            // A head that is not all there is refused; a body was not needed.
            let rest = client.answers();
            assert!(rest.is_empty() || rest.len() == 1 && rest[0].status == 400, "{rest:?}");
            return;
        }
        End::Closed | End::Silent => {}
    }
    client.expect_end();
}

#[test]
fn every_row_is_so_over_tcp() {
    let docker = FakeDocker::hung();
    docker.holds(vec![container("app-1", "running", "Up 5 days"), container("gone", "exited", "Exited (137) 3 minutes ago")]);
    docker.open_stream();
    let start = |args: &[&str]| {
        let daemon = Daemon::start(&docker.path(), &[&["-prefix", "/"], args].concat());
        daemon.wait_for_log("live containers=");
        daemon
    };
    let (patient, hasty) = (start(&["-header-timeout", "60s"]), start(&["-header-timeout", "200ms"]));
    for row in &rows() {
        // What is late is sent in one piece, so that it is the end of it that does not come in time.
        let (daemon, sizes): (_, &[usize]) = match row.then {
            Then::Late => (&hasty, &[usize::MAX]),
            Then::Nothing | Then::End if row.bytes.len() <= SHORT => (&patient, &[usize::MAX, 1]),
            Then::Nothing | Then::End => (&patient, &[usize::MAX, 61]),
        };
        for &size in sizes {
            talk(daemon, row, false, size);
            talk(daemon, row, true, size);
        }
    }
}

#[test]
fn every_chunked_body_is_so_however_it_is_cut() {
    let mut wrong = String::new();
    let mut rows = 0;
    for (line, [bytes, body, end, _]) in columns(CHUNKS) {
        let bytes = unescaped(bytes);
        let want = (if body == "-" { Vec::new() } else { unescaped(body) }, end);
        rows += 1;
        let decoded = |pieces: &[&[u8]]| {
            let mut chunked = Chunked::new();
            let mut body = Vec::new();
            let fed = pieces.iter().try_for_each(|piece| chunked.feed(piece, |part| body.extend_from_slice(part)).map(drop));
            let end = match fed {
                Ok(()) if chunked.is_done() => "done",
                Ok(()) => "more",
                Err(_) => "broken",
            };
            (body, end)
        };
        let single: Vec<_> = bytes.chunks(1).collect();
        let cuts = places(&bytes).into_iter().map(|at| vec![&bytes[..at], &bytes[at..]]);
        for pieces in [vec![&bytes[..]], single].into_iter().chain(cuts) {
            let told = decoded(&pieces);
            if told != want {
                write!(wrong, "\n{line}\n    gives {:?}, {}", told.0.escape_ascii().to_string(), told.1).unwrap();
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(rows >= 40, "{rows} rows");
}
