//! Clients that behave: each of their requests is answered exactly once, with what is so.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::support::{Answer, Client, PREFIX, patience};
use super::truth::{APPS, Claim, name, told};
use super::{AT_ONCE, Dice, PROBERS, RATE, Soak};

/// At most so many requests on one connection.
const REQUESTS: u64 = 200;

/// What is asked for.
#[derive(Clone, Copy)]
enum What {
    App(usize, Claim),
    Nobody,
    Health,
    Ready,
    Metrics,
}

/// Connections that come, probe for a while, and go.
pub fn probe(soak: &Soak, mut dice: Dice) {
    while soak.goes_on() {
        let mut client = soak.daemon.connect();
        let mut left = 1 + dice.below(REQUESTS);
        while left > 0 && soak.goes_on() {
            let at_once = if dice.below(16) == 0 { left.min(1 + dice.below(8)) } else { 1 };
            left -= at_once;
            ask(soak, &mut client, &mut dice, at_once, left == 0);
            let pause = 2 * dice.below(1000) * u64::from(1_000_000 / RATE) * PROBERS as u64 * at_once / 1000;
            thread::sleep(Duration::from_micros(pause));
        }
        if left == 0 {
            // Whatever was answered twice would have to come now.
            client.expect_end();
        }
    }
}

/// Asks for so many things in one piece; with the last of them the connection may end.
fn ask(soak: &Soak, client: &mut Client, dice: &mut Dice, count: u64, ends: bool) {
    let all: Vec<_> = (0..count).map(|_| what(soak, dice)).collect();
    let mut text = String::new();
    for (at, what) in (1..).zip(&all) {
        let path = match what {
            What::App(app, _) => format!("/apps/health/{}", name(*app)),
            What::Nobody => "/apps/health/nobody".into(),
            What::Health => "/health".into(),
            What::Ready => "/ready".into(),
            What::Metrics => "/metrics".into(),
        };
        let connection = if ends && at == count { "Connection: close\r\n" } else { "" };
        write!(text, "GET {PREFIX}{path} HTTP/1.1\r\nHost: h\r\n{connection}\r\n").unwrap();
    }
    let asked = Instant::now();
    client.send(&text);
    for what in all {
        let answer = client.answer();
        match what {
            What::App(app, claim) => {
                assert!(answer.body.contains(&name(app)), "somebody else is told of: {answer:?}");
                soak.truth.holds(app, claim, &told(&answer), &answer);
            }
            What::Nobody => assert_eq!(told(&answer), "404 no-container"),
            What::Health => {
                let took = asked.elapsed();
                assert!(took < AT_ONCE || count > 1, "P/health has taken {took:?}");
                soak.slowest.fetch_max(u64::try_from(took.as_micros()).unwrap(), Ordering::Relaxed);
                assert_eq!((answer.status, answer.json()["message"].as_str()), (200, Some("i'm healthy")));
            }
            What::Ready => assert_eq!(answer.status, 200, "Docker is never away for longer than the grace: {answer:?}"),
            What::Metrics => assert!(answer.status == 200 && answer.counter("http_clients") > 0),
        }
        assert!(asked.elapsed() < patience());
    }
}

fn what(soak: &Soak, dice: &mut Dice) -> What {
    match dice.below(1000) {
        0 => What::Metrics,
        1..20 => What::Nobody,
        20..40 => What::Ready,
        40..100 => What::Health,
        _ => {
            let app = dice.one(&std::array::from_fn::<_, APPS, _>(|app| app));
            What::App(app, soak.truth.of(app))
        }
    }
}

/// Connections that wait for changes of all apps for a while, and go.
pub fn watch(soak: &Soak, mut dice: Dice) {
    // An index that has never been, and the body that has it.
    let mut last = ("1".to_owned(), String::new());
    while soak.goes_on() {
        let mut client = soak.daemon.connect();
        for _ in 0..=dice.below(20) {
            if !soak.goes_on() {
                break;
            }
            let wait = 1 + dice.below(5);
            let claims: [Claim; APPS] = std::array::from_fn(|app| soak.truth.of(app));
            let asked = Instant::now();
            let answer = client.get(&format!("{PREFIX}/apps?index={}&wait={wait}", last.0));
            let waited = asked.elapsed();
            let index = answer.field("x-index").unwrap().to_owned();
            assert_eq!(index == last.0, answer.body == last.1, "an index for each body: {last:?} {answer:?}");
            if index == last.0 {
                assert!(waited >= Duration::from_secs(wait), "nothing has changed, and {waited:?} of {wait} s are over");
            }
            assert!(waited < Duration::from_secs(wait) + AT_ONCE, "{waited:?} of {wait} s");
            each_is_so(soak, &claims, &answer);
            last = (index, answer.body);
        }
    }
}

/// All apps are told of as each of them is.
fn each_is_so(soak: &Soak, claims: &[Claim; APPS], answer: &Answer) {
    let json = answer.json();
    let rows: HashMap<_, _> = json["message"]["apps"].as_object().unwrap().iter().collect();
    for (app, &claim) in claims.iter().enumerate() {
        let told = match rows.get(&name(app)) {
            Some(row) if row["up"] == true => "200".to_owned(),
            Some(row) => format!("503 {}", row["reason"].as_str().unwrap()),
            None => "404 no-container".to_owned(),
        };
        soak.truth.holds(app, claim, &told, answer);
    }
    assert!(json["message"]["docker"] != "down", "{answer:?}");
}
