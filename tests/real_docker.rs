//! The daemon and a real dockerd: each state that a container can be brought into, as `docker` itself says it is.
//!
//! Without a dockerd these tests say that they are skipped, but where `CI` is `true` they fail instead.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may stop, and lives in the world"
)]

mod support;

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::prober::{self, Events, Kinds, LIFE, Prober, held_against, is_one_of};
use support::real::{Container, Dockerd, docker};
use support::stage::Stage;
use support::{Daemon, PREFIX, eventually};

#[test]
fn an_app_is_told_of_as_docker_itself_does() {
    let Some(stage) = Stage::set(&[]) else { return };
    assert_eq!(stage.ask().verdict(), (404, 12, "no-container".into()));
    let command = ["sh", "-c", "sleep 1000 # \"}]{[\\ \u{e9}\u{2028}</script>\t\\u0000 %s"];
    let label = "a\"}],[{\\\u{1f40b}\n";
    let labels = ["--label", &format!("hostile={label}"), "--label", "}]\"={[", "--env", "SECRET=}"];
    let container = Container::run(&stage.name(1), &labels, &stage.image, &command);
    stage.is_up(1);

    let answer = stage.ask();
    let message = &answer.json()["message"];
    let keys = ["command", "container_id", "created", "image", "names", "port", "state", "status"];
    assert_eq!(message.as_object().unwrap().len(), keys.len());
    assert_eq!(message["container_id"], container.id[..10]);
    assert_eq!(message["names"], container.inspect("{{.Name}}").trim_start_matches('/'));
    assert_eq!(message["image"], container.inspect("{{.Config.Image}}"));
    assert_eq!(message["state"], container.inspect("{{.State.Status}}"));
    assert_eq!(message["port"], Value::Array(Vec::new()));
    assert_eq!(message["created"].as_u64().unwrap(), date_to_seconds(&container.inspect("{{.Created}}")));
    assert!(message["status"].as_str().unwrap().starts_with("Up "), "{message}");
    assert!(container.listed("{{.Status}}").starts_with("Up "));
    let listed = message["command"].as_str().unwrap();
    assert!(command.iter().all(|word| listed.contains(word)), "{listed}");
    // The order of the keys is part of the promise, and no parser keeps it.
    assert_eq!(answer.body, format!("{{\"code\":0,\"status\":\"ok\",\"message\":{}}}", ordered(message, &keys)));

    drop(container);
    eventually("it is gone", || stage.ask().verdict() == (404, 12, "no-container".into()));
}

/// The object with its keys in that order.
fn ordered(object: &Value, keys: &[&str]) -> String {
    let fields: Vec<_> = keys.iter().map(|key| format!("\"{key}\":{}", object[key])).collect();
    format!("{{{}}}", fields.join(","))
}

