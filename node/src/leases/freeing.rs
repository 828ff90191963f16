//! Giving back the space of what nobody claims any more, a little at a time, so that nobody who reads or puts waits for
//! it.

use std::time::Duration;

use chordage_storage::{ChunkId, ShardKey};
use tokio::time::{Instant, sleep};

use crate::store::Store;

/// How often it is looked whether a claim has ended.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between two steps: the writer of shards and the disk belong to others meanwhile.
const PAUSE: Duration = Duration::from_millis(20);
/// Claims that came with shards are durable after so long at most; at the end of a put its holders make them durable at
/// once. A daemon that is killed sooner keeps the shards as nobody's for two periods of renewal.
const CLAIMS_FLUSHED_AFTER: Duration = Duration::from_millis(500);
/// How often the clock is written down. A crash turns it back by so much, and everything is kept so much longer.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// Shards that are looked at together for whether anybody claims them.
const ADOPT_BATCH: usize = 512;
/// How often everything held is looked through for what nobody claims.
const ADOPT_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the log says what was freed at most: whoever forgets a thousand objects wants no thousand lines.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// After a step that failed.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// What the log has said.
#[derive(Default)]
struct Said {
    shards: u64,
    at: Option<Instant>,
}

impl Said {
    /// Whether to say at `now` that so many `shards` were freed since the start.
    fn is_due(&mut self, shards: u64, now: Instant) -> bool {
        let due = shards > self.shards && self.at.is_none_or(|at| now.duration_since(at) >= SAY_EVERY);
        if due {
            *self = Said { shards, at: Some(now) };
        }
        due
    }
}

/// Frees, for ever.
pub(super) async fn run(store: &Store) {
    let mut flushed = Instant::now();
    let mut said = Said::default();
    // The last run may have ended before it gave back what it had freed.
    let mut freed_any = true;
    loop {
        if flushed.elapsed() >= FLUSH_EVERY {
            store.flush_leases().await;
            flushed = Instant::now();
        }
        let Ok(step) = store.free().await else {
            // The log says why.
            sleep(TRY_AGAIN).await;
            continue;
        };
        store.freeing().count(&step);
        freed_any |= step.shards > 0;
        if step.more {
            sleep(PAUSE).await;
            continue;
        }
        let (shards, bytes) = store.freeing().freed();
        if said.is_due(shards, Instant::now()) {
            tracing::info!(shards, bytes, "freed what nobody claims any more (since the start)");
        }
        if std::mem::take(&mut freed_any) {
            tracing::debug!(shards, bytes, "a pass has freed what nobody claims any more (since the start)");
            // What deletions could not give back to the file system.
            while store.compact().await {
                sleep(PAUSE).await;
            }
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = store.freeing().until_hurried() => {}
        }
    }
}

/// Makes claims durable soon after they were entered, many with one sync: a put does not wait for it.
pub(super) async fn make_durable(store: &Store) {
    loop {
        store.freeing().until_entered().await;
        sleep(CLAIMS_FLUSHED_AFTER).await;
        store.flush_leases().await;
    }
}

/// Looks through everything held, now and once a day, and gives what nobody claims a claim that is nobody's. Until it
/// has come by, nothing unclaimed is freed: only chunks whose last claim has ended are.
pub(super) async fn adopt(store: &Store) {
    loop {
        let mut adopted = 0;
        let mut after: Option<ShardKey> = None;
        loop {
            let Ok(listed) = store.list(after, ADOPT_BATCH).await else {
                sleep(TRY_AGAIN).await;
                continue;
            };
            let Some((last, _)) = listed.last().copied() else { break };
            let mut chunks: Vec<(ChunkId, u64)> = Vec::new();
            for (key, bytes) in listed {
                match chunks.last_mut() {
                    Some((chunk, sum)) if *chunk == key.chunk => *sum += u64::from(bytes),
                    _ => chunks.push((key.chunk, bytes.into())),
                }
            }
            let Ok(more) = store.adopt(chunks).await else {
                sleep(TRY_AGAIN).await;
                continue;
            };
            adopted += more;
            after = Some(last);
            sleep(PAUSE).await;
        }
        if adopted > 0 {
            tracing::info!(
                chunks = adopted,
                "nobody claims some of what is held here: it is kept until its writers had time to"
            );
        }
        sleep(ADOPT_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_forgets_are_one_line_and_the_last_one_is_told_too() {
        let (mut said, start) = (Said::default(), Instant::now());
        let lines = (1..=1000).filter(|n| said.is_due(*n, start + Duration::from_millis(*n))).count();
        assert_eq!(lines, 1);
        assert!(said.is_due(1000, start + SAY_EVERY * 2));
        assert!(!said.is_due(1000, start + SAY_EVERY * 4), "nothing was freed since");
    }
}
