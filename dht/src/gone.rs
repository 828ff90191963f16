//! Peers that have recently left or died, so that others who still name them do not bring them back.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use crate::{NodeId, Time, peer::PeerInfo};

/// How long hearsay about a dead peer is ignored. Design: twice the time in which all its neighbours notice.
const HEARSAY_IGNORED: Duration = Duration::from_secs(30);
/// How long even its own words are ignored after it said goodbye: they may have been under way before. Design.
const WORDS_IGNORED: Duration = Duration::from_secs(2);
/// Most peers remembered. Design.
const GONE_MAX: usize = 128;

/// Most nodes that can be excluded at a time. Design: as many as a list of revocations holds.
pub const EXCLUDED_MAX: usize = 10_000;

#[derive(Debug, Clone)]
struct Absence {
    seq: u64,
    deaf_until: Time,
    ignored_until: Time,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Gone {
    absences: BTreeMap<NodeId, Absence>,
    /// Never listened to again, and never named.
    excluded: BTreeSet<NodeId>,
    /// Listened to as clients, and never named.
    clients_only: BTreeSet<NodeId>,
}

impl Gone {
    pub(crate) fn lost(&mut self, peer: &PeerInfo, now: Time) {
        self.remember(peer, now, now);
    }

    pub(crate) fn left(&mut self, peer: &PeerInfo, now: Time) {
        self.remember(peer, now, now + WORDS_IGNORED);
    }

    fn remember(&mut self, peer: &PeerInfo, now: Time, deaf_until: Time) {
        if self.absences.len() >= GONE_MAX {
            self.absences.retain(|_, absence| absence.ignored_until > now);
        }
        if self.absences.len() >= GONE_MAX
            && let Some(first) = self.absences.iter().min_by_key(|(_, a)| a.ignored_until).map(|(id, _)| *id)
        {
            self.absences.remove(&first);
        }
        let absence = Absence { seq: peer.seq(), deaf_until, ignored_until: now + HEARSAY_IGNORED };
        self.absences.insert(peer.id(), absence);
    }

    /// Whether a name heard from others should be ignored. A newer record is a new life.
    pub(crate) fn ignores_name(&self, peer: &PeerInfo, now: Time) -> bool {
        let is_absent = |absence: &Absence| absence.ignored_until > now && peer.seq() <= absence.seq;
        self.bars(peer.id_ref())
            || !self.absences.is_empty() && self.absences.get(peer.id_ref()).is_some_and(is_absent)
    }

    /// Whether even its own words should be ignored.
    pub(crate) fn ignores_words(&self, peer: &PeerInfo, now: Time) -> bool {
        let is_absent = |absence: &Absence| absence.deaf_until > now && peer.seq() <= absence.seq;
        self.excludes(peer.id_ref())
            || !self.absences.is_empty() && self.absences.get(peer.id_ref()).is_some_and(is_absent)
    }

    /// From now on it is ignored for ever. Returns whether it was not before; false too if no more can be excluded.
    pub(crate) fn exclude(&mut self, id: NodeId) -> bool {
        self.excluded.len() < EXCLUDED_MAX && self.excluded.insert(id)
    }

    /// Whether it is ignored for ever.
    pub(crate) fn excludes(&self, id: &NodeId) -> bool {
        !self.excluded.is_empty() && self.excluded.contains(id)
    }

    /// From now on these may only be clients, and no others are held to it. Returns who was not among them before.
    pub(crate) fn hold_to_clients(&mut self, mut ids: BTreeSet<NodeId>) -> Vec<NodeId> {
        while ids.len() > EXCLUDED_MAX {
            ids.pop_last();
        }
        let new = ids.difference(&self.clients_only).copied().collect();
        self.clients_only = ids;
        new
    }

    /// Whether it may only be a client.
    pub(crate) fn only_client(&self, id: &NodeId) -> bool {
        !self.clients_only.is_empty() && self.clients_only.contains(id)
    }

    /// Whether it is in no table, whatever it or others say.
    pub(crate) fn bars(&self, id: &NodeId) -> bool {
        self.excludes(id) || self.only_client(id)
    }

    /// Whether that is so of anybody.
    pub(crate) fn bars_any(&self) -> bool {
        !self.excluded.is_empty() || !self.clients_only.is_empty()
    }

    /// Others may name it again: it was probably never dead.
    pub(crate) fn believe_names_of(&mut self, id: &NodeId) {
        if let Some(absence) = self.absences.get_mut(id) {
            absence.ignored_until = absence.deaf_until;
        }
    }

