//! Which keys are a network's: the founder's, and those that came after it.
//!
//! ```text
//!  succession  version 1 │ network, 16 │ old key, 32 │ new key, 32 │ from u64 │ until u64 │ signature of the old key, 64    161 bytes
//! ```
//! The new key counts from `from` on, the old one until `until`: in between certificates are renewed under the new one.
//! The old key decides this alone. Whoever has stolen it can do so too, and the first statement that a daemon sees is
//! the one it believes.

use chordage_dht::Signature;
use libp2p::identity::ed25519;

use super::NetworkFingerprint;
use super::bytes::{Malformed, Reader, has_signed, sign};
use super::certificate::{CLOCK_TOLERANCE, CertificateError};
use super::genesis::Genesis;

const VERSION: u8 = 1;
/// What the signature is for.
const SIGNED_CONTEXT: &str = "chordage 2026 network key succession";
/// Keys of a network that count at a time.
const KEYS_MAX: usize = 2;
/// Longest time for which both count, seconds: as long as the certificates of delegates last.
pub(crate) const OVERLAP_MAX: u64 = 366 * 24 * 3600;

/// The statement that one network key follows another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Succession {
    network: NetworkFingerprint,
    old: [u8; 32],
    new: [u8; 32],
    from: u64,
    until: u64,
    signature: Signature,
}

/// Why a statement makes nobody a network key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SuccessionError {
    #[error("what follows the network's key cannot be read: {0}")]
    Malformed(#[from] Malformed),
    #[error("it is for another network")]
    OtherNetwork,
    #[error("it is not signed with the old key")]
    BadSignature,
    #[error("the old key is not the newest of this network")]
    NotTheNewest,
    #[error("the new key is one of this network's already")]
    NotNew,
    #[error("three keys would count at a time, or a newer one before an older one")]
    TooSoon,
}

impl Succession {
    /// Says that `new` counts from `from` on, and the key of `old` until `until`; none if that is before, or more than
    /// a year later.
    pub(crate) fn sign(
        network: NetworkFingerprint,
        old: &ed25519::Keypair,
        new: [u8; 32],
        (from, until): (u64, u64),
    ) -> Option<Self> {
        let mut succession =
            Self { network, old: old.public().to_bytes(), new, from, until, signature: Signature([0; 64]) };
        if !succession.is_sound() {
            return None;
        }
        succession.signature = sign(old, SIGNED_CONTEXT, &succession.statement());
        Some(succession)
    }

    fn is_sound(&self) -> bool {
        let overlap = self.until.checked_sub(self.from);
        overlap.is_some_and(|overlap| overlap <= OVERLAP_MAX) && self.old != self.new
    }

    fn statement(&self) -> Vec<u8> {
        let Self { network, old, new, from, until, .. } = self;
        let (from, until) = (from.to_be_bytes(), until.to_be_bytes());
        [&[VERSION][..], &network.0, old, new, &from, &until].concat()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.statement();
        bytes.extend(self.signature.0);
        bytes
    }

    /// Reads what strangers give. [`Trusted::succeed`] checks the signature.
    #[cfg_attr(not(test), allow(dead_code, reason = "successions are read in papers"))]
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let succession = Self::read(&mut reader)?;
        reader.end()?;
        Ok(succession)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.version(VERSION)?;
        let succession = Self {
            network: reader.network()?,
            old: reader.array()?,
            new: reader.array()?,
            from: reader.number()?,
            until: reader.number()?,
            signature: reader.signature()?,
        };
        if succession.is_sound() { Ok(succession) } else { Err(Malformed) }
    }
}

/// A key of a network, and when it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NetworkKey {
    key: [u8; 32],
    from: u64,
    /// Without end for the newest.
    until: Option<u64>,
}

/// The newest keys of a network, at most two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trusted {
    network: NetworkFingerprint,
    keys: Vec<NetworkKey>,
}

