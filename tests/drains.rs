//! Drains: files that say that an app, or the host, is not to be used.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop, and lives in the world")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use container_healthcheck::limits;
use support::{Answer, Daemon, FakeDocker, Folder, PREFIX, eventually, list};

/// In this time a file that was made or removed is seen.
const SEEN: Duration = Duration::from_secs(2);

/// A folder of drains, and a daemon that looks at it.
struct Host {
    docker: FakeDocker,
    daemon: Daemon,
    folder: Folder,
}

impl Host {
    fn start(args: &[&str]) -> Self {
        Self::start_with(&[], args)
    }

    /// With these files from the start.
    fn start_with(files: &[(&str, &str)], args: &[&str]) -> Self {
        let docker = FakeDocker::listing(list(&[("app-1", "running", "Up 5 days"), ("other-1", "running", "Up 5 days")]));
        docker.open_stream();
        let folder = Folder::new();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let daemon = start(&docker, &folder, args);
        Self { docker, daemon, folder }
    }

    /// Puts a file there in one piece.
    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        let whole = self.folder.join(".new");
        fs::write(&whole, text).unwrap();
        fs::rename(whole, self.folder.join(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.join(name)).unwrap();
    }

    /// Waits for an answer of that kind, which has to come in the time in which files are seen.
    fn soon(&self, path: &str, what: &str, is_so: impl Fn(&Answer) -> bool) -> Answer {
        let began = Instant::now();
        let mut answer = self.daemon.get(path);
        eventually(what, || {
            answer = self.daemon.get(path);
            is_so(&answer)
        });
        assert!(began.elapsed() < SEEN, "{what} after {:?}", began.elapsed());
        answer
    }

    fn drained(&self, app: &str) -> Answer {
        let answer = self.soon(&path(app), "drained", |answer| answer.status != 200);
        assert_eq!(answer.verdict(), (503, 12, "drained".into()));
        answer
    }

    fn up(&self, app: &str) {
        self.soon(&path(app), "up", |answer| answer.status == 200);
    }
}

fn start(docker: &FakeDocker, folder: &Folder, args: &[&str]) -> Daemon {
    let mut all = vec!["-drain-dir", folder.path().to_str().unwrap()];
    all.extend_from_slice(args);
    let daemon = Daemon::start(&docker.path(), &all);
    daemon.wait_for_log("live");
    daemon
}

fn path(app: &str) -> String {
    format!("{PREFIX}/apps/health/{app}")
}

fn message(answer: &Answer) -> String {
    answer.json()["message"].as_str().unwrap_or_default().to_owned()
}

fn in_seconds(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(SystemTime::now() + Duration::from_secs(seconds)).to_string()
}

#[test]
fn a_touched_file_drains_an_app_and_no_other() {
    let host = Host::start(&[]);
    assert_eq!(host.daemon.app("app").status, 200);
    fs::write(host.folder.join("app"), "").unwrap();
    let answer = host.drained("app");
    assert_eq!(message(&answer), "app is drained");
    assert_eq!(answer.field("retry-after"), None);
    assert_eq!(host.daemon.app("other").status, 200);
    assert!(host.daemon.counter("probes_drained_total") > 0);
    assert_eq!(host.daemon.get("/").status, 200);
    for method in ["HEAD", "OPTIONS"] {
        let mut client = host.daemon.connect();
        client.send(&format!("{method} {} HTTP/1.1\r\nHost: h\r\n\r\n", path("app")));
        assert_eq!(client.answer_to(method).unwrap().status, 503, "{method}");
    }
    host.remove("app");
    host.up("app");
    host.daemon.wait_for_log("app is drained no more: its file is gone");
}

#[test]
fn what_a_file_says_is_told_and_may_change() {
    let host = Host::start(&[]);
    host.put("app", "reason: deploy 2.3\nby: root\n");
    assert_eq!(message(&host.drained("app")), "app is drained: deploy 2.3 (by root)");
    // In place, with the same length.
    fs::write(host.folder.join("app"), "reason: deploy 2.4\nby: root\n").unwrap();
    host.soon(&path("app"), "the new reason", |answer| message(answer) == "app is drained: deploy 2.4 (by root)");
}