    /// It is back.
    pub(crate) fn back(&mut self, id: &NodeId) {
        if !self.absences.is_empty() {
            self.absences.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn peer(number: u8, seq: u64) -> PeerInfo {
        PeerInfo::new([number; 32], Vec::new(), seq).unwrap()
    }

    const fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    #[test]
    fn names_are_ignored_for_half_a_minute_and_words_for_two_seconds_after_a_goodbye_only() {
        for (goodbye, millis, ignores_name, ignores_words) in [
            (true, 0, true, true),
            (true, 1_999, true, true),
            (true, 2_000, true, false),
            (true, 29_999, true, false),
            (true, 30_000, false, false),
            (false, 0, true, false),
            (false, 29_999, true, false),
            (false, 30_000, false, false),
        ] {
            let mut gone = Gone::default();
            if goodbye {
                gone.left(&peer(1, 5), at(0));
            } else {
                gone.lost(&peer(1, 5), at(0));
            }
            let ignored = |seq| {
                let peer = peer(1, seq);
                (gone.ignores_name(&peer, at(millis)), gone.ignores_words(&peer, at(millis)))
            };
            let case = (goodbye, millis);
            assert_eq!(ignored(5), (ignores_name, ignores_words), "{case:?}");
            assert_eq!(ignored(4), (ignores_name, ignores_words), "an older record, {case:?}");
            assert_eq!(ignored(6), (false, false), "a newer record is a new life, {case:?}");
        }
    }

    #[test]
    fn names_that_are_believed_again_are_not_ignored_and_words_after_a_goodbye_still_are() {
        let mut gone = Gone::default();
        gone.lost(&peer(1, 5), at(0));
        gone.left(&peer(2, 5), at(0));
        gone.lost(&peer(3, 5), at(0));
        gone.believe_names_of(peer(1, 5).id_ref());
        gone.believe_names_of(peer(2, 5).id_ref());
        let ignored = |number| {
            let peer = peer(number, 5);
            (gone.ignores_name(&peer, at(1)), gone.ignores_words(&peer, at(1)))
        };
        assert_eq!([1, 2, 3].map(ignored), [(false, false), (true, true), (true, false)]);
    }

    #[test]
    fn who_is_back_or_somebody_else_is_not_ignored() {
        let mut gone = Gone::default();
        gone.left(&peer(1, 5), at(0));
        gone.left(&peer(2, 5), at(0));
        gone.back(peer(1, 5).id_ref());
        let ignored = [1, 2, 3].map(|number| gone.ignores_name(&peer(number, 5), at(1)));
        assert_eq!(ignored, [false, true, false]);
    }

    #[test]
    fn only_so_many_are_remembered_the_latest_rather_than_the_earliest() {
        let mut gone = Gone::default();
        for number in 0..=GONE_MAX as u8 {
            gone.lost(&peer(number, 1), at(u64::from(number)));
        }
        assert_eq!(gone.absences.len(), GONE_MAX);
        let ignored = [0, 1, GONE_MAX as u8].map(|number| gone.ignores_name(&peer(number, 1), at(200)));
        assert_eq!(ignored, [false, true, true]);
    }

    #[test]
    fn whoever_may_only_be_a_client_is_listened_to_and_never_named_until_it_may_be_more() {
        let mut gone = Gone::default();
        let [one, other] = [1, 2].map(|number| peer(number, 0).id());
        assert_eq!(gone.hold_to_clients([one].into()), [one]);
        assert_eq!(gone.hold_to_clients([one, other].into()), [other], "one was held to it before");
        gone.back(&one);
        gone.believe_names_of(&one);
        for (number, held) in [(1, true), (2, true), (3, false)] {
            let peer = peer(number, u64::MAX);
            assert_eq!(gone.ignores_name(&peer, at(0)), held);
            assert_eq!((gone.bars(peer.id_ref()), gone.only_client(peer.id_ref())), (held, held));
            assert!(!gone.ignores_words(&peer, at(0)) && !gone.excludes(peer.id_ref()));
        }
        assert!(gone.hold_to_clients(BTreeSet::from([other])).is_empty());
        assert!(!gone.ignores_name(&peer(1, 0), at(0)) && gone.ignores_name(&peer(2, 0), at(0)));
        let many = (0..=EXCLUDED_MAX as u64).map(|number| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            NodeId::from_public_key(&key)
        });
        gone.hold_to_clients(many.collect());
        assert_eq!(gone.clients_only.len(), EXCLUDED_MAX);
    }

    #[test]
    fn who_is_excluded_is_ignored_for_ever_in_every_life_and_nobody_is_beyond_the_bound() {
        let mut gone = Gone::default();
        let id = peer(1, 0).id();
        assert!(gone.exclude(id));
        assert!(!gone.exclude(id), "it was already");
        gone.back(&id);
        gone.believe_names_of(&id);
        let later = Time::from_micros(u64::MAX);
        assert!(
            gone.ignores_name(&peer(1, u64::MAX), later) && gone.ignores_words(&peer(1, u64::MAX), later)
        );
        assert!(!gone.ignores_name(&peer(2, 0), later) && !gone.ignores_words(&peer(2, 0), later));
        for number in 1..EXCLUDED_MAX as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            assert!(gone.exclude(NodeId::from_public_key(&key)));
        }
        assert!(!gone.exclude(peer(3, 0).id()), "no room");
    }
}
