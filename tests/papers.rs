//! README, its Chinese version, man page and the tables of options and commands agree, and the man page with the limits; README and
//! Cargo.toml do, and all that names the version.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::fs;
use std::path::Path;

use container_healthcheck::config::{COMMANDS, FLAGS, Flag, Form};
use container_healthcheck::docker::{Question, ask};
use container_healthcheck::engine::{self, Trust};
use container_healthcheck::metrics::{All, Process, Traffic};

fn paper(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn row(flag: &Flag) -> String {
    let value = if flag.value.is_empty() { String::new() } else { format!(" {}", flag.value) };
    format!("| `-{}{value}` | {} | {} |", flag.name, flag.default, flag.help)
}

#[test]
fn the_readme_has_the_table_of_options() {
    let readme = paper("README.md");
    let table: Vec<_> = readme.lines().filter(|line| line.starts_with("| `-")).filter(|line| !line.contains("prints")).collect();
    let rows: Vec<_> = FLAGS.iter().map(row).collect();
    assert_eq!(table, rows, "the rows should be:\n{}", rows.join("\n"));
}

/// The flag in the man page, in short lines, since mandoc objects to more than 80 columns.
fn item(flag: &Flag) -> String {
    let value = if flag.value.is_empty() { String::new() } else { format!(" Ar {}", flag.value) };
    format!(".It Fl {}{value}\n{}", flag.name, filled(&format!("{} (default {}).", flag.help, flag.default)))
}

/// In lines of 78 columns.
fn filled(text: &str) -> String {
    let (mut filled, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let separator = match column {
            0 => "",
            _ if column + 1 + word.len() > 78 => "\n",
            _ => " ",
        };
        column = if separator == " " { column + 1 + word.len() } else { word.len() };
        filled = filled + separator + word;
    }
    filled
}

#[test]
fn the_man_page_has_the_table_of_options() {
    let page = paper("packaging/container-healthcheck.8");
    let section = page.split("\n.Sh OPTIONS\n").nth(1).unwrap().split("\n.Sh ").next().unwrap();
    let items = section.split(".Bl -tag -width Ds\n").nth(1).unwrap().split("\n.It Fl help").next().unwrap();
    let wanted = FLAGS.iter().map(item).collect::<Vec<_>>().join("\n");
    assert!(items == wanted, "the options should be:\n{wanted}");
}

#[test]
fn the_chinese_readme_has_the_same_sections_flags_and_defaults() {
    let readme = paper("packaging/doc/README.zh-CN.md");
    let start = |line: &str| line.split('|').take(3).collect::<Vec<_>>().join("|");
    let rows = |text: &str| text.lines().filter(|line| line.starts_with("| `-")).map(start).collect::<Vec<_>>();
    let original = paper("README.md");
    assert_eq!(rows(&readme), rows(&original));
    // Which section was forgotten, a person sees.
    let sections = |text: &str| {
        text.lines()
            .filter_map(|line| line.split_once("# "))
            .filter(|(level, _)| level.chars().all(|c| c == '#'))
            .map(|(level, _)| level.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(sections(&readme), sections(&original));
}

#[test]
fn the_readme_has_the_commands() {
    let readme = paper("README.md");
    let shown: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("    container-healthcheck ")).collect();
    let commands: Vec<_> = COMMANDS.iter().map(|form| format!("{} {}", form.name, form.args).trim_end().to_owned()).collect();
    assert_eq!(shown, commands);
}

/// A command as the man page writes it: its name with the app, and each option.
fn macros(form: &Form) -> (String, Vec<String>) {
    let mut args = form.args.split(" [");
    let app = match args.next() {
        Some("APP|all") => " Ar APP | Cm all",
        Some("APP") => " Ar APP",
        Some("") | None => "",
        Some(other) => panic!("what is {other:?}?"),
    };
    let option = |option: &str| {
        let (flag, value) = option.trim_start_matches('-').trim_end_matches(']').split_once(' ').unwrap();
        format!("Fl {flag} Ar {value}")
    };
    (format!("Cm {}{app}", form.name), args.map(option).collect())
}

#[test]
fn the_man_page_has_the_commands() {
    let page = paper("packaging/container-healthcheck.8");
    let synopsis = |form: &Form| {
        let (name, options) = macros(form);
        options.iter().fold(format!(".Nm\n.Op Ar options\n.{name}\n"), |lines, option| format!("{lines}.Op {option}\n"))
    };
    let wanted: String = COMMANDS.iter().map(synopsis).collect();
    let section = page.split("\n.Sh SYNOPSIS\n").nth(1).unwrap().split(".Sh ").next().unwrap();
    let ours = section.strip_prefix(".Nm\n.Op Ar options\n").and_then(|rest| rest.strip_suffix(".Nm\n.Fl help | version\n"));
    assert!(ours == Some(&wanted), "the synopsis should have:\n{wanted}");

    let item = |form: &Form| {
        let (name, options) = macros(form);
        let last = options.len().saturating_sub(1);
        let one = |(at, option)| if at == last { format!(" Op {option}") } else { format!(" Oo {option} Oc") };
        options.into_iter().enumerate().map(one).fold(format!(".It {name}"), |line, option| line + &option)
    };
    let wanted: Vec<_> = COMMANDS.iter().map(item).collect();
    let section = page.split("\n.Ss Commands\n").nth(1).unwrap().split(".El\n").next().unwrap();
    let items: Vec<_> = section.lines().filter(|line| line.starts_with(".It ")).collect();
    assert_eq!(items, wanted, "the commands should be:\n{}", wanted.join("\n"));
}

/// A constant of `limits.rs`.
struct Limit {
    name: String,
    /// What is bounded.
    title: String,
    value: String,
    /// What happens, and what counts it; none: nobody meets it.
    fate: Option<(String, String)>,
}

/// The sections of one part of `limits.rs`, with their headings.
fn limits(part: &str) -> Vec<(String, Vec<Limit>)> {
    let sections = part.split("\n// ---- ").skip(1);
    let read = |section: &str| {
        let (heading, rest) = section.split_once(".\n").unwrap();
        let (mut limits, mut comment) = (Vec::new(), Vec::new());
        for line in rest.lines().filter(|line| !line.is_empty()) {
            if let Some(more) = line.strip_prefix("/// ") {
                comment.push(more);
            } else {
                limits.push(limit(line, &std::mem::take(&mut comment).join(" ")));
            }
        }
        (heading.to_owned(), limits)
    };
    sections.map(read).collect()
}

fn limit(line: &str, comment: &str) -> Limit {
    let parts = line.strip_prefix("pub const ").and_then(|line| line.strip_suffix(';')).and_then(|line| line.split_once(": "));
    let (name, rest) = parts.unwrap_or_else(|| panic!("what is {line:?}?"));
    let (kind, value) = rest.split_once(" = ").unwrap();
    let fate = comment.split_once(" Answer: ").map(|(_, fate)| {
        let (answer, counter) = fate.split_once(" Counter: ").unwrap_or_else(|| panic!("{name} has no counter"));
        (answer.to_owned(), counter.to_owned())
    });
    let title = comment.split_once(". ").map_or(comment, |(title, _)| title).trim_end_matches('.');
    let value = if fate.is_some() { in_words(name, kind, value) } else { value.to_owned() };
    Limit { name: name.to_owned(), title: title.to_owned(), value, fate }
}

/// A value with its unit. Forms that are not known here stop the test.
fn in_words(name: &str, kind: &str, value: &str) -> String {
    let number = |text: &str| text.replace('_', "").parse::<u64>().unwrap_or_else(|_| panic!("{name}: what is {text:?}?"));
    if kind == "Duration" {
        let (unit, count) = value.strip_prefix("Duration::from_").and_then(|value| value.strip_suffix(')')?.split_once('(')).unwrap();
        let unit = match unit {
            "millis" => "ms",
            "secs" => "s",
            "mins" => "min",
            _ => panic!("{name}: what is {unit:?}?"),
        };
        return format!("{} {unit}", number(count));
    }
    let value: u64 = value.split(" * ").map(number).product();
    match (name.contains("_BYTES"), value) {
        (true, _) if value.is_multiple_of(1 << 20) => format!("{} MiB", value >> 20),
        (true, _) if value.is_multiple_of(1 << 10) => format!("{} KiB", value >> 10),
        (true, _) => format!("{value} bytes"),
        (false, 1000..) => format!("{},{:03}", value / 1000, value % 1000),
        (false, _) => value.to_string(),
    }
}

/// The texts between backticks are bold in the man page.
fn bold(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("\\fB{}\\fR", part.replace('-', "\\-")) } else { part.to_owned() }).collect()
}

