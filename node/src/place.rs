//! Places where programs meet in the overlay: where a service or a topic is kept, and why something there did not
//! succeed.

use chordage_api::OpenName;
use chordage_dht::{Key, Rejection, RendezvousError};

use crate::network::NetworkFingerprint;

/// Domain of the hash (BLAKE3 `derive_key`).
const CONTEXT: &str = "chordage 2026 place";

/// What a place is for. The same name is another place for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaceKind {
    Service,
    Topic,
}

/// Where those who use `name` meet.
pub(crate) fn place_of(kind: PlaceKind, network: NetworkFingerprint, name: &OpenName) -> Key {
    let kind = match kind {
        PlaceKind::Service => 1,
        PlaceKind::Topic => 2,
    };
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    // All parts but the last have lengths that are known, so that no two places give the same bytes.
    hasher.update(&[kind]).update(&network.0).update(name.as_str().as_bytes());
    Key::from_bytes(*hasher.finalize().as_bytes())
}

/// Why something at a place did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// The daemon is not part of its network.
    #[error("the daemon has not joined its network yet")]
    NotJoined,
    /// This daemon does too much at a time.
    #[error("this daemon has as many registrations, watches or questions under way as it may")]
    Busy,
    /// Too few of those who keep the place could be reached.
    #[error("only {heard} of the {of} nodes that keep it answered, and {needed} are needed")]
    NoMajority {
        /// Those that answered.
        heard: usize,
        /// How many are needed.
        needed: usize,
        /// How many keep the place.
        of: usize,
    },
    /// Too few of them have taken something.
    #[error("only {stored} of the {of} nodes that keep it have stored it, and {needed} are needed")]
    Unknown {
        /// Those that have.
        stored: usize,
        /// How many are needed.
        needed: usize,
        /// How many keep the place.
        of: usize,
    },
    /// They refuse it.
    #[error("too many of the nodes that keep it refuse it: {0}")]
    Refused(Rejection),
    /// The daemon is leaving.
    #[error("the daemon is shutting down")]
    Stopped,
}

impl From<RendezvousError> for PlaceError {
    fn from(error: RendezvousError) -> Self {
        match error {
            RendezvousError::Busy => PlaceError::Busy,
            RendezvousError::NotJoined => PlaceError::NotJoined,
            RendezvousError::NoMajority { heard, needed, of } => PlaceError::NoMajority { heard, needed, of },
            RendezvousError::Unknown { stored, needed, of } => PlaceError::Unknown { stored, needed, of },
            RendezvousError::Refused(why) => PlaceError::Refused(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use chordage_dht::AnyMetric;

    use super::*;

    #[test]
    fn kinds_names_and_networks_have_places_of_their_own() {
        let place = |kind, network, name: &str| {
            let network = NetworkFingerprint::of(network, AnyMetric::Ring);
            place_of(kind, network, &name.parse().expect("a name"))
        };
        let one = place(PlaceKind::Service, "net", "web");
        assert_eq!(one, place(PlaceKind::Service, "net", "web"));
        assert_ne!(one, place(PlaceKind::Topic, "net", "web"));
        assert_ne!(one, place(PlaceKind::Service, "other", "web"));
        assert_ne!(one, place(PlaceKind::Service, "net", "web2"));
        // Daemons of all versions have to meet there.
        assert_eq!(one.to_string(), "d17bf47e3e3c99cf64ab218ac714118b4707aa42494d828e8d85e797079abb22");
    }
}
