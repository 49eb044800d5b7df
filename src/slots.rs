//! A slab whose ids never lie.
//!
//! A slab uses its keys again, so an event or an answer meant for a former occupant could reach the next one
//! (mio #172, #219, #265). An [`Id`] is therefore slot *and* serial in one word: it is the poll's token, a ticket's
//! return address and a deadline's key, and [`Slots`] alone takes it apart.

use slab::Slab;

/// Half of a word for the slot, half for the serial.
const HALF: u32 = usize::BITS / 2;
const SLOT: usize = (1 << HALF) - 1;

/// The name of one occupant of a [`Slots`], never used again for another (until the serial has gone round: after four
/// thousand million occupants on 64 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(usize);

impl Id {
    /// The first number that can be an id. Smaller ones are free for other uses of the same poll.
    pub const FIRST: usize = 1 << HALF;

    /// The id as one number, for a poll's token.
    #[must_use]
    pub const fn to_usize(self) -> usize {
        self.0
    }

    /// The number of a poll's token as an id. One that [`Slots`] did not make finds nobody.
    #[must_use]
    pub const fn from_usize(word: usize) -> Self {
        Self(word)
    }
}

/// Occupants by [`Id`].
#[derive(Debug)]
pub struct Slots<T> {
    slab: Slab<(usize, T)>,
    serial: usize,
}

impl<T> Slots<T> {
    /// No occupants.
    #[must_use]
    pub const fn new() -> Self {
        Self { slab: Slab::new(), serial: 0 }
    }

    /// The name that the next occupant will have.
    #[must_use]
    pub fn next_id(&self) -> Id {
        // Serials start at 1 and skip 0 when they wrap, so that no id is smaller than `Id::FIRST`.
        let serial = if self.serial == SLOT { 1 } else { self.serial + 1 };
        Id((serial << HALF) | self.slab.vacant_key())
    }

    /// Moves an occupant in.
    pub fn insert(&mut self, occupant: T) -> Id {
        let id = self.next_id();
        self.serial = id.0 >> HALF;
        self.slab.insert((self.serial, occupant));
        id
    }

    /// The occupant of that name, if it is still there.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let (serial, occupant) = self.slab.get_mut(id.0 & SLOT)?;
        (*serial == id.0 >> HALF).then_some(occupant)
    }

    /// Moves the occupant of that name out.
    pub fn remove(&mut self, id: Id) -> Option<T> {
        self.get_mut(id)?;
        self.slab.try_remove(id.0 & SLOT).map(|(_, occupant)| occupant)
    }

    /// All occupants, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.slab.iter().map(|(slot, (serial, occupant))| (Id((serial << HALF) | slot), occupant))
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_occupant_is_not_found_in_its_slot() {
        let mut slots = Slots::new();
        let old = slots.insert("old");
        assert_eq!(slots.remove(old), Some("old"));
        let new = slots.insert("new");
        assert_eq!(new.0 & SLOT, old.0 & SLOT, "the slot is used again");
        assert_eq!(slots.get_mut(old), None);
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.get_mut(new), Some(&mut "new"));
    }

    #[test]
    fn every_id_leaves_room_for_other_tokens_even_when_serials_wrap() {
        let mut slots = Slots::new();
        slots.serial = SLOT - 1;
        for _ in 0..3 {
            let id = slots.insert(());
            assert!(id.to_usize() >= Id::FIRST);
            assert_eq!(slots.iter().map(|(id, ())| id).collect::<Vec<_>>(), [id]);
            slots.remove(id);
        }
        assert_eq!(slots.serial, 2);
    }

    #[test]
    fn a_token_that_is_no_id_finds_nobody() {
        let mut slots = Slots::new();
        slots.insert(());
        for word in [0, 1, Id::FIRST + 1, usize::MAX] {
            assert_eq!(slots.get_mut(Id::from_usize(word)), None);
        }
    }
}
