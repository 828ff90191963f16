#![no_main]

use chordage_storage::volume::{FileNode, NodeKind, Value};
use chordage_storage::{ChunkId, ChunkKey, ChunkRef, Redundancy};
use libfuzzer_sys::fuzz_target;

fn reference(number: u8) -> ChunkRef {
    let (id, key) = (ChunkId([number; 32]), ChunkKey([7; 32]));
    ChunkRef { id, key, plain_len: 1000 * u32::from(number), redundancy: Redundancy::new(2, 3).ok() }
}

// How many chunks an entry has, and what it says. What is read can be written and read again; the data of a file lies
// where it has data, inside its chunks, and is all of it.
fuzz_target!(|bytes: &[u8]| {
    let [count, rest @ ..] = bytes else { return };
    let value = Value { bytes: rest.to_vec(), chunks: (1..=*count).map(reference).collect() };
    let node = match FileNode::from_value(&value) {
        Ok(node) => node,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(node.check(), Ok(()));
    assert!(node.metadata.mode <= 0o7777 && node.metadata.mtime_ns < 1_000_000_000);
    assert!(node.xattrs.is_sorted_by(|(a, _), (b, _)| a < b));
    if let NodeKind::File(content) = &node.kind {
        let mut sum = 0u64;
        for piece in &content.pieces {
            assert!(piece.len > 0 && piece.offset + piece.len <= piece.chunk.plain_len);
            sum += u64::from(piece.len);
        }
        assert_eq!(sum, content.data_len());
        let mut end = 0;
        for (offset, len) in content.segments.iter().flatten() {
            assert!(*offset >= end && *len > 0);
            end = offset + len;
        }
        assert!(end <= content.size);
    }
    let written = node.to_value();
    assert!(written.chunks.len() <= value.chunks.len());
    assert_eq!(FileNode::from_value(&written), Ok(node));
});
