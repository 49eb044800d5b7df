//! How all apps stand, as one page for people.
//!
//! `page.html` has all that is the same each time. What its script asks for when something changes is this page again, so that words
//! and markup are made here alone, and whoever has no script sees the same. Every text that was not written for the page is escaped.

use crate::answers::Words;
use crate::drain;
use crate::engine::groups::Standing;
use crate::engine::{Answer, Reason, Trust};
use crate::http::reply::decimal;

/// The fields of its own, up to its length: what it is, and that nothing may be loaded, run or drawn but what is in it. The hashes are those of the script
/// and the style in `page.html`; a test says what they should be.
pub const FIELDS: &str = "\r\nContent-Type: text/html; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Security-Policy: \
    default-src 'none'; connect-src 'self'; script-src 'sha256-mkWP+nP4xrFfl6COah4F5I5AJ8DjWeFgYVVh+jhAuDw='; style-src 'sha256-irYGQnM8NGaeneqvMsJQMpuFctaBm0cC6Pz6APtYHF8='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\nContent-Length: ";

const TEMPLATE: &str = include_str!("page.html");

/// What is shown.
#[derive(Debug)]
pub struct Page<'a> {
    /// The words for what is wrong.
    pub words: &'a Words,
    /// How far what is known of Docker is trusted.
    pub docker: Trust,
    /// Whether this host may be used.
    pub host: &'a Answer,
    /// How each app stands, sorted by name.
    pub apps: &'a [(&'a str, &'a Standing)],
    /// What is wrong with those that are down, in their order.
    pub wrong: &'a [Option<Answer>],
    /// The index of what is told of all apps.
    pub index: u64,
}

impl Page<'_> {
    /// Appends it. Who looks at it wants to know what is wrong: that comes first.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (before, rest) = TEMPLATE.split_once("{title}").unwrap_or_default();
        let (between, after) = rest.split_once("{main}").unwrap_or_default();
        let up = self.apps.iter().filter(|(_, standing)| standing.row.fault.is_none()).count();
        let (up, all) = (up as u64, self.apps.len() as u64);
        let down = all.saturating_sub(up);
        let mut out = Html(out);
        out.put(&[before]);
        out.number("", down, "/");
        out.number("", all, between);
        out.number("<main data-index=", self.index, ">");
        self.host(&mut out);
        out.number("<p><i class=w>apps</i> <b>", all, "</b>, <i class=w>up</i> <b>");
        out.number("", up, "</b>, <i class=w>not up</i> <b>");
        out.number("", down, "</b></p>");
        if self.apps.is_empty() {
            out.put(&["<p class=w>No app is known here.</p>"]);
        } else {
            out.put(&["<table><thead><tr><th class=w>app<th class=w>state<th class=w>since<th class=w>containers<tbody>"]);
            let mut wrong = self.wrong.iter();
            for (app, standing) in self.apps {
                if let Some(reason) = standing.row.fault {
                    self.row(app, standing, Some((reason, wrong.next().and_then(Option::as_ref))), &mut out);
                }
            }
            for (app, standing) in self.apps.iter().filter(|(_, standing)| standing.row.fault.is_none()) {
                self.row(app, standing, None, &mut out);
            }
            out.put(&["</table>"]);
        }
        out.put(&["</main>", after]);
    }

    /// Docker's state, and why this host is not to be used.
    fn host(&self, out: &mut Html<'_>) {
        let (class, words) = match self.docker {
            Trust::Live => ("up", "its events are followed"),
            Trust::Blind => ("drained", "it tells no events: each question is passed on to it"),
            Trust::Stale => ("drained", "it is gone: this is what it said last"),
            Trust::Down => ("down", "nothing is known of it now"),
        };
        out.put(&["<p>Docker <b class=\"w s ", class, "\">", self.docker.word(), "</b> <i class=w>", words, "</i></p>"]);
        self.words.wrong(self.host, &mut |_, _, reason, message| {
            out.put(&["<p><i class=w>not to be used</i> <b class=\"w s down\">", reason, "</b> <bdi>"]);
            out.escaped(message);
            out.put(&["</bdi></p>"]);
        });
    }

    fn row(&self, app: &str, standing: &Standing, wrong: Option<(Reason, Option<&Answer>)>, out: &mut Html<'_>) {
        let state = match wrong {
            None => "up",
            Some((Reason::Drained, _)) => "drained",
            Some((Reason::DockerUnreachable | Reason::DockerError | Reason::DockerTimeout, _)) => "unknown",
            Some(_) => "down",
        };
        out.put(&["<tr><td>"]);
        out.escaped(format_args!("{app}"));
        out.put(&["<td><b class=\"w s ", state, "\">", state, "</b>"]);
        if let Some((reason, answer)) = wrong {
            if reason != Reason::Drained {
                out.put(&[" <i class=w>", reason.word(), "</i>"]);
            }
            // What is wrong with Docker has been said above.
            if let Some(answer) = answer.filter(|answer| !matches!(answer, Answer::Unknown(_))) {
                self.words.wrong(answer, &mut |_, _, _, message| {
                    out.put(&[" <bdi>"]);
                    out.escaped(message);
                    out.put(&["</bdi>"]);
                });
            }
        }
        let since = drain::written(u64::try_from(standing.row.since).unwrap_or_default());
        out.put(&["<td><time>", &since, "</time><td><i class=\"w p\">containers</i> "]);
        out.number("", standing.row.containers.into(), "");
    }
}

struct Html<'a>(&'a mut Vec<u8>);

impl Html<'_> {
    /// Markup, and texts that have none.
    fn put(&mut self, parts: &[&str]) {
        for part in parts {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    /// A number between these.
    fn number(&mut self, before: &str, number: u64, behind: &str) {
        self.put(&[before]);
        self.0.extend_from_slice(decimal(number, &mut [0; 20]));
        self.put(&[behind]);
    }

    /// A text, whatever is in it.
    fn escaped(&mut self, text: std::fmt::Arguments<'_>) {
        // It takes all, so that this cannot fail.
        let _ = std::fmt::write(self, text);
    }
}

impl std::fmt::Write for Html<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            match byte {
                b'&' => self.put(&["&amp;"]),
                b'<' => self.put(&["&lt;"]),
                b'>' => self.put(&["&gt;"]),
                b'"' => self.put(&["&#34;"]),
                b'\'' => self.put(&["&#39;"]),
                byte => self.0.push(byte),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_a_text() {
        let mut out = Vec::new();
        Html(&mut out).escaped(format_args!("{}", "<b title='\"'>&amp;"));
        assert_eq!(String::from_utf8(out).unwrap(), "&lt;b title=&#39;&#34;&#39;&gt;&amp;amp;");
    }

    #[test]
    fn the_template_has_its_two_places() {
        assert!(TEMPLATE.split_once("{title}").is_some_and(|(_, rest)| rest.split_once("{main}").is_some()));
    }
}
