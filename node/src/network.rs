//! Which network a daemon belongs to, in few bytes.

use chordage_dht::AnyMetric;

/// Domain of the hash (BLAKE3 `derive_key`).
const CONTEXT: &str = "chordage 2026 network fingerprint";

/// A fingerprint of a network's name and metric. Signed records are signed for one network: in another they are forgeries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NetworkFingerprint(pub(crate) [u8; 16]);

impl NetworkFingerprint {
    /// That of the network with this name and metric.
    pub(crate) fn of(name: &str, metric: AnyMetric) -> Self {
        let hash = blake3::derive_key(CONTEXT, format!("{metric}\0{name}").as_bytes());
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
}
