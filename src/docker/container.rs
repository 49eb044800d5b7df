//! The bytes of a list of containers, as they come, to [`Container`]s, one by one.
//!
//! [`Reader`] only finds where one container ends; `serde_json` reads it. So a list of any length needs the memory of its
//! longest container, and of each container only its compact record stays.

use serde::de::{Deserialize, Deserializer, MapAccess};
use serde_json::value::RawValue;

use super::Fault;
use super::json::{Object, nested, object, skip, value};
use super::texts::{Parts, Texts};
use crate::limits;

/// What Docker says of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// What is said of it in words.
    pub texts: Texts,
    /// When it was created, in seconds of Unix time.
    pub created: i64,
    /// Its state.
    pub state: State,
    /// The outcome of its HEALTHCHECK. Only a running one has any.
    pub health: Health,
}

impl Container {
    /// What is said of it in words.
    #[must_use]
    pub fn parts(&self) -> Parts<'_> {
        self.texts.parts()
    }

    /// Its state in words is another.
    pub fn set_status(&mut self, status: &str) {
        self.texts = Texts::of(&Parts { status, ..self.parts() });
    }

    /// It has other names.
    pub fn set_names(&mut self, names: &str) {
        self.texts = Texts::of(&Parts { names, ..self.parts() });
    }
}

/// The state of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Made and never started, or it could not be started.
    Created,
    /// Running.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Ended, and about to be started again by its restart policy.
    Restarting,
    /// On its way out.
    Removing,
    /// Ended.
    Exited,
    /// Half removed; also every state that nobody knows.
    #[default]
    Dead,
}

impl State {
    fn of(word: &str) -> Self {
        match word {
            // Podman's `configured` and `initialized` come before a first start, `stopping` and `stopped` after its end.
            "created" | "configured" | "initialized" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "removing" => Self::Removing,
            "exited" | "stopping" | "stopped" => Self::Exited,
            _ => Self::Dead,
        }
    }
}

/// The outcome of a HEALTHCHECK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// The container has none.
    #[default]
    None,
    /// No outcome yet.
    Starting,
    /// Good.
    Healthy,
    /// Bad.
    Unhealthy,
}

impl Health {
    /// `Health.Status` of API 1.52 and later, and the word in an event.
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::None),
            "starting" => Some(Self::Starting),
            "healthy" => Some(Self::Healthy),
            "unhealthy" => Some(Self::Unhealthy),
            _ => None,
        }
    }

    /// What stands at the end of `Status` for a running container, in all versions of Docker.
    fn at_the_end_of(status: &str) -> Self {
        [("(health: starting)", Self::Starting), ("(healthy)", Self::Healthy), ("(unhealthy)", Self::Unhealthy)]
            .into_iter()
            .find_map(|(words, health)| status.ends_with(words).then_some(health))
            .unwrap_or_default()
    }
}

/// Reads a list as it comes.
///
/// ```text
///          [             {           matching }          ]
///   Start ---> Between ----> Inside ------------> Between ---> End
/// ```
#[derive(Debug, Default)]
pub struct Reader {
    place: Place,
    /// Of a container whose end has not come yet.
    stored: Vec<u8>,
    depth: u32,
    text: Text,
    total: usize,
    is_silent_on_health: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    /// Behind `[`: a container or the end.
    First,
    /// Behind a container: a comma or the end.
    Behind,
    /// Behind a comma: a container.
    Next,
    Inside,
    End,
}

/// Whether braces count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    /// Behind a backslash.
    Escape,
}

