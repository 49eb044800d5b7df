//! Every limit and every deadline that a client can meet: its answer, its counter, and that the others do not notice.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop, and lives in the world")]
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use container_healthcheck::limits;
use support::{
    Answer, Client, Daemon, FakeDocker, Folder, PREFIX, container, each, eventually, is_there, labelled, list, program_under, run, skipped,
};

/// What the daemon promises about `P/health` under stress is a second; the rest is for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(3);

fn start(args: &[&str]) -> (FakeDocker, Daemon) {
    let docker = FakeDocker::listing(list(&[("app", "running", "Up 5 days")]));
    let daemon = Daemon::start(&docker.path(), args);
    // Its questions are answered, and their descriptors are free again.
    daemon.wait_for_log("blind");
    gone(&daemon);
    (docker, daemon)
}

/// A daemon whose Docker takes questions and answers none, for as long as a test can take.
fn start_hung(args: &[&str]) -> (FakeDocker, Daemon) {
    let docker = FakeDocker::hung();
    let daemon = Daemon::start(&docker.path(), &[&["-docker-timeout", "60s"], args].concat());
    gone(&daemon);
    (docker, daemon)
}

/// Waits until the one that asks is the only client.
fn gone(daemon: &Daemon) {
    eventually("all clients are gone", || daemon.counter("http_clients") == 1);
}

fn get(path: &str) -> String {
    format!("GET {PREFIX}{path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn refused(fault: &str, reason: &str) -> String {
    format!("http_requests_refused_total{{fault=\"{fault}\",reason=\"{reason}\"}}")
}

fn closed(why: &str) -> String {
    format!("http_clients_closed_total{{why=\"{why}\"}}")
}

/// `P/health` of somebody who comes now is answered, and at once.
fn assert_alive(daemon: &Daemon) -> Answer {
    let before = Instant::now();
    let answer = daemon.get(&format!("{PREFIX}/health"));
    assert_eq!(answer.status, 200);
    assert!(before.elapsed() < AT_ONCE, "answered after {:?}", before.elapsed());
    answer
}

// ---- What one client may send and be owed.

#[test]
fn a_head_is_bounded_in_bytes_in_fields_and_in_its_target() {
    let (_docker, daemon) = start(&[]);
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(length - 1));
    let head = |length: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(length - frame))
    };
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(count - 1));

    for (good, status) in [(target(limits::TARGET_BYTES), 404), (head(limits::HEAD_BYTES), 200), (fields(limits::HEADERS), 200)] {
        let mut client = daemon.connect();
        client.send(&good);
        let answer = client.answer();
        assert_eq!((answer.status, answer.is_last()), (status, false));
    }

    let long = refused("TargetTooLong", "too-long");
    let large = refused("HeadTooLarge", "too-large");
    for (bad, status, counter) in [
        (target(limits::TARGET_BYTES + 1), 414, &long),
        (target(10 * limits::HEAD_BYTES), 414, &long),
        ("GET /".to_owned() + &"a".repeat(10 * limits::HEAD_BYTES), 414, &long),
        (head(limits::HEAD_BYTES + 1), 431, &large),
        (head(10 * limits::HEAD_BYTES), 431, &large),
        (fields(limits::HEADERS + 1), 431, &large),
        (fields(1000), 431, &large),
    ] {
        let before = daemon.counter(counter);
        let mut client = daemon.connect();
        client.send(&bad);
        let answers = client.answers();
        let reason = if status == 414 { "too-long" } else { "too-large" };
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].verdict(), (status, status.into(), reason.into()));
        assert!(answers[0].is_last());
        assert_eq!(daemon.counter(counter), before + 1);
    }
}

#[test]
fn the_name_of_an_app_is_bounded() {
    let (_docker, daemon) = start(&[]);
    for (length, status, reason) in [(limits::APP_BYTES, 404, "no-container"), (limits::APP_BYTES + 1, 400, "bad-name")] {
        let (got, _, why) = daemon.app(&"a".repeat(length)).verdict();
        assert_eq!((got, &*why), (status, reason), "{length}");
        assert_eq!(daemon.counter(&format!("http_requests_total{{path=\"app\",code=\"{status}\"}}")), 1);
    }
}

