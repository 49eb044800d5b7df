//! Servers that are asked in turns, so that what the machine does meanwhile falls on all of them alike.

use std::net::SocketAddr;
use std::time::Duration;

use super::host::processor_time;
use super::load::{Load, Sample};
use super::table::{grouped, time};

/// How long each server is asked in one round.
const ROUND: Duration = Duration::from_millis(200);

/// One of them, with the process whose processor time counts.
pub struct Runner {
    pub name: &'static str,
    pid: u32,
    load: Load,
    /// Of one request, in each round.
    costs: Vec<Duration>,
    /// Requests a second, in each round.
    speeds: Vec<f64>,
    sample: Sample,
}

impl Runner {
    pub fn new(name: &'static str, pid: u32, address: SocketAddr, path: &str, connections: usize) -> Self {
        let load = Load::new(address, path, connections, b"200");
        Self { name, pid, load, costs: Vec::new(), speeds: Vec::new(), sample: Sample::default() }
    }

    pub fn round(&mut self) {
        // Caches are warm and nobody sleeps.
        self.load.run(ROUND / 10);
        let before = processor_time(self.pid);
        let sample = self.load.run(ROUND);
        let used = processor_time(self.pid).saturating_sub(before);
        self.costs.push(used / u32::try_from(sample.answers).unwrap());
        self.speeds.push(sample.per_second());
        self.sample.answers += sample.answers;
        self.sample.elapsed += sample.elapsed;
        self.sample.latencies.extend(sample.latencies);
    }

    pub fn cost(&self) -> Duration {
        median(self.costs.clone())
    }

    /// How long so many hundredths of those who ask wait at most.
    pub fn percentile(&self, hundredths: usize) -> Duration {
        let mut latencies = self.sample.latencies.clone();
        latencies.sort_unstable();
        latencies[latencies.len() * hundredths / 100]
    }

    pub fn latency(&self) -> String {
        format!("{} in the median, {} in the 99th percentile", time(self.percentile(50)), time(self.percentile(99)))
    }

    pub fn speed(&self) -> String {
        grouped(self.sample.per_second() as u64)
    }

    /// How many times the other's cost ours is, round by round: the quartiles.
    pub fn costs_beside(&self, other: &Self) -> [f64; 3] {
        let pairs = self.costs.iter().zip(&other.costs);
        quartiles(pairs.map(|(ours, other)| ours.as_secs_f64() / other.as_secs_f64()).collect())
    }

    /// How many times as fast as the other we are, round by round: the quartiles.
    pub fn speeds_beside(&self, other: &Self) -> [f64; 3] {
        quartiles(self.speeds.iter().zip(&other.speeds).map(|(ours, other)| ours / other).collect())
    }
}

/// One round of each. Each leaves something behind that the next one has to live with, so another begins each time, and they go
/// there and back in turns.
pub fn round<'a>(number: usize, runners: impl Iterator<Item = &'a mut Runner>) {
    let mut runners: Vec<_> = runners.collect();
    let first = number / 2 % runners.len();
    runners.rotate_left(first);
    if !number.is_multiple_of(2) {
        runners.reverse();
    }
    runners.into_iter().for_each(Runner::round);
}

pub fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}
