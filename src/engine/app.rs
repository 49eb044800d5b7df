//! The name of an app, and the only way to make one.

use std::fmt;

use crate::limits;

/// The name of an app: `[A-Za-z0-9][A-Za-z0-9_.-]{0,127}`, the alphabet of Docker's names for containers
/// (moby `daemon/names`). It lies in place, so that a probe allocates nothing for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AppName {
    length: u8,
    bytes: [u8; limits::APP_BYTES],
}

impl AppName {
    /// The name, if it is one.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        let (first, rest) = name.split_first()?;
        let sound = first.is_ascii_alphanumeric()
            && rest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'.' | b'-'));
        if !sound {
            return None;
        }
        let mut bytes = [0; limits::APP_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { length: u8::try_from(name.len()).ok()?, bytes })
    }

    /// The name as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Whether a container of that name is one of the app's: `<app>` or `<app>-<digits>`, never less and never more. Gives the
    /// digits, without leading zeros.
    #[must_use]
    pub fn number_in<'a>(&self, container: &'a str) -> Option<&'a str> {
        if container == self.as_str() {
            return Some("");
        }
        numbered(container).filter(|(stem, _)| *stem == self.as_str()).map(|(_, digits)| digits.trim_start_matches('0'))
    }
}

/// The name of a container that ends with `-<digits>`: what is before that, and the digits.
#[must_use]
pub fn numbered(container: &str) -> Option<(&str, &str)> {
    container.rsplit_once('-').filter(|(_, digits)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Debug for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let longest = "x".repeat(limits::APP_BYTES);
        for good in ["a", "0", "bk_iam", "A.b-c_9", "a..", "a-", &longest] {
            assert_eq!(AppName::parse(good.as_bytes()).unwrap().as_str(), good);
        }
        let longer = "x".repeat(limits::APP_BYTES + 1);
        for bad in ["", "_a", ".", "..", "-a", "a/b", "a b", "a\0", "a%", "a:b", "\u{e4}", "a\n", "(", "a*", &longer] {
            assert_eq!(AppName::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(AppName::parse(b"a\xff"), None);
    }

    #[test]
    fn an_app_is_never_answered_for_by_another_one_s_container() {
        let app = AppName::parse(b"bk_gse").unwrap();
        for (container, number) in [("bk_gse", ""), ("bk_gse-1709878117", "1709878117"), ("bk_gse-007", "7"), ("bk_gse-0", "")] {
            assert_eq!(app.number_in(container), Some(number), "{container}");
        }
        for container in [
            "bk_gsekit",
            "bk_gsekit-1709878117",
            "my_bk_gse",
            "bk_gse-",
            "bk_gse-1a",
            "bk_gse_1",
            "bk_gse-1-2",
            "bk_gs",
            "BK_GSE",
            "",
            "bk_gse-\u{661}",
        ] {
            assert_eq!(app.number_in(container), None, "{container}");
        }
    }
}
