//! The daemon as a process, a scripted Docker, and a raw client.
//!
//! Everything waits for a condition with a deadline; nothing sleeps and hopes.

#![allow(dead_code, unreachable_pub, reason = "each file of tests uses its own part of this")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test may stop, and lives in the world"
)]

pub mod fleet;
pub mod prober;
pub mod real;
pub mod stage;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// Where the prefix leaves us.
pub const PREFIX: &str = "/container-healthcheck";

/// How long anything may take that is bound to happen: longer where a daemon is run under something that makes it slow.
pub fn patience() -> Duration {
    Duration::from_secs(if wrapper().is_empty() { 20 } else { 200 })
}

/// Waits until it is so. What is seldom soon is looked at less and less often: each look may be a connection, and where Docker runs the
/// kernel keeps track of all there were in two minutes, and of no more than its table holds.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let (until, mut pause) = (Instant::now() + patience(), Duration::from_millis(5));
    while !is_so() {
        assert!(Instant::now() < until, "in {:?} never: {what}", patience());
        thread::sleep(pause);
        pause = (pause * 9 / 8).min(Duration::from_millis(50));
    }
}

/// Does it with each of them, a few at a time.
pub fn each<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..all.len().min(16) {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    work(one);
                }
            });
        }
    });
}

/// Says that a test is skipped, and why; where `CI` is `true` nothing may be missing, and it fails instead. Gives false, for whoever
/// asks whether it is possible.
pub fn skipped(why: &str) -> bool {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("skipped: {why}");
    false
}

/// Whether that program is there; if not, the test is skipped.
pub fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    there || skipped(&format!("there is no {program} here"))
}

/// A folder that goes with its owner.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("container-healthcheck-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What every daemon is run under: the words of `DAEMON_UNDER`, such as `valgrind --error-exitcode=99`. None if it is not set.
fn wrapper() -> Vec<String> {
    std::env::var("DAEMON_UNDER").unwrap_or_default().split_whitespace().map(ToOwned::to_owned).collect()
}

