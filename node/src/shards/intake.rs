//! How much of others' requests may lie in memory: what strangers can make a daemon hold has a limit, in all and for
//! each.
//!
//! Shards and all other requests have memory of their own, so that a small request never waits for the memory of
//! shards. Of that of shards, a part is kept back for peers that hold nothing there: those who fill their shares and
//! then stand still slow others down, but nobody has to wait for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chordage_dht::NodeId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of shards that any peer may take within its share: four peers that stand still fill them.
const SHARDS_COMMON: usize = 32 << 20;
/// Bytes of shards that are kept back for peers that hold no other: seven of the largest, some sixty of usual size. So
/// it takes eleven peers that stand still, seven of them with the largest shards, to make another one wait.
const SHARDS_RESERVE: usize = 32 << 20;
/// Bytes of shards of one peer, an eighth of all: about fifteen of usual size on their way, and one of the largest.
const SHARDS_PEER_MAX: usize = 8 << 20;
/// What an answer with a shard counts until it has been read from disk; a longer one counts no more. Usual ones are
/// smaller.
const SHARD_GUESS: usize = 1 << 20;

/// Bytes of all other requests and their answers: more than all strangers who have a seat by default may take together.
const SMALL_ALL: usize = 32 << 20;
/// The same of one peer: four lists, or fifty questions of usual length.
const SMALL_PEER_MAX: usize = SMALL_ALL / 128;
/// What a small request counts for its answer, beside its length twice: longer answers are in proportion to their
/// questions.
const SMALL_ANSWER: usize = 4 << 10;
/// What the answer to a short question for a long list counts: a thousand chunks, or a hundred records.
const LIST_ANSWER: usize = 64 << 10;

/// A share of the limits for every peer that has a stream open. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Intake {
    common: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    small: Arc<Semaphore>,
    peers: Arc<Mutex<BTreeMap<NodeId, Counted>>>,
}

struct Counted {
    share: Share,
    streams: usize,
}

/// What one peer may take.
#[derive(Clone)]
struct Share {
    shards: Arc<Semaphore>,
    small: Arc<Semaphore>,
}

/// One stream's part in its peer's share.
pub(crate) struct PeerIntake {
    intake: Intake,
    peer: NodeId,
    share: Share,
}

/// Memory that is given back when dropped.
pub(crate) struct Held {
    of_all: OwnedSemaphorePermit,
    of_peer: OwnedSemaphorePermit,
    /// Of a shard from the reserve: all else that its peer may take, which it does not get meanwhile.
    _rest: Option<OwnedSemaphorePermit>,
}

impl Default for Intake {
    fn default() -> Self {
        let of = |bytes| Arc::new(Semaphore::new(bytes));
        Intake {
            common: of(SHARDS_COMMON),
            reserve: of(SHARDS_RESERVE),
            small: of(SMALL_ALL),
            peers: Arc::default(),
        }
    }
}

impl Default for Share {
    fn default() -> Self {
        let of = |permits| Arc::new(Semaphore::new(permits));
        Share { shards: of(SHARDS_PEER_MAX), small: of(SMALL_PEER_MAX) }
    }
}

impl Intake {
    /// For a stream of `peer`; all its streams share what one peer may have.
    pub(crate) fn of(&self, peer: NodeId) -> PeerIntake {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = peers.entry(peer).or_insert_with(|| Counted { share: Share::default(), streams: 0 });
        counted.streams += 1;
        PeerIntake { intake: self.clone(), peer, share: counted.share.clone() }
    }

    /// Bytes that a peer which holds nothing could take for a shard now.
    #[cfg(test)]
    pub(super) fn free_for_shards(&self) -> usize {
        self.common.available_permits().max(self.reserve.available_permits())
    }
}

impl PeerIntake {
    /// Waits until there is room for the head of a request, which is all of a small one, and for a short answer.
    pub(crate) async fn head(&self, bytes: usize) -> Held {
        self.take_small(2 * bytes + SMALL_ANSWER).await
    }

