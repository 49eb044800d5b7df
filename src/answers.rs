//! An [`Answer`] of the engine's, or a [`Bad`] request, to status and JSON: the only writer of JSON, and of words for people.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::to_writer;

use crate::config::{CheckUrl, Config};
use crate::docker::{Fault, Parts};
use crate::drain;
use crate::engine::groups::{Row, Standing};
use crate::engine::{Answer, AppName, CheckFault, Reason, Shown, Trust};
use crate::http::Bad;
use crate::http::response::Broken;
use crate::limits;
use crate::lost::Lost;

/// What the words are about.
#[derive(Clone, Debug)]
pub struct Words {
    /// Where Docker is, as the operator would write it.
    pub docker: String,
    /// How long it may take.
    pub docker_timeout: Duration,
    /// How apps are checked, if they are.
    pub check: Option<CheckUrl>,
    /// How long that may take.
    pub check_timeout: Duration,
    /// What stands before each path.
    pub prefix: String,
    /// Whether `command` is left empty.
    pub hide_command: bool,
}

/// The length of `container_id`, in characters.
const SHORT_ID: usize = 10;

impl Words {
    /// Those about what the operator chose.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            docker: config.docker_host.to_string(),
            docker_timeout: config.docker_timeout,
            check: config.check(),
            check_timeout: config.check_timeout,
            prefix: config.prefix.clone(),
            hide_command: config.hide_command,
        }
    }

    /// Appends the JSON of an answer, without allocating for it; gives its status.
    pub fn answer(&self, answer: &Answer, out: &mut Vec<u8>) -> u16 {
        let mut status = 200;
        if let Answer::Up(shown) = answer {
            self.up(shown, out);
        } else if let Answer::Healthy = answer {
            ok(out, "i'm healthy");
        } else if let Answer::Ready = answer {
            ok(out, "ready");
        } else {
            self.wrong(answer, &mut |given, code, reason, message| {
                status = given;
                error(out, code, reason, message);
            });
        }
        status
    }

    /// Tells what is wrong: status, code, reason and message, once; of an answer that is good, nothing.
    pub fn wrong(&self, answer: &Answer, tell: &mut dyn FnMut(u16, u16, &str, fmt::Arguments<'_>)) {
        match answer {
            Answer::Healthy | Answer::Ready | Answer::Up(_) => {}
            Answer::NotYet => tell(503, 11, "starting", format_args!("{} has not answered yet", self.docker)),
            Answer::Drained(drained) => {
                let name = drained.app.as_ref().map_or(drain::HOST, AppName::as_str);
                tell(503, 12, Reason::Drained.word(), format_args!("{}", drained.drain.sentence(name)));
            }
            Answer::Down(reason, shown) => {
                let Shown { name, container } = &**shown;
                let (reason, status) = (reason.word(), container.parts().status);
                let colon = if status.is_empty() { "" } else { ": " };
                tell(503, 12, reason, format_args!("{name} is {reason}{colon}{status}"));
            }
            Answer::Checking(container) => {
                tell(503, 12, Reason::Checking.word(), format_args!("{container} is up, and its first check has not ended yet"));
            }
            Answer::CheckFailed(failed) => {
                let what = self.check(&failed.app, failed.fault);
                tell(503, 12, Reason::CheckFailed.word(), format_args!("{} is up, but {what}", failed.container));
            }
            Answer::NoContainer { app, expected } => {
                let app = app.as_str();
                let status = if *expected { 503 } else { 404 };
                let words = format_args!("no container is named {app} or {app}-<digits>, or labelled {app}");
                tell(status, 12, Reason::NoContainer.word(), words);
            }
            Answer::Unknown(fault) => {
                let reason = Reason::of(fault);
                let code = if reason == Reason::DockerUnreachable { 10 } else { 11 };
                tell(503, code, reason.word(), format_args!("{}", self.fault(fault)));
            }
            Answer::BadName => tell(
                400,
                400,
                "bad-name",
                format_args!("the name of an app is a letter or digit, then up to 127 letters, digits, dots, dashes and underscores"),
            ),
            Answer::BadQuery(wants) => tell(400, 400, "bad-request", format_args!("{wants}")),
            Answer::NotAllowed => tell(405, 405, "method", format_args!("only GET, HEAD and OPTIONS are answered")),
            Answer::NotFound => {
                let prefix = &self.prefix;
                tell(
                    404,
                    404,
                    "not-found",
                    format_args!(
                        "no such path; there are {prefix}/health, {prefix}/apps, {prefix}/apps/health/<app>, {prefix}/ready, {prefix}/status and {prefix}/metrics"
                    ),
                );
            }
            Answer::Busy => tell(503, 503, "busy", format_args!("too many wait already")),
        }
    }

    /// JSON of all apps, which are sorted by name: nothing in it changes but what a balancer would act on.
    #[must_use]
    pub fn apps(docker: Trust, apps: &[(&str, &Standing)]) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + 80 * apps.len());
        out.extend_from_slice(br#"{"code":0,"status":"ok","message":{"docker":""#);
        out.extend_from_slice(docker.word().as_bytes());
        out.extend_from_slice(br#"","apps":{"#);
        for (at, (name, Standing { row: Row { fault, containers, since }, .. })) in apps.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            json(&mut out, name);
            out.extend_from_slice(br#":{"up":"#);
            json(&mut out, &fault.is_none());
            if let Some(reason) = fault {
                out.extend_from_slice(br#","reason":"#);
                json(&mut out, reason.word());
            }
            out.extend_from_slice(br#","containers":"#);
            json(&mut out, containers);
            out.extend_from_slice(br#","since":"#);
            json(&mut out, since);
            out.push(b'}');
        }
        out.extend_from_slice(b"}}}");
        out
    }

    /// As [`Words::answer`], for facts that stand though Docker is gone: whoever is up is told so.
    pub fn stale(&self, answer: &Answer, out: &mut Vec<u8>) -> u16 {
        let status = self.answer(answer, out);
        if status == 200 {
            out.pop();
            out.extend_from_slice(br#","stale":true}"#);
        }
        status
    }

    /// The keys in the order of the tool that this one replaces.
    fn up(&self, Shown { name, container }: &Shown, out: &mut Vec<u8>) {
        let Parts { id, image, command, status, ports, .. } = container.parts();
        let command = if self.hide_command { "" } else { command };
        let id = id.char_indices().nth(SHORT_ID).map_or(id, |(end, _)| id.split_at(end).0);
        out.extend_from_slice(br#"{"code":0,"status":"ok","message":{"command":"#);
        json(out, command);
        out.extend_from_slice(br#","container_id":"#);
        json(out, id);
        out.extend_from_slice(br#","created":"#);
        json(out, &container.created);
        out.extend_from_slice(br#","image":"#);
        json(out, image);
        out.extend_from_slice(br#","names":"#);
        json(out, &**name);
        out.extend_from_slice(br#","port":"#);
        // It is JSON already.
        out.extend_from_slice(ports.as_bytes());
        out.extend_from_slice(br#","state":"running","status":"#);
        json(out, status);
        out.extend_from_slice(b"}}");
    }

    /// What is wrong with an app's answer.
    #[must_use]
    pub fn check(&self, app: &AppName, fault: CheckFault) -> String {
        let get = self.check.as_ref().map_or_else(String::new, |url| format!("GET {}", url.of(app)));
        match fault {
            CheckFault::Status(status) => format!("{get} answered {status}"),
            CheckFault::Late => format!("{get} did not answer within {}", humantime::format_duration(self.check_timeout)),
            CheckFault::Lost(Lost::Refused) => format!("{get} failed: connection refused"),
            CheckFault::Lost(Lost::NoSocket) => format!("{get} failed: no such socket"),
            CheckFault::Lost(Lost::Denied) => format!("{get} failed: permission denied"),
            CheckFault::Lost(Lost::Full) => format!("{get} failed: the queue of the socket is full"),
            CheckFault::Lost(Lost::Unreachable(number) | Lost::Ours(number)) => {
                format!("{get} failed: {}", std::io::Error::from_raw_os_error(number))
            }
            CheckFault::Lost(Lost::Reset) => format!("{get} reset the connection"),
            CheckFault::Closed => format!("{get} closed the connection without an answer"),
            CheckFault::Malformed => format!("{get} answered something that is not HTTP"),
        }
    }

    /// What is wrong with Docker, and what would be right.
    #[must_use]
    pub fn fault(&self, fault: &Fault) -> String {
        let docker = &self.docker;
        match fault {
            Fault::Lost(Lost::NoSocket) => format!("cannot connect to {docker}: no such file (is Docker installed and running?)"),
            Fault::Lost(Lost::Refused) => format!("cannot connect to {docker}: connection refused (is Docker running?)"),
            Fault::Lost(Lost::Denied) => format!("cannot connect to {docker}: permission denied (is the service's user in group docker?)"),
            Fault::Lost(Lost::Unreachable(number) | Lost::Ours(number)) => {
                format!("cannot connect to {docker}: {}", std::io::Error::from_raw_os_error(*number))
            }
            Fault::Lost(Lost::Full) => format!("{docker} takes no connections: its queue is full (does Docker hang?)"),
            Fault::Late => {
                format!("{docker} did not answer within {} (does Docker hang?)", humantime::format_duration(self.docker_timeout))
            }
            Fault::Lost(Lost::Reset) => format!("{docker} reset the connection"),
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

/// Status and JSON in place of a large answer, when too much is unread already.
#[must_use]
pub fn crowded() -> (u16, Vec<u8>) {
    let mut body = Vec::new();
    error(&mut body, 503, "busy", format_args!("no large answer is made before clients have read what they asked for"));
    (503, body)
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
    let mut out = Vec::new();
    error(&mut out, status, reason, format_args!("{message}"));
    (status, out)
}

fn ok(out: &mut Vec<u8>, message: &str) {
    out.extend_from_slice(br#"{"code":0,"status":"ok","message":"#);
    json(out, message);
    out.push(b'}');
}

fn error(out: &mut Vec<u8>, code: u16, reason: &str, message: fmt::Arguments<'_>) {
    out.extend_from_slice(br#"{"code":"#);
    json(out, &code);
    out.extend_from_slice(br#","status":"error","message":"#);
    json(out, &message);
    out.extend_from_slice(br#","reason":"#);
    json(out, reason);
    out.push(b'}');
}

/// A number, a truth, or text with its quotes.
fn json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // A vector takes all bytes, and these are always JSON.
    let _ = to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Address;
    use crate::docker::{ApiVersion, Container, Texts};
    use crate::drain::Drain;
    use crate::engine::{AppName, CheckFailed, Drained, Reason};

    fn words() -> Words {
        Words { prefix: "/chc".into(), ..Words::of(&Config::default()) }
    }

    fn shown() -> Shown {
        let parts = Parts {
            id: "037dbe46cd0b2cf5",
            image: "python36e:1.1",
            command: "sh /build/builder",
            ports: "[]",
            status: "Up 5 days",
            ..Parts::default()
        };
        let container = Container { texts: Texts::of(&parts), created: 1_709_878_119, ..Container::default() };
        Shown { name: "bk_iam-1709878117".into(), container }
    }

    fn told(answer: &Answer) -> (u16, String) {
        let mut body = Vec::new();
        let status = words().answer(answer, &mut body);
        let _: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    #[test]
    fn the_exact_json_of_the_old_tool() {
        let up = r#"{"code":0,"status":"ok","message":{"command":"sh /build/builder","container_id":"037dbe46cd","created":1709878119,"image":"python36e:1.1","names":"bk_iam-1709878117","port":[],"state":"running","status":"Up 5 days"}}"#;
        assert_eq!(told(&Answer::Up(Box::new(shown()))), (200, up.into()));
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
            shown.container.set_status(status);
            Answer::Down(Reason::Exited, Box::new(shown))
        };
        let cases = [
            (Answer::Ready, 200, 0, "", "ready"),
            (Answer::NotYet, 503, 11, "starting", "/var/run/docker.sock has not answered yet"),
            (drained(Some(app), "deploy"), 503, 12, "drained", "bk_iam is drained: deploy (by root, until 2026-11-25T14:00:00Z)"),
            (drained(None, "a \"b\""), 503, 12, "drained", "this host is drained: a \"b\" (by root, until 2026-11-25T14:00:00Z)"),
            (exited("Exited (137) 3 minutes ago"), 503, 12, "exited", "bk_iam-1709878117 is exited: Exited (137) 3 minutes ago"),
            (exited(""), 503, 12, "exited", "bk_iam-1709878117 is exited"),
            (
                Answer::NoContainer { app, expected: false },
                404,
                12,
                "no-container",
                "no container is named bk_iam or bk_iam-<digits>, or labelled bk_iam",
            ),
            (Answer::NotAllowed, 405, 405, "method", "only GET, HEAD and OPTIONS are answered"),
            (
                Answer::NotFound,
                404,
                404,
                "not-found",
                "no such path; there are /chc/health, /chc/apps, /chc/apps/health/<app>, /chc/ready, /chc/status and /chc/metrics",
            ),
            (Answer::Busy, 503, 503, "busy", "too many wait already"),
            (
                unknown(Fault::Lost(Lost::Denied)),
                503,
                10,
                "docker-unreachable",
                "cannot connect to /var/run/docker.sock: permission denied (is the service's user in group docker?)",
            ),
            (
                unknown(Fault::Lost(Lost::NoSocket)),
                503,
                10,
                "docker-unreachable",
                "cannot connect to /var/run/docker.sock: no such file (is Docker installed and running?)",
            ),
            (
                unknown(Fault::Lost(Lost::Refused)),
                503,
                10,
                "docker-unreachable",
                "cannot connect to /var/run/docker.sock: connection refused (is Docker running?)",
            ),
            (
                unknown(Fault::Lost(Lost::Unreachable(113))),
                503,
                10,
                "docker-unreachable",
                "cannot connect to /var/run/docker.sock: No route to host (os error 113)",
            ),
            (
                unknown(Fault::Lost(Lost::Full)),
                503,
                11,
                "docker-timeout",
                "/var/run/docker.sock takes no connections: its queue is full (does Docker hang?)",
            ),
            (unknown(Fault::Late), 503, 11, "docker-timeout", "/var/run/docker.sock did not answer within 5s (does Docker hang?)"),
            (unknown(Fault::Lost(Lost::Reset)), 503, 11, "docker-error", "/var/run/docker.sock reset the connection"),
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
        assert_eq!(told(&Answer::BadName).0, 400);
    }

    #[test]
    fn what_is_wrong_with_an_app_that_is_checked() {
        let app = AppName::parse(b"bk_iam").unwrap();
        let check = Some(CheckUrl { address: Address::Tcp("127.0.0.1:8010".parse().unwrap()), path: "/o/{app}/".into() });
        let words = Words { check, ..words() };
        let cases = [
            (CheckFault::Status(502), "answered 502"),
            (CheckFault::Late, "did not answer within 3s"),
            (CheckFault::Lost(Lost::Refused), "failed: connection refused"),
            (CheckFault::Lost(Lost::NoSocket), "failed: no such socket"),
            (CheckFault::Lost(Lost::Denied), "failed: permission denied"),
            (CheckFault::Lost(Lost::Full), "failed: the queue of the socket is full"),
            (CheckFault::Lost(Lost::Unreachable(113)), "failed: No route to host (os error 113)"),
            (CheckFault::Lost(Lost::Reset), "reset the connection"),
            (CheckFault::Closed, "closed the connection without an answer"),
            (CheckFault::Malformed, "answered something that is not HTTP"),
        ];
        for (fault, message) in cases {
            let answer = Answer::CheckFailed(Box::new(CheckFailed { app, container: "bk_iam-1709878117".into(), fault }));
            let message = format!("bk_iam-1709878117 is up, but GET http://127.0.0.1:8010/o/bk_iam/ {message}");
            let want = format!(r#"{{"code":12,"status":"error","message":"{message}","reason":"check-failed"}}"#);
            let mut body = Vec::new();
            assert_eq!((words.answer(&answer, &mut body), String::from_utf8(body).unwrap()), (503, want));
        }
        let checking =
            r#"{"code":12,"status":"error","message":"bk_iam-1 is up, and its first check has not ended yet","reason":"checking"}"#;
        assert_eq!(told(&Answer::Checking("bk_iam-1".into())), (503, checking.into()));
    }

    #[test]
    fn what_docker_says_is_escaped_and_a_command_can_be_hidden() {
        let mut hostile = shown();
        let command = "sh -c \"echo \\ \u{1}\n\u{2028}</script>\"";
        hostile.container.texts = Texts::of(&Parts { command, ..hostile.container.parts() });
        let (_, body) = told(&Answer::Up(Box::new(hostile)));
        assert!(body.contains(r#""command":"sh -c \"echo \\ \u0001\n"#), "{body}");
        let hidden = Words { hide_command: true, ..words() };
        let mut body = Vec::new();
        hidden.answer(&Answer::Up(Box::new(shown())), &mut body);
        assert!(body.starts_with(br#"{"code":0,"status":"ok","message":{"command":"","#));
    }

    #[test]
    fn a_short_id_is_shown_whole() {
        let mut shown = shown();
        shown.container.texts = Texts::of(&Parts { id: "abc", ..shown.container.parts() });
        assert!(told(&Answer::Up(Box::new(shown))).1.contains(r#""container_id":"abc""#));
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