/// The program, with nothing in its environment that could reach it from ours.
pub fn program() -> Command {
    let wrapper = wrapper();
    let mut command = if wrapper.is_empty() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_container-healthcheck"));
        command.env_clear();
        command
    } else {
        program_under(&wrapper.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // What Docker's faults come to is seen at once; tests of the grace give it themselves, as a flag.
    command.env("CONTAINER_HEALTHCHECK_DOCKER_GRACE", "0s");
    command
}

/// The program, run by another one that ends in `exec`: `["sh", "-c", "umask 0; exec \"$@\"", "sh"]`.
pub fn program_under(wrapper: &[&str]) -> Command {
    let mut command = Command::new(wrapper[0]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(&wrapper[1..]).arg(env!("CARGO_BIN_EXE_container-healthcheck"));
    command
}

/// What a program said that ended by itself.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program that is to end by itself.
pub fn run(mut command: Command) -> Ended {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + patience();
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("it goes on: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A port that is free on both loopback addresses, and not one that the kernel gives to somebody in between.
pub fn free_port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let first = std::process::id() as usize * 7;
    let is_free = |address: &str, port| match TcpListener::bind((address, port)) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::AddrNotAvailable,
    };
    loop {
        let port = 15_000 + u16::try_from((first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000).unwrap();
        if is_free("127.0.0.1", port) && is_free("::1", port) {
            return port;
        }
    }
}

/// The daemon as a process. It is killed with its owner.
pub struct Daemon {
    child: Child,
    addresses: Vec<String>,
    /// Its stderr is a file in it: what has been written is there to be read, whoever runs next.
    folder: Folder,
    /// Where the log goes besides stderr.
    log_file: Option<PathBuf>,
}

impl Daemon {
    /// A daemon that listens on a free port of 127.0.0.1, asks that Docker, and has these arguments besides.
    pub fn start(docker: &Path, args: &[&str]) -> Self {
        Self::start_as(program(), docker, args)
    }

    /// As [`Daemon::start`], for a program with some arguments already.
    pub fn start_as(mut command: Command, docker: &Path, args: &[&str]) -> Self {
        command.args(["-bind", "127.0.0.1:0", "-docker-host"]).arg(format!("unix://{}", docker.display())).args(args);
        Self::spawn(command)
    }

    /// A daemon started in that way with these arguments besides, once it listens.
    pub fn spawn_with(mut command: Command, args: &[&str]) -> Self {
        command.args(args);
        Self::spawn(command)
    }

    /// A daemon started in that way, once it listens. Its log must be on stderr.
    pub fn spawn(command: Command) -> Self {
        Self::spawn_with_log(command, None)
    }

    /// As [`Daemon::spawn`], with its log in that file.
    pub fn spawn_with_log(mut command: Command, log_file: Option<PathBuf>) -> Self {
        command.stdin(Stdio::null());
        Self::spawn_as_it_is(command, log_file)
    }

    /// As [`Daemon::spawn_with_log`], with the stdin that the command has.
    pub fn spawn_as_it_is(mut command: Command, log_file: Option<PathBuf>) -> Self {
        let folder = Folder::new();
        let child = command.stderr(fs::File::create(folder.join("stderr")).unwrap()).spawn().unwrap();
        let mut daemon = Self { child, addresses: Vec::new(), folder, log_file };
        // It asks Docker once it listens everywhere, and says what came of it.
        eventually("the daemon listens", || {
            let ended = daemon.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {ended:?}");
            let log = daemon.log();
            log.contains("docker answers") || log.contains("docker lost") || (log.contains("listening") && daemon.responds())
        });
        daemon.addresses = listening(&daemon.log());
        daemon
    }

    /// It listens everywhere when it answers anywhere: before that nobody is accepted.
    fn responds(&self) -> bool {
        let addresses = listening(&self.log());
        addresses.iter().filter_map(|address| address.parse::<SocketAddr>().ok()).any(|address| {
            TcpStream::connect(address).is_ok_and(|stream| {
                let mut client = Client::new(stream);
                client.send("GET / HTTP/1.0\r\n\r\n");
                client.answer_to("GET").is_some()
            })
        })
    }

    /// Where it listens, in its own words.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Its first TCP address.
    pub fn address(&self) -> SocketAddr {
        self.addresses.iter().find_map(|address| address.parse().ok()).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        let file = self.log_file.as_ref().map(|path| fs::read_to_string(path).unwrap_or_default());
        file.unwrap_or_default() + &self.stderr()
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("stderr")).unwrap()).into_owned()
    }

    /// A field of /proc/PID/status, in KiB: `VmRSS`.
    pub fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The fields of /proc/PID/stat behind the name: the state is the first.
    fn stat(&self) -> Vec<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').map(ToOwned::to_owned).collect()
    }

    /// The processor time it has used, in ticks of 10 ms (`USER_HZ`, which is 100 on all systems of today).
    pub fn ticks(&self) -> u64 {
        self.stat()[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Stops it where it stands, so that much can come to it at once.
    pub fn freeze(&self) {
        self.signal("STOP");
        eventually("the daemon is stopped", || self.stat()[0] == "T");
    }

    /// Its descriptors.
    pub fn descriptors(&self) -> Vec<u32> {
        let folder = fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        folder.map(|entry| entry.unwrap().file_name().to_string_lossy().parse().unwrap()).collect()
    }

    pub fn wait_for_log(&self, words: &str) {
        eventually(words, || self.log().contains(words));
    }

    /// A connection to it.
    pub fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address()).unwrap())
    }

    /// The answer to a GET of that path, whatever stands before it.
    pub fn get(&self, path: &str) -> Answer {
        let mut client = self.connect();
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
        client.answer()
    }

    /// The verdict on an app.
    pub fn app(&self, app: &str) -> Answer {
        self.get(&format!("{PREFIX}/apps/health/{app}"))
    }

    /// The value of a counter; labels are part of its name.
    pub fn counter(&self, name: &str) -> u64 {
        self.get(&format!("{PREFIX}/metrics")).counter(name)
    }

    /// Waits until what is known of Docker is trusted so far.
    pub fn is(&self, state: &str) {
        eventually(state, || self.counter(&format!("docker_state{{state=\"{state}\"}}")) == 1);
    }

    /// Sends it a signal, by the name that kill(1) knows.
    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap().success());
    }

    /// Ends it in good order, unless it has ended, so that what it runs under says what was wrong with it: by its exit code.
    fn ends_well(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.signal("CONT");
            self.signal("TERM");
            let status = self.wait();
            assert!(status.success(), "{status}: {}", self.stderr());
        }
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the daemon ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !wrapper().is_empty() && !thread::panicking() {
            self.ends_well();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("log of the daemon:\n{}", self.log());
        }
    }
}

