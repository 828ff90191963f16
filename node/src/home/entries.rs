//! What a home says.
//!
//! | key | value, JSON |
//! |---|---|
//! | `home` | the version, and when it was made |
//! | `volumes/ID` | the petname of a volume, and the text that opens it |
//! | `names/KEY` | the petname of a key of names, and its secret half |

use chordage_api::types::{VolumeChange, VolumeExpectation};
use chordage_api::{hex, unhex};
use data_encoding::BASE64;
use libp2p::identity::ed25519;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Key of the entry that says what this is …
pub(super) const HOME: &str = "home";
/// … with what those of volumes begin …
pub(super) const VOLUMES: &str = "volumes/";
/// … and those of keys of names.
pub(super) const NAMES: &str = "names/";
/// Entries of a newer version may mean something else.
pub(super) const VERSION: u32 = 1;

/// What a home says about itself.
#[derive(Serialize, Deserialize)]
pub(super) struct HomeEntry {
    pub(super) version: u32,
    /// Seconds since 1970.
    pub(super) created: u64,
}

/// A volume. Newer versions may add fields.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VolumeEntry {
    pub(super) petname: String,
    /// The text that opens it.
    pub(super) capability: String,
}

/// A key of names. Newer versions may add fields.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NameEntry {
    pub(super) petname: String,
    /// 64 hexadecimal digits.
    secret: String,
    /// Seconds since 1970.
    pub(super) created: u64,
}

impl NameEntry {
    pub(super) fn new(petname: String, pair: &ed25519::Keypair, created: u64) -> Self {
        NameEntry { petname, secret: hex(pair.secret().as_ref()), created }
    }

    /// The key; `None` if it makes no sense.
    pub(super) fn pair(&self) -> Option<ed25519::Keypair> {
        let mut secret: [u8; 32] = unhex(&self.secret)?.try_into().ok()?;
        Some(ed25519::SecretKey::try_from_bytes(&mut secret).ok()?.into())
    }
}

/// Has a key of the home say this.
pub(super) fn entered(key: String, entry: &impl Serialize) -> VolumeChange {
    // These have texts and numbers only, which are always written.
    let bytes = serde_json::to_vec(entry).unwrap_or_default();
    VolumeChange { key, value: Some(BASE64.encode(&bytes)), expect: VolumeExpectation::Any }
}

/// What an entry says; `None` if it makes no sense to this version.
pub(super) fn read<T: DeserializeOwned>(value: &str) -> Option<T> {
    serde_json::from_slice(&BASE64.decode(value.as_bytes()).ok()?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_and_nonsense_does_not() {
        let pair = ed25519::Keypair::generate();
        let change = entered(NAMES.to_owned(), &NameEntry::new("me".to_owned(), &pair, 5));
        let back: NameEntry = read(change.value.as_deref().unwrap()).unwrap();
        assert_eq!(back.pair().unwrap().public(), pair.public());
        assert_eq!((back.petname.as_str(), back.created), ("me", 5));
        for nonsense in ["", "!", "bm9uc2Vuc2U=", "e30="] {
            assert!(read::<NameEntry>(nonsense).is_none(), "{nonsense}");
        }
        let short = NameEntry { petname: String::new(), secret: "00".to_owned(), created: 0 };
        assert!(short.pair().is_none());
    }
}
