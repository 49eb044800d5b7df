//! What the system says of this process, for the counters. Whatever it does not say is none.

use std::fs::{self, File};
use std::io::Read;
use std::time::Duration;

use rlimit::Resource;

use crate::metrics::Process;

/// The processor time used so far.
pub(super) fn cpu_time() -> Option<Duration> {
    // In units of 10 ms, on all systems of today.
    const TICK_MILLIS: u64 = 10;
    // It is some 300 bytes, and read each second: no reason to allocate.
    let mut stat = [0; 1024];
    let length = File::open("/proc/self/stat").and_then(|mut file| file.read(&mut stat)).ok()?;
    let stat = std::str::from_utf8(stat.get(..length)?).ok()?;
    // The name may have spaces in it, and parentheses; the state comes next. The times are fields 14 and 15, from 1 on.
    let mut times = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()?.checked_add(times.next()?.ok()?)?;
    ticks.checked_mul(TICK_MILLIS).map(Duration::from_millis)
}

/// The present figures; `started` is when it started, in seconds of Unix time.
#[must_use]
pub(super) fn figures(started: u64) -> Process {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let size = |field: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Process {
        started,
        cpu_micros: cpu_time().and_then(|time| u64::try_from(time.as_micros()).ok()),
        resident_bytes: size("VmRSS"),
        virtual_bytes: size("VmSize"),
        // The one that lists them is among them, and gone when that is told.
        open_fds: fs::read_dir("/proc/self/fd").ok().map(|files| (files.count() as u64).saturating_sub(1)),
        max_fds: Resource::NOFILE.get_soft().ok(),
    }
}
