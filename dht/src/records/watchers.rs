//! Who wants to hear when a record changes that this node keeps.
//!
//! A watcher asks again every half minute, and is forgotten when it does not. What it hears is a hint: it reads the
//! record of a majority before it believes that it has changed, so that nobody acts on a change that comes to nothing.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use crate::{Key, NodeId, Time, peer::Peer};

/// How long a watcher is remembered without asking again: three times as long as it waits before it does.
const REMEMBERED: Duration = Duration::from_secs(90);
/// Watchers of one record.
const PER_RECORD: usize = 64;
/// Watchers of all records together.
const WATCHERS_MAX: usize = 8192;

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watchers {
    watching: BTreeMap<(Key, NodeId), (Peer, Time)>,
    ends: BTreeSet<(Time, Key, NodeId)>,
}

impl Watchers {
    /// Somebody wants to hear of this record from now on. Of too many, the newest are not remembered: they still see
    /// with every question what is held.
    pub(crate) fn add(&mut self, address: Key, peer: &Peer, now: Time) {
        self.forget_ended(now);
        let place = (address, peer.id());
        let until = now + REMEMBERED;
        if let Some((_, end)) = self.watching.get(&place) {
            self.ends.remove(&(*end, address, peer.id()));
        } else if self.watching.len() >= WATCHERS_MAX || self.of(&address).count() >= PER_RECORD {
            return;
        }
        self.watching.insert(place, (peer.clone(), until));
        self.ends.insert((until, address, peer.id()));
    }

    /// Who wants to hear of this record.
    pub(crate) fn told(&mut self, address: &Key, now: Time) -> Vec<Peer> {
        self.forget_ended(now);
        self.of(address).cloned().collect()
    }

    fn of(&self, address: &Key) -> impl Iterator<Item = &Peer> {
        let (first, last) = (NodeId::from_bytes([0; 32]), NodeId::from_bytes([255; 32]));
        self.watching.range((*address, first)..=(*address, last)).map(|(_, (peer, _))| peer)
    }

    fn forget_ended(&mut self, now: Time) {
        while let Some((until, address, id)) = self.ends.first().copied()
            && until <= now
        {
            self.ends.remove(&(until, address, id));
            self.watching.remove(&(address, id));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::peer::PeerInfo;

    fn peer(number: u16) -> Peer {
        let mut key = [7; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        PeerInfo::new(key, Vec::new(), 1).unwrap().into()
    }

    const fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn whoever_does_not_ask_again_is_forgotten() {
        let (address, other) = (Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
        let mut watchers = Watchers::default();
        watchers.add(address, &peer(1), at(0));
        watchers.add(address, &peer(2), at(0));
        watchers.add(address, &peer(1), at(30));
        assert_eq!(watchers.told(&address, at(89)).len(), 2);
        assert!(watchers.told(&other, at(89)).is_empty());
        assert_eq!(watchers.told(&address, at(90)), [peer(1)]);
        assert!(watchers.told(&address, at(120)).is_empty());
        assert!(watchers.ends.is_empty() && watchers.watching.is_empty());
    }

    #[test]
    fn watchers_are_bounded_for_each_record_and_in_all() {
        let mut watchers = Watchers::default();
        for number in 0..100 {
            watchers.add(Key::from_bytes([0; 32]), &peer(number), at(0));
        }
        assert_eq!(watchers.told(&Key::from_bytes([0; 32]), at(0)).len(), PER_RECORD);
        for record in 1..=200 {
            (0..64).for_each(|number| watchers.add(Key::from_bytes([record; 32]), &peer(number), at(0)));
        }
        assert_eq!(watchers.watching.len(), WATCHERS_MAX);
    }
}
