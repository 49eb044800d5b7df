//! What stands before a fleet of hosts: Nginx with our Lua module, `HAProxy`, and all that is shipped for them, each as it is pasted.
//!
//! The hosts are real: an Nginx and a daemon each, on a loopback address of their own. Only their Docker is scripted.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may stop, and lives in the world"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use container_healthcheck::limits;
use support::fleet::{Host, Nginx, Outcome, Process, Users, has, has_lua, snippet, visit};
use support::stage::Stage;
use support::{
    Client, Daemon, FakeDocker, Folder, event_line, eventually, free_port, labelled, list, program, read_head, send_list, skipped,
};

/// How long after Docker's event a request may still come to a dead app before a test fails. The aim is 50 ms, which the benchmark
/// shows; this machine may be busy.
const SOON: Duration = Duration::from_secs(2);

/// The two ways to use the module, by the first part of the path.
const WAYS: [&str; 2] = ["o", "b"];

/// An upper Nginx with the module, which is given these options: both ways, (a) under `/o/` and (b) under `/b/`.
struct Upper {
    nginx: Nginx,
    address: SocketAddr,
    workers: u32,
}

impl Upper {
    fn start(workers: u32, options: &str) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let nginx = Nginx::start(address, workers, &upper_conf(address, options));
        Self { nginx, address, workers }
    }

    /// One before these hosts, which all have all apps.
    fn before(hosts: &[&Host], workers: u32, more: &str) -> Self {
        let upper = Self::start(workers, &format!("{}, {more}", servers(hosts)));
        // Before that it goes everywhere, as without a checker.
        for host in hosts {
            upper.wait_for_log(&format!("{} is live", host.address));
        }
        upper
    }

    fn visit(&self, path: &str) -> Outcome {
        visit(self.address, path)
    }

    /// Where so many requests for an app end: the status of those that fail, else the last number of the host's address.
    fn spread(&self, way: &str, app: &str, count: usize) -> BTreeMap<String, usize> {
        let mut spread = BTreeMap::new();
        for _ in 0..count {
            let Outcome { status, body, .. } = self.visit(&format!("/{way}/{app}/"));
            let end = if status == 200 { body.rsplit('.').next().unwrap().to_owned() } else { format!("status {status}") };
            *spread.entry(end).or_default() += 1;
        }
        spread
    }

    /// Waits until the requests for an app end there and nowhere else, in both ways.
    fn goes_to(&self, app: &str, ends: &[&str]) {
        for way in WAYS {
            eventually(&format!("/{way}/{app} goes to {ends:?}"), || self.spread(way, app, 8).keys().eq(ends));
        }
    }

    fn wait_for_log(&self, words: &str) {
        eventually(words, || self.nginx.log().contains(words));
    }

    fn count_in_log(&self, words: &str) -> usize {
        self.nginx.log().matches(words).count()
    }
}

fn servers(hosts: &[&Host]) -> String {
    let servers: Vec<_> = hosts.iter().map(|host| format!("\"{}\"", host.address)).collect();
    format!("servers = {{ [\"*\"] = {{ {} }} }}", servers.join(", "))
}

fn upper_conf(address: SocketAddr, options: &str) -> String {
    let http = snippet(
        "openresty/http.conf",
        &[
            ("lua_package_path \"/etc/nginx/lua/?.lua;;\";\n", ""),
            ("servers = { [\"*\"] = { \"10.0.0.1:8010\", \"10.0.0.2:8010\" } },", options),
        ],
    );
    let route = snippet("openresty/location-route.conf", &[]);
    let balance = snippet(
        "openresty/location-balance.conf",
        &[("^/o/", "^/b/"), ("proxy_pass http://container", "rewrite ^/b/(.*) /o/$1 break;\nproxy_pass http://container")],
    );
    format!("{http}\nserver {{ listen {address} backlog=4096;\n{route}\n{balance}\n}}")
}

/// How many questions the daemon of a host holds open.
fn watchers(host: &Host) -> u64 {
    host.daemon.as_ref().unwrap().counter("watchers")
}

fn spread(ends: &[(&str, usize)]) -> BTreeMap<String, usize> {
    ends.iter().map(|(end, count)| ((*end).to_owned(), *count)).collect()
}

#[test]
fn users_are_sent_where_their_app_lives_and_nowhere_else() {
    if !has_lua() {
        return;
    }
    let hosts = [Host::start(2, &["bk_iam", "-bk_gse"]), Host::start(3, &["bk_iam", "bk_gse"]), Host::start(4, &["bk_gsekit"])];
    let [a, b, c] = &hosts;
    let upper = Upper::before(&[a, b, c], 1, "");
    upper.goes_to("bk_iam", &["2", "3"]);
    upper.goes_to("bk_gse", &["3"]);
    upper.goes_to("bk_gsekit", &["4"]);
    for way in WAYS {
        assert_eq!(upper.spread(way, "bk_iam", 20), spread(&[("2", 10), ("3", 10)]), "in turns, and each app has its own turns");
    }
    // An app of which no host knows may be something else: as without a checker.
    assert_eq!(upper.spread("o", "unknown", 9), spread(&[("2", 3), ("3", 3), ("4", 3)]));
    a.kill("bk_iam");
    upper.goes_to("bk_iam", &["3"]);
    a.revive("bk_iam");
    upper.goes_to("bk_iam", &["2", "3"]);
    let address = a.address;
    for words in [format!("{address} is live"), format!("{address}: bk_iam is down"), format!("{address}: bk_iam is up")] {
        assert_eq!(upper.count_in_log(&format!("container_healthcheck: {words}")), 1, "{words}");
    }
}

#[test]
fn weights_backups_and_apps_with_servers_of_their_own() {
    if !has_lua() {
        return;
    }
    let hosts = [Host::start(2, &["a", "own"]), Host::start(3, &["a", "own"]), Host::start(4, &["a", "own"])];
    let [a, b, c] = hosts.each_ref().map(|host| host.address);
    let options =
        format!("servers = {{ [\"*\"] = {{ {{ \"{a}\", weight = 3 }}, \"{b}\", {{ \"{c}\", backup = true }} }}, own = {{ \"{c}\" }} }}");
    let upper = Upper::start(1, &options);
    upper.goes_to("own", &["4"]);
    upper.wait_for_log(&format!("{a} is live"));
    upper.wait_for_log(&format!("{b} is live"));
    for way in WAYS {
        assert_eq!(upper.spread(way, "a", 16), spread(&[("2", 12), ("3", 4)]));
    }
    hosts[0].kill("a");
    upper.goes_to("a", &["3"]);
    hosts[1].kill("a");
    upper.goes_to("a", &["4"]);
    hosts[1].revive("a");
    upper.goes_to("a", &["3"]);
}

