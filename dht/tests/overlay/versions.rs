//! A node that has lost count of the versions of its record.

use std::{sync::Arc, time::Duration};

use chordage_dht::{AnyMetric, Config, Gossip, IdPrefix, Input, Message, News, Notice, PeerInfo};

use crate::world::World;

const METRICS: [AnyMetric; 2] = [AnyMetric::Ring, AnyMetric::Xor];
const NODES: usize = 60;
const NODE: usize = 7;
/// The version of its former life.
const FORMER: u64 = 1 << 40;
/// Within this everybody knows. Comparisons help where news do not, and they come once in five minutes.
const SOON: Duration = Duration::from_secs(120);

/// A network in which everybody lists [`NODE`] in a version far above what it counts itself.
fn settled(seed: u64, metric: AnyMetric) -> World {
    let config = Config { members: 2000, ..Config::default() };
    let mut world = World::settled(seed, metric, config, NODES);
    world.restart_as(NODE, &[1], FORMER, 1);
    world.run_until(SOON, |world| everybody_lists(world, |record| record.seq() >= FORMER));
    // Long enough for others to take notice of another version.
    world.run(Duration::from_secs(20));
    world
}

fn everybody_lists(world: &World, is_right: impl Fn(&PeerInfo) -> bool) -> bool {
    world.live().into_iter().all(|node| {
        let members = world.nodes[node].dht.members();
        let listed = members.iter().find(|member| member.peer.id() == world.id(NODE));
        listed.is_some_and(|member| is_right(&member.peer))
    })
}

/// Whether everybody lists it as it is now, and has it so among its neighbours if it is one.
fn everybody_is_right(world: &World) -> bool {
    let now = world.peer(NODE);
    let neighbours_are_right = world.live().into_iter().all(|node| {
        let mut leaves = world.nodes[node].dht.leaf_set();
        leaves.all(|leaf| leaf.id() != now.id() || leaf.addrs() == now.addrs())
    });
    neighbours_are_right && everybody_lists(world, |record| record.addrs() == now.addrs())
}

#[test]
fn others_list_the_new_address_of_a_node_that_counts_from_the_beginning() {
    for metric in METRICS {
        let mut world = settled(110, metric);
        world.kill(NODE);
        world.restart_as(NODE, &[1], 2, 2);
        let took = world.run_until(SOON, everybody_is_right);
        assert!(world.peer(NODE).seq() > FORMER);
        eprintln!("{metric}: everybody lists the new address after {took:?}");
    }
}

#[test]
fn so_they_do_after_it_was_gone() {
    for metric in METRICS {
        let mut world = settled(111, metric);
        world.kill(NODE);
        let id = world.id(NODE);
        world.run_until(SOON, |world| world.live().iter().all(|node| !world.nodes[*node].dht.lists(&id)));
        world.restart_as(NODE, &[1], 2, 2);
        let took = world.run_until(SOON, everybody_is_right);
        assert!(world.peer(NODE).seq() > FORMER);
        eprintln!("{metric}: everybody lists the new address after {took:?}");
    }
}

/// What others say is no record of its own, and above the last version there is none. One lie in nine is contradicted.
#[test]
fn nobody_else_drives_its_versions_up() {
    let mut world = settled(112, AnyMetric::Ring);
    world.run(Duration::from_secs(60));
    let (before, liar) = (world.peer(NODE), world.peer(NODE + 1));
    let prefix = IdPrefix::from(&before.id());
    let lies = [
        vec![News::Gone { peer: prefix, seq: u64::MAX }],
        vec![News::Member(world.claim(NODE, u64::MAX))],
        vec![News::Member(world.claim(NODE + 1, u64::MAX))],
    ];
    for lie in lies {
        for gossip in [Gossip::News(lie.clone()), Gossip::Missed(lie.clone()), Gossip::Report(lie)] {
            let message = Message::Notice(Notice::Gossip(gossip));
            world.input(NODE, Input::Message { from: liar.clone(), message: message.clone() });
            // It contradicts whoever says that it is gone, with the next version.
            let counted = world.peer(NODE).seq() - before.seq();
            assert!(counted <= 1, "{counted} after {message:?}");
        }
    }
    let record = Arc::new(before.with_addresses(Vec::new(), before.seq() + 1000).unwrap());
    let message = Message::Notice(Notice::Record((*record).clone()));
    world.input(NODE, Input::Message { from: liar, message });
    assert!(world.peer(NODE).seq() <= before.seq() + 1);
}
