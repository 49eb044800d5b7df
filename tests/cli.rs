//! The commands: what they say, and what they exit with.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop, and lives in the world")]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use container_healthcheck::limits;
use support::{Daemon, Ended, FakeDocker, Folder, eventually, free_port, list, program, program_under, read_head, run};

/// A daemon on a port of its own, and its folder of drains, which does not exist yet.
struct Host {
    docker: FakeDocker,
    daemon: Daemon,
    folder: Folder,
    port: String,
    drains: String,
}

impl Host {
    fn start() -> Self {
        let docker = FakeDocker::listing(apps("running", "Up 5 days"));
        docker.open_stream();
        let folder = Folder::new();
        let (port, drains) = (free_port().to_string(), folder.join("made/drain").display().to_string());
        let bind = format!("127.0.0.1:{port}");
        let daemon = Daemon::start(&docker.path(), &["-drain-dir", &drains, "-bind", &bind, "-level", "debug"]);
        daemon.wait_for_log("live");
        Self { docker, daemon, folder, port, drains }
    }

    /// Runs a command against it.
    fn run(&self, args: &[&str]) -> Ended {
        self.run_as(program(), args)
    }

    fn run_as(&self, command: Command, args: &[&str]) -> Ended {
        run_at(command, &self.port, Path::new(&self.drains), args)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(format!("{}/{name}", self.drains)).unwrap()
    }
}

/// Runs a command against whoever listens on that port, with that folder of drains.
fn run_at(mut command: Command, port: &str, drains: &Path, args: &[&str]) -> Ended {
    command.args(["-port", port, "-drain-dir"]).arg(drains).args(args);
    run(command)
}

fn apps(state: &str, status: &str) -> String {
    list(&[("bk_iam-1709878117", state, status), ("bk_gse-1", "exited", "Exited (1) 3 minutes ago")])
}

/// What a command that failed says.
fn failed(ended: &Ended) -> (Option<i32>, &str) {
    assert_eq!((ended.stdout.as_str(), ended.stderr.lines().count()), ("", 1), "{ended:?}");
    (ended.code, ended.stderr.trim_end())
}

/// What any other says.
fn said(ended: &Ended) -> (Option<i32>, &str) {
    assert_eq!(ended.stderr, "", "{ended:?}");
    (ended.code, ended.stdout.as_str())
}

#[test]
fn check_says_one_line_and_exits_as_plugins_do() {
    let host = Host::start();
    let cases = [
        ("bk_iam", 0, "bk_iam is up: Up 5 days (bk_iam-1709878117)\n"),
        ("bk_gse", 2, "bk_gse-1 is exited: Exited (1) 3 minutes ago\n"),
        ("nobody", 3, "no container is named nobody or nobody-<digits>, or labelled nobody\n"),
    ];
    for (app, code, line) in cases {
        assert_eq!(said(&host.run(&["check", app])), (Some(code), line));
    }
    host.docker.cut_stream();
    host.docker.vanish();
    eventually("it knows that Docker has gone", || host.daemon.app("bk_iam").status == 503);
    let ended = host.run(&["check", "bk_iam"]);
    let (code, line) = said(&ended);
    assert_eq!(code, Some(3));
    assert!(line.starts_with("cannot connect to ") && line.lines().count() == 1, "{line}");
}

#[test]
fn check_waits_until_it_is_up_or_the_time_is_over() {
    let host = Host::start();
    let began = Instant::now();
    assert_eq!(host.run(&["check", "bk_gse", "-wait", "300ms"]).code, Some(2));
    assert!(began.elapsed() >= Duration::from_millis(300));
    let before = host.daemon.log().matches("/apps/health/bk_gse").count();
    thread::scope(|scope| {
        let waits = scope.spawn(|| host.run(&["--wait=60s", "check", "bk_gse"]));
        eventually("it asks again", || host.daemon.log().matches("/apps/health/bk_gse").count() > before + 2);
        host.docker.list(list(&[("bk_gse-1", "running", "Up 1 second")]));
        host.docker.event("start", "bk_gse-1", "");
        assert_eq!(said(&waits.join().unwrap()), (Some(0), "bk_gse is up: Up 1 second (bk_gse-1)\n"));
    });
}

