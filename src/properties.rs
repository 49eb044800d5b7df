//! What holds of any bytes at all: one function for each fuzz target, which panics when its property is broken.
//!
//! The targets in `fuzz/` are three lines each. Since the properties stand here, `cargo test` replays every input of the corpus
//! through them, and a fault that was found once stays found. Inputs are wire bytes as they are, so that a file of the corpus can
//! be read; where they are cut, and whatever else is left to chance, follows from the bytes themselves ([`Dice`]).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a property stops when it is broken"
)]

mod talk;

use std::fmt::Debug;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::check;
use crate::docker::container::Reader;
use crate::docker::event::{self, Line};
use crate::docker::exchange::{Exchange, Outcome, Told};
use crate::docker::{ApiVersion, Container, Fault, Health, Parts, Question, State, Texts};
use crate::drain::Drain;
use crate::engine::route::route;
use crate::engine::{AppName, Route, simulation};
use crate::http::chunked::Chunked;
use crate::http::outbound::{Outbound, Part, Talk};
use crate::http::request::Head;
use crate::http::response::{self, Broken, Framing};
use crate::http::{Method, request as requests, target as targets};
use crate::limits;

/// Places at which an input is cut in two. A fuzzer has more from trying the next input.
const CUTS: usize = if cfg!(fuzzing) { 6 } else { 40 };

/// Dice whose throws follow from the input alone, so that an input is all that a replay needs.
struct Dice(u64);

impl Dice {
    fn of(bytes: &[u8]) -> Self {
        // FNV-1a
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)) | 1)
    }

    /// A number below `sides`.
    fn throw(&mut self, sides: usize) -> usize {
        // xorshift*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % sides
    }

    /// Places between bytes: all of them if these are few.
    fn places(&mut self, length: usize) -> Vec<usize> {
        if length <= CUTS { (1..length).collect() } else { (0..CUTS).map(|_| 1 + self.throw(length - 1)).collect() }
    }
}

/// Demands that `run` gives one outcome, whole, byte by byte, cut in two and cut in many pieces.
fn however_cut<T: PartialEq + Debug>(bytes: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let mut dice = Dice::of(bytes);
    let whole = run(&[bytes]);
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(run(&single), whole, "byte by byte");
    for at in dice.places(bytes.len()) {
        let (front, back) = bytes.split_at(at);
        assert_eq!(run(&[front, back]), whole, "cut at {at}");
    }
    for most in [3, 300] {
        let mut rest = bytes;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + dice.throw(most)));
            pieces.push(piece);
            rest = behind;
        }
        assert_eq!(run(&pieces), whole, "in pieces of at most {most}");
    }
    whole
}

/// The same for what is parsed from the start each time: at each front of the bytes it says "not yet" or what it says of all.
fn at_each_front<'a, T: PartialEq + Debug, E: PartialEq + Debug>(bytes: &'a [u8], parse: impl Fn(&'a [u8]) -> Result<Option<T>, E>) {
    let whole = parse(bytes);
    let mut dice = Dice::of(bytes);
    // Outcomes change where lines end, and at the limits.
    let lines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').take(20).flat_map(|(at, _)| [at, at + 1]);
    let limits = [limits::TARGET_BYTES, limits::HEAD_BYTES, limits::RESPONSE_HEAD_BYTES].into_iter().flat_map(|at| at - 20..at + 20);
    for at in dice.places(bytes.len()).into_iter().chain(lines).chain(limits).filter(|&at| at < bytes.len()) {
        let early = parse(&bytes[..at]);
        assert!(early == Ok(None) || early == whole, "after {at} bytes {early:?}, after all {whole:?}");
    }
}

/// A request is the same however its bytes come; whoever else reads what we accept reads the same in it; and written out
/// plainly it is read as the same again.
pub fn request(bytes: &[u8]) {
    at_each_front(bytes, requests::parse);
    let Ok(Some(head)) = requests::parse(bytes) else { return };
    assert!(head.bytes <= limits::HEAD_BYTES);
    read_by_another(&head, &bytes[..head.bytes]);

    let method = match head.request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Options => "OPTIONS",
        Method::Other => "POST",
        Method::Connect => panic!("we are no proxy"),
    };
    let question = if head.request.query.is_empty() { "" } else { "?" };
    let mut plain = format!("{method} {}{question}{} HTTP/1.1\r\nHost: h\r\n", encoded(&head.request.path), head.request.query);
    plain += &head.body.map_or("Transfer-Encoding: chunked\r\n".into(), |length| format!("Content-Length: {length}\r\n"));
    plain += if head.close { "Connection: close\r\n\r\n" } else { "\r\n" };
    assert_eq!(requests::parse(plain.as_bytes()), Ok(Some(Head { bytes: plain.len(), ..head })), "{plain:?}");
}

