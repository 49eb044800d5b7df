//! The bytes of the event stream, as they come, to [`Event`]s, line by line.
//!
//! Docker sends one JSON object a line, and its labels are in it, so that a line can be long; a newline inside a string is
//! escaped, so that a newline ends a line. One object is one chunk too, but a proxy may cut anew, so nobody relies on it. Only
//! `Type`, `Action`, `Actor` and `timeNano` are read, which are there in every version (Docker 29 has dropped the rest), and Podman's
//! `HealthStatus`.

use serde::de::{Deserialize, Deserializer, MapAccess};

use super::Fault;
use super::container::{Health, Labels, cut, own_name};
use super::json::{Object, nested, object, skip, value};
use crate::limits;

/// What happened to one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: Box<str>,
    /// Its name, without the slash; after a rename the new one.
    pub name: Box<str>,
    /// Its label `container-healthcheck.app`, and its service, as in a list: for who knows no more of it yet.
    pub app: Box<str>,
    /// As above.
    pub service: Box<str>,
    /// What happened.
    pub what: What,
    /// When, in nanoseconds of Unix time by the daemon's clock.
    pub at: u64,
}

/// What can happen to a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum What {
    /// It was made.
    Created,
    /// It was started, whether for the first time or again.
    Started,
    /// It ended, with that exit code.
    Died(i32),
    /// Its processes were frozen.
    Paused,
    /// They go on.
    Unpaused,
    /// It has another name.
    Renamed,
    /// It is gone.
    Removed,
    /// Its HEALTHCHECK has that outcome, which need not be another than before (Podman says it each time).
    Health(Health),
    /// A command that was run in it has ended: of a Podman that has no better word for it, its HEALTHCHECK. Docker calls it `exec_die`.
    CheckEnded,
    /// Something that changes none of this: `exec_start`, `attach`, `kill`, `stop`, `restart` ...
    #[default]
    Other,
}

/// A line of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// An event of a container.
    Event(Event),
    /// It was longer than [`limits::EVENT_BYTES`], or what is kept of it than [`limits::EVENT_NAME_BYTES`]; what it said is lost.
    TooLong,
}

/// Reads the stream as it comes.
#[derive(Debug, Default)]
pub struct Reader {
    /// Of a line whose end has not come yet.
    stored: Vec<u8>,
    /// The line is too long, and is passed over to its end.
    skips: bool,
}

impl Reader {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of the stream and hands on the lines that end in them, those about other things than containers aside.
    ///
    /// # Errors
    /// `NotEvents` when a line is none.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(Line)) -> Result<(), Fault> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            let line = self.line(line)?;
            line.into_iter().for_each(&mut found);
        }
        self.store(rest);
        Ok(())
    }

    fn store(&mut self, part: &[u8]) {
        self.skips |= self.stored.len().saturating_add(part.len()) > limits::EVENT_BYTES;
        if self.skips {
            self.stored = Vec::new();
        } else {
            self.stored.extend_from_slice(part);
        }
    }

    /// The last part of a line.
    fn line(&mut self, part: &[u8]) -> Result<Option<Line>, Fault> {
        if self.stored.is_empty() && !self.skips && part.len() <= limits::EVENT_BYTES {
            return read(part);
        }
        self.store(part);
        if std::mem::take(&mut self.skips) {
            return Ok(Some(Line::TooLong));
        }
        let line = read(&self.stored);
        // An event is seldom long and seldom cut: the memory is not worth keeping.
        self.stored = Vec::new();
        line
    }
}

fn read(line: &[u8]) -> Result<Option<Line>, Fault> {
    // Podman ends some answers with an empty line.
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let Message { kind, action, actor, at, health } = serde_json::from_slice(line).map_err(|_| Fault::NotEvents)?;
    if &*kind != "container" {
        return Ok(None);
    }
    let Actor { id, attributes: Attributes { name, exit_code, labels } } = actor;
    let (app, service) = labels.app_and_service();
    let what = what(&action, &health, exit_code);
    // It will be part of a question.
    if id.len() > limits::EVENT_NAME_BYTES || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Fault::NotEvents);
    }
    let [name, app, service] = [&*name, app, service].map(|text| cut(text, limits::EVENT_NAME_BYTES).into());
    Ok(Some(Line::Event(Event { id, name, app, service, what, at })))
}

