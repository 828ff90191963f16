//! Whether chunks from before are still stored: asked of their holders in batches, and believed for a moment.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chordage_dht::{NodeId, Peer};
use chordage_storage::{ChunkId, ChunkRef, Redundancy};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::shards::{HAS_MAX, ShardSet};
use crate::transfer::{Freshness, Transfer};

/// How long an answer is believed. Long enough for one put not to ask twice, short enough for a holder that has died
/// to be missed by the next.
const BELIEVED: Duration = Duration::from_secs(60);
/// Answers that are remembered, about 100 bytes each.
const REMEMBERED_MAX: usize = 1 << 16;
/// Lookups and questions under way at a time.
const PARALLEL: usize = 32;
/// How long a holder may take to answer; one that is silent counts as holding nothing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How many holders have a shard of their own of each chunk, as they said lately.
#[derive(Default)]
pub(crate) struct Standing {
    answers: Mutex<Answers>,
}

/// A lookup table and the order in which to forget; the order of the table is never used.
#[derive(Default)]
struct Answers {
    shards: HashMap<ChunkId, (Instant, u8)>,
    oldest_first: VecDeque<(Instant, ChunkId)>,
}

impl Standing {
    /// So many holders have just said, or acknowledged, that they have a shard each.
    pub(crate) fn remember(&self, chunk: ChunkId, shards: u8) {
        self.remember_at(Instant::now(), chunk, shards);
    }

    /// How many holders said so within the last minute; `None` if nobody was asked.
    pub(crate) fn lately(&self, chunk: &ChunkId) -> Option<u8> {
        self.lately_at(Instant::now(), chunk)
    }

    fn lately_at(&self, now: Instant, chunk: &ChunkId) -> Option<u8> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, shards) = answers.shards.get(chunk)?;
        (now.duration_since(*at) < BELIEVED).then_some(*shards)
    }

    fn remember_at(&self, now: Instant, chunk: ChunkId, shards: u8) {
        // No code panics while holding the lock, and both halves are valid at every point.
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, oldest)) = answers.oldest_first.front().copied()
            && (answers.oldest_first.len() >= REMEMBERED_MAX || now.duration_since(at) >= BELIEVED)
        {
            answers.oldest_first.pop_front();
            // It may have been asked about again since.
            if answers.shards.get(&oldest).is_some_and(|(again, _)| *again == at) {
                answers.shards.remove(&oldest);
            }
        }
        answers.shards.insert(chunk, (now, shards));
        answers.oldest_first.push_back((now, chunk));
    }
}

/// What was found of one chunk.
#[derive(Default)]
struct Found {
    indices: BTreeSet<u8>,
    holders: u8,
}

impl Found {
    /// Shards on holders of their own.
    fn shards(&self) -> u8 {
        u8::try_from(self.indices.len()).unwrap_or(u8::MAX).min(self.holders)
    }
}

/// Asks the holders of all `chunks` that were not asked about lately: one question per holder (and per 1,024 chunks),
/// not one per chunk. Afterwards [`Standing::lately`] knows.
pub(crate) async fn ask(transfer: &Transfer, chunks: &[ChunkRef]) {
    let mut unknown: Vec<ChunkRef> =
        chunks.iter().copied().filter(|chunk| transfer.standing.lately(&chunk.id).is_none()).collect();
    unknown.sort_unstable_by_key(|chunk| chunk.id);
    unknown.dedup_by_key(|chunk| chunk.id);
    for round in unknown.chunks(HAS_MAX) {
        ask_round(transfer, round).await;
    }
}

async fn ask_round(transfer: &Transfer, chunks: &[ChunkRef]) {
    let looked_up = stream::iter(chunks.to_vec())
        .map(|chunk| async move {
            let redundancy = chunk.redundancy.unwrap_or(Redundancy::ASSUMED);
            let n = redundancy.n();
            // Where nobody can be found, nobody holds anything.
            let found = transfer.candidates(chunk.id, redundancy, Freshness::Known).await.unwrap_or_default();
            (chunk, n, found)
        })
        .buffered(PARALLEL)
        .collect::<Vec<_>>()
        .await;
    let mut found: BTreeMap<ChunkId, Found> =
        chunks.iter().map(|chunk| (chunk.id, Found::default())).collect();
    // First those who should have them; the others in the window only about what is not complete then.
    for first in [true, false] {
        let mut questions: BTreeMap<NodeId, (Peer, Vec<ChunkId>)> = BTreeMap::new();
        for (chunk, n, candidates) in &looked_up {
            let split = candidates.len().min(usize::from(*n));
            let (nearest, others) = candidates.split_at(split);
            let complete = found.get(&chunk.id).is_some_and(|found| found.shards() >= *n);
            for peer in if first { nearest } else { others } {
                if !complete {
                    questions.entry(peer.id()).or_insert_with(|| (peer.clone(), Vec::new())).1.push(chunk.id);
                }
            }
        }
        let mut answers = stream::iter(questions.into_values())
            .map(|(peer, chunks)| async move {
                let held = holdings(transfer, &peer, &chunks).await;
                (chunks, held)
            })
            .buffer_unordered(PARALLEL);
        while let Some((chunks, held)) = answers.next().await {
            for (chunk, set) in chunks.iter().zip(held) {
                let mut indices = set.iter().peekable();
                if let (Some(found), true) = (found.get_mut(chunk), indices.peek().is_some()) {
                    found.holders = found.holders.saturating_add(1);
                    found.indices.extend(indices);
                }
            }
        }
    }
    for (chunk, found) in found {
        transfer.standing.remember(chunk, found.shards());
    }
}

async fn holdings(transfer: &Transfer, peer: &Peer, chunks: &[ChunkId]) -> Vec<ShardSet> {
    if transfer.is_local(peer) {
        return transfer.store.has(chunks.to_vec()).await.unwrap_or_default();
    }
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    transfer.client.has(peer, chunks, deadline).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(number: u32) -> ChunkId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_le_bytes());
        ChunkId::from(id)
    }

    #[test]
    fn answers_are_believed_for_a_moment_only() {
        let standing = Standing::default();
        let start = Instant::now();
        let lately = |after, number| standing.lately_at(start + after, &chunk(number));
        standing.remember_at(start, chunk(1), 5);
        assert_eq!((lately(Duration::ZERO, 1), lately(Duration::ZERO, 2)), (Some(5), None));
        standing.remember_at(start + BELIEVED / 2, chunk(1), 6);
        standing.remember_at(start + BELIEVED, chunk(2), 1);
        assert_eq!(lately(BELIEVED, 1), Some(6));
        assert_eq!(lately(BELIEVED * 2, 1), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let standing = Standing::default();
        let now = Instant::now();
        for number in 0..REMEMBERED_MAX as u32 + 10 {
            standing.remember_at(now, chunk(number), 1);
        }
        let answers = standing.answers.lock().unwrap();
        assert!(answers.shards.len() <= REMEMBERED_MAX && answers.oldest_first.len() <= REMEMBERED_MAX);
        assert!(answers.shards.contains_key(&chunk(REMEMBERED_MAX as u32)));
    }
}
