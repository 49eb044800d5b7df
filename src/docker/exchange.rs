//! One question to Docker and its answer, on one connection: [`Outbound`] finds the body, a reader what is in it.

use super::Fault;
use super::ask::{self, ApiVersion, Question};
use super::container::{self, Container};
use super::event::{self, Line};
use super::refusal::Refusal;
use crate::http::outbound::{Outbound, Part, Talk};
use crate::http::response::{Broken, Head};
use crate::limits;

/// A list that landed.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Listed {
    /// The containers in it.
    pub containers: Vec<Container>,
    /// The version of Podman, if it is that which answered.
    pub podman: Option<ApiVersion>,
    /// It has a running container of which it does not say whether its HEALTHCHECK is content: Podman before version 6.
    pub is_silent_on_health: bool,
}

/// What a question came to. The stream of events has no end but a fault.
pub type Outcome = Result<Listed, Fault>;

/// What the stream of events tells on its way.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// Its head has come.
    Opened,
    /// A line of it.
    Line(Line),
}

/// One question and its answer on their way.
#[derive(Debug)]
pub struct Exchange {
    outbound: Outbound,
    versioned: bool,
    is_stream: bool,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    None,
    /// With how many names there are in it beyond the first of each container.
    List {
        reader: container::Reader,
        containers: Vec<Container>,
        more_names: usize,
        podman: Option<ApiVersion>,
    },
    Events(event::Reader),
    Refusal(Refusal),
}

impl Exchange {
    /// A question that is still to be written.
    #[must_use]
    pub fn new(question: &Question, version: Option<ApiVersion>) -> Self {
        Self {
            outbound: Outbound::new(ask::bytes(question, version)),
            versioned: version.is_some(),
            is_stream: matches!(question, Question::Events { .. }),
            answer: Answer::None,
        }
    }

    fn outcome(&mut self) -> Outcome {
        match std::mem::replace(&mut self.answer, Answer::None) {
            Answer::List { reader, containers, podman, .. } if reader.is_done() => {
                // Docker's words tell where it has no field for it.
                let is_silent_on_health = podman.is_some() && reader.is_silent_on_health();
                Ok(Listed { containers, podman, is_silent_on_health })
            }
            Answer::List { .. } | Answer::None => Err(Fault::NotAList),
            // A Podman without a journal of events ends its stream in good order, at once.
            Answer::Events(_) => Err(Fault::Broken(Broken::CutShort)),
            Answer::Refusal(refusal) => Err(refusal.fault(self.versioned)),
        }
    }
}

impl Talk for Exchange {
    type Told = Told;
    type Outcome = Outcome;

    fn outbound(&mut self) -> &mut Outbound {
        &mut self.outbound
    }

    fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(Told)) -> Option<Outcome> {
        let Self { outbound, answer, is_stream, .. } = self;
        let mut fault = None;
        let fed = outbound.feed(bytes, |part| {
            if fault.is_none() {
                fault = answer.take(part, *is_stream, &mut tell).err();
            }
        });
        // Enough comes before a fault behind it: whether that was in the same read is chance.
        if matches!(&self.answer, Answer::Refusal(refusal) if refusal.is_enough()) {
            return Some(self.outcome());
        }
        if let Some(fault) = fault.or_else(|| fed.err().map(Fault::from)) {
            return Some(Err(fault));
        }
        self.outbound.is_done().then(|| self.outcome())
    }

    fn end(&mut self) -> Outcome {
        let ended = self.outbound.end();
        // The status of a refusal says more than that its body was cut.
        if !matches!(self.answer, Answer::Refusal(_)) {
            ended?;
        }
        self.outcome()
    }
}

impl Answer {
    fn take(&mut self, part: Part<'_>, is_stream: bool, tell: &mut impl FnMut(Told)) -> Result<(), Fault> {
        match (part, self) {
            (Part::Head(head), answer) => {
                *answer = Self::of(&head, is_stream);
                if matches!(answer, Self::Events(_)) {
                    tell(Told::Opened);
                }
            }
            (Part::Body(bytes), Self::List { reader, containers, more_names, .. }) => {
                reader.feed(bytes, |container| {
                    *more_names = more_names.saturating_add(container.parts().own_names().count().saturating_sub(1));
                    containers.push(container);
                })?;
                if containers.len().saturating_add(*more_names) > limits::CONTAINERS {
                    return Err(Fault::TooLarge);
                }
            }
            (Part::Body(bytes), Self::Events(reader)) => reader.feed(bytes, |line| tell(Told::Line(line)))?,
            (Part::Body(bytes), Self::Refusal(refusal)) => refusal.take(bytes),
            (Part::Body(_), Self::None) => return Err(Fault::Broken(Broken::Head)),
        }
        Ok(())
    }

