//! `check`: one line about an app, and what a monitoring plugin would exit with.

use std::time::Duration;

use serde_json::Value;

use super::ask::{Said, Server};
use super::{Clock, DOWN, OK, UNKNOWN, pause};
use crate::drain::plain;
use crate::engine::AppName;

/// Asks about the app, again and again for that time until it is up.
pub(super) fn check(server: &Server, app: &AppName, wait: Duration) -> (u8, String) {
    let path = format!("/apps/health/{}", app.as_str());
    let mut clock = Clock::new();
    let until = clock.now() + wait;
    loop {
        let (code, line) = match server.get(&path, server.patience) {
            Ok(said) => judge(app.as_str(), &said),
            Err(wrong) => (UNKNOWN, wrong),
        };
        clock.read();
        let left = until.saturating_duration_since(clock.now());
        if code == OK || left.is_zero() {
            return (code, line + "\n");
        }
        pause(left);
    }
}

/// The exit code and the line that an answer comes to.
fn judge(app: &str, said: &Said) -> (u8, String) {
    let Said { status, body } = said;
    let word = |key| body.get("message").and_then(|message| message.get(key)).and_then(Value::as_str).unwrap_or_default();
    if *status == 200 && said.code() == Some(0) && !word("names").is_empty() {
        let stale = if body.get("stale").is_some() { ", as last known: Docker does not answer" } else { "" };
        return (OK, plain(&format!("{app} is up: {} ({}){stale}", word("status"), word("names"))));
    }
    let is_down = *status == 503 && said.code() == Some(12);
    (if is_down { DOWN } else { UNKNOWN }, said.wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_what_they_come_to() {
        let up = r#"{"code":0,"status":"ok","message":{"names":"bk_iam-1","status":"Up 5 days"}}"#;
        let stale = r#"{"code":0,"status":"ok","message":{"names":"bk_iam-1","status":"Up 5 days"},"stale":true}"#;
        let error = |code: u16, message: &str| format!(r#"{{"code":{code},"status":"error","message":"{message}","reason":"x"}}"#);
        let cases = [
            (200, up.to_owned(), OK, "bk_iam is up: Up 5 days (bk_iam-1)"),
            (200, stale.to_owned(), OK, "bk_iam is up: Up 5 days (bk_iam-1), as last known: Docker does not answer"),
            (503, error(12, "bk_iam-1 is exited: Exited (1)"), DOWN, "bk_iam-1 is exited: Exited (1)"),
            (503, error(12, r"bk_iam is drained: \u001b[2J"), DOWN, "bk_iam is drained: [2J"),
            (503, error(10, "no Docker"), UNKNOWN, "no Docker"),
            (503, error(11, "late"), UNKNOWN, "late"),
            (503, error(503, "busy"), UNKNOWN, "busy"),
            (404, error(12, "no container"), UNKNOWN, "no container"),
            (404, error(404, "no such path"), UNKNOWN, "no such path"),
            (502, "[]".to_owned(), UNKNOWN, "it answered 502, which is no verdict (is it another server?)"),
            (200, r#"{"status":"UP"}"#.to_owned(), UNKNOWN, "it answered 200, which is no verdict (is it another server?)"),
            (200, r#"{"code":0,"message":"hello"}"#.to_owned(), UNKNOWN, "hello"),
        ];
        for (status, body, code, line) in cases {
            let said = Said { status, body: serde_json::from_str(&body).unwrap() };
            assert_eq!(judge("bk_iam", &said), (code, line.to_owned()), "{body}");
        }
    }
}
