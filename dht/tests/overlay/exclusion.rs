//! Nodes are excluded from the network while they live and go on talking.

use std::time::Duration;

use chordage_dht::{AnyMetric, Config, DownReason, Event, Input};

use crate::world::{World, confirmed, ids};

const NODES: usize = 40;
/// Who is excluded.
const OUT: usize = 7;
/// Who never hears of it.
const UNTOLD: usize = 20;

fn excluded(seed: u64, metric: AnyMetric) -> World {
    let mut world = World::settled(seed, metric, Config::default(), NODES);
    let out = world.id(OUT);
    for node in (0..NODES).filter(|node| ![OUT, UNTOLD].contains(node)) {
        world.input(node, Input::Exclude(vec![out]));
    }
    world
}

#[test]
fn an_excluded_node_leaves_all_tables_at_once_and_for_ever_though_it_lives() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let mut world = excluded(44, metric);
        let out = world.id(OUT);
        for minutes in 0..10 {
            for node in (0..NODES).filter(|node| ![OUT, UNTOLD].contains(node)) {
                let dht = &world.nodes[node].dht;
                assert!(dht.leaf_set().all(|leaf| leaf.id() != out), "{metric}, minute {minutes}, {node}");
                let fingers = dht.fingers();
                let named = fingers.iter().flat_map(|row| &row.fingers).any(|finger| finger.peer.id() == out);
                assert!(!named, "{metric}, minute {minutes}, {node}");
                let listed = dht.members().iter().any(|member| member.peer.id() == out);
                assert!(!listed, "{metric}, minute {minutes}, {node}");
            }
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
        for node in (0..NODES).filter(|node| ![OUT, UNTOLD].contains(node)) {
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
