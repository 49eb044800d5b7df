//! A time as people write it.

use std::time::Duration;

/// Reads `500ms`, `5s`, `1m30s`, `2h`, or plain seconds.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    humantime::parse_duration(text).ok()
}