impl Reader {
    /// At the start of a list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of the list and hands on the containers that end in them.
    ///
    /// # Errors
    /// `NotAList` when they are none, `TooLarge` when the list or a container in it is larger than its limit.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(Container)) -> Result<(), Fault> {
        self.total = self.total.saturating_add(bytes.len());
        if self.total > limits::LIST_BYTES {
            return Err(Fault::TooLarge);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = if self.place == Place::Inside {
                let (part, behind) = rest.split_at(self.end_of_container(rest).unwrap_or(rest.len()));
                self.container(part, &mut found)?;
                behind
            } else {
                self.between(rest)?
            };
        }
        Ok(())
    }

    /// One byte between containers; what is left. The brace of a container is left.
    fn between<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let Some((&byte, behind)) = bytes.split_first() else { return Ok(bytes) };
        // The four of RFC 8259 section 2: a form feed is not one of them.
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return Ok(behind);
        }
        self.place = match (self.place, byte) {
            (Place::Start, b'[') => Place::First,
            (Place::First | Place::Next, b'{') => {
                self.place = Place::Inside;
                return Ok(bytes);
            }
            (Place::First | Place::Behind, b']') => Place::End,
            (Place::Behind, b',') => Place::Next,
            _ => return Err(Fault::NotAList),
        };
        Ok(behind)
    }

    /// Where the container ends, if it does.
    fn end_of_container(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            match (self.text, byte) {
                (Text::Inside, b'\\') => self.text = Text::Escape,
                (Text::Inside, b'"') => self.text = Text::Outside,
                (Text::Escape, _) | (Text::Outside, b'"') => self.text = Text::Inside,
                (Text::Outside, b'{' | b'[') => self.depth = self.depth.saturating_add(1),
                (Text::Outside, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return at.checked_add(1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The next part of a container; if its depth is zero, the last.
    fn container(&mut self, part: &[u8], found: &mut impl FnMut(Container)) -> Result<(), Fault> {
        if self.stored.len().saturating_add(part.len()) > limits::CONTAINER_BYTES {
            return Err(Fault::TooLarge);
        }
        if self.depth > 0 {
            self.stored.extend_from_slice(part);
            return Ok(());
        }
        self.place = Place::Behind;
        let read = if self.stored.is_empty() {
            serde_json::from_slice(part)
        } else {
            self.stored.extend_from_slice(part);
            let read = serde_json::from_slice(&self.stored);
            self.stored.clear();
            read
        };
        let Listed { container, health } = read.map_err(|_| Fault::NotAList)?;
        self.is_silent_on_health |= container.state == State::Running && health.is_none();
        found(container);
        Ok(())
    }

    /// Whether a running container came without a field for its health.
    #[must_use]
    pub const fn is_silent_on_health(&self) -> bool {
        self.is_silent_on_health
    }

    /// Whether the list has come to its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.place == Place::End
    }
}

/// A container as it is listed.
struct Listed {
    container: Container,
    /// Of API 1.52 and later.
    health: Option<Health>,
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Fields { id, names, image, command, status, ports, created, state, health, labels } = object(deserializer)?;
        let (app, service) = labels.app_and_service();
        let array = ports.as_deref().map(RawValue::get).filter(|ports| ports.starts_with('[') && ports.len() <= limits::PORTS_BYTES);
        let [image, command, status, app, service] = [&*image, &*command, &*status, app, service].map(|text| cut(text, limits::TEXT_BYTES));
        let said = Parts { id: &id, image, command, status, ports: array.unwrap_or("[]"), app, service, names: &names };
        let runs = state == State::Running;
        let known = if runs { health.unwrap_or_else(|| Health::at_the_end_of(said.status)) } else { Health::None };
        Ok(Self { container: Container { texts: Texts::of(&said), created, state, health: known }, health })
    }
}

/// For who compares the reader with `serde_json` itself.
#[cfg(any(test, fuzzing))]
impl<'de> Deserialize<'de> for Container {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Listed::deserialize(deserializer).map(|listed| listed.container)
    }
}

/// What is read of it.
#[derive(Default)]
struct Fields {
    id: Box<str>,
    names: String,
    image: Box<str>,
    command: Box<str>,
    status: Box<str>,
    ports: Option<Box<RawValue>>,
    created: i64,
    state: State,
    health: Option<Health>,
    labels: Labels,
}

