//! The counters of all parts, in the text format of Prometheus: each part owns a plain struct, and this file writes them out.
//!
//! Names, units and kinds are as Prometheus wants them. No label has a value that a client or Docker could make up, but for the
//! names of apps, which are as many as there are containers.

use crate::answers;
use crate::engine::groups::Standing;
use crate::engine::{self, Path, Reason, Trust};
use crate::http::reply::decimal;
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
}

impl Closed {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 6] = [Self::Done, Self::Reset, Self::Idle, Self::Unread, Self::Lingering, Self::Room];

    const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::Unread => "unread",
            Self::Lingering => "lingering",
            Self::Room => "room",
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
    /// Large answers that were not made since too much was unread.
    pub crowded: u64,
    /// Limits of single connections that were met.
    pub hits: inbound::Hits,
    answered: [[u64; STATUSES.len()]; Path::ALL.len()],
    refused: [u64; Bad::ALL.len()],
    closed: [u64; Closed::ALL.len()],
}

impl Traffic {
    /// An answer of that status was given to whoever asked for that path.
    pub fn answered(&mut self, path: Path, status: u16) {
        let of_path = Path::ALL.iter().position(|&known| known == path).and_then(|at| self.answered.get_mut(at));
        add(of_path.and_then(|of_path| of_path.get_mut(STATUSES.iter().position(|&known| known == status)?)), 1);
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

/// What the system says of this process; what it does not say is none.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// When it started, in seconds of Unix time.
    pub started: u64,
    /// The processor time it has used, in millionths of a second.
    pub cpu_micros: Option<u64>,
    /// Its memory that is there.
    pub resident_bytes: Option<u64>,
    /// Its memory that could be there.
    pub virtual_bytes: Option<u64>,
    /// Its descriptors.
    pub open_fds: Option<u64>,
    /// As many as it may have.
    pub max_fds: Option<u64>,
}

/// All that is counted.
#[derive(Debug)]
pub struct All<'a> {
    /// Of clients.
    pub traffic: &'a Traffic,
    /// By the engine.
    pub engine: &'a engine::Counts,
    /// How far what is known of Docker is trusted.
    pub trust: Trust,
    /// Containers known.
    pub containers: usize,
    /// Clients that wait for a change.
    pub watchers: usize,
    /// Faults of the folder of drains.
    pub drain_faults: u64,
    /// How each app stands, sorted by name.
    pub apps: &'a [(&'a str, &'a Standing)],
    /// Of this process.
    pub process: &'a Process,
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

impl All<'_> {
    /// Appends them as text, without allocating anything else.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut out = Text { out, before: "container_healthcheck_", name: "" };
        out.family("build_info", GAUGE, "Always 1; what was built is in the labels.");
        out.sample(&[("version", env!("CARGO_PKG_VERSION")), ("commit", env!("COMMIT"))], 1);
        self.apps(&mut out);
        self.docker(&mut out);
        self.probes(&mut out);
        self.clients(&mut out);
        self.process(&mut out);
    }

    fn apps(&self, out: &mut Text<'_>) {
        let mut each = |name, kind, help, value: fn(&Standing) -> u64| {
            out.family(name, kind, help);
            for (app, standing) in self.apps {
                out.sample(&[("app", app)], value(standing));
            }
        };
        each("app_up", GAUGE, "Whether the app is up.", |standing| standing.row.fault.is_none().into());
        each("app_containers", GAUGE, "Containers that are the app's.", |standing| standing.row.containers.into());
        each("app_drained", GAUGE, "Whether the app, or this host, is drained.", |standing| {
            (standing.row.fault == Some(Reason::Drained)).into()
        });
        each(
            "app_last_transition_timestamp_seconds",
            GAUGE,
            "When the app last went up or down, or its container was created if that was not seen.",
            |standing| u64::try_from(standing.row.since).unwrap_or_default(),
        );
        each("app_transitions_total", COUNTER, "Times that the app went up or down.", |standing| standing.turns.into());
        out.family("app_state", GAUGE, "Always 1; the label is up, or why the app is down.");
        for (app, standing) in self.apps {
            out.sample(&[("app", app), ("state", standing.row.fault.map_or("up", Reason::word))], 1);
        }
    }

    fn docker(&self, out: &mut Text<'_>) {
        let Self { engine, .. } = self;
        out.family("docker_state", GAUGE, "How far what is known of Docker is trusted.");
        for state in Trust::ALL {
            out.sample(&[("state", state.word())], u64::from(state == self.trust));
        }
        out.one("containers", GAUGE, "Containers known, in whatever state.", self.containers as u64);
        out.one("docker_last_success_timestamp_seconds", GAUGE, "When Docker last answered, 0 for never.", engine.last_success);
        out.family("docker_list_duration_seconds", "summary", "How long lists of all containers took.");
        out.seconds("_sum", u64::try_from(engine.lists_took.as_micros()).unwrap_or(u64::MAX));
        out.line("_count", &[], engine.lists_landed);
        out.one("docker_lists_total", COUNTER, "Lists of all containers asked for.", engine.lists);
        out.one("docker_looks_total", COUNTER, "Lists of single containers asked for after an event.", engine.looks);
        out.one("docker_streams_total", COUNTER, "Streams of events asked for.", engine.streams);
        out.one("docker_failures_total", COUNTER, "Times that Docker was found gone, or to answer wrongly.", engine.failed);
        let met = [engine.met_time, engine.met_size];
        out.each("docker_limits_met_total", "Times that Docker took too long or sent too much.", "limit", ["time", "size"], met);
        out.one("docker_streams_failed_total", COUNTER, "Streams of events refused, late or nonsense.", engine.streams_failed);
        out.one("docker_events_total", COUNTER, "Events that said something new.", engine.events);
        out.one("docker_events_too_long_total", COUNTER, "Events that were too long to be read.", engine.events_too_long);
        out.one("docker_events_late_total", COUNTER, "Events that were read long after they had happened.", engine.events_late);
    }

    fn probes(&self, out: &mut Text<'_>) {
        let Self { engine, .. } = self;
        out.one("probes_total", COUNTER, "Probes of apps.", engine.probes);
        out.one("surveys_total", COUNTER, "Questions about all apps.", engine.surveys);
        out.one("bad_queries_total", COUNTER, "Questions about all apps whose query was refused.", engine.bad_queries);
        out.one("watchers", GAUGE, "Clients that wait for a change of an app.", self.watchers as u64);
        out.one("watchers_early_total", COUNTER, "Clients answered before any change, to make room for others.", engine.watchers_early);
        out.one("drain_faults_total", COUNTER, "Times that the folder of drains, or a file in it, was found faulty.", self.drain_faults);
        out.one("probes_drained_total", COUNTER, "Probes of apps that were drained.", engine.drained);
        out.one("probes_timed_out_total", COUNTER, "Probes that waited for Docker as long as they may.", engine.timeouts);
        out.one("probes_busy_total", COUNTER, "Probes refused since too many waited.", engine.busy);
        out.one("checks_total", COUNTER, "Checks of apps sent.", engine.checks);
        out.each("check_failures_total", "Checks of apps that failed.", "why", engine::CheckFault::KINDS, engine.check_faults);
        out.one(
            "probes_unchecked_total",
            COUNTER,
            "Probes that waited for the first check of an app as long as they may.",
            engine.unchecked,
        );
    }

    fn clients(&self, out: &mut Text<'_>) {
        let Self { traffic, .. } = self;
        out.one("http_clients", GAUGE, "Connections of clients.", traffic.clients);
        out.one("http_clients_accepted_total", COUNTER, "Connections accepted.", traffic.accepted);
        out.one("http_clients_extra_total", COUNTER, "Connections accepted beyond max-clients, to be told what is at hand.", traffic.extra);
        out.one("http_clients_turned_away_total", COUNTER, "Connections for which there was no room at all.", traffic.turned_away);
        out.one(
            "http_accept_failures_total",
            COUNTER,
            "Times that no descriptor or memory was left to accept a connection.",
            traffic.accept_failures,
        );
        out.each("http_clients_closed_total", "Connections that ended.", "why", Closed::ALL.map(Closed::word), traffic.closed);
        out.family(
            "http_requests_total",
            COUNTER,
            "Requests answered; other is any path but ours, what is no request, and a method that does more than read.",
        );
        for (path, of_path) in Path::ALL.iter().zip(traffic.answered) {
            // Most of the others never come, and would be sixty lines of zeros.
            for (status, count) in STATUSES.iter().zip(of_path).filter(|(status, count)| **status == 200 || *count > 0) {
                let mut digits = [0; 20];
                let status = std::str::from_utf8(decimal((*status).into(), &mut digits)).unwrap_or_default();
                out.sample(&[("path", path.word()), ("code", status)], count);
            }
        }
        out.family("http_requests_refused_total", COUNTER, "Requests refused before their path was looked at.");
        for (bad, count) in Bad::ALL.into_iter().zip(traffic.refused) {
            out.sample(&[("fault", bad.word()), ("reason", answers::refusal(bad).1)], count);
        }
        let inbound::Hits { pipeline, unsent, body } = traffic.hits;
        let limits = ["pipeline", "unsent", "body", "wait", "unsent_in_all"];
        let met = [pipeline, unsent, body, self.engine.waits_cut, traffic.crowded];
        out.each("http_limits_met_total", "Times that a connection met a limit.", "limit", limits, met);
    }

    /// By the names that every program has for these.
    fn process(&self, out: &mut Text<'_>) {
        let Process { started, cpu_micros, resident_bytes, virtual_bytes, open_fds, max_fds } = *self.process;
        out.before = "process_";
        out.one("start_time_seconds", GAUGE, "When the process started.", started);
        if let Some(micros) = cpu_micros {
            out.family("cpu_seconds_total", COUNTER, "Processor time used.");
            out.seconds("", micros);
        }
        let gauges = [
            ("resident_memory_bytes", "Resident memory.", resident_bytes),
            ("virtual_memory_bytes", "Virtual memory.", virtual_bytes),
            ("open_fds", "Open descriptors.", open_fds),
            ("max_fds", "Descriptors that it may have.", max_fds),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                out.one(name, GAUGE, help, value);
            }
        }
    }
}

