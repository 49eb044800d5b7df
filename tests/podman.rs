//! The daemon and a real `podman system service`, with somebody who asks all the while.
//!
//! The Podman is one of our own, with all its files in a folder of ours. Its service is only a way to ask: containers live without it,
//! and what happens to them is done by the `podman` command. Without Podman these tests say that they are skipped, but where `CI` is
//! `true` they fail instead.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may stop, and says what it saw")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::prober::{self, Events, Kinds, LIFE, Prober, held_against, is_one_of};
use support::real::{BUSYBOX, busybox, for_a_while};
use support::{Daemon, Folder, eventually, is_there, program, skipped};

/// The app, and the container that is its only one unless a test makes more.
const APP: &str = "app";
const NAME: &str = "app-1";

/// A Podman with its service.
struct Podman {
    folder: Folder,
    service: Option<Child>,
}

impl Podman {
    /// None if there cannot be one.
    fn start() -> Option<Self> {
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        let is_possible = (is_root || skipped("a Podman of our own needs root"))
            && is_there("podman")
            && (Path::new(BUSYBOX).exists() || skipped("there is no /bin/busybox to make an image of (package busybox-static)"));
        if !is_possible {
            return None;
        }
        let folder = Folder::new();
        // Limits that may be had without the right to raise them.
        let conf = "[containers]\ndefault_ulimits=[\"nofile=1024:1024\",\"nproc=1000:1000\"]\n[engine]\nlock_type=\"file\"\n";
        fs::write(folder.join("containers.conf"), conf).unwrap();
        let mut podman = Self { folder, service: None };
        podman.run(&["import", "--change", "ENV PATH=/bin", &busybox(&podman.folder), "image"]);
        podman.serve();
        Some(podman)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        let own = |name: &str| self.folder.join(name).display().to_string();
        command.env("CONTAINERS_CONF", self.folder.join("containers.conf")).stdin(Stdio::null());
        command.args(["--root", &own("data"), "--runroot", &own("run"), "--tmpdir", &own("tmp")]);
        command.args(["--storage-driver=vfs", "--events-backend=file", "--cgroup-manager=cgroupfs"]);
        command
    }

