//! Nodes are excluded from the network while they live and go on talking, or may only be clients and announce
//! themselves as members.

use std::time::Duration;

use chordage_dht::{AnyMetric, Config, DownReason, Event, Input};

use crate::world::{World, confirmed, ids};

const NODES: usize = 40;
/// Who is excluded.
const OUT: usize = 7;
/// Who never hears of it.
const UNTOLD: usize = 20;

/// Who is told of it.
fn told() -> impl Iterator<Item = usize> {
    (0..NODES).filter(|node| ![OUT, UNTOLD].contains(node))
}

fn excluded(seed: u64, metric: AnyMetric) -> World {
    let mut world = World::settled(seed, metric, Config::default(), NODES);
    let out = world.id(OUT);
    for node in told() {
        world.input(node, Input::Exclude(vec![out]));
    }
    world
}

fn held_to_clients(seed: u64, metric: AnyMetric) -> World {
    let mut world = World::settled(seed, metric, Config { members: 2000, ..Config::default() }, NODES);
    let out = world.id(OUT);
    for node in told() {
        world.input(node, Input::ClientsOnly([out].into()));
    }
    world
}

/// Nobody who was told has it in a leaf set, a row or a list.
fn assert_in_no_table(world: &World, what: &str) {
    let out = world.id(OUT);
    for node in told() {
        let dht = &world.nodes[node].dht;
        assert!(dht.leaf_set().all(|leaf| leaf.id() != out), "{what}, {node}");
        let fingers = dht.fingers();
        let named = fingers.iter().flat_map(|row| &row.fingers).any(|finger| finger.peer.id() == out);
        assert!(!named, "{what}, {node}");
        let listed = dht.members().iter().any(|member| member.peer.id() == out);
        assert!(!listed, "{what}, {node}");
    }
}

#[test]
fn an_excluded_node_leaves_all_tables_at_once_and_for_ever_though_it_lives() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let mut world = excluded(44, metric);
        let out = world.id(OUT);
        for minutes in 0..10 {
            assert_in_no_table(&world, &format!("{metric}, minute {minutes}"));
            // It says something new of itself, which those who were not told still pass on.
            let address = world.address(OUT, minutes + 1);
            world.input(OUT, Input::SetAddresses(vec![address]));
            world.run(Duration::from_secs(60));
        }
        let why = world.nodes[OUT - 1].events.iter().chain(&world.nodes[OUT + 1].events);
        let mut why = why.filter_map(|(_, event)| match event {
            Event::NeighbourDown { peer, why } if *peer == out => Some(*why),
            _ => None,
        });
        assert!(why.all(|why| why == DownReason::Excluded));
    }
}

#[test]
fn lookups_find_the_others_and_never_an_excluded_node() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let mut world = excluded(45, metric);
        let out = world.id(OUT);
        world.run(Duration::from_secs(5));
        for node in told() {
            let found = world.lookup(node, *out.key(), confirmed(8)).expect("the others are there");
            let mut truth = world.truth(out.key(), 9);
            truth.retain(|id| *id != out);
            assert_eq!(ids(&found.closest), truth, "{metric}, seed {}, by {node}", world.seed);
        }
    }
}

#[test]
fn a_node_never_excludes_itself() {
    let mut world = World::settled(46, AnyMetric::Ring, Config::default(), 3);
    let itself = world.id(0);
    world.input(0, Input::Exclude(vec![itself]));
    world.run(Duration::from_secs(60));
    assert!(world.wrong_leaf_sets().is_empty());
}

#[test]
fn whoever_may_only_be_a_client_is_in_no_table_whatever_it_says_of_itself_and_is_answered() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let mut world = held_to_clients(47, metric);
        let out = world.id(OUT);
        for minutes in 0..10 {
            assert_in_no_table(&world, &format!("{metric}, minute {minutes}"));
            let address = world.address(OUT, minutes + 1);
            world.input(OUT, Input::SetAddresses(vec![address]));
            world.run(Duration::from_secs(60));
        }
        for node in told() {
            let found = world.lookup(node, *out.key(), confirmed(8)).expect("the others are there");
            assert!(found.closest.iter().all(|peer| peer.id() != out), "{metric}, by {node}");
        }
        let key = world.random_key();
        let found = world.lookup(OUT, key, confirmed(8)).expect("it is answered");
        let mut truth = world.truth(&key, 9);
        truth.retain(|id| *id != out);
        let mut found = ids(&found.closest);
        found.retain(|id| *id != out);
        assert_eq!(found[..7], truth[..7], "{metric}, seed {}", world.seed);
    }
}

#[test]
fn whoever_may_be_a_member_again_comes_back() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let mut world = held_to_clients(48, metric);
        world.run(Duration::from_secs(60));
        for node in told() {
            world.input(node, Input::ClientsOnly(Default::default()));
        }
        let address = world.address(OUT, 1);
        world.input(OUT, Input::SetAddresses(vec![address]));
        world.run_until(Duration::from_secs(300), |world| world.wrong_leaf_sets().is_empty());
    }
}

#[test]
fn a_node_holds_itself_to_nothing() {
    let mut world = World::settled(49, AnyMetric::Ring, Config { members: 2000, ..Config::default() }, 3);
    for node in 0..3 {
        let itself = world.id(node);
        world.input(node, Input::ClientsOnly([itself].into()));
    }
    world.run(Duration::from_secs(60));
    assert!(world.wrong_leaf_sets().is_empty());
    let listed = |node: usize| world.nodes[node].dht.members().len();
    assert_eq!([0, 1, 2].map(listed), [3; 3]);
}
