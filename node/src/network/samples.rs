//! What tests of this room begin with.

use chordage_dht::AnyMetric;
use libp2p::identity::ed25519;

use super::certificate::{Certificate, Issuer, Rights, Role};
use super::genesis::{Founding, Genesis, Kind};

/// A moment, seconds since 1970.
pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const DAY: u64 = 24 * 3600;
pub(super) const MEMBER: Rights = Rights { role: Role::Member, delegate: false };
pub(super) const CLIENT: Rights = Rights { role: Role::Client, delegate: false };
pub(super) const DELEGATE: Rights = Rights { role: Role::Member, delegate: true };

/// A key pair, the same for the same seed.
pub(super) fn pair(seed: u8) -> ed25519::Keypair {
    ed25519::SecretKey::try_from_bytes([seed; 32]).expect("32 bytes").into()
}

/// The public key of [`pair`].
pub(super) fn key(seed: u8) -> [u8; 32] {
    pair(seed).public().to_bytes()
}

/// A private network that the pair of this seed has founded.
pub(super) fn genesis(seed: u8) -> Genesis {
    founded(seed, Kind::Private)
}

/// An open one that asks for this much work.
pub(super) fn open_genesis(seed: u8, id_bits: u8) -> Genesis {
    founded(seed, Kind::Open { id_bits })
}

fn founded(seed: u8, kind: Kind) -> Genesis {
    let metric = AnyMetric::Ring;
    let founding = Founding { name: "ours".to_owned(), metric, kind, redundancy: None, created: NOW };
    Genesis::sign(&pair(seed), founding).expect("sound")
}

/// Who signs for [`genesis`] with the network key itself.
pub(super) fn founder<'a>(genesis: &Genesis, pair: &'a ed25519::Keypair) -> Issuer<'a> {
    Issuer { network: genesis.fingerprint(), pair, proof: None }
}

/// What the founder of [`genesis`] says of a key.
pub(super) fn delegate(network: u8, subject: u8, rights: Rights) -> Certificate {
    let (genesis, pair) = (genesis(network), pair(network));
    let chain = founder(&genesis, &pair).issue(&key(subject), rights, (NOW, u64::MAX), 7);
    chain.expect("a network key").certificate().clone()
}
