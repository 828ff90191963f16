//! Files that are written to while they are read.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use chordage_node::archive::{ArchiveReader, Detail, Kind};

use super::super::pack::{Flaw, PackError, Packed, Watcher, pack_paths};
use super::{Newcomer, Notes, all, heads};

/// Does something to a file as soon as its first bytes were sent.
struct Meddler<F> {
    notes: Notes,
    done: AtomicBool,
    meddle: F,
}

impl<F: Fn()> Watcher for Meddler<F> {
    fn advance(&self, bytes: u64) {
        self.notes.advance(bytes);
        if !self.done.swap(true, Ordering::Relaxed) {
            (self.meddle)();
        }
    }
    fn skipped(&self, path: &Path, what: &'static str) {
        self.notes.skipped(path, what);
    }
    fn unreadable(&self, path: &Path, error: &PackError) {
        self.notes.unreadable(path, error);
    }
    fn excluded(&self, entries: u64) {
        self.notes.excluded(entries);
    }
    fn flawed(&self, path: &Path, flaw: &Flaw) {
        self.notes.flawed(path, flaw);
    }
}

/// Packs the file at `path` while somebody does this to it.
fn packed_while(path: &Path, meddle: impl Fn()) -> (Vec<u8>, Packed, Notes) {
    let meddler = Meddler { notes: Notes::default(), done: AtomicBool::new(false), meddle };
    let mut archive = Vec::new();
    let paths = [path.to_owned()];
    let packed = pack_paths(&paths, &all(), Detail::Full, &mut archive, &meddler, &mut Newcomer).unwrap();
    (archive, packed, meddler.notes)
}

/// The content of the last file in an archive.
fn content(archive: &[u8]) -> Vec<u8> {
    let mut reader = ArchiveReader::with_detail(archive, Detail::Full);
    let mut content = Vec::new();
    while reader.next_entry().unwrap().is_some() {
        content.clear();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                length => content.extend_from_slice(&buffer[..length]),
            }
        }
    }
    content
}

fn image(bytes: usize) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(dir.path()).unwrap().join("image");
    fs::write(&path, vec![1; bytes]).unwrap();
    (dir, path)
}

#[test]
fn a_large_file_that_changes_is_packed_and_told() {
    let (_dir, path) = image(5 << 20);
    let (archive, packed, notes) = packed_while(&path, || {
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"other", 5 << 20).unwrap();
    });
    assert_eq!(*notes.flawed.borrow(), [(path, Flaw::Changed.to_string())]);
    assert_eq!((packed.files, notes.unreadable.borrow().len()), (1, 0));
    assert_eq!(content(&archive), vec![1; 5 << 20], "as long as it was said to be");
}

#[test]
fn of_a_large_file_that_becomes_shorter_the_rest_is_zeros() {
    let (_dir, path) = image(5 << 20);
    let cut = 4 << 20;
    let (archive, _, notes) = packed_while(&path, || {
        File::options().write(true).open(&path).unwrap().set_len(cut).unwrap();
    });
    assert_eq!(*notes.flawed.borrow(), [(path, Flaw::Changed.to_string())]);
    let content = content(&archive);
    assert_eq!(content.len(), 5 << 20);
    let (kept, lost) = content.split_at(cut as usize);
    assert!(kept.iter().all(|byte| *byte == 1) && lost.iter().all(|byte| *byte == 0));
}

#[test]
fn a_file_that_is_always_written_to_does_not_hold_up_the_others() {
    let (dir, path) = image(1000);
    fs::write(dir.path().join("other"), "in peace").unwrap();
    let stop = AtomicBool::new(false);
    let paths = [dir.path().to_path_buf()];
    std::thread::scope(|scope| {
        let _writer = scope.spawn(|| {
            let file = File::options().write(true).open(&path).unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all_at(b"again", 0).unwrap();
            }
        });
        let mut archive = Vec::new();
        let notes = Notes::default();
        let packed = pack_paths(&paths, &all(), Detail::Full, &mut archive, &notes, &mut Newcomer);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(packed.unwrap().files, 2);
        let flawed = notes.flawed.borrow();
        // Where the writer got no time for a while, it was read in peace.
        assert!(flawed.is_empty() || *flawed == [(path.clone(), Flaw::Changed.to_string())], "{flawed:?}");
        let mut reader = ArchiveReader::with_detail(&archive[..], Detail::Full);
        while let Some(head) = reader.next_entry().unwrap() {
            if head.path.ends_with(b"/image") {
                assert_eq!((head.kind, reader.fingerprint()), (Kind::File { size: 1000 }, None));
            }
        }
    });
}

#[test]
fn a_file_that_gives_more_than_it_says_is_told() {
    // As many bytes as nobody knows before: none, it says.
    let path = PathBuf::from("/proc/self/status");
    let (archive, _, notes) = packed_while(&path, || {});
    let told = notes.flawed.borrow();
    let real = fs::canonicalize(&path).unwrap();
    assert!(told.iter().any(|(path, flaw)| *path == real && *flaw == Flaw::Changed.to_string()), "{told:?}");
    assert_eq!(heads(&archive).pop().unwrap().kind, Kind::File { size: 0 });
}
