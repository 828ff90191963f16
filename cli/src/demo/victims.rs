//! Who is killed: those whose loss hurts the stored object most.

use chordage_node::api::types::HolderCount;

/// Chooses `count` of the nodes 0 to `nodes - 1`: those that hold the most shards of the object first, those
/// that hold none last; of equals the one with the lower number. `index_of` finds a holder's number.
pub(crate) fn choose(
    holders: &[HolderCount],
    index_of: impl Fn(&str) -> Option<usize>,
    nodes: usize,
    count: usize,
) -> Vec<usize> {
    let mut held = vec![0; nodes];
    for holder in holders {
        if let Some(shards) = index_of(&holder.id).and_then(|index| held.get_mut(index)) {
            *shards += holder.shards;
        }
    }
    let mut order: Vec<usize> = (0..nodes).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(held[index]), index));
    order.truncate(count);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_go_first() {
        let holders: Vec<HolderCount> = [("c", 5), ("a", 9), ("x", 99), ("b", 5)]
            .map(|(id, shards)| HolderCount { id: id.into(), shards })
            .into();
        let index_of = |id: &str| ["a", "b", "c", "d"].iter().position(|&known| known == id);
        assert_eq!(choose(&holders, index_of, 4, 2), [0, 1]);
        assert_eq!(choose(&holders, index_of, 4, 3), [0, 1, 2]);
        assert_eq!(choose(&holders, index_of, 4, 9), [0, 1, 2, 3]);
    }
}
