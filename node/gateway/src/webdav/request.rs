//! One request: what it sees, what it wants, and why it failed if it did.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dav_server::fs::FsError;

use super::entry::Entry;
use super::path::Path;
use super::state::Shared;
use super::store::Store;
use super::tree::Tree;
use super::uses::Using;
use crate::front::Failure;
use crate::kept::Error;

/// Entries that a request looks at, at most.
pub(crate) const ENTRIES_MAX: usize = 100_000;

/// Why something failed, for whoever answers: what lies between knows fewer reasons.
#[derive(Clone, Default)]
pub(crate) struct Note(Arc<Mutex<Option<Failure>>>);

impl Note {
    /// The first is the reason of all others.
    pub(crate) fn write(&self, failure: Failure) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    pub(crate) fn take(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes a failure; what the answer is made of then.
    pub(crate) fn failed(&self, failure: impl Into<Failure>) -> FsError {
        self.write(failure.into());
        FsError::GeneralFailure
    }
}

/// One request. All clones are the same.
pub(crate) struct Request<S> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) note: Note,
    /// Up to which byte a file is read, if that is known: nothing behind it is fetched.
    pub(crate) read_until: Option<u64>,
    /// When what is written was changed, if that is said; milliseconds since 1970.
    pub(crate) modified: Option<u64>,
    tree: Arc<Mutex<Tree>>,
    using: Arc<Mutex<Vec<Using>>>,
}

impl<S> Clone for Request<S> {
    fn clone(&self) -> Self {
        Request {
            shared: Arc::clone(&self.shared),
            note: self.note.clone(),
            read_until: self.read_until,
            modified: self.modified,
            tree: Arc::clone(&self.tree),
            using: Arc::clone(&self.using),
        }
    }
}

impl<S: Store> Request<S> {
    pub(crate) fn new(shared: Arc<Shared<S>>, read_until: Option<u64>, modified: Option<u64>) -> Self {
        let (note, tree, using) = (Note::default(), Arc::default(), Arc::default());
        Request { shared, note, read_until, modified, tree, using }
    }

    pub(crate) fn tree(&self) -> MutexGuard<'_, Tree> {
        // No code panics while it holds the lock.
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object that the request wants to use, until it is over.
    pub(crate) fn uses(&self, using: Using) {
        self.using.lock().unwrap_or_else(PoisonError::into_inner).push(using);
    }

    /// Bytes of a file that was written.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.tree().wanted_bytes()
    }

    /// What is there, if anything is.
    pub(crate) async fn find(&self, path: &Path) -> Result<Option<Entry>, Error> {
        if let Some(found) = self.tree().find(path) {
            return Ok(found);
        }
        let key = path.key();
        let found = self.shared.store.get(&key).await?;
        let found = found.map(|bytes| Entry::decode(&key, &bytes)).transpose()?;
        self.tree().learn(path.clone(), found.clone());
        Ok(found)
    }

    /// The same where it has to be there.
    pub(crate) async fn entry(&self, path: &Path) -> Result<Entry, FsError> {
        let found = self.find(path).await.map_err(|error| self.note.failed(error))?;
        found.ok_or(FsError::NotFound)
    }

    /// Learns all that lies in a directory, or fails.
    pub(crate) async fn learn_children(&self, directory: &Path) -> Result<(), Error> {
        if self.tree().knows_children(directory) {
            return Ok(());
        }
        self.learn(&directory.children(), ENTRIES_MAX).await?;
        self.tree().listed(directory.clone());
        Ok(())
    }

    /// Learns all that lies somewhere below a directory, or fails.
    pub(crate) async fn learn_below(&self, directory: &Path) -> Result<(), Error> {
        self.learn(&directory.below(), ENTRIES_MAX).await?;
        self.tree().whole(directory.clone());
        Ok(())
    }

    async fn learn(&self, prefix: &str, most: usize) -> Result<(), Error> {
        let found = self.shared.store.list(prefix, most).await?;
        let mut learnt = Vec::with_capacity(found.len());
        for (key, bytes) in found {
            // To leave it out would be a list that is not complete.
            let path = Path::of_key(&key).ok_or_else(|| crate::kept::not_ours(&key))?;
            learnt.push((path, Entry::decode(&key, &bytes)?));
        }
        let mut tree = self.tree();
        for (path, entry) in learnt {
            tree.learn(path, Some(entry));
        }
        Ok(())
    }
}
