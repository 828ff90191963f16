//! Who can take another shard of a chunk.

/// Shards that a chunk may have, and bits of what is shown.
const INDICES: usize = 128;

/// For each of the holders in `shown`, whether it can be given another shard. Each has a bit per index that it shows. One holder is
/// set aside for every index that anybody shows, each for one only, as far as there are enough; the others are free: those
/// that show nothing, and those whose shards are all shown by others too. So the loss of some holders never costs more shards of those set aside
/// than there were holders.
///
/// Where there is a choice, the first in `shown` are free.
pub fn spare(shown: &[u128]) -> Vec<bool> {
    let mut keepers = [None; INDICES];
    // Whoever is asked first is set aside first.
    let mut free: Vec<bool> =
        (0..shown.len()).rev().map(|holder| !set_aside(holder, shown, &mut keepers, &mut 0)).collect();
    free.reverse();
    free
}

/// Finds an index for a holder, for which others may have to change theirs (Kuhn's augmenting paths). `tried`: indices that need not
/// be looked at again. Whether there is one; those set aside before stay so in any case. Each level of calls tries another index, so
/// that there are no more levels than indices.
fn set_aside(
    holder: usize,
    shown: &[u128],
    keepers: &mut [Option<usize>; INDICES],
    tried: &mut u128,
) -> bool {
    for index in 0..INDICES {
        let bit = 1u128 << index;
        if shown[holder] & bit == 0 || *tried & bit != 0 {
            continue;
        }
        *tried |= bit;
        if keepers[index].is_none_or(|other| set_aside(other, shown, keepers, tried)) {
            keepers[index] = Some(holder);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_holds_nothing_or_only_what_others_hold_too_is_free() {
        assert_eq!(spare(&[1, 2, 0, 4]), [false, false, true, false]);
        assert_eq!(spare(&[1, 2, 4]), [false; 3], "each is needed for its own");
        assert_eq!(
            spare(&[1, 2, 1]),
            [true, false, false],
            "one of the two has to go on, and the first is free"
        );
        assert_eq!(
            spare(&[0b11, 1]),
            [false, false],
            "the first has one that nobody else has, the second the other"
        );
        assert_eq!(spare(&[0b11, 0b11, 0b11]), [true, false, false]);
        assert_eq!(spare(&[]), [false; 0]);
    }

    #[test]
    fn every_index_counts() {
        let each: Vec<u128> = (0..INDICES).map(|index| 1 << index).collect();
        assert_eq!(spare(&each), [false; INDICES]);
        assert_eq!(spare(&[u128::MAX; INDICES + 1]).iter().filter(|free| **free).count(), 1);
    }

    /// Shards that are shown by any of some holders.
    fn of(shown: &[u128], some: impl Fn(usize) -> bool) -> u32 {
        let some = shown.iter().enumerate().filter(|(holder, _)| some(*holder));
        some.fold(0u128, |all, (_, shown)| all | shown).count_ones()
    }

    proptest! {
        /// Hall's theorem: a set of holders can have a shard for each exactly if no part of it shows fewer than it has members.
        #[test]
        fn as_many_as_possible_are_free_and_the_others_have_a_shard_for_each(
            shown in prop::collection::vec(0u128..64, 0..7),
        ) {
            let free = spare(&shown);
            let mut most = shown.len();
            for part in 0usize..1 << shown.len() {
                let inside = |holder: usize| part >> holder & 1 == 1;
                let shards = of(&shown, inside) as usize;
                let members = part.count_ones() as usize;
                most = most.min(shards + shown.len() - members);
                if (0..shown.len()).filter(|holder| inside(*holder)).all(|holder| !free[holder]) {
                    prop_assert!(shards >= members, "{shown:?} {free:?}");
                }
            }
            prop_assert_eq!(free.iter().filter(|free| !**free).count(), most);
            for (shown, free) in shown.iter().zip(&free) {
                prop_assert!(*shown != 0 || *free);
            }
        }
    }
}
