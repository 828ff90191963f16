//! How soon lost peers are tried again, and whom a node believes when one answers.

use super::super::tests::{Node, peer};
use super::*;
use crate::{
    io::DownReason,
    message::{CallId, Message},
};

impl Node {
    /// Has given these up, as when they leave every probe unanswered.
    fn lose(&mut self, lost: &[Peer]) {
        for peer in lost {
            self.turn(|dht, turn| {
                dht.gone.lost(peer, turn.now);
                dht.remember_former(turn, peer.clone());
                dht.drop_peer(turn, peer.id_ref(), DownReason::Failed);
            });
        }
    }
}

/// A node with so many neighbours that has lost the first ones of them, and these.
fn after_losing(neighbours: u8, lost: u8) -> (Node, Vec<Peer>) {
    let all: Vec<Peer> = (2..2 + neighbours).map(peer).collect();
    let mut node = Node::new(&all.iter().collect::<Vec<_>>());
    let lost: Vec<Peer> = all.into_iter().take(lost.into()).collect();
    node.lose(&lost);
    (node, lost)
}

#[test]
fn whoever_lost_as_many_as_it_has_left_tries_them_without_a_pause() {
    for (neighbours, lost, soon) in [(1, 1, true), (2, 1, true), (3, 1, false), (8, 3, false), (8, 4, true)] {
        let (mut node, _) = after_losing(neighbours, lost);
        let (wait, _) = node.turn(|dht, turn| dht.former_wait(turn));
        let usual = if soon { FORMER_SOON } else { FORMER_EVERY };
        let case = (neighbours, lost);
        assert!(wait >= usual * 9 / 10 && wait <= usual * 11 / 10, "{case:?}: {wait:?}");
        // Also who was lost before it seemed so does not wait for the longer pause.
        let at = node.dht.timers.next().unwrap();
        assert!(!soon || at <= node.now + FORMER_SOON * 11 / 10, "{case:?}: {at:?}");
    }
}

#[test]
fn losses_of_long_ago_and_those_who_are_back_do_not_count() {
    let (mut node, _) = after_losing(8, 4);
    node.now += CUT_OFF_WITHIN + Duration::from_secs(2);
    assert!(!node.dht.is_cut_off(node.now, None));
    let (mut node, _) = after_losing(8, 8);
    node.now += CUT_OFF_WITHIN * 9;
    assert!(node.dht.is_cut_off(node.now, None), "nobody is left");
    let (wait, _) = node.turn(|dht, turn| dht.former_wait(turn));
    assert!(
        wait >= FORMER_ALONE * 9 / 10 && wait <= FORMER_ALONE * 11 / 10,
        "it has been alone for long: {wait:?}"
    );

    let (mut node, lost) = after_losing(8, 4);
    node.hear(&lost[0], Message::Request(CallId(8), Request::Ping));
    assert!(!node.dht.is_cut_off(node.now, None), "three are lost and five are there");
}

#[test]
fn a_node_that_was_cut_off_believes_whom_the_first_to_answer_names() {
    for (neighbours, lost, believes) in [(3, 3, true), (8, 4, true), (8, 3, false)] {
        let (mut node, gone) = after_losing(neighbours, lost);
        node.hear(&gone[0], Message::Request(CallId(8), Request::Ping));
        node.turn(|dht, turn| dht.former_is_back(turn, &gone[0]));
        let ignored = node.dht.gone.ignores_name(&gone[1], node.now);
        assert_eq!(!ignored, believes, "{neighbours} neighbours, {lost} lost");
    }
}
