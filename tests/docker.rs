//! Docker misbehaves, and the daemon says so for exactly as long as it lasts; and what good lists of all shapes come to.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may stop, and lives in the world"
)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use container_healthcheck::limits;
use support::{
    Answer, Daemon, FakeDocker, Folder, PREFIX, container, each, eventually, hang, is_there, list, program, read_head, send_list,
};

/// All that is ever sent to a Docker that demands no version.
const QUESTION: &str = "GET /containers/json?all=1 HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n";

/// What Docker's answer is to be found wanting in.
const CUT_SHORT: &str = "{} closed the connection before its answer was complete";
const NO_HTTP: &str = "{} answered something that is not HTTP (is it Docker?)";
const FRAMING: &str = "{} answered with broken HTTP framing";
const NO_LIST: &str = "{} answered something that is not a list of containers (is it Docker?)";
const TOO_LARGE: &str = "{} answered with more than 16 MiB, 20000 containers, or 1 MiB for one of them";

fn up() -> String {
    list(&[("app", "running", "Up 1 second")])
}

/// Status, code, reason and message.
fn told(answer: &Answer) -> (u16, u64, String, String) {
    let (status, code, reason) = answer.verdict();
    (status, code, reason, answer.json()["message"].as_str().unwrap_or("").to_owned())
}

/// What is told of a Docker that fails, `{}` standing for where it is.
fn fault(code: u64, reason: &str, message: &str, docker: &str) -> (u16, u64, String, String) {
    (503, code, reason.to_owned(), message.replace("{}", docker))
}

/// A socket file that nobody listens on any more.
fn dead_socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
}

/// What a closed reader has no use for is none of ours.
fn say(stream: &mut impl Write, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

/// An answer with a length.
fn answer(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The same list in chunks of so many bytes.
fn chunked(list: &str, size: usize) -> String {
    let chunks = list.as_bytes().chunks(size).map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()));
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunks.collect::<String>())
}

