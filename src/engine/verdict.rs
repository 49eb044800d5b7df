//! Facts to a verdict on one app: which containers are its own, which of them serve, and which one is shown.

use super::app::{AppName, numbered};
use super::{Answer, Reason};
use crate::docker::{Container, Health, State};

/// Which of several containers of an app decide. A redeploy has two for a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// One that is up is enough.
    #[default]
    Any,
    /// The newest alone.
    Newest,
    /// All must be up.
    All,
}

/// Whether an app is down that Docker's HEALTHCHECK calls `starting` or `unhealthy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DockerHealth {
    /// It is.
    #[default]
    Respect,
    /// It is not: running is enough.
    Ignore,
}

/// A container with the name by which it is the app's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The name, without its slash.
    pub name: Box<str>,
    /// The container.
    pub container: Container,
}

/// One container of an app, and why it does not serve, if it does not.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The container.
    pub container: &'a Container,
    /// Its fault.
    pub fault: Option<Reason>,
}

/// The verdict on an app as the facts are, and what was made of it.
#[derive(Debug)]
pub struct Verdict {
    /// The verdict.
    pub answer: Answer,
    /// Status and body as they were last written; gone when a fact of the app changes.
    pub rendered: Option<(u16, Vec<u8>)>,
}

/// The verdict on an app, given its containers; none without any.
#[must_use]
pub fn judge<'a>(app: &AppName, members: impl Iterator<Item = Member<'a>>, policy: Policy) -> Option<Answer> {
    let own: Vec<_> = members.map(|member| Own::of(app, member)).collect();
    let newest = |counts: fn(&&Own<'_>) -> bool| own.iter().filter(counts).max_by(|one, other| one.age().cmp(&other.age()));
    let decides = match policy {
        Policy::Any => newest(|own| own.fault.is_none()),
        Policy::All => newest(|own| own.fault.is_some()),
        Policy::Newest => None,
    };
    decides.or_else(|| newest(|_| true)).map(|own| match own.fault {
        None => Answer::Up(Box::new(own.shown())),
        Some(reason) => Answer::Down(reason, Box::new(own.shown())),
    })
}

/// Why a container does not serve, if it does not.
#[must_use]
pub fn fault(container: &Container, health: DockerHealth) -> Option<Reason> {
    match container.state {
        State::Running => match (health, container.health) {
            (DockerHealth::Respect, Health::Starting) => Some(Reason::Starting),
            (DockerHealth::Respect, Health::Unhealthy) => Some(Reason::Unhealthy),
            (DockerHealth::Respect, Health::None | Health::Healthy) | (DockerHealth::Ignore, _) => None,
        },
        State::Created => Some(Reason::Created),
        State::Paused => Some(Reason::Paused),
        State::Restarting => Some(Reason::Restarting),
        State::Removing => Some(Reason::Removing),
        State::Exited => Some(Reason::Exited),
        State::Dead => Some(Reason::Dead),
    }
}

/// One of the app's containers.
struct Own<'a> {
    container: &'a Container,
    fault: Option<Reason>,
    name: &'a str,
    number: &'a str,
}

impl<'a> Own<'a> {
    fn of(app: &AppName, Member { container, fault }: Member<'a>) -> Self {
        let own_names = || container.parts().own_names();
        let matches = own_names().filter_map(|name| Some((app.number_in(name)?, name)));
        // While it is renamed it can have two names; the greater number is the later one. One that is the app's by a label may
        // be named after anything.
        let matching = matches.max_by_key(|(number, _)| (number.len(), *number));
        let (number, name) = matching.unwrap_or_else(|| {
            let name = own_names().next_back().unwrap_or_default();
            (numbered(name).map_or("", |(_, digits)| digits.trim_start_matches('0')), name)
        });
        Self { container, fault, name, number }
    }

    /// The greatest is the newest: the time of creation, then the number in the name (without leading zeros, the longer is the
    /// greater), then the id.
    fn age(&self) -> (i64, usize, &str, &str) {
        (self.container.created, self.number.len(), self.number, self.container.parts().id)
    }

