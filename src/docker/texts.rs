//! The texts of a container in one piece of memory: a piece for each would take twice as much for a thousand of them.

/// What Docker says of a container in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Its id, 64 hexadecimal digits.
    pub id: &'a str,
    /// Its image, as it was asked for.
    pub image: &'a str,
    /// Its command line.
    pub command: &'a str,
    /// Its state in words, with times and exit codes: `Exited (137) 3 minutes ago`.
    pub status: &'a str,
    /// Its ports, as the JSON array that Docker wrote.
    pub ports: &'a str,
    /// Its label `container-healthcheck.app`.
    pub app: &'a str,
    /// Its label `com.docker.compose.service`, else `com.docker.swarm.service.name`.
    pub service: &'a str,
    /// Its own names, with a slash between two; none has one in it. [`Parts::own_names`] has them one by one.
    pub names: &'a str,
}

impl<'a> Parts<'a> {
    /// Its own names: one, but none for some dead ones and two for a moment while it is renamed. Names by which links know it
    /// (`/other/alias`) are left out.
    #[must_use]
    pub fn own_names(self) -> impl DoubleEndedIterator<Item = &'a str> {
        self.names.split('/').filter(|name| !name.is_empty())
    }
}

/// The parts, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    all: Box<str>,
    /// Of each part but the last.
    lengths: [u32; 7],
}

impl Texts {
    /// A copy of these.
    #[must_use]
    pub fn of(parts: &Parts<'_>) -> Self {
        let Parts { id, image, command, status, ports, app, service, names } = *parts;
        // A container in a list is no longer than `limits::CONTAINER_BYTES`.
        let lengths = [id, image, command, status, ports, app, service].map(|part| u32::try_from(part.len()).unwrap_or(u32::MAX));
        Self { all: [id, image, command, status, ports, app, service, names].concat().into(), lengths }
    }

    /// Each for itself.
    #[must_use]
    pub fn parts(&self) -> Parts<'_> {
        let mut rest = &*self.all;
        let [id, image, command, status, ports, app, service] = self.lengths.map(|length| {
            let (part, behind) = rest.split_at_checked(length as usize).unwrap_or((rest, ""));
            rest = behind;
            part
        });
        Parts { id, image, command, status, ports, app, service, names: rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_together_comes_apart_again() {
        let parts =
            Parts { id: "i", image: "", command: "c\u{e4}/\0", status: "Up", ports: "[]", app: "a", service: "se/rvice", names: "old/new" };
        assert_eq!(Texts::of(&parts).parts(), parts);
        assert_eq!(Texts::default().parts(), Parts::default());
        assert_eq!(Texts::of(&Parts::default()), Texts::default());
    }

    #[test]
    fn names_are_told_apart_by_their_slashes() {
        let names = |names| Parts { names, ..Parts::default() }.own_names().collect::<Vec<_>>();
        assert_eq!(names(""), Vec::<&str>::new());
        assert_eq!(names("a"), ["a"]);
        assert_eq!(names("old/new"), ["old", "new"]);
    }
}
