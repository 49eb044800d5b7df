//! A drain: the operator says that an app, or this host, is not to be used, whatever else is so. One file each, whose text this is.
//!
//! ```text
//! reason: deploy 2.3
//! by: root
//! until: 2026-11-25T14:00:00Z
//! ```
//!
//! Each line may be missing; an empty file, as `touch` makes it, is a drain without reason. A file that says anything else is one
//! too: whoever put it there wanted the traffic gone, and a mistake of theirs, or half a file, must not bring it back. Nothing here
//! looks at a file or a clock.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use crate::engine::AppName;

/// The name of the file that drains the whole host.
pub const HOST: &str = "all";

/// Why an app or the host is drained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    /// The reason in somebody's words; empty if there is none.
    pub reason: String,
    /// Who did it; empty if nobody knows.
    pub by: String,
    /// It counts until this second of Unix time, and no more from then on.
    pub until: Option<u64>,
}

impl Drain {
    /// What the text of a file says, and what is wrong with it if it is not of the form: then the file drains all the same, for
    /// good.
    #[must_use]
    pub fn parse(text: &[u8]) -> (Self, Option<&'static str>) {
        match Self::understand(text) {
            Ok(drain) => (drain, None),
            Err(wrong) => (Self::default(), Some(wrong)),
        }
    }

    fn understand(text: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8")?;
        let (mut reason, mut by, mut until) = (None, None, None);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once(':').ok_or("a line is none of \"reason: ...\", \"by: ...\" and \"until: ...\"")?;
            let place = match key.trim() {
                "reason" => &mut reason,
                "by" => &mut by,
                "until" => &mut until,
                _ => return Err("a line is none of \"reason: ...\", \"by: ...\" and \"until: ...\""),
            };
            if place.replace(plain(value)).is_some() {
                return Err("a line is there twice");
            }
        }
        let until = until.map(|until| time(&until).ok_or("its \"until\" is no time like 2026-11-25T14:00:00Z")).transpose()?;
        Ok(Self { reason: reason.unwrap_or_default(), by: by.unwrap_or_default(), until })
    }

    /// The text of its file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let until = self.until.map(written).unwrap_or_default();
        for (key, value) in [("reason: ", &self.reason), ("by: ", &self.by), ("until: ", &until)] {
            if !value.is_empty() {
                text += key;
                text += value;
                text.push('\n');
            }
        }
        text
    }

    /// Whether it counts no more at that second of Unix time.
    #[must_use]
    pub fn is_over(&self, unix: u64) -> bool {
        self.until.is_some_and(|until| until <= unix)
    }

    /// What is said of it: `bk_iam is drained: deploy 2.3 (by root, until 2026-11-25T14:00:00Z)`.
    #[must_use]
    pub fn sentence(&self, name: &str) -> String {
        let mut text = claim(name);
        if !self.reason.is_empty() {
            text += ": ";
            text += &self.reason;
        }
        let by = if self.by.is_empty() { String::new() } else { format!("by {}", self.by) };
        let until = self.until.map(|until| format!("until {}", written(until))).unwrap_or_default();
        let both = [by, until].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        if both.is_empty() { text } else { text + " (" + &both + ")" }
    }
}

/// How the sentence about a drain of that name begins, by which an answer about an app's own drain is told from one about the host's.
#[must_use]
pub fn claim(name: &str) -> String {
    subject(name).to_owned() + " is drained"
}

/// What a drain of that name is about.
#[must_use]
pub fn subject(name: &str) -> &str {
    if name == HOST { "this host" } else { name }
}

/// The name of a drain's file, if it is one. Those that no app has are somebody else's: dot-files, an editor's `bk_iam~`.
#[must_use]
pub fn name(file: &OsStr) -> Option<&str> {
    file.to_str().filter(|name| AppName::parse(name.as_bytes()).is_some())
}

/// A text as one line without control characters: it goes to terminals and into files whose lines mean something.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).collect::<String>().trim().to_owned()
}

/// A second of Unix time as it is written.
#[must_use]
pub fn written(unix: u64) -> String {
    // The last second that the form can express; what is read never comes after it.
    const LAST: u64 = 253_402_300_799;
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(unix.min(LAST))).to_string()
}

