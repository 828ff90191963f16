use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use chordage_api::Fingerprint;
use chordage_node::archive::ArchiveWriter;

use super::super::pack::{Memory, PackError, Watcher};
use super::super::selection::Selection;
use super::*;

#[derive(Default)]
struct Notes {
    skipped: std::cell::RefCell<Vec<(PathBuf, &'static str)>>,
}

impl Watcher for Notes {
    fn advance(&self, _bytes: u64) {}

    fn skipped(&self, path: &Path, what: &'static str) {
        self.skipped.borrow_mut().push((path.to_owned(), what));
    }
    fn unreadable(&self, _path: &Path, _error: &PackError) {}
    fn excluded(&self, _entries: u64) {}
}

/// Knows no file.
struct Newcomer;

impl Memory for Newcomer {
    fn unchanged(&mut self, _files: &[Fingerprint]) -> Result<Vec<bool>, PackError> {
        Ok(Vec::new())
    }
}

fn pack(dir: &Path, out: &mut Vec<u8>, watcher: &impl Watcher) -> Result<(), PackError> {
    let all = Selection::new(&[], &[], false).unwrap();
    super::super::pack::pack(dir, &all, out, watcher, &mut Newcomer)
}

fn packed(dir: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    pack(dir, &mut archive, &Notes::default()).unwrap();
    archive
}

/// An archive as a stranger might write it.
fn hostile(entries: &[(&str, Kind, &[u8])]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    for (path, kind, data) in entries {
        let mtime = Mtime::default();
        writer
            .begin(&Head {
                path: path.as_bytes().to_vec(),
                kind: kind.clone(),
                mode: 0o6755,
                mtime,
                full: None,
            })
            .unwrap();
        if !data.is_empty() {
            writer.data(data).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn set_mtime(path: &Path, seconds: i64, nanos: u32) {
    let times = times(Mtime { seconds, nanos });
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Everything that is to survive, as text to compare.
fn inventory(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(path) = stack.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(dir).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
        let content = if metadata.is_dir() {
            stack.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "dir".to_owned()
        } else if metadata.is_symlink() {
            format!("-> {:?}", fs::read_link(&path).unwrap())
        } else {
            format!("{:?}", fs::read(&path).unwrap())
        };
        let mode = metadata.mode();
        lines.push(format!("{name} {mode:o} {}.{:09} {content}", metadata.mtime(), metadata.mtime_nsec()));
    }
    lines.sort();
    lines
}

fn awkward_tree(root: &Path) {
    fs::create_dir_all(root.join("a/empty")).unwrap();
    fs::write(root.join("a/file"), b"content").unwrap();
    fs::write(root.join("a/no bytes"), b"").unwrap();
    fs::write(root.join("a.b"), vec![7; 70_000]).unwrap();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not \xff utf-8\n")), b"x").unwrap();
    fs::create_dir(root.join("n".repeat(255))).unwrap();
    fs::write(root.join("n".repeat(255)).join("m".repeat(200)), b"long").unwrap();
    symlink("../somewhere/else", root.join("dangling")).unwrap();
    fs::write(root.join("a/secret"), b"s").unwrap();
    fs::set_permissions(root.join("a/secret"), fs::Permissions::from_mode(0o400)).unwrap();
    set_mtime(&root.join("a/file"), 1_600_000_000, 123_456_789);
    set_mtime(&root.join("dangling"), -5, 1);
    set_mtime(&root.join("a"), 1_000_000_000, 999_999_999);
    fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o555)).unwrap();
    set_mtime(root, 42, 42);
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    awkward_tree(from.path());
    let done = unpack(&packed(from.path())[..], to.path(), Resumed::default(), None).unwrap();
    assert_eq!(inventory(to.path()), inventory(from.path()));
    assert_eq!((done.files, done.dirs, done.symlinks, done.single), (6, 3, 1, None));
    for dir in [from.path(), to.path()] {
        fs::set_permissions(dir.join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn equal_trees_give_equal_archives() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (dir, names) in [(one.path(), ["b", "a", "c"]), (two.path(), ["c", "b", "a"])] {
        for name in names {
            fs::write(dir.join(name), name).unwrap();
            set_mtime(&dir.join(name), 1, 1);
        }
        set_mtime(dir, 2, 2);
    }
    assert_eq!(packed(one.path()), packed(two.path()));
}

#[test]
fn directories_come_before_their_siblings_with_longer_names() {
    // `a.b` sorts before `a/` byte by byte, but what is in `a` belongs directly behind it.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    fs::write(dir.path().join("a/z"), b"").unwrap();
    fs::write(dir.path().join("a.b"), b"").unwrap();
    let archive = packed(dir.path());
    let mut reader = ArchiveReader::new(&archive[..]);
    let mut paths = Vec::new();
    while let Some(head) = reader.next_entry().unwrap() {
        paths.push(String::from_utf8(head.path).unwrap());
    }
    assert_eq!(paths, ["", "a", "a/z", "a.b"]);
}

#[test]
fn what_cannot_be_stored_is_skipped_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    let notes = Notes::default();
    pack(dir.path(), &mut Vec::new(), &notes).unwrap();
    assert_eq!(*notes.skipped.borrow(), [(dir.path().join("socket"), "a socket")]);
}

#[test]
fn a_large_file_that_changes_in_place_while_it_is_sent_is_named() {
    /// Overwrites a file as soon as its first bytes were sent.
    struct Meddler(PathBuf);
    impl Watcher for Meddler {
        fn advance(&self, _bytes: u64) {
            let file = File::options().write(true).open(&self.0).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"other", 0).unwrap();
        }
        fn skipped(&self, _path: &Path, _what: &'static str) {}
        fn unreadable(&self, _path: &Path, _error: &PackError) {}
        fn excluded(&self, _entries: u64) {}
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    fs::write(&path, vec![1; 5 << 20]).unwrap();
    let error = pack(dir.path(), &mut Vec::new(), &Meddler(path.clone())).unwrap_err();
    assert_eq!(error.to_string(), format!("{path:?} changes while it is read"));
    assert!(matches!(error, PackError::Midway(_)), "{error:?}");
}

#[test]
fn nothing_is_written_through_a_symlink() {
    let (outside, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = outside.path().as_os_str().as_bytes().to_vec();
    let archive =
        hostile(&[("a", Kind::Symlink { target }, b""), ("a/evil", Kind::File { size: 4 }, b"evil")]);
    let error = unpack(&archive[..], to.path(), Resumed::default(), None).unwrap_err();
    assert!(matches!(&error, UnpackError::File { doing: "enter", .. }), "{error}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn nothing_is_written_over_a_symlink_either() {
    let (outside, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = outside.path().join("victim");
    fs::write(&victim, b"intact").unwrap();
    let target = victim.as_os_str().as_bytes().to_vec();
    let archive = hostile(&[("a", Kind::Symlink { target }, b""), ("a", Kind::File { size: 4 }, b"evil")]);
    assert!(matches!(
        unpack(&archive[..], to.path(), Resumed::default(), None),
        Err(UnpackError::File { doing: "create", .. })
    ));
    assert_eq!(fs::read(victim).unwrap(), b"intact");
}

#[test]
fn names_that_lead_out_are_refused() {
    let to = tempfile::tempdir().unwrap();
    for name in ["../evil", "/tmp/evil", "a/../../evil"] {
        let archive = hostile(&[(name, Kind::File { size: 4 }, b"evil")]);
        let error = unpack(&archive[..], to.path(), Resumed::default(), None).unwrap_err();
        assert!(matches!(error, UnpackError::Archive(ReadError::Path { .. })), "{error}");
    }
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
}

#[test]
fn strangers_files_do_not_run_as_us() {
    let to = tempfile::tempdir().unwrap();
    unpack(&hostile(&[("tool", Kind::File { size: 1 }, b"x")])[..], to.path(), Resumed::default(), None)
        .unwrap();
    assert_eq!(fs::metadata(to.path().join("tool")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn an_archive_of_one_file_says_so() {
    let to = tempfile::tempdir().unwrap();
    let done =
        unpack(&hostile(&[("only", Kind::File { size: 1 }, b"x")])[..], to.path(), Resumed::default(), None)
            .unwrap();
    assert_eq!(done.single.as_deref(), Some(&b"only"[..]));
}
