//! Which containers answer to which name, and what is told of all names together.
//!
//! A container answers to its label `container-healthcheck.app` alone; without one to its names, each also without `-<digits>`,
//! and to its compose or swarm service. Those that answer to a name by the strongest of these ways are the app's; the others
//! are not. So never less than a whole name counts, and never a part of one.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::app::numbered;
use super::verdict::Verdict;
use super::{AppName, Reason};
use crate::docker::Container;

/// By what a container answers to a name, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Its label.
    Label,
    /// One of its names.
    Name,
    /// Its service.
    Service,
}

/// A text as the name of an app, if it is one.
fn name(text: &str) -> Option<&str> {
    AppName::parse(text.as_bytes()).map(|_| text)
}

/// The names that a container answers to. One whose label is no name of an app answers to none: somebody wanted it to have another
/// name than its own.
pub(super) fn answers_to(container: &Container) -> impl Iterator<Item = (By, &[u8])> {
    let parts = container.parts();
    let is_labelled = !parts.app.is_empty();
    let own = parts.own_names().flat_map(|own| std::iter::once(own).chain(numbered(own).map(|(stem, _)| stem)));
    // Nobody can ask for what is no name of an app, so it is worth no memory.
    let own = own.filter_map(name).map(|name| (By::Name, name)).chain(name(parts.service).map(|name| (By::Service, name)));
    let label = name(parts.app).map(|name| (By::Label, name));
    label.into_iter().chain(own.filter(move |_| !is_labelled)).map(|(by, name)| (by, name.as_bytes()))
}

/// The name under which it is among all apps: its label, else its service, else its name without `-<digits>`.
fn key(container: &Container) -> Option<&[u8]> {
    let parts = container.parts();
    if !parts.app.is_empty() {
        return name(parts.app).map(str::as_bytes);
    }
    let own = || parts.own_names().next_back().map(|name| numbered(name).map_or(name, |(stem, _)| stem)).and_then(name);
    name(parts.service).or_else(own).map(str::as_bytes)
}

/// Those who answer to one name.
#[derive(Debug, Default)]
pub struct Group {
    /// By what, and which container.
    members: Vec<(By, usize)>,
    /// The verdict on them, until one of them changes. Boxed, since each place in the map takes as much, and few are asked about.
    pub(super) verdict: Option<Box<Verdict>>,
    /// How many containers are among all apps under this name.
    keyed: u32,
    /// It is one of `--apps`.
    pub(super) expected: bool,
    /// It is among [`Groups::changed`].
    changed: bool,
    /// How it stands, if it is among all apps: half of the names in the map are not.
    pub(super) standing: Option<Box<Standing>>,
}

impl Group {
    /// The containers that are the app's.
    pub(super) fn members(&self) -> impl Iterator<Item = usize> {
        let strongest = self.members.iter().map(|(by, _)| *by).min();
        self.members.iter().filter(move |(by, _)| Some(*by) == strongest).map(|(_, slot)| *slot)
    }

    /// Those of any strength: what is not known yet may make one of them the app's.
    pub(super) fn candidates(&self) -> impl Iterator<Item = usize> {
        self.members.iter().map(|(_, slot)| *slot)
    }

    /// Whether it is among all apps.
    pub(super) const fn is_listed(&self) -> bool {
        self.keyed > 0 || self.expected
    }
}

/// How an app stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Why it is down, if it is.
    pub fault: Option<Reason>,
    /// How many containers answer to its name.
    pub containers: u32,
    /// When it last went up or down, in seconds of Unix time; if that has not been seen, when the container shown was created.
    pub since: i64,
}

/// How an app stands, and has stood.
#[derive(Debug)]
pub struct Standing {
    /// As it was last told.
    pub row: Row,
    /// How often it went up or down.
    pub turns: u32,
    /// Whether it was up when that was last known.
    pub(super) up: Option<bool>,
    /// When that last changed.
    turned: Option<i64>,
}

impl Group {
    /// Takes how it stands now, or seems to as long as that is not known. `created` is when the container shown was created. Says
    /// whether the row has changed, and whether the app went up or down.
    pub(super) fn stands(
        &mut self,
        fault: Option<Reason>,
        is_known: bool,
        containers: u32,
        created: Option<i64>,
        unix: i64,
    ) -> (bool, bool) {
        let was = self.standing.as_deref();
        let knows = is_known.then_some(fault.is_none());
        let was_up = was.and_then(|was| was.up);
        let turns = was_up.is_some_and(|was| knows.is_some_and(|up| up != was));
        let turned = if turns { Some(unix) } else { was.and_then(|was| was.turned) };
        // Of one that never had a container nothing is known but since when it was looked for.
        let turned = turned.or((is_known && created.is_none()).then_some(unix));
        let since = turned.or(created).or(was.map(|was| was.row.since)).unwrap_or(unix);
        let row = Row { fault, containers, since };
        let has_changed = was.is_none_or(|was| was.row != row);
        let count = was.map_or(0, |was| was.turns).wrapping_add(turns.into());
        self.standing = Some(Box::new(Standing { row, turns: count, up: knows.or(was_up), turned }));
        (has_changed, turns)
    }
}

