//! Scrubbing: every shard on this disk is read against its hash within a period. What is damaged is dropped and told
//! to repair, before anybody asks for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_api::types::ScrubStatus;
use chordage_storage::{ChunkId, ShardKey};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::clock::wall_clock;
use crate::config::ScrubConfig;
use crate::datadir::DataDir;
use crate::store::Store;
use crate::tasks::Tasks;

/// Bytes read in one step: readers on a busy disk wait for no more than this.
const STEP_BYTES: u64 = 1 << 20;
/// A step that failed, or an empty store, is tried again after this at the latest.
const IDLE: Duration = Duration::from_secs(600);
/// How often the place is written down at most; what was read since is read again after a crash.
const REMEMBER_EVERY: Duration = Duration::from_secs(60);
/// The file in the data directory with the place.
const PLACE_FILE: &str = "scrub";

/// The scrubber of one daemon. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Scrubber {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    dir: Arc<DataDir>,
    config: ScrubConfig,
    pass: Mutex<Pass>,
    hurry: Notify,
}

/// A pass through everything.
#[derive(Clone, Copy, Debug, Default)]
struct Pass {
    /// Somebody waits for its end.
    hurried: bool,
    /// Where it is.
    after: Option<ShardKey>,
    shards: u64,
    bytes: u64,
    damaged: u64,
    /// Passes ended since the start, and when the last one did, in seconds since 1970 (also that of an earlier run).
    passes: u64,
    last_end: Option<u64>,
}

impl Scrubber {
    /// Goes on where the last run stopped.
    pub(crate) fn start(store: Store, dir: Arc<DataDir>, config: ScrubConfig, tasks: &Tasks) -> Scrubber {
        // A place that cannot be read is the beginning.
        let place = dir.read(PLACE_FILE).ok().flatten().unwrap_or_default();
        let (after, last_end) = parse_place(&String::from_utf8_lossy(&place));
        let pass = Mutex::new(Pass { after, last_end, ..Pass::default() });
        let inner = Arc::new(Inner { store, dir, config, pass, hurry: Notify::new() });
        let task = inner.clone();
        tasks.background("scrub", move || run(task.clone()));
        Scrubber { inner }
    }

    /// Begins a new pass now, as fast as the disk allows. One that is under way like that goes on.
    pub(crate) fn begin(&self) -> ScrubStatus {
        {
            let mut pass = self.inner.pass();
            if !pass.hurried {
                *pass =
                    Pass { hurried: true, passes: pass.passes, last_end: pass.last_end, ..Pass::default() };
            }
        }
        self.inner.hurry.notify_one();
        self.status()
    }

    /// How far it is.
    pub(crate) fn status(&self) -> ScrubStatus {
        let pass = *self.inner.pass();
        ScrubStatus {
            period_seconds: self.inner.config.period_seconds,
            hurried: pass.hurried,
            shards: pass.shards,
            bytes: pass.bytes,
            damaged: pass.damaged,
            passes: pass.passes,
            last_end_seconds_ago: pass.last_end.map(|end| now().saturating_sub(end)),
        }
    }
}

impl Inner {
    fn pass(&self) -> MutexGuard<'_, Pass> {
        // Each change is one step, so that a thread that panicked left it whole.
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait before a step of `shards`, so that all of them take a period.
    fn pause(&self, shards: u64) -> Duration {
        if self.pass().hurried {
            return Duration::ZERO;
        }
        if self.config.period_seconds == 0 {
            return IDLE;
        }
        let all = self.store.shards().usage().shards.max(1);
        let share = Duration::from_secs(self.config.period_seconds).as_secs_f64() * shards.min(all) as f64
            / all as f64;
        Duration::from_secs_f64(share.max(0.001))
    }

    async fn remember(&self) {
        let pass = *self.pass();
        let (dir, place) = (self.dir.clone(), place(pass.after, pass.last_end));
        let written = tokio::task::spawn_blocking(move || dir.write(PLACE_FILE, place.as_bytes()));
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "where the scrub is cannot be remembered");
        }
    }
}

async fn run(inner: Arc<Inner>) {
    let mut shards = 1;
    let mut remembered = Instant::now();
    loop {
        let pause = inner.pause(shards);
        if !pause.is_zero() {
            tokio::select! {
                () = sleep(pause) => {}
                () = inner.hurry.notified() => {}
            }
        }
        let (after, hurried) = {
            let pass = inner.pass();
            (pass.after, pass.hurried)
        };
        if !hurried && inner.config.period_seconds == 0 {
            continue;
        }
        let Ok(step) = inner.store.scrub(after, STEP_BYTES).await else {
            // The log says why. Whoever waits sees that it does not go on.
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        shards = step.shards.max(1);
        let ended = step.next.is_none();
        {
            let mut pass = inner.pass();
            if pass.hurried && !hurried {
                // A new pass was begun meanwhile: this step belongs to the old one.
                continue;
            }
            pass.shards += step.shards;
            pass.bytes += step.bytes;
            pass.damaged += step.damaged.len() as u64;
            pass.after = step.next;
            if ended {
                pass.passes += 1;
                pass.last_end = Some(now());
                pass.hurried = false;
                if pass.damaged > 0 {
                    tracing::warn!(damaged = pass.damaged, shards = pass.shards, "scrubbed");
                } else {
                    tracing::info!(shards = pass.shards, "scrubbed: everything is whole");
                }
            }
        }
        if ended || remembered.elapsed() >= REMEMBER_EVERY {
            inner.remember().await;
            remembered = Instant::now();
        }
        if ended {
            // The next pass counts anew, but only once somebody could have read the figures of this one.
            let pause = inner.pause(shards);
            tokio::select! {
                () = sleep(pause) => {}
                () = inner.hurry.notified() => {}
            }
            let mut pass = inner.pass();
            if !pass.hurried {
                (pass.shards, pass.bytes, pass.damaged) = (0, 0, 0);
            }
        }
    }
}

fn now() -> u64 {
    wall_clock().0 / 1000
}

/// The place as the file has it: the last shard that was read, and when the last pass ended.
fn place(after: Option<ShardKey>, last_end: Option<u64>) -> String {
    let after = after.map_or("-".to_owned(), |key| format!("{}/{}", key.chunk, key.index));
    format!("{after} {}\n", last_end.unwrap_or(0))
}

fn parse_place(text: &str) -> (Option<ShardKey>, Option<u64>) {
    let mut words = text.split_ascii_whitespace();
    let after = words.next().and_then(|word| {
        let (chunk, index) = word.split_once('/')?;
        Some(ShardKey { chunk: ChunkId::from_hex(chunk)?, index: index.parse().ok()? })
    });
    let last_end = words.next().and_then(|word| word.parse().ok()).filter(|end| *end > 0);
    (after, last_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_and_a_damaged_one_is_the_beginning() {
        let key = ShardKey { chunk: ChunkId([7; 32]), index: 19 };
        for found in [(Some(key), Some(12)), (None, Some(3)), (Some(key), None), (None, None)] {
            assert_eq!(parse_place(&place(found.0, found.1)), found);
        }
        for damaged in ["", "zz/1 x", "0707/300 5", "\u{fffd}"] {
            assert_eq!(parse_place(damaged).0, None, "{damaged}");
        }
    }
}
