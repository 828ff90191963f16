//! What the path of a request names. Whatever is not exactly one of these names nothing, so no path leads out of a
//! repository.

use std::fmt;

use chordage_api::volume::PETNAME_MAX;
use chordage_api::{hex, unhex};

use crate::front::can_be_user;

/// Parts of the name of a repository, at most: a user and one of that user's repositories.
const PARTS_MAX: usize = 2;
/// What the petnames of all volumes with repositories begin with.
const PETNAME: &str = "restic";

/// The kinds of files in a repository, besides its one `config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Data,
    Index,
    Keys,
    Locks,
    Snapshots,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] = [Kind::Data, Kind::Index, Kind::Keys, Kind::Locks, Kind::Snapshots];

    /// What it is called in paths and keys.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Data => "data",
            Kind::Index => "index",
            Kind::Keys => "keys",
            Kind::Locks => "locks",
            Kind::Snapshots => "snapshots",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// The name of a file: the SHA-256 of what is in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId(pub(crate) [u8; 32]);

impl FileId {
    /// Exactly 64 hexadecimal digits in lower case, as clients write them: no file has two names.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let lower = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        unhex(text).filter(|_| lower)?.try_into().ok().map(FileId)
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a repository: none to two parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RepositoryName(Vec<String>);

impl RepositoryName {
    fn new(parts: Vec<String>) -> Option<Self> {
        (parts.len() <= PARTS_MAX && parts.iter().all(|part| can_be_user(part)))
            .then_some(RepositoryName(parts))
    }

