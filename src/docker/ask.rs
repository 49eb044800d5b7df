//! Questions to Docker as bytes: fixed, but for the API's version where one is demanded.

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// All containers, stopped ones too.
    All,
}

/// A version of the Docker Engine API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The value of an `Api-Version` field.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (major, minor) = std::str::from_utf8(value).ok()?.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

/// The request that asks it. HTTP/1.1 wants a Host; Docker takes any sane one and refuses a path as one (measured). A fresh
/// connection each time has no history, so no stale one has to be recognised.
#[must_use]
pub fn bytes(question: Question, version: Option<ApiVersion>) -> Vec<u8> {
    let prefix = version.map_or_else(String::new, |ApiVersion { major, minor }| format!("/v{major}.{minor}"));
    let path = match question {
        Question::All => "/containers/json?all=1",
    };
    format!("GET {prefix}{path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_fixed_bytes() {
        assert_eq!(bytes(Question::All, None), b"GET /containers/json?all=1 HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n");
        let version = ApiVersion::parse(b"1.44");
        assert!(bytes(Question::All, version).starts_with(b"GET /v1.44/containers/json?all=1 HTTP/1.1\r\n"));
    }

    #[test]
    fn nothing_but_two_numbers_is_a_version() {
        assert!(ApiVersion::parse(b"1.26").is_some());
        for bad in ["", "1", "1.", ".1", "1.2.3", "1.x", "1.44/../x", "70000.1", "1.44\r\n"] {
            assert_eq!(ApiVersion::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
