//! Which network a daemon belongs to, in few bytes; the papers by which the daemons of a private network know each
//! other; and the work by which those of an open one do.
//!
//! ```text
//!  genesis ──names──▶ network key ──signs──▶ certificate of a member
//!                        │    └────signs──▶ certificate of a delegate ──signs──▶ certificate of a member
//!                        └──signs──▶ succession ──names──▶ the next network key
//!  revocation: a network key or a delegate takes back what a key was given
//!  invite: a secret by which a daemon without a certificate gets one
//!
//!  genesis ──asks for──▶ work on the key of whoever takes part in an open network
//!  open invite: the genesis, and where somebody of the network is
//! ```
//! All of it is pure: bytes, times (seconds since 1970), keys and random numbers are arguments.

mod bytes;
pub(crate) mod certificate;
pub(crate) mod frames;
pub(crate) mod genesis;
pub(crate) mod invite;
pub(crate) mod invites;
pub(crate) mod kept;
pub(crate) mod open_invite;
pub(crate) mod papers;
pub(crate) mod revocation;
pub(crate) mod revocations;
#[cfg(test)]
mod samples;
pub(crate) mod succession;
pub(crate) mod text;
pub(crate) mod work;

use chordage_dht::AnyMetric;

/// Domain of the hash (BLAKE3 `derive_key`).
const CONTEXT: &str = "chordage 2026 network fingerprint";
/// Longest name of a network, bytes.
pub(crate) const NAME_MAX: usize = 32;

/// Whether a text can be the name of a network: 1 to 32 of `a-z`, `0-9` and `-`.
pub(crate) fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// A fingerprint of a network: of its name and metric, or of its [genesis](genesis::Genesis) if it has one. Signed
/// records are signed for one network: in another they are forgeries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NetworkFingerprint(pub(crate) [u8; 16]);

impl NetworkFingerprint {
    /// That of the network with this name and metric.
    pub(crate) fn of(name: &str, metric: AnyMetric) -> Self {
        let hash = blake3::derive_key(CONTEXT, format!("{metric}\0{name}").as_bytes());
        Self::beginning(&hash)
    }

    /// The first half of a hash.
    fn beginning(hash: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_other_names_or_metrics_have_other_fingerprints() {
        let of = NetworkFingerprint::of;
        assert_eq!(of("a", AnyMetric::Ring), of("a", AnyMetric::Ring));
        assert_ne!(of("a", AnyMetric::Ring), of("b", AnyMetric::Ring));
        assert_ne!(of("a", AnyMetric::Ring), of("a", AnyMetric::Xor));
    }

    #[test]
    fn names_are_short_and_can_be_typed_anywhere() {
        for right in ["a", "my-net-2", &"x".repeat(32)] {
            assert!(is_name(right), "{right}");
        }
        for wrong in ["", "A", "a b", "a_b", "\u{e4}", "a\u{1b}", &"x".repeat(33)] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
    }
}
