//! Sealing: one chunk, one key, one nonce.
//!
//! ```text
//!  byte 0    1        2             3           7                     end - 16
//!       ┌─────────┬────────┬─────────────┬───────────┬─────────────────┬─────────┐
//!       │ version │ cipher │ compression │ plain_len │ body            │ tag, 16 │
//!       │    1    │ 1 or 2 │   0 or 1    │  u32 LE   │                 │         │
//!       └─────────┴────────┴─────────────┴───────────┴─────────────────┴─────────┘
//!        authenticated      └────────── encrypted ──────────────────┘
//! ```
//!
//! **Why a fixed nonce is safe here.** AES-GCM and ChaCha20-Poly1305 break when one key encrypts two different
//! messages under one nonce. The nonce here is always zero, so a key must never meet two messages. The key is
//! therefore a hash, keyed with the convergence secret, *of the very message that is encrypted*: cipher,
//! compression, length and body as compressed. Two messages under one key would be a collision of BLAKE3. The
//! body *after* compression is what counts: a later zstd may compress the same plaintext to other bytes, and a
//! key made from the plaintext would then seal both. (Only a stored body may instead be named by the hashes of
//! its pieces, which commit to it just as well and were computed already.)

use ring::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::compress::Method;
use crate::ids::ChunkKey;
use crate::secret::ConvergenceSecret;

const VERSION: u8 = 1;
/// Version and cipher, in the clear but authenticated.
const CLEAR_LEN: usize = 2;
/// Compression and length of the plaintext, encrypted with the body.
const INNER_LEN: usize = 5;
const TAG_LEN: usize = 16;
/// Where the body begins.
pub(crate) const BODY_START: usize = CLEAR_LEN + INNER_LEN;
/// What sealing adds to a body.
pub(crate) const SEAL_OVERHEAD: usize = BODY_START + TAG_LEN;
/// The longest plaintext of a chunk. Packs close well before.
pub const MAX_CHUNK_LEN: usize = 4 << 20;
/// The longest sealed chunk.
pub(crate) const MAX_SEALED_LEN: usize = MAX_CHUNK_LEN + SEAL_OVERHEAD;

/// The cipher that seals a chunk. Both use 256-bit keys and 128-bit tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Cipher {
    /// AES-256-GCM: 5.4 GB/s where the CPU has AES instructions.
    #[default]
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439): 1.9 GB/s, and the faster one where the CPU has none.
    ChaCha20Poly1305,
}

impl Cipher {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    fn key(self, key: &ChunkKey) -> LessSafeKey {
        let algorithm = match self {
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        };
        LessSafeKey::new(UnboundKey::new(algorithm, &key.0).expect("both ciphers have keys of 32 bytes"))
    }
}

/// Why a sealed chunk could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenError {
    Version(u8),
    Cipher(u8),
    /// Wrong key, or not what was sealed.
    Authentication,
}

/// Derives the key of a chunk from what will be sealed. `digest` may replace the body if it commits to it.
pub(crate) fn derive_key(
    secret: &ConvergenceSecret,
    cipher: Cipher,
    method: Method,
    plain_len: u32,
    body: &[u8],
    digest: Option<&[u8; 32]>,
) -> ChunkKey {
    let mut hasher = secret.seal_hasher();
    hasher.update(&[VERSION, cipher.to_byte(), method.to_byte(), u8::from(digest.is_some())]);
    hasher.update(&plain_len.to_le_bytes());
    match digest {
        Some(digest) => hasher.update(digest),
        None => hasher.update(body),
    };
    ChunkKey(*hasher.finalize().as_bytes())
}

