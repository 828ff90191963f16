#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use chordage_storage::volume::{
    ChunkWriter, Cursor, Differences, MAX_KEY_LEN, MapBuilder, MapRoot, NodeSource, Reach, Value, edit,
};
use chordage_storage::{ChunkId, ChunkKey, ChunkRef, ChunkSink, Pack, Redundancy};
use libfuzzer_sys::fuzz_target;

type Content = BTreeMap<Vec<u8>, Value>;

/// Nodes and long values of a stranger: which of them a chunk is says the first byte of its id. What is written stands
/// beside.
#[derive(Clone, Default)]
struct Store {
    theirs: Vec<Bytes>,
    ours: BTreeMap<ChunkId, Bytes>,
    unsettled: Vec<ChunkRef>,
}

impl NodeSource for Store {
    type Error = &'static str;

    fn load(&mut self, chunk: &ChunkRef) -> Result<Bytes, Self::Error> {
        let theirs = || self.theirs.get(usize::from(chunk.id.0[0]));
        self.ours.get(&chunk.id).or_else(theirs).cloned().ok_or("no such chunk")
    }
}

impl ChunkSink for Store {
    type Error = &'static str;

    fn submit(&mut self, pack: Pack) -> Result<(), Self::Error> {
        let id = ChunkId(*blake3::hash(&pack).as_bytes());
        self.ours.insert(id, Bytes::copy_from_slice(&pack));
        self.unsettled.push(reference(id, pack.len() as u32));
        Ok(())
    }

    fn barrier(&mut self) -> Result<Vec<ChunkRef>, Self::Error> {
        Ok(std::mem::take(&mut self.unsettled))
    }
}

fn reference(id: ChunkId, plain_len: u32) -> ChunkRef {
    ChunkRef { id, key: ChunkKey([7; 32]), plain_len, redundancy: Redundancy::new(2, 3).ok() }
}

/// All of a map, if it can be read: its keys ascend, and there are as many as it says.
fn read(root: &MapRoot, store: &mut Store) -> Option<Content> {
    let mut cursor = Cursor::new(root);
    let mut content = Content::new();
    while let Some((key, value)) = cursor.next(store).ok()? {
        assert!(key.len() <= MAX_KEY_LEN);
        assert!(content.last_key_value().is_none_or(|(last, _)| *last < key), "keys ascend");
        content.insert(key, value.load(store).ok()?);
    }
    assert_eq!(content.len() as u64, root.keys);
    Some(content)
}

fn written(root: &MapRoot, store: &mut Store, content: &Content) {
    assert_eq!(read(root, store).as_ref(), Some(content), "what was written can be read");
}

// Level of the root, and chunks behind their lengths, the root last. Whatever of it can be read can be looked up,
// compared, changed and written anew.
fuzz_target!(|bytes: &[u8]| {
    let [level, rest @ ..] = bytes else { return };
    let (mut rest, mut store) = (rest, Store::default());
    while let [a, b, tail @ ..] = rest {
        let (chunk, behind) = tail.split_at(tail.len().min(usize::from(u16::from_le_bytes([*a, *b]))));
        store.theirs.push(Bytes::copy_from_slice(chunk));
        rest = behind;
    }
    let last = store.theirs.len().saturating_sub(1) as u8;
    let start = MapRoot { chunk: reference(ChunkId([last; 32]), 1), level: *level, keys: 0 };
    let mut reach = Reach::new();
    let (mut needed, mut keys, mut chunks) = (0, 0, Vec::new());
    let inside = |_: &[u8], value: &Value, _: &mut Store| {
        keys += 1;
        chunks.extend(value.chunks.iter().map(|chunk| chunk.id));
        Ok(())
    };
    let reached = reach.add_each(&start, &mut store, &mut |_| needed += 1, inside).is_ok();
    assert_eq!(reach.len(), needed, "each is told once");
    assert!(!reached || chunks.iter().all(|chunk| reach.contains(chunk)));
    let root = MapRoot { keys, ..start };
    let Some(content) = read(&root, &mut store) else { return };
    for (key, value) in content.iter().step_by(content.len() / 8 + 1) {
        let found = root.get(key, &mut store).expect("it was read").expect("it is there");
        assert_eq!(found.load(&mut store).as_ref(), Ok(value));
        let behind = [key, &[0][..]].concat();
        let mut cursor = Cursor::seek(&root, &behind, &mut store).expect("it was read");
        let next = cursor.next(&mut store).expect("it was read").map(|(key, _)| key);
        assert_eq!(next.as_ref(), content.range(behind..).next().map(|(key, _)| key));
    }
    let mut same = Differences::between(&root, &root);
    assert_eq!(same.next(&mut store), Ok(None));

    // The same map by our own writer differs in where long values lie, and in no value.
    let mut writer = ChunkWriter::new(store.clone());
    let mut builder = MapBuilder::new();
    for (key, value) in &content {
        builder.push(&mut writer, key.clone(), value.clone()).expect("it was accepted");
    }
    let ours = builder.finish(&mut writer).expect("it is in memory");
    store = writer.into_sink();
    written(&ours, &mut store, &content);
    let mut differences = Differences::between(&root, &ours);
    while let Some(difference) = differences.next(&mut store).expect("both were read") {
        let [old, new] =
            [difference.old, difference.new].map(|value| value.map(|value| value.load(&mut store)));
        assert_eq!(old, new);
    }

    let mut after = content;
    let mut changes = BTreeMap::from([(b"new".to_vec(), Some(Value::of(*b"value")))]);
    if let Some(key) = after.keys().nth(after.len() / 2) {
        changes.entry(key.clone()).or_insert(None);
    }
    for (key, change) in &changes {
        match change {
            Some(value) => drop(after.insert(key.clone(), value.clone())),
            None => drop(after.remove(key)),
        }
    }
    let mut writer = ChunkWriter::new(store.clone());
    let edited = edit(&root, changes, &mut store, &mut writer).expect("it was read");
    written(&edited.root, &mut writer.into_sink(), &after);
});
