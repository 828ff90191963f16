//! The recovery phrase: twelve words from which everything of a person comes back.
//!
//! The words are those of BIP 39 (English): 128 random bits and a checksum of 4. They are always generated; what
//! somebody makes up would be guessed by whoever holds a piece of what it opens.

use std::fmt;
use std::str::FromStr;

use bip39::{Language, Mnemonic};

/// Words of a phrase.
pub const WORDS: usize = 12;
/// Bytes of randomness in a phrase.
pub const ENTROPY_LEN: usize = 16;

/// See the module's description. It is a secret: `{:?}` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryPhrase(Mnemonic);

/// Why a text is not a recovery phrase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Words are missing, or there are too many.
    #[error("a recovery phrase has {WORDS} words, not {0}")]
    WrongCount(usize),
    /// No phrase has this word.
    #[error("word {place}, `{word}`, is in no recovery phrase")]
    UnknownWord {
        /// From 1.
        place: usize,
        /// What stands there.
        word: String,
    },
    /// All words could be right, but not together.
    #[error("these words do not belong together: one is wrong, or their order is")]
    Checksum,
}

impl RecoveryPhrase {
    /// The phrase of these random bytes.
    #[must_use]
    pub fn of(entropy: &[u8; ENTROPY_LEN]) -> Option<Self> {
        Mnemonic::from_entropy(entropy).ok().map(Self)
    }

    /// The random bytes that it stands for.
    #[must_use]
    pub fn entropy(&self) -> [u8; ENTROPY_LEN] {
        let (bytes, _) = self.0.to_entropy_array();
        let mut entropy = [0; ENTROPY_LEN];
        for (byte, from) in entropy.iter_mut().zip(bytes) {
            *byte = from;
        }
        entropy
    }
}

impl fmt::Display for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(..)")
    }
}

impl FromStr for RecoveryPhrase {
    type Err = PhraseError;

    /// Upper and lower case, line ends and more than one blank between words make no difference.
    fn from_str(text: &str) -> Result<Self, PhraseError> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).take(WORDS + 1).collect();
        if words.len() != WORDS {
            return Err(PhraseError::WrongCount(text.split_whitespace().count()));
        }
        match Mnemonic::parse_in_normalized(Language::English, &words.join(" ")) {
            Ok(mnemonic) => Ok(Self(mnemonic)),
            Err(bip39::Error::UnknownWord(index)) => {
                let word = words.get(index).cloned().unwrap_or_default();
                Err(PhraseError::UnknownWord { place: index + 1, word })
            }
            Err(_) => Err(PhraseError::Checksum),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_read_however_it_is_typed() {
        let phrase = RecoveryPhrase::of(&[7; 16]).unwrap();
        let text = phrase.to_string();
        assert_eq!(text.split(' ').count(), WORDS);
        let typed = format!("  {}\n", text.to_uppercase().replace(' ', " \n\t"));
        let read: RecoveryPhrase = typed.parse().unwrap();
        assert_eq!(read.entropy(), [7; 16]);
        assert_eq!(format!("{read:?}"), "RecoveryPhrase(..)");
    }

    #[test]
    fn what_is_wrong_with_a_phrase_is_said() {
        let text = RecoveryPhrase::of(&[7; 16]).unwrap().to_string();
        let parse = |text: &str| text.parse::<RecoveryPhrase>().unwrap_err();
        assert_eq!(parse(""), PhraseError::WrongCount(0));
        assert_eq!(parse(&format!("{text} zoo")), PhraseError::WrongCount(13));
        let mut words: Vec<&str> = text.split(' ').collect();
        words[3] = "chordage";
        let unknown = PhraseError::UnknownWord { place: 4, word: "chordage".to_owned() };
        assert_eq!(parse(&words.join(" ")), unknown);
        assert_eq!(parse(&["abandon"; 12].join(" ")), PhraseError::Checksum);
    }
}