/// A container whose labels are so long.
fn fat(name: &str, label: usize) -> String {
    container(name, "running", "Up 1 second").replace(r#""Labels":{}"#, &format!(r#""Labels":{{"a":"{}"}}"#, "x".repeat(label)))
}

/// Everybody is told of the fault while it lasts, over several connections to Docker; then it is mended, and all is well.
fn lasts(daemon: &Daemon, fault: &(u16, u64, String, String), tries: impl Fn() -> usize, mend: impl FnOnce()) {
    let logged = || daemon.log().matches(&format!("docker lost: {}", fault.3)).count();
    let before = logged();
    assert_eq!(told(&daemon.app("app")), *fault, "the very first probe");
    // A list may take longer than whoever waits for it may wait, and only then is Docker found gone.
    daemon.is("down");
    let ready = || [format!("{PREFIX}/ready"), "/".into()].map(|path| told(&daemon.get(&path)));
    assert_eq!(ready(), [fault.clone(), fault.clone()]);
    assert_eq!(daemon.get(&format!("{PREFIX}/health")).status, 200, "that is nobody's fault but Docker's");
    let so_far = tries();
    eventually("Docker is tried again, twice", || {
        assert_eq!(told(&daemon.app("app")), *fault);
        assert_eq!(ready(), [fault.clone(), fault.clone()]);
        tries() >= so_far + 2
    });
    mend();
    eventually("it recovers by itself", || {
        let answer = daemon.app("app");
        assert!(answer.status == 200 || told(&answer) == *fault, "{answer:?}");
        answer.status == 200
    });
    assert_eq!(ready().map(|(status, code, ..)| (status, code)), [(200, 0); 2]);
    assert_eq!(daemon.counter("docker_state{state=\"blind\"}"), 1);
    daemon.wait_for_log("docker answers");
    assert!(logged() <= before + 1, "a change is logged once: {}", daemon.log());
}

/// One way to misbehave.
struct Case {
    name: &'static str,
    code: u64,
    reason: &'static str,
    message: String,
    /// Whether it reads the request first.
    reads: bool,
    timeout: &'static str,
    behaviour: Arc<dyn Fn(&mut UnixStream) + Send + Sync>,
}

impl Case {
    fn new(name: &'static str, message: impl Into<String>, behaviour: impl Fn(&mut UnixStream) + Send + Sync + 'static) -> Self {
        Self {
            name,
            code: 11,
            reason: "docker-error",
            message: message.into(),
            reads: true,
            timeout: "20s",
            behaviour: Arc::new(behaviour),
        }
    }

    /// It says that and no more.
    fn says(name: &'static str, message: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(name, message, move |stream| say(stream, &text))
    }

    fn late(name: &'static str, behaviour: impl Fn(&mut UnixStream) + Send + Sync + 'static) -> Self {
        let case = Self::new(name, "{} did not answer within 300ms (does Docker hang?)", behaviour);
        Self { reason: "docker-timeout", timeout: "300ms", ..case }
    }

    /// It does so before it has read the request.
    fn unasked(self) -> Self {
        Self { reads: false, ..self }
    }

    fn run(&self) {
        println!("{}", self.name);
        let docker = FakeDocker::listing(up());
        let daemon = Daemon::start(&docker.path(), &["-docker-timeout", self.timeout]);
        eventually("all is well at first", || daemon.app("app").status == 200);
        let behaviour = Arc::clone(&self.behaviour);
        if self.reads {
            docker.behave(move |stream, _| behaviour(stream));
        } else {
            docker.interrupt(move |stream, _| behaviour(stream));
        }
        let fault = fault(self.code, self.reason, &self.message, &docker.path().display().to_string());
        lasts(&daemon, &fault, || docker.connections(), || docker.list(up()));
        let metrics = daemon.get(&format!("{PREFIX}/metrics"));
        assert!(metrics.counter("docker_failures_total") > 0);
        for (limit, is_met) in [("time", self.reason == "docker-timeout"), ("size", self.message == TOO_LARGE)] {
            assert_eq!(metrics.counter(&format!("docker_limits_met_total{{limit=\"{limit}\"}}")) > 0, is_met, "{limit}");
        }
        assert_eq!(metrics.counter("probes_timed_out_total") > 0, self.reason == "docker-timeout");
    }
}

#[test]
fn each_misbehaviour_of_docker_is_told_in_its_own_words_for_as_long_as_it_lasts() {
    let proxy = "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n";
    let cases = [
        Case::late("accepts and never answers", hang),
        Case::late("does not even read", |stream| {
            // Held until the other side has gone, which takes what it wrote with it.
            eventually("the daemon gives up", || stream.read(&mut [0; 4096]).is_ok_and(|length| length == 0));
        })
        .unasked(),
        Case::late("stops in the middle of the head", |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Le");
            hang(stream);
        }),
        Case::late("a drip slower than the timeout", |stream| {
            for byte in answer("200 OK", "", &up()).as_bytes().chunks(1) {
                if stream.write_all(byte).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(5));
            }
        }),
        Case::new("reads and closes", CUT_SHORT, |_| ()),
        Case::new("reset", "{} reset the connection", |stream| {
            // A socket closed over what came for it is reset.
            let _ = stream.read(&mut [0; 1]);
        })
        .unasked(),
        Case::says("half a line", CUT_SHORT, "HTTP/1.1 2"),
        Case::says("another protocol", NO_HTTP, "SSH-2.0-OpenSSH_9.2\r\n"),
        Case::new("noise", NO_HTTP, |stream| {
            let _ = stream.write_all(&[0x16, 3, 1, 0, 0xff, 0xfe, 0, 0]);
        }),
        Case::says("HTTP/2", NO_HTTP, "HTTP/2 200\r\n\r\n"),
        Case::says("another protocol by its own wish", NO_HTTP, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\n\r\n"),
        Case::says("two lengths", FRAMING, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[] "),
        Case::says("length and chunks", FRAMING, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n[]"),
        Case::says("no chunk", FRAMING, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n[{}]\r\n"),
        Case::says(
            "500 in JSON",
            "{} answered 500: no such image: \"x\"",
            answer("500 Internal Server Error", "Content-Type: application/json\r\n", r#"{"message":"no such image:\n \"x\""}"#),
        ),
        Case::says("500 in words", "{} answered 500: out of order", answer("500 No", "Content-Type: text/plain\r\n", "out of order\r\n")),
        Case::says("500 in silence", "{} answered 500", answer("500 No", "", "")),
        Case::says(
            "403 of a proxy",
            "{} answered 403: <html><body><h1>403 Forbidden</h1> Request forbidden by administrative rules. </body></html>",
            format!("HTTP/1.0 403 Forbidden\r\nCache-Control: no-cache\r\nConnection: close\r\nContent-Type: text/html\r\n\r\n{proxy}"),
        ),
        Case::says(
            "503 of a proxy",
            "{} answered 503: <html><body><h1>503 Service Unavailable</h1> No server is available. </body></html>",
            "HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/html\r\n\r\n<html><body><h1>503 Service Unavailable</h1>\nNo server is available.\n</body></html>\n",
        ),
        Case::new("a refusal without end", format!("{{}} answered 502:{}", " 0000000".repeat(25)), |stream| {
            say(stream, "HTTP/1.1 502 Bad Gateway\r\n\r\n");
            while stream.write_all(b"0000000\n").is_ok() {}
        }),
        Case::says("a list that went elsewhere", "{} answered 301", answer("301 Moved", "Location: http://127.0.0.1/\r\n", "")),
        Case::says("204", "{} answered 204", "HTTP/1.1 204 No Content\r\n\r\n"),
        Case::says("304", "{} answered 304", "HTTP/1.1 304 Not Modified\r\n\r\n"),
        Case::says("200 and nothing", NO_LIST, answer("200 OK", "", "")),
        Case::says("null", NO_LIST, answer("200 OK", "", "null\n")),
        Case::says("an object", NO_LIST, answer("200 OK", "", "{}\n")),
        Case::says("numbers", NO_LIST, answer("200 OK", "", "[1]\n")),
        Case::says("a list and more", NO_LIST, answer("200 OK", "", "[] []\n")),
        Case::says("half a list that ends with its connection", NO_LIST, format!("HTTP/1.0 200 OK\r\n\r\n{}", &up()[..99])),
    ];
    each(&cases, Case::run);
}

#[test]
fn each_limit_of_an_answer_of_docker_is_told_in_words_too_and_counted() {
    let cases = [
        Case::new("a head without end", NO_HTTP, |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nX: ");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }),
        Case::new("nothing but interim answers", NO_HTTP, |stream| while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_ok() {}),
        Case::says(
            "too many header lines",
            NO_HTTP,
            format!("HTTP/1.1 200 OK\r\n{}\r\n[]", "X: y\r\n".repeat(limits::RESPONSE_HEADERS + 1)),
        ),
        Case::says(
            "a chunk with a long extension",
            FRAMING,
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;{}\r\n[]\r\n0\r\n\r\n",
                "x".repeat(limits::CHUNK_LINE_BYTES.into())
            ),
        ),
        Case::says("a chunk of more than a chunk", FRAMING, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n["),
        Case::says(
            "17 MiB with a length",
            TOO_LARGE,
            answer("200 OK", "", &format!("[{}{}]", fat("app", 1), format!(",{}", fat("a", 1 << 19)).repeat(34))),
        ),
        Case::says(
            "17 MiB in chunks",
            TOO_LARGE,
            chunked(&format!("[{}{}]", fat("app", 1), format!(",{}", fat("a", 1 << 19)).repeat(34)), 50_000),
        ),
        Case::new("a list without end", TOO_LARGE, |stream| {
            say(stream, &format!("HTTP/1.1 200 OK\r\n\r\n[{}", fat("app", 1)));
            let more = format!(",{}", fat("a", 1 << 19));
            while stream.write_all(more.as_bytes()).is_ok() {}
        }),
        Case::says(
            "a container of more than 1 MiB",
            TOO_LARGE,
            answer("200 OK", "", &format!("[{},{}]", fat("app", 1), fat("a", 1 << 20))),
        ),
    ];
    each(&cases, Case::run);
}

#[test]
fn a_docker_that_closes_at_once_is_an_error_that_ends_with_it() {
    // Whether the question came before or after the end is a matter of luck, and so are the words.
    let docker = FakeDocker::listing(up());
    let daemon = Daemon::start(&docker.path(), &[]);
    docker.interrupt(|_, _| ());
    for _ in 0..5 {
        assert_eq!(daemon.app("app").verdict(), (503, 11, "docker-error".into()));
        assert_eq!(daemon.get("/").verdict(), (503, 11, "docker-error".into()));
    }
    docker.list(up());
    eventually("it recovers", || daemon.app("app").status == 200);
}

/// Puts something where Docker's socket should be.
type Setup = fn(&Path);

#[test]
fn where_no_docker_is_the_reason_is_told_until_there_is_one() {
    let nothing: Setup = |_| ();
    // what is at the path, and why that is no Docker
    let cases: [(Setup, &str); 6] = [
        (nothing, "no such file (is Docker installed and running?)"),
        (dead_socket, "connection refused (is Docker running?)"),
        (|path| fs::create_dir(path).unwrap(), "connection refused (is Docker running?)"),
        (|path| fs::write(path, "[]").unwrap(), "connection refused (is Docker running?)"),
        (|path| symlink("nowhere", path).unwrap(), "no such file (is Docker installed and running?)"),
        (|path| symlink(path, path).unwrap(), "Too many levels of symbolic links (os error 40)"),
    ];
    each(&cases, |(setup, words)| {
        let docker = FakeDocker::listing(up());
        docker.vanish();
        setup(&docker.path());
        let daemon = Daemon::start(&docker.path(), &[]);
        let fault = fault(10, "docker-unreachable", &format!("cannot connect to {{}}: {words}"), &docker.path().display().to_string());
        let tries = || usize::try_from(daemon.counter("docker_lists_total")).unwrap();
        lasts(&daemon, &fault, tries, || {
            let _ = fs::remove_dir(docker.path());
            let _ = fs::remove_file(docker.path());
            docker.listen();
        });
        assert_eq!(docker.connections(), docker.requests().len(), "no connection without a question");
    });
}

#[test]
fn a_folder_that_is_none_is_told_by_the_words_of_the_system() {
    let folder = Folder::new();
    fs::write(folder.join("file"), "").unwrap();
    let path = folder.join("file/docker.sock");
    let daemon = Daemon::start(&path, &[]);
    let words = format!("cannot connect to {}: Not a directory (os error 20)", path.display());
    assert_eq!(told(&daemon.app("app")), fault(10, "docker-unreachable", &words, ""));
}

#[test]
fn a_socket_that_may_not_be_opened_is_told_until_it_may() {
    let docker = FakeDocker::listing(up());
    let mode = |mode| fs::set_permissions(docker.path(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0);
    let copy = Folder::new();
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n");
    let mut command = program();
    if is_root {
        // To root every socket is open.
        let binary = copy.join("program");
        // Not by us: a process that another thread starts meanwhile would have it open for writing, and then it is busy.
        let copies = Command::new("cp").arg(env!("CARGO_BIN_EXE_container-healthcheck")).arg(&binary).status().unwrap();
        assert!(copies.success());
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary).env_clear().env("PATH", "/usr/bin:/bin");
        // Nor is there another way to be somebody else.
        if !is_there("setpriv") {
            return;
        }
    }
    let daemon = Daemon::spawn_with(command, &["-bind", "127.0.0.1:0", "-docker-host", &format!("unix://{}", docker.path().display())]);
    let words = "cannot connect to {}: permission denied (is the service's user in group docker?)";
    let fault = fault(10, "docker-unreachable", words, &docker.path().display().to_string());
    lasts(&daemon, &fault, || usize::try_from(daemon.counter("docker_lists_total")).unwrap(), || mode(0o666));
}

#[test]
fn before_its_first_answer_docker_is_waited_for_and_the_host_is_not_ready() {
    let docker = FakeDocker::start(|stream, _| hang(stream));
    let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "1s"]);
    let starting = (503, 11, "starting".to_owned(), format!("{} has not answered yet", docker.path().display()));
    let late = fault(11, "docker-timeout", "{} did not answer within 1s (does Docker hang?)", &docker.path().display().to_string());
    let ready = told(&daemon.get("/"));
    assert!(ready == starting || ready == late, "{ready:?}");
    let began = Instant::now();
    assert_eq!(told(&daemon.app("app")), late);
    assert!(began.elapsed() < Duration::from_secs(6), "no probe is answered later than the timeout after it came");
    assert_eq!(told(&daemon.get("/")), late);
    docker.list(up());
    eventually("the host is ready, though nobody has probed", || daemon.get("/").status == 200);
}

#[test]
fn a_docker_that_hangs_is_found_out_though_nobody_probes() {
    let docker = FakeDocker::listing(up());
    let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "200ms", "-resync", "200ms"]);
    eventually("the host is ready", || daemon.get("/").status == 200);
    docker.behave(|stream, _| hang(stream));
    eventually("the host is not ready", || daemon.get("/").verdict() == (503, 11, "docker-timeout".into()));
    docker.list(up());
    eventually("the host is ready again", || daemon.get("/").status == 200);
    assert_eq!(daemon.counter("probes_total"), 0);
}

/// Good answers, and all that can be cut off them.
fn cut_anywhere(silent: bool, step: usize, reason: &str, message: &str) {
    let list = up();
    let common = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20.10.24 (linux)\r\n";
    let answers = [
        answer("200 OK", "Content-Type: application/json\r\n", &format!("{list}\n")),
        chunked(&list, 200).replace("HTTP/1.1 200 OK\r\n", common),
    ];
    let all = answers.iter().flat_map(|answer| (0..answer.len()).map(move |cut| (&**answer, cut)));
    // The last places of an answer are the tempting ones: the list is complete there, but its framing is not.
    let cuts: Vec<(&str, usize)> = all.filter(|(answer, cut)| cut % step == 0 || cut + 9 > answer.len()).collect();
    let told_of = |docker: &FakeDocker| fault(11, reason, message, &docker.path().display().to_string());
    let shares: Vec<_> = (0..16).map(|share| cuts.iter().skip(share).step_by(16).collect::<Vec<_>>()).collect();
    each(&shares, |share| {
        let docker = FakeDocker::listing(up());
        let daemon = Daemon::start(&docker.path(), &["-docker-timeout", if silent { "300ms" } else { "20s" }]);
        eventually("all is well at first", || daemon.app("app").status == 200);
        for &&(answer, cut) in share {
            let prefix = answer[..cut].to_owned();
            docker.behave(move |stream, _| {
                say(stream, &prefix);
                if silent {
                    hang(stream);
                }
            });
            assert_eq!(told(&daemon.app("app")), told_of(&docker), "{:?}", &answer[..cut]);
            // A list may take longer than whoever waits for it may wait, and only then is Docker found gone.
            eventually("the host is not ready either", || told(&daemon.get("/")) == told_of(&docker));
            let whole = answer.to_owned();
            docker.behave(move |stream, _| say(stream, &whole));
            eventually("it recovers", || daemon.app("app").status == 200);
        }
    });
}

#[test]
fn an_answer_that_is_cut_off_anywhere_is_no_answer() {
    cut_anywhere(false, 5, "docker-error", CUT_SHORT);
}

#[test]
fn an_answer_that_falls_silent_anywhere_is_late() {
    cut_anywhere(true, 29, "docker-timeout", "{} did not answer within 300ms (does Docker hang?)");
}

#[test]
fn a_good_list_is_understood_however_it_is_framed_and_however_slowly_it_comes() {
    let list = up();
    let spaced = list.replace(',', " ,\r\n\t").replace("[{", " [ {").replace("}]", "} ] \n");
    let cases: &[(&str, String)] = &[
        ("a length", answer("200 OK", "", &list)),
        ("one chunk", chunked(&list, 1 << 20)),
        ("a chunk a byte", chunked(&list, 1)),
        (
            "chunks with extensions and trailers",
            chunked(&list, 100).replace("64\r\n", "064 ; a=\"b\"\r\n").replace("\r\n0\r\n", "\r\n000;x\r\nA: b\r\n"),
        ),
        ("until the end", format!("HTTP/1.0 200 OK\r\n\r\n{list}\n")),
        ("until the end, in HTTP/1.1", format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{list}")),
        (
            "interim answers",
            format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n{}", answer("200 OK", "", &list)),
        ),
        ("no reason phrase, small letters", answer("200", "", &list).replace("Content-Length", "content-length")),
        ("bare line feeds", answer("200 OK", "", &list).replace("\r\n", "\n")),
        ("the same length twice", answer("200 OK", &format!("Content-Length: {}\r\n", list.len()), &list)),
        ("spaces between all", answer("200 OK", "", &spaced)),
        ("bytes behind the end", format!("{}HTTP/1.1 500 No\r\n\r\n", answer("200 OK", "", &list))),
        ("fields nobody knows", answer("200 OK", &"X-Field: of a proxy\r\n".repeat(50), &list)),
    ];
    each(cases, |(name, answer)| {
        let docker = FakeDocker::listing("[]");
        let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "20s", "-docker-grace", "60s"]);
        let is_up = |how: &str| assert_eq!(daemon.app("app").status, 200, "{name}, {how}");
        let (whole, dripped, early) = (answer.clone(), answer.clone(), answer.clone());
        docker.behave(move |stream, _| say(stream, &whole));
        is_up("at once");
        docker.behave(move |stream, _| {
            for byte in dripped.as_bytes().chunks(1) {
                say(stream, std::str::from_utf8(byte).unwrap());
                thread::sleep(Duration::from_micros(100));
            }
        });
        is_up("byte by byte");
        // The end of a list without a length is the connection's, and that one is a reset.
        if !name.starts_with("until") {
            docker.interrupt(move |stream, _| {
                say(stream, &early);
                // So that the question certainly lies there unread; then the connection ends over it.
                let _ = stream.read(&mut [0; 1]);
            });
            is_up("before the question was read");
        }
        assert_eq!(daemon.counter("docker_failures_total"), 0, "{name}");
    });
}

#[test]
fn an_answer_before_the_question_and_the_end_at_once_are_an_answer() {
    let docker = FakeDocker::listing("[]");
    let daemon = Daemon::start(&docker.path(), &[]);
    docker.interrupt(|stream, _| send_list(stream, &up()));
    for _ in 0..100 {
        assert_eq!(told(&daemon.app("app")).0, 200);
    }
}

#[test]
fn a_docker_that_demands_a_version_is_asked_with_its_own_until_another_one_comes() {
    let docker = FakeDocker::start(demands_a_version);
    let daemon = Daemon::start(&docker.path(), &[]);
    daemon.wait_for_log("docker answers");
    let versioned = QUESTION.replace("/containers", "/v1.44/containers");
    for _ in 0..3 {
        assert_eq!(daemon.app("app").status, 200);
    }
    assert_eq!(docker.requests(), [QUESTION, &versioned, &versioned, &versioned, &versioned], "repeated once, and remembered");

    docker.vanish();
    assert_eq!(daemon.app("app").verdict(), (503, 10, "docker-unreachable".into()));
    docker.list(up());
    docker.listen();
    eventually("another Docker", || daemon.app("app").status == 200);
    assert_eq!(daemon.app("app").status, 200);
    let requests = docker.requests().split_off(5);
    assert!(requests.len() >= 2 && requests.iter().all(|request| request == QUESTION), "{requests:?}");

    docker.behave(demands_a_version);
    assert_eq!(daemon.app("app").status, 200, "and back, without anybody having gone");
}

fn demands_a_version(stream: &mut UnixStream, head: &str) {
    if head.starts_with("GET /v1.44/") {
        return send_list(stream, &up());
    }
    let refusal = r#"{"message":"client version 1.24 is too old. Minimum supported API version is 1.44"}"#;
    say(stream, &answer("400 Bad Request", "Api-Version: 1.44\r\nContent-Type: application/json\r\n", refusal));
}

#[test]
fn a_docker_that_refuses_its_own_version_too_is_an_error_and_not_a_loop() {
    let docker = FakeDocker::start(|stream, _| say(stream, &answer("400 Bad Request", "api-version: 1.44\r\n", "no version suits me")));
    let daemon = Daemon::start(&docker.path(), &[]);
    let fault = fault(11, "docker-error", "{} answered 400: no version suits me", &docker.path().display().to_string());
    let mut requests = Vec::new();
    lasts(
        &daemon,
        &fault,
        || docker.connections(),
        || {
            requests = docker.requests();
            docker.list(up());
        },
    );
    let versioned = QUESTION.replace("/containers", "/v1.44/containers");
    assert!(requests.len() >= 3, "it is tried again: {requests:?}");
    for two in requests.chunks(2) {
        assert!(two[0] == QUESTION && two.get(1).is_none_or(|repeated| *repeated == versioned), "{requests:?}");
    }
}

#[test]
fn a_version_that_is_none_is_never_asked_with() {
    for version in ["1.44/../../secrets?", "1.44 HTTP/1.1", "v1.44", "1", "latest", "99999.1"] {
        let docker = FakeDocker::start(move |stream, _| say(stream, &answer("400 Bad", &format!("Api-Version: {version}\r\n"), "no")));
        let daemon = Daemon::start(&docker.path(), &[]);
        assert_eq!(daemon.app("app").verdict(), (503, 11, "docker-error".into()), "{version}");
        assert!(docker.requests().iter().all(|request| request == QUESTION), "{version}: {:?}", docker.requests());
    }
}

#[test]
fn docker_host_of_the_environment_is_where_docker_is() {
    let docker = FakeDocker::listing(up());
    let mut command = program();
    command.env("DOCKER_HOST", format!("unix://{}", docker.path().display()));
    let daemon = Daemon::spawn_with(command, &["-bind", "127.0.0.1:0"]);
    assert_eq!(daemon.app("app").status, 200);

    let other = FakeDocker::listing("[]");
    let mut command = program();
    command.env("DOCKER_HOST", format!("unix://{}", docker.path().display()));
    let flag = format!("unix://{}", other.path().display());
    let daemon = Daemon::spawn_with(command, &["-bind", "127.0.0.1:0", "-docker-host", &flag]);
    assert_eq!(daemon.app("app").status, 404, "a flag beats it");
}

#[test]
fn a_silent_docker_on_tcp_is_asked_whether_it_lives() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    let _daemon = Daemon::spawn_with(program(), &["-bind", "127.0.0.1:0", "-docker-timeout", "60s", "-docker-host", &host]);
    let (_stream, peer) = listener.accept().unwrap();
    // proc(5): the local address in hexadecimal, and timer 2 is that of keep-alive.
    let local = format!(" 0100007F:{:04X} ", peer.port());
    let asks = || fs::read_to_string("/proc/net/tcp").unwrap().lines().any(|line| line.contains(&local) && line.contains(" 02:"));
    eventually("it has such a timer", asks);
}

