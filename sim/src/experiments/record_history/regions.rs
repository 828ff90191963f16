//! Who keeps each record, as somebody who sees everything knows it; so that never more nodes fail at once than a
//! majority survives.

use std::{collections::VecDeque, time::Duration};

use chordage_dht::{Key, Metric, NodeId, Time};

use crate::world::{NodeIndex, World};

/// How many nodes keep a record.
const REGION: usize = 9;
/// Of them so many may fail before the others have seen to it that there are nine again.
const FAILURES: usize = 4;
/// How long that takes at most: until the death is noticed, and the newcomers have compared.
const MENDED_AFTER: Duration = Duration::from_secs(120);

/// The nodes that kept one record at one time, each with the number of its life.
#[derive(Debug)]
struct Snapshot {
    at: Time,
    nodes: Vec<(NodeIndex, u32)>,
    /// The side whose nodes these are; none if there was one network.
    side: Option<u8>,
}

/// Who has kept one record lately.
#[derive(Debug, Default)]
pub(super) struct Regions {
    lately: VecDeque<Snapshot>,
}

/// The nearest members to an address, of one side if the network is cut.
pub(super) fn region(world: &mut World, address: &Key, side: Option<u8>) -> Vec<NodeIndex> {
    let metric = world.setup().metric;
    let members: Vec<(NodeId, NodeIndex)> = world.census().members().to_vec();
    let here = |node: NodeIndex| side.is_none_or(|side| world.side(node) == side);
    let mut near: Vec<(NodeId, NodeIndex)> = members.into_iter().filter(|(_, node)| here(*node)).collect();
    near.sort_by(|(a, _), (b, _)| metric.closer(address, a, b));
    near.into_iter().take(REGION).map(|(_, node)| node).collect()
}

impl Regions {
    /// Looks who keeps it now.
    pub(super) fn look(&mut self, world: &mut World, address: &Key, sides: &[Option<u8>]) {
        let at = world.now();
        while self.lately.front().is_some_and(|first| at.since(first.at) > MENDED_AFTER) {
            self.lately.pop_front();
        }
        for side in sides {
            let near = region(world, address, *side);
            let nodes = near.into_iter().map(|node| (node, world.life(node))).collect();
            self.lately.push_back(Snapshot { at, nodes, side: *side });
        }
    }

    /// Whether a majority of those who kept it lately would still live on this side, without having been restarted, if
    /// `victim` died.
    pub(super) fn survive(&self, world: &World, side: Option<u8>, victim: Option<NodeIndex>) -> bool {
        let lives = |(node, life): &(NodeIndex, u32)| {
            world.is_alive(*node)
                && world.life(*node) == *life
                && side.is_none_or(|side| world.side(*node) == side)
                && victim != Some(*node)
        };
        let counts = |snapshot: &&Snapshot| snapshot.side.is_none() || snapshot.side == side;
        self.lately.iter().filter(counts).all(|snapshot| {
            let failed = snapshot.nodes.iter().filter(|node| !lives(node)).count();
            failed <= FAILURES && snapshot.nodes.len() == REGION
        })
    }
}
