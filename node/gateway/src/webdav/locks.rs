//! Locks, which lie in memory: they end with the daemon, when their time is over, or when whoever has one gives it
//! back. There are so many and no more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dav_server::davpath::DavPath;
use dav_server::ls::{DavLock, DavLockSystem, LsFuture};
use dav_server::memls::MemLs;
use xmltree::Element;

/// Locks at a time.
const LOCKS_MAX: usize = 10_000;
/// How long a lock lasts whose owner did not say it, or wants it for ever.
const LASTS: Duration = Duration::from_secs(3600);

/// Locks in memory, with an end.
#[derive(Clone, Debug)]
pub(crate) struct Locks {
    held: Box<MemLs>,
    ends: Arc<Mutex<Vec<End>>>,
}

#[derive(Debug)]
struct End {
    at: Instant,
    path: DavPath,
    token: String,
}

impl Default for Locks {
    fn default() -> Self {
        Locks { held: MemLs::new(), ends: Arc::default() }
    }
}

impl Locks {
    fn ends(&self) -> MutexGuard<'_, Vec<End>> {
        // No code panics while it holds the lock.
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away those whose time is over.
    fn expire(&self) {
        let now = Instant::now();
        self.ends().retain(|end| {
            let is_over = end.at <= now;
            if is_over {
                // Made and answered at once; one that was given back is not there any more.
                drop(self.held.unlock(&end.path, &end.token));
            }
            !is_over
        });
    }

    fn ends_after(&self, lock: &DavLock, after: Duration) {
        let mut ends = self.ends();
        ends.retain(|end| end.token != lock.token);
        ends.push(End { at: Instant::now() + after, path: (*lock.path).clone(), token: lock.token.clone() });
    }

    /// What somebody is told who wants one too many.
    fn none_left(path: &DavPath) -> DavLock {
        DavLock {
            token: String::new(),
            path: Box::new(path.clone()),
            principal: None,
            owner: None,
            timeout_at: None,
            timeout: None,
            shared: false,
            deep: false,
        }
    }
}

impl DavLockSystem for Locks {
    fn lock(
        &'_ self,
        path: &DavPath,
        principal: Option<&str>,
        owner: Option<&Element>,
        timeout: Option<Duration>,
        shared: bool,
        deep: bool,
    ) -> LsFuture<'_, Result<DavLock, DavLock>> {
        self.expire();
        if self.ends().len() >= LOCKS_MAX {
            let none_left = Locks::none_left(path);
            return Box::pin(std::future::ready(Err(none_left)));
        }
        let lasts = timeout.unwrap_or(LASTS).min(LASTS);
        let locking = self.held.lock(path, principal, owner, Some(lasts), shared, deep);
        Box::pin(async move {
            let lock = locking.await?;
            self.ends_after(&lock, lasts);
            Ok(lock)
        })
    }

    fn unlock(&'_ self, path: &DavPath, token: &str) -> LsFuture<'_, Result<(), ()>> {
        self.expire();
        self.ends().retain(|end| end.token != token);
        self.held.unlock(path, token)
    }

    fn refresh(
        &'_ self,
        path: &DavPath,
        token: &str,
        timeout: Option<Duration>,
    ) -> LsFuture<'_, Result<DavLock, ()>> {
        self.expire();
        let lasts = timeout.unwrap_or(LASTS).min(LASTS);
        let refreshing = self.held.refresh(path, token, Some(lasts));
        Box::pin(async move {
            let lock = refreshing.await?;
            self.ends_after(&lock, lasts);
            Ok(lock)
        })
    }

    fn check(
        &'_ self,
        path: &DavPath,
        principal: Option<&str>,
        ignore_principal: bool,
        deep: bool,
        submitted_tokens: &[String],
    ) -> LsFuture<'_, Result<(), DavLock>> {
        self.expire();
        self.held.check(path, principal, ignore_principal, deep, submitted_tokens)
    }

    fn discover(&'_ self, path: &DavPath) -> LsFuture<'_, Vec<DavLock>> {
        self.expire();
        self.held.discover(path)
    }

    fn delete(&'_ self, path: &DavPath) -> LsFuture<'_, Result<(), ()>> {
        self.held.delete(path)
    }
}
