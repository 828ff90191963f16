//! What goes on in the background, each for itself, until the daemon leaves.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{confirming, forgetting, freeing, presence, recovering, renewal};
use crate::datadir::DataDir;
use crate::transfer::Transfer;

/// Starts all of it. `knows_others`: the daemon was told of others, or has met some in earlier runs.
pub(crate) fn start(
    transfer: &Arc<Transfer>,
    dir: &Arc<DataDir>,
    knows_others: bool,
    leaving: &CancellationToken,
) {
    let of = || transfer.clone();
    let (counted, freed, adopted, durable) = (of(), of(), of(), of());
    let (confirmed, forgotten, recovered, renewed, dir) = (of(), of(), of(), of(), dir.clone());
    until(leaving, async move { presence::run(&counted, knows_others).await });
    until(leaving, async move { freeing::run(&freed.store).await });
    until(leaving, async move { freeing::adopt(&adopted.store).await });
    until(leaving, async move { freeing::make_durable(&durable.store).await });
    until(leaving, async move { confirming::run(&confirmed).await });
    until(leaving, async move { forgetting::run(&forgotten).await });
    until(leaving, async move { recovering::run(&recovered).await });
    until(leaving, async move { renewal::run(&renewed, &dir).await });
}

fn until(leaving: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(leaving.clone().run_until_cancelled_owned(work));
}