#[test]
fn by_route_nobody_is_sent_to_a_dead_app_for_longer_than_a_moment() {
    if !has_lua() {
        return;
    }
    let hosts = [Host::start(2, &["a"]), Host::start(3, &["a"])];
    let upper = Upper::before(&[&hosts[0], &hosts[1]], 2, "");
    upper.goes_to("a", &["2", "3"]);
    eventually("both are known", || upper.count_in_log("is live") >= 2);
    let users = Users::start(4, upper.address, "/o/a/");
    eventually("users are there", || !hosts[0].came_since(SystemTime::UNIX_EPOCH, "a").is_empty());
    let died_at = hosts[0].kill("a");
    upper.wait_for_log("a is down");
    let settled_at = SystemTime::now();
    eventually("many more come", || hosts[1].came_since(settled_at, "a").len() > 500);
    let outcomes = users.stop();
    let late = hosts[0].came_since(died_at, "a");
    let failed = outcomes.iter().filter(|outcome| outcome.status != 200).count();
    let last = late.iter().max().copied().unwrap_or_default();
    eprintln!("route: of {} requests {failed} failed; the last came to the dead app {last:?} after Docker's event", outcomes.len());
    assert!(last < SOON);
    assert!(outcomes.iter().all(|outcome| [200, 502].contains(&outcome.status)));
}

#[test]
fn by_balance_no_user_sees_a_death() {
    if !has_lua() {
        return;
    }
    let hosts = [Host::start(2, &["a"]), Host::start(3, &["a"]), Host::start(4, &["a"])];
    let upper = Upper::before(&[&hosts[0], &hosts[1], &hosts[2]], 2, "");
    upper.goes_to("a", &["2", "3", "4"]);
    // As long as nothing is known of a host it is used too, and what is first heard of it is no change.
    eventually("all are known", || upper.count_in_log("is live") >= 3);
    let users = Users::start(4, upper.address, "/b/a/");
    let mut last = Vec::new();
    for _ in 0..3 {
        // Two of three die together: some requests fail twice before they find the third.
        let died_at = hosts[0].kill("a");
        hosts[1].kill("a");
        let both_are = |words: &str, count| eventually(words, || upper.count_in_log(words) >= count);
        both_are("a is down", 2 * (last.len() + 1));
        let settled_at = SystemTime::now();
        eventually("more come", || hosts[2].came_since(settled_at, "a").len() > 200);
        let late = [&hosts[0], &hosts[1]].map(|host| host.came_since(died_at, "a").into_iter().max().unwrap_or_default());
        last.push(late.into_iter().max().unwrap());
        hosts[0].revive("a");
        hosts[1].revive("a");
        both_are("a is up", 2 * last.len());
    }
    let outcomes = users.stop();
    eprintln!("balance: of {} requests none failed; the last came to a dead app {last:?} after Docker's event", outcomes.len());
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.status != 200).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(last.iter().all(|last| *last < SOON));
}

#[test]
fn on_a_real_docker_users_are_away_a_moment_after_kill_9() {
    if !has_lua() {
        return;
    }
    let Some(stage) = Stage::set(&[]) else { return };
    let container = stage.sleeper(1, &[]);
    stage.is_up(1);
    let app = &stage.app;
    let (first, _nginx) = Host::nginx_before(2, stage.daemon.address());
    let second = Host::start(3, &[app]);
    let upper = Upper::start(1, &format!("servers = {{ [\"*\"] = {{ \"{first}\", \"{}\" }} }}", second.address));
    upper.goes_to(app, &["2", "3"]);
    // The first host's Nginx goes on to answer: where a request goes is what counts.
    let path = format!("/o/{app}/");
    let killed = Command::new("kill").args(["-9", &container.inspect("{{.State.Pid}}")]).stderr(Stdio::null()).status().unwrap();
    if !killed.success() {
        skipped("the process is root's, and we are not");
        return;
    }
    let killed_at = Instant::now();
    let mut last = Duration::ZERO;
    eventually("nobody goes there", || {
        if upper.visit(&path).body == first.ip().to_string() {
            last = killed_at.elapsed();
        }
        killed_at.elapsed() > last + Duration::from_secs(1)
    });
    eprintln!("a real Docker: the last user is sent to the dead app {last:?} after kill -9");
    assert!(last < SOON);
}

#[test]
fn a_host_whose_checker_is_away_keeps_its_verdicts_for_a_while_and_is_then_unknown() {
    if !has_lua() {
        return;
    }
    let mut hosts = [Host::start(2, &["a", "-b"]), Host::start(3, &["a", "b"])];
    let upper = Upper::before(&[&hosts[0], &hosts[1]], 2, "last_for = 2, none = 503");
    let forgetful = upper;
    let upper = Upper::before(&[&hosts[0], &hosts[1]], 2, "none = \"503\"");
    for upper in [&upper, &forgetful] {
        upper.goes_to("a", &["2", "3"]);
        upper.goes_to("b", &["3"]);
    }
    hosts[0].daemon = None;
    let first = hosts[0].address;
    for upper in [&upper, &forgetful] {
        upper.wait_for_log(&format!("{first} is unknown: HTTP/1.1 502 Bad Gateway"));
    }
    upper.goes_to("a", &["2", "3"]);
    upper.goes_to("b", &["3"]);
    // It is not known to be up any more, and others are.
    forgetful.goes_to("a", &["3"]);
    // Nobody is known to be up, and one is not known: better that one.
    hosts[1].kill("a");
    hosts[1].kill("b");
    hosts[0].revive_quietly("b");
    forgetful.goes_to("a", &["2"]);
    forgetful.goes_to("b", &["2"]);
    upper.goes_to("a", &["2"]);
    upper.goes_to("b", &["status 503"]);
    // Now nothing is known: as without a checker, whatever `none` says.
    hosts[1].daemon = None;
    hosts[1].revive_quietly("a");
    forgetful.wait_for_log(&format!("{} is unknown", hosts[1].address));
    forgetful.goes_to("a", &["2", "3"]);
    assert_eq!(upper.count_in_log("is unknown"), 2, "it is said once");
}

