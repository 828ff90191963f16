//! The rules of one operation: whose answers count, and when it is done.

#![allow(clippy::unwrap_used)]

use alloc::{collections::BTreeMap, vec::Vec};

use super::{super::samples::*, *};
use crate::records::{Consistency, Found, Shelf, Stored, Taken};

mod rounds;
mod whom;

const ADDRESS_OF: u8 = 200;
const DEADLINE: u64 = 20;

/// An operation that has found these nodes.
fn begun(goal: Goal, nodes: u8) -> Operation {
    let address = *record(ADDRESS_OF, b"", 1).address();
    let mut operation = Operation::new(OperationId(1), address, goal, secs(0), secs(DEADLINE));
    again(&mut operation, nodes);
    operation
}

/// Another round begins.
fn again(operation: &mut Operation, nodes: u8) {
    operation.begin(7, (0..nodes).map(at));
}

/// Version `seq` of the record, of this ballot.
fn version(seq: u64, ballot: Ballot) -> Held {
    held(ADDRESS_OF, b"value", seq, ballot)
}

fn id(node: u8) -> NodeId {
    peer(node).id()
}

fn number(peer: &Peer) -> u8 {
    peer.public_key()[0]
}

/// Everything that it wants to be done; the last is to wait, or that it is done.
fn go(operation: &mut Operation, now: Time) -> Vec<Next> {
    let mut all = Vec::new();
    loop {
        all.push(operation.next(now));
        if matches!(all.last(), Some(Next::Wait | Next::Done)) {
            return all;
        }
        assert!(all.len() < 100, "it goes round in circles");
    }
}

fn is_done(all: &[Next]) -> bool {
    matches!(all.last(), Some(Next::Done))
}

fn asked(all: &[Next]) -> Vec<u8> {
    let node = |next: &Next| matches!(next, Next::Ask(..)).then(|| number(whom(next)));
    all.iter().filter_map(node).collect()
}

fn written(all: &[Next]) -> Vec<(u8, Held, Write)> {
    let write = |next: &Next| match next {
        Next::Write(peer, held, write) => Some((number(peer), held.clone(), *write)),
        _ => None,
    };
    all.iter().filter_map(write).collect()
}

fn whom(next: &Next) -> &Peer {
    match next {
        Next::Ask(peer, _) | Next::Write(peer, ..) => peer,
        _ => panic!("{next:?} goes to nobody"),
    }
}

fn decide(all: &[Next]) -> Option<Option<Held>> {
    all.iter().find_map(|next| match next {
        Next::Decide(current) => Some(current.clone()),
        _ => None,
    })
}

fn told(all: &[Next]) -> Option<Result<Outcome, OperationError>> {
    let mut told = all.iter().filter_map(|next| match next {
        Next::Tell(outcome) => Some(outcome.clone()),
        _ => None,
    });
    let first = told.next();
    assert!(told.next().is_none(), "told twice");
    first
}

fn found(all: &[Next]) -> Option<Found> {
    told(all).map(|outcome| match outcome {
        Ok(Outcome::Found(found)) => found,
        other => panic!("{other:?}"),
    })
}

fn prepared(all: &[Next]) -> Option<Ballot> {
    all.iter().find_map(|next| match next {
        Next::Ask(_, ballot) => *ballot,
        _ => None,
    })
}

/// These nodes say that they promise what is asked, and hold this.
fn promise(operation: &mut Operation, nodes: impl IntoIterator<Item = u8>, held: Option<&Held>) {
    let ballot = operation.ballot;
    nodes.into_iter().for_each(|node| operation.heard(&id(node), true, ballot, held.cloned()));
}

/// These nodes, which are ready, say that they hold this, and have promised nothing.
fn hear(operation: &mut Operation, nodes: impl IntoIterator<Item = u8>, held: Option<&Held>) {
    nodes.into_iter().for_each(|node| operation.heard(&id(node), true, Ballot::default(), held.cloned()));
}

/// An update to which nine nodes have promised, and that has been decided: it writes version 1.
fn writing() -> (Operation, Vec<Next>) {
    let mut operation = begun(Goal::Update, 9);
    go(&mut operation, secs(0));
    promise(&mut operation, 0..9, None);
    assert_eq!(decide(&go(&mut operation, secs(0))), Some(None));
    operation.decided(Some(record(ADDRESS_OF, b"value", 1)));
    let all = go(&mut operation, secs(0));
    (operation, all)
}

/// The nodes of a region as they are, for tests in which several operations meet.
#[derive(Default)]
struct Nodes {
    shelves: BTreeMap<u8, Shelf>,
}

impl Nodes {
    fn shelf(&mut self, node: u8) -> &mut Shelf {
        self.shelves.entry(node).or_default()
    }

    /// Lets an operation do all it can with these nodes; those that are not `up` do not answer. Returns what is not for
    /// a node.
    fn work(&mut self, operation: &mut Operation, now: Time, up: impl Fn(u8) -> bool) -> Vec<Next> {
        let mut rest = Vec::new();
        loop {
            let next = operation.next(now);
            match &next {
                Next::Ask(peer, _) | Next::Write(peer, ..) if !up(number(peer)) => {
                    operation.silent(&peer.id());
                }
                Next::Ask(peer, prepare) => {
                    let shelf = self.shelf(number(peer));
                    let promised = match prepare {
                        Some(ballot) => shelf.promise(&operation.address, *ballot, now),
                        None => shelf.promised(&operation.address, now),
                    };
                    let held = shelf.get(&operation.address).cloned();
                    operation.heard(&peer.id(), true, promised, held);
                }
                Next::Write(peer, held, write) => self.write(operation, peer, held, *write, now),
                Next::Wait | Next::Done => {
                    rest.push(next);
                    return rest;
                }
                Next::Decide(_) | Next::Tell(_) => rest.push(next),
            }
        }
    }

    fn write(&mut self, operation: &mut Operation, peer: &Peer, held: &Held, write: Write, now: Time) {
        match self.shelf(number(peer)).take(held, write, 0, now, 0) {
            Ok(Taken::Older(held)) => operation.newer(&peer.id(), held),
            Ok(Taken::New | Taken::Same) => operation.stored(&peer.id()),
            Err(why) => operation.refused(&peer.id(), why),
        }
    }
}
