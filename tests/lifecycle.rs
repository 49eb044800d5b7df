//! How the daemon starts, stops, logs, and is told what to do.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop, and lives in the world")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

mod support;

use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::Instant;
use std::{fs, thread};

use container_healthcheck::limits;
use support::{
    Client, Daemon, Ended, FakeDocker, Folder, PREFIX, eventually, free_port, list, program, program_under, read_head, run, skipped,
};

fn apps() -> String {
    list(&[("app", "running", "Up 5 days")])
}

fn start(args: &[&str]) -> (FakeDocker, Daemon) {
    let docker = FakeDocker::listing(apps());
    let daemon = Daemon::start(&docker.path(), args);
    daemon.wait_for_log("docker answers");
    (docker, daemon)
}

/// A client whose probe waits for Docker.
fn probe(daemon: &Daemon) -> Client {
    let before = daemon.counter("probes_total");
    let mut client = daemon.connect();
    client.send(&format!("GET {PREFIX}/apps/health/app HTTP/1.1\r\nHost: h\r\n\r\n"));
    eventually("the probe waits", || daemon.counter("probes_total") == before + 1);
    client
}

/// The flags of a daemon that asks that Docker and listens where the test says.
fn flags(command: &mut Command, docker: &FakeDocker, args: &[&str]) {
    command.arg("-docker-host").arg(format!("unix://{}", docker.path().display())).args(args);
}

/// A daemon that listens where the test says.
fn listening(docker: &FakeDocker, args: &[&str]) -> Daemon {
    let mut command = program();
    flags(&mut command, docker, args);
    Daemon::spawn(command)
}

// ---- It stops.

#[test]
fn sigterm_and_sigint_end_it_in_good_order() {
    for signal in ["TERM", "INT"] {
        let (_docker, mut daemon) = start(&[]);
        let mut idle = daemon.connect();
        assert_eq!(idle.get("/").status, 200);
        let mut silent = daemon.connect();
        eventually("it knows of both, and of the one who asks", || daemon.counter("http_clients") == 3);
        let before = Instant::now();
        daemon.signal(signal);
        assert_eq!(daemon.wait().code(), Some(0), "{signal}");
        assert!(before.elapsed() < limits::DRAIN, "nothing was owed to anybody");
        idle.expect_end();
        silent.expect_end();
        assert!(TcpStream::connect(daemon.address()).is_err());
        daemon.wait_for_log("stopped clients=0");
    }
}

#[test]
fn who_is_idle_for_long_and_never_looks_does_not_hold_up_a_restart() {
    let (_docker, mut daemon) = start(&["-level", "debug"]);
    let mut idle = daemon.connect();
    assert_eq!(idle.get("/").status, 200);
    let began = Instant::now();
    eventually("it is idle for long", || began.elapsed() > limits::CLIENT_TO_CLOSE);
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    // It is not waited for until it closes, which it never does.
    let gone: Vec<_> = daemon.log().lines().filter(|line| line.contains(" client gone ")).map(str::to_owned).collect();
    assert!(gone.last().unwrap().ends_with("why=Done"), "{gone:?}");
}

#[test]
fn who_waits_for_docker_is_answered_before_it_ends() {
    let (docker, mut daemon) = start(&["-docker-timeout", "60s"]);
    let gate = docker.hold_back(apps());
    let mut client = probe(&daemon);
    daemon.signal("TERM");
    eventually("nobody else is let in", || TcpStream::connect(daemon.address()).is_err());
    // A request that comes now is not read any more.
    client.send(&format!("GET {PREFIX}/health HTTP/1.1\r\nHost: h\r\n\r\n"));
    gate.open();
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.is_last());
    client.expect_end();
    drop(client);
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn a_docker_that_hangs_does_not_keep_it_from_ending() {
    let docker = FakeDocker::hung();
    let mut daemon = Daemon::start(&docker.path(), &["-docker-timeout", "60s"]);
    let mut client = probe(&daemon);
    let before = Instant::now();
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    let took = before.elapsed();
    assert!((limits::DRAIN.mul_f32(0.9)..limits::DRAIN * 2).contains(&took), "{took:?}");
    client.expect_end();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let docker = FakeDocker::hung();
    let mut daemon = Daemon::start(&docker.path(), &["-docker-timeout", "60s"]);
    let _client = probe(&daemon);
    let before = Instant::now();
    daemon.signal("TERM");
    daemon.wait_for_log("stopping");
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(before.elapsed() < limits::DRAIN.mul_f32(0.8), "{:?}", before.elapsed());
}