#[test]
fn a_host_without_docker_is_unknown_and_known_again() {
    if !has_lua() {
        return;
    }
    let hosts = [Host::start(2, &["a"]), Host::start(3, &["a"])];
    let upper = Upper::before(&[&hosts[0], &hosts[1]], 1, "last_for = 1");
    upper.goes_to("a", &["2", "3"]);
    let docker = &hosts[0].docker;
    docker.vanish();
    docker.drop_listeners();
    upper.wait_for_log(&format!("{} is unknown: docker is down", hosts[0].address));
    upper.goes_to("a", &["3"]);
    docker.listen();
    docker.open_stream();
    upper.goes_to("a", &["2", "3"]);
    upper.wait_for_log(&format!("{} is live", hosts[0].address));
    assert_eq!(upper.count_in_log("a is down"), 0, "nobody has said so");
}

#[test]
fn when_all_are_down_it_is_as_one_wants() {
    if !has_lua() {
        return;
    }
    let hosts = [Host::start(2, &["a", "-never"]), Host::start(3, &["a", "-never"])];
    let both = [&hosts[0], &hosts[1]];
    let uppers =
        ["none = \"last\"", "none = \"last\", last_for = 1", "none = \"all\"", "none = 503"].map(|more| Upper::before(&both, 1, more));
    for upper in &uppers {
        upper.goes_to("a", &["2", "3"]);
    }
    hosts[0].kill("a");
    for upper in &uppers {
        upper.goes_to("a", &["3"]);
    }
    hosts[1].kill("a");
    let [last, shortly, all, clear] = &uppers;
    // Where it goes shows only if it serves: that the checkers say otherwise is the point.
    for host in &hosts {
        host.revive_quietly("a");
    }
    for upper in &uppers {
        upper.wait_for_log(&format!("{}: a is down", hosts[1].address));
    }
    last.goes_to("a", &["3"]);
    assert_eq!(last.spread("b", "a", 8), spread(&[("3", 8)]));
    shortly.goes_to("a", &["2", "3"]);
    all.goes_to("a", &["2", "3"]);
    clear.goes_to("a", &["status 503"]);
    clear.goes_to("never", &["status 503"]);
    for upper in [last, shortly, all] {
        // All are tried.
        upper.goes_to("never", &["status 502"]);
    }
    hosts[0].docker.event("start", "a", "");
    for upper in &uppers {
        upper.goes_to("a", &["2"]);
    }
}

#[test]
fn a_host_that_refuses_connections_is_left_alone_at_once_and_by_balance_nobody_sees_it() {
    if !has_lua() {
        return;
    }
    let mut hosts = [Host::start(2, &["a"]), Host::start(3, &["a"])];
    let upper = Upper::before(&[&hosts[0], &hosts[1]], 1, "");
    upper.goes_to("a", &["2", "3"]);
    let users = Users::start(4, upper.address, "/b/a/");
    eventually("users are there", || hosts[0].came_since(SystemTime::UNIX_EPOCH, "a").len() > 20);
    hosts[0].nginx.stop();
    upper.wait_for_log(&format!("{} is unreachable: connection refused", hosts[0].address));
    upper.goes_to("a", &["3"]);
    let address = hosts[0].address;
    hosts[0].nginx.run(address);
    upper.goes_to("a", &["2", "3"]);
    let failed: Vec<_> = users.stop().into_iter().filter(|outcome| outcome.status != 200).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let log = upper.nginx.log();
    let of_ours = log.lines().filter(|line| line.contains("connect() failed") && line.contains("ngx.timer"));
    assert_eq!(of_ours.count(), 0, "each try of ours is not logged");
}

#[test]
fn one_worker_watches_and_a_reload_under_load_is_not_felt() {
    if !has_lua() {
        return;
    }
    let hosts = [Host::start(2, &["a", "-b", "c"]), Host::start(3, &["a", "b", "c"])];
    let upper = Upper::before(&[&hosts[0], &hosts[1]], 4, "");
    upper.goes_to("a", &["2", "3"]);
    // To a daemon one who has gone looks like one who has closed the side that they have no use for, until it answers them: so something
    // has to change before they can be counted.
    let one_watches = || {
        for host in &hosts {
            let is_up = || host.daemon.as_ref().unwrap().app("c").status == 200;
            host.kill("c");
            eventually("it is dead", || !is_up());
            host.revive("c");
            eventually("it is alive", is_up);
        }
        eventually("one watches", || hosts.iter().all(|host| watchers(host) == 1));
    };
    one_watches();
    let users = [Users::start(2, upper.address, "/o/b/"), Users::start(2, upper.address, "/b/b/")];
    for _ in 0..5 {
        let before = upper.nginx.workers();
        assert_eq!(before.len(), upper.workers as usize);
        upper.nginx.reload();
        // They do not stay as long as a question may be held back: 30 s.
        eventually("all workers are new", || {
            let now = upper.nginx.workers();
            now.len() == before.len() && now.iter().all(|worker| !before.contains(worker))
        });
        one_watches();
    }
    let outcomes: Vec<_> = users.into_iter().flat_map(Users::stop).collect();
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.status != 200).collect();
    assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), outcomes.len());
    eprintln!("reload: of {} requests none failed, and none went astray", outcomes.len());
    assert!(hosts[0].came_since(SystemTime::UNIX_EPOCH, "b").is_empty(), "the verdicts have survived");
    assert_eq!(upper.count_in_log(" is live"), 2, "nothing has changed");
    // The one that watches may die.
    hosts[0].kill("a");
    upper.goes_to("a", &["3"]);
    for worker in upper.nginx.workers() {
        assert!(Command::new("kill").args(["-KILL", &worker.to_string()]).status().unwrap().success());
    }
    hosts[0].revive("a");
    upper.goes_to("a", &["2", "3"]);
    one_watches();
}

