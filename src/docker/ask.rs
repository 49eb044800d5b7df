//! Questions to Docker as bytes: fixed, but for the API's version where one is demanded.

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// All containers, stopped ones too.
    All,
    /// The containers of these ids, stopped ones too.
    About(Vec<Box<str>>),
    /// The running containers whose HEALTHCHECK is not content, whatever a list says of it.
    Ailing,
    /// The events of containers from now on; those since then, in nanoseconds of Unix time, are replayed first.
    Events {
        /// If any are to be.
        since: Option<u64>,
    },
}

/// A version: of the Docker Engine API, or of Podman.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The first version of Podman that replays events without losing its place in its journal.
    pub const PODMAN_REPLAYS: Self = Self { major: 4, minor: 9 };

    /// The first version of Podman that tells of a check once it has run, with its outcome. Those before tell of it when it begins, with
    /// the outcome of the one before, and that it has ended ([`What::CheckEnded`](super::event::What::CheckEnded)).
    pub const PODMAN_TELLS_OUTCOMES: Self = Self { major: 4, minor: 8 };

    /// The value of an `Api-Version` field.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (major, minor) = std::str::from_utf8(value).ok()?.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// The value of a `Libpod-Api-Version` field, which has a third part.
    #[must_use]
    pub fn parse_podman(value: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.split('.');
        Some(Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
    }
}

/// The request that asks it. HTTP/1.1 wants a Host; Docker takes any sane one and refuses a path as one (measured). A fresh
/// connection each time has no history, so no stale one has to be recognised.
#[must_use]
pub fn bytes(question: &Question, version: Option<ApiVersion>) -> Vec<u8> {
    let prefix = version.map_or_else(String::new, |ApiVersion { major, minor }| format!("/v{major}.{minor}"));
    let path = match question {
        Question::All => "/containers/json?all=1".to_owned(),
        Question::About(ids) => format!("/containers/json?all=1&filters=%7B%22id%22%3A%5B%22{}%22%5D%7D", ids.join("%22%2C%22")),
        // Podman before version 6 says nothing of health in its lists, but can choose by it: of all, as one that was just paused is no better.
        Question::Ailing => "/containers/json?all=1&filters=%7B%22health%22%3A%5B%22unhealthy%22%2C%22starting%22%5D%7D".to_owned(),
        // The type alone: old Podmans match no second filter, and `die` is not what they call it.
        Question::Events { since } => {
            let since = since.map_or_else(String::new, |at| format!("&since={}.{:09}", at / 1_000_000_000, at % 1_000_000_000));
            format!("/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D{since}")
        }
    };
    format!("GET {prefix}{path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_fixed_bytes() {
        assert_eq!(bytes(&Question::All, None), b"GET /containers/json?all=1 HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n");
        let version = ApiVersion::parse(b"1.44");
        assert!(bytes(&Question::All, version).starts_with(b"GET /v1.44/containers/json?all=1 HTTP/1.1\r\n"));
        let line = |question| String::from_utf8(bytes(&question, None)).unwrap().lines().next().unwrap().to_owned();
        // {"id":["a1","b2"]} and {"type":["container"]}
        assert_eq!(
            line(Question::About(vec!["a1".into(), "b2".into()])),
            "GET /containers/json?all=1&filters=%7B%22id%22%3A%5B%22a1%22%2C%22b2%22%5D%7D HTTP/1.1"
        );
        // {"health":["unhealthy","starting"]}
        assert_eq!(
            line(Question::Ailing),
            "GET /containers/json?all=1&filters=%7B%22health%22%3A%5B%22unhealthy%22%2C%22starting%22%5D%7D HTTP/1.1"
        );
        assert_eq!(line(Question::Events { since: None }), "GET /events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D HTTP/1.1");
        assert_eq!(
            line(Question::Events { since: Some(1_795_378_133_063_202_278) }),
            "GET /events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D&since=1795378133.063202278 HTTP/1.1"
        );
    }

    #[test]
    fn nothing_but_two_numbers_is_a_version() {
        assert!(ApiVersion::parse(b"1.26").is_some());
        for bad in ["", "1", "1.", ".1", "1.2.3", "1.x", "1.44/../x", "70000.1", "1.44\r\n"] {
            assert_eq!(ApiVersion::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
