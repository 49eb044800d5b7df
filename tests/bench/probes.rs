//! Probes of a live view, beside a bare epoll loop and nginx.

use std::net::SocketAddr;
use std::time::Duration;

use super::host::{self, QUIET, processor_time};
use super::load::{self, Load, Sample};
use super::rivals::Rival;
use super::table::{Table, grouped, time};

/// How long each server is asked in one round.
const ROUND: Duration = Duration::from_millis(200);

/// The number of connections that the budgets are about.
const MANY: usize = 32;

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

    fn cost(&self) -> Duration {
        median(self.costs.clone())
    }

    /// How long those who ask wait.
    fn latency(&self) -> String {
        let mut latencies = self.sample.latencies.clone();
        latencies.sort_unstable();
        let (middle, late) = (latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100]);
        format!("{} in the median, {} in the 99th percentile", time(middle), time(late))
    }

    fn speed(&self) -> String {
        grouped(self.sample.per_second() as u64)
    }

    /// How many times the other's cost ours is, round by round: the median and the quartiles.
    fn beside(&self, other: &Self) -> (f64, String) {
        let mut ratios: Vec<_> =
            self.costs.iter().zip(&other.costs).map(|(ours, other)| ours.as_secs_f64() / other.as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        let [low, middle, high] = [1, 2, 3].map(|quarter| ratios[ratios.len() * quarter / 4]);
        (middle, format!("{middle:.2} times its {} (quartiles {low:.2} and {high:.2})", time(other.cost())))
    }
}

pub fn measure(table: &mut Table) {
    let path = host::path(7);
    let (_docker, daemon) = host::start(62, "Up 5 days", true, &QUIET);
    let answer = load::ask(&mut daemon.connect().stream(), &load::request(&path));
    let body = answer.len() - answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() - 4;
    let bare = host::elsewhere(|| Rival::bare(&answer));
    let nginx = host::elsewhere(|| Rival::nginx(body));
    for (connections, rounds) in [(MANY, 31), (1, 7), (256, 7)] {
        let mut ours = Runner::new("ours", daemon.pid(), daemon.address(), &path, connections);
        // A request with a query is not known by its bytes, but read each time.
        let mut read = Runner::new("ours, each request read", daemon.pid(), daemon.address(), &format!("{path}?x"), connections);
        let mut bare = Runner::new("a bare loop", bare.pid(), bare.address, &path, connections);
        let mut nginx = nginx.as_ref().map(|nginx| Runner::new("nginx", nginx.pid(), nginx.address, &path, connections));
        for _ in 0..rounds {
            for runner in [&mut ours, &mut read, &mut bare].into_iter().chain(&mut nginx) {
                runner.round();
            }
        }
        for runner in [&mut ours, &mut read, &mut bare].into_iter().chain(&mut nginx) {
            let (cost, speed) = (time(runner.cost()), runner.speed());
            println!("  {connections} connections, {}: {cost} of CPU, {speed} a second, {}", runner.name, runner.latency());
        }
        if connections == MANY {
            judge(table, &ours, &bare, nginx.as_ref());
            table.note("CPU of a live probe whose request has not come before", read.beside(&bare).1, "");
            table.note("live probes a second, 32 connections: the load is at its limit, the server is not", ours.speed(), "");
        }
        if connections == 1 {
            table.note("a live probe as its client sees it, one connection", ours.latency(), "");
        }
    }
}

fn judge(table: &mut Table, ours: &Runner, bare: &Runner, nginx: Option<&Runner>) {
    const BARE: f64 = 1.10;
    let (times, words) = ours.beside(bare);
    let what = format!("CPU of a live probe, {MANY} connections, beside a bare epoll loop");
    table.add(&what, format!("{}, {words}", time(ours.cost())), &format!("at most {BARE:.2} times"), times <= BARE);
    let (what, budget) = ("the same beside nginx's `return 200`", "less than 1.00 times");
    match nginx.map(|nginx| ours.beside(nginx)) {
        Some((times, words)) => table.add(what, words, budget, times < 1.0),
        None => table.lacks(what, "no nginx here", budget),
    }
}

pub fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}
