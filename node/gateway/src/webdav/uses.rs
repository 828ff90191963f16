//! Which objects are about to be used, and which about to be forgotten.
//!
//! Equal content is one object. Without this a file that is just being stored would lose its content when an older file
//! with the same content is forgotten at that moment.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Objects that were forgotten last, of which it is known when.
const REMEMBERED_MAX: usize = 20_000;

/// Which objects are about to be used, and which about to be forgotten.
#[derive(Clone, Default)]
pub(crate) struct Uses {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// Forgettings until now.
    count: u64,
    /// The last of them.
    forgotten: VecDeque<(u64, String)>,
    /// Being forgotten now.
    forgetting: BTreeSet<String>,
    /// Stored, and about to be entered into the map.
    entering: BTreeMap<String, usize>,
    /// Entered or about to be since somebody looked at what the map uses.
    since_look: BTreeSet<String>,
}

/// An object that is not forgotten until this is dropped, which it is when the map names it.
pub(crate) struct Using {
    link: String,
    uses: Uses,
}

impl Uses {
    /// What to show at the end of storing something.
    pub(crate) fn begin(&self) -> u64 {
        self.lock().count
    }

    /// Stored, and about to be entered; `None` if it may have been forgotten since `begun`.
    pub(crate) fn enter(&self, link: &str, begun: u64) -> Option<Using> {
        let mut inner = self.lock();
        let kept_since = inner.forgotten.front().map_or(0, |(count, _)| *count);
        let too_long = inner.forgotten.len() == REMEMBERED_MAX && begun < kept_since;
        let was_forgotten = inner.forgotten.iter().any(|(count, of)| *count > begun && of == link);
        if too_long || was_forgotten || inner.forgetting.contains(link) {
            return None;
        }
        *inner.entering.entry(link.to_owned()).or_default() += 1;
        inner.since_look.insert(link.to_owned());
        drop(inner);
        Some(Using { link: link.to_owned(), uses: self.clone() })
    }

    /// Somebody looks now at what the map uses.
    pub(crate) fn look(&self) {
        let mut inner = self.lock();
        inner.since_look = inner.entering.keys().cloned().collect();
    }

    /// Whether an object may be forgotten that the map did not use when somebody looked last. Say with
    /// [`forgot`](Self::forgot) when that is over.
    pub(crate) fn may_forget(&self, link: &str) -> bool {
        let mut inner = self.lock();
        if inner.since_look.contains(link) || inner.entering.contains_key(link) {
            return false;
        }
        inner.forgetting.insert(link.to_owned());
        true
    }

    /// It is forgotten, or that failed.
    pub(crate) fn forgot(&self, link: &str) {
        let mut inner = self.lock();
        inner.forgetting.remove(link);
        inner.count += 1;
        let count = inner.count;
        inner.forgotten.push_back((count, link.to_owned()));
        if inner.forgotten.len() > REMEMBERED_MAX {
            inner.forgotten.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code panics while it holds the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        let mut inner = self.uses.lock();
        if let Some(count) = inner.entering.get_mut(&self.link) {
            *count -= 1;
            if *count == 0 {
                inner.entering.remove(&self.link);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_stored_is_not_forgotten_and_what_was_forgotten_is_stored_again() {
        let uses = Uses::default();
        let begun = uses.begin();
        let using = uses.enter("a", begun).unwrap();
        uses.look();
        assert!(!uses.may_forget("a"));
        drop(using);
        assert!(!uses.may_forget("a"), "the map may have it since that look");
        uses.look();
        assert!(uses.may_forget("a"));
        assert!(uses.enter("a", begun).is_none(), "it is being forgotten");
        uses.forgot("a");
        assert!(uses.enter("a", begun).is_none(), "it was forgotten meanwhile");
        assert!(uses.enter("b", begun).is_some());
        assert!(uses.enter("a", uses.begin()).is_some());
    }
}
