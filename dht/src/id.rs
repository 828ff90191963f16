//! Positions on the 256-bit space: node ids and keys.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A position that is looked up: 256 bits, read as a big-endian integer modulo 2^256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key([u8; 32]);

/// The position of a node: the BLAKE3 hash of its public key, so that nobody can choose it freely.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Key);

/// Domain of the hash that turns a public key into an id (BLAKE3 `derive_key`).
const NODE_ID_CONTEXT: &str = "chordage 2025 node id";

impl Key {
    /// The key at this position (big endian).
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The position as big-endian bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The position as four 64-bit limbs, most significant first.
    #[inline]
    pub(crate) fn limbs(&self) -> [u64; 4] {
        let mut limbs = [0; 4];
        for (limb, chunk) in limbs.iter_mut().zip(self.0.as_chunks::<8>().0) {
            *limb = u64::from_be_bytes(*chunk);
        }
        limbs
    }

    pub(crate) fn from_limbs(limbs: [u64; 4]) -> Self {
        let mut bytes = [0; 32];
        for (limb, chunk) in limbs.iter().zip(bytes.as_chunks_mut::<8>().0) {
            *chunk = limb.to_be_bytes();
        }
        Self(bytes)
    }
}

impl NodeId {
    /// The id that belongs to a public key.
    pub fn from_public_key(public_key: &[u8; 32]) -> Self {
        Self(Key(blake3::derive_key(NODE_ID_CONTEXT, public_key)))
    }

    /// An id from its bytes, as read from a log or typed by a person. It claims nothing about any key pair.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Key(bytes))
    }

    /// The id as big-endian bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key at the same position: looking it up finds this node.
    pub const fn key(&self) -> &Key {
        &self.0
    }
}

impl From<NodeId> for Key {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

/// Why a text is not an id or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// The text does not have exactly 64 characters.
    #[error("an id has 64 hexadecimal digits, not {0}")]
    Length(usize),
    /// A character is not a hexadecimal digit.
    #[error("an id consists of hexadecimal digits only")]
    Digit,
}

impl FromStr for Key {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err(ParseIdError::Length(text.len()));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.parse().map(Self)
    }
}

fn nibble(digit: u8) -> Result<u8, ParseIdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(ParseIdError::Digit),
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The precision shortens: `{:.8}` prints the first eight digits.
        let digits = f.precision().unwrap_or(64).min(64);
        for i in 0..digits {
            let byte = self.0[i / 2];
            write!(f, "{:x}", if i % 2 == 0 { byte >> 4 } else { byte & 15 })?;
        }
        Ok(())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self:.8}...)")
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self:.8}...)")
    }
}

/// Text in readable formats, 32 raw bytes in binary ones.
impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 32]>::deserialize(deserializer).map(Self);
        }
        struct Hex;
        impl de::Visitor<'_> for Hex {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hexadecimal digits")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Key::deserialize(deserializer).map(Self)
    }
}
