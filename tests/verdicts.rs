//! Plays each row of `tests/verdicts.txt`, the table of verdicts that people argue about: the engine in a world where Docker does at
//! once what it is asked to, and says what is so.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "a test may stop"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use container_healthcheck::answers::Words;
use container_healthcheck::config::Config;
use container_healthcheck::docker::event::{Event, Line, What};
use container_healthcheck::docker::exchange::{Listed, Told};
use container_healthcheck::docker::{Container, Fault, Health, Parts, Question, State, Texts};
use container_healthcheck::drain::Drain;
use container_healthcheck::engine::{
    Action, Answer, AppName, CheckFault, DockerHealth, Engine, FlightId, Path, Policy, Route, Settings, Ticket,
};
use container_healthcheck::http::response::Broken;
use container_healthcheck::lost::Lost;
use container_healthcheck::{duration, slots};

const TABLE: &str = include_str!("verdicts.txt");

const STATES: [(&str, State, &str); 7] = [
    ("created", State::Created, "Created"),
    ("running", State::Running, "Up 5 days"),
    ("paused", State::Paused, "Up 5 days (Paused)"),
    ("restarting", State::Restarting, "Restarting (1) 2 seconds ago"),
    ("removing", State::Removing, "Removal In Progress"),
    ("exited", State::Exited, "Exited (137) 3 minutes ago"),
    ("dead", State::Dead, "Dead"),
];

const HEALTH: [(&str, Health, &str); 4] = [
    ("", Health::None, ""),
    ("healthy", Health::Healthy, " (healthy)"),
    ("starting", Health::Starting, " (health: starting)"),
    ("unhealthy", Health::Unhealthy, " (unhealthy)"),
];

/// `name+name state/health @created label=app service=service`
fn container(words: &str) -> Container {
    let mut words = words.split(' ');
    let names = words.next().unwrap().replace('+', "/");
    let state = words.next().unwrap();
    let (state, health) = state.split_once('/').unwrap_or((state, ""));
    let (_, state, status) = STATES.into_iter().find(|(word, ..)| *word == state).unwrap();
    let (_, health, suffix) = HEALTH.into_iter().find(|(word, ..)| *word == health).unwrap();
    let id = names.split('/').next().unwrap();
    let status = format!("{status}{suffix}");
    let (mut parts, mut created) = (Parts { id, names: &names, ports: "[]", status: &status, ..Parts::default() }, 0);
    for word in words {
        if let Some(at) = word.strip_prefix('@') {
            created = at.parse().unwrap();
        } else if let Some(app) = word.strip_prefix("label=") {
            parts.app = app;
        } else {
            parts.service = word.strip_prefix("service=").unwrap();
        }
    }
    Container { texts: Texts::of(&parts), created, state, health }
}

fn fault(word: &str) -> Fault {
    match word {
        "no-socket" => Fault::Lost(Lost::NoSocket),
        "refused" => Fault::Lost(Lost::Refused),
        "denied" => Fault::Lost(Lost::Denied),
        "late" => Fault::Late,
        "reset" => Fault::Lost(Lost::Reset),
        "cut-short" => Fault::Broken(Broken::CutShort),
        "not-http" => Fault::Broken(Broken::Head),
        "not-a-list" => Fault::NotAList,
        "status-500" => Fault::Status(500, "no".into()),
        _ => panic!("{word}"),
    }
}

struct World {
    start: Instant,
    now: Instant,
    engine: Engine,
    containers: Vec<Container>,
    fault: Option<Fault>,
    /// What the app answers, one check after the other; the last goes on.
    checks: Vec<String>,
    drains: BTreeMap<Box<str>, Drain>,
    stream: Option<FlightId>,
    events: u64,
    is_lost: bool,
    told: Option<(u16, Vec<u8>)>,
}

impl World {
    fn new(settings: Settings, containers: Vec<Container>, fault: Option<Fault>, checks: Vec<String>) -> Self {
        let now = Instant::now();
        let engine = Engine::new(settings, 7, now, Duration::from_secs(1_700_000_000));
        let mut world = Self {
            start: now,
            now,
            engine,
            containers,
            fault,
            checks,
            drains: BTreeMap::new(),
            stream: None,
            events: 0,
            is_lost: false,
            told: None,
        };
        world.turn();
        world
    }

