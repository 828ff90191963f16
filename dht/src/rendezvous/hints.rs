//! When those who watch a place are told that something has changed there: at once, and then not again for a moment, so
//! that a place where much happens does not cost a message to every watcher for every change.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{Key, Time};

/// Between two hints about one place.
const SPACING: Duration = Duration::from_millis(200);

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hints {
    /// Until when each place is quiet, and whether something has changed since its last hint.
    quiet: BTreeMap<Key, (Time, bool)>,
}

impl Hints {
    /// Something has changed at a place. Returns whether its watchers are to be told now; else they will be.
    pub(crate) fn changed(&mut self, place: Key, now: Time) -> bool {
        let (until, changed) = self.quiet.entry(place).or_insert((now, false));
        if *until > now {
            *changed = true;
            return false;
        }
        (*until, *changed) = (now + SPACING, false);
        true
    }

    /// The places whose watchers are to be told now of what has changed meanwhile.
    pub(crate) fn pop_due(&mut self, now: Time) -> Vec<Key> {
        let mut due = Vec::new();
        self.quiet.retain(|place, (until, changed)| {
            if *until > now {
                return true;
            }
            if core::mem::take(changed) {
                due.push(*place);
                *until = now + SPACING;
                return true;
            }
            false
        });
        due
    }

    /// When there is something to be told.
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.quiet.values().map(|(until, _)| *until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    #[test]
    fn the_first_change_is_told_at_once_and_the_next_ones_together() {
        let mut hints = Hints::default();
        let start = secs(1);
        assert!(hints.changed(place(1), start));
        assert!(!hints.changed(place(1), start + millis(50)) && !hints.changed(place(1), start + millis(60)));
        assert!(hints.changed(place(2), start + millis(60)), "another place");
        assert!(hints.pop_due(start + millis(199)).is_empty());
        assert_eq!(hints.next_due(), Some(start + millis(200)));
        assert_eq!(hints.pop_due(start + millis(200)), [place(1)]);
        assert!(!hints.changed(place(1), start + millis(300)), "that was one too");
        assert_eq!(hints.pop_due(start + millis(400)), [place(1)]);
        assert!(hints.pop_due(start + millis(600)).is_empty() && hints.next_due().is_none());
        assert!(hints.changed(place(1), start + millis(601)));
    }
}