#[test]
fn the_whole_host_is_drained_and_still_lives() {
    let host = Host::start(&[]);
    host.put("all", "reason: new kernel\n");
    host.soon("/", "the host is drained", |answer| answer.status == 503);
    for path in ["/", &format!("{PREFIX}/ready"), &path("app"), &path("no_such_app")] {
        let answer = host.daemon.get(path);
        assert_eq!(answer.verdict(), (503, 12, "drained".into()), "{path}");
        assert_eq!(message(&answer), "this host is drained: new kernel", "{path}");
    }
    assert_eq!(host.daemon.get(&format!("{PREFIX}/health")).status, 200);
    host.put("app", "reason: its own\n");
    host.soon(&path("app"), "its own drain", |answer| message(answer) == "app is drained: its own");
    host.remove("all");
    host.up("other");
    assert_eq!(host.daemon.get("/").status, 200);
    assert_eq!(host.daemon.app("app").status, 503);
}

#[test]
fn a_drain_ends_by_itself_and_says_when() {
    let host = Host::start(&[]);
    host.put("app", format!("until: {}\n", in_seconds(4)));
    let mut left: u64 = host.drained("app").field("retry-after").unwrap().parse().unwrap();
    assert!((1..=4).contains(&left), "{left}");
    let began = Instant::now();
    eventually("it is over", || {
        let answer = host.daemon.app("app");
        if answer.status == 200 {
            return true;
        }
        let now = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=left).contains(&now), "{now} after {left}");
        left = now;
        false
    });
    assert_eq!(left, 1, "it was counted down");
    assert!(began.elapsed() < Duration::from_secs(5));
    host.daemon.wait_for_log("app is drained no more: its time is over");
    assert!(host.folder.join("app").exists());
}

#[test]
fn a_file_that_is_none_drains_all_the_same_and_is_warned_of_once() {
    let host = Host::start(&[]);
    let cases: &[(&str, Vec<u8>)] = &[
        ("half", b"reason: x\nuntil: 2026-11-2".to_vec()),
        ("bytes", b"\xff\xfe".to_vec()),
        ("unknown", b"owner: root\n".to_vec()),
        ("long", vec![b'\n'; limits::DRAIN_BYTES + 1]),
    ];
    for (name, text) in cases {
        host.put(name, text);
    }
    fs::create_dir(host.folder.join("folder")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(host.folder.join("pipe")).status().unwrap().success());
    symlink("/no/such/file", host.folder.join("nowhere")).unwrap();
    symlink("/dev/zero", host.folder.join("zero")).unwrap();
    let names = ["half", "bytes", "unknown", "long", "folder", "pipe", "nowhere", "zero"];
    for name in names {
        let answer = host.soon(&path(name), name, |answer| answer.verdict().2 == "drained");
        assert_eq!(message(&answer), format!("{name} is drained"));
    }
    // It is looked at a few times more.
    host.put("later", "");
    host.soon(&path("later"), "later", |answer| answer.verdict().2 == "drained");
    host.put("still", "");
    host.soon(&path("still"), "still", |answer| answer.verdict().2 == "drained");
    let log = host.daemon.log();
    for name in names {
        let warning = format!("WARN  {name} is drained, though its file is not as it should be: ");
        assert_eq!(log.matches(&warning).count(), 1, "{name}: {log}");
    }
    assert_eq!(log.matches("WARN").count(), names.len(), "{log}");
    assert_eq!(host.daemon.counter("drain_faults_total"), names.len() as u64);
}