    /// Whose it is where there are users: its first part.
    pub(crate) fn user(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// The petname of its volume, if it is not too long for one: `restic.alice.my-laptop`. What a petname cannot have
    /// stands there as `_` and two hexadecimal digits for each byte, so that no two repositories share a volume.
    pub(crate) fn petname(&self) -> Option<String> {
        let mut petname = PETNAME.to_owned();
        for part in &self.0 {
            petname.push('.');
            for byte in part.bytes() {
                match byte {
                    b'a'..=b'z' | b'0'..=b'9' | b'-' => petname.push(char::from(byte)),
                    _ => petname.push_str(&format!("_{byte:02x}")),
                }
            }
        }
        (petname.len() <= PETNAME_MAX).then_some(petname)
    }

    /// The repository of a volume with this petname, if it is one.
    pub(crate) fn of_petname(petname: &str) -> Option<Self> {
        let mut parts = petname.split('.');
        if parts.next() != Some(PETNAME) {
            return None;
        }
        let parts = parts.map(|part| {
            let mut pieces = part.split('_');
            let mut bytes = pieces.next()?.as_bytes().to_vec();
            for piece in pieces {
                let (digits, rest) = piece.split_at_checked(2)?;
                bytes.extend(unhex(digits)?);
                bytes.extend_from_slice(rest.as_bytes());
            }
            String::from_utf8(bytes).ok()
        });
        let name = RepositoryName::new(parts.collect::<Option<_>>()?)?;
        // One that only looks like ours has another way to be written.
        (name.petname().as_deref() == Some(petname)).then_some(name)
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        self.0.iter().try_for_each(|part| write!(f, "{part}/"))
    }
}

/// What in a repository is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The repository itself.
    Whole,
    /// Its one `config`.
    Config,
    /// All files of a kind.
    All(Kind),
    /// One of them.
    File(Kind, FileId),
}

impl Place {
    /// The key of a file; `None` for what is none.
    pub(crate) fn key(self) -> Option<String> {
        match self {
            Place::Whole | Place::All(_) => None,
            Place::Config => Some(CONFIG.to_owned()),
            Place::File(kind, id) => Some(key(kind, id)),
        }
    }
}

/// The key of `config`.
const CONFIG: &str = "restic/config";

/// What the keys of all files of a kind begin with.
pub(crate) fn prefix(kind: Kind) -> String {
    format!("restic/{}/", kind.word())
}

/// The key of a file.
pub(crate) fn key(kind: Kind, id: FileId) -> String {
    format!("restic/{}/{id}", kind.word())
}

/// What a path names, if it names anything that there could be.
pub(crate) fn parse(path: &str) -> Option<(RepositoryName, Place)> {
    let inside = path.strip_prefix('/')?;
    let (inside, slash) = match inside.strip_suffix('/') {
        Some(rest) => (rest, true),
        None => (inside, false),
    };
    let mut parts: Vec<String> = match inside {
        // Not `//`, which has an empty part.
        "" if path.len() > 1 => return None,
        "" => Vec::new(),
        parts => parts.split('/').map(decode).collect::<Option<_>>()?,
    };
    let kind = |at: usize| Kind::from_word(parts.get(parts.len().checked_sub(at)?)?);
    let (place, taken) = match (kind(2), kind(1), parts.last()) {
        (Some(kind), _, Some(id)) if !slash => (Place::File(kind, FileId::parse(id)?), 2),
        (_, Some(kind), _) => (Place::All(kind), 1),
        (_, _, Some(last)) if last == "config" && !slash => (Place::Config, 1),
        _ => (Place::Whole, 0),
    };
    parts.truncate(parts.len() - taken);
    RepositoryName::new(parts).map(|name| (name, place))
}

/// A part of a path without its percent signs. A slash that was hidden behind one is found later and belongs to no
/// name.
fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first == b'%' {
            let (digits, behind) = rest.split_at_checked(2)?;
            bytes.extend(unhex(std::str::from_utf8(digits).ok()?)?);
            rest = behind;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn named(path: &str) -> Option<(String, Place)> {
        parse(path).map(|(name, place)| (name.to_string(), place))
    }

    #[test]
    fn repositories_have_no_one_or_two_parts() {
        for (path, name) in [
            ("/", "/"),
            ("/laptop", "/laptop/"),
            ("/laptop/", "/laptop/"),
            ("/alice/laptop/", "/alice/laptop/"),
            ("/a%40b.example/caf%C3%A9/", "/a@b.example/caf\u{e9}/"),
            ("/a+b/c%20d/", "/a+b/c d/"),
        ] {
            assert_eq!(named(path), Some((name.to_owned(), Place::Whole)), "{path}");
        }
    }

    #[test]
    fn no_part_of_a_name_is_a_kind() {
        assert!(Kind::ALL.iter().all(|kind| !can_be_user(kind.word())));
    }

    #[test]
    fn files_and_lists_are_found_below_each() {
        let id = FileId::parse(ID).unwrap();
        for base in ["", "/laptop", "/alice/laptop"] {
            let name = format!("{base}/");
            assert_eq!(named(&format!("{base}/config")), Some((name.clone(), Place::Config)));
            for kind in Kind::ALL {
                let word = kind.word();
                assert_eq!(named(&format!("{base}/{word}/")), Some((name.clone(), Place::All(kind))));
                assert_eq!(named(&format!("{base}/{word}")), Some((name.clone(), Place::All(kind))));
                let file = named(&format!("{base}/{word}/{ID}"));
                assert_eq!(file, Some((name.clone(), Place::File(kind, id))));
            }
        }
        assert_eq!(Place::File(Kind::Index, id).key(), Some(format!("restic/index/{ID}")));
        assert_eq!(Place::Config.key().as_deref(), Some("restic/config"));
    }

    #[test]
    fn nothing_else_is_named() {
        let upper = ID.to_uppercase();
        for path in [
            "",
            "laptop/",
            "//",
            "///",
            "/laptop//",
            "//config",
            "/a/b/c/",
            "/a/b/c/config",
            "/./",
            "/../",
            "/a/../data/",
            "/a/%2e%2e/",
            "/a%2F../",
            "/a/..%2Fb/config",
            "/a%5Cb/",
            "/a%00b/",
            "/a%0Ab/",
            "/a%",
            "/a%2",
            "/a%zz/",
            "/%ff/",
            "/config/",
            "/config/config",
            "/data/data/",
            "/a:b/",
            &format!("/packs/{ID}"),
            &format!("/packs/{ID}/x/y"),
            &format!("/a/b/packs/{ID}"),
            &format!("/data/{ID}/"),
            &format!("/data/{upper}"),
            &format!("/data/{}", &ID[1..]),
            &format!("/data/{ID}0"),
            &format!("/data/00/{ID}"),
            &format!("/{}/", "x".repeat(101)),
        ] {
            assert_eq!(named(path), None, "{path}");
        }
    }

    #[test]
    fn every_repository_has_a_volume_of_its_own() {
        for (path, petname) in [
            ("/", "restic"),
            ("/laptop/", "restic.laptop"),
            ("/alice/my-laptop/", "restic.alice.my-laptop"),
            ("/alice.my-laptop/", "restic.alice_2emy-laptop"),
            ("/Alice@x/a_b/", "restic._41lice_40x.a_5fb"),
            ("/j%C3%B6rg/", "restic.j_c3_b6rg"),
        ] {
            let (name, _) = parse(path).unwrap();
            assert_eq!(name.petname().as_deref(), Some(petname));
            assert_eq!(RepositoryName::of_petname(petname), Some(name));
        }
        let (long, _) = parse(&format!("/{}/", "x".repeat(57))).unwrap();
        assert_eq!(long.petname(), None, "a petname has 63 characters at most");
        for petname in [
            "",
            "backup",
            "resticx",
            "restic.",
            "restic.a.",
            "restic..a",
            "restic.a.b.c",
            "restic.data",
            "restic.a_",
            "restic.a_4",
            "restic._61",
            "restic.a_5F",
            "restic._ff",
            "restic._2e",
        ] {
            assert_eq!(RepositoryName::of_petname(petname), None, "{petname}");
        }
    }
}