#[test]
fn no_more_is_read_from_a_client_that_is_owed_many_answers() {
    let (_docker, daemon) = start_hung(&[]);
    let mut client = daemon.connect();
    client.send(&get("/apps/health/app").repeat(limits::PIPELINE));
    eventually("all of them are read", || daemon.counter("probes_total") == limits::PIPELINE as u64);
    assert_eq!(daemon.counter("http_limits_met_total{limit=\"pipeline\"}"), 0);
    let mut client = daemon.connect();
    client.send(&get("/apps/health/app").repeat(limits::PIPELINE + 1));
    eventually("the limit is met", || daemon.counter("http_limits_met_total{limit=\"pipeline\"}") == 1);
    assert_eq!(daemon.counter("probes_total"), 2 * limits::PIPELINE as u64);
}

#[test]
fn so_many_probes_wait_and_the_next_one_is_told_to_come_again() {
    let each = limits::PIPELINE - 1;
    let count = limits::WAITING_PROBES.div_ceil(each);
    if rlimit::increase_nofile_limit(count as u64 + 100).unwrap() < count as u64 + 100 {
        skipped("this user may not have so many open files");
        return;
    }
    let docker = FakeDocker::hung();
    let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "10m", "-max-clients", "2000"]);
    let mut waiting = 0;
    let mut clients: Vec<_> = (0..count)
        .map(|_| {
            let probes = each.min(limits::WAITING_PROBES - waiting);
            waiting += probes;
            let mut client = daemon.connect();
            client.send(&(get("/health") + &get("/apps/health/app").repeat(probes)));
            client
        })
        .collect();
    eventually("all of these wait", || daemon.counter("probes_total") == waiting as u64);
    assert_eq!(daemon.counter("probes_busy_total"), 0);
    assert_eq!(daemon.app("app").verdict(), (503, 503, "busy".into()));
    assert_eq!(daemon.counter("probes_busy_total"), 1);
    assert_alive(&daemon);
    // Whoever leaves waits no more.
    clients.pop().unwrap().reset();
    eventually("there is room", || daemon.counter("http_clients") == clients.len() as u64 + 1);
    let mut client = daemon.connect();
    client.send(&get("/apps/health/app"));
    eventually("it waits", || daemon.counter("probes_total") == waiting as u64 + 2);
    assert_eq!(daemon.counter("probes_busy_total"), 1);
}

/// Writes to it, again and again, until it takes no more.
fn fill(client: &Client, bytes: &str) {
    let mut stream = client.stream();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut written = 0;
    loop {
        match stream.write(&bytes.as_bytes()[written..]) {
            Ok(length) => written = (written + length) % bytes.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_client_that_does_not_read_costs_little_and_is_closed() {
    let (_docker, daemon) = start(&[]);
    let before = daemon.memory("VmRSS");
    let questions = get("/metrics").repeat(1000);
    let clients: Vec<_> = (0..8).map(|_| daemon.connect()).collect();
    thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| fill(client, &questions));
        }
    });
    let unsent = "http_limits_met_total{limit=\"unsent\"}";
    eventually("they have met the limit", || daemon.counter(unsent) >= clients.len() as u64);
    let grown = daemon.memory("VmRSS").saturating_sub(before);
    // Unsent answers up to the limit, those of one pipeline above it, and one read's worth of requests.
    let bound = clients.len() * (limits::UNSENT_BYTES + limits::PIPELINE * 8 * 1024 + limits::READ_BYTES);
    assert!(grown < 2 * bound as u64 / 1024, "grown by {grown} KiB");
    assert_alive(&daemon);
    eventually("they are closed", || daemon.counter(&closed("unread")) == clients.len() as u64);
    gone(&daemon);
}