#[test]
fn a_docker_on_tcp_is_asked_in_the_same_way() {
    // Nobody else takes a port of this address while nobody listens on it.
    let listener = TcpListener::bind("127.77.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut command = program();
    command.env("DOCKER_HOST", format!("tcp://{address}"));
    let daemon = Daemon::spawn_with(command, &["-bind", "127.0.0.1:0", "-docker-timeout", "1s"]);

    let requests = Arc::new(Mutex::new(Vec::new()));
    let behaviours = Arc::new(Mutex::new("list"));
    let (log, behaviour) = (Arc::clone(&requests), Arc::clone(&behaviours));
    let serve = move || {
        let listener = TcpListener::bind(address).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let behaviour = *behaviour.lock().unwrap();
                if behaviour == "reset" {
                    let _ = stream.read(&mut [0; 1]);
                    continue;
                }
                let Some(head) = read_head(&mut stream) else { continue };
                if head.contains("/events") {
                    // Not spoken here: the view stays blind.
                    continue;
                }
                log.lock().unwrap().push(head);
                match behaviour {
                    "hang" => _ = stream.read(&mut [0; 1]),
                    _ => send_list(&mut stream, &up()),
                }
            }
        });
    };
    let is = |code, reason: &str, message: &str| fault(code, reason, message, &address.to_string());
    let refused = is(10, "docker-unreachable", "cannot connect to {}: connection refused (is Docker running?)");
    let tries = || usize::try_from(daemon.counter("docker_lists_total")).unwrap();
    lasts(&daemon, &refused, tries, serve);
    for (behaviour, fault) in [
        ("reset", is(11, "docker-error", "{} reset the connection")),
        ("hang", is(11, "docker-timeout", "{} did not answer within 1s (does Docker hang?)")),
    ] {
        *behaviours.lock().unwrap() = behaviour;
        lasts(&daemon, &fault, tries, || *behaviours.lock().unwrap() = "list");
    }
    let requests = requests.lock().unwrap();
    assert!(requests.len() > 3 && requests.iter().all(|request| request == QUESTION), "{requests:?}");
}

