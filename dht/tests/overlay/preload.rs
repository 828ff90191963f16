//! Nodes that start with filled tables, as simulations use them.

use std::{sync::Arc, time::Duration};

use chordage_dht::{
    Address, AnyMetric, CallId, Config, Confirm, Dht, Input, Key, LookupId, LookupOptions, Message, Notice,
    Output, Peer, PeerInfo, Request, Response, Time,
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

fn peers(count: u32) -> Vec<Peer> {
    let peer = |number: u32| {
        let mut public_key = [0; 32];
        public_key[..4].copy_from_slice(&number.to_be_bytes());
        Arc::new(PeerInfo::new(public_key, vec![Address::new(&number.to_be_bytes()).unwrap()], 1).unwrap())
    };
    (0..count).map(peer).collect()
}

/// A node of a large network knows about 400 peers and stays within the budget that a million nodes in one process
/// allow.
#[test]
fn full_tables_are_small() {
    let peers = peers(100_000);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let config = Config { row_cache: 0, ..Config::default() };
        let mut dht = Dht::new(peers[0].clone(), metric, config);
        let known: Vec<_> =
            peers[1..].iter().map(|peer| (peer.clone(), Some(Duration::from_millis(50)))).collect();
        dht.preload(Time::ZERO, &mut rng, &known, &known, true);
        let status = dht.status();
        eprintln!(
            "{metric}: {} entries, {} leaves, {} bytes",
            status.table_entries,
            status.leaf_set,
            dht.memory_bytes()
        );
        assert!(status.joined && status.leaf_set == 40);
        assert!((170..450).contains(&status.table_entries), "{} entries", status.table_entries);
        assert!(dht.memory_bytes() <= 12 * 1024, "{} bytes", dht.memory_bytes());
        assert!(dht.next_timeout().is_some());
    }
}

#[test]
fn an_unmaintained_node_sets_no_timers_and_still_looks_up() {
    let peers = peers(30);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut dht = Dht::new(peers[0].clone(), AnyMetric::Ring, Config::default());
    let known: Vec<_> = peers[1..].iter().map(|peer| (peer.clone(), None)).collect();
    dht.preload(Time::ZERO, &mut rng, &known, &[], false);
    assert_eq!(dht.next_timeout(), None);
    let mut out = Vec::new();
    let options = LookupOptions { want: 5, confirm: Confirm::Known, ..LookupOptions::default() };
    let key = *peers[7].id().key();
    dht.handle(Time::ZERO, &mut rng, Input::StartLookup { id: LookupId(1), key, options }, &mut out);
    match &out[..] {
        [Output::LookupFinished { outcome: Ok(found), .. }] => {
            assert_eq!(found.closest[0].id(), peers[7].id());
        }
        other => panic!("{other:?}"),
    }
}

/// With a free seat, the leaf set of a large network looks like that of a small one, which shows everybody.
#[test]
fn who_has_just_lost_a_neighbour_vouches_for_no_more_than_before() {
    let peers = peers(2_000);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let mut dht = Dht::new(peers[0].clone(), metric, Config::default());
        let known: Vec<_> = peers[1..].iter().map(|peer| (peer.clone(), None)).collect();
        dht.preload(Time::ZERO, &mut rng, &known, &[], true);
        let near = *dht.local().id().key();
        let mut bytes = *near.as_bytes();
        bytes[0] ^= 0x80;
        let far = Key::from_bytes(bytes);
        let claims = |dht: &mut Dht, rng: &mut ChaCha8Rng, key| {
            let message = Message::Request(CallId(1), Request::Closest { key, count: 20 });
            let mut out = Vec::new();
            dht.handle(Time::ZERO, rng, Input::Message { from: peers[1].clone(), message }, &mut out);
            let claim = |output: &Output| {
                let Output::Send { message: Message::Response(_, response), .. } = output else {
                    return false;
                };
                matches!(response, Response::Closest { covered: true, .. })
            };
            out.iter().any(claim)
        };
        assert!(claims(&mut dht, &mut rng, near) && !claims(&mut dht, &mut rng, far), "{metric}");
        let neighbour = dht.leaf_set().next().unwrap().clone();
        let message = Message::Notice(Notice::Leaving);
        dht.handle(Time::ZERO, &mut rng, Input::Message { from: neighbour, message }, &mut Vec::new());
        assert_eq!(dht.leaf_set().len(), 39);
        assert!(!claims(&mut dht, &mut rng, far), "{metric}");
        assert!(claims(&mut dht, &mut rng, near), "{metric}");
    }
}
