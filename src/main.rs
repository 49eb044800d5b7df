//! The daemon: configuration, log, sockets, and the loop until it is told to stop; or one errand to it.

use std::hash::{BuildHasher, Hasher};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

use container_healthcheck::cli::{self, Caller};
use container_healthcheck::config::{self, Command, Config, Errand, NAME};
use container_healthcheck::io::{Server, logfile, memory, systemd};
use container_healthcheck::limits;
use log::{error, info, warn};
use rlimit::Resource;

/// sysexits(3): the command line is wrong.
const USAGE: u8 = 64;
/// sysexits(3): the system lacks what we cannot do without.
const SYSTEM: u8 = 71;

#[expect(clippy::print_stderr, reason = "there is no log yet")]
fn main() -> ExitCode {
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    match config::parse(args, variable) {
        Ok(Command::Help) => say(&config::help()),
        Ok(Command::Version) => say(&format!("{NAME} {} ({}, {})\n", env!("CARGO_PKG_VERSION"), env!("COMMIT"), env!("TARGET"))),
        Ok(Command::Serve(config, warnings)) => return serve(*config, &warnings, is_journal()),
        Ok(Command::Run(config, errand, warnings)) => return run(*config, &errand, &warnings),
        Err(wrong) => {
            eprintln!("{NAME}: {wrong}");
            return ExitCode::from(USAGE);
        }
    }
    ExitCode::SUCCESS
}

/// A variable of the environment. What is no text in one is none of its flag's values either, and is said to be so.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Whoever has stopped reading misses nothing.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Whether stderr leads to the journal. systemd says which file that is, since the variable is passed on to whoever has another one there
/// (systemd.exec(5)).
fn is_journal() -> bool {
    let stderr = std::fs::metadata("/proc/self/fd/2").map(|file| format!("{}:{}", file.dev(), file.ino()));
    variable("JOURNAL_STREAM").is_some_and(|journal| stderr.is_ok_and(|stderr| stderr == journal))
}

#[expect(clippy::print_stderr, reason = "a command says there why it failed")]
fn run(config: Config, errand: &Errand, warnings: &[String]) -> ExitCode {
    for warning in warnings {
        eprintln!("{NAME}: {warning}");
    }
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(variable);
    // The folder is its process's user's.
    let uid = || std::fs::metadata("/proc/self").map_or_else(|_| String::new(), |folder| format!("uid {}", folder.uid()));
    let colour = std::io::stdout().is_terminal() && variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|term| term != "dumb");
    match cli::run(errand, config, &Caller { user: user.unwrap_or_else(uid), colour }) {
        Ok((code, text)) => {
            say(&text);
            ExitCode::from(code)
        }
        Err((code, wrong)) => {
            eprintln!("{NAME}: {wrong}");
            ExitCode::from(code)
        }
    }
}

#[expect(clippy::print_stderr, reason = "whoever starts it looks there")]
fn serve(mut config: Config, warnings: &[String], journal: bool) -> ExitCode {
    memory::give_back();
    let unusable = logfile::start(config.level, config.log_folder.as_deref(), journal);
    info!("started version={} commit={} docker={}", env!("CARGO_PKG_VERSION"), env!("COMMIT"), config.docker_host);
    for warning in unusable.iter().chain(warnings) {
        warn!("{warning}");
    }
    config.max_clients = descriptors_for(config.max_clients);
    // It only has to differ from host to host: what the standard library seeds its hash maps with will do.
    let seed = std::hash::RandomState::new().build_hasher().finish();
    match listen_and_run(config, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            error!("{wrong}");
            // Whoever started it does not look into a file for the reason that it did not.
            if logfile::is_file() {
                eprintln!("{NAME}: {wrong}");
            }
            ExitCode::from(SYSTEM)
        }
    }
}

fn listen_and_run(config: Config, seed: u64) -> Result<(), String> {
    let inherited = systemd::listeners(variable, std::process::id())?;
    // Whoever passes listeners on has said where.
    let addresses = if inherited.is_empty() { config.listen() } else { Vec::new() };
    if addresses.is_empty() {
        info!("listeners passed by systemd={}: -port and -bind do not count", inherited.len());
    }
    let mut server = Server::new(config, &addresses, inherited, seed)?;
    server.report_to(variable);
    server.run().map_err(|error| format!("cannot poll: {error}"))
}

/// Raises the limit of open files to what so many clients need; gives as many as there can be.
fn descriptors_for(clients: usize) -> usize {
    let others = limits::OTHER_DESCRIPTORS + limits::EXTRA_CLIENTS as u64;
    let needed = (clients as u64).saturating_add(others);
    let Ok((soft, hard)) = Resource::NOFILE.get() else { return clients };
    if soft >= needed || Resource::NOFILE.set(needed, hard.max(needed)).is_ok() {
        return clients;
    }
    // Only root may raise the hard limit.
    let allowed = if Resource::NOFILE.set(hard, hard).is_ok() { hard } else { soft };
    let room = usize::try_from(allowed.saturating_sub(others)).unwrap_or(clients).max(1);
    warn!("the limit of open files is {allowed}: max-clients={room} (raise it with LimitNOFILE= or ulimit -n)");
    room
}
