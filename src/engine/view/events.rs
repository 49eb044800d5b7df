//! What events say: each is a fact from the moment it is read.

use std::time::Instant;

use super::{Claim, Said, View, lives};
use crate::docker::event::{Event, What};
use crate::docker::{Container, Health, Parts, State, Texts};
use crate::limits;

impl View {
    /// An event was read, of something that happened a little or some time before. Says whether it was news.
    pub fn happened(&mut self, event: &Event, began: Instant, now: Instant, comeback: u32) -> bool {
        if matches!(event.what, What::Other | What::CheckEnded) || event.id.is_empty() {
            return false;
        }
        let known = self.known(&event.id);
        // That it was made says nothing of one that is known. It may be told late: lost at first, and replayed behind its death.
        if known.is_some_and(|slot| event.what == What::Created || self.recent.contains(&(event.at, slot, event.what))) {
            return false;
        }
        let slot = known.unwrap_or_else(|| self.insert_unknown(event, now));
        if self.recent.len() >= limits::REPLAYED_EVENTS {
            self.recent.pop_front();
        }
        self.recent.push_back((event.at, slot, event.what));
        let tick = self.next_tick();
        let Some(entry) = self.entries.get_mut(slot) else { return false };
        if let What::Health(health) = event.what {
            // Podman says it on each check, and it never touches the run.
            entry.health_tick = tick;
            if known.is_none() {
                entry.tick = tick;
            }
            if entry.container.health == health && entry.has_check == Some(true) && !entry.suspect {
                return false;
            }
        } else {
            entry.tick = tick;
        }
        self.unindex(slot);
        self.apply(slot, event, began, now, comeback);
        self.index(slot);
        true
    }

    /// As [`View::happened`], for a Podman that tells of a HEALTHCHECK when it begins, with the outcome of the one before, and then that
    /// it has ended. No outcome is believed that makes a container serve; one that makes it not serve opens a question, as what was
    /// listed may be newer. What came of the check is asked for a moment after its end, once for each check.
    pub fn happened_early(&mut self, event: &Event, began: Instant, now: Instant, comeback: u32) -> bool {
        let tick = self.next_tick();
        let known = self.known(&event.id);
        let Some((slot, entry)) = known.and_then(|slot| Some((slot, self.entries.get_mut(slot)?))) else {
            return self.happened(event, began, now, comeback);
        };
        match event.what {
            What::CheckEnded => {
                // Others than its HEALTHCHECK can run commands in it; such a one is not worth a question.
                if entry.is_checked {
                    let [first, second] = &mut entry.outcome;
                    let next = if first.is_some() { second } else { first };
                    *next = Some(now + limits::CHECK_SETTLES);
                    self.schedule(slot);
                }
                false
            }
            What::Health(Health::Unhealthy | Health::Starting)
                if matches!(entry.container.health, Health::None | Health::Healthy) && entry.container.state == State::Running =>
            {
                entry.is_checked = true;
                entry.tick = tick;
                self.suspect(slot, true);
                true
            }
            What::Health(health) => {
                entry.is_checked = true;
                // Down it is either way.
                let is_worse = (entry.container.health, health) == (Health::Starting, Health::Unhealthy);
                is_worse && self.happened(event, began, now, comeback)
            }
            What::Created | What::Started | What::Died(_) | What::Paused | What::Unpaused | What::Renamed | What::Removed | What::Other => {
                self.happened(event, began, now, comeback)
            }
        }
    }

    /// An event said that it lives, and may have been overtaken by what is known: it is asked about.
    pub fn doubt(&mut self, id: &str) {
        let Some(slot) = self.known(id) else { return };
        if self.entries.get(slot).is_some_and(|entry| lives(entry.container.state)) {
            self.suspect(slot, true);
        }
    }

    /// Whether an event may tell of that container: of one that is known, or of one more.
    #[must_use]
    pub fn has_room_for(&self, id: &str) -> bool {
        self.entries.len() < limits::CONTAINERS.saturating_add(limits::UNLISTED) || self.known(id).is_some()
    }

    /// An id of which nothing is known: whatever the event says of it, a list has to say the rest.
    fn insert_unknown(&mut self, event: &Event, now: Instant) -> usize {
        let Event { id, name: names, app, service, .. } = event;
        let parts = Parts { id, names, app, service, ports: "[]", ..Parts::default() };
        // Of one that is made now that is what a list will say, too.
        let created = i64::try_from(event.at / 1_000_000_000).unwrap_or_default();
        let container = Container { texts: Texts::of(&parts), state: State::Created, created, ..Container::default() };
        let slot = self.insert(container, now);
        self.index(slot);
        self.suspect(slot, true);
        slot
    }

    fn apply(&mut self, slot: usize, event: &Event, began: Instant, now: Instant, comeback: u32) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        let container = &mut entry.container;
        // One whose list is still to come keeps its question, what it is.
        let unlisted = entry.suspect && container.parts().image.is_empty();
        let (claim, open) = match event.what {
            What::Created => (Claim::Alive, entry.suspect),
            What::Started => {
                container.state = State::Running;
                container.set_status("Up Less than a second");
                container.health = Health::None;
                entry.removed = false;
                // Its HEALTHCHECK starts anew, if it has one.
                (Claim::Alive, unlisted || entry.has_check != Some(false))
            }
            What::Died(code) => {
                container.state = State::Exited;
                container.set_status(&format!("Exited ({code}) Less than a second ago"));
                container.health = Health::None;
                (Claim::Dead, unlisted)
            }
            What::Removed => {
                entry.removed = true;
                (Claim::Dead, false)
            }
            What::Paused => {
                container.state = State::Paused;
                container.set_status(&format!("{} (Paused)", unpaused(container)));
                (Claim::Paused, entry.suspect)
            }
            What::Unpaused => {
                container.state = State::Running;
                container.set_status(&unpaused(container));
                // Of one that was found paused no list has shown the health.
                let is_known = container.health != Health::None || entry.has_check == Some(false);
                if !is_known {
                    container.health = Health::Starting;
                }
                (Claim::Resumed, entry.suspect || !is_known)
            }
            What::Renamed => {
                container.set_names(&event.name);
                entry.renamed = Some(now);
                return self.look_from(slot, now);
            }
            What::Health(health) => {
                container.health = health;
                container.set_status(&with_health(container.parts().status, health));
                entry.has_check = Some(true);
                return self.suspect(slot, unlisted);
            }
            What::CheckEnded | What::Other => return,
        };
        entry.said = Some(Said { claim, at: now, comeback });
        match claim {
            Claim::Alive if event.what == What::Started => self.started(slot, (began + self.min_uptime > now).then_some(began)),
            Claim::Dead => self.started(slot, None),
            Claim::Alive | Claim::Paused | Claim::Resumed => {}
        }
        self.suspect(slot, open);
        self.look_from(slot, now);
    }
}

/// Docker's words for it when it is not paused.
fn unpaused(container: &Container) -> String {
    container.parts().status.trim_end_matches(" (Paused)").into()
}

/// Docker's words for a running container with another outcome of its HEALTHCHECK.
pub(super) fn with_health(status: &str, health: Health) -> String {
    let words = match health {
        Health::None => return status.into(),
        Health::Starting => "(health: starting)",
        Health::Healthy => "(healthy)",
        Health::Unhealthy => "(unhealthy)",
    };
    let up = status.rsplit_once(" (").map_or(status, |(up, _)| up);
    format!("{up} {words}")
}