    /// Runs a command of it; gives what it printed.
    fn run(&self, args: &[&str]) -> String {
        let output = self.command().args(args).output().unwrap();
        assert!(output.status.success(), "podman {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A container that sleeps; gives its id.
    fn sleeper(&self, how: &[&str], name: &str, args: &[&str]) -> String {
        self.run(&[how, &["--network", "none", "--name", name], args, &["image", "sleep", "1000"]].concat())
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("podman.sock")
    }

    fn serve(&mut self) {
        let address = format!("unix://{}", self.socket().display());
        let log = fs::File::options().append(true).create(true).open(self.folder.join("log")).unwrap();
        self.service = Some(self.command().args(["system", "service", "--time=0", &address]).stderr(log).spawn().unwrap());
        eventually("podman serves", || std::os::unix::net::UnixStream::connect(self.socket()).is_ok());
    }

    /// Ends the service in that way; containers go on.
    fn end_service(&mut self, signal: &str) {
        let mut service = self.service.take().unwrap();
        assert!(Command::new("kill").args([&format!("-{signal}"), &service.id().to_string()]).status().unwrap().success());
        service.wait().unwrap();
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.command().args(["rm", "-fa", "-t", "0"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if let Some(service) = &mut self.service {
            let _ = service.kill();
            let _ = service.wait();
        }
        // What cleans up behind a container may still be at it, and write.
        let _ = for_a_while(|| fs::remove_dir_all(self.folder.path()).is_ok() || !self.folder.path().exists());
    }
}

/// A Podman with a container, a daemon, somebody who asks, and what Podman tells.
struct Watched {
    prober: Prober,
    daemon: Daemon,
    events: Events,
    id: String,
    podman: Podman,
}

impl Watched {
    /// None if there is no Podman.
    fn sleeper(args: &[&str], first: &str) -> Option<Self> {
        Self::with(args, &[], first)
    }

    fn with(args: &[&str], daemon_args: &[&str], first: &str) -> Option<Self> {
        let podman = Podman::start()?;
        let id = podman.sleeper(&["run", "-d"], NAME, args);
        let events = Events::listen(&podman.socket(), None);
        // Lists of all are not what tells it; and on a busy machine Podman takes its time.
        let args = [&["-resync", "1h", "-docker-timeout", "20s"], daemon_args].concat();
        let daemon = Daemon::start_as(program(), &podman.socket(), &args);
        eventually("it is live", || daemon.counter("docker_state{state=\"live\"}") == 1);
        // It lists once more when events can no longer be missed at the stream's beginning.
        eventually("it has caught up", || daemon.counter("docker_lists_total") >= 3);
        let prober = Prober::start(daemon.address(), &[APP.to_owned()]);
        prober.is_told(APP, first);
        Some(Self { prober, daemon, events, id, podman })
    }

    fn told(&self, what: &str) {
        self.prober.is_told(APP, what);
    }

    fn told_for_a_while(&self, what: &str) {
        self.told(what);
        self.prober.goes_on(APP);
    }

    fn was_told(&self, case: &str, kinds: &Kinds<'_>, allowed: &[&str]) {
        println!("{case}: {}", held_against(&self.prober.changes(APP), &self.events, &self.id, kinds));
        is_one_of(&self.prober.transcript(APP), allowed);
    }
}

#[test]
fn a_process_that_is_killed_one_that_is_stopped_and_one_that_is_restarted_are_down_until_the_next_start() {
    let Some(watched) = Watched::sleeper(&[], "200") else { return };
    let podman = &watched.podman;
    let pid = podman.run(&["inspect", "--format", "{{.State.Pid}}", NAME]);
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    watched.told_for_a_while("503 exited");
    podman.run(&["start", NAME]);
    watched.told_for_a_while("200");
    podman.run(&["stop", "-t", "0", NAME]);
    watched.told_for_a_while("503 exited");
    podman.run(&["start", NAME]);
    watched.told_for_a_while("200");
    // Both are told in one breath, as the journal is read four times a second.
    podman.run(&["restart", "-t", "0", NAME]);
    eventually("the second start is told of", || watched.events.of(&watched.id, &["start"]).len() == 3);
    watched.told_for_a_while("200");
    let down_twice = "200 -> 503 exited -> 200 -> 503 exited -> 200";
    watched.was_told("kill -9, start, stop, start, restart", &LIFE, &[down_twice, &format!("{down_twice} -> 503 exited -> 200")]);
}

#[test]
fn a_crash_with_a_restart_policy_is_up_no_more_often_than_it_is_started() {
    let Some(watched) = Watched::sleeper(&["--restart=always"], "200") else { return };
    for restarts in 1..=3 {
        let pid = watched.podman.run(&["inspect", "--format", "{{.State.Pid}}", NAME]);
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        eventually("the start is told of", || watched.events.of(&watched.id, &["start"]).len() == restarts);
        // Its pause is so short that both can be told in one breath.
        watched.told_for_a_while("200");
    }
    println!("crash with restart always, three times: {}", held_against(&watched.prober.changes(APP), &watched.events, &watched.id, &LIFE));
    for change in watched.prober.changes(APP) {
        is_one_of(&change.told, &["200", "503 exited"]);
    }
}

#[test]
fn a_pause_is_down_until_it_ends() {
    let Some(watched) = Watched::sleeper(&[], "200") else { return };
    watched.podman.run(&["pause", NAME]);
    watched.told_for_a_while("503 paused");
    watched.podman.run(&["unpause", NAME]);
    watched.told_for_a_while("200");
    watched.was_told("pause, unpause", &LIFE, &["200 -> 503 paused -> 200"]);
}

#[test]
fn a_redeploy_by_rename_is_up_as_soon_as_the_new_one_is_and_a_removal_ends_in_nobody() {
    let Some(watched) = Watched::sleeper(&[], "200") else { return };
    let podman = &watched.podman;
    podman.run(&["rename", NAME, "0123456789ab_app-1"]);
    watched.told_for_a_while("404 no-container");
    let new = podman.sleeper(&["create"], NAME, &[]);
    watched.told_for_a_while("503 created");
    podman.run(&["start", NAME]);
    podman.run(&["rm", "-f", "-t", "0", &watched.id]);
    watched.told_for_a_while("200");
    let started = watched.events.of(&new, &["start"])[0].at;
    let told = watched.prober.changes(APP).last().unwrap().at;
    assert!(told + prober::AHEAD >= started);
    podman.run(&["rm", "-f", "-t", "0", NAME]);
    watched.told_for_a_while("404 no-container");
    let whole = watched.prober.transcript(APP);
    println!("redeploy by rename, rm -f: {whole} (up {} ms after start)", told.saturating_sub(started) / 1_000_000);
    let redeployed = "200 -> 404 no-container -> 503 created -> 200";
    // What is told in one breath is seen at once.
    is_one_of(
        &whole,
        &["", " -> 503 exited", " -> 503 removing"]
            .map(|by| format!("{redeployed}{by} -> 404 no-container"))
            .each_ref()
            .map(String::as_str),
    );
}

#[test]
fn a_healthcheck_is_followed_both_ways_and_asked_about_once_for_each_check() {
    const HEALTH: [&str; 6] =
        ["--health-cmd", "test -f /good", "--health-interval=disable", "--health-retries", "1", "--health-start-period=0s"];
    let Some(watched) = Watched::sleeper(&HEALTH, "503 starting") else { return };
    let podman = &watched.podman;
    let check = |good: bool, told: &str| {
        podman.run(&["exec", NAME, if good { "touch" } else { "rm" }, "/good"]);
        let checks = watched.events.of(&watched.id, &["health_status"]).len();
        // It says how it went by its code too.
        let ran = podman.command().args(["healthcheck", "run", NAME]).output().unwrap();
        let ended = prober::unix();
        assert_eq!(ran.status.success(), good, "{ran:?}");
        eventually("the check is told of", || watched.events.of(&watched.id, &["health_status"]).len() == checks + 1);
        watched.told(told);
        let at = watched.prober.changes(APP).last().unwrap().at;
        println!("HEALTHCHECK: {told} ({} ms after the check)", at.saturating_sub(ended) / 1_000_000);
        watched.prober.goes_on(APP);
    };
    check(true, "200");
    check(false, "503 unhealthy");
    check(true, "200");
    let looks = watched.daemon.counter("docker_looks_total");
    let checks = 5;
    for _ in 0..checks {
        podman.run(&["healthcheck", "run", NAME]);
    }
    eventually("each is told of", || watched.events.of(&watched.id, &["health_status"]).len() == 3 + checks);
    watched.prober.goes_on(APP);
    eventually("they are asked about", || watched.daemon.counter("docker_looks_total") > looks);
    // With each question by id there is one that asks who of all is ailing.
    assert!(watched.daemon.counter("docker_looks_total") <= looks + 2 * checks as u64);
    is_one_of(&watched.prober.transcript(APP), &["503 starting -> 200 -> 503 unhealthy -> 200"]);
}

#[test]
fn a_service_that_is_stopped_or_killed_is_not_noticed_but_as_stale() {
    let Some(mut watched) = Watched::with(&[], &["-docker-grace", "60s"], "200") else { return };
    for signal in ["TERM", "KILL"] {
        watched.podman.end_service(signal);
        watched.told("200 stale");
        watched.podman.serve();
        watched.told_for_a_while("200");
    }
    // What happened while nobody could tell.
    watched.podman.end_service("TERM");
    watched.told("200 stale");
    watched.podman.run(&["stop", "-t", "0", NAME]);
    watched.podman.serve();
    watched.told_for_a_while("503 exited");
    println!("service stopped, killed, stopped: {}", watched.prober.transcript(APP));
    is_one_of(&watched.prober.transcript(APP), &["200 -> 200 stale -> 200 -> 200 stale -> 200 -> 200 stale -> 503 exited"]);
}

#[test]
fn many_that_are_stopped_at_once_are_each_told_of() {
    const MANY: usize = 10;
    let Some(watched) = Watched::sleeper(&[], "200") else { return };
    let apps: Vec<_> = (0..MANY).map(|number| format!("many{number}")).collect();
    let ids: Vec<_> = apps.iter().map(|app| watched.podman.sleeper(&["run", "-d"], app, &[])).collect();
    let prober = Prober::start(watched.daemon.address(), &apps);
    for app in &apps {
        prober.is_told(app, "200");
    }
    watched.podman.run(&["stop", "-t", "0", "--all"]);
    for app in &apps {
        prober.is_told(app, "503 exited");
    }
    prober.goes_on(&apps[MANY - 1]);
    let mut delays = Vec::new();
    for (app, id) in apps.iter().zip(&ids) {
        let changes = prober.changes(app);
        held_against(&changes, &watched.events, id, &LIFE);
        assert!(prober.transcript(app).ends_with("200 -> 503 exited"), "{}", prober.transcript(app));
        // A list that is asked for just then can tell of it before the event is made.
        delays.push(changes.last().unwrap().at.saturating_sub(watched.events.of(id, &["die"])[0].at) / 1_000_000);
    }
    delays.sort_unstable();
    println!("{MANY} stopped at once: 200 -> 503 exited, {} to {} ms after die", delays[0], delays[MANY - 1]);
}