#[test]
fn a_host_that_was_taken_out_does_not_come_back_with_old_verdicts() {
    if !has_lua() {
        return;
    }
    let mut hosts = [Host::start(2, &["a"]), Host::start(3, &["a"])];
    let upper = Upper::before(&[&hosts[0], &hosts[1]], 1, "");
    upper.goes_to("a", &["2", "3"]);
    let reload = |hosts: &[&Host]| {
        let before = upper.nginx.workers();
        upper.nginx.configure(1, &upper_conf(upper.address, &servers(hosts)));
        upper.nginx.reload();
        eventually("it is reloaded", || upper.nginx.workers().iter().all(|worker| !before.contains(worker)));
    };
    reload(&[&hosts[1]]);
    upper.goes_to("a", &["3"]);
    hosts[0].daemon = None;
    reload(&[&hosts[0], &hosts[1]]);
    upper.wait_for_log(&format!("{} is unknown: HTTP/1.1 502", hosts[0].address));
    upper.goes_to("a", &["3"]);
}

/// A host that answers every question about its apps as it is told, and each user with 200.
struct Liar {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    /// What the last user asked.
    head: Arc<Mutex<String>>,
}

impl Liar {
    fn start(number: u8) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, number), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, head) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(String::new())));
        let (told, asked) = (Arc::clone(&answer), Arc::clone(&head));
        // It ends with the tests.
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (told, asked) = (Arc::clone(&told), Arc::clone(&asked));
                thread::spawn(move || {
                    while let Some(head) = read_head(&mut stream) {
                        if head.contains("/container-healthcheck/apps") {
                            let _ = stream.write_all(&told.lock().unwrap());
                            return;
                        }
                        *asked.lock().unwrap() = head;
                        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{:9}", address.ip()).as_bytes());
                    }
                });
            }
        });
        Self { address, answer, head }
    }

    /// From now on it sends that.
    fn says(&self, answer: impl AsRef<[u8]>) {
        *self.answer.lock().unwrap() = answer.as_ref().to_vec();
    }

    /// From now on it says that of its apps, as a daemon would.
    fn tells(&self, index: u64, apps: &str) {
        self.says(format!(
            "HTTP/1.1 200 OK\r\nX-Index: {index}\r\n\r\n{{\"code\":0,\"status\":\"ok\",\"message\":{{\"docker\":\"live\",\"apps\":{apps}}}}}"
        ));
    }
}

