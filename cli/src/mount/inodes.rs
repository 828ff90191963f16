//! Numbers of files. They follow from what they name, so that a file has the same number whenever it is looked at, and
//! all names of one file have one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::INodeNo;

use super::attributes::Item;

/// The root.
pub(super) const ROOT: u64 = INodeNo::ROOT.0;
/// Domain of the hash that the numbers are.
const CONTEXT: &str = "chordage 2026 inode";

/// What a number stands for. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A directory above the snapshots, at this path.
    Above(Arc<[u8]>),
    /// A symbolic link there, and where it leads.
    Link(Arc<Link>),
    /// Something in a snapshot.
    Inside(Arc<Inside>),
}

/// A symbolic link above the snapshots.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) path: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) mtime: i64,
}

/// An entry of a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inside {
    /// The whole id.
    pub(super) snapshot: Arc<str>,
    /// The path in it; that of its root is empty.
    pub(super) path: Vec<u8>,
    pub(super) item: Arc<Item>,
}

impl Inside {
    /// Something in this directory.
    pub(super) fn child(&self, name: &[u8], item: Arc<Item>) -> Self {
        Inside { snapshot: self.snapshot.clone(), path: below(&self.path, name), item }
    }

    /// What tells it from all others.
    fn identity(&self) -> (u8, Vec<u8>) {
        match self.item.group {
            Some(group) => (3, group.to_le_bytes().to_vec()),
            None => (2, self.path.clone()),
        }
    }
}

impl Place {
    /// The number.
    pub(super) fn number(&self) -> u64 {
        match self {
            Place::Above(path) => above(path),
            // A link that leads elsewhere is another one.
            Place::Link(link) => hash(1, "", &[&link.path[..], &[0], &link.target].concat()),
            Place::Inside(inside) => {
                let (kind, rest) = inside.identity();
                hash(kind, &inside.snapshot, &rest)
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Place::Inside(one), Place::Inside(other)) => {
                one.snapshot == other.snapshot && one.identity() == other.identity()
            }
            (one, other) => one == other,
        }
    }
}

/// A name below a path.
pub(super) fn below(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') }
}

/// The number of a directory above the snapshots.
pub(super) fn above(path: &[u8]) -> u64 {
    if path.is_empty() { ROOT } else { hash(0, "", path) }
}

/// The number of a directory in a snapshot.
pub(super) fn directory(snapshot: &str, path: &[u8]) -> u64 {
    hash(2, snapshot, path)
}

fn hash(kind: u8, snapshot: &str, rest: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&[kind]).update(&(snapshot.len() as u64).to_le_bytes()).update(snapshot.as_bytes());
    let mut number = [0; 8];
    hasher.update(rest).finalize_xof().fill(&mut number);
    // None is 0, which means none, or that of the root.
    u64::from_le_bytes(number).max(ROOT + 1)
}

/// Two files would have the same number. There is no way to show the second.
#[derive(Debug)]
pub(super) struct Collision;

/// What the kernel knows by number. It says how often it was told and when it forgets, so that nothing here grows
/// beyond what it remembers.
#[derive(Debug)]
pub(super) struct Inodes(Mutex<BTreeMap<u64, (Place, u64)>>);

impl Inodes {
    /// Only the root.
    pub(super) fn new() -> Self {
        Inodes(Mutex::new(BTreeMap::from([(ROOT, (Place::Above(Arc::default()), 1))])))
    }

    /// What a number stands for.
    pub(super) fn get(&self, number: u64) -> Option<Place> {
        self.known().get(&number).map(|(place, _)| place.clone())
    }

    /// Notes that the kernel is told of a place once more.
    pub(super) fn remember(&self, number: u64, place: &Place) -> Result<(), Collision> {
        let mut known = self.known();
        let (kept, times) = known.entry(number).or_insert_with(|| (place.clone(), 0));
        if !kept.is_same(place) {
            return Err(Collision);
        }
        *times += 1;
        Ok(())
    }

    /// Notes that the kernel has forgotten that it was told so many times.
    pub(super) fn forget(&self, number: u64, times: u64) {
        let mut known = self.known();
        if number != ROOT
            && let Some((_, left)) = known.get_mut(&number)
        {
            *left = left.saturating_sub(times);
            if *left == 0 {
                known.remove(&number);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u64, (Place, u64)>> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::Owner;
    use super::*;

    fn inside(path: &str, group: Option<u64>) -> Place {
        let item = Item { group, ..Item::above(Owner { uid: 0, gid: 0 }, 0) };
        Place::Inside(Arc::new(Inside {
            snapshot: "ab".into(),
            path: path.as_bytes().to_vec(),
            item: Arc::new(item),
        }))
    }

    #[test]
    fn names_of_one_file_have_one_number_and_others_their_own() {
        assert_eq!(inside("a", Some(1)).number(), inside("b/c", Some(1)).number());
        let others = [
            inside("a", None).number(),
            inside("b", None).number(),
            inside("a", Some(1)).number(),
            inside("a", Some(2)).number(),
            Place::Above(b"a"[..].into()).number(),
        ];
        for (at, number) in others.iter().enumerate() {
            assert!(!others[at + 1..].contains(number) && *number > ROOT);
        }
        assert_eq!(Place::Above(Arc::default()).number(), ROOT);
        assert_eq!(directory("ab", b"a"), inside("a", None).number());
    }

    #[test]
    fn what_the_kernel_forgets_is_forgotten() {
        let inodes = Inodes::new();
        let number = inside("a", Some(1)).number();
        assert!(inodes.remember(number, &inside("a", Some(1))).is_ok());
        assert!(inodes.remember(number, &inside("b", Some(1))).is_ok(), "another name");
        assert!(inodes.remember(number, &inside("b", None)).is_err(), "another file");
        inodes.forget(number, 1);
        assert!(inodes.get(number).is_some());
        inodes.forget(number, 5);
        assert!(inodes.get(number).is_none());
        inodes.forget(ROOT, 100);
        assert!(inodes.get(ROOT).is_some());
    }
}
