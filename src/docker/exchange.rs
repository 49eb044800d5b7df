//! One question to Docker and its answer, on one connection: [`Outbound`] finds the body, [`Reader`] the containers in it.

use super::Fault;
use super::ask::{self, ApiVersion, Question};
use super::container::{Container, Reader};
use crate::http::outbound::{Outbound, Part};
use crate::http::response::{Broken, Head};
use crate::limits;

/// What a question came to.
pub type Outcome = Result<Vec<Container>, Fault>;

/// One question and its answer on their way.
#[derive(Debug)]
pub struct Exchange {
    outbound: Outbound,
    versioned: bool,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    None,
    List(Reader, Vec<Container>),
    Refusal { status: u16, api: Option<ApiVersion>, words: Vec<u8> },
}

impl Exchange {
    /// A question that is still to be written.
    #[must_use]
    pub fn new(question: Question, version: Option<ApiVersion>) -> Self {
        Self { outbound: Outbound::new(ask::bytes(question, version)), versioned: version.is_some(), answer: Answer::None }
    }

    /// What is still to be written.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.outbound.unsent()
    }

    /// So many bytes of it were written.
    pub fn sent(&mut self, bytes: usize) {
        self.outbound.sent(bytes);
    }

    /// Takes bytes of the answer; gives the outcome once there is one.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Outcome> {
        let Self { outbound, answer, .. } = self;
        let mut fault = None;
        let fed = outbound.feed(bytes, |part| {
            if fault.is_none() {
                fault = answer.take(part).err();
            }
        });
        if let Some(fault) = fault.or_else(|| fed.err().map(Fault::from)) {
            return Some(Err(fault));
        }
        (self.outbound.is_done() || self.answer.is_enough()).then(|| self.outcome())
    }

    /// Docker closed its side.
    ///
    /// # Errors
    /// The fault, if the answer is none or not complete.
    pub fn end(&mut self) -> Outcome {
        self.outbound.end()?;
        self.outcome()
    }

    fn outcome(&mut self) -> Outcome {
        match std::mem::replace(&mut self.answer, Answer::None) {
            Answer::List(reader, found) if reader.is_done() => Ok(found),
            Answer::List(..) | Answer::None => Err(Fault::NotAList),
            // A daemon that wants a version says which is its own, in this very reply (moby, podman).
            Answer::Refusal { status: 400 | 404, api: Some(version), .. } if !self.versioned => Err(Fault::WantsVersion(version)),
            Answer::Refusal { status, words, .. } => Err(Fault::Status(status, message(&words))),
        }
    }
}

impl Answer {
    fn take(&mut self, part: Part<'_>) -> Result<(), Fault> {
        match (part, self) {
            (Part::Head(head), answer) => *answer = Self::of(&head),
            (Part::Body(bytes), Self::List(reader, found)) => reader.feed(bytes, |container| found.push(container))?,
            (Part::Body(bytes), Self::Refusal { words, .. }) => {
                let room = limits::REFUSAL_BYTES.saturating_sub(words.len());
                words.extend(bytes.iter().take(room));
            }
            (Part::Body(_), Self::None) => return Err(Fault::Broken(Broken::Head)),
        }
        Ok(())
    }

    fn of(head: &Head) -> Self {
        match head.status {
            200 => Self::List(Reader::new(), Vec::new()),
            status => {
                let api = head.field("api-version").and_then(ApiVersion::parse);
                Self::Refusal { status, api, words: Vec::new() }
            }
        }
    }

    /// Whether no more of the body is of use.
    fn is_enough(&self) -> bool {
        matches!(self, Self::Refusal { words, .. } if words.len() >= limits::REFUSAL_BYTES)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::however_cut;

    /// The ids of the containers, for an answer that ends with its connection.
    fn outcome(pieces: &[&[u8]]) -> Result<Vec<Box<str>>, Fault> {
        let mut exchange = Exchange::new(Question::All, None);
        let early = pieces.iter().find_map(|piece| exchange.feed(piece));
        early.unwrap_or_else(|| exchange.end()).map(|found| found.into_iter().map(|container| container.id).collect())
    }

    fn status(status: u16, words: &str) -> Result<Vec<Box<str>>, Fault> {
        Err(Fault::Status(status, words.into()))
    }

    #[test]
    fn every_kind_of_answer_has_one_outcome() {
        let list = r#"[{"Id":"a"},{"Id":"b"}]"#;
        let cases = [
            (format!("HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{list}"), Ok(vec!["a".into(), "b".into()])),
            (format!("HTTP/1.0 200 OK\r\n\r\n{list}\n"), Ok(vec!["a".into(), "b".into()])),
            (
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{}\r\n7\r\n{}\r\n0\r\n\r\n", &list[..16], &list[16..]),
                Ok(vec!["a".into(), "b".into()]),
            ),
            (
                format!("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{list}"),
                Ok(vec!["a".into(), "b".into()]),
            ),
            (format!("HTTP/1.0 200 OK\r\n\r\n{}", &list[..22]), Err(Fault::NotAList)),
            (format!("HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{list}"), Err(Fault::Broken(Broken::CutShort))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(), Err(Fault::NotAList)),
            ("HTTP/1.1 204 No Content\r\n\r\n".into(), status(204, "")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull".into(), Err(Fault::NotAList)),
            ("HTTP/1.1 500 No\r\nContent-Length: 27\r\n\r\n{\"message\":\"it\\nis broken\"}".into(), status(500, "it is broken")),
            ("HTTP/1.0 403 Forbidden\r\n\r\n<html>\r\n<b>no</b>\0".into(), status(403, "<html> <b>no</b>")),
            (format!("HTTP/1.0 502 Bad\r\n\r\n{}", "x".repeat(500)), status(502, &"x".repeat(200))),
            (
                "HTTP/1.1 400 Bad\r\nApi-Version: 1.44\r\nContent-Length: 0\r\n\r\n".into(),
                Err(Fault::WantsVersion(ApiVersion::parse(b"1.44").unwrap())),
            ),
            ("HTTP/1.1 404 No\r\nAPI-Version: x\r\nContent-Length: 0\r\n\r\n".into(), status(404, "")),
            ("SSH-2.0-OpenSSH_9.2\r\n".into(), Err(Fault::Broken(Broken::Head))),
            (String::new(), Err(Fault::Broken(Broken::CutShort))),
        ];
        for (bytes, want) in cases {
            assert_eq!(however_cut(bytes.as_bytes(), outcome), want, "{bytes:?}");
        }
    }

    #[test]
    fn a_version_is_asked_for_once() {
        let mut exchange = Exchange::new(Question::All, ApiVersion::parse(b"1.44"));
        let refusal = b"HTTP/1.1 400 Bad\r\nApi-Version: 1.26\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(exchange.feed(refusal), Some(Err(Fault::Status(400, "no".into()))));
    }
}