// ---- It logs.

#[test]
fn the_log_file_is_appended_to_and_reopened() {
    let docker = FakeDocker::listing(apps());
    let folder = Folder::new();
    let (path, rotated) = (folder.join("container-healthcheck.log"), folder.join("rotated"));
    fs::write(&path, "what was there before\n").unwrap();
    let mut command = program();
    flags(&mut command, &docker, &["-bind", "127.0.0.1:0", "-logpath", &folder.path().display().to_string()]);
    let mut daemon = Daemon::spawn_with_log(command, Some(path.clone()));
    daemon.wait_for_log("docker answers");
    assert!(daemon.log().starts_with("what was there before\n"));

    fs::rename(&path, &rotated).unwrap();
    docker.vanish();
    // The old file is written to until it is told.
    assert_eq!(daemon.app("app").status, 503);
    eventually("the loss is in the old file", || fs::read_to_string(&rotated).unwrap().contains("docker lost"));
    daemon.signal("HUP");
    eventually("there is a new file", || path.exists());
    docker.listen();
    daemon.wait_for_log("docker answers");
    assert!(!fs::read_to_string(&rotated).unwrap().contains("stopp"));
    // A folder that has gone in the meantime is no reason to stop.
    fs::remove_dir_all(folder.path()).unwrap();
    daemon.signal("HUP");
    assert_eq!(daemon.app("app").status, 200);
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    assert_eq!(daemon.stderr(), "", "all of it is in the file");
}

#[test]
fn a_log_folder_that_cannot_be_written_is_a_warning_and_no_reason_to_stop() {
    let folder = Folder::new();
    fs::write(folder.join("file"), "").unwrap();
    for bad in ["/dev/null", "/no/such/folder", &folder.join("file").display().to_string()] {
        let (_docker, daemon) = start(&["-logpath", bad]);
        assert_eq!(daemon.get(&format!("{PREFIX}/health")).status, 200);
        let log = daemon.stderr();
        assert!(log.contains(&format!("WARN  cannot log to {bad}/container-healthcheck.log: ")), "{log}");
        assert!(log.contains("docker answers"), "the rest is on stderr too: {log}");
    }
}

#[test]
fn probes_are_in_the_log_at_debug_and_not_at_info() {
    for (level, logged) in [("debug", true), ("info", false), ("warn", false)] {
        let docker = FakeDocker::listing(apps());
        // Something that is said at each level comes last.
        let daemon = if level == "warn" {
            let folder = Folder::new();
            let socket = folder.join("socket");
            let mut command = program();
            flags(&mut command, &docker, &["-level", level, "-bind", &format!("unix:{}", socket.display())]);
            let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
            eventually("it listens", || UnixStream::connect(&socket).is_ok());
            for _ in 0..3 {
                assert_eq!(Client::unix(&socket).get(&format!("{PREFIX}/apps/health/app")).status, 200);
            }
            docker.vanish();
            assert_eq!(Client::unix(&socket).get(&format!("{PREFIX}/apps/health/app")).status, 503);
            assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
            assert_eq!(child.wait().unwrap().code(), Some(0));
            let log = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
            let words: Vec<_> = log.lines().filter_map(|line| line.split(' ').nth(3)).collect();
            // Whether the stream of events was refused before Docker was gone is chance.
            let others: Vec<_> = words.iter().filter(|word| **word != "blind,").collect();
            assert_eq!(others, [&"docker"], "{log}");
            continue;
        } else {
            Daemon::start(&docker.path(), &["-level", level])
        };
        daemon.wait_for_log("docker answers");
        daemon.wait_for_log("blind");
        let lines = daemon.log().lines().count();
        for _ in 0..3 {
            assert_eq!(daemon.app("app").status, 200);
            assert_eq!(daemon.app("nobody").status, 404);
        }
        docker.vanish();
        assert_eq!(daemon.app("app").status, 503);
        daemon.wait_for_log("docker lost");
        let log = daemon.log();
        assert_eq!(log.matches(&format!("path={PREFIX}/apps/health/app\n")).count(), if logged { 4 } else { 0 }, "{level}: {log}");
        assert!(logged || log.lines().count() == lines + 1, "changes of state, never each probe: {log}");
    }
}

