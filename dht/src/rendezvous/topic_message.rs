//! A message of a topic.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ItemError, bytes};
use crate::{Key, members::Signature};

/// What is signed begins with this, so that a signature for something else is never one for a message.
const SIGNED_CONTEXT: &[u8] = b"chordage 2026 topic message\0";

/// Longest body of a message, bytes.
pub const TOPIC_BYTES_MAX: usize = 4096;

/// What a publisher says; to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicStatement {
    /// The topic.
    pub place: Key,
    /// The publisher's Ed25519 public key.
    pub publisher: [u8; 32],
    /// When it was published: microseconds since 1970 by the publisher's clock, and higher than in all its earlier
    /// messages.
    pub seq: u64,
    /// What it says, at most 4,096 bytes; its meaning is the caller's.
    pub body: Vec<u8>,
}

impl TopicStatement {
    /// What the publisher signs. `network`: a fingerprint of the network it is meant for; it is not stored.
    pub fn signed_bytes(&self, network: &[u8; 16]) -> Vec<u8> {
        let mut signed = Vec::with_capacity(SIGNED_CONTEXT.len() + 16 + 72 + self.body.len());
        // All parts but the last have lengths that are known, so that no two statements give the same bytes.
        for part in [
            SIGNED_CONTEXT,
            network,
            self.place.as_bytes(),
            &self.publisher,
            &self.seq.to_be_bytes(),
            &self.body,
        ] {
            signed.extend_from_slice(part);
        }
        signed
    }

    /// With the publisher's signature over [`TopicStatement::signed_bytes`], which is not checked here.
    pub fn signed(self, signature: Signature) -> Result<TopicMessage, ItemError> {
        if self.body.len() > TOPIC_BYTES_MAX {
            return Err(ItemError::MessageTooLong);
        }
        Ok(TopicMessage { statement: self, signature })
    }
}

/// A message with its publisher's signature.
///
/// Whoever drives the state machine checks the signature of every one in a message between nodes
/// ([`Message::topic_messages`](crate::Message::topic_messages)) before handing that in, and drops it if one does not
/// hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMessage {
    statement: TopicStatement,
    signature: Signature,
}

impl TopicMessage {
    /// What its publisher says.
    pub fn statement(&self) -> &TopicStatement {
        &self.statement
    }

    /// The publisher's signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The topic.
    pub fn place(&self) -> &Key {
        &self.statement.place
    }

    /// When it was published, by its publisher.
    pub fn seq(&self) -> u64 {
        self.statement.seq
    }

    /// Length of its encoding, bytes, or a little more.
    pub fn encoded_len(&self) -> usize {
        self.statement.body.len() + 150
    }
}

/// A message as it is encoded.
#[derive(Serialize, Deserialize)]
struct Encoded<'a> {
    place: Key,
    publisher: [u8; 32],
    seq: u64,
    #[serde(with = "bytes", borrow)]
    body: &'a [u8],
    signature: Signature,
}

impl Serialize for TopicMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TopicStatement { place, publisher, seq, body } = &self.statement;
        let (place, publisher, seq) = (*place, *publisher, *seq);
        Encoded { place, publisher, seq, body, signature: self.signature }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TopicMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Encoded { place, publisher, seq, body, signature } = Encoded::deserialize(deserializer)?;
        let statement = TopicStatement { place, publisher, seq, body: body.to_vec() };
        statement.signed(signature).map_err(de::Error::custom)
    }
}
