//! What a version has.

use std::collections::BTreeMap;

use chordage_api::client::Client;
use chordage_api::hex;
use chordage_api::types::{EntryForm, EntryInfo, ObjectForm};
use chordage_node::archive::{Quoted, check_path};

use super::home::HOME;
use super::record::Metadata;
use crate::error::CliError;
use crate::exit::ExitStatus;

/// Most entries that are followed.
const ENTRIES_MAX: usize = 1_000_000;
/// Set-user-id and set-group-id: with them, a stranger's file would run with the rights of whoever follows.
const DANGEROUS_BITS: u32 = 0o6000;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Dir,
    /// A symbolic link, and where it leads.
    Symlink(Vec<u8>),
    /// A file.
    File {
        /// The same in two versions if the content is the same.
        content: String,
        /// Its length.
        size: u64,
        /// The how manieth of the regular files it is.
        number: u64,
    },
}

/// An entry of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it is; checked.
    pub(crate) path: Vec<u8>,
    /// What it is.
    pub(crate) kind: Kind,
    /// Mode and time; `None` for a bare file, which has neither.
    pub(crate) metadata: Option<Metadata>,
}

/// What a version has: directories before what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// All entries.
    pub(crate) entries: Vec<Entry>,
    places: BTreeMap<Vec<u8>, usize>,
    /// Paths that cannot be brought, because follow keeps its own things there.
    pub(crate) reserved: Vec<Vec<u8>>,
    /// Regular files seen, also the reserved.
    numbered: u64,
    /// Whether the link stands for a file and not for a tree.
    pub(crate) bare: bool,
}

/// Why a listing is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListingError {
    /// A path leads out, or lies in nothing, or is there twice.
    #[error("the tree has an entry that cannot be: {}", Quoted(.0))]
    Impossible(Vec<u8>),
    /// It has too many entries.
    #[error("the tree has more than {ENTRIES_MAX} entries")]
    TooMany,
}

impl Listing {
    /// Asks for it. `bare` is what a file without a name is called.
    pub(crate) async fn fetch(client: &Client, link: &str, bare: &[u8]) -> Result<Self, CliError> {
        let stat = client.stat(link, false).await?;
        if stat.kind == ObjectForm::File {
            return Ok(Listing::bare(link, bare, stat.bytes));
        }
        let mut entries = client.entries(link, None, true).await?;
        let mut listing = Listing::default();
        while let Some(entry) = entries.entry().await? {
            listing.add(link, &entry).map_err(|error| {
                CliError::new(ExitStatus::Internal, "bad_listing", error).state("nothing was changed")
            })?;
        }
        Ok(listing)
    }

    /// Of a file without a name.
    pub(crate) fn bare(link: &str, name: &[u8], size: u64) -> Self {
        let kind = Kind::File { content: tag(link, b""), size, number: 0 };
        let entry = Entry { path: name.to_vec(), kind, metadata: None };
        let places = BTreeMap::from([(name.to_vec(), 0)]);
        Listing { entries: vec![entry], places, numbered: 1, bare: true, ..Listing::default() }
    }

