//! What is wrong with the disk under the store, said once in the log and as long as it lasts in the status; and the
//! room that is kept in reserve for the books.

use std::panic::resume_unwind;
use std::time::Duration;

use chordage_api::types::DamageStatus;
use chordage_storage::ShardStore;
use chordage_storage::store::Reserve;

use crate::store::Store;
use crate::tasks::Tasks;

/// How often the disk is looked at. A put looks for itself.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Part of the quota that is kept in reserve for the books, within the bounds below. A step of forgetting or freeing
/// changes some hundred rows, each in a page of 4 KiB or two.
const RESERVE_PART: u64 = 64;
const RESERVE_MIN: u64 = 1 << 20;
const RESERVE_MAX: u64 = 8 << 20;

/// Bytes kept in reserve beside a store with this quota.
pub(crate) fn reserve_bytes(quota_bytes: u64) -> u64 {
    (quota_bytes / RESERVE_PART).clamp(RESERVE_MIN, RESERVE_MAX)
}

/// What is wrong with the disk under `shards` now; `None` if nothing is.
fn problem(shards: &ShardStore) -> Option<String> {
    if let Err(removed) = shards.check_in_place() {
        return Some(format!(
            "{removed}; nothing is kept here any more, and what was is lost when this daemon ends: restart it"
        ));
    }
    match shards.room() {
        Ok(0) => Some(
            "the disk is full; no more shards are taken, and what is held stays and is served: free space on it, or \
             forget what is not needed"
                .to_owned(),
        ),
        Ok(_) => None,
        Err(error) => Some(format!("it is not known how full the disk is: {error}")),
    }
}

/// What is wrong with the disk under `store` now, and with what was on it.
pub(crate) async fn damage(store: &Store) -> DamageStatus {
    DamageStatus {
        disk_problem: problem(store.shards()),
        damaged_shards: store.damaged(),
        // A disk that does not say it shows in `disk_problem`.
        unmended_shards: store.unmended().await.unwrap_or_default(),
    }
}

/// Looks at the disk now and then, and logs when something is wrong with it, and when that is over. Fills the reserve
/// again when there is room.
pub(crate) fn watch_in_background(store: Store, reserve: Reserve, tasks: &Tasks) {
    tasks.background("disk watch", move || watch(store.clone(), reserve.clone()));
}

async fn watch(store: Store, reserve: Reserve) {
    let mut logged = None;
    loop {
        let (shards, reserve) = (store.clone(), reserve.clone());
        let look = move || {
            let problem = problem(shards.shards());
            if problem.is_none()
                && let Err(error) = reserve.fill()
            {
                // The next look tries again; until then a full disk may keep books from being written.
                tracing::debug!(%error, "the reserve cannot be filled");
            }
            problem
        };
        let now = match tokio::task::spawn_blocking(look).await {
            Ok(now) => now,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime ends.
            Err(_) => return,
        };
        if now != logged {
            match &now {
                Some(problem) => tracing::error!("{problem}"),
                None => tracing::info!("the disk is well again"),
            }
            logged = now;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
