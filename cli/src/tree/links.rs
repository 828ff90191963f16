//! Several names of one inode.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// Inodes with several names of which one was packed. Each is forgotten with its last name, so that this grows only
/// with those that have further names elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Links {
    seen: BTreeMap<Inode, Seen>,
    /// So many have been seen.
    groups: u64,
}

/// The time at which it was made tells an inode from a later one with its number, where file systems know that time.
type Inode = (u64, u64, Option<SystemTime>);

#[derive(Debug)]
struct Seen {
    path: Vec<u8>,
    group: u64,
    /// Names that may still come.
    left: u64,
}

impl Links {
    /// The link group of an inode and the path under which it was packed, if it was; one of its further names comes
    /// now.
    pub(crate) fn known(&mut self, metadata: &Metadata) -> Option<(u64, Vec<u8>)> {
        if !has_several(metadata) {
            return None;
        }
        let inode = inode(metadata);
        let seen = self.seen.get_mut(&inode)?;
        let answer = (seen.group, seen.path.clone());
        seen.left = seen.left.saturating_sub(1);
        if seen.left == 0 {
            self.seen.remove(&inode);
        }
        Some(answer)
    }

    /// The link group of an inode that is not known, if it needs one. It has it only when it is
    /// [`enter`](Self::enter)ed.
    pub(crate) fn next_group(&self, metadata: &Metadata) -> Option<u64> {
        has_several(metadata).then_some(self.groups + 1)
    }

    /// Notes under which path an inode is packed.
    pub(crate) fn enter(&mut self, metadata: &Metadata, path: &[u8]) {
        if has_several(metadata) {
            self.groups += 1;
            let seen = Seen { path: path.to_vec(), group: self.groups, left: metadata.nlink() - 1 };
            self.seen.insert(inode(metadata), seen);
        }
    }
}

/// Directories count those in them, and have one name only.
fn has_several(metadata: &Metadata) -> bool {
    metadata.nlink() > 1 && !metadata.is_dir()
}

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino(), metadata.created().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_inode_is_remembered_until_its_last_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("single"), "").unwrap();
        fs::write(path("a"), "").unwrap();
        fs::hard_link(path("a"), path("b")).unwrap();
        fs::hard_link(path("a"), path("c")).unwrap();
        let mut links = Links::default();
        let single = fs::symlink_metadata(path("single")).unwrap();
        let several = fs::symlink_metadata(path("a")).unwrap();
        let this = fs::symlink_metadata(dir.path()).unwrap();
        for metadata in [&single, &this] {
            assert_eq!(links.next_group(metadata), None);
            links.enter(metadata, b"x");
            assert_eq!(links.known(metadata), None);
        }
        assert_eq!(links.known(&several), None);
        assert_eq!(links.next_group(&several), Some(1));
        links.enter(&several, b"a");
        assert_eq!(links.known(&several), Some((1, b"a".to_vec())));
        assert_eq!(links.known(&several), Some((1, b"a".to_vec())));
        assert_eq!(links.seen.len(), 0, "no further name can come");
        assert_eq!(links.next_group(&several), Some(2));
    }
}
