//! What was found damaged or lost on this disk is made good, however long that takes: the store remembers it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chordage_storage::repair::{Job, Lane};
use chordage_storage::{ChunkId, ShardKey, ShardSet};

use super::{Inner, now};

/// Shards that are read from the store's list at a time.
const PAGE: usize = 1024;
/// Chunks that are queued for it at a time; more come when these are made good.
const CHUNKS_MAX: usize = 4096;
/// What could not be made good is tried again after this, or with the next survey if that is sooner.
const TRY_AGAIN: Duration = Duration::from_secs(600);

/// Queues the repair of shards that were found damaged here. The node that lost them is the natural one to make them
/// again, and it does not wait for others to be lost too: a damaged disk gives no warning.
pub(super) async fn run(inner: Arc<Inner>) {
    let period = Duration::from_secs(inner.config.survey_seconds).min(TRY_AGAIN);
    loop {
        let mut missing: BTreeMap<ChunkId, ShardSet> = BTreeMap::new();
        let mut after = None;
        while missing.len() < CHUNKS_MAX {
            // A disk that cannot say it now is asked again later.
            let listed = inner.holders.store.list_unmended(after, PAGE).await.unwrap_or_default();
            let Some(last) = listed.last() else { break };
            after = Some(*last);
            for ShardKey { chunk, index } in listed {
                missing.entry(chunk).or_default().insert(index);
            }
        }
        for (chunk, damaged) in missing {
            let claims = inner.holders.store.claims(chunk).await;
            if claims.is_ok_and(|claims| claims.is_none_or(|claims| claims.is_empty())) {
                // Nobody wants it kept here any more. Where only the book of claims was lost too, the other holders
                // look after the chunk.
                made_good(&inner, chunk, damaged).await;
                inner.state().setbacks.forget(&chunk);
                continue;
            }
            inner.offer_again(Job {
                chunk,
                lane: Lane::Normal,
                margin: 0,
                not_before: now(),
                bytes: 0,
                damaged,
            });
        }
        // Whichever comes first.
        let _ = tokio::time::timeout(period, inner.holders.store.found_damage()).await;
    }
}

/// Nothing is missing of a chunk whose shards with these numbers were damaged here.
pub(super) async fn made_good(inner: &Inner, chunk: ChunkId, damaged: ShardSet) {
    let shards = damaged.iter().map(|index| ShardKey { chunk, index }).collect();
    // What is not noted now is asked for once more.
    let _ = inner.holders.store.made_good(shards).await;
}
