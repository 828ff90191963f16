//! What the kernel asks, one function each, which waits for the daemon. Their caller sees to it that none waits for
//! long.

use std::sync::Arc;
use std::time::Duration;

use fuser::{Errno, FileAttr};

use super::attributes::{Item, Owner};
use super::complaints::Complaints;
use super::contents::{Contents, File};
use super::details::{Detail, Details, seek};
use super::handles::Handles;
use super::inodes::{self, Inodes, Inside, Link, Place, below};
use super::links::{Counts, Links, SEVERAL};
use super::listings::{Listing, Listings};
use super::snapshots::Snapshots;
use super::source::Trouble;
use super::view::Node;
use crate::name::shown;

/// What is in a snapshot never changes.
const FOREVER: Duration = Duration::from_secs(24 * 3600);
/// Which snapshots there are does, and so does what is not known for certain.
const SOON: Duration = Duration::from_secs(1);
/// Names of what has one.
const SINGLE: u32 = 1;

/// All that is mounted.
#[derive(Debug)]
pub(super) struct Operations {
    pub(super) snapshots: Snapshots,
    pub(super) listings: Listings,
    pub(super) details: Details,
    pub(super) links: Arc<Links>,
    pub(super) contents: Arc<Contents>,
    pub(super) inodes: Inodes,
    pub(super) files: Handles<File>,
    pub(super) directories: Handles<Directory>,
    pub(super) complaints: Arc<Complaints>,
    /// Whom directories above the snapshots belong to.
    pub(super) owner: Owner,
    /// Whether everything belongs to root.
    pub(super) owner_root: bool,
}

/// What stat(2) says, and for how long that holds.
pub(super) type Stat = (Duration, FileAttr);

/// A directory that is open: what was in it then.
#[derive(Debug)]
pub(super) enum Directory {
    /// Above the snapshots, at this path.
    Above { path: Arc<[u8]>, entries: Vec<(Vec<u8>, Place)>, newest: i64 },
    /// In a snapshot.
    Inside { at: Arc<Inside>, listing: Arc<Listing> },
}

impl Directory {
    /// The entry at a position.
    pub(super) fn at(&self, position: usize) -> Option<(Vec<u8>, Place)> {
        match self {
            Directory::Above { entries, .. } => entries.get(position).cloned(),
            Directory::Inside { at, listing } => {
                let (name, item) = listing.at(position)?;
                Some((name.to_vec(), Place::Inside(Arc::new(at.child(name, item.clone())))))
            }
        }
    }

    /// The numbers of the directory itself and of the one above it.
    pub(super) fn numbers(&self) -> [u64; 2] {
        match self {
            Directory::Above { path, .. } => [inodes::above(path), inodes::above(parent(path))],
            Directory::Inside { at, .. } => {
                let own = inodes::directory(&at.snapshot, &at.path);
                match &at.path[..] {
                    b"" => [own, inodes::above(b"ids")],
                    path => [own, inodes::directory(&at.snapshot, parent(path))],
                }
            }
        }
    }
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(&[], |slash| &path[..slash])
}

impl Operations {
    fn place(&self, number: u64) -> Result<Place, Errno> {
        self.inodes.get(number).ok_or(Errno::ESTALE)
    }

