use alloc::{format, sync::Arc, vec};

use super::*;
use crate::peer::{Address, NetGroup};

fn nowhere(_: &PeerInfo) -> NetGroup {
    NetGroup::default()
}

/// The first two bytes of the first address are subnet and provider.
fn by_address(peer: &PeerInfo) -> NetGroup {
    match peer.addrs().first().map(Address::as_bytes) {
        Some([subnet, site, ..]) => NetGroup { subnet: (*subnet).into(), site: (*site).into() },
        _ => NetGroup::default(),
    }
}

fn peer(number: u8) -> PeerInfo {
    PeerInfo::new([number; 32], vec![], 0).expect("no addresses")
}

fn peers(count: u8) -> Vec<Peer> {
    (0..count).map(|number| Arc::new(peer(number))).collect()
}

/// So many nodes in each zone.
fn in_zones(counts: &[u8]) -> Vec<Peer> {
    let zones = counts.iter().zip(0u8..).flat_map(|(count, zone)| (0..*count).map(move |_| zone));
    let zoned = zones.zip(0u8..).map(|(zone, number)| {
        Arc::new(peer(number).in_zone(Some(format!("z{zone}").parse().expect("a name"))))
    });
    zoned.collect()
}

fn counts<'a>(peers: impl IntoIterator<Item = &'a Peer>) -> BTreeMap<Option<Zone>, usize> {
    let mut counts = BTreeMap::new();
    for peer in peers {
        *counts.entry(peer.zone().cloned()).or_default() += 1;
    }
    counts
}

fn free(tolerates: u8) -> Spread {
    Spread::new(nowhere, tolerates)
}

#[test]
fn the_order_is_the_keys_own_and_not_that_of_the_candidates() {
    for mut candidates in [peers(30), in_zones(&[20, 7, 3])] {
        let order = free(12).order(&Key::from_bytes([1; 32]), &candidates);
        candidates.reverse();
        assert_eq!(free(12).order(&Key::from_bytes([1; 32]), &candidates), order);
        assert_ne!(free(12).order(&Key::from_bytes([2; 32]), &candidates), order);
    }
}

#[test]
fn a_node_that_goes_changes_nobody_elses_place() {
    let candidates = peers(30);
    let key = Key::from_bytes([7; 32]);
    let mut order = free(12).order(&key, &candidates);
    let gone = order.remove(4);
    let rest: Vec<Peer> = candidates.into_iter().filter(|peer| peer.id() != gone.id()).collect();
    assert_eq!(free(12).order(&key, &rest), order);
}

#[test]
fn load_is_spread_over_all_candidates() {
    let candidates = peers(20);
    let mut held = [0u32; 20];
    for chunk in 0..2000u32 {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&chunk.to_be_bytes());
        for peer in free(1).order(&Key::from_bytes(key), &candidates).iter().take(5) {
            held[usize::from(peer.public_key()[0])] += 1;
        }
    }
    // 2,000 chunks of 5 shards on 20 nodes: 500 each, standard deviation about 19.
    assert!(held.iter().all(|&count| (400..600).contains(&count)), "{held:?}");
}

#[test]
fn no_zone_gets_more_than_a_third_of_what_may_be_lost_if_there_are_enough() {
    // 8 of 20 survives the loss of 12: 4 for each zone, though one has half of the nodes.
    let candidates = in_zones(&[30, 6, 6, 6, 6, 6]);
    for number in 0..50 {
        let order = free(12).order(&Key::from_bytes([number; 32]), &candidates);
        assert_eq!(order.len(), candidates.len());
        assert!(counts(&order[..20]).values().all(|&count| count <= 4), "{:?}", counts(&order[..20]));
    }
}

#[test]
fn too_few_zones_get_equal_numbers() {
    for number in 0..50 {
        let key = Key::from_bytes([number; 32]);
        let order = free(2).order(&key, &in_zones(&[10, 4, 4]));
        assert!(counts(&order[..6]).values().all(|&count| count == 2), "{:?}", counts(&order[..6]));
        // And one that is too small gives all that it has.
        let order = free(2).order(&key, &in_zones(&[10, 1]));
        assert_eq!(counts(&order[..6]).into_values().collect::<Vec<_>>(), [5, 1]);
    }
}

#[test]
fn nodes_without_a_zone_are_zones_of_their_own() {
    let mut candidates = in_zones(&[10]);
    candidates.extend((100..110).map(|number| Arc::new(peer(number))));
    let order = free(3).order(&Key::from_bytes([3; 32]), &candidates);
    // The first of the zone stands where its lot says; all others of it are behind those that are alone.
    assert_eq!(counts(&order[..11]).get(&None), Some(&10));
}

#[test]
fn subnets_get_one_shard_and_providers_a_third() {
    let at = |number: u8, subnet: u8, site: u8| {
        let address = Address::new(&[subnet, site]).expect("short");
        Arc::new(PeerInfo::new([number; 32], vec![address], 0).expect("one address"))
    };
    // Ten nodes of one subnet, ten of one provider in subnets of their own, ten anywhere.
    let candidates: Vec<Peer> = (0..10)
        .map(|number| at(number, 1, 1))
        .chain((10..20).map(|number| at(number, number, 2)))
        .chain((20..30).map(|number| at(number, number, number)))
        .collect();
    let spread = Spread::new(by_address, 6);
    let order = spread.order(&Key::from_bytes([5; 32]), &candidates);
    let first: Vec<NetGroup> = order[..13].iter().map(|peer| by_address(peer)).collect();
    assert_eq!(first.iter().filter(|group| group.subnet == 1).count(), 1);
    assert_eq!(first.iter().filter(|group| group.site == 2).count(), 2);
}

#[test]
fn what_holders_have_counts_when_more_is_given() {
    let candidates = in_zones(&[6, 6, 6]);
    let (holders, others): (Vec<Peer>, Vec<Peer>) =
        candidates.into_iter().partition(|peer| peer.public_key()[0] % 6 < 2 && peer.public_key()[0] < 12);
    let more = free(6).beside(&holders, others);
    // Two each in the first and the second zone already: the third is next, with two, and then they take turns.
    assert!(more[..2].iter().all(|peer| peer.zone().is_some_and(|zone| zone.as_str() == "z2")));
    assert!(counts(&more[2..5]).values().all(|&count| count == 1));
}
