//! Probes of a blind view: Docker refuses its events, so that each probe waits for a list that was asked for after it came.

use std::time::Duration;

use super::host::{self, QUIET, processor_time};
use super::load::Load;
use super::table::{Table, grouped, time};

const TIME: Duration = Duration::from_secs(3);

pub fn measure(table: &mut Table) {
    for containers in [62, 1000] {
        let (docker, daemon) = host::start(containers, "Up 5 days", false, &QUIET);
        let figures = [1, 32].map(|connections| {
            let mut load = Load::new(daemon.address(), &host::path(7), connections, b"200");
            let (lists, used) = (docker.connections(), processor_time(daemon.pid()));
            let sample = load.run(TIME);
            let used = processor_time(daemon.pid()).saturating_sub(used) / u32::try_from(sample.answers).unwrap();
            let lists = (docker.connections() - lists) as f64 / sample.answers as f64;
            format!("{} of CPU, {lists:.2} Docker lists each, {} a second", time(used), grouped(sample.per_second() as u64))
        });
        let [alone, together] = figures;
        let what = format!("a probe without events (each waits for a list), {} containers", grouped(containers as u64));
        table.note(&what, format!("{alone}; 32 at once: {together}"), "");
    }
}