#[test]
fn no_byte_of_a_client_ever_reaches_docker() {
    let docker = FakeDocker::listing(up());
    let daemon = Daemon::start(&docker.path(), &[]);
    let before = docker.requests().len();
    let long = "a".repeat(129);
    let names = [
        "app",
        "evil.name_-1",
        "containers",
        "json",
        "..",
        "%2e%2e%2fevents",
        "a%0d%0aX-Evil:%20y",
        "a%00",
        "^.*$",
        "(a+)+$",
        "{evil}",
        "evil?all=1&filters=%7B%7D",
        "evil?all=true",
        "evil#x",
        "%ff%fe",
        "",
        "a/b/c",
        "a;b",
        "a'b\"c",
        &long,
    ];
    for name in names {
        let answer = daemon.app(name);
        assert!([200, 400, 404].contains(&answer.status), "{name}: {answer:?}");
    }
    for raw in [
        format!(
            "GET {PREFIX}/apps/health/evil HTTP/1.1\r\nHost: evil\r\nX-Registry-Auth: evil\r\nCookie: evil\r\nConnection: close\r\n\r\n"
        ),
        format!("GET http://evil{PREFIX}/apps/health/evil?evil HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n"),
        format!("GET {PREFIX}/apps/health/evil HTTP/1.1\r\nHost: evil\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil"),
        format!("GET {PREFIX}/apps/health/evil HTTP/1.0\r\nUser-Agent: evil\r\n\r\n"),
        "POST /containers/evil/kill HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n".into(),
        "GET /events HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n".into(),
        "DELETE /containers/evil HTTP/1.1\r\nHost: evil\r\nUpgrade: tcp\r\nConnection: Upgrade, close\r\n\r\n".into(),
    ] {
        let mut client = daemon.connect();
        client.send(&raw);
        client.answer();
    }
    let requests = docker.requests();
    assert!(requests.len() > before + 5, "some of those are good names of apps");
    assert_eq!(requests.iter().find(|request| **request != QUESTION), None);
    assert_eq!(docker.connections(), requests.len());
}

