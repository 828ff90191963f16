//! Daemons that hold shards, this one among them: they are asked in the same way, wherever they are.

mod by_peer;
mod handing;
pub(crate) mod limits;
mod scores;

use std::sync::Arc;
use std::time::Duration;

use chordage_api::operation::OperationId;
use chordage_dht::{NodeId, Peer};
use chordage_storage::lease::{Claim, Dropped};
use chordage_storage::{ChunkId, ShardSet, Writer};
use tokio::time::Instant;

pub(crate) use self::by_peer::ByPeer;
pub(crate) use self::handing::Handing;
pub(crate) use self::scores::Scores;
use crate::shards::{CallError, Fetched, ReceivedShard, Refusal, ShardClient};
use crate::store::{CHUNKS_MAX, Mine, Parcel, Store, StoreError};

/// All holders that there are.
#[derive(Clone)]
pub(crate) struct Holders {
    local: NodeId,
    /// What is held here.
    pub(crate) store: Store,
    /// For what only others are asked.
    pub(crate) client: ShardClient,
    /// What reading has taught about them.
    pub(crate) scores: Arc<Scores>,
}

impl Holders {
    /// Those behind `client`, and `store`, which is that of `local`.
    pub(crate) fn new(local: NodeId, store: Store, client: ShardClient) -> Self {
        Holders { local, store, client, scores: Arc::default() }
    }

    /// The same, to whom this operation is named.
    pub(crate) fn of(&self, operation: OperationId) -> Arc<Self> {
        Arc::new(Holders { client: self.client.of(operation), ..self.clone() })
    }

    /// Which shards of `chunks` a holder has, in their order; shorter if it stops answering. `within`: how long it may
    /// take for each 1,024 chunks.
    pub(crate) async fn held(&self, peer: &Peer, chunks: &[ChunkId], within: Duration) -> Vec<ShardSet> {
        let mut held = Vec::with_capacity(chunks.len());
        for part in chunks.chunks(CHUNKS_MAX) {
            let answer = if self.is_local(peer) {
                self.store.has(part.to_vec()).await.ok()
            } else {
                self.client.has(peer, part, Instant::now() + within).await.ok()
            };
            let Some(sets) = answer else { break };
            held.extend(sets);
        }
        held
    }

    /// One shard of `chunk` that is not in `skip`; nothing in it is verified.
    pub(crate) async fn fetch(
        &self,
        peer: &Peer,
        chunk: ChunkId,
        skip: ShardSet,
        within: Duration,
    ) -> Result<Fetched, CallError> {
        if !self.is_local(peer) {
            return self.client.fetch(peer, chunk, skip, Instant::now() + within).await;
        }
        match self.store.get(chunk, skip).await {
            Ok(Some(held)) => Ok(Fetched::Shard(ReceivedShard {
                index: held.index,
                descriptor: held.descriptor,
                payload: held.payload,
            })),
            Ok(None) => Ok(Fetched::NotHeld),
            Err(StoreError::Damaged) => Ok(Fetched::Damaged),
            Err(_) => Err(CallError::Broken),
        }
    }

    /// Gives a holder a shard. `Ok(Ok(already))` means that it is durable there. `by`: in whose name, if the holder is
    /// this daemon; others see who gives it to them.
    pub(crate) async fn give(
        &self,
        peer: &Peer,
        by: Writer,
        parcel: Parcel,
        within: Duration,
    ) -> Result<Result<bool, Refusal>, CallError> {
        if self.is_local(peer) {
            return Ok(self.store.put(by, parcel).await.map_err(Refusal::from));
        }
        self.client.put(peer, parcel, Instant::now() + within).await
    }

    /// Has a holder keep what it has of `chunks` (at most 1,024) for this daemon; which shards these are, in their
    /// order.
    pub(crate) async fn claim(
        &self,
        peer: &Peer,
        claim: Claim,
        said: u64,
        chunks: &[ChunkId],
        within: Duration,
    ) -> Result<Result<Vec<ShardSet>, Refusal>, CallError> {
        if self.is_local(peer) {
            return Ok(self.store.claim(claim, said, chunks.to_vec()).await.map_err(Refusal::from));
        }
        self.client.claim(peer, claim, said, chunks, Instant::now() + within).await
    }

    /// Tells a holder that this daemon, which is `writer`, does not need `chunks` (at most 1,024) any more; `None` if
    /// it does not answer.
    pub(crate) async fn drop_claims(
        &self,
        peer: &Peer,
        writer: Writer,
        said: u64,
        chunks: Vec<ChunkId>,
        within: Duration,
    ) -> Option<Dropped> {
        if self.is_local(peer) {
            return self.store.drop_claims(writer, said, chunks).await.ok();
        }
        self.client.drop_claims(peer, said, &chunks, Instant::now() + within).await.ok()
    }

    /// What a holder keeps for this daemon, which is `writer`, behind `after`, and where to go on.
    pub(crate) async fn kept_for(
        &self,
        peer: &Peer,
        writer: Writer,
        after: Option<ChunkId>,
        within: Duration,
    ) -> std::io::Result<(Vec<Mine>, Option<ChunkId>)> {
        if self.is_local(peer) {
            return self.store.kept_for(writer, after).await.map_err(std::io::Error::other);
        }
        self.client.mine(peer, after, Instant::now() + within).await.map_err(std::io::Error::other)
    }

    fn is_local(&self, peer: &Peer) -> bool {
        peer.id() == self.local
    }
}