/// A reader that knows RFC 9112 and no leniency finds the head whole, and the same framing in it.
fn read_by_another(head: &Head<'_>, bytes: &[u8]) {
    let mut bytes = bytes;
    while let Some(behind) = bytes.strip_prefix(b"\r\n") {
        // Empty lines before it are nobody's (RFC 9112 section 2.2).
        bytes = behind;
    }
    let lines = bytes.strip_suffix(b"\r\n\r\n").expect("an empty line ends it");
    let lines: Vec<&[u8]> = lines.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    assert_eq!(lines.iter().map(|line| line.len() + 2).sum::<usize>() + 2, bytes.len(), "a line that ends without CR LF");
    assert!(!lines.concat().iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'), "a control character");

    let token = |word: &[u8]| !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
    let (line, fields) = lines.split_first().unwrap();
    let words: Vec<_> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version @ (b"HTTP/1.1" | b"HTTP/1.0")] = words[..] else { panic!("no request line: {words:?}") };
    assert!(token(method) && !target.is_empty());

    let fields: Vec<_> = fields
        .iter()
        .map(|field| {
            let colon = field.iter().position(|&byte| byte == b':').expect("a field without a colon");
            assert!(token(&field[..colon]), "a name that is none");
            (field[..colon].to_ascii_lowercase(), field[colon + 1..].trim_ascii().to_ascii_lowercase())
        })
        .collect();
    let values =
        |name: &str| fields.iter().filter(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice()).collect::<Vec<_>>();
    let old = version == b"HTTP/1.0";
    assert!(values("host").len() == 1 || values("host").is_empty() && old, "the host is in doubt");

    let body = match (values("content-length").as_slice(), values("transfer-encoding").is_empty()) {
        ([], true) => Some(0),
        ([length], true) => Some(digits(length)),
        ([], false) if !old => None,
        _ => panic!("framed in two ways"),
    };
    match head.body {
        Some(length) => assert_eq!(body, Some(length)),
        None => assert!(body.is_none_or(|length| length > limits::BODY_BYTES || !values("expect").is_empty()), "we could go on"),
    }
    let says_close = values("connection").join(&b',').split(|&byte| byte == b',').any(|option| option.trim_ascii() == b"close");
    assert!(head.close || !old && !says_close, "the client wants the end");
}

