//! When a node tells others of itself.

use alloc::sync::Arc;
use core::time::Duration;

use super::{Announcement, NEVER};
use crate::{Time, peer::Peer};

/// Between two announcements of one's own. Design: longer than others ignore a second one, so that none is lost.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(15);

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing yet.
    Wait,
    /// This node's record has to be signed.
    Sign,
    /// This is to be spread.
    Tell(Arc<Announcement>),
}

/// A node's announcements of itself.
#[derive(Debug, Clone)]
pub(crate) struct Announcing {
    /// This node's own record, signed.
    own: Option<Arc<Announcement>>,
    /// The version of the record that a signature was asked for.
    asked: Option<u64>,
    /// When it is to be announced.
    at: Time,
    /// When it was last announced.
    last: Option<Time>,
}

impl Announcing {
    pub(crate) fn new(at: Time) -> Self {
        Self { own: None, asked: None, at, last: None }
    }

    /// Whether others have been told of this node.
    pub(crate) fn has_told(&self) -> bool {
        self.last.is_some()
    }

    /// When it is to be announced next.
    pub(crate) fn at(&self) -> Time {
        self.at
    }

    /// This node's own record, signed, of whichever version.
    pub(crate) fn own(&self) -> Option<&Arc<Announcement>> {
        self.own.as_ref()
    }

    /// It is to be announced no later than then.
    pub(crate) fn no_later(&mut self, at: Time) {
        self.at = self.at.min(at);
    }

    /// It is not to be announced any more.
    pub(crate) fn stop(&mut self) {
        self.at = NEVER;
    }

    /// What is due now. A signature is asked for once for each version.
    pub(crate) fn step(&mut self, local: &Peer, now: Time) -> Step {
        if self.at > now {
            return Step::Wait;
        }
        let earliest = self.last.map_or(now, |last| last + ANNOUNCE_EVERY);
        if earliest > now {
            self.at = earliest;
            return Step::Wait;
        }
        // Without a signature it is announced as soon as that is there.
        self.at = NEVER;
        let Some(own) = self.own.as_ref().filter(|own| own.record().seq() == local.seq()).cloned() else {
            let is_new = self.asked.replace(local.seq()) != Some(local.seq());
            return if is_new { Step::Sign } else { Step::Wait };
        };
        self.last = Some(now);
        Step::Tell(own)
    }

    /// The signature of this node's record has come.
    pub(crate) fn signed(&mut self, own: Arc<Announcement>, now: Time) {
        self.own = Some(own);
        self.no_later(now);
    }

    /// This node's record has changed. Whoever is not announced yet will be with the new record.
    pub(crate) fn record_changed(&mut self, now: Time) {
        if self.has_told() || self.asked.is_some() {
            self.no_later(now);
        }
    }

    /// This node's record is out of date everywhere, and nobody has taken notice of what it said before.
    pub(crate) fn record_overtaken(&mut self) {
        if self.last.take().is_some() || self.asked.is_some() {
            self.at = Time::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::{Signature, tests::peer};

    const fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn signed(local: &Peer) -> Arc<Announcement> {
        Announcement::new(local.clone(), false, Signature([0; 64]))
    }

    /// One that has announced this record at the tenth second.
    fn told(local: &Peer) -> Announcing {
        let mut announcing = Announcing::new(at(10));
        assert_eq!(announcing.step(local, at(10)), Step::Sign);
        announcing.signed(signed(local), at(10));
        assert!(!announcing.has_told());
        assert_eq!(announcing.step(local, at(10)), Step::Tell(signed(local)));
        announcing
    }

    #[test]
    fn a_record_is_signed_first_and_asked_for_once() {
        let local = peer(1, 1);
        let mut announcing = Announcing::new(at(10));
        assert_eq!(announcing.step(&local, at(9)), Step::Wait);
        assert_eq!(announcing.step(&local, at(10)), Step::Sign);
        announcing.record_changed(at(11));
        assert_eq!(announcing.step(&local, at(11)), Step::Wait, "the signature is on its way");
        assert_eq!(announcing.at(), NEVER);
        announcing.signed(signed(&local), at(12));
        assert_eq!(announcing.step(&local, at(12)), Step::Tell(signed(&local)));
        assert!(announcing.has_told());
        assert_eq!(announcing.step(&local, at(1_000)), Step::Wait, "once is enough");
    }

    #[test]
    fn a_new_record_is_announced_no_sooner_than_fifteen_seconds_after_the_last() {
        let (local, newer) = (peer(1, 1), peer(1, 2));
        let mut announcing = told(&local);
        announcing.record_changed(at(11));
        assert_eq!(announcing.step(&newer, at(11)), Step::Wait);
        assert_eq!(announcing.at(), at(25));
        assert_eq!(announcing.step(&newer, at(25)), Step::Sign, "what is signed is the old one");
        announcing.signed(signed(&newer), at(26));
        assert_eq!(announcing.step(&newer, at(26)), Step::Tell(signed(&newer)));
    }

    #[test]
    fn a_record_that_was_overtaken_is_announced_at_once() {
        let (local, newer) = (peer(1, 1), peer(1, 9));
        let mut announcing = told(&local);
        announcing.record_overtaken();
        assert!(!announcing.has_told());
        assert_eq!(announcing.step(&newer, at(10)), Step::Sign);
        // Also if it was signed and not announced yet.
        let mut announcing = Announcing::new(at(10));
        assert_eq!(announcing.step(&local, at(10)), Step::Sign);
        announcing.record_overtaken();
        assert_eq!(announcing.step(&newer, at(10)), Step::Sign);
    }

    #[test]
    fn nothing_is_announced_of_whom_nobody_was_to_hear() {
        let local = peer(1, 1);
        for change in
            [|announcing: &mut Announcing| announcing.record_changed(at(1)), Announcing::record_overtaken]
        {
            let mut announcing = Announcing::new(NEVER);
            change(&mut announcing);
            assert_eq!(announcing.step(&local, at(1_000)), Step::Wait);
        }
        let mut announcing = told(&local);
        announcing.record_changed(at(30));
        announcing.stop();
        assert_eq!(announcing.step(&peer(1, 2), at(1_000)), Step::Wait);
    }
}
