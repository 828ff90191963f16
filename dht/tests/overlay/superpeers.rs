//! Networks too large for everybody to list them: who lists them, what that is good for, and how little rests on it.

use std::time::Duration;

use chordage_dht::{
    AnyMetric, Config, Confirm, Gossip, Input, LookupOptions, Message, NetGroup, News, NodeId, Notice,
    PeerInfo, Willingness,
};

use crate::world::World;

const METRICS: [AnyMetric; 2] = [AnyMetric::Ring, AnyMetric::Xor];
const NODES: usize = 160;

fn config() -> Config {
    Config { members: 40, quarantine: Duration::from_secs(5), ..Config::default() }
}

fn super_peers(world: &World) -> Vec<usize> {
    world.live().into_iter().filter(|node| world.nodes[*node].dht.is_super_peer()).collect()
}

fn ids(world: &World, nodes: &[usize]) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = nodes.iter().map(|node| world.id(*node)).collect();
    ids.sort_unstable();
    ids
}

/// Super-peers whose list of everybody differs from the truth.
fn wrong_lists(world: &World) -> usize {
    let all = ids(world, &world.live());
    let is_wrong = |node: &&usize| {
        let listed: Vec<NodeId> =
            world.nodes[**node].dht.members().iter().map(|member| member.peer.id()).collect();
        listed != all
    };
    super_peers(world).iter().filter(is_wrong).count()
}

/// Nodes that do not know exactly the super-peers there are.
fn ignorant(world: &World) -> usize {
    let all = ids(world, &super_peers(world));
    let is_wrong = |node: &usize| {
        let known = world.nodes[*node].dht.super_peers(world.now);
        known.iter().map(|known| known.peer.id()).collect::<Vec<_>>() != all
    };
    world.live().into_iter().filter(is_wrong).count()
}

fn settled(seed: u64, metric: AnyMetric) -> World {
    let mut world = World::settled(seed, metric, config(), NODES);
    let took = world.run_until(Duration::from_secs(900), |world| {
        // Seats change hands now and then, and it takes a minute or two until everybody knows.
        !super_peers(world).is_empty() && wrong_lists(world) == 0 && ignorant(world) <= NODES / 20
    });
    eprintln!("{metric}: {} super-peers know everybody after {took:?}", super_peers(&world).len());
    world
}

fn one() -> LookupOptions {
    LookupOptions { want: 1, confirm: Confirm::Covered, ..LookupOptions::default() }
}

#[test]
fn only_super_peers_list_everybody_and_lookups_of_the_others_take_two_hops() {
    for metric in METRICS {
        let mut world = settled(80, metric);
        let seats = super_peers(&world);
        assert!((1..20).contains(&seats.len()), "{} of {NODES}", seats.len());
        for node in (0..NODES).filter(|node| !seats.contains(node)) {
            assert_eq!(world.nodes[node].dht.members().len(), 0);
        }
        let mut hops = 0;
        for _ in 0..200 {
            let (node, key) = (world.random(NODES), world.random_key());
            let found = world.lookup(node, key, one()).unwrap();
            assert_eq!(found.closest[0].id(), world.truth(&key, 1)[0], "{metric}");
            hops += found.hops;
        }
        assert!(hops <= 2 * 200, "{hops} hops in 200 lookups");
    }
}

#[test]
fn super_peers_hear_of_deaths_although_those_who_notice_are_none() {
    let mut world = settled(81, AnyMetric::Ring);
    world.weather.refuses = false;
    world.weather.lost_per_mille = 20;
    for node in (0..NODES).filter(|node| node % 10 == 3) {
        world.kill(node);
    }
    // All but the odd one: whoever nobody has reported is found later, when it is asked.
    let took = world.run_until(Duration::from_secs(60), |world| wrong_lists(world) <= 1);
    eprintln!("super-peers know of 16 deaths after {took:?}");
}

#[test]
fn without_super_peers_lookups_find_their_way_by_fingers() {
    let mut world = settled(82, AnyMetric::Ring);
    world.weather.refuses = false;
    for node in super_peers(&world) {
        world.kill(node);
    }
    let living = world.live();
    let options = LookupOptions { confirm: Confirm::Answered(1), ..one() };
    for _ in 0..100 {
        let (node, key) = (living[world.random(living.len())], world.random_key());
        let found = world.lookup(node, key, options).unwrap();
        assert_eq!(found.closest[0].id(), world.truth(&key, 1)[0]);
    }
}

/// Somebody reports that a tenth of the network is gone. Those concerned hear of it and contradict.
#[test]
fn the_living_contradict_forged_reports() {
    let mut world = settled(83, AnyMetric::Ring);
    let forged: Vec<News> = (0..NODES / 10)
        .map(|node| {
            let peer = world.peer(10 * node + 1);
            News::Gone { peer: (&peer.id()).into(), seq: peer.seq() }
        })
        .collect();
    let liar = world.peer(0);
    for node in super_peers(&world).into_iter().filter(|node| *node != 0) {
        let message = Message::Notice(Notice::Gossip(Gossip::Report(forged.clone())));
        world.input(node, Input::Message { from: liar.clone(), message });
    }
    assert!(wrong_lists(&world) > 0);
    for _ in 0..50 {
        let (node, key) = (world.random(NODES), world.random_key());
        let found = world.lookup(node, key, one()).unwrap();
        assert_eq!(found.closest[0].id(), world.truth(&key, 1)[0]);
    }
    let took = world.run_until(Duration::from_secs(120), |world| wrong_lists(world) == 0);
    eprintln!("contradicted after {took:?}");
}

