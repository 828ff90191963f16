//! Whether to ask the holders of a chunk what they have before it is sent to them.
//!
//! Pieces that are known from earlier puts never come so far. What is left is mostly new, and asking six holders about
//! each new chunk costs more than it saves; but after a crash, or without the catalog, all of it may be there.

use std::sync::atomic::{AtomicU32, Ordering};

/// After so many questions in vain …
const IN_VAIN_MAX: u32 = 8;
/// … only every so-many-th chunk is asked about, until one is found.
const EVERY: u32 = 16;

/// What asking has brought during one put.
#[derive(Debug, Default)]
pub(super) struct Asking {
    in_vain: AtomicU32,
}

impl Asking {
    /// Whether to ask about the next chunk.
    pub(super) fn is_worthwhile(&self) -> bool {
        let in_vain = self.in_vain.load(Ordering::Relaxed);
        in_vain < IN_VAIN_MAX || in_vain.is_multiple_of(EVERY)
    }

    /// Tells whether any of a chunk's shards were held already.
    pub(super) fn tell(&self, held: bool) {
        if held {
            self.in_vain.store(0, Ordering::Relaxed);
        } else {
            self.in_vain.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_become_rare_until_one_brings_something() {
        let asking = Asking::default();
        let asked = (0..160).filter(|_| {
            let worthwhile = asking.is_worthwhile();
            asking.tell(false);
            worthwhile
        });
        assert_eq!(asked.count(), 8 + 9);
        asking.tell(true);
        assert!(asking.is_worthwhile());
    }
}
