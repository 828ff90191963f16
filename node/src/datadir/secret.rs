//! Secrets of 32 bytes in files of their own, each with a checksum behind it.
//!
//! Any 32 bytes are a key. Without the checksum, a daemon whose disk flipped a bit would start as somebody else.

use std::io;

use super::{DataDir, DataDirError};

/// Bytes of a secret. A file of an earlier version has nothing else.
pub(super) const SECRET_LEN: usize = 32;
/// Bytes of the checksum: enough for what disks do, and it protects from nobody.
pub(super) const CHECKSUM_LEN: usize = 8;

/// A secret, and how it came here.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) bytes: [u8; SECRET_LEN],
    /// There was no file, so that the secret is a new one.
    pub(crate) is_new: bool,
}

impl DataDir {
    /// Reads a secret, or makes it from the system's randomness if there is none. A file without a checksum gets one.
    pub(crate) fn secret(&self, name: &str) -> Result<Secret, DataDirError> {
        let Some(found) = self.read(name)? else {
            let mut bytes = [0; SECRET_LEN];
            getrandom::fill(&mut bytes).map_err(|error| DataDirError::Io {
                path: self.join(name),
                source: io::Error::other(error.to_string()),
            })?;
            self.write(name, &encode(name, &bytes))?;
            return Ok(Secret { bytes, is_new: true });
        };
        let damaged = |problem| DataDirError::Damaged { path: self.join(name), problem };
        let (bytes, rest) = found.split_first_chunk().ok_or_else(|| damaged(LENGTH))?;
        match rest.len() {
            0 => {
                // A disk too full for it must not keep the daemon from starting: the next start tries again.
                if let Err(error) = self.write(name, &encode(name, bytes)) {
                    tracing::warn!(%error, "cannot give a secret of an earlier version its checksum");
                }
            }
            CHECKSUM_LEN if rest != checksum(name, bytes) => return Err(damaged(MISMATCH)),
            CHECKSUM_LEN => {}
            _ => return Err(damaged(LENGTH)),
        }
        Ok(Secret { bytes: *bytes, is_new: false })
    }

    /// Replaces a secret, or makes it this one.
    pub(crate) fn set_secret(&self, name: &str, bytes: &[u8; SECRET_LEN]) -> Result<(), DataDirError> {
        self.write(name, &encode(name, bytes))
    }
}

const LENGTH: &str = "it has neither 32 bytes nor 40";
const MISMATCH: &str = "its bytes do not match the checksum behind them";

fn encode(name: &str, secret: &[u8; SECRET_LEN]) -> Vec<u8> {
    [&secret[..], &checksum(name, secret)].concat()
}

/// The name is in it, so that one file does not pass for the other.
fn checksum(name: &str, secret: &[u8; SECRET_LEN]) -> [u8; CHECKSUM_LEN] {
    let mut hasher = blake3::Hasher::new_derive_key("chordage v1 secret file");
    hasher.update(secret).update(name.as_bytes());
    let mut sum = [0; CHECKSUM_LEN];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn data() -> (tempfile::TempDir, DataDir) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = DataDir::open(dir.path()).expect("new");
        (dir, data)
    }

    #[test]
    fn a_secret_stays_the_same_and_is_new_once() {
        let (_dir, data) = data();
        let first = data.secret("secret").expect("made");
        let again = data.secret("secret").expect("read");
        assert_eq!(again.bytes, first.bytes);
        assert_eq!((first.is_new, again.is_new), (true, false));
    }

    #[test]
    fn a_secret_that_was_set_is_the_one_that_is_read() {
        let (_dir, data) = data();
        for bytes in [[3; SECRET_LEN], [4; SECRET_LEN]] {
            data.set_secret("key", &bytes).expect("writable");
            let read = data.secret("key").expect("read");
            assert_eq!((read.bytes, read.is_new), (bytes, false));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_damage_and_changes_nothing() {
        let (_dir, data) = data();
        data.secret("secret").expect("made");
        let good = fs::read(data.join("secret")).expect("there");
        let flipped = (0..good.len() * 8).map(|bit| {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        let cut = (0..good.len()).filter(|len| *len != SECRET_LEN).map(|len| good[..len].to_vec());
        let longer = [good.clone(), vec![0]].concat();
        for bytes in flipped.chain(cut).chain([longer]) {
            fs::write(data.join("secret"), &bytes).expect("writable");
            assert!(matches!(data.secret("secret"), Err(DataDirError::Damaged { .. })), "{bytes:?}");
            assert_eq!(fs::read(data.join("secret")).expect("there"), bytes);
        }
    }

    #[test]
    fn one_secret_does_not_pass_for_another() {
        let (_dir, data) = data();
        data.secret("secret").expect("made");
        fs::copy(data.join("secret"), data.join("key")).expect("writable");
        assert!(matches!(data.secret("key"), Err(DataDirError::Damaged { .. })));
    }

    #[test]
    fn a_secret_of_an_earlier_version_is_taken_and_gets_its_checksum() {
        let (_dir, data) = data();
        fs::write(data.join("key"), [7; SECRET_LEN]).expect("writable");
        let taken = data.secret("key").expect("read");
        assert_eq!((taken.bytes, taken.is_new), ([7; SECRET_LEN], false));
        assert_eq!(fs::read(data.join("key")).expect("there").len(), SECRET_LEN + CHECKSUM_LEN);
        assert_eq!(data.secret("key").expect("read again").bytes, [7; SECRET_LEN]);
    }
}
