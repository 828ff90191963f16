//! What is open, by number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module's description. The kernel closes what it has opened.
#[derive(Debug)]
pub(super) struct Handles<T>(Mutex<(u64, BTreeMap<u64, Arc<T>>)>);

impl<T> Handles<T> {
    pub(super) fn new() -> Self {
        Handles(Mutex::new((0, BTreeMap::new())))
    }

    /// Gives something a number.
    pub(super) fn open(&self, what: T) -> u64 {
        let mut open = self.lock();
        let (last, handles) = &mut *open;
        *last += 1;
        handles.insert(*last, Arc::new(what));
        *last
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<T>> {
        self.lock().1.get(&number).cloned()
    }

    pub(super) fn close(&self, number: u64) {
        // What it holds is dropped without the lock.
        let closed = self.lock().1.remove(&number);
        drop(closed);
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<T>>)> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
