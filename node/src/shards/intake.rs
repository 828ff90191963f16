//! How much of others' requests may lie in memory: what a stranger can make a daemon hold has a limit, in all and for each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chordage_dht::NodeId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of requests and answers of all peers together.
const ALL_MAX: usize = 64 << 20;
/// Bytes of those of one peer: about thirty shards of usual size on their way, and three of the largest.
const PEER_MAX: usize = 16 << 20;
/// What an answer with a shard counts until its length is known. Usual ones are smaller.
const ANSWER_GUESS: usize = 1 << 20;

/// A share of the limits for every peer that has a stream open. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Intake {
    all: Arc<Semaphore>,
    peers: Arc<Mutex<BTreeMap<NodeId, Share>>>,
}

struct Share {
    bytes: Arc<Semaphore>,
    streams: usize,
}

/// One stream's part in its peer's share.
pub(crate) struct PeerIntake {
    intake: Intake,
    peer: NodeId,
    bytes: Arc<Semaphore>,
}

/// Memory that is given back when dropped.
pub(crate) struct Held {
    _all: OwnedSemaphorePermit,
    _peer: OwnedSemaphorePermit,
}

impl Default for Intake {
    fn default() -> Self {
        Intake { all: Arc::new(Semaphore::new(ALL_MAX)), peers: Arc::default() }
    }
}

impl Intake {
    /// For a stream of `peer`; all its streams share what one peer may have.
    pub(crate) fn of(&self, peer: NodeId) -> PeerIntake {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let share = peers
            .entry(peer)
            .or_insert_with(|| Share { bytes: Arc::new(Semaphore::new(PEER_MAX)), streams: 0 });
        share.streams += 1;
        PeerIntake { intake: self.clone(), peer, bytes: share.bytes.clone() }
    }
}

impl PeerIntake {
    /// Waits until there is room for a request of so many bytes, which is within the limit of a frame.
    pub(crate) async fn request(&self, bytes: usize) -> Held {
        self.take(bytes).await
    }

    /// Waits until there is room for an answer that has yet to be read from disk.
    pub(crate) async fn answer(&self) -> Held {
        self.take(ANSWER_GUESS).await
    }

    async fn take(&self, bytes: usize) -> Held {
        let permits = u32::try_from(bytes.min(PEER_MAX)).unwrap_or(u32::MAX);
        // The peer's own first: who waits for itself keeps nobody else waiting. Neither is ever closed.
        let own = self.bytes.clone().acquire_many_owned(permits).await.expect("never closed");
        let all = self.intake.all.clone().acquire_many_owned(permits).await.expect("never closed");
        Held { _all: all, _peer: own }
    }
}

impl Drop for PeerIntake {
    fn drop(&mut self) {
        let mut peers = self.intake.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = peers.get_mut(&self.peer) {
            share.streams -= 1;
            if share.streams == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    #[test]
    fn who_fills_its_own_share_waits_and_others_do_not() {
        let intake = Intake::default();
        let (flood, other) = (intake.of(node(1)), intake.of(node(2)));
        let second_stream = intake.of(node(1));
        let held: Vec<Held> =
            (0..4).map(|_| flood.request(4 << 20).now_or_never().expect("within its share")).collect();
        assert!(second_stream.request(1).now_or_never().is_none());
        assert!(other.request(4 << 20).now_or_never().is_some());
        drop(held);
        assert!(second_stream.request(1).now_or_never().is_some());
    }

    #[test]
    fn all_together_have_a_limit_too_and_who_has_gone_is_forgotten() {
        let intake = Intake::default();
        let peers: Vec<PeerIntake> = (0..5).map(|number| intake.of(node(number))).collect();
        let mut held: Vec<Held> = Vec::new();
        held.extend(peers[..4].iter().map(|peer| peer.request(PEER_MAX).now_or_never().expect("room")));
        assert!(peers[4].answer().now_or_never().is_none());
        held.pop();
        assert!(peers[4].answer().now_or_never().is_some());
        drop(peers);
        assert!(intake.peers.lock().expect("not poisoned").is_empty());
    }
}
