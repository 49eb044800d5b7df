//! The loop. One turn:
//!
//! ```text
//! wait until somebody is ready or due
//! read the clock                                 -- the only reading: has this process stood still? each second, look at the folder of drains
//! each event: remember readiness, put the peer on the list; Docker in front, so that its events are read before all else
//! work off the list and the engine's actions:
//!     a round with each peer of the list: write what is unsent, read what may be read, feed, ask
//!     carry out the engine's actions, which put peers on the list
//! each due peer: close it, or say 408, by what it waited for    -- after what has come was read
//! work, accept those who wait at the door, work
//! ```
//!
//! A peer that has had its share of a turn is left for the next one, so that nobody holds the loop. `advance` alone reads and
//! writes, `close_client` and `close_flight` alone end a peer, `perform` alone makes deeds of actions.

mod deeds;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use mio::{Events, Interest, Poll, Token};
use signal_hook_mio::v1_0::Signals;

use crate::answers::{self, Words};
use crate::config::{Config, Listen};
use crate::engine::route::{Route, route};
use crate::engine::{Engine, FlightId, Path, Ticket};
use crate::http::target::pairs;
use crate::http::{Bad, Inbound, Known, Reply, Wait};
use crate::io::clock::Clock;
use crate::io::deadlines::{Deadlines, Due};
use crate::io::drains::Folder;
use crate::io::listen::{self, Accepted, Listening};
use crate::io::logfile;
use crate::io::peer::{self, Client, Got, Peer, Role, Round, Socket};
use crate::io::process;
use crate::io::sock::{Listener, Stream};
use crate::io::systemd::{self, Supervisor};
use crate::limits;
use crate::lost::Lost;
use crate::metrics::{Closed, Traffic};
use crate::slots::{Id, Slots};

/// The poll's token for signals; the listeners come behind it, and peers from [`Id::FIRST`] on.
const SIGNALS: usize = 0;
const FIRST_LISTENER: usize = 1;

/// How the engine is told what came of a question, or of a check.
type Said<T, F> = fn(&mut Engine, FlightId, Result<T, F>, Instant);

/// The server.
pub struct Server {
    poll: Poll,
    signals: Signals,
    listeners: Vec<Listening>,
    /// `accept` lacked something: not before then, unless somebody leaves.
    accept_again: Option<Instant>,
    peers: Slots<Peer>,
    deadlines: Deadlines,
    /// Peers with something to do in this turn, and in the next one.
    list: VecDeque<Id>,
    later: Vec<Id>,
    turn: u64,
    /// The peers that carry questions to Docker, and checks.
    flights: Vec<(FlightId, Id)>,
    engine: Engine,
    drains: Folder,
    /// When to look at it next.
    drains_at: Instant,
    clock: Clock,
    /// The processor time used when that was last looked at, each second.
    worked: Duration,
    /// When it was made, in seconds of Unix time.
    started: u64,
    scratch: Vec<u8>,
    /// Requests that came before.
    known: Known,
    /// The buffer lent to whoever is answered. One will do: an answer is written before the next one is made.
    spare: Vec<u8>,
    /// The answer about all apps as it was last written, and its index.
    apps: (u64, Vec<u8>),
    /// The page and the metrics, as all are told who ask for them in one turn: they cost the most.
    page: Vec<u8>,
    metrics: Vec<u8>,
    /// Where the bodies are put together that are made for one answer only.
    body: Vec<u8>,
    /// When the last answer is to have left, once the server stops.
    stops_at: Option<Instant>,
    traffic: Traffic,
    /// When a full house was last said in the log.
    said_full: Option<Instant>,
    supervisor: Option<Supervisor>,
    config: Config,
    words: Words,
}

