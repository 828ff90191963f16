//! A record as its holders keep it, and which of two versions stays.

use alloc::sync::Arc;
use core::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::Record;

/// Orders the attempts to change a record, as in CASPaxos (Rystsov 2018): who prepares with a higher ballot makes lower
/// ones void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Ballot {
    /// Grows until a majority promises it.
    round: u32,
    /// Drawn at random, so that no two attempts have the same, not even two of one node.
    by: u32,
}

impl Ballot {
    pub(super) fn bytes(self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.round.to_be_bytes(), self.by.to_be_bytes());
        [a, b, c, d, e, f, g, h]
    }

    /// One above another. `drawn`: a random number.
    pub(crate) fn above(self, drawn: u32) -> Self {
        Self { round: self.round.saturating_add(1), by: drawn }
    }
}

/// One version of a record with the ballot under which it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The record.
    pub record: Arc<Record>,
    /// Decides between two versions of one number: the later attempt has seen what a majority had before.
    pub ballot: Ballot,
}

impl Held {
    /// Which of two versions of one record stays: the higher number; of two equal ones the later ballot; and if there
    /// is no difference there either, the larger hash, so that everybody chooses the same.
    pub fn order(&self, other: &Self) -> Ordering {
        let key = |held: &Self| (held.record.seq(), held.ballot, held.record.hash());
        key(self).cmp(&key(other))
    }

    /// Whether this one replaces what is held so far.
    pub(crate) fn replaces(&self, held: Option<&Self>) -> bool {
        held.is_none_or(|held| self.order(held).is_gt())
    }
}

#[cfg(test)]
mod tests {
    use core::cmp::Ordering;

    use super::super::samples::{ballot, held};

    #[test]
    fn the_higher_number_stays_then_the_later_ballot_then_the_larger_hash() {
        let (a, b) = (held(1, b"a", 2, ballot(1, 1)), held(1, b"b", 2, ballot(1, 1)));
        let (smaller, larger) = if a.record.hash() < b.record.hash() { (a, b) } else { (b, a) };
        let later = held(1, b"c", 2, ballot(1, 2));
        let higher_round = held(1, b"d", 2, ballot(2, 0));
        let next = held(1, b"e", 3, ballot(0, 0));
        let rising = [smaller, larger, later, higher_round, next];
        for (i, low) in rising.iter().enumerate() {
            assert_eq!(low.order(low), Ordering::Equal);
            assert!(!low.replaces(Some(low)), "what is held is no replacement for itself");
            for high in &rising[i + 1..] {
                assert_eq!((low.order(high), high.order(low)), (Ordering::Less, Ordering::Greater));
                assert!(high.replaces(Some(low)) && !low.replaces(Some(high)));
            }
            assert!(low.replaces(None));
        }
    }
}
