//! Several paths in one archive.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use chordage_node::archive::{Detail, Kind};

use super::super::pack::{PackError, pack_paths};
use super::super::selection::Selection;
use super::super::walk::measure_paths;
use super::{Newcomer, Notes, all, heads, paths_below};

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for path in ["a/one/deep", "a/one.b", "b/cache/keep", "c"] {
        fs::create_dir_all(dir.path().join(path)).unwrap();
    }
    for path in [
        "a/file",
        "a/one/deep/file",
        "a/one.b/file",
        "b/file.o",
        "b/cache/big",
        "b/cache/keep/file",
        "c/file",
    ] {
        fs::write(dir.path().join(path), path).unwrap();
    }
    symlink("a/one", dir.path().join("link")).unwrap();
    dir
}

fn pack(dir: &Path, paths: &[&str], patterns: &[&str], notes: &Notes) -> Vec<u8> {
    let patterns: Vec<String> = patterns.iter().map(|pattern| pattern.to_string()).collect();
    let selection = Selection::new(&patterns, &[], false).unwrap();
    let paths: Vec<PathBuf> = paths.iter().map(|path| dir.join(path)).collect();
    let mut archive = Vec::new();
    pack_paths(&paths, &selection, Detail::Full, &mut archive, notes, &mut Newcomer).unwrap();
    archive
}

#[test]
fn directories_above_come_once_and_all_is_in_order() {
    let dir = tree();
    let notes = Notes::default();
    let archive = pack(dir.path(), &["c", "a/one.b", "a/one/deep", "a/one/deep/file"], &[], &notes);
    let inside = ["a", "a/one", "a/one/deep", "a/one/deep/file", "a/one.b", "a/one.b/file", "c", "c/file"];
    assert_eq!(paths_below(&archive, dir.path()), inside);
    let heads = heads(&archive);
    let real = fs::canonicalize(dir.path()).unwrap();
    let above: Vec<&[u8]> = real
        .ancestors()
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .map(|path| &path.as_os_str().as_bytes()[1..])
        .collect();
    let first: Vec<&[u8]> = heads.iter().take(above.len()).map(|head| &head.path[..]).collect();
    assert_eq!(first, above);
    assert!(heads.iter().all(|head| head.full.is_some()));
    assert_eq!((notes.excluded.get(), notes.unreadable.borrow().len()), (0, 0));
}

#[test]
fn what_is_named_is_packed_whatever_patterns_say() {
    let dir = tree();
    let patterns = ["cache/", "*.o", "file"];
    let notes = Notes::default();
    let archive = pack(dir.path(), &["b"], &patterns, &notes);
    assert_eq!(paths_below(&archive, dir.path()), ["b"]);
    assert_eq!(notes.excluded.get(), 2);
    let archive = pack(dir.path(), &["b", "b/cache/keep", "b/file.o"], &patterns, &Notes::default());
    assert_eq!(paths_below(&archive, dir.path()), ["b", "b/cache", "b/cache/keep", "b/file.o"]);
    // Patterns see paths from the root of the file system.
    let rooted = format!("{}/b/cache", fs::canonicalize(dir.path()).unwrap().display());
    let archive = pack(dir.path(), &["b"], &[&rooted], &Notes::default());
    assert_eq!(paths_below(&archive, dir.path()), ["b", "b/file.o"]);
}

#[test]
fn symlinks_are_resolved_above_what_is_named_only() {
    let dir = tree();
    let below = |path: &str| paths_below(&pack(dir.path(), &[path], &[], &Notes::default()), dir.path());
    assert_eq!(below("link"), ["link"]);
    assert_eq!(below("link/"), ["a", "a/one", "a/one/deep", "a/one/deep/file"]);
    assert_eq!(below("link/deep"), ["a", "a/one", "a/one/deep", "a/one/deep/file"]);
    assert_eq!(below("c/../link/deep/../../file"), ["a", "a/file"]);
    let link = heads(&pack(dir.path(), &["link"], &[], &Notes::default())).pop().unwrap();
    assert_eq!(link.kind, Kind::Symlink { target: b"a/one".to_vec() });
}

#[test]
fn paths_that_are_not_there_are_told_and_the_others_packed() {
    let dir = tree();
    let notes = Notes::default();
    let archive = pack(dir.path(), &["nowhere", "no/where", "c"], &[], &notes);
    assert_eq!(paths_below(&archive, dir.path()), ["c", "c/file"]);
    let unreadable = notes.unreadable.borrow();
    let mut named: Vec<&PathBuf> = unreadable.iter().map(|(path, _)| path).collect();
    named.sort();
    let real = fs::canonicalize(dir.path()).unwrap();
    assert_eq!(named, [&dir.path().join("no/where"), &real.join("nowhere")]);
    assert!(unreadable.iter().all(|(_, error)| error.contains("No such file")), "{unreadable:?}");

    // Without full detail that is for the user to decide.
    let error =
        pack_paths(&[dir.path().join("nowhere")], &all(), Detail::Basic, Vec::new(), &notes, &mut Newcomer);
    assert!(matches!(error, Err(PackError::File { .. })), "{error:?}");
}

#[test]
fn what_is_measured_is_what_is_packed() {
    let dir = tree();
    fs::hard_link(dir.path().join("c/file"), dir.path().join("c/link")).unwrap();
    fs::File::create(dir.path().join("c/hole")).unwrap().set_len(1 << 30).unwrap();
    let notes = Notes::default();
    pack(dir.path(), &["a", "c"], &[], &notes);
    assert_eq!(measure_paths(&[dir.path().join("a"), dir.path().join("c")], &all()), notes.bytes.get());
    assert!(notes.bytes.get() > 1 << 30);
}

#[test]
fn the_data_directory_of_a_daemon_is_left_out() {
    let dir = tree();
    let data = dir.path().join("a/daemon");
    fs::create_dir(&data).unwrap();
    let one = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data-of-2026-11");
    for name in ["format", "key"] {
        fs::copy(one.join(name), data.join(name)).unwrap();
    }
    let notes = Notes::default();
    let archive = pack(dir.path(), &["a", "a/daemon/key"], &[], &notes);
    assert!(paths_below(&archive, dir.path()).iter().all(|path| !path.contains("daemon")));
    assert_eq!(notes.skipped.borrow().len(), 1);
}
