//! What was wrong with the tool that this one replaces, fault by fault: none of it is left. On the real Docker where that can be.
//!
//! The last of them, that each request of a user asked every host, was its README's; the module for the upper Nginx mends it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, reason = "a test may stop, and lives in the world")]

mod support;

use support::real::{Container, docker};
use support::stage::Stage;
use support::{Daemon, FakeDocker, PREFIX, eventually};

#[test]
fn one_list_of_docker_for_each_probe() {
    let Some(stage) = Stage::set(&["-resync=1h"]) else { return };
    let _container = stage.sleeper(1, &[]);
    stage.is_live();
    stage.is_up(1);
    let questions = || ["docker_lists_total", "docker_looks_total"].map(|name| stage.daemon.counter(name));
    // Others change containers of theirs meanwhile, which may be asked about; that is no matter of the probes.
    let before = questions();
    let mut client = stage.daemon.connect();
    for _ in 0..1000 {
        assert_eq!(client.get(&format!("{PREFIX}/apps/health/{}", stage.app)).status, 200);
    }
    let after = questions();
    assert!(after[0] - before[0] + after[1] - before[1] < 100, "{before:?} {after:?}");
}

#[test]
fn every_probe_leaks_a_descriptor() {
    let Some(stage) = Stage::set(&[]) else { return };
    let _container = stage.sleeper(1, &[]);
    stage.is_live();
    stage.is_up(1);
    let before = stage.daemon.descriptors().len();
    for _ in 0..300 {
        assert_eq!(stage.ask().status, 200);
    }
    eventually("no more descriptors than before", || stage.daemon.descriptors().len() <= before);

    // Nor where each probe asks Docker, nor where that fails.
    let fake = FakeDocker::listing("[]");
    let daemon = Daemon::start(&fake.path(), &["-docker-grace=0"]);
    eventually("it answers", || daemon.app("app").status == 404);
    let before = daemon.descriptors().len();
    for _ in 0..100 {
        assert_eq!(daemon.app("app").status, 404);
    }
    fake.vanish();
    eventually("it is gone", || daemon.app("app").status == 503);
    for _ in 0..100 {
        assert_eq!(daemon.app("app").verdict(), (503, 10, "docker-unreachable".into()));
    }
    eventually("no more descriptors than before", || daemon.descriptors().len() <= before);
}

#[test]
fn nothing_ever_times_out() {
    // A Docker that hangs, a client that stalls.
    let docker = FakeDocker::hung();
    let daemon = Daemon::start(&docker.path(), &["-docker-timeout=300ms", "-header-timeout=300ms", "-idle-timeout=300ms"]);
    assert_eq!(daemon.app("app").verdict(), (503, 11, "docker-timeout".into()));
    let mut stalls = daemon.connect();
    stalls.send("GET /");
    assert_eq!(stalls.answer().status, 408);
    stalls.expect_end();
    daemon.connect().expect_end();
}

#[test]
fn a_name_is_a_pattern() {
    let Some(stage) = Stage::set(&[]) else { return };
    let kit = Container::run(&format!("{}kit-1", stage.app), &[], &stage.image, &["sleep", "1000"]);
    stage.is_live();
    eventually("the other one is up", || stage.daemon.app(&format!("{}kit", stage.app)).status == 200);
    assert_eq!(stage.ask().verdict(), (404, 12, "no-container".into()), "it is answered for by the container of another");
    drop(kit);

    let hostile =
        ["(a+)+$", ".*", "%28a%2B%29%2B%24", "a%7C%7C", "(((((((((((((((((((((((((((((((a", "[", "%5B", "a{1000}{1000}", "%2e%2e", "*"];
    let ticks = stage.daemon.ticks();
    for name in hostile.iter().cycle().take(1000) {
        assert_eq!(stage.daemon.app(name).verdict(), (400, 400, "bad-name".into()), "{name}");
    }
    // One such request of the old tool's never ended. A tick is 10 ms.
    assert!(stage.daemon.ticks() - ticks < 500);
}

#[test]
fn a_paused_container_is_healthy() {
    let Some(stage) = Stage::set(&[]) else { return };
    let container = stage.sleeper(1, &[]);
    stage.is_up(1);
    docker(&["pause", &container.id]);
    stage.is_down(1, "paused", "Up ");
    docker(&["unpause", &container.id]);
    stage.is_up(1);
}

#[test]
fn an_unhealthy_container_is_healthy() {
    let Some(stage) = Stage::set(&[]) else { return };
    let check = ["--health-cmd", "false", "--health-interval", "100ms", "--health-retries", "1"];
    let _container = stage.sleeper(1, &check);
    stage.is_down(1, "unhealthy", "Up ");
}

#[test]
fn two_containers_of_one_app_are_an_error() {
    let Some(stage) = Stage::set(&[]) else { return };
    let old = stage.sleeper(1, &[]);
    stage.is_up(1);
    let new = stage.sleeper(2, &[]);
    stage.is_up(2);
    drop(old);
    stage.is_up(2);
    drop(new);
    eventually("none is left", || stage.ask().status == 404);
}