#[test]
fn the_kernel_holds_little_for_a_client_that_does_not_read() {
    let (_docker, daemon) = start(&[]);
    let length = daemon.get(&format!("{PREFIX}/metrics")).body.len() as u64;
    let client = daemon.connect();
    fill(&client, &get("/metrics").repeat(1000));
    let answered = daemon.counter("http_requests_total{path=\"metrics\",code=\"200\"}") * length;
    // What lies in both sockets and in the server.
    assert!(answered < 512 * 1024, "{answered} bytes");
}

#[test]
fn of_the_large_answers_each_client_is_made_one_at_a_time() {
    const CLIENTS: usize = 30;
    let names: Vec<_> = (0..2000).map(|number| format!("app{number}")).collect();
    let containers: Vec<_> = names.iter().map(|name| (name.as_str(), "running", "Up 5 days")).collect();
    each(&["/metrics", "/status", "/apps"], |path| {
        let docker = FakeDocker::listing(list(&containers));
        docker.open_stream();
        let folder = Folder::new();
        let socket = folder.join("socket");
        let daemon = Daemon::start(&docker.path(), &["-resync", "1h", "-bind", &format!("unix:{}", socket.display())]);
        daemon.is("live");
        let answer = daemon.get(&format!("{PREFIX}{path}")).body.len();
        // Over a Unix socket, where the kernel takes no more than some 200 KB for each.
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::unix(&socket)).collect();
        let before = daemon.memory("VmRSS");
        for client in &mut clients {
            client.send(&get(path).repeat(limits::PIPELINE));
        }
        eventually("nobody is made more", || daemon.counter("http_limits_met_total{limit=\"unsent\"}") >= CLIENTS as u64);
        assert_alive(&daemon);
        let grown = (daemon.memory("VmHWM") - before) * 1024;
        // A buffer may be twice as large as what is in it; some are on their way.
        let bound = 2 * (CLIENTS + 10) * (answer + limits::UNSENT_BYTES);
        assert!(grown < bound as u64, "{path}: grown by {grown}, {answer} each");
    });
}

/// So many clients that read no answer, and as many more as it takes until too much is unread for another large one.
fn crowd(daemon: &Daemon, socket: &Path, count: usize, questions: &str) -> Vec<Client<UnixStream>> {
    let asker = || {
        let mut client = Client::unix(socket);
        client.send(questions);
        client
    };
    let mut clients: Vec<_> = (0..count).map(|_| asker()).collect();
    eventually("too much is unread", || {
        let is_so = daemon.get(&format!("{PREFIX}/apps")).verdict() == (503, 503, "busy".into());
        // Whoever looks may have had the last place, and leaves it.
        clients.extend((!is_so).then(asker));
        is_so
    });
    clients
}

#[test]
fn what_all_clients_leave_unread_is_bounded_and_small_answers_are_not_held_up_by_it() {
    let names: Vec<_> = (0..10_000).map(|number| format!("app{number}")).collect();
    let containers: Vec<_> = names.iter().map(|name| (name.as_str(), "running", "Up 5 days")).collect();
    let docker = FakeDocker::listing(list(&containers));
    docker.open_stream();
    let folder = Folder::new();
    let socket = folder.join("socket");
    let daemon = Daemon::start(&docker.path(), &["-bind", &format!("unix:{}", socket.display())]);
    daemon.is("live");
    let answer = daemon.get(&format!("{PREFIX}/apps")).body.len();
    let count = 2 * limits::UNSENT_BYTES_IN_ALL / answer;
    let before = daemon.memory("VmRSS");
    let clients = crowd(&daemon, &socket, count, &get("/apps"));
    assert_alive(&daemon);
    assert_eq!(daemon.app("app7").verdict(), (200, 0, String::new()), "a small answer");
    let grown = (daemon.memory("VmHWM") - before) * 1024;
    assert!(grown < 2 * limits::UNSENT_BYTES_IN_ALL as u64, "grown by {grown}");
    drop(clients);
    eventually("there is room again", || daemon.get(&format!("{PREFIX}/apps")).verdict().0 == 200);
    assert!(daemon.counter("http_limits_met_total{limit=\"unsent_in_all\"}") > 0);
}

