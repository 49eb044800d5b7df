//! What is drained: this host, and single apps.

use super::AppName;
use crate::drain::{Drain, HOST};

/// All drains, those too whose time is over: what counts depends on the second in which it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drains {
    host: Option<Drain>,
    /// By their names, in order.
    apps: Vec<(Box<str>, Drain)>,
}

/// A drain that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// The app; none: this host.
    pub app: Option<AppName>,
    /// The drain.
    pub drain: Drain,
    /// For how many seconds it counts on, if that is known. At least one.
    pub left: Option<u64>,
}

impl FromIterator<(Box<str>, Drain)> for Drains {
    /// Drains by the names of their files, in the order of these.
    fn from_iter<T: IntoIterator<Item = (Box<str>, Drain)>>(files: T) -> Self {
        let mut apps: Vec<_> = files.into_iter().collect();
        debug_assert!(apps.is_sorted_by(|(one, _), (other, _)| one < other));
        let host = apps.iter().position(|(name, _)| **name == *HOST).map(|at| apps.remove(at).1);
        Self { host, apps }
    }
}

impl Drains {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.host.is_none() && self.apps.is_empty()
    }

    /// Why an app may not be used at that second of Unix time. Its own drain says more than the host's.
    #[must_use]
    pub fn of(&self, app: &AppName, unix: u64) -> Option<Drained> {
        let at = self.apps.binary_search_by(|(name, _)| (**name).cmp(app.as_str())).ok();
        let own = at.and_then(|at| self.apps.get(at));
        own.and_then(|(_, drain)| counts(Some(app), drain, unix)).or_else(|| self.of_host(unix))
    }

    /// The first second after this one in which a drain ends.
    #[must_use]
    pub fn next_end(&self, unix: u64) -> Option<u64> {
        let all = self.host.iter().chain(self.apps.iter().map(|(_, drain)| drain));
        all.filter_map(|drain| drain.until).filter(|until| *until > unix).min()
    }

    /// Why this host may not be used at that second of Unix time.
    #[must_use]
    pub fn of_host(&self, unix: u64) -> Option<Drained> {
        self.host.as_ref().and_then(|drain| counts(None, drain, unix))
    }
}

fn counts(app: Option<&AppName>, drain: &Drain, unix: u64) -> Option<Drained> {
    let left = drain.until.map(|until| until.saturating_sub(unix));
    (!drain.is_over(unix)).then(|| Drained { app: app.copied(), drain: drain.clone(), left })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test has to start at some instant")]

    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::Config;
    use crate::engine::{Answer, Engine, Reason, Settings};

    #[test]
    fn a_drain_ends_at_the_very_start_of_its_second() {
        let now = Instant::now();
        let app = AppName::parse(b"app").unwrap();
        let settings = Settings { apps: vec![app], ..Config::default().settings() };
        let mut engine = Engine::new(settings, 7, now, Duration::from_millis(99_250));
        let until = |until| Drain { until: Some(until), ..Drain::default() };
        engine.drains_are([("all".into(), until(101)), ("app".into(), until(100))].into_iter().collect(), now);
        let mut states = Vec::new();
        // The engine itself says when to look.
        for after in [0, 749_999_999, 750_000_000, 1_749_999_999, 1_750_000_000].map(Duration::from_nanos) {
            let at = now + after;
            // As each turn begins.
            engine.clock_is(Duration::from_millis(99_250) + after, at);
            engine.due(at);
            while engine.next_action(at).is_some() {}
            let row = engine.rows().first().map(|(_, standing)| standing.row.fault == Some(Reason::Drained));
            let own = engine.drains.of(&app, engine.unix(at).as_secs()).map(|drained| drained.app.is_some());
            states.push((row, own, engine.drains_end(at).map(|end| end - now)));
        }
        let (first, second) = (Some(Duration::from_millis(750)), Some(Duration::from_millis(1750)));
        let drained = |own| (Some(true), Some(own), if own { first } else { second });
        assert_eq!(states, [drained(true), drained(true), drained(false), drained(false), (Some(false), None, None)]);
        engine.clock_is(Duration::from_millis(99_250), now);
        assert!(matches!(engine.readiness(now + Duration::from_millis(1749)), Answer::Drained(_)));
        assert!(!matches!(engine.readiness(now + Duration::from_millis(1750)), Answer::Drained(_)));
    }

    #[test]
    fn which_drain_counts_when() {
        type Is = Option<(&'static str, Option<u64>)>;
        type Files = &'static [(&'static str, Option<u64>)];
        let named = |files: Files| {
            let drain = |until| Drain { until, ..Drain::default() };
            files.iter().map(|&(name, until)| (Box::from(name), drain(until))).collect::<Drains>()
        };
        // drains, then whether the app and the host are drained at second 100, by whose drain, and for how long
        let cases: &[(Files, Is, Is)] = &[
            (&[], None, None),
            (&[("other", None)], None, None),
            (&[("app", None)], Some(("app", None)), None),
            (&[("app", Some(130))], Some(("app", Some(30))), None),
            (&[("app", Some(101))], Some(("app", Some(1))), None),
            (&[("app", Some(100))], None, None),
            (&[("all", None)], Some(("all", None)), Some(("all", None))),
            (&[("all", Some(100))], None, None),
            (&[("all", Some(150)), ("app", None), ("b", None)], Some(("app", None)), Some(("all", Some(50)))),
            (&[("all", Some(150)), ("app", Some(99))], Some(("all", Some(50))), Some(("all", Some(50)))),
        ];
        let is = |drained: Option<Drained>| {
            drained.map(|drained| (drained.app.map_or_else(|| HOST.to_owned(), |app| app.as_str().to_owned()), drained.left))
        };
        let want = |is: Is| is.map(|(name, left)| (name.to_owned(), left));
        for (files, app, host) in cases {
            let drains = named(files);
            assert_eq!(is(drains.of(&AppName::parse(b"app").unwrap(), 100)), want(*app), "{files:?}");
            assert_eq!(is(drains.of_host(100)), want(*host), "{files:?}");
        }
    }
}
