//! Asking who holds what, many chunks per question.

use std::collections::BTreeMap;
use std::time::Duration;

use chordage_dht::{NodeId, Peer};
use chordage_storage::ChunkId;
use chordage_storage::repair::Answer;
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::window::holder;
use super::{Inner, now};
use crate::store::CHUNKS_MAX;
use crate::transfer::Transfer;

/// Nodes asked at a time.
const PARALLEL: usize = 16;
/// How long a node may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Whom to ask about which chunks.
#[derive(Default)]
pub(super) struct Questions {
    by_peer: BTreeMap<NodeId, (Peer, Vec<ChunkId>)>,
}

impl Questions {
    pub(super) fn add(&mut self, peer: &Peer, chunk: ChunkId) {
        let (_, chunks) = self.by_peer.entry(peer.id()).or_insert_with(|| (peer.clone(), Vec::new()));
        chunks.push(chunk);
    }

    /// Asks everybody. Every question gets an answer, if only that there was none; what a holder has failed to prove does
    /// not count.
    pub(super) async fn ask(self, inner: &Inner) -> BTreeMap<ChunkId, Vec<(Peer, Answer)>> {
        let transfer = &inner.transfer;
        let mut answers = stream::iter(self.by_peer.into_values())
            .map(|(peer, chunks)| async move {
                let held = holdings(transfer, &peer, &chunks).await;
                (peer, chunks, held)
            })
            .buffer_unordered(PARALLEL);
        let mut by_chunk = BTreeMap::<ChunkId, Vec<(Peer, Answer)>>::new();
        let now = now();
        while let Some((peer, chunks, held)) = answers.next().await {
            let holder = holder(&peer);
            let state = inner.state();
            for (position, chunk) in chunks.into_iter().enumerate() {
                let held = state.standings.believed(holder, chunk, held.get(position).copied(), now);
                let answer = Answer { holder, held };
                by_chunk.entry(chunk).or_default().push((peer.clone(), answer));
            }
        }
        // Whoever answers first must not decide what is written down.
        by_chunk.values_mut().for_each(|answers| answers.sort_by_key(|(peer, _)| peer.id()));
        by_chunk
    }
}

/// What `peer` holds of `chunks`, in order; shorter if it stops answering.
async fn holdings(transfer: &Transfer, peer: &Peer, chunks: &[ChunkId]) -> Vec<u128> {
    let mut held = Vec::with_capacity(chunks.len());
    for part in chunks.chunks(CHUNKS_MAX) {
        let answer = if transfer.is_local(peer) {
            transfer.store.has(part.to_vec()).await.ok()
        } else {
            transfer.client.has(peer, part, Instant::now() + ANSWER_TIMEOUT).await.ok()
        };
        let Some(sets) = answer else { break };
        held.extend(sets.into_iter().map(|set| set.bits()));
    }
    held
}
