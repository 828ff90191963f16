//! What the value of a name's record says, as bytes: for each path what it stands for, or to whom it is delegated.

use std::collections::BTreeMap;

use chordage_api::Link;
use chordage_api::name::{Name, NameKey, Root, check_path};
use serde::{Deserialize, Serialize};

/// First byte of a value.
const VERSION: u8 = 1;
/// Longest text that a name stands for, bytes.
const TEXT_MAX: usize = 1024;

/// What a path stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    /// The link of an object.
    Link(String),
    /// Another name, by its key.
    Name([u8; 32], String),
    /// A short text.
    Text(String),
    /// The path and everything below it belong to this key.
    Delegate([u8; 32]),
}

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) entries: BTreeMap<String, Target>,
}

/// Why something cannot be what a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("{0}")]
    Link(chordage_api::LinkError),
    #[error("{0}")]
    Name(chordage_api::name::NameError),
    #[error("a text has 1 to {TEXT_MAX} bytes and no control characters")]
    Text,
}

impl Target {
    /// Reads what a user gives: what looks like a link or a key has to be one.
    pub(crate) fn parse(text: &str) -> Result<Self, TargetError> {
        let lower = text.trim().to_ascii_lowercase();
        if lower.starts_with("chord1") {
            return lower
                .parse::<Link>()
                .map(|link| Target::Link(link.to_string()))
                .map_err(TargetError::Link);
        }
        if lower.starts_with('@') {
            let name: Name = lower.parse().map_err(TargetError::Name)?;
            if let Root::Key(key) = name.root {
                return Ok(Target::Name(key.0, name.path));
            }
        }
        let text = text.trim();
        if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
            return Err(TargetError::Text);
        }
        Ok(Target::Text(text.to_owned()))
    }

    /// As a user gives it.
    pub(crate) fn text(&self) -> String {
        match self {
            Target::Link(text) | Target::Text(text) => text.clone(),
            Target::Name(key, path) if path.is_empty() => NameKey(*key).to_string(),
            Target::Name(key, path) => format!("{}/{path}", NameKey(*key)),
            Target::Delegate(key) => NameKey(*key).to_string(),
        }
    }

    /// Whether a stranger may have written it: other daemons check nothing but the signature.
    fn is_sound(&self) -> bool {
        match self {
            // As it prints: what may stand around a link that somebody types may move a terminal's cursor.
            Target::Link(text) => text.parse::<Link>().is_ok_and(|link| link.to_string() == *text),
            Target::Name(_, path) => check_path(path).is_ok(),
            Target::Text(text) => text.len() <= TEXT_MAX && !text.chars().any(char::is_control),
            Target::Delegate(_) => true,
        }
    }
}

impl Content {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        // These types can always be encoded.
        bytes.extend(postcard::to_allocvec(self).unwrap_or_default());
        bytes
    }

    /// Reads a value; `None` if it says nothing that this version understands.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let content: Self = (*version == VERSION).then(|| postcard::from_bytes(rest).ok())??;
        let sound =
            content.entries.iter().all(|(path, target)| check_path(path).is_ok() && target.is_sound());
        sound.then_some(content)
    }

    /// What covers `path`: the entry of the path itself, or the delegation of the longest beginning of it, with the
    /// rest.
    pub(crate) fn find<'a>(&self, path: &'a str) -> Option<(&Target, &'a str)> {
        if let Some(target) = self.entries.get(path) {
            return Some((target, ""));
        }
        let ends = path.match_indices('/').map(|(end, _)| end).rev().chain([0]);
        for end in ends {
            if let Some(target @ Target::Delegate(_)) = self.entries.get(&path[..end]) {
                return Some((target, path[end..].trim_start_matches('/')));
            }
        }
        None
    }

    /// Whether something stands below `path`.
    pub(crate) fn has_below(&self, path: &str) -> bool {
        let below = |entry: &String| match path {
            "" => !entry.is_empty(),
            path => entry.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')),
        };
        self.entries.keys().any(below)
    }
}

#[cfg(test)]
mod tests {
    use chordage_storage::{ChunkId, ChunkKey};

    use super::*;

    fn text(text: &str) -> Target {
        Target::Text(text.to_owned())
    }

    #[test]
    fn the_longest_delegation_covers_a_path_and_an_entry_of_its_own_goes_first() {
        let entries = [
            ("", text("all")),
            ("web", Target::Delegate([1; 32])),
            ("web/db", Target::Delegate([2; 32])),
            ("web/own", text("own")),
        ];
        let content = Content { entries: entries.map(|(path, target)| (path.to_owned(), target)).into() };
        assert_eq!(content.find(""), Some((&text("all"), "")));
        assert_eq!(content.find("web/x/y"), Some((&Target::Delegate([1; 32]), "x/y")));
        assert_eq!(content.find("web/db"), Some((&Target::Delegate([2; 32]), "")));
        assert_eq!(content.find("web/db/z"), Some((&Target::Delegate([2; 32]), "z")));
        assert_eq!(content.find("web/own"), Some((&text("own"), "")));
        assert_eq!(content.find("web/own/x"), Some((&Target::Delegate([1; 32]), "own/x")));
        assert_eq!(content.find("other"), None, "what the name itself stands for covers no path");
        let below = ["", "web", "web/own", "we", "other"].map(|path| content.has_below(path));
        assert_eq!(below, [true, true, false, false, false]);
        assert_eq!(Content::decode(&content.encode()), Some(content));
    }

    #[test]
    fn what_looks_like_a_link_or_a_key_has_to_be_one() {
        let key = NameKey([7; 32]).to_string();
        assert_eq!(Target::parse(&format!("{key}/a")), Ok(Target::Name([7; 32], "a".to_owned())));
        assert_eq!(Target::parse(" hello "), Ok(text("hello")));
        assert!(matches!(Target::parse("chord1rxyz"), Err(TargetError::Link(_))));
        assert!(matches!(Target::parse("@abc"), Err(TargetError::Name(_))));
        for wrong in ["", "a\u{7}b", &"x".repeat(TEXT_MAX + 1)] {
            assert_eq!(Target::parse(wrong), Err(TargetError::Text));
        }
    }

    #[test]
    fn what_strangers_write_is_checked() {
        let (id, key) = (ChunkId([1; 32]), ChunkKey([2; 32]));
        let link = Link::Read { id, key }.to_string();
        let right = Content { entries: [("a/b".to_owned(), Target::Link(link.clone()))].into() };
        assert_eq!(Content::decode(&right.encode()), Some(right));
        let wrong = [
            ("a".repeat(300), text("x")),
            (String::new(), Target::Link("no link".to_owned())),
            (String::new(), Target::Link(format!("{link}\n"))),
            (String::new(), Target::Link(format!("\u{b}{link}"))),
            (String::new(), text("bell \u{7}")),
            (String::new(), Target::Name([7; 32], "a/\u{1b}[2J".to_owned())),
            (String::new(), Target::Name([7; 32], "a".repeat(64))),
            ("bell\u{7}".to_owned(), text("x")),
            ("a//b".to_owned(), text("x")),
        ];
        for entry in wrong {
            assert_eq!(Content::decode(&Content { entries: [entry].into() }.encode()), None);
        }
        assert_eq!(Content::decode(&[]), None);
        assert_eq!(Content::decode(&[2, 0]), None);
    }
}