/// Each sentence on lines of its own, as mandoc wants them.
fn sentences(text: &str) -> String {
    let first = text.chars().next().unwrap().to_uppercase();
    let text = first.chain(text.chars().skip(1)).collect::<String>();
    bold(&text).split_inclusive(". ").map(|sentence| filled(sentence.trim_end())).collect::<Vec<_>>().join("\n")
}

/// The limit in the man page. Its counters must be there, or a reason for having none.
fn limit_item(limit: &Limit, counters: &[String]) -> String {
    let Limit { name, title, value, fate } = limit;
    let (answer, counter) = fate.as_ref().unwrap_or_else(|| panic!("{name} has no answer"));
    let quoted: Vec<_> = counter.split('`').skip(1).step_by(2).collect();
    let unknown: Vec<_> = quoted.iter().filter(|counter| !counters.iter().any(|known| known == *counter)).collect();
    assert!(unknown.is_empty(), "{name}: there is no such counter: {unknown:?}");
    assert!(!quoted.is_empty() || counter.starts_with("none, since "), "{name} has no counter, and no reason for that");
    assert!(![&**title, &**answer].concat().contains('['), "{name}: a reader of the man page has no links");
    let title = sentences(title.strip_prefix("Bytes of ").unwrap_or(title)).replace('\n', " ");
    format!(".It {title}: {value}\n{}\n{}\n", sentences(answer), filled(&bold(&format!("Counter: {counter}"))))
}

