//! Tables for people, readable at eighty columns.

use serde_json::Value;

use super::ask::Said;
use crate::drain::{plain, written};
use crate::io::drains::Known;

/// The widest that a column is made for the sake of its rows; a longer text pushes the rest of its row.
const WIDEST: usize = 31;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// All apps, given the answer of `P/apps` and the present second of Unix time; none if it is no such answer.
pub(super) fn apps(said: &Said, unix: u64, colour: bool) -> Option<String> {
    let message = said.body.get("message")?;
    let docker = message.get("docker")?.as_str()?;
    let mut rows = Vec::new();
    let (mut up, mut unknown) = (0_usize, 0_usize);
    for (name, app) in message.get("apps")?.as_object()? {
        let is_up = app.get("up")?.as_bool()?;
        let reason = app.get("reason").and_then(Value::as_str).unwrap_or_default();
        // Docker's fault says nothing of the app.
        let is_unknown = !is_up && reason.starts_with("docker-");
        up = up.saturating_add(usize::from(is_up));
        unknown = unknown.saturating_add(usize::from(is_unknown));
        let word = if is_up {
            "up"
        } else if is_unknown {
            "unknown"
        } else {
            "down"
        };
        let state = plain(&format!("{word} {reason}"));
        let since = app.get("since").and_then(Value::as_u64).map(|since| age(unix.saturating_sub(since))).unwrap_or_default();
        let containers = app.get("containers").and_then(Value::as_u64).unwrap_or_default().to_string();
        rows.push(([plain(name), state, since, containers], if is_up { GREEN } else { RED }));
    }
    let (all, down) = (rows.len(), rows.len().saturating_sub(up).saturating_sub(unknown));
    let (docker, plural) = (plain(docker), if all == 1 { "" } else { "s" });
    let unknown = if unknown > 0 { format!(", {unknown} unknown") } else { String::new() };
    let head = format!("docker is {docker}; {all} app{plural}, {up} up, {down} down{unknown}\n");
    let table = table(["APP", "STATE", "SINCE", "CONTAINERS"], &rows, colour);
    Some(if rows.is_empty() { head } else { head + &table })
}

/// Whether any of all apps waits for its first check.
pub(super) fn is_checking(said: &Said) -> bool {
    let apps = said.body.get("message").and_then(|message| message.get("apps")).and_then(Value::as_object);
    apps.is_some_and(|apps| apps.values().any(|app| app.get("reason").and_then(Value::as_str) == Some("checking")))
}

/// All drains.
pub(super) fn drains(files: &[(Box<str>, Known)]) -> String {
    let row = |(name, known): &(Box<str>, Known)| {
        let Known { drain, wrong, over, .. } = known;
        let reason = wrong.as_ref().map_or_else(|| drain.reason.clone(), |wrong| format!("({wrong})"));
        let until = drain.until.map(written).unwrap_or_default() + if *over { " (over)" } else { "" };
        ([name.to_string(), reason, drain.by.clone(), until], "")
    };
    let rows: Vec<_> = files.iter().map(row).collect();
    if rows.is_empty() { "nothing is drained\n".to_owned() } else { table(["APP", "REASON", "BY", "UNTIL"], &rows, false) }
}

