//! Tells the program which commit and which target it is built from, for `-version`.

use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "Cargo speaks to a build script through the environment")]
fn main() {
    let git = Command::new("git").args(["rev-parse", "--short=10", "HEAD"]).output();
    let commit = git.ok().filter(|output| output.status.success()).and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo:rustc-env=COMMIT={}", commit.as_deref().map_or("unknown", str::trim));
    println!("cargo:rustc-env=TARGET={}", std::env::var("TARGET").as_deref().unwrap_or("unknown"));
    println!("cargo:rerun-if-changed=src/build.rs");
    // Written with each commit and checkout; without it (a tarball) there is nothing to notice.
    if std::path::Path::new(".git/logs/HEAD").exists() {
        println!("cargo:rerun-if-changed=.git/logs/HEAD");
    }
}
