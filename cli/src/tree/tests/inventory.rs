//! Everything that is to survive, found out in another way than by what is tested.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;

/// A line for each entry below `dir`, and for `dir` itself.
pub(super) fn inventory(dir: &Path) -> BTreeMap<Vec<u8>, String> {
    // Through its descriptor, because paths in it may be as long as the system allows.
    let open = File::open(dir).unwrap();
    let root = PathBuf::from(format!("/proc/self/fd/{}/.", open.as_raw_fd()));
    let mut first_names = BTreeMap::new();
    let mut lines = BTreeMap::new();
    let mut stack = vec![Vec::new()];
    while let Some(inside) = stack.pop() {
        let path = root.join(OsStr::from_bytes(&inside));
        let metadata = fs::symlink_metadata(&path).unwrap();
        let kind = metadata.file_type();
        let content = if kind.is_dir() {
            let mut names: Vec<Vec<u8>> = fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().as_bytes().to_vec())
                .collect();
            names.sort();
            stack.extend(names.iter().rev().map(|name| match &inside[..] {
                [] => name.clone(),
                above => [above, b"/", name].concat(),
            }));
            "dir".to_owned()
        } else if kind.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii())
        } else if kind.is_file() {
            format!("{} bytes {}", metadata.len(), data(&path, metadata.len()))
        } else {
            format!("{kind:?} device {:x}", metadata.rdev())
        };
        let first_name = first_names.entry(metadata.ino()).or_insert_with(|| inside.clone());
        let link = if metadata.is_dir() { Vec::new() } else { first_name.clone() };
        lines.insert(
            inside,
            format!(
                "{:o} {}:{} {}.{:09} names {} first {} {content}{}",
                metadata.mode(),
                metadata.uid(),
                metadata.gid(),
                metadata.mtime(),
                metadata.mtime_nsec(),
                if metadata.is_dir() { 0 } else { metadata.nlink() },
                link.escape_ascii(),
                xattrs(&path),
            ),
        );
    }
    lines
}

/// Where a file has data, and a hash of it.
fn data(path: &Path, len: u64) -> String {
    let file = File::open(path).unwrap();
    let mut hasher = blake3::Hasher::new();
    let mut extents = String::new();
    let mut at = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(begin) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        at = rustix::fs::seek(&file, SeekFrom::Hole(begin)).unwrap().min(len);
        extents.push_str(&format!("{begin}-{at} "));
        let mut from = begin;
        while from < at {
            let wanted = usize::try_from(at - from).unwrap().min(buffer.len());
            let length = file.read_at(&mut buffer[..wanted], from).unwrap();
            hasher.update(&buffer[..length]);
            from += length as u64;
        }
        if at >= len {
            break;
        }
    }
    format!("{extents}{:.16}", hasher.finalize().to_hex())
}

fn xattrs(path: &Path) -> String {
    let mut names = vec![0; 65536];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names[..]) else { return String::new() };
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        found.push(format!(" {}={}", name.escape_ascii(), value[..length].escape_ascii()));
    }
    found.sort();
    found.concat()
}

/// The first differences between two trees, for people.
pub(super) fn differences(one: &Path, other: &Path) -> Vec<String> {
    let (one, other) = (inventory(one), inventory(other));
    let mut differences = Vec::new();
    for path in one.keys().chain(other.keys().filter(|path| !one.contains_key(*path))) {
        let (before, after) = (one.get(path), other.get(path));
        if before != after {
            differences.push(format!("{}:\n  {before:?}\n  {after:?}", path.escape_ascii()));
        }
    }
    differences.truncate(10);
    differences
}
