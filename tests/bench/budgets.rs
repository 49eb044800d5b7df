//! What it costs, beside what it may cost: `cargo bench`.
//!
//! Ours, a bare epoll loop and nginx are measured in turns in one run, since a machine that is fast now may be slow in a second;
//! medians of many short rounds are compared, never figures of two runs. Nothing here fails when a figure is bad: it says so.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark may stop, and lives in the world"
)]

mod host;
mod load;
mod rivals;
#[path = "../support/mod.rs"]
mod support;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use host::processor_time;
use load::{Load, Sample};
use rivals::Rival;
use support::PREFIX;

/// How long each server is asked in one round.
const ROUND: Duration = Duration::from_millis(200);

fn main() {
    if std::env::args().any(|arg| arg == rivals::BARE) {
        rivals::serve_bare();
    }
    // Both ends of ten thousand connections, one of them here.
    let _ = rlimit::increase_nofile_limit(20_000);
    host::stay_here();
    let started = Instant::now();
    let mut table = Table::default();
    probes(&mut table);
    table.print();
    println!("\nIt took {} s.", started.elapsed().as_secs());
}

/// The figures, as they are found.
#[derive(Default)]
struct Table(Vec<[String; 4]>);

impl Table {
    fn add(&mut self, what: &str, figure: impl Into<String>, budget: &str, met: Option<bool>) {
        let met = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        let row = [what.to_owned(), figure.into(), budget.to_owned(), met.to_owned()];
        println!("| {} |", row.join(" | "));
        self.0.push(row);
    }

    fn print(&self) {
        println!("\n| what | measured | budget | |\n|---|---|---|---|");
        for row in &self.0 {
            println!("| {} |", row.join(" | "));
        }
    }
}

// ---- Probes of a live view.

struct Runner {
    name: &'static str,
    pid: u32,
    load: Load,
    costs: Vec<Duration>,
    sample: Sample,
}

impl Runner {
    fn new(name: &'static str, pid: u32, address: SocketAddr, path: &str, connections: usize) -> Self {
        Self { name, pid, load: Load::new(address, path, connections, b"200"), costs: Vec::new(), sample: Sample::default() }
    }

    fn round(&mut self) {
        // Caches are warm and nobody sleeps.
        self.load.run(ROUND / 10);
        let before = processor_time(self.pid);
        let sample = self.load.run(ROUND);
        let used = processor_time(self.pid).saturating_sub(before);
        self.costs.push(used / u32::try_from(sample.answers).unwrap());
        self.sample.answers += sample.answers;
        self.sample.elapsed += sample.elapsed;
        self.sample.latencies.extend(sample.latencies);
    }
}

fn probes(table: &mut Table) {
    let path = format!("{PREFIX}/apps/health/{}", host::app(7));
    let (_docker, daemon) = host::start(62, "Up 5 days", true, &[]);
    let answer = load::ask(&mut TcpStream::connect(daemon.address()).unwrap(), &load::request(&path));
    let body = answer.len() - answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() - 4;
    let bare = host::elsewhere(|| Rival::bare(&answer));
    let nginx = host::elsewhere(|| Rival::nginx(body));
    if nginx.is_none() {
        println!("There is no nginx here; it is left out.");
    }
    for (connections, rounds) in [(1, 7), (32, 21), (256, 7)] {
        let mut runners = vec![
            Runner::new("ours", daemon.pid(), daemon.address(), &path, connections),
            Runner::new("bare loop", bare.pid(), bare.address, &path, connections),
        ];
        if let Some(nginx) = &nginx {
            runners.push(Runner::new("nginx", nginx.pid(), nginx.address, &path, connections));
        }
        for _ in 0..rounds {
            for runner in &mut runners {
                runner.round();
            }
        }
        for runner in &mut runners {
            runner.sample.latencies.sort_unstable();
            let latencies = &runner.sample.latencies;
            let at = |part: f64| latencies[(latencies.len() as f64 * part) as usize];
            table.add(
                &format!("probes of a live app, {connections} connections, {}", runner.name),
                format!(
                    "{} of CPU each, {:.0} a second, p50 {}, p99 {}",
                    micro(median(runner.costs.clone())),
                    runner.sample.per_second(),
                    micro(at(0.5)),
                    micro(at(0.99))
                ),
                "",
                None,
            );
        }
        let ratio = |other: usize| {
            let mut ratios: Vec<_> =
                runners[0].costs.iter().zip(&runners[other].costs).map(|(ours, other)| ours.as_secs_f64() / other.as_secs_f64()).collect();
            ratios.sort_by(f64::total_cmp);
            (ratios[ratios.len() / 2], ratios[ratios.len() / 4], ratios[ratios.len() * 3 / 4])
        };
        for (other, name, budget) in [(1, "bare loop", 1.10), (2, "nginx", 1.0)] {
            if other >= runners.len() {
                continue;
            }
            let (middle, low, high) = ratio(other);
            let is_budget = connections == 32;
            table.add(
                &format!("CPU of a live probe beside {name}'s, {connections} connections"),
                format!("{middle:.2} times (quartiles {low:.2} and {high:.2})"),
                &if is_budget { format!("at most {budget:.2}") } else { String::new() },
                is_budget.then_some(middle <= budget),
            );
        }
    }
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values[values.len() / 2]
}

fn micro(time: Duration) -> String {
    format!("{:.2} µs", time.as_nanos() as f64 / 1000.0)
}
