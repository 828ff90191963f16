//! Those who keep a place, as somebody sees them who asks them all: the nearest nine candidates that are not known to
//! be gone.
//!
//! The answers name members that were not known, and by leaving out a silent one say that it is gone.

use alloc::vec::Vec;

use crate::{Distance, NodeId, peer::Peer, records::REGION};

/// Candidates kept; the farthest are forgotten.
const CANDIDATES_MAX: usize = 24;

/// One candidate, with what has been asked of it and what it has answered.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<A> {
    pub(crate) peer: Peer,
    distance: Distance,
    /// Whether it does not answer.
    pub(crate) silent: bool,
    /// Whether somebody near it does not know it.
    unknown_to_others: bool,
    pub(crate) answer: A,
}

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Crowd<A> {
    candidates: Vec<Candidate<A>>,
}

impl<A: Default> Crowd<A> {
    pub(crate) fn of(candidates: impl IntoIterator<Item = (Peer, Distance)>) -> Self {
        let mut crowd = Self { candidates: Vec::new() };
        for (peer, distance) in candidates {
            crowd.add(&peer, distance);
        }
        crowd
    }

    /// Adds a candidate, unless it is known.
    fn add(&mut self, peer: &Peer, distance: Distance) {
        let key = |candidate: &Candidate<A>| (candidate.distance, candidate.peer.id());
        let place = self.candidates.partition_point(|candidate| key(candidate) < (distance, peer.id()));
        if self.candidates.get(place).is_some_and(|candidate| candidate.peer.id() == peer.id()) {
            return;
        }
        let (peer, answer) = (peer.clone(), A::default());
        let candidate = Candidate { peer, distance, silent: false, unknown_to_others: false, answer };
        self.candidates.insert(place, candidate);
        self.candidates.truncate(CANDIDATES_MAX);
    }

    /// Those who keep the place, nearest first.
    pub(crate) fn region(&self) -> impl Iterator<Item = &Candidate<A>> {
        self.candidates
            .iter()
            .filter(|candidate| !(candidate.silent && candidate.unknown_to_others))
            .take(REGION)
    }

    /// Their ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &NodeId> {
        self.region().map(|candidate| candidate.peer.id_ref())
    }

    /// The nearest of the region that is not silent and of whom this is so.
    pub(crate) fn first(&mut self, so: impl Fn(&A) -> bool) -> Option<(Peer, &mut A)> {
        let found = self.region().find(|candidate| !candidate.silent && so(&candidate.answer))?;
        let peer = found.peer.clone();
        let answer = self.answer_of(peer.id_ref())?;
        Some((peer, answer))
    }

    /// What a candidate has answered.
    pub(crate) fn answer_of(&mut self, id: &NodeId) -> Option<&mut A> {
        let found = self.candidates.iter_mut().find(|candidate| candidate.peer.id_ref() == id);
        found.map(|found| &mut found.answer)
    }

    /// How many of the region have answered so.
    pub(crate) fn count(&self, so: impl Fn(&A) -> bool) -> usize {
        self.region().filter(|candidate| so(&candidate.answer)).count()
    }

    /// How many of the region may still answer, and have not done so.
    pub(crate) fn open(&self, answered: impl Fn(&A) -> bool) -> usize {
        self.region().filter(|candidate| !candidate.silent && !answered(&candidate.answer)).count()
    }

    /// A candidate does not answer.
    pub(crate) fn silent(&mut self, id: &NodeId) {
        let found = self.candidates.iter_mut().find(|candidate| candidate.peer.id_ref() == id);
        if let Some(found) = found {
            found.silent = true;
        }
    }

    /// A node of the region sees the region like this.
    pub(crate) fn told(&mut self, region: &[(Peer, Distance)]) {
        let Some(farthest) = region.iter().map(|(_, distance)| *distance).max() else { return };
        let full = region.len() >= REGION;
        for candidate in &mut self.candidates {
            if (!full || candidate.distance < farthest)
                && region.iter().all(|(peer, _)| peer.id() != candidate.peer.id())
            {
                candidate.unknown_to_others = true;
            }
        }
        for (peer, distance) in region {
            self.add(peer, *distance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    fn crowd(numbers: core::ops::Range<u8>) -> Crowd<bool> {
        Crowd::of(numbers.map(at))
    }

    fn region(crowd: &Crowd<bool>) -> Vec<u8> {
        crowd.region().map(|candidate| candidate.peer.public_key()[0]).collect()
    }

    #[test]
    fn the_region_is_the_nearest_nine() {
        let mut crowd = crowd(0..30);
        assert_eq!(region(&crowd), (0..9).collect::<Vec<_>>());
        assert_eq!(crowd.candidates.len(), CANDIDATES_MAX);
        // In another order, and twice.
        crowd = Crowd::of((0..12).rev().chain(3..5).map(at));
        assert_eq!(region(&crowd), (0..9).collect::<Vec<_>>());
        assert_eq!(crowd.candidates.len(), 12);
    }

    #[test]
    fn only_who_is_silent_and_left_out_by_others_is_gone() {
        let mut crowd = crowd(0..10);
        crowd.silent(peer(1).id_ref());
        assert_eq!(region(&crowd), (0..9).collect::<Vec<_>>(), "it may only be slow");
        let others: Vec<_> = [0, 3, 4, 5, 6, 7, 8, 9, 10].map(at).into();
        crowd.told(&others);
        assert_eq!(region(&crowd), [0, 2, 3, 4, 5, 6, 7, 8, 9], "who answers is there, whatever others say");
        assert_eq!(crowd.first(|asked| !asked).map(|(peer, _)| peer), Some(peer(0)));
    }

    #[test]
    fn nobody_is_left_out_by_those_who_do_not_see_so_far() {
        let mut crowd = crowd(0..12);
        [0, 1, 10].iter().for_each(|silent| crowd.silent(peer(*silent).id_ref()));
        crowd.told(&[1, 2, 3, 4, 5, 6, 7, 8, 9].map(at));
        crowd.told(&[0, 2, 3, 4, 5, 6, 7, 8, 9].map(at));
        assert_eq!(region(&crowd), (2..11).collect::<Vec<_>>(), "10 is farther than anybody they name");
        let mut crowd = self::crowd(0..3);
        crowd.silent(peer(2).id_ref());
        crowd.told(&[0, 1].map(at));
        assert_eq!(region(&crowd), [0, 1], "a region that is not full is everybody");
    }

    #[test]
    fn what_was_answered_stays_with_who_answered() {
        let mut crowd = crowd(3..6);
        *crowd.answer_of(peer(4).id_ref()).expect("a candidate") = true;
        crowd.told(&[1, 4].map(at));
        crowd.silent(peer(5).id_ref());
        assert_eq!((crowd.count(|heard| *heard), crowd.open(|heard| *heard)), (1, 2));
        assert!(crowd.answer_of(peer(9).id_ref()).is_none());
    }
}