#[test]
fn a_server_that_is_not_there_is_unknown() {
    let port = free_port().to_string();
    let folder = Folder::new();
    let command = |args: &[&str]| run_at(program(), &port, folder.path(), args);
    let ended = command(&["check", "bk_iam"]);
    let want = format!("cannot ask 127.0.0.1:{port}: Connection refused (os error 111) (does the server run?)");
    assert_eq!(said(&ended), (Some(3), format!("{want}\n").as_str()));
    let ended = command(&["status"]);
    assert_eq!(failed(&ended), (Some(3), format!("container-healthcheck: {want}").as_str()));
    let ended = command(&["drain", "bk_iam"]);
    let file = folder.join("bk_iam").display().to_string();
    let line = format!("container-healthcheck: {file} is written, but the server does not answer so: {want}");
    assert_eq!(failed(&ended), (Some(3), line.as_str()));
    assert!(folder.join("bk_iam").exists(), "it counts from the start of the server");
    let ended = command(&["-bind", "unix:/no/such/socket", "undrain", "bk_iam"]);
    let line = format!(
        "container-healthcheck: {file} is removed, but the server does not answer so: cannot ask /no/such/socket: No such file or directory (os error 2) (does the server run?)"
    );
    assert_eq!(failed(&ended), (Some(3), line.as_str()));
}

#[test]
fn a_server_of_another_kind_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = listener.local_addr().unwrap().to_string();
    for (answer, words) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "it did not answer in JSON"),
        ("SSH-2.0-OpenSSH\r\n", "it answered with broken HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", "it answered with broken HTTP"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "the server gives no list of apps, but 200"),
        ("", "it answered with broken HTTP"),
    ] {
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                assert!(read_head(&mut stream).unwrap().starts_with("GET /container-healthcheck/apps HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let mut command = program();
            command.args(["status", "-bind", &bind]);
            let ended = run(command);
            let (code, line) = failed(&ended);
            assert!(code == Some(3) && line.contains(words), "{answer}: {ended:?}");
        });
    }
}

#[test]
fn status_shows_what_the_server_knows_of_all_apps() {
    let host = Host::start();
    let ended = host.run(&["status"]);
    let (code, table) = said(&ended);
    assert_eq!(code, Some(0));
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{table}")).to_owned();
    assert!(row("bk_iam").contains(" up "), "{table}");
    assert!(row("bk_gse").contains("exited"), "{table}");
    assert!(table.lines().next().unwrap().contains("live"), "{table}");
    host.run(&["drain", "bk_iam", "-reason", "deploy"]);
    let ended = host.run(&["status"]);
    assert!(said(&ended).1.lines().any(|line| line.starts_with("bk_iam") && line.contains("drained")), "{ended:?}");
}

#[test]
fn status_is_a_table_without_colours_for_who_is_no_terminal() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = listener.local_addr().unwrap().to_string();
    let body = r#"{"code":0,"status":"ok","message":{"docker":"live","apps":{"bk_gse":{"up":false,"reason":"exited","containers":1,"since":0},"bk_iam":{"up":true,"containers":2,"since":4102444800}}}}"#;
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            read_head(&mut stream).unwrap();
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        });
        let mut command = program();
        command.args(["-bind", &bind, "status"]);
        let ended = run(command);
        let (code, table) = said(&ended);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!((code, lines.len()), (Some(0), 4), "{table}");
        assert!(lines.contains(&"docker is live; 2 apps, 1 up, 1 down"), "{table}");
        assert!(lines.iter().any(|line| line.starts_with("bk_gse  down exited  ")), "{table}");
        // A server whose clock is ahead has just seen it change.
        assert!(lines.iter().any(|line| line.starts_with("bk_iam  up           0s ")), "{table}");
    });
}

#[test]
fn a_server_that_hangs_is_unknown() {
    let host = Host::start();
    host.daemon.freeze();
    let ended = host.run(&["check", "bk_iam", "-docker-timeout", "100ms"]);
    let line = format!("127.0.0.1:{} does not answer (does the server hang, or has it a longer -docker-timeout?)\n", host.port);
    assert_eq!(said(&ended), (Some(3), line.as_str()));
    host.daemon.signal("CONT");
}

#[test]
fn drain_and_undrain_return_once_the_server_answers_so() {
    let host = Host::start();
    let mut command = program();
    command.env("SUDO_USER", "ann").env("USER", "root");
    let ended = host.run_as(command, &["drain", "bk_iam", "--reason", "deploy \x1b2.3\n", "--for", "30m"]);
    assert_eq!(host.daemon.app("bk_iam").verdict(), (503, 12, "drained".into()), "{ended:?}");
    let (code, line) = said(&ended);
    assert!(code == Some(0) && line.starts_with("bk_iam is drained: deploy 2.3 (by ann, until 20"), "{ended:?}");
    let text = host.file("bk_iam");
    assert!(text.starts_with("reason: deploy 2.3\nby: ann\nuntil: 20") && text.lines().count() == 3, "{text}");
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&format!("{}/bk_iam", host.drains)), 0o644);
    assert_eq!(fs::read_dir(&host.drains).unwrap().count(), 1, "nothing else is left");
    let seconds: u64 = host.daemon.app("bk_iam").field("retry-after").unwrap().parse().unwrap();
    assert!((1700..=1801).contains(&seconds), "{seconds}");
    assert_eq!(host.run(&["check", "bk_iam"]).code, Some(2));

    assert_eq!(said(&host.run(&["undrain", "bk_iam"])), (Some(0), "bk_iam is drained no more\n"));
    assert_eq!(host.daemon.app("bk_iam").status, 200);
    assert_eq!(said(&host.run(&["undrain", "bk_iam"])), (Some(0), "bk_iam is not drained\n"));
}