#[test]
fn while_docker_has_gone_probes_are_told_at_once_what_was_seen_last() {
    let docker = FakeDocker::listing(up());
    let daemon = Daemon::start(&docker.path(), &[]);
    docker.vanish();
    let lists = || daemon.counter("docker_lists_total");
    let (before, began) = (lists(), Instant::now());
    for _ in 0..200 {
        assert_eq!(daemon.app("app").verdict(), (503, 10, "docker-unreachable".into()));
    }
    // The first probe's, and one a second from then on.
    let tries = lists() - before;
    assert!(tries <= 2 + began.elapsed().as_secs(), "{tries} tries in {:?}", began.elapsed());
    docker.listen();
    eventually("it recovers", || daemon.app("app").status == 200);
}

#[test]
fn a_docker_that_closes_each_connection_is_left_alone_for_longer_and_longer() {
    let docker = FakeDocker::listing(up());
    let daemon = Daemon::start(&docker.path(), &[]);
    docker.behave(|_, _| ());
    let (before, began) = (docker.connections(), Instant::now());
    let mut probes = 0;
    while probes < 200 || began.elapsed() < Duration::from_secs(3) {
        assert_eq!(daemon.app("app").verdict(), (503, 11, "docker-error".into()));
        probes += 1;
    }
    let came = docker.connections() - before;
    // Pauses of a quarter of a second at first (less a quarter by the dice), each twice the last one.
    let (mut allowed, mut pause, mut at) = (1, Duration::from_millis(250) * 3 / 4, Duration::ZERO);
    while at + pause <= began.elapsed() && pause < Duration::from_secs(11) {
        (at, pause, allowed) = (at + pause, pause * 2, allowed + 1);
    }
    assert!((2..=allowed).contains(&came), "{came} connections for {probes} probes in {:?}, at most {allowed}", began.elapsed());
}

