//! Somebody who asks about an app all the while, and beside it the events that the engine itself tells: what was told, in which order,
//! and how long after what happened.
//!
//! Both have the time by the clock of this host, so that what was told can be held against when it happened: nobody can be told "up"
//! before there was a reason to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Client, PREFIX, eventually};

/// Between two probes of all apps.
const PAUSE: Duration = Duration::from_millis(2);

/// How long after an event its consequence may be told: milliseconds of ours, and the rest for an engine and a machine that are busy.
const SOON: u64 = 5_000_000_000;

/// How long before an engine dates the event of a change its lists can show that change: a list that is asked for just then.
pub const AHEAD: u64 = 50_000_000;

/// Nanoseconds of Unix time.
pub fn unix() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// An app was told of otherwise than by the probe before.
#[derive(Clone, Debug)]
pub struct Change {
    /// When the answer was there.
    pub at: u64,
    /// `200`, `200 stale`, `503 exited`.
    pub told: String,
}

impl Change {
    fn is_up(&self) -> bool {
        self.told.starts_with("200")
    }
}

/// Asks about some apps in turn until it is dropped.
pub struct Prober {
    stops: Arc<AtomicBool>,
    changes: Arc<Mutex<BTreeMap<String, Vec<Change>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Prober {
    /// Asks at that address about those apps.
    pub fn start(address: SocketAddr, apps: &[String]) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let changes = Arc::new(Mutex::new(BTreeMap::<_, Vec<Change>>::new()));
        let (stop, write, apps) = (Arc::clone(&stops), Arc::clone(&changes), apps.to_vec());
        let thread = thread::spawn(move || {
            let mut client = Client::new(TcpStream::connect(address).unwrap());
            while !stop.load(Ordering::SeqCst) {
                for app in &apps {
                    let answer = client.get(&format!("{PREFIX}/apps/health/{app}"));
                    let (status, _, reason) = answer.verdict();
                    let stale = if answer.body.contains(r#""stale":true"#) { " stale" } else { "" };
                    let told = format!("{status} {reason}{stale}").split_whitespace().collect::<Vec<_>>().join(" ");
                    let mut changes = write.lock().unwrap();
                    let own = changes.entry(app.clone()).or_default();
                    if own.last().is_none_or(|last| last.told != told) {
                        own.push(Change { at: unix(), told });
                    }
                }
                thread::sleep(PAUSE);
            }
        });
        Self { stops, changes, thread: Some(thread) }
    }

    /// What was told of that app.
    pub fn changes(&self, app: &str) -> Vec<Change> {
        self.changes.lock().unwrap().get(app).cloned().unwrap_or_default()
    }

    /// The same in one line: `200 -> 503 exited -> 200`.
    pub fn transcript(&self, app: &str) -> String {
        transcript(&self.changes(app))
    }

    /// Asks on for a while.
    pub fn goes_on(&self, app: &str) {
        let lasts = || self.changes(app).last().is_some_and(|last| unix() > last.at + LASTS);
        eventually(&format!("{app} is told one thing for a while"), lasts);
    }

    /// Waits until that is what is told.
    pub fn is_told(&self, app: &str, told: &str) {
        let last = || self.changes(app).last().map(|change| change.told.clone());
        let so_far = || format!("{app} is told {told}, after {}", self.transcript(app));
        if last().as_deref() != Some(told) {
            eventually(&so_far(), || last().as_deref() == Some(told));
        }
    }
}

/// How long it is asked on to see whether what is told lasts: longer than a list of Docker 20.10 was ever seen to lie (890 ms), and than
/// the first two looks after an event.
const LASTS: u64 = 1_200_000_000;

fn transcript(changes: &[Change]) -> String {
    changes.iter().map(|change| change.told.as_str()).collect::<Vec<_>>().join(" -> ")
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::SeqCst);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking(), "a probe was not answered");
    }
}

/// Something that the engine told of a container.
#[derive(Clone, Debug)]
pub struct Happened {
    /// When, by the engine's clock, which is ours.
    pub at: u64,
    pub action: String,
    pub id: String,
}

/// The events of an engine, as long as it tells them.
pub struct Events(Arc<Mutex<Vec<Happened>>>);

