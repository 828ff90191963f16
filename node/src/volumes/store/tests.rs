//! From which state it is gone on.

use std::collections::BTreeMap;

use chordage_storage::volume::{MapBuilder, Value};

use super::super::view::tests::Memory;
use super::*;

fn stored(keys: u32, value: &[u8], memory: Memory) -> (MapRoot, Memory) {
    let mut writer = ChunkWriter::new(memory);
    let mut builder = MapBuilder::new();
    for number in 0..keys {
        builder.push(&mut writer, format!("key/{number:05}").into_bytes(), Value::of(value)).unwrap();
    }
    let root = builder.finish(&mut writer).unwrap();
    (root, writer.into_sink())
}

fn kept(root: &MapRoot) -> Option<KeptState> {
    let kept = KeptMap { object: ChunkId([1; 32]), state: root.encode().to_vec() };
    Some(KeptState { kept, root: *root })
}

/// What an error means that says that a chunk is not there.
fn not_there(error: &GetError) -> bool {
    matches!(error, GetError::Interrupted)
}

#[test]
fn what_is_kept_is_gone_on_from_unless_it_cannot_be_read_any_more() {
    let (old, memory) = stored(2000, b"old", Memory::default());
    let (new, mut memory) = stored(2000, b"new", memory);
    let all = Needs::between(None, &new, &mut memory).unwrap();
    let mut same = kept(&new);
    assert_eq!(needs_beside(&mut same, &new, &mut memory, not_there).unwrap(), Needs::new());
    let mut from = kept(&old);
    let needs = needs_beside(&mut from, &new, &mut memory, not_there).unwrap();
    assert!(from.is_some() && needs.less().count() > 2);
    let mut nothing = None;
    assert_eq!(needs_beside(&mut nothing, &new, &mut memory, not_there).unwrap(), all);
    // A state that is not there any more is no beginning, and one that cannot be reached now is no reason to begin
    // anew.
    let (_, mut other) = stored(2000, b"new", Memory::default());
    let unreachable = needs_beside(&mut from, &new, &mut other, |_| false);
    assert!(matches!(unreachable, Err(MapError::Chunk(GetError::Interrupted))) && from.is_some());
    assert_eq!(needs_beside(&mut from, &new, &mut other, not_there).unwrap(), all);
    assert!(from.is_none());
}

#[test]
fn a_node_that_was_made_is_read_by_whoever_makes_the_next_change_without_the_network() {
    struct Noting(Memory, BTreeMap<ChunkId, Bytes>);
    impl NodeSource for Noting {
        type Error = GetError;

        fn load(&mut self, chunk: &ChunkRef) -> Result<Bytes, GetError> {
            self.0.load(chunk)
        }

        fn made(&mut self, chunk: &ChunkRef, plain: Bytes) {
            self.1.insert(chunk.id, plain);
        }
    }
    let (root, memory) = stored(2000, b"old", Memory::default());
    let mut source = Noting(memory, BTreeMap::new());
    let mut writer = ChunkWriter::new(Memory::default());
    let changes = BTreeMap::from([(b"key/01000".to_vec(), Some(Value::of(*b"new")))]);
    let edited = edit(&root, changes, &mut source, &mut writer).unwrap();
    let mut stored = writer.into_sink();
    assert_eq!(source.1.len(), edited.written.len());
    for chunk in &edited.written {
        assert_eq!(source.1.get(&chunk.id), Some(&stored.load(chunk).unwrap()));
    }
}
