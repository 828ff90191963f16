//! What one node asks others about records, and which answers it takes.

#![allow(clippy::unwrap_used)]

use super::super::tests::{Node, millis, peer};
use crate::{
    CallId, Signature,
    io::Input,
    message::{Message, Response},
    records::{Ballot, Consistency, Namespace, RecordName, Statement},
};

use super::*;

fn held(owner: u8) -> Held {
    let name = RecordName::new(Namespace::NAMES, [owner; 32], b"").unwrap();
    let statement = Statement { name, seq: 1, valid_until: 99, ttl: 1, previous: None, value: Vec::new() };
    Held { record: Arc::new(statement.signed(Signature([0; 64])).unwrap()), ballot: Ballot::default() }
}

/// A node that reads the record of owner 1, and the calls by which it asks its neighbour.
fn reading() -> (Node, Peer, Vec<CallId>) {
    let neighbour = peer(2);
    let mut node = Node::new(&[&neighbour]);
    let (id, goal) = (OperationId(1), Goal::Read(Consistency::Fast));
    let address = *held(1).record.address();
    let deadline = Duration::from_secs(60);
    let out = node.give(Input::StartOperation { id, address, goal, deadline });
    (node, neighbour, questions(&out))
}

fn questions(out: &[Output]) -> Vec<CallId> {
    let question = |output: &Output| match output {
        Output::Send {
            message: Message::Request(id, Request::Record(RecordRequest::Read { .. })), ..
        } => Some(*id),
        _ => None,
    };
    out.iter().filter_map(question).collect()
}

fn finished(out: &[Output]) -> bool {
    out.iter().any(|output| matches!(output, Output::OperationFinished { .. }))
}

#[test]
fn a_question_is_sent_again_twice_before_its_peer_counts_as_silent() {
    let (mut node, _, asked) = reading();
    let [id] = asked[..] else { panic!("{asked:?}") };
    let mut again = 0;
    for _ in 0..2_000 {
        let all = questions(&node.pass(millis(10)));
        again += all.iter().filter(|call| **call == id).count();
        if all.iter().any(|call| *call != id) {
            break;
        }
    }
    assert_eq!(again, 2, "then another round begins");
}

#[test]
fn a_record_of_another_address_is_no_answer() {
    for (owner, counts) in [(1, true), (2, false)] {
        let (mut node, neighbour, asked) = reading();
        let held = Some(held(owner));
        let promised = Ballot::default();
        let state = RecordResponse::State { ready: true, promised, held, region: Vec::new() };
        let out = node.hear(&neighbour, Message::Response(asked[0], Response::Record(state)));
        assert_eq!(finished(&out), counts, "owner {owner}");
    }
}

#[test]
fn an_answer_to_an_earlier_round_counts_no_more() {
    let (mut node, neighbour, asked) = reading();
    let mut second = Vec::new();
    while second.is_empty() {
        second = questions(&node.pass(millis(10)));
        second.retain(|call| *call != asked[0]);
    }
    let state = || RecordResponse::State {
        ready: true,
        promised: Ballot::default(),
        held: Some(held(1)),
        region: Vec::new(),
    };
    let answer = |id| Message::Response(id, Response::Record(state()));
    assert!(!finished(&node.hear(&neighbour, answer(asked[0]))));
    assert!(finished(&node.hear(&neighbour, answer(second[0]))));
}

#[test]
fn two_updates_of_one_node_prepare_with_different_ballots() {
    let mut node = Node::new(&[&peer(2)]);
    let address = *held(1).record.address();
    let ballots = [1, 2].map(|id| {
        let (id, deadline) = (OperationId(id), Duration::from_secs(60));
        let out = node.give(Input::StartOperation { id, address, goal: Goal::Update, deadline });
        let prepared = out.into_iter().find_map(|output| match output {
            Output::Send {
                message: Message::Request(_, Request::Record(RecordRequest::Read { prepare, .. })),
                ..
            } => prepare,
            _ => None,
        });
        prepared.unwrap()
    });
    assert_ne!(ballots[0], ballots[1], "or else both would be promised");
}
