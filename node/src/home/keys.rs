//! From the recovery phrase to the secret of the home volume.

use argon2::{Algorithm, Argon2, Params, Version};
use chordage_api::phrase::RecoveryPhrase;

/// Domain of the hash. There is nothing to salt with: the phrase is all that is left of a lost machine.
const SALT: &[u8] = b"chordage 2026 home volume";
/// Memory that one guess takes, KiB, and how often it goes through it. Other numbers are another home.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// The secret of the volume. Takes a good part of a second, and 64 MiB. A phrase has 128 random bits, which nobody
/// guesses; the effort is for those who lose some of its words to somebody. `None`: there is not enough memory.
pub(super) fn secret_of(phrase: &RecoveryPhrase) -> Option<[u8; 32]> {
    let mut secret = [0; 32];
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(secret.len())).ok()?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(&phrase.entropy(), SALT, &mut secret).ok()?;
    Some(secret)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_opens_the_same_home_in_every_version() {
        let phrase = RecoveryPhrase::of(&[7; 16]).unwrap();
        let secret = chordage_api::hex(&secret_of(&phrase).unwrap());
        assert_eq!(secret, "c9e997c1c2e03c064777b64d33025f733b53a1156cf4ab1c6f28c5e1890d3580");
    }
}
