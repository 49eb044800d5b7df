//! What systemd is told, and the listeners it passes on. A socket of the test plays its part; the packages are tested with the real one
//! (`packaging/test/`).

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop, and lives in the world")]

mod support;

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use container_healthcheck::limits;
use support::{Client, Daemon, FakeDocker, Folder, PREFIX, container, eventually, program, program_under};

/// The socket on which systemd listens.
struct Systemd {
    folder: Folder,
    socket: UnixDatagram,
}

impl Systemd {
    fn new() -> Self {
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        Self { folder, socket }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("notify")
    }

    /// The program, told of this socket and of these variables.
    fn program(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = program();
        command.env("NOTIFY_SOCKET", self.path()).envs(variables.iter().copied());
        command
    }

    /// The next message, if one comes in that time.
    fn next_within(&self, patience: Duration) -> Option<String> {
        next(&self.socket, patience)
    }

    /// Waits for a message with these words, and gives all up to it.
    fn wait_for(&self, words: &str) -> Vec<String> {
        wait_for(&self.socket, words)
    }
}

fn next(socket: &UnixDatagram, patience: Duration) -> Option<String> {
    socket.set_read_timeout(Some(patience)).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8(buffer.get(..length).unwrap().to_vec()).unwrap())
}

fn wait_for(socket: &UnixDatagram, words: &str) -> Vec<String> {
    let mut all = Vec::new();
    eventually(words, || {
        all.extend(next(socket, Duration::from_millis(100)));
        all.last().is_some_and(|last: &String| last.contains(words))
    });
    all
}

fn containers() -> Vec<String> {
    vec![container("a", "running", "Up 5 days"), container("b", "running", "Up 5 days"), container("c", "exited", "Exited (0) 5 days ago")]
}

/// A Docker with three apps whose view is live.
fn docker() -> FakeDocker {
    let docker = FakeDocker::hung();
    docker.holds(containers());
    docker.open_stream();
    docker
}

// ---- What it is told.

