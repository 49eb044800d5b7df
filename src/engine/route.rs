//! A path and a query to what they ask for.

use std::borrow::Cow;

use super::app::AppName;
use super::watch::Query;
use crate::{duration, limits};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Whether this server lives: `P/health`, and `*`.
    Health,
    /// Whether this host may be used: `P/ready`, and `/`, which untouched balancers ask.
    Ready,
    /// The counters: `P/metrics`.
    Metrics,
    /// The verdict on one app: `P/apps/health/{app}`.
    App(AppName),
    /// All apps at once: `P/apps`, or `P/status` for people.
    Apps(Box<Query>),
    /// As one of the last two, but that is no name.
    BadName(Path),
    /// As `Apps`, but a value in its query is none: what would be one.
    BadQuery(&'static str),
    /// A path of ours, but a method that does more than read.
    NotAllowed,
    /// No path of ours.
    NotFound,
}

/// Which of the paths was asked for: a closed list, by which requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// `P/health`.
    Health,
    /// `P/ready`.
    Ready,
    /// `P/apps/health/{app}`.
    App,
    /// `P/apps`.
    Apps,
    /// `P/status`.
    Status,
    /// `P/metrics`.
    Metrics,
    /// None of these, or no request at all.
    Other,
}

impl Path {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 7] = [Self::Health, Self::Ready, Self::App, Self::Apps, Self::Status, Self::Metrics, Self::Other];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Ready => "ready",
            Self::App => "app",
            Self::Apps => "apps",
            Self::Status => "status",
            Self::Metrics => "metrics",
            Self::Other => "other",
        }
    }
}

impl Route {
    /// Which path that is.
    #[must_use]
    pub const fn path(&self) -> Path {
        match self {
            Self::Health => Path::Health,
            Self::Ready => Path::Ready,
            Self::Metrics => Path::Metrics,
            Self::App(_) => Path::App,
            Self::BadName(path) => *path,
            Self::Apps(query) => {
                if query.page {
                    Path::Status
                } else {
                    Path::Apps
                }
            }
            Self::BadQuery(_) => Path::Apps,
            Self::NotAllowed | Self::NotFound => Path::Other,
        }
    }
}

/// A key and its value in a query, decoded; none: badly encoded.
type Pair<'a> = Option<(Cow<'a, [u8]>, Cow<'a, [u8]>)>;

/// What a decoded path and its query ask for. `prefix` has a slash before each of its parts and none at its end; `reads` says whether
/// the method only reads. One slash at the end makes no difference.
#[must_use]
pub fn route<'a>(prefix: &str, path: &[u8], query: impl Iterator<Item = Pair<'a>>, reads: bool) -> Route {
    match find(prefix, path) {
        None => Route::NotFound,
        Some(_) if !reads => Route::NotAllowed,
        Some(Route::Apps(asked)) if !asked.page => match apps(query) {
            Ok(query) => Route::Apps(Box::new(query)),
            Err(wants) => wants.map_or(Route::BadName(Path::Apps), Route::BadQuery),
        },
        Some(route) => route,
    }
}

fn find(prefix: &str, path: &[u8]) -> Option<Route> {
    match path {
        b"*" => return Some(Route::Health),
        b"/" => return Some(Route::Ready),
        _ => {}
    }
    let path = path.strip_suffix(b"/").unwrap_or(path);
    match path.strip_prefix(prefix.as_bytes())? {
        b"/health" => Some(Route::Health),
        b"/ready" => Some(Route::Ready),
        b"/metrics" => Some(Route::Metrics),
        b"/apps" => Some(Route::Apps(Box::default())),
        b"/status" => Some(Route::Apps(Box::new(Query { page: true, ..Query::default() }))),
        b"/apps/health" => Some(Route::BadName(Path::App)),
        path => {
            let name = path.strip_prefix(b"/apps/health/")?;
            Some(AppName::parse(name).map_or(Route::BadName(Path::App), Route::App))
        }
    }
}

