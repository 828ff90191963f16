//! Whether lease time passes: only while this daemon is in its network. To one that is cut off nobody could renew anything.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::transfer::Transfer;

/// How often it is looked who is there.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Counts until the daemon leaves. `knows_others`: it was told of others, or has met some in earlier runs; a daemon that has
/// never heard of anybody is a network of its own.
pub(crate) fn count_lease_time(transfer: Arc<Transfer>, knows_others: bool, leaving: CancellationToken) {
    let task = async move {
        tokio::select! {
            () = leaving.cancelled() => {}
            () = run(&transfer, knows_others) => {}
        }
    };
    tokio::spawn(task);
}

async fn run(transfer: &Transfer, mut knows_others: bool) {
    let mut counted = false;
    // It ends with the driver: then nothing passes any more.
    while let Some(neighbours) = transfer.driver.view().await.map(|view| view.leaf_set.len()) {
        knows_others |= neighbours > 0;
        let counts = neighbours > 0 || !knows_others;
        if counts != counted {
            transfer.store.count_lease_time(counts);
            counted = counts;
            if !counts {
                tracing::info!("nobody of the network is there: until then no claim ends");
            }
        }
        sleep(LOOK_EVERY).await;
    }
    transfer.store.count_lease_time(false);
}