    fn turn(&mut self) {
        self.engine.due(self.now);
        while let Some(action) = self.engine.next_action(self.now) {
            match action {
                Action::Ask(flight, question, _) => self.docker(flight, &question),
                Action::Answer(_, answer) => self.tell(&answer, false),
                Action::Verdict(_, app, stale) => {
                    let none = Answer::NoContainer { app, expected: false };
                    let answer = self.engine.verdict(&app).map_or(none, |verdict| verdict.answer.clone());
                    self.tell(&answer, stale);
                }
                Action::Check(flight, _) => self.check(flight),
                Action::DockerLost(_) => self.is_lost = true,
                _ => {}
            }
        }
    }

    fn tell(&mut self, answer: &Answer, stale: bool) {
        let mut body = Vec::new();
        let status = if stale { words().stale(answer, &mut body) } else { words().answer(answer, &mut body) };
        self.told = Some((status, body));
    }

    fn docker(&mut self, flight: FlightId, question: &Question) {
        let about =
            |container: &&Container| !matches!(question, Question::About(ids) if !ids.iter().any(|id| **id == *container.parts().id));
        let outcome = match (&self.fault, question) {
            // It says nothing at all.
            (Some(Fault::Late), _) => return,
            (Some(fault), _) => Err(fault.clone()),
            (None, Question::Events { .. }) => {
                self.stream = Some(flight);
                return self.engine.docker_told(flight, &Told::Opened, self.now);
            }
            (None, _) => {
                let containers = self.containers.iter().filter(about).cloned().collect();
                Ok(Listed { containers, podman: None, is_silent_on_health: false })
            }
        };
        self.engine.docker_said(flight, outcome, self.now);
    }

    fn check(&mut self, flight: FlightId) {
        let answer = if self.checks.len() > 1 { self.checks.remove(0) } else { self.checks[0].clone() };
        let outcome = match answer.as_str() {
            "hangs" => return,
            "refused" => Err(CheckFault::Lost(Lost::Refused)),
            "closed" => Err(CheckFault::Closed),
            "reset" => Err(CheckFault::Lost(Lost::Reset)),
            "not-http" => Err(CheckFault::Malformed),
            status => {
                self.engine.check_told(flight, status.parse().unwrap(), self.now);
                Ok(())
            }
        };
        self.engine.check_said(flight, outcome, self.now);
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.engine.next_deadline(self.now).filter(|deadline| *deadline <= until) {
            self.now = deadline;
            self.turn();
        }
        self.now = until;
        self.turn();
    }

    /// What happens to a container, and what Docker says of it from then on.
    fn event(&mut self, verb: &str, name: &str, more: Option<&str>) {
        let at = self.containers.iter().position(|container| container.parts().own_names().any(|own| own == name)).unwrap();
        let container = &mut self.containers[at];
        let id = container.parts().id.into();
        let status = &*container.parts().status.to_owned();
        let says = |container: &mut Container, state, status: &str| {
            container.state = state;
            container.set_status(status);
        };
        let what = match verb {
            "start" => {
                says(container, State::Running, "Up Less than a second");
                What::Started
            }
            "die" => {
                says(container, State::Exited, "Exited (137) Less than a second ago");
                What::Died(137)
            }
            "pause" => {
                says(container, State::Paused, &format!("{status} (Paused)"));
                What::Paused
            }
            "unpause" => {
                says(container, State::Running, status.trim_end_matches(" (Paused)"));
                What::Unpaused
            }
            "rename" => {
                container.set_names(more.unwrap());
                What::Renamed
            }
            "health" => {
                let (_, health, suffix) = HEALTH.into_iter().find(|(word, ..)| Some(*word) == more).unwrap();
                container.health = health;
                container.set_status(&format!("Up 5 days{suffix}"));
                What::Health(health)
            }
            "destroy" => What::Removed,
            _ => panic!("{verb}"),
        };
        let name = container.parts().names.into();
        if what == What::Removed {
            self.containers.remove(at);
        }
        // Docker's clock is right, and no two events are of one moment.
        self.events += 1;
        let at = 1_700_000_000_000_000_000 + u64::try_from((self.now - self.start).as_nanos()).unwrap() + self.events;
        let event = Event { id, name, what, at, ..Event::default() };
        self.engine.docker_told(self.stream.unwrap(), &Told::Line(Line::Event(event)), self.now);
        self.turn();
    }

    /// `for=30s reason=deploy by=root`
    fn drain(&mut self, name: &str, more: &[&str]) {
        let mut drain = Drain::default();
        for word in more {
            match word.split_once('=').unwrap() {
                ("for", time) => drain.until = Some(1_700_000_000 + duration::parse(time).unwrap().as_secs()),
                ("reason", reason) => drain.reason = reason.into(),
                ("by", by) => drain.by = by.into(),
                _ => panic!("{word}"),
            }
        }
        self.drains.insert(name.into(), drain);
        self.tell_drains();
    }