impl Object for Fields {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "Id" => self.id = value(map)?,
            "Names" => {
                let names = value::<Vec<String>, A>(map)?;
                let own: Vec<_> = names.iter().filter_map(|name| own_name(name)).take(limits::NAMES).collect();
                self.names = own.join("/");
            }
            "Image" => self.image = value(map)?,
            "Command" => self.command = value(map)?,
            "Created" => self.created = value(map)?,
            "Ports" => self.ports = map.next_value()?,
            "State" => self.state = State::of(&value::<Box<str>, A>(map)?),
            "Status" => self.status = value(map)?,
            "Labels" => self.labels = nested(map)?,
            "Health" => self.health = nested::<Structured, A>(map)?.0,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `Health`, an object of which only the status counts.
#[derive(Default)]
struct Structured(Option<Health>);

impl Object for Structured {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "Status" => self.0 = Health::of(&value::<Box<str>, A>(map)?),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `Labels`, of which three are looked at.
#[derive(Default)]
pub(super) struct Labels {
    app: Box<str>,
    compose: Box<str>,
    swarm: Box<str>,
}

impl Labels {
    /// The app that they name, and the service.
    pub(super) fn app_and_service(&self) -> (&str, &str) {
        (&self.app, if self.compose.is_empty() { &self.swarm } else { &self.compose })
    }
}

impl Object for Labels {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "container-healthcheck.app" => self.app = value(map)?,
            "com.docker.compose.service" => self.compose = value(map)?,
            "com.docker.swarm.service.name" => self.swarm = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// A text, cut to so many bytes, or a few less.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// A name with its slash and no other; a link has two (docker/cli chooses in the same way).
pub(super) fn own_name(name: &str) -> Option<&str> {
    let name = name.strip_prefix('/').unwrap_or(name);
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::however_cut;

    fn outcome(pieces: &[&[u8]]) -> Result<(Vec<Container>, bool), Fault> {
        let mut reader = Reader::new();
        let mut found = Vec::new();
        for piece in pieces {
            reader.feed(piece, |container| found.push(container))?;
        }
        Ok((found, reader.is_done()))
    }

    fn one(json: &str) -> Container {
        let (mut found, done) = however_cut(format!("[{json}]").as_bytes(), outcome).unwrap();
        assert!(done && found.len() == 1, "{json}");
        found.remove(0)
    }

    fn of(parts: &Parts<'_>) -> Container {
        Container { texts: Texts::of(parts), ..Container::default() }
    }

    /// As recorded from dockerd 20.10.24, labels and mounts added.
    const RECORDED: &str = r#"{"Id":"037dbe46cd0b2cf5a8b7c6d5e4f30123456789abcdef0123456789abcdef0123","Names":["/bk_iam-1709878117"],"Image":"python36e:1.1",
        "ImageID":"sha256:1","Command":"sh /build/builder","Created":1709878119,"Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}],
        "Labels":{"a":"}]\"\\","b":"{["},"State":"running","Status":"Up 5 days","HostConfig":{"NetworkMode":"none"},"NetworkSettings":{"Networks":{"none":{"Links":null}}},"Mounts":[]}"#;