impl Server {
    /// A server that listens, also where it has been listened for it, and has not begun to serve.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn new(config: Config, addresses: &[Listen], inherited: Vec<Listener>, seed: u64) -> Result<Self, String> {
        let fail = |what: &'static str| move |error: io::Error| format!("cannot {what}: {error}");
        let poll = Poll::new().map_err(fail("poll"))?;
        let mut signals = Signals::new([libc::SIGTERM, libc::SIGINT, libc::SIGHUP]).map_err(fail("take signals"))?;
        poll.registry().register(&mut signals, Token(SIGNALS), Interest::READABLE).map_err(fail("poll signals"))?;
        let listeners = listen::listen(addresses, inherited, poll.registry(), FIRST_LISTENER)?;
        let clock = Clock::new();
        Ok(Self {
            poll,
            signals,
            listeners,
            accept_again: None,
            peers: Slots::new(),
            deadlines: Deadlines::default(),
            list: VecDeque::new(),
            later: Vec::new(),
            turn: 0,
            flights: Vec::new(),
            engine: Engine::new(config.settings(), seed, clock.now(), clock.unix()),
            drains: Folder::new(config.drain_dir.clone()),
            // Before anybody is told anything.
            drains_at: clock.now(),
            started: clock.unix().as_secs(),
            clock,
            worked: Duration::ZERO,
            scratch: vec![0; limits::READ_BYTES],
            known: Known::default(),
            spare: Vec::new(),
            apps: (0, Vec::new()),
            page: Vec::new(),
            metrics: Vec::new(),
            body: Vec::new(),
            stops_at: None,
            traffic: Traffic::default(),
            said_full: None,
            supervisor: None,
            words: Words::of(&config),
            config,
        })
    }

    /// Tells the one who started this process how it does, if he wants to know.
    pub fn report_to(&mut self, environment: impl Fn(&str) -> Option<String>) {
        match Supervisor::find(environment, std::process::id(), self.clock.now()) {
            Ok(supervisor) => self.supervisor = supervisor,
            Err(wrong) => warn!("{wrong}"),
        }
    }

    /// Serves until a signal says to stop, and then until everybody has what they are owed.
    ///
    /// # Errors
    /// When there is no poll to be had any more.
    pub fn run(mut self) -> io::Result<()> {
        // Room for all that can be ready at once: what has come from Docker is read before anybody is answered, and before anything that is
        // due, however many clients were ready before it. Memory that is not needed is not touched.
        let all = limits::EXTRA_CLIENTS.saturating_add(usize::try_from(limits::OTHER_DESCRIPTORS).unwrap_or_default());
        let mut events = Events::with_capacity(self.config.max_clients.saturating_add(all));
        self.look_at_drains();
        self.work();
        self.report();
        while !self.is_done() {
            let (before, wanted) = (self.clock.now(), self.patience());
            let mut patience = wanted;
            while let Err(error) = self.poll.poll(&mut events, Some(patience)) {
                if error.kind() != ErrorKind::Interrupted {
                    return Err(error);
                }
                // By a signal, or by having been stopped for a while: then much is due, and what has come is still read before.
                patience = Duration::ZERO;
            }
            self.clock.read();
            self.note_time(before + wanted);
            self.turn = self.turn.wrapping_add(1);
            for event in &events {
                match event.token().0 {
                    SIGNALS => self.signalled(),
                    token if token < Id::FIRST => {
                        if let Some(listening) = self.listeners.get_mut(token.saturating_sub(FIRST_LISTENER)) {
                            listening.ready = true;
                        }
                    }
                    token => {
                        let id = Id::from_usize(token);
                        if let Some(peer) = self.peers.get_mut(id) {
                            peer.socket.note(event);
                            enlist(&mut self.list, id, peer);
                        }
                    }
                }
            }
            for id in self.later.drain(..) {
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.listed = false;
                    enlist(&mut self.list, id, peer);
                }
            }
            self.look_at_drains();
            self.work();
            self.expire();
            self.engine.due(self.clock.now());
            self.work();
            self.accept();
            self.work();
            // They are large, and seldom asked for.
            (self.page, self.metrics) = Default::default();
            self.report();
        }
        info!("stopped clients={}", self.traffic.clients);
        Ok(())
    }

    /// The engine is told what time it is, when this turn was to begin at the latest, and what the time in between means.
    fn note_time(&mut self, latest: Instant) {
        let now = self.clock.now();
        self.engine.clock_is(self.clock.unix(), now);
        let mut stood = now.saturating_duration_since(latest);
        if stood >= limits::STANDSTILL {
            // Who works does not stand still: clients that give us much to do must not put off what is due.
            stood = stood.saturating_sub(process::cpu_time().unwrap_or_default().saturating_sub(self.worked));
        }
        if stood >= limits::STANDSTILL {
            warn!("stood still for={}", humantime::format_duration(Duration::from_secs(stood.as_secs())));
            self.engine.stood_still(stood, now);
        }
    }

    /// How long to wait for an event.
    fn patience(&self) -> Duration {
        let accepts = self.accept_again.is_none() && self.listeners.iter().any(|listening| listening.ready);
        if accepts || !self.later.is_empty() {
            return Duration::ZERO;
        }
        let now = self.clock.now();
        let report = self.supervisor.as_ref().and_then(|supervisor| supervisor.next_due(self.engine.index()));
        let others = [self.deadlines.next(), self.engine.next_deadline(now), self.accept_again, self.stops_at, report];
        let next = others.into_iter().flatten().fold(self.drains_at, Instant::min);
        next.saturating_duration_since(now)
    }

    /// Tells systemd what is new, once a turn is over.
    fn report(&mut self) {
        let Self { supervisor: Some(supervisor), engine, clock, .. } = self else { return };
        let now = clock.now();
        supervisor.tend(now, engine.has_heard(), engine.index(), || {
            let (up, down) = engine.tally();
            systemd::status(up, down, engine.trust(now))
        });
    }

    fn is_done(&self) -> bool {
        self.stops_at.is_some_and(|at| self.traffic.clients == 0 || at <= self.clock.now())
    }

    /// Does all that can be done without waiting.
    fn work(&mut self) {
        loop {
            while let Some(id) = self.list.pop_front() {
                self.advance(id);
            }
            match self.engine.next_action(self.clock.now()) {
                Some(action) => self.perform(action),
                None if self.list.is_empty() => break,
                None => {}
            }
        }
    }

    fn signalled(&mut self) {
        let signals: Vec<i32> = self.signals.pending().collect();
        if signals.contains(&libc::SIGHUP) {
            logfile::reopen();
        }
        if signals.iter().any(|&signal| signal == libc::SIGTERM || signal == libc::SIGINT) {
            self.stop();
        }
    }

    /// No new clients and no new requests; a second signal does not wait for the answers of the first.
    fn stop(&mut self) {
        let now = self.clock.now();
        let patience = if self.stops_at.is_some() { Duration::ZERO } else { limits::DRAIN };
        if self.stops_at.replace(now + patience).is_none() {
            // Whoever is at the door has been let in by the kernel, perhaps in this very turn.
            self.listeners.iter_mut().for_each(|listening| listening.ready = true);
            self.accept();
            self.listeners.clear();
        }
        self.engine.stopping();
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.stopping();
        }
        info!("stopping clients={} patience={}", self.traffic.clients, humantime::format_duration(patience));
        let clients: Vec<Id> = self.peers.iter().filter(|(_, peer)| matches!(peer.role, Role::Client(_))).map(|(id, _)| id).collect();
        for &id in &clients {
            if let Some(peer) = self.peers.get_mut(id) {
                // What has come by now is still answered.
                peer.socket.try_reading();
                enlist(&mut self.list, id, peer);
            }
        }
        self.work();
        for id in clients {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            let Role::Client(client) = &mut peer.role else { continue };
            // One that has been idle for as long as we would wait for its end has nothing left that a reset could destroy. Some never look
            // before their next request, and a restart is not to wait for them.
            if client.wait.0 == Wait::Request && now.saturating_duration_since(client.since) >= limits::CLIENT_TO_CLOSE {
                self.close_client(id, Closed::Done);
                continue;
            }
            client.inbound.finish();
            enlist(&mut self.list, id, peer);
        }
    }

    /// Each second.
    fn look_at_drains(&mut self) {
        let now = self.clock.now();
        if now < self.drains_at {
            return;
        }
        self.drains_at = now + limits::DRAIN_PAUSE;
        self.worked = process::cpu_time().unwrap_or(self.worked);
        if let Some(drains) = self.drains.look(self.clock.unix().as_secs()) {
            self.engine.drains_are(drains, now);
        }
    }

    // ---- Clients come.

    fn accept(&mut self) {
        if self.accept_again.is_some_and(|at| at > self.clock.now()) {
            return;
        }
        self.accept_again = None;
        let mut made_room = false;
        for at in 0..self.listeners.len() {
            for _ in 0..limits::ROUND_ACCEPTS {
                let Some(listening) = self.listeners.get_mut(at).filter(|listening| listening.ready) else { break };
                match listening.accept() {
                    Accepted::Client(stream) => self.welcome(stream),
                    Accepted::Nobody => break,
                    Accepted::Theirs => {}
                    Accepted::Ours(error) => {
                        self.traffic.accept_failures = self.traffic.accept_failures.wrapping_add(1);
                        self.say_full(&error.to_string());
                        // The longest idle client makes room here too, one in a turn; after that, time does.
                        if made_room || !self.make_room() {
                            self.accept_again = Some(self.clock.now() + limits::ACCEPT_PAUSE);
                            return;
                        }
                        made_room = true;
                    }
                }
            }
        }
    }

    fn welcome(&mut self, stream: Stream) {
        let limit = u64::try_from(self.config.max_clients).unwrap_or(u64::MAX);
        while self.traffic.clients >= limit && self.make_room() {}
        // One that made room may have been an extra one itself.
        let extra = self.traffic.clients >= limit;
        if extra {
            self.say_full("all places are taken");
            if self.traffic.clients >= limit.saturating_add(limits::EXTRA_CLIENTS as u64) {
                self.traffic.turned_away = self.traffic.turned_away.wrapping_add(1);
                return;
            }
            self.traffic.extra = self.traffic.extra.wrapping_add(1);
        }
        let inbound = Inbound::new();
        let client = Client { wait: inbound.waiting(), inbound, since: self.clock.now(), extra, turn: 0, share: 0 };
        let id = match self.admit(Socket::new(stream, true), Role::Client(client)) {
            Ok(id) => id,
            Err(error) => {
                self.traffic.turned_away = self.traffic.turned_away.wrapping_add(1);
                return self.say_full(&error.to_string());
            }
        };
        self.traffic.accepted = self.traffic.accepted.wrapping_add(1);
        self.traffic.clients = self.traffic.clients.saturating_add(1);
        debug!("client came connection={}", id.to_usize());
        self.rearm(id, true);
    }

    /// Ends the connection that has waited for its client the longest, if there is one to whom nothing is owed.
    fn make_room(&mut self) -> bool {
        let now = self.clock.now();
        let idle = self.peers.iter().filter_map(|(id, peer)| match &peer.role {
            // It came in this turn: nobody has looked yet whether it has asked.
            Role::Client(Client { wait: (Wait::Request, 0), since, .. }) if *since == now => None,
            Role::Client(Client { wait: (Wait::Request | Wait::RestOfRequest | Wait::ClientToClose, _), since, .. }) => Some((*since, id)),
            Role::Client(_) | Role::Docker(..) | Role::Check(..) => None,
        });
        let Some((_, id)) = idle.min() else { return false };
        self.close_client(id, Closed::Room);
        true
    }

    /// Once a minute at most: a full house is no reason to fill the disk.
    fn say_full(&mut self, why: &str) {
        let now = self.clock.now();
        if self.said_full.is_none_or(|said| now.saturating_duration_since(said) >= limits::LOG_PAUSE) {
            let Traffic { clients, turned_away, accept_failures, .. } = self.traffic;
            warn!("no room for a client why={why:?} clients={clients} turned_away={turned_away} accept_failures={accept_failures}");
            self.said_full = Some(now);
        }
    }

    /// A new peer, known to the poll.
    fn admit(&mut self, mut socket: Socket, role: Role) -> io::Result<Id> {
        let id = self.peers.next_id();
        // Both interests for good: edges cost nothing, and nothing is ever registered anew.
        let interests = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(socket.stream_mut(), Token(id.to_usize()), interests)?;
        let admitted = self.peers.insert(Peer { socket, role, listed: false, due: Due::default() });
        debug_assert_eq!(admitted, id);
        Ok(admitted)
    }

    // ---- Peers go on.

    fn advance(&mut self, id: Id) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.listed = false;
        match &mut peer.role {
            Role::Client(_) => match self.converse(id) {
                Ok(Round::Waits) => self.rearm(id, false),
                Ok(Round::More) => {
                    self.rearm(id, false);
                    self.postpone(id);
                }
                Ok(Round::Over(why)) => self.close_client(id, why),
                Err(error) => {
                    debug!("client lost connection={} error={error}", id.to_usize());
                    self.close_client(id, Closed::Reset);
                }
            },
            Role::Docker(flight, exchange) => {
                let (flight, now) = (*flight, self.clock.now());
                let tell = |told| self.engine.docker_told(flight, &told, now);
                let round = peer::exchange(&mut peer.socket, &mut **exchange, &mut self.scratch, limits::DOCKER_SHARE, tell);
                self.flown(id, flight, round, Engine::docker_said);
            }
            Role::Check(flight, exchange) => {
                let (flight, now) = (*flight, self.clock.now());
                let tell = |status| self.engine.check_told(flight, status, now);
                let round = peer::exchange(&mut peer.socket, &mut **exchange, &mut self.scratch, limits::CHECK_SHARE, tell);
                self.flown(id, flight, round, Engine::check_said);
            }
        }
    }

    /// A question or a check has had a round, and may have come to its end.
    fn flown<T, F: From<Lost>>(&mut self, id: Id, flight: FlightId, round: io::Result<Round<Result<T, F>>>, said: Said<T, F>) {
        let outcome = match round {
            Ok(Round::Waits) => return,
            Ok(Round::More) => return self.postpone(id),
            Ok(Round::Over(outcome)) => outcome,
            Err(error) => Err(peer::lost(&error).into()),
        };
        self.close_flight(flight);
        said(&mut self.engine, flight, outcome, self.clock.now());
    }

    /// It has had its share of this turn, and is not put on the list before the next.
    fn postpone(&mut self, id: Id) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.listed = true;
            self.later.push(id);
        }
    }

    /// A round with a client: writes first, then reads and asks.
    fn converse(&mut self, id: Id) -> io::Result<Round<Closed>> {
        let Self { peers, engine, scratch, spare, known, config, clock, traffic, turn, .. } = self;
        let Some(Peer { socket, role: Role::Client(client), .. }) = peers.get_mut(id) else { return Ok(Round::Waits) };
        let Client { inbound, extra, share, .. } = client;
        if std::mem::replace(&mut client.turn, *turn) != *turn {
            *share = limits::CLIENT_SHARE;
        }
        loop {
            while !inbound.unsent().is_empty() {
                match socket.write(inbound.unsent())? {
                    0 => break,
                    length => {
                        if let Some(buffer) = inbound.sent(length).filter(|buffer| buffer.capacity() <= limits::SPARE_BYTES) {
                            *spare = buffer;
                        }
                        *share = share.saturating_sub(length);
                    }
                }
            }
            if inbound.is_over() {
                return Ok(Round::Over(Closed::Done));
            }
            if inbound.is_done() && !inbound.is_lingering() {
                socket.shut()?;
                inbound.linger();
            }
            let ask = |number, request: crate::http::Request<'_>| {
                let route = route(&config.prefix, &request.path, pairs(request.query), request.method.reads());
                let ticket = Ticket { connection: id, number, path: route.path() };
                debug!(
                    "asked connection={} request={number} path={}",
                    id.to_usize(),
                    request.path.get(..200).unwrap_or(&request.path).escape_ascii()
                );
                // Their answers are the largest there are, and the first may be held back for a while.
                let holds = matches!(route, Route::Apps(_) | Route::Metrics);
                engine.asked(ticket, route, !*extra, clock.now());
                holds
            };
            let refused = if *share == 0 {
                let more = inbound.has_more() || inbound.wants_bytes() && socket.is_readable();
                return Ok(if more { Round::More } else { Round::Waits });
            } else if inbound.has_more() {
                inbound.feed(&[], known, ask)
            } else if !inbound.wants_bytes() {
                return if socket.has_failed() { Err(ErrorKind::ConnectionReset.into()) } else { Ok(Round::Waits) };
            } else {
                match socket.read(scratch)? {
                    Got::Nothing => return Ok(Round::Waits),
                    Got::End => inbound.end(),
                    Got::Bytes(length) => {
                        *share = share.saturating_sub(length);
                        inbound.feed(scratch.get(..length).unwrap_or_default(), known, ask)
                    }
                }
            };
            traffic.hit(inbound.take_hits());
            if let Some((number, bad)) = refused {
                refuse(inbound, number, bad, clock, traffic);
            }
            if *extra && inbound.waiting().1 > 0 {
                inbound.finish();
            }
        }
    }

    /// What a client waits for may have changed: then its due time is set anew.
    fn rearm(&mut self, id: Id, is_new: bool) {
        let now = self.clock.now();
        let Some(Peer { role: Role::Client(client), due, .. }) = self.peers.get_mut(id) else { return };
        let wait = client.inbound.waiting();
        if wait == client.wait && !is_new {
            return;
        }
        client.wait = wait;
        client.since = now;
        let patience = match wait.0 {
            Wait::Request => Some(self.config.idle_timeout),
            Wait::RestOfRequest => Some(self.config.header_timeout),
            // The engine's own deadlines end this.
            Wait::Us => None,
            Wait::ClientToRead => Some(limits::CLIENT_TO_READ),
            Wait::ClientToClose => Some(limits::CLIENT_TO_CLOSE),
        };
        self.deadlines.set(id, due, patience.map(|patience| now + patience));
    }

    fn expire(&mut self) {
        let now = self.clock.now();
        while let Some(id) = self.deadlines.pop(now) {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            if !self.deadlines.came_up(id, &mut peer.due, now) {
                continue;
            }
            let Role::Client(client) = &mut peer.role else { continue };
            match client.wait.0 {
                Wait::Request => self.close_client(id, Closed::Idle),
                Wait::ClientToRead => self.close_client(id, Closed::Unread),
                Wait::ClientToClose => self.close_client(id, Closed::Lingering),
                Wait::RestOfRequest | Wait::Us => {
                    if let Some((number, bad)) = client.inbound.late() {
                        refuse(&mut client.inbound, number, bad, &self.clock, &mut self.traffic);
                    }
                    self.traffic.hit(client.inbound.take_hits());
                    enlist(&mut self.list, id, peer);
                }
            }
        }
    }

    // ---- Peers go.

    fn close_client(&mut self, id: Id, why: Closed) {
        let Some(peer) = self.peers.remove(id) else { return };
        self.deadlines.remove(id, &peer.due);
        self.engine.left(id);
        self.traffic.clients = self.traffic.clients.saturating_sub(1);
        self.traffic.closed(why);
        // Its descriptor is what `accept` may have lacked.
        self.accept_again = None;
        debug!("client gone connection={} why={why:?}", id.to_usize());
    }

    /// A question or a check is over, or forgotten.
    fn close_flight(&mut self, flight: FlightId) {
        if let Some(at) = self.flights.iter().position(|(known, _)| *known == flight) {
            let (_, id) = self.flights.swap_remove(at);
            self.peers.remove(id);
        }
    }
}