#[test]
fn whatever_else_answers_is_not_believed() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    thread::spawn(move || {
        for mut stream in other.incoming().map_while(Result::ok) {
            read_head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"UP\"}");
        }
    });
    let folder = Folder::new();
    fs::write(folder.join("bk_iam"), "").unwrap();
    let command = |args: &[&str]| run_at(program(), &port, folder.path(), args);
    let words = "it answered 200, which is no verdict (is it another server?)";
    assert_eq!(said(&command(&["check", "bk_iam"])), (Some(3), format!("{words}\n").as_str()));
    let file = folder.join("bk_iam").display().to_string();
    let line = format!("container-healthcheck: {file} is removed, but the server does not answer so: {words}");
    assert_eq!(failed(&command(&["undrain", "bk_iam"])), (Some(3), line.as_str()));
}

#[test]
fn the_name_of_who_drains_is_cut() {
    let host = Host::start();
    let mut command = program();
    command.env("SUDO_USER", "x".repeat(limits::DRAIN_BYTES));
    let ended = host.run_as(command, &["drain", "bk_iam", "-reason", &"r".repeat(limits::REASON_BYTES), "-for", "1h"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(host.daemon.app("bk_iam").field("retry-after").is_some(), "it is not for good");
    assert!(host.file("bk_iam").lines().any(|line| line == format!("by: {}", "x".repeat(limits::BY_CHARS))));
}

#[test]
fn a_drain_waits_for_no_docker() {
    let docker = FakeDocker::listing(apps("running", "Up 5 days"));
    let folder = Folder::new();
    let (port, drains) = (free_port().to_string(), folder.join("drain").display().to_string());
    let daemon = Daemon::start(&docker.path(), &["-drain-dir", &drains, "-bind", &format!("127.0.0.1:{port}"), "-docker-timeout", "60s"]);
    daemon.wait_for_log("blind");
    let _gate = docker.hold_back("[]");
    let host = Host { docker, daemon, folder, port, drains };
    let ended = host.run(&["drain", "bk_iam", "-reason", "deploy"]);
    assert!(ended.code == Some(0) && ended.stdout.starts_with("bk_iam is drained: deploy"), "{ended:?}");
}

#[test]
fn nobody_can_lead_a_drain_to_another_file() {
    let host = Host::start();
    let precious = host.folder.join("precious");
    fs::write(&precious, "precious").unwrap();
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o600)).unwrap();
    // Whoever owns the folder can guess under which name the file is written.
    let plant = format!("mkdir -p {0} && ln -s {1} {0}/.bk_iam.$$ && exec \"$@\"", host.drains, precious.display());
    let ended = host.run_as(program_under(&["sh", "-c", &plant, "sh"]), &["drain", "bk_iam"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert_eq!(fs::metadata(&precious).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::symlink_metadata(format!("{}/bk_iam", host.drains)).unwrap().is_file());
}

#[test]
fn a_value_of_the_environment_that_is_none_is_warned_of() {
    let folder = Folder::new();
    for value in [OsStr::new("tcp://10.0.0.1:80"), OsStr::from_bytes(b"\xff")] {
        let mut command = program();
        command.env("CONTAINER_HEALTHCHECK_PORT", value).args(["drains", "-drain-dir"]).arg(folder.path());
        let ended = run(command);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "nothing is drained\n"), "{ended:?}");
        assert!(ended.stderr.contains("CONTAINER_HEALTHCHECK_PORT") && ended.stderr.lines().count() == 1, "{ended:?}");
    }
}

