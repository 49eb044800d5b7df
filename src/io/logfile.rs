//! The log, on stderr or in a file that can be reopened.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use env_logger::{Builder, Target};
use log::{Level, LevelFilter, Record};

use crate::config::NAME;

/// Set on SIGHUP. The logger is behind a lock of its own crate, so this is how it is told.
static REOPEN: AtomicBool = AtomicBool::new(false);

/// Makes the next line open the file anew, so that the old one can be rotated away.
pub fn reopen() {
    REOPEN.store(true, Ordering::Relaxed);
}

/// Starts to log: into the folder if one is given and can be written, else on stderr, for the journal if `journal` says that
/// stderr leads there. Gives a warning if the folder could not be used.
pub fn start(level: LevelFilter, folder: Option<&Path>, journal: bool) -> Option<String> {
    let mut builder = Builder::new();
    builder.filter_level(level);
    let file = folder.map(LogFile::open).transpose();
    let warning = file.as_ref().err().map(|(path, error)| format!("cannot log to {}: {error}; logging to stderr", path.display()));
    match file {
        Ok(Some(file)) => builder.target(Target::Pipe(Box::new(file))).format(timed),
        // The journal knows the time, and takes the priority off the front of a line (sd-daemon(3)).
        _ if journal => builder.format(|out, record| writeln!(out, "<{}>{}", priority(record.level()), record.args())),
        _ => builder.format(timed),
    };
    builder.init();
    warning
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

struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    fn open(folder: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let path = folder.join(format!("{NAME}.log"));
        match append(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err((path, error)),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if REOPEN.swap(false, Ordering::Relaxed)
            // If it cannot be opened the old one serves on: a log that is rotated late is better than none.
            && let Ok(file) = append(&self.path)
        {
            self.file = file;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
