//! The host that is measured: a scripted Docker with many containers, our server before it, and what the kernel knows of a process.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::rivals::pin;
use super::support::{Daemon, FakeDocker, PREFIX, container, container_id, eventually, send_list};

/// The load and the scripted Docker run on one processor, whatever is measured on another one, if there are two.
const OURS: usize = 0;
const THEIRS: usize = 1;

/// Whether there are two processors.
pub fn has_two() -> bool {
    std::thread::available_parallelism().is_ok_and(|count| count.get() > 1)
}

pub fn stay_here() {
    if has_two() {
        pin(OURS);
    }
}

/// Starts something that is to be measured.
pub fn elsewhere<T>(start: impl FnOnce() -> T) -> T {
    if !has_two() {
        return start();
    }
    pin(THEIRS);
    let started = start();
    pin(OURS);
    started
}

/// How many processes wanted a processor in the last minute.
pub fn load_average() -> f64 {
    fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// The name of the container of that number, and of its app.
pub fn name(number: usize) -> String {
    format!("{}-1709878117", app(number))
}

fn app(number: usize) -> String {
    format!("bk_app{number}")
}

/// Where that app is probed.
pub fn path(number: usize) -> String {
    format!("{PREFIX}/apps/health/{}", app(number))
}

/// What a process, whose one thread waits, has used of a processor (the first figure of `/proc/PID/schedstat`, in nanoseconds).
pub fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Nothing but what is measured is to happen.
pub const QUIET: [&str; 2] = ["-resync", "1h"];

/// A Docker with so many running containers, and a server whose view of them is live, or blind if the stream is refused.
pub fn start(containers: usize, status: &str, live: bool, args: &[&str]) -> (FakeDocker, Daemon) {
    let docker = docker(containers, status);
    if live {
        docker.open_stream();
    }
    let daemon = elsewhere(|| Daemon::start(&docker.path(), args));
    knows(&daemon, containers, if live { "live" } else { "blind" });
    (docker, daemon)
}

/// Waits until it knows so many containers, its view being in that state.
pub fn knows(daemon: &Daemon, containers: usize, state: &str) {
    eventually(state, || {
        let metrics = daemon.get(&format!("{PREFIX}/metrics"));
        metrics.counter(&format!("docker_state{{state=\"{state}\"}}")) == 1 && metrics.counter("containers") == containers as u64
    });
}

/// A Docker that lists so many running containers, all of them or those it is asked about. Nothing is put together while it is
/// measured.
pub fn docker(containers: usize, status: &str) -> FakeDocker {
    let mut by_id: HashMap<String, String> = HashMap::new();
    let mut all = Vec::new();
    for name in (0..containers).map(name) {
        let json = container(&name, "running", status);
        all.push(json.clone());
        by_id.insert(container_id(&name), json);
    }
    let rendered = |list: &str| {
        let mut bytes = Vec::new();
        send_list(&mut bytes, list);
        bytes
    };
    let whole = rendered(&format!("[{}]", all.join(",")));
    FakeDocker::start(move |stream: &mut UnixStream, head: &str| {
        if !head.contains("filters=") {
            let _ = stream.write_all(&whole);
            return;
        }
        let asked: Vec<_> = head.split("%22").filter_map(|part| by_id.get(part)).map(String::as_str).collect();
        let _ = stream.write_all(&rendered(&format!("[{}]", asked.join(","))));
    })
}