// ---- It is told what to do.

#[test]
fn the_options_of_the_old_tool_start_it() {
    let docker = FakeDocker::listing(apps());
    let folder = Folder::new();
    let (port, logs) = (free_port(), folder.path().display().to_string());
    let nginx = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx_port = nginx.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in nginx.incoming().map_while(Result::ok) {
            assert!(read_head(&mut stream).unwrap().starts_with("GET /o/app/ HTTP/1.1\r\n"));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let options = format!(" -level info -prefix /container-healthcheck -port {port} -ngx-port {nginx_port} -logpath {logs}");
    let mut command = program();
    // As its service file has it: words without quotes.
    command.env("DOCKER_HOST", format!("unix://{}", docker.path().display())).args(options.split_whitespace());
    let daemon = Daemon::spawn_with_log(command, Some(folder.join("container-healthcheck.log")));
    assert_eq!(daemon.address(), SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(daemon.get("/container-healthcheck/health").body, r#"{"code":0,"status":"ok","message":"i'm healthy"}"#);
    assert_eq!(daemon.get("/container-healthcheck/apps/health/app?all=true").status, 200);
}

fn said(args: &[&str]) -> Ended {
    let mut command = program();
    command.args(args);
    run(command)
}

#[test]
fn help_and_version_are_on_stdout() {
    for args in [&["-help"][..], &["--help"], &["-h"], &["-port", "1", "-help"]] {
        let help = said(args);
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(help.stdout.starts_with("Usage: container-healthcheck ") && help.stdout.contains("-docker-host"), "{}", help.stdout);
    }
    for args in [&["-version"][..], &["--version"]] {
        let version = said(args);
        assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(version.stdout.starts_with(&format!("container-healthcheck {} (", env!("CARGO_PKG_VERSION"))), "{}", version.stdout);
        assert_eq!(version.stdout.lines().count(), 1);
    }
}

#[test]
fn help_that_cannot_be_written_is_no_crash() {
    for arg in ["-help", "-version"] {
        let mut command = program();
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(command.arg(arg).stdout(full).status().unwrap().code(), Some(0), "{arg}");
    }
}

#[test]
fn the_log_is_written_for_the_journal_if_it_goes_there() {
    let docker = FakeDocker::listing("[]");
    for (journal, is_journal) in [("$(stat -L -c %d:%i /proc/self/fd/2)", true), ("9:1234", false)] {
        let mut command = program_under(&["sh", "-c", &format!("JOURNAL_STREAM={journal} exec \"$@\""), "sh"]);
        flags(&mut command, &docker, &["-bind", "127.0.0.1:0"]);
        let daemon = Daemon::spawn(command);
        assert_eq!(daemon.log().starts_with("<6>started "), is_journal, "{journal}: {}", daemon.log());
    }
}

#[test]
fn bad_usage_is_one_line_that_names_the_flag() {
    for (args, words) in [
        (&["-nonsense"][..], "-nonsense"),
        (&["-nonsense\nnonsense"], "-nonsense"),
        (&["serve"], "\"serve\""),
        (&["a\nb"], "\"a\\nb\""),
        (&[""], "\"\""),
        (&["-port"], "-port wants"),
        (&["-port", "0"], "-port wants a port from 1 to 65535, not \"0\""),
        (&["-port", "1\n2"], "-port wants"),
        (&["-bind", "localhost"], "-bind wants an IP address"),
        (&["-bind", "unix:relative"], "-bind wants"),
        (&["-level", "loud"], "-level wants error, warn, info or debug"),
        (&["-prefix", "/a b"], "-prefix wants"),
        (&["-logpath", ""], "-logpath wants"),
        (&["-docker-host", "ssh://h"], "ssh -L"),
        (&["-docker-host", "tcp://docker:2375"], "-docker-host wants"),
        (&["-docker-timeout", "1ms"], "-docker-timeout wants"),
        (&["-max-clients", "none"], "-max-clients wants"),
        (&["-policy", "best"], "-policy wants any, newest or all"),
    ] {
        let ended = said(args);
        assert_eq!(ended.code, Some(64), "{args:?}");
        assert_eq!(ended.stdout, "", "{args:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("container-healthcheck: ") && ended.stderr.contains(words), "{args:?}: {}", ended.stderr);
    }
    let mut command = program();
    command.env("DOCKER_HOST", "tcp://127.0.0.1:2376").env("DOCKER_TLS_VERIFY", "1");
    let ended = run(command);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(64), 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("DOCKER_TLS_VERIFY"), "{}", ended.stderr);
}

/// It did not start, and says why in one line.
fn assert_no_start(ended: &Ended, words: &str) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(71), ""), "{ended:?}");
    // What it tried until then is said at level info.
    let lines: Vec<_> = ended.stderr.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert!(lines.len() == 1 && lines[0].contains(words), "{words}: {ended:?}");
}