    fn undrain(&mut self, name: &str) {
        self.drains.remove(name).unwrap();
        self.tell_drains();
    }

    fn tell_drains(&mut self) {
        let drains = self.drains.iter().map(|(name, drain)| (name.clone(), drain.clone())).collect();
        self.engine.drains_are(drains, self.now);
        self.turn();
    }

    fn lose(&mut self, fault: Fault) {
        self.fault = Some(fault);
        for _ in 0..1000 {
            if self.is_lost {
                return;
            }
            self.wait(Duration::from_millis(100));
        }
        panic!("the loss is never found out");
    }

    /// What somebody is told who asks now.
    fn probe(&mut self, app: AppName) -> String {
        let ticket = Ticket { connection: slots::Slots::new().insert(()), number: 0, path: Path::App };
        self.engine.asked(ticket, Route::App(app), true, self.now);
        self.turn();
        if self.told.is_none() {
            self.wait(Duration::from_secs(5));
        }
        let (status, body) = self.told.take().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        if status == 200 {
            let stale = if json["stale"] == true { " stale" } else { "" };
            return format!("200 {}{stale}", json["message"]["names"].as_str().unwrap());
        }
        format!("{status} {} {}: {}", json["code"], json["reason"].as_str().unwrap(), json["message"].as_str().unwrap())
    }
}

fn words() -> Words {
    let mut config = Config::default();
    config.nginx_port = Some(8010);
    Words::of(&config)
}

fn app(name: &str) -> AppName {
    AppName::parse(name.as_bytes()).unwrap()
}

/// What the row's situation makes of the row's containers.
fn play(asked: &str, containers: &str, situation: &str) -> String {
    let parts = |text: &'static str| move |column: &str| column.split(text).map(str::trim).map(str::to_owned).collect::<Vec<_>>();
    let listed = parts(";")(containers).iter().filter(|words| !words.is_empty()).map(|words| container(words)).collect();
    let mut config = Config::default();
    let mut checks = Vec::new();
    let mut absent = None;
    let mut deeds = Vec::new();
    for part in parts(";")(situation).into_iter().filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("policy", policy)) => {
                config.policy = match policy {
                    "any" => Policy::Any,
                    "newest" => Policy::Newest,
                    "all" => Policy::All,
                    _ => panic!("{policy}"),
                }
            }
            Some(("docker-health", "ignore")) => config.docker_health = DockerHealth::Ignore,
            Some(("min-uptime", time)) => config.min_uptime = duration::parse(time).unwrap(),
            Some(("apps", apps)) => config.apps = apps.split(',').map(app).collect(),
            Some(("check", answers)) => checks = answers.split(',').map(str::to_owned).collect(),
            Some(("fall", count)) => config.check_fall = count.parse().unwrap(),
            Some(("rise", count)) => config.check_rise = count.parse().unwrap(),
            Some(("fail", "404,502-504")) => config.check_fail = vec![404..=404, 502..=504],
            Some(("docker", word)) => absent = Some(fault(word)),
            _ => deeds.push(part),
        }
    }
    config.nginx_port = (!checks.is_empty()).then_some(8010);
    let mut world = World::new(config.settings(), listed, absent, checks);
    for deed in deeds {
        let words: Vec<_> = deed.split(' ').collect();
        match words[..] {
            ["wait", time] => world.wait(duration::parse(time).unwrap()),
            ["lost", how] => world.lose(fault(how)),
            ["probe"] => _ = world.probe(app(asked)),
            ["drain", name, ref more @ ..] => world.drain(name, more),
            ["undrain", name] => world.undrain(name),
            [verb, name] => world.event(verb, name, None),
            [verb, name, more] => world.event(verb, name, Some(more)),
            _ => panic!("{deed}"),
        }
    }
    world.probe(app(asked))
}

#[test]
fn every_row_is_so() {
    let (mut rows, mut wrong) = (0, Vec::new());
    for line in TABLE.lines().filter(|line| line.contains(" | ") && !line.starts_with('#')) {
        let columns: Vec<_> = line.splitn(4, '|').map(str::trim).collect();
        let [asked, containers, situation, want] = columns[..] else { panic!("{line}") };
        let told = play(asked, containers, situation);
        rows += 1;
        if told != want {
            wrong.push(format!("{line}\n    is told {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows >= 150, "{rows} rows");
}