    fn shown(&self) -> Shown {
        Shown { name: self.name.into(), container: self.container.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::{Parts, Texts};

    /// `name state[/health] created`
    fn container(words: &str) -> Container {
        let mut words = words.split(' ');
        let name = words.next().unwrap();
        let (state, health) = words.next().map(|state| state.split_once('/').unwrap_or((state, ""))).unwrap();
        let state = match state {
            "created" => State::Created,
            "running" => State::Running,
            "paused" => State::Paused,
            "restarting" => State::Restarting,
            "removing" => State::Removing,
            "exited" => State::Exited,
            "dead" => State::Dead,
            other => panic!("{other}"),
        };
        let health = match health {
            "" => Health::None,
            "starting" => Health::Starting,
            "healthy" => Health::Healthy,
            "unhealthy" => Health::Unhealthy,
            other => panic!("{other}"),
        };
        let created = words.next().map_or(0, |created| created.parse().unwrap());
        let texts = Texts::of(&Parts { id: name, names: &name.replace('+', "/"), ..Parts::default() });
        Container { texts, created, state, health }
    }

    /// The name shown and `up` or the reason; or `none`.
    fn verdict(containers: &[&str], policy: Policy, health: DockerHealth) -> String {
        let containers: Vec<_> = containers.iter().map(|words| container(words)).collect();
        let members = containers.iter().map(|container| Member { container, fault: fault(container, health) });
        match judge(&AppName::parse(b"app").unwrap(), members, policy) {
            Some(Answer::Up(shown)) => format!("{} up", shown.name),
            Some(Answer::Down(reason, shown)) => format!("{} {}", shown.name, reason.word()),
            None => "none".into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn which_container_decides() {
        // containers, then the verdict under the policies any, newest and all
        let cases: &[(&[&str], [&str; 3])] = &[
            (&[], ["none"; 3]),
            (&["app running"], ["app up"; 3]),
            (&["app-1 running"], ["app-1 up"; 3]),
            (&["app created"], ["app created"; 3]),
            (&["app paused"], ["app paused"; 3]),
            (&["app restarting"], ["app restarting"; 3]),
            (&["app removing"], ["app removing"; 3]),
            (&["app exited"], ["app exited"; 3]),
            (&["app dead"], ["app dead"; 3]),
            (&["app running/healthy"], ["app up"; 3]),
            (&["app running/starting"], ["app starting"; 3]),
            (&["app running/unhealthy"], ["app unhealthy"; 3]),
            // a redeploy: the old one serves while the new one starts, and the other way round
            (&["app-1 running 1", "app-2 running/starting 2"], ["app-1 up", "app-2 starting", "app-2 starting"]),
            (&["app-1 exited 1", "app-2 running 2"], ["app-2 up", "app-2 up", "app-1 exited"]),
            (&["app-1 running 1", "app-2 running 2"], ["app-2 up"; 3]),
            // none is up: the newest one's reason
            (&["app-1 paused 1", "app-2 exited 2"], ["app-2 exited"; 3]),
            (&["app-2 exited 2", "app-1 paused 1"], ["app-2 exited"; 3]),
            // the newest: by creation, then by number (as a number), then by id
            (&["app-9 exited 5", "app-1 paused 6"], ["app-1 paused"; 3]),
            (&["app-9 exited 5", "app-10 paused 5"], ["app-10 paused"; 3]),
            (&["app-010 exited 5", "app-9 paused 5"], ["app-010 exited"; 3]),
            (&["app exited 5", "app-1 paused 5"], ["app-1 paused"; 3]),
            (&["app-99999999999999999999999 exited", "app-9 paused"], ["app-99999999999999999999999 exited"; 3]),
            (&["app-7 exited 5", "app-07 paused 5"], ["app-7 exited"; 3]),
            // while it is renamed
            (&["tmp+app-3 running"], ["app-3 up"; 3]),
            (&["app-3+app-20 running"], ["app-20 up"; 3]),
            // the app's by a label, whatever its name
            (&["web running"], ["web up"; 3]),
            (&["web-2 exited 5", "app-1 paused 5"], ["web-2 exited"; 3]),
        ];
        for (containers, wants) in cases {
            for (policy, want) in [Policy::Any, Policy::Newest, Policy::All].into_iter().zip(wants) {
                assert_eq!(verdict(containers, policy, DockerHealth::Respect), *want, "{containers:?} {policy:?}");
            }
        }
    }

    #[test]
    fn health_that_is_ignored_makes_running_enough() {
        for health in ["", "/healthy", "/starting", "/unhealthy"] {
            assert_eq!(verdict(&[&format!("app running{health}")], Policy::Any, DockerHealth::Ignore), "app up");
        }
        assert_eq!(verdict(&["app exited"], Policy::Any, DockerHealth::Ignore), "app exited");
    }
}
