//! A soak: some hundred connections come and go, some of them misbehave, containers of a real dockerd churn, and dockerd itself is
//! ended and comes back; all the while every answer is held against the truth, and memory, descriptors and processor time are
//! measured.
//!
//! In `cargo test` it takes a short while. The long form, with the binary that is shipped:
//!
//!     SOAK=1h cargo test --release --test soak -- --nocapture

#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test may stop, and lives in the world"
)]

mod churn;
mod crowd;
mod curve;
mod rabble;
#[path = "../support/mod.rs"]
mod support;
mod truth;

use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use churn::Churn;
use curve::Curve;
use rabble::Misdeeds;
use support::real::Dockerd;
use support::{Daemon, eventually};
use truth::Truth;

/// Without `SOAK` in the environment.
const SHORT: Duration = Duration::from_secs(20);

/// Connections at any time: of balancers that probe, of those that wait for changes, and of those that misbehave.
const PROBERS: usize = 188;
const WATCHERS: usize = 10;
const RABBLE: usize = 2;

/// Probes a second, of all probers together: far more than a fleet sends, and few enough that others can work beside it.
const RATE: u32 = 2000;

/// dockerd is ended so often, and three times in a shorter soak.
const RESTARTS: Duration = Duration::from_mins(5);

/// `P/health` is answered in this time whatever happens: one second is promised, the rest is for a busy machine, which for an hour is
/// anything.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What all threads of a soak share.
pub struct Soak {
    daemon: Daemon,
    truth: Truth,
    misdeeds: Misdeeds,
    is_over: AtomicBool,
    /// The slowest answer of `P/health` since it was last asked for, in microseconds.
    slowest: AtomicU64,
}

impl Soak {
    pub fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }
}

/// Ends the soak when the thread that has it stops over a broken promise, so that this is seen at once.
struct Watch<'a>(&'a Soak);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.is_over.store(true, Ordering::Relaxed);
        }
    }
}

/// Dice that fall alike in each run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: usize) -> Self {
        // Neighbours would begin alike.
        Self((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below that.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % limit
    }

    /// One of these.
    pub fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

#[test]
fn a_crowd_a_churn_and_a_dockerd_that_comes_and_goes_leave_nothing_behind() {
    let length = env::var("SOAK").map_or(SHORT, |text| humantime::parse_duration(&text).unwrap());
    let Some(dockerd) = Dockerd::keeping(&["--live-restore"]) else { return };
    dockerd.import("image");
    let daemon = Daemon::start(&dockerd.socket(), &["-docker-grace", "60s", "-resync", "5s"]);
    daemon.is("live");
    let soak = Soak { daemon, truth: Truth::new(), misdeeds: Misdeeds::default(), is_over: false.into(), slowest: 0.into() };
    let mut churn = Churn::begin(&soak, dockerd);
    let all_are_gone = || eventually("all are gone but the churn and who asks", || soak.daemon.counter("http_clients") == 2);
    all_are_gone();
    let descriptors = soak.daemon.descriptors().len();
    let mut curve = Curve::new(&soak, length);

    thread::scope(|scope| {
        let _watch = Watch(&soak);
        let start = |seed: usize, act: fn(&Soak, Dice)| {
            let soak = &soak;
            scope.spawn(move || {
                let _watch = Watch(soak);
                act(soak, Dice::new(seed));
            });
        };
        (0..PROBERS).for_each(|seed| start(seed, crowd::probe));
        (0..WATCHERS).for_each(|seed| start(PROBERS + seed, crowd::watch));
        (0..RABBLE).for_each(|seed| start(PROBERS + WATCHERS + seed, rabble::misbehave));
        scope.spawn(|| {
            let _watch = Watch(&soak);
            churn.go_on(length);
        });
        curve.draw();
        soak.is_over.store(true, Ordering::Relaxed);
    });

    all_are_gone();
    churn.rest();
    println!("{curve}");
    curve.counts();
    curve.is_flat(descriptors as u64, (PROBERS + WATCHERS + RABBLE) as u64);
    // A question to Docker can be under way.
    eventually("no descriptor is left behind", || soak.daemon.descriptors().len() <= descriptors);
    soak.misdeeds.are_counted(&soak.daemon);
}