    #[test]
    fn a_container_as_docker_writes_it() {
        let container = one(RECORDED);
        assert_eq!(&container.parts().id[..10], "037dbe46cd");
        let Parts { names, image, command, status, ports, .. } = container.parts();
        assert_eq!((names, image, command, status), ("bk_iam-1709878117", "python36e:1.1", "sh /build/builder", "Up 5 days"));
        assert_eq!(ports, r#"[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]"#);
        assert_eq!((container.created, container.state, container.health), (1_709_878_119, State::Running, Health::None));
    }

    #[test]
    fn anything_may_be_missing_null_or_new() {
        assert_eq!(one("{}"), of(&Parts { ports: "[]", ..Parts::default() }));
        let null =
            r#"{"Id":null,"Names":null,"Image":null,"Command":null,"Created":null,"Ports":null,"State":null,"Status":null,"Health":null}"#;
        assert_eq!(one(null), one("{}"));
        assert_eq!(one(r#"{"New":{"Deep":[[{"Id":"no"}]]},"Id":"a","Ports":{}}"#), of(&Parts { id: "a", ports: "[]", ..Parts::default() }));
    }

    #[test]
    fn names_of_links_are_not_its_own() {
        let names = |json: &str| {
            let container = one(&format!(r#"{{"Names":{json}}}"#));
            container.parts().own_names().map(Into::into).collect::<Vec<Box<str>>>()
        };
        assert_eq!(names(r#"["/a","/b/db"]"#), ["a".into()]);
        assert_eq!(names(r#"["/b/db","/a"]"#), ["a".into()]);
        assert_eq!(names(r#"["/old","/new"]"#), ["old".into(), "new".into()]);
        assert_eq!(names(r#"["a"]"#), ["a".into()]);
        assert_eq!(names(r#"["","/"]"#), Vec::<Box<str>>::new());
    }

    #[test]
    fn labels_that_name_an_app() {
        let labels = |json: &str| {
            let container = one(&format!(r#"{{"Labels":{json}}}"#));
            (container.parts().app.to_owned(), container.parts().service.to_owned())
        };
        let pair = |app: &str, service: &str| (app.to_owned(), service.to_owned());
        assert_eq!(labels("null"), pair("", ""));
        assert_eq!(labels(r#"{"a":"b","container-healthcheck.app":"bk_iam"}"#), pair("bk_iam", ""));
        assert_eq!(labels(r#"{"container-healthcheck.app":null,"com.docker.compose.service":"web"}"#), pair("", "web"));
        assert_eq!(labels(r#"{"com.docker.swarm.service.name":"task"}"#), pair("", "task"));
        assert_eq!(labels(r#"{"com.docker.swarm.service.name":"task","com.docker.compose.service":"web"}"#), pair("", "web"));
        assert_eq!(labels(r#"{"Container-Healthcheck.App":"x","com.docker.compose.project":"y"}"#), pair("", ""));
    }

    #[test]
    fn states_and_health() {
        let judged = |json: &str| {
            let container = one(json);
            (container.state, container.health)
        };
        let cases = [
            (r#"{"State":"running","Status":"Up 3 seconds"}"#, State::Running, Health::None),
            (r#"{"State":"running","Status":"Up 4 minutes (healthy)"}"#, State::Running, Health::Healthy),
            (r#"{"State":"running","Status":"Up 4 minutes (unhealthy)"}"#, State::Running, Health::Unhealthy),
            (r#"{"State":"running","Status":"Up 3 seconds (health: starting)"}"#, State::Running, Health::Starting),
            (
                r#"{"State":"running","Status":"Up 3 seconds","Health":{"Status":"unhealthy","FailingStreak":3}}"#,
                State::Running,
                Health::Unhealthy,
            ),
            (r#"{"Health":{"Status":"none"},"State":"running","Status":"Up 1 second"}"#, State::Running, Health::None),
            (r#"{"Health":{},"State":"running","Status":"Up"}"#, State::Running, Health::None),
            (r#"{"Health":{"Status":"?"},"State":"running","Status":"Up 1 second (unhealthy)"}"#, State::Running, Health::Unhealthy),
            (r#"{"State":"paused","Status":"Up 4 seconds (Paused)","Health":{"Status":"healthy"}}"#, State::Paused, Health::None),
            (r#"{"State":"restarting","Status":"Restarting (1) Less than a second ago"}"#, State::Restarting, Health::None),
            (r#"{"State":"removing","Status":"Removal In Progress"}"#, State::Removing, Health::None),
            (r#"{"State":"exited","Status":"Exited (3) 4 seconds ago"}"#, State::Exited, Health::None),
            (r#"{"State":"created","Status":"Created"}"#, State::Created, Health::None),
            (r#"{"State":"dead","Status":"Dead"}"#, State::Dead, Health::None),
            (r#"{"State":"stopping"}"#, State::Exited, Health::None),
            (r#"{"State":"stopped"}"#, State::Exited, Health::None),
            (r#"{"State":"configured"}"#, State::Created, Health::None),
            (r#"{"State":"initialized"}"#, State::Created, Health::None),
            (r#"{"State":"Running"}"#, State::Dead, Health::None),
            (r#"{"State":"frozen solid"}"#, State::Dead, Health::None),
        ];
        for (json, state, health) in cases {
            assert_eq!(judged(json), (state, health), "{json}");
        }
    }

    #[test]
    fn lists_of_any_length() {
        for (list, count) in [("[]\n", 0), (" [ ] ", 0), ("[{}]", 1), ("[{},{}]", 2), ("\n[ {} ,\t{} , {} ]\r\n", 3)] {
            let (found, done) = however_cut(list.as_bytes(), outcome).unwrap();
            assert_eq!((found.len(), done), (count, true), "{list:?}");
        }
        for cut in ["", "[", "[{}", "[{},", r#"[{"Id":"a""#] {
            assert!(!however_cut(cut.as_bytes(), outcome).unwrap().1, "{cut:?}");
        }
    }

    #[test]
    fn what_is_no_list() {
        for bytes in [
            "{}",
            "null",
            "x",
            "[1]",
            "[null]",
            "[[]]",
            "[,]",
            "[{},]",
            "[{}{}]",
            "[{} {}]",
            "[]]",
            "[][]",
            "[{}],",
            "[{]",
            r#"[{"Id":1}]"#,
            r#"[{"Names":"a"}]"#,
            r#"[{"Names":[1]}]"#,
            r#"[{"Created":"x"}]"#,
            r#"[{"Id":"a" "b"}]"#,
            r#"{"message":"no"}"#,
            "[{\"Id\":\"\n\"}]",
        ] {
            assert_eq!(however_cut(bytes.as_bytes(), outcome), Err(Fault::NotAList), "{bytes:?}");
        }
        assert_eq!(outcome(&[b"[{\"Id\":\"\xff\"}]"]), Err(Fault::NotAList));
    }

    #[test]
    fn of_long_texts_and_many_names_only_so_much_is_kept() {
        let long = "\u{e4}".repeat(limits::TEXT_BYTES);
        let list = format!(
            r#"[{{"Command":"x{long}","Names":[{}"/a"],"Ports":[{}1]}}]"#,
            r#""/a","#.repeat(100),
            "1,".repeat(limits::PORTS_BYTES)
        );
        let container = outcome(&[list.as_bytes()]).unwrap().0.remove(0);
        let parts = container.parts();
        assert_eq!((parts.command.len(), parts.own_names().count(), parts.ports), (limits::TEXT_BYTES - 1, limits::NAMES, "[]"));
    }

    #[test]
    fn sizes_are_bounded() {
        let label = |length: usize| format!(r#"[{{"Labels":{{"a":"{}"}}}}]"#, "x".repeat(length));
        let frame = label(0).len() - 2;
        let fits = label(limits::CONTAINER_BYTES - frame);
        assert!(outcome(&[fits.as_bytes()]).is_ok());
        assert!(outcome(&fits.as_bytes().chunks(1000).collect::<Vec<_>>()).is_ok());
        let more = label(limits::CONTAINER_BYTES - frame + 1);
        assert_eq!(outcome(&[more.as_bytes()]), Err(Fault::TooLarge));
        assert_eq!(outcome(&more.as_bytes().chunks(1000).collect::<Vec<_>>()), Err(Fault::TooLarge));

        let mut reader = Reader::new();
        reader.feed(b"[{}", |_| ()).unwrap();
        let part = ",{}".repeat(1000);
        let parts = limits::LIST_BYTES / part.len();
        for _ in 0..parts {
            reader.feed(part.as_bytes(), |_| ()).unwrap();
        }
        assert_eq!(reader.feed(part.as_bytes(), |_| ()), Err(Fault::TooLarge));
    }
}