/// As many containers as a list may have, in as many bytes, and as many long names in them as cost the most: each container answers to three.
fn greatest_list() -> Vec<String> {
    let bytes = limits::LIST_BYTES / limits::CONTAINERS - 2;
    let fill = |mark: &str, number, length| format!("{mark}{number:05}{}", "x".repeat(length - mark.len() - 5));
    (0..limits::CONTAINERS)
        .map(|number| {
            let service = fill("service", number, limits::APP_BYTES);
            let label = format!(r#""com.docker.compose.service":"{service}""#);
            let container = labelled(&(fill("name", number, limits::APP_BYTES - 2) + "-1"), "running", "Up 5 days", &label);
            container.replace("sh /build/builder", &"x".repeat("sh /build/builder".len() + bytes - container.len()))
        })
        .collect()
}

#[test]
fn it_lives_within_the_memory_that_its_unit_gives_it() {
    const CLIENTS: usize = 400;
    if !is_there("prlimit") {
        return;
    }
    let _ = rlimit::increase_nofile_limit(4 * CLIENTS as u64);
    let unit = std::fs::read_to_string(support::fleet::packaged("container-healthcheck.service")).unwrap();
    let most = unit.lines().find_map(|line| line.strip_prefix("MemoryMax=")?.strip_suffix('M')).unwrap();
    // What the kernel holds for all clients is charged to the unit too: twice as much as is asked for, and a packet more (measured).
    let one = 2 * (limits::KERNEL_BYTES + limits::KERNEL_REQUEST_BYTES) + 30 * 1024;
    let kernel = (one * (limits::MAX_CLIENTS + limits::EXTRA_CLIENTS)) as u64;
    // An allocation beyond it fails, and that would be the end of the process. Addresses are more than what is used of them.
    let limit = format!("--as={}", (most.parse::<u64>().unwrap() << 20) - kernel);
    let many = (0..2000).map(|number| container(&format!("app{number}"), "running", "Up 5 days")).collect();
    each(&[many, greatest_list()], |containers| {
        let docker = FakeDocker::listing(format!("[{}]", containers.join(",")));
        docker.open_stream();
        let folder = Folder::new();
        let socket = folder.join("socket");
        let args = ["-docker-timeout", "20s", "-resync", "1h", "-bind", &format!("unix:{}", socket.display())];
        let daemon = Daemon::start_as(program_under(&["prlimit", &limit]), &docker.path(), &args);
        daemon.is("live");
        let questions = [get("/apps"), get("/metrics"), get("/status")].concat().repeat(limits::PIPELINE / 3);
        let clients = crowd(&daemon, &socket, CLIENTS, &questions);
        let apps = || daemon.get(&format!("{PREFIX}/apps"));
        // All are listed once more meanwhile, and when the next list is asked for, this one has landed.
        for _ in 0..2 {
            let lists = docker.requests().len();
            docker.send_line(&"x".repeat(limits::EVENT_BYTES + 1));
            eventually("another list", || docker.requests().len() > lists);
            assert_alive(&daemon);
        }
        assert_eq!(apps().verdict(), (503, 503, "busy".into()), "too much is still unread");
        drop(clients);
        eventually("there is room again", || apps().status == 200);
        assert_eq!(apps().json()["message"]["apps"].as_object().unwrap().len(), containers.len());
        assert_eq!(daemon.counter("docker_failures_total"), 0);
    });
}

#[test]
fn clients_that_flood_do_not_hold_up_the_others() {
    const FLOODS: usize = 4;
    let (_docker, daemon) = start(&[]);
    let stop = AtomicBool::new(false);
    let flood = get("/health").repeat(2000);
    thread::scope(|scope| {
        for _ in 0..FLOODS {
            let stream = TcpStream::connect(daemon.address()).unwrap();
            let (mut writer, mut reader) = (stream.try_clone().unwrap(), stream);
            let (stop, flood) = (&stop, &flood);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) && writer.write_all(flood.as_bytes()).is_ok() {}
                let _ = writer.shutdown(std::net::Shutdown::Both);
            });
            scope.spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while reader.read(&mut buffer).is_ok_and(|length| length > 0) {}
            });
        }
        // How many answers the others got while somebody came, asked and was answered. The least of some tries is the daemon's
        // doing, the rest is the machine's.
        let answered = || daemon.get(&format!("{PREFIX}/metrics")).counter("http_requests_total{path=\"health\",code=\"200\"}");
        let mut before = answered();
        let between = (0..20).map(|_| {
            let now = answered();
            now - std::mem::replace(&mut before, now)
        });
        let least = between.min().unwrap();
        stop.store(true, Ordering::Relaxed);
        // One turn to come, one to ask; in each of them everybody has a share.
        let share = limits::CLIENT_SHARE / get("/health").len() + 2 * limits::PIPELINE;
        assert!(least <= 2 * (FLOODS * share) as u64, "{least} answers in two turns, but a share is {share}");
    });
}