/// Puts a peer on the list, once. Docker comes first: an event that has come is a fact for whoever asks in the same turn, and
/// who reads events slowly loses some.
fn enlist(list: &mut VecDeque<Id>, id: Id, peer: &mut Peer) {
    if std::mem::replace(&mut peer.listed, true) {
        return;
    }
    match peer.role {
        Role::Client(_) | Role::Check(..) => list.push_back(id),
        Role::Docker(..) => list.push_front(id),
    }
}

/// Empties a buffer for what comes next, and makes one small again that has grown large.
fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(limits::SPARE_BYTES);
}

/// Gives a client the reply to its request, if it has not left: then nobody is there, and nobody has to be told.
fn hand_over(
    peers: &mut Slots<Peer>,
    list: &mut VecDeque<Id>,
    spare: &mut Vec<u8>,
    clock: &Clock,
    traffic: &mut Traffic,
    ticket: Ticket,
    reply: &Reply<'_>,
) {
    if reply.body.len() > limits::LARGE_ANSWER && is_crowded(peers) {
        return refuse_large(peers, list, spare, clock, traffic, ticket);
    }
    let Some(peer) = peers.get_mut(ticket.connection) else { return };
    let Role::Client(client) = &mut peer.role else { return };
    client.inbound.lend(spare);
    client.inbound.answer(ticket.number, reply, clock.date());
    traffic.hit(client.inbound.take_hits());
    traffic.answered(ticket.path, reply.status);
    debug!("answered connection={} request={} status={}", ticket.connection.to_usize(), ticket.number, reply.status);
    enlist(list, ticket.connection, peer);
}

