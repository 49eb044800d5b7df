//! The live view on the wire: what an event says is so at once, whatever a list says, and no probe costs Docker a question.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, reason = "a test may stop, and lives in the world")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use container_healthcheck::limits;
use support::{Answer, Daemon, FakeDocker, Gate, PREFIX, container, container_id, eventually, hang, list, send_list};

/// `name state status`, as they are listed.
type Listed<'a> = &'a [(&'a str, &'a str, &'a str)];

const UP: &str = "Up 3 minutes";

fn all(containers: Listed<'_>) -> Vec<String> {
    containers.iter().map(|(name, state, status)| container(name, state, status)).collect()
}

fn lists(docker: &FakeDocker, containers: Listed<'_>) {
    docker.holds(all(containers));
}

fn live(containers: Listed<'_>, args: &[&str]) -> (FakeDocker, Daemon) {
    support::live(all(containers), args)
}

/// How many questions there were, and how many of them about single containers.
fn questions(docker: &FakeDocker) -> (usize, usize) {
    let requests = docker.requests();
    (requests.len(), requests.iter().filter(|head| head.contains("filters=%7B%22id%22")).count())
}

fn down(reason: &str) -> (u16, u64, String) {
    (503, 12, reason.to_owned())
}

fn is_stale(answer: &Answer) -> bool {
    answer.status == 200 && answer.body.starts_with(r#"{"code":0,"#) && answer.body.ends_with(r#"},"stale":true}"#)
}

fn is_fresh(answer: &Answer) -> bool {
    answer.status == 200 && !answer.body.contains("stale")
}

/// An event in the words of API 1.52, which has no `status`, `id` and `from`, of the container that was once made by the name `first`.
fn modern(action: &str, first: &str, name: &str) -> String {
    static CLOCK: AtomicUsize = AtomicUsize::new(0);
    let nanos = 1_795_378_999_000_000_000 + CLOCK.fetch_add(1, Ordering::SeqCst);
    let id = container_id(first);
    format!(
        r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"exitCode":"137","image":"i","name":"{name}","oldName":"/{first}"}}}},"scope":"local","time":{},"timeNano":{nanos}}}"#,
        nanos / 1_000_000_000
    )
}

#[test]
fn probes_ask_nothing_of_docker() {
    let (docker, daemon) = live(&[("app", "running", UP), ("gone-1", "exited", "Exited (1) 2 days ago")], &[]);
    let before = questions(&docker);
    let mut client = daemon.connect();
    for _ in 0..100 {
        assert!(is_fresh(&client.get(&format!("{PREFIX}/apps/health/app"))));
        assert_eq!(client.get(&format!("{PREFIX}/apps/health/gone")).verdict(), down("exited"));
        assert_eq!(client.get(&format!("{PREFIX}/apps/health/other")).status, 404);
    }
    assert_eq!(questions(&docker), before);
}