    /// Adds what comes next. Nothing that a daemon says leads out of the directory.
    pub(crate) fn add(&mut self, link: &str, info: &EntryInfo) -> Result<(), ListingError> {
        let path = info.path_bytes();
        let impossible = || ListingError::Impossible(path.clone());
        if path.is_empty() || check_path(&path).ok().as_ref() != Some(&path) {
            return Err(impossible());
        }
        if self.entries.len() >= ENTRIES_MAX {
            return Err(ListingError::TooMany);
        }
        let number = self.numbered;
        self.numbered += u64::from(info.kind == EntryForm::File);
        if path.split(|byte| *byte == b'/').next() == Some(HOME.as_bytes()) {
            if self.reserved.is_empty() {
                self.reserved.push(path);
            }
            return Ok(());
        }
        if let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
            let parent = self.get(&path[..slash]).ok_or_else(impossible)?;
            if parent.kind != Kind::Dir {
                return Err(impossible());
            }
        }
        let kind = match info.kind {
            EntryForm::Dir => Kind::Dir,
            EntryForm::Symlink => Kind::Symlink(info.target_bytes().unwrap_or_default()),
            EntryForm::File => {
                // A daemon that does not say more: then it is another content in every version.
                let content = info.content.clone().unwrap_or_else(|| tag(link, &path));
                Kind::File { content, size: info.bytes, number }
            }
            _ => return Err(impossible()),
        };
        // What could not be read or entered could not be followed any further.
        let needed = match kind {
            Kind::Dir => 0o700,
            Kind::File { .. } | Kind::Symlink(_) => 0o400,
        };
        let metadata = Metadata {
            mode: info.mode & 0o7777 & !DANGEROUS_BITS | needed,
            mtime: (info.mtime_seconds, info.mtime_nanos.min(999_999_999)),
        };
        if self.places.contains_key(&path) {
            return Err(impossible());
        }
        self.places.insert(path.clone(), self.entries.len());
        self.entries.push(Entry { path, kind, metadata: Some(metadata) });
        Ok(())
    }

    /// The entry at a path.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.places.get(path).map(|at| &self.entries[*at])
    }

    /// Regular files, and bytes in them.
    pub(crate) fn files(&self) -> (u64, u64) {
        self.entries.iter().fold((0, 0), |(files, bytes), entry| match entry.kind {
            Kind::File { size, .. } => (files + 1, bytes.saturating_add(size)),
            _ => (files, bytes),
        })
    }
}

/// Names a content by the object that it is in.
fn tag(link: &str, path: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("chordage v1 content that is followed");
    hasher.update(link.as_bytes()).update(b"\0").update(path);
    hex(hasher.finalize().as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn info(path: &str, kind: EntryForm, content: &str) -> EntryInfo {
        EntryInfo {
            path: path.to_owned(),
            path_hex: None,
            kind,
            bytes: content.len() as u64,
            mode: 0o4644,
            mtime_seconds: 1,
            mtime_nanos: 2,
            target: (kind == EntryForm::Symlink).then(|| content.to_owned()),
            target_hex: None,
            content: (kind == EntryForm::File).then(|| content.to_owned()),
        }
    }

    #[test]
    fn nothing_leads_out_of_the_directory() {
        for path in ["..", "../a", "/etc/passwd", "a/../b", "a//b", "./a", "a/", "", "nowhere/a", "a\0b"] {
            let mut listing = Listing::default();
            let refused = listing.add("x", &info(path, EntryForm::File, "1"));
            assert_eq!(refused, Err(ListingError::Impossible(path.as_bytes().to_vec())), "{path:?}");
        }
        let mut listing = Listing::default();
        listing.add("x", &info("a", EntryForm::Symlink, "/etc")).unwrap();
        for again in ["a", "a/passwd"] {
            assert!(listing.add("x", &info(again, EntryForm::File, "1")).is_err(), "{again}");
        }
    }

    #[test]
    fn files_are_numbered_as_the_daemon_numbers_them_and_lose_dangerous_bits() {
        let mut listing = Listing::default();
        for (path, kind) in [
            (".chordage-follow", EntryForm::Dir),
            (".chordage-follow/state", EntryForm::File),
            ("a", EntryForm::Dir),
            ("a/b", EntryForm::File),
        ] {
            listing.add("x", &info(path, kind, "1")).unwrap();
        }
        assert_eq!(listing.reserved, [b".chordage-follow".to_vec()]);
        let b = listing.get(b"a/b").unwrap();
        assert!(matches!(b.kind, Kind::File { number: 1, size: 1, .. }), "{b:?}");
        assert_eq!(b.metadata.unwrap().mode, 0o644);
        assert_eq!(listing.files(), (1, 1));
    }
}
