//! The commands: words of the command line that are no flags, and the flags that go with them.

use std::time::Duration;

use super::NAME;
use super::values::{duration, reason, span};
use crate::engine::AppName;

/// What a command is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Ask whether an app is up, for so long until it is.
    Check(AppName, Duration),
    /// Show all apps.
    Status,
    /// Drain an app, or `all`: the reason, and for how long.
    Drain(AppName, String, Option<Duration>),
    /// Drain it no more.
    Undrain(AppName),
    /// Show what is drained.
    Drains,
}

/// A command.
pub struct Form {
    /// Its name.
    pub name: &'static str,
    /// What stands for its arguments in the help.
    pub args: &'static str,
    /// What it does.
    pub help: &'static str,
    /// The flags that go with it.
    flags: &'static [&'static str],
}

/// All commands, in the order of the help.
pub const COMMANDS: &[Form] = &[
    Form {
        name: "check",
        args: "APP [-wait TIME]",
        help: "ask the server about an app; exit 0 up, 2 down, 3 unknown. Waits for up if told to",
        flags: &["wait"],
    },
    Form { name: "status", args: "", help: "a table of all apps", flags: &[] },
    Form {
        name: "drain",
        args: "APP|all [-reason TEXT] [-for TIME]",
        help: "take an app, or this host, out of use, until undrain or for that time",
        flags: &["reason", "for"],
    },
    Form { name: "undrain", args: "APP|all", help: "put it back into use", flags: &[] },
    Form { name: "drains", args: "", help: "what is drained, why, by whom and until when", flags: &[] },
];

/// What was found on the command line besides the flags of the server.
#[derive(Default)]
pub(super) struct Found {
    pub(super) words: Vec<String>,
    flags: Vec<&'static str>,
    wait: Duration,
    reason: String,
    span: Option<Duration>,
}

impl Found {
    /// The name of a flag, if it goes with a command.
    pub(super) fn flag(name: &str) -> Option<&'static str> {
        COMMANDS.iter().flat_map(|form| form.flags).find(|flag| **flag == name).copied()
    }

    /// Takes the value of such a flag.
    pub(super) fn take(&mut self, flag: &'static str, value: &str) -> Result<(), &'static str> {
        self.flags.push(flag);
        match flag {
            "wait" => self.wait = duration(value, Duration::ZERO)?,
            "reason" => self.reason = reason(value)?,
            _ => self.span = Some(span(value)?),
        }
        Ok(())
    }

    /// The errand, if there is a command.
    pub(super) fn errand(self) -> Result<Option<Errand>, String> {
        let Self { words, flags, wait, reason, span } = self;
        let mut words = words.into_iter();
        let Some(command) = words.next() else {
            let with = |flag: &&str| COMMANDS.iter().find(|form| form.flags.contains(flag));
            return match flags.first().and_then(|flag| Some((flag, with(flag)?))) {
                Some((flag, form)) => Err(format!("-{flag} goes with a command: {}", form.usage())),
                None => Ok(None),
            };
        };
        let Some(form) = COMMANDS.iter().find(|form| form.name == command) else {
            let names: Vec<_> = COMMANDS.iter().map(|form| form.name).collect();
            return Err(format!("unknown command {command:?} (there are {}; none serves; -help shows more)", names.join(", ")));
        };
        if let Some(flag) = flags.iter().find(|flag| !form.flags.contains(flag)) {
            return Err(format!("-{flag} does not go with {command}: {}", form.usage()));
        }
        let word = words.next();
        if words.next().is_some() || word.is_some() != form.args.starts_with("APP") {
            return Err(format!("wrong number of words: {}", form.usage()));
        }
        let app = |word: Option<String>| {
            let word = word.unwrap_or_default();
            let wants = "the name of an app: letters, digits, dots, dashes and underscores";
            AppName::parse(word.as_bytes()).ok_or_else(|| format!("{command} wants {wants}, not {word:?}"))
        };
        Ok(Some(match form.name {
            "check" => Errand::Check(app(word)?, wait),
            "drain" => Errand::Drain(app(word)?, reason, span),
            "undrain" => Errand::Undrain(app(word)?),
            "drains" => Errand::Drains,
            _ => Errand::Status,
        }))
    }
}

impl Form {
    /// How it is used.
    fn usage(&self) -> String {
        format!("{NAME} {} {}", self.name, self.args).trim_end().to_owned()
    }
}
