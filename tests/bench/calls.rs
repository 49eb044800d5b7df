//! What a live probe asks of the allocator and of the kernel.

use std::fs;
use std::process::{Command, Stdio};

use super::host::{self, QUIET};
use super::support::{Daemon, Folder, eventually};
use super::table::Table;

const PROBES: usize = 10_000;

pub fn measure(table: &mut Table) {
    // A number that holds or does not is a test's.
    table.note("heap allocations of a live probe", "0, or `tests/allocations.rs` fails", "0");
    let (what, budget) = ("system calls of a live probe, one connection", "3");
    let (_docker, daemon) = host::start(62, "Up 5 days", true, &QUIET);
    match counted(&daemon) {
        // Of the first and the last wait strace sees a part.
        Some(calls) => table.add(what, format!("{calls:.2}"), budget, calls < 3.005),
        None => table.lacks(what, "strace is not here, or may not look", budget),
    }
}

/// The system calls of each of many probes, as strace counts them.
fn counted(daemon: &Daemon) -> Option<f64> {
    let mut client = daemon.connect();
    let path = host::path(7);
    client.get(&path);
    let folder = Folder::new();
    let mut strace = Command::new("strace");
    // The clock needs no system call, but on some virtual machines it does; the kernel decides.
    strace.args(["-e", "trace=!clock_gettime", "-c", "-U", "calls,name", "-p", &daemon.pid().to_string(), "-o"]).arg(folder.join("calls"));
    let mut strace = strace.stderr(Stdio::null()).spawn().ok()?;
    let mut ended = false;
    eventually("strace looks", || {
        ended = strace.try_wait().unwrap().is_some();
        ended || daemon.memory("TracerPid") != 0
    });
    if ended {
        return None;
    }
    for _ in 0..PROBES {
        assert_eq!(client.get(&path).status, 200);
    }
    Command::new("kill").args(["-INT", &strace.id().to_string()]).status().ok()?;
    strace.wait().ok()?;
    let counts = fs::read_to_string(folder.join("calls")).ok()?;
    let total = counts.lines().find(|line| line.ends_with(" total"))?;
    let calls: f64 = total.split_whitespace().next()?.parse().ok()?;
    Some(calls / PROBES as f64)
}
