#![no_main]

use chordage_storage::{ChunkId, ChunkKey, EntryKind, EntryPath, Link, ManifestLoader, Step};
use libfuzzer_sys::fuzz_target;

/// The root is the input. When it refers to further chunks, their bytes are the input's end.
fuzz_target!(|bytes: &[u8]| {
    let id = ChunkId([1; 32]);
    let mut loader = ManifestLoader::new(&Link::Read { id, key: ChunkKey([2; 32]) }).unwrap();
    if loader.provide(&id, bytes.to_vec().into()).is_err() {
        return;
    }
    if let Step::Fetch(chunks) = loader.step() {
        for chunk in chunks {
            let len = (chunk.plain_len as usize).min(bytes.len());
            if loader.provide(&chunk.id, bytes[bytes.len() - len..].to_vec().into()).is_err() {
                return;
            }
        }
    }
    let Step::Ready(manifest) = loader.step() else { return };
    let mut last: Option<EntryPath> = None;
    let mut total = 0u64;
    for entry in manifest.entries() {
        assert!(last.as_ref().is_none_or(|last| *last < entry.path), "entries ascend");
        assert_eq!(EntryPath::new(entry.path.as_bytes()), Ok(entry.path.clone()));
        if let EntryKind::File(file) = &entry.kind {
            let mut sum = 0u64;
            for extent in manifest.extents(file, 0..u64::MAX) {
                assert!(extent.offset + extent.len <= extent.chunk.plain_len);
                sum += u64::from(extent.len);
            }
            assert_eq!(sum, file.size());
            total += sum;
            let middle = file.size() / 2;
            let part: u64 = manifest.extents(file, middle..middle + 10).map(|e| u64::from(e.len)).sum();
            assert_eq!(part, (file.size() - middle).min(10));
        }
        last = Some(entry.path);
    }
    assert_eq!(total, manifest.summary().bytes);
});