#[test]
fn it_is_told_when_docker_s_containers_are_known_and_how_they_do() {
    let (systemd, docker) = (Systemd::new(), docker());
    let mut daemon = Daemon::start_as(systemd.program(&[]), &docker.path(), &[]);
    let told = systemd.wait_for("STATUS=2 apps up, 1 down, docker live");
    assert!(told.concat().contains("READY=1\n"), "{told:?}");
    docker.event("die", "a", r#""exitCode":"1""#);
    let told = systemd.wait_for("STATUS=1 app up, 2 down, docker live");
    assert_eq!(told, ["STATUS=1 app up, 2 down, docker live\n"]);
    // What is no news is not told, and without a watchdog nothing else is.
    for _ in 0..3 {
        daemon.app("b");
    }
    assert_eq!(systemd.next_within(limits::STATUS_PAUSE * 2), None);
    daemon.signal("TERM");
    assert_eq!(systemd.wait_for("STOPPING=1"), ["STOPPING=1\nSTATUS=stopping\n"]);
    assert_eq!(daemon.wait().code(), Some(0));
    assert_eq!(systemd.next_within(Duration::from_millis(50)), None);
}

#[test]
fn a_host_without_docker_becomes_ready() {
    let systemd = Systemd::new();
    let _daemon = Daemon::start_as(systemd.program(&[]), &systemd.folder.join("no-docker"), &[]);
    assert_eq!(systemd.wait_for("READY=1"), ["READY=1\nSTATUS=no apps, docker down\n"]);
}

#[test]
fn a_host_whose_docker_hangs_becomes_ready_after_a_moment() {
    let (systemd, docker) = (Systemd::new(), FakeDocker::hung());
    let before = Instant::now();
    let daemon = Daemon::start_as(systemd.program(&[]), &docker.path(), &["-docker-timeout", "60s"]);
    assert_eq!(daemon.get(&format!("{PREFIX}/health")).status, 200);
    let told = systemd.wait_for("READY=1");
    assert!(before.elapsed() >= limits::READY_PATIENCE, "{told:?}");
    assert_eq!(told, ["READY=1\nSTATUS=no apps, docker blind\n"]);
}

#[test]
fn many_changes_are_told_once_a_second() {
    let (systemd, docker) = (Systemd::new(), docker());
    let _daemon = Daemon::start_as(systemd.program(&[]), &docker.path(), &[]);
    systemd.wait_for("docker live");
    let before = Instant::now();
    let mut told = 0;
    while before.elapsed() < limits::STATUS_PAUSE * 2 {
        docker.event("die", "a", r#""exitCode":"1""#);
        told += usize::from(systemd.next_within(Duration::from_millis(20)).is_some());
        docker.event("start", "a", "");
        told += usize::from(systemd.next_within(Duration::from_millis(20)).is_some());
    }
    let most = before.elapsed().as_secs_f32() / limits::STATUS_PAUSE.as_secs_f32() + 1.0;
    assert!(told >= 1 && f32::from(u16::try_from(told).unwrap()) <= most, "{told} in {:?}", before.elapsed());
}

#[test]
fn the_watchdog_is_fed_by_the_loop_and_by_nothing_else() {
    let (systemd, docker) = (Systemd::new(), docker());
    let pid_of_nobody = ("WATCHDOG_PID", "1");
    let patience = ("WATCHDOG_USEC", "200000");
    let daemon = Daemon::start_as(systemd.program(&[patience]), &docker.path(), &[]);
    for _ in 0..10 {
        systemd.wait_for("WATCHDOG=1");
    }
    daemon.freeze();
    while systemd.next_within(Duration::from_millis(1)).is_some() {}
    assert_eq!(systemd.next_within(Duration::from_millis(500)), None, "who stands still feeds nobody");
    daemon.signal("CONT");
    systemd.wait_for("WATCHDOG=1");
    drop(daemon);

    let others = Systemd::new();
    let _daemon = Daemon::start_as(others.program(&[patience, pid_of_nobody]), &docker.path(), &[]);
    let told = others.wait_for("docker live");
    assert!(!told.concat().contains("WATCHDOG"), "{told:?}");
}

#[test]
fn a_systemd_with_an_abstract_address_is_told_too() {
    let name = format!("container-healthcheck-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let docker = docker();
    let mut command = program();
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    let _daemon = Daemon::start_as(command, &docker.path(), &[]);
    wait_for(&socket, "READY=1");
}

#[test]
fn a_systemd_that_starts_anew_is_told_again_what_it_missed() {
    let (mut systemd, docker) = (Systemd::new(), docker());
    let daemon = Daemon::start_as(systemd.program(&[]), &docker.path(), &[]);
    systemd.wait_for("2 apps up, 1 down, docker live");
    std::fs::remove_file(systemd.path()).unwrap();
    docker.event("die", "a", r#""exitCode":"1""#);
    eventually("it has noticed", || daemon.app("a").status == 503);
    std::thread::sleep(limits::STATUS_PAUSE);
    systemd.socket = UnixDatagram::bind(systemd.path()).unwrap();
    systemd.wait_for("STATUS=1 app up, 2 down");
}

#[test]
fn an_address_that_is_none_is_a_warning() {
    let docker = docker();
    for bad in ["relative", "vsock:2:1", "@"] {
        let mut command = program();
        command.env("NOTIFY_SOCKET", bad);
        let daemon = Daemon::start_as(command, &docker.path(), &[]);
        if bad != "@" {
            assert!(daemon.log().contains("WARN  systemd is not told anything: NOTIFY_SOCKET="), "{}", daemon.log());
        }
        assert_eq!(daemon.get(&format!("{PREFIX}/health")).status, 200);
    }
}

// ---- What it passes on.

/// The program with these sockets as descriptors 3 and 4, as systemd passes them: the ids of the process are those of `sh`.
fn with_descriptors(docker: &FakeDocker, first: OwnedFd, second: Option<OwnedFd>, pid: &str) -> Command {
    let count = if second.is_some() { 2 } else { 1 };
    let second = second.map_or_else(Stdio::null, Stdio::from);
    let script = format!(
        "exec 3<&0 4<&1 0</dev/null 1>/dev/null; export LISTEN_FDS={count} LISTEN_PID={pid} LISTEN_FDNAMES=one.socket:two.socket; exec \"$@\""
    );
    let mut command = program_under(&["sh", "-c", &script, "sh"]);
    command.arg("-docker-host").arg(format!("unix://{}", docker.path().display())).stdin(first).stdout(second);
    command
}

#[test]
fn it_serves_where_systemd_listens_and_leaves_that_to_it() {
    let (docker, folder) = (docker(), Folder::new());
    let path = folder.join("socket");
    let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let address = tcp.local_addr().unwrap();
    for _ in 0..2 {
        let (first, second) = (tcp.try_clone().unwrap().into(), unix.try_clone().unwrap().into());
        let mut command = with_descriptors(&docker, first, Some(second), "$$");
        command.args(["-bind", "192.0.2.1"]);
        let mut daemon = Daemon::spawn_as_it_is(command, None);
        assert_eq!(daemon.addresses(), [address.to_string(), path.display().to_string()]);
        assert!(daemon.log().contains("listeners passed by systemd=2: -port and -bind do not count"), "{}", daemon.log());
        assert_eq!(daemon.app("a").status, 200);
        assert_eq!(Client::unix(&path).get(&format!("{PREFIX}/apps/health/c")).status, 503);
        daemon.signal("TERM");
        assert_eq!(daemon.wait().code(), Some(0));
        assert!(path.exists(), "systemd listens on");
    }
}

#[test]
fn what_was_passed_to_another_process_is_left_alone() {
    let docker = docker();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let passed = tcp.local_addr().unwrap();
    let mut command = with_descriptors(&docker, tcp.into(), None, "1");
    command.args(["-bind", "127.0.0.1:0"]);
    let daemon = Daemon::spawn_as_it_is(command, None);
    assert_ne!(daemon.address(), passed);
    assert_eq!(daemon.app("a").status, 200);
}

#[test]
fn what_is_passed_and_is_no_listener_is_one_line() {
    let (docker, folder) = (docker(), Folder::new());
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap().into();
    let file = std::fs::File::create(folder.join("file")).unwrap().into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_client, connected) = (std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap(), listener.accept().unwrap().0.into());
    for passed in [datagrams, file, connected] {
        let ended = run_as_it_is(with_descriptors(&docker, passed, None, "$$"));
        assert_eq!(ended.0, Some(71), "{}", ended.1);
        let lines: Vec<_> = ended.1.lines().filter(|line| !line.contains(" INFO ")).collect();
        let [line] = lines[..] else { panic!("{}", ended.1) };
        assert!(line.contains("descriptor 3 (one.socket), passed by systemd, is no listener"), "{line}");
    }
}

/// Runs a program with the stdin that it has; gives its code, and what it said on stderr.
fn run_as_it_is(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    (child.wait().unwrap().code(), said)
}
