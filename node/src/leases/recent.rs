//! Whether chunks from before are still stored: asked of their holders in batches, and believed for a moment.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chordage_storage::{ChunkId, ChunkRef, Redundancy};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::{Leases, Question, Window, ask_holders};
use crate::placement::Freshness;
use crate::store::CHUNKS_MAX;

/// How long an answer is believed. Long enough for one put not to ask twice, short enough for a holder that has died
/// to be missed by the next.
const BELIEVED: Duration = Duration::from_secs(60);
/// Answers that are remembered, about 100 bytes each.
const REMEMBERED_MAX: usize = 1 << 16;
/// Lookups under way at a time.
const PARALLEL: usize = 32;

/// How many holders have a shard of their own of each chunk, as they said lately.
#[derive(Default)]
pub(crate) struct RecentAnswers {
    answers: Mutex<Answers>,
}

/// A lookup table and the order in which to forget; the order of the table is never used.
#[derive(Default)]
struct Answers {
    shards: HashMap<ChunkId, (Instant, u8)>,
    oldest_first: VecDeque<(Instant, ChunkId)>,
}

impl RecentAnswers {
    /// So many holders have just said, or acknowledged, that they have a shard each.
    pub(crate) fn remember(&self, chunk: ChunkId, shards: u8) {
        self.remember_at(Instant::now(), chunk, shards);
    }

    /// How many holders said so within the last minute; `None` if nobody was asked.
    pub(crate) fn lately(&self, chunk: &ChunkId) -> Option<u8> {
        self.lately_at(Instant::now(), chunk)
    }

    /// What was said of the chunk does not hold any more.
    pub(crate) fn forget(&self, chunk: &ChunkId) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).shards.remove(chunk);
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

/// Asks the holders of all `chunks` that were not asked about lately: one question per holder (and per 1,024 chunks),
/// not one per chunk. Afterwards [`RecentAnswers::lately`] knows.
pub(crate) async fn ask(leases: &Leases, chunks: &[ChunkRef]) {
    let mut unknown: Vec<ChunkRef> =
        chunks.iter().copied().filter(|chunk| leases.recent.lately(&chunk.id).is_none()).collect();
    unknown.sort_unstable_by_key(|chunk| chunk.id);
    unknown.dedup_by_key(|chunk| chunk.id);
    for round in unknown.chunks(CHUNKS_MAX) {
        ask_round(leases, round).await;
    }
}

async fn ask_round(leases: &Leases, chunks: &[ChunkRef]) {
    let looked_up = stream::iter(chunks.to_vec())
        .map(|chunk| async move {
            let redundancy = chunk.redundancy.unwrap_or(Redundancy::ASSUMED);
            let n = redundancy.n();
            // Where nobody can be found, nobody holds anything.
            let found =
                leases.placement.candidates(chunk.id, redundancy, Freshness::Known).await.unwrap_or_default();
            (chunk.id, n, found)
        })
        .buffered(PARALLEL)
        .collect::<Vec<Window>>()
        .await;
    for (chunk, shards) in ask_holders(&leases.holders, looked_up, Question::Has).await {
        leases.recent.remember(chunk, shards);
    }
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
        let recent = RecentAnswers::default();
        let start = Instant::now();
        let lately = |after, number| recent.lately_at(start + after, &chunk(number));
        recent.remember_at(start, chunk(1), 5);
        assert_eq!((lately(Duration::ZERO, 1), lately(Duration::ZERO, 2)), (Some(5), None));
        recent.remember_at(start + BELIEVED / 2, chunk(1), 6);
        recent.remember_at(start + BELIEVED, chunk(2), 1);
        assert_eq!(lately(BELIEVED, 1), Some(6));
        assert_eq!(lately(BELIEVED * 2, 1), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let recent = RecentAnswers::default();
        let now = Instant::now();
        for number in 0..REMEMBERED_MAX as u32 + 10 {
            recent.remember_at(now, chunk(number), 1);
        }
        let answers = recent.answers.lock().unwrap();
        assert!(answers.shards.len() <= REMEMBERED_MAX && answers.oldest_first.len() <= REMEMBERED_MAX);
        assert!(answers.shards.contains_key(&chunk(REMEMBERED_MAX as u32)));
    }
}
