//! The counters of all parts, in the text format of Prometheus: each part owns a plain struct, and this file writes them out.

use std::fmt::Write as _;

use crate::answers;
use crate::engine::{self, Trust};
use crate::http::{Bad, inbound};

/// Why a client's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// All was said.
    Done,
    /// The client reset it, or the network did.
    Reset,
    /// It was idle for too long.
    Idle,
    /// The client did not take what was written.
    Unread,
    /// The client did not close after the last answer.
    Lingering,
    /// It made room for another.
    Room,
    /// The server stopped.
    Stop,
}

impl Closed {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 7] = [Self::Done, Self::Reset, Self::Idle, Self::Unread, Self::Lingering, Self::Room, Self::Stop];

    const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::Unread => "unread",
            Self::Lingering => "lingering",
            Self::Room => "room",
            Self::Stop => "stop",
        }
    }
}

/// The statuses that are given.
const STATUSES: [u16; 10] = [200, 400, 404, 405, 408, 414, 431, 501, 503, 505];

/// What was counted of clients.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Clients at present.
    pub clients: u64,
    /// Clients accepted.
    pub accepted: u64,
    /// Clients accepted beyond `--max-clients`, to be told what is at hand.
    pub extra: u64,
    /// Clients for whom there was no room at all.
    pub turned_away: u64,
    /// `accept` found no descriptor or no memory.
    pub accept_failures: u64,
    /// Limits of single connections that were met.
    pub hits: inbound::Hits,
    answered: [u64; STATUSES.len()],
    refused: [u64; Bad::ALL.len()],
    closed: [u64; Closed::ALL.len()],
}

impl Traffic {
    /// An answer of that status was given.
    pub fn answered(&mut self, status: u16) {
        add(STATUSES.iter().position(|&known| known == status).and_then(|at| self.answered.get_mut(at)), 1);
    }

    /// A request was refused.
    pub fn refused(&mut self, bad: Bad) {
        add(Bad::ALL.iter().position(|&known| known == bad).and_then(|at| self.refused.get_mut(at)), 1);
    }

    /// A connection ended.
    pub fn closed(&mut self, why: Closed) {
        add(Closed::ALL.iter().position(|&known| known == why).and_then(|at| self.closed.get_mut(at)), 1);
    }

    /// A connection met these limits.
    pub fn hit(&mut self, hits: inbound::Hits) {
        add(Some(&mut self.hits.pipeline), hits.pipeline);
        add(Some(&mut self.hits.unsent), hits.unsent);
        add(Some(&mut self.hits.body), hits.body);
    }
}

fn add(counter: Option<&mut u64>, count: u64) {
    if let Some(counter) = counter {
        *counter = counter.wrapping_add(count);
    }
}

