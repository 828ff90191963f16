//! The signed record itself: what its owner says, and under which address everybody finds it.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Key, members::Signature};

/// What is signed begins with this, so that a signature for something else is never one for a record.
const SIGNED_CONTEXT: &[u8] = b"chordage 2026 record\0";
/// Domain of the hash that places a record (BLAKE3 `derive_key`).
const ADDRESS_CONTEXT: &str = "chordage 2026 record address";
/// Domain of the hash that names one version of a record.
const HASH_CONTEXT: &str = "chordage 2026 record hash";

/// Longest value, bytes. What is longer is stored as an object, and the record holds its link.
pub const VALUE_BYTES_MAX: usize = 4096;
/// Longest salt, bytes.
pub const SALT_BYTES_MAX: usize = 64;
/// Highest sequence number: far from the end of the numbers, so that one more can always be added.
pub const SEQ_MAX: u64 = 1 << 62;

/// What kind of thing a record stands for. The same key and salt have another address in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Namespace(pub u16);

impl Namespace {
    /// Names of people: what a key stands for, and directories below it.
    pub const NAMES: Self = Self(1);
    /// Volumes: where the map of one begins.
    pub const VOLUMES: Self = Self(2);
}

/// Names one version of a record: a hash of everything its owner has signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordHash(pub [u8; 32]);

impl fmt::Debug for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordHash({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// Whose record it is, and which of the owner's: together they make its address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordName {
    namespace: Namespace,
    owner: [u8; 32],
    salt: Box<[u8]>,
}

/// Why something is not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The salt is too long.
    #[error("a salt has at most {SALT_BYTES_MAX} bytes")]
    SaltTooLong,
    /// The value is too long.
    #[error("the value of a record has at most {VALUE_BYTES_MAX} bytes")]
    ValueTooLong,
    /// The sequence number is too high.
    #[error("the sequence number of a record is at most {SEQ_MAX}")]
    SeqTooHigh,
}

impl RecordName {
    /// Owner: an Ed25519 public key. Salt: at most 64 bytes.
    pub fn new(namespace: Namespace, owner: [u8; 32], salt: &[u8]) -> Result<Self, RecordError> {
        if salt.len() > SALT_BYTES_MAX {
            return Err(RecordError::SaltTooLong);
        }
        Ok(Self { namespace, owner, salt: salt.into() })
    }

    /// The one that an owner has without any salt.
    pub fn without_salt(namespace: Namespace, owner: [u8; 32]) -> Self {
        Self { namespace, owner, salt: Box::default() }
    }

    /// The kind of thing.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// Its owner's public key.
    pub fn owner(&self) -> &[u8; 32] {
        &self.owner
    }

    /// Which of the owner's records it is.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Where it is kept. The salt is last, so that no two names give the same bytes.
    pub fn address(&self) -> Key {
        let mut hasher = blake3::Hasher::new_derive_key(ADDRESS_CONTEXT);
        hasher.update(&self.namespace.0.to_be_bytes()).update(&self.owner).update(&self.salt);
        Key::from_bytes(*hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, ..] = self.owner;
        write!(f, "RecordName({}, {a:02x}{b:02x}.., {} bytes)", self.namespace.0, self.salt.len())
    }
}

/// What an owner says at one time; to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Which record this is.
    pub name: RecordName,
    /// Grows by one with every version.
    pub seq: u64,
    /// Until when it holds, seconds since 1970.
    pub valid_until: u64,
    /// For how many seconds a reader may use it before asking again.
    pub ttl: u32,
    /// The version before this one; none for the first.
    pub previous: Option<RecordHash>,
    /// What it says, at most 4 KiB. Its meaning is that of the namespace.
    pub value: Vec<u8>,
}

impl Statement {
    /// What the owner signs. `network`: a fingerprint of the network it is meant for; it is not stored, so that a
    /// record of one network is a forgery in every other.
    pub fn signed_bytes(&self, network: &[u8; 16]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIGNED_CONTEXT.len() + 16 + 160 + self.value.len());
        bytes.extend_from_slice(SIGNED_CONTEXT);
        bytes.extend_from_slice(network);
        self.write(|part| bytes.extend_from_slice(part));
        bytes
    }

    /// With the owner's signature over [`Statement::signed_bytes`], which is not checked here.
    pub fn signed(self, signature: Signature) -> Result<Record, RecordError> {
        if self.value.len() > VALUE_BYTES_MAX {
            return Err(RecordError::ValueTooLong);
        }
        if self.seq > SEQ_MAX {
            return Err(RecordError::SeqTooHigh);
        }
        let mut hasher = blake3::Hasher::new_derive_key(HASH_CONTEXT);
        self.write(|part| {
            hasher.update(part);
        });
        let hash = RecordHash(*hasher.finalize().as_bytes());
        Ok(Record { address: self.name.address(), hash, statement: self, signature })
    }

    /// Everything in it, so that two statements never give the same bytes: each part has a length that is known or
    /// said.
    fn write(&self, mut part: impl FnMut(&[u8])) {
        part(&self.name.namespace.0.to_be_bytes());
        part(&self.name.owner);
        part(&[self.name.salt.len() as u8]);
        part(&self.name.salt);
        part(&self.seq.to_be_bytes());
        part(&self.valid_until.to_be_bytes());
        part(&self.ttl.to_be_bytes());
        match &self.previous {
            Some(previous) => {
                part(&[1]);
                part(&previous.0);
            }
            None => part(&[0]),
        }
        part(&self.value);
    }
}