#[test]
fn whatever_a_host_says_nothing_breaks_and_logs_stay_clean() {
    if !has_lua() {
        return;
    }
    let (liar, honest) = (Liar::start(5), Host::start(6, &["a"]));
    let upper = Upper::start(
        2,
        &format!("servers = {{ [\"*\"] = {{ \"{}\", \"{}\" }} }}, last_for = 0.1, none = \"503\"", liar.address, honest.address),
    );
    upper.goes_to("a", &["6"]);
    let good = r#"{"code":0,"status":"ok","message":{"docker":"live","apps":{"a":{"up":true}}}}"#;
    let head = "HTTP/1.1 200 OK\r\nX-Index: 1\r\n\r\n";
    let mut index = 0;
    for (said, logged) in [
        ("rubbish\x1b[31m\r\n".to_owned(), "is unknown: rubbish\\x1B[31m"),
        (format!("HTTP/1.1 200 OK\r\n\r\n{good}"), "is unknown: an answer without X-Index"),
        (format!("{head}{}", &good[..good.len() - 1]), "is unknown: not JSON at byte 77"),
        (format!("{head}{good}x"), "is unknown: not JSON at byte 78"),
        (format!("{head}[]"), "is unknown: not an answer about all apps"),
        (format!("{head}{}1", "[".repeat(100_000)), "is unknown: not JSON at byte 21"),
        (format!("{head}{{\"message\":{{\"docker\":7,\"apps\":{{}}}}}}"), "is unknown: not an answer about all apps"),
        (format!("HTTP/1.1 200 OK\r\n{}", "X-Index: 1\r\nX: y\r\n".repeat(1000)), "is unknown: not JSON at byte 1"),
        (format!("{head}{}", " ".repeat(9 << 20)), "is unknown: an answer that is too long"),
        (String::new(), "is unknown: closed"),
        (format!("{head}{}", good.replace("live", "odd\\n\\u0000\\u202e\\\"%s")), "is odd\\x0A\\x00\\xE2\\x80\\xAE\"%s"),
        (format!("{head}{}", good.replace("\"live\"", "\"down\"")), "is unknown: docker is down"),
        (format!("{head}{}", good.replace("live", "a list").replace(r#"{"a":{"up":true}}"#, r#"[{"up":true},"a"]"#)), "is a list"),
    ] {
        // A host is asked less and less often while it talks nonsense.
        index += 1;
        liar.tells(index, "{}");
        eventually("it talks sense", || upper.count_in_log(" is live") as u64 > index);
        let words = format!("{} {logged}", liar.address);
        let before = upper.count_in_log(&words);
        liar.says(&said);
        eventually(&words, || upper.count_in_log(&words) > before);
        assert_eq!(upper.visit("/o/a/").status, 200);
    }
    // Names that are none are not taken, and those that are, are.
    liar.tells(97, r#"{"a":{"up":true},"b\nhost x up":{"up":true},"c c":{"up":true},"(":{"up":true},"d":{"up":"true"},"e":{"up":false},"f":7,"g":null,"":{"up":true},"\ud83d\ude00":{"up":true},"h.-_9":{"up":true,"x":[1,2,{}]},"__index":{"up":true}}"#);
    upper.goes_to("a", &["5", "6"]);
    upper.goes_to("h.-_9", &["5"]);
    for app in ["b%0Ahost%20x%20up", "c%20c", "(", "d", "e", "f", "g", "%F0%9F%98%80", "__index"] {
        upper.goes_to(app, &["status 503"]);
    }
    liar.tells(98, r#"{"evil\r\n\u001b[2J":{"up":true}}"#);
    upper.goes_to("a", &["6"]);
    let log = upper.nginx.log();
    assert!(!log.contains('\x1b') && !log.contains("evil") && !log.contains(char::REPLACEMENT_CHARACTER));
    assert_eq!(log.matches("[error]").count(), 0, "{log}");
}

#[test]
fn an_app_is_told_by_both_ways_what_paas_conf_tells_it() {
    if !has_lua() {
        return;
    }
    let liar = Liar::start(5);
    liar.tells(1, r#"{"a":{"up":true}}"#);
    let upper = Upper::start(1, &format!("servers = {{ [\"*\"] = {{ \"{}\" }} }}", liar.address));
    upper.goes_to("a", &["5"]);
    for way in WAYS {
        let mut user = Client::new(TcpStream::connect(upper.address).unwrap());
        user.send(&format!("GET /{way}/a/ HTTP/1.1\r\nHost: paas.example.com:8080\r\n\r\n"));
        assert_eq!(user.answer().status, 200);
        let head = liar.head.lock().unwrap();
        for field in [
            "Host: paas.example.com:8080",
            "X-Real-IP: 127.0.0.1",
            "X-Scheme: http",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Host: paas.example.com:8080",
            "X-Forwarded-Proto: http",
        ] {
            assert!(head.contains(&format!("\r\n{field}\r\n")), "/{way}/: no {field} in {head}");
        }
    }
}

#[test]
fn a_daemon_that_has_just_started_and_checks_its_apps_takes_nobody_from_them() {
    if !has_lua() {
        return;
    }
    let liar = Liar::start(5);
    let checking = r#"{"a":{"up":false,"reason":"checking"},"b":{"up":true}}"#;
    liar.tells(1, checking);
    let upper = Upper::start(1, &format!("servers = {{ [\"*\"] = {{ \"{}\" }} }}, none = \"503\"", liar.address));
    upper.goes_to("b", &["5"]);
    upper.goes_to("a", &["5"]);
    liar.tells(2, r#"{"a":{"up":false,"reason":"exited"}}"#);
    upper.goes_to("b", &["status 503"]);
    upper.goes_to("a", &["status 503"]);
    // A new container of an app that was down is one that was not up before.
    liar.tells(3, checking);
    upper.goes_to("b", &["5"]);
    upper.goes_to("a", &["status 503"]);
    liar.tells(4, r#"{"a":{"up":true}}"#);
    upper.goes_to("a", &["5"]);
    liar.tells(5, checking);
    upper.goes_to("b", &["5"]);
    upper.goes_to("a", &["5"]);
}

/// A host where the app `a` lives until its power is lost: then it says no more, and takes no connections.
struct Mortal {
    address: SocketAddr,
    is_dead: Arc<AtomicBool>,
    /// It holds a question.
    holds: Arc<AtomicBool>,
    life: Option<JoinHandle<(TcpListener, Vec<TcpStream>)>>,
}

impl Mortal {
    fn start(number: u8) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, number), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (is_dead, holds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (dies, asked) = (Arc::clone(&is_dead), Arc::clone(&holds));
        let life = thread::spawn(move || {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept() {
                if dies.load(Ordering::Relaxed) {
                    silent.push(stream);
                    break;
                }
                match read_head(&mut stream) {
                    Some(head) if head.contains("?index=") => {
                        asked.store(true, Ordering::Relaxed);
                        silent.push(stream);
                    }
                    Some(head) => {
                        let apps = r#"{"message":{"docker":"live","apps":{"a":{"up":true}}}}"#;
                        let body = if head.contains("/apps") { apps.to_owned() } else { address.ip().to_string() };
                        let start = format!("HTTP/1.0 200 OK\r\nX-Index: 1\r\nContent-Length: {}\r\n\r\n", body.len());
                        let _ = stream.write_all((start + &body).as_bytes());
                    }
                    None => {}
                }
            }
            (listener, silent)
        });
        Self { address, is_dead, holds, life: Some(life) }
    }

    /// As seen from outside: once the queue of those who would connect is full, the kernel answers nobody. Gives what is not to be closed.
    fn dies(&mut self) -> (TcpListener, Vec<TcpStream>) {
        self.is_dead.store(true, Ordering::Relaxed);
        let last = TcpStream::connect(self.address).unwrap();
        let (listener, mut open) = self.life.take().unwrap().join().unwrap();
        open.push(last);
        while let Ok(stream) = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)) {
            open.push(stream);
        }
        (listener, open)
    }
}

#[test]
fn a_host_that_falls_silent_is_noticed_and_meanwhile_keeps_one_user_waiting_by_balance() {
    if !has_lua() {
        return;
    }
    let (mut mortal, honest) = (Mortal::start(5), Host::start(6, &["a"]));
    let upper = Upper::start(1, &format!("servers = {{ [\"*\"] = {{ \"{}\", \"{}\" }} }}", mortal.address, honest.address));
    upper.goes_to("a", &["5", "6"]);
    eventually("it is asked to say what changes", || mortal.holds.load(Ordering::Relaxed));
    let _open = mortal.dies();
    let answers: Vec<_> = (0..12).map(|_| upper.visit("/b/a/").status).collect();
    assert_eq!(answers, [200; 12]);
    assert!(upper.count_in_log("while connecting to upstream") <= 1, "{}", upper.nginx.log());
    upper.wait_for_log(&format!("{} is unreachable: timeout", mortal.address));
    upper.goes_to("a", &["6"]);
}

#[test]
fn hostile_labels_reach_nobody() {
    if !has_lua() {
        return;
    }
    let host = Host::start(2, &["a"]);
    let upper = Upper::before(&[&host], 1, "none = \"503\"");
    upper.goes_to("a", &["2"]);
    let app = |label: &str| {
        labelled(&format!("x{}-1", label.len()), "running", "Up 3 minutes", &format!(r#""container-healthcheck.app":"{label}""#))
    };
    let labels = [r"a\nb up", r#"\",\"z\":{\"up\":true},\""#, r"\u0000", r"<b>", "fine"];
    host.docker.holds(labels.iter().map(|label| app(label)).collect());
    for label in labels {
        host.docker.event("start", &format!("x{}-1", label.len()), "");
    }
    upper.goes_to("fine", &["2"]);
    for name in ["z", "b", "a%0Ab%20up", "%3Cb%3E"] {
        upper.goes_to(name, &["status 503"]);
    }
}

#[test]
fn names_that_users_make_up_cost_nothing_that_stays() {
    if !has_lua() {
        return;
    }
    let host = Host::start(2, &["a"]);
    let upper = Upper::before(&[&host], 1, "");
    upper.goes_to("a", &["2"]);
    let memory = || -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", upper.nginx.workers()[0])).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let mut client = Client::new(TcpStream::connect(upper.address).unwrap());
    let mut visit = |number: usize| {
        let name = format!("{number}{}", "x".repeat(1000));
        assert_eq!(client.get(&format!("/o/{name}/")).status, 200);
    };
    (0..3000).for_each(&mut visit);
    let before = memory();
    (3000..9000).for_each(&mut visit);
    let after = memory();
    assert!(after < before + 4096, "{before} KiB, and then {after}");
}

#[test]
fn a_mistake_in_the_configuration_is_said_and_never_a_500() {
    if !has_lua() {
        return;
    }
    let dead = SocketAddr::from(([127, 0, 0, 9], 1));
    for (options, words, status) in [
        ("servers = { [\"*\"] = { \"localhost:80\" } }".to_owned(), "a server is \"ip:port\"", 503),
        ("servers = { [\"*\"] = { { \"127.0.0.1:80\", weight = 0 } } }".to_owned(), "a server is \"ip:port\"", 503),
        ("server = {}".to_owned(), "there is no option server", 503),
        (format!("servers = {{ [\"*\"] = {{ \"{dead}\" }} }}, none = \"some\""), "none is \"last\", \"all\" or \"503\", not some", 503),
        (String::new(), "servers is missing, and this Nginx has no ngx.upstream", 503),
        (format!("servers = {{ b = {{ \"{dead}\" }} }}"), "127.0.0.9:1 is unreachable", 404),
        ("servers = { [\"*\"] = {} }".to_owned(), "", 404),
        (format!("servers = {{ [\"*\"] = {{ \"{dead}\" }} }}, dict = \"other\""), "there is no lua_shared_dict other", 502),
    ] {
        let upper = Upper::start(1, &options);
        upper.wait_for_log(words);
        for way in WAYS {
            assert_eq!(upper.visit(&format!("/{way}/a/")).status, status, "{options}");
        }
    }
}

#[test]
fn without_servers_those_of_the_upstream_named_after_the_app_are_taken() {
    if !has_lua() {
        return;
    }
    let hosts = [Host::start(2, &["a", "-b"]), Host::start(3, &["a", "b"])];
    let [a, b] = hosts.each_ref().map(|host| host.address);
    // Only OpenResty has ngx.upstream: this answers as its documentation says.
    let folder = Folder::new();
    fs::create_dir(folder.join("ngx")).unwrap();
    let module = format!(
        r#"local list = {{
            a = {{ {{ addr = "{a}", weight = 1, name = "{a}" }}, {{ addr = "{b}", weight = 1, name = "{b}", backup = true }} }},
            b = {{ {{ addr = {{ "{a}", "{b}" }}, weight = 2, name = "appo" }} }},
            c = {{ {{ addr = "{a}", weight = 1, name = "{a}", down = true }}, {{ addr = "{b}", weight = 1, name = "{b}" }} }},
            apps = {{ {{ addr = "0.0.0.1:80", weight = 1, name = "0.0.0.1" }}, {{ addr = "unix:/run/x.sock", weight = 1, name = "x" }} }},
        }}
        return {{
            get_upstreams = function() return {{ "a", "b", "c", "apps" }} end,
            get_servers = function(name) if list[name] then return list[name] end return nil, "upstream not found" end,
        }}"#
    );
    fs::write(folder.join("ngx/upstream.lua"), module).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let conf = upper_conf(address, "").replace(
        "init_worker_by_lua_block {",
        &format!("init_worker_by_lua_block {{ package.path = \"{}/?.lua;\" .. package.path", folder.path().display()),
    );
    let upper = Upper { nginx: Nginx::start(address, 1, &conf), address, workers: 1 };
    upper.goes_to("a", &["2"]);
    upper.goes_to("b", &["3"]);
    upper.goes_to("c", &["3"]);
    upper.goes_to("apps", &["status 404"]);
    upper.goes_to("unknown", &["status 404"]);
    hosts[0].kill("a");
    upper.goes_to("a", &["3"]);
    assert_eq!(upper.count_in_log("0.0.0.1"), 0, "nobody is asked there");
}

#[test]
fn the_modules_parser_takes_json_and_nothing_else() {
    if !has_lua() {
        return;
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    // What is not JSON is 400; what is comes back in a form of its own, which no JSON has: type and length before each text.
    let conf = format!(
        r#"server {{ listen {address}; client_body_buffer_size 1m; location / {{ content_by_lua_block {{
            local function show(value)
                if type(value) ~= "table" then
                    value = type(value) == "number" and ("%.17g"):format(value) or tostring(value)
                    return #value .. ":" .. value
                end
                local parts = {{}}
                for key, item in pairs(value) do
                    parts[#parts + 1] = show(key) .. "=" .. show(item)
                end
                table.sort(parts)
                return "{{" .. table.concat(parts, ",") .. "}}"
            end
            ngx.req.read_body()
            local value, err = require("container_healthcheck")._decode(ngx.req.get_body_data() or "")
            local text = err or show(value)
            ngx.status = err and 400 or 200
            ngx.header.content_length = #text
            ngx.print(text)
        }} }} }}"#
    );
    let nginx = Nginx::start(address, 1, &conf);
    let mut client = Client::new(TcpStream::connect(address).unwrap());
    let mut ask = |json: &str| {
        client.send(&format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{json}", json.len()));
        client.answer()
    };
    for text in texts() {
        let answer = ask(&text);
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(value) => assert_eq!((answer.status, answer.body), (200, shown(&value)), "{text:?}"),
            Err(error) => assert_eq!(answer.status, 400, "{text:?} is no JSON ({error}), but was read as {}", answer.body),
        }
    }
    assert_eq!(ask("null").body, "3:nil");
    assert_eq!(ask(r#"{"a":null,"b":1}"#).body, "{1:b=1:1}");
    assert_eq!(ask(&"[".repeat(1000)).status, 400);
    assert_eq!(nginx.log().matches("[error]").count(), 0);
}

/// Texts, some of which are JSON.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        r#"{"a":{"up":true,"b":[1,-2.5e3,0.125,1e2,-0]},"":"","x":[]}"#,
        r#""\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00\u0000 é€😀""#,
        "[\"a\u{7f}b\"]",
        " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } }\n",
        "true",
        "false",
        "7",
        "\"x\"",
        "[1,[2,[3,[4]]]]",
        "12345678901234567890",
        "1709878119",
        r#"{"a":1,"a":2}"#,
        // None of these is JSON.
        "",
        " ",
        "{",
        "}",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\" 1}",
        "{1:2}",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "-",
        "--1",
        "0x10",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "tru",
        "True",
        "truex",
        "1 2",
        "[1]]",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800x\"",
        "\"a\nb\"",
        "\"a\tb\"",
        "\"\u{1}\"",
        "\"\0\"",
        "[1\0]",
        "\u{b}1",
        "\u{a0}1",
        "\u{feff}1",
        "// x\n1",
        "/**/1",
        "[1;2]",
        "1,",
        ",",
        ":",
        "undefined",
    ]
    .map(str::to_owned)
    .to_vec();
    // And one text with each of its bytes left out, doubled, or replaced.
    let whole = r#"{"a\u00e9":[true,-1.5e+2,{"b":"\n"}],"c":0}"#;
    for at in 0..whole.len() {
        texts.push(format!("{}{}", &whole[..at], &whole[at + 1..]));
        texts.push(format!("{}{}", &whole[..=at], &whole[at..]));
        for other in ["\"", "{", "]", ",", "\\", "0", "e", "\u{1}"] {
            texts.push(format!("{}{other}{}", &whole[..at], &whole[at + 1..]));
        }
    }
    texts
}

/// A value as the Lua in the test above shows it.
fn shown(value: &serde_json::Value) -> String {
    use serde_json::Value;
    let sized = |text: &str| format!("{}:{text}", text.len());
    let mut parts: Vec<_> = match value {
        Value::Object(object) => object.iter().map(|(key, value)| format!("{}={}", sized(key), shown(value))).collect(),
        Value::Array(array) => array.iter().zip(1..).map(|(value, at)| format!("{}={}", sized(&at.to_string()), shown(value))).collect(),
        Value::String(text) => return sized(text),
        Value::Number(number) => return sized(&c_general(number.as_f64().unwrap())),
        Value::Bool(_) | Value::Null => return sized(&value.to_string()),
    };
    parts.sort_unstable();
    format!("{{{}}}", parts.join(","))
}

/// A number as `%.17g` has it, for those of the test.
fn c_general(number: f64) -> String {
    if number.abs() < 1e17 { number.to_string() } else { format!("{number:e}").replace('e', "e+") }
}

/// An `HAProxy` as shipped before these two hosts, whose app `bk_iam` is checked by HTTP/1.0 and `bk_sops` by HTTP/1.1.
fn haproxy(hosts: &[Host; 2]) -> (Process, Folder, SocketAddr) {
    let (folder, address) = (Folder::new(), SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let [a, b] = hosts.each_ref().map(|host| host.address.to_string());
    let conf = snippet("haproxy/haproxy.cfg", &[("10.0.0.1:8010", &a), ("10.0.0.2:8010", &b), ("bind :80", &format!("bind {address}"))]);
    fs::write(folder.join("haproxy.cfg"), conf).unwrap();
    let process = Process::start(Command::new("haproxy").arg("-f").arg(folder.join("haproxy.cfg")).stderr(Stdio::null()));
    eventually("haproxy listens", || TcpStream::connect(address).is_ok());
    (process, folder, address)
}

#[test]
fn haproxy_sends_users_where_their_app_lives() {
    if !has_lua() || !has("haproxy", "-v") {
        return;
    }
    let hosts = [Host::start(2, &["bk_iam", "bk_sops"]), Host::start(3, &["bk_iam", "-bk_sops"])];
    let (_haproxy, _folder, address) = haproxy(&hosts);
    let goes_to = |app: &str, ends: &[&str]| {
        eventually(&format!("{app} goes to {ends:?}"), || {
            let mut seen: Vec<_> = (0..8)
                .map(|_| visit(address, &format!("/o/{app}/")))
                .map(|outcome| if outcome.status == 200 { outcome.body } else { outcome.status.to_string() })
                .collect();
            seen.sort_unstable();
            seen.dedup();
            seen == ends
        });
    };
    goes_to("bk_iam", &["127.0.0.2", "127.0.0.3"]);
    goes_to("bk_sops", &["127.0.0.2"]);
    assert_eq!(visit(address, "/o/unknown/").status, 503);
    let users = Users::start(4, address, "/o/bk_iam/");
    eventually("users are there", || hosts[0].came_since(SystemTime::UNIX_EPOCH, "bk_iam").len() > 20);
    let died_at = hosts[0].kill("bk_iam");
    eventually("it is noticed", || {
        let since = died_at.elapsed().unwrap();
        let last = hosts[0].came_since(died_at, "bk_iam").into_iter().max().unwrap_or_default();
        since.saturating_sub(last) > Duration::from_millis(500)
    });
    let outcomes = users.stop();
    let failed = outcomes.iter().filter(|outcome| outcome.status != 200).count();
    let last = hosts[0].came_since(died_at, "bk_iam").into_iter().max().unwrap_or_default();
    eprintln!("haproxy: of {} requests {failed} failed; the last came to the dead app {last:?} after Docker's event", outcomes.len());
    assert_eq!(failed, 0);
    hosts[0].revive("bk_iam");
    goes_to("bk_iam", &["127.0.0.2", "127.0.0.3"]);
    // All are down: one goes by no verdicts, the other app by them.
    for host in &hosts {
        host.kill("bk_iam");
        host.revive_quietly("bk_iam");
    }
    let users = Users::start(4, address, "/o/bk_sops/");
    for _ in 0..5 {
        hosts[0].kill("bk_sops");
        goes_to("bk_sops", &["503"]);
        hosts[0].revive("bk_sops");
        goes_to("bk_sops", &["127.0.0.2"]);
    }
    hosts[0].kill("bk_sops");
    goes_to("bk_sops", &["503"]);
    let unanswered = users.stop().iter().filter(|outcome| ![200, 502, 503].contains(&outcome.status)).count();
    assert_eq!(unanswered, 0, "whatever dies, everybody is answered");
    goes_to("bk_iam", &["127.0.0.2", "127.0.0.3"]);
}

#[test]
fn the_hosts_nginx_passes_on_what_balancers_ask_and_nothing_else() {
    if !has_lua() {
        return;
    }
    let host = Host::start(2, &["bk_iam"]);
    let ask = |path: &str| visit(host.address, path).status;
    for path in [
        "health",
        "ready",
        "apps",
        "apps?require=bk_iam",
        "apps/",
        "apps/health/bk_iam",
        "apps/health/bk_iam/",
        "apps/health/bk_iam?all=true",
    ] {
        assert_eq!(ask(&format!("/container-healthcheck/{path}")), 200, "{path}");
    }
    assert_eq!(ask("/container-healthcheck/apps/health/unknown"), 404);
    for path in [
        "metrics",
        "status",
        "",
        "metrics/",
        "health/../metrics",
        "apps/%2e%2e/metrics",
        "apps/health/bk_iam/../../../metrics",
        "healthy",
        "apps/x",
    ] {
        assert_eq!(ask(&format!("/container-healthcheck/{path}")), 404, "{path}");
    }
    // The address of the upper Nginx alone is let in; ours is, as the test has it.
    let conf = snippet("nginx/appo.conf", &[]);
    let (address, workers) = (SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())), 1);
    let _strict = Nginx::start(address, workers, &format!("server {{ listen {address};\n{conf}\n}}"));
    assert_eq!(visit(address, "/container-healthcheck/health").status, 403);
}

#[test]
fn what_is_shipped_for_nginx_is_valid_as_pasted() {
    if !has_lua() {
        return;
    }
    let file = |path: &str| snippet(path, &[]);
    let appo = format!("server {{ listen 127.0.0.1:1;\n{}\n{}\n}}", file("nginx/appo.conf"), file("prometheus/location-metrics.conf"));
    let lua = |location: &str| {
        format!("{}\nserver {{ listen 127.0.0.1:1;\n{}\n}}", file("openresty/http.conf").replace("lua_package_path", "# "), file(location))
    };
    for conf in [appo, file("nginx/upper.conf"), lua("openresty/location-route.conf"), lua("openresty/location-balance.conf")] {
        assert_eq!(Nginx::check(&conf), Ok(()), "{conf}");
    }
    assert!(Nginx::check("nonsense;").is_err());
}

// ---- What stands before Docker.

#[test]
fn an_nginx_before_docker_is_not_felt_and_one_that_holds_events_back_is_found_out() {
    if !has_lua() {
        return;
    }
    // Nginx asks by HTTP/1.0 unless told otherwise, and then Docker sends no chunks.
    let docker = FakeDocker::hung();
    let streams = Arc::new(Mutex::new(Vec::new()));
    let listeners = Arc::clone(&streams);
    docker.interrupt(move |stream, _| match read_head(stream) {
        Some(head) if head.contains("/events") => {
            stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n").unwrap();
            listeners.lock().unwrap().push(stream.try_clone().unwrap());
        }
        Some(_) => send_list(stream, &list(&[("app", "running", "Up 3 minutes")])),
        None => {}
    });
    let happens = |action: &str, more: usize| {
        let line = event_line(action, "app", &format!(r#""more":"{}""#, "x".repeat(more)));
        streams.lock().unwrap().retain_mut(|stream| writeln!(stream, "{line}").is_ok());
    };
    let before = |options: &str| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let pass = format!("proxy_pass http://unix:{}; {options}", docker.path().display());
        let nginx = Nginx::start(address, 1, &format!("server {{ listen {address}; location / {{ {pass} }} }}"));
        let daemon = Daemon::spawn_with(program(), &["-bind", "127.0.0.1:0", "-docker-host", &format!("tcp://{address}")]);
        eventually("it listens", || !streams.lock().unwrap().is_empty());
        (nginx, daemon)
    };
    let late = |daemon: &Daemon| daemon.counter("docker_events_late_total");
    let is_dead = |daemon: &Daemon| daemon.app("app").verdict() == (503, 12, "exited".into());

    let (nginx, daemon) = before("proxy_buffering off;");
    daemon.is("live");
    happens("die", 0);
    eventually("it is told", || is_dead(&daemon));
    assert_eq!(late(&daemon), 0);
    drop((nginx, daemon));

    // By itself it gathers four or eight thousand bytes before it hands any on, the head too.
    streams.lock().unwrap().clear();
    let (_nginx, daemon) = before("");
    happens("exec_start: true", 8192);
    daemon.is("live");
    // What fills its buffer may take a death along.
    eventually("a death is told late", || {
        happens("start", 0);
        happens("die", 0);
        let died = Instant::now();
        eventually("it is told", || {
            if died.elapsed() > limits::EVENT_LATE {
                happens("exec_start: true", 8192);
            }
            is_dead(&daemon)
        });
        late(&daemon) > 0
    });
    daemon.wait_for_log("s: a proxy holds them back, or docker's clock differs");
}

/// Runs a checker of files on one of ours.
fn checks(program: &str, args: &[&str], path: &str) {
    let output = Command::new(program).args(args).arg(support::fleet::packaged(path)).output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&words));
}

