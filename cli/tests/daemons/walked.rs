//! Directories as they are on disk, to be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Mode, time in seconds and nanoseconds, and content or target.
pub(crate) type Entry = (u32, i64, i64, Vec<u8>);
/// Entries by their path inside.
pub(crate) type Tree = BTreeMap<Vec<u8>, Entry>;

/// All that is in a directory.
pub(crate) fn walk(dir: &Path) -> Tree {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = match metadata.file_type() {
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec(),
                kind if kind.is_file() => fs::read(&path).unwrap(),
                _ => Vec::new(),
            };
            let inside = path.strip_prefix(dir).unwrap().as_os_str().as_bytes().to_vec();
            if metadata.is_dir() {
                open.push(path);
            }
            found.insert(inside, (metadata.mode(), metadata.mtime(), metadata.mtime_nsec(), content));
        }
    }
    found
}

/// Where they differ, without the contents; nothing if they are the same.
pub(crate) fn differences(one: &Tree, other: &Tree) -> Vec<String> {
    let differing = one.keys().chain(other.keys()).filter(|path| one.get(*path) != other.get(*path));
    let shown = |found: Option<&Entry>| {
        found.map(|(mode, seconds, nanos, content)| {
            format!("{mode:o} {seconds}.{nanos} {} bytes", content.len())
        })
    };
    let named = differing.map(|path| {
        let name = String::from_utf8_lossy(path);
        format!("{name:?}: {:?}, {:?}", shown(one.get(path)), shown(other.get(path)))
    });
    named.collect()
}

/// Fails, and says where they differ, unless two directories are the same.
pub(crate) fn assert_same(one: &Path, other: &Path) {
    let differing = differences(&walk(one), &walk(other));
    assert!(differing.is_empty(), "it is as it was: {differing:#?}");
}