#[test]
fn the_host_is_drained_beside_its_apps() {
    let host = Host::start();
    assert_eq!(said(&host.run(&["drains"])), (Some(0), "nothing is drained\n"));
    let mut command = program();
    command.env("LOGNAME", "bob");
    assert_eq!(said(&host.run_as(command, &["drain", "all"])), (Some(0), "this host is drained (by bob)\n"));
    assert_eq!(host.daemon.get("/").status, 503);
    let ended = host.run(&["drain", "bk_iam", "-reason", "its own"]);
    assert!(ended.stdout.starts_with("bk_iam is drained: its own (by uid ") && ended.code == Some(0), "{ended:?}");
    assert!(host.daemon.app("bk_iam").body.contains("bk_iam is drained"), "it has been seen");
    fs::write(format!("{}/x", host.drains), "until: 2020-01-01T00:00:00Z\n").unwrap();
    fs::write(format!("{}/y", host.drains), "nonsense").unwrap();
    let ended = host.run(&["drains"]);
    let rows: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(rows.len(), 5, "{ended:?}");
    for (row, words) in rows.iter().zip(["APP", "all", "bk_iam", "x", "y"]) {
        assert!(row.starts_with(words), "{row}");
    }
    assert!(ended.stdout.contains("2020-01-01T00:00:00Z (over)"), "{ended:?}");

    let ended = host.run(&["undrain", "all"]);
    assert_eq!(said(&ended), (Some(0), "this host is drained no more; still drained: bk_iam, y\n"));
    assert_eq!(host.daemon.get("/").status, 200);
    assert_eq!(host.daemon.app("bk_iam").status, 503);
    assert_eq!(host.run(&["drain", "all"]).code, Some(0));
    assert_eq!(said(&host.run(&["undrain", "bk_iam"])), (Some(0), "bk_iam is drained no more, but this host is\n"));
}

#[test]
fn a_file_and_its_folders_are_open_to_the_server_whatever_the_umask() {
    let host = Host::start();
    let command = program_under(&["sh", "-c", "umask 077 && exec \"$@\"", "sh"]);
    assert_eq!(host.run_as(command, &["drain", "bk_iam"]).code, Some(0));
    let mode = |path: &str| fs::metadata(host.folder.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(["made", "made/drain", "made/drain/bk_iam"].map(mode), [0o755, 0o755, 0o644]);
}

#[test]
fn what_cannot_be_written_is_one_line() {
    let host = Host::start();
    fs::write(host.folder.join("file"), "").unwrap();
    let below = host.folder.join("file/drain").display().to_string();
    let ended = host.run(&["-drain-dir", &below, "drain", "bk_iam"]);
    let (code, line) = failed(&ended);
    assert_eq!(code, Some(71));
    assert!(line.starts_with(&format!("container-healthcheck: cannot write {below}/bk_iam: ")), "{line}");
    // Without any right, which root has to give up for it.
    let command = program_under(&["setpriv", "--reuid=65534", "--clear-groups", "--"]);
    if Command::new("setpriv").args(["--reuid=65534", "--clear-groups", "--", "true"]).status().is_ok_and(|status| status.success()) {
        fs::create_dir_all(&host.drains).unwrap();
        fs::set_permissions(&host.drains, fs::Permissions::from_mode(0o755)).unwrap();
        let readable = program_under(&["setpriv", "--reuid=65534", "--clear-groups", "--"]).arg("-version").output();
        if readable.is_ok_and(|output| output.status.success()) {
            let ended = host.run_as(command, &["drain", "bk_iam"]);
            let want = format!("container-healthcheck: cannot write {}/bk_iam: permission denied (use sudo)", host.drains);
            assert_eq!(failed(&ended), (Some(77), want.as_str()));
        }
    }
}

#[test]
fn wrong_usage_is_one_line() {
    for (args, words) in [
        (&["nonsense"][..], "unknown command \"nonsense\" (there are check, status, drain, undrain, drains;"),
        (&["check"], "container-healthcheck check APP [-wait TIME]"),
        (&["drain", "a/b"], "the name of an app"),
        (&["drain", "a", "-for", "never"], "-for wants a time"),
    ] {
        let mut command = program();
        command.args(args);
        let ended = run(command);
        let (code, line) = failed(&ended);
        assert!(code == Some(64) && line.contains(words), "{ended:?}");
    }
}

#[test]
fn a_server_is_found_by_its_prefix_and_by_its_socket() {
    let docker = FakeDocker::listing(apps("running", "Up 5 days"));
    docker.open_stream();
    let folder = Folder::new();
    let socket = format!("unix:{}", folder.join("socket").display());
    let daemon = Daemon::start(&docker.path(), &["-bind", &socket, "-prefix", "/p"]);
    daemon.wait_for_log("live");
    for bind in [&daemon.address().to_string(), &socket] {
        let mut command = program();
        command.args(["-prefix", "/p", "-bind", bind, "check", "bk_iam"]);
        assert_eq!(run(command).code, Some(0), "{bind}");
    }
}
