//! Nodes die, freeze, leave; links break.

use std::time::Duration;

use chordage_dht::{AnyMetric, Config, DownReason, Event};

use crate::world::World;

const METRICS: [AnyMetric; 2] = [AnyMetric::Ring, AnyMetric::Xor];

#[test]
fn leaf_sets_heal_after_a_fifth_is_killed() {
    for metric in METRICS {
        for refuses in [true, false] {
            let mut world = World::settled(40, metric, Config::default(), 200);
            world.weather.refuses = refuses;
            for node in (0..200).filter(|node| node % 5 == 2) {
                world.kill(node);
            }
            // Under XOR a node is not always among the nearest of its own nearest, so the far end of a leaf set hears
            // of changes at second hand only.
            let limit = if metric == AnyMetric::Xor { 120 } else { 60 };
            let took =
                world.run_until(Duration::from_secs(limit), |world| world.wrong_leaf_sets().is_empty());
            eprintln!("{metric}, refuses {refuses}: healed after {took:?}");
        }
    }
}

/// A process that is killed leaves every leaf set within 15 s, whether its host says so or not.
#[test]
fn a_killed_neighbour_is_dropped_in_time() {
    for metric in METRICS {
        for nodes in [3, 12, 60] {
            for refuses in [true, false] {
                let mut world = World::settled(41, metric, Config::default(), nodes);
                world.weather.refuses = refuses;
                let dead = world.id(1);
                world.kill(1);
                let took = world.run_until(Duration::from_secs(20), |world| {
                    world
                        .live()
                        .iter()
                        .all(|node| world.nodes[*node].dht.leaf_set().all(|leaf| leaf.id() != dead))
                });
                eprintln!("{metric}, {nodes} nodes, refuses {refuses}: gone after {took:?}");
                assert!(took <= Duration::from_secs(15), "{took:?}, seed {}", world.seed);
            }
        }
    }
}

#[test]
fn goodbyes_cost_no_time_out() {
    for metric in METRICS {
        let mut world = World::settled(42, metric, Config::default(), 60);
        let left = world.id(7);
        world.input(7, chordage_dht::Input::Leave);
        assert!(world.nodes[7].events.iter().any(|(_, event)| *event == Event::Left));
        world.kill(7);
        world.run_until(Duration::from_secs(1), |world| {
            world.live().iter().all(|node| world.nodes[*node].dht.leaf_set().all(|leaf| leaf.id() != left))
        });
        for node in world.live() {
            let reasons = world.nodes[node].events.iter().filter_map(|(_, event)| match event {
                Event::NeighbourDown { peer, why } if *peer == left => Some(*why),
                _ => None,
            });
            assert!(reasons.into_iter().all(|why| why != DownReason::Failed));
        }
        world.run_until(Duration::from_secs(30), |world| world.wrong_leaf_sets().is_empty());
    }
}

/// Losing messages is not dying.
#[test]
fn loss_alone_drops_nobody() {
    let mut world = World::settled(43, AnyMetric::Ring, Config::default(), 60);
    world.weather.lost_per_mille = 20;
    let start = world.now;
    world.run(Duration::from_secs(3600));
    let dropped = world
        .nodes
        .iter()
        .flat_map(|node| &node.events)
        .filter(|(at, event)| {
            *at > start && matches!(event, Event::NeighbourDown { why: DownReason::Failed, .. })
        })
        .count();
    assert_eq!(dropped, 0, "in an hour of 60 nodes at 2 % loss");
}

/// Neither is being out of reach for five seconds, at whatever moment they begin.
#[test]
fn a_short_silence_drops_nobody() {
    for metric in METRICS {
        let mut world = World::settled(48, metric, Config::default(), 12);
        world.weather.refuses = false;
        let start = world.now;
        for round in 0..40 {
            world.split(Some((0..12).map(|node| node == round % 12).collect()));
            world.run(Duration::from_secs(5));
            world.split(None);
            world.run(Duration::from_millis(7_300));
        }
        for (at, event) in world.nodes.iter().flat_map(|node| &node.events) {
            let lost = matches!(event, Event::NeighbourDown { why: DownReason::Failed, .. });
            assert!(*at <= start || !lost, "{event:?}, {metric}, seed {}", world.seed);
        }
    }
}

/// Everybody but one dies; the survivor is a network of its own, and takes back who returns.
#[test]
fn the_last_one_standing() {
    let mut world = World::settled(44, AnyMetric::Ring, Config::default(), 12);
    for node in 1..12 {
        world.kill(node);
    }
    world.run_until(Duration::from_secs(60), |world| world.wrong_leaf_sets().is_empty());
    for node in 1..12 {
        world.restart(node, &[0]);
    }
    world.run_until(Duration::from_secs(30), |world| world.wrong_leaf_sets().is_empty());
}

/// A network that is split for ten minutes becomes two rings, and one again when the split ends.
#[test]
fn two_halves_find_together() {
    for metric in METRICS {
        let mut world = World::settled(45, metric, Config::default(), 100);
        world.split(Some((0..100).map(|node| node < 50).collect()));
        world.run(Duration::from_secs(600));
        for node in 0..100 {
            let same_side = |id| (0..50).any(|other| world.id(other) == id) == (node < 50);
            let strangers = world.nodes[node].dht.leaf_set().filter(|leaf| !same_side(leaf.id())).count();
            assert_eq!(strangers, 0, "node {node}, seed {}", world.seed);
        }
        world.split(None);
        let took = world.run_until(Duration::from_secs(60), |world| world.wrong_leaf_sets().is_empty());
        eprintln!("{metric}: one ring again after {took:?}");
    }
}

/// A daemon that is stopped for a while and continued blames nobody for the answers it slept through.
#[test]
fn a_sleeper_blames_nobody() {
    let mut world = World::settled(46, AnyMetric::Ring, Config::default(), 40);
    let start = world.now;
    for _ in 0..20 {
        world.nodes[3].frozen = true;
        world.run(Duration::from_secs(4));
        world.nodes[3].frozen = false;
        world.input(3, chordage_dht::Input::Timeout);
        world.run(Duration::from_secs(6));
    }
    let blamed = world.nodes[3]
        .events
        .iter()
        .filter(|(at, event)| {
            *at > start && matches!(event, Event::NeighbourDown { why: DownReason::Failed, .. })
        })
        .count();
    assert_eq!(blamed, 0, "seed {}", world.seed);
    world.run(Duration::from_secs(30));
    assert_eq!(world.wrong_leaf_sets(), []);
}
