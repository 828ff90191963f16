//! All of it, there and back.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::super::restore::{Missed, restore};
use super::awkward::{self, SPARSE_BYTES};
use super::inventory::differences;
use super::{Notes, heads, is_root, packed};

#[test]
fn an_awkward_tree_comes_back_as_it_was() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from_root = fs::canonicalize(from.path()).unwrap();
    awkward::many(&from_root);
    awkward::tree(&from_root);
    let notes = Notes::default();
    let started = Instant::now();
    let (archive, packed) = packed(&[&from_root], &notes);
    assert!(archive.len() < 64 << 20, "{} bytes for what has no data", archive.len());
    assert_eq!(*notes.skipped.borrow(), [(from_root.join("socket"), "a socket")]);
    assert_eq!(*notes.unreadable.borrow(), []);
    assert_eq!(*notes.flawed.borrow(), []);
    assert!(notes.bytes.get() >= SPARSE_BYTES);

    // Neither is there before, nor is it made by something else.
    let target = to.path().join("target");
    let written = std::cell::Cell::new(0);
    let restored = restore(&archive[..], &target, "", &|bytes| written.set(written.get() + bytes)).unwrap();
    println!("packed and restored {} bytes in {:?}", archive.len(), started.elapsed());
    let to_root = target.join(from_root.strip_prefix("/").unwrap());
    fs::remove_file(from_root.join("socket")).unwrap();
    // That has moved the time of the directory.
    set_mtime(&from_root, &to_root);
    assert_eq!(differences(&from_root, &to_root), Vec::<String>::new());
    let sparse = fs::metadata(to_root.join("files/sparse")).unwrap();
    assert!(sparse.len() == SPARSE_BYTES && sparse.blocks() * 512 < 1 << 20, "{} blocks", sparse.blocks());
    // The directories above are root's.
    let owners = if is_root() { 0 } else { restored.missed.owners };
    assert_eq!(restored.missed, Missed { owners, ..Missed::default() });
    assert!(restored.missed.describe().len() <= 1 && restored.missed.is_empty() == is_root());
    assert_eq!(
        (
            restored.files,
            restored.bytes,
            restored.sparse,
            restored.symlinks,
            restored.hard_links,
            restored.devices
        ),
        (packed.files, packed.bytes, packed.sparse, packed.symlinks, packed.hard_links, packed.devices),
    );
    assert_eq!((restored.dirs, restored.fifos, written.get()), (packed.dirs, packed.fifos, packed.bytes));
    assert_eq!((packed.hard_links, packed.fifos, packed.unchanged), (7, 1, 0));
    assert_eq!(packed.devices, if is_root() { 2 } else { 0 });
    compare_with_rsync(&from_root, &to_root);
    for root in [&from_root, &to_root] {
        awkward::open_up(root);
    }
}

fn set_mtime(path: &Path, from: &Path) {
    let metadata = fs::metadata(from).unwrap();
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (42, 42));
    fs::File::open(path).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
}

/// Another program with an eye for all of this, if it is here.
fn compare_with_rsync(one: &Path, other: &Path) {
    let slash = |path: &Path| format!("{}/", path.display());
    let mut rsync = Command::new("rsync");
    rsync
        .args(["-aHAXn", "--numeric-ids", "--delete", "--itemize-changes"])
        .arg(slash(one))
        .arg(slash(other));
    let Ok(output) = rsync.output() else {
        eprintln!("rsync is not here to compare the trees too");
        return;
    };
    let (said, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // It has its own limit for paths, which is lower.
    assert!(said.is_empty(), "{said}\n{complaints}");
    println!("rsync says the same. {complaints}");
}

#[test]
fn an_awkward_tree_is_packed_in_the_same_way_again() {
    let dir = tempfile::tempdir().unwrap();
    awkward::tree(dir.path());
    let below = || {
        let heads = heads(&packed(&[dir.path()], &Notes::default()).0);
        let name = dir.path().file_name().unwrap().as_bytes();
        let at = heads.iter().position(|head| head.path.ends_with(name)).unwrap();
        heads[at..].to_vec()
    };
    assert!(below() == below());
    awkward::open_up(dir.path());
}
