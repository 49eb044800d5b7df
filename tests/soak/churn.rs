//! Containers that are started, killed, paused, renamed, replaced and removed, and a dockerd that ends and comes back.

use std::mem;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::support::real::{Dockerd, for_a_while};
use super::support::{Answer, Client, PREFIX};
use super::truth::{APPS, name, told};
use super::{Dice, RESTARTS, Soak};

/// Things that happen to containers in a soak, at most.
const CHANGES: u32 = 1800;

/// How dockerd ends, in turn: in good order, killed, and not at all but for hanging.
const ENDS: [&str; 3] = ["TERM", "KILL", "STOP"];

/// The container of an app.
#[derive(Clone, Debug)]
enum Container {
    Absent,
    Up(String),
    Paused(String),
    Exited(String),
    /// It runs under a name that is no app's.
    Renamed(String),
}

impl Container {
    const fn told(&self) -> &'static str {
        match self {
            Self::Absent | Self::Renamed(_) => "404 no-container",
            Self::Up(_) => "200",
            Self::Paused(_) => "503 paused",
            Self::Exited(_) => "503 exited",
        }
    }
}

/// All containers, and their dockerd.
pub struct Churn<'a> {
    soak: &'a Soak,
    dockerd: Dockerd,
    client: Client,
    dice: Dice,
    apps: [Container; APPS],
    /// Containers that there have been.
    count: u64,
    changes: u64,
    falls: u64,
    restarts: usize,
}

impl<'a> Churn<'a> {
    /// All apps are up.
    pub fn begin(soak: &'a Soak, dockerd: Dockerd) -> Self {
        let apps = [const { Container::Absent }; APPS];
        let client = soak.daemon.connect();
        let mut churn = Self { soak, dockerd, client, dice: Dice::new(APPS), apps, count: 0, changes: 0, falls: 0, restarts: 0 };
        (0..APPS).for_each(|app| churn.change(app));
        churn
    }

    /// Changes one after the other, for so long.
    pub fn go_on(&mut self, length: Duration) {
        let between = RESTARTS.min(length / 4);
        let mut next = Instant::now() + between;
        while self.soak.goes_on() {
            if Instant::now() >= next {
                self.restart();
                next += between;
            }
            let app = usize::try_from(self.dice.below(APPS as u64)).unwrap();
            self.change(app);
            thread::sleep(length / CHANGES);
        }
    }

    /// Says what it came to.
    pub fn rest(&self) {
        println!("{} changes of containers, {} ends of dockerd", self.changes, self.restarts);
    }

    fn ask(&mut self, app: usize) -> Answer {
        self.client.get(&format!("{PREFIX}/apps/health/{}", name(app)))
    }

    /// Waits until Docker is that. One that hangs is found out by the next list, which has all the longer for it the longer others took.
    fn docker_is(&mut self, state: &str) {
        let mut is_so = || self.client.get(&format!("{PREFIX}/apps")).json()["message"]["docker"] == state;
        // Nobody waits for it when a promise was broken meanwhile.
        let patiently = |_| for_a_while(|| !self.soak.goes_on() || is_so()).is_some();
        assert!((0..4).any(patiently), "Docker is never {state}");
    }

    /// A new container of the app.
    fn run(&mut self, app: usize) -> String {
        self.count += 1;
        let name = format!("{}-{}", name(app), self.count);
        self.dockerd.docker(&["run", "-d", "--network", "none", "--stop-signal", "KILL", "--name", &name, "image", "sleep", "100000"]);
        name
    }

    /// Waits until that is told of it, from where on nothing else may be.
    fn is_told(&mut self, app: usize) {
        let want = self.apps[app].told();
        let mut last = None;
        let is_so = for_a_while(|| {
            let answer = self.ask(app);
            let is_so = told(&answer) == want;
            last = Some(answer);
            is_so
        });
        assert!(is_so.is_some(), "{} is never told {want}, but {last:?}", name(app));
        self.soak.truth.set(app, Some(want));
    }

    /// Something happens to a container of the app's.
    fn change(&mut self, app: usize) {
        self.changes += 1;
        let container = mem::replace(&mut self.apps[app], Container::Absent);
        if let Container::Up(old) = &container
            && self.dice.below(4) == 0
        {
            self.apps[app] = self.replace(app, old);
            return;
        }
        self.soak.truth.set(app, None);
        self.apps[app] = match container {
            Container::Absent => Container::Up(self.run(app)),
            Container::Up(name) => self.fell(name),
            Container::Paused(name) => {
                self.dockerd.docker(&["unpause", &name]);
                Container::Up(name)
            }
            Container::Exited(name) if self.dice.below(4) == 0 => self.remove(&name),
            Container::Exited(name) => {
                self.dockerd.docker(&["start", &name]);
                Container::Up(name)
            }
            Container::Renamed(name) => {
                self.dockerd.docker(&["rename", &format!("old_{name}"), &name]);
                Container::Up(name)
            }
        };
        self.is_told(app);
    }

    /// A redeploy, of which nobody is to notice anything: the app is up all the while.
    fn replace(&mut self, app: usize, old: &str) -> Container {
        let new = self.run(app);
        let shown = for_a_while(|| self.ask(app).json()["message"]["names"] == new);
        assert!(shown.is_some(), "{new} is never shown");
        self.remove(old);
        Container::Up(new)
    }

    fn remove(&self, name: &str) -> Container {
        self.dockerd.docker(&["rm", "-f", name]);
        Container::Absent
    }

    /// A container that is up is so no more: of each way there is one even in a short soak.
    fn fell(&mut self, name: String) -> Container {
        self.falls += 1;
        match self.falls % 5 {
            0 => {
                self.dockerd.docker(&["pause", &name]);
                Container::Paused(name)
            }
            1 => {
                self.dockerd.docker(&["rename", &name, &format!("old_{name}")]);
                Container::Renamed(name)
            }
            2 => self.remove(&name),
            3 => {
                self.dockerd.docker(&["stop", "-t", "0", &name]);
                Container::Exited(name)
            }
            _ => {
                kill(&self.pid(&name));
                Container::Exited(name)
            }
        }
    }

    fn pid(&self, name: &str) -> String {
        self.dockerd.docker(&["inspect", "--format", "{{.State.Pid}}", name])
    }

    /// dockerd ends and comes back, and the containers run on, but for one that may die meanwhile.
    fn restart(&mut self) {
        let how = ENDS[self.restarts % ENDS.len()];
        self.restarts += 1;
        let ups = self.apps.iter().enumerate().filter_map(|(app, container)| match container {
            Container::Up(name) => Some((app, name.clone())),
            Container::Absent | Container::Paused(_) | Container::Exited(_) | Container::Renamed(_) => None,
        });
        let victim = ups.min_by_key(|_| self.dice.below(1000)).map(|(app, name)| (app, self.pid(&name), name));
        self.dockerd.signal(how);
        self.docker_is("stale");
        if let Some((app, pid, name)) = &victim {
            self.soak.truth.set(*app, None);
            kill(pid);
            self.apps[*app] = Container::Exited(name.clone());
        }
        if how == "STOP" {
            self.dockerd.signal("CONT");
        } else {
            self.dockerd.restart();
        }
        self.docker_is("live");
        if let Some((app, _, _)) = victim {
            self.is_told(app);
        }
    }
}

fn kill(pid: &str) {
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
}
