//! The list of all members: who is on it, how lookups use it, and what lies about it come to.

use std::time::Duration;

use chordage_dht::{
    AnyMetric, Config, Confirm, DownReason, Event, Gossip, Input, LookupOptions, Message, News, NodeId,
    Notice,
};

use crate::world::World;

const METRICS: [AnyMetric; 2] = [AnyMetric::Ring, AnyMetric::Xor];
const NODES: usize = 100;

/// Living nodes whose list differs from the truth.
fn wrong_lists(world: &World) -> usize {
    let mut all: Vec<NodeId> = world.live().into_iter().map(|node| world.id(node)).collect();
    all.sort_unstable();
    let is_wrong = |node: &usize| {
        let listed: Vec<NodeId> =
            world.nodes[*node].dht.members().iter().map(|member| member.peer.id()).collect();
        listed != all
    };
    world.live().iter().filter(|node| is_wrong(node)).count()
}

fn settled(seed: u64, metric: AnyMetric) -> World {
    let config = Config { members: 2000, ..Config::default() };
    let mut world = World::settled(seed, metric, config, NODES);
    world.run(Duration::from_secs(30));
    assert_eq!(wrong_lists(&world), 0, "{metric}");
    world
}

#[test]
fn everybody_lists_everybody_and_hears_of_deaths() {
    for metric in METRICS {
        for lost_per_mille in [0, 20] {
            let mut world = settled(70, metric);
            world.weather.lost_per_mille = lost_per_mille;
            world.weather.refuses = false;
            for node in (0..NODES).filter(|node| node % 10 == 3) {
                world.kill(node);
            }
            // Where both a message and the name of what was in it are lost, the next comparison helps.
            let most = if lost_per_mille > 0 { 2 } else { 0 };
            let took = world.run_until(Duration::from_secs(60), |world| wrong_lists(world) <= most);
            eprintln!("{metric}, {lost_per_mille} ‰ lost: all know of 10 deaths after {took:?}");
        }
    }
}

#[test]
fn a_lookup_needs_one_hop() {
    for metric in METRICS {
        let mut world = settled(71, metric);
        let options = LookupOptions { want: 1, confirm: Confirm::Covered, ..LookupOptions::default() };
        for _ in 0..200 {
            let (node, key) = (world.random(NODES), world.random_key());
            let found = world.lookup(node, key, options).unwrap();
            assert_eq!(found.closest[0].id(), world.truth(&key, 1)[0]);
            assert!(found.hops <= 1, "{} hops", found.hops);
        }
    }
}

/// Everybody's list is out of date at the same moment, and lookups are right all the same.
#[test]
fn a_list_of_the_dead_does_not_mislead() {
    for metric in METRICS {
        let mut world = settled(72, metric);
        world.weather.refuses = false;
        for node in (0..NODES).filter(|node| node % 2 == 0) {
            world.kill(node);
        }
        let options = LookupOptions { want: 1, confirm: Confirm::Answered(1), ..LookupOptions::default() };
        for _ in 0..100 {
            let (node, key) = (1 + 2 * world.random(NODES / 2), world.random_key());
            let found = world.lookup(node, key, options).unwrap();
            assert_eq!(found.closest[0].id(), world.truth(&key, 1)[0], "{metric}");
        }
    }
}

/// Somebody says of a tenth of the network that it is gone, and says it again. Those concerned contradict.
#[test]
fn the_living_contradict_forged_deaths() {
    for metric in METRICS {
        let mut world = settled(73, metric);
        let forged: Vec<News> = (0..NODES / 10)
            .map(|node| {
                let peer = world.peer(10 * node + 1);
                News::Gone { peer: (&peer.id()).into(), seq: peer.seq() }
            })
            .collect();
        let liar = world.peer(0);
        for round in 0..3 {
            // The liar lies along all of its links; whoever has none to it ignores it.
            for node in 1..NODES {
                let message = Message::Notice(Notice::Gossip(Gossip::News(forged.clone())));
                world.input(node, Input::Message { from: liar.clone(), message });
            }
            if round == 0 {
                world.run(Duration::from_secs(1));
                let options =
                    LookupOptions { want: 1, confirm: Confirm::Covered, ..LookupOptions::default() };
                for _ in 0..50 {
                    let (node, key) = (world.random(NODES), world.random_key());
                    let found = world.lookup(node, key, options).unwrap();
                    assert_eq!(found.closest[0].id(), world.truth(&key, 1)[0], "{metric}");
                }
            }
            world.run(Duration::from_secs(20));
        }
        let took = world.run_until(Duration::from_secs(60), |world| wrong_lists(world) == 0);
        eprintln!("{metric}: contradicted after {took:?} more");
        // Replayed once all is well: the version that was said to be gone is no longer that of anybody.
        let before: Vec<u64> = (0..NODES).map(|node| world.peer(node).seq()).collect();
        for node in 1..NODES {
            let message = Message::Notice(Notice::Gossip(Gossip::News(forged.clone())));
            world.input(node, Input::Message { from: liar.clone(), message });
        }
        world.run(Duration::from_secs(60));
        let after: Vec<u64> = (0..NODES).map(|node| world.peer(node).seq()).collect();
        assert_eq!((before, wrong_lists(&world)), (after, 0));
    }
}

#[test]
fn two_halves_list_each_other_again_after_a_partition() {
    let mut world = settled(74, AnyMetric::Ring);
    world.split(Some((0..NODES).map(|node| node % 2 == 0).collect()));
    world.run(Duration::from_secs(300));
    assert_eq!(world.nodes[0].dht.members().len(), NODES / 2);
    world.split(None);
    let took = world.run_until(Duration::from_secs(120), |world| wrong_lists(world) == 0);
    eprintln!("lists are whole {took:?} after the partition");
}

/// Nodes that are killed and come back at other addresses: lists name the old ones for a while, and that nobody answers
/// there is not held against who lives at the new ones.
#[test]
fn who_starts_again_elsewhere_is_not_taken_for_dead() {
    for (nodes, down) in [(4, 2), (30, 8)] {
        for seed in 0..10 {
            let config = Config { members: 2000, ..Config::default() };
            let mut world = World::settled(760 + seed, AnyMetric::Ring, config, nodes);
            let first = world.random(nodes - down);
            for node in first..first + down {
                world.kill(node);
            }
            world.run(Duration::from_millis(200 << (2 * (seed % 4))));
            for node in first..first + down {
                world.restart(node, &[(first + down) % nodes]);
            }
            world.run_until(Duration::from_secs(15), |world| world.wrong_leaf_sets().is_empty());
            let whole = world.now;
            // Lists are caches: what the tree misses is found by comparing.
            world.run_until(Duration::from_secs(60), |world| wrong_lists(world) == 0);
            world.run(Duration::from_secs(60));
            for (at, event) in world.nodes.iter().flat_map(|node| &node.events) {
                let lost = matches!(event, Event::NeighbourDown { why: DownReason::Failed, .. });
                assert!(*at <= whole || !lost, "{event:?}, {nodes} nodes, seed {}", world.seed);
            }
        }
    }
}
