//! The end of a run: everything is forgotten, and then nothing may be stored any more.

use std::time::Duration;

use chordage_api::client::Client;
use chordage_api::types::KeepState;

use super::{LEASE, World};
use crate::network::{STATUS_TIMEOUTS, Testnet};
use crate::wait::wait_until;

/// How long it may take until everything is freed: as long as the claims last of daemons that are gone for good, and
/// some.
const FREE_WAIT: Duration = LEASE.saturating_add(Duration::from_secs(60));

/// Forgets everything that any daemon keeps, and notes what is stored all the same when every lease has ended.
pub(super) async fn forget_everything(net: &Testnet, world: &World) {
    let nothing = async || {
        let mut left = Vec::new();
        for index in net.living() {
            let client = net.client(index).map_err(|error| error.to_string())?;
            let client = client.with_timeouts(STATUS_TIMEOUTS);
            // What was recovered of a damaged book may come late.
            forget_all(&client).await?;
            let status = client.status().await.map_err(|error| error.to_string())?;
            if status.store.shards > 0 {
                left.push(format!(
                    "daemon {index} has {} shards ({:?})",
                    status.store.shards, status.duties.leases
                ));
            }
        }
        if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
    };
    if let Err(error) = wait_until("nothing is stored that nobody keeps", FREE_WAIT, nothing).await {
        let mut state = world.state();
        state.report.left += 1;
        state.report.findings.push(error.to_string());
    }
}

/// Forgets what a daemon keeps.
async fn forget_all(client: &Client) -> Result<(), String> {
    let mut after: Option<String> = None;
    loop {
        let page = client.keeps(after.as_deref()).await.map_err(|error| error.to_string())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.verify_link.clone());
        for kept in page.iter().filter(|kept| kept.state != KeepState::Forgetting) {
            client.forget(&kept.verify_link).await.map_err(|error| error.to_string())?;
        }
    }
}
