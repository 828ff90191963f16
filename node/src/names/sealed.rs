//! A key under a passphrase, as one word of text: to keep it somewhere else, or to move it to another daemon.
//!
//! ```text
//!  chordkey1  <base32 of  public key, 32 │ salt, 16 │ sealed secret key, 48 │ checksum, 4 >      169 characters
//! ```
//!
//! Sealed with ChaCha20-Poly1305 (RFC 8439) under a key that Argon2id (RFC 9106) makes of passphrase and salt: each
//! guess takes 64 MiB and a good part of a second. The salt is new every time, so that the nonce may be the same. The
//! checksum tells a mistyped text from a wrong passphrase before that effort.

use argon2::{Algorithm, Argon2, Params, Version};
use chordage_api::name::NameKey;
use data_encoding::BASE32_NOPAD;
use libp2p::identity::ed25519;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

const PREFIX: &str = "chordkey1";
const SALT_LEN: usize = 16;
const SEALED_LEN: usize = 32 + 16;
const CHECKSUM_LEN: usize = 4;
/// Memory that one guess takes, KiB, and how often it goes through it.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// Shortest passphrase, characters. A shorter one is guessed, however long a guess takes.
pub(crate) const PASSPHRASE_MIN: usize = 10;
/// Longest passphrase, bytes.
const PASSPHRASE_MAX: usize = 1024;

/// Why a text cannot be opened, or a key not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealedKeyError {
    #[error("a passphrase has at least {PASSPHRASE_MIN} characters, and at most {PASSPHRASE_MAX} bytes")]
    Passphrase,
    #[error("this is not an exported key: it begins with {PREFIX} and has 169 characters")]
    NotAKey,
    #[error("this exported key is mistyped or truncated: its checksum does not match")]
    Checksum,
    #[error("the passphrase is not that of this key")]
    WrongPassphrase,
    #[error("the system gives no randomness")]
    NoRandomness,
    #[error("there is not enough memory to make a key of the passphrase")]
    NoMemory,
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let [a, b, c, d, ..] = blake3::derive_key("chordage 2026 exported key checksum", bytes);
    [a, b, c, d]
}

fn cipher(passphrase: &str, salt: &[u8]) -> Result<LessSafeKey, SealedKeyError> {
    if passphrase.chars().count() < PASSPHRASE_MIN || passphrase.len() > PASSPHRASE_MAX {
        return Err(SealedKeyError::Passphrase);
    }
    let mut key = [0; 32];
    let no_memory = |_| SealedKeyError::NoMemory;
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(key.len())).map_err(no_memory)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(passphrase.as_bytes(), salt, &mut key).map_err(no_memory)?;
    // The key has the length that the algorithm wants.
    let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| SealedKeyError::NoMemory)?;
    Ok(LessSafeKey::new(key))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// Seals a key. Takes a good part of a second, and 64 MiB.
pub(crate) fn seal(pair: &ed25519::Keypair, passphrase: &str) -> Result<String, SealedKeyError> {
    let mut salt = [0; SALT_LEN];
    getrandom::fill(&mut salt).map_err(|_| SealedKeyError::NoRandomness)?;
    let public = pair.public().to_bytes();
    let mut sealed = pair.secret().as_ref().to_vec();
    cipher(passphrase, &salt)?
        .seal_in_place_append_tag(nonce(), Aad::from(&public), &mut sealed)
        .map_err(|_| SealedKeyError::NoMemory)?;
    let mut bytes = [&public[..], &salt, &sealed].concat();
    bytes.extend(checksum(&bytes));
    Ok(format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()))
}

/// Opens what [`seal`] has made. Takes as long.
pub(crate) fn open(text: &str, passphrase: &str) -> Result<ed25519::Keypair, SealedKeyError> {
    let text = text.trim().to_ascii_lowercase();
    let base32 = text.strip_prefix(PREFIX).ok_or(SealedKeyError::NotAKey)?;
    let bytes =
        BASE32_NOPAD.decode(base32.to_ascii_uppercase().as_bytes()).map_err(|_| SealedKeyError::Checksum)?;
    let (payload, told) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(SealedKeyError::NotAKey)?;
    if *told != checksum(payload) {
        return Err(SealedKeyError::Checksum);
    }
    let (public, rest) = payload.split_first_chunk::<32>().ok_or(SealedKeyError::NotAKey)?;
    let (salt, sealed) = rest.split_first_chunk::<SALT_LEN>().ok_or(SealedKeyError::NotAKey)?;
    if sealed.len() != SEALED_LEN {
        return Err(SealedKeyError::NotAKey);
    }
    let mut sealed = sealed.to_vec();
    let wrong = |_| SealedKeyError::WrongPassphrase;
    let secret =
        cipher(passphrase, salt)?.open_in_place(nonce(), Aad::from(public), &mut sealed).map_err(wrong)?;
    let secret = ed25519::SecretKey::try_from_bytes(secret).map_err(|_| SealedKeyError::NotAKey)?;
    let pair = ed25519::Keypair::from(secret);
    // Whoever has sealed it wrote which key it is; it could be another.
    if NameKey(pair.public().to_bytes()) == NameKey(*public) {
        Ok(pair)
    } else {
        Err(SealedKeyError::NotAKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_with_its_passphrase_and_with_no_other() {
        let pair = ed25519::Keypair::generate();
        let text = seal(&pair, "correct horse battery").expect("long enough");
        assert_eq!(text.len(), 169);
        let opened = open(&format!(" {}\n", text.to_uppercase()), "correct horse battery").expect("the same");
        assert_eq!(opened.secret().as_ref(), pair.secret().as_ref());
        assert_eq!(open(&text, "correct horse batterx").err(), Some(SealedKeyError::WrongPassphrase));
        assert_eq!(open(&text, "short").err(), Some(SealedKeyError::Passphrase));
        assert_eq!(seal(&pair, "short").err(), Some(SealedKeyError::Passphrase));
        let another = seal(&pair, "correct horse battery").expect("long enough");
        assert_ne!(another, text, "the salt is new");
        for (wrong, error) in [
            ("chord1r", SealedKeyError::NotAKey),
            (PREFIX, SealedKeyError::NotAKey),
            (&text[..168], SealedKeyError::Checksum),
            (&text.replacen("chordkey1", "chordkey1a", 1), SealedKeyError::Checksum),
        ] {
            assert_eq!(open(wrong, "correct horse battery").err(), Some(error), "{wrong}");
        }
    }
}
