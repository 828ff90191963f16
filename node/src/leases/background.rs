//! What goes on in the background, each for itself, until the daemon leaves.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::Leases;
use super::{confirming, forgetting, freeing, presence, recovering, renewal};
use crate::datadir::DataDir;
use crate::tasks::Tasks;

/// Starts all of it. `knows_others`: the daemon was told of others, or has met some in earlier runs.
pub(crate) fn start(leases: &Arc<Leases>, dir: &Arc<DataDir>, knows_others: bool, tasks: &Tasks) {
    let run = |name, work: fn(Arc<Leases>) -> BoxFuture<'static, ()>| {
        let leases = leases.clone();
        tasks.background(name, move || work(leases.clone()));
    };
    run("freeing", |of| Box::pin(async move { freeing::run(&of.holders.store).await }));
    run("adopting", |of| Box::pin(async move { freeing::adopt(&of.holders.store).await }));
    run("durable claims", |of| Box::pin(async move { freeing::make_durable(&of.holders.store).await }));
    run("confirming", |of| Box::pin(async move { confirming::run(&of).await }));
    run("forgetting", |of| Box::pin(async move { forgetting::run(&of).await }));
    run("recovering", |of| Box::pin(async move { recovering::run(&of).await }));
    let counted = leases.clone();
    tasks.background("presence", move || {
        let counted = counted.clone();
        async move { presence::run(&counted, knows_others).await }
    });
    let (renewed, dir) = (leases.clone(), dir.clone());
    tasks.background("renewal", move || {
        let (renewed, dir) = (renewed.clone(), dir.clone());
        async move { renewal::run(&renewed, &dir).await }
    });
}