fn listening(log: &str) -> Vec<String> {
    log.lines().filter_map(|line| line.split_once("listening address=")).map(|(_, address)| address.to_owned()).collect()
}

/// An answer of HTTP/1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Its head, status line and empty line included.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a field, whose name is given in small letters.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status, code and reason: what a program looks at.
    pub fn verdict(&self) -> (u16, u64, String) {
        let json = self.json();
        (self.status, json["code"].as_u64().unwrap(), json["reason"].as_str().unwrap_or("").to_owned())
    }

    /// The value of a counter in an answer of `P/metrics`; labels are part of its name.
    pub fn counter(&self, name: &str) -> u64 {
        let name = format!("container_healthcheck_{name} ");
        let line = self.body.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("no counter {name}in {self:?}")).parse().unwrap()
    }

    pub fn is_last(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

/// A connection that sends exact bytes and reads answers.
pub struct Client<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

impl Client<TcpStream> {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(patience())).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Closes the writing side.
    pub fn finish(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Resets the connection: the kernel does so when one is closed on which something came that was never read.
    pub fn reset(self) {
        assert!(self.stream.peek(&mut [0]).unwrap() > 0, "nothing came, so this would be a close in good order");
    }
}

impl Client<UnixStream> {
    pub fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        Self { stream, read: Vec::new() }
    }
}

impl<S: Read + Write> Client<S> {
    pub fn stream(&self) -> &S {
        &self.stream
    }

    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Sends it byte by byte.
    pub fn trickle(&mut self, text: &str) {
        for byte in text.as_bytes().chunks(1) {
            self.stream.write_all(byte).unwrap();
        }
    }

    /// A GET on this connection, and its answer.
    pub fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        self.answer()
    }

    /// The next answer, with its body.
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET").unwrap_or_else(|| panic!("closed before an answer, after {:?}", String::from_utf8_lossy(&self.read)))
    }

    /// The next answer to that method; none if the connection ended in good order before it.
    pub fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.more() == 0 {
                assert!(self.read.is_empty(), "cut short: {:?}", String::from_utf8_lossy(&self.read));
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut answer = Answer { status: head[9..12].parse().unwrap(), head, body: String::new() };
        if method != "HEAD" {
            let length: usize = answer.field("content-length").unwrap().parse().unwrap();
            while self.read.len() < length {
                assert!(self.more() > 0, "the body is cut short");
            }
            answer.body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        }
        Some(answer)
    }

    fn more(&mut self) -> usize {
        let mut buffer = [0; 4096];
        let length = match self.stream.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            // A read with a timeout is not begun anew when the whole machine was stopped in between.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return self.more(),
            Err(error) => panic!("{error}, after {:?}", String::from_utf8_lossy(&self.read)),
        };
        self.read.extend_from_slice(&buffer[..length]);
        length
    }

    /// All answers up to the end of the connection.
    pub fn answers(&mut self) -> Vec<Answer> {
        std::iter::from_fn(|| self.answer_to("GET")).collect()
    }

    /// Waits for the end of the connection, before which nothing more may come.
    pub fn expect_end(&mut self) {
        let is_end = self.more() == 0;
        assert!(is_end && self.read.is_empty(), "more came: {:?}", String::from_utf8_lossy(&self.read));
    }
}

/// A gate that is shut until somebody opens it, for good.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

/// What the scripted Docker does with one connection, given its request's head.
pub type Behaviour = Arc<dyn Fn(&mut UnixStream, &str) + Send + Sync>;

/// A behaviour, and whether the request is read before it.
type Script = Arc<Mutex<(bool, Behaviour)>>;

/// A Docker that does what it is told. Each connection has a thread of its own.
pub struct FakeDocker {
    folder: Folder,
    script: Script,
    /// Heads of the requests that came, in order.
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    stream: Arc<Mutex<EventStream>>,
}

/// What becomes of those who ask for events.
#[derive(Default)]
enum EventStream {
    /// They are refused, as by a socket proxy: the view stays blind, and each probe asks for a list.
    #[default]
    Refused,
    /// They are sent the head, and then what [`FakeDocker::event`] sends.
    Open(Vec<UnixStream>),
}

impl FakeDocker {
    /// A Docker that behaves so.
    pub fn start(behaviour: impl Fn(&mut UnixStream, &str) + Send + Sync + 'static) -> Self {
        let docker = Self {
            folder: Folder::new(),
            script: Arc::new(Mutex::new((true, Arc::new(behaviour)))),
            requests: Arc::default(),
            connections: Arc::default(),
            stream: Arc::default(),
        };
        docker.listen();
        docker
    }