// ---- How long we wait for a client.

#[test]
fn a_late_head_is_told_so() {
    let (_docker, daemon) = start(&["-header-timeout", "200ms"]);
    for start in ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: h\r\n"] {
        let mut client = daemon.connect();
        client.send(&(get("/health") + start));
        let answers = client.answers();
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[1].verdict(), (408, 408, "timeout".into()), "{start:?}");
        assert!(answers[1].is_last());
    }
    assert_eq!(daemon.counter(&refused("Late", "timeout")), 3);
}

/// Sends `bytes` one at a time, slowly, until an answer comes or the connection ends; gives the time from the first to that.
fn drip(client: &Client, bytes: impl Iterator<Item = u8>) -> Duration {
    let mut stream = client.stream();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let start = Instant::now();
    for byte in bytes {
        assert!(start.elapsed() < support::patience(), "it may drip for ever");
        let over = stream.write(&[byte]).is_err();
        match stream.peek(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && !over => {}
            _ => break,
        }
    }
    stream.set_read_timeout(Some(support::patience())).unwrap();
    start.elapsed()
}

#[test]
fn a_head_that_trickles_has_one_deadline_from_its_first_byte() {
    let (_docker, daemon) = start(&["-header-timeout", "1s"]);
    for fields in ["X: ".to_owned() + &"x".repeat(4000), "X: y\r\n".repeat(60)] {
        let mut client = daemon.connect();
        let took = drip(&client, format!("GET / HTTP/1.1\r\n{fields}").bytes());
        assert_eq!(client.answer().status, 408);
        client.expect_end();
        assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
}

#[test]
fn a_body_that_trickles_has_one_deadline_too() {
    let (_docker, daemon) = start(&["-header-timeout", "1s"]);
    let (mut client, began) = (daemon.connect(), Instant::now());
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000\r\n\r\n");
    assert_eq!(client.answer().status, 405);
    drip(&client, std::iter::repeat_n(b'x', 4000));
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    client.expect_end();
    assert_eq!(daemon.counter("http_limits_met_total{limit=\"body\"}"), 1);
    assert_eq!(daemon.counter(&refused("Late", "timeout")), 0);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let (_docker, daemon) = start(&["-idle-timeout", "200ms"]);
    daemon.connect().expect_end();
    let mut client = daemon.connect();
    assert_eq!(client.get("/").status, 200);
    client.expect_end();
    let mut client = daemon.connect();
    // Empty lines are ignored, so they are no request either.
    drip(&client, b"\r\n".repeat(100).into_iter());
    client.expect_end();
    assert!(daemon.counter(&closed("idle")) >= 3);
}

#[test]
fn a_busy_connection_is_not_idle() {
    let (_docker, daemon) = start(&["-idle-timeout", "1s"]);
    let mut client = daemon.connect();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        client.stream().set_read_timeout(Some(support::patience())).unwrap();
        assert_eq!(client.get("/").status, 200);
        client.stream().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let quiet = client.stream().peek(&mut [0]).map_err(|error| error.kind());
        assert_eq!(quiet, Err(ErrorKind::WouldBlock), "it stays open and says nothing");
    }
}