#[test]
fn a_file_that_may_not_be_read_drains() {
    let host = Host::start(&[]);
    let file = host.folder.join("app");
    fs::write(&file, "reason: secret\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read anything.
    if fs::read(&file).is_err() {
        assert_eq!(message(&host.drained("app")), "app is drained");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    host.soon(&path("app"), "its reason", |answer| message(answer) == "app is drained: secret");
}

#[test]
fn other_files_are_nobody_s_drains() {
    let host = Host::start(&[]);
    for name in [".app", "app~", "#app#", ".app.swp"] {
        host.put(name, "");
    }
    host.put("other", "");
    host.drained("other");
    assert_eq!(host.daemon.app("app").status, 200);
}

#[test]
fn a_folder_that_comes_late_goes_or_cannot_be_read() {
    let place = Folder::new();
    let (link, folder, file) = (place.join("link"), place.join("folder"), place.join("file"));
    let host = Host::start(&["-drain-dir", link.to_str().unwrap()]);
    assert_eq!(host.daemon.app("app").status, 200);
    let lead = |to: &Path| {
        symlink(to, place.join("new")).unwrap();
        fs::rename(place.join("new"), &link).unwrap();
    };
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("app"), "").unwrap();
    lead(&folder);
    host.drained("app");
    // What was drained stays so while nobody can tell: this is no folder.
    fs::write(&file, "").unwrap();
    lead(&file);
    host.daemon.wait_for_log("WARN  cannot read the folder of drains ");
    assert_eq!(host.daemon.app("app").status, 503);
    fs::remove_file(&link).unwrap();
    host.up("app");
    assert_eq!(host.daemon.log().matches("WARN").count(), 1, "{}", host.daemon.log());
}

#[test]
fn too_many_files_leave_what_was_drained_and_the_host_can_be() {
    let host = Host::start(&[]);
    host.put("app", "");
    host.drained("app");
    // None of these is a drain's, so that it does not matter which of them are seen before there are too many.
    for number in 0..=limits::DRAIN_FILES {
        fs::write(host.folder.join(&format!(".{number}")), "").unwrap();
    }
    host.daemon.wait_for_log("there are too many files in it");
    assert_eq!(host.daemon.app("app").status, 503);
    host.put("all", "");
    host.soon("/", "the host is drained", |answer| answer.status == 503);
    host.put("other", "");
    host.put("all", "reason: again\n");
    host.soon("/", "the reason has been read", |answer| message(answer) == "this host is drained: again");
    host.remove("all");
    host.soon("/", "the host is drained no more", |answer| answer.status == 200);
    assert_eq!((host.daemon.app("app").status, host.daemon.app("other").status), (503, 200), "a new one is not seen");
    host.remove("app");
    host.up("app");
    assert_eq!(host.daemon.log().matches("WARN").count(), 1, "said once: {}", host.daemon.log());
    assert_eq!(host.daemon.counter("drain_faults_total"), 1);
    for number in 0..2 {
        host.remove(&format!(".{number}"));
    }
    host.drained("other");
}

#[test]
fn it_is_drained_from_its_first_answer_on() {
    let mut host = Host::start_with(&[("app", "reason: before the start\n")], &[]);
    assert_eq!(message(&host.daemon.app("app")), "app is drained: before the start");
    drop(host.daemon);
    host.daemon = start(&host.docker, &host.folder, &[]);
    assert_eq!(message(&host.daemon.app("app")), "app is drained: before the start");
}

#[test]
fn it_is_drained_whatever_docker_says() {
    let host = Host::start(&["-docker-timeout", "60s"]);
    host.put("app", "");
    host.put("without_container", "");
    host.drained("app");
    host.soon(&path("without_container"), "drained", |answer| answer.status == 503);
    host.docker.cut_stream();
    host.docker.vanish();
    host.daemon.wait_for_log("docker lost");
    assert_eq!(host.daemon.app("app").verdict(), (503, 12, "drained".into()));
    assert_eq!(host.daemon.app("other").verdict(), (503, 10, "docker-unreachable".into()));
    host.put("all", "");
    host.soon("/", "the host is drained", |answer| answer.verdict().2 == "drained");
}

#[test]
fn who_waits_for_docker_is_told_of_a_drain() {
    let docker = FakeDocker::listing(list(&[("app-1", "running", "Up 5 days")]));
    let folder = Folder::new();
    let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "60s", "-drain-dir", folder.path().to_str().unwrap()]);
    daemon.wait_for_log("blind");
    let gate = docker.hold_back("[]");
    let mut client = daemon.connect();
    client.send(&format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", path("app")));
    eventually("it waits", || daemon.counter("probes_total") == 1);
    fs::write(folder.join("app"), "").unwrap();
    assert_eq!(client.answer().verdict(), (503, 12, "drained".into()));
    gate.open();
}