impl Trusted {
    /// The founder's alone.
    pub(crate) fn of(genesis: &Genesis) -> Self {
        let key = NetworkKey { key: *genesis.key(), from: 0, until: None };
        Self { network: genesis.fingerprint(), keys: vec![key] }
    }

    /// Whose keys these are.
    pub(crate) fn network(&self) -> NetworkFingerprint {
        self.network
    }

    /// The one that signs what is new.
    pub(crate) fn newest(&self) -> Option<&[u8; 32]> {
        self.keys.last().map(|newest| &newest.key)
    }

    /// The key before the newest, and until when it counts.
    pub(crate) fn older(&self) -> Option<(&[u8; 32], u64)> {
        match &self.keys[..] {
            [.., NetworkKey { key, until: Some(until), .. }, _] => Some((key, *until)),
            _ => None,
        }
    }

    /// Whether it is one of the two, whatever the time. What an old key has revoked stays revoked.
    pub(crate) fn is_network_key(&self, key: &[u8; 32]) -> bool {
        self.keys.iter().any(|known| known.key == *key)
    }

    /// Until when a network key counts, if it does so at this time.
    pub(super) fn until(&self, key: &[u8; 32], now: u64) -> Result<u64, CertificateError> {
        let known = self.keys.iter().find(|known| known.key == *key);
        let known = known.ok_or(CertificateError::IssuerMayNotSign)?;
        if now.saturating_add(CLOCK_TOLERANCE) < known.from {
            return Err(CertificateError::NotYetValid { from: known.from });
        }
        Ok(known.until.unwrap_or(u64::MAX))
    }

