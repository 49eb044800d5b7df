//! One event among many containers: that its cost does not grow with their number.

use std::thread::sleep;
use std::time::Duration;

use super::host::{self, QUIET, processor_time};
use super::runner::median;
use super::support::{Daemon, FakeDocker};
use super::table::{Table, grouped, time};

const ROUNDS: usize = 9;

/// Of each host so many containers have events.
const CONTAINERS: usize = 62;

/// Each container falls ill, dies and starts again, which Docker is asked about.
const EVENTS: [(&str, &str); 3] = [("health_status: unhealthy", ""), ("die", r#""exitCode":"137""#), ("start", "")];

/// Between two events, so that each is dealt with on its own.
const PAUSE: Duration = Duration::from_millis(2);

/// Behind a round, longer than until the server looks again at what has died.
const SETTLED: Duration = Duration::from_millis(500);

struct Host {
    containers: usize,
    docker: FakeDocker,
    daemon: Daemon,
    costs: Vec<Duration>,
    requests: usize,
}

impl Host {
    fn new(containers: usize) -> Self {
        let (docker, daemon) = host::start(containers, "Up 5 days (healthy)", true, &QUIET);
        Self { containers, docker, daemon, costs: Vec::new(), requests: 0 }
    }

    /// All events of those containers.
    fn round(&mut self) {
        let (asked, used) = (self.docker.connections(), processor_time(self.daemon.pid()));
        for number in 0..CONTAINERS {
            for (action, attributes) in EVENTS {
                self.docker.event(action, &host::name(number * self.containers / CONTAINERS), attributes);
                sleep(PAUSE);
            }
        }
        sleep(SETTLED);
        let used = processor_time(self.daemon.pid()).saturating_sub(used);
        self.costs.push(used / (CONTAINERS * EVENTS.len()) as u32);
        self.requests += self.docker.connections() - asked;
    }
}

pub fn measure(table: &mut Table) {
    let mut hosts = [CONTAINERS, 1000, 5000].map(Host::new);
    for _ in 0..ROUNDS {
        hosts.iter_mut().for_each(Host::round);
    }
    let cost = |host: &Host| median(host.costs.clone());
    let figures: Vec<_> = hosts
        .iter()
        .map(|host| {
            let events = ROUNDS * CONTAINERS * EVENTS.len();
            format!("{}: {}, {:.2} requests", grouped(host.containers as u64), time(cost(host)), host.requests as f64 / events as f64)
        })
        .collect();
    let [few, _, most] = &hosts;
    // Eighty times the containers; what is looked up among them may lie further away in memory.
    let does_not_grow = cost(most) <= cost(few) * 3 / 2 && most.requests <= few.requests * 3 / 2;
    table.add(
        "one event (ill, dead, started) among n containers: CPU and Docker requests",
        figures.join("; "),
        "does not grow with n",
        does_not_grow,
    );
}