#[test]
fn a_success_ends_the_growing_of_the_pauses() {
    let docker = FakeDocker::listing(up());
    let daemon = Daemon::start(&docker.path(), &[]);
    for _ in 0..6 {
        docker.behave(|_, _| ());
        assert_eq!(daemon.app("app").status, 503);
        docker.list(up());
        let began = Instant::now();
        eventually("it recovers", || daemon.app("app").status == 200);
        // A quarter of a second; the sixth of six in a row would be eight.
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
}

/// A Docker whose queue of connections is full, and what fills it.
struct Full {
    folder: Folder,
    listener: UnixListener,
    held: Vec<mio::net::UnixStream>,
}

impl Full {
    fn new() -> Self {
        let folder = Folder::new();
        let listener = UnixListener::bind(folder.join("docker.sock")).unwrap();
        shorten_queue(&listener);
        let mut held = Vec::new();
        loop {
            match mio::net::UnixStream::connect(folder.join("docker.sock")) {
                Ok(stream) => held.push(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
            assert!(held.len() < 100, "its queue is never full");
        }
        Self { folder, listener, held }
    }

    fn start(&self, timeout: &str) -> Daemon {
        Daemon::start(&self.folder.join("docker.sock"), &["-docker-timeout", timeout])
    }

    /// Takes the connections in, and answers those that ask.
    fn drain(&self) {
        let listener = self.listener.try_clone().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                thread::spawn(move || {
                    if read_head(&mut stream).is_some() {
                        send_list(&mut stream, &up());
                    }
                });
            }
        });
    }
}

#[expect(unsafe_code, reason = "the standard library chooses the length of the queue itself")]
fn shorten_queue(listener: &UnixListener) {
    // SAFETY: it is a socket of ours that listens already, and the call reads nothing else.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
}

#[test]
fn where_the_queue_is_full_a_probe_waits_until_there_is_room() {
    let full = Full::new();
    let daemon = full.start("20s");
    let lists = || daemon.counter("docker_lists_total");
    eventually("it is tried again", || lists() >= 3);
    assert_eq!(told(&daemon.get("/")).2, "starting");
    thread::scope(|scope| {
        let probe = scope.spawn(|| daemon.app("app"));
        eventually("the probe has come", || daemon.counter("probes_total") == 1);
        let before = lists();
        eventually("it is tried again", || lists() >= before + 3);
        assert!(!probe.is_finished(), "it waits");
        assert_eq!(daemon.get(&format!("{PREFIX}/health")).status, 200);
        full.drain();
        assert_eq!(probe.join().unwrap().status, 200);
    });
    assert_eq!(daemon.get("/").status, 200);
    assert_eq!(daemon.counter("docker_failures_total"), 0);
}

#[test]
fn where_the_queue_stays_full_a_probe_is_told_so_in_time_and_nothing_spins() {
    let full = Full::new();
    assert!(!full.held.is_empty());
    let daemon = full.start("1s");
    let path = full.folder.join("docker.sock").display().to_string();
    let fault = fault(11, "docker-timeout", "{} takes no connections: its queue is full (does Docker hang?)", &path);
    let lists = || daemon.counter("docker_lists_total");
    let (began, lists_before, ticks_before) = (Instant::now(), lists(), ticks(daemon.pid()));
    while began.elapsed() < Duration::from_secs(3) {
        let probed = Instant::now();
        assert_eq!(told(&daemon.app("app")), fault);
        assert!(probed.elapsed() < Duration::from_secs(6), "no probe is answered later than the timeout after it came");
        assert_eq!(told(&daemon.get("/")), fault);
        // Probes that are told at once have a cost of their own, which is not what is measured here.
        thread::sleep(Duration::from_millis(50));
    }
    let (tries, ticks) = (lists() - lists_before, ticks(daemon.pid()) - ticks_before);
    let elapsed = began.elapsed();
    assert!(u128::from(tries) <= elapsed.as_millis() / 100 + 2, "{tries} tries in {elapsed:?}");
    // A tick is 10 ms.
    assert!(u128::from(ticks) * 10 <= elapsed.as_millis() / 4, "{ticks} ticks in {elapsed:?}");
    full.drain();
    eventually("it recovers", || daemon.app("app").status == 200);
}

/// The processor time of a process.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_dockerd_that_stops_and_comes_back_is_found_again_each_time() {
    let docker = FakeDocker::listing(up());
    let daemon = Daemon::start(&docker.path(), &[]);
    let ways = [
        |docker: &FakeDocker| docker.vanish(),
        |docker: &FakeDocker| {
            // As after SIGKILL: the file stays.
            docker.vanish();
            dead_socket(&docker.path());
        },
    ];
    for (found, gone) in (2..).zip(ways) {
        assert_eq!(daemon.app("app").status, 200);
        gone(&docker);
        assert_eq!(daemon.app("app").verdict(), (503, 10, "docker-unreachable".into()));
        assert_eq!(daemon.get("/").verdict(), (503, 10, "docker-unreachable".into()));
        docker.list(list(&[("app", "exited", "Exited (0) 1 second ago")]));
        let _ = fs::remove_file(docker.path());
        docker.listen();
        eventually("the host is ready again, though nobody has probed", || daemon.get("/").status == 200);
        assert_eq!(daemon.app("app").verdict(), (503, 12, "exited".into()), "no fact outlives the Docker that it came from");
        docker.list(up());
        eventually("the log says so", || daemon.log().matches("docker answers").count() == found);
    }
}

#[test]
fn a_question_that_is_on_its_way_when_dockerd_stops_is_still_answered() {
    let docker = FakeDocker::start(|stream, _| hang(stream));
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    docker.behave(move |stream, _| {
        held.lock().unwrap().recv().unwrap();
        send_list(stream, &up());
    });
    let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "20s", "-docker-grace", "60s"]);
    eventually("the question has come", || docker.requests().len() == 1);
    docker.vanish();
    release.send(()).unwrap();
    eventually("the answer", || daemon.get("/").status == 200);
}

#[test]
fn an_app_is_never_taken_for_another_one() {
    let docker = FakeDocker::listing("[]");
    let daemon = Daemon::start(&docker.path(), &[]);
    // the containers, the app, and the container shown
    let cases: &[(&[&str], &str, Option<&str>)] = &[
        (&["bk_gsekit-1"], "bk_gse", None),
        (&["bk_gse-1"], "bk_gsekit", None),
        (&["bk_gsekit-9", "bk_gse-1"], "bk_gse", Some("bk_gse-1")),
        (&["bk_gsekit-9", "bk_gse-1"], "bk_gsekit", Some("bk_gsekit-9")),
        (&["my-bk_gse-1", "xbk_gse"], "bk_gse", None),
        (&["bk_gse-1-2", "bk_gse-x", "bk_gse-", "bk_gse-1x", "bk_gse_1", "bk_gse.1"], "bk_gse", None),
        (&["bk_gse"], "bk_gse", Some("bk_gse")),
        (&["bk_gse-1"], "bk_gse-1", Some("bk_gse-1")),
        (&["bk_gse-1-2"], "bk_gse-1", Some("bk_gse-1-2")),
        (&["BK_GSE-1"], "bk_gse", None),
        (&["bkxgse-1", "bk-gse-1"], "bk_gse", None),
        (&["axb"], "a.b", None),
    ];
    for (containers, app, shown) in cases {
        docker.list(list(&containers.iter().map(|name| (*name, "running", "Up 1 second")).collect::<Vec<_>>()));
        let answer = daemon.app(app);
        match shown {
            Some(name) => {
                assert_eq!((answer.status, &answer.json()["message"]["names"]), (200, &serde_json::json!(name)), "{containers:?}");
            }
            None => assert_eq!(
                told(&answer),
                (404, 12, "no-container".into(), format!("no container is named {app} or {app}-<digits>, or labelled {app}")),
                "{containers:?}"
            ),
        }
    }
}

