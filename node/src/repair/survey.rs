//! Asking who holds what, many chunks per question.

use std::collections::BTreeMap;
use std::pin::pin;

use chordage_dht::Peer;
use chordage_storage::ChunkId;
use chordage_storage::repair::Answer;
use futures::stream::StreamExt;

use super::short::holder;
use super::{Inner, now};
use crate::holders::{ByPeer, limits};

/// Whom to ask about which chunks.
#[derive(Default)]
pub(super) struct Questions(ByPeer);

impl Questions {
    pub(super) fn add(&mut self, peer: &Peer, chunk: ChunkId) {
        self.0.add(peer, chunk);
    }

    /// Asks everybody. Every question gets an answer, if only that there was none; what a holder has failed to prove
    /// does not count.
    pub(super) async fn ask(self, inner: &Inner) -> BTreeMap<ChunkId, Vec<(Peer, Answer)>> {
        let mut answers = pin!(self.0.ask(|(peer, chunks)| async move {
            let held = inner.holders.held(&peer, &chunks, limits::HELD_FOR_REPAIR).await;
            (peer, chunks, held)
        }));
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