#[test]
fn the_man_page_has_the_limits() {
    let code = paper("src/limits.rs");
    let (met, unmet) = code.split_once("\n// ==== What nobody meets.\n").unwrap();
    let counters = counters();
    let section = |(heading, limits): (String, Vec<Limit>)| {
        let items: String = limits.iter().map(|limit| limit_item(limit, &counters)).collect();
        format!(".Ss {heading}\n.Bl -tag -width Ds\n{items}.El\n")
    };
    let wanted: String = limits(met).into_iter().map(section).collect();
    for Limit { name, fate, .. } in limits(unmet).into_iter().flat_map(|(_, limits)| limits) {
        assert!(fate.is_none(), "{name} has an answer, so somebody meets it");
    }
    let page = paper("packaging/container-healthcheck.8");
    let section = page.split("\n.Sh LIMITS\n").nth(1).unwrap().split(".Sh ").next().unwrap();
    let ours = section.find(".Ss ").map(|at| section.split_at(at).1);
    assert!(ours == Some(&wanted), "the limits should be:\n{wanted}");
}

/// The names of all samples of `P/metrics`, with their labels.
fn counters() -> Vec<String> {
    let mut traffic = Traffic::default();
    // The only ones that are not there before they count.
    traffic.answered(engine::Path::App, 400);
    let process = Process { max_fds: Some(1), ..Process::default() };
    let (engine, process) = (&engine::Counts::default(), &process);
    let all = All { traffic: &traffic, engine, trust: Trust::Live, containers: 0, watchers: 0, drain_faults: 0, apps: &[], process };
    let mut text = Vec::new();
    all.write(&mut text);
    let text = String::from_utf8(text).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.map(|(name, _)| name.trim_start_matches("container_healthcheck_").to_owned()).collect()
}

#[test]
fn the_readme_has_each_request_that_docker_is_sent() {
    let questions = [Question::All, Question::About(vec!["...".into()]), Question::Ailing, Question::Events { since: Some(0) }];
    let sent = questions.map(|question| {
        let request = String::from_utf8(ask::bytes(&question, None)).unwrap();
        let mut line = request.split(" HTTP/1.1").next().unwrap().replace("since=0.000000000", "since=...");
        for (code, plain) in [("%7B", "{"), ("%7D", "}"), ("%5B", "["), ("%5D", "]"), ("%22", "\""), ("%3A", ":"), ("%2C", ",")] {
            line = line.replace(code, plain);
        }
        line
    });
    for name in ["README.md", "packaging/doc/README.zh-CN.md"] {
        let text = paper(name);
        let shown: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| line.starts_with("GET /")).collect();
        assert_eq!(shown, sent, "{name}");
    }
}

#[test]
fn the_readme_gives_a_reason_for_each_dependency() {
    let (readme, manifest) = (paper("README.md"), paper("Cargo.toml"));
    let dependencies = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<_> = dependencies.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    assert!(names.len() > 5);
    for name in names {
        assert!(readme.lines().any(|line| line.starts_with("| `") && line.contains(&format!("`{name}`"))), "{name} has no reason");
    }
}

#[test]
fn changelog_and_packages_speak_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(paper("CHANGELOG.md").contains(&format!("\n## {version}")));
    assert!(paper("packaging/deb/changelog").starts_with(&format!("container-healthcheck ({version}) ")));
    let spec = paper("packaging/rpm/container-healthcheck.spec");
    assert!(spec.contains(&format!("\nVersion: {version}\n")) && spec.contains(&format!(" - {version}-1\n")));
}
