//! Restores that did not come to their end, and those that go on there.

use std::fs;
use std::path::Path;

use rustix::fs::FlockOperation;

use super::super::restore::{Missed, RestoreError, UNFINISHED, restore};
use super::inventory::differences;
use super::{Notes, awkward, is_root, packed};

/// Ends of archives that are tried.
const CUTS: usize = 24;

fn into(target: &Path, what: &str, archive: &[u8]) -> Result<Missed, RestoreError> {
    restore(archive, target, what, &|_| {}).map(|restored| restored.missed)
}

#[test]
fn a_part_says_so_and_becomes_the_whole() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = fs::canonicalize(from.path()).unwrap();
    awkward::tree(&root);
    fs::remove_file(root.join("socket")).unwrap();
    let (archive, _) = packed(&[&root], &Notes::default());
    for cut in 1..CUTS {
        let target = to.path().join(cut.to_string());
        // It ends early twice, the second time later.
        for end in [cut, (cut + CUTS) / 2] {
            into(&target, "it", &archive[..archive.len() * end / CUTS]).unwrap_err();
            assert_eq!(fs::read(target.join(UNFINISHED)).unwrap(), b"it");
            assert!(!target.join(format!("{UNFINISHED}.part")).exists());
        }
        // As a process leaves it that is killed.
        fs::write(target.join(format!("{UNFINISHED}.part")), "half").unwrap();
        let missed = into(&target, "it", &archive).unwrap();
        assert_eq!(missed.failed, 0, "{missed:?}");
        assert!(missed.is_empty() || !is_root(), "{missed:?}");
        let restored = target.join(root.strip_prefix("/").unwrap());
        assert_eq!(differences(&root, &restored), Vec::<String>::new());
        let names = fs::read_dir(&target).unwrap().count();
        assert_eq!(names, 1, "nothing of the restore itself is left");
        awkward::open_up(&restored);
    }
    awkward::open_up(&root);
}

#[test]
fn nobody_goes_on_with_something_else_or_beside_another() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = fs::canonicalize(from.path()).unwrap();
    fs::write(root.join("a"), "first").unwrap();
    fs::write(root.join("b"), "second").unwrap();
    let (archive, _) = packed(&[&root], &Notes::default());
    let target = to.path().join("target");
    into(&target, "this", &archive[..archive.len() / 2]).unwrap_err();
    let refused = into(&target, "that", &archive).unwrap_err();
    assert!(refused.to_string().contains("a part of something else"), "{refused}");
    let other = fs::File::open(target.join(UNFINISHED)).unwrap();
    rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
    let refused = into(&target, "this", &archive).unwrap_err();
    assert!(refused.to_string().contains("another command"), "{refused}");
    drop(other);
    // What somebody has made there meanwhile stays.
    let restored = target.join(root.strip_prefix("/").unwrap());
    fs::create_dir_all(&restored).unwrap();
    fs::write(restored.join("b"), "of the user").unwrap();
    let missed = into(&target, "this", &archive).unwrap();
    assert_eq!(missed.failed, 1, "{missed:?}");
    assert_eq!(fs::read(restored.join("a")).unwrap(), b"first");
    assert_eq!(fs::read(restored.join("b")).unwrap(), b"of the user");
    let refused = into(&target, "this", &archive).unwrap_err();
    assert!(matches!(refused, RestoreError::NotEmpty { .. }), "{refused}");
}