    /// Waits until there is room for a long answer to a short question.
    pub(crate) async fn list(&self) -> Held {
        self.take_small(LIST_ANSWER).await
    }

    /// Waits until there is room for a shard of so many bytes that is about to come.
    pub(crate) async fn shard(&self, bytes: usize) -> Held {
        self.take_shard(bytes).await
    }

    /// Waits until there is room for a shard that has yet to be read from disk.
    pub(crate) async fn unread_shard(&self) -> Held {
        self.take_shard(SHARD_GUESS).await
    }

    async fn take_small(&self, bytes: usize) -> Held {
        let bytes = bytes.min(SMALL_PEER_MAX);
        // The peer's own first: who waits for itself keeps nobody else waiting.
        let of_peer = take(&self.share.small, bytes).await;
        Held { of_all: take(&self.intake.small, bytes).await, of_peer, _rest: None }
    }

    async fn take_shard(&self, bytes: usize) -> Held {
        let bytes = bytes.min(SHARDS_PEER_MAX);
        let of_peer = take(&self.share.shards, bytes).await;
        let reserved = async {
            // Who gets the rest of the peer's share knows that the peer holds nothing.
            let rest = take(&self.share.shards, SHARDS_PEER_MAX - bytes).await;
            (take(&self.intake.reserve, bytes).await, rest)
        };
        tokio::select! {
            biased;
            of_all = take(&self.intake.common, bytes) => Held { of_all, of_peer, _rest: None },
            (of_all, rest) = reserved => Held { of_all, of_peer, _rest: Some(rest) },
        }
    }
}

/// Whoever asks first is served first, and gets in the end what is within the limit.
async fn take(from: &Arc<Semaphore>, permits: usize) -> OwnedSemaphorePermit {
    let permits = u32::try_from(permits).unwrap_or(u32::MAX);
    from.clone().acquire_many_owned(permits).await.expect("never closed")
}

impl Held {
    /// Gives back what is more than so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        for permits in [&mut self.of_all, &mut self.of_peer] {
            drop(permits.split(permits.num_permits().saturating_sub(bytes)));
        }
    }
}

