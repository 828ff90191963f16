//! Records and nodes that tests make up.

#![allow(clippy::unwrap_used)]

use alloc::{sync::Arc, vec};
use core::time::Duration;

use super::{Ballot, Held, Namespace, Record, RecordName, Statement};
use crate::{Address, Distance, PeerInfo, Signature, Time, peer::Peer};

/// By what time records of these tests are no longer valid, seconds.
pub(super) const VALID_UNTIL: u64 = 1_000_000;

pub(super) const fn secs(secs: u64) -> Time {
    Time::from_micros(secs * 1_000_000)
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The ballot of an attempt in this round.
pub(super) fn ballot(round: u32, drawn: u32) -> Ballot {
    (0..round).fold(Ballot::default(), |ballot, _| ballot.above(drawn))
}

pub(super) fn statement(owner: u8, value: &[u8], seq: u64) -> Statement {
    let name = RecordName::new(Namespace::NAMES, [owner; 32], b"").unwrap();
    Statement { name, seq, valid_until: VALID_UNTIL, ttl: 300, previous: None, value: value.to_vec() }
}

pub(super) fn record(owner: u8, value: &[u8], seq: u64) -> Arc<Record> {
    sign(statement(owner, value, seq))
}

pub(super) fn sign(statement: Statement) -> Arc<Record> {
    Arc::new(statement.signed(Signature([0; 64])).unwrap())
}

/// The version that follows another.
pub(super) fn after(before: &Held, value: &[u8]) -> Arc<Record> {
    let previous = Some(before.record.hash());
    let statement = before.record.statement().clone();
    sign(Statement { seq: statement.seq + 1, previous, value: value.to_vec(), ..statement })
}

pub(super) fn held(owner: u8, value: &[u8], seq: u64, ballot: Ballot) -> Held {
    Held { record: record(owner, value, seq), ballot }
}

pub(super) fn peer(number: u8) -> Peer {
    let address = Address::new(&[number]).unwrap();
    Arc::new(PeerInfo::new([number; 32], vec![address], 1).unwrap())
}

/// So far away is the node with this number.
pub(super) fn at(number: u8) -> (Peer, Distance) {
    (peer(number), Distance([0, 0, 0, u64::from(number) + 1]))
}
