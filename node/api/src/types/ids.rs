//! Ids, which are hexadecimal text in JSON and checked when they are read.
//!
//! Links stay text: a client only passes them on, and one that it cannot read, because a newer daemon made it, is still
//! the only way to an object.

use std::fmt;
use std::str::FromStr;

use chordage_storage::ChunkId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::{hex, unhex};

/// The text is not an id of the kind that is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text:.80}` is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

/// What is in JSON the text that `Display` and `FromStr` say, and is described by a pattern.
macro_rules! text_in_json {
    ($name:ident, $about:literal, $pattern:literal) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String);
                text.pattern(Some($pattern)).description(Some($about.trim_start())).into()
            }
        }

        impl ToSchema for $name {}
    };
}

/// 256 bits, written as 64 hexadecimal digits.
macro_rules! ids {
    ($(#[doc = $about:literal] $name:ident is $expected:literal;)+) => {$(
        #[doc = $about]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Its bytes, the most significant first.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first half as a number, which is fine enough for distances that people see.
            pub fn first_half(&self) -> u128 {
                u128::from_be_bytes(std::array::from_fn(|position| self.0[position]))
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                $name(bytes)
            }
        }

        impl fmt::Display for $name {
            /// A precision says how many digits are enough.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&hex(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Reads 64 hexadecimal digits of either case.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let wrong = || IdError { text: text.to_owned(), expected: $expected };
                let bytes = unhex(text).ok_or_else(wrong)?;
                Ok($name(bytes.try_into().map_err(|_| wrong())?))
            }
        }

        text_in_json!($name, $about, "^[0-9a-f]{64}$");
    )+};
}

ids! {
    /// A node's place on the ring, the hash of its public key: 64 hexadecimal digits.
    NodeId is "a node id of 64 hexadecimal digits";
    /// A place on the ring: 64 hexadecimal digits.
    RingKey is "a key of 64 hexadecimal digits";
    /// The address of a chunk, the hash of its descriptor: 64 hexadecimal digits.
    ChunkAddress is "a chunk address of 64 hexadecimal digits";
}

impl From<ChunkId> for ChunkAddress {
    fn from(id: ChunkId) -> Self {
        ChunkAddress(id.0)
    }
}

impl From<NodeId> for RingKey {
    fn from(id: NodeId) -> Self {
        RingKey(id.0)
    }
}

/// A node that holds a shard or held it: its id, or the first 16 digits of that of a node that is gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HolderId {
    /// The whole id.
    Whole(NodeId),
    /// How the id of a node that is gone begins.
    Beginning([u8; 8]),
}

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HolderId::Whole(id) => id.fmt(f),
            HolderId::Beginning(bytes) => f.pad(&hex(bytes)),
        }
    }
}

impl FromStr for HolderId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if let Ok(id) = text.parse() {
            return Ok(HolderId::Whole(id));
        }
        let beginning = unhex(text).and_then(|bytes| bytes.try_into().ok());
        let expected = "a node id of 64 hexadecimal digits, or the first 16 of one";
        beginning.map(HolderId::Beginning).ok_or_else(|| IdError { text: text.to_owned(), expected })
    }
}

text_in_json!(
    HolderId,
    "The id of a node, or its first 16 digits if the node is gone.",
    "^([0-9a-f]{16}|[0-9a-f]{64})$"
);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_text_in_json_and_for_people() {
        let digits = format!("{}ff", "0a".repeat(31));
        let id: NodeId = digits.parse().unwrap();
        assert_eq!(id.as_bytes()[30..], [0x0a, 0xff]);
        assert_eq!((id.to_string(), format!("{id:?}")), (digits.clone(), digits.clone()));
        assert_eq!((format!("{id:.8}"), format!("{id:.4}|{id:>66}").len()), ("0a0a0a0a".to_owned(), 71));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("{digits:?}"));
        assert_eq!(serde_json::from_str::<NodeId>(&format!("{digits:?}")).unwrap(), id);
        assert_eq!(digits.to_uppercase().parse(), Ok(id));
        assert_eq!(id.first_half(), 0x0a0a_0a0a_0a0a_0a0a_0a0a_0a0a_0a0a_0a0a);
    }

    #[test]
    fn what_has_another_length_or_other_digits_is_no_id() {
        let cases = [String::new(), "ff".to_owned(), "f".repeat(63), "ff".repeat(33), "fg".repeat(32)];
        for text in cases.iter().chain([&format!("+{}", "f".repeat(63)), &"\u{e9}".repeat(32)]) {
            let error = text.parse::<NodeId>().unwrap_err().to_string();
            assert!(error.ends_with("is not a node id of 64 hexadecimal digits"), "{error}");
            assert!(serde_json::from_str::<ChunkAddress>(&format!("{text:?}")).is_err(), "{text}");
            assert!(text.parse::<HolderId>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<NodeId>("17").is_err());
    }

    #[test]
    fn holders_that_are_gone_have_short_names() {
        let whole: HolderId = "ab".repeat(32).parse().unwrap();
        assert_eq!(whole, HolderId::Whole(NodeId::from([0xab; 32])));
        let beginning: HolderId = "0123456789abcdef".parse().unwrap();
        assert_eq!(beginning, HolderId::Beginning([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]));
        for id in [whole, beginning] {
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(json, format!("\"{id}\""));
            assert_eq!(serde_json::from_str::<HolderId>(&json).unwrap(), id);
        }
    }
}