    /// A Docker that answers each list with this JSON.
    pub fn listing(list: impl Into<String>) -> Self {
        let list = list.into();
        Self::start(move |stream, _| send_list(stream, &list))
    }

    /// A Docker that takes each question and never answers.
    pub fn hung() -> Self {
        Self::start(|stream, _| hang(stream))
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// From now on it behaves so.
    pub fn behave(&self, behaviour: impl Fn(&mut UnixStream, &str) + Send + Sync + 'static) {
        *self.script.lock().unwrap() = (true, Arc::new(behaviour));
    }

    /// From now on it behaves so without having read the request, whose head it is not given then.
    pub fn interrupt(&self, behaviour: impl Fn(&mut UnixStream, &str) + Send + Sync + 'static) {
        *self.script.lock().unwrap() = (false, Arc::new(behaviour));
    }

    /// From now on it answers each list with this JSON.
    pub fn list(&self, list: impl Into<String>) {
        let list = list.into();
        self.behave(move |stream, _| send_list(stream, &list));
    }

    /// From now on it does so only once this gate is open.
    pub fn hold_back(&self, list: impl Into<String>) -> Gate {
        let (gate, list) = (Gate::default(), list.into());
        let held = gate.clone();
        self.behave(move |stream, _| {
            held.pass();
            send_list(stream, &list);
        });
        gate
    }

    /// From now on it has these containers, and lists those it is asked about.
    pub fn holds(&self, containers: Vec<String>) {
        self.behave(move |stream, head| {
            let is_wanted = |json: &&String| !head.contains("filters=") || head.contains(&json[r#"{"Id":""#.len()..][..64]);
            let wanted: Vec<_> = containers.iter().filter(is_wanted).map(String::as_str).collect();
            send_list(stream, &format!("[{}]", wanted.join(",")));
        });
    }

    /// From now on those who ask for events are sent them.
    pub fn open_stream(&self) {
        *self.stream.lock().unwrap() = EventStream::Open(Vec::new());
    }

    /// From now on they are refused again, and those who were not are cut off.
    pub fn cut_stream(&self) {
        *self.stream.lock().unwrap() = EventStream::Refused;
    }

    /// Cuts those off who listen; they may come again.
    pub fn drop_listeners(&self) {
        self.open_stream();
    }

    /// How many listen to events.
    pub fn listeners(&self) -> usize {
        match &mut *self.stream.lock().unwrap() {
            EventStream::Refused => 0,
            EventStream::Open(streams) => {
                // Nothing more is said by those who listen, so that whoever can be read from has gone.
                streams.retain_mut(|stream| {
                    stream.set_nonblocking(true).unwrap();
                    let listens = stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
                    stream.set_nonblocking(false).unwrap();
                    listens
                });
                streams.len()
            }
        }
    }

    /// Whether those who ask for events are sent them.
    pub fn opens_stream(&self) -> bool {
        matches!(&*self.stream.lock().unwrap(), EventStream::Open(_))
    }

    /// Sends this line to all who listen, as dockerd does: as one chunk.
    pub fn send_line(&self, line: &str) {
        // In one piece: many small ones fill the socket's buffer of a daemon that is frozen.
        self.send_bytes(&format!("{:x}\r\n{line}\n\r\n", line.len() + 1));
    }

    /// Sends these bytes to all who listen.
    pub fn send_bytes(&self, bytes: &str) {
        if let EventStream::Open(streams) = &mut *self.stream.lock().unwrap() {
            streams.retain_mut(|stream| stream.write_all(bytes.as_bytes()).is_ok());
        }
    }

    /// Sends the event that this happened to the container of that name, with further attributes (`"exitCode":"1"`).
    pub fn event(&self, action: &str, name: &str, attributes: &str) {
        self.send_line(&event_line(action, name, attributes));
    }

    /// Heads of the requests for lists that came so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Connections that came so far, those for events aside.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Takes its socket away, as when Docker is stopped. Connections that stand go on.
    pub fn vanish(&self) {
        fs::remove_file(self.path()).unwrap();
    }

    /// Listens (again).
    pub fn listen(&self) {
        let listener = UnixListener::bind(self.path()).unwrap();
        let (script, requests, connections) = (Arc::clone(&self.script), Arc::clone(&self.requests), Arc::clone(&self.connections));
        let streams = Arc::clone(&self.stream);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                let (script, requests, connections, streams) =
                    (Arc::clone(&script), Arc::clone(&requests), Arc::clone(&connections), Arc::clone(&streams));
                thread::spawn(move || {
                    let (reads, mut behaviour) = script.lock().unwrap().clone();
                    let head = if reads { read_head(&mut stream) } else { Some(String::new()) };
                    let Some(head) = head else { return };
                    if head.split(' ').nth(1).is_some_and(|path| path.contains("/events")) {
                        return streams.lock().unwrap().welcome(stream);
                    }
                    connections.fetch_add(1, Ordering::SeqCst);
                    if reads {
                        requests.lock().unwrap().push(head.clone());
                    }
                    // What it was told to do in the meantime counts, unless it comes too late for this one.
                    let now = script.lock().unwrap().clone();
                    if now.0 == reads {
                        behaviour = now.1;
                    }
                    behaviour(&mut stream, &head);
                });
            }
        });
    }
}