#[test]
fn what_is_shipped_for_haproxy_is_valid() {
    if has("haproxy", "-v") {
        checks("haproxy", &["-c", "-f"], "haproxy/haproxy.cfg");
    }
}

#[test]
fn what_is_shipped_for_prometheus_is_valid_and_knows_our_metrics() {
    let rules = snippet("prometheus/container-healthcheck.rules.yml", &[]);
    let (_docker, daemon) = support::live(Vec::new(), &[]);
    let metrics = daemon.get(&format!("{}/metrics", support::PREFIX)).body;
    let mut known = String::new();
    for rest in rules.split("container_healthcheck_").skip(1) {
        let end = rest.find(|end: char| !end.is_ascii_lowercase() && end != '_').unwrap();
        let name = &rest[..end];
        assert!(metrics.contains(&format!("# TYPE container_healthcheck_{name} ")), "{name} is none of ours");
        writeln!(known, "{name}").unwrap();
    }
    assert!(!known.is_empty());
    if has("promtool", "--version") {
        checks("promtool", &["check", "rules"], "prometheus/container-healthcheck.rules.yml");
        checks("promtool", &["check", "config"], "prometheus/prometheus.yml");
    }
}

#[test]
fn what_is_shipped_for_consul_is_well_formed() {
    let service: serde_json::Value = serde_json::from_str(&snippet("consul/bkapp-bk-iam.json", &[])).unwrap();
    assert_eq!(service["service"]["checks"][0]["method"], "HEAD");
    // There is no consul-template here: at least all that begins ends, and each upstream has a server whatever is empty.
    let template = snippet("consul/app_upstream.conf.tpl", &[]);
    let count = |what: &str| template.matches(what).count();
    assert_eq!(count("{{ range") + count("{{- range"), count("{{ end }}") + count("{{- end }}"));
    assert_eq!(count("else }}"), 2);
    assert!(count("server ") >= 3);
    if has_lua() {
        assert_eq!(Nginx::check("upstream a { server 127.0.0.1:1 down; }"), Ok(()));
    }
}
