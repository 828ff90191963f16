//! Links: the capability to read an object, or only to look after it, as one word of text.
//!
//! ```text
//!  chord1r  <base32 of  chunk id, 32 │ key, 32 │ checksum, 4 >     116 characters
//!  chord1v  <base32 of  chunk id, 32 │ checksum, 4           >      65 characters
//! ```
//!
//! Lower-case RFC 4648 base32 without padding: a double click selects all of it, no shell or URL needs quoting,
//! and 0, 1, 8 and 9 never occur, so that a mistyped one shows at its place. `1` is the version, `r` and `v` the
//! kind. The checksum is a hash of everything before it.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;

use crate::ids::{ChunkId, ChunkKey};

const NAME: &str = "chord";
const VERSION: char = '1';
const CHECKSUM_LEN: usize = 4;
/// Characters before the base32: name, version, kind.
const PREFIX_LEN: usize = NAME.len() + 2;

/// A capability for one object. Its `Display` is the text to give to others; for a read link that text is
/// everything needed to read the object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Find and read it.
    Read {
        /// Address of the object's root chunk.
        id: ChunkId,
        /// What opens it.
        key: ChunkKey,
    },
    /// Find, check and repair it, but not read it.
    Verify {
        /// Address of the object's root chunk.
        id: ChunkId,
    },
}

/// Why a text is not a link, in words for whoever pasted it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It does not begin like one.
    #[error("this is not a link: links begin with chord1r or chord1v")]
    NotALink,
    /// A link of a version or kind that this program does not know.
    #[error("this link is of kind {0:?}, which needs a newer version of chordage")]
    UnsupportedVersion(String),
    /// Truncated, or two links pasted together.
    #[error(
        "this link has {found} characters instead of {expected}: {}",
        if found < expected { "its end is missing" } else { "something is stuck to its end" }
    )]
    WrongLength {
        /// Characters that a link of this kind has.
        expected: usize,
        /// Characters given.
        found: usize,
    },
    /// A character that no link contains.
    #[error("character {position} of this link is {found:?}, which no link contains")]
    BadCharacter {
        /// Counted from 1.
        position: usize,
        /// What stands there.
        found: char,
    },
    /// All characters are possible but together they are not what somebody copied.
    #[error("this link is mistyped: its checksum does not match")]
    ChecksumMismatch,
}

impl Link {
    /// Address of the object's root chunk.
    pub const fn id(&self) -> ChunkId {
        match self {
            Self::Read { id, .. } | Self::Verify { id } => *id,
        }
    }

    /// The weaker capability: the same object, without the key.
    pub const fn to_verify(&self) -> Self {
        Self::Verify { id: self.id() }
    }

    const fn kind(&self) -> char {
        match self {
            Self::Read { .. } => 'r',
            Self::Verify { .. } => 'v',
        }
    }
}

fn checksum(kind: char, payload: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut hasher = blake3::Hasher::new_derive_key("chordage v1 link checksum");
    hasher.update(&[kind as u8]);
    hasher.update(payload);
    let mut out = [0u8; CHECKSUM_LEN];
    hasher.finalize_xof().fill(&mut out);
    out
}

/// Characters that so many bytes of payload make, with prefix and checksum.
const fn text_len(payload_len: usize) -> usize {
    PREFIX_LEN + ((payload_len + CHECKSUM_LEN) * 8).div_ceil(5)
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut payload = Vec::with_capacity(64 + CHECKSUM_LEN);
        payload.extend(self.id().0);
        if let Self::Read { key, .. } = self {
            payload.extend(key.0);
        }
        payload.extend(checksum(self.kind(), &payload));
        let text = BASE32_NOPAD.encode(&payload).to_ascii_lowercase();
        write!(f, "{NAME}{VERSION}{}{text}", self.kind())
    }
}

impl fmt::Debug for Link {
    /// Never prints the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { id, .. } => write!(f, "Link::Read({id:?}, ..)"),
            Self::Verify { id } => write!(f, "Link::Verify({id:?})"),
        }
    }
}

impl FromStr for Link {
    type Err = LinkError;

