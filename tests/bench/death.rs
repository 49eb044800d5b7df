//! How long a dead container is still told to be up: from the writing of Docker's event to the first 503 at a client that asks
//! again and again.

use std::time::{Duration, Instant};

use super::host::{self, QUIET};
use super::runner::median;
use super::support::eventually;
use super::table::{Table, time};

const DEATHS: usize = 200;
const BUDGET: Duration = Duration::from_millis(5);

pub fn measure(table: &mut Table) {
    let (docker, daemon) = host::start(62, "Up 5 days", true, &QUIET);
    let mut client = daemon.connect();
    let times: Vec<_> = (0..DEATHS)
        .map(|number| {
            let (name, path) = (host::name(number % 62), host::path(number % 62));
            eventually("it is up", || client.get(&path).status == 200);
            let start = Instant::now();
            docker.event("die", &name, r#""exitCode":"137""#);
            while client.get(&path).status != 503 {
                assert!(start.elapsed() < super::support::patience(), "it never dies");
            }
            let took = start.elapsed();
            docker.event("start", &name, "");
            took
        })
        .collect();
    let (middle, worst) = (median(times.clone()), *times.iter().max().unwrap());
    let what = format!("Docker's event of a death to the first 503, worst of {DEATHS}");
    table.add(&what, format!("{}, median {}", time(worst), time(middle)), "5 ms", worst <= BUDGET);
}