/// One version of a record, with its owner's signature.
///
/// Whoever drives the state machine checks the signature of every record in a message
/// ([`Message::records`](crate::Message::records)) before handing the message in, and drops messages in which one does
/// not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    address: Key,
    hash: RecordHash,
    statement: Statement,
    signature: Signature,
}

impl Record {
    /// Where it is kept.
    pub fn address(&self) -> &Key {
        &self.address
    }

    /// Which version it is.
    pub fn hash(&self) -> RecordHash {
        self.hash
    }

    /// What its owner says.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The owner's signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The number of the version.
    pub fn seq(&self) -> u64 {
        self.statement.seq
    }

    /// Whether it no longer holds at this time, in seconds since 1970.
    pub fn is_expired(&self, unix_seconds: u64) -> bool {
        self.statement.valid_until <= unix_seconds
    }

    /// Length of its encoding, bytes, or a little more.
    pub fn encoded_len(&self) -> usize {
        self.statement.value.len() + self.statement.name.salt.len() + 180
    }
}

/// A record as it is encoded: what can be computed is left out.
#[derive(Serialize, Deserialize)]
struct Encoded<'a> {
    namespace: Namespace,
    owner: [u8; 32],
    #[serde(with = "bytes", borrow)]
    salt: &'a [u8],
    seq: u64,
    valid_until: u64,
    ttl: u32,
    previous: Option<RecordHash>,
    #[serde(with = "bytes", borrow)]
    value: &'a [u8],
    signature: Signature,
}

/// Bytes as bytes, not as a list of numbers.
mod bytes {
    use super::*;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de [u8], D::Error> {
        <&[u8]>::deserialize(deserializer)
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Statement { name, seq, valid_until, ttl, previous, value } = &self.statement;
        Encoded {
            namespace: name.namespace,
            owner: name.owner,
            salt: &name.salt,
            seq: *seq,
            valid_until: *valid_until,
            ttl: *ttl,
            previous: *previous,
            value,
            signature: self.signature,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Encoded { namespace, owner, salt, seq, valid_until, ttl, previous, value, signature } =
            Encoded::deserialize(deserializer)?;
        let name = RecordName::new(namespace, owner, salt).map_err(de::Error::custom)?;
        Statement { name, seq, valid_until, ttl, previous, value: value.to_vec() }
            .signed(signature)
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloc::vec;

    use super::*;

    fn statement() -> Statement {
        let name = RecordName::new(Namespace::NAMES, [7; 32], b"salt").unwrap();
        Statement { name, seq: 3, valid_until: 99, ttl: 300, previous: None, value: b"value".to_vec() }
    }

    #[test]
    fn everything_in_a_statement_is_signed_and_hashed() {
        let signature = Signature([0; 64]);
        let same = statement();
        let name = |namespace, owner, salt: &[u8]| RecordName::new(namespace, owner, salt).unwrap();
        let others = [
            Statement { name: name(Namespace(2), [7; 32], b"salt"), ..statement() },
            Statement { name: name(Namespace::NAMES, [8; 32], b"salt"), ..statement() },
            Statement { name: name(Namespace::NAMES, [7; 32], b"sal"), ..statement() },
            Statement { seq: 4, ..statement() },
            Statement { valid_until: 98, ..statement() },
            Statement { ttl: 301, ..statement() },
            Statement { previous: Some(RecordHash([0; 32])), ..statement() },
            Statement { value: b"valu".to_vec(), ..statement() },
        ];
        assert_eq!(same.signed_bytes(&[1; 16]), statement().signed_bytes(&[1; 16]));
        assert_ne!(same.signed_bytes(&[1; 16]), same.signed_bytes(&[2; 16]), "another network");
        let hash = same.clone().signed(signature).unwrap().hash();
        for other in others {
            assert_ne!(same.signed_bytes(&[1; 16]), other.signed_bytes(&[1; 16]), "{other:?}");
            assert_ne!(hash, other.clone().signed(signature).unwrap().hash(), "{other:?}");
        }
    }

    #[test]
    fn a_record_comes_back_from_its_encoding_and_what_is_too_long_is_refused() {
        let record = statement().signed(Signature([9; 64])).unwrap();
        let bytes = postcard::to_allocvec(&record).unwrap();
        assert_eq!(postcard::from_bytes::<Record>(&bytes).unwrap(), record);
        assert!(bytes.len() <= record.encoded_len());

        let long = Statement { value: vec![0; VALUE_BYTES_MAX + 1], ..statement() };
        assert_eq!(long.signed(Signature([9; 64])), Err(RecordError::ValueTooLong));
        assert_eq!(RecordName::new(Namespace::NAMES, [7; 32], &[0; 65]), Err(RecordError::SaltTooLong));
        let high = Statement { seq: SEQ_MAX + 1, ..statement() };
        assert_eq!(high.signed(Signature([9; 64])), Err(RecordError::SeqTooHigh));

        let encoded = Encoded {
            namespace: Namespace::NAMES,
            owner: [7; 32],
            salt: &[0; 65],
            seq: 1,
            valid_until: 1,
            ttl: 1,
            previous: None,
            value: &[0; 4097],
            signature: Signature([9; 64]),
        };
        assert!(postcard::from_bytes::<Record>(&postcard::to_allocvec(&encoded).unwrap()).is_err());
    }

    #[test]
    fn a_record_ends_when_it_says() {
        let record = statement().signed(Signature([9; 64])).unwrap();
        assert!(!record.is_expired(98) && record.is_expired(99));
    }
}
