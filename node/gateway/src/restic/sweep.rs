//! Forgetting what was deleted long ago, a bounded number at a time.

use std::sync::Arc;
use std::time::Duration;

use super::deleted::{DELETED, Deleted, is_in_use};
use super::path::RepositoryName;
use super::repository::{Change, Repositories, Repository, Stored};
use super::state::Shared;
use crate::front::now;
use crate::kept::{Error, Expect, Forgotten};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(600);
/// Deleted files that are looked at in one round, at most: 72,000 a day.
const LOOKED_AT_MAX: usize = 500;
/// How long after its grace a file stays noted whose object another daemon keeps, seconds. If that one has not come
/// back until then, its claims have ended or are about to.
const ELSEWHERE: u64 = 90 * 24 * 3600;

/// Sweeps for as long as it runs.
pub(crate) async fn for_ever<V: Repositories>(shared: Arc<Shared<V>>) {
    let mut rounds = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        let (in_task, first) = (Arc::clone(&shared), rounds);
        // In a task of its own, so that a panic ends one round and not all.
        let round = shared.changes.spawn(async move { sweep(&in_task, now(), first).await });
        match round.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => shared.counters.failed(&format!("looking at what was deleted: {error}")),
            Err(error) => tracing::error!(%error, "looking at what was deleted ended"),
        }
        rounds += 1;
    }
}

/// Forgets what was deleted before its grace, beginning with another repository every time; how many files were looked
/// at.
pub(crate) async fn sweep<V: Repositories>(
    shared: &Shared<V>,
    now: u64,
    first: usize,
) -> Result<usize, Error> {
    let mut names = shared.repositories.names().await?;
    if !names.is_empty() {
        let by = first % names.len();
        names.rotate_left(by);
    }
    let mut looked_at = 0;
    for name in &names {
        let Some(repository) = shared.repositories.open(name).await? else { continue };
        let keys = repository.list(DELETED).await?;
        let deleted: Vec<Deleted> = keys.iter().filter_map(|(key, _)| Deleted::parse(key)).collect();
        let is_over = |deleted: &&Deleted| deleted.when.saturating_add(shared.keep_deleted) < now;
        for one in deleted.iter().filter(is_over) {
            if looked_at == LOOKED_AT_MAX {
                return Ok(looked_at);
            }
            looked_at += 1;
            match bury(shared, &repository, name, *one, &deleted, now).await {
                // Whoever may write sweeps.
                Err(Error::ReadOnly(_)) => break,
                // One that cannot be forgotten must not keep all others.
                Err(Error::Other(problem)) => {
                    shared.counters.failed(&format!("forgetting what was deleted: {problem}"));
                }
                outcome => outcome?,
            }
        }
    }
    Ok(looked_at)
}

/// Forgets one file, unless it is in use again or was deleted once more later.
async fn bury<V, R: Repository>(
    shared: &Shared<V>,
    repository: &R,
    name: &RepositoryName,
    one: Deleted,
    all: &[Deleted],
    now: u64,
) -> Result<(), Error> {
    // Whoever changes it now may be about to use it.
    let Some(_claim) = shared.claims.try_claim(name, one.subject()) else { return Ok(()) };
    let key = one.key();
    if let Some(Stored::Object { link, .. }) = repository.get(&key).await? {
        let is_kept = is_in_use(repository, one.subject(), &link).await?
            || was_deleted_later(repository, one, all, &link).await?;
        // First the object and then what is known of it: a stop in between is made good by the next round.
        if !is_kept && repository.forget_object(&link).await? == Forgotten::KeptElsewhere {
            let noted_until = one.when.saturating_add(shared.keep_deleted).saturating_add(ELSEWHERE);
            if noted_until >= now {
                return Ok(());
            }
        }
    }
    repository.change(vec![Change::take_out(&key, Expect::Any)]).await?;
    Ok(())
}

/// Whether the same object was used again after that, and deleted once more.
async fn was_deleted_later<R: Repository>(
    repository: &R,
    one: Deleted,
    all: &[Deleted],
    link: &str,
) -> Result<bool, Error> {
    for later in all.iter().filter(|other| other.when > one.when && other.subject() == one.subject()) {
        let stored = repository.get(&later.key()).await?;
        if matches!(stored, Some(Stored::Object { link: of_later, .. }) if of_later == link) {
            return Ok(true);
        }
    }
    Ok(false)
}
