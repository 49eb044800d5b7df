//! An [`Answer`] of the engine's, or a [`Bad`] request, to status and JSON: the only writer of JSON, and of words for people.

use std::time::Duration;

use serde_json::to_writer;

use crate::docker::Fault;
use crate::drain;
use crate::engine::{Answer, AppName, Shown};
use crate::http::Bad;
use crate::http::response::Broken;
use crate::limits;

/// What the words are about.
#[derive(Clone, Debug)]
pub struct Words {
    /// Where Docker is, as the operator would write it.
    pub docker: String,
    /// How long it may take.
    pub docker_timeout: Duration,
    /// What stands before each path.
    pub prefix: String,
    /// Whether `command` is left empty.
    pub hide_command: bool,
}

/// The length of `container_id`, in characters.
const SHORT_ID: usize = 10;

impl Words {
    /// Status and JSON of an answer.
    #[must_use]
    pub fn answer(&self, answer: &Answer) -> (u16, Vec<u8>) {
        match answer {
            Answer::Healthy => ok("i'm healthy"),
            Answer::Ready => ok("ready"),
            Answer::NotYet => error(503, 11, "starting", &format!("{} has not answered yet", self.docker)),
            Answer::Drained(drained) => {
                let name = drained.app.as_ref().map_or(drain::HOST, AppName::as_str);
                error(503, 12, "drained", &drained.drain.sentence(name))
            }
            Answer::Up(shown) => (200, self.up(shown)),
            Answer::Down(reason, shown) => {
                let Shown { name, container } = &**shown;
                let colon = if container.status.is_empty() { "" } else { ": " };
                let message = format!("{name} is {}{colon}{}", reason.word(), container.status);
                error(503, 12, reason.word(), &message)
            }
            Answer::NoContainer(app) => {
                let app = app.as_str();
                error(404, 12, "no-container", &format!("no container is named {app} or {app}-<digits>"))
            }
            Answer::Unknown(fault) => {
                let (code, reason) = kind(fault);
                error(503, code, reason, &self.fault(fault))
            }
            Answer::BadName => error(
                400,
                400,
                "bad-name",
                "the name of an app is a letter or digit, then up to 127 letters, digits, dots, dashes and underscores",
            ),
            Answer::NotAllowed => error(405, 405, "method", "only GET, HEAD and OPTIONS are answered"),
            Answer::NotFound => {
                let prefix = &self.prefix;
                error(
                    404,
                    404,
                    "not-found",
                    &format!("no such path; there are {prefix}/health, {prefix}/apps/health/<app>, {prefix}/ready and {prefix}/metrics"),
                )
            }
            Answer::Busy => error(503, 503, "busy", "too many wait for Docker already"),
        }
    }

