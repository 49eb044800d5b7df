//! Containers as they truly are, and what happens to them.

use super::*;

/// A container as it truly is, and what the lists say of it.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) id: Box<str>,
    pub(super) name: String,
    pub(super) life: State,
    /// None: it has no HEALTHCHECK.
    pub(super) health: Option<Health>,
    pub(super) created: i64,
    /// When it was last started or died.
    pub(super) since: Option<Instant>,
    /// Until then the lists say this instead.
    pub(super) lie: Option<(State, Instant)>,
    /// A HEALTHCHECK of a Podman that tells of it too early.
    pub(super) check: Option<Check>,
}

/// A HEALTHCHECK on its way: it began with an event, ends with another one, and what came of it shows a little later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    pub(super) outcome: Health,
    pub(super) ends: Instant,
    pub(super) shows: Option<Instant>,
}

impl Truth {
    pub(super) fn serves(&self) -> bool {
        self.life == State::Running && self.health.is_none_or(|health| health == Health::Healthy)
    }

    /// Docker's own words, which are those that the view puts in their place after an event, or not.
    pub(super) fn words(&self, state: State, now: Instant) -> String {
        let age = self.since.map_or(0, |since| (now - since).as_secs());
        match (state, age) {
            (State::Running, 0) => "Up Less than a second".into(),
            (State::Exited, 0) => "Exited (137) Less than a second ago".into(),
            _ => format!("{state:?} {age} seconds"),
        }
    }

    pub(super) fn listed(&self, now: Instant) -> Container {
        let state = self.lie.filter(|(_, until)| *until > now).map_or(self.life, |(state, _)| state);
        let health = if state == State::Running { self.health.unwrap_or(Health::None) } else { Health::None };
        let status = self.words(state, now);
        let parts = Parts { id: &self.id, names: &self.name, image: "image", status: &status, ports: "[]", ..Parts::default() };
        Container { texts: Texts::of(&parts), created: self.created, state, health }
    }
}

impl World<'_> {
    pub(super) fn change(&mut self) {
        let which = self.dice.throw(8) as usize;
        match self.dice.throw(10) {
            0 | 1 if self.containers.len() < 7 => self.create(),
            2..=4 => self.toggle(which),
            5 => self.pause(which),
            6 => self.rename(which),
            7 => self.remove(which),
            8 => self.drain(),
            _ => self.check_health(which),
        }
    }

    pub(super) fn create(&mut self) {
        self.made += 1;
        let app = APPS[self.dice.throw(APPS.len() as u64) as usize];
        let suffix = if self.dice.throw(2) == 0 { String::new() } else { format!("-{}", self.made + 100) };
        let health = (self.dice.throw(3) == 0).then_some(Health::Starting);
        let truth = Truth {
            id: format!("{:x}", self.made).into(),
            name: format!("{app}{suffix}"),
            life: State::Created,
            health,
            created: self.made.cast_signed(),
            since: None,
            lie: None,
            check: None,
        };
        self.containers.push(truth);
        let at = self.containers.len() - 1;
        self.emit(at, What::Created);
    }

    pub(super) fn toggle(&mut self, which: usize) {
        let Some(truth) = self.containers.get_mut(which) else { return };
        let was = truth.life;
        truth.since = Some(self.now);
        truth.check = None;
        if was == State::Running || was == State::Paused {
            truth.life = State::Exited;
            self.lie(which, was, 900);
            self.emit(which, What::Died(137));
        } else {
            truth.life = State::Running;
            truth.lie = None;
            truth.health = truth.health.map(|_| Health::Starting);
            self.emit(which, What::Started);
        }
    }

    pub(super) fn pause(&mut self, which: usize) {
        let Some(truth) = self.containers.get_mut(which) else { return };
        let was = truth.life;
        let (life, what) = match was {
            State::Running => (State::Paused, What::Paused),
            State::Paused => (State::Running, What::Unpaused),
            _ => return,
        };
        truth.life = life;
        self.lie(which, was, 150);
        self.emit(which, what);
    }

    pub(super) fn lie(&mut self, which: usize, was: State, longest: u64) {
        let until = self.now + Duration::from_millis(self.dice.throw(longest));
        self.containers[which].lie = Some((was, until));
    }

    pub(super) fn rename(&mut self, which: usize) {
        let app = APPS[self.dice.throw(APPS.len() as u64) as usize];
        let Some(truth) = self.containers.get_mut(which) else { return };
        truth.name = format!("{app}-{}", 1000 + self.made);
        self.emit(which, What::Renamed);
    }

    pub(super) fn remove(&mut self, which: usize) {
        if self.containers.get(which).is_some_and(|truth| truth.life != State::Running && truth.life != State::Paused) {
            self.emit(which, What::Removed);
            self.containers.remove(which);
        }
    }

    pub(super) fn check_health(&mut self, which: usize) {
        let outcome = [Health::Healthy, Health::Unhealthy][self.dice.throw(2) as usize];
        let Some(truth) = self.containers.get_mut(which).filter(|truth| truth.life == State::Running && truth.health.is_some()) else {
            return;
        };
        if self.podman.is_none() {
            truth.health = Some(outcome);
            return self.emit(which, What::Health(outcome));
        }
        if let (None, Some(before)) = (truth.check, truth.health) {
            let ends = self.now + Duration::from_millis(self.dice.throw(3000));
            truth.check = Some(Check { outcome, ends, shows: None });
            self.emit(which, What::Health(before));
        }
    }

    pub(super) fn checks_end(&mut self) {
        for which in 0..self.containers.len() {
            let truth = &mut self.containers[which];
            let Some(check) = truth.check.as_mut().filter(|check| check.ends <= self.now) else { continue };
            if truth.life != State::Running {
                truth.check = None;
            } else if let Some(shows) = check.shows {
                if shows <= self.now {
                    truth.health = Some(check.outcome);
                    truth.check = None;
                }
            } else {
                check.shows = Some(self.now + Duration::from_millis(self.dice.throw(limits::CHECK_SETTLES.as_millis() as u64)));
                self.emit(which, What::CheckEnded);
            }
        }
    }

    pub(super) fn emit(&mut self, which: usize, what: What) {
        let truth = &self.containers[which];
        // No two are of the same nanosecond.
        let mut at = self.unix();
        while self.ring.iter().any(|event| event.at == at) {
            at += 1;
        }
        let event = Event { id: truth.id.clone(), name: truth.name.as_str().into(), what, at, ..Event::default() };
        if self.mood == Mood::Gone {
            return;
        }
        self.ring.push_back(event.clone());
        if self.ring.len() > limits::REPLAYED_EVENTS {
            self.ring.pop_front();
        }
        // Now and then one is lost: dockerd drops them silently for who reads slowly.
        if self.stream.is_some() && (self.dice.throw(64) != 63 || self.loses_nothing()) {
            let after = self.queue.back().map_or(self.now, |(_, at)| *at);
            let at = after.max(self.now + Duration::from_millis(self.dice.throw(60)));
            self.queue.push_back((event, at));
        }
    }
}
