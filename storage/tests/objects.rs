//! Objects go in through the writer and come back through manifests, as a user of the crate would do it.

#![allow(clippy::unwrap_used)]

mod harness;

use chordage_storage::{
    EntryKind, EntryPath, Link, ManifestError, ManifestLoader, Metadata, ObjectKind, ObjectWriter,
    OrderError, Step, WriteError,
};
use harness::{Full, Network, file_of, noise, secret};
use proptest::prelude::*;

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

fn meta(mode: u32) -> Metadata {
    Metadata { mode, mtime_s: -86_400, mtime_ns: 999_999_999 }
}

fn put_file(network: Network, bytes: &[u8]) -> (Link, Network, u64) {
    let mut writer = ObjectWriter::file(network, &secret(), meta(0o644)).unwrap();
    writer.write(bytes).unwrap();
    let written = writer.finish().unwrap();
    (written.link, written.sink, written.packed_bytes)
}

#[test]
fn a_tree_comes_back_with_everything_in_it() {
    let mut writer = ObjectWriter::tree(Network::new("4/10"), &secret(), meta(0o755)).unwrap();
    writer.directory(&path("empty directory"), meta(0o700)).unwrap();
    writer.directory(&path("src"), meta(0o2775)).unwrap();
    writer.begin_file(&path("src/empty"), meta(0)).unwrap();
    writer.end_file().unwrap();
    writer.begin_file(&EntryPath::new(*b"src/na\xffme\n").unwrap(), meta(0o4755)).unwrap();
    writer.write(b"bytes").unwrap();
    writer.end_file().unwrap();
    writer.symlink(&path("src/up"), b"../../elsewhere", meta(0o777)).unwrap();
    let large = noise(5_000_000, 1);
    writer.begin_file(&path("video"), meta(0o600)).unwrap();
    for part in large.chunks(65_536) {
        writer.write(part).unwrap();
    }
    writer.end_file().unwrap();
    let written = writer.finish().unwrap();
    assert_eq!(written.packed_bytes, 5_000_005);

    let mut network = written.sink;
    let manifest = network.load(&written.link);
    assert_eq!(manifest.kind(), ObjectKind::Tree);
    assert_eq!(manifest.summary(), written.summary);
    let summary = manifest.summary();
    assert_eq!((summary.files, summary.directories, summary.symlinks), (3, 2, 1));
    assert_eq!(summary.bytes, 5_000_005);
    let entries: Vec<_> = manifest.entries().collect();
    let paths: Vec<_> = entries.iter().map(|entry| entry.path.as_bytes()).collect();
    let expected: Vec<&[u8]> =
        vec![b"", b"empty directory", b"src", b"src/empty", b"src/na\xffme\n", b"src/up", b"video"];
    assert_eq!(paths, expected);
    assert_eq!(entries[2].metadata, meta(0o2775));
    assert_eq!(entries[5].kind, EntryKind::Symlink { target: b"../../elsewhere".to_vec() });
    assert_eq!(entries[0].kind, EntryKind::Directory);
    assert!(network.read(&manifest, &file_of(&entries[6]), 0..u64::MAX) == large);
    assert_eq!(network.read(&manifest, &file_of(&entries[4]), 1..3), b"yt");
    assert_eq!(network.read(&manifest, &file_of(&entries[3]), 0..10), b"");

    let video = manifest.entry(&path("video")).unwrap();
    assert_eq!(video, entries[6]);
    assert_eq!(manifest.entry(&path("src/nothing")), None);
    assert!(manifest.file().is_none());
    let all = manifest.chunks().count();
    assert_eq!(all, summary.chunks as usize + written.manifest_chunks as usize);
    assert!(manifest.chunks().all(|chunk| network.chunks.contains_key(&chunk.id)));
}

#[test]
fn a_range_in_the_middle_of_a_large_file_takes_the_root_and_one_chunk() {
    let bytes = noise(40 << 20, 3);
    let (link, mut network, _) = put_file(Network::new("1/1"), &bytes);
    let loader = ManifestLoader::new(&link).unwrap();
    assert!(matches!(loader.step(), Step::Fetch(chunks) if chunks.len() == 1));
    let manifest = network.load(&link);
    assert_eq!(manifest.chunks().count(), 1 + manifest.summary().chunks as usize);
    let file = manifest.file().unwrap();
    let extents: Vec<_> = manifest.extents(&file, 20 << 20..(20 << 20) + 10).collect();
    assert!(extents.len() <= 2, "{extents:?}");
    assert_eq!(network.read(&manifest, &file, 20 << 20..(20 << 20) + 10), bytes[20 << 20..][..10]);
}

