//! A list of ids, two bytes each: enough to say whom one knows to somebody who knows nearly the same.
//!
//! Which two bytes are compared changes from list to list, so that two ids that look alike in one list differ in the
//! next. That is needed once in some 1,600 names when forty are known, and costs one exchange when it happens.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{id::NodeId, params::MESSAGE_PEERS_MAX};

/// The leading bytes of an id are nearly the same for all neighbours; the rest is as good as random.
const FIRST: usize = 8;
/// Places in an id from which two bytes can be taken.
const PLACES: u8 = 24;

/// Ids, abbreviated to two bytes each; at most 64.
#[derive(Clone, PartialEq, Eq)]
pub struct ShortIds {
    /// Which bytes of the ids; the first byte of the encoding.
    place: u8,
    tags: Box<[[u8; 2]]>,
}

impl ShortIds {
    /// The first 64 of these ids; `random` chooses which of their bytes.
    pub fn of<'a>(ids: impl Iterator<Item = &'a NodeId>, random: u64) -> Self {
        let place = (random % u64::from(PLACES)) as u8;
        Self { place, tags: ids.take(MESSAGE_PEERS_MAX).map(|id| tag(id, place)).collect() }
    }

    /// Where in the list this id is, or one that looks like it.
    pub fn position(&self, id: &NodeId) -> Option<usize> {
        let tag = tag(id, self.place);
        self.tags.iter().position(|other| *other == tag)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (place, tags) = bytes.split_first()?;
        let (tags, rest) = tags.as_chunks();
        let fits = rest.is_empty() && tags.len() <= MESSAGE_PEERS_MAX && *place < PLACES;
        fits.then(|| Self { place: *place, tags: tags.into() })
    }
}

fn tag(id: &NodeId, place: u8) -> [u8; 2] {
    let first = FIRST + usize::from(place % PLACES);
    let bytes = id.as_bytes();
    // The last place wraps around to the first.
    [bytes[first], *bytes.get(first + 1).unwrap_or(&bytes[FIRST])]
}

impl fmt::Debug for ShortIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShortIds({} of place {})", self.tags.len(), self.place)
    }
}

impl Serialize for ShortIds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = [self.place].into_iter().chain(self.tags.iter().flatten().copied()).collect();
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for ShortIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = ShortIds;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a byte below {PLACES} and at most {MESSAGE_PEERS_MAX} pairs of bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<ShortIds, E> {
                ShortIds::from_bytes(bytes).ok_or_else(|| E::invalid_length(bytes.len(), &self))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_again_whichever_bytes_stand_for_them() {
        let ids: Vec<NodeId> = (0..40).map(|n: u8| NodeId::from_public_key(&[n; 32])).collect();
        let mut alike = 0;
        for random in 0..24 {
            let short = ShortIds::of(ids.iter(), random);
            for (index, id) in ids.iter().enumerate() {
                let found = short.position(id).expect("a tag of its own or an earlier one like it");
                assert!(found <= index);
                alike += usize::from(found < index);
            }
        }
        // Of 40 ids two look alike in one list in 84; always the same two would be a mistake.
        assert!(alike < 3, "{alike}");
    }

    #[test]
    fn lists_of_odd_or_excessive_length_are_refused() {
        assert!(ShortIds::from_bytes(&[0; 129]).is_some() && ShortIds::from_bytes(&[23]).is_some());
        for wrong in [&[][..], &[24], &[0; 2], &[0; 131]] {
            assert!(ShortIds::from_bytes(wrong).is_none(), "{wrong:?}");
        }
    }
}
