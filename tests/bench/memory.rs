//! Memory: idle, with many connections, and after a million probes.

use std::net::TcpStream;
use std::time::Duration;

use super::host::{self, QUIET};
use super::load::{self, Load};
use super::support::{Daemon, PREFIX, eventually};
use super::table::{Table, grouped, mebibytes};

const CONNECTIONS: u64 = 10_000;

pub fn measure(table: &mut Table) {
    for (containers, budget, anonymous_budget) in [(62, "1.75 MiB", Some("0.5 MiB")), (1000, "3 MiB", None)] {
        let (_docker, daemon) = host::start(containers, "Up 5 days", true, &["-resync", "1s"]);
        // As it is after a while, not as it starts.
        eventually("some lists have come", || daemon.counter("docker_lists_total") >= 3);
        // It gives back what the counters took once they have left, and has done so when it answers again.
        daemon.get(&format!("{PREFIX}/health"));
        row(table, &format!("idle with {} containers", grouped(containers as u64)), &daemon, budget, anonymous_budget);
    }
    let what = format!("with {} idle connections", grouped(CONNECTIONS));
    let budget = "16 MiB";
    // Both ends of each, one here and one there, and what either needs besides.
    match rlimit::increase_nofile_limit(CONNECTIONS + 1000) {
        Ok(limit) if limit >= CONNECTIONS + 1000 => {}
        limit => return table.lacks(&what, &format!("no more descriptors than {limit:?}"), budget),
    }
    let (_docker, daemon) = host::start(62, "Up 5 days", true, &["-max-clients", "10100", "-idle-timeout", "1h"]);
    let request = load::request(&host::path(7));
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let mut stream = TcpStream::connect(daemon.address()).unwrap();
            load::ask(&mut stream, &request);
            stream
        })
        .collect();
    assert!(daemon.counter("http_clients") > CONNECTIONS, "they are all there");
    row(table, &what, &daemon, budget, None);
    drop(connections);
}

fn row(table: &mut Table, what: &str, daemon: &Daemon, budget: &str, anonymous_budget: Option<&str>) {
    let [all, anonymous] = ["VmRSS", "RssAnon"].map(|field| daemon.memory(field));
    let is_within = |kibibytes: u64, budget: &str| kibibytes as f64 / 1024.0 <= budget.trim_end_matches(" MiB").parse::<f64>().unwrap();
    let is_met = is_within(all, budget) && anonymous_budget.is_none_or(|budget| is_within(anonymous, budget));
    let budget = budget.to_owned() + &anonymous_budget.map(|budget| format!(", of it {budget} anonymous")).unwrap_or_default();
    table.add(&format!("memory (RSS) {what}"), format!("{}, of it {} anonymous", mebibytes(all), mebibytes(anonymous)), &budget, is_met);
}

/// What a million probes leave behind, and what they have asked of Docker.
pub fn measure_growth(table: &mut Table) {
    const WARM: u64 = 100_000;
    const PROBES: u64 = 1_000_000;
    let (docker, daemon) = host::start(62, "Up 5 days", true, &QUIET);
    let mut load = Load::new(daemon.address(), &host::path(7), 10, b"200");
    let mut probe = |count: u64| {
        let mut answers = 0;
        while answers < count {
            answers += load.run(Duration::from_millis(100)).answers;
        }
        (daemon.memory("VmRSS"), docker.connections())
    };
    let (before, asked_before) = probe(WARM);
    let (after, asked_after) = probe(PROBES);
    let grown = after.saturating_sub(before);
    table.add("growth of memory after a million probes", format!("{grown} KiB"), "0", grown == 0);
    let asked = asked_after - asked_before;
    table.add("Docker requests of a million live probes", asked.to_string(), "0", asked == 0);
}
