//! `P/metrics`: what Prometheus is told.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may stop, and lives in the world"
)]
#![allow(clippy::cast_precision_loss, reason = "they are compared roughly")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::SystemTime;
use std::{fs, thread};

use support::{Answer, Daemon, FakeDocker, Folder, PREFIX, container, eventually, is_there, live};

fn metrics(daemon: &Daemon) -> Answer {
    daemon.get(&format!("{PREFIX}/metrics"))
}

#[test]
fn the_memory_of_a_large_answer_is_given_back() {
    let docker = FakeDocker::hung();
    docker.holds((0..1000).map(|number| container(&format!("app{number}-1"), "running", "Up 3 minutes")).collect());
    docker.open_stream();
    let daemon = Daemon::start(&docker.path(), &["-resync", "1h"]);
    // Nobody has asked for metrics yet.
    daemon.wait_for_log("live containers=1000");
    let rests = || {
        // Once it answers, it has done with what it answered before.
        daemon.get(&format!("{PREFIX}/health"));
        daemon.memory("RssAnon") * 1024
    };
    let before = rests();
    // The allocator learns from the first one.
    let length = (0..3).map(|_| metrics(&daemon).body.len() as u64).max().unwrap();
    let after = rests();
    assert!(length > 256 * 1024 && after < before + length / 2, "{length} bytes of metrics: from {before} bytes to {after}");
}

#[test]
fn whoever_asks_in_the_same_turn_is_told_the_same() {
    let (_docker, daemon) = live(vec![container("a-1", "running", "Up 3 minutes")], &[]);
    let mut clients: Vec<_> = (0..20).map(|_| daemon.connect()).collect();
    daemon.signal("STOP");
    for client in &mut clients {
        client.send(&format!("GET {PREFIX}/metrics HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    daemon.signal("CONT");
    let mut bodies: Vec<_> = clients.iter_mut().map(|client| client.answer().body).collect();
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "they were made anew for each");
}

#[test]
fn a_question_about_all_apps_that_is_refused_is_counted_as_one() {
    let (_docker, daemon) = live(Vec::new(), &[]);
    for (count, query) in [(1, "require=%28"), (2, "index=x")] {
        assert_eq!(daemon.get(&format!("{PREFIX}/apps?{query}")).status, 400);
        assert_eq!(daemon.counter("http_requests_total{path=\"apps\",code=\"400\"}"), count, "{query}");
        assert_eq!(daemon.counter("bad_queries_total"), count, "{query}");
    }
}

/// The value of a sample whose name has nothing of ours before it.
fn process(answer: &Answer, name: &str) -> f64 {
    let line = answer.body.lines().find_map(|line| line.strip_prefix("process_")?.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {answer:?}")).parse().unwrap()
}

#[test]
fn each_app_has_its_rows_and_they_move() {
    let drains = Folder::new();
    let folder = drains.path().display().to_string();
    let (docker, daemon) = live(
        vec![container("a-1", "running", "Up 3 minutes"), container("a-2", "exited", "Exited (1)"), container("b-1", "running", "Up")],
        &["-apps=c", "-drain-dir", &folder],
    );
    let before = metrics(&daemon);
    assert_eq!(before.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for (name, want) in [
        ("app_up{app=\"a\"}", 1),
        ("app_up{app=\"c\"}", 0),
        ("app_containers{app=\"a\"}", 2),
        ("app_containers{app=\"c\"}", 0),
        ("app_state{app=\"a\",state=\"up\"}", 1),
        ("app_state{app=\"c\",state=\"no-container\"}", 1),
        ("app_drained{app=\"b\"}", 0),
        ("app_transitions_total{app=\"b\"}", 0),
        ("app_last_transition_timestamp_seconds{app=\"b\"}", 1_709_878_119),
        ("containers", 3),
    ] {
        assert_eq!(before.counter(name), want, "{name}");
    }
    assert!(before.counter("docker_last_success_timestamp_seconds") > 1_709_878_119);
    assert!(before.counter("docker_list_duration_seconds_count") > 0);
    docker.event("die", "b-1", "\"exitCode\":\"1\"");
    eventually("it is down", || daemon.counter("app_up{app=\"b\"}") == 0);
    docker.event("start", "b-1", "");
    eventually("it is up", || daemon.counter("app_up{app=\"b\"}") == 1);
    let after = metrics(&daemon);
    assert_eq!(after.counter("app_transitions_total{app=\"b\"}"), 2);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(now - after.counter("app_last_transition_timestamp_seconds{app=\"b\"}") < 60);
    fs::write(drains.join("a"), "").unwrap();
    eventually("it is drained", || daemon.counter("app_drained{app=\"a\"}") == 1);
    assert_eq!(daemon.counter("app_state{app=\"a\",state=\"drained\"}"), 1);
}

#[test]
fn requests_are_counted_by_path_and_status() {
    let (_docker, daemon) = live(vec![container("a", "running", "Up")], &[]);
    for path in ["/health", "/apps", "/apps/health/a", "/apps/health/b", "/apps/health/(", "/nothing", "/status"] {
        daemon.get(&format!("{PREFIX}{path}"));
    }
    let answer = metrics(&daemon);
    for (path, code) in [("health", 200), ("apps", 200), ("app", 200), ("app", 404), ("app", 400), ("other", 404), ("status", 200)] {
        assert_eq!(answer.counter(&format!("http_requests_total{{path=\"{path}\",code=\"{code}\"}}")), 1, "{path} {code}");
    }
}

#[test]
fn the_process_is_as_the_system_says() {
    let (_docker, daemon) = live(vec![], &[]);
    let answer = metrics(&daemon);
    let (resident, really) = (process(&answer, "resident_memory_bytes"), daemon.memory("VmRSS") as f64 * 1024.0);
    assert!((resident / really - 1.0).abs() < 0.5, "{resident} {really}");
    assert!((process(&answer, "open_fds") - daemon.descriptors().len() as f64).abs() <= 2.0);
    assert!(process(&answer, "max_fds") >= process(&answer, "open_fds"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((0.0..60.0).contains(&(now - process(&answer, "start_time_seconds"))));
    assert!((process(&answer, "cpu_seconds_total") - daemon.ticks() as f64 / 100.0).abs() < 0.5);
}

#[test]
fn prometheus_has_nothing_to_object_to() {
    if !is_there("promtool") {
        return;
    }
    let (_docker, daemon) = live(vec![container("a", "running", "Up"), container("b-1", "exited", "Exited (1)")], &["-ngx-port=1"]);
    let text = metrics(&daemon).body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
