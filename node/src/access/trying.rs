//! Trying keys until one has the work that an open network asks for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, available_parallelism, scope};

use libp2p::identity::ed25519;
use tokio::sync::Notify;

use super::AccessError;
use crate::network::work::IdWork;

/// Keys between two looks at whether somebody else has found one, or nobody waits any more. Design: a few milliseconds.
const LOOK_EVERY: u64 = 64;

/// How far trying keys is; and a way to have it, or waiting for an answer, end.
#[derive(Debug, Default)]
pub struct Trying {
    tried: AtomicU64,
    expected: AtomicU64,
    stopped: AtomicBool,
    told: Notify,
}

impl Trying {
    /// How many keys have been tried.
    pub fn tried(&self) -> u64 {
        self.tried.load(Ordering::Relaxed)
    }

    /// Of how many keys one will do, once that is known.
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Has it end without a key, unless it has one already.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.told.notify_one();
    }

    /// Waits until it is stopped.
    pub(super) async fn until_stopped(&self) {
        self.told.notified().await;
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// What is behind a secret key.
pub(super) fn pair_of(secret: &[u8; 32]) -> Option<ed25519::Keypair> {
    // What is given is erased.
    ed25519::SecretKey::try_from_bytes(&mut secret.clone()).ok().map(Into::into)
}

/// Tries keys on all cores; returns the secret half of one that shows the work.
pub(super) fn find(work: IdWork, trying: &Trying) -> Result<[u8; 32], AccessError> {
    trying.expected.store(work.tries(), Ordering::Relaxed);
    let found: Mutex<Option<Result<[u8; 32], AccessError>>> = Mutex::new(None);
    let is_over = || trying.is_stopped() || found.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    let search = || {
        while !is_over() {
            if let Some(end) = some_tries(work).transpose() {
                *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
            }
            trying.tried.fetch_add(LOOK_EVERY, Ordering::Relaxed);
        }
    };
    scope(|threads| {
        for _ in 1..available_parallelism().map_or(1, usize::from) {
            // Where the system has no more threads, fewer do it too.
            drop(Builder::new().name("trying keys".to_owned()).spawn_scoped(threads, search));
        }
        search();
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or(Err(AccessError::Stopped))
}

fn some_tries(work: IdWork) -> Result<Option<[u8; 32]>, AccessError> {
    for _ in 0..LOOK_EVERY {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let has_work = pair_of(&secret).is_some_and(|pair| work.is_shown_by(&pair.public().to_bytes()));
        if has_work {
            return Ok(Some(secret));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_found_has_the_work_and_is_another_each_time() {
        let work = IdWork::of(7);
        let keys = [0; 3].map(|_| {
            let secret = find(work, &Trying::default()).expect("soon");
            pair_of(&secret).expect("32 bytes").public().to_bytes()
        });
        assert!(keys.iter().all(|key| work.is_shown_by(key)));
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }

    #[test]
    fn it_ends_when_it_is_stopped() {
        let trying = Trying::default();
        let ended = scope(|threads| {
            let search = threads.spawn(|| find(IdWork::of(200), &trying));
            while trying.tried() == 0 {
                std::thread::yield_now();
            }
            trying.stop();
            search.join().expect("no panic")
        });
        assert!(matches!(ended, Err(AccessError::Stopped)), "{ended:?}");
    }

    /// How much work a core does. Run with `--release -- --ignored --nocapture`.
    #[test]
    #[ignore = "it measures"]
    fn keys_per_second() {
        let (started, tries) = (std::time::Instant::now(), 2000);
        for _ in 0..tries {
            assert!(matches!(some_tries(IdWork::of(255)), Ok(None)));
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("{:.0} keys a second on one core", (tries * LOOK_EVERY) as f64 / seconds);
    }
}
