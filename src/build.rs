//! Tells the program which commit and which target it is built from, for `-version`, and the linker what the program that is shipped does without.

use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "Cargo speaks to a build script through the environment")]
fn main() {
    println!("cargo:rustc-env=COMMIT={}", git(&["rev-parse", "--short=10", "HEAD"]).as_deref().unwrap_or("unknown"));
    println!("cargo:rustc-env=TARGET={}", std::env::var("TARGET").as_deref().unwrap_or("unknown"));
    // The index of the tables for unwinding, 18 KB. A panic aborts there, and a backtrace of a program without symbols names nobody.
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
    println!("cargo:rerun-if-changed=src/build.rs");
    // Written with each commit and checkout; without it (a tarball) there is nothing to notice. In a worktree it is elsewhere.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| std::path::Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