/// Seals in place: `sealed` is [`SEAL_OVERHEAD`] longer than the body, which stands at [`BODY_START`].
pub(crate) fn seal(sealed: &mut [u8], key: &ChunkKey, cipher: Cipher, method: Method, plain_len: u32) {
    let clear = [VERSION, cipher.to_byte()];
    let (message, tag) = sealed.split_at_mut(sealed.len() - TAG_LEN);
    message[..CLEAR_LEN].copy_from_slice(&clear);
    message[CLEAR_LEN] = method.to_byte();
    message[CLEAR_LEN + 1..BODY_START].copy_from_slice(&plain_len.to_le_bytes());
    let computed = cipher
        .key(key)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key([0; NONCE_LEN]),
            Aad::from(clear),
            &mut message[CLEAR_LEN..],
        )
        .expect("a chunk is far shorter than the 64 GiB that either cipher can seal");
    tag.copy_from_slice(computed.as_ref());
}

/// Opens in place. The body then is `sealed[BODY_START..][..len]`; returns how it is stored, the length that it
/// claims for the plaintext, and `len`.
pub(crate) fn open(sealed: &mut [u8], key: &ChunkKey) -> Result<(u8, u32, usize), OpenError> {
    let [version, cipher, ..] = *sealed else { return Err(OpenError::Authentication) };
    if version != VERSION {
        return Err(OpenError::Version(version));
    }
    let cipher = Cipher::from_byte(cipher).ok_or(OpenError::Cipher(cipher))?;
    if sealed.len() < SEAL_OVERHEAD {
        return Err(OpenError::Authentication);
    }
    let clear = [sealed[0], sealed[1]];
    let message = cipher
        .key(key)
        .open_in_place(
            Nonce::assume_unique_for_key([0; NONCE_LEN]),
            Aad::from(clear),
            &mut sealed[CLEAR_LEN..],
        )
        .map_err(|_| OpenError::Authentication)?;
    let [method, a, b, c, d, body @ ..] = message else { return Err(OpenError::Authentication) };
    Ok((*method, u32::from_le_bytes([*a, *b, *c, *d]), body.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(cipher: Cipher, body: &[u8]) -> (Vec<u8>, ChunkKey) {
        let secret = ConvergenceSecret::new([7; 32]);
        let key = derive_key(&secret, cipher, Method::Stored, body.len() as u32, body, None);
        let mut out = vec![0u8; body.len() + SEAL_OVERHEAD];
        out[BODY_START..][..body.len()].copy_from_slice(body);
        seal(&mut out, &key, cipher, Method::Stored, body.len() as u32);
        (out, key)
    }

    #[test]
    fn what_was_sealed_opens_and_any_flipped_bit_does_not() {
        for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
            let body = b"a body";
            let (good, key) = sealed(cipher, body);
            let mut copy = good.clone();
            assert_eq!(open(&mut copy, &key), Ok((0, 6, 6)));
            assert_eq!(&copy[BODY_START..][..6], body);
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(open(&mut bad, &key).is_err(), "bit {bit}");
            }
            for len in 0..good.len() {
                assert!(open(&mut good[..len].to_vec(), &key).is_err());
            }
            assert_eq!(open(&mut good.clone(), &ChunkKey([0; 32])), Err(OpenError::Authentication));
        }
    }

    #[test]
    fn everything_that_is_sealed_changes_the_key() {
        let secret = ConvergenceSecret::new([7; 32]);
        let base = derive_key(&secret, Cipher::Aes256Gcm, Method::Stored, 4, b"body", None);
        let others = [
            derive_key(&ConvergenceSecret::new([8; 32]), Cipher::Aes256Gcm, Method::Stored, 4, b"body", None),
            derive_key(&secret, Cipher::ChaCha20Poly1305, Method::Stored, 4, b"body", None),
            derive_key(&secret, Cipher::Aes256Gcm, Method::Zstd, 4, b"body", None),
            derive_key(&secret, Cipher::Aes256Gcm, Method::Stored, 5, b"body", None),
            derive_key(&secret, Cipher::Aes256Gcm, Method::Stored, 4, b"Body", None),
            derive_key(&secret, Cipher::Aes256Gcm, Method::Stored, 4, b"body", Some(&[0; 32])),
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