#[test]
fn a_client_that_waits_for_docker_is_neither_idle_nor_late() {
    let list = list(&[("app", "running", "Up 5 days")]);
    let docker = FakeDocker::listing(list.clone());
    let daemon = Daemon::start(&docker.path(), &["-idle-timeout", "100ms", "-header-timeout", "100ms", "-docker-timeout", "60s"]);
    daemon.wait_for_log("docker answers");
    let gate = docker.hold_back(list);
    let before = Instant::now();
    thread::scope(|scope| {
        let probe = scope.spawn(|| daemon.app("app").status);
        eventually("both times are over", || before.elapsed() > Duration::from_millis(500));
        assert!(!probe.is_finished());
        gate.open();
        assert_eq!(probe.join().unwrap(), 200);
    });
}

#[test]
fn a_client_that_does_not_close_after_the_last_answer_is_closed() {
    let (_docker, daemon) = start(&[]);
    let mut client = daemon.connect();
    let before = Instant::now();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answers().len(), 1);
    assert!(before.elapsed() < limits::CLIENT_TO_CLOSE, "our side is shut at once");
    eventually("it is closed", || daemon.counter(&closed("lingering")) == 1);
    assert!(before.elapsed() >= limits::CLIENT_TO_CLOSE);
}

// ---- Many clients.

/// So many connections that are idle after one answer, in that order.
fn idle(daemon: &Daemon, count: usize) -> Vec<Client> {
    (0..count)
        .map(|_| {
            let mut client = daemon.connect();
            assert_eq!(client.get("/").status, 200);
            client
        })
        .collect()
}

#[test]
fn the_longest_idle_connection_makes_room() {
    let (_docker, daemon) = start(&["-max-clients", "8"]);
    let mut clients = idle(&daemon, 8);
    // The first is no longer the longest idle one.
    assert_eq!(clients[0].get("/").status, 200);
    let mut ninth = daemon.connect();
    let metrics = ninth.get(&format!("{PREFIX}/metrics"));
    assert_eq!((metrics.counter(&closed("room")), metrics.counter("http_clients")), (1, 8));
    assert_eq!(metrics.counter("http_clients_extra_total"), 0);
    assert!(!metrics.is_last());
    clients.remove(1).expect_end();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    // Half a head is no reason to stay.
    clients[3].send("GET /");
    // Twice, since the first one may come in the same moment.
    for at in [0, 1, 2, 4, 5, 6, 0, 1, 2, 4, 5, 6] {
        assert_eq!(clients[at].get("/").status, 200);
    }
    assert_eq!(ninth.get("/").status, 200);
    assert_alive(&daemon);
    clients[3].expect_end();
}

/// So many connections with a probe that waits for Docker, and an answer that was not read.
fn waiting(daemon: &Daemon, count: usize) -> Vec<Client> {
    let clients = (0..count).map(|_| {
        let mut client = daemon.connect();
        client.send(&(get("/health") + &get("/apps/health/app")));
        // Both were read at once.
        assert!(client.stream().peek(&mut [0]).unwrap() > 0);
        client
    });
    clients.collect()
}

