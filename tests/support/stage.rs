//! The stage of a test with the real Docker of this host.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::prober::Prober;
use super::real::{Container, Image, for_a_while, is_possible, missing};
use super::{Answer, Daemon, eventually, program};

/// A daemon on the real socket, and an app of which nobody else has ever heard.
pub struct Stage {
    pub daemon: Daemon,
    pub image: Arc<Image>,
    pub app: String,
}

impl Stage {
    /// None if there is no dockerd to ask.
    pub fn set(args: &[&str]) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !is_possible(missing()) {
            return None;
        }
        let host = env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
        let daemon =
            Daemon::spawn_with(program(), &[&["-bind", "127.0.0.1:0", "-docker-timeout", "20s", "-docker-host", &host], args].concat());
        let app = format!("chc_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Some(Self { daemon, image: Image::get(), app })
    }

    /// The name of one of its containers.
    pub fn name(&self, number: u32) -> String {
        format!("{}-{number}", self.app)
    }

    /// A container of the app's that sleeps.
    pub fn sleeper(&self, number: u32, args: &[&str]) -> Container {
        Container::run(&self.name(number), args, &self.image, &["sleep", "1000"])
    }

    /// What is told of it.
    pub fn ask(&self) -> Answer {
        self.daemon.app(&self.app)
    }

    /// Waits until the view is live.
    pub fn is_live(&self) {
        self.daemon.is("live");
    }

    /// Somebody who asks about the app all the while.
    pub fn probed(&self) -> Prober {
        Prober::start(self.daemon.address(), std::slice::from_ref(&self.app))
    }

    /// Waits until the app is up in that container.
    pub fn is_up(&self, number: u32) {
        eventually("it is up", || {
            let answer = self.ask();
            answer.status == 200 && answer.json()["message"]["names"] == self.name(number)
        });
    }

    /// Waits until the app is down for that reason. On Docker 20.10 a list may call a container running for a second after its
    /// death, so that this cannot be asserted of the first probe.
    pub fn is_down(&self, number: u32, reason: &str, words: &str) {
        let begin = format!("{} is {reason}: {words}", self.name(number));
        let mut last = None;
        for_a_while(|| {
            let answer = self.ask();
            let json = answer.json();
            let message = json["message"].as_str().unwrap_or("").to_owned();
            let is_so = answer.verdict() == (503, 12, reason.to_owned()) && message.starts_with(&begin);
            last = Some(answer);
            is_so
        })
        .unwrap_or_else(|| panic!("never {begin:?}, but {last:?}"));
    }
}
