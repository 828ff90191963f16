//! Listings, messages and nodes that tests make up.

#![allow(clippy::unwrap_used)]

use alloc::{sync::Arc, vec};
use core::time::Duration;

use super::{Listing, ListingId, ListingStatement, TopicMessage, TopicStatement};
use crate::{Address, Distance, Key, PeerInfo, Signature, Time, peer::Peer};

/// By what time listings of these tests are no longer valid, seconds.
pub(super) const VALID_UNTIL: u64 = 1_000_000;

pub(super) const fn secs(secs: u64) -> Time {
    Time::from_micros(secs * 1_000_000)
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn place(number: u8) -> Key {
    Key::from_bytes([number; 32])
}

/// The key of a provider or publisher.
pub(super) fn key(number: u16) -> [u8; 32] {
    let mut key = [7; 32];
    key[..2].copy_from_slice(&number.to_be_bytes());
    key
}

pub(super) fn statement(at: u8, provider: u16, number: u16, seq: u64, body: &[u8]) -> ListingStatement {
    let id = ListingId { provider: key(provider), number };
    ListingStatement { place: place(at), id, seq, valid_until: VALID_UNTIL, body: body.to_vec() }
}

/// Listing number 0 of a provider at place 1.
pub(super) fn listing(provider: u16, seq: u64, body: &[u8]) -> Arc<Listing> {
    sign(statement(1, provider, 0, seq, body))
}

pub(super) fn sign(statement: ListingStatement) -> Arc<Listing> {
    Arc::new(statement.signed(Signature([0; 64])).unwrap())
}

pub(super) fn message(at: u8, publisher: u16, seq: u64, body: &[u8]) -> Arc<TopicMessage> {
    let statement = TopicStatement { place: place(at), publisher: key(publisher), seq, body: body.to_vec() };
    Arc::new(statement.signed(Signature([0; 64])).unwrap())
}

pub(super) fn peer(number: u8) -> Peer {
    let address = Address::new(&[number]).unwrap();
    Arc::new(PeerInfo::new([number; 32], vec![address], 1).unwrap())
}

/// So far away is the node with this number.
pub(super) fn at(number: u8) -> (Peer, Distance) {
    (peer(number), Distance([0, 0, 0, u64::from(number) + 1]))
}
