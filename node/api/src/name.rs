//! Names, as people type them: a key, the petname of one, or a domain that names one, and a path below it.
//!
//! ```text
//!  @  <base32 of  public key, 32 │ checksum, 3 >      57 characters, / and a path where it goes on
//!  petname                                            and the same
//!  dns:example.org                                    and the same
//! ```
//!
//! Lower-case RFC 4648 base32 without padding, as in links. The checksum is a hash of the key, so that a mistyped one
//! is noticed before anybody is asked.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;

const CHECKSUM_LEN: usize = 3;
/// Characters behind the `@`: 35 bytes are 56 of them, without a rest.
const KEY_TEXT_LEN: usize = (32 + CHECKSUM_LEN) * 8 / 5;
/// Longest petname and longest part of a path, bytes: those of a label in DNS.
pub const LABEL_MAX: usize = 63;
/// Longest path, bytes.
pub const PATH_MAX: usize = 255;
/// Longest domain, bytes: what DNS takes, without the label in front of it that says what is asked for.
pub const DOMAIN_MAX: usize = 240;
/// Stands before a domain.
const DOMAIN_PREFIX: &str = "dns:";

/// The public key that a name belongs to; its text begins with `@`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameKey(pub [u8; 32]);

/// To whom a name belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Root {
    /// Whoever has this key.
    Key(NameKey),
    /// Whom this daemon's keyring knows by this petname.
    Petname(String),
    /// Whose key DNS names for this domain.
    Domain(String),
}

/// A name: a root, and a path below it that may be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Where it begins.
    pub root: Root,
    /// The labels below it, joined by `/`.
    pub path: String,
}

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing.
    #[error("a name is not empty")]
    Empty,
    /// A key of another length.
    #[error("a key has @ and {KEY_TEXT_LEN} characters, not {found}")]
    KeyLength {
        /// Characters behind the `@`.
        found: usize,
    },
    /// A key with a character that none has.
    #[error("a key has only the letters a to z and the digits 2 to 7")]
    KeyCharacter,
    /// A key that nobody has copied.
    #[error("this key is mistyped: its checksum does not match")]
    KeyChecksum,
    /// A petname or a part of a path.
    #[error(
        "{0:?} is not a part of a name: it has 1 to {LABEL_MAX} of the characters a-z 0-9 - _ . and begins with none of - ."
    )]
    Label(String),
    /// No domain.
    #[error(
        "{0:?} is no domain: it has labels of 1 to {LABEL_MAX} of the characters a-z 0-9 - _ with dots between them, at most \
         {DOMAIN_MAX} characters; others are written as their xn-- form"
    )]
    Domain(String),
    /// The path is too long.
    #[error("a path has at most {PATH_MAX} bytes")]
    PathTooLong,
}

fn checksum(key: &[u8; 32]) -> [u8; CHECKSUM_LEN] {
    let [a, b, c, ..] = blake3::derive_key("chordage 2026 name key checksum", key);
    [a, b, c]
}

impl fmt::Display for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.0[..], &checksum(&self.0)].concat();
        write!(f, "@{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for NameKey {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.strip_prefix('@').unwrap_or(text);
        let found = text.chars().count();
        if found != KEY_TEXT_LEN {
            return Err(NameError::KeyLength { found });
        }
        let bytes =
            BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| NameError::KeyCharacter)?;
        let (key, rest) = bytes.split_first_chunk::<32>().ok_or(NameError::KeyCharacter)?;
        if rest != checksum(key) {
            return Err(NameError::KeyChecksum);
        }
        Ok(Self(*key))
    }
}

/// Checks a petname or a part of a path.
pub fn check_label(label: &str) -> Result<(), NameError> {
    let fits = (1..=LABEL_MAX).contains(&label.len())
        && !label.starts_with(['-', '.'])
        && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
    if fits { Ok(()) } else { Err(NameError::Label(label.to_owned())) }
}

/// Checks the path below a name; the empty one is that of the name itself.
pub fn check_path(path: &str) -> Result<(), NameError> {
    if path.len() > PATH_MAX {
        return Err(NameError::PathTooLong);
    }
    if path.is_empty() { Ok(()) } else { path.split('/').try_for_each(check_label) }
}

/// Checks a domain, and writes it in lower case, without a dot at its end.
fn domain(text: &str) -> Result<String, NameError> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label_fits = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    let fits = domain.len() <= DOMAIN_MAX && domain.split('.').all(label_fits);
    if fits { Ok(domain) } else { Err(NameError::Domain(text.to_owned())) }
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads a name; a `/` at its end does no harm.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (root, path) = text.split_once('/').unwrap_or((text, ""));
        if root.is_empty() {
            return Err(NameError::Empty);
        }
        let root = if root.starts_with('@') {
            Root::Key(root.parse()?)
        } else if let Some(text) = root.strip_prefix(DOMAIN_PREFIX) {
            Root::Domain(domain(text)?)
        } else {
            check_label(root)?;
            Root::Petname(root.to_owned())
        };
        check_path(path)?;
        Ok(Self { root, path: path.to_owned() })
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "{key}"),
            Self::Petname(petname) => f.write_str(petname),
            Self::Domain(domain) => write!(f, "{DOMAIN_PREFIX}{domain}"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_text_and_a_mistyped_one_does_not() {
        let text = NameKey([7; 32]).to_string();
        assert_eq!(text.len(), 57);
        assert_eq!(text.parse(), Ok(NameKey([7; 32])));
        assert_eq!(text.to_uppercase().parse(), Ok(NameKey([7; 32])));
        for place in 1..text.len() {
            let other = if &text[place..=place] == "a" { "b" } else { "a" };
            let wrong = format!("{}{other}{}", &text[..place], &text[place + 1..]);
            assert_eq!(wrong.parse::<NameKey>(), Err(NameError::KeyChecksum), "{wrong}");
        }
        assert_eq!("@abc".parse::<NameKey>(), Err(NameError::KeyLength { found: 3 }));
        assert_eq!(format!("@1{}", &text[2..]).parse::<NameKey>(), Err(NameError::KeyCharacter));
    }

    #[test]
    fn names_have_a_root_and_perhaps_a_path() {
        let key = NameKey([7; 32]);
        let name = |text: &str| text.parse::<Name>();
        assert_eq!(
            name(&format!("{key}/a/b.c")),
            Ok(Name { root: Root::Key(key), path: "a/b.c".to_owned() })
        );
        let team = Name { root: Root::Petname("team".to_owned()), path: "web".to_owned() };
        assert_eq!(name("team/web/").as_ref(), Ok(&team));
        assert_eq!(team.to_string(), "team/web");
        assert_eq!(name(""), Err(NameError::Empty));
        for wrong in ["Team", "team//web", "team/-x", "team/..", "a b", "te\u{202e}am", "team/WEB"] {
            assert!(matches!(name(wrong), Err(NameError::Label(_))), "{wrong}");
        }
        let from_dns = Name { root: Root::Domain("example.org".to_owned()), path: "web".to_owned() };
        assert_eq!(name("dns:Example.ORG./web").as_ref(), Ok(&from_dns));
        assert_eq!(from_dns.to_string(), "dns:example.org/web");
        let labels = "a.".repeat(DOMAIN_MAX / 2);
        for wrong in ["", "a..b", ".", "a b", "b\u{fc}cher.example", &"a".repeat(64), &format!("{labels}a")] {
            assert_eq!(name(&format!("dns:{wrong}")), Err(NameError::Domain(wrong.to_owned())));
        }
        let long = format!("team/{}", "a/".repeat(200));
        assert_eq!(name(&long), Err(NameError::PathTooLong));
    }
}
