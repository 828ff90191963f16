use alloc::vec::Vec;

use crate::{
    Key, Metric, Ring,
    dht::tests::{Node, asked, closest, peer, record},
    message::{Message, Notice},
    peer::Peer,
};

const KEY: Key = Key::from_bytes([7; 32]);

/// Peers, nearest to the key first.
fn by_distance() -> Vec<Peer> {
    let mut peers: Vec<Peer> = (2..40).map(peer).collect();
    peers.sort_by(|a, b| Ring.closer(&KEY, a.id_ref(), b.id_ref()));
    peers
}

/// Whom a node asks in a lookup after the only peer that it knows has named these.
fn asked_after(node: &mut Node, knows: &Peer, names: &[&Peer], covered: bool) -> Vec<Peer> {
    // It does not know that there are no others.
    node.dht.leaves.bind();
    let questions = node.look_for(KEY);
    assert_eq!(questions.len(), 1);
    let (to, id) = &questions[0];
    assert_eq!(to, knows);
    let out = node.hear(knows, closest(*id, names, covered));
    asked(&out).into_iter().map(|(peer, _)| peer).collect()
}

#[test]
fn who_does_not_cover_the_key_can_only_name_nearer_ones() {
    let peers = by_distance();
    let (near, knows, far) = (&peers[0], &peers[1], &peers[2]);
    for (covered, asked) in [(false, &[near][..]), (true, &[near, far])] {
        let found = asked_after(&mut Node::new(&[knows]), knows, &[near, far], covered);
        assert_eq!(found.iter().collect::<Vec<_>>(), asked, "covered: {covered}");
    }
}

#[test]
fn who_has_just_gone_is_not_asked_because_others_name_it_unless_it_lives_anew() {
    for covered in [false, true] {
        let peers = by_distance();
        let (gone, near, knows) = (&peers[0], &peers[1], &peers[2]);
        let key = gone.public_key()[0];
        let risen = &record(key, b"elsewhere", 2);
        for (named, asked) in [(gone, &[near][..]), (risen, &[risen, near])] {
            let mut node = Node::new(&[knows]);
            node.hear(gone, Message::Notice(Notice::Leaving));
            let found = asked_after(&mut node, knows, &[named, near], covered);
            assert_eq!(found.iter().collect::<Vec<_>>(), asked, "covered: {covered}");
        }
    }
}
