//! Becoming part of a network.

use std::time::Duration;

use chordage_dht::{AnyMetric, Config, Event, Input};

use crate::world::{World, confirmed, ids};

const METRICS: [AnyMetric; 2] = [AnyMetric::Ring, AnyMetric::Xor];

/// Every node finds every other by its id; in larger networks, some others.
fn assert_everybody_finds_everybody(world: &mut World) {
    let nodes = world.live();
    let step = nodes.len().div_ceil(60);
    let lookups: Vec<_> = nodes
        .iter()
        .flat_map(|from| nodes.iter().skip(from % step).step_by(step).map(|to| (*from, *to)))
        .map(|(from, to)| {
            let key = *world.id(to).key();
            (from, to, world.start_lookup(from, key, confirmed(1)))
        })
        .collect();
    for (from, to, lookup) in lookups {
        let found = world.result(lookup).unwrap();
        assert_eq!(
            found.closest[0].id(),
            world.id(to),
            "{}: {from} looked for {to}, seed {}: {found:#?}",
            world.metric,
            world.seed
        );
    }
}

#[test]
fn a_node_without_seeds_is_the_first_one() {
    let mut world = World::new(1, AnyMetric::Ring, Config::default());
    let node = world.add();
    world.join(node, &[]);
    assert!(world.is_joined(node));
    let size = world.nodes[node].dht.network_size();
    assert!(size.exact && size.nodes == 1.0);
    let key = world.random_key();
    let found = world.lookup(node, key, confirmed(20)).unwrap();
    assert_eq!(ids(&found.closest), [world.id(node)]);
    assert_eq!((found.hops, found.messages), (0, 0));
}

#[test]
fn two_nodes_know_each_other() {
    for metric in METRICS {
        let mut world = World::settled(2, metric, Config::default(), 2);
        assert_eq!(world.wrong_leaf_sets(), []);
        assert_everybody_finds_everybody(&mut world);
    }
}

#[test]
fn sixteen_nodes_one_by_one() {
    for metric in METRICS {
        let mut world = World::settled(3, metric, Config::default(), 16);
        assert_eq!(world.wrong_leaf_sets(), []);
        assert_everybody_finds_everybody(&mut world);
        assert!(world.nodes.iter().all(|node| node.dht.network_size().exact));
    }
}

#[test]
fn sixteen_nodes_with_tiny_tables() {
    for metric in METRICS {
        let mut world = World::settled(4, metric, Config { lookups: 100, ..Config::tiny() }, 16);
        assert_eq!(world.wrong_leaf_sets(), []);
        assert_everybody_finds_everybody(&mut world);
    }
}

#[test]
fn two_hundred_nodes_one_by_one() {
    for metric in METRICS {
        let mut world = World::settled(5, metric, Config::default(), 200);
        assert_eq!(world.wrong_leaf_sets(), []);
        assert_everybody_finds_everybody(&mut world);
        for node in &world.nodes {
            let nodes = node.dht.network_size().nodes;
            assert!((80.0..500.0).contains(&nodes), "estimated {nodes} nodes");
        }
    }
}

/// What a testnet does: all daemons start together and know only the first.
#[test]
fn fifty_nodes_at_once_form_one_ring_in_time() {
    for metric in METRICS {
        for seed in 0..5 {
            let mut world = World::new(seed, metric, Config::default());
            for _ in 0..50 {
                world.add();
            }
            for node in 0..50 {
                world.join(node, &[0]);
            }
            let took = world.run_until(Duration::from_secs(30), |world| {
                (0..50).all(|node| world.is_joined(node)) && world.wrong_leaf_sets().is_empty()
            });
            eprintln!("{metric}, seed {seed}: one ring after {took:?}");
            assert_everybody_finds_everybody(&mut world);
        }
    }
}

#[test]
fn two_hundred_nodes_at_once() {
    for metric in METRICS {
        let mut world = World::new(6, metric, Config::default());
        for _ in 0..200 {
            world.add();
        }
        for node in 0..200 {
            world.join(node, &[0, 1, 2]);
        }
        let took = world.run_until(Duration::from_secs(60), |world| {
            (0..200).all(|node| world.is_joined(node)) && world.wrong_leaf_sets().is_empty()
        });
        eprintln!("{metric}: one ring of 200 after {took:?}");
        assert_everybody_finds_everybody(&mut world);
    }
}