#[test]
fn a_port_in_use_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_no_start(&said(&["-bind", &address]), &format!("cannot listen on {address}: "));
    assert_no_start(&said(&["-bind", "127.0.0.1:0", "-bind", &address]), &format!("cannot listen on {address}: "));
    let (_docker, daemon) = start(&[]);
    let address = daemon.address().to_string();
    assert_no_start(&said(&["-bind", &address]), &format!("cannot listen on {address}: "));
    assert_eq!(daemon.get("/").status, 200, "the first one goes on");
}

#[test]
fn an_address_of_another_host_is_one_line() {
    // Of the block for documentation (RFC 5737).
    assert_no_start(&said(&["-bind", "192.0.2.1:0"]), "cannot listen on 192.0.2.1:0: ");
}

#[test]
fn why_it_does_not_start_is_on_stderr_even_if_the_log_is_a_file() {
    let folder = Folder::new();
    let ended = said(&["-bind", "192.0.2.1:0", "-logpath", &folder.path().display().to_string()]);
    assert_no_start(&ended, "cannot listen on 192.0.2.1:0: ");
}

#[test]
fn a_value_of_the_environment_counts_unless_a_flag_says_otherwise() {
    let docker = FakeDocker::listing(apps());
    docker.open_stream();
    let with = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = program();
        flags(&mut command, &docker, args);
        command.envs(variables.iter().copied());
        Daemon::spawn(command)
    };
    let prefix = ("CONTAINER_HEALTHCHECK_PREFIX", "/from/there");
    let bind = ("CONTAINER_HEALTHCHECK_BIND", "127.0.0.1:0");
    let daemon = with(&[bind, prefix], &[]);
    assert_eq!(daemon.get("/from/there/health").status, 200);
    let daemon = with(&[bind, prefix], &["-prefix", "/from/here"]);
    assert_eq!((daemon.get("/from/here/health").status, daemon.get("/from/there/health").status), (200, 404));

    // What container links set is no port.
    let daemon = with(&[bind, ("CONTAINER_HEALTHCHECK_PORT", "tcp://172.17.0.2:4246")], &[]);
    let warning = "WARN  CONTAINER_HEALTHCHECK_PORT ignored: it wants a port from 1 to 65535, not \"tcp://172.17.0.2:4246\"";
    assert!(daemon.log().contains(warning), "{}", daemon.log());
    let port = free_port().to_string();
    let daemon = with(&[("CONTAINER_HEALTHCHECK_PORT", &port)], &["-bind", "127.0.0.1"]);
    assert_eq!(daemon.address().port().to_string(), port);
    assert!(!daemon.log().contains("WARN"), "{}", daemon.log());

    // Where Docker is can be said in three ways.
    let nowhere = "unix:///no/such/docker.sock";
    let here = format!("unix://{}", docker.path().display());
    for (common, own) in [(here.as_str(), None), (nowhere, Some(here.as_str()))] {
        let mut command = program();
        command.args(["-bind", "127.0.0.1:0"]).env("DOCKER_HOST", common);
        command.envs(own.map(|own| ("CONTAINER_HEALTHCHECK_DOCKER_HOST", own)));
        Daemon::spawn(command).wait_for_log("docker answers");
    }
}

// ---- It listens.

/// Whether this host has `::1`; if not, the test is skipped.
fn has_ipv6() -> bool {
    match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => true,
        Err(error) => skipped(&format!("there is no ::1 here: {error}")),
    }
}

