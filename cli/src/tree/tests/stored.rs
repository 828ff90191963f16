//! Files that are stored already.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use chordage_api::{Fingerprint, fingerprint};
use chordage_node::archive::{ArchiveReader, Detail, Kind, Segment};

use super::super::pack::{Memory, PackError, pack, pack_paths};
use super::{Newcomer, Notes, all};

/// Knows these.
struct Known(BTreeSet<Fingerprint>);

impl Memory for Known {
    fn unchanged(&mut self, files: &[Fingerprint]) -> Result<Vec<bool>, PackError> {
        Ok(files.iter().map(|file| self.0.contains(file)).collect())
    }
}

/// What the files in an archive are to be catalogued under, by their names.
fn catalogued(archive: &[u8]) -> BTreeMap<String, Fingerprint> {
    let mut reader = ArchiveReader::with_detail(archive, Detail::Full);
    let mut catalogued = BTreeMap::new();
    while let Some(head) = reader.next_entry().unwrap() {
        let name = String::from_utf8_lossy(&head.path).rsplit('/').next().unwrap().to_owned();
        catalogued.extend(reader.fingerprint().map(|fingerprint| (name, fingerprint)));
    }
    catalogued
}

#[test]
fn what_is_stored_already_is_not_sent_but_all_that_is_said_about_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("dense"), "content").unwrap();
    fs::hard_link(path("dense"), path("link")).unwrap();
    let sparse = File::create(path("sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    sparse.write_all_at(&[7; 4096], 1 << 20).unwrap();
    std::thread::sleep(Duration::from_millis(2100));

    let full = |memory: &mut dyn FnMut(&[Fingerprint]) -> Vec<bool>| {
        struct Asked<'a>(&'a mut dyn FnMut(&[Fingerprint]) -> Vec<bool>);
        impl Memory for Asked<'_> {
            fn unchanged(&mut self, files: &[Fingerprint]) -> Result<Vec<bool>, PackError> {
                Ok(self.0(files))
            }
        }
        let mut archive = Vec::new();
        let paths = [dir.path().to_path_buf()];
        let notes = Notes::default();
        let packed =
            pack_paths(&paths, &all(), Detail::Full, &mut archive, &notes, &mut Asked(memory)).unwrap();
        (archive, packed, notes)
    };
    let (first, _, before) = full(&mut |_| Vec::new());
    let known = catalogued(&first);
    let of_file = |name: &str| fingerprint(&fs::metadata(path(name)).unwrap());
    assert_eq!(known.keys().collect::<Vec<_>>(), ["dense", "sparse"]);
    assert_eq!(known["dense"], of_file("dense"), "the same content as in a put");
    assert_ne!(known["sparse"], of_file("sparse"), "in a put the holes are content too");

    let all_known: BTreeSet<Fingerprint> = known.values().copied().collect();
    let (second, packed, notes) =
        full(&mut |files| files.iter().map(|file| all_known.contains(file)).collect());
    assert_eq!((packed.files, packed.unchanged, packed.hard_links, packed.bytes), (2, 2, 1, 7 + 4096));
    assert_eq!(notes.bytes.get(), before.bytes.get());
    let heads = super::heads(&second);
    let [dense, link, sparse] = &heads[heads.len() - 3..] else { panic!("{heads:?}") };
    assert_eq!(dense.kind, Kind::Unchanged { fingerprint: known["dense"] });
    assert_eq!(sparse.kind, Kind::Unchanged { fingerprint: known["sparse"] });
    assert_eq!(link.kind, Kind::HardLink { target: dense.path.clone() });
    let group = |head: &chordage_node::archive::Head| head.full.as_ref().unwrap().link_group;
    assert_eq!((group(dense), group(link), group(sparse)), (Some(1), Some(1), None));
    let map = sparse.sparse().unwrap();
    assert_eq!((map.size, &map.segments[..]), (1 << 30, &[Segment { offset: 1 << 20, len: 4096 }][..]));
    assert_eq!(map.fingerprint(&of_file("sparse")), known["sparse"]);

    // What a put has stored of it is not what a backup needs, nor the other way round.
    let as_put = BTreeSet::from([of_file("sparse"), of_file("dense")]);
    let (_, packed, _) = full(&mut |files| files.iter().map(|file| as_put.contains(file)).collect());
    assert_eq!(packed.unchanged, 1);
    assert!(!put_knows(dir.path(), known["sparse"]));
}

/// Whether a put leaves out what is stored under this.
fn put_knows(dir: &Path, fingerprint: Fingerprint) -> bool {
    let mut archive = Vec::new();
    let mut known = Known(BTreeSet::from([fingerprint]));
    pack(dir, &all(), &mut archive, &Notes::default(), &mut known).unwrap();
    let mut reader = ArchiveReader::new(&archive[..]);
    std::iter::from_fn(|| reader.next_entry().unwrap())
        .any(|head| matches!(head.kind, Kind::Unchanged { .. }))
}

#[test]
fn a_put_holds_what_it_always_held() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "content").unwrap();
    fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
    File::create(dir.path().join("c")).unwrap().set_len(100_000).unwrap();
    let mut archive = Vec::new();
    pack(dir.path(), &all(), &mut archive, &Notes::default(), &mut Newcomer).unwrap();
    let mut reader = ArchiveReader::new(&archive[..]);
    let heads: Vec<_> = std::iter::from_fn(|| reader.next_entry().unwrap()).collect();
    let sizes: Vec<Kind> = heads.iter().map(|head| head.kind.clone()).collect();
    let file = |size| Kind::File { size };
    assert_eq!(sizes, [Kind::Dir, file(7), file(7), file(100_000)]);
    assert!(heads.iter().all(|head| head.full.is_none()));
}