/// Each has its one answer, and waits.
fn assert_waiting(clients: &mut [Client]) {
    for client in clients {
        assert_eq!(client.answer().status, 200);
        client.stream().set_nonblocking(true).unwrap();
        assert_eq!(client.stream().peek(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    }
}

#[test]
fn when_all_wait_for_docker_others_are_told_what_is_at_hand() {
    let (_docker, daemon) = start_hung(&["-max-clients", "8"]);
    let mut clients = waiting(&daemon, 8);
    let before = daemon.counter("http_clients_extra_total");
    for _ in 0..100 {
        assert!(assert_alive(&daemon).is_last());
    }
    let answer = daemon.app("app");
    assert_eq!(answer.verdict(), (503, 503, "busy".into()));
    assert!(answer.is_last());
    assert_eq!(daemon.counter("probes_busy_total"), 1);
    assert_eq!(daemon.counter("http_clients_extra_total"), before + 103);
    assert_eq!(daemon.log().matches("no room for a client").count(), 1, "said once, however often it is so");
    assert_waiting(&mut clients);
}

#[test]
fn a_client_beyond_the_limit_never_waits_even_if_it_took_the_place_of_another() {
    let (_docker, daemon) = start_hung(&["-max-clients", "8"]);
    let _clients = waiting(&daemon, 8);
    for _ in 0..3 {
        let _silent = daemon.connect();
        let mut client = daemon.connect();
        client.stream().set_read_timeout(Some(AT_ONCE)).unwrap();
        client.send(&get("/apps/health/app"));
        assert_eq!(client.answer().verdict(), (503, 503, "busy".into()));
    }
}

#[test]
fn clients_that_come_together_do_not_push_each_other_out() {
    let (_docker, daemon) = start_hung(&["-max-clients", "8"]);
    let mut clients = waiting(&daemon, 8);
    daemon.freeze();
    let mut others: Vec<_> = (0..40).map(|_| daemon.connect()).collect();
    for client in &mut others {
        client.send(&get("/health"));
    }
    daemon.signal("CONT");
    let answered = others.iter_mut().filter_map(|client| client.answer_to("GET")).filter(|answer| answer.status == 200).count();
    assert_eq!(answered, 40, "there is room for {} beyond the limit", limits::EXTRA_CLIENTS);
    assert_waiting(&mut clients);
}

#[test]
fn for_whom_there_is_no_room_at_all_the_connection_is_closed() {
    let docker = FakeDocker::hung();
    let folder = Folder::new();
    let path = folder.join("socket");
    // Two listeners, so that more can come in one turn than there is room for.
    let daemon =
        Daemon::start(&docker.path(), &["-docker-timeout", "60s", "-max-clients", "8", "-bind", &format!("unix:{}", path.display())]);
    gone(&daemon);
    let mut clients = waiting(&daemon, 8);
    daemon.freeze();
    let mut tcp: Vec<_> = (0..60).map(|_| daemon.connect()).collect();
    let mut unix: Vec<Client<UnixStream>> = (0..60).map(|_| Client::unix(&path)).collect();
    for (one, other) in tcp.iter_mut().zip(&mut unix) {
        one.send(&get("/health"));
        other.send(&get("/health"));
    }
    daemon.signal("CONT");
    let answers: Vec<_> =
        tcp.iter_mut().map(|client| client.answer_to("GET")).chain(unix.iter_mut().map(|client| client.answer_to("GET"))).collect();
    let answered = answers.iter().flatten().filter(|answer| answer.status == 200).count();
    assert!((limits::EXTRA_CLIENTS..120).contains(&answered), "{answered}");
    assert_eq!(daemon.counter("http_clients_turned_away_total"), 120 - answered as u64);
    assert_alive(&daemon);
    assert_waiting(&mut clients);
}

#[test]
fn five_hundred_half_open_heads_change_nothing_for_the_others() {
    let _ = rlimit::increase_nofile_limit(2048);
    for limit in [1024, 100] {
        let (_docker, daemon) = start(&["-header-timeout", "60s", "-max-clients", &limit.to_string()]);
        let halves: Vec<_> = (0..500)
            .map(|_| {
                let mut client = daemon.connect();
                client.send("GET / HTTP/1.1\r\nHo");
                client
            })
            .collect();
        for _ in 0..10 {
            assert_alive(&daemon);
            assert_eq!(daemon.app("app").status, 200);
        }
        let clients = daemon.counter("http_clients");
        // Who asked a moment ago may be gone or not.
        assert!((limit.min(500) - 5..=limit).contains(&clients), "{clients}");
        drop(halves);
        gone(&daemon);
    }
}

// ---- Out of descriptors.

/// Whether a process of ours may raise its hard limits: that of root, which the wrapped daemon then has to lay down.
fn may_raise_limits() -> bool {
    const SYS_RESOURCE: u64 = 1 << 24;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(effective.trim(), 16).unwrap() & SYS_RESOURCE != 0
}

#[test]
fn fewer_descriptors_make_fewer_clients_and_the_log_says_so() {
    let mut wrapper = vec!["sh", "-c", "ulimit -n 40 && exec \"$@\"", "sh"];
    if may_raise_limits() {
        if !is_there("setpriv") {
            return;
        }
        wrapper.splice(0..0, ["setpriv", "--inh-caps=-sys_resource", "--bounding-set=-sys_resource"]);
    }
    let docker = FakeDocker::listing("[]");
    let daemon = Daemon::start_as(program_under(&wrapper), &docker.path(), &[]);
    daemon.wait_for_log("docker answers");
    assert!(daemon.log().contains("WARN  the limit of open files is 40: max-clients=1 "), "{}", daemon.log());
    let _idle = idle(&daemon, 60);
    let _silent: Vec<_> = (0..60).map(|_| daemon.connect()).collect();
    assert_alive(&daemon);
    // With more there is room for more.
    let mut wrapper = wrapper.clone();
    let command = wrapper.iter().position(|part| part.starts_with("ulimit")).unwrap();
    wrapper[command] = "ulimit -n 200 && exec \"$@\"";
    let daemon = Daemon::start_as(program_under(&wrapper), &docker.path(), &[]);
    daemon.wait_for_log("max-clients=72 ");
    // And as many as were wanted need no word.
    let daemon = Daemon::start_as(program_under(&wrapper), &docker.path(), &["-max-clients", "72"]);
    assert!(!daemon.log().contains("the limit of open files"), "{}", daemon.log());
}

/// From now on it can have no further descriptor, until one of those it has is closed. It has to log at debug, and to have so
/// many clients. False if this host cannot do so.
fn take_descriptors(daemon: &Daemon, clients: usize) -> bool {
    let count = |words| daemon.log().matches(words).count();
    eventually("nobody else is there", || count("client came ") == clients + count("client gone "));
    let used = daemon.descriptors();
    let limit = (0..1000).find(|number| !used.contains(number)).unwrap();
    let mut command = Command::new("prlimit");
    command.args([format!("--pid={}", daemon.pid()), format!("--nofile={limit}:{limit}")]);
    is_there("prlimit") && {
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        true
    }
}

#[test]
fn out_of_descriptors_the_longest_idle_connection_makes_room() {
    let (_docker, daemon) = start(&["-level", "debug"]);
    let mut clients = idle(&daemon, 20);
    if !take_descriptors(&daemon, 20) {
        return;
    }
    for _ in 0..5 {
        assert_alive(&daemon);
    }
    clients[0].expect_end();
    assert_eq!(clients[19].get("/").status, 200, "the latest is still there");
    assert!(daemon.counter("http_accept_failures_total") > 0);
}

#[test]
fn out_of_descriptors_it_rests_until_somebody_leaves() {
    let (_docker, daemon) = start_hung(&["-level", "debug"]);
    let mut clients = waiting(&daemon, 20);
    if !take_descriptors(&daemon, 20) {
        return;
    }
    let mut newcomer = daemon.connect();
    newcomer.send(&get("/health"));
    daemon.wait_for_log("no room for a client");
    let (before, start) = (daemon.ticks(), Instant::now());
    eventually("a second passes", || start.elapsed() >= Duration::from_secs(1));
    let ticks = daemon.ticks() - before;
    assert!(ticks < 30, "it spins: {ticks} ticks of a hundred");
    newcomer.stream().set_nonblocking(true).unwrap();
    assert_eq!(newcomer.stream().peek(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    newcomer.stream().set_nonblocking(false).unwrap();

    let leaves = Instant::now();
    clients.pop().unwrap().reset();
    let answer = newcomer.answer();
    assert!(answer.status == 200 && leaves.elapsed() < AT_ONCE, "{:?}", leaves.elapsed());
    assert!(newcomer.get(&format!("{PREFIX}/metrics")).counter("http_accept_failures_total") > 0);
    assert_waiting(&mut clients);
}