#[test]
fn a_manifest_too_long_for_its_root_goes_into_chunks_of_its_own() {
    let mut writer = ObjectWriter::tree(Network::new("3/6"), &secret(), meta(0o755)).unwrap();
    for i in 0..60_000u64 {
        writer.begin_file(&path(&format!("a file with a rather long name {i:08}")), meta(0o644)).unwrap();
        writer.write(&i.to_le_bytes()).unwrap();
        writer.end_file().unwrap();
    }
    let written = writer.finish().unwrap();
    assert!(written.manifest_chunks >= 3, "{}", written.manifest_chunks);
    let mut network = written.sink;
    let manifest = network.load(&written.link);
    assert_eq!(manifest.summary().files, 60_000);
    for i in [0u64, 31_234, 59_999] {
        let entry = manifest.entry(&path(&format!("a file with a rather long name {i:08}"))).unwrap();
        assert_eq!(network.read(&manifest, &file_of(&entry), 0..8), i.to_le_bytes());
    }
}

#[test]
fn five_thousand_small_files_are_a_few_dozen_chunks() {
    let mut writer = ObjectWriter::tree(Network::new("1/1"), &secret(), meta(0o755)).unwrap();
    for i in 0..5000u64 {
        writer.begin_file(&path(&format!("{i:05}")), meta(0o644)).unwrap();
        writer.write(&noise(10_000, i)).unwrap();
        writer.end_file().unwrap();
    }
    let written = writer.finish().unwrap();
    let chunks = written.summary.chunks + written.manifest_chunks;
    assert!((20..40).contains(&chunks), "{chunks}");
}

#[test]
fn the_same_tree_makes_the_same_link_and_equal_files_take_no_room() {
    let put = |network: Network, names: [&str; 2]| {
        let mut writer = ObjectWriter::tree(network, &secret(), meta(0o755)).unwrap();
        for name in names {
            writer.begin_file(&path(name), meta(0o644)).unwrap();
            writer.write(&noise(700_000, 8)).unwrap();
            writer.end_file().unwrap();
        }
        writer.finish().unwrap()
    };
    let first = put(Network::new("4/10"), ["a", "b"]);
    assert_eq!((first.packed_bytes, first.summary.bytes), (700_000, 1_400_000));
    let link = first.link;
    let chunks = first.sink.chunks.len();
    let second = put(first.sink, ["a", "b"]);
    assert_eq!(second.link, link);
    assert_eq!(second.sink.chunks.len(), chunks);
    let renamed = put(second.sink, ["a", "c"]);
    assert_ne!(renamed.link, link);
    assert_eq!(renamed.sink.chunks.len(), chunks + 1, "only the root is new");
}

#[test]
fn mistakes_of_the_caller_and_of_the_sink_are_typed() {
    let mut network = Network::new("1/1");
    network.fail_at = Some(1);
    let mut writer = ObjectWriter::tree(network, &secret(), meta(0o755)).unwrap();
    assert_eq!(writer.write(b"x"), Err(WriteError::NoFileOpen));
    assert_eq!(writer.end_file(), Err(WriteError::NoFileOpen));
    writer.begin_file(&path("b"), meta(0)).unwrap();
    assert_eq!(writer.directory(&path("c"), meta(0)), Err(WriteError::FileOpen));
    writer.end_file().unwrap();
    assert_eq!(writer.directory(&path("a"), meta(0)), Err(WriteError::Order(OrderError::OutOfOrder)));
    assert_eq!(writer.directory(&path("x/y"), meta(0)), Err(WriteError::Order(OrderError::NoParent)));
    assert_eq!(writer.directory(&path("c"), meta(0o10000)), Err(WriteError::OutOfRange));
    assert_eq!(writer.symlink(&path("c"), b"a\0b", meta(0)), Err(WriteError::OutOfRange));
    assert_eq!(writer.symlink(&path("c"), b"", meta(0)), Err(WriteError::OutOfRange));
    writer.begin_file(&path("c"), meta(0)).unwrap();
    assert_eq!(writer.write(&noise(20 << 20, 0)), Err(WriteError::Sink(Full)));
}

