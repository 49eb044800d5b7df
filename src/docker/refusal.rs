//! What Docker, or a proxy before it, says instead of an answer.

use super::Fault;
use super::ask::ApiVersion;
use crate::http::response::Head;
use crate::limits;

/// An answer with another status than 200, on its way.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    api: Option<ApiVersion>,
    words: Vec<u8>,
}

impl Refusal {
    pub(super) fn of(head: &Head) -> Self {
        let api = head.field("api-version").and_then(ApiVersion::parse);
        Self { status: head.status, api, words: Vec::new() }
    }

    /// Takes bytes of its body, as many as are of use.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let room = limits::REFUSAL_BYTES.saturating_sub(self.words.len());
        self.words.extend(bytes.iter().take(room));
    }

    /// Whether no more of the body is of use.
    pub(super) fn is_enough(&self) -> bool {
        self.words.len() >= limits::REFUSAL_BYTES
    }

    /// What it means, to a question whose path had a version or had none.
    pub(super) fn fault(&self, versioned: bool) -> Fault {
        match (self.status, self.api) {
            // A daemon that wants a version says which is its own, in this very reply (moby, podman).
            (400 | 404, Some(version)) if !versioned => Fault::WantsVersion(version),
            (status, _) => Fault::Status(status, message(&self.words)),
        }
    }
}

/// The words of a refusal: the message of Docker's JSON, or what a proxy wrote, on one line.
fn message(body: &[u8]) -> Box<str> {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = match json.as_ref().and_then(|json| json.get("message")?.as_str()) {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").into()
}
