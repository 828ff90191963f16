//! Files that Finder asks for wherever it looks: `._NAME` beside every file, `.DS_Store` in every directory. That they
//! are not there is known from the list of the directory, which Finder asks for first; so most of these questions ask
//! nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::path::Path;

/// How long a list is believed.
const BELIEVED: Duration = Duration::from_secs(5);
/// Directories whose lists are remembered.
const DIRECTORIES_MAX: usize = 64;

/// What was seen of such files.
#[derive(Default)]
pub(crate) struct Finder {
    seen: Mutex<BTreeMap<Path, (Instant, BTreeSet<Path>)>>,
}

/// Whether it is a file of Finder's.
pub(crate) fn is_finders(path: &Path) -> bool {
    path.name().starts_with("._") || path.name() == ".DS_Store"
}

impl Finder {
    /// All that lies in a directory is this.
    pub(crate) fn listed(&self, directory: &Path, children: impl Iterator<Item = Path>) {
        let mut seen = self.lock();
        if seen.len() >= DIRECTORIES_MAX && !seen.contains_key(directory) {
            let oldest = seen.iter().min_by_key(|(_, (when, _))| *when).map(|(path, _)| path.clone());
            oldest.and_then(|oldest| seen.remove(&oldest));
        }
        seen.insert(directory.clone(), (Instant::now(), children.filter(is_finders).collect()));
    }

    /// Something has changed.
    pub(crate) fn changed(&self) {
        self.lock().clear();
    }

    /// Whether such a file was not there a moment ago.
    pub(crate) fn is_absent(&self, path: &Path) -> bool {
        let Some(parent) = path.parent().filter(|_| is_finders(path)) else { return false };
        let seen = self.lock();
        seen.get(&parent).is_some_and(|(when, there)| when.elapsed() < BELIEVED && !there.contains(path))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Path, (Instant, BTreeSet<Path>)>> {
        // No code panics while it holds the lock.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
