//! One at a time: who changes a file has it to itself until that is done.
//!
//! What is uploaded while the same content is being forgotten would be lost with it, because equal content is one
//! object.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::path::{FileId, RepositoryName};

/// A file, of whichever kind.
type Subject = (RepositoryName, FileId);

/// Which files are claimed.
#[derive(Clone, Default)]
pub(crate) struct Claims {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    claimed: Mutex<BTreeSet<Subject>>,
    given_back: Notify,
}

/// A file that nobody else has, until this is dropped.
pub(crate) struct Claim {
    subject: Subject,
    inner: Arc<Inner>,
}

impl Claims {
    /// Waits until nobody has the file. Whoever has it has deadlines.
    pub(crate) async fn claim(&self, repository: &RepositoryName, id: FileId) -> Claim {
        loop {
            // Before looking, so that what is given back in between is not missed.
            let given_back = self.inner.given_back.notified();
            if let Some(claim) = self.try_claim(repository, id) {
                return claim;
            }
            given_back.await;
        }
    }

    /// The file, if nobody has it.
    pub(crate) fn try_claim(&self, repository: &RepositoryName, id: FileId) -> Option<Claim> {
        let subject = (repository.clone(), id);
        let is_free = lock(&self.inner.claimed).insert(subject.clone());
        is_free.then(|| Claim { subject, inner: Arc::clone(&self.inner) })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.inner.claimed).remove(&self.subject);
        self.inner.given_back.notify_waiters();
    }
}

fn lock(claimed: &Mutex<BTreeSet<Subject>>) -> MutexGuard<'_, BTreeSet<Subject>> {
    // No code panics while it holds the lock.
    claimed.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_file_is_one_at_a_time_and_others_are_not_kept_waiting() {
        let (claims, name) = (Claims::default(), RepositoryName::default());
        let (one, other) = (FileId([1; 32]), FileId([2; 32]));
        let first = claims.claim(&name, one).await;
        let _elsewhere = claims.try_claim(&name, other).unwrap();
        assert!(claims.try_claim(&name, one).is_none());
        let mut second = Box::pin(claims.claim(&name, one));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        let second = second.await;
        assert!(claims.try_claim(&name, one).is_none());
        drop(second);
        assert!(claims.try_claim(&name, one).is_some());
    }
}
