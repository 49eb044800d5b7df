//! A path to what it asks for.

use super::app::AppName;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Whether this server lives: `P/health`, and `*`.
    Health,
    /// Whether this host may be used: `P/ready`, and `/`, which untouched balancers ask.
    Ready,
    /// The counters: `P/metrics`.
    Metrics,
    /// The verdict on one app: `P/apps/health/{app}`.
    App(AppName),
    /// As the last, but that is no name.
    BadName,
    /// A path of ours, but a method that does more than read.
    NotAllowed,
    /// No path of ours.
    NotFound,
}

/// What a decoded path asks for. `prefix` has a slash before each of its parts and none at its end; `reads` says whether the
/// method only reads. One slash at the end makes no difference.
#[must_use]
pub fn route(prefix: &str, path: &[u8], reads: bool) -> Route {
    match find(prefix, path) {
        None => Route::NotFound,
        Some(_) if !reads => Route::NotAllowed,
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
        b"/apps/health" => Some(Route::BadName),
        path => {
            let name = path.strip_prefix(b"/apps/health/")?;
            Some(AppName::parse(name).map_or(Route::BadName, Route::App))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let app = |name: &str| Route::App(AppName::parse(name.as_bytes()).unwrap());
        let cases = [
            ("/chc", "/", Route::Ready),
            ("/chc", "*", Route::Health),
            ("/chc", "/chc/health", Route::Health),
            ("/chc", "/chc/health/", Route::Health),
            ("/chc", "/chc/health//", Route::NotFound),
            ("/chc", "/chc/ready", Route::Ready),
            ("/chc", "/chc/metrics", Route::Metrics),
            ("/chc", "/chc/apps/health/bk_iam", app("bk_iam")),
            ("/chc", "/chc/apps/health/bk_iam/", app("bk_iam")),
            ("/chc", "/chc/apps/health/health", app("health")),
            ("/chc", "/chc/apps/health", Route::BadName),
            ("/chc", "/chc/apps/health/", Route::BadName),
            ("/chc", "/chc/apps/health//", Route::BadName),
            ("/chc", "/chc/apps/health/..", Route::BadName),
            ("/chc", "/chc/apps/health/a/b", Route::BadName),
            ("/chc", "/chc/apps/health/(", Route::BadName),
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
            assert_eq!(route(prefix, path.as_bytes(), true), want, "{prefix} {path}");
            let changed = if want == Route::NotFound { Route::NotFound } else { Route::NotAllowed };
            assert_eq!(route(prefix, path.as_bytes(), false), changed, "{prefix} {path}");
        }
    }
}
