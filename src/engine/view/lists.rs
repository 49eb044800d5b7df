//! What lists say: each is judged by when it was asked for.

use std::collections::HashSet;

use super::events::with_health;
use super::{Asked, View, decides, lives, verdict};
use crate::docker::{Container, Health, State};
use crate::limits;

impl View {
    /// A list of all containers landed. What it says of those that are down is taken in, and the others are given back for
    /// [`View::landed_up`]: of an app that has other containers now the former ones end first.
    #[must_use]
    pub fn landed(&mut self, containers: Vec<Container>, asked: &Asked) -> Vec<Container> {
        let mut absent: Vec<bool> = vec![true; self.entries.capacity()];
        for slot in containers.iter().filter_map(|container| self.known(container.parts().id)) {
            if let Some(absent) = absent.get_mut(slot) {
                *absent = false;
            }
        }
        let absent: Vec<usize> =
            self.entries.iter().map(|(slot, _)| slot).filter(|&slot| absent.get(slot).copied().unwrap_or_default()).collect();
        for slot in absent {
            self.absent(slot, asked);
        }
        let is_up = |container: &Container| verdict::fault(container, self.health).is_none();
        let (up, down): (Vec<_>, Vec<_>) = containers.into_iter().partition(is_up);
        for container in down {
            self.listed(container, asked);
        }
        up
    }

    /// The rest of it.
    pub fn landed_up(&mut self, containers: Vec<Container>, asked: &Asked) {
        for container in containers {
            self.listed(container, asked);
        }
        self.was_listed = true;
    }

    /// A list of those ids landed.
    pub fn landed_about(&mut self, ids: &[Box<str>], containers: Vec<Container>, asked: &Asked) {
        let mut missing: Vec<usize> = ids.iter().filter_map(|id| self.known(id)).collect();
        for container in containers {
            // Whoever is not known any more was not in a list of all that landed meanwhile.
            if self.known(container.parts().id).is_some() {
                let slot = self.listed(container, asked);
                missing.retain(|&other| other != slot);
            }
        }
        for slot in missing {
            self.gone(slot, asked);
        }
        // An event that was read meanwhile has kept a question open.
        self.unanswered(ids);
    }

    /// Whatever a list did not say of the health of the running containers in it, told by who of them is ailing. Of those this
    /// does not say in which way: one that has been anything else in this run is unhealthy, any other is starting. Those that are not may have no
    /// HEALTHCHECK; they are up either way, and asked about after each start.
    pub fn fill_in_health(&self, containers: &mut [Container], ailing: &[Container]) {
        let ailing: HashSet<&str> = ailing.iter().map(|container| container.parts().id).collect();
        for container in containers.iter_mut().filter(|container| container.state == State::Running) {
            let id = container.parts().id;
            let known = self.known(id).and_then(|slot| self.entries.get(slot)).map(|entry| entry.container.health);
            container.health = match known {
                _ if !ailing.contains(id) => Health::Healthy,
                Some(Health::Healthy | Health::Unhealthy) => Health::Unhealthy,
                None | Some(Health::None | Health::Starting) => Health::Starting,
            };
        }
    }

