//! Leaving for good: whatever is held here gets another holder before the daemon stops, at the cost of sending it once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chordage_api::types::DrainStatus;
use chordage_dht::Peer;
use chordage_storage::lease::ORPHAN;
use chordage_storage::repair::Answer;
use chordage_storage::{ChunkId, Redundancy, ShardKey, ShardSet};
use futures::stream::{self, StreamExt};
use tokio::time::sleep;

use super::choice::shown;
use super::rebuild::free_to_take;
use super::survey::Questions;
use super::{Inner, Repairer, now};
use crate::holders::limits;
use crate::store::{Asked, Parcel};

/// Shards that are looked at together.
const BATCH: usize = 256;
/// Chunks whose shards are handed over at a time.
const PARALLEL: usize = 4;
/// Between passes as long as something has found no holder.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What a pass through everything held came to.
#[derive(Clone, Copy, Debug, Default)]
struct Pass {
    seen: u64,
    handed: u64,
    homeless: u64,
}

impl Repairer {
    /// Takes no more shards and begins to hand over those held. One that has begun goes on.
    pub(crate) fn drain(&self) -> DrainStatus {
        let begun = self.inner.state().stats.drain.is_some();
        if !begun {
            self.inner.state().stats.drain = Some(DrainStatus::default());
            self.inner.draining.cancel();
            self.inner.background("drain", run);
        }
        self.drain_status().unwrap_or_default()
    }

    /// How far draining is, if it has begun.
    pub(crate) fn drain_status(&self) -> Option<DrainStatus> {
        self.inner.state().stats.drain
    }
}

async fn run(inner: Arc<Inner>) {
    loop {
        match walk(&inner).await {
            // A put that was under way when draining began may have left one more: only a pass that finds nothing to
            // hand over is the last.
            Some(Pass { handed: 0, homeless: 0, seen }) => {
                note(&inner, |drain| {
                    drain.shards = seen;
                    drain.covered = seen;
                    drain.homeless = 0;
                    drain.done = true;
                });
                tracing::info!(shards = seen, "drained: everything held here has another holder");
                // Puts through this daemon may still keep shards here.
                sleep(TRY_AGAIN).await;
            }
            Some(pass) => {
                note(&inner, |drain| {
                    drain.homeless = pass.homeless;
                    drain.done = false;
                });
                if pass.homeless > 0 {
                    sleep(TRY_AGAIN).await;
                }
            }
            None => sleep(TRY_AGAIN).await,
        }
    }
}

fn note(inner: &Inner, change: impl FnOnce(&mut DrainStatus)) {
    change(inner.state().stats.drain.get_or_insert_default());
}

/// One pass. `None` if it could not be finished.
async fn walk(inner: &Inner) -> Option<Pass> {
    let mut arcs = inner.placement.arcs().await?;
    let mut pass = Pass::default();
    let mut after: Option<ShardKey> = None;
    loop {
        let listed = inner.holders.store.list(after, BATCH).await.ok()?;
        let Some((last, _)) = listed.last().copied() else { return Some(pass) };
        let mut held: BTreeMap<ChunkId, Vec<u8>> = BTreeMap::new();
        for (key, _) in &listed {
            held.entry(key.chunk).or_default().push(key.index);
        }
        let chunks: Vec<ChunkId> = held.keys().copied().collect();
        let descriptors = inner.holders.store.descriptors(chunks.clone()).await.ok()?;
        let mut windows: BTreeMap<ChunkId, (Redundancy, Vec<Peer>)> = BTreeMap::new();
        let mut questions = Questions::default();
        for (chunk, descriptor) in chunks.iter().zip(descriptors) {
            // Deleted or damaged since it was listed: nothing to hand over.
            let Some(descriptor) = descriptor else {
                held.remove(chunk);
                continue;
            };
            let mut window = arcs.window(&inner.placement, *chunk, descriptor.redundancy()).await?;
            window.retain(|peer| !inner.placement.is_local(peer));
            window.iter().for_each(|peer| questions.add(peer, *chunk));
            windows.insert(*chunk, (descriptor.redundancy(), window));
        }
        let mut answers = questions.ask(inner).await;
        let mut handing = stream::iter(held)
            .map(|(chunk, indices)| {
                let (redundancy, window) =
                    windows.remove(&chunk).unwrap_or((Redundancy::ASSUMED, Vec::new()));
                let answers = answers.remove(&chunk).unwrap_or_default();
                let free = free_to_take(inner, chunk, redundancy, window, &answers, now());
                hand_over(inner, chunk, indices, free, answers)
            })
            .buffer_unordered(PARALLEL);
        while let Some(done) = handing.next().await {
            pass.seen += done.seen;
            pass.handed += done.handed;
            pass.homeless += done.homeless;
            note(inner, |drain| {
                drain.shards = drain.shards.max(pass.seen);
                drain.covered = drain.covered.max(pass.seen - pass.homeless);
                drain.handed += done.handed;
            });
        }
        drop(handing);
        after = Some(last);
    }
}

/// Hands over the shards of one chunk that nobody else shows, each to a node that has none of it.
async fn hand_over(
    inner: &Inner,
    chunk: ChunkId,
    indices: Vec<u8>,
    free: Vec<Peer>,
    answers: Vec<(Peer, Answer)>,
) -> Pass {
    let shown = shown(&answers);
    let mut free = free.into_iter();
    let mut pass = Pass { seen: indices.len() as u64, ..Pass::default() };
    // The new holder has to know for whom it keeps it, and for how long.
    let asked = match inner.holders.store.claims(chunk).await {
        Ok(Some(claims)) => Asked::heard(claims),
        // Nobody wants it any more.
        Ok(None) => return pass,
        Err(_) => return Pass { homeless: pass.seen, ..pass },
    };
    for index in indices {
        if shown.contains(index) {
            continue;
        }
        let skip: ShardSet = (0..128).filter(|other| *other != index).collect();
        // One that is damaged or gone is repair's business.
        let Ok(Some(shard)) = inner.holders.store.get(chunk, skip).await else { continue };
        let bytes = shard.payload.len() as u64;
        let mut taken = false;
        for peer in free.by_ref() {
            let (descriptor, payload) = (shard.descriptor.clone(), shard.payload.clone());
            let parcel = Parcel { chunk, index, descriptor, payload, asked: asked.clone() };
            let given = inner.holders.give(&peer, ORPHAN, parcel, limits::SHARD_OF_REPAIR);
            if matches!(given.await, Ok(Ok(_))) {
                taken = true;
                break;
            }
        }
        if taken {
            pass.handed += 1;
            note(inner, |drain| drain.sent_bytes += bytes);
        } else {
            pass.homeless += 1;
        }
    }
    pass
}
