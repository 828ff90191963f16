#![allow(clippy::unwrap_used)]

use core::time::Duration;

use crate::{
    Distance,
    dht::tests::{Node, peer},
    io::Input,
};

#[test]
fn a_meeting_is_over_when_nobody_answers_and_as_well_when_the_transport_refuses() {
    let (neighbour, named) = (peer(2), peer(3));
    for refused in [false, true] {
        let mut node = Node::new(&[&neighbour]);
        node.turn(|dht, turn| {
            // It has lost somebody, and a neighbour has told it of everybody else: one peer that it has to meet.
            dht.leaves.bind();
            dht.consider(turn, &named);
            dht.meetings.is_told([Distance::MAX; 2]);
        });
        assert!(node.dht.meetings.contains(named.id_ref()) && node.dht.leaves.is_bound());
        if refused {
            node.give(Input::Unreachable { peer: named.clone() });
        } else {
            node.pass(Duration::from_secs(5));
        }
        assert!(!node.dht.meetings.contains(named.id_ref()), "refused: {refused}");
        assert!(!node.dht.leaves.is_bound(), "what it was told counts now; refused: {refused}");
    }
}
