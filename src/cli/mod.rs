//! The commands. They ask the running server as any client does, and make and remove the files of drains; the server is not told.
//!
//! | file | what |
//! |---|---|
//! | `ask`   | one question to the server |
//! | `check` | `check` |
//! | `files` | `drain`, `undrain` and `drains` |
//! | `table` | tables for people |

mod ask;
mod check;
mod files;
mod table;

use std::time::Duration;

use crate::config::{Config, Errand};
use crate::drain::{Drain, plain};
use crate::io::clock::Clock;
use crate::limits;
use ask::{Said, Server};

/// All is well; the app is up.
const OK: u8 = 0;
/// The app is down, as monitoring plugins say it.
const DOWN: u8 = 2;
/// Nobody knows, as monitoring plugins say it.
const UNKNOWN: u8 = 3;
/// sysexits(3): the system is in the way.
const SYSTEM: u8 = 71;
/// sysexits(3): no permission.
const DENIED: u8 = 77;

/// The exit code, and a line for stderr.
pub type Failed = (u8, String);

/// Who runs the command, and where.
#[derive(Debug)]
pub struct Caller {
    /// The name of the user.
    pub user: String,
    /// Whether colours are seen.
    pub colour: bool,
}

/// Runs an errand. Gives the exit code, and a text for stdout.
///
/// # Errors
/// When it could not be run.
pub fn run(errand: &Errand, config: Config, caller: &Caller) -> Result<(u8, String), Failed> {
    let patience = config.docker_timeout + config.check_timeout + limits::COMMAND_PATIENCE;
    let server = Server { address: config.server(), prefix: config.prefix, patience };
    let folder = &config.drain_dir;
    match errand {
        Errand::Check(app, wait) => Ok(check::check(&server, app, *wait)),
        Errand::Status => {
            let said = all_apps(&server, config.check_timeout).map_err(|wrong| (UNKNOWN, wrong))?;
            let shown = table::apps(&said, Clock::new().unix().as_secs(), caller.colour);
            let wrong = || (UNKNOWN, plain(&format!("the server gives no list of apps, but {} {}", said.status, said.text("message"))));
            shown.map(|text| (OK, text)).ok_or_else(wrong)
        }
        Errand::Drain(app, reason, span) => {
            // A second that has begun counts whole.
            let until = span.map(|span| (Clock::new().unix() + span).as_secs().saturating_add(1));
            // A name that makes the file too long would make it a drain for good.
            let by = plain(&caller.user).chars().take(limits::BY_CHARS).collect();
            let drain = Drain { reason: plain(reason), by, until };
            files::drain(&server, folder, app, &drain).map(|text| (OK, text))
        }
        Errand::Undrain(app) => files::undrain(&server, folder, app).map(|text| (OK, text)),
        Errand::Drains => files::drains(folder).map(|text| (OK, text)),
    }
}

/// All apps, once each that is up has had its first check: it is this question that they are checked for.
fn all_apps(server: &Server, check_timeout: Duration) -> Result<Said, String> {
    let mut clock = Clock::new();
    let until = clock.now() + check_timeout;
    loop {
        let said = server.get("/apps", server.patience)?;
        clock.read();
        let left = until.saturating_duration_since(clock.now());
        if left.is_zero() || !table::is_checking(&said) {
            return Ok(said);
        }
        pause(left);
    }
}

/// Lets some time pass before the server is asked again, but no more than that.
fn pause(longest: Duration) {
    #[expect(clippy::disallowed_methods, reason = "no loop runs here: a command waits in place")]
    std::thread::sleep(longest.min(limits::COMMAND_PAUSE));
}
