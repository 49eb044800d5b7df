//! All apps at once: `P/apps`, whose body changes only when a balancer should act, and those who wait for that.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may stop, and lives in the world"
)]

mod support;

use std::time::{Duration, Instant};

use support::{Answer, Client, Daemon, FakeDocker, Folder, PREFIX, container, eventually, hang, labelled, live, read_head};

const UP: &str = "Up 3 minutes";
const APP: &str = r#""container-healthcheck.app""#;
const SERVICE: &str = r#""com.docker.compose.service""#;

fn apps(daemon: &Daemon) -> Answer {
    daemon.get(&format!("{PREFIX}/apps"))
}

fn index(answer: &Answer) -> u64 {
    answer.field("x-index").unwrap().parse().unwrap()
}

/// Whether each app is up, or why it is not: `a up, b exited`.
fn states(answer: &Answer) -> String {
    let json = answer.json();
    let words = |app: &serde_json::Value| if app["up"] == true { "up".to_owned() } else { app["reason"].as_str().unwrap().to_owned() };
    let apps = json["message"]["apps"].as_object().unwrap().iter();
    apps.map(|(name, app)| format!("{name} {}", words(app))).collect::<Vec<_>>().join(", ")
}

/// Sends the question that waits for another index than this one.
fn wait_for_change(daemon: &Daemon, index: u64, wait: &str) -> Client {
    let mut client = daemon.connect();
    client.send(&waiting(index, wait));
    client
}

