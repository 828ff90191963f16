//! One at a time: who changes a file or a directory has it, and all below it, to itself until that is done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::path::Path;

/// What is claimed.
#[derive(Clone, Default)]
pub(crate) struct Claims {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    claimed: Mutex<Vec<Path>>,
    given_back: Notify,
}

/// Paths that nobody else has, until this is dropped.
pub(crate) struct Claim {
    paths: Vec<Path>,
    inner: Arc<Inner>,
}

impl Claims {
    /// Waits until nobody has any of these, nor a directory above, nor something below. Whoever has it has deadlines.
    pub(crate) async fn claim(&self, paths: Vec<Path>) -> Claim {
        loop {
            let given_back = self.inner.given_back.notified();
            tokio::pin!(given_back);
            // Before looking, so that what is given back in between is not missed.
            given_back.as_mut().enable();
            if self.try_claim(&paths) {
                return Claim { paths, inner: Arc::clone(&self.inner) };
            }
            given_back.await;
        }
    }

    fn try_claim(&self, paths: &[Path]) -> bool {
        let mut claimed = lock(&self.inner.claimed);
        let meets = |one: &Path, other: &Path| one.is_within(other) || other.is_within(one);
        if claimed.iter().any(|one| paths.iter().any(|other| meets(one, other))) {
            return false;
        }
        claimed.extend_from_slice(paths);
        true
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = lock(&self.inner.claimed);
        for path in &self.paths {
            if let Some(at) = claimed.iter().position(|one| one == path) {
                claimed.swap_remove(at);
            }
        }
        drop(claimed);
        self.inner.given_back.notify_waiters();
    }
}

fn lock(claimed: &Mutex<Vec<Path>>) -> MutexGuard<'_, Vec<Path>> {
    // No code panics while it holds the lock.
    claimed.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_directory_is_claimed_with_all_that_is_in_it() {
        let claims = Claims::default();
        let path = |text: &str| Path::new(text).unwrap();
        let first = claims.claim(vec![path("a/b")]).await;
        let _elsewhere = claims.claim(vec![path("a/bc"), path("x")]).now_or_never().unwrap();
        for meets in ["a", "a/b", "a/b/c", ""] {
            assert!(claims.claim(vec![path(meets)]).now_or_never().is_none(), "{meets}");
        }
        let mut second = Box::pin(claims.claim(vec![path("a/b/c")]));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        let _second = second.await;
    }
}