/// What is asked about all apps; or what its query should have been, none for a name that is no app's. Keys that nobody knows are
/// passed over, as everywhere.
fn apps<'a>(query: impl Iterator<Item = Pair<'a>>) -> Result<Query, Option<&'static str>> {
    let mut asked = Query::default();
    for pair in query {
        let (key, value) = pair.ok_or("the query is badly encoded")?;
        let text = std::str::from_utf8(&value).unwrap_or_default();
        match &*key {
            b"require" => {
                for name in value.split(|&byte| byte == b',').filter(|name| !name.is_empty()) {
                    let app = AppName::parse(name).ok_or(None)?;
                    if !asked.require.contains(&app) {
                        asked.require.push(app);
                    }
                    if asked.require.len() > limits::REQUIRED {
                        return Err(Some("require wants at most 32 apps"));
                    }
                }
            }
            b"index" => asked.index = Some(text.parse().map_err(|_| "index wants the number of an X-Index")?),
            b"wait" => asked.wait = duration::parse(text).ok_or("wait wants a time, like 500ms, 30s, 1m, or seconds")?,
            _ => {}
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn paths() {
        let app = |name: &str| Route::App(AppName::parse(name.as_bytes()).unwrap());
        let page = || Route::Apps(Box::new(Query { page: true, ..Query::default() }));
        let cases = [
            ("/chc", "/", Route::Ready),
            ("/chc", "*", Route::Health),
            ("/chc", "/chc/health", Route::Health),
            ("/chc", "/chc/health/", Route::Health),
            ("/chc", "/chc/health//", Route::NotFound),
            ("/chc", "/chc/ready", Route::Ready),
            ("/chc", "/chc/metrics", Route::Metrics),
            ("/chc", "/chc/status", page()),
            ("/chc", "/chc/status/", page()),
            ("/chc", "/chc/apps/health/bk_iam", app("bk_iam")),
            ("/chc", "/chc/apps/health/bk_iam/", app("bk_iam")),
            ("/chc", "/chc/apps/health/health", app("health")),
            ("/chc", "/chc/apps/health", Route::BadName(Path::App)),
            ("/chc", "/chc/apps/health/", Route::BadName(Path::App)),
            ("/chc", "/chc/apps/health//", Route::BadName(Path::App)),
            ("/chc", "/chc/apps/health/..", Route::BadName(Path::App)),
            ("/chc", "/chc/apps/health/a/b", Route::BadName(Path::App)),
            ("/chc", "/chc/apps/health/(", Route::BadName(Path::App)),
            ("/chc", "/chc", Route::NotFound),
            ("/chc", "/chc/", Route::NotFound),
            ("/chc", "/chchealth", Route::NotFound),
            ("/chc", "/health", Route::NotFound),
            ("/chc", "/CHC/health", Route::NotFound),
            ("/chc", "/chc/./health", Route::NotFound),
            ("", "/", Route::Ready),
            ("", "/health", Route::Health),
            ("", "/apps/health/a", app("a")),
            ("", "//health", Route::NotFound),
            ("/a/b", "/a/b/health", Route::Health),
            ("/a/b", "/a/health", Route::NotFound),
        ];
        for (prefix, path, want) in cases {
            let changed = if want == Route::NotFound { Route::NotFound } else { Route::NotAllowed };
            assert_eq!(route(prefix, path.as_bytes(), std::iter::empty(), true), want, "{prefix} {path}");
            assert_eq!(route(prefix, path.as_bytes(), std::iter::empty(), false), changed, "{prefix} {path}");
        }
    }

    #[test]
    fn what_is_asked_about_all_apps() {
        let apps = |require: &[&str], index, wait| {
            let require = require.iter().map(|name| AppName::parse(name.as_bytes()).unwrap()).collect();
            Route::Apps(Box::new(Query { require, index, wait: Duration::from_millis(wait), page: false }))
        };
        let all: Vec<String> = (0..=limits::REQUIRED).map(|number| format!("app{number}")).collect();
        let names = |count: usize| all.iter().take(count).map(String::as_str).collect::<Vec<_>>();
        let many = |count: usize| names(count).join(",");
        let (bad_index, bad_wait) = (
            || Route::BadQuery("index wants the number of an X-Index"),
            || Route::BadQuery("wait wants a time, like 500ms, 30s, 1m, or seconds"),
        );
        let cases = [
            (&[][..], apps(&[], None, 0)),
            (&[("all", "true"), ("", ""), ("wait ", "x")], apps(&[], None, 0)),
            (&[("require", "a,b_c")], apps(&["a", "b_c"], None, 0)),
            (&[("require", "a"), ("require", "b")], apps(&["a", "b"], None, 0)),
            (&[("require", "")], apps(&[], None, 0)),
            (&[("require", "a,,b")], apps(&["a", "b"], None, 0)),
            (&[("require", "a,b,a"), ("require", "b")], apps(&["a", "b"], None, 0)),
            (&[("require", &*many(limits::REQUIRED))], apps(&names(limits::REQUIRED), None, 0)),
            (&[("require", &*many(limits::REQUIRED + 1))], Route::BadQuery("require wants at most 32 apps")),
            (&[("require", "a,(")], Route::BadName(Path::Apps)),
            (&[("index", "7"), ("wait", "30s")], apps(&[], Some(7), 30_000)),
            (&[("index", "0"), ("wait", "30")], apps(&[], Some(0), 30_000)),
            (&[("wait", "500ms")], apps(&[], None, 500)),
            (&[("wait", "5m")], apps(&[], None, 300_000)),
            (&[("wait", "1m30s")], apps(&[], None, 90_000)),
            (&[("index", "")], bad_index()),
            (&[("index", "-1")], bad_index()),
            (&[("index", "18446744073709551616")], bad_index()),
            (&[("wait", "soon")], bad_wait()),
            (&[("wait", "-1")], bad_wait()),
            (&[("wait", "\u{661}s")], bad_wait()),
        ];
        for (query, want) in cases {
            let pairs = query.iter().map(|(key, value)| Some((Cow::Borrowed(key.as_bytes()), Cow::Borrowed(value.as_bytes()))));
            assert_eq!(route("", b"/apps", pairs, true), want, "{query:?}");
        }
        assert_eq!(route("", b"/apps/", [None].into_iter(), true), Route::BadQuery("the query is badly encoded"));
        assert_eq!(route("", b"/apps", [None].into_iter(), false), Route::NotAllowed);
        for path in [&b"/health"[..], b"/status"] {
            assert!(!matches!(route("", path, [None].into_iter(), true), Route::BadQuery(_)), "nobody looks at it");
        }
    }
}
