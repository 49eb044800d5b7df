//! The daemon and a real dockerd: each state that a container can be brought into, as `docker` itself says it is.
//!
//! Without a dockerd these tests say that they are skipped, but where `CI` is `true` they fail instead.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may stop, and lives in the world"
)]

mod support;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::Value;
use support::{Answer, Daemon, Folder, PREFIX, eventually, program};

/// Statically linked, so that it is all that an image needs.
const BUSYBOX: &str = "/bin/busybox";

/// Runs the Docker CLI; gives what it printed.
fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// An image of nothing but busybox, as long as a test needs it.
struct Image(String);

impl Image {
    /// One for all tests that run at the same time.
    fn get() -> Arc<Self> {
        static SHARED: Mutex<Weak<Image>> = Mutex::new(Weak::new());
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(image) = shared.upgrade() {
            return image;
        }
        let name = format!("container-healthcheck-test:{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder::new();
        let bin = folder.join("root/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy(BUSYBOX, bin.join("busybox")).unwrap();
        for applet in ["sh", "sleep", "cat", "kill", "true", "false", "test", "touch", "rm"] {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        let tar = folder.join("image.tar");
        assert!(Command::new("tar").arg("-C").arg(folder.join("root")).arg("-cf").arg(&tar).arg(".").status().unwrap().success());
        docker(&["import", "--change", "ENV PATH=/bin", &tar.display().to_string(), &name]);
        let image = Arc::new(Self(name));
        *shared = Arc::downgrade(&image);
        image
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.0]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// A container, which goes with its owner whatever it is called by then.
struct Container {
    id: String,
}

impl Container {
    fn run(name: &str, args: &[&str], image: &Image, command: &[&str]) -> Self {
        Self::make(&["run", "-d"], name, args, image, command)
    }

    fn create(name: &str, image: &Image, command: &[&str]) -> Self {
        Self::make(&["create"], name, &[], image, command)
    }

    fn make(how: &[&str], name: &str, args: &[&str], image: &Image, command: &[&str]) -> Self {
        Self { id: docker(&[how, &["--network", "none", "--name", name], args, &[&image.0], command].concat()) }
    }

    /// One thing that `docker inspect` says of it.
    fn inspect(&self, format: &str) -> String {
        docker(&["inspect", "--format", format, &self.id])
    }

    /// What `docker ps` says of it.
    fn listed(&self, format: &str) -> String {
        docker(&["ps", "-a", "--no-trunc", "--filter", &format!("id={}", self.id), "--format", format])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.id]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// A daemon on the real socket, and an app of which nobody else has ever heard.
struct Stage {
    daemon: Daemon,
    image: Arc<Image>,
    app: String,
}

impl Stage {
    /// None if there is no dockerd to ask.
    fn set(args: &[&str]) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !is_possible(missing()) {
            return None;
        }
        let host = env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
        let daemon =
            Daemon::spawn_with(program(), &[&["-bind", "127.0.0.1:0", "-docker-timeout", "20s", "-docker-host", &host], args].concat());
        let app = format!("chc_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Some(Self { daemon, image: Image::get(), app })
    }

    fn name(&self, number: u32) -> String {
        format!("{}-{number}", self.app)
    }

    /// A container of the app's that sleeps.
    fn sleeper(&self, number: u32, args: &[&str]) -> Container {
        Container::run(&self.name(number), args, &self.image, &["sleep", "1000"])
    }

    fn ask(&self) -> Answer {
        self.daemon.app(&self.app)
    }

    /// Waits until the app is up in that container.
    fn is_up(&self, number: u32) {
        eventually("it is up", || {
            let answer = self.ask();
            answer.status == 200 && answer.json()["message"]["names"] == self.name(number)
        });
    }

    /// Waits until the app is down for that reason. On Docker 20.10 a list may call a container running for a second after its
    /// death, so that this cannot be asserted of the first probe.
    fn is_down(&self, number: u32, reason: &str, words: &str) {
        let begin = format!("{} is {reason}: {words}", self.name(number));
        let mut last = None;
        for_a_while(|| {
            let answer = self.ask();
            let json = answer.json();
            let message = json["message"].as_str().unwrap_or("").to_owned();
            let is_so = answer.verdict() == (503, 12, reason.to_owned()) && message.starts_with(&begin);
            last = Some(answer);
            is_so
        })
        .unwrap_or_else(|| panic!("never {begin:?}, but {last:?}"));
    }
}

/// Whether it becomes so.
fn for_a_while(mut is_so: impl FnMut() -> bool) -> Option<()> {
    let until = Instant::now() + support::PATIENCE;
    while Instant::now() < until {
        if is_so() {
            return Some(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// What is missing for a test with the dockerd of this host.
fn missing() -> Option<&'static str> {
    if !Command::new("docker").arg("version").output().is_ok_and(|output| output.status.success()) {
        return Some("`docker version` fails, so there is no dockerd to ask");
    }
    (!Path::new(BUSYBOX).exists()).then_some("there is no /bin/busybox to make an image of (package busybox-static)")
}

fn is_possible(missing: Option<&str>) -> bool {
    let Some(missing) = missing else { return true };
    assert!(env::var("CI").as_deref() != Ok("true"), "{missing}");
    println!("skipped: {missing}");
    false
}

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

/// A dockerd of our own, without containers, which may be treated badly.
struct Dockerd {
    folder: Folder,
    child: Child,
}

impl Dockerd {
    fn start() -> Self {
        let folder = Folder::new();
        let child = Self::spawn(&folder);
        let dockerd = Self { folder, child };
        dockerd.answers();
        dockerd
    }

    fn spawn(folder: &Folder) -> Child {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // It keeps nothing from one life to the next, so that what a killed one left behind is in nobody's way.
        let life = COUNT.fetch_add(1, Ordering::Relaxed);
        let own = |name: &str| folder.join(&format!("{name}{life}"));
        // Where it shares containerd with the dockerd of this host, it has namespaces of its own there.
        let namespace = format!("container-healthcheck-{}-{life}", std::process::id());
        // Its mounts and its network end with it.
        Command::new("unshare")
            .args(["--mount", "--net", "dockerd", "--bridge=none", "--iptables=false", "--ip-forward=false", "--storage-driver=vfs"])
            .arg(format!("--host=unix://{}", folder.join("docker.sock").display()))
            .arg(format!("--containerd-namespace={namespace}"))
            .arg(format!("--containerd-plugins-namespace={namespace}-plugins"))
            .arg("--data-root")
            .arg(own("data"))
            .arg("--exec-root")
            .arg(own("exec"))
            .arg("--pidfile")
            .arg(own("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap()
    }

    /// Waits until it answers.
    fn answers(&self) {
        let socket = format!("unix://{}", self.folder.join("docker.sock").display());
        let answers = || Command::new("docker").args(["--host", &socket, "version"]).output().unwrap().status.success();
        let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        for_a_while(answers).unwrap_or_else(|| panic!("this dockerd never answers: {}", log()));
    }

    fn signal(&mut self, name: &str) {
        assert!(Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap().success());
        match name {
            // Its threads stop one after the other.
            "STOP" => eventually("dockerd stands still", || {
                let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
                let states = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
                states.into_iter().all(|stat| stat.rsplit_once(')').is_some_and(|(_, state)| state.starts_with(" T")))
            }),
            "CONT" => {}
            _ => _ = self.child.wait().unwrap(),
        }
    }

    fn restart(&mut self) {
        self.child = Self::spawn(&self.folder);
        self.answers();
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // In good order first, so that the containerd which it started ends too.
        for (name, patience) in [("CONT", Duration::ZERO), ("TERM", Duration::from_secs(15)), ("KILL", Duration::from_secs(5))] {
            let _ = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).stderr(Stdio::null()).status();
            let until = Instant::now() + patience;
            while Instant::now() < until {
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn a_dockerd_that_hangs_dies_and_comes_back_is_told_of_as_long_as_it_does() {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root || !["docker", "dockerd", "unshare"].into_iter().all(is_there) {
        return println!("skipped: a dockerd of our own needs root, docker, dockerd and unshare");
    }
    let mut dockerd = Dockerd::start();
    let socket = dockerd.folder.join("docker.sock");
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