    /// Reads a link, in either case, with or without white space around it.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let mut rest = lower.strip_prefix(NAME).ok_or(LinkError::NotALink)?.chars();
        let (version, kind) = match (rest.next(), rest.next()) {
            (Some(version), Some(kind)) => (version, kind),
            _ => return Err(LinkError::NotALink),
        };
        if !version.is_ascii_digit() {
            return Err(LinkError::NotALink);
        }
        let payload_len = match (version, kind) {
            (VERSION, 'r') => 64,
            (VERSION, 'v') => 32,
            _ => return Err(LinkError::UnsupportedVersion(format!("{version}{kind}"))),
        };
        let body = rest.as_str();
        for (i, found) in body.chars().enumerate() {
            if !matches!(found, 'a'..='z' | '2'..='7') {
                let position = PREFIX_LEN + i + 1;
                return Err(LinkError::BadCharacter { position, found });
            }
        }
        // All of it is ASCII by now, so that bytes are characters.
        let (expected, found) = (text_len(payload_len), lower.len());
        if found != expected {
            return Err(LinkError::WrongLength { expected, found });
        }
        // The only thing left to fail is a last character with bits that stand for nothing.
        let bytes = BASE32_NOPAD
            .decode(body.to_ascii_uppercase().as_bytes())
            .map_err(|_| LinkError::ChecksumMismatch)?;
        let (payload, found) = bytes.split_at(payload_len);
        if found != checksum(kind, payload) {
            return Err(LinkError::ChecksumMismatch);
        }
        let (id, key) = payload.split_first_chunk::<32>().ok_or(LinkError::ChecksumMismatch)?;
        Ok(match key.first_chunk::<32>() {
            Some(key) => Self::Read { id: ChunkId(*id), key: ChunkKey(*key) },
            None => Self::Verify { id: ChunkId(*id) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> Link {
        Link::Read { id: ChunkId([1; 32]), key: ChunkKey([2; 32]) }
    }

    #[test]
    fn a_link_is_one_word_and_reads_back() {
        for link in [read(), read().to_verify()] {
            let text = link.to_string();
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric()), "{text}");
            assert_eq!(text.parse(), Ok(link));
            assert_eq!(format!("  {}\n", text.to_uppercase()).parse(), Ok(link));
        }
        assert_eq!(read().to_string().len(), 116);
        assert_eq!(read().to_verify().to_string().len(), 65);
        assert_eq!(format!("{:?}", read()), "Link::Read(ChunkId(0101010101010101), ..)");
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let text = read().to_string();
        let parse = |text: &str| text.parse::<Link>().unwrap_err();
        assert_eq!(parse(""), LinkError::NotALink);
        assert_eq!(parse("chord"), LinkError::NotALink);
        assert_eq!(parse("https://example.org"), LinkError::NotALink);
        assert_eq!(parse("chordata"), LinkError::NotALink);
        assert_eq!(parse("chord2rabc"), LinkError::UnsupportedVersion("2r".into()));
        assert_eq!(parse("chord1xabc"), LinkError::UnsupportedVersion("1x".into()));
        assert_eq!(parse(&text[..100]), LinkError::WrongLength { expected: 116, found: 100 });
        assert_eq!(parse(&format!("{text}a")), LinkError::WrongLength { expected: 116, found: 117 });
        let bad = format!("{}0{}", &text[..20], &text[21..]);
        assert_eq!(parse(&bad), LinkError::BadCharacter { position: 21, found: '0' });
        let bad = format!("{}é{}", &text[..20], &text[21..]);
        assert_eq!(parse(&bad), LinkError::BadCharacter { position: 21, found: 'é' });
        assert!(parse(&text[..100]).to_string().contains("its end is missing"));
    }

    #[test]
    fn any_changed_character_is_noticed() {
        let text = read().to_string();
        for position in PREFIX_LEN..text.len() {
            for replacement in "abcdefghijklmnopqrstuvwxyz234567".chars() {
                let mut changed = text.clone();
                changed.replace_range(position..=position, &replacement.to_string());
                if changed != text {
                    assert_eq!(changed.parse::<Link>(), Err(LinkError::ChecksumMismatch), "{changed}");
                }
            }
        }
        // Making a verify link look like a read link, and the reverse.
        assert!(text.replacen("1r", "1v", 1).parse::<Link>().is_err());
    }
}
