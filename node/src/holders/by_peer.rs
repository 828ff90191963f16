//! Asking many holders about many chunks: one question for each holder, not one for each chunk.

use std::collections::BTreeMap;

use chordage_dht::{NodeId, Peer};
use chordage_storage::ChunkId;
use futures::stream::{self, Stream, StreamExt};

use super::limits::PARALLEL;

/// Chunks by the holder that is to be asked about them.
#[derive(Default)]
pub(crate) struct ByPeer {
    peers: BTreeMap<NodeId, (Peer, Vec<ChunkId>)>,
}

impl ByPeer {
    /// Asks `peer` about `chunk` too.
    pub(crate) fn add(&mut self, peer: &Peer, chunk: ChunkId) {
        let (_, chunks) = self.peers.entry(peer.id()).or_insert_with(|| (peer.clone(), Vec::new()));
        chunks.push(chunk);
    }

    /// Whether nobody is asked anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Asks everybody, some at a time; answers in the order in which they come.
    pub(crate) fn ask<F: Future>(
        self,
        question: impl FnMut((Peer, Vec<ChunkId>)) -> F,
    ) -> impl Stream<Item = F::Output> {
        stream::iter(self.peers.into_values()).map(question).buffer_unordered(PARALLEL)
    }
}
