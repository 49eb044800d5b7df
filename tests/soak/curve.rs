//! What is measured all the while: memory, descriptors, and processor time for each answer.

use std::fmt;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::Soak;
use super::support::PREFIX;

/// Of the whole soak. Four make a quarter.
const ROWS: usize = 12;

/// Looks at the process in each row.
const LOOKS: u32 = 30;

/// Between the second quarter and the last memory grows by no more than this, in KiB: a few pages.
const GROWTH: u64 = 64;

/// One row of the curve.
struct Row {
    until: Duration,
    /// In KiB; of these, the least that was seen and the most.
    rss: [u64; 2],
    anonymous: [u64; 2],
    descriptors: [u64; 2],
    answers: u64,
    micros_per_answer: f64,
    slowest: Duration,
}

/// All of them.
pub struct Curve<'a> {
    soak: &'a Soak,
    length: Duration,
    rows: Vec<Row>,
}

impl<'a> Curve<'a> {
    pub fn new(soak: &'a Soak, length: Duration) -> Self {
        Self { soak, length, rows: Vec::new() }
    }

    /// All requests answered so far, of whatever kind.
    fn answers(&self) -> u64 {
        let metrics = self.soak.daemon.get(&format!("{PREFIX}/metrics")).body;
        let counts = metrics.lines().filter(|line| line.starts_with("container_healthcheck_http_requests_total{"));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Measures until the soak is over.
    pub fn draw(&mut self) {
        let Soak { daemon, slowest, .. } = self.soak;
        let began = Instant::now();
        let mut next = began;
        let (mut ticks, mut answers) = (daemon.ticks(), self.answers());
        for _ in 0..ROWS {
            let mut row = Row {
                until: Duration::ZERO,
                rss: [u64::MAX, 0],
                anonymous: [u64::MAX, 0],
                descriptors: [u64::MAX, 0],
                answers: 0,
                micros_per_answer: 0.0,
                slowest: Duration::ZERO,
            };
            for _ in 0..LOOKS {
                next += self.length / (u32::try_from(ROWS).unwrap() * LOOKS);
                thread::sleep(next.saturating_duration_since(Instant::now()));
                if !self.soak.goes_on() {
                    return;
                }
                for (span, now) in [
                    (&mut row.rss, daemon.memory("VmRSS")),
                    (&mut row.anonymous, daemon.memory("RssAnon")),
                    (&mut row.descriptors, daemon.descriptors().len() as u64),
                ] {
                    *span = [span[0].min(now), span[1].max(now)];
                }
            }
            let (ticks_now, answers_now) = (daemon.ticks(), self.answers());
            row.until = began.elapsed();
            row.answers = answers_now - answers;
            row.micros_per_answer = (ticks_now - ticks) as f64 * 10_000.0 / row.answers as f64;
            row.slowest = Duration::from_micros(slowest.swap(0, Ordering::Relaxed));
            (ticks, answers) = (ticks_now, answers_now);
            println!("{row}");
            self.rows.push(row);
        }
    }

    /// The least of some rows: what comes and goes is not in it, and what stays is.
    fn least(rows: &[Row], of: fn(&Row) -> u64) -> u64 {
        rows.iter().map(of).min().unwrap()
    }

    /// What the daemon has counted.
    pub fn counts(&self) {
        let metrics = self.soak.daemon.get(&format!("{PREFIX}/metrics")).body;
        for line in metrics.lines().filter_map(|line| line.strip_prefix("container_healthcheck_")) {
            if !line.starts_with("app_") && !line.ends_with(" 0") {
                println!("{line}");
            }
        }
    }

    /// Asserts that nothing grows, where so many descriptors are the daemon's own and there are so many clients.
    pub fn is_flat(&self, own: u64, clients: u64) {
        let quarter = ROWS / 4;
        let (second, last) = (&self.rows[quarter..2 * quarter], &self.rows[3 * quarter..]);
        for (what, of) in [("RSS", (|row: &Row| row.rss[0]) as fn(&Row) -> u64), ("anonymous", |row| row.anonymous[0])] {
            let (before, after) = (Self::least(second, of), Self::least(last, of));
            println!("{what}: {before} KiB in the second quarter, {after} KiB in the last");
            assert!(after <= before + GROWTH, "memory grows: {what}, from {before} to {after} KiB");
        }
        let fewest = Self::least(last, |row| row.descriptors[0]);
        let most = self.rows.iter().map(|row| row.descriptors[1]).max().unwrap();
        println!("descriptors: {own} without a client; with {clients} {most} at most, and {fewest} at least in the last quarter");
        assert!(fewest <= own + clients, "there are more descriptors than clients explain");
        // Each client can have gone and come again before a daemon that the machine has let wait sees it.
        assert!(most <= own + 2 * clients, "for a while there were more descriptors than clients explain");
        let cost = |rows: &[Row]| rows.iter().map(|row| row.micros_per_answer).sum::<f64>() / rows.len() as f64;
        println!("CPU: {:.1} µs for each answer in the second quarter, {:.1} µs in the last", cost(second), cost(last));
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rss, anonymous, descriptors, .. } = self;
        let [rss, anonymous, descriptors] = [rss, anonymous, descriptors].map(|[least, most]| format!("{least} to {most}"));
        let (seconds, slowest) = (self.until.as_secs(), self.slowest.as_millis());
        let Self { answers, micros_per_answer, .. } = self;
        write!(out, "| {seconds} s | {rss} | {anonymous} | {descriptors} | {answers} | {micros_per_answer:.1} | {slowest} |")
    }
}

impl fmt::Display for Curve<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "| after | RSS, KiB | of it anonymous | descriptors | answers | CPU of each, µs | slowest health, ms |")?;
        writeln!(out, "|---|---|---|---|---|---|---|")?;
        self.rows.iter().try_for_each(|row| writeln!(out, "{row}"))
    }
}
