//! What is in directories of snapshots. Those that were read lately stay in memory, up to a number of entries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::attributes::Item;
use super::source::{Source, Trouble};
use crate::backup::entry::path_of;

/// Entries that are kept, over all directories; some 200 bytes each.
const KEPT_MAX: usize = 200_000;
/// Entries of one directory at most.
const ENTRIES_MAX: usize = 4_000_000;

/// A directory, in the order of the names.
#[derive(Debug, Default)]
pub(super) struct Listing {
    entries: Vec<(Box<[u8]>, Arc<Item>)>,
    has_groups: bool,
}

impl Listing {
    fn of(mut entries: Vec<(Box<[u8]>, Arc<Item>)>) -> Self {
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        entries.dedup_by(|(one, _), (other, _)| one == other);
        let has_groups = entries.iter().any(|(_, item)| item.group.is_some());
        Listing { entries, has_groups }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry at a position.
    pub(super) fn at(&self, position: usize) -> Option<(&[u8], &Arc<Item>)> {
        self.entries.get(position).map(|(name, item)| (&name[..], item))
    }

    /// The entry of a name.
    pub(super) fn find(&self, name: &[u8]) -> Option<&Arc<Item>> {
        let found = self.entries.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        self.entries.get(found).map(|(_, item)| item)
    }

    /// Whether something in it may have further names.
    pub(super) fn has_groups(&self) -> bool {
        self.has_groups
    }
}

type Key = (Arc<str>, Vec<u8>);

#[derive(Debug, Default)]
struct Kept {
    /// With when each was used last.
    listings: BTreeMap<Key, (Arc<Listing>, u64)>,
    entries: usize,
    uses: u64,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Listings {
    source: Arc<Source>,
    kept: Mutex<Kept>,
}

impl Listings {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Listings { source, kept: Mutex::default() }
    }

    /// A directory that is in memory.
    pub(super) fn known(&self, snapshot: &Arc<str>, path: &[u8]) -> Option<Arc<Listing>> {
        let mut kept = self.lock();
        kept.uses += 1;
        let now = kept.uses;
        let (listing, used) = kept.listings.get_mut(&(snapshot.clone(), path.to_vec()))?;
        *used = now;
        Some(listing.clone())
    }

    /// A directory.
    pub(super) async fn read(&self, snapshot: &Arc<str>, path: &[u8]) -> Result<Arc<Listing>, Trouble> {
        if let Some(known) = self.known(snapshot, path) {
            return Ok(known);
        }
        let _permit = self.source.permit().await;
        let mut lines = self.source.entries(snapshot, path).await?;
        let mut entries = Vec::new();
        while let Some(entry) = lines.entry().await? {
            let (Some(name), Some(item)) = (name_in(path, &path_of(&entry)), Item::of(&entry)) else {
                continue;
            };
            if entries.len() >= ENTRIES_MAX {
                return Err(Trouble::Failed(format!("a directory has more than {ENTRIES_MAX} entries")));
            }
            entries.push((name, Arc::new(item)));
        }
        let listing = Arc::new(Listing::of(entries));
        self.keep((snapshot.clone(), path.to_vec()), &listing);
        Ok(listing)
    }

    fn keep(&self, key: Key, listing: &Arc<Listing>) {
        // Empty ones count as well.
        let weight = |listing: &Listing| listing.len() + 1;
        if weight(listing) > KEPT_MAX {
            return;
        }
        let mut kept = self.lock();
        kept.uses += 1;
        let now = kept.uses;
        kept.entries += weight(listing);
        if let Some((replaced, _)) = kept.listings.insert(key, (listing.clone(), now)) {
            kept.entries -= weight(&replaced);
        }
        while kept.entries > KEPT_MAX {
            let oldest = kept.listings.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            let Some((gone, _)) = oldest.and_then(|key| kept.listings.remove(&key)) else { break };
            kept.entries -= weight(&gone);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Each change leaves it whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of what lies at `path`, if that is in this directory.
fn name_in(directory: &[u8], path: &[u8]) -> Option<Box<[u8]>> {
    let name = match directory {
        b"" => path,
        _ => path.strip_prefix(directory)?.strip_prefix(b"/")?,
    };
    let is_name = !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0));
    is_name.then(|| name.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::attributes::Owner;
    use super::*;

    #[test]
    fn entries_are_found_by_name_and_position() {
        let item = |mtime| Arc::new(Item::above(Owner { uid: 0, gid: 0 }, mtime));
        let entries =
            [("b", 2), ("a-", 1), ("a", 0)].map(|(name, mtime)| (name.as_bytes().into(), item(mtime)));
        let listing = Listing::of(entries.to_vec());
        assert_eq!(listing.find(b"a-").unwrap().mtime, 1);
        assert!(listing.find(b"c").is_none());
        assert_eq!(listing.at(2).unwrap().0, b"b");
        assert!(listing.at(3).is_none() && !listing.has_groups());
    }

    #[test]
    fn only_what_lies_in_a_directory_is_in_it() {
        assert_eq!(name_in(b"", b"a").as_deref(), Some(&b"a"[..]));
        assert_eq!(name_in(b"a/b", b"a/b/c").as_deref(), Some(&b"c"[..]));
        for other in [&b"a/b"[..], b"a/bc/d", b"a/b/c/d", b"a/b/", b"a/b/..", b"x"] {
            assert_eq!(name_in(b"a/b", other), None);
        }
    }
}
