//! The head of a volume: a signed record that says, to those who may read, where its map begins.
//!
//! ```text
//!  version 1 │ nonce, 12 │ sealed: reference of the root, 70 │ level │ number of keys, u64 LE
//! ```
//! Sealed with ChaCha20-Poly1305 (RFC 8439) under a key that comes from the volume's read key; the nonce is random.

use std::sync::Arc;

use chordage_dht::{Held, Record, Signature, Statement};
use chordage_storage::volume::MapRoot;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::VolumesError;
use super::keys::VolumeKeys;
use crate::clock::wall_clock;
use crate::network::NetworkFingerprint;

const VERSION: u8 = 1;
const NONCE_LEN: usize = 12;
/// A head holds for three years, so that whoever has lost a machine finds what it kept long after; and every change
/// makes a new one.
pub(super) const VALID_SECONDS: u64 = 3 * 365 * 24 * 3600;
/// For how many seconds caches may use it.
const TTL_SECONDS: u32 = 5;

fn cipher(keys: &VolumeKeys) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &keys.head_key()).ok()?))
}

/// The root that a head names; `None` if it makes no sense, or is of a newer version.
pub(super) fn open(keys: &VolumeKeys, held: &Held) -> Option<MapRoot> {
    let (version, rest) = held.record.statement().value.split_first()?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
    if *version != VERSION {
        return None;
    }
    let mut sealed = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let plain = cipher(keys)?.open_in_place(nonce, Aad::from(keys.id().0), &mut sealed).ok()?;
    MapRoot::decode(plain)
}

/// The head after `current` that names `root`.
pub(super) fn next(
    keys: &VolumeKeys,
    network: NetworkFingerprint,
    current: Option<&Held>,
    seen: u64,
    root: &MapRoot,
) -> Result<Arc<Record>, VolumesError> {
    let pair = keys.pair().ok_or(VolumesError::ReadOnly)?;
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|_| VolumesError::NoRandomness)?;
    let mut sealed = root.encode().to_vec();
    cipher(keys)
        .and_then(|cipher| {
            let nonce = Nonce::assume_unique_for_key(nonce);
            cipher.seal_in_place_append_tag(nonce, Aad::from(keys.id().0), &mut sealed).ok()
        })
        .ok_or(VolumesError::NoRandomness)?;
    let statement = Statement {
        name: keys.head_record(),
        seq: current.map_or(0, |held| held.record.seq()).max(seen) + 1,
        valid_until: wall_clock().0 / 1000 + VALID_SECONDS,
        ttl: TTL_SECONDS,
        previous: current.map(|held| held.record.hash()),
        value: [&[VERSION][..], &nonce, &sealed].concat(),
    };
    let mut signature = [0; 64];
    let signed = pair.sign(&statement.signed_bytes(&network.0));
    signature.copy_from_slice(signed.get(..64).unwrap_or(&[0; 64]));
    let record = statement.signed(Signature(signature)).map_err(|_| VolumesError::NotUnderstood)?;
    Ok(Arc::new(record))
}

#[cfg(test)]
mod tests;
