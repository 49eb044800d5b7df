//! README, its Chinese version, man page and the table of options agree; README and Cargo.toml do, and all that names the version.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::fs;
use std::path::Path;

use container_healthcheck::config::{COMMANDS, FLAGS, Flag};
use container_healthcheck::docker::{Question, ask};

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

/// The flag in the man page: lines of 78 columns, since mandoc objects to more than 80.
fn item(flag: &Flag) -> String {
    let value = if flag.value.is_empty() { String::new() } else { format!(" Ar {}", flag.value) };
    let mut text = format!(".It Fl {}{value}\n", flag.name);
    let mut column = 0;
    for word in format!("{} (default {}).", flag.help, flag.default).split(' ') {
        let separator = match column {
            0 => "",
            _ if column + 1 + word.len() > 78 => "\n",
            _ => " ",
        };
        column = if separator == " " { column + 1 + word.len() } else { word.len() };
        text = text + separator + word;
    }
    text
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