/// All counters as text.
#[must_use]
pub fn text(traffic: &Traffic, engine: &engine::Counts, trust: Trust, containers: usize, watchers: usize) -> Vec<u8> {
    let mut out = Text(String::with_capacity(4096));
    out.family("build_info", "gauge", "Always 1; the version is a label.", [(label("version", env!("CARGO_PKG_VERSION")), 1)]);
    out.family(
        "docker_state",
        "gauge",
        "How far what is known of Docker is trusted.",
        Trust::ALL.map(|state| (label("state", state.word()), u64::from(state == trust))),
    );
    out.family("containers", "gauge", "Containers known, in whatever state.", [(String::new(), containers as u64)]);
    out.one("docker_lists_total", "Lists of all containers asked for.", engine.lists);
    out.one("docker_looks_total", "Lists of single containers asked for after an event.", engine.looks);
    out.one("docker_streams_total", "Streams of events asked for.", engine.streams);
    out.one("docker_failures_total", "Times that Docker was found gone, or to answer wrongly.", engine.failed);
    out.one("docker_events_total", "Events that said something new.", engine.events);
    out.one("docker_events_too_long_total", "Events that were too long to be read.", engine.events_too_long);
    out.one("probes_total", "Probes of apps.", engine.probes);
    out.one("surveys_total", "Questions about all apps.", engine.surveys);
    out.one("bad_queries_total", "Questions about all apps whose query was refused.", engine.bad_queries);
    out.family("watchers", "gauge", "Clients that wait for a change of an app.", [(String::new(), watchers as u64)]);
    out.one("watchers_early_total", "Clients that were answered before any change, to make room for others.", engine.watchers_early);
    out.one("probes_drained_total", "Probes of apps that were drained.", engine.drained);
    out.one("probes_timed_out_total", "Probes that waited for Docker as long as they may.", engine.timeouts);
    out.one("probes_busy_total", "Probes refused since too many waited.", engine.busy);
    out.one("checks_total", "Checks of apps sent.", engine.checks);
    let faults = engine::CheckFault::KINDS.iter().map(|kind| label("why", kind)).zip(engine.check_faults);
    out.family("check_failures_total", "counter", "Checks of apps that failed.", faults);
    out.one("probes_unchecked_total", "Probes that waited for the first check of an app as long as they may.", engine.unchecked);
    out.family("http_clients", "gauge", "Connections of clients.", [(String::new(), traffic.clients)]);
    out.one("http_clients_accepted_total", "Connections accepted.", traffic.accepted);
    out.one("http_clients_extra_total", "Connections accepted beyond max-clients, to be told what is at hand.", traffic.extra);
    out.one("http_clients_turned_away_total", "Connections for which there was no room at all.", traffic.turned_away);
    out.one("http_accept_failures_total", "Times that no descriptor or memory was left to accept a connection.", traffic.accept_failures);
    let closed = Closed::ALL.iter().map(|why| label("why", why.word())).zip(traffic.closed);
    out.family("http_clients_closed_total", "counter", "Connections that ended.", closed);
    let answered = STATUSES.iter().map(|status| label("code", &status.to_string())).zip(traffic.answered);
    out.family("http_answers_total", "counter", "Answers given.", answered);
    let refused = Bad::ALL.iter().map(|&bad| format!("{{fault=\"{bad:?}\",reason=\"{}\"}}", answers::refusal(bad).1)).zip(traffic.refused);
    out.family("http_requests_refused_total", "counter", "Requests refused before their path was looked at.", refused);
    let inbound::Hits { pipeline, unsent, body } = traffic.hits;
    let hits = [("pipeline", pipeline), ("unsent", unsent), ("body", body)].map(|(limit, hits)| (label("limit", limit), hits));
    out.family("http_limits_met_total", "counter", "Times that a connection met a limit.", hits);
    out.0.into_bytes()
}

struct Text(String);

impl Text {
    /// A counter without labels.
    fn one(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help, [(String::new(), value)]);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = (String, u64)>) {
        let name = format!("container_healthcheck_{name}");
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

fn label(name: &str, value: &str) -> String {
    format!("{{{name}=\"{value}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_written_once_and_moves() {
        let mut traffic = Traffic::default();
        traffic.answered(503);
        traffic.refused(Bad::Late);
        traffic.closed(Closed::Room);
        traffic.hit(inbound::Hits { pipeline: 2, unsent: 0, body: 0 });
        let counts = engine::Counts { lists: 7, checks: 9, check_faults: [0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], ..engine::Counts::default() };
        let text = String::from_utf8(text(&traffic, &counts, Trust::Live, 3, 0)).unwrap();
        for line in [
            "container_healthcheck_docker_state{state=\"live\"} 1",
            "container_healthcheck_docker_lists_total 7",
            "container_healthcheck_checks_total 9",
            "container_healthcheck_check_failures_total{why=\"timeout\"} 4",
            "container_healthcheck_http_answers_total{code=\"503\"} 1",
            "container_healthcheck_http_requests_refused_total{fault=\"Late\",reason=\"timeout\"} 1",
            "container_healthcheck_http_clients_closed_total{why=\"room\"} 1",
            "container_healthcheck_http_limits_met_total{limit=\"pipeline\"} 2",
        ] {
            assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line}\n{text}");
        }
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0).collect();
        let mut unique = samples.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), samples.len());
    }
}
