//! The signatures under membership announcements: made here, and checked before the overlay sees them.

use chordage_dht::{Announcement, Input, PeerInfo, Record, Signature};
use libp2p::identity::{Keypair, ed25519};

use crate::network::NetworkFingerprint;
use crate::record::Versions;

/// Signs this daemon's own records.
pub(crate) struct Signer(Keypair);

impl Signer {
    /// With the daemon's key pair.
    pub(crate) fn new(keypair: Keypair) -> Signer {
        Signer(keypair)
    }

    pub(super) fn sign(&self, record: &PeerInfo, seat: bool) -> Signature {
        // The key is Ed25519 (`Identity`), whose signatures always succeed and have 64 bytes; any other would leave an
        // invalid one, which others refuse.
        let signed = self.0.sign(&Announcement::signed_bytes(record, seat)).unwrap_or_default();
        Signature(signed.try_into().unwrap_or([0; 64]))
    }
}

/// What others know this daemon by.
pub(super) struct OwnRecord {
    pub(super) versions: Versions,
    pub(super) signer: Signer,
}

impl OwnRecord {
    /// Signs a version of it; what the overlay is told.
    pub(super) fn sign(&self, record: &PeerInfo, seat: bool) -> Input {
        Input::Signed { seq: record.seq(), signature: self.signer.sign(record, seat) }
    }
}

/// Whether the owner of the record has signed it.
pub(super) fn is_genuine(announcement: &Announcement) -> bool {
    let record = announcement.record();
    ed25519::PublicKey::try_from_bytes(record.public_key()).is_ok_and(|key| {
        let signed = Announcement::signed_bytes(record, announcement.seat());
        key.verify(&signed, &announcement.signature().0)
    })
}

/// Whether the owner of a record has signed it for this network.
pub(super) fn is_signed(record: &Record, network: NetworkFingerprint) -> bool {
    let statement = record.statement();
    ed25519::PublicKey::try_from_bytes(statement.name.owner())
        .is_ok_and(|key| key.verify(&statement.signed_bytes(&network.0), &record.signature().0))
}

#[cfg(test)]
mod tests {
    use chordage_dht::PeerInfo;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn only_the_owner_signs_a_record() {
        let pair = ed25519::Keypair::generate();
        let record = PeerInfo::new(pair.public().to_bytes(), Vec::new(), 7).expect("no addresses");
        let signature = Signer::new(pair.into()).sign(&record, false);
        let newer = record.with_addresses(Vec::new(), 8).expect("no addresses");
        assert!(is_genuine(&Announcement::new(Arc::new(record.clone()), false, signature)));
        assert!(!is_genuine(&Announcement::new(Arc::new(record.clone()), true, signature)));
        assert!(!is_genuine(&Announcement::new(Arc::new(newer), false, signature)));
        let other = Signer::new(Keypair::generate_ed25519()).sign(&record, false);
        assert!(!is_genuine(&Announcement::new(Arc::new(record), false, other)));
    }
}
