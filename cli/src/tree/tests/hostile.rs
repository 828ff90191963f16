//! Archives of strangers, or of a daemon that lies.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chordage_node::archive::{ArchiveWriter, FullMetadata, Head, Kind, Mtime, Segment, SparseMap, Xattr};

use super::super::restore::{RestoreError, Restored, restore};
use super::is_root;

fn entry(path: &str, kind: Kind, full: FullMetadata) -> Head {
    let (path, full) = (path.as_bytes().to_vec(), Some(Box::new(full)));
    Head { path, kind, mode: 0o755, mtime: Mtime::default(), full }
}

fn mine() -> FullMetadata {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    FullMetadata { uid, gid, ..FullMetadata::default() }
}

fn archive(entries: &[(Head, &[u8])]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    for (head, data) in entries {
        writer.begin(head).unwrap();
        writer.data(data).unwrap();
    }
    writer.finish().unwrap()
}

fn simple(entries: &[(&str, Kind, &[u8])]) -> Vec<u8> {
    let entries: Vec<(Head, &[u8])> =
        entries.iter().map(|(path, kind, data)| (entry(path, kind.clone(), mine()), *data)).collect();
    archive(&entries)
}

fn into(target: &Path, archive: &[u8]) -> Restored {
    restore(archive, target, "", &|_| {}).unwrap()
}

fn symlink_to(path: &Path) -> Kind {
    Kind::Symlink { target: path.as_os_str().as_bytes().to_vec() }
}