/// All groups.
#[derive(Debug, Default)]
pub struct Groups {
    /// Each probe looks here, twice, and no client can put a name in: the standard library's slower hash, which nobody can find
    /// collisions for, has no use here.
    by_name: HashMap<Box<[u8]>, Group, FxBuildHasher>,
    /// The names about which something may have changed since they were last taken.
    changed: Vec<Box<[u8]>>,
}

impl Groups {
    /// Those of `--apps`.
    pub(super) fn new(expected: &[AppName]) -> Self {
        let mut groups = Self::default();
        for app in expected {
            if let Some(group) = groups.group(app.as_bytes()) {
                group.expected = true;
            }
            groups.touch(app.as_bytes());
        }
        groups
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Group> {
        self.by_name.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.by_name.get_mut(name)
    }

    /// The group of that name, made if there is none.
    fn group(&mut self, name: &[u8]) -> Option<&mut Group> {
        if !self.by_name.contains_key(name) {
            self.by_name.insert(name.into(), Group::default());
        }
        self.by_name.get_mut(name)
    }

    /// The names of all apps, in no order.
    pub(super) fn apps(&self) -> Vec<AppName> {
        self.by_name.iter().filter(|(_, group)| group.is_listed()).filter_map(|(name, _)| AppName::parse(name)).collect()
    }

    /// How all apps stand, in no order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &Standing)> {
        self.by_name.iter().filter_map(|(name, group)| Some((std::str::from_utf8(name).ok()?, group.standing.as_deref()?)))
    }

    /// A container has come, or has other names now.
    pub(super) fn add(&mut self, slot: usize, container: &Container) {
        for (by, name) in answers_to(container) {
            // Two names of one container can lead to one; the stronger way comes first.
            if let Some(group) = self.group(name)
                && group.members.last().is_none_or(|(_, last)| *last != slot)
            {
                // Nearly always there is one, and room for four would be made.
                group.members.reserve_exact(1);
                group.members.push((by, slot));
            }
            self.touch(name);
        }
        if let Some(group) = key(container).and_then(|key| self.group(key)) {
            group.keyed = group.keyed.saturating_add(1);
        }
    }

    /// A container goes, or will have other names: to be called as it was added.
    pub(super) fn remove(&mut self, slot: usize, container: &Container) {
        for (_, name) in answers_to(container) {
            if let Some(group) = self.by_name.get_mut(name) {
                group.members.retain(|(_, other)| *other != slot);
            }
            self.touch(name);
        }
        if let Some(group) = key(container).and_then(|key| self.by_name.get_mut(key)) {
            group.keyed = group.keyed.saturating_sub(1);
        }
    }

    /// Something about a container has changed.
    pub(super) fn touch_all_of(&mut self, container: &Container) {
        for (_, name) in answers_to(container) {
            self.touch(name);
        }
    }

    /// Something about an app has changed.
    pub(super) fn touch(&mut self, name: &[u8]) {
        let Some(group) = self.by_name.get_mut(name) else { return };
        group.verdict = None;
        if !std::mem::replace(&mut group.changed, true) {
            self.changed.push(name.into());
        }
    }

    /// Something about all apps has changed, but for what their containers say.
    pub(super) fn touch_all(&mut self) {
        let Self { by_name, changed } = self;
        for (name, group) in by_name.iter_mut().filter(|(_, group)| group.is_listed()) {
            if !std::mem::replace(&mut group.changed, true) {
                changed.push(name.clone());
            }
        }
    }

    /// The next name about which something has changed.
    pub(super) fn next_changed(&mut self) -> Option<Box<[u8]>> {
        let Some(name) = self.changed.pop() else {
            // After a list of all it has held every name.
            self.changed.shrink_to(64);
            return None;
        };
        if let Some(group) = self.by_name.get_mut(&name) {
            group.changed = false;
        }
        Some(name)
    }

    /// Forgets a name to which nobody answers.
    pub(super) fn tidy(&mut self, name: &[u8]) {
        if self.by_name.get(name).is_some_and(|group| group.members.is_empty() && !group.is_listed()) {
            self.by_name.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::{Parts, Texts};
    use crate::limits;

    #[test]
    fn nobody_answers_to_what_is_no_name_of_an_app() {
        let longest = "x".repeat(limits::APP_BYTES);
        let longer = format!("{longest}-1");
        // names, service, label, and what it answers to
        let cases: &[(&str, &str, &str, &[&str])] = &[
            ("app-1", "web", "", &["app-1", "app", "web"]),
            (&longer, &longer, "", &[&longest]),
            ("_a/b c", "-web", "", &[]),
            ("app-1", "web", "own", &["own"]),
            ("app-1", "web", "_own", &[]),
        ];
        for (names, service, app, wants) in cases {
            let container = Container { texts: Texts::of(&Parts { app, service, names, ..Parts::default() }), ..Container::default() };
            let found: Vec<_> = answers_to(&container).map(|(_, name)| std::str::from_utf8(name).unwrap()).collect();
            assert_eq!(found, *wants, "{names} {service} {app}");
        }
    }
}