    fn listed(&mut self, container: Container, asked: &Asked) -> usize {
        let Some(slot) = self.known(container.parts().id) else {
            let runs = container.state == State::Running;
            let has_check = runs.then_some(container.health != Health::None);
            let slot = self.insert(container, asked.at);
            if let Some(entry) = self.entries.get_mut(slot) {
                (entry.tick, entry.has_check) = (asked.tick, has_check);
            }
            if runs && self.was_listed {
                self.started(slot, Some(asked.at));
            }
            self.index(slot);
            return slot;
        };
        let Some(entry) = self.entries.get_mut(slot) else { return slot };
        // Asked for before the event was read, or before another list that has spoken, it says nothing about this container.
        if asked.tick < entry.tick {
            // If it says otherwise all the same, and nobody will look, an event may have been lost before it was asked for.
            let is_known =
                lives(entry.container.state) == lives(container.state) && entry.container.parts().names == container.parts().names;
            if !is_known && entry.look.is_none() {
                self.suspects.insert(slot);
            }
            return slot;
        }
        entry.tick = asked.tick;
        let mut container = container;
        // Of its health an event may have told since.
        if asked.tick < entry.health_tick && container.state == State::Running && entry.container.state == State::Running {
            container.health = entry.container.health;
            container.set_status(&with_health(container.parts().status, container.health));
        }
        let believed = entry.said.is_none_or(|said| decides(&said, asked, Some(container.state)));
        let was_open = entry.is_open();
        if !believed {
            // Of its life the event knows better; what it is, the list says all the same. When to ask again is a matter of the
            // looks, or a list that lies would be asked for over and over.
            (container.state, container.health) = (entry.container.state, entry.container.health);
            container.set_status(entry.container.parts().status);
        }
        let stands = entry.renamed.is_some_and(|at| asked.at.saturating_duration_since(at) < limits::CHANGE_STANDS);
        // Docker releases the old name a moment after it has announced the new one (measured: both are listed). A list without the
        // new one knows of a later rename.
        let (own, listed) = (entry.container.parts(), container.parts());
        let new = own.own_names().next();
        if stands && listed.own_names().count() > 1 && new.is_some_and(|new| listed.own_names().any(|name| name == new)) {
            container.set_names(own.names);
        } else {
            entry.renamed = None;
        }
        if believed && container.state == State::Running {
            entry.has_check = Some(container.health != Health::None);
        }
        if believed {
            self.settle(slot);
        } else {
            self.suspect(slot, false);
        }
        // What the event said has been seen. The answer to a question that was asked later may be on its way, and older: Docker works on two
        // at once (measured: of a killed one, 10 times in 40).
        if was_open && self.entries.get(slot).is_some_and(|entry| !entry.is_open()) {
            let tick = self.next_tick();
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.tick = tick;
            }
        }
        if self.entries.get(slot).is_some_and(|entry| entry.container == container && !entry.removed) {
            return slot;
        }
        self.unindex(slot);
        let was = self.entries.get(slot).map(|entry| lives(entry.container.state));
        if was == Some(!lives(container.state)) {
            self.started(slot, lives(container.state).then_some(asked.at));
        }
        if let Some(entry) = self.entries.get_mut(slot) {
            let health = entry.container.health;
            let same_run = lives(entry.container.state);
            entry.container = container;
            entry.removed &= !believed;
            // Its health is not shown, and is still that of this run.
            if believed && same_run && entry.container.state == State::Paused {
                entry.container.health = health;
            }
        }
        self.index(slot);
        slot
    }

    /// It is in no list of those ids. A list of all that was asked for before may still be on its way, and have it.
    fn gone(&mut self, slot: usize, asked: &Asked) {
        if !self.entries.get(slot).is_some_and(|entry| entry.may_be_gone(asked)) {
            return;
        }
        self.unindex(slot);
        if let Some(entry) = self.entries.get_mut(slot) {
            (entry.tick, entry.removed, entry.renamed, entry.outcome) = (asked.tick, true, None, [None; 2]);
        }
        self.settle(slot);
        self.started(slot, None);
    }

    /// It is in no list of all.
    fn absent(&mut self, slot: usize, asked: &Asked) {
        let Some(entry) = self.entries.get(slot).filter(|entry| entry.may_be_gone(asked)) else { return };
        if let Ok(at) = self.place(entry.container.parts().id) {
            self.by_id.remove(at);
        }
        self.settle(slot);
        self.started(slot, None);
        self.unindex(slot);
        if let Some(entry) = self.entries.try_remove(slot) {
            // A rename, and a check that has ended, are still to be looked at: that is not for who has the slot next.
            if let Some(at) = entry.look {
                self.looks.remove(&(at, slot));
            }
            self.recent.retain(|(_, other, _)| *other != slot);
        }
    }

    /// A list that may speak about it has spoken.
    fn settle(&mut self, slot: usize) {
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.said = None;
        }
        self.schedule(slot);
        self.suspect(slot, false);
    }
}
