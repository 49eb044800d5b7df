//! The live view: events are facts, probes ask nobody, and what was known stands while Docker is gone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop, and lives in the world")]

mod support;

use support::{Daemon, FakeDocker, PREFIX, container_id, eventually, list};

/// A Docker that tells of events, with this list, and a daemon whose view of it is live.
fn live(containers: &[(&str, &str, &str)], args: &[&str]) -> (FakeDocker, Daemon) {
    let docker = FakeDocker::listing(list(containers));
    docker.open_stream();
    let daemon = Daemon::start(&docker.path(), args);
    daemon.wait_for_log("live containers=");
    (docker, daemon)
}

fn told(daemon: &Daemon, app: &str) -> (u16, String) {
    let answer = daemon.app(app);
    let reason = answer.json()["reason"].as_str().unwrap_or("up").to_owned();
    (answer.status, reason)
}

fn eventually_told(daemon: &Daemon, app: &str, status: u16, reason: &str) {
    eventually(reason, || told(daemon, app) == (status, reason.to_owned()));
}

/// The requests for lists of single containers.
fn looks(docker: &FakeDocker) -> usize {
    docker.requests().iter().filter(|request| request.contains("filters=%7B%22id%22")).count()
}

const UP: &[(&str, &str, &str)] = &[("app-1", "running", "Up 1 second")];

#[test]
fn a_probe_asks_nobody() {
    let (docker, daemon) = live(UP, &[]);
    let before = docker.requests().len();
    for _ in 0..100 {
        assert_eq!(told(&daemon, "app"), (200, "up".into()));
        assert_eq!(told(&daemon, "nobody"), (404, "no-container".into()));
    }
    assert_eq!(docker.requests().len(), before);
    assert_eq!(daemon.counter("docker_state{state=\"live\"}"), 1);
}

