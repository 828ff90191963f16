//! Names of services and topics. They are open: nobody owns one, anybody may register or publish under it.

use std::fmt;
use std::str::FromStr;

/// Longest name of a service or topic, bytes.
pub const OPEN_NAME_BYTES_MAX: usize = 200;

/// The name of a service or a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpenName(String);

/// Why a text is not the name of a service or topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenNameError {
    /// It is empty or too long.
    #[error("the name of a service or topic has 1 to {OPEN_NAME_BYTES_MAX} bytes, not {0}")]
    Length(usize),
    /// It has a character that none has.
    #[error(
        "the name of a service or topic has only the characters a-z 0-9 - _ . /, and {0:?} is none of them"
    )]
    Character(char),
}

impl OpenName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OpenName {
    type Err = OpenNameError;

    fn from_str(text: &str) -> Result<Self, OpenNameError> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_./".contains(c);
        if text.is_empty() || text.len() > OPEN_NAME_BYTES_MAX {
            return Err(OpenNameError::Length(text.len()));
        }
        match text.chars().find(|c| !is_allowed(*c)) {
            Some(character) => Err(OpenNameError::Character(character)),
            None => Ok(OpenName(text.to_owned())),
        }
    }
}

impl fmt::Display for OpenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_few_characters_and_a_length() {
        for text in ["a", "web/db.v2_x-1", "..", &"x".repeat(OPEN_NAME_BYTES_MAX)] {
            assert_eq!(text.parse::<OpenName>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("".parse::<OpenName>(), Err(OpenNameError::Length(0)));
        let long = "x".repeat(OPEN_NAME_BYTES_MAX + 1);
        assert_eq!(long.parse::<OpenName>(), Err(OpenNameError::Length(OPEN_NAME_BYTES_MAX + 1)));
        for (text, character) in [("Web", 'W'), ("a b", ' '), ("caf\u{e9}", '\u{e9}'), ("a\n", '\n')] {
            assert_eq!(text.parse::<OpenName>(), Err(OpenNameError::Character(character)));
        }
    }
}