/// Tells a client that its answer would be large, and that too much is unread already.
fn refuse_large(
    peers: &mut Slots<Peer>,
    list: &mut VecDeque<Id>,
    spare: &mut Vec<u8>,
    clock: &Clock,
    traffic: &mut Traffic,
    ticket: Ticket,
) {
    traffic.crowded = traffic.crowded.wrapping_add(1);
    let (status, body) = answers::crowded();
    hand_over(peers, list, spare, clock, traffic, ticket, &Reply::json(status, &body));
}

/// Whether clients have left too much unread for another large answer. That is looked for when an answer is large, which is seldom, so
/// that nobody else has to count.
fn is_crowded(peers: &Slots<Peer>) -> bool {
    let unread = |(_, peer): (Id, &Peer)| if let Role::Client(client) = &peer.role { client.inbound.unread() } else { 0 };
    peers.iter().map(unread).sum::<usize>() > limits::UNSENT_BYTES_IN_ALL
}

/// Tells a client that its request is none.
fn refuse(inbound: &mut Inbound, number: u32, bad: Bad, clock: &Clock, traffic: &mut Traffic) {
    let (status, body) = answers::refused(bad);
    inbound.answer(number, &Reply::json(status, &body), clock.date());
    traffic.answered(Path::Other, status);
    traffic.refused(bad);
}