#[test]
fn nothing_is_made_through_a_symlink_and_the_rest_is_restored() {
    let (outside, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = |size| Kind::File { size };
    let restored = into(
        to.path(),
        &simple(&[
            ("a", symlink_to(outside.path()), b""),
            ("a/evil", file(4), b"evil"),
            ("a/dir", Kind::Dir, b""),
            ("a/pipe", Kind::Fifo, b""),
            ("a/link", Kind::HardLink { target: b"good".to_vec() }, b""),
            ("good", file(4), b"good"),
        ]),
    );
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!((restored.files, restored.missed.failed), (1, 4));
    assert_eq!(fs::read(to.path().join("good")).unwrap(), b"good");
    let lines = restored.missed.describe();
    assert!(lines[0].starts_with("NOT restored: 4 entries; the first: cannot enter \"a\""), "{lines:?}");
}

#[test]
fn hard_links_lead_to_nothing_outside() {
    let (outside, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = outside.path().join("victim");
    fs::write(&victim, "intact").unwrap();
    let file = Kind::File { size: 4 };
    let restored = into(
        to.path(),
        &simple(&[
            ("dir", symlink_to(outside.path()), b""),
            ("file", symlink_to(&victim), b""),
            ("stolen", Kind::HardLink { target: b"dir/victim".to_vec() }, b""),
            // A second name of the symlink, and not of what it leads to.
            ("symlink", Kind::HardLink { target: b"file".to_vec() }, b""),
            ("symlink", file.clone(), b"evil"),
            ("file", file, b"evil"),
            ("missing", Kind::HardLink { target: b"nowhere".to_vec() }, b""),
            ("loop", Kind::HardLink { target: b"loop".to_vec() }, b""),
        ]),
    );
    assert_eq!((fs::read(&victim).unwrap(), fs::metadata(&victim).unwrap().nlink()), (b"intact".to_vec(), 1));
    assert_eq!((restored.symlinks, restored.hard_links, restored.files), (2, 1, 0));
    assert_eq!(restored.missed.failed, 5, "{:?}", restored.missed.named);
    assert!(fs::symlink_metadata(to.path().join("symlink")).unwrap().is_symlink());
}

#[test]
fn what_cannot_be_is_counted_and_told() {
    let to = tempfile::tempdir().unwrap();
    let huge = SparseMap { size: u64::MAX / 2, segments: vec![Segment { offset: 1 << 62, len: 4 }] };
    let nobody = FullMetadata { uid: u32::MAX, gid: u32::MAX, ..mine() };
    let xattrs = vec![Xattr { name: b"no such namespace".to_vec(), value: b"x".to_vec() }];
    let long = "n".repeat(256);
    let file = Kind::File { size: 4 };
    let mut set_id = entry("nobody's", file.clone(), nobody);
    set_id.mode = 0o6755;
    let device = Kind::CharDevice { major: 1 << 12, minor: 3 };
    let restored = into(
        to.path(),
        &archive(&[
            (entry("huge", file.clone(), FullMetadata { sparse: Some(huge), ..mine() }), b"data"),
            (set_id, b"tool"),
            (entry("attribute", file.clone(), FullMetadata { xattrs, ..mine() }), b"data"),
            (entry(&long, file.clone(), mine()), b"data"),
            (entry("twice", file.clone(), mine()), b"data"),
            (entry("twice", file, mine()), b"evil"),
            // The system would make device 0:3 of it.
            (entry("device", device, mine()), b""),
        ]),
    );
    let missed = &restored.missed;
    assert_eq!((missed.failed, missed.owners, missed.set_id, missed.attributes), (4, 1, 1, 1), "{missed:?}");
    assert_eq!(restored.files, 3);
    assert!(!to.path().join("huge").exists() && !to.path().join("device").exists());
    assert_eq!(fs::metadata(to.path().join("nobody's")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(fs::read(to.path().join("twice")).unwrap(), b"data");
    assert_eq!(missed.describe().len(), 4, "{:?}", missed.describe());
}

#[test]
fn an_archive_that_ends_early_leaves_only_whole_files() {
    let to = tempfile::tempdir().unwrap();
    let data = vec![7; 10_000];
    let whole = simple(&[
        ("dir", Kind::Dir, b""),
        ("dir/whole", Kind::File { size: 10_000 }, &data),
        ("dir/half", Kind::File { size: 10_000 }, &data),
    ]);
    let error = restore(&whole[..whole.len() - 6000], to.path(), "", &|_| {}).unwrap_err();
    let RestoreError::Stopped { done, .. } = &error else { panic!("{error}") };
    assert_eq!((done.files, done.bytes), (1, 10_000));
    let said = error.to_string();
    assert!(said.contains("the archive ends early, after \"dir/half\""), "{said}");
    assert!(said.contains("1 file with 9.77 KiB") && said.contains("nothing that follows"), "{said}");
    assert_eq!(fs::read(to.path().join("dir/whole")).unwrap(), data);
    assert!(!to.path().join("dir/half").exists());
    assert_eq!(fs::metadata(to.path().join("dir")).unwrap().mtime(), 0, "directories have their metadata");
}

#[test]
fn only_an_empty_directory_is_restored_into() {
    let to = tempfile::tempdir().unwrap();
    fs::write(to.path().join("mine"), "").unwrap();
    let empty = simple(&[]);
    let error = restore(&empty[..], to.path(), "", &|_| {}).unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty { .. }), "{error}");
    let error = restore(&empty[..], &to.path().join("mine"), "", &|_| {}).unwrap_err();
    assert!(matches!(error, RestoreError::Target { doing: "open", .. }), "{error}");
    let error = restore(&empty[..], &to.path().join("no/where"), "", &|_| {}).unwrap_err();
    assert!(error.to_string().ends_with("nothing was restored"), "{error}");
    into(&to.path().join("absent"), &empty);
    assert!(to.path().join("absent").is_dir());
}

#[test]
fn what_the_target_hands_down_is_not_taken_over() {
    const DEFAULT: &str = "system.posix_acl_default";
    let to = tempfile::tempdir().unwrap();
    let acl = super::awkward::acl(4711);
    if rustix::fs::setxattr(to.path(), DEFAULT, &acl, rustix::fs::XattrFlags::empty()).is_err() {
        eprintln!("not tested: the file system has no ACLs");
        return;
    }
    let target = to.path().join("target");
    let inner = [("dir", Kind::Dir, &b""[..]), ("dir/file", Kind::File { size: 1 }, b"x")];
    into(&target, &simple(&inner));
    let has =
        |path: &str, name: &str| rustix::fs::getxattr(target.join(path), name, &mut [0; 1000][..]).is_ok();
    for path in ["dir", "dir/file"] {
        assert!(!has(path, "system.posix_acl_access") && !has(path, DEFAULT), "{path}");
    }
    assert!(has(".", DEFAULT), "the archive does not say what the directory is to be");
    fs::remove_dir_all(&target).unwrap();
    into(&target, &simple(&[&[("", Kind::Dir, &b""[..])][..], &inner].concat()));
    assert!(!has(".", DEFAULT));
    assert!(is_root() || fs::metadata(&target).unwrap().mode() & 0o777 == 0o755);
}