/// A time in UTC as a second of Unix time. A part of a second lasts until the next.
fn time(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(text).ok()?;
    // What was over before 1970 is over.
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Some(since.as_secs().saturating_add(u64::from(since.subsec_nanos() > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(reason: &str, by: &str, until: Option<u64>) -> Drain {
        Drain { reason: reason.into(), by: by.into(), until }
    }

    const UNTIL: u64 = 1_795_615_200;

    #[test]
    fn what_a_file_says() {
        let cases: &[(&[u8], Drain)] = &[
            (b"", drain("", "", None)),
            (b"\n", drain("", "", None)),
            (b"reason: deploy 2.3\nby: root\nuntil: 2026-11-25T14:00:00Z\n", drain("deploy 2.3", "root", Some(UNTIL))),
            (b"until:2026-11-25T14:00:00Z\r\nreason:  a: b \r\n", drain("a: b", "", Some(UNTIL))),
            (b"until: 2026-11-25T13:59:59.5Z", drain("", "", Some(UNTIL))),
            (b"until: 9999-12-31T23:59:59Z", drain("", "", Some(253_402_300_799))),
            ("reason: \u{5347}\u{7ea7}\nby:".as_bytes(), drain("\u{5347}\u{7ea7}", "", None)),
            (b"reason: \x1b[31mred\x07\x7f", drain("[31mred", "", None)),
        ];
        for (text, want) in cases {
            assert_eq!(Drain::parse(text), (want.clone(), None), "{:?}", text.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_is_not_of_the_form_drains_for_good() {
        let cases: &[(&[u8], &str)] = &[
            (b"reas", "none of"),
            (b"deploy", "none of"),
            (b"reason: x\nuntil: 2026-11-2", "until"),
            (b"until: tomorrow", "until"),
            (b"until: 2026-11-25T14:00:00+08:00", "until"),
            (b"until: 2026-11-25 14:00:00 CET", "until"),
            (b"until:", "until"),
            (b"owner: root\n", "none of"),
            (b"reason: a\nreason: b\n", "twice"),
            (b"reason: \xff", "UTF-8"),
            (b"\0\0\0\0", "none of"),
        ];
        for (text, words) in cases {
            let (drain, wrong) = Drain::parse(text);
            assert_eq!(drain, Drain::default(), "{:?}", text.escape_ascii().to_string());
            assert!(wrong.unwrap().contains(words), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let cases = [
            (drain("", "", None), ""),
            (drain("", "root", None), "by: root\n"),
            (drain("deploy: 2.3", "root", Some(UNTIL)), "reason: deploy: 2.3\nby: root\nuntil: 2026-11-25T14:00:00Z\n"),
        ];
        for (drain, text) in cases {
            assert_eq!(drain.text(), text);
            assert_eq!(Drain::parse(text.as_bytes()), (drain, None));
        }
    }

    #[test]
    fn what_is_said_of_it() {
        let cases = [
            ("bk_iam", drain("", "", None), "bk_iam is drained"),
            ("all", drain("upgrade", "", None), "this host is drained: upgrade"),
            ("a", drain("", "root", None), "a is drained (by root)"),
            ("a", drain("", "", Some(UNTIL)), "a is drained (until 2026-11-25T14:00:00Z)"),
            ("a", drain("x", "root", Some(UNTIL)), "a is drained: x (by root, until 2026-11-25T14:00:00Z)"),
        ];
        for (name, drain, want) in cases {
            assert_eq!(drain.sentence(name), want);
        }
    }

    #[test]
    fn it_is_over_from_its_second_on() {
        for (until, over) in [(None, false), (Some(UNTIL + 1), false), (Some(UNTIL), true), (Some(0), true)] {
            assert_eq!(drain("", "", until).is_over(UNTIL), over, "{until:?}");
        }
    }

    #[test]
    fn names_that_no_app_has_are_no_drains() {
        for (file, is_one) in
            [("all", true), ("bk_iam", true), (".bk_iam.swp", false), ("bk_iam~", false), ("#bk_iam#", false), ("", false), ("a b", false)]
        {
            assert_eq!(name(OsStr::new(file)).is_some(), is_one, "{file}");
        }
    }
}
