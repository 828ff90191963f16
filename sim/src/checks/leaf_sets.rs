//! Leaf sets are exact: everybody knows its true neighbours, and nobody else is among them.

use chordage_dht::NodeId;

use crate::world::{NodeIndex, World};

/// A leaf set that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongLeafSet {
    /// Whose.
    pub node: NodeIndex,
    /// Members that should be in it.
    pub missing: Vec<NodeIndex>,
    /// Ids that should not.
    pub extra: Vec<NodeId>,
}

/// All leaf sets that are wrong, in the order of the members' ids.
pub fn check(world: &mut World) -> Vec<WrongLeafSet> {
    let metric = world.setup().metric;
    let mut census = world.census().clone();
    let view = census.view();
    let mut wrong = Vec::new();
    for (place, (_, node)) in view.members().iter().enumerate() {
        let dht = world.dht(*node);
        let expected = view.leaf_set(metric, place, dht.config().leaf_set.into());
        let ids: Vec<NodeId> = dht.leaf_set().map(|peer| peer.id()).collect();
        let right: Vec<NodeId> = expected.iter().map(|peer| world.peer(*peer).id()).collect();
        if ids.len() == right.len() && right.iter().all(|id| ids.contains(id)) {
            continue;
        }
        let missing = expected.into_iter().zip(&right).filter(|(_, id)| !ids.contains(id));
        wrong.push(WrongLeafSet {
            node: *node,
            missing: missing.map(|(peer, _)| peer).collect(),
            extra: ids.into_iter().filter(|id| !right.contains(id)).collect(),
        });
    }
    wrong
}