/// Columns as wide as what stands in them. The second one has the colour of its row.
fn table(head: [&str; 4], rows: &[([String; 4], &str)], colour: bool) -> String {
    let head = (head.map(ToOwned::to_owned), "");
    let all = || std::iter::once(&head).chain(rows);
    let width = |text: &String| text.chars().count();
    let mut text = String::new();
    let mut widths = [0; 4];
    for (row, _) in all() {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).min(WIDEST).max(*widest);
        }
    }
    for (row, hue) in all() {
        let mut line = String::new();
        for (column, (cell, widest)) in row.iter().zip(widths).enumerate() {
            let coloured = colour && column == 1 && !hue.is_empty();
            line.push_str(if coloured { hue } else { "" });
            line.push_str(cell);
            line.push_str(if coloured { PLAIN } else { "" });
            line.extend(std::iter::repeat_n(' ', widest.saturating_sub(width(cell)).saturating_add(2)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A time in its largest whole unit.
fn age(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let (length, unit) = units.into_iter().find(|(length, _)| seconds >= *length).unwrap_or((1, "s"));
    (seconds / length).to_string() + unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::Drain;

    const NOW: u64 = 1_795_615_200;

    fn shown(message: &str, colour: bool) -> Option<String> {
        let body = format!(r#"{{"code":0,"status":"ok","message":{message}}}"#);
        apps(&Said { status: 200, body: serde_json::from_str(&body).unwrap() }, NOW, colour)
    }

    const TWO: &str = r#"{"docker":"live","apps":{"bk_gse":{"up":false,"reason":"exited","containers":1,"since":1795615140},"bk_iam":{"up":true,"containers":2,"since":1795183200}}}"#;

    #[test]
    fn all_apps() {
        let want = "docker is live; 2 apps, 1 up, 1 down\n\
                    APP     STATE        SINCE  CONTAINERS\n\
                    bk_gse  down exited  1m     1\n\
                    bk_iam  up           5d     2\n";
        assert_eq!(shown(TWO, false).unwrap(), want);
        let coloured = shown(TWO, true).unwrap();
        assert!(coloured.contains("bk_gse  \x1b[31mdown exited\x1b[0m  1m     1\n"), "{coloured:?}");
        assert!(coloured.contains("bk_iam  \x1b[32mup\x1b[0m           5d     2\n"), "{coloured:?}");
        assert_eq!(shown(r#"{"docker":"down","apps":{}}"#, false).unwrap(), "docker is down; 0 apps, 0 up, 0 down\n");
        let unknown = r#"{"docker":"down","apps":{"a":{"up":false,"reason":"docker-timeout","containers":1,"since":1795615140}}}"#;
        let want = "docker is down; 1 app, 0 up, 0 down, 1 unknown\n\
                    APP  STATE                   SINCE  CONTAINERS\n\
                    a    unknown docker-timeout  1m     1\n";
        assert_eq!(shown(unknown, false).unwrap(), want);
    }

    #[test]
    fn the_widest_reason_fits_eighty_columns() {
        let name = "x".repeat(WIDEST);
        let message = format!(
            r#"{{"docker":"down","apps":{{"{name}":{{"up":false,"reason":"docker-unreachable","containers":1,"since":1795615140}}}}}}"#
        );
        let table = shown(&message, false).unwrap();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }

    #[test]
    fn what_is_no_such_answer_is_no_table() {
        for message in [r#""ready""#, "null", r#"{"docker":"live"}"#, r#"{"docker":"live","apps":[]}"#, r#"{"docker":1,"apps":{}}"#] {
            assert_eq!(shown(message, false), None, "{message}");
        }
    }

    #[test]
    fn ages() {
        for (seconds, want) in [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (86_399, "23h"), (432_000, "5d")] {
            assert_eq!(age(seconds), want);
        }
    }

    #[test]
    fn all_drains() {
        assert_eq!(drains(&[]), "nothing is drained\n");
        let known = |reason: &str, until, over, wrong: Option<&str>| {
            let drain = Drain { reason: reason.into(), by: "root".into(), until };
            Known::shown(drain, wrong.map(Into::into), over)
        };
        let files = [
            ("all", known("kernel", None, false, None)),
            ("app", known("", Some(NOW), true, None)),
            ("x", known("", None, false, Some("it is too long"))),
        ]
        .map(|(name, known)| (Box::from(name), known));
        let want = "APP  REASON            BY    UNTIL\n\
                    all  kernel            root\n\
                    app                    root  2026-11-25T14:00:00Z (over)\n\
                    x    (it is too long)  root\n";
        assert_eq!(drains(&files), want);
    }
}
