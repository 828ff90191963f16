//! A record that travels from hand to hand and is believed all the same, because its owner has signed it.

use alloc::{sync::Arc, vec::Vec};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::peer::{Peer, PeerInfo};

/// What is signed begins with this, so that a signature for something else is never one for an announcement.
const CONTEXT: &[u8] = b"chordage 2026 membership announcement\0";

/// An Ed25519 signature. This crate makes and checks none: who drives it does ([`Announcement`]).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl core::fmt::Debug for Signature {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Signature({:02x}{:02x}...)", self.0[0], self.0[1])
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // In two halves: serde knows arrays of up to 32 elements.
        let (first, second) = self.0.split_at(32);
        let mut halves = [[0; 32]; 2];
        halves[0].copy_from_slice(first);
        halves[1].copy_from_slice(second);
        halves.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let halves = <[[u8; 32]; 2]>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&halves[0]);
        bytes[32..].copy_from_slice(&halves[1]);
        Ok(Self(bytes))
    }
}

/// A member's record with its owner's signature over [`Announcement::signed_bytes`].
///
/// Whoever drives the state machine checks the signature of every announcement in a message
/// ([`Message::announcements`](crate::Message::announcements)) before handing the message in, and drops messages in
/// which one does not hold. So the state machine needs no cryptography, and the check can run on other threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    record: Peer,
    seat: bool,
    signature: Signature,
}

impl Announcement {
    /// A record, whether its owner takes a seat as a super-peer, and the signature over their
    /// [`Announcement::signed_bytes`].
    pub fn new(record: Peer, seat: bool, signature: Signature) -> Arc<Self> {
        Arc::new(Self { record, seat, signature })
    }

    /// What is to be signed for this record.
    pub fn signed_bytes(record: &PeerInfo, seat: bool) -> Vec<u8> {
        let mut bytes = CONTEXT.to_vec();
        bytes.push(seat.into());
        record.encode(&mut bytes);
        bytes
    }

    /// Whether its owner takes a seat as a super-peer. It has one only if the lottery says so too.
    pub fn seat(&self) -> bool {
        self.seat
    }

    /// The record.
    pub fn record(&self) -> &Peer {
        &self.record
    }

    /// The signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Length of its encoding, bytes, or a little more.
    pub(super) fn encoded_len(&self) -> usize {
        let addresses: usize = self.record.addrs().iter().map(|address| address.as_bytes().len() + 2).sum();
        let zone = self.record.zone().map_or(0, |zone| zone.as_str().len() + 1);
        32 + 10 + 64 + 2 + addresses + 1 + zone
    }
}
