//! Audits: other holders have to prove, now and then, that they have a shard which they only say they have.
//!
//! Each is asked for one shard in every `audit_seconds`, for a leaf chosen at random, which whoever has thrown the
//! shard away cannot know. A shard that is not proved is made again; whoever fails too often is not believed any more
//! ([`chordage_storage::repair::Standings`]).

use std::sync::Arc;
use std::time::Duration;

use chordage_dht::Peer;
use chordage_storage::possession::{leaves, verify};
use chordage_storage::repair::{Holder, Job, Lane, Sight, Verdict};
use chordage_storage::{ChunkId, ShardKey, ShardSet};
use tokio::time::{Instant, sleep};

use super::short::holder;
use super::{Inner, now};
use crate::holders::limits;

/// Shortest time between two questions, however many holders there are.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Chunks looked at to find the holder that has waited longest.
const TRIES: usize = 8;

pub(super) async fn run(inner: Arc<Inner>) {
    if inner.config.audit_seconds == 0 {
        return;
    }
    let period = Duration::from_secs(inner.config.audit_seconds);
    loop {
        // Every holder once in a period, one after the other.
        let holders = u32::try_from(inner.state().standings.len()).unwrap_or(u32::MAX).max(1);
        sleep((period / holders).max(PAUSE_MIN)).await;
        if inner.is_member()
            && let Some(question) = choose(&inner).await
        {
            ask(&inner, question).await;
        }
    }
}

/// A shard, and who says that it has it.
struct Question {
    shard: ShardKey,
    of: Holder,
}

/// Among the holders of a few chunks chosen at random, the one that was audited longest ago.
async fn choose(inner: &Inner) -> Option<Question> {
    let mut best: Option<Question> = None;
    for _ in 0..TRIES {
        let Some((chunk, held)) = random_chunk(inner).await else { continue };
        let state = inner.state();
        let audited = |question: &Question| state.standings.audited(question.of);
        for (index, of) in held {
            let question = Question { shard: ShardKey { chunk, index }, of };
            if !state.gone.contains_key(&of)
                && best.as_ref().is_none_or(|best| audited(&question) < audited(best))
            {
                best = Some(question);
            }
        }
    }
    best
}

/// A chunk of which a shard is held here, the first behind a random address, and the shards that others hold of it.
async fn random_chunk(inner: &Inner) -> Option<(ChunkId, Vec<(u8, Holder)>)> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).ok()?;
    let behind = ShardKey { chunk: ChunkId(random), index: u8::MAX };
    let store = &inner.holders.store;
    let found = store.list(Some(behind), 1).await.ok()?.pop();
    let (ShardKey { chunk, .. }, _) = match found {
        Some(found) => found,
        None => store.list(None, 1).await.ok()?.pop()?,
    };
    let record = inner.ledger(move |ledger| ledger.get(&chunk)).await??;
    let mut local = [0; 8];
    local.copy_from_slice(&inner.placement.local.as_bytes()[..8]);
    let held = record.sights().iter().enumerate().filter_map(|(index, sight)| match sight {
        Sight::Held(of) if *of != Holder(local) => Some((u8::try_from(index).ok()?, *of)),
        _ => None,
    });
    Some((chunk, held.collect()))
}

async fn ask(inner: &Inner, Question { shard, of }: Question) -> Option<()> {
    let descriptor = inner.holders.store.descriptors(vec![shard.chunk]).await.ok()?.pop()??;
    let mut arcs = inner.placement.arcs().await?;
    let window = arcs.window(&inner.placement, shard.chunk, descriptor.redundancy()).await?;
    // Whoever has left the window is found by the next survey.
    let peer = window.iter().find(|peer| holder(peer) == of)?;
    let hash = descriptor.shard_hashes().get(usize::from(shard.index))?;

    let mut random = [0; 4];
    getrandom::fill(&mut random).ok()?;
    let leaf = u32::from_le_bytes(random) % leaves(descriptor.shard_len());
    let verdict = match inner.holders.client.prove(peer, shard, leaf, Instant::now() + limits::PROOF).await {
        Ok(Some(proof)) if verify(hash, descriptor.shard_len(), leaf, &proof) => Verdict::Passed,
        Ok(Some(_)) => Verdict::Failed,
        Ok(None) => Verdict::Admitted,
        Err(_) if claims(inner, peer, shard).await => Verdict::Silent,
        // It is away. The next survey notices.
        Err(_) => {
            inner.state().stats.audits.unanswered += 1;
            return None;
        }
    };
    let (ShardKey { chunk, index }, now) = (shard, now());
    let lost = {
        let mut state = inner.state();
        let audits = &mut state.stats.audits;
        match verdict {
            Verdict::Passed => audits.passed += 1,
            Verdict::Admitted | Verdict::Failed => audits.failed += 1,
            Verdict::Silent => audits.unanswered += 1,
        }
        state.standings.judge(of, chunk, index, verdict, now)
    };
    if lost {
        tracing::warn!(peer = %peer.id(), %chunk, index, ?verdict, "a holder does not have a shard that it said it has");
        inner.offer(Job {
            chunk,
            lane: Lane::Normal,
            margin: 0,
            not_before: now,
            bytes: 0,
            damaged: ShardSet::of(index),
        });
    }
    Some(())
}

/// Whether a holder that did not answer for a shard answers other questions, and still says that it has it.
async fn claims(inner: &Inner, peer: &Peer, shard: ShardKey) -> bool {
    let held = inner.holders.held(peer, &[shard.chunk], limits::PROOF).await;
    held.first().is_some_and(|set| set.contains(shard.index))
}
