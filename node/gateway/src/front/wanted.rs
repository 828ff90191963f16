//! Whether somebody waits for what others have: a place, or a turn.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// Who leaves for somebody may have had something else than was wanted: so often it is said again.
const AGAIN: Duration = Duration::from_millis(250);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Wanted(Arc<watch::Sender<bool>>);

impl Default for Wanted {
    fn default() -> Self {
        Wanted(Arc::new(watch::Sender::new(false)))
    }
}

/// Whoever waits, also if that ends before there is something.
struct Waiting<'a>(&'a Wanted);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Others who wait say so again.
        self.0.0.send_replace(false);
    }
}

impl Wanted {
    /// Waits for something, and has others know of it meanwhile.
    pub(crate) async fn until<T>(&self, what: impl Future<Output = T>) -> T {
        let mut what = pin!(what);
        let _waiting = Waiting(self);
        loop {
            self.0.send_replace(true);
            tokio::select! {
                biased;
                there = what.as_mut() => return there,
                () = sleep(AGAIN) => {}
            }
        }
    }

    /// Ready when somebody waits, also if that began before.
    pub(crate) async fn is_so(&self) {
        // Whoever could wait lives as long as this does.
        let _ = self.0.subscribe().wait_for(|wanted| *wanted).await;
    }

    /// One leaves for whoever waits. Whether nobody else does.
    pub(crate) fn leave(&self) -> bool {
        self.0.send_if_modified(std::mem::take)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn one_leaves_for_whoever_waits_until_it_is_said_again() {
        let (wanted, places) = (Wanted::default(), Semaphore::new(0));
        assert!(!wanted.leave() && wanted.is_so().now_or_never().is_none());
        let mut waits = Box::pin(wanted.until(places.acquire()));
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(wanted.leave() && !wanted.leave(), "one is enough");
        tokio::select! {
            _ = waits.as_mut() => unreachable!("there is no place"),
            () = wanted.is_so() => {}
        }
        places.add_permits(1);
        waits.await.unwrap().forget();
        assert!(!wanted.leave(), "nobody waits any more");
        assert!(wanted.until(places.acquire()).now_or_never().is_none());
        assert!(!wanted.leave(), "whoever went away does not wait");
    }
}
