//! A listing: what a provider says of a service at one place.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::bytes;
use crate::{Key, members::Signature};

/// What is signed begins with this, so that a signature for something else is never one for a listing.
const SIGNED_CONTEXT: &[u8] = b"chordage 2026 listing\0";

/// Longest body of a listing, bytes.
pub const LISTING_BYTES_MAX: usize = 1024;

/// Names a listing at its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ListingId {
    /// The Ed25519 public key of the node that provides the service.
    pub provider: [u8; 32],
    /// Which of the provider's at this place.
    pub number: u16,
}

impl fmt::Debug for ListingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, ..] = self.provider;
        write!(f, "ListingId({a:02x}{b:02x}.., {})", self.number)
    }
}

/// Why something is not a listing or a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// The body of a listing is too long.
    #[error("a listing has at most {LISTING_BYTES_MAX} bytes")]
    ListingTooLong,
    /// The body of a message is too long.
    #[error("a message has at most {} bytes", super::TOPIC_BYTES_MAX)]
    MessageTooLong,
}

/// What a provider says; to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingStatement {
    /// Where it is listed.
    pub place: Key,
    /// Which listing of the place it is.
    pub id: ListingId,
    /// Grows with every version, also after a restart of the provider.
    pub seq: u64,
    /// Until when it may be listed, seconds since 1970.
    pub valid_until: u64,
    /// What it says, at most 1,024 bytes; its meaning is the caller's. Empty: it is withdrawn.
    pub body: Vec<u8>,
}

impl ListingStatement {
    /// What the provider signs. `network`: a fingerprint of the network it is meant for; it is not stored.
    pub fn signed_bytes(&self, network: &[u8; 16]) -> Vec<u8> {
        let mut signed = Vec::with_capacity(SIGNED_CONTEXT.len() + 16 + 82 + self.body.len());
        // All parts but the last have lengths that are known, so that no two statements give the same bytes.
        for part in [
            SIGNED_CONTEXT,
            network,
            self.place.as_bytes(),
            &self.id.provider,
            &self.id.number.to_be_bytes(),
            &self.seq.to_be_bytes(),
            &self.valid_until.to_be_bytes(),
            &self.body,
        ] {
            signed.extend_from_slice(part);
        }
        signed
    }

    /// With the provider's signature over [`ListingStatement::signed_bytes`], which is not checked here.
    pub fn signed(self, signature: Signature) -> Result<Listing, ItemError> {
        if self.body.len() > LISTING_BYTES_MAX {
            return Err(ItemError::ListingTooLong);
        }
        Ok(Listing { statement: self, signature })
    }
}

/// One version of a listing, with its provider's signature.
///
/// Whoever drives the state machine checks the signature of every listing in a message
/// ([`Message::listings`](crate::Message::listings)) before handing the message in, and drops messages in which one
/// does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    statement: ListingStatement,
    signature: Signature,
}

impl Listing {
    /// What its provider says.
    pub fn statement(&self) -> &ListingStatement {
        &self.statement
    }

    /// The provider's signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Where it is listed.
    pub fn place(&self) -> &Key {
        &self.statement.place
    }

    /// Which listing of the place it is.
    pub fn id(&self) -> ListingId {
        self.statement.id
    }

    /// The number of the version.
    pub fn seq(&self) -> u64 {
        self.statement.seq
    }

    /// Whether it says that the service is no longer there.
    pub fn is_withdrawn(&self) -> bool {
        self.statement.body.is_empty()
    }

    /// Whether it may no longer be listed at this time, in seconds since 1970.
    pub fn is_expired(&self, unix_seconds: u64) -> bool {
        self.statement.valid_until <= unix_seconds
    }

    /// Length of its encoding, bytes, or a little more.
    pub fn encoded_len(&self) -> usize {
        self.statement.body.len() + 160
    }
}

/// A listing as it is encoded.
#[derive(Serialize, Deserialize)]
struct Encoded<'a> {
    place: Key,
    id: ListingId,
    seq: u64,
    valid_until: u64,
    #[serde(with = "bytes", borrow)]
    body: &'a [u8],
    signature: Signature,
}

impl Serialize for Listing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ListingStatement { place, id, seq, valid_until, body } = &self.statement;
        let (place, id, seq, valid_until) = (*place, *id, *seq, *valid_until);
        Encoded { place, id, seq, valid_until, body, signature: self.signature }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Listing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Encoded { place, id, seq, valid_until, body, signature } = Encoded::deserialize(deserializer)?;
        let statement = ListingStatement { place, id, seq, valid_until, body: body.to_vec() };
        statement.signed(signature).map_err(de::Error::custom)
    }
}
