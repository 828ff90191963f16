#![allow(clippy::unwrap_used)]

use crate::dht::tests::{Node, millis, peer};

#[test]
fn a_suspect_leaves_the_leaf_set_when_it_counts_as_dead_and_no_sooner() {
    let suspect = peer(2);
    // The configured suspicion is six seconds, and nobody else says anything.
    for (suspected, dropped) in [(millis(11_999), false), (millis(12_000), true)] {
        let mut node = Node::new(&[&suspect]);
        let since = node.now;
        node.now += suspected;
        let (is_dropped, _) = node.turn(|dht, turn| {
            let leaf = dht.leaves.get_mut(&dht.origin, suspect.id_ref()).unwrap();
            (0..4).for_each(|_| _ = leaf.suspicion.misses(since, false));
            dht.drop_if_dead(turn, suspect.id_ref())
        });
        assert_eq!(is_dropped, dropped, "{suspected:?}");
        assert_eq!(node.dht.leaf_set().len(), usize::from(!dropped));
    }
}

#[test]
fn a_node_doubts_itself_when_others_reach_its_suspects() {
    let neighbour = peer(2);
    let second = millis(1_000);
    for (suspected, reached, doubts) in
        [(true, true, true), (true, false, false), (false, true, false), (false, false, false)]
    {
        let mut node = Node::new(&[&neighbour]);
        let (patience, _) = node.turn(|dht, turn| {
            if suspected {
                let leaf = dht.leaves.get_mut(&dht.origin, neighbour.id_ref()).unwrap();
                leaf.suspicion.misses(turn.now, false);
            }
            dht.told_reach(neighbour.id_ref(), reached);
            dht.timing.health.stretch(second)
        });
        assert_eq!(patience > second, doubts, "suspected {suspected}, reached {reached}");
    }
}
