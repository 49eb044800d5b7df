//! What is known to be so of each app, by whoever brought it about.

use std::sync::Mutex;

use super::support::Answer;

/// Apps that have containers, or had.
pub const APPS: usize = 12;

/// The name of an app; none begins with another's.
pub fn name(app: usize) -> String {
    format!("app{app:02}")
}

/// What has to be told of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// None while its containers are being changed.
    pub told: Option<&'static str>,
    /// How often that has changed.
    changes: u64,
}

/// The claims on all apps.
pub struct Truth([Mutex<Claim>; APPS]);

impl Truth {
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(Claim { told: Some("404 no-container"), changes: 0 })))
    }

    pub fn of(&self, app: usize) -> Claim {
        *self.0[app].lock().unwrap()
    }

    /// From now on that has to be told of it.
    pub fn set(&self, app: usize, told: Option<&'static str>) {
        let mut claim = self.0[app].lock().unwrap();
        *claim = Claim { told, changes: claim.changes + 1 };
    }

    /// Holds an answer about it against what was claimed when it was asked for: unless that has changed since, it is so.
    pub fn holds(&self, app: usize, claim: Claim, told: &str, answer: &Answer) {
        match claim.told {
            Some(claimed) if self.of(app) == claim => assert_eq!(told, claimed, "{} {claim:?} {answer:?}", name(app)),
            _ => assert!(ON_THE_WAY.contains(&told), "{} {claim:?} {answer:?}", name(app)),
        }
    }
}

/// What may be told of an app whose containers are being changed: nothing that blames Docker, whose absence is shorter than the grace.
const ON_THE_WAY: [&str; 7] = ["200", "404 no-container", "503 created", "503 exited", "503 paused", "503 removing", "503 starting"];

/// An answer about an app in short: `200`, `503 exited`. The facts of a Docker that has gone are as good.
pub fn told(answer: &Answer) -> String {
    let (status, _, reason) = answer.verdict();
    format!("{status} {reason}").trim_end().to_owned()
}