impl Events {
    /// Listens at that socket, and tells those of the last seconds too if it is Docker's, which would lose some otherwise.
    pub fn listen(socket: &Path, since: Option<u64>) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let mut stream = UnixStream::connect(socket).unwrap();
        let since = since.map_or_else(String::new, |since| format!("?since={}", since / 1_000_000_000));
        write!(stream, "GET /events{since} HTTP/1.1\r\nHost: docker\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        // The head, up to the empty line.
        assert!(lines.by_ref().any(|line| line.is_empty()));
        let write = Arc::clone(&events);
        thread::spawn(move || {
            // The sizes of chunks stand on lines of their own.
            for line in lines.filter(|line| line.starts_with('{')) {
                let json: serde_json::Value = serde_json::from_str(&line).unwrap();
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                let happened = Happened {
                    at: json["timeNano"].as_u64().unwrap_or_default(),
                    action: text(&json["Action"]),
                    id: text(&json["Actor"]["ID"]),
                };
                write.lock().unwrap().push(happened);
            }
        });
        Self(events)
    }

    /// What happened to that container, of these kinds.
    pub fn of(&self, id: &str, actions: &[&str]) -> Vec<Happened> {
        let events = self.0.lock().unwrap();
        events.iter().filter(|event| event.id == id && actions.contains(&event.action.as_str())).cloned().collect()
    }
}

/// What raises a container and what fells it.
pub struct Kinds<'a> {
    pub rises: &'a [&'a str],
    pub falls: &'a [&'a str],
}

/// Of a container without a HEALTHCHECK.
pub const LIFE: Kinds<'_> = Kinds { rises: &["start", "unpause"], falls: &["die", "pause"] };

/// Holds what was told of an app against what happened to its only container, `up` or not at first; gives it in one line, each change
/// with what it followed and how soon.
///
/// - Nobody is told "up" but after a rise, and once told "down" not again before the next.
/// - Whatever lasts is told soon.
pub fn held_against(changes: &[Change], events: &Events, id: &str, kinds: &Kinds<'_>) -> String {
    let all = [kinds.rises, kinds.falls].concat();
    let mut happened = Vec::new();
    // Our own reader of events may be behind.
    eventually("the event of the last change has been read", || {
        happened = events.of(id, &all);
        let is_up = happened.last().is_none_or(|event| kinds.rises.contains(&event.action.as_str()));
        changes.last().is_some_and(|last| last.is_up() == is_up)
    });
    happened.sort_by_key(|event| event.at);
    let is_rise = |event: &&Happened| kinds.rises.contains(&event.action.as_str());
    let begins_up = changes.first().is_some_and(Change::is_up);
    // What happened before is in the first answer, but for a rise that was still on its way: a journal may be read four times a second.
    let on_its_way = if begins_up { 0 } else { LASTS };
    let first = changes.first().map_or(0, |change| change.at).saturating_sub(on_its_way);
    let mut ups = 0;
    let mut was_up = false;
    let mut line = Vec::new();
    for change in changes {
        let risen = usize::from(begins_up)
            + happened.iter().filter(is_rise).filter(|event| event.at > first && event.at <= change.at + AHEAD).count();
        ups += usize::from(change.is_up() && !was_up);
        was_up = change.is_up();
        assert!(ups <= risen, "told up without a reason: {} at {}, {happened:#?}", transcript(changes), change.at);
        let cause = happened.iter().rfind(|event| event.at > first && event.at <= change.at + AHEAD && is_rise(event) == change.is_up());
        line.push(match cause {
            Some(event) => format!("{} ({} ms after {})", change.told, change.at.saturating_sub(event.at) / 1_000_000, event.action),
            None => change.told.clone(),
        });
    }
    for (at, event) in happened.iter().enumerate().filter(|(_, event)| event.at > first) {
        let lasts_until = happened.get(at + 1).map_or(u64::MAX, |next| next.at);
        if lasts_until - event.at > SOON {
            let soon = event.at + SOON;
            let told = changes.iter().rfind(|change| change.at <= soon);
            assert!(told.is_some_and(|told| told.is_up() == is_rise(&event)), "{event:?} is not told soon: {changes:#?}");
        }
    }
    line.join(" -> ")
}

/// Asserts that it is one of these.
pub fn is_one_of(transcript: &str, allowed: &[&str]) {
    assert!(allowed.contains(&transcript), "told {transcript:?}, not one of {allowed:#?}");
}
