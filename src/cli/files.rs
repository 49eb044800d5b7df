//! `drain`, `undrain` and `drains`: the files, and whether the server has seen them.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::ask::{Said, Server};
use super::{Clock, DENIED, Failed, SYSTEM, UNKNOWN, pause, table};
use crate::drain::{self, Drain, HOST};
use crate::engine::AppName;
use crate::io::drains::Folder;
use crate::limits;

/// Drains an app, or the host.
pub(super) fn drain(server: &Server, folder: &Path, app: &AppName, drain: &Drain) -> Result<String, Failed> {
    let name = app.as_str();
    write(folder, name, &drain.text()).map_err(|error| failed("write", &folder.join(name), &error))?;
    confirm(server, name, true)
        .map_err(|answer| (UNKNOWN, format!("{} is written, but the server does not answer so: {answer}", folder.join(name).display())))?;
    Ok(drain.sentence(name) + "\n")
}

/// Drains it no more.
pub(super) fn undrain(server: &Server, folder: &Path, app: &AppName) -> Result<String, Failed> {
    let (name, file) = (app.as_str(), folder.join(app.as_str()));
    let was_drained = match fs::remove_file(&file) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(failed("remove", &file, &error)),
    };
    if was_drained {
        confirm(server, name, false)
            .map_err(|answer| (UNKNOWN, format!("{} is removed, but the server does not answer so: {answer}", file.display())))?;
    }
    let subject = drain::subject(name);
    let mut text = if was_drained { format!("{subject} is drained no more") } else { format!("{subject} is not drained") };
    let mut others = list(folder)?;
    others.retain(|(other, is_over)| other != name && !is_over);
    if name == HOST && !others.is_empty() {
        let others: Vec<_> = others.into_iter().map(|(other, _)| other).collect();
        text = text + "; still drained: " + &others.join(", ");
    } else if others.iter().any(|(other, _)| other == HOST) {
        text += ", but this host is";
    }
    Ok(text + "\n")
}

/// A table of what is drained.
pub(super) fn drains(folder: &Path) -> Result<String, Failed> {
    let folder = looked_at(folder)?;
    Ok(table::drains(folder.files()))
}

/// Names, and whether their time is over.
fn list(folder: &Path) -> Result<Vec<(String, bool)>, Failed> {
    let folder = looked_at(folder)?;
    Ok(folder.files().iter().map(|(name, known)| (name.to_string(), known.over)).collect())
}

fn looked_at(path: &Path) -> Result<Folder, Failed> {
    let mut folder = Folder::new(path.to_owned());
    folder.list(Clock::new().unix().as_secs()).map_err(|error| failed("read", path, &error))?;
    Ok(folder)
}

/// Puts the file there in one piece, readable for the server whoever it runs as and whatever the umask is.
fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.is_dir()).collect();
    fs::create_dir_all(folder)?;
    missing.into_iter().try_for_each(|made| fs::set_permissions(made, Permissions::from_mode(0o755)))?;
    // A dot-file is nobody's drain.
    let whole = folder.join(format!(".{name}.{}", std::process::id()));
    // The folder is the service's user's, who could have put a link there, and root would follow it.
    let _ = fs::remove_file(&whole);
    let written = File::create_new(&whole)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.set_permissions(Permissions::from_mode(0o644))?;
            // One that is empty after a loss of power would be a drain for good.
            file.sync_all()
        })
        .and_then(|()| fs::rename(&whole, folder.join(name)));
    if written.is_err() {
        // It may never have been there.
        let _ = fs::remove_file(whole);
    }
    written
}

/// Waits until the server answers that it is drained, or is not; else gives what it answers.
fn confirm(server: &Server, name: &str, drained: bool) -> Result<(), String> {
    // Whoever is drained is told so at once, whatever Docker does; of one that is not a probe could wait for its first check.
    let path = match (name, drained) {
        (HOST, _) => "/ready".to_owned(),
        (_, true) => format!("/apps/health/{name}"),
        (_, false) => format!("/apps?require={name}"),
    };
    let mut clock = Clock::new();
    let until = clock.now() + limits::COMMAND_PATIENCE;
    // Whatever else answers there has seen no file.
    let is_verdict = |said: &Said| matches!(said.code(), Some(0 | 10 | 11 | 12));
    loop {
        let left = until.saturating_duration_since(clock.now()).max(Duration::from_millis(1));
        let answer = match server.get(&path, left) {
            // That the host is drained says nothing about the app's own drain.
            Ok(said)
                if is_verdict(&said)
                    && (said.text("reason") == "drained" && said.text("message").starts_with(&drain::claim(name))) == drained =>
            {
                return Ok(());
            }
            // The message of an app that is up is no text.
            Ok(said) if said.code() == Some(0) && said.text("message").is_empty() => format!("{name} is up"),
            Ok(said) => said.wrong(),
            Err(wrong) => wrong,
        };
        clock.read();
        let left = until.saturating_duration_since(clock.now());
        if left.is_zero() {
            return Err(answer);
        }
        pause(left);
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failed {
    let path = path.display();
    if error.kind() == ErrorKind::PermissionDenied {
        return (DENIED, format!("cannot {what} {path}: permission denied (use sudo)"));
    }
    (SYSTEM, format!("cannot {what} {path}: {error}"))
}
