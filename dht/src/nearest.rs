//! Walking a sorted table outwards from a key.
//!
//! Tables are sorted by [`Metric::offset`]. On a circle the nearest entries are found by stepping to both sides of the
//! key's own place; under XOR by descending the tree that the sorted offsets spell, nearer half first. Both visit only
//! what they return, never the whole table.

use core::cmp::Ordering;

use crate::{
    Distance, Key,
    metric::{Metric, Shape},
    origin::Origin,
    peer::Peer,
};

/// Something that stands for a peer in a sorted table.
pub(crate) trait Placed {
    fn peer(&self) -> &Peer;
}

/// Calls `visit` with the entries, nearest to `key` first, until it returns false.
pub(crate) fn walk<'a, M: Metric, T: Placed>(
    origin: &Origin<M>,
    entries: &'a [T],
    key: &Key,
    visit: &mut impl FnMut(Distance, &'a T) -> bool,
) {
    let before = || {
        let target = origin.offset(key);
        entries.partition_point(|entry| origin.offset_of(entry.peer()) < target)
    };
    walk_from(origin, entries, before, key, visit);
}

/// The same for a table that finds the key's own place faster: `before` says how many entries come before it.
pub(crate) fn walk_from<'a, M: Metric, T: Placed>(
    origin: &Origin<M>,
    entries: &'a [T],
    before: impl FnOnce() -> usize,
    key: &Key,
    visit: &mut impl FnMut(Distance, &'a T) -> bool,
) {
    if entries.is_empty() {
        return;
    }
    match origin.shape() {
        Shape::Circle => walk_circle(&origin.metric, entries, before(), key, visit),
        Shape::Tree => {
            walk_tree(origin, entries, key, origin.offset(key), visit);
        }
    }
}

fn walk_circle<'a, M: Metric, T: Placed>(
    metric: &M,
    entries: &'a [T],
    start: usize,
    key: &Key,
    visit: &mut impl FnMut(Distance, &'a T) -> bool,
) {
    let count = entries.len();
    let at = |index: usize| {
        let entry = &entries[index % count];
        (metric.distance(entry.peer().id_ref().key(), key), entry)
    };
    // `count` is added so that stepping to the left never goes below zero.
    let (mut left, mut right) = (start + count - 1, start);
    let (mut on_left, mut on_right) = (at(left), at(right));
    for _ in 0..count {
        let order = on_left
            .0
            .cmp(&on_right.0)
            .then_with(|| on_left.1.peer().id_ref().cmp(on_right.1.peer().id_ref()));
        if order == Ordering::Less {
            if !visit(on_left.0, on_left.1) {
                return;
            }
            left -= 1;
            on_left = at(left);
        } else {
            if !visit(on_right.0, on_right.1) {
                return;
            }
            right += 1;
            on_right = at(right);
        }
    }
}

/// Returns whether to go on.
fn walk_tree<'a, M: Metric, T: Placed>(
    origin: &Origin<M>,
    entries: &'a [T],
    key: &Key,
    target: Distance,
    visit: &mut impl FnMut(Distance, &'a T) -> bool,
) -> bool {
    let offset = |entry: &T| origin.offset_of(entry.peer());
    let [first, .., last] = entries else {
        return match entries {
            [only] => visit(origin.metric.distance(only.peer().id_ref().key(), key), only),
            _ => true,
        };
    };
    // All entries agree above the highest bit in which the first and the last differ, so that bit decides. The depth
    // of the recursion is at most 256, and log2 of the length for ids as hashes make them.
    let bit = offset(first).xor(offset(last)).bits();
    if bit == 0 {
        return entries
            .iter()
            .all(|entry| visit(origin.metric.distance(entry.peer().id_ref().key(), key), entry));
    }
    let (zeros, ones) = entries.split_at(entries.partition_point(|entry| !offset(entry).bit(bit - 1)));
    let (near, far) = if target.bit(bit - 1) { (ones, zeros) } else { (zeros, ones) };
    walk_tree(origin, near, key, target, visit) && walk_tree(origin, far, key, target, visit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloc::vec::Vec;

    use super::*;
    use crate::{AnyMetric, PeerInfo};

    impl Placed for Peer {
        fn peer(&self) -> &Peer {
            self
        }
    }

    fn peer(number: u8) -> Peer {
        PeerInfo::new([number; 32], Vec::new(), 1).unwrap().into()
    }

    /// So many peers as a table of the first one holds them.
    fn table(metric: AnyMetric, count: u8) -> (Origin<AnyMetric>, Vec<Peer>) {
        let origin = Origin::new(metric, *peer(0).id_ref().key());
        let mut entries: Vec<Peer> = (1..=count).map(peer).collect();
        entries.sort_by_key(|entry| origin.offset_of(entry));
        (origin, entries)
    }

    #[test]
    fn entries_come_nearest_first_and_each_once() {
        for metric in [AnyMetric::Ring, AnyMetric::Xor, AnyMetric::Classic] {
            for count in [0, 1, 2, 3, 40] {
                let (origin, entries) = table(metric, count);
                // Keys between entries, and that of an entry itself.
                for key in (100..140).chain([1]).map(|number| *peer(number).id_ref().key()) {
                    let mut sorted = entries.clone();
                    sorted.sort_by(|a, b| metric.closer(&key, a.id_ref(), b.id_ref()));
                    let mut visited = Vec::new();
                    walk(&origin, &entries, &key, &mut |distance, entry| {
                        assert_eq!(distance, metric.distance(entry.id_ref().key(), &key));
                        visited.push(entry.clone());
                        true
                    });
                    assert_eq!(visited, sorted, "{metric}, {count} entries");
                }
            }
        }
    }

    #[test]
    fn the_walk_stops_when_it_is_told() {
        for metric in [AnyMetric::Ring, AnyMetric::Xor] {
            let (origin, entries) = table(metric, 20);
            for enough in 1..=20 {
                let mut visited = 0;
                walk(&origin, &entries, &Key::default(), &mut |_, _| {
                    visited += 1;
                    visited < enough
                });
                assert_eq!(visited, enough, "{metric}");
            }
        }
    }
}