/// `P/health` at that address.
fn health_at(address: &str) -> u16 {
    let mut client = Client::new(TcpStream::connect(address).unwrap());
    client.get(&format!("{PREFIX}/health")).status
}

#[test]
fn it_listens_at_several_addresses() {
    let docker = FakeDocker::listing("[]");
    let port = free_port();
    let daemon = listening(&docker, &["-port", &port.to_string(), "-bind", "127.0.0.1:0,127.0.0.1", "-bind", "127.0.0.2:0"]);
    daemon.wait_for_log("docker answers");
    assert_eq!(daemon.addresses().len(), 3, "{:?}", daemon.addresses());
    assert_eq!(daemon.addresses()[1], format!("127.0.0.1:{port}"));
    for address in daemon.addresses() {
        assert_eq!(health_at(address), 200, "{address}");
    }
}

#[test]
fn it_listens_at_ipv6_addresses() {
    if !has_ipv6() {
        return;
    }
    let docker = FakeDocker::listing("[]");
    let daemon = listening(&docker, &["-bind", "[::1]:0"]);
    assert!(daemon.address().is_ipv6());
    assert_eq!(health_at(&daemon.addresses()[0]), 200);
}

#[test]
fn both_families_can_be_had_on_one_port() {
    if !has_ipv6() {
        return;
    }
    let docker = FakeDocker::listing("[]");
    for both in ["0.0.0.0,::", "::,0.0.0.0"] {
        let port = free_port();
        let _daemon = listening(&docker, &["-port", &port.to_string(), "-bind", both]);
        assert_eq!((health_at(&format!("127.0.0.1:{port}")), health_at(&format!("[::1]:{port}"))), (200, 200), "{both}");
    }
}

#[test]
fn unless_told_otherwise_it_listens_on_both_loopback_addresses() {
    let docker = FakeDocker::listing("[]");
    let port = free_port();
    let daemon = listening(&docker, &["-port", &port.to_string()]);
    daemon.wait_for_log("docker answers");
    assert_eq!(health_at(&format!("127.0.0.1:{port}")), 200);
    if has_ipv6() {
        assert_eq!(health_at(&format!("[::1]:{port}")), 200);
    } else {
        assert_eq!(daemon.addresses().len(), 1);
    }
}

/// The flag for a Unix socket.
fn at(path: &std::path::Path) -> String {
    format!("unix:{}", path.display())
}

#[test]
fn a_unix_socket_is_as_open_as_a_port_and_goes_with_the_daemon() {
    let docker = FakeDocker::listing(apps());
    let folder = Folder::new();
    let path = folder.join("socket");
    for umask in ["000", "077"] {
        let mut command = program_under(&["sh", "-c", &format!("umask {umask} && exec \"$@\""), "sh"]);
        flags(&mut command, &docker, &["-bind", &at(&path)]);
        let mut daemon = Daemon::spawn(command);
        let file = fs::metadata(&path).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o777, 0o666);
        let mut client = Client::unix(&path);
        assert_eq!(client.get(&format!("{PREFIX}/apps/health/app")).status, 200);
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.answers().len(), 1);
        drop(client);
        daemon.signal("TERM");
        assert_eq!(daemon.wait().code(), Some(0));
        assert!(!path.exists(), "the file is removed");
    }
}

