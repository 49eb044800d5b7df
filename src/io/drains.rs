//! The folder of drains, looked at anew each second: what is in it, and what has changed.
//!
//! Looking is the simplest thing that sees every way in which a file can come and go, on any kernel and file system, and costs a
//! few system calls a second. A file is read again only if something about it has changed.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use log::{info, warn};

use crate::drain::{self, Drain};
use crate::engine::Drains;
use crate::limits;

/// The folder, as it was when it was last looked at.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// By their names, in order.
    files: Vec<(Box<str>, Known)>,
    /// Why it cannot be read, as the log has it.
    unreadable: Option<String>,
    /// Whether any drain has come, gone, changed or ended since they were last given.
    changed: bool,
    /// How often it or a file in it was found to be faulty.
    faults: u64,
}

/// The file of a drain.
#[derive(Debug)]
pub struct Known {
    /// What it says.
    pub drain: Drain,
    /// Why that is not all that it should say.
    pub wrong: Option<String>,
    /// Whether its time is over.
    pub over: bool,
    /// What it is read again for if it changes; none: it is read again in any case.
    stamp: Option<Stamp>,
}

#[cfg(test)]
impl Known {
    pub(crate) const fn shown(drain: Drain, wrong: Option<String>, over: bool) -> Self {
        Self { drain, wrong, over, stamp: None }
    }
}

/// What changes with a file: device, inode, length, and when its content and its permissions last changed.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Folder {
    /// A folder at which nobody has looked yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, files: Vec::new(), unreadable: None, changed: false, faults: 0 }
    }

    /// Looks at it, and says in the log what has changed. Gives all drains if anything has.
    pub fn look(&mut self, unix: u64) -> Option<Drains> {
        if let Err(error) = self.list(unix) {
            // Whatever was drained stays drained.
            let error = format!("cannot read the folder of drains {}: {error}", self.path.display());
            if self.unreadable.as_ref() != Some(&error) {
                warn!("{error}");
                self.faults = self.faults.wrapping_add(1);
                self.unreadable = Some(error);
            }
        }
        let all = || self.files.iter().map(|(name, known)| (name.clone(), known.drain.clone())).collect();
        std::mem::take(&mut self.changed).then(all)
    }

    /// Lists it anew at that second of Unix time.
    ///
    /// # Errors
    /// When it cannot be read; then what is known stays. A folder that does not exist has no files. When there are too many files in
    /// it; then those are looked at that are known, and the one that drains the host.
    pub fn list(&mut self, unix: u64) -> io::Result<()> {
        let mut files: Vec<(Box<str>, Known)> = Vec::new();
        let (mut changed, mut faults) = (false, 0);
        let mut names = self.names()?;
        let too_many = names.len() > limits::DRAIN_FILES;
        if too_many {
            let host = find(&self.files, drain::HOST).is_err().then_some(drain::HOST);
            names = self.files.iter().map(|(name, _)| &**name).chain(host).map(OsString::from).collect();
        }
        for file in names {
            let Some(name) = drain::name(&file) else { continue };
            let former = find(&self.files, name).ok().and_then(|at| self.files.get(at)).map(|(_, known)| known);
            let Some((known, is_new)) = look_at(&self.path.join(name), former, unix) else { continue };
            if is_new {
                changed = true;
                info!("{}", known.drain.sentence(name));
            }
            // The clock can be set back.
            changed |= former.is_some_and(|former| former.over != known.over);
            if known.over && former.is_none_or(|former| !former.over) {
                info!("{} no more: its time is over", drain::claim(name));
            }
            if let Some(wrong) = known.wrong.as_ref().filter(|&wrong| former.and_then(|former| former.wrong.as_ref()) != Some(wrong)) {
                warn!("{}, though its file is not as it should be: {wrong}", drain::claim(name));
                faults += 1;
            }
            if let Err(at) = find(&files, name) {
                files.insert(at, (name.into(), known));
            }
        }
        for (name, _) in self.files.iter().filter(|(name, _)| find(&files, name).is_err()) {
            changed = true;
            info!("{} no more: its file is gone", drain::claim(name));
        }
        self.changed |= changed;
        self.faults = self.faults.wrapping_add(faults);
        self.files = files;
        if too_many {
            return Err(io::Error::other("there are too many files in it"));
        }
        self.unreadable = None;
        Ok(())
    }

    /// No more of them than one too many.
    fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        entries.take(limits::DRAIN_FILES + 1).map(|entry| Ok(entry?.file_name())).collect()
    }

    /// How often it or a file in it was found to be faulty.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.faults
    }

    /// The files, by their names, in order.
    #[must_use]
    pub fn files(&self) -> &[(Box<str>, Known)] {
        &self.files
    }
}

/// Where the file of that name is, or would be.
fn find(files: &[(Box<str>, Known)], name: &str) -> Result<usize, usize> {
    files.binary_search_by(|(known, _)| (**known).cmp(name))
}

/// What is known of a file now, and whether it says something else than before; none if it is gone.
fn look_at(path: &Path, former: Option<&Known>, unix: u64) -> Option<(Known, bool)> {
    let file = fs::metadata(path);
    if file.is_err() && fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return None;
    }
    let stamp = file.as_ref().ok().and_then(|file| stamp(file, unix));
    if let Some(Known { drain, wrong, .. }) = former.filter(|former| former.stamp.is_some() && former.stamp == stamp) {
        let known = Known { drain: drain.clone(), wrong: wrong.clone(), over: drain.is_over(unix), stamp };
        return Some((known, false));
    }
    let read = file.and_then(|file| read(path, &file));
    // What keeps a file from being read may pass without a trace in it.
    let stamp = stamp.filter(|_| read.is_ok());
    let (drain, wrong) = match read {
        Ok(text) if text.len() > limits::DRAIN_BYTES => (Drain::default(), Some("it is too long".to_owned())),
        Ok(text) => {
            let (drain, wrong) = Drain::parse(&text);
            (drain, wrong.map(ToOwned::to_owned))
        }
        Err(error) => (Drain::default(), Some(error.to_string())),
    };
    let is_new = former.is_none_or(|former| former.drain != drain);
    Some((Known { over: drain.is_over(unix), drain, wrong, stamp }, is_new))
}

/// A file that has changed in this very moment may change again without a mark: the clock of file systems ticks some hundred times a
/// second. It has no stamp yet.
fn stamp(file: &Metadata, unix: u64) -> Option<Stamp> {
    let settled = u64::try_from(file.ctime()).is_ok_and(|changed| changed.saturating_add(2) < unix);
    settled.then(|| (file.dev(), file.ino(), file.size(), (file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec())))
}

/// Reads as much as a drain may have, and one byte more. Only plain files are opened, and nothing is waited for: a pipe in the folder must
/// not hold the loop.
fn read(path: &Path, file: &Metadata) -> io::Result<Vec<u8>> {
    let plain = |file: &Metadata| if file.is_file() { Ok(()) } else { Err(io::Error::other("it is not a plain file")) };
    plain(file)?;
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    plain(&file.metadata()?)?;
    let mut text = vec![0; limits::DRAIN_BYTES + 1];
    let mut length = 0;
    while let Some(room) = text.get_mut(length..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(more) => length = length.saturating_add(more),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    text.truncate(length);
    Ok(text)
}