fn waiting(index: u64, wait: &str) -> String {
    format!("GET {PREFIX}/apps?index={index}&wait={wait} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn watchers(daemon: &Daemon, count: u64) {
    eventually("they wait", || daemon.counter("watchers") == count);
}

#[test]
fn the_exact_json_of_all_apps() {
    let (_docker, daemon) = live(
        vec![
            container("bk_iam-1709878117", "running", UP),
            container("bk_gse-2", "exited", "Exited (1) 2 days ago"),
            container("bk_gse-1", "exited", "Exited (1) 3 days ago"),
        ],
        &["-apps=bk_user"],
    );
    let answer = apps(&daemon);
    let body = answer.body.replace(&now_in(&answer, "bk_user"), "NOW");
    let want = r#"{"code":0,"status":"ok","message":{"docker":"live","apps":{"bk_gse":{"up":false,"reason":"exited","containers":2,"since":1709878119},"bk_iam":{"up":true,"containers":1,"since":1709878119},"bk_user":{"up":false,"reason":"no-container","containers":0,"since":NOW}}}}"#;
    assert_eq!((answer.status, body.as_str()), (200, want));
    assert_eq!(answer.field("content-type"), Some("application/json; charset=utf-8"));

    let mut client = daemon.connect();
    client.send(&format!("HEAD {PREFIX}/apps HTTP/1.1\r\nHost: h\r\n\r\n"));
    let head = client.answer_to("HEAD").unwrap();
    assert_eq!(
        (head.status, head.field("x-index"), head.field("content-length")),
        (200, answer.field("x-index"), answer.field("content-length"))
    );
    client.send(&format!("POST {PREFIX}/apps HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(client.answer().status, 405);
}

/// When the app last went up or down, which was after the start of this test.
fn now_in(answer: &Answer, app: &str) -> String {
    let since = answer.json()["message"]["apps"][app]["since"].as_u64().unwrap();
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((unix - 60..=unix).contains(&since), "{since}");
    since.to_string()
}

#[test]
fn a_label_names_an_app_before_a_name_and_a_name_before_a_service() {
    let (_docker, daemon) = live(
        vec![
            labelled("odd-7", "running", UP, &format!(r#"{APP}:"bk_iam""#)),
            // It is called so, but another one claims the name.
            container("bk_iam-1", "exited", "Exited (1) 2 days ago"),
            labelled("project-web-1", "running", UP, &format!(r#"{SERVICE}:"web""#)),
            labelled("project-db-1", "exited", UP, &format!(r#"{SERVICE}:"db""#)),
            container("db", "running", UP),
            labelled("empty-3", "running", UP, &format!(r#"{APP}:"""#)),
            labelled("worker.1.abc", "running", UP, r#""com.docker.swarm.service.name":"worker""#),
            labelled("strange-1", "running", UP, &format!(r#"{APP}:"no (name)""#)),
        ],
        &[],
    );
    let name = |app: &str| daemon.app(app).json()["message"]["names"].as_str().map(str::to_owned);
    let status = |app: &str| daemon.app(app).status;
    assert_eq!(name("bk_iam").as_deref(), Some("odd-7"));
    assert_eq!((status("odd"), status("odd-7")), (404, 404), "it answers to its label alone");
    assert_eq!(daemon.app("bk_iam-1").verdict(), (503, 12, "exited".into()), "a whole name is nobody else's");
    assert_eq!(name("web").as_deref(), Some("project-web-1"));
    assert_eq!((name("project-web").as_deref(), name("project-web-1").as_deref()), (Some("project-web-1"), Some("project-web-1")));
    assert_eq!(name("db").as_deref(), Some("db"), "the name is stronger than the service");
    assert_eq!(name("project-db"), None);
    assert_eq!(name("empty").as_deref(), Some("empty-3"));
    assert_eq!(name("worker").as_deref(), Some("worker.1.abc"));
    assert_eq!(status("strange"), 404, "one whose label nobody can ask about answers to nothing");
    assert_eq!(states(&apps(&daemon)), "bk_iam up, db up, empty up, web up, worker up");
    for (app, row) in apps(&daemon).json()["message"]["apps"].as_object().unwrap() {
        assert_eq!(row["up"] == true, status(app) == 200, "{app}");
    }
}

#[test]
fn the_index_changes_exactly_when_the_body_does() {
    let (docker, daemon) = live(vec![container("a", "running", UP), container("b", "running", UP)], &["-resync=200ms"]);
    let first = apps(&daemon);
    assert!(index(&first) > 1_700_000_000_000_000, "it starts from the clock, in microseconds");
    for action in ["exec_start: sh", "attach", "health_status: healthy", "kill"] {
        docker.event(action, "a", "");
    }
    docker.holds(vec![container("a", "running", "Up 4 minutes"), container("b", "running", "Up 4 minutes")]);
    eventually("a list with other words", || daemon.app("b").body.contains("Up 4 minutes"));
    let same = apps(&daemon);
    assert_eq!((index(&same), &same.body), (index(&first), &first.body));
    docker.event("die", "a", r#""exitCode":"1""#);
    let dead = apps(&daemon);
    assert_eq!(states(&dead), "a exited, b up");
    assert!(index(&dead) > index(&first));
    now_in(&dead, "a");
    assert_eq!(index(&apps(&daemon)), index(&dead));
    docker.event("destroy", "a", "");
    assert_eq!(states(&apps(&daemon)), "b up");
    daemon.wait_for_log("down app=a reason=exited");
}

#[test]
fn those_that_must_be_up_decide_the_status() {
    let (docker, daemon) = live(vec![container("a", "running", UP), container("b-1", "exited", "Exited (3) 1 day ago")], &[]);
    let require = |query: &str| daemon.get(&format!("{PREFIX}/apps?require={query}"));
    assert_eq!(require("a").status, 200);
    assert_eq!(require("a").body, apps(&daemon).body);
    assert_eq!(require("").status, 200);
    let down = require("a,b,unknown");
    assert_eq!(down.verdict(), (503, 12, "exited".into()));
    assert_eq!(down.json()["message"], "b-1 is exited: Exited (3) 1 day ago");
    assert!(down.field("x-index").is_some());
    assert_eq!(require("a%2Cb").verdict(), (503, 12, "exited".into()));
    assert_eq!(require("unknown").verdict(), (503, 12, "no-container".into()));
    assert_eq!(require("a,(").verdict(), (400, 400, "bad-name".into()));
    for query in ["index=x", "wait=soon", "index=%4"] {
        assert_eq!(daemon.get(&format!("{PREFIX}/apps?{query}")).verdict(), (400, 400, "bad-request".into()), "{query}");
    }
    docker.event("die", "a", r#""exitCode":"1""#);
    assert_eq!(require("a").verdict(), (503, 12, "exited".into()));
}

#[test]
fn many_who_wait_are_told_of_one_change_each_once() {
    let (docker, daemon) = live(vec![container("a", "running", UP), container("b", "running", UP)], &[]);
    let known = index(&apps(&daemon));
    let mut clients: Vec<_> = (0..200).map(|_| wait_for_change(&daemon, known, "30s")).collect();
    watchers(&daemon, 200);
    docker.event("die", "a", r#""exitCode":"1""#);
    let answers: Vec<_> = clients.iter_mut().map(Client::answer).collect();
    assert_eq!(states(&answers[0]), "a exited, b up");
    assert!(answers.iter().all(|answer| answer.head == answers[0].head && answer.body == answers[0].body));
    assert_ne!(index(&answers[0]), known);
    watchers(&daemon, 0);
    // Nothing more is under way to any of them.
    for client in &mut clients {
        assert_eq!(client.get(&format!("{PREFIX}/health")).json()["message"], "i'm healthy");
    }
}

#[test]
fn who_waits_in_vain_is_told_the_same_after_their_time_and_who_knows_another_index_at_once() {
    let (_docker, daemon) = live(vec![container("a", "running", UP)], &[]);
    let first = apps(&daemon);
    let known = index(&first);
    let started = Instant::now();
    let late = wait_for_change(&daemon, known, "300ms").answer();
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!((index(&late), late.body), (known, first.body));
    for query in
        [format!("index={}&wait=50s", known - 1), format!("index={}&wait=50s", known + 1), "wait=50s".into(), format!("index={known}")]
    {
        assert_eq!(daemon.get(&format!("{PREFIX}/apps?{query}")).status, 200, "{query}");
    }
    assert!(started.elapsed() < Duration::from_secs(45), "they did not wait");
}

#[test]
fn the_longest_waiting_makes_room() {
    let (docker, daemon) = live(vec![container("a", "running", UP)], &[]);
    let known = index(&apps(&daemon));
    let mut clients: Vec<_> = (0..256)
        .map(|count| {
            let client = wait_for_change(&daemon, known, "50s");
            watchers(&daemon, count + 1);
            client
        })
        .collect();
    clients.push(wait_for_change(&daemon, known, "50s"));
    let early = clients.remove(0).answer();
    assert_eq!((index(&early), daemon.counter("watchers_early_total")), (known, 1));
    assert_eq!(daemon.counter("watchers"), 256);
    docker.event("die", "a", r#""exitCode":"1""#);
    assert!(clients.iter_mut().all(|client| index(&client.answer()) != known));
}

#[test]
fn no_more_than_a_quarter_of_the_clients_wait_for_a_change() {
    for (clients, room) in [("1", 1), ("11", 2), ("12", 3)] {
        let (_docker, daemon) = live(vec![container("a", "running", UP)], &["-max-clients", clients]);
        let known = index(&apps(&daemon));
        let mut waiting: Vec<_> = (0..=room).map(|_| wait_for_change(&daemon, known, "50s")).collect();
        if clients == "1" {
            // There is no place for a second one, who is told what is so.
            assert_eq!(index(&waiting.pop().unwrap().answer()), known);
            continue;
        }
        assert_eq!(index(&waiting.remove(0).answer()), known);
        assert_eq!((daemon.counter("watchers"), daemon.counter("watchers_early_total")), (room, 1), "{clients}");
    }
}

#[test]
fn a_wait_beyond_the_longest_is_cut() {
    let (_docker, daemon) = live(vec![container("a", "running", UP)], &[]);
    let known = index(&apps(&daemon));
    let cut = || daemon.counter("http_limits_met_total{limit=\"wait\"}");
    let _one = wait_for_change(&daemon, known, "50s");
    watchers(&daemon, 1);
    assert_eq!(cut(), 0);
    let _other = wait_for_change(&daemon, known, "51s");
    watchers(&daemon, 2);
    assert_eq!(cut(), 1);
}

#[test]
fn one_who_leaves_does_not_wait_any_more_and_one_who_is_told_to_stop_waiting_is_answered() {
    let (_docker, mut daemon) = live(vec![container("a", "running", UP)], &["-idle-timeout=100ms"]);
    let known = index(&apps(&daemon));
    let mut leaver = daemon.connect();
    let health = format!("GET {PREFIX}/health HTTP/1.1\r\nHost: h\r\n\r\n");
    leaver.send(&(health + &waiting(known, "50s")));
    watchers(&daemon, 1);
    leaver.reset();
    watchers(&daemon, 0);
    // Whoever waits is not idle, and may have closed the side that they have no use for.
    let mut patient = wait_for_change(&daemon, known, "400ms");
    patient.finish();
    assert_eq!(index(&patient.answer()), known);
    let mut client = wait_for_change(&daemon, known, "50s");
    watchers(&daemon, 1);
    daemon.signal("TERM");
    let last = client.answer();
    assert_eq!((index(&last), states(&last).as_str()), (known, "a up"));
    assert!(daemon.wait().success());
}

#[test]
fn one_who_leaves_a_unix_socket_does_not_wait_any_more() {
    let docker = FakeDocker::listing(format!("[{}]", container("a", "running", UP)));
    docker.open_stream();
    let folder = Folder::new();
    let socket = folder.join("socket");
    let daemon = Daemon::start(&docker.path(), &["-bind=127.0.0.1:0", &format!("-bind=unix:{}", socket.display())]);
    daemon.is("live");
    let mut client = Client::unix(&socket);
    client.send(&waiting(index(&apps(&daemon)), "50s"));
    watchers(&daemon, 1);
    drop(client);
    watchers(&daemon, 0);
}

#[test]
fn while_blind_who_waits_makes_the_server_look() {
    let docker = FakeDocker::hung();
    docker.holds(vec![container("a", "running", UP)]);
    let daemon = Daemon::start(&docker.path(), &[]);
    eventually("the first list", || apps(&daemon).status == 200);
    let known = apps(&daemon);
    assert_eq!((known.json()["message"]["docker"].as_str(), states(&known).as_str()), (Some("blind"), "a up"));
    let mut client = wait_for_change(&daemon, index(&known), "30s");
    watchers(&daemon, 1);
    docker.holds(vec![container("a", "exited", "Exited (1) 1 second ago")]);
    assert_eq!(states(&client.answer()), "a exited");
    assert!(docker.requests().len() < 10, "once a second");
}

#[test]
fn when_docker_is_gone_apps_stay_listed_with_its_reason() {
    let (docker, daemon) = live(vec![container("a", "running", UP)], &["-docker-grace=1s", "-apps=b", "-docker-timeout=1s"]);
    let known = index(&apps(&daemon));
    let mut client = wait_for_change(&daemon, known, "30s");
    watchers(&daemon, 1);
    docker.vanish();
    docker.drop_listeners();
    // Within the grace it is stale, and then down.
    let mut seen = Vec::new();
    let mut last = client.answer();
    while last.json()["message"]["docker"] != "down" {
        seen.push((last.json()["message"]["docker"].as_str().unwrap().to_owned(), states(&last)));
        last = wait_for_change(&daemon, index(&last), "30s").answer();
    }
    assert!(seen.contains(&("stale".into(), "a up, b no-container".into())), "{seen:?}");
    assert_eq!(states(&last), "a docker-unreachable, b docker-unreachable");
    assert_eq!(last.status, 200);
    let require = daemon.get(&format!("{PREFIX}/apps?require=a"));
    assert_eq!(require.verdict(), (503, 10, "docker-unreachable".into()));
    docker.listen();
    docker.open_stream();
    eventually("it is live again", || {
        let now = apps(&daemon);
        now.json()["message"]["docker"] == "live" && states(&now) == "a up, b no-container"
    });
}

#[test]
fn a_docker_that_hangs_keeps_nobody_waiting_for_ever() {
    let docker = FakeDocker::hung();
    docker.behave(|stream, _| hang(stream));
    let daemon = Daemon::start(&docker.path(), &["-docker-timeout=300ms", "-apps=a"]);
    let answer = apps(&daemon);
    assert_eq!(states(&answer), "a docker-timeout");
    assert_eq!(answer.json()["message"]["docker"], "down");
}

#[test]
fn an_expected_app_without_a_container_is_down_and_not_unknown() {
    let (docker, daemon) = live(vec![container("b", "running", UP)], &["-apps", "a,b"]);
    assert_eq!(daemon.app("a").verdict(), (503, 12, "no-container".into()));
    assert_eq!(daemon.app("c").verdict(), (404, 12, "no-container".into()));
    assert_eq!(daemon.app("b").status, 200);
    docker.event("die", "b", r#""exitCode":"1""#);
    docker.event("destroy", "b", "");
    assert_eq!(daemon.app("b").verdict(), (503, 12, "no-container".into()));
    assert_eq!(states(&apps(&daemon)), "a no-container, b no-container");
}

#[test]
fn a_crash_loop_does_not_flap_for_who_wants_a_minimum_of_uptime() {
    let (docker, daemon) = live(vec![container("a", "running", UP), container("b", "running", UP)], &["-min-uptime=1s"]);
    assert_eq!(daemon.app("a").status, 200, "it ran already");
    let before = Instant::now();
    for _ in 0..20 {
        docker.event("die", "a", r#""exitCode":"1""#);
        assert_eq!(daemon.app("a").verdict(), (503, 12, "exited".into()));
        docker.event("start", "a", "");
        assert_eq!(daemon.app("a").verdict(), (503, 12, "starting".into()));
    }
    let known = index(&apps(&daemon));
    let up = wait_for_change(&daemon, known, "30s").answer();
    assert!(before.elapsed() >= Duration::from_secs(1));
    assert_eq!(states(&up), "a up, b up");
    assert_eq!(daemon.app("a").status, 200);
    docker.event("pause", "a", "");
    docker.event("unpause", "a", "");
    assert_eq!(daemon.app("a").status, 200, "that is no start");
}

#[test]
fn drains_are_told_of_all_apps_and_wake_who_waits() {
    let folder = Folder::new();
    let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let remove = |name: &str| std::fs::remove_file(folder.join(name)).unwrap();
    put("b", "reason: deploy\n");
    let (_docker, daemon) =
        live(vec![container("a", "running", UP), container("b", "running", UP)], &["-drain-dir", folder.path().to_str().unwrap()]);
    let mut last = apps(&daemon);
    assert_eq!(states(&last), "a up, b drained");
    assert_eq!(daemon.get(&format!("{PREFIX}/apps?require=a,b")).json()["message"], "b is drained: deploy");
    let mut next = |deed: &dyn Fn()| {
        let mut client = wait_for_change(&daemon, index(&last), "30s");
        watchers(&daemon, 1);
        deed();
        last = client.answer();
        states(&last)
    };
    assert_eq!(next(&|| put("all", "")), "a drained, b drained");
    assert_eq!(next(&|| remove("all")), "a up, b drained");
    assert_eq!(next(&|| remove("b")), "a up, b up");
    let soon = std::time::SystemTime::now() + Duration::from_secs(6);
    assert_eq!(next(&|| put("a", &format!("until: {}\n", humantime::format_rfc3339_seconds(soon)))), "a drained, b up");
    assert_eq!(next(&|| ()), "a up, b up", "it ends by itself");
}

#[test]
fn who_asks_while_the_server_stops_does_not_wait() {
    let list = format!("[{}]", container("a", "running", UP));
    let docker = FakeDocker::listing(list.clone());
    let mut daemon = Daemon::start(&docker.path(), &[]);
    eventually("the first list", || apps(&daemon).status == 200);
    let known = index(&apps(&daemon));
    // It waits for a list of its own first.
    let gate = docker.hold_back(list);
    let mut client = wait_for_change(&daemon, known, "50s");
    eventually("it has come", || daemon.counter("surveys_total") > 2);
    daemon.signal("TERM");
    daemon.wait_for_log("stopping");
    gate.open();
    assert_eq!(states(&client.answer()), "a up");
    assert!(daemon.wait().success());
}

#[test]
fn nothing_behind_a_held_answer_is_made_before_it() {
    let (docker, daemon) = live(vec![container("a", "running", UP)], &[]);
    let known = index(&apps(&daemon));
    let before = daemon.counter("surveys_total");
    let ask = |query: &str| format!("GET {PREFIX}/apps{query} HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut client = daemon.connect();
    client.send(&(ask(&format!("?index={known}&wait=30s")) + &ask("").repeat(5)));
    watchers(&daemon, 1);
    assert_eq!(daemon.counter("surveys_total"), before + 1);
    docker.event("die", "a", r#""exitCode":"1""#);
    for _ in 0..6 {
        assert_eq!(states(&client.answer()), "a exited");
    }
    let many = (0..33).map(|number| format!("app{number}")).collect::<Vec<_>>().join(",");
    assert_eq!(daemon.get(&format!("{PREFIX}/apps?require={many}")).verdict(), (400, 400, "bad-request".into()));
    assert_eq!(daemon.counter("bad_queries_total"), 1);
}

#[test]
fn what_happened_while_nobody_could_know_is_no_news() {
    let (docker, daemon) = live(
        vec![container("gone", "running", UP), container("same", "running", UP), container("stops", "running", UP)],
        &["-docker-grace=0", "-apps=same", "-docker-timeout=1s"],
    );
    let since = |app: &str| apps(&daemon).json()["message"]["apps"][app]["since"].as_u64();
    assert_eq!(since("same"), Some(1_709_878_119), "it was up before");
    assert!(!daemon.log().contains("up app="), "{}", daemon.log());
    docker.vanish();
    docker.drop_listeners();
    daemon.is("down");
    assert_eq!(states(&apps(&daemon)), "gone docker-unreachable, same docker-unreachable, stops docker-unreachable");
    docker.holds(vec![container("same", "running", UP), container("stops", "exited", "Exited (1) 2 seconds ago")]);
    docker.listen();
    docker.open_stream();
    daemon.is("live");
    assert_eq!(states(&apps(&daemon)), "same up, stops exited");
    assert_eq!(since("same"), Some(1_709_878_119));
    daemon.wait_for_log("down app=gone reason=no-container");
    daemon.wait_for_log("down app=stops reason=exited");
    assert!(!daemon.log().contains("up app="), "{}", daemon.log());
}

#[test]
fn a_check_of_each_app_that_must_be_up_is_made_whatever_it_is_called() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = read_head(&mut stream);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.0 200 OK\r\n\r\n");
        }
    });
    let (_docker, daemon) = live(vec![labelled("project-web-1", "running", UP, &format!(r#"{SERVICE}:"web""#))], &["-ngx-port", &port]);
    eventually("it is asked about by its other name", || daemon.get(&format!("{PREFIX}/apps?require=project-web")).status == 200);
}