/// A length, of which nothing is left to taste.
fn digits(value: &[u8]) -> u64 {
    assert!(value.iter().all(u8::is_ascii_digit), "a length that is no number");
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// A path as the shortest target that means it.
fn encoded(path: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"#%?".contains(&byte);
    path.iter().map(|&byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// An answer is the same however its bytes come; whoever else reads its head finds the same framing in it; and its body is as long
/// as that says.
pub fn response(bytes: &[u8]) {
    at_each_front(bytes, response::parse);
    if let Ok(Some((head, length))) = response::parse(bytes) {
        framed_by_another(&head, &bytes[..length]);
    }
    let (head, body, is_done, _) = however_cut(bytes, |pieces| {
        let mut outbound = Outbound::new(Vec::new());
        let (mut head, mut body) = (None, Vec::new());
        let fed = pieces.iter().try_for_each(|piece| {
            outbound.feed(piece, |part| match part {
                Part::Head(first) => assert!(head.replace(first).is_none() && body.is_empty(), "a second head"),
                Part::Body(bytes) => body.extend_from_slice(bytes),
            })
        });
        assert!(head.is_some() || body.is_empty(), "a body without a head");
        let is_done = outbound.is_done();
        (head, body, is_done, fed.and_then(|()| outbound.end()))
    });
    match head.map(|head| head.framing) {
        Some(Framing::Length(length)) => assert!(if is_done { body.len() as u64 == length } else { (body.len() as u64) < length }),
        Some(Framing::UntilClose) | None => assert!(!is_done),
        Some(Framing::Chunked) => {}
    }
}

/// The framing of an answer as read by somebody who takes any line's end, and knows that 204 and 304 have no body.
fn framed_by_another(head: &response::Head, bytes: &[u8]) {
    let lines: Vec<_> = bytes.split(|&byte| byte == b'\n').map(|line| line.trim_ascii().to_ascii_lowercase()).collect();
    // Interim heads end with an empty line too.
    let last = lines.split(Vec::is_empty).rfind(|lines| !lines.is_empty()).unwrap();
    let values = |name: &str| last.iter().filter_map(|line| line.strip_prefix(name.as_bytes())).map(<[u8]>::trim_ascii).collect::<Vec<_>>();
    let (lengths, codings) = (values("content-length:"), values("transfer-encoding:"));
    match head.framing {
        _ if matches!(head.status, 204 | 304) => assert_eq!(head.framing, Framing::Length(0)),
        Framing::Length(said) => assert!(codings.is_empty() && !lengths.is_empty() && lengths.iter().all(|length| digits(length) == said)),
        Framing::Chunked => {
            // Empty elements of a list count for nothing (RFC 9110 section 5.6.1).
            let codings = codings.join(&b',');
            let mut codings = codings.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty());
            assert!(lengths.is_empty() && codings.next() == Some(b"chunked") && codings.next().is_none());
        }
        Framing::UntilClose => assert!(lengths.is_empty() && codings.is_empty()),
    }
}

/// A chunked body is the same however its bytes come; and any bytes, sent in chunks, come out as they were.
pub fn chunked(bytes: &[u8]) {
    let decoded = |pieces: &[&[u8]]| {
        let mut chunked = Chunked::new();
        let mut body = Vec::new();
        let used = pieces.iter().try_fold(0, |used, piece| -> Result<usize, Broken> {
            let taken = chunked.feed(piece, |part| body.extend_from_slice(part))?;
            assert!(taken == piece.len() || chunked.is_done(), "neither done nor taken");
            Ok(used + taken)
        });
        (used, chunked.is_done(), body)
    };
    let _ = however_cut(bytes, decoded);

    let mut dice = Dice::of(bytes);
    let mut sent = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let most = [1, 20, 5000][dice.throw(3)];
        let (chunk, behind) = rest.split_at(rest.len().min(1 + dice.throw(most)));
        let size = [format!("{:x}", chunk.len()), format!("{:08X}", chunk.len())][dice.throw(2)].clone();
        sent.extend_from_slice(format!("{size}{}\r\n", ["", ";a=\"b\"", " "][dice.throw(3)]).as_bytes());
        sent.extend_from_slice(chunk);
        sent.extend_from_slice(b"\r\n");
        rest = behind;
    }
    sent.extend_from_slice([&b"0\r\n\r\n"[..], b"000;x\r\nA: b\r\n\r\n"][dice.throw(2)]);
    let own = sent.len();
    sent.extend_from_slice(b"behind");
    assert_eq!(however_cut(&sent, decoded), (Ok(own), true, bytes.to_vec()));
}

/// The containers, once the list has come to its end.
fn read(pieces: &[&[u8]]) -> Result<Option<Vec<Container>>, Fault> {
    let mut reader = Reader::new();
    let mut found = Vec::new();
    pieces.iter().try_for_each(|piece| reader.feed(piece, |container| found.push(container)))?;
    Ok(reader.is_done().then_some(found))
}

/// A list is the same however its bytes come; it is one exactly if it is one to `serde_json`; unknown fields change nothing; and a
/// container is what a plain reading finds in it.
pub fn list(bytes: &[u8]) {
    let found = however_cut(bytes, read);
    if found == Err(Fault::TooLarge) {
        return;
    }
    let found = found.ok().flatten();
    assert_eq!(found, serde_json::from_slice(bytes).ok(), "serde_json has another opinion");

    if let Some(found) = &found
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        let containers: Vec<&RawValue> = serde_json::from_str(text).unwrap();
        let more: Vec<_> = containers.iter().map(|container| with_unknown_fields(container.get(), text)).collect();
        assert_eq!(read(&[format!("[{}]", more.join(",")).as_bytes()]).as_ref().map(Option::as_ref), Ok(Some(found)), "{more:?}");
    }
    // Written anew, each name stands once, and what is out of bounds for a `Value` is gone.
    if let Ok(Value::Array(values)) = serde_json::from_slice(bytes) {
        let plain: Option<Vec<_>> = values.iter().map(plainly).collect();
        assert_eq!(read(&[Value::Array(values).to_string().as_bytes()]).ok().flatten(), plain);
    }
}

