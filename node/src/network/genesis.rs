//! What a network is, said once by whoever founds it and signed with the network's key.
//!
//! ```text
//!  version 1 │ network key, 32 │ name length │ name │ metric: 0 ring, 1 xor │ kind: 0 private, 1 open │ bits of work
//!  │ k │ n │ created u64 │ signature, 64
//! ```
//! The network's id is a hash of everything before the signature, and its fingerprint the beginning of that: what is
//! signed for a network is signed for this key, name and metric, and nobody else's network can be taken for it.

use chordage_dht::{AnyMetric, Signature};
use chordage_storage::Redundancy;
use libp2p::identity::ed25519;

use super::bytes::{Malformed, Reader, has_signed, put_short, sign};
use super::work::IdWork;
use super::{NetworkFingerprint, is_name};

const VERSION: u8 = 1;
/// What the signature is for.
const SIGNED_CONTEXT: &str = "chordage 2026 genesis";
/// Domain of the hash (BLAKE3 `derive_key`).
const ID_CONTEXT: &str = "chordage 2026 network id";
/// Most bits of work that a network may ask of an id. Measured: a core tries some 39,000 keys a second, so that this
/// takes it a day.
pub(crate) const ID_BITS_MAX: u8 = 32;

/// Who may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Who has a certificate.
    Private,
    /// Anybody. A node's id has to begin with this many zero bits after hashing, so that thousands of them cost
    /// something.
    Open {
        /// At most 32; 0 asks for nothing.
        id_bits: u8,
    },
}

/// What a founder decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Founding {
    /// 1 to 32 of `a-z`, `0-9` and `-`.
    pub(crate) name: String,
    /// Ring or xor.
    pub(crate) metric: AnyMetric,
    pub(crate) kind: Kind,
    /// How chunks are coded unless a put says otherwise; none: by the size of the network.
    pub(crate) redundancy: Option<Redundancy>,
    /// Seconds since 1970.
    pub(crate) created: u64,
}

/// Why something is not the genesis of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GenesisError {
    #[error("the name of a network has 1 to 32 of a-z, 0-9 and -")]
    Name,
    #[error("the metric of a network is ring or xor")]
    Metric,
    #[error("a network asks for at most {ID_BITS_MAX} bits of work")]
    IdBits,
    #[error("what is said of the network cannot be read: {0}")]
    Malformed(#[from] Malformed),
    #[error("what is said of the network is not signed with its key")]
    BadSignature,
}

/// A network, as its founder has signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Genesis {
    key: [u8; 32],
    founding: Founding,
    signature: Signature,
}

impl Genesis {
    /// Founds a network. `pair` becomes the network's key.
    pub(crate) fn sign(pair: &ed25519::Keypair, founding: Founding) -> Result<Self, GenesisError> {
        check(&founding)?;
        let key = pair.public().to_bytes();
        let signature = sign(pair, SIGNED_CONTEXT, &statement(&key, &founding));
        Ok(Self { key, founding, signature })
    }

    /// The network's first key.
    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// What its founder has decided.
    pub(crate) fn founding(&self) -> &Founding {
        &self.founding
    }

    /// What it asks of the keys of those who take part. Nothing in a private network, where certificates say who may.
    pub(crate) fn work(&self) -> IdWork {
        match self.founding.kind {
            Kind::Private => IdWork::default(),
            Kind::Open { id_bits } => IdWork::of(id_bits),
        }
    }

    /// Names the network. The signature is no part of it: a founder can make several.
    pub(crate) fn id(&self) -> [u8; 32] {
        blake3::derive_key(ID_CONTEXT, &statement(&self.key, &self.founding))
    }

    /// The first half of the id, for which everything in the network is signed.
    pub(crate) fn fingerprint(&self) -> NetworkFingerprint {
        NetworkFingerprint::beginning(&self.id())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = statement(&self.key, &self.founding);
        bytes.extend_from_slice(&self.signature.0);
        bytes
    }

    /// Reads what strangers give, and checks the signature.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, GenesisError> {
        let genesis = Self::parse(bytes)?;
        if genesis.is_signed() { Ok(genesis) } else { Err(GenesisError::BadSignature) }
    }

    fn is_signed(&self) -> bool {
        let statement = statement(&self.key, &self.founding);
        has_signed(&self.key, SIGNED_CONTEXT, &statement, &self.signature)
    }

    /// As [`Genesis::decode`], without a look at the signature.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, GenesisError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let key = reader.array()?;
        let name = reader.text()?;
        let metric = match reader.byte()? {
            0 => AnyMetric::Ring,
            1 => AnyMetric::Xor,
            _ => return Err(GenesisError::Metric),
        };
        let kind = match (reader.byte()?, reader.byte()?) {
            (0, 0) => Kind::Private,
            (1, id_bits) => Kind::Open { id_bits },
            _ => return Err(Malformed.into()),
        };
        let redundancy = match (reader.byte()?, reader.byte()?) {
            (0, 0) => None,
            (k, n) => Some(Redundancy::new(k, n).map_err(|_| Malformed)?),
        };
        let founding = Founding { name, metric, kind, redundancy, created: reader.number()? };
        check(&founding)?;
        let signature = reader.signature()?;
        reader.end()?;
        Ok(Self { key, founding, signature })
    }
}

