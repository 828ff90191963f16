//! Whether lease time passes: only while this daemon is in its network. To one that is cut off nobody could renew
//! anything.

use std::time::Duration;

use tokio::time::sleep;

use super::Leases;

/// How often it is looked who is there.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Counts as long as the daemon is there. `knows_others`: it was told of others, or has met some in earlier runs; a
/// daemon that has never heard of anybody is a network of its own.
pub(super) async fn run(leases: &Leases, mut knows_others: bool) {
    let mut counted = false;
    // It ends with the driver: then nothing passes any more.
    while let Some(neighbours) = leases.placement.driver.status().await.map(|status| status.leaf_set) {
        knows_others |= neighbours > 0;
        let counts = neighbours > 0 || !knows_others;
        if counts != counted {
            leases.holders.store.count_lease_time(counts);
            counted = counts;
            if !counts {
                tracing::info!("nobody of the network is there: until then no claim ends");
            }
        }
        sleep(LOOK_EVERY).await;
    }
    leases.holders.store.count_lease_time(false);
}
