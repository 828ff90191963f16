//! Giving the shards of a chunk away: each to the next holder that is free.

use std::collections::VecDeque;

use chordage_dht::Peer;

/// Which shard goes to whom next. What becomes of it is told afterwards.
pub(crate) struct Handing {
    missing: VecDeque<u8>,
    free: VecDeque<Peer>,
    /// Those that did not answer.
    silent: Vec<Peer>,
    again: bool,
}

impl Handing {
    /// Gives `missing` shards to those of `free`, in their order.
    pub(crate) fn new(missing: impl IntoIterator<Item = u8>, free: impl IntoIterator<Item = Peer>) -> Self {
        let (missing, free) = (missing.into_iter().collect(), free.into_iter().collect());
        Handing { missing, free, silent: Vec::new(), again: false }
    }

    /// The next shard, and who is to get it; `None` if all are given or nobody is free.
    pub(crate) fn next(&mut self) -> Option<(u8, Peer)> {
        if self.missing.is_empty() {
            return None;
        }
        let peer = self.free.pop_front()?;
        self.missing.pop_front().map(|index| (index, peer))
    }

    /// A shard was not taken, for a reason that stays: another holder gets it.
    pub(crate) fn refused(&mut self, index: u8) {
        self.missing.push_back(index);
    }

    /// Whoever was to get a shard did not answer.
    pub(crate) fn unanswered(&mut self, index: u8, peer: Peer) {
        self.missing.push_back(index);
        self.silent.push(peer);
    }

    /// Frees those that did not answer, once: one connection that broke is no reason to fail, because another way may
    /// lead there by now. Whether there is somebody to go on with.
    pub(crate) fn once_more(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.again, true);
        if first && !self.missing.is_empty() {
            self.free.extend(self.silent.drain(..));
        }
        first && !self.missing.is_empty() && !self.free.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chordage_dht::PeerInfo;

    use super::*;

    fn peer(number: u8) -> Peer {
        Arc::new(PeerInfo::new([number; 32], Vec::new(), 0).expect("no addresses"))
    }

    fn next(handing: &mut Handing) -> Option<(u8, u8)> {
        handing.next().map(|(index, peer)| (index, peer.public_key()[0]))
    }

    #[test]
    fn what_is_not_taken_goes_to_the_next_who_is_free() {
        let mut handing = Handing::new([0, 1], [1, 2, 3].map(peer));
        assert_eq!(
            [next(&mut handing), next(&mut handing), next(&mut handing)],
            [Some((0, 1)), Some((1, 2)), None]
        );
        handing.refused(0);
        assert_eq!([next(&mut handing), next(&mut handing)], [Some((0, 3)), None]);
        handing.refused(0);
        assert!(next(&mut handing).is_none() && !handing.once_more(), "who refused is not asked again");
    }

    #[test]
    fn who_did_not_answer_is_tried_once_more_and_only_where_shards_are_left() {
        let mut handing = Handing::new([0], [1, 2].map(peer));
        next(&mut handing);
        handing.unanswered(0, peer(1));
        assert_eq!(next(&mut handing), Some((0, 2)));
        assert!(!Handing::new([], [peer(1)]).once_more(), "nothing is left to give");
        handing.unanswered(0, peer(2));
        assert!(handing.once_more());
        assert_eq!(next(&mut handing), Some((0, 1)));
        handing.unanswered(0, peer(1));
        assert_eq!(next(&mut handing), Some((0, 2)));
        assert!(!handing.once_more(), "twice is enough");
    }
}
