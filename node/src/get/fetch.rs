//! Fetching one chunk: asks holders in the order in which shards were placed, as many at a time as are needed;
//! who fails is replaced at once, who is slow is joined by another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chordage_dht::Peer;
use chordage_storage::{ChunkId, ChunkRef, DecodeError, Descriptor, Redundancy, decode_chunk};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::GetError;
use crate::shards::{CallError, Fetched, ReceivedShard, ShardSet};
use crate::store::StoreError;
use crate::transfer::{Freshness, Transfer};

/// How long one chunk may take in all. Leaves room within 20 s to say what is missing.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(12);
/// How long a single holder may take.
const HOLDER_TIMEOUT: Duration = Duration::from_secs(8);
/// When nothing has come for so long, one more holder is asked.
const HEDGE: Duration = Duration::from_millis(150);
/// Shards needed and shards in all, as long as nobody has said: only roots do not carry it with them.
const UNKNOWN: (u8, u8) = (1, 20);

/// A chunk's plain bytes, from the network or from the local store, and how it is coded.
pub(super) async fn fetch(transfer: &Transfer, chunk: &ChunkRef) -> Result<(Bytes, Redundancy), GetError> {
    let mut fetching = Fetching {
        transfer,
        chunk,
        k: chunk.redundancy.map_or(UNKNOWN.0, |r| r.k()),
        descriptor: None,
        shards: BTreeMap::new(),
        asked: BTreeSet::new(),
    };
    let memory = transfer.budget.take(2 * plain_len(chunk)).await.ok_or(GetError::Interrupted)?;
    let timed = tokio::time::timeout(CHUNK_TIMEOUT, fetching.run()).await;
    drop(memory);
    let best = u8::try_from(fetching.shards.len()).unwrap_or(u8::MAX);
    timed.unwrap_or(Err(GetError::TimedOut { best, k: fetching.k }))
}

/// A root's length is not known beforehand.
fn plain_len(chunk: &ChunkRef) -> usize {
    if chunk.plain_len == 0 { chordage_storage::MAX_CHUNK_LEN } else { chunk.plain_len as usize }
}

struct Fetching<'a> {
    transfer: &'a Transfer,
    chunk: &'a ChunkRef,
    k: u8,
    descriptor: Option<Descriptor>,
    shards: BTreeMap<u8, Bytes>,
    asked: BTreeSet<chordage_dht::NodeId>,
}