/// Unix time of a date as Docker writes it.
fn date_to_seconds(date: &str) -> u64 {
    let output = Command::new("date").args(["-d", date, "+%s"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn an_app_that_is_stopped_is_exited_and_up_again_once_it_is_started() {
    let Some(stage) = Stage::set(&[]) else { return };
    let container = stage.sleeper(1, &[]);
    stage.is_up(1);
    docker(&["stop", "-t", "0", &container.id]);
    stage.is_down(1, "exited", "Exited (137) ");
    assert!(container.listed("{{.Status}}").starts_with("Exited (137) "));
    docker(&["start", &container.id]);
    stage.is_up(1);
}

#[test]
fn an_app_that_dies_by_itself_or_by_a_stranger_is_exited() {
    let Some(stage) = Stage::set(&[]) else { return };
    let container = stage.sleeper(1, &[]);
    stage.is_up(1);
    let pid = container.inspect("{{.State.Pid}}");
    let killed = Command::new("kill").args(["-9", &pid]).stderr(Stdio::null()).status().unwrap().success();
    if !killed {
        // The process is root's and we are not; then Docker lends a hand.
        docker(&["kill", &container.id]);
    }
    stage.is_down(1, "exited", "Exited (137) ");

    let _crashed = Container::run(&stage.name(2), &[], &stage.image, &["sh", "-c", "exit 3"]);
    stage.is_down(2, "exited", "Exited (3) ");
}

#[test]
fn an_app_that_is_paused_is_down_until_it_is_unpaused() {
    let Some(stage) = Stage::set(&[]) else { return };
    let container = stage.sleeper(1, &[]);
    stage.is_up(1);
    docker(&["pause", &container.id]);
    stage.is_down(1, "paused", "Up ");
    assert!(stage.ask().json()["message"].as_str().unwrap().ends_with("(Paused)"));
    docker(&["unpause", &container.id]);
    stage.is_up(1);
}

#[test]
fn an_app_that_was_never_started_is_created() {
    let Some(stage) = Stage::set(&[]) else { return };
    let container = Container::create(&stage.name(1), &stage.image, &["sleep", "1000"]);
    stage.is_down(1, "created", "Created");
    docker(&["start", &container.id]);
    stage.is_up(1);
}

#[test]
fn an_app_that_crashes_again_and_again_is_restarting() {
    let Some(stage) = Stage::set(&[]) else { return };
    let _container = Container::run(&stage.name(1), &["--restart=always"], &stage.image, &["false"]);
    stage.is_down(1, "restarting", "Restarting (1) ");
}

#[test]
fn an_app_with_a_healthcheck_is_as_it_says() {
    let Some(stage) = Stage::set(&[]) else { return };
    let ignoring = Stage::set(&["-docker-health", "ignore"]).unwrap();
    let mut args = vec!["--health-cmd", "test -f /good", "--health-interval", "1s", "--health-retries", "1"];
    args.extend(["--health-start-period", "600s"]);
    let container = stage.sleeper(1, &args);
    let health = || container.inspect("{{.State.Health.Status}}");
    let of_running = || ignoring.daemon.app(&stage.app).status;

    stage.is_down(1, "starting", "Up ");
    assert_eq!(health(), "starting");
    eventually("running is enough", || of_running() == 200);
    docker(&["exec", &container.id, "touch", "/good"]);
    stage.is_up(1);
    assert!(stage.ask().json()["message"]["status"].as_str().unwrap().ends_with("(healthy)"));
    docker(&["exec", &container.id, "rm", "/good"]);
    stage.is_down(1, "unhealthy", "Up ");
    assert_eq!((health().as_str(), of_running()), ("unhealthy", 200), "nor does that change it");
    docker(&["exec", &container.id, "touch", "/good"]);
    stage.is_up(1);
    assert_eq!(health(), "healthy");
    docker(&["stop", "-t", "0", &container.id]);
    stage.is_down(1, "exited", "Exited (137) ");
    eventually("not even then is it enough", || ignoring.daemon.app(&stage.app).status == 503);
}

#[test]
fn an_app_is_what_its_container_is_called_at_present() {
    let Some(stage) = Stage::set(&[]) else { return };
    let container = Container::run(&format!("other_{}", stage.app), &[], &stage.image, &["sleep", "1000"]);
    assert_eq!(stage.ask().verdict(), (404, 12, "no-container".into()));
    docker(&["rename", &container.id, &stage.name(7)]);
    stage.is_up(7);
    docker(&["rename", &container.id, &stage.app]);
    eventually("the plain name", || {
        let answer = stage.ask();
        answer.status == 200 && answer.json()["message"]["names"] == stage.app
    });
    docker(&["rename", &container.id, &format!("{}-old", stage.app)]);
    eventually("it is nobody's", || stage.ask().verdict() == (404, 12, "no-container".into()));
}

#[test]
fn a_redeploy_has_two_containers_for_a_while() {
    let Some(stage) = Stage::set(&[]) else { return };
    let [newest, all] = ["newest", "all"].map(|policy| Stage::set(&["-policy", policy]).unwrap());
    // Each of the three hears of it in its own time.
    let told = |other: &Stage| other.daemon.app(&stage.app).status;
    let all_tell = |newest_says: u16, all_says: u16| {
        eventually("both have heard", || (told(&newest), told(&all)) == (newest_says, all_says));
    };
    let old = stage.sleeper(1, &[]);
    stage.is_up(1);
    all_tell(200, 200);

    let new = Container::create(&stage.name(2), &stage.image, &["sleep", "1000"]);
    stage.is_up(1);
    all_tell(503, 503);
    docker(&["start", &new.id]);
    stage.is_up(2);
    all_tell(200, 200);
    docker(&["stop", "-t", "0", &old.id]);
    eventually("the old one has ended", || told(&all) == 503);
    all_tell(200, 503);
    assert_eq!(stage.ask().status, 200);
    drop(old);
    eventually("the old one has gone", || told(&all) == 200);
    docker(&["kill", &new.id]);
    stage.is_down(2, "exited", "Exited (137) ");
}

#[test]
fn an_app_is_not_taken_for_one_whose_name_begins_like_it() {
    let Some(stage) = Stage::set(&[]) else { return };
    let longer = format!("{}kit", stage.app);
    let _neighbours: Vec<_> =
        [format!("{longer}-1"), format!("x{}-1", stage.app), format!("{}-1-1", stage.app), format!("{}.1", stage.app)]
            .iter()
            .map(|name| Container::run(name, &[], &stage.image, &["sleep", "1000"]))
            .collect();
    eventually("the neighbour is up", || stage.daemon.app(&longer).status == 200);
    assert_eq!(stage.ask().verdict(), (404, 12, "no-container".into()));
    let own = Container::create(&stage.name(1), &stage.image, &["sleep", "1000"]);
    stage.is_down(1, "created", "Created");
    assert_eq!(stage.daemon.app(&longer).status, 200);
    docker(&["start", &own.id]);
    stage.is_up(1);
}

#[test]
fn a_dockerd_that_hangs_dies_and_comes_back_is_told_of_as_long_as_it_does() {
    let Some(mut dockerd) = Dockerd::start() else { return };
    let socket = dockerd.socket();
    // A hung dockerd is found by the next list of all; its stream of events is merely silent.
    let daemon = Daemon::start(&socket, &["-docker-timeout", "1s", "-resync", "500ms"]);
    let told = |what: &str, code, reason: &str| eventually(what, || daemon.app("app").verdict() == (503, code, reason.to_owned()));
    let ready = || daemon.get(&format!("{PREFIX}/ready")).verdict();
    let recovered = |daemon: &Daemon| eventually("it recovers", || daemon.app("app").verdict() == (404, 12, "no-container".into()));
    recovered(&daemon);
    assert_eq!(ready(), (200, 0, String::new()));

    daemon.wait_for_log("live");
    dockerd.signal("STOP");
    told("it is found to hang", 11, "docker-timeout");
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(daemon.app("app").verdict(), (503, 11, "docker-timeout".into()));
        assert!(began.elapsed() < Duration::from_secs(6), "no probe is answered later than the timeout after it came");
        assert_eq!(ready(), (503, 11, "docker-timeout".into()));
        assert_eq!(daemon.get(&format!("{PREFIX}/health")).status, 200);
    }
    dockerd.signal("CONT");
    recovered(&daemon);
    assert_eq!(ready(), (200, 0, String::new()));

    dockerd.signal("KILL");
    told("it is found dead", 10, "docker-unreachable");
    assert!(daemon.app("app").json()["message"].as_str().unwrap().ends_with("connection refused (is Docker running?)"));
    dockerd.restart();
    recovered(&daemon);

    dockerd.signal("TERM");
    told("it is found gone", 10, "docker-unreachable");
    assert!(daemon.app("app").json()["message"].as_str().unwrap().contains("no such file"));
    dockerd.restart();
    recovered(&daemon);
    assert_eq!(ready(), (200, 0, String::new()));
}

// ---- Somebody asks all the while.

/// A container of an app's, somebody who asks about the app all the while, and what Docker tells of the container.
struct Watched {
    prober: Prober,
    events: Events,
    container: Container,
    stage: Stage,
}

impl Watched {
    fn sleeper(args: &[&str]) -> Option<Self> {
        Self::new(args, &["sleep", "1000"], |stage| stage.is_up(1))
    }

    /// None if there is no dockerd to ask.
    fn new(args: &[&str], command: &[&str], wait: impl FnOnce(&Stage)) -> Option<Self> {
        let stage = Stage::set(&[])?;
        stage.is_live();
        let events = Events::listen(&socket(), Some(prober::unix()));
        let container = Container::run(&stage.name(1), args, &stage.image, command);
        wait(&stage);
        let prober = stage.probed();
        eventually("it has asked", || !prober.changes(&stage.app).is_empty());
        Some(Self { prober, events, container, stage })
    }

    fn told(&self, what: &str) {
        self.prober.is_told(&self.stage.app, what);
    }

    /// Waits until that is told, and after so many other things at least.
    fn told_after(&self, changes: usize, what: &str) {
        eventually(what, || {
            let told = self.prober.changes(&self.stage.app);
            told.len() > changes && told.last().is_some_and(|last| last.told == what)
        });
    }

    /// It is asked on for a while, longer than any list was ever seen to lie.
    fn told_for_a_while(&self, what: &str) {
        self.told(what);
        self.prober.goes_on(&self.stage.app);
    }

    fn kill(&self) {
        // By Docker where the process is root's and we are not.
        let killed = Command::new("kill").args(["-9", &self.container.inspect("{{.State.Pid}}")]).status().unwrap();
        assert!(killed.success() || Command::new("docker").args(["kill", &self.container.id]).status().unwrap().success());
    }

    /// Whatever was told is one of these, and what happened was reason for it.
    fn was_told(self, case: &str, kinds: &Kinds<'_>, allowed: &[&str]) {
        let changes = self.prober.changes(&self.stage.app);
        println!("{case}: {}", held_against(&changes, &self.events, &self.container.id, kinds));
        is_one_of(&self.prober.transcript(&self.stage.app), allowed);
    }
}

/// The socket of the dockerd of this host.
fn socket() -> PathBuf {
    env::var("DOCKER_HOST").map_or_else(|_| "/var/run/docker.sock".into(), |host| host.trim_start_matches("unix://").into())
}

#[test]
fn a_process_that_is_killed_and_one_that_is_stopped_are_down_until_the_next_start() {
    let Some(watched) = Watched::sleeper(&[]) else { return };
    watched.kill();
    watched.told_for_a_while("503 exited");
    docker(&["start", &watched.container.id]);
    watched.told_for_a_while("200");
    docker(&["stop", "-t", "0", &watched.container.id]);
    watched.told_for_a_while("503 exited");
    docker(&["start", &watched.container.id]);
    watched.told_for_a_while("200");
    watched.was_told("kill -9, start, stop, start", &LIFE, &["200 -> 503 exited -> 200 -> 503 exited -> 200"]);
}

#[test]
fn a_crash_with_a_restart_policy_is_down_for_as_long_as_it_takes() {
    let Some(watched) = Watched::sleeper(&["--restart=always"]) else { return };
    watched.kill();
    watched.told_after(2, "200");
    watched.told_for_a_while("200");
    let allowed = ["200 -> 503 exited -> 200", "200 -> 503 exited -> 503 restarting -> 200"];
    watched.was_told("crash with restart always", &LIFE, &allowed);
}

#[test]
fn a_crash_loop_is_up_no_more_often_than_it_is_started() {
    let Some(stage) = Stage::set(&[]) else { return };
    stage.is_live();
    let events = Events::listen(&socket(), Some(prober::unix()));
    let prober = stage.probed();
    prober.is_told(&stage.app, "404 no-container");
    let command = ["sh", "-c", "sleep 0.3; exit 1"];
    let container = Container::run(&stage.name(1), &["--restart=always"], &stage.image, &command);
    let ups = || prober.changes(&stage.app).iter().filter(|change| change.told == "200").count();
    eventually("it has been up three times", || ups() >= 3);
    docker(&["rm", "-f", &container.id]);
    prober.is_told(&stage.app, "404 no-container");
    prober.goes_on(&stage.app);
    let changes = prober.changes(&stage.app);
    println!("crash loop: {}", held_against(&changes, &events, &container.id, &LIFE));
    for change in &changes[1..] {
        is_one_of(&change.told, &["503 created", "200", "503 exited", "503 restarting", "503 removing", "404 no-container"]);
    }
}

#[test]
fn a_pause_is_down_until_it_ends_and_a_restart_until_the_start() {
    let Some(watched) = Watched::sleeper(&[]) else { return };
    docker(&["pause", &watched.container.id]);
    watched.told_for_a_while("503 paused");
    docker(&["unpause", &watched.container.id]);
    watched.told_for_a_while("200");
    docker(&["restart", "-t", "0", &watched.container.id]);
    watched.told_after(4, "200");
    watched.told_for_a_while("200");
    watched.was_told("pause, unpause, restart", &LIFE, &["200 -> 503 paused -> 200 -> 503 exited -> 200"]);
}

#[test]
fn a_removal_by_force_ends_in_nobody() {
    let Some(watched) = Watched::sleeper(&[]) else { return };
    docker(&["rm", "-f", &watched.container.id]);
    watched.told_for_a_while("404 no-container");
    // It is over so soon that whoever asks may have heard of nothing but the end.
    let allowed =
        ["", " -> 503 exited", " -> 503 removing", " -> 503 exited -> 503 removing"].map(|by| format!("200{by} -> 404 no-container"));
    let allowed = allowed.each_ref().map(String::as_str);
    watched.was_told("rm -f", &LIFE, &allowed);
}

#[test]
fn a_healthcheck_is_followed_both_ways() {
    let args = ["--health-cmd", "test -f /good", "--health-interval", "300ms", "--health-retries", "1", "--health-start-period", "600s"];
    let Some(watched) = Watched::new(&args, &["sleep", "1000"], |stage| stage.is_down(1, "starting", "Up ")) else { return };
    for (act, told) in [("touch", "200"), ("rm", "503 unhealthy"), ("touch", "200")] {
        docker(&["exec", &watched.container.id, act, "/good"]);
        watched.told_for_a_while(told);
    }
    watched.kill();
    watched.told_for_a_while("503 exited");
    let kinds = Kinds { rises: &["health_status: healthy"], falls: &["health_status: unhealthy", "die"] };
    // A check that is under way ends with the container, and Docker says how, a moment before it tells of the end.
    let whole = "503 starting -> 200 -> 503 unhealthy -> 200 -> 503 exited";
    watched.was_told("HEALTHCHECK", &kinds, &[whole, &whole.replace("503 exited", "503 unhealthy -> 503 exited")]);
}

/// Of compose, once by renaming the old container away, and once by giving the new one its name when the old one is gone.
#[test]
fn a_redeploy_by_rename_is_up_as_soon_as_the_new_one_is() {
    let Some(stage) = Stage::set(&[]) else { return };
    stage.is_live();
    let old = stage.sleeper(1, &[]);
    stage.is_up(1);
    let events = Events::listen(&socket(), Some(prober::unix()));
    let prober = stage.probed();
    prober.is_told(&stage.app, "200");
    docker(&["rename", &old.id, &format!("0123456789ab_{}", stage.name(1))]);
    let new = Container::create(&stage.name(1), &stage.image, &["sleep", "1000"]);
    docker(&["start", &new.id]);
    drop(old);
    prober.is_told(&stage.app, "200");
    prober.goes_on(&stage.app);
    let first = prober.transcript(&stage.app);
    is_one_of(&first, &["200 -> 404 no-container -> 503 created -> 200"]);

    let newest = Container::create(&format!("ba9876543210_{}", stage.name(1)), &stage.image, &["sleep", "1000"]);
    docker(&["stop", "-t", "0", &new.id]);
    drop(new);
    docker(&["rename", &newest.id, &stage.name(1)]);
    docker(&["start", &newest.id]);
    prober.is_told(&stage.app, "200");
    prober.goes_on(&stage.app);
    let whole = prober.transcript(&stage.app);
    // Whether it is looked at while it is being removed is chance.
    let allowed = ["", " -> 503 removing"].map(|by| format!("{first} -> 503 exited{by} -> 404 no-container -> 503 created -> 200"));
    is_one_of(&whole, &allowed.each_ref().map(String::as_str));
    let started = events.of(&newest.id, &["start"])[0].at;
    let told = prober.changes(&stage.app).last().unwrap().at;
    assert!(told + prober::AHEAD >= started);
    println!("redeploy by rename, both ways: {whole} ({} ms after start)", told.saturating_sub(started) / 1_000_000);
}

#[test]
fn many_that_die_at_once_are_each_told_of() {
    const MANY: usize = 40;
    let Some(stage) = Stage::set(&[]) else { return };
    stage.is_live();
    let events = Events::listen(&socket(), Some(prober::unix()));
    let apps: Vec<_> = (0..MANY).map(|number| format!("{}x{number}", stage.app)).collect();
    let containers: Vec<_> = apps.iter().map(|app| Container::create(&format!("{app}-1"), &stage.image, &["sleep", "1000"])).collect();
    let ids: Vec<_> = containers.iter().map(|container| container.id.as_str()).collect();
    docker(&[&["start"], &ids[..]].concat());
    let prober = Prober::start(stage.daemon.address(), &apps);
    are_told(&prober, &apps, "200");
    docker(&[&["kill"], &ids[..]].concat());
    are_told(&prober, &apps, "503 exited");
    prober.goes_on(apps.last().unwrap());
    let mut delays = Vec::new();
    for (app, container) in apps.iter().zip(&containers) {
        let changes = prober.changes(app);
        held_against(&changes, &events, &container.id, &LIFE);
        assert!(prober.transcript(app).ends_with("200 -> 503 exited"), "{}", prober.transcript(app));
        let died = events.of(&container.id, &["die"])[0].at;
        // From Docker 23 on a list that is asked for just then can tell of it before the event is made.
        delays.push(changes.last().unwrap().at.saturating_sub(died) / 1_000_000);
    }
    delays.sort_unstable();
    println!(
        "{MANY} killed at once: 200 -> 503 exited, {} to {} ms after die, half within {}",
        delays[0],
        delays[MANY - 1],
        delays[MANY / 2]
    );
    let list = [&["rm", "-f"], &ids[..]].concat();
    docker(&list);
}

// ---- A dockerd that comes and goes.

/// A dockerd of our own that keeps its containers: one of app `once`, and one of app `always` that it restarts.
struct Kept {
    dockerd: Dockerd,
    once: String,
}

impl Kept {
    fn start(args: &[&'static str]) -> Option<Self> {
        let dockerd = Dockerd::keeping(args)?;
        dockerd.import("image");
        let run = |name: &str, args: &[&str]| {
            let common = ["run", "-d", "--network", "none", "--stop-signal", "KILL", "--name", name];
            dockerd.docker(&[&common, args, &["image", "sleep", "1000"]].concat())
        };
        let once = run("once", &[]);
        run("always-1", &["--restart=always"]);
        Some(Self { dockerd, once })
    }

    fn daemon(&self, args: &[&str]) -> (Daemon, Prober) {
        let daemon = Daemon::start(&self.dockerd.socket(), &[&["-docker-grace", "60s"], args].concat());
        let prober = Prober::start(daemon.address(), &BOTH.map(str::to_owned));
        (daemon, prober)
    }

    /// A life of dockerd ends in that way, and another one begins.
    fn dies_and_comes_back(args: &[&'static str], signal: &str, once: &[&str], always: &[&str]) {
        let Some(mut kept) = Self::start(args) else { return };
        let (daemon, prober) = kept.daemon(&[]);
        daemon.is("live");
        are_told(&prober, &BOTH, "200");
        let began = prober::unix();
        kept.dockerd.signal(signal);
        eventually("it is found gone", || daemon.counter("docker_state{state=\"stale\"}") == 1);
        for app in BOTH {
            eventually("that is told", || prober.changes(app).len() > 1);
        }
        kept.dockerd.restart();
        let back = prober::unix();
        daemon.is("live");
        let last = |transcript: &str| transcript.rsplit(" -> ").next().unwrap().to_owned();
        for (app, allowed) in [("once", once), ("always", always)] {
            prober.is_told(app, &last(allowed[0]));
            prober.goes_on(app);
            let at = |at: u64| format!("{} ms", (i128::from(at) - i128::from(began)) / 1_000_000);
            let line: Vec<_> = prober.changes(app).iter().skip(1).map(|change| format!("{} ({})", change.told, at(change.at))).collect();
            println!("{args:?}, SIG{signal}, {app}: 200 -> {}; dockerd answered again after {}", line.join(" -> "), at(back));
            is_one_of(&prober.transcript(app), allowed);
        }
    }
}

const BOTH: [&str; 2] = ["once", "always"];

fn are_told(prober: &Prober, apps: &[impl AsRef<str>], told: &str) {
    for app in apps {
        prober.is_told(app.as_ref(), told);
    }
}

const GOES_ON: [&str; 1] = ["200 -> 200 stale -> 200"];

#[test]
fn a_dockerd_that_is_stopped_with_live_restore_is_not_noticed_but_as_stale() {
    Kept::dies_and_comes_back(&["--live-restore"], "TERM", &GOES_ON, &GOES_ON);
}

#[test]
fn a_dockerd_that_is_killed_with_live_restore_is_not_noticed_but_as_stale() {
    Kept::dies_and_comes_back(&["--live-restore"], "KILL", &GOES_ON, &GOES_ON);
}

#[test]
fn a_dockerd_that_is_stopped_takes_its_containers_with_it() {
    let always = ["200 -> 503 exited -> 200", "200 -> 503 exited -> 503 restarting -> 200"];
    Kept::dies_and_comes_back(&[], "TERM", &["200 -> 503 exited"], &always);
}

/// They run on until the next dockerd clears them away, and of that no event tells.
#[test]
fn a_dockerd_that_is_killed_takes_its_containers_with_it_when_it_comes_back() {
    let always = ["200 -> 200 stale -> 200", "200 -> 200 stale -> 503 restarting -> 200", "200 -> 200 stale -> 503 exited -> 200"];
    Kept::dies_and_comes_back(&[], "KILL", &["200 -> 200 stale -> 503 exited"], &always);
}

#[test]
fn a_dockerd_that_hangs_is_found_out_and_what_happened_meanwhile_is_told_when_it_goes_on() {
    let Some(mut kept) = Kept::start(&[]) else { return };
    let (daemon, prober) = kept.daemon(&["-docker-timeout", "1s", "-resync", "500ms"]);
    daemon.is("live");
    prober.is_told("once", "200");
    let pid = kept.dockerd.docker(&["inspect", "--format", "{{.State.Pid}}", &kept.once]);
    kept.dockerd.signal("STOP");
    prober.is_told("once", "200 stale");
    kept.dockerd.signal("CONT");
    prober.is_told("once", "200");
    kept.dockerd.signal("STOP");
    prober.is_told("once", "200 stale");
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    kept.dockerd.signal("CONT");
    prober.is_told("once", "503 exited");
    prober.goes_on("once");
    let whole = prober.transcript("once");
    println!("dockerd hangs, goes on, hangs, goes on: {whole}");
    // It can answer before it has heard of the death itself.
    let allowed = "200 -> 200 stale -> 200 -> 200 stale -> 503 exited";
    is_one_of(&whole, &[allowed, &allowed.replace("stale -> 503", "stale -> 200 -> 503")]);
    is_one_of(&prober.transcript("always"), &["200 -> 200 stale -> 200 -> 200 stale -> 200"]);
}

#[test]
fn a_daemon_that_is_there_before_docker_knows_as_soon_as_docker_does() {
    let Some(mut kept) = Kept::start(&["--live-restore"]) else { return };
    kept.dockerd.signal("TERM");
    let (_daemon, prober) = kept.daemon(&[]);
    prober.is_told("once", "503 docker-unreachable");
    kept.dockerd.restart();
    are_told(&prober, &BOTH, "200");
    prober.goes_on("once");
    println!("the daemon is there first: {}", prober.transcript("once"));
    for app in BOTH {
        is_one_of(&prober.transcript(app), &["503 docker-unreachable -> 200"]);
    }
}