#[test]
fn unreachable_seeds_are_reported_and_tried_again() {
    let mut world = World::new(7, AnyMetric::Ring, Config::default());
    let (seed, node) = (world.add(), world.add());
    world.kill(seed);
    world.join(node, &[seed]);
    world.run(Duration::from_secs(20));
    let failures: Vec<u32> = world.nodes[node]
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::JoinFailed { attempts, .. } => Some(*attempts),
            _ => None,
        })
        .collect();
    assert!(failures.len() >= 3 && failures.is_sorted(), "{failures:?}");
    assert!(!world.is_joined(node));
    world.nodes[seed].alive = true;
    world.join(seed, &[]);
    world.run_until(Duration::from_secs(40), |world| world.is_joined(node));
    assert_eq!(world.wrong_leaf_sets(), []);
}

#[test]
fn a_restarted_node_is_known_at_its_new_address() {
    let mut world = World::settled(8, AnyMetric::Ring, Config::default(), 16);
    world.kill(5);
    world.restart(5, &[0]);
    world.run_until(Duration::from_secs(5), |world| {
        let new = world.peer(5);
        world.is_joined(5)
            && world.nodes.iter().all(|node| {
                let mut leaves = node.dht.leaf_set();
                leaves.all(|leaf| leaf.id() != new.id() || leaf.addrs() == new.addrs())
            })
    });
    assert_eq!(world.wrong_leaf_sets(), []);
}

#[test]
fn new_addresses_reach_the_neighbours() {
    let mut world = World::settled(9, AnyMetric::Ring, Config::default(), 8);
    let addrs = vec![chordage_dht::Address::new(b"elsewhere").unwrap()];
    world.input(3, Input::SetAddresses(addrs.clone()));
    let id = world.id(3);
    world.run(Duration::from_secs(1));
    for node in world.nodes.iter().filter(|node| node.dht.local().id() != id) {
        let known = node.dht.leaf_set().find(|leaf| leaf.id() == id).unwrap();
        assert_eq!(known.addrs(), addrs);
    }
}

/// A peer that cannot be dialled may ask, but nobody keeps or names it.
#[test]
fn clients_are_never_named() {
    let mut world = World::settled(10, AnyMetric::Ring, Config::default(), 8);
    let client = world.add();
    world.input(client, Input::SetAddresses(Vec::new()));
    world.join(client, &[0]);
    world.run(Duration::from_secs(60));
    let id = world.id(client);
    for node in &world.nodes[..8] {
        assert!(node.dht.leaf_set().all(|leaf| leaf.id() != id));
        assert!(node.dht.fingers().iter().all(|row| row.fingers.iter().all(|finger| finger.peer.id() != id)));
    }
    let key = world.random_key();
    let found = world.lookup(client, key, confirmed(3)).unwrap();
    assert!(ids(&found.closest).iter().all(|found| *found != id || world.is_joined(client)));
}

/// Networks that began apart know nothing of each other, until one node of one is told of one node of the other. In a
/// tree, whoever is far from these two finds out when it next checks its own place, which it does every five minutes.
#[test]
fn two_networks_become_one_once_two_nodes_meet() {
    for metric in METRICS {
        for (sizes, seconds) in [([1, 1], 2), ([1, 30], 10), ([6, 6], 10), ([50, 50], 400)] {
            let mut world = World::new(11, metric, Config::default());
            let (first, second): (Vec<usize>, Vec<usize>) =
                (0..sizes[0] + sizes[1]).map(|_| world.add()).partition(|node| *node < sizes[0]);
            for network in [&first, &second] {
                for node in network {
                    world.join(*node, &network[..usize::from(node != &network[0])]);
                    world.run_until(Duration::from_secs(10), |world| world.is_joined(*node));
                }
            }
            world.run(Duration::from_secs(60));
            let theirs: Vec<_> = second.iter().map(|node| world.id(*node)).collect();
            let strangers = |node: &usize| {
                world.nodes[*node].dht.leaf_set().filter(|leaf| theirs.contains(&leaf.id())).count()
            };
            assert_eq!(first.iter().map(strangers).sum::<usize>(), 0);

            let (met, told) = (world.peer(second[0]), first[sizes[0] - 1]);
            world.input(told, Input::Meet { peer: met });
            let mut took = 0;
            while !world.wrong_leaf_sets().is_empty() {
                assert!(took < seconds, "{metric}: {sizes:?} are not one network after {took} s");
                world.run(Duration::from_secs(1));
                took += 1;
            }
            eprintln!("{metric}: {sizes:?} are one network after {took} s");
        }
    }
}

#[test]
fn whoever_is_known_or_has_not_joined_meets_nobody() {
    let mut world = World::settled(12, AnyMetric::Ring, Config::default(), 3);
    let (known, joining) = (world.peer(1), world.add());
    let sent = world.sent;
    world.input(0, Input::Meet { peer: known.clone() });
    world.input(0, Input::Meet { peer: world.peer(0) });
    world.input(joining, Input::Meet { peer: known });
    assert_eq!(world.sent, sent);
}
