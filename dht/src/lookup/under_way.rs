//! The lookups under way, by serial number, and when the next of them has to end.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
};

use super::{Owner, Progress};
use crate::Time;

/// Which lookup of a node it is. Calls name it, so that an answer finds the lookup that it is for.
pub(crate) type Serial = u32;

/// All lookups of a node that have not ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lookups {
    open: BTreeMap<Serial, Box<Progress>>,
    deadlines: BTreeSet<(Time, Serial)>,
    next: Serial,
}

impl Lookups {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Takes one in, and gives it a number of its own.
    pub(crate) fn add(&mut self, progress: Progress) -> Serial {
        let serial = self.next;
        self.next = self.next.wrapping_add(1);
        self.deadlines.insert((progress.deadline, serial));
        self.open.insert(serial, Box::new(progress));
        serial
    }

    pub(crate) fn get(&self, serial: Serial) -> Option<&Progress> {
        self.open.get(&serial).map(|lookup| &**lookup)
    }

    pub(crate) fn get_mut(&mut self, serial: Serial) -> Option<&mut Progress> {
        self.open.get_mut(&serial).map(|lookup| &mut **lookup)
    }

    /// The first that runs for this owner.
    pub(crate) fn of(&self, owner: Owner) -> Option<Serial> {
        self.open.iter().find(|(_, lookup)| lookup.owner == owner).map(|(serial, _)| *serial)
    }

    /// Takes one out because it has ended.
    pub(crate) fn take(&mut self, serial: Serial) -> Option<Box<Progress>> {
        let lookup = self.open.remove(&serial)?;
        self.deadlines.remove(&(lookup.deadline, serial));
        Some(lookup)
    }

    /// When the next has to end, if it has not by itself.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// One whose time is up. It stays until it is taken out.
    pub(crate) fn overdue(&self, now: Time) -> Option<Serial> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, serial)| *serial)
    }

    /// Takes out all, in the order of their numbers.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Box<Progress>> {
        self.deadlines.clear();
        core::mem::take(&mut self.open).into_values()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloc::vec::Vec;

    use super::*;
    use crate::Key;

    const fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn lookup(owner: Owner, deadline: u64) -> Progress {
        Progress::new(owner, Key::default(), 1, 1, 3, at(0), at(deadline))
    }

    #[test]
    fn the_first_deadline_of_those_under_way_is_known_and_no_other_is_overdue() {
        let mut lookups = Lookups::default();
        assert_eq!((lookups.next_deadline(), lookups.overdue(at(9))), (None, None));
        let [second, first, third] = [2, 1, 3].map(|deadline| lookups.add(lookup(Owner::Check, deadline)));
        assert_eq!((lookups.next_deadline(), lookups.len()), (Some(at(1)), 3));
        assert_eq!(lookups.overdue(Time::from_micros(999_999)), None);
        assert_eq!(lookups.overdue(at(1)), Some(first));
        assert_eq!(lookups.overdue(at(9)), Some(first), "it stays until it is taken out");
        assert!(lookups.take(first).is_some() && lookups.take(first).is_none());
        assert_eq!(lookups.overdue(at(9)), Some(second));
        assert!(lookups.take(third).is_some());
        assert_eq!(lookups.next_deadline(), Some(at(2)), "another that ends changes nothing");
        assert_eq!(lookups.take_all().count(), 1);
        assert_eq!((lookups.next_deadline(), lookups.len()), (None, 0));
    }

    #[test]
    fn each_has_a_number_of_its_own_and_is_found_by_it_and_by_its_owner() {
        let mut lookups = Lookups { next: u32::MAX, ..Lookups::default() };
        let owners = [Owner::Join, Owner::Record(7), Owner::Record(8)];
        let serials: Vec<Serial> = owners.iter().map(|owner| lookups.add(lookup(*owner, 5))).collect();
        assert_eq!(serials, [u32::MAX, 0, 1]);
        for (owner, serial) in owners.iter().zip(&serials) {
            assert_eq!(lookups.of(*owner), Some(*serial));
            assert_eq!(lookups.get(*serial).map(|lookup| lookup.owner), Some(*owner));
            assert_eq!(lookups.get_mut(*serial).map(|lookup| lookup.owner), Some(*owner));
        }
        assert!(lookups.of(Owner::Check).is_none() && lookups.get(2).is_none());
        let all: Vec<Owner> = lookups.take_all().map(|lookup| lookup.owner).collect();
        assert_eq!(all, [Owner::Record(7), Owner::Record(8), Owner::Join]);
    }
}
