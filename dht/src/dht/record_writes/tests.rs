#![allow(clippy::unwrap_used)]

use alloc::sync::Arc;

use super::*;
use crate::{
    Signature,
    dht::tests::{Node, peer},
    io::{Input, Output},
    message::{Message, Request, Response},
    records::{Ballot, Namespace, RecordName, RecordRequest, RecordResponse, Refusal, Statement, Write},
};

fn version(seq: u64) -> Held {
    let name = RecordName::new(Namespace::NAMES, [1; 32], b"").unwrap();
    let statement = Statement { name, seq, valid_until: u64::MAX, ttl: 1, previous: None, value: Vec::new() };
    Held { record: Arc::new(statement.signed(Signature([0; 64])).unwrap()), ballot: Ballot::default() }
}

fn waits(call: u32) -> Waiting {
    Waiting::Peer(peer(2), CallId(call))
}

/// A node that keeps records, and its neighbour.
fn keeper() -> (Node, Peer) {
    let neighbour = peer(2);
    let mut node = Node::new(&[&neighbour]);
    node.dht.config.records = true;
    (node, neighbour)
}

/// A neighbour asks; what it is answered, and what is to be written.
fn ask(node: &mut Node, call: u32, request: RecordRequest) -> (Option<RecordResponse>, Vec<WriteId>) {
    said(node.hear(&peer(2), Message::Request(CallId(call), Request::Record(request))))
}

fn said(out: Vec<Output>) -> (Option<RecordResponse>, Vec<WriteId>) {
    let (mut answer, mut writes) = (None, Vec::new());
    for output in out {
        match output {
            Output::Send { message: Message::Response(_, Response::Record(response)), .. } => {
                assert!(answer.replace(response).is_none(), "one answer at a time");
            }
            Output::KeepRecord { write, .. } => writes.push(write),
            _ => {}
        }
    }
    (answer, writes)
}

fn write(version: &Held) -> RecordRequest {
    RecordRequest::Write { record: version.record.clone(), write: Write::Repair(version.ballot), region: 0 }
}

/// The number of the version that a reader is told, 0 for none.
fn read(node: &mut Node, prepare: Option<Ballot>) -> u64 {
    let request = RecordRequest::Read { address: *version(1).record.address(), prepare, region: 0 };
    let (Some(RecordResponse::State { held, .. }), _) = ask(node, 99, request) else { panic!("no answer") };
    held.map_or(0, |held| held.record.seq())
}

#[test]
fn whoever_asks_again_is_told_no_sooner_that_it_is_stored() {
    let (mut node, _) = keeper();
    let (answer, writes) = ask(&mut node, 1, write(&version(1)));
    let ([id], None) = (&writes[..], answer) else { panic!("{writes:?}") };
    for _ in 0..2 {
        assert_eq!(ask(&mut node, 1, write(&version(1))), (None, Vec::new()), "it is not on disk yet");
    }
    let out = node.give(Input::RecordKept { write: *id, kept: true });
    let (answer, _) = said(out);
    assert!(matches!(answer, Some(RecordResponse::Stored { .. })), "{answer:?}");
    let (answer, writes) = ask(&mut node, 2, write(&version(1)));
    assert!(matches!(answer, Some(RecordResponse::Stored { .. })) && writes.is_empty());
}

#[test]
fn what_was_only_given_is_not_stored_either_before_it_is_on_disk() {
    let (mut node, _) = keeper();
    let (_, writes) = ask(&mut node, 1, RecordRequest::Give(alloc::vec![version(1)]));
    let [id] = writes[..] else { panic!("{writes:?}") };
    assert_eq!(ask(&mut node, 2, write(&version(1))), (None, Vec::new()));
    let (answer, _) = said(node.give(Input::RecordKept { write: id, kept: true }));
    assert!(matches!(answer, Some(RecordResponse::Stored { .. })), "{answer:?}");
}

#[test]
fn readers_are_told_what_is_on_disk_and_whoever_prepares_a_change_all_that_was_accepted() {
    let (mut node, _) = keeper();
    let (_, first) = ask(&mut node, 1, write(&version(1)));
    assert_eq!((read(&mut node, None), read(&mut node, Some(Ballot::default().above(1)))), (0, 1));
    node.give(Input::RecordKept { write: first[0], kept: true });
    assert_eq!(read(&mut node, None), 1);
}

#[test]
fn what_the_disk_does_not_take_is_taken_back() {
    let (mut node, _) = keeper();
    let (_, first) = ask(&mut node, 1, write(&version(1)));
    node.give(Input::RecordKept { write: first[0], kept: true });
    let (_, second) = ask(&mut node, 2, write(&version(2)));
    let (answer, _) = said(node.give(Input::RecordKept { write: second[0], kept: false }));
    assert!(matches!(answer, Some(RecordResponse::Refused { why: Refusal::Disk, .. })), "{answer:?}");
    assert_eq!(read(&mut node, None), 1);
    assert_eq!(node.dht.records().map(|held| held.record.seq()).collect::<Vec<_>>(), [1]);
    // It is no version that is held: it is written anew.
    let (answer, writes) = ask(&mut node, 3, write(&version(2)));
    assert!(answer.is_none() && writes.len() == 1);
}

#[test]
fn of_several_versions_on_their_way_the_last_that_is_kept_counts() {
    for (kept, told) in [([true, true], 2), ([true, false], 1), ([false, true], 2), ([false, false], 0)] {
        let (mut node, _) = keeper();
        let (_, first) = ask(&mut node, 1, write(&version(1)));
        let (_, second) = ask(&mut node, 2, write(&version(2)));
        assert_eq!(read(&mut node, None), 0);
        for (write, kept) in [(first[0], kept[0]), (second[0], kept[1])] {
            node.give(Input::RecordKept { write, kept });
        }
        assert_eq!(read(&mut node, None), told, "{kept:?}");
    }
}

#[test]
fn writes_and_those_who_wait_are_bounded_and_each_waits_once() {
    let mut writes = Writes::default();
    let address = *version(1).record.address();
    assert!(!writes.wait(&address, &waits(1)), "there is nothing to wait for");
    let id = writes.begin(&version(1), None, Some(waits(1)));
    for call in [1, 2, 2, 1] {
        assert!(writes.wait(&address, &waits(call)));
    }
    assert_eq!(writes.end(id, true).unwrap().waiting, [waits(1), waits(2)]);
    assert!(writes.end(id, true).is_none() && !writes.wait(&address, &waits(1)));
    for seq in 0..4096 {
        assert!(writes.has_room());
        writes.begin(&version(seq + 1), None, None);
    }
    assert!(!writes.has_room());
}

#[test]
fn a_disk_that_falls_behind_refuses_and_keeps_what_was_there() {
    let (mut node, _) = keeper();
    let (_, first) = ask(&mut node, 1, write(&version(1)));
    node.give(Input::RecordKept { write: first[0], kept: true });
    node.turn(|dht, _| {
        let writes = &mut dht.records_mut().writes;
        let mut seq = 1_000;
        while writes.has_room() {
            seq += 1;
            writes.begin(&version(seq), Some((version(1), 0)), None);
        }
    });
    let (answer, writes) = ask(&mut node, 2, write(&version(2)));
    assert!(matches!(answer, Some(RecordResponse::Refused { why: Refusal::Disk, .. })), "{answer:?}");
    assert!(writes.is_empty());
    assert_eq!(node.dht.records().map(|held| held.record.seq()).collect::<Vec<_>>(), [1]);
}