/// A seat is only for those who are drawn, whatever they say; and nobody has to take it.
#[test]
fn who_is_not_drawn_is_no_super_peer_and_who_is_need_not_be_one() {
    let mut world = settled(84, AnyMetric::Ring);
    let drawn = super_peers(&world).len();
    let never = Config { superpeer: Willingness::Never, ..config() };
    let mut unwilling = World::settled(84, AnyMetric::Ring, never, NODES);
    unwilling.run(Duration::from_secs(60));
    assert_eq!(super_peers(&unwilling).len(), 0);
    // Everybody claims a seat, with a signature that holds.
    let claims: Vec<News> =
        (0..NODES).map(|node| News::Member(world.claim(node, world.peer(node).seq() + 1000))).collect();
    let reader = (0..NODES).find(|node| !world.nodes[*node].dht.is_super_peer()).unwrap();
    let from = world.peer((reader + 1) % NODES);
    for claims in claims.chunks(50) {
        let message = Message::Notice(Notice::Gossip(Gossip::Missed(claims.to_vec())));
        world.input(reader, Input::Message { from: from.clone(), message });
    }
    let believed = world.nodes[reader].dht.super_peers(world.now).len();
    // Those of the neighbouring epochs among them: clocks may differ.
    assert!(believed <= drawn + 4, "{believed} where {drawn} are drawn");
}

fn one_of_two_subnets(peer: &PeerInfo) -> NetGroup {
    NetGroup { subnet: 1 + u32::from(peer.addrs()[0].as_bytes()[3] % 2), site: 1 }
}

/// Whoever is drawn and knows of a better ticket in its subnet does not take its seat: nobody would list it.
#[test]
fn of_those_drawn_in_one_subnet_one_takes_its_seat_and_it_is_the_same_for_everybody() {
    let mut world = World::new(85, AnyMetric::Ring, config());
    world.grouping = Some(one_of_two_subnets);
    for node in 0..NODES {
        world.add();
        world.join(node, &[0]);
        world.run_until(Duration::from_secs(10), |world| world.is_joined(node));
    }
    let drawn = |world: &World| {
        let is_drawn = |node: &&usize| world.nodes[**node].dht.draws_seat(&world.id(**node), world.now);
        world.live().iter().filter(is_drawn).count()
    };
    world.run_until(Duration::from_secs(900), |world| {
        super_peers(world).len() == 2 && wrong_lists(world) == 0 && ignorant(world) <= NODES / 20
    });
    // It stays so when the others drawn have been members long enough.
    world.run(Duration::from_secs(60));
    let mut subnets = super_peers(&world).into_iter().map(|node| node % 2).collect::<Vec<_>>();
    subnets.sort_unstable();
    assert_eq!(subnets, [0, 1]);
    assert!(drawn(&world) > 2, "the bound had nothing to do");
    // The next takes the seat when its holder is gone.
    for node in super_peers(&world) {
        world.kill(node);
    }
    world.run_until(Duration::from_secs(900), |world| !super_peers(world).is_empty());
}

/// Who only asks, asks super-peers first like everybody. It tells nobody anything, and nobody tells it anything
/// unasked.
#[test]
fn clients_ask_super_peers_and_are_known_to_none() {
    for metric in METRICS {
        let mut world = settled(87, metric);
        let clients: Vec<usize> = (0..4).map(|_| world.add_client()).collect();
        for client in &clients {
            world.join(*client, &[7]);
        }
        let knows_some = |world: &World, client: &usize| {
            let known = world.nodes[*client].dht.super_peers(world.now);
            known.iter().filter(|known| known.rtt.is_some()).count() >= 2
        };
        let took = world.run_until(Duration::from_secs(120), |world| {
            clients.iter().all(|client| world.is_joined(*client) && knows_some(world, client))
        });
        eprintln!("{metric}: clients know super-peers after {took:?}");
        let mut hops = 0;
        for round in 0..100 {
            let key = world.random_key();
            let found = world.lookup(clients[round % clients.len()], key, one()).unwrap();
            assert_eq!(found.closest[0].id(), world.truth(&key, 1)[0], "{metric}");
            hops += found.hops;
        }
        assert!(hops <= 2 * 100, "{metric}: {hops} hops in 100 lookups");
        world.run(Duration::from_secs(300));
        assert_eq!(world.sent_to_clients, 0, "clients are only answered");
        for client in &clients {
            assert!(!world.nodes[*client].dht.is_super_peer());
            assert_eq!(world.nodes[*client].dht.members().len(), 0, "it lists no members");
            let id = world.id(*client);
            let lists_it = |node: &usize| {
                let dht = &world.nodes[*node].dht;
                let members = dht.members().into_iter().map(|member| member.peer.id());
                members
                    .chain(dht.super_peers(world.now).iter().map(|known| known.peer.id()))
                    .any(|known| known == id)
            };
            assert_eq!(world.live().iter().find(|node| lists_it(node)), None, "somebody lists a client");
        }
    }
}

/// Who becomes a client gives up its seat and its list, and who becomes a member again is announced again.
#[test]
fn a_member_that_becomes_a_client_and_one_again_lists_what_it_is_to_list() {
    let mut world = settled(88, AnyMetric::Ring);
    let seat = super_peers(&world)[0];
    let addresses = world.peer(seat).addrs().to_vec();
    world.input(seat, Input::SetAddresses(Vec::new()));
    world.run(Duration::from_secs(60));
    assert!(world.is_client(seat) && !world.nodes[seat].dht.is_super_peer());
    assert_eq!(world.nodes[seat].dht.members().len(), 0);
    assert!(!world.nodes[seat].dht.super_peers(world.now).is_empty(), "it asks the others");
    world.input(seat, Input::SetAddresses(addresses));
    let took = world.run_until(Duration::from_secs(900), |world| {
        world.nodes[seat].dht.is_super_peer() && wrong_lists(world) == 0
    });
    eprintln!("it has its seat again after {took:?}");
}
