//! The log, on stderr or in a file that can be reopened.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
#[expect(clippy::disallowed_types, reason = "a logger is shared by its nature; the one thread never waits for itself")]
use std::sync::Mutex;
use std::time::SystemTime;

use env_logger::{Builder, Target};
use log::{Level, LevelFilter, Record, info, warn};

use crate::config::NAME;

/// The file, if the log goes to one.
#[expect(clippy::disallowed_types, reason = "a logger is shared by its nature; the one thread never waits for itself")]
static FILE: Mutex<Option<LogFile>> = Mutex::new(None);

struct LogFile {
    path: PathBuf,
    file: File,
}

/// Opens the file anew, so that the old one can be rotated away. On stderr there is nothing to do.
pub fn reopen() {
    let reopened = match FILE.lock().as_deref_mut() {
        Ok(Some(log)) => append(&log.path).map(|file| log.file = file),
        Ok(None) | Err(_) => return,
    };
    match reopened {
        Ok(()) => info!("log reopened"),
        // The old one serves on: a log that is rotated late is better than none.
        Err(error) => warn!("cannot reopen the log: {error}"),
    }
}

/// Starts to log: into the folder if one is given and can be written, else on stderr, for the journal if `journal` says that
/// stderr leads there. Gives a warning if the folder could not be used.
pub fn start(level: LevelFilter, folder: Option<&Path>, journal: bool) -> Option<String> {
    let mut builder = Builder::new();
    builder.filter_level(level);
    let mut warning = None;
    if let Some(folder) = folder {
        let path = folder.join(format!("{NAME}.log"));
        match append(&path) {
            Ok(file) => {
                if let Ok(mut place) = FILE.lock() {
                    *place = Some(LogFile { path, file });
                }
                builder.target(Target::Pipe(Box::new(ToFile))).format(timed).init();
                return None;
            }
            Err(error) => warning = Some(format!("cannot log to {}: {error}; logging to stderr", path.display())),
        }
    }
    if journal {
        // The journal knows the time, and takes the priority off the front of a line (sd-daemon(3)).
        builder.format(|out, record| writeln!(out, "<{}>{}", priority(record.level()), record.args()));
    } else {
        builder.format(timed);
    }
    builder.init();
    warning
}

/// Whether the log goes to a file.
#[must_use]
pub fn is_file() -> bool {
    FILE.lock().is_ok_and(|file| file.is_some())
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn timed(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a line of the log has the time when it is written, and decides nothing")]
    let now = SystemTime::now();
    writeln!(out, "{} {:5} {}", humantime::format_rfc3339_millis(now), record.level(), record.args())
}

const fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

struct ToFile;

impl Write for ToFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match FILE.lock().as_deref_mut() {
            Ok(Some(log)) => log.file.write(bytes),
            Ok(None) | Err(_) => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