/// Where it is written. By copying alone: with `write!` the program is larger, and there are some thousand lines.
struct Text<'a> {
    out: &'a mut Vec<u8>,
    /// What stands before each name.
    before: &'static str,
    /// The name of the present family.
    name: &'static str,
}

impl Text<'_> {
    fn put(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        let before = self.before;
        self.put(&["# HELP ", before, name, " ", help, "\n# TYPE ", before, name, " ", kind, "\n"]);
    }

    /// A family with one sample without labels.
    fn one(&mut self, name: &'static str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// A family of counters, one for each value of a label.
    fn each<const N: usize>(&mut self, name: &'static str, help: &str, label: &str, values: [&str; N], counts: [u64; N]) {
        self.family(name, COUNTER, help);
        for (value, count) in values.iter().zip(counts) {
            self.sample(&[(label, value)], count);
        }
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.line("", labels, value);
    }

    fn line(&mut self, behind: &str, labels: &[(&str, &str)], value: u64) {
        self.put(&[self.before, self.name, behind]);
        for (at, (label, value)) in labels.iter().enumerate() {
            self.put(&[if at == 0 { "{" } else { "," }, label, "=\""]);
            self.escaped(value);
            self.put(&["\""]);
        }
        self.put(&[if labels.is_empty() { " " } else { "} " }]);
        self.out.extend_from_slice(decimal(value, &mut [0; 20]));
        self.put(&["\n"]);
    }

    /// A sample in seconds, given in millionths.
    fn seconds(&mut self, behind: &str, micros: u64) {
        self.put(&[self.before, self.name, behind, " "]);
        self.out.extend_from_slice(decimal(micros / 1_000_000, &mut [0; 20]));
        // The first of these digits is the point.
        let mut digits = [0; 20];
        if let Some((point, digits)) = decimal(1_000_000 + micros % 1_000_000, &mut digits).split_first() {
            debug_assert_eq!(*point, b'1');
            self.put(&["."]);
            self.out.extend_from_slice(digits);
        }
        self.put(&["\n"]);
    }

    /// The value of a label.
    fn escaped(&mut self, value: &str) {
        for byte in value.bytes() {
            match byte {
                b'\n' => self.put(&["\\n"]),
                b'\\' | b'"' => self.out.extend_from_slice(&[b'\\', byte]),
                _ => self.out.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_written_once_and_moves() {
        let mut traffic = Traffic::default();
        traffic.answered(Path::App, 503);
        traffic.refused(Bad::Late);
        traffic.closed(Closed::Room);
        traffic.hit(inbound::Hits { pipeline: 2, unsent: 0, body: 0 });
        let counts = engine::Counts {
            lists: 7,
            lists_took: std::time::Duration::from_millis(12_034),
            checks: 9,
            check_faults: [0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ..engine::Counts::default()
        };
        let process = Process { started: 1_795_615_200, cpu_micros: Some(70_000), resident_bytes: Some(4096), ..Process::default() };
        let mut out = Vec::new();
        let (engine, trust, process) = (&counts, Trust::Live, &process);
        All { traffic: &traffic, engine, trust, containers: 3, watchers: 0, drain_faults: 0, apps: &[], process }.write(&mut out);
        let text = String::from_utf8(out).unwrap();
        for line in [
            "container_healthcheck_docker_state{state=\"live\"} 1",
            "container_healthcheck_docker_lists_total 7",
            "container_healthcheck_docker_list_duration_seconds_sum 12.034000",
            "container_healthcheck_docker_list_duration_seconds_count 0",
            "container_healthcheck_checks_total 9",
            "container_healthcheck_check_failures_total{why=\"timeout\"} 4",
            "container_healthcheck_http_requests_total{path=\"app\",code=\"503\"} 1",
            "container_healthcheck_http_requests_refused_total{fault=\"Late\",reason=\"timeout\"} 1",
            "container_healthcheck_http_clients_closed_total{why=\"room\"} 1",
            "container_healthcheck_http_limits_met_total{limit=\"pipeline\"} 2",
            "process_start_time_seconds 1795615200",
            "process_cpu_seconds_total 0.070000",
            "process_resident_memory_bytes 4096",
        ] {
            assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line}\n{text}");
        }
        assert!(!text.contains("open_fds"), "what the system does not say is left out");
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0).collect();
        let mut unique = samples.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), samples.len());
    }

    #[test]
    fn the_value_of_a_label_is_escaped() {
        let mut out = Vec::new();
        Text { out: &mut out, before: "a_", name: "b" }.sample(&[("c", "d\"e\\f\n{}"), ("g", "")], 7);
        assert_eq!(out, b"a_b{c=\"d\\\"e\\\\f\\n{}\",g=\"\"} 7\n");
    }
}