/// A container with fields that nobody knows, at its start and its end; one of them holds the whole list.
fn with_unknown_fields(container: &str, list: &str) -> String {
    let fields = container.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    let comma = if fields.trim_ascii().is_empty() { "" } else { "," };
    format!(r#"{{"id":{list},"New\"}}":"}}]\"\\"{comma}{fields},"State ":{{"Id":[{{}}]}}}}"#)
}

/// A container as it can be read off a tree; none if a field we know is of the wrong kind.
fn plainly(value: &Value) -> Option<Container> {
    let fields = value.as_object()?;
    let known = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let text = |name: &str| known(name).map_or(Some(""), Value::as_str);
    let names = known("Names").map_or(Some(Vec::new()), |names| names.as_array()?.iter().map(Value::as_str).collect())?;
    let own = names.into_iter().map(|name| name.strip_prefix('/').unwrap_or(name)).filter(|name| !name.is_empty() && !name.contains('/'));
    let status = text("Status")?;
    let structured = match known("Health") {
        Some(health) => health.as_object()?.get("Status").filter(|status| !status.is_null()).map_or(Some(""), Value::as_str)?,
        None => "",
    };
    let words = if ["none", "starting", "healthy", "unhealthy"].contains(&structured) {
        structured
    } else {
        status.rsplit_once('(').map_or("", |(_, words)| words.strip_suffix(')').unwrap_or_default())
    };
    let state = match text("State")? {
        "created" | "configured" | "initialized" => State::Created,
        "running" => State::Running,
        "paused" => State::Paused,
        "restarting" => State::Restarting,
        "removing" => State::Removing,
        "exited" | "stopping" | "stopped" => State::Exited,
        _ => State::Dead,
    };
    let health = match (state, words) {
        (State::Running, "healthy") => Health::Healthy,
        (State::Running, "unhealthy") => Health::Unhealthy,
        (State::Running, "starting") if known("Health").is_some() => Health::Starting,
        (State::Running, "health: starting") if known("Health").is_none() => Health::Starting,
        _ => Health::None,
    };
    let labels = known("Labels").map_or(Some(None), |labels| labels.as_object().map(Some))?;
    let label = |name: &str| labels?.get(name).filter(|label| !label.is_null());
    let words = |name: &str| label(name).map_or(Some(""), Value::as_str);
    let (app, compose) = (words("container-healthcheck.app")?, words("com.docker.compose.service")?);
    let swarm = words("com.docker.swarm.service.name")?;
    let parts = Parts {
        id: text("Id")?,
        names: &own.take(limits::NAMES).collect::<Vec<_>>().join("/"),
        image: text("Image")?,
        command: text("Command")?,
        status,
        ports: &known("Ports").filter(|ports| ports.is_array()).map_or("[]".into(), Value::to_string),
        app,
        service: if compose.is_empty() { swarm } else { compose },
    };
    let created = known("Created").map_or(Some(0), Value::as_i64)?;
    Some(Container { texts: Texts::of(&parts), created, state, health })
}

/// A stream tells the same however its bytes come, and each line of it is an event exactly if it is an object to `serde_json`.
pub fn events(bytes: &[u8]) {
    let told = however_cut(bytes, |pieces| {
        let mut reader = event::Reader::new();
        let mut lines = Vec::new();
        let fed = pieces.iter().try_for_each(|piece| reader.feed(piece, |line| lines.push(line)));
        (lines, fed)
    });
    for line in &told.0 {
        if let Line::Event(event) = line {
            assert!(event.id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "it will be part of a question");
        }
    }
    // Behind a head, through the whole client.
    let answer = [b"HTTP/1.1 200 OK\r\n\r\n", bytes].concat();
    let mut exchange = Exchange::new(&Question::Events { since: None }, None);
    let mut lines = Vec::new();
    let early = exchange.feed(&answer, |news| {
        if let Told::Line(line) = news {
            lines.push(line);
        }
    });
    assert_eq!((lines, early.is_some()), (told.0, told.1.is_err()));
}

/// A question has the same outcome however its answer's bytes come.
pub fn exchange(bytes: &[u8]) {
    for version in [None, ApiVersion::parse(b"1.44")] {
        let outcome: Outcome = however_cut(bytes, |pieces| {
            let mut exchange = Exchange::new(&Question::All, version);
            let early = pieces.iter().find_map(|piece| exchange.feed(piece, |_| ()));
            early.unwrap_or_else(|| exchange.end())
        });
        match outcome {
            Err(Fault::WantsVersion(_)) => assert_eq!(version, None, "asked for again and again"),
            Err(Fault::Status(_, words)) => assert!(words.len() <= 3 * limits::REFUSAL_BYTES && !words.contains(char::is_control)),
            Ok(_) | Err(Fault::Broken(_) | Fault::NotAList | Fault::TooLarge) => {}
            Err(other) => panic!("nothing of that kind was said: {other:?}"),
        }
    }
}

/// A check of an app comes to the same however its answer's bytes come; a status is told at most once, and whoever told one has no
/// fault.
pub fn check(bytes: &[u8]) {
    let (statuses, outcome) = however_cut(bytes, |pieces| {
        let mut check = check::Exchange::new(Vec::new());
        let mut statuses = Vec::new();
        let early = pieces.iter().find_map(|piece| check.feed(piece, |status| statuses.push(status)));
        (statuses, early.unwrap_or_else(|| check.end()))
    });
    assert_eq!((statuses.len() == 1, statuses.len() <= 1), (outcome.is_ok(), true));
    assert!(statuses.iter().all(|status| (200..=999).contains(status)), "{statuses:?} is none to judge by");
}

/// What the file of a drain says is the same when it is written and read again, and fits into a line.
pub fn drain(text: &[u8]) {
    let (drain, wrong) = Drain::parse(text);
    assert!(wrong.is_none() || drain == Drain::default(), "half of it is believed");
    assert_eq!(Drain::parse(drain.text().as_bytes()), (drain.clone(), None));
    assert!(!drain.sentence("app").contains(char::is_control));
}

/// Any bytes can be a path and find some route. A name comes back as it was, in whatever way it is encoded, and no app is
/// answered for by the container of another one. The input is a target, or a name and that of a container on the next line.
pub fn target(bytes: &[u8]) {
    for method in [Method::Get, Method::Options, Method::Connect, Method::Other] {
        if let Some((path, query)) = std::str::from_utf8(bytes).ok().and_then(|target| targets::parts(method, target).ok()) {
            assert!(path.starts_with(b"/") || &*path == b"*" && method == Method::Options);
            for prefix in ["", "/container-healthcheck"] {
                let routed = route(prefix, &path, targets::pairs(query), true);
                if let Route::App(app) = routed {
                    assert_eq!(AppName::parse(app.as_str().as_bytes()), Some(app));
                } else if let Route::Apps(query) = routed {
                    assert!(query.require.len() <= bytes.len());
                }
                assert!(matches!(route(prefix, &path, targets::pairs(query), false), Route::NotFound | Route::NotAllowed));
            }
        }
    }
    let path = [b"/", bytes].concat();
    let decoded = targets::parts(Method::Get, &encoded(&path)).map(|(path, query)| (path.into_owned(), query.to_owned()));
    assert_eq!(decoded, Ok((path, String::new())), "any bytes can be sent");

    let mut lines = bytes.splitn(2, |&byte| byte == b'\n');
    let name = lines.next().unwrap_or_default();
    let container = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let is_name = matches!(name, [first, rest @ ..] if first.is_ascii_alphanumeric() && rest.len() < limits::APP_BYTES
        && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte)));
    let Some(app) = AppName::parse(name) else { return assert!(!is_name) };
    assert!(is_name && app.as_str().as_bytes() == name);

    let mut dice = Dice::of(bytes);
    let in_some_way = |byte: &u8| match dice.throw(3) {
        0 => char::from(*byte).to_string(),
        1 => format!("%{byte:02x}"),
        _ => format!("%{byte:02X}"),
    };
    let target = format!("/p/apps/health/{}", name.iter().map(in_some_way).collect::<String>());
    let routed = targets::parts(Method::Get, &target).map(|(path, query)| route("/p", &path, targets::pairs(query), true));
    assert_eq!(routed, Ok(Route::App(app)), "{target}");

    // The app's own containers, near misses, and what the input says.
    let near = ["", "-", "-0", "-007", "-1-2", "-1a", "1", "_1", "-\u{661}", "-+1"].map(|end| format!("{}{end}", app.as_str()));
    let (shorter, longer) = (&app.as_str()[1..], format!("x{}-1", app.as_str()));
    for container in near.iter().map(String::as_str).chain([shorter, &longer, &container]) {
        let number = match container.rsplit_once('-') {
            _ if container == app.as_str() => Some(""),
            Some((front, digits)) if front == app.as_str() && !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit()) => {
                Some(digits.trim_start_matches('0'))
            }
            _ => None,
        };
        assert_eq!(app.number_in(container), number, "{app:?} {container:?}");
    }
}

