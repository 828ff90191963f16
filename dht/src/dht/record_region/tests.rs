//! What is told from two points on the circle is what counting tells.

#![allow(clippy::unwrap_used)]

use alloc::vec;

use super::super::tests::{Node, peer, record};
use super::*;

fn key(first: u8, second: u8, last: u8) -> Key {
    let mut bytes = [0; 32];
    (bytes[0], bytes[1], bytes[31]) = (first, second, last);
    Key::from_bytes(bytes)
}

/// Fewer than nine, nine, and many more neighbours than share a region.
#[test]
fn a_node_cares_for_what_fewer_than_nine_are_nearer_to() {
    for count in [3, 8, 9, 10, 17, 30, 60] {
        let neighbours: Vec<Peer> = (0..count).map(|number| peer(number + 2)).collect();
        let node = Node::new(&neighbours.iter().collect::<Vec<_>>());
        let dht = &node.dht;
        let stranger = record(200, b"far away", 1);
        let mut ids = vec![*dht.own_id(), stranger.id()];
        ids.extend(dht.leaves.as_slice().iter().map(|leaf| leaf.peer.id()));
        let (mut inside, mut outside) = (0, 0);
        for id in &ids {
            let care = dht.care_of(id);
            let near = |by: u8| {
                let mut bytes = *id.as_bytes();
                bytes[1] = bytes[1].wrapping_add(by);
                Key::from_bytes(bytes)
            };
            let places = (0..=255).flat_map(|place| [key(place, 0, 0), key(place, 128, 1), near(place)]);
            for address in places.chain([*id.key()]) {
                let cares = dht.is_in(&care, &address);
                assert_eq!(
                    cares,
                    dht.fewer_are_nearer(id, &address),
                    "{count} neighbours, {id}, {address:?}"
                );
                if cares { inside += 1 } else { outside += 1 }
            }
        }
        assert!(inside > 0 && (outside > 0 || count < 9), "{count}: {inside} inside, {outside} outside");
    }
}

#[test]
fn exactly_between_two_the_lower_id_is_nearer() {
    let neighbours: Vec<Peer> = (0..20).map(|number| peer(number + 2)).collect();
    let node = Node::new(&neighbours.iter().collect::<Vec<_>>());
    let dht = &node.dht;
    let me = *dht.own_id();
    let Care::Arc { clockwise, counterclockwise, .. } = dht.care_of(&me) else {
        panic!("there are more than nine")
    };
    let half = |whole: Distance| {
        let mut bytes = [0; 32];
        let mut carry = 0;
        for (index, byte) in Key::from_limbs(whole.0).as_bytes().iter().enumerate() {
            bytes[index] = byte >> 1 | carry;
            carry = byte << 7;
        }
        Distance(Key::from_bytes(bytes).limbs())
    };
    let at = Distance(me.key().limbs());
    let places = [
        at.wrapping_add(half(clockwise.0)),
        at.wrapping_sub(half(counterclockwise.0)),
        at.wrapping_add(Distance::shifted(1, 255)),
    ];
    for address in places.map(|place| Key::from_limbs(place.0)) {
        assert_eq!(
            dht.is_in(&dht.care_of(&me), &address),
            dht.fewer_are_nearer(&me, &address),
            "{address:?}"
        );
    }
}