impl Drop for PeerIntake {
    fn drop(&mut self) {
        let mut peers = self.intake.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = peers.get_mut(&self.peer) {
            counted.streams -= 1;
            if counted.streams == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::wire::frame::{HEAD_MAX, PAYLOAD_MAX};

    /// Far more than are needed to fill everything.
    const PEERS: u8 = 40;

    fn node(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    /// Takes shards of so many bytes until it has to wait.
    fn shards_of(peer: &PeerIntake, bytes: usize) -> Vec<Held> {
        std::iter::from_fn(|| peer.shard(bytes).now_or_never()).take(1000).collect()
    }

    /// The same with small requests.
    fn small_of(peer: &PeerIntake, bytes: usize) -> Vec<Held> {
        std::iter::from_fn(|| peer.head(bytes).now_or_never()).take(10_000).collect()
    }

    #[test]
    fn everything_that_may_come_fits_into_the_share_of_one() {
        const { assert!(HEAD_MAX + PAYLOAD_MAX <= SHARDS_PEER_MAX) };
        const { assert!(2 * HEAD_MAX + SMALL_ANSWER <= SMALL_PEER_MAX && LIST_ANSWER <= SMALL_PEER_MAX) };
    }

    #[test]
    fn who_fills_its_own_share_waits_on_all_its_streams() {
        let intake = Intake::default();
        let (flood, second_stream) = (intake.of(node(1)), intake.of(node(1)));
        let held = shards_of(&flood, 1 << 20);
        assert_eq!(held.len(), 8);
        assert!(second_stream.shard(1).now_or_never().is_none());
        drop(held);
        assert!(second_stream.shard(1).now_or_never().is_some());
    }

    #[test]
    fn peers_that_stand_still_with_full_shares_keep_nobody_waiting() {
        let intake = Intake::default();
        let still: Vec<PeerIntake> = (0..4).map(|number| intake.of(node(number))).collect();
        let held: Vec<Vec<Held>> = still.iter().map(|peer| shards_of(peer, 1 << 20)).collect();
        assert_eq!(held.iter().map(Vec::len).sum::<usize>(), 32, "each its share, and no more");
        // All the others, one shard of each at a time.
        for number in 4..PEERS {
            let other = intake.of(node(number));
            let first = other.shard(PAYLOAD_MAX).now_or_never().expect("room");
            assert!(other.unread_shard().now_or_never().is_none(), "its second has to wait");
            drop(first);
            assert!(other.unread_shard().now_or_never().is_some());
        }
    }

    #[test]
    fn many_small_shards_do_not_use_up_the_reserve() {
        let intake = Intake::default();
        let still: Vec<PeerIntake> = (0..PEERS).map(|number| intake.of(node(number))).collect();
        let held: Vec<Vec<Held>> = still.iter().map(|peer| shards_of(peer, 256 << 10)).collect();
        assert!(held[4..].iter().all(|held| held.len() == 1));
        assert!(intake.of(node(PEERS)).shard(PAYLOAD_MAX).now_or_never().is_some());
    }

    #[test]
    fn no_small_request_waits_for_the_memory_of_shards() {
        let intake = Intake::default();
        let still: Vec<PeerIntake> = (0..PEERS).map(|number| intake.of(node(number))).collect();
        let held: Vec<Vec<Held>> = still.iter().map(|peer| shards_of(peer, PAYLOAD_MAX)).collect();
        let other = intake.of(node(PEERS));
        assert!(other.shard(PAYLOAD_MAX).now_or_never().is_none());
        assert!(other.head(HEAD_MAX).now_or_never().is_some() && other.list().now_or_never().is_some());
        // Not even that of a peer which waits for itself.
        assert!(still[0].head(HEAD_MAX).now_or_never().is_some());
        drop(held);
        assert!(other.shard(PAYLOAD_MAX).now_or_never().is_some());
    }

    #[test]
    fn small_requests_of_one_peer_are_limited_and_take_nothing_from_others() {
        let intake = Intake::default();
        let strangers: Vec<PeerIntake> = (0..127).map(|number| intake.of(node(number))).collect();
        let held: Vec<Vec<Held>> = strangers.iter().map(|peer| small_of(peer, 1000)).collect();
        assert!(held.iter().all(|held| (40..60).contains(&held.len())), "{}", held[0].len());
        assert!(intake.of(node(200)).head(HEAD_MAX).now_or_never().is_some());
    }

    #[test]
    fn whoever_waits_is_served_when_there_is_room_and_what_is_short_counts_little() {
        let intake = Intake::default();
        let peer = intake.of(node(1));
        let mut held = shards_of(&peer, 1 << 20);
        let mut waiting = Box::pin(peer.shard(4 << 20));
        assert!((&mut waiting).now_or_never().is_none());
        held.iter_mut().for_each(|held| held.shrink_to(512 << 10));
        assert!(waiting.now_or_never().is_some());
        held[0].shrink_to(1 << 20);
        assert_eq!(held[0].of_peer.num_permits(), 512 << 10, "nothing grows");
    }

    #[test]
    fn what_was_taken_is_given_back_and_who_has_gone_is_forgotten() {
        let intake = Intake::default();
        let peers: Vec<PeerIntake> = (0..PEERS).map(|number| intake.of(node(number))).collect();
        let mut held: Vec<Held> = peers.iter().flat_map(|peer| shards_of(peer, 1 << 20)).collect();
        held.extend(peers.iter().flat_map(|peer| small_of(peer, 100)));
        // Some who waited have given up.
        assert!(peers.iter().all(|peer| peer.shard(PAYLOAD_MAX).now_or_never().is_none()));
        drop(held);
        let left = [&intake.common, &intake.reserve, &intake.small].map(|all| all.available_permits());
        assert_eq!(left, [SHARDS_COMMON, SHARDS_RESERVE, SMALL_ALL]);
        drop(peers);
        assert!(intake.peers.lock().expect("not poisoned").is_empty());
    }
}