#[test]
fn a_socket_file_that_nobody_listens_on_is_replaced() {
    let docker = FakeDocker::listing("[]");
    let folder = Folder::new();
    let path = folder.join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _daemon = listening(&docker, &["-bind", &at(&path)]);
    assert_eq!(Client::unix(&path).get(&format!("{PREFIX}/health")).status, 200);
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_to_them() {
    let docker = FakeDocker::listing("[]");
    let folder = Folder::new();
    let path = folder.join("socket");
    let _daemon = listening(&docker, &["-bind", &at(&path)]);
    assert_no_start(&said(&["-bind", &at(&path)]), "cannot listen on ");
    assert_eq!(Client::unix(&path).get(&format!("{PREFIX}/health")).status, 200);
}

#[test]
fn the_socket_of_whoever_came_later_is_left_to_them() {
    let docker = FakeDocker::listing("[]");
    let folder = Folder::new();
    let path = folder.join("socket");
    let mut first = listening(&docker, &["-bind", &at(&path)]);
    fs::remove_file(&path).unwrap();
    let _second = listening(&docker, &["-bind", &at(&path)]);
    first.signal("TERM");
    assert!(first.wait().success());
    assert_eq!(Client::unix(&path).get(&format!("{PREFIX}/health")).status, 200);
}

#[test]
fn a_socket_of_somebody_who_hangs_is_left_to_them() {
    let folder = Folder::new();
    let path = folder.join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    // Each stays in the queue, gone or not.
    while mio::net::UnixStream::connect(&path).is_ok() {}
    assert_no_start(&said(&["-bind", &at(&path)]), "cannot listen on ");
}

#[test]
fn a_file_in_the_way_of_a_socket_is_not_deleted() {
    let folder = Folder::new();
    let (file, other, link) = (folder.join("file"), folder.join("other"), folder.join("link"));
    fs::write(&file, "precious").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [&file, &link] {
        assert_no_start(&said(&["-bind", &at(&other), "-bind", &at(path)]), &format!("cannot listen on {}: ", path.display()));
        assert_eq!(fs::read_to_string(path).unwrap(), "precious");
        assert!(!other.exists(), "what it had made is removed");
    }
    assert_no_start(&said(&["-bind", &at(folder.path())]), "cannot listen on ");
    assert_no_start(&said(&["-bind", &at(&folder.join("none/socket"))]), "cannot listen on ");
}

// ---- It costs little.

/// How strace begins a program as our own child, itself aside (-D); none if it cannot be run here.
fn strace(out: &str) -> Option<Vec<&str>> {
    let runs = match Command::new("strace").args(["-D", "-o", out, "true"]).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => skipped(&format!("strace cannot run here: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => skipped(&format!("there is no strace here: {error}")),
    };
    runs.then(|| vec!["strace", "-D", "-s", "200", "-o", out])
}

#[test]
fn a_request_on_a_connection_that_stands_costs_three_system_calls() {
    const REQUESTS: usize = 100;
    let folder = Folder::new();
    let out = folder.join("calls");
    let path = out.display().to_string();
    let Some(wrapper) = strace(&path) else { return };
    let docker = FakeDocker::listing(apps());
    docker.open_stream();
    // Nothing else is to happen in between.
    let daemon = Daemon::start_as(program_under(&wrapper), &docker.path(), &["-resync", "1h"]);
    eventually("it is live", || daemon.counter("docker_state{state=\"live\"}") == 1);
    eventually("the one who asks is the only client", || daemon.counter("http_clients") == 1);
    let mut client = daemon.connect();
    let read = || fs::read_to_string(&out).unwrap_or_default();
    let mut round = 0;
    for (kind, path, status) in [("health", "/health", 200), ("up", "/apps/health/app", 200), ("down", "/apps/health/nobody", 404)] {
        let mut calls = Vec::new();
        // The folder of drains is looked at each second, which costs calls of its own.
        eventually("nothing else happens meanwhile", || {
            round += 1;
            client.get(&format!("/first-{round}."));
            for _ in 0..REQUESTS {
                assert_eq!(client.get(&format!("{PREFIX}{path}")).status, status);
            }
            client.get(&format!("/second-{round}."));
            let (first, second) = (format!("GET /first-{round}."), format!("GET /second-{round}."));
            eventually("the last call is written down", || read().contains(&second));
            // The clock needs no system call, but on some virtual machines it does; the kernel decides.
            let all = read();
            let all = all.lines().filter(|line| !line.starts_with("clock_gettime"));
            let between = all.skip_while(|line| !line.contains(&first)).skip(1).take_while(|line| !line.contains(&second));
            calls = between.map(ToOwned::to_owned).collect();
            !calls.iter().any(|line| line.starts_with("open"))
        });
        let between = &calls;
        // The write of the first answer and the wait for the last request belong to the markers.
        assert_eq!(between.len(), 3 * REQUESTS + 2, "{kind}: {between:#?}");
        let named = |names: &[&str]| between.iter().filter(|line| names.iter().any(|name| line.starts_with(name))).count();
        let waits = named(&["epoll_wait", "epoll_pwait"]);
        assert_eq!((waits, named(&["read", "recv"]), named(&["write", "send"])), (REQUESTS + 1, REQUESTS, REQUESTS + 1), "{between:#?}");
    }
}