/// One client's connection keeps its promises in any order of events: see [`talk`].
pub fn inbound(script: &[u8]) {
    talk::run(script);
}

/// The engine keeps its promises in any order of events: see [`simulation`].
pub fn engine(script: &[u8]) {
    simulation::script(script);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::path::Path;

    use super::*;

    type Property = fn(&[u8]);

    const ALL: [(&str, Property); 11] = [
        ("request", request),
        ("response", response),
        ("chunked", chunked),
        ("list", list),
        ("events", events),
        ("exchange", exchange),
        ("check", check),
        ("drain", drain),
        ("target", target),
        ("inbound", inbound),
        ("engine", engine),
    ];

    /// The inputs kept for a target, with their names.
    fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut inputs: Vec<_> = files
            .map(|file| file.unwrap().path())
            .map(|path| (format!("{target}/{}", path.file_name().unwrap().display()), fs::read(path).unwrap()))
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{target} has no corpus");
        inputs
    }

    fn holds(property: Property, name: &str, input: &[u8]) {
        if let Err(fault) = catch_unwind(AssertUnwindSafe(|| property(input))) {
            eprintln!("broken by {name}: {}", input.escape_ascii());
            resume_unwind(fault);
        }
    }

    #[test]
    fn every_input_of_the_corpus_keeps_its_property() {
        for (target, property) in ALL {
            for (name, input) in corpus(target) {
                holds(property, &name, &input);
            }
        }
    }

    #[test]
    fn every_corpus_and_every_target_has_its_property() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        for folder in ["corpus", "fuzz_targets"] {
            let mut found: Vec<_> = fs::read_dir(fuzz.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
            found.sort();
            let found: Vec<_> = found.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
            let mut want = ALL.map(|(target, _)| target);
            want.sort_unstable();
            assert_eq!(found, want, "{folder}");
        }
    }

    /// What a fuzzer does first, without one: a few bytes of an input changed, dropped, doubled, or put in from another one.
    #[test]
    fn inputs_near_the_corpus_keep_their_properties() {
        for (target, property) in ALL {
            let inputs = corpus(target);
            let mut dice = Dice::of(target.as_bytes());
            for _ in 0..1000 {
                let (name, input) = &inputs[dice.throw(inputs.len())];
                let mut input = input.clone();
                input.truncate(1000);
                for _ in 0..=dice.throw(3) {
                    let at = dice.throw(input.len() + 1);
                    let end = input.len().min(at + dice.throw(9));
                    let (_, other) = &inputs[dice.throw(inputs.len())];
                    let from = dice.throw(other.len() + 1);
                    let to = other.len().min(from + dice.throw(40));
                    match dice.throw(5) {
                        0 => drop(input.drain(at..end)),
                        1 => input.extend_from_within(at..end),
                        2 => drop(input.splice(at..end, other[from..to].iter().copied())),
                        3 => input.insert(at, u8::try_from(dice.throw(256)).unwrap()),
                        _ => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.throw(8)),
                    }
                }
                holds(property, &format!("something near {name}"), &input);
            }
        }
    }
}
