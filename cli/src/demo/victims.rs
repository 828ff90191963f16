//! Who is killed: those whose loss hurts the stored object most.

use chordage_api::types::{Health, NodeId};

/// Chooses `count` of the nodes 0 to `nodes - 1`: the holders of the weakest chunk first, so that the loss is as bad
/// as it can be; among them, and after them, those that hold the most shards of the object; of equals the one with
/// the lower number. `index_of` finds a holder's number.
pub(crate) fn choose(
    health: &Health,
    index_of: impl Fn(NodeId) -> Option<usize>,
    nodes: usize,
    count: usize,
) -> Vec<usize> {
    let mut held = vec![0; nodes];
    let mut weakest = vec![false; nodes];
    for &id in &health.weakest_holders {
        if let Some(weakest) = index_of(id).and_then(|index| weakest.get_mut(index)) {
            *weakest = true;
        }
    }
    for holder in &health.holders {
        if let Some(shards) = index_of(holder.id).and_then(|index| held.get_mut(index)) {
            *shards += holder.shards;
        }
    }
    let mut order: Vec<usize> = (0..nodes).collect();
    order.sort_by_key(|&index| (!weakest[index], std::cmp::Reverse(held[index]), index));
    order.truncate(count);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use chordage_api::types::HolderCount;

    use super::*;

    #[test]
    fn holders_of_the_weakest_chunk_go_first_and_then_the_fullest() {
        let id = |byte| NodeId::from([byte; 32]);
        let holders = [(2, 5), (0, 9), (7, 99), (1, 5), (3, 1)]
            .map(|(byte, shards)| HolderCount { id: id(byte), shards });
        let (holders, weakest_holders) = (holders.into(), vec![id(3), id(2)]);
        let health = Health { holders, weakest_holders, ..Health::default() };
        let index_of = |wanted| (0..4).position(|byte| id(byte) == wanted);
        assert_eq!(choose(&health, index_of, 4, 1), [2]);
        assert_eq!(choose(&health, index_of, 4, 2), [2, 3]);
        assert_eq!(choose(&health, index_of, 4, 3), [0, 2, 3]);
        assert_eq!(choose(&health, index_of, 4, 9), [0, 1, 2, 3]);
    }
}
