//! Working off the queue: in the order of risk, within the budget.

use std::sync::Arc;
use std::time::Duration;

use chordage_storage::ChunkId;
use chordage_storage::repair::{Job, Lane};

use super::rebuild::{Unrepaired, rebuild};
use super::unmended::made_good;
use super::{Inner, now};

/// Looks at the queue again after this at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a daemon that knows nobody yet waits before it tries again to make good what was damaged on its disk.
const START_PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn run(inner: Arc<Inner>) {
    loop {
        match take(&inner) {
            Ok(job) => work(&inner, job).await,
            Err(wait) => {
                let queued = inner.queued.notified();
                // Whichever comes first; a job queued between the look and here is found a second later.
                let _ = tokio::time::timeout(wait.min(LOOK_AGAIN), queued).await;
            }
        }
    }
}

/// The next job, paid for, or how long to wait.
fn take(inner: &Inner) -> Result<Job, Duration> {
    if !inner.is_member() {
        return Err(LOOK_AGAIN);
    }
    let now = now();
    let mut state = inner.state();
    let braked = state.brake.holds(now).is_some();
    // Damage on this disk is no consequence of a partition, but whether others hold enough is not clear then either.
    let may = |lane: Lane| lane == Lane::Urgent || !braked;
    let Some(job) = state.queue.next(now, may) else {
        let turn = state.queue.next_turn(may);
        return Err(turn.map_or(LOOK_AGAIN, |turn| turn.since(now).max(Duration::from_millis(5))));
    };
    if let Err(wait) = state.bucket.take(job.bytes, job.lane, now) {
        state.queue.offer(job);
        // It waits for the budget, and a more pressing one that comes in meanwhile goes first.
        return Err(wait.max(Duration::from_millis(5)));
    }
    state.running.insert(job.chunk);
    Ok(job)
}

/// A chunk that is being repaired, and is not any more when this is dropped, be it by a panic.
struct Running<'a> {
    inner: &'a Inner,
    chunk: ChunkId,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.inner.state().running.remove(&self.chunk);
    }
}

async fn work(inner: &Inner, job: Job) {
    let running = Running { inner, chunk: job.chunk };
    let outcome = rebuild(inner, &job).await;
    drop(running);
    if !job.damaged.is_empty() {
        match &outcome {
            Err((Unrepaired::NotNeeded, _)) => made_good(inner, job.chunk, job.damaged).await,
            // Looking again tells whether all of it was.
            Ok(_) => inner.holders.store.look_at_damage(),
            Err(_) => {}
        }
    }
    let mut state = inner.state();
    let moved = match &outcome {
        Ok(done) => done.fetched + done.sent,
        Err((_, moved)) => *moved,
    };
    // The budget was charged with what was expected.
    let difference = i128::from(moved) - i128::from(job.bytes);
    state.bucket.correct(i64::try_from(difference).unwrap_or(i64::MAX));
    match outcome {
        Ok(done) => {
            state.stats.repaired_chunks += 1;
            state.stats.repaired_shards += u64::from(done.shards);
            state.stats.fetched_bytes += done.fetched;
            state.stats.sent_bytes += done.sent;
            state.stats.needed_bytes += done.needed;
            state.setbacks.forget(&job.chunk);
            tracing::info!(chunk = %job.chunk, lane = ?job.lane, shards = done.shards, "repaired");
        }
        Err((Unrepaired::NotNeeded, moved)) => {
            state.stats.fetched_bytes += moved;
            state.setbacks.forget(&job.chunk);
        }
        Err((Unrepaired::Interrupted, moved)) => state.stats.fetched_bytes += moved,
        // The daemon has just started, and no survey may come by for long: only this node knows of its damage.
        Err((Unrepaired::NobodyToAsk, _)) if !job.damaged.is_empty() => {
            state.queue.offer(Job { not_before: now().after(START_PATIENCE), ..job });
        }
        Err((reason, moved)) => {
            state.stats.fetched_bytes += moved;
            state.stats.failed += 1;
            let (chunk, lane) = (job.chunk, job.lane);
            // Once is enough: `status` goes on saying it.
            if state.setbacks.note(chunk, reason, now()) {
                tracing::warn!(%chunk, ?lane, %reason, "not repaired; it is tried again, ever less often");
            } else {
                tracing::debug!(%chunk, ?lane, %reason, "not repaired again");
            }
        }
    }
}