    fn inside(&self, number: u64) -> Result<Arc<Inside>, Errno> {
        match self.place(number)? {
            Place::Inside(inside) => Ok(inside),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Says why something in a snapshot cannot be had. `gone` is the answer if it is not there.
    fn failed(&self, inside: &Inside, trouble: &Trouble, gone: Errno) -> Errno {
        match trouble {
            Trouble::Gone => gone,
            Trouble::Failed(why) => {
                let id = crate::backup::choice::short(&inside.snapshot);
                self.complaints.say(&format!("cannot read {id}:/{}: {why}", shown(&inside.path)));
                Errno::EIO
            }
        }
    }

    /// What is in a directory by this name.
    pub(super) async fn lookup(&self, parent: u64, name: &[u8]) -> Result<Stat, Errno> {
        let place = match self.place(parent)? {
            Place::Above(path) => {
                let view = self.snapshots.view().await;
                let node = view.entries(&path).and_then(|entries| entries.get(name));
                self.above(&path, name, node.ok_or(Errno::ENOENT)?)
            }
            Place::Link(_) => return Err(Errno::ENOTDIR),
            Place::Inside(directory) => {
                let item = self.find(&directory, name).await?;
                Place::Inside(Arc::new(directory.child(name, item)))
            }
        };
        let stat = self.stat_of(&place).await;
        self.remember(&place)?;
        Ok(stat)
    }

    /// Notes that the kernel is told of a place.
    pub(super) fn remember(&self, place: &Place) -> Result<(), Errno> {
        self.inodes.remember(place.number(), place).map_err(|_| Errno::EIO)
    }

    /// The entry of a name in a directory of a snapshot.
    async fn find(&self, directory: &Inside, name: &[u8]) -> Result<Arc<Item>, Errno> {
        if !directory.item.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        if let Some(listing) = self.listings.known(&directory.snapshot, &directory.path) {
            return listing.find(name).cloned().ok_or(Errno::ENOENT);
        }
        let inside = directory.child(name, directory.item.clone());
        let found = self.details.entry(&inside).await;
        let item = found.map_err(|trouble| self.failed(&inside, &trouble, Errno::ENOENT))?;
        item.ok_or(Errno::ENOENT)
    }

    /// An entry above the snapshots.
    fn above(&self, path: &[u8], name: &[u8], node: &Node) -> Place {
        match node {
            Node::Directory => Place::Above(below(path, name).into()),
            Node::Link { target, time } => {
                Place::Link(Arc::new(Link { path: below(path, name), target: target.clone(), mtime: *time }))
            }
            Node::Snapshot { id, time } => {
                let item = Item { mode: 0o755, ..Item::above(self.owner, *time) };
                Place::Inside(Arc::new(Inside {
                    snapshot: id.clone(),
                    path: Vec::new(),
                    item: Arc::new(item),
                }))
            }
        }
    }

    /// How many names files have where this one is, if that matters for it.
    async fn counts(&self, place: &Place) -> Option<Counts> {
        match place {
            Place::Inside(inside) if inside.item.group.is_some() => self.links.of(&inside.snapshot).await,
            _ => None,
        }
    }

    /// What stat(2) says of a place. `newest`: when the newest snapshot was made.
    fn stat(&self, place: &Place, counts: Option<&Counts>, newest: i64) -> Stat {
        let number = place.number();
        let root = self.owner_root.then_some(Owner { uid: 0, gid: 0 });
        match place {
            Place::Above(_) => (SOON, Item::above(self.owner, newest).attributes(number, SINGLE, root)),
            Place::Link(link) => {
                let item = Item::link(self.owner, link.mtime, &link.target);
                (SOON, item.attributes(number, SINGLE, root))
            }
            Place::Inside(inside) => {
                let known = inside.item.group.map(|group| counts.and_then(|counts| counts.get(&group)));
                let (valid, names) = match known {
                    // A snapshot that is forgotten is to be gone soon.
                    None if inside.path.is_empty() => (SOON, SINGLE),
                    None => (FOREVER, SINGLE),
                    Some(Some(names)) => (FOREVER, *names),
                    Some(None) => (SOON, SEVERAL),
                };
                (valid, inside.item.attributes(number, names, root))
            }
        }
    }

    pub(super) async fn getattr(&self, number: u64) -> Result<Stat, Errno> {
        let place = self.place(number)?;
        Ok(self.stat_of(&place).await)
    }

    async fn stat_of(&self, place: &Place) -> Stat {
        let newest = match place {
            Place::Above(_) => self.snapshots.view().await.newest(),
            _ => 0,
        };
        self.stat(place, self.counts(place).await.as_ref(), newest)
    }

    pub(super) fn readlink(&self, number: u64) -> Result<Vec<u8>, Errno> {
        match self.place(number)? {
            Place::Link(link) => Ok(link.target.clone()),
            Place::Inside(inside) => {
                let target = inside.item.target.as_deref().ok_or(Errno::EINVAL)?;
                Ok(target.to_vec())
            }
            Place::Above(_) => Err(Errno::EINVAL),
        }
    }

    /// Opens a file and says its handle.
    pub(super) fn open(&self, number: u64) -> Result<u64, Errno> {
        let inside = self.inside(number)?;
        match inside.item.is_directory() {
            true => Err(Errno::EISDIR),
            false => Ok(self.files.open(File::new(inside, number))),
        }
    }

    pub(super) async fn read(&self, handle: u64, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let file = self.files.get(handle).ok_or(Errno::EBADF)?;
        let read = self.contents.read(&file, offset, size).await;
        read.map_err(|trouble| self.failed(file.inside(), &trouble, Errno::ESTALE))
    }

    /// Opens a directory and says its handle, and whether what is in it may change.
    pub(super) async fn opendir(&self, number: u64) -> Result<(u64, bool), Errno> {
        let directory = match self.place(number)? {
            Place::Above(path) => {
                let view = self.snapshots.view().await;
                let entries = view.entries(&path).ok_or(Errno::ENOENT)?;
                let entry = |(name, node): (&Vec<u8>, &Node)| (name.clone(), self.above(&path, name, node));
                let entries = entries.iter().map(entry).collect();
                Directory::Above { newest: view.newest(), entries, path }
            }
            Place::Link(_) => return Err(Errno::ENOTDIR),
            Place::Inside(at) => {
                let read = self.listings.read(&at.snapshot, &at.path).await;
                let listing = read.map_err(|trouble| self.failed(&at, &trouble, Errno::ESTALE))?;
                Directory::Inside { at, listing }
            }
        };
        let changes = matches!(directory, Directory::Above { .. });
        Ok((self.directories.open(directory), changes))
    }

    /// A directory that is open, and how many names its files have, for whoever wants to know.
    pub(super) async fn directory(
        &self,
        handle: u64,
        with_counts: bool,
    ) -> Result<(Arc<Directory>, Option<Counts>), Errno> {
        let directory = self.directories.get(handle).ok_or(Errno::EBADF)?;
        let counts = match &*directory {
            Directory::Inside { at, listing } if with_counts && listing.has_groups() => {
                self.links.of(&at.snapshot).await
            }
            _ => None,
        };
        Ok((directory, counts))
    }

    /// What stat(2) says of an entry of a directory.
    pub(super) fn stat_in(&self, directory: &Directory, place: &Place, counts: Option<&Counts>) -> Stat {
        let newest = match directory {
            Directory::Above { newest, .. } => *newest,
            Directory::Inside { .. } => 0,
        };
        self.stat(place, counts, newest)
    }

    async fn detail(&self, inside: &Inside) -> Result<Arc<Detail>, Errno> {
        let found = self.details.of(inside).await;
        found.map_err(|trouble| self.failed(inside, &trouble, Errno::ESTALE))
    }

    /// The value of an attribute.
    pub(super) async fn getxattr(&self, number: u64, name: &[u8]) -> Result<Vec<u8>, Errno> {
        match self.place(number)? {
            // The kernel asks for some attributes of every file, so most answers must cost nothing.
            Place::Inside(inside) if inside.item.has_xattrs => {
                let detail = self.detail(&inside).await?;
                detail.xattr(name).map(<[u8]>::to_vec).ok_or(Errno::NO_XATTR)
            }
            _ => Err(Errno::NO_XATTR),
        }
    }

    /// The names of all attributes.
    pub(super) async fn listxattr(&self, number: u64) -> Result<Vec<u8>, Errno> {
        match self.place(number)? {
            Place::Inside(inside) if inside.item.has_xattrs => Ok(self.detail(&inside).await?.names()),
            _ => Ok(Vec::new()),
        }
    }

    /// Where data or a hole begins.
    pub(super) async fn lseek(&self, number: u64, from: u64, data: bool) -> Result<u64, Errno> {
        let inside = self.inside(number)?;
        let size = inside.item.size;
        let found = match inside.item.data_bytes {
            None => seek(None, size, from, data),
            Some(_) => seek(self.detail(&inside).await?.segments.as_deref(), size, from, data),
        };
        found.ok_or(Errno::ENXIO)
    }
}