#[test]
fn a_link_to_something_else_is_not_a_manifest() {
    let mut network = Network::new("1/1");
    let chunk = network.put_raw(b"just some data".to_vec());
    let link = Link::Read { id: chunk.id, key: chunk.key };
    assert_eq!(network.try_load(&link).unwrap_err(), ManifestError::NotAManifest);
    let future = network.put_raw(b"chmf\x02\x01\0\0and so on".to_vec());
    let link = Link::Read { id: future.id, key: future.key };
    assert_eq!(network.try_load(&link).unwrap_err(), ManifestError::UnsupportedVersion(2));
    assert_eq!(ManifestLoader::new(&link.to_verify()).unwrap_err(), ManifestError::NoKey);

    let mut loader = ManifestLoader::new(&link).unwrap();
    let stranger = loader.provide(&chunk.id, b"chunk".to_vec().into());
    assert_eq!(stranger, Err(ManifestError::Unexpected(chunk.id)));
}

#[test]
fn a_root_with_any_byte_changed_is_refused_or_harmless() {
    let mut writer = ObjectWriter::tree(Network::new("1/1"), &secret(), meta(0o755)).unwrap();
    writer.directory(&path("d"), meta(0o755)).unwrap();
    writer.begin_file(&path("d/f"), meta(0o644)).unwrap();
    writer.write(&noise(3_000_000, 5)).unwrap();
    writer.end_file().unwrap();
    writer.symlink(&path("d/l"), b"f", meta(0o777)).unwrap();
    let written = writer.finish().unwrap();
    let mut network = written.sink;
    let Step::Fetch(root) = ManifestLoader::new(&written.link).unwrap().step() else { panic!() };
    let good = network.fetch(&root[0]).to_vec();
    for at in 0..good.len() {
        for flip in [1u8, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            let mut loader = ManifestLoader::new(&written.link).unwrap();
            if loader.provide(&root[0].id, bad.into()).is_ok()
                && let Step::Ready(manifest) = loader.step()
            {
                // What still loads can be walked and read without harm.
                for entry in manifest.entries() {
                    if let EntryKind::File(file) = &entry.kind {
                        let sum: u64 = manifest.extents(file, 0..u64::MAX).map(|e| u64::from(e.len)).sum();
                        assert_eq!(sum, file.size());
                    }
                }
            }
        }
        let mut loader = ManifestLoader::new(&written.link).unwrap();
        assert!(loader.provide(&root[0].id, good[..at].to_vec().into()).is_err(), "cut at {at}");
    }
}

/// A random tree: names from a small alphabet so that prefixes and nesting are common.
fn tree() -> impl Strategy<Value = Vec<(String, u8, usize)>> {
    prop::collection::vec(("[ab-]{1,3}(/[ab-]{1,2}){0,3}", 0u8..3, 0usize..400_000), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tree_and_any_range_comes_back(wishes in tree(), start in 0u64..500_000, len in 0u64..500_000) {
        // Make a well-formed tree of the wishes: parents become directories.
        let mut entries = std::collections::BTreeMap::new();
        for (seed, (name, kind, size)) in (0u64..).zip(wishes) {
            let full = path(&name);
            let mut parent = EntryPath::root();
            let parts: Vec<_> = full.components().map(<[u8]>::to_vec).collect();
            for part in &parts[..parts.len() - 1] {
                parent = parent.join(part).unwrap();
                entries.insert(parent.clone(), (0u8, 0usize, seed));
            }
            entries.entry(full).or_insert((kind, size, seed));
        }
        let mut writer = ObjectWriter::tree(Network::new("2/3"), &secret(), meta(0o755)).unwrap();
        for (path, (kind, size, seed)) in &entries {
            match kind {
                0 => writer.directory(path, meta(0o700)).unwrap(),
                1 => writer.symlink(path, format!("target {seed}").as_bytes(), meta(0o777)).unwrap(),
                _ => {
                    writer.begin_file(path, meta(0o644)).unwrap();
                    writer.write(&noise(*size, seed % 3)).unwrap();
                    writer.end_file().unwrap();
                }
            }
        }
        let written = writer.finish().unwrap();
        let mut network = written.sink;
        let manifest = network.load(&written.link);
        prop_assert_eq!(manifest.entries().count(), entries.len() + 1);
        for entry in manifest.entries().skip(1) {
            let (kind, size, seed) = &entries[&entry.path];
            match &entry.kind {
                EntryKind::Directory => prop_assert_eq!(*kind, 0),
                EntryKind::Symlink { target } => {
                    prop_assert_eq!(target, &format!("target {seed}").into_bytes());
                }
                EntryKind::File(file) => {
                    let content = noise(*size, seed % 3);
                    prop_assert!(network.read(&manifest, file, 0..u64::MAX) == content);
                    let to = (start + len).min(content.len() as u64);
                    let part = &content[start.min(to) as usize..to as usize];
                    prop_assert!(network.read(&manifest, file, start..start + len) == part);
                }
            }
            prop_assert_eq!(manifest.entry(&entry.path), Some(entry));
        }
    }
}