    /// As [`Words::answer`], for facts that stand though Docker is gone: whoever is up is told so.
    #[must_use]
    pub fn stale(&self, answer: &Answer) -> (u16, Vec<u8>) {
        let (status, mut body) = self.answer(answer);
        if status == 200 {
            body.pop();
            body.extend_from_slice(br#","stale":true}"#);
        }
        (status, body)
    }

    /// The keys in the order of the tool that this one replaces.
    fn up(&self, Shown { name, container }: &Shown) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let command = if self.hide_command { "" } else { &*container.command };
        let id = container.id.char_indices().nth(SHORT_ID).map_or(&*container.id, |(end, _)| container.id.split_at(end).0);
        out.extend_from_slice(br#"{"code":0,"status":"ok","message":{"command":"#);
        text(&mut out, command);
        out.extend_from_slice(br#","container_id":"#);
        text(&mut out, id);
        out.extend_from_slice(format!(r#","created":{},"image":"#, container.created).as_bytes());
        text(&mut out, &container.image);
        out.extend_from_slice(br#","names":"#);
        text(&mut out, name);
        out.extend_from_slice(format!(r#","port":{},"state":"running","status":"#, container.ports).as_bytes());
        text(&mut out, &container.status);
        out.extend_from_slice(b"}}");
        out
    }

    /// What is wrong with Docker, and what would be right.
    #[must_use]
    pub fn fault(&self, fault: &Fault) -> String {
        let docker = &self.docker;
        match fault {
            Fault::NoSocket => format!("cannot connect to {docker}: no such file (is Docker installed and running?)"),
            Fault::Refused => format!("cannot connect to {docker}: connection refused (is Docker running?)"),
            Fault::Denied => format!("cannot connect to {docker}: permission denied (is the service's user in group docker?)"),
            Fault::Unreachable(number) => format!("cannot connect to {docker}: {}", std::io::Error::from_raw_os_error(*number)),
            Fault::Full => format!("{docker} takes no connections: its queue is full (does Docker hang?)"),
            Fault::Late => {
                format!("{docker} did not answer within {} (does Docker hang?)", humantime::format_duration(self.docker_timeout))
            }
            Fault::Reset => format!("{docker} reset the connection"),
            Fault::Broken(Broken::Head) => format!("{docker} answered something that is not HTTP (is it Docker?)"),
            Fault::Broken(Broken::Framing | Broken::Chunk) => format!("{docker} answered with broken HTTP framing"),
            Fault::Broken(Broken::CutShort) => format!("{docker} closed the connection before its answer was complete"),
            Fault::NotEvents => format!("{docker} sent something that is not an event"),
            Fault::NotAList => format!("{docker} answered something that is not a list of containers (is it Docker?)"),
            Fault::TooLarge => {
                let mib = |bytes: usize| bytes >> 20;
                format!(
                    "{docker} answered with more than {} MiB, {} containers, or {} MiB for one of them",
                    mib(limits::LIST_BYTES),
                    limits::CONTAINERS,
                    mib(limits::CONTAINER_BYTES)
                )
            }
            Fault::Status(status, words) if words.is_empty() => format!("{docker} answered {status}"),
            Fault::Status(status, words) => format!("{docker} answered {status}: {words}"),
            Fault::WantsVersion(_) => format!("{docker} wants a version in paths"),
        }
    }
}

/// Code and reason of a fault of Docker's: not reached, wrong, or not in time.
const fn kind(fault: &Fault) -> (u16, &'static str) {
    match fault {
        Fault::NoSocket | Fault::Refused | Fault::Denied | Fault::Unreachable(_) => (10, "docker-unreachable"),
        Fault::Full | Fault::Late => (11, "docker-timeout"),
        Fault::Reset
        | Fault::Broken(_)
        | Fault::NotAList
        | Fault::NotEvents
        | Fault::TooLarge
        | Fault::Status(..)
        | Fault::WantsVersion(_) => (11, "docker-error"),
    }
}

/// Status and reason of a request that was refused.
#[must_use]
pub const fn refusal(bad: Bad) -> (u16, &'static str) {
    match bad {
        Bad::Syntax | Bad::Target | Bad::Host | Bad::Framing | Bad::CutShort => (400, "bad-request"),
        Bad::Late => (408, "timeout"),
        Bad::TargetTooLong => (414, "too-long"),
        Bad::HeadTooLarge => (431, "too-large"),
        Bad::Coding | Bad::Connect => (501, "not-implemented"),
        Bad::Version => (505, "version"),
    }
}

/// Status and JSON for a request that was refused.
#[must_use]
pub fn refused(bad: Bad) -> (u16, Vec<u8>) {
    let (status, reason) = refusal(bad);
    let message = match bad {
        Bad::Syntax => "not a request of HTTP/1.1: lines end with CR LF, fields look like \"Name: value\", none is folded",
        Bad::Target => "the target of the request is neither a path nor an http URL, or is badly encoded",
        Bad::Host => "HTTP/1.1 wants one Host field with one host in it",
        Bad::Framing => "the length of the body is in doubt: one Content-Length, or Transfer-Encoding: chunked, but not both",
        Bad::CutShort => "the connection was closed in the middle of the request",
        Bad::Late => "the request did not end in time",
        Bad::TargetTooLong => "the target of the request is longer than 4 KiB",
        Bad::HeadTooLarge => "the head of the request is longer than 8 KiB or has more than 64 fields",
        Bad::Coding => "no transfer coding but chunked is understood",
        Bad::Connect => "this is no proxy",
        Bad::Version => "only HTTP/1.1 and HTTP/1.0 are spoken",
    };
    error(status, status, reason, message)
}

fn ok(message: &str) -> (u16, Vec<u8>) {
    let mut out = br#"{"code":0,"status":"ok","message":"#.to_vec();
    text(&mut out, message);
    out.push(b'}');
    (200, out)
}

fn error(status: u16, code: u16, reason: &str, message: &str) -> (u16, Vec<u8>) {
    let mut out = format!(r#"{{"code":{code},"status":"error","message":"#).into_bytes();
    text(&mut out, message);
    out.extend_from_slice(br#","reason":"#);
    text(&mut out, reason);
    out.push(b'}');
    (status, out)
}

/// A string with its quotes.
fn text(out: &mut Vec<u8>, text: &str) {
    // A vector takes all bytes and a string is always JSON.
    let _ = to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::{ApiVersion, Container};
    use crate::drain::Drain;
    use crate::engine::{Drained, Reason};

    fn words() -> Words {
        Words { docker: "/var/run/docker.sock".into(), docker_timeout: Duration::from_secs(5), prefix: "/chc".into(), hide_command: false }
    }

    fn shown() -> Box<Shown> {
        let container = Container {
            id: "037dbe46cd0b2cf5".into(),
            image: "python36e:1.1".into(),
            command: "sh /build/builder".into(),
            created: 1_709_878_119,
            ports: "[]".into(),
            status: "Up 5 days".into(),
            ..Container::default()
        };
        Box::new(Shown { name: "bk_iam-1709878117".into(), container })
    }

    fn told(answer: &Answer) -> (u16, String) {
        let (status, body) = words().answer(answer);
        let _: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    #[test]
    fn the_exact_json_of_the_old_tool() {
        let up = r#"{"code":0,"status":"ok","message":{"command":"sh /build/builder","container_id":"037dbe46cd","created":1709878119,"image":"python36e:1.1","names":"bk_iam-1709878117","port":[],"state":"running","status":"Up 5 days"}}"#;
        assert_eq!(told(&Answer::Up(shown())), (200, up.into()));
        assert_eq!(told(&Answer::Healthy), (200, r#"{"code":0,"status":"ok","message":"i'm healthy"}"#.into()));
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    fn every_other_answer() {
        let app = AppName::parse(b"bk_iam").unwrap();
        let unknown = |fault| Answer::Unknown(fault);
        let drained = |app, reason: &str| {
            let drain = Drain { reason: reason.into(), by: "root".into(), until: Some(1_795_615_200) };
            Answer::Drained(Box::new(Drained { app, drain, left: Some(7) }))
        };
        let exited = |status: &str| {
            let mut shown = shown();
            shown.container.status = status.into();
            Answer::Down(Reason::Exited, shown)
        };
        let cases = [
            (Answer::Ready, 200, 0, "", "ready"),
            (Answer::NotYet, 503, 11, "starting", "/var/run/docker.sock has not answered yet"),
            (drained(Some(app), "deploy"), 503, 12, "drained", "bk_iam is drained: deploy (by root, until 2026-11-25T14:00:00Z)"),
            (drained(None, "a \"b\""), 503, 12, "drained", "this host is drained: a \"b\" (by root, until 2026-11-25T14:00:00Z)"),
            (exited("Exited (137) 3 minutes ago"), 503, 12, "exited", "bk_iam-1709878117 is exited: Exited (137) 3 minutes ago"),
            (exited(""), 503, 12, "exited", "bk_iam-1709878117 is exited"),
            (Answer::NoContainer(app), 404, 12, "no-container", "no container is named bk_iam or bk_iam-<digits>"),
            (Answer::NotAllowed, 405, 405, "method", "only GET, HEAD and OPTIONS are answered"),
            (
                Answer::NotFound,
                404,
                404,
                "not-found",
                "no such path; there are /chc/health, /chc/apps/health/<app>, /chc/ready and /chc/metrics",
            ),
            (Answer::Busy, 503, 503, "busy", "too many wait for Docker already"),
            (
                unknown(Fault::Denied),
                503,
                10,
                "docker-unreachable",
                "cannot connect to /var/run/docker.sock: permission denied (is the service's user in group docker?)",
            ),
            (
                unknown(Fault::NoSocket),
                503,
                10,
                "docker-unreachable",
                "cannot connect to /var/run/docker.sock: no such file (is Docker installed and running?)",
            ),
            (
                unknown(Fault::Refused),
                503,
                10,
                "docker-unreachable",
                "cannot connect to /var/run/docker.sock: connection refused (is Docker running?)",
            ),
            (
                unknown(Fault::Unreachable(113)),
                503,
                10,
                "docker-unreachable",
                "cannot connect to /var/run/docker.sock: No route to host (os error 113)",
            ),
            (
                unknown(Fault::Full),
                503,
                11,
                "docker-timeout",
                "/var/run/docker.sock takes no connections: its queue is full (does Docker hang?)",
            ),
            (unknown(Fault::Late), 503, 11, "docker-timeout", "/var/run/docker.sock did not answer within 5s (does Docker hang?)"),
            (unknown(Fault::Reset), 503, 11, "docker-error", "/var/run/docker.sock reset the connection"),
            (
                unknown(Fault::Broken(Broken::Head)),
                503,
                11,
                "docker-error",
                "/var/run/docker.sock answered something that is not HTTP (is it Docker?)",
            ),
            (unknown(Fault::Broken(Broken::Chunk)), 503, 11, "docker-error", "/var/run/docker.sock answered with broken HTTP framing"),
            (
                unknown(Fault::Broken(Broken::CutShort)),
                503,
                11,
                "docker-error",
                "/var/run/docker.sock closed the connection before its answer was complete",
            ),
            (
                unknown(Fault::NotAList),
                503,
                11,
                "docker-error",
                "/var/run/docker.sock answered something that is not a list of containers (is it Docker?)",
            ),
            (
                unknown(Fault::TooLarge),
                503,
                11,
                "docker-error",
                "/var/run/docker.sock answered with more than 16 MiB, 20000 containers, or 1 MiB for one of them",
            ),
            (unknown(Fault::Status(500, "no \"way\"".into())), 503, 11, "docker-error", "/var/run/docker.sock answered 500: no \"way\""),
            (unknown(Fault::Status(500, "".into())), 503, 11, "docker-error", "/var/run/docker.sock answered 500"),
            (
                unknown(Fault::WantsVersion(ApiVersion::parse(b"1.44").unwrap())),
                503,
                11,
                "docker-error",
                "/var/run/docker.sock wants a version in paths",
            ),
        ];
        for (answer, status, code, reason, message) in cases {
            let message = serde_json::to_string(message).unwrap();
            let want = if status == 200 {
                format!(r#"{{"code":0,"status":"ok","message":{message}}}"#)
            } else {
                format!(r#"{{"code":{code},"status":"error","message":{message},"reason":"{reason}"}}"#)
            };
            assert_eq!(told(&answer), (status, want));
        }
        assert_eq!(words().answer(&Answer::BadName).0, 400);
    }

    #[test]
    fn what_docker_says_is_escaped_and_a_command_can_be_hidden() {
        let mut hostile = shown();
        hostile.container.command = "sh -c \"echo \\ \u{1}\n\u{2028}</script>\"".into();
        let (_, body) = told(&Answer::Up(hostile));
        assert!(body.contains(r#""command":"sh -c \"echo \\ \u0001\n"#), "{body}");
        let hidden = Words { hide_command: true, ..words() };
        assert!(hidden.answer(&Answer::Up(shown())).1.starts_with(br#"{"code":0,"status":"ok","message":{"command":"","#));
    }

    #[test]
    fn a_short_id_is_shown_whole() {
        let mut shown = shown();
        shown.container.id = "abc".into();
        assert!(told(&Answer::Up(shown)).1.contains(r#""container_id":"abc""#));
    }

    #[test]
    fn every_refusal_has_its_status_as_code() {
        for bad in Bad::ALL {
            let (status, body) = refused(bad);
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["code"], status);
            assert_eq!(body["reason"], refusal(bad).1);
        }
        assert_eq!(limits::TARGET_BYTES, 4 * 1024, "the words say so");
        assert_eq!((limits::HEAD_BYTES, limits::HEADERS), (8 * 1024, 64), "the words say so");
    }
}
