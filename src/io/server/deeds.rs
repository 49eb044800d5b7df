//! The engine's actions become deeds: answers, questions to Docker, checks, lines in the log.

use std::io;

use log::{info, warn};

use super::{Said, Server, empty, enlist, hand_over, is_crowded, refuse_large};
use crate::answers::Words;
use crate::check;
use crate::docker::{ApiVersion, Exchange, Question};
use crate::engine::watch::Query;
use crate::engine::{Action, Answer, AppName, Engine, FlightId, Reason, Ticket, Verdict};
use crate::http::Reply;
use crate::http::reply::{Field, Kind};
use crate::io::peer::{self, Role, Socket};
use crate::io::process;
use crate::io::sock::Stream;
use crate::lost::Lost;
use crate::metrics;
use crate::page::{self, Page};

impl Server {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Answer(ticket, answer) => self.answer(ticket, &answer),
            Action::Verdict(ticket, ref app, stale) => self.verdict(ticket, app, stale),
            // Neither is made in vain: they cost the most.
            Action::Metrics(ticket) if is_crowded(&self.peers) => self.refuse_large(ticket),
            Action::Apps(ticket, query) if query.page && is_crowded(&self.peers) => self.refuse_large(ticket),
            Action::Apps(ticket, query) if query.page => self.page(ticket),
            Action::Apps(ticket, query) => self.all_apps(ticket, &query),
            Action::Metrics(ticket) => self.metrics(ticket),
            Action::Ask(flight, question, version) => self.ask_docker(flight, &question, version),
            Action::Check(flight, app) => self.check(flight, &app),
            Action::Forget(flight) => self.close_flight(flight),
            Action::Turned(app, None) => info!("up app={}", app.as_str()),
            // Somebody wanted it so.
            Action::Turned(app, Some(reason @ Reason::Drained)) => info!("down app={} reason={}", app.as_str(), reason.word()),
            Action::Turned(app, Some(reason)) => warn!("down app={} reason={}", app.as_str(), reason.word()),
            Action::DockerFound => info!("docker answers address={}", self.words.docker),
            Action::Live => info!("live containers={}", self.engine.containers()),
            Action::Blind(fault) => warn!("blind, each probe asks docker: {}", self.words.fault(&fault)),
            Action::Late(age) => warn!("events come late by={}s: a proxy holds them back, or docker's clock differs", age.as_secs()),
            Action::DockerLost(fault) => warn!("docker lost: {}", self.words.fault(&fault)),
            Action::Checked(app, Ok(())) => info!("check good again app={}", app.as_str()),
            Action::Checked(app, Err(fault)) => warn!("check fails app={}: {}", app.as_str(), self.words.check(&app, fault)),
        }
    }

    fn refuse_large(&mut self, ticket: Ticket) {
        let Self { peers, list, spare, clock, traffic, .. } = self;
        refuse_large(peers, list, spare, clock, traffic, ticket);
    }

    fn answer(&mut self, ticket: Ticket, answer: &Answer) {
        // Words are not made for who has left.
        if self.peers.get_mut(ticket.connection).is_none() {
            return;
        }
        let Self { words, body, peers, list, spare, clock, traffic, .. } = self;
        empty(body);
        let status = words.answer(answer, body);
        let numbers = [answer.retry_after().map(|seconds| (Field::RetryAfter, seconds)), None];
        hand_over(peers, list, spare, clock, traffic, ticket, &Reply { numbers, ..Reply::json(status, body) });
    }

    /// The present verdict on an app, written once for all who ask until it changes.
    fn verdict(&mut self, ticket: Ticket, app: &AppName, stale: bool) {
        let Self { engine, words, body, peers, list, spare, clock, traffic, .. } = self;
        let Some(Verdict { answer, rendered }) = engine.verdict(app) else {
            return self.answer(ticket, &Answer::NoContainer { app: *app, expected: false });
        };
        let (status, body) = if stale {
            empty(body);
            (words.stale(answer, body), body)
        } else {
            let (status, body) = rendered.get_or_insert_with(|| {
                let mut body = Vec::new();
                (words.answer(answer, &mut body), body)
            });
            (*status, body)
        };
        hand_over(peers, list, spare, clock, traffic, ticket, &Reply::json(status, body));
    }

    /// All apps, written once for all who ask until one of them changes; or what is wrong with one that must be up.
    fn all_apps(&mut self, ticket: Ticket, query: &Query) {
        let Self { engine, words, body, peers, list, spare, clock, traffic, apps, .. } = self;
        let index = engine.index();
        if apps.0 != index {
            *apps = (index, Words::apps(engine.told_trust(), &engine.rows()));
        }
        let mut retry_after = None;
        let reply = match engine.first_down(&query.require, clock.now()) {
            None => Reply::json(200, &apps.1),
            Some(answer) => {
                empty(body);
                words.answer(&answer, body);
                retry_after = answer.retry_after();
                Reply::json(503, body)
            }
        };
        let numbers = [Some((Field::Index, index)), retry_after.map(|seconds| (Field::RetryAfter, seconds))];
        hand_over(peers, list, spare, clock, traffic, ticket, &Reply { numbers, ..reply });
    }

    /// All apps, for people.
    fn page(&mut self, ticket: Ticket) {
        let Self { engine, words, page: body, peers, list, spare, clock, traffic, .. } = self;
        if body.is_empty() {
            let now = clock.now();
            let (wrong, host) = (engine.all_wrong(now), engine.readiness(now));
            let page = Page { words, docker: engine.trust(now), host: &host, apps: &engine.rows(), wrong: &wrong, index: engine.index() };
            page.write(body);
        }
        hand_over(peers, list, spare, clock, traffic, ticket, &Reply { kind: Kind::Page(page::FIELDS), ..Reply::json(200, body) });
    }

    fn metrics(&mut self, ticket: Ticket) {
        let Self { engine, drains, metrics: body, peers, list, spare, clock, traffic, .. } = self;
        if body.is_empty() {
            let all = metrics::All {
                traffic,
                engine: engine.counts(),
                trust: engine.trust(clock.now()),
                containers: engine.containers(),
                watchers: engine.watchers(),
                drain_faults: drains.faults(),
                apps: &engine.rows(),
                process: &process::figures(self.started),
            };
            all.write(body);
        }
        hand_over(peers, list, spare, clock, traffic, ticket, &Reply { kind: Kind::Metrics, ..Reply::json(200, body) });
    }

    fn ask_docker(&mut self, flight: FlightId, question: &Question, version: Option<ApiVersion>) {
        let stream = Stream::connect(&self.config.docker_host);
        let role = Role::Docker(flight, Box::new(Exchange::new(question, version)));
        self.fly(flight, stream, role, Engine::docker_said);
    }

    fn check(&mut self, flight: FlightId, app: &AppName) {
        let Some(url) = &self.words.check else { return };
        let stream = Stream::connect(&url.address_of(app));
        let role = Role::Check(flight, Box::new(check::Exchange::new(url.request(app))));
        self.fly(flight, stream, role, Engine::check_said);
    }

    /// A peer that carries a question, or a check.
    fn fly<T, F: From<Lost>>(&mut self, flight: FlightId, stream: io::Result<Stream>, role: Role, said: Said<T, F>) {
        let admitted = stream.and_then(|stream| {
            let is_connected = matches!(stream, Stream::Unix(_));
            self.admit(Socket::new(stream, is_connected), role)
        });
        match admitted {
            Ok(id) => {
                self.flights.push((flight, id));
                if let Some(peer) = self.peers.get_mut(id) {
                    enlist(&mut self.list, id, peer);
                }
            }
            Err(error) => said(&mut self.engine, flight, Err(peer::lost(&error).into()), self.clock.now()),
        }
    }
}