#[test]
fn each_state_and_each_oddity_of_a_container_has_its_answer() {
    let docker = FakeDocker::listing("[]");
    let daemon = Daemon::start(&docker.path(), &[]);
    let down: &[(&str, &str, &str, &str)] = &[
        ("created", "Created", "created", "app is created: Created"),
        ("restarting", "Restarting (1) 2 seconds ago", "restarting", "app is restarting: Restarting (1) 2 seconds ago"),
        ("paused", "Up 4 seconds (Paused)", "paused", "app is paused: Up 4 seconds (Paused)"),
        ("exited", "Exited (137) 3 minutes ago", "exited", "app is exited: Exited (137) 3 minutes ago"),
        ("exited", "", "exited", "app is exited"),
        ("dead", "Dead", "dead", "app is dead: Dead"),
        ("removing", "Removal In Progress", "removing", "app is removing: Removal In Progress"),
        ("running", "Up 3 seconds (health: starting)", "starting", "app is starting: Up 3 seconds (health: starting)"),
        ("running", "Up 4 minutes (unhealthy)", "unhealthy", "app is unhealthy: Up 4 minutes (unhealthy)"),
        ("stopping", "Stopping", "exited", "app is exited: Stopping"),
        ("stopped", "", "exited", "app is exited"),
        ("configured", "", "created", "app is created"),
        ("initialized", "", "created", "app is created"),
        ("melting", "Soon", "dead", "app is dead: Soon"),
    ];
    for (state, status, reason, message) in down {
        docker.list(list(&[("app", state, status)]));
        assert_eq!(told(&daemon.app("app")), (503, 12, (*reason).into(), (*message).into()));
        assert_eq!(daemon.get("/").status, 200, "the host is fit for use whatever an app's health");
    }
    // a container, and the answer to a probe of app
    let nothing =
        r#"{"code":12,"status":"error","message":"no container is named app or app-<digits>, or labelled app","reason":"no-container"}"#;
    let bare = r#"{"code":0,"status":"ok","message":{"command":"","container_id":"","created":0,"image":"","names":"app-1","port":[],"state":"running","status":""}}"#;
    let cases: &[(&str, &str)] = &[
        (r#"{"Names":["/app-1"],"State":"running"}"#, bare),
        (
            r#"{"Id":null,"Names":["/app-1"],"Image":null,"ImageID":null,"Command":null,"Created":null,"Ports":null,"Labels":null,"State":"running","Status":null,"HostConfig":null,"NetworkSettings":null,"Mounts":null,"Health":null}"#,
            bare,
        ),
        (
            r#"{"Future":[{"Names":["/x"]}],"Names":["/app-1"],"Depth":{"a":{"b":[[]]}},"State":"running","ImageManifestDescriptor":{"size":1e3}}"#,
            bare,
        ),
        (r#"{"Names":["/other/alias","/app-1","/third/app"],"State":"running"}"#, bare),
        (r#"{"Names":["/tmp-x","/app-1"],"State":"running"}"#, bare),
        (r#"{"Names":["/app-1","/app"],"State":"running"}"#, bare),
        (r#"{"Names":["app-1"],"State":"running"}"#, bare),
        (r#"{"Names":["/\u0061pp-1"],"State":"running"}"#, bare),
        (r#"{"Names":["/app-1"],"State":"running","Health":{"Status":"none","FailingStreak":0}}"#, bare),
        (r#"{"Names":["/app-1"],"State":"running","Health":{"Status":"healthy"}}"#, bare),
        (r#"{"Names":["/other/app-1"],"State":"running"}"#, nothing),
        (r#"{"Names":[],"State":"running"}"#, nothing),
        (r#"{"Names":null,"State":"running"}"#, nothing),
        (r#"{"State":"running","Image":"app"}"#, nothing),
        (r"{}", nothing),
        (
            r#"{"Names":["/app-1"],"State":"running","Status":"Up","Health":{"Status":"unhealthy","FailingStreak":3}}"#,
            r#"{"code":12,"status":"error","message":"app-1 is unhealthy: Up","reason":"unhealthy"}"#,
        ),
        (r#"{"Names":["/app-1"]}"#, r#"{"code":12,"status":"error","message":"app-1 is dead","reason":"dead"}"#),
        (
            r#"{"Id":"0123456789abcdef","Names":["/app-1"],"Image":"r/i:t","Command":"sh -c \"echo '\\' \u0001 {[\"","Created":1709878119,"Ports":[{"PrivatePort":80,"Type":"tcp"}],"Labels":{"}]\"":"\\"},"State":"running","Status":"Up 5 days"}"#,
            r#"{"code":0,"status":"ok","message":{"command":"sh -c \"echo '\\' \u0001 {[\"","container_id":"0123456789","created":1709878119,"image":"r/i:t","names":"app-1","port":[{"PrivatePort":80,"Type":"tcp"}],"state":"running","status":"Up 5 days"}}"#,
        ),
    ];
    for (container, body) in cases {
        docker.list(format!("[{container}]"));
        assert_eq!(daemon.app("app").body, *body, "{container}");
    }
}

#[test]
fn during_a_redeploy_the_policy_decides() {
    let lists: &[&[(&str, &str, &str)]] = &[
        // the old one serves while the new one starts
        &[("app-1", "running", "Up 5 days"), ("app-2", "running", "Up 1 second (health: starting)")],
        // the new one serves and the old one has ended
        &[("app-1", "exited", "Exited (0) 1 second ago"), ("app-2", "running", "Up 1 second")],
        // the new one has failed
        &[("app-1", "running", "Up 5 days"), ("app-2", "exited", "Exited (1) 1 second ago")],
        &[("app-1", "running", "Up 5 days"), ("app-2", "running", "Up 1 second")],
        &[("app-1", "paused", "Up 5 days (Paused)"), ("app-2", "created", "Created")],
        &[("app-10", "running", "Up 1 second"), ("app-9", "exited", "Exited (0) 1 second ago")],
    ];
    // what is told of each list: which container is shown or named, and how it is
    let policies: [(&str, [&str; 6]); 3] = [
        ("any", ["app-1 up", "app-2 up", "app-1 up", "app-2 up", "app-2 created", "app-10 up"]),
        ("newest", ["app-2 starting", "app-2 up", "app-2 exited", "app-2 up", "app-2 created", "app-10 up"]),
        ("all", ["app-2 starting", "app-1 exited", "app-2 exited", "app-2 up", "app-2 created", "app-9 exited"]),
    ];
    for (policy, wants) in policies {
        let docker = FakeDocker::listing("[]");
        let daemon = Daemon::start(&docker.path(), &["-policy", policy]);
        for (containers, want) in lists.iter().zip(wants) {
            let mut backwards = containers.to_vec();
            backwards.reverse();
            for order in [containers.to_vec(), backwards] {
                docker.list(list(&order));
                let (status, code, reason, message) = told(&daemon.app("app"));
                let got = match status {
                    200 => format!("{} up", daemon.app("app").json()["message"]["names"].as_str().unwrap()),
                    _ => format!("{} {reason}", message.split(' ').next().unwrap()),
                };
                assert_eq!(
                    (got.as_str(), status, code),
                    if want.ends_with(" up") { (want, 200, 0) } else { (want, 503, 12) },
                    "{policy} {order:?}"
                );
            }
        }
    }
}

#[test]
fn health_can_be_ignored_and_the_command_hidden() {
    let docker = FakeDocker::listing(list(&[
        ("sick", "running", "Up 4 minutes (unhealthy)"),
        ("new", "running", "Up 1 second (health: starting)"),
        ("gone", "exited", "Exited (0) 1 second ago"),
    ]));
    let daemon = Daemon::start(&docker.path(), &["-docker-health", "ignore", "-hide-command"]);
    for (app, status) in [("sick", 200), ("new", 200), ("gone", 503)] {
        let answer = daemon.app(app);
        assert_eq!(answer.status, status, "{app}");
        assert!(!answer.body.contains("builder"), "{answer:?}");
    }
    assert_eq!(daemon.app("sick").json()["message"]["command"], "");
    let daemon = Daemon::start(&docker.path(), &["-docker-health", "respect"]);
    assert_eq!(["sick", "new", "gone"].map(|app| daemon.app(app).verdict().2), ["unhealthy", "starting", "exited"]);
}

#[test]
fn five_thousand_containers_are_a_list_like_any_other() {
    let all: Vec<_> = (0..5_000).map(|number| container(&format!("app{number}-1709878117"), "running", "Up 5 days")).collect();
    let docker = FakeDocker::listing(format!("[{}]", all.join(",")));
    let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "20s", "-docker-grace", "60s"]);
    for number in [0, 1, 499, 4_999] {
        let answer = daemon.app(&format!("app{number}"));
        assert_eq!((answer.status, answer.json()["message"]["names"].clone()), (200, format!("app{number}-1709878117").into()));
    }
    assert_eq!(daemon.app("app5000").verdict(), (404, 12, "no-container".into()));
    assert_eq!(daemon.app("app").verdict(), (404, 12, "no-container".into()));
}

fn descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

#[test]
fn five_hundred_probes_leave_no_descriptor_behind() {
    let docker = FakeDocker::listing(up());
    let daemon = Daemon::start(&docker.path(), &[]);
    let mut kept = daemon.connect();
    let path = format!("{PREFIX}/apps/health/app");
    assert_eq!(kept.get(&path).status, 200);
    let before = descriptors(&daemon);
    for _ in 0..500 {
        assert_eq!(kept.get(&path).status, 200);
        assert_eq!(daemon.app("app").status, 200);
    }
    eventually("all descriptors are back", || descriptors(&daemon) <= before);
}

#[test]
fn failed_connections_to_docker_leave_no_descriptor_behind() {
    // Each failure is followed by a pause, so there are not five hundred of each; one left behind each time is seen all the same.
    let ways: &[fn(&FakeDocker)] = &[
        |docker| docker.behave(|_, _| ()),
        |docker| docker.behave(|stream, _| hang(stream)),
        |docker| docker.behave(|stream, _| say(stream, "garbage\r\n")),
        |docker| docker.behave(|stream, _| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[{")),
        |docker| docker.behave(|stream, _| say(stream, "HTTP/1.1 500 No\r\n\r\nno")),
        |docker| docker.behave(|stream, _| say(stream, "HTTP/1.1 400 No\r\nApi-Version: 1.44\r\nContent-Length: 0\r\n\r\n")),
        |docker| docker.interrupt(|stream, _| _ = stream.read(&mut [0; 1])),
        |docker| docker.interrupt(|_, _| ()),
    ];
    each(ways, |fail| {
        let docker = FakeDocker::listing(up());
        let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "100ms"]);
        eventually("all is well at first", || daemon.app("app").status == 200);
        let before = descriptors(&daemon);
        for _ in 0..25 {
            fail(&docker);
            assert_eq!(daemon.app("app").verdict().1, 11);
            docker.list(up());
            eventually("it recovers", || daemon.app("app").status == 200);
        }
        // On a busy machine a list may take longer than the probe that waits for it may wait.
        assert!(daemon.counter("docker_failures_total") + daemon.counter("probes_timed_out_total") >= 25);
        eventually("all descriptors are back", || descriptors(&daemon) <= before);
    });
}

#[test]
fn tries_that_find_the_queue_full_leave_no_descriptor_behind() {
    let full = Full::new();
    let daemon = full.start("24h");
    let before = descriptors(&daemon);
    eventually("many tries", || daemon.counter("docker_lists_total") >= 30);
    eventually("all descriptors are back", || descriptors(&daemon) <= before);
}

#[test]
fn no_list_makes_the_memory_grow_past_a_bound() {
    // what comes again and again behind the bracket
    let names = format!(r#"{{"Names":[{}"/a"]}},"#, r#""/a","#.repeat(200_000));
    let parts = ["{},", r#"{"Id":"a"},"#, r#"{"Names":["/app-1"],"Status":"a","Image":"b","Command":"c"},"#, &names];
    each(&parts, |part| {
        let docker = FakeDocker::listing(up());
        let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "60s"]);
        let many = part.repeat(1 + 100_000 / part.len());
        docker.behave(move |stream, _| {
            say(stream, "HTTP/1.1 200 OK\r\n\r\n[");
            while stream.write_all(many.as_bytes()).is_ok() {}
        });
        assert_eq!(daemon.app("app").verdict(), (503, 11, "docker-error".into()));
        assert!(daemon.counter("docker_limits_met_total{limit=\"size\"}") > 0);
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
        let peak: usize = peak.parse().unwrap();
        assert!(peak < 64 * 1024, "{peak} KiB at the most, for {part:.40}");
    });
}
