//! The failure domain that a node's operator names.

use alloc::{boxed::Box, string::String};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::params::ZONE_BYTES_MAX;

/// What fails together, by the word of whoever runs the nodes: a house, a rack, a provider, a person. 1 to 32 of `a-z`,
/// `0-9` and `-`.
///
/// It is only a claim. A liar can name any zone, or a new one for each of its nodes, which gains it no more than naming
/// none does: limits bind those that name the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(Box<str>);

/// Why a text is no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a zone is 1 to {ZONE_BYTES_MAX} of a-z, 0-9 and -")]
pub struct ZoneError;

impl Zone {
    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        let is_name = (1..=ZONE_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if is_name { Ok(Self(text.into())) } else { Err(ZoneError) }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.0)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_a_short_plain_name() {
        assert_eq!("attic-2".parse::<Zone>().map(|zone| zone.as_str().len()), Ok(7));
        for not in ["", "Attic", "a b", "ä", "0123456789012345678901234567890123"] {
            assert_eq!(not.parse::<Zone>(), Err(ZoneError), "{not:?}");
        }
    }
}
