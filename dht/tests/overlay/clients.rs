//! Peers that only ask.

use std::time::Duration;

use chordage_dht::{
    AnyMetric, CallId, Config, DownReason, Event, Input, LookupError, Message, Notice, Output, Request,
};

use crate::world::{World, confirmed, ids};

const METRICS: [AnyMetric; 2] = [AnyMetric::Ring, AnyMetric::Xor];

/// A settled network of `members`, and then of `clients` too.
fn with_clients(seed: u64, metric: AnyMetric, config: Config, members: usize, clients: usize) -> World {
    let mut world = World::settled(seed, metric, config, members);
    for index in 0..clients {
        let client = world.add_client();
        world.join(client, &[index % members]);
        world.run_until(Duration::from_secs(20), |world| world.is_joined(client));
    }
    world.run(Duration::from_secs(30));
    world
}

/// Nobody knows a client: not in leaf sets, nor rows, nor lists.
fn assert_nobody_lists_a_client(world: &World) {
    for node in world.live() {
        let dht = &world.nodes[node].dht;
        let fingers = dht.fingers().into_iter().flat_map(|row| row.fingers).map(|finger| finger.peer);
        let known = dht.leaf_set().cloned().chain(fingers).chain(dht.members().into_iter().map(|m| m.peer));
        for peer in known {
            let clients = (0..world.nodes.len()).filter(|other| world.is_client(*other));
            let named = clients.into_iter().find(|client| world.id(*client) == peer.id());
            assert_eq!(named, None, "node {node} knows a client, seed {}", world.seed);
        }
    }
}

#[test]
fn a_third_of_clients_leaves_the_ring_to_its_members() {
    for metric in METRICS {
        for (config, members, clients) in
            [(Config::default(), 100, 43), (Config { members: 2000, ..Config::default() }, 20, 9)]
        {
            let mut world = with_clients(70, metric, config, members, clients);
            world.run_until(Duration::from_secs(120), |world| world.wrong_leaf_sets().is_empty());
            assert_nobody_lists_a_client(&world);
            assert_eq!(world.sent_to_clients, 0, "clients are only answered");
            for round in 0..200 {
                // Near a client, too, where it would be the answer if it were a member.
                let key = if round % 2 == 0 {
                    world.random_key()
                } else {
                    *world.id(members + world.seed as usize % clients).key()
                };
                let from = world.random(members + clients);
                let found = world.lookup(from, key, confirmed(8)).unwrap();
                assert_eq!(ids(&found.closest), world.truth(&key, 8), "{metric}, from {from}");
            }
            // Both count the members alone.
            let size = |node: usize| world.nodes[node].dht.network_size();
            if members < 40 {
                assert!(size(0).exact && size(0).nodes == members as f64);
                assert_eq!(size(members).nodes, members as f64);
            }
        }
    }
}

/// Clients that come and go are noticed by nobody; members that die are noticed by clients.
#[test]
fn clients_that_leave_make_no_death_traffic() {
    for goodbye in [true, false] {
        let mut world = with_clients(71, AnyMetric::Ring, Config::default(), 50, 20);
        world.weather.refuses = false;
        let start = world.now;
        for client in 50..70 {
            if goodbye {
                let before = world.sent;
                world.input(client, Input::Leave);
                assert_eq!(world.sent, before, "there is nobody to tell");
            }
            world.kill(client);
        }
        world.run(Duration::from_secs(120));
        let downs = world.nodes[..50].iter().flat_map(|node| &node.events);
        let downs =
            downs.filter(|(at, event)| *at > start && matches!(event, Event::NeighbourDown { .. })).count();
        assert_eq!((downs, world.sent_to_clients), (0, 0));
        assert_eq!(world.wrong_leaf_sets(), []);
    }
}

#[test]
fn lookups_of_clients_survive_the_death_of_members() {
    for metric in METRICS {
        let mut world = with_clients(72, metric, Config::default(), 60, 10);
        for node in (0..60).filter(|node| node % 5 == 2) {
            world.kill(node);
        }
        for _ in 0..50 {
            let key = world.random_key();
            let from = 60 + world.random(10);
            let found = world.lookup(from, key, confirmed(3)).unwrap();
            assert!(!found.closest.is_empty() && found.confirmed > 0, "{metric}");
        }
        world.run(Duration::from_secs(180));
        assert_eq!(world.wrong_leaf_sets(), []);
        for _ in 0..50 {
            let key = world.random_key();
            let from = 60 + world.random(10);
            let found = world.lookup(from, key, confirmed(8)).unwrap();
            assert_eq!(ids(&found.closest), world.truth(&key, 8), "{metric}");
        }
    }
}