#[test]
fn a_death_is_told_at_once_and_stands_against_lists_that_deny_it() {
    let (docker, daemon) = live(&[("app", "running", UP), ("other", "running", UP)], &[]);
    let (all, about) = questions(&docker);
    docker.event("die", "app", r#""exitCode":"137""#);
    assert_eq!(daemon.app("app").verdict(), down("exited"));
    assert!(daemon.app("app").json()["message"].as_str().unwrap().contains("Exited (137) "));
    for look in 1..=3 {
        eventually("it is looked at", || questions(&docker).1 >= about + look);
        // The answer is on its way or there: neither makes a difference.
        for _ in 0..20 {
            assert_eq!(daemon.app("app").verdict(), down("exited"), "after look {look}");
        }
        assert_eq!(daemon.app("other").status, 200);
    }
    let looked = questions(&docker);
    assert_eq!(looked.0 - all, looked.1 - about, "no other list is asked for");
    let request = docker.requests().pop().unwrap();
    assert!(request.contains(&container_id("app")) && !request.contains(&container_id("other")), "{request}");

    // It is known to have no HEALTHCHECK, so that the event is all.
    docker.event("start", "app", "");
    assert!(is_fresh(&daemon.app("app")));
    assert_eq!(questions(&docker), looked);
}

#[test]
fn a_start_of_one_with_a_healthcheck_is_asked_about_by_id_once() {
    let (docker, daemon) = live(&[("app", "running", "Up 3 minutes (healthy)"), ("other", "running", UP)], &[]);
    lists(&docker, &[("app", "exited", "Exited (1) 5 minutes ago"), ("other", "running", UP)]);
    docker.event("die", "app", r#""exitCode":"1""#);
    assert_eq!(daemon.app("app").verdict(), down("exited"));
    // From then on nobody looks at it.
    eventually("a list has agreed", || daemon.app("app").body.contains("5 minutes ago"));
    lists(&docker, &[("app", "running", "Up 1 second (health: starting)"), ("other", "running", UP)]);
    let (all, about) = questions(&docker);
    docker.event("start", "app", "");
    assert_eq!(daemon.app("app").verdict(), down("starting"));
    assert_eq!(questions(&docker), (all + 1, about + 1));
    docker.event("health_status: healthy", "app", "");
    assert!(is_fresh(&daemon.app("app")));
    docker.event("health_status: unhealthy", "app", "");
    assert_eq!(daemon.app("app").verdict(), down("unhealthy"));
    docker.event("health_status: healthy", "app", "");
    assert!(is_fresh(&daemon.app("app")));
    assert_eq!(questions(&docker), (all + 1, about + 1));
}

#[test]
fn pause_rename_and_removal_are_told_at_once() {
    let (docker, daemon) = live(&[("app-1", "running", UP)], &[]);
    docker.event("pause", "app-1", "");
    assert_eq!(daemon.app("app").verdict(), down("paused"));
    eventually("a list has denied it", || questions(&docker).1 > 0);
    assert_eq!(daemon.app("app").verdict(), down("paused"));
    docker.event("unpause", "app-1", "");
    assert!(is_fresh(&daemon.app("app")));

    // For a moment a container has both names in lists.
    let both = container("app-1", "running", UP).replace(r#"["/app-1"]"#, r#"["/app-1","/web-2"]"#);
    docker.list(format!("[{both}]"));
    docker.send_line(&modern("rename", "app-1", "web-2"));
    assert_eq!(daemon.app("app").status, 404);
    assert_eq!(daemon.app("web").json()["message"]["names"], "web-2");
    let (_, about) = questions(&docker);
    eventually("a list has denied it", || questions(&docker).1 > about);
    for _ in 0..20 {
        assert_eq!((daemon.app("app").status, daemon.app("web").status), (404, 200));
    }

    docker.send_line(&modern("destroy", "app-1", "web-2"));
    assert_eq!(daemon.app("web").verdict(), (404, 12, "no-container".into()));
    let (_, about) = questions(&docker);
    eventually("a list has denied it", || questions(&docker).1 > about);
    for _ in 0..20 {
        assert_eq!((daemon.app("app").status, daemon.app("web").status), (404, 404));
    }
}

#[test]
fn a_new_container_is_asked_about_by_id() {
    let (docker, daemon) = live(&[("other", "running", UP)], &[]);
    assert_eq!(daemon.app("app").status, 404);
    let (all, about) = questions(&docker);
    lists(&docker, &[("other", "running", UP), ("app-1", "created", "Created")]);
    docker.event("create", "app-1", "");
    assert_eq!(daemon.app("app").verdict(), down("created"));
    assert_eq!(questions(&docker), (all + 1, about + 1));
    lists(&docker, &[("other", "running", UP), ("app-1", "running", "Up Less than a second")]);
    docker.event("start", "app-1", "");
    assert!(is_fresh(&daemon.app("app")));
    assert_eq!(questions(&docker), (all + 2, about + 2));
}

#[test]
fn many_new_containers_are_asked_about_with_one_list() {
    let (docker, daemon) = live(&[], &[]);
    let (all, about) = questions(&docker);
    let names: Vec<_> = (0..60).map(|number| format!("burst{number}-1")).collect();
    let containers: Vec<_> = names.iter().map(|name| (name.as_str(), "running", UP)).collect();
    lists(&docker, &containers);
    daemon.freeze();
    for name in &names {
        docker.event("start", name, "");
    }
    daemon.signal("CONT");
    for number in 0..60 {
        assert_eq!(daemon.app(&format!("burst{number}")).status, 200);
    }
    // The first that are read can be asked about before the rest is.
    let (all_now, about_now) = questions(&docker);
    assert!(about_now - about <= 1, "{}", about_now - about);
    assert_eq!(all_now - about_now, all - about + 1);
}

#[test]
fn a_replayed_event_changes_nothing() {
    let (docker, daemon) = live(&[("app", "running", UP)], &[]);
    let death = modern("die", "app", "app");
    docker.send_line(&death);
    assert_eq!(daemon.app("app").verdict(), down("exited"));
    assert!(daemon.app("app").json()["message"].as_str().unwrap().contains("Exited (137) "));
    docker.send_line(&modern("start", "app", "app"));
    assert_eq!(daemon.app("app").status, 200);
    let events = daemon.counter("docker_events_total");
    docker.send_line(&death);
    assert_eq!(daemon.app("app").status, 200);
    assert_eq!(daemon.counter("docker_events_total"), events);
    // The same in other words is another one.
    docker.send_line(&modern("die", "app", "app"));
    assert_eq!(daemon.app("app").verdict(), down("exited"));
    assert_eq!(daemon.counter("docker_events_total"), events + 1);
}

#[test]
fn a_stream_of_nonsense_is_counted_and_one_that_is_cut_is_not() {
    let (docker, daemon) = live(&[("app", "running", UP)], &[]);
    docker.drop_listeners();
    eventually("it has been opened anew", || daemon.counter("docker_streams_total") == 2 && docker.listeners() == 1);
    assert_eq!(daemon.counter("docker_streams_failed_total"), 0);
    docker.send_line("nonsense");
    eventually("it is counted", || daemon.counter("docker_streams_failed_total") == 1);
    assert_eq!(daemon.counter("docker_failures_total"), 0);
}

#[test]
fn an_event_that_is_too_long_is_made_up_for_by_a_list() {
    let (docker, daemon) = live(&[("app", "running", UP), ("other", "running", UP)], &[]);
    let before = docker.requests().len();
    lists(&docker, &[("app", "exited", "Exited (1) 1 second ago"), ("other", "running", UP)]);
    docker.event("die", "app", &format!(r#""label":"{}""#, "x".repeat(1024 * 1024)));
    eventually("it is learnt from a list", || daemon.app("app").verdict() == down("exited"));
    assert_eq!(daemon.counter("docker_events_too_long_total"), 1);
    assert_eq!(docker.requests().len(), before + 1);
    docker.event("die", "other", r#""exitCode":"0""#);
    assert_eq!(daemon.app("other").verdict(), down("exited"));
    assert_eq!((docker.listeners(), daemon.counter("docker_streams_total")), (1, 1));
}

#[test]
fn a_death_stands_though_the_stream_ends_behind_it() {
    let (docker, daemon) = live(&[("app", "running", UP), ("other", "running", UP)], &[]);
    docker.event("die", "app", r#""exitCode":"137""#);
    docker.cut_stream();
    daemon.is("blind");
    daemon.wait_for_log("blind, each probe asks docker: ");
    let (all, _) = questions(&docker);
    for asked in 1..=5 {
        assert_eq!(daemon.app("app").verdict(), down("exited"));
        assert!(questions(&docker).0 >= all + asked);
    }
    assert_eq!(daemon.app("other").status, 200);

    docker.open_stream();
    daemon.is("live");
    assert_eq!(daemon.app("app").verdict(), down("exited"));
    docker.event("start", "app", "");
    assert_eq!(daemon.app("app").status, 200);
}

#[test]
fn without_events_each_probe_asks_for_a_list() {
    let docker = FakeDocker::hung();
    lists(&docker, &[("app", "running", UP)]);
    let daemon = Daemon::start(&docker.path(), &[]);
    daemon.wait_for_log("blind, each probe asks docker: ");
    daemon.is("blind");
    let before = docker.requests().len();
    for probe in 1..=10 {
        let (state, expected) = if probe % 2 == 0 { ("running", 200) } else { ("exited", 503) };
        lists(&docker, &[("app", state, UP)]);
        assert_eq!(daemon.app("app").status, expected);
        assert_eq!(docker.requests().len(), before + probe);
    }
    assert_eq!(daemon.get(&format!("{PREFIX}/ready")).status, 200);
}

#[test]
fn while_docker_is_away_the_last_facts_stand_for_the_grace() {
    let (docker, daemon) = live(&[("app", "running", UP), ("dead", "running", UP)], &["-docker-grace", "60s"]);
    docker.event("die", "dead", r#""exitCode":"1""#);
    assert_eq!(daemon.app("dead").verdict(), down("exited"));
    docker.vanish();
    docker.drop_listeners();
    daemon.is("stale");
    daemon.wait_for_log("docker lost: ");
    for _ in 0..20 {
        assert!(is_stale(&daemon.app("app")), "{:?}", daemon.app("app"));
        assert_eq!(daemon.app("dead").verdict(), down("exited"));
        assert_eq!(daemon.app("other").status, 404);
        assert_eq!(daemon.get(&format!("{PREFIX}/ready")).status, 200);
    }
    lists(&docker, &[("app", "running", UP), ("dead", "exited", "Exited (1) 9 seconds ago")]);
    docker.listen();
    daemon.is("live");
    assert!(is_fresh(&daemon.app("app")));
    assert_eq!(daemon.app("dead").verdict(), down("exited"));
}

#[test]
fn without_a_grace_nothing_is_known_once_docker_is_away() {
    let (docker, daemon) = live(&[("app", "running", UP)], &["-docker-grace", "0s"]);
    docker.vanish();
    docker.drop_listeners();
    for _ in 0..10 {
        assert_eq!(daemon.app("app").verdict(), (503, 10, "docker-unreachable".into()));
        assert_eq!(daemon.get(&format!("{PREFIX}/ready")).verdict(), (503, 10, "docker-unreachable".into()));
    }
    docker.listen();
    daemon.is("live");
    assert!(is_fresh(&daemon.app("app")));
}

#[test]
fn a_docker_that_hangs_behind_an_open_stream_is_found_out() {
    let args = ["-resync", "1s", "-docker-timeout", "500ms", "-docker-grace", "60s"];
    let (docker, daemon) = live(&[("app", "running", UP)], &args);
    let streams = daemon.counter("docker_streams_total");
    docker.behave(|stream, _| hang(stream));
    daemon.is("stale");
    assert!(is_stale(&daemon.app("app")));
    assert_eq!(daemon.get(&format!("{PREFIX}/ready")).status, 200);
    // What events say goes on counting.
    docker.event("die", "app", r#""exitCode":"1""#);
    eventually("the death is told", || daemon.app("app").verdict() == down("exited"));
    lists(&docker, &[("app", "exited", "Exited (1) 1 second ago")]);
    daemon.is("live");
    // It shows before it is told.
    lists(&docker, &[("app", "running", "Up 1 second")]);
    docker.event("start", "app", "");
    eventually("it is up", || is_fresh(&daemon.app("app")));
    assert_eq!((docker.listeners(), daemon.counter("docker_streams_total")), (1, streams));
}

// ---- What an event has said stands.

#[test]
fn a_list_that_was_asked_for_before_an_event_says_nothing_of_it() {
    let before = [("dead", "exited", "Exited (1) 1 day ago"), ("ill", "running", "Up 3 minutes (healthy)")];
    let (docker, daemon) = live(&before, &["-resync", "300ms", "-docker-timeout", "60s"]);
    let (stale, looks) = (list(&before), all(&[("new", "running", UP), ("dead", "running", UP)]));
    let gate = Gate::default();
    let held = gate.clone();
    docker.behave(move |stream, head| {
        if head.contains("filters=") {
            let asked = looks.iter().filter(|json| head.contains(&json[7..71])).map(String::as_str);
            return send_list(stream, &format!("[{}]", asked.collect::<Vec<_>>().join(",")));
        }
        held.pass();
        send_list(stream, &stale);
    });
    let asked = docker.requests().len();
    eventually("a list of all is on its way", || docker.requests().len() > asked);
    docker.event("start", "dead", "");
    docker.event("health_status: unhealthy", "ill", "");
    docker.event("create", "new", "");
    docker.event("start", "new", "");
    eventually("the new one is known", || daemon.app("new").status == 200);
    let are_told = || assert_eq!(["dead", "ill", "new"].map(|app| daemon.app(app).status), [200, 503, 200]);
    are_told();
    let landed = || daemon.counter("docker_list_duration_seconds_count");
    let so_far = landed();
    // The next list does not come.
    docker.behave(|stream, _| hang(stream));
    gate.open();
    eventually("it has landed", || landed() > so_far);
    are_told();
}

#[test]
fn unpause_stands_against_a_list_for_a_moment() {
    let (docker, daemon) = live(&[("app", "running", UP)], &[]);
    docker.event("pause", "app", "");
    lists(&docker, &[("app", "paused", "Up 3 minutes (Paused)")]);
    let (before, since) = (questions(&docker).1, Instant::now());
    docker.event("unpause", "app", "");
    eventually("a list says that it is paused, and another one is asked for", || {
        let answer = daemon.app("app");
        // From then on they are believed.
        let is_over = since.elapsed() >= limits::CHANGE_STANDS;
        assert!(answer.status == 200 || is_over, "{answer:?}");
        questions(&docker).1 >= before + 2 || is_over
    });
}

#[test]
fn health_outlives_a_pause() {
    let (docker, daemon) = live(&[("app", "running", "Up 3 minutes (unhealthy)")], &["-resync", "100ms"]);
    lists(&docker, &[("app", "paused", "Up 3 minutes (Paused)")]);
    docker.event("pause", "app", "");
    assert_eq!(daemon.app("app").verdict(), down("paused"));
    let landed = || daemon.counter("docker_list_duration_seconds_count");
    let so_far = landed();
    eventually("lists have come that do not show its health", || landed() > so_far + 1);
    docker.behave(|stream, _| hang(stream));
    docker.event("unpause", "app", "");
    assert_eq!(daemon.app("app").verdict(), down("unhealthy"));
}

#[test]
fn health_is_no_life() {
    let (docker, daemon) = live(&[("app", "running", "Up 3 minutes (healthy)")], &[]);
    docker.event("die", "app", r#""exitCode":"1""#);
    docker.event("health_status: unhealthy", "app", "");
    docker.event("health_status: healthy", "app", "");
    assert_eq!(daemon.app("app").verdict(), down("exited"));
}

#[test]
fn only_who_could_be_told_something_else_waits_for_a_suspect() {
    let (docker, daemon) = live(&[("other", "running", UP)], &["-docker-timeout", "60s"]);
    docker.behave(|stream, _| hang(stream));
    docker.event("start", "new", "");
    eventually("it is asked about", || daemon.counter("docker_looks_total") == 1);
    assert_eq!(daemon.app("other").status, 200);
    assert_eq!(daemon.app("nobody").status, 404);
}

#[test]
fn while_events_come_the_view_is_stale_and_not_down() {
    let (docker, daemon) = live(&[("app", "running", UP)], &["-docker-timeout", "300ms", "-resync", "300ms", "-docker-grace", "1s"]);
    docker.behave(|stream, _| hang(stream));
    eventually("it is stale", || {
        docker.event("exec_start: sh", "app", "");
        daemon.counter("docker_state{state=\"stale\"}") == 1
    });
    let since = Instant::now();
    eventually("three times the grace is over", || {
        let happens = Instant::now();
        docker.event("exec_start: sh", "app", "");
        let answer = daemon.app("app");
        assert!(answer.status == 200 || happens.elapsed() >= Duration::from_secs(1), "{answer:?}");
        since.elapsed() > Duration::from_secs(3)
    });
    daemon.is("down");
}

#[test]
fn a_suspect_is_starting_in_grace() {
    let (docker, daemon) = live(&[("app", "running", "Up 3 minutes (healthy)")], &["-docker-timeout", "300ms", "-docker-grace", "1h"]);
    docker.behave(|stream, _| hang(stream));
    docker.event("die", "app", r#""exitCode":"1""#);
    docker.event("start", "app", "");
    daemon.is("stale");
    assert_eq!(daemon.app("app").verdict(), down("starting"));
}
