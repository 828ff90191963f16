//! Which connections are kept, and which end.
//!
//! A lookup over connections that are open already takes one round trip per step; one more for every handshake over
//! QUIC, three over TCP with noise and yamux. So a node keeps those it uses most: to its leaf set, which it has to
//! watch anyway, and to the fingers with the shortest round trips, with which its lookups begin. All others end when
//! they have been silent for a while, the longest silent first and sooner when there are many.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chordage_dht::{Finger, FingerRow, NodeId, Peer};
use tokio::time::Instant;

/// Peers dialled in one review, so that a node whose network comes back does not dial everybody at once.
const OPENED_AT_ONCE: usize = 8;
/// How long a peer that was dialled is not dialled again only to be kept warm.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// The same for one that has missed a question since: it may be dead, and its row ought to drop it soon.
const RETRY_DOUBTED_AFTER: Duration = Duration::from_secs(4);

/// What is kept and for how long, and what was tried.
pub(super) struct Warmth {
    idle: Duration,
    /// Links that may be open before idle ones end early.
    comfortable: usize,
    wanted: BTreeMap<NodeId, Peer>,
    tried: BTreeMap<NodeId, Instant>,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Review {
    /// Links to end.
    pub(super) end: Vec<NodeId>,
    /// Links to open.
    pub(super) open: Vec<Peer>,
}

impl Warmth {
    /// Links that are not kept end after `idle`, and the longest silent earlier when there are more than `comfortable`.
    pub(super) fn new(idle: Duration, comfortable: usize) -> Self {
        Warmth { idle, comfortable, wanted: BTreeMap::new(), tried: BTreeMap::new() }
    }

    /// Whether links to this peer are kept, as of the last review.
    pub(super) fn keeps(&self, id: &NodeId) -> bool {
        self.wanted.contains_key(id)
    }

    /// Looks at the tables and at the open links, each with the time of its last message. The leaf set is kept warm,
    /// and so many `fingers`.
    pub(super) fn review(
        &mut self,
        now: Instant,
        (leaf_set, rows): (&[Finger], &[FingerRow]),
        fingers: usize,
        links: &BTreeMap<NodeId, Instant>,
    ) -> Review {
        self.wanted = wanted(leaf_set, rows, fingers);
        let (wanted, tried) = (&self.wanted, &mut self.tried);
        let all = leaf_set.iter().chain(rows.iter().flat_map(|row| &row.fingers));
        let doubted: BTreeSet<NodeId> =
            all.filter(|finger| finger.missed > 0).map(|finger| finger.peer.id()).collect();
        let wait = |id: &NodeId| if doubted.contains(id) { RETRY_DOUBTED_AFTER } else { RETRY_AFTER };
        tried.retain(|id, at| wanted.contains_key(id) && now.duration_since(*at) < wait(id));

        let missing = wanted.iter().filter(|(id, _)| !links.contains_key(id) && !tried.contains_key(id));
        let open: Vec<Peer> = missing.take(OPENED_AT_ONCE).map(|(_, peer)| peer.clone()).collect();
        tried.extend(open.iter().map(|peer| (peer.id(), now)));

        let mut cold: Vec<(Instant, NodeId)> =
            links.iter().filter(|(id, _)| !wanted.contains_key(id)).map(|(id, used)| (*used, *id)).collect();
        cold.sort_unstable();
        let too_many = links.len().saturating_sub(self.comfortable);
        let idle = |used: Instant| now.duration_since(used) >= self.idle;
        let end = cold
            .into_iter()
            .enumerate()
            .filter(|(rank, (used, _))| idle(*used) || *rank < too_many)
            .map(|(_, (_, id))| id)
            .collect();
        Review { end, open }
    }
}

/// The leaf set, and the fingers of the shortest round trips; those of the same, the lower id. One that has missed a
/// question is dialled too: it then answers, or its row drops it.
fn wanted(leaf_set: &[Finger], rows: &[FingerRow], fingers: usize) -> BTreeMap<NodeId, Peer> {
    let mut wanted: BTreeMap<NodeId, Peer> =
        leaf_set.iter().map(|leaf| (leaf.peer.id(), leaf.peer.clone())).collect();
    let in_rows = rows.iter().flat_map(|row| &row.fingers);
    let mut fast: Vec<(Duration, NodeId, &Peer)> = in_rows
        .filter(|finger| !wanted.contains_key(&finger.peer.id()))
        // One that was never measured comes last, and is measured once it is dialled.
        .map(|finger| (finger.rtt.unwrap_or(Duration::MAX), finger.peer.id(), &finger.peer))
        .collect();
    fast.sort_unstable_by_key(|(rtt, id, _)| (*rtt, *id));
    wanted.extend(fast.into_iter().take(fingers).map(|(_, id, peer)| (id, peer.clone())));
    wanted
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chordage_dht::{Address, Direction, PeerInfo, Row};

    use super::*;

    const IDLE: Duration = Duration::from_secs(30);

    fn finger(number: u8, rtt_ms: u64) -> Finger {
        let addr = Address::new(&[number]).expect("short");
        let peer = Arc::new(PeerInfo::new([number; 32], vec![addr], 1).expect("one address"));
        Finger { peer, rtt: Some(Duration::from_millis(rtt_ms)), missed: 0 }
    }

    fn row(fingers: Vec<Finger>) -> FingerRow {
        FingerRow { row: Row { direction: Direction::Clockwise, level: 127, digit: 1 }, fingers, cached: 0 }
    }

    fn ids(peers: &[Peer]) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = peers.iter().map(|peer| peer.id()).collect();
        ids.sort_unstable();
        ids
    }