#[test]
fn a_client_without_a_network_is_none_and_finds_one_that_comes() {
    let mut world = World::new(73, AnyMetric::Ring, Config::default());
    let (member, client) = (world.add(), world.add_client());
    world.join(client, &[]);
    let key = world.random_key();
    assert!(matches!(world.lookup(client, key, confirmed(1)), Err(LookupError::NotJoined)));
    world.join(client, &[member]);
    world.run(Duration::from_secs(5));
    assert!(world.is_joined(client), "the seed answers although it has not joined either");
    world.join(member, &[]);
    let found = world.lookup(client, key, confirmed(1)).unwrap();
    assert_eq!(ids(&found.closest), [world.id(member)]);
}

/// Losing its address makes a client of a member, at once for its neighbours; a new one makes it a member again.
#[test]
fn members_become_clients_and_members_again() {
    for metric in METRICS {
        let mut world = World::settled(74, metric, Config { members: 2000, ..Config::default() }, 30);
        for node in 0..10 {
            world.input(node, Input::SetAddresses(vec![]));
        }
        world.run_until(Duration::from_secs(60), |world| world.wrong_leaf_sets().is_empty());
        world.run(Duration::from_secs(60));
        assert_nobody_lists_a_client(&world);
        for node in 10..30 {
            let reasons = world.nodes[node].events.iter().filter_map(|(_, event)| match event {
                Event::NeighbourDown { why, .. } => Some(*why),
                _ => None,
            });
            assert!(reasons.into_iter().all(|why| why != DownReason::Failed));
        }
        for node in 0..10 {
            let address = world.address(node, 9);
            world.input(node, Input::SetAddresses(vec![address]));
        }
        world.run_until(Duration::from_secs(60), |world| world.wrong_leaf_sets().is_empty());
        assert!((0..30).all(|node| world.is_joined(node) && !world.is_client(node)));
    }
}

/// What a client says about others moves nobody, and it cannot have others called.
#[test]
fn nobody_acts_on_what_a_client_says() {
    let mut world = with_clients(75, AnyMetric::Ring, Config::default(), 12, 1);
    let (liar, victim) = (world.peer(12), world.id(3));
    world.run(Duration::from_secs(3));
    let mut member = world.nodes[0].dht.clone();
    let mut rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(1);
    let rng: &mut rand_chacha::ChaCha8Rng = &mut rng;
    let says = [
        Message::Notice(Notice::Down(victim)),
        Message::Notice(Notice::Leaving),
        Message::Notice(Notice::Record((*liar).clone())),
        Message::Request(CallId(1), Request::Reach { peer: victim }),
    ];
    for message in says {
        let mut out = Vec::new();
        member.handle(
            world.now,
            rng,
            Input::Message { from: liar.clone(), message: message.clone() },
            &mut out,
        );
        let sent: Vec<_> = out
            .iter()
            .filter(|output| matches!(output, Output::Send { to, .. } if to.id() == victim || to.id() == liar.id()))
            .collect();
        assert!(sent.is_empty(), "{message:?}: {sent:?}");
    }
    // Its questions are answered.
    let mut out = Vec::new();
    let ping = Message::Request(CallId(2), Request::Ping);
    member.handle(world.now, rng, Input::Message { from: liar.clone(), message: ping }, &mut out);
    assert!(out.iter().any(|output| matches!(output, Output::Send { to, .. } if to.id() == liar.id())));
}

/// A member that lies about a client, giving it an address, gets it into no answer and no table.
#[test]
fn a_client_that_others_name_stays_one() {
    let mut world = with_clients(76, AnyMetric::Ring, Config::default(), 30, 3);
    let client = world.peer(30);
    let named = client.with_addresses(vec![world.address(30, 0)], 99).unwrap();
    for node in 1..30 {
        // As if it had been named in an answer to a lookup of our own place.
        world.input(node, Input::Join { seeds: vec![named.clone().into()] });
    }
    let asker = world.add();
    world.input(asker, Input::Join { seeds: vec![named.into(), world.peer(5)] });
    world.run_until(Duration::from_secs(30), |world| world.is_joined(asker));
    world.run(Duration::from_secs(60));
    assert_nobody_lists_a_client(&world);
    let found = world.lookup(asker, *client.id().key(), confirmed(8)).unwrap();
    assert_eq!(ids(&found.closest), world.truth(client.id().key(), 8));
}
