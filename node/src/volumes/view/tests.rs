//! What is read of a map with changes is what would be read after they were stored.

use bytes::Bytes;
use chordage_storage::volume::{ChunkWriter, MapBuilder};
use chordage_storage::{ChunkId, ChunkKey, ChunkRef, ChunkSink, Pack, Redundancy};
use proptest::prelude::*;

use super::*;

/// Chunks in memory.
#[derive(Default)]
pub(in crate::volumes) struct Memory {
    chunks: BTreeMap<ChunkId, Bytes>,
    unsettled: Vec<ChunkRef>,
}

/// What stands for a chunk with these bytes.
pub(in crate::volumes) fn reference(bytes: &[u8]) -> ChunkRef {
    ChunkRef {
        id: ChunkId(*blake3::hash(bytes).as_bytes()),
        key: ChunkKey([7; 32]),
        plain_len: bytes.len() as u32,
        redundancy: Redundancy::new(2, 3).ok(),
    }
}

impl NodeSource for Memory {
    type Error = GetError;

    fn load(&mut self, chunk: &ChunkRef) -> Result<Bytes, GetError> {
        self.chunks.get(&chunk.id).cloned().ok_or(GetError::Interrupted)
    }
}

impl ChunkSink for Memory {
    type Error = GetError;

    fn submit(&mut self, pack: Pack) -> Result<(), GetError> {
        let chunk = reference(&pack);
        self.chunks.insert(chunk.id, Bytes::copy_from_slice(&pack));
        self.unsettled.push(chunk);
        Ok(())
    }

    fn barrier(&mut self) -> Result<Vec<ChunkRef>, GetError> {
        Ok(std::mem::take(&mut self.unsettled))
    }
}

type Content = BTreeMap<Vec<u8>, Value>;

fn stored(content: &Content) -> (MapRoot, Memory) {
    let mut writer = ChunkWriter::new(Memory::default());
    let mut builder = MapBuilder::new();
    for (key, value) in content {
        builder.push(&mut writer, key.clone(), value.clone()).unwrap();
    }
    let root = builder.finish(&mut writer).unwrap();
    (root, writer.into_sink())
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"ab/".to_vec()), 0..5)
}

fn content() -> impl Strategy<Value = Content> {
    prop::collection::btree_map(keys(), any::<u8>().prop_map(|byte| Value::of([byte])), 0..60)
}

fn changes() -> impl Strategy<Value = BTreeMap<Vec<u8>, Change>> {
    let change = prop::option::of(any::<u8>().prop_map(|byte| Value::of([byte])));
    prop::collection::btree_map(keys(), change, 0..40)
}

/// What moving should make of a map.
fn moved(content: &Content, Moving { from, to, copy }: &Moving) -> Content {
    let mut after = content.clone();
    for (key, value) in content.iter().filter(|(key, _)| key.starts_with(from)) {
        if !copy {
            after.remove(key);
        }
        after.insert([to, &key[from.len()..]].concat(), value.clone());
    }
    after
}

#[test]
fn more_than_are_allowed_are_not_moved_nor_to_longer_keys() {
    let content: Content = (0..3000u32).map(|n| (format!("a/{n:04}").into_bytes(), Value::of([1]))).collect();
    let (root, mut memory) = stored(&content);
    let moving = Moving { from: b"a/".to_vec(), to: b"bb/".to_vec(), copy: false };
    let mut view = View::new(Some(root), &mut memory);
    for (most, longest) in [(2999, 7), (3000, 6)] {
        let mark = view.mark();
        let refused = view.move_all(&moving, most, longest);
        assert!(matches!(refused, Err(VolumesError::BadChange(_))), "{refused:?}");
        view.restore(mark);
        assert_eq!(view.list(b"a/", None, 5000).unwrap().len(), 3000);
    }
    assert_eq!(view.move_all(&moving, 3000, 7).unwrap(), 3000);
    assert_eq!(view.into_changes().len(), 6000);
}

proptest! {
    #[test]
    fn keys_are_moved_as_in_any_map(
        before in prop::option::of(content()),
        changes in changes(),
        from in keys(),
        to in keys(),
        copy in any::<bool>(),
    ) {
        prop_assume!(!from.starts_with(&to) && !to.starts_with(&from));
        let mut expected = before.clone().unwrap_or_default();
        let (root, mut memory) = before.as_ref().map(stored).unzip();
        let mut memory = memory.take().unwrap_or_default();
        let mut view = View::new(root, &mut memory);
        for (key, change) in changes {
            view.change(key.clone(), change.clone());
            expected.remove(&key);
            expected.extend(change.map(|value| (key, value)));
        }
        let moving = Moving { from, to, copy };
        let count = expected.keys().filter(|key| key.starts_with(&moving.from)).count();
        prop_assert_eq!(view.move_all(&moving, usize::MAX, usize::MAX).unwrap(), count);
        let expected = moved(&expected, &moving);
        let all: Vec<_> = expected.into_iter().collect();
        prop_assert_eq!(view.list(b"", None, usize::MAX).unwrap(), all);
    }

    #[test]
    fn changes_stand_for_what_is_stored(
        before in prop::option::of(content()),
        changes in changes(),
        prefix in keys(),
        after in prop::option::of(keys()),
        most in 0usize..20,
    ) {
        let mut expected = before.clone().unwrap_or_default();
        let (root, mut memory) = before.as_ref().map(stored).unzip();
        let mut memory = memory.take().unwrap_or_default();
        let mut view = View::new(root, &mut memory);
        for (key, change) in &changes {
            match change {
                Some(value) => {
                    view.put(key.clone(), value.clone());
                    expected.insert(key.clone(), value.clone());
                }
                None => {
                    view.remove(key.clone());
                    expected.remove(key);
                }
            }
        }
        for key in [&prefix].into_iter().chain(changes.keys()) {
            prop_assert_eq!(view.get(key).unwrap(), expected.get(key).cloned());
        }
        let wanted = expected.iter().filter(|(key, _)| key.starts_with(&prefix));
        let wanted = wanted.filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after)).take(most);
        let wanted: Vec<_> = wanted.map(|(key, value)| (key.clone(), value.clone())).collect();
        prop_assert_eq!(view.list(&prefix, after.as_deref(), most).unwrap(), wanted);
        prop_assert_eq!(view.into_changes(), changes);
    }
}
