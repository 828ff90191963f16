//! What opens a volume, as one word of text.
//!
//! ```text
//!  chordvol1w  <base32 of  secret, 32 │ checksum, 3 >                          reads and writes    66 characters
//!  chordvol1r  <base32 of  public key, 32 │ read key, 32 │ checksum, 6 >       reads              122 characters
//! ```
//!
//! Lower-case RFC 4648 base32 without padding, as in links. The read key, and the pair of keys whose public half is the
//! volume's name, come from the secret; the secret does not come from them.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;

const PREFIX: &str = "chordvol1";
const WRITE_CHECKSUM: usize = 3;
const READ_CHECKSUM: usize = 6;
/// Longest petname of a volume, bytes.
pub const PETNAME_MAX: usize = 63;

/// What opens a volume.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Reads and writes.
    Write {
        /// From which all keys of the volume come.
        secret: [u8; 32],
    },
    /// Reads.
    Read {
        /// The volume's name.
        volume: [u8; 32],
        /// Opens what the volume says about itself.
        read_key: [u8; 32],
    },
}

/// Why a text does not open a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// It begins otherwise.
    #[error("this does not open a volume: what does begins with {PREFIX}w or {PREFIX}r")]
    NotACapability,
    /// A newer version, or another kind.
    #[error("this opens a volume of a kind that this program does not know")]
    UnknownKind,
    /// Something is missing, or too much.
    #[error("a text that opens a volume has {expected} characters here, not {found}")]
    WrongLength {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A character that does not belong there, or a wrong one.
    #[error("this text is mistyped or truncated: its checksum does not match")]
    Checksum,
}

impl Capability {
    fn parts(&self) -> (char, Vec<u8>, usize) {
        match self {
            Capability::Write { secret } => ('w', secret.to_vec(), WRITE_CHECKSUM),
            Capability::Read { volume, read_key } => ('r', [*volume, *read_key].concat(), READ_CHECKSUM),
        }
    }
}

fn checksum(kind: char, payload: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("chordage 2026 volume capability checksum");
    *hasher.update(&[kind as u8]).update(payload).finalize().as_bytes()
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, mut payload, len) = self.parts();
        let sum = checksum(kind, &payload);
        payload.extend_from_slice(&sum[..len]);
        write!(f, "{PREFIX}{kind}{}", BASE32_NOPAD.encode(&payload).to_ascii_lowercase())
    }
}

impl fmt::Debug for Capability {
    /// Never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Capability::Write { .. } => "Capability::Write(..)",
            Capability::Read { .. } => "Capability::Read(..)",
        })
    }
}

impl FromStr for Capability {
    type Err = CapabilityError;

    fn from_str(text: &str) -> Result<Self, CapabilityError> {
        let text = text.trim().to_ascii_lowercase();
        let rest = text.strip_prefix(PREFIX).ok_or(CapabilityError::NotACapability)?;
        let mut chars = rest.chars();
        let kind = chars.next().ok_or(CapabilityError::NotACapability)?;
        let (payload_len, sum_len) = match kind {
            'w' => (32, WRITE_CHECKSUM),
            'r' => (64, READ_CHECKSUM),
            _ => return Err(CapabilityError::UnknownKind),
        };
        let (base32, expected) = (chars.as_str(), (payload_len + sum_len) * 8 / 5);
        if base32.len() != expected {
            let before = PREFIX.len() + 1;
            return Err(CapabilityError::WrongLength { expected: before + expected, found: text.len() });
        }
        let bytes = BASE32_NOPAD.decode(base32.to_ascii_uppercase().as_bytes());
        let bytes = bytes.map_err(|_| CapabilityError::Checksum)?;
        let (payload, told) = bytes.split_at_checked(payload_len).ok_or(CapabilityError::Checksum)?;
        if checksum(kind, payload).get(..sum_len) != Some(told) {
            return Err(CapabilityError::Checksum);
        }
        let (first, second) = payload.split_first_chunk::<32>().ok_or(CapabilityError::Checksum)?;
        match second.first_chunk::<32>() {
            Some(read_key) => Ok(Capability::Read { volume: *first, read_key: *read_key }),
            None => Ok(Capability::Write { secret: *first }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn texts_open_what_they_were_made_of_and_mistakes_are_noticed() {
        let write = Capability::Write { secret: [3; 32] };
        let read = Capability::Read { volume: [1; 32], read_key: [2; 32] };
        for (capability, len) in [(write, 66), (read, 122)] {
            let text = capability.to_string();
            assert_eq!(text.len(), len);
            assert_eq!(format!(" {}\n", text.to_uppercase()).parse(), Ok(capability));
            for position in PREFIX.len()..text.len() {
                let mut changed = text.clone();
                let other = if &text[position..=position] == "a" { "b" } else { "a" };
                changed.replace_range(position..=position, other);
                assert!(changed.parse::<Capability>().is_err(), "{changed}");
            }
            let found = len - 1;
            assert_eq!(
                text[..found].parse::<Capability>(),
                Err(CapabilityError::WrongLength { expected: len, found })
            );
        }
        assert_eq!("chord1r".parse::<Capability>(), Err(CapabilityError::NotACapability));
        assert_eq!("chordvol1".parse::<Capability>(), Err(CapabilityError::NotACapability));
        assert_eq!("chordvol1x".parse::<Capability>(), Err(CapabilityError::UnknownKind));
        assert_eq!(format!("{write:?}"), "Capability::Write(..)");
    }
}
