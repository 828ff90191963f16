//! What is wrong with the disk under the store, said once in the log and as long as it lasts in the status.

use std::time::Duration;

use chordage_storage::ShardStore;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// How often the disk is looked at. A put looks for itself.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is wrong with the disk under `shards` now; `None` if nothing is.
pub(crate) fn problem(shards: &ShardStore) -> Option<String> {
    let removed = shards.check_in_place().err()?;
    Some(format!(
        "{removed}; nothing is kept here any more, and what was is lost when this daemon ends: restart it"
    ))
}

/// Looks at the disk now and then, and logs when something is wrong with it, and when that is over.
pub(crate) fn watch_in_background(store: Store, leaving: CancellationToken) {
    tokio::spawn(async move {
        let mut logged = None;
        while !leaving.is_cancelled() {
            let shards = store.clone();
            let now = tokio::task::spawn_blocking(move || problem(shards.shards())).await.unwrap_or_default();
            if now != logged {
                match &now {
                    Some(problem) => tracing::error!("{problem}"),
                    None => tracing::info!("the disk is well again"),
                }
                logged = now;
            }
            tokio::select! {
                () = leaving.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    });
}