impl Fetching<'_> {
    async fn run(&mut self) -> Result<(Bytes, Redundancy), GetError> {
        // First those we know of; if they do not have enough, those that the overlay finds afresh.
        for freshness in [Freshness::Known, Freshness::Asked] {
            let n = self.chunk.redundancy.map_or(UNKNOWN.1, |r| r.n());
            let candidates =
                self.transfer.candidates(self.chunk.id, n, freshness).await.map_err(GetError::Find)?;
            if let Some(found) = self.ask(candidates.into()).await? {
                return Ok(found);
            }
        }
        let best = u8::try_from(self.shards.len()).unwrap_or(u8::MAX);
        Err(GetError::Unavailable { chunks: 1, unreadable: 1, best, k: self.k })
    }

    /// Asks until the chunk is whole (its bytes) or nobody is left to ask (`None`).
    async fn ask(&mut self, mut candidates: VecDeque<Peer>) -> Result<Option<(Bytes, Redundancy)>, GetError> {
        let mut asking = FuturesUnordered::new();
        let mut extra = 0;
        let mut hedge_at = Instant::now() + HEDGE;
        loop {
            while asking.len() + self.shards.len() < usize::from(self.k) + extra {
                let Some(peer) = candidates.pop_front() else { break };
                if self.asked.insert(peer.id()) {
                    asking.push(fetch_from(self.transfer, peer, self.chunk.id));
                }
            }
            if asking.is_empty() {
                return Ok(None);
            }
            tokio::select! {
                Some((peer, result)) = asking.next() => {
                    hedge_at = Instant::now() + HEDGE;
                    self.received(&peer, result);
                    if self.shards.len() >= usize::from(self.k)
                        && let Some(found) = self.decode().await?
                    {
                        return Ok(Some(found));
                    }
                }
                () = sleep_until(hedge_at), if !candidates.is_empty() => {
                    extra += 1;
                    hedge_at = Instant::now() + HEDGE;
                }
            }
        }
    }

    fn received(&mut self, peer: &Peer, result: Result<Fetched, CallError>) {
        let shard = match result {
            Ok(Fetched::Shard(shard)) => shard,
            Ok(Fetched::NotHeld) => return,
            Ok(Fetched::Damaged) => {
                tracing::warn!(peer = %peer.id(), chunk = %self.chunk.id, "a holder found its shard damaged");
                return;
            }
            Err(error) => {
                tracing::debug!(peer = %peer.id(), chunk = %self.chunk.id, %error, "a holder failed");
                return;
            }
        };
        if self.descriptor.is_none() {
            match Descriptor::decode(&shard.descriptor) {
                Ok(descriptor) if descriptor.id() == self.chunk.id => {
                    self.k = descriptor.redundancy().k();
                    self.descriptor = Some(descriptor);
                }
                _ => {
                    tracing::warn!(peer = %peer.id(), chunk = %self.chunk.id, "a holder sent a false descriptor");
                    return;
                }
            }
        }
        if self.descriptor.as_ref().is_some_and(|d| shard.index < d.redundancy().n()) {
            self.shards.entry(shard.index).or_insert(shard.payload);
        }
    }

    /// Verifies and decodes what is there. `None`: some shards were false and have been thrown away.
    async fn decode(&mut self) -> Result<Option<(Bytes, Redundancy)>, GetError> {
        let Some(descriptor) = self.descriptor.clone() else { return Ok(None) };
        let shards: Vec<(u8, Bytes)> = std::mem::take(&mut self.shards).into_iter().collect();
        let (reference, redundancy) = (*self.chunk, descriptor.redundancy());
        let work = move |coder: &mut chordage_storage::Coder| {
            let (good, bad): (Vec<_>, Vec<_>) = shards
                .into_iter()
                .partition(|(index, payload)| descriptor.verify_shard(*index, payload).is_ok());
            if good.len() < usize::from(descriptor.redundancy().k()) {
                return Err((good, bad.len()));
            }
            Ok(decode_chunk(&reference, &descriptor, good, coder))
        };
        match self.transfer.coders.run(work).await.ok_or(GetError::Interrupted)? {
            Ok(Ok(plain)) => Ok(Some((plain, redundancy))),
            Ok(Err(source)) => Err(self.broken(source)),
            Err((good, bad)) => {
                tracing::warn!(chunk = %self.chunk.id, bad, "holders sent shards that do not match their hashes");
                self.shards = good.into_iter().collect();
                Ok(None)
            }
        }
    }

    fn broken(&self, source: DecodeError) -> GetError {
        GetError::Decode { chunk: self.chunk.id, source }
    }
}

async fn fetch_from(transfer: &Transfer, peer: Peer, chunk: ChunkId) -> (Peer, Result<Fetched, CallError>) {
    let result = if transfer.is_local(&peer) {
        match transfer.store.get(chunk, ShardSet::default()).await {
            Ok(Some(held)) => Ok(Fetched::Shard(ReceivedShard {
                index: held.index,
                descriptor: held.descriptor,
                payload: held.payload,
            })),
            Ok(None) => Ok(Fetched::NotHeld),
            Err(StoreError::Damaged) => Ok(Fetched::Damaged),
            Err(_) => Err(CallError::Broken),
        }
    } else {
        let deadline = Instant::now() + HOLDER_TIMEOUT;
        transfer.client.fetch(&peer, chunk, ShardSet::default(), deadline).await
    };
    (peer, result)
}
