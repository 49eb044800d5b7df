//! README and the table of options agree, and so do README and Cargo.toml.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::fs;
use std::path::Path;

use container_healthcheck::config::{COMMANDS, FLAGS, Flag};

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

#[test]
fn the_readme_has_the_commands() {
    let readme = paper("README.md");
    let shown: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("    container-healthcheck ")).collect();
    let commands: Vec<_> = COMMANDS.iter().map(|form| format!("{} {}", form.name, form.args).trim_end().to_owned()).collect();
    assert_eq!(shown, commands);
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
fn the_readme_and_the_changelog_speak_of_this_version() {
    assert!(paper("CHANGELOG.md").contains(&format!("\n## {}", env!("CARGO_PKG_VERSION"))));
}
