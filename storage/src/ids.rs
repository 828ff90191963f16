//! Identifiers: 32 bytes each, of types that cannot be confused.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            /// All 32 bytes in lower-case hex.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            /// The first 8 bytes in hex: enough to follow one in a log.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), data_encoding::HEXLOWER.encode(&self.0[..8]))
            }
        }
    };
}

id! {
    /// The address of a chunk: BLAKE3 of its encoded [`Descriptor`](crate::Descriptor), so that it commits to
    /// the hash of every shard.
    ChunkId
}

id! {
    /// BLAKE3 of one shard's bytes. The plain hash without a context, so that a slice of a shard can be proven
    /// against it with BLAKE3's own tree (Bao).
    ShardHash
}

id! {
    /// Who keeps data: the id of the daemon that put it, or that keeps it with a lease of its own.
    Writer
}

id! {
    /// Keyed BLAKE3 of a piece of a file: the unit of deduplication.
    PieceHash
}

id! {
    /// What a client says of a file without reading it: a hash of where it is (machine, device, inode) and of what
    /// changes when it is written to (size, times of modification and of change). Equal fingerprints, equal content.
    Fingerprint
}

impl Fingerprint {
    /// Parses 64 hex digits, in either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        ChunkId::from_hex(text).map(|id| Self(id.0))
    }
}

impl ChunkId {
    /// Parses 64 hex digits, in either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl ShardHash {
    /// Hashes the bytes of a shard.
    pub fn of(payload: &[u8]) -> Self {
        Self(*blake3::hash(payload).as_bytes())
    }
}

/// The key that opens one chunk. Whoever has it and the [`ChunkId`] can read the chunk; it is never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChunkKey(pub [u8; 32]);

impl fmt::Debug for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let key = ChunkKey([0xab; 32]);
        assert_eq!(format!("{key:?}"), "ChunkKey(..)");
    }

    #[test]
    fn hex_round_trips_and_wrong_lengths_are_refused() {
        let id = ChunkId([0x5a; 32]);
        assert_eq!(ChunkId::from_hex(&id.to_string()), Some(id));
        assert_eq!(ChunkId::from_hex(&id.to_string().to_uppercase()), Some(id));
        assert_eq!(ChunkId::from_hex("5a5a"), None);
        assert_eq!(ChunkId::from_hex(&"zz".repeat(32)), None);
    }
}
