//! The blind view on the wire: any number of probes share a list, and no probe is answered from one asked for before it came.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, reason = "a test may stop, and lives in the world")]

mod support;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use support::{Daemon, FakeDocker, eventually, list, send_list};

#[test]
fn two_hundred_probes_share_two_lists() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let up = list(&[("app", "running", "Up 1 second")]);
    let docker = FakeDocker::listing("[]");
    let daemon = Daemon::start(&docker.path(), &["-docker-timeout", "60s"]);
    eventually("the first list", || daemon.get("/").status == 200);
    let before = docker.requests().len();

    docker.behave(move |stream, _| {
        held.lock().unwrap().recv().unwrap();
        send_list(stream, &up);
    });
    thread::scope(|scope| {
        let first = scope.spawn(|| daemon.app("app").status);
        eventually("the first probe asks", || docker.requests().len() == before + 1);
        let others: Vec<_> = (0..200).map(|_| scope.spawn(|| daemon.app("app").status)).collect();
        eventually("all probes have come", || daemon.counter("probes_total") == 201);
        assert_eq!(docker.requests().len(), before + 1, "one list on the wire");
        release.send(()).unwrap();
        assert_eq!(first.join().unwrap(), 200);
        eventually("the list behind it", || docker.requests().len() == before + 2);
        assert!(!others.iter().any(thread::ScopedJoinHandle::is_finished), "none is answered from a list asked for before it came");
        release.send(()).unwrap();
        assert!(others.into_iter().all(|other| other.join().unwrap() == 200));
    });
    assert_eq!(docker.requests().len(), before + 2);
}
