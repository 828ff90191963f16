//! What a listing says of a service, as bytes: a version, then address and attributes.

use chordage_api::service::{Attrs, ServiceAddr, check_attrs};
use serde::{Deserialize, Serialize};

/// The first byte of what this version writes and reads.
const VERSION: u8 = 1;

/// Where a service listens and what it is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) addr: ServiceAddr,
    pub(super) attrs: Attrs,
}

#[derive(Serialize, Deserialize)]
struct Encoded {
    addr: String,
    attrs: Attrs,
}

impl Content {
    /// Never empty, which would withdraw it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let encoded = Encoded { addr: self.addr.to_string(), attrs: self.attrs.clone() };
        // These types can always be encoded.
        [vec![VERSION], postcard::to_allocvec(&encoded).unwrap_or_default()].concat()
    }

    /// `None`: it is of a newer version, or makes no sense.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let Encoded { addr, attrs } = (*version == VERSION).then(|| postcard::from_bytes(rest).ok())??;
        check_attrs(&attrs).ok()?;
        Some(Content { addr: addr.parse().ok()?, attrs })
    }
}

#[cfg(test)]
mod tests {
    use chordage_api::service::{ATTR_VALUE_BYTES_MAX, ATTRS_BYTES_MAX, ATTRS_MAX, HOST_BYTES_MAX};
    use chordage_dht::LISTING_BYTES_MAX;

    use super::*;

    #[test]
    fn the_longest_service_fits_into_a_listing() {
        let label = format!("{}.", "a".repeat(62));
        let host = format!("{}b", label.repeat(4));
        assert_eq!(host.len(), HOST_BYTES_MAX);
        let key = |index: usize| format!("k{index:02}");
        let mut attrs: Attrs = (0..ATTRS_MAX).map(|index| (key(index), String::new())).collect();
        let mut left = ATTRS_BYTES_MAX - 3 * ATTRS_MAX;
        for value in attrs.values_mut() {
            let bytes = left.min(ATTR_VALUE_BYTES_MAX);
            *value = "x".repeat(bytes);
            left -= bytes;
        }
        check_attrs(&attrs).expect("as much as may be");
        let content = Content { addr: format!("{host}:65535").parse().expect("a name"), attrs };
        let encoded = content.encode();
        assert!(encoded.len() <= LISTING_BYTES_MAX, "{}", encoded.len());
        assert_eq!(Content::decode(&encoded), Some(content));
    }

    #[test]
    fn what_makes_no_sense_is_no_service() {
        let content = Content { addr: "10.0.0.1:80".parse().expect("one"), attrs: Attrs::new() };
        let encoded = content.encode();
        for length in 0..encoded.len() {
            assert_eq!(Content::decode(&encoded[..length]), None, "{length}");
        }
        let newer = [&[2], &encoded[1..]].concat();
        assert_eq!(Content::decode(&newer), None);
        let body = |addr: &str, attrs: &[(&str, &str)]| {
            let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let encoded = Encoded { addr: addr.to_owned(), attrs };
            [vec![VERSION], postcard::to_allocvec(&encoded).expect("encodable")].concat()
        };
        assert!(Content::decode(&body("a:1", &[("k", "v")])).is_some());
        assert_eq!(Content::decode(&body("a", &[])), None);
        assert_eq!(Content::decode(&body("a:1", &[("k", "\u{1b}[2J")])), None);
    }
}
