//! The borders between the parts of `src/`, held by a machine: which words may not stand in which folder.
//!
//! Comments are passed over, and so is everything behind the first `#[cfg(test)]` of a file.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::fs;
use std::path::{Path, PathBuf};

/// What is the world's, and only `io` touches.
const WORLD: &[&str] = &["mio", "std::net", "std::os", "std::fs", "std::env", "Instant::now", "SystemTime", "log::", "crate::io"];

/// What those have no use for who only read bytes and write them.
const TIME: &[&str] = &["Instant", "Duration"];

/// Paths under `src/`, and what may not be named there.
const BORDERS: &[(&[&str], &[&[&str]])] = &[
    // Bytes in, bytes out.
    (&["http"], &[WORLD, TIME, &["serde", "crate::docker", "crate::engine", "crate::config"]]),
    (&["docker"], &[WORLD, TIME, &["std::io", "crate::engine", "crate::config", "Ticket"]]),
    // One check of an app: bytes in, bytes out.
    (&["check.rs"], &[WORLD, TIME, &["std::io", "crate::docker", "Ticket"]]),
    // Decisions: time as values, no bytes on a wire.
    (&["engine"], &[WORLD, &["std::io", "serde", "httparse", "crate::http", "crate::config", "crate::answers"]]),
    (&["slots.rs", "limits.rs", "lost.rs"], &[WORLD, &["std::io", "Instant", "crate::http", "crate::docker", "crate::engine"]]),
    (&["answers.rs", "metrics.rs", "page.rs"], &[WORLD, &["Instant", "Engine"]]),
    (&["config"], &[&["mio", "TcpStream", "UnixStream", "std::fs", "std::env", "crate::io"]]),
    // A text, and a second as a number.
    (&["drain.rs"], &[&["mio", "std::net", "std::fs", "std::io", "SystemTime::now", "Instant", "log::", "std::env", "crate::io"]]),
    // The world is touched, and nothing is judged.
    (&["io"], &[&["serde", "httparse", "AppName::", "json!", "std::env", "Instant::now", "SystemTime::now"]]),
    // A client like any other; the clock is io's.
    (
        &["cli"],
        &[&[
            "mio",
            "httparse",
            "Engine",
            "io::Server",
            "io::server",
            "Instant::now",
            "SystemTime",
            "log::",
            "std::env",
            "println!",
            "print!",
        ]],
    ),
    (&["main.rs"], &[&["mio"]]),
    // Everywhere.
    (&[""], &[&["unsafe {", "todo!", "unimplemented!"]]),
];

/// Files that are excepted from a word, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("io/clock.rs", "Instant::now"),             // the one reading
    ("io/clock.rs", "SystemTime::now"),          // the one reading
    ("io/logfile.rs", "SystemTime::now"),        // a line of the log has the time when it is written, and decides nothing
    ("http/target.rs", "std::net"),              // whether a host is an address, which opens nothing
    ("io/memory.rs", "unsafe {"),                // the allocator is set
    ("io/systemd.rs", "unsafe {"),               // a descriptor is passed on as a number
    ("engine/simulation/mod.rs", "crate::http"), // a test: faults that are the client's
    ("engine/scenes.rs", "crate::http"),         // a test, as all of the file: the same
    ("engine/scenes.rs", "crate::config"),       // the settings that a user has
    ("engine/scenes.rs", "Instant::now"),        // it has to start at some instant
];

#[test]
fn nobody_names_what_is_not_theirs() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut trespasses, mut excepted) = (Vec::new(), Vec::new());
    let mut lines = 0;
    for (places, words) in BORDERS {
        for file in places.iter().flat_map(|place| files(&src.join(place))) {
            let name = file.strip_prefix(&src).unwrap().display().to_string();
            let text = fs::read_to_string(&file).unwrap();
            let code =
                text.lines().take_while(|line| line.trim() != "#[cfg(test)]").map(|line| line.split("//").next().unwrap_or_default());
            for (number, line) in code.enumerate() {
                lines += 1;
                for word in words.iter().copied().flatten().filter(|word| line.contains(**word)) {
                    match EXCEPTIONS.iter().find(|exception| **exception == (name.as_str(), *word)) {
                        Some(exception) => excepted.push(exception),
                        None => trespasses.push(format!("{name}:{}: {word}", number + 1)),
                    }
                }
            }
        }
    }
    assert!(lines > 1000, "the test looks at nothing");
    assert!(trespasses.is_empty(), "{trespasses:#?}");
    assert!(EXCEPTIONS.iter().all(|exception| excepted.contains(&exception)), "an exception that nobody needs");
}

fn files(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_path_buf()];
    }
    fs::read_dir(place).unwrap().flat_map(|entry| files(&entry.unwrap().path())).collect()
}