fn check(founding: &Founding) -> Result<(), GenesisError> {
    if !is_name(&founding.name) {
        return Err(GenesisError::Name);
    }
    // The third is for simulations only.
    if !matches!(founding.metric, AnyMetric::Ring | AnyMetric::Xor) {
        return Err(GenesisError::Metric);
    }
    match founding.kind {
        Kind::Open { id_bits } if id_bits > ID_BITS_MAX => Err(GenesisError::IdBits),
        _ => Ok(()),
    }
}

/// Everything before the signature.
fn statement(key: &[u8; 32], founding: &Founding) -> Vec<u8> {
    let Founding { name, metric, kind, redundancy, created } = founding;
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(key);
    put_short(&mut bytes, name.as_bytes());
    bytes.push(u8::from(*metric != AnyMetric::Ring));
    bytes.extend(match kind {
        Kind::Private => [0, 0],
        Kind::Open { id_bits } => [1, *id_bits],
    });
    bytes.extend(redundancy.map_or([0, 0], |redundancy| [redundancy.k(), redundancy.n()]));
    bytes.extend(created.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{NOW, genesis, key, pair};
    use super::*;

    fn founding() -> Founding {
        genesis(1).founding
    }

    #[test]
    fn only_what_a_daemon_can_join_is_founded() {
        let sign = |founding| Genesis::sign(&pair(1), founding).map(|_| ());
        assert_eq!(sign(founding()), Ok(()));
        let named = |name: &str| Founding { name: name.to_owned(), ..founding() };
        for name in ["", "Ours", "a\u{1b}[2J", &"a".repeat(33)] {
            assert_eq!(sign(named(name)), Err(GenesisError::Name), "{name:?}");
        }
        let classic = Founding { metric: AnyMetric::Classic, ..founding() };
        assert_eq!(sign(classic), Err(GenesisError::Metric));
        for (id_bits, result) in [(0, Ok(())), (32, Ok(())), (33, Err(GenesisError::IdBits))] {
            assert_eq!(sign(Founding { kind: Kind::Open { id_bits }, ..founding() }), result);
        }
    }

    #[test]
    fn everything_but_the_signature_makes_another_network() {
        let first = genesis(1);
        let others = [
            Founding { name: "other".to_owned(), ..founding() },
            Founding { metric: AnyMetric::Xor, ..founding() },
            Founding { kind: Kind::Open { id_bits: 0 }, ..founding() },
            Founding { redundancy: Redundancy::new(4, 10).ok(), ..founding() },
            Founding { created: NOW + 1, ..founding() },
        ];
        let others = others.map(|founding| Genesis::sign(&pair(1), founding).expect("sound"));
        for other in others.iter().chain([&genesis(2)]) {
            assert_ne!(other.id(), first.id(), "{other:?}");
            assert_ne!(other.fingerprint(), first.fingerprint(), "{other:?}");
        }
        assert_eq!(first.fingerprint().0, first.id()[..16]);
        let resigned = Genesis { signature: Signature([0; 64]), ..first.clone() };
        assert_eq!(resigned.id(), first.id());
        assert_eq!(Genesis::decode(&resigned.encode()), Err(GenesisError::BadSignature));
    }

    #[test]
    fn the_layout_is_as_documented() {
        let founding = Founding {
            kind: Kind::Open { id_bits: 9 },
            metric: AnyMetric::Xor,
            redundancy: Redundancy::new(4, 10).ok(),
            ..founding()
        };
        let genesis = Genesis::sign(&pair(1), founding).expect("sound");
        let said = [&[1][..], &key(1), b"\x04ours", &[1, 1, 9, 4, 10], &NOW.to_be_bytes()].concat();
        assert_eq!(genesis.encode(), [&said[..], &genesis.signature.0].concat());
        // A private network asks for no work.
        let mut changed = said;
        changed[32 + 1 + 5 + 1] = 0;
        changed.extend([0; 64]);
        assert_eq!(Genesis::parse(&changed), Err(GenesisError::Malformed(Malformed)));
    }

    fn any_founding() -> impl Strategy<Value = Founding> {
        let metric = prop_oneof![Just(AnyMetric::Ring), Just(AnyMetric::Xor)];
        let kind = prop_oneof![Just(Kind::Private), (0..=32_u8).prop_map(|id_bits| Kind::Open { id_bits })];
        let redundancy = (0..=130_u8, 0..=130_u8).prop_map(|(k, n)| Redundancy::new(k, n).ok());
        ("[a-z0-9-]{1,32}", metric, kind, redundancy, any::<u64>()).prop_map(
            |(name, metric, kind, redundancy, created)| Founding { name, metric, kind, redundancy, created },
        )
    }

    proptest! {
        #[test]
        fn a_genesis_comes_back_and_nothing_else_passes_for_it(
            founding in any_founding(), seed: u8, at: prop::sample::Index, bit in 0..8_u32, more: u8,
        ) {
            let genesis = Genesis::sign(&pair(seed), founding).expect("sound");
            let bytes = genesis.encode();
            prop_assert_eq!(Genesis::decode(&bytes), Ok(genesis));
            let at = at.index(bytes.len());
            prop_assert!(Genesis::decode(&bytes[..at]).is_err());
            prop_assert!(Genesis::decode(&[&bytes[..], &[more]].concat()).is_err());
            let mut flipped = bytes;
            flipped[at] ^= 1 << bit;
            prop_assert!(Genesis::decode(&flipped).is_err());
        }

        #[test]
        fn what_parses_encodes_to_the_same_bytes(bytes in prop::collection::vec(0..=2_u8, 116..125)) {
            if let Ok(genesis) = Genesis::parse(&bytes) {
                prop_assert_eq!(genesis.encode(), bytes);
            }
        }
    }
}