    /// Takes in what the newest key says of its successor. Whether that was news.
    pub(crate) fn succeed(&mut self, succession: &Succession) -> Result<bool, SuccessionError> {
        let Succession { network, old, new, from, until, signature } = succession;
        if *network != self.network {
            return Err(SuccessionError::OtherNetwork);
        }
        let new = NetworkKey { key: *new, from: *from, until: None };
        let is_known = |pair: &[NetworkKey]| {
            matches!(pair, [first, second] if first.key == *old && first.until == Some(*until)
                && second.key == new.key && second.from == new.from)
        };
        if self.keys.windows(2).any(is_known) {
            return Ok(false);
        }
        let [before @ .., newest] = &mut self.keys[..] else { return Err(SuccessionError::NotTheNewest) };
        if newest.key != *old {
            return Err(SuccessionError::NotTheNewest);
        }
        if before.iter().any(|known| known.key == new.key) {
            return Err(SuccessionError::NotNew);
        }
        let is_over = |known: &NetworkKey| known.until.is_some_and(|until| until <= new.from);
        if new.from < newest.from || !before.iter().all(is_over) {
            return Err(SuccessionError::TooSoon);
        }
        if !has_signed(old, SIGNED_CONTEXT, &succession.statement(), signature) {
            return Err(SuccessionError::BadSignature);
        }
        newest.until = Some(*until);
        self.keys.push(new);
        let surplus = self.keys.len().saturating_sub(KEYS_MAX);
        self.keys.drain(..surplus);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{DAY, NOW, genesis, key, pair};
    use super::*;

    fn follows(old: u8, new: u8, from: u64, until: u64) -> Succession {
        Succession::sign(genesis(1).fingerprint(), &pair(old), key(new), (from, until)).expect("sound")
    }

    #[test]
    fn two_keys_count_while_they_overlap_and_then_the_new_one() {
        let mut trusted = Trusted::of(&genesis(1));
        assert_eq!(trusted.until(&key(1), 0), Ok(u64::MAX));
        let (from, until) = (NOW + 10 * DAY, NOW + 100 * DAY);
        let first = follows(1, 2, from, until);
        assert_eq!(trusted.succeed(&first), Ok(true));
        assert_eq!(trusted.succeed(&first), Ok(false), "it is known");
        assert_eq!(trusted.until(&key(1), NOW), Ok(until));
        assert_eq!(trusted.until(&key(2), NOW), Err(CertificateError::NotYetValid { from }));
        assert_eq!(trusted.until(&key(2), from - CLOCK_TOLERANCE), Ok(u64::MAX));
        assert_eq!(trusted.newest(), Some(&key(2)));
        // Not before the first has ended, nor before the second begins.
        assert_eq!(trusted.succeed(&follows(2, 3, until - 1, until)), Err(SuccessionError::TooSoon));
        assert_eq!(trusted.succeed(&follows(2, 3, until, until + DAY)), Ok(true));
        assert_eq!(trusted.until(&key(1), NOW), Err(CertificateError::IssuerMayNotSign));
        assert_eq!([1, 2, 3].map(|seed| trusted.is_network_key(&key(seed))), [false, true, true]);
    }

    #[test]
    fn only_the_newest_key_names_one_successor() {
        let mut trusted = Trusted::of(&genesis(1));
        let elsewhere = Succession::sign(genesis(9).fingerprint(), &pair(1), key(2), (NOW, NOW));
        let elsewhere = elsewhere.expect("sound");
        assert_eq!(trusted.succeed(&elsewhere), Err(SuccessionError::OtherNetwork));
        assert_eq!(trusted.succeed(&follows(4, 2, NOW, NOW)), Err(SuccessionError::NotTheNewest));
        let forged = Succession { signature: Signature([0; 64]), ..follows(1, 2, NOW, NOW + DAY) };
        assert_eq!(trusted.succeed(&forged), Err(SuccessionError::BadSignature));
        assert_eq!(trusted, Trusted::of(&genesis(1)));
        assert_eq!(trusted.succeed(&follows(1, 2, NOW, NOW + DAY)), Ok(true));
        assert_eq!(trusted.succeed(&follows(1, 3, NOW, NOW + DAY)), Err(SuccessionError::NotTheNewest));
        assert_eq!(trusted.succeed(&follows(2, 1, NOW + DAY, NOW + DAY)), Err(SuccessionError::NotNew));
        assert_eq!(trusted.succeed(&follows(2, 3, NOW - 1, NOW)), Err(SuccessionError::TooSoon));
    }

    #[test]
    fn dates_are_in_order_and_at_most_a_year_apart() {
        let sign = |from, until, new| {
            let network = genesis(1).fingerprint();
            Succession::sign(network, &pair(1), new, (from, until)).is_some()
        };
        assert!(sign(NOW, NOW, key(2)) && sign(NOW, NOW + OVERLAP_MAX, key(2)));
        assert!(!sign(NOW, NOW - 1, key(2)) && !sign(NOW, NOW + OVERLAP_MAX + 1, key(2)));
        assert!(!sign(NOW, NOW, key(1)), "a key does not follow itself");
    }

    proptest! {
        #[test]
        fn a_succession_comes_back_and_nothing_else_passes_for_it(
            from in 0..u64::MAX / 2, overlap in 0..=OVERLAP_MAX, at: prop::sample::Index, bit in 0..8_u32, more: u8,
        ) {
            let succession = follows(1, 2, from, from + overlap);
            let bytes = succession.encode();
            prop_assert_eq!(bytes.len(), 161);
            prop_assert_eq!(Succession::decode(&bytes), Ok(succession));
            let at = at.index(bytes.len());
            prop_assert!(Succession::decode(&bytes[..at]).is_err());
            prop_assert!(Succession::decode(&[&bytes[..], &[more]].concat()).is_err());
            let mut flipped = bytes;
            flipped[at] ^= 1 << bit;
            let taken = Succession::decode(&flipped)
                .map_err(SuccessionError::from)
                .and_then(|flipped| Trusted::of(&genesis(1)).succeed(&flipped));
            prop_assert!(taken.is_err());
        }
    }
}