    fn of(head: &Head, is_stream: bool) -> Self {
        if head.status != 200 {
            return Self::Refusal(Refusal::of(head));
        }
        if is_stream {
            return Self::Events(event::Reader::new());
        }
        let podman = head.field("libpod-api-version").and_then(ApiVersion::parse_podman);
        Self::List { reader: container::Reader::new(), containers: Vec::new(), more_names: 0, podman }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::event::{Event, What};
    use crate::http::testing::however_cut;

    /// The ids of the containers, for an answer that ends with its connection.
    fn outcome(pieces: &[&[u8]]) -> Result<Vec<Box<str>>, Fault> {
        let mut exchange = Exchange::new(&Question::All, None);
        let early = pieces.iter().find_map(|piece| exchange.feed(piece, |told| panic!("{told:?}")));
        early
            .unwrap_or_else(|| exchange.end())
            .map(|listed| listed.containers.into_iter().map(|container| container.parts().id.into()).collect())
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
            ("HTTP/1.1 502 Bad\r\nContent-Length: 99\r\n\r\ncut".into(), status(502, "cut")),
            ("HTTP/1.1 404 No\r\nAPI-Version: x\r\nContent-Length: 0\r\n\r\n".into(), status(404, "")),
            ("SSH-2.0-OpenSSH_9.2\r\n".into(), Err(Fault::Broken(Broken::Head))),
            (String::new(), Err(Fault::Broken(Broken::CutShort))),
        ];
        for (bytes, want) in cases {
            assert_eq!(however_cut(bytes.as_bytes(), outcome), want, "{bytes:?}");
        }
    }

    #[test]
    fn each_further_name_counts_as_a_container() {
        let list = |pairs: usize| {
            let pair = r#"{"Id":"a","Names":["/a","/b"]}"#;
            outcome(&[format!("HTTP/1.0 200 OK\r\n\r\n[{}]", vec![pair; pairs].join(",")).as_bytes()])
        };
        assert_eq!(list(limits::CONTAINERS / 2).map(|ids| ids.len()), Ok(limits::CONTAINERS / 2));
        assert_eq!(list(limits::CONTAINERS / 2 + 1), Err(Fault::TooLarge));
    }

    #[test]
    fn a_version_is_asked_for_once() {
        let mut exchange = Exchange::new(&Question::All, ApiVersion::parse(b"1.44"));
        let refusal = b"HTTP/1.1 400 Bad\r\nApi-Version: 1.26\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(exchange.feed(refusal, |_| ()), Some(Err(Fault::Status(400, "no".into()))));
    }

    const DIE: &str = r#"{"Type":"container","Action":"die","Actor":{"ID":"37f9","Attributes":{"name":"a","exitCode":"1"}},"timeNano":7}"#;

    /// What the stream told, and how it ended.
    fn stream(pieces: &[&[u8]]) -> (Vec<Told>, Fault) {
        let mut exchange = Exchange::new(&Question::Events { since: None }, None);
        let mut told = Vec::new();
        let early = pieces.iter().find_map(|piece| exchange.feed(piece, |news| told.push(news)));
        (told, early.unwrap_or_else(|| exchange.end()).unwrap_err())
    }

    #[test]
    fn a_stream_is_told_as_it_comes_and_always_ends_in_a_fault() {
        let die = || Told::Line(Line::Event(Event { id: "37f9".into(), name: "a".into(), what: What::Died(1), at: 7, ..Event::default() }));
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let line = format!("{DIE}\n");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let cut = || Fault::Broken(Broken::CutShort);
        let (front, back) = line.split_at(40);
        let cases = [
            (chunked.to_owned(), vec![Told::Opened], cut()),
            (format!("{chunked}{}", chunk(&line)), vec![Told::Opened, die()], cut()),
            (format!("{chunked}{}{}{}", chunk(front), chunk(back), chunk(&line)), vec![Told::Opened, die(), die()], cut()),
            (format!("HTTP/1.0 200 OK\r\n\r\n{line}{front}"), vec![Told::Opened, die()], cut()),
            (format!("{chunked}0\r\n\r\n"), vec![Told::Opened], cut()),
            (format!("{chunked}{}", chunk("nonsense\n")), vec![Told::Opened], Fault::NotEvents),
            (format!("{chunked}x"), vec![Told::Opened], Fault::Broken(Broken::Chunk)),
            ("HTTP/1.0 403 Forbidden\r\n\r\n<h1>no</h1>".into(), vec![], Fault::Status(403, "<h1>no</h1>".into())),
            (
                "HTTP/1.1 404 No\r\nApi-Version: 1.44\r\nContent-Length: 0\r\n\r\n".into(),
                vec![],
                Fault::WantsVersion(ApiVersion::parse(b"1.44").unwrap()),
            ),
            (String::new(), vec![], cut()),
        ];
        for (bytes, told, fault) in cases {
            assert_eq!(however_cut(bytes.as_bytes(), stream), (told, fault), "{bytes:?}");
        }
    }
}