    fn sorted(fingers: &[&Finger]) -> Vec<NodeId> {
        ids(&fingers.iter().map(|finger| finger.peer.clone()).collect::<Vec<_>>())
    }

    #[test]
    fn the_leaf_set_and_the_fastest_fingers_are_opened_and_stay() {
        let (leaf, fast, slow) = (finger(1, 300), finger(2, 5), finger(3, 200));
        let fast = Finger { missed: 1, ..fast };
        let rows = [row(vec![slow.clone()]), row(vec![fast.clone()])];
        let mut warmth = Warmth::new(IDLE, 100);
        let start = Instant::now();
        let review = warmth.review(start, (std::slice::from_ref(&leaf), &rows), 1, &BTreeMap::new());
        assert_eq!(ids(&review.open), sorted(&[&leaf, &fast]));
        assert!(review.end.is_empty());

        let links = [&leaf, &fast, &slow].map(|finger| (finger.peer.id(), start)).into();
        let soon = warmth.review(start + IDLE / 2, (std::slice::from_ref(&leaf), &rows), 1, &links);
        assert_eq!(soon, Review::default());
        let late = warmth.review(start + IDLE, (&[leaf], &rows), 1, &links);
        assert_eq!((late.end, late.open), (vec![slow.peer.id()], vec![]));
    }

    #[test]
    fn whoever_cannot_be_reached_is_not_dialled_all_the_time() {
        let leaves: Vec<Finger> = (1..=10).map(|number| finger(number, 1)).collect();
        let mut warmth = Warmth::new(IDLE, 100);
        let start = Instant::now();
        let mut opened =
            |after: Duration| warmth.review(start + after, (&leaves, &[]), 0, &BTreeMap::new()).open.len();
        assert_eq!(opened(Duration::ZERO), OPENED_AT_ONCE);
        assert_eq!(opened(Duration::from_secs(1)), 10 - OPENED_AT_ONCE);
        assert_eq!(opened(Duration::from_secs(2)), 0);
        assert_eq!(opened(RETRY_AFTER), OPENED_AT_ONCE);
    }

    #[test]
    fn whoever_has_missed_a_question_is_dialled_again_sooner() {
        let mut fingers = vec![finger(1, 5), finger(2, 5)];
        let mut warmth = Warmth::new(IDLE, 100);
        let start = Instant::now();
        let mut opened = |after: Duration, fingers: &[Finger]| {
            ids(&warmth.review(start + after, (&[], &[row(fingers.to_vec())]), 2, &BTreeMap::new()).open)
        };
        assert_eq!(opened(Duration::ZERO, &fingers).len(), 2);
        fingers[0].missed = 1;
        assert_eq!(opened(Duration::from_secs(2), &fingers), vec![]);
        assert_eq!(opened(RETRY_DOUBTED_AFTER, &fingers), vec![fingers[0].peer.id()]);
    }

    #[test]
    fn when_there_are_many_the_longest_silent_end_early_and_kept_ones_never() {
        let leaf = finger(1, 1);
        let start = Instant::now();
        let mut links: BTreeMap<NodeId, Instant> = BTreeMap::from([(leaf.peer.id(), start)]);
        let cold: Vec<Finger> = (2..=9).map(|number| finger(number, 1)).collect();
        for (age, finger) in (1..).zip(&cold) {
            links.insert(finger.peer.id(), start + Duration::from_secs(20 - age));
        }
        let mut warmth = Warmth::new(IDLE, 6);
        let mut end = warmth.review(start + Duration::from_secs(20), (&[leaf], &[]), 0, &links).end;
        end.sort_unstable();
        assert_eq!(end, sorted(&[&cold[5], &cold[6], &cold[7]]));
    }
}
