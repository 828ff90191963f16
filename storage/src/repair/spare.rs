//! Who can take another shard of a chunk.

use crate::shard_set::ShardSet;

/// Shards that a chunk may have.
const INDICES: usize = 128;

/// Returns for each holder in `shown` whether it can be given another shard. A maximum bipartite matching of holders
/// and shard indices sets as many holders aside as possible, each for a different index that it shows. All other
/// holders are free: those that show nothing, and those without which the matching is as large. So each holder that is
/// lost costs at most one of the matched shards.
///
/// Where there is a choice, the first in `shown` are free.
pub fn spare(shown: &[ShardSet]) -> Vec<bool> {
    let mut keepers = [None; INDICES];
    // Whoever is asked first is set aside first.
    let mut free: Vec<bool> = (0..shown.len())
        .rev()
        .map(|holder| !set_aside(holder, shown, &mut keepers, &mut ShardSet::default()))
        .collect();
    free.reverse();
    free
}

/// Finds an index for a holder, for which others may have to change theirs (Kuhn's augmenting paths). `tried`: indices
/// that need not be looked at again. Whether there is one; those set aside before stay so in any case. Each level of
/// calls tries another index, so that there are no more levels than indices.
fn set_aside(
    holder: usize,
    shown: &[ShardSet],
    keepers: &mut [Option<usize>; INDICES],
    tried: &mut ShardSet,
) -> bool {
    for index in shown[holder].iter() {
        if tried.contains(index) {
            continue;
        }
        tried.insert(index);
        let keeper = usize::from(index);
        if keepers[keeper].is_none_or(|other| set_aside(other, shown, keepers, tried)) {
            keepers[keeper] = Some(holder);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sets(shown: impl IntoIterator<Item = u128>) -> Vec<ShardSet> {
        shown.into_iter().map(ShardSet::from_bits).collect()
    }

    #[test]
    fn who_holds_nothing_or_only_what_others_hold_too_is_free() {
        assert_eq!(spare(&sets([1, 2, 0, 4])), [false, false, true, false]);
        assert_eq!(spare(&sets([1, 2, 4])), [false; 3], "each is needed for its own");
        assert_eq!(
            spare(&sets([1, 2, 1])),
            [true, false, false],
            "one of the two has to go on, and the first is free"
        );
        assert_eq!(
            spare(&sets([0b11, 1])),
            [false, false],
            "the first has one that nobody else has, the second the other"
        );
        assert_eq!(spare(&sets([0b11, 0b11, 0b11])), [true, false, false]);
        assert_eq!(spare(&[]), [false; 0]);
    }

    #[test]
    fn every_index_counts() {
        let each = (0..INDICES).map(|index| 1 << index);
        assert_eq!(spare(&sets(each)), [false; INDICES]);
        assert_eq!(spare(&[ShardSet::ALL; INDICES + 1]).iter().filter(|free| **free).count(), 1);
    }

    /// Shards that are shown by any of some holders.
    fn of(shown: &[ShardSet], some: impl Fn(usize) -> bool) -> usize {
        let some = shown.iter().enumerate().filter(|(holder, _)| some(*holder));
        some.fold(ShardSet::EMPTY, |all, (_, shown)| all | *shown).len()
    }

    proptest! {
        /// Hall's theorem: a set of holders can have a shard for each exactly if no part of it shows fewer than it has
        /// members.
        #[test]
        fn as_many_as_possible_are_free_and_the_others_have_a_shard_for_each(
            shown in prop::collection::vec(0u128..64, 0..7),
        ) {
            let shown = sets(shown);
            let free = spare(&shown);
            let mut most = shown.len();
            for part in 0usize..1 << shown.len() {
                let inside = |holder: usize| part >> holder & 1 == 1;
                let shards = of(&shown, inside);
                let members = part.count_ones() as usize;
                most = most.min(shards + shown.len() - members);
                if (0..shown.len()).filter(|holder| inside(*holder)).all(|holder| !free[holder]) {
                    prop_assert!(shards >= members, "{shown:?} {free:?}");
                }
            }
            prop_assert_eq!(free.iter().filter(|free| !**free).count(), most);
            for (shown, free) in shown.iter().zip(&free) {
                prop_assert!(!shown.is_empty() || *free);
            }
        }
    }
}