#[test]
fn a_death_is_told_though_the_lists_go_on_saying_running() {
    let (docker, daemon) = live(UP, &["-resync", "200ms"]);
    docker.event("die", "app-1", r#""exitCode":"137""#);
    eventually_told(&daemon, "app", 503, "exited");
    let lists = daemon.counter("docker_lists_total");
    // The looks after 0.3 and 1 s have come, and several lists of all: each contradicts, and none is believed.
    eventually("lists have contradicted", || {
        assert_eq!(told(&daemon, "app"), (503, "exited".into()));
        looks(&docker) >= 2 && daemon.counter("docker_lists_total") >= lists + 5
    });
    docker.list(list(&[("app-1", "exited", "Exited (137) 3 seconds ago")]));
    eventually("its own words", || daemon.app("app").json()["message"] == "app-1 is exited: Exited (137) 3 seconds ago");
    // Once a list has agreed, a later one is newer.
    docker.list(list(UP));
    eventually_told(&daemon, "app", 200, "up");
}

#[test]
fn each_event_is_a_fact() {
    let (docker, daemon) = live(UP, &[]);
    docker.event("pause", "app-1", "");
    eventually_told(&daemon, "app", 503, "paused");
    docker.event("unpause", "app-1", "");
    eventually_told(&daemon, "app", 200, "up");
    docker.event("health_status: unhealthy", "app-1", "");
    eventually_told(&daemon, "app", 503, "unhealthy");
    docker.event("health_status: healthy", "app-1", "");
    eventually_told(&daemon, "app", 200, "up");
    docker.event("exec_start: die", "app-1", "");
    docker.event("kill", "app-1", r#""signal":"9""#);
    docker.list("[]");
    docker.event("die", "app-1", "");
    docker.event("destroy", "app-1", "");
    eventually_told(&daemon, "app", 404, "no-container");
}

#[test]
fn life_comes_back_with_a_start() {
    let (docker, daemon) = live(UP, &[]);
    docker.event("die", "app-1", "");
    eventually_told(&daemon, "app", 503, "exited");
    docker.event("start", "app-1", "");
    eventually_told(&daemon, "app", 200, "up");
}

#[test]
fn a_new_container_is_asked_about_by_its_id_and_many_with_one_list() {
    let (docker, daemon) = live(UP, &[]);
    let lists = daemon.counter("docker_lists_total");
    docker.list(list(&[("app-1", "running", "Up 1 second"), ("new-1", "running", "Up 1 second")]));
    docker.event("create", "new-1", "");
    docker.event("start", "new-1", "");
    eventually_told(&daemon, "new", 200, "up");
    assert!(docker.requests().iter().any(|request| request.contains(&container_id("new-1"))));
    assert_eq!(daemon.counter("docker_lists_total"), lists, "no list of all for one container");

    let names: Vec<_> = (0..200).map(|number| format!("burst{number}-1")).collect();
    docker.list(list(&names.iter().map(|name| (name.as_str(), "running", "Up 1 second")).collect::<Vec<_>>()));
    for name in &names {
        docker.event("start", name, "");
    }
    eventually_told(&daemon, "burst199", 200, "up");
    eventually_told(&daemon, "burst0", 200, "up");
    let questions = daemon.counter("docker_lists_total") - lists + daemon.counter("docker_looks_total");
    assert!(questions < 100, "{questions} questions about 200 containers");
}

#[test]
fn a_rename_moves_a_container_to_another_app() {
    let (docker, daemon) = live(UP, &[]);
    let line = format!(
        r#"{{"Type":"container","Action":"rename","Actor":{{"ID":"{}","Attributes":{{"name":"other-1","oldName":"/app-1"}}}},"timeNano":7}}"#,
        container_id("app-1")
    );
    docker.send_line(&line);
    eventually_told(&daemon, "other", 200, "up");
    assert_eq!(told(&daemon, "app"), (404, "no-container".into()));
}

#[test]
fn a_replayed_event_changes_nothing() {
    let (docker, daemon) = live(UP, &[]);
    let line = |action: &str, nanos: u64| {
        format!(
            r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{}","Attributes":{{"name":"app-1"}}}},"timeNano":{nanos}}}"#,
            container_id("app-1")
        )
    };
    docker.send_line(&line("die", 1));
    docker.send_line(&line("start", 2));
    eventually("both were read", || daemon.counter("docker_events_total") == 2);
    docker.drop_listeners();
    eventually("it listens again", || docker.listeners() == 1);
    docker.send_line(&line("die", 1));
    docker.send_line(&line("start", 2));
    docker.send_line(&line("pause", 3));
    eventually_told(&daemon, "app", 503, "paused");
    assert_eq!(daemon.counter("docker_events_total"), 3);
}

#[test]
fn a_line_that_is_too_long_causes_a_list_and_not_the_end_of_the_stream() {
    let (docker, daemon) = live(UP, &[]);
    docker.list(list(&[("app-1", "exited", "Exited (1) 1 second ago")]));
    docker.send_line(&format!(r#"{{"Type":"container","x":"{}"}}"#, "x".repeat(1024 * 1024)));
    eventually_told(&daemon, "app", 503, "exited");
    assert_eq!(daemon.counter("docker_events_too_long_total"), 1);
    assert_eq!(docker.listeners(), 1);
}

#[test]
fn what_an_event_said_stands_though_the_stream_is_cut_right_behind_it() {
    let (docker, daemon) = live(UP, &[]);
    docker.event("die", "app-1", "");
    eventually_told(&daemon, "app", 503, "exited");
    docker.cut_stream();
    daemon.wait_for_log("blind");
    let lists = daemon.counter("docker_lists_total");
    for _ in 0..5 {
        assert_eq!(told(&daemon, "app"), (503, "exited".into()), "the list lies");
    }
    assert!(daemon.counter("docker_lists_total") >= lists + 5, "each probe asked");
}

#[test]
fn while_docker_is_gone_the_last_facts_stand_for_the_grace() {
    let (docker, daemon) =
        live(&[("app-1", "running", "Up 1 second"), ("dead-1", "exited", "Exited (1) 1 hour ago")], &["-docker-grace", "60s"]);
    docker.vanish();
    docker.drop_listeners();
    daemon.wait_for_log("docker lost");
    let answer = daemon.app("app");
    assert!(answer.status == 200 && answer.body.ends_with(r#"},"stale":true}"#), "{answer:?}");
    assert_eq!(told(&daemon, "dead"), (503, "exited".into()));
    assert_eq!(daemon.get(&format!("{PREFIX}/ready")).status, 200);
    docker.listen();
    eventually("Docker is found", || !daemon.app("app").body.contains("stale"));
    eventually("the view is live", || daemon.counter("docker_state{state=\"live\"}") == 1);
}

#[test]
fn after_the_grace_nobody_knows() {
    let (docker, daemon) = live(UP, &["-docker-grace", "500ms"]);
    docker.vanish();
    docker.drop_listeners();
    daemon.wait_for_log("docker lost");
    eventually_told(&daemon, "app", 503, "docker-unreachable");
    assert_eq!(daemon.get(&format!("{PREFIX}/ready")).status, 503);
    docker.listen();
    eventually_told(&daemon, "app", 200, "up");
}

#[test]
fn a_docker_that_hangs_is_found_by_the_next_list() {
    let (docker, daemon) = live(UP, &["-docker-grace", "60s", "-resync", "200ms", "-docker-timeout", "300ms"]);
    docker.behave(|stream, _| support::hang(stream));
    eventually("it is found", || daemon.app("app").body.ends_with(r#","stale":true}"#));
    assert_eq!(docker.listeners(), 1, "the stream is merely silent");
    docker.list(list(UP));
    eventually("it is back", || daemon.counter("docker_state{state=\"live\"}") == 1);
}