/// A message of the stream.
#[derive(Default)]
struct Message {
    kind: Box<str>,
    action: Box<str>,
    actor: Actor,
    at: u64,
    /// Podman has the outcome of a HEALTHCHECK here.
    health: Box<str>,
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl Object for Message {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "Type" => self.kind = value(map)?,
            "Action" => self.action = value(map)?,
            "Actor" => self.actor = nested(map)?,
            "timeNano" => self.at = value(map)?,
            "HealthStatus" => self.health = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

fn what(action: &str, health: &str, exit_code: i32) -> What {
    match action {
        "create" => What::Created,
        "start" => What::Started,
        // `died` is what Podman calls it inside, and some of its versions outside.
        "die" | "died" => What::Died(exit_code),
        "pause" => What::Paused,
        "unpause" => What::Unpaused,
        "rename" => What::Renamed,
        "destroy" | "remove" => What::Removed,
        "exec_died" => What::CheckEnded,
        "health_status" => Health::of(health).map_or(What::Other, What::Health),
        _ => action.strip_prefix("health_status: ").and_then(Health::of).map_or(What::Other, What::Health),
    }
}

#[derive(Default)]
struct Actor {
    id: Box<str>,
    attributes: Attributes,
}

impl Object for Actor {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "ID" => self.id = value(map)?,
            "Attributes" => self.attributes = nested(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// The attributes, among which all labels are.
#[derive(Default)]
struct Attributes {
    name: Box<str>,
    exit_code: i32,
    labels: Labels,
}

impl Object for Attributes {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = own_name(&value::<Box<str>, A>(map)?).unwrap_or_default().into(),
            "exitCode" => self.exit_code = value::<Box<str>, A>(map)?.parse().unwrap_or_default(),
            _ => self.labels.take(key, map)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::however_cut;

    fn outcome(pieces: &[&[u8]]) -> Result<Vec<Line>, Fault> {
        let mut reader = Reader::new();
        let mut found = Vec::new();
        for piece in pieces {
            reader.feed(piece, |line| found.push(line))?;
        }
        Ok(found)
    }

    fn lines(text: &str) -> Vec<Line> {
        however_cut(text.as_bytes(), outcome).unwrap()
    }

    fn event(what: What) -> Line {
        Line::Event(Event { id: "37f9".into(), name: "a-1".into(), what, at: 1_795_378_133_463_202_278, ..Event::default() })
    }

    /// As recorded from dockerd 20.10.24, and as API 1.52 sends it, without what it has dropped.
    fn docker(action: &str, attributes: &str, old: bool) -> String {
        let dropped = if old { format!(r#""status":"{action}","id":"37f9","from":"busybox:local","#) } else { String::new() };
        format!(
            r#"{{{dropped}"Type":"container","Action":"{action}","Actor":{{"ID":"37f9","Attributes":{{"image":"busybox:local","name":"a-1"{attributes}}}}},"scope":"local","time":1795378133,"timeNano":1795378133463202278}}"#
        ) + "\n"
    }

    #[test]
    fn labels_say_whose_a_container_is() {
        for (labels, app, service) in [
            (r#","com.docker.compose.service":"web","x":"y""#, "", "web"),
            (r#","container-healthcheck.app":"shop","com.docker.swarm.service.name":"task""#, "shop", "task"),
        ] {
            let Line::Event(event) = event(What::Created) else { unreachable!() };
            let want = Event { app: app.into(), service: service.into(), ..event };
            assert_eq!(lines(&docker("create", labels, true)), [Line::Event(want)], "{labels}");
        }
    }

    #[test]
    fn names_are_cut_where_no_app_has_one_any_more() {
        let most = limits::EVENT_NAME_BYTES;
        for length in [most, most + 1, 4 * most] {
            let long = "x".repeat(length);
            let labels = format!(r#","container-healthcheck.app":"{long}","com.docker.compose.service":"{long}""#);
            let text = docker("die", &labels, false).replace("a-1", &long);
            let [Line::Event(event)] = &*lines(&text) else { panic!("{length}") };
            assert_eq!((&*event.id, event.what), ("37f9", What::Died(0)));
            for name in [&event.name, &event.app, &event.service] {
                assert_eq!(**name, long[..most]);
                assert_eq!(crate::engine::AppName::parse(name.as_bytes()), None);
            }
        }
    }

    #[test]
    fn events_of_docker() {
        let cases = [
            ("create", "", What::Created),
            ("start", "", What::Started),
            ("die", r#","exitCode":"137""#, What::Died(137)),
            ("die", "", What::Died(0)),
            ("pause", "", What::Paused),
            ("unpause", "", What::Unpaused),
            ("rename", r#","oldName":"/b""#, What::Renamed),
            ("destroy", "", What::Removed),
            ("health_status: healthy", "", What::Health(Health::Healthy)),
            ("health_status: unhealthy", "", What::Health(Health::Unhealthy)),
            ("kill", r#","signal":"9""#, What::Other),
            ("stop", "", What::Other),
            ("exec_die", r#","exitCode":"1""#, What::Other),
            ("exec_start: /bin/sh -c die", "", What::Other),
            ("start", r#","x":"y\\nz","exitCode2":"1","Labels":"}""#, What::Started),
        ];
        for (action, attributes, what) in cases {
            for old in [true, false] {
                assert_eq!(lines(&docker(action, attributes, old)), [event(what)], "{action}");
            }
        }
        let two = docker("die", r#","exitCode":"1""#, false) + &docker("start", "", false);
        assert_eq!(lines(&two), [event(What::Died(1)), event(What::Started)]);
    }

    #[test]
    fn events_of_podman() {
        let podman = |action: &str, more: &str| {
            format!(
                r#"{{"status":"{action}","id":"37f9","from":"busybox","Type":"container","Action":"{action}","Actor":{{"ID":"37f9","Attributes":{{"containerExitCode":"1","exitCode":"1","image":"busybox","name":"a-1","podId":""}}}},"scope":"local","time":1795378133,"timeNano":1795378133463202278{more}}}"#
            ) + "\n"
        };
        assert_eq!(lines(&podman("remove", "")), [event(What::Removed)]);
        assert_eq!(lines(&podman("died", "")), [event(What::Died(1))]);
        assert_eq!(lines(&podman("health_status", r#","HealthStatus":"unhealthy""#)), [event(What::Health(Health::Unhealthy))]);
        assert_eq!(lines(&podman("exec_died", "")), [event(What::CheckEnded)]);
        assert_eq!(lines(&podman("cleanup", "")), [event(What::Other)]);
    }

    #[test]
    fn keys_in_another_order_nulls_and_other_types() {
        let turned = r#"{"timeNano":7,"Actor":{"Attributes":{"exitCode":"3","name":"/n"},"ID":"i"},"Action":"die","Type":"container"}"#;
        let want = Event { id: "i".into(), name: "n".into(), what: What::Died(3), at: 7, ..Event::default() };
        assert_eq!(lines(&format!("{turned}\n")), [Line::Event(want.clone())]);
        let linked = turned.replace("/n", "/n/alias");
        assert_eq!(lines(&format!("{linked}\n")), [Line::Event(Event { name: "".into(), ..want })], "no name of its own");
        let nulls = "{\"Type\":\"container\",\"Action\":null,\"Actor\":{\"ID\":null,\"Attributes\":null},\"timeNano\":null}\n";
        assert_eq!(lines(nulls), [Line::Event(Event::default())]);
        assert_eq!(lines("{\"Type\":\"network\",\"Action\":\"destroy\",\"Actor\":{\"ID\":\"37f9\"}}\n\n\r\n{}\n"), []);
        assert_eq!(lines(docker("start", "", true).trim_end()), [], "a line has to end");
    }

    #[test]
    fn what_is_no_event() {
        for bytes in [
            "x\n",
            "[]\n",
            "{\n",
            "{\"Type\":1}\n",
            "{\"timeNano\":-1}\n",
            "{\"Type\":\"container\",\"Actor\":{\"ID\":\"a%22\"}}\n",
            &format!("{{\"Type\":\"container\",\"Actor\":{{\"ID\":\"{}\"}}}}\n", "a".repeat(limits::EVENT_NAME_BYTES + 1)),
            "\u{1e}{}\n",
        ] {
            assert_eq!(however_cut(bytes.as_bytes(), outcome), Err(Fault::NotEvents), "{bytes:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_said_to_be() {
        let label = |length: usize| docker("start", &format!(r#","x":"{}""#, "y".repeat(length)), false);
        let frame = label(0).len() - 1;
        let fits = label(limits::EVENT_BYTES - frame);
        let long = label(limits::EVENT_BYTES - frame + 1);
        let after = docker("pause", "", false);
        for size in [1000, 65536, usize::MAX] {
            let pieces = |text: &str| outcome(&text.as_bytes().chunks(size.min(text.len())).collect::<Vec<_>>());
            assert_eq!(pieces(&(fits.clone() + &after)), Ok(vec![event(What::Started), event(What::Paused)]));
            assert_eq!(pieces(&(long.clone() + &after)), Ok(vec![Line::TooLong, event(What::Paused)]));
        }
    }
}