impl EventStream {
    fn welcome(&mut self, mut stream: UnixStream) {
        match self {
            Self::Refused => {
                let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
            Self::Open(streams) => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
                streams.push(stream);
            }
        }
    }
}

/// The event that this happens now to the container of that name, as dockerd sends it, with further attributes (`"exitCode":"1"`).
pub fn event_line(action: &str, name: &str, attributes: &str) -> String {
    static CLOCK: AtomicUsize = AtomicUsize::new(0);
    let id = container_id(name);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let nanos = now + CLOCK.fetch_add(1, Ordering::SeqCst) as u128;
    let comma = if attributes.is_empty() { "" } else { "," };
    format!(
        r#"{{"status":"{action}","id":"{id}","from":"python36e:1.1","Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"image":"python36e:1.1","name":"{name}"{comma}{attributes}}}}},"scope":"local","time":{},"timeNano":{nanos}}}"#,
        nanos / 1_000_000_000
    )
}

/// The head of a request, if one comes.
pub fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// A list as dockerd sends it: with a length if it is short, else as one chunk.
pub fn send_list(stream: &mut impl Write, list: &str) {
    let common = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/20.10.24 (linux)\r\nConnection: close\r\n";
    let answer = if list.len() < 2048 {
        format!("{common}Content-Length: {}\r\n\r\n{list}\n", list.len() + 1)
    } else {
        format!("{common}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{list}\n\r\n0\r\n\r\n", list.len() + 1)
    };
    // The daemon may have given up on us.
    let _ = stream.write_all(answer.as_bytes());
}

/// The id of the container of that name.
pub fn container_id(name: &str) -> String {
    format!("{:064x}", name.bytes().fold(1_u128, |id, byte| id.wrapping_mul(31).wrapping_add(byte.into())))
}

/// A container as dockerd lists it.
pub fn container(name: &str, state: &str, status: &str) -> String {
    let id = container_id(name);
    format!(
        r#"{{"Id":"{id}","Names":["/{name}"],"Image":"python36e:1.1","ImageID":"sha256:0","Command":"sh /build/builder","Created":1709878119,"Ports":[],"Labels":{{}},"State":"{state}","Status":"{status}","HostConfig":{{"NetworkMode":"none"}},"NetworkSettings":{{"Networks":{{}}}},"Mounts":[]}}"#
    )
}

/// A container with labels, as the inside of a JSON object.
pub fn labelled(name: &str, state: &str, status: &str, labels: &str) -> String {
    container(name, state, status).replace(r#""Labels":{}"#, &format!(r#""Labels":{{{labels}}}"#))
}

/// A Docker with these containers and a daemon whose view of them is live.
pub fn live(containers: Vec<String>, args: &[&str]) -> (FakeDocker, Daemon) {
    let docker = FakeDocker::hung();
    docker.holds(containers);
    docker.open_stream();
    let daemon = Daemon::start(&docker.path(), args);
    daemon.is("live");
    daemon.wait_for_log("live containers=");
    assert_eq!(docker.listeners(), 1);
    (docker, daemon)
}

/// A list of containers, each `name state status`.
pub fn list(containers: &[(&str, &str, &str)]) -> String {
    let containers: Vec<_> = containers.iter().map(|(name, state, status)| container(name, state, status)).collect();
    format!("[{}]", containers.join(","))
}

/// Holds a connection open, silent, until the other side closes it.
pub fn hang(stream: &mut UnixStream) {
    let _ = stream.read(&mut [0; 16]);
}
