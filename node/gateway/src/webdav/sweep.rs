//! Forgetting the objects of what was deleted or replaced long ago, a bounded number at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::deleted::{self, DELETED};
use super::entry::{Entry, Grave};
use super::path::FILES;
use super::state::Shared;
use super::store::Store;
use crate::front::now;
use crate::kept::{Change, Error, Expect, Forgotten};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(600);
/// Objects that are forgotten in one round, at most.
const FORGOTTEN_MAX: usize = 500;
/// Notes and files that are looked at, at most.
const LOOKED_AT_MAX: usize = 2_000_000;
/// How long nothing is forgotten even if nothing is to be kept, seconds: a copy of it may be under way.
const LEAST: u64 = 120;
/// How long after its time a note stays whose object another daemon keeps, seconds. If that one has not come back until
/// then, its claims have ended or are about to.
const ELSEWHERE: u64 = 90 * 24 * 3600;

/// Sweeps for as long as it runs.
pub(crate) async fn for_ever<S: Store>(shared: Arc<Shared<S>>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let in_task = Arc::clone(&shared);
        // In a task of its own, so that a panic ends one round and not all.
        let round = shared.changes.spawn(async move { sweep(&in_task, now()).await });
        match round.await {
            // Whoever may write sweeps.
            Ok(Ok(_) | Err(Error::ReadOnly(_))) => {}
            Ok(Err(error)) => shared.counters.failed(&format!("looking at what was deleted: {error}")),
            Err(error) => tracing::error!(%error, "looking at what was deleted ended"),
        }
    }
}

/// Forgets what was deleted before its time; how many notes and orphans were looked at.
pub(crate) async fn sweep<S: Store>(shared: &Shared<S>, now: u64) -> Result<usize, Error> {
    let orphans = shared.orphans();
    let keep = shared.keep_deleted.max(LEAST);
    let is_over = |key: &str| deleted::when(key).is_some_and(|when| when.saturating_add(keep) < now);
    let notes = shared.store.list(DELETED, LOOKED_AT_MAX).await?;
    let mut over = Vec::new();
    let mut used: BTreeSet<String> = BTreeSet::new();
    for (key, bytes) in notes {
        let Some(link) = Grave::decode(&key, &bytes)?.entry.link else { continue };
        if is_over(&key) && over.len() < FORGOTTEN_MAX {
            over.push((key, link));
        } else {
            used.insert(link);
        }
    }
    if over.is_empty() && orphans.is_empty() {
        return Ok(0);
    }
    shared.uses.look();
    for (key, bytes) in shared.store.list(FILES, LOOKED_AT_MAX).await? {
        used.extend(Entry::decode(&key, &bytes)?.link);
    }
    let looked_at = over.len() + orphans.len();
    let buried: BTreeSet<String> = over.iter().map(|(_, link)| link.clone()).collect();
    for orphan in &orphans {
        let is_used = used.contains(orphan);
        if is_used || (!buried.contains(orphan) && forget(shared, orphan).await.is_some()) {
            shared.entered(orphan);
        }
    }
    let mut gone = Vec::new();
    let mut forgotten: BTreeSet<String> = BTreeSet::new();
    for (key, link) in over {
        if used.contains(&link) || forgotten.contains(&link) {
            gone.push(Change::take_out(&key, Expect::Any));
            continue;
        }
        let noted_until = deleted::when(&key).unwrap_or(0).saturating_add(keep).saturating_add(ELSEWHERE);
        // First the object and then what is known of it: a stop in between is made good by the next round.
        match forget(shared, &link).await {
            Some(Forgotten::Done) => {
                forgotten.insert(link);
                gone.push(Change::take_out(&key, Expect::Any));
            }
            Some(Forgotten::KeptElsewhere) if noted_until < now => {
                gone.push(Change::take_out(&key, Expect::Any));
            }
            Some(Forgotten::KeptElsewhere) | None => {}
        }
    }
    if !gone.is_empty() {
        shared.store.change(gone, Vec::new()).await?;
    }
    Ok(looked_at)
}

/// Forgets an object that the map did not use; `None` if it cannot be now.
async fn forget<S: Store>(shared: &Shared<S>, link: &str) -> Option<Forgotten> {
    if !shared.uses.may_forget(link) {
        return None;
    }
    let outcome = shared.store.forget_object(link).await;
    shared.uses.forgot(link);
    match outcome {
        Ok(outcome) => Some(outcome),
        Err(error) => {
            // One that cannot be forgotten must not keep all others.
            shared.counters.failed(&format!("forgetting what was deleted: {error}"));
            None
        }
    }
}
