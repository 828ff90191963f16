//! Maps in memory: whatever is done to get there, equal content is one tree, and little changes are little trees.

mod entries;
mod files;
mod needs;
mod nodes;
mod reading;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::chunk::Pack;
use crate::ids::{ChunkId, ChunkKey};
use crate::redundancy::Redundancy;
use crate::sink::ChunkSink;

/// Chunks by the hash of their plaintext.
#[derive(Clone, Debug, Default)]
struct Store {
    chunks: BTreeMap<ChunkId, Bytes>,
    unsettled: Vec<ChunkRef>,
    loads: usize,
    /// Chunks that were told ahead.
    expected: usize,
}

fn reference(bytes: &[u8]) -> ChunkRef {
    ChunkRef {
        id: ChunkId(*blake3::hash(bytes).as_bytes()),
        key: ChunkKey([7; 32]),
        plain_len: bytes.len() as u32,
        redundancy: Some(Redundancy::new(2, 3).unwrap()),
    }
}

impl ChunkSink for Store {
    type Error = &'static str;

    fn submit(&mut self, pack: Pack) -> Result<(), Self::Error> {
        let chunk = reference(&pack);
        self.chunks.insert(chunk.id, Bytes::copy_from_slice(&pack));
        self.unsettled.push(chunk);
        Ok(())
    }

    fn barrier(&mut self) -> Result<Vec<ChunkRef>, Self::Error> {
        Ok(std::mem::take(&mut self.unsettled))
    }
}

impl NodeSource for Store {
    type Error = &'static str;

    fn load(&mut self, chunk: &ChunkRef) -> Result<Bytes, Self::Error> {
        self.loads += 1;
        self.chunks.get(&chunk.id).cloned().ok_or("no such chunk")
    }

    fn expect(&mut self, chunks: &[ChunkRef]) {
        self.expected += chunks.len();
    }
}

type Content = BTreeMap<Vec<u8>, Value>;

fn build(content: &Content) -> (MapRoot, Store) {
    let mut writer = ChunkWriter::new(Store::default());
    let mut builder = MapBuilder::new();
    for (key, value) in content {
        builder.push(&mut writer, key.clone(), value.clone()).unwrap();
    }
    let root = builder.finish(&mut writer).unwrap();
    (root, writer.into_sink())
}

/// Applies changes to a map in `store`, and puts there what is new.
fn change(root: &MapRoot, store: &mut Store, changes: BTreeMap<Vec<u8>, Change>) -> Edited {
    let mut writer = ChunkWriter::new(Store::default());
    let edited = edit(root, changes, store, &mut writer).unwrap();
    store.chunks.extend(writer.into_sink().chunks);
    edited
}

fn read(root: &MapRoot, store: &mut Store) -> Content {
    let mut cursor = Cursor::new(root);
    let mut content = Content::new();
    while let Some((key, value)) = cursor.next(store).unwrap() {
        content.insert(key, value.load(store).unwrap());
    }
    content
}

fn reach(root: &MapRoot, store: &mut Store) -> BTreeSet<ChunkId> {
    let mut reach = Reach::new();
    reach.add(root, store, |_| ()).unwrap();
    reach.chunks().copied().collect()
}

/// Keys such as files have, and values of which some need chunks and some are long.
fn content() -> impl Strategy<Value = Content> {
    let key = prop_oneof![
        3 => (0u32..4000).prop_map(|number| format!("usr/share/{number:05}").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let chunks = prop::collection::vec(any::<u8>(), 0..10)
        .prop_map(|numbers| numbers.iter().map(|number| reference(&[*number])).collect::<Vec<_>>());
    let bytes = prop_oneof![
        9 => prop::collection::vec(any::<u8>(), 0..60),
        1 => (1usize..3000).prop_map(|len| vec![len as u8; len]),
    ];
    let value = (bytes, chunks).prop_map(|(bytes, chunks)| Value { bytes, chunks });
    prop::collection::btree_map(key, value, 0..1500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_was_put_in_comes_out(content in content()) {
        let (root, mut store) = build(&content);
        prop_assert_eq!(root.keys, content.len() as u64);
        prop_assert_eq!(&read(&root, &mut store), &content);
        for (key, value) in content.iter().step_by(97) {
            let found = root.get(key, &mut store).unwrap().unwrap();
            prop_assert_eq!(&found.load(&mut store).unwrap(), value);
        }
        prop_assert_eq!(root.get(b"usr/share/", &mut store).unwrap(), None);
    }

    #[test]
    fn the_way_to_a_content_does_not_show_in_its_tree(
        before in content(), after in content(), steps in 1usize..4,
    ) {
        // Every key of either is changed, taken out or put in, in steps.
        let (mut root, mut store) = build(&before);
        let keys: BTreeSet<&Vec<u8>> = before.keys().chain(after.keys()).collect();
        for step in 0..steps {
            let part = keys.iter().skip(step).step_by(steps);
            let changes = part.map(|key| ((*key).clone(), after.get(*key).cloned())).collect();
            root = change(&root, &mut store, changes).root;
        }
        prop_assert_eq!(root, build(&after).0);
    }

    #[test]
    fn an_edit_says_which_nodes_it_wrote_and_which_are_left_over(before in content(), after in content()) {
        let (root, mut store) = build(&before);
        let some = after.iter().take(20);
        let mut changes: BTreeMap<_, _> = some.map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        changes.extend(before.keys().take(20).step_by(3).map(|key| (key.clone(), None)));
        let edited = change(&root, &mut store, changes.clone());
        let mut nodes_before = BTreeSet::new();
        nodes(&root, &mut store, &mut nodes_before);
        let mut nodes_after = BTreeSet::new();
        nodes(&edited.root, &mut store, &mut nodes_after);
        let dropped: BTreeSet<_> = edited.dropped.iter().map(|chunk| chunk.id).collect();
        prop_assert_eq!(dropped, nodes_before.difference(&nodes_after).copied().collect::<BTreeSet<_>>());
        let written: BTreeSet<_> = edited.written.iter().map(|chunk| chunk.id).collect();
        prop_assert!(nodes_after.difference(&nodes_before).all(|id| written.contains(id)));
        prop_assert!(written.is_subset(&reach(&edited.root, &mut store)));
    }

    #[test]
    fn differences_make_the_new_map_of_the_old_one(before in content(), after in content()) {
        let (old, mut store) = build(&before);
        let (new, more) = build(&after);
        store.chunks.extend(more.chunks);
        let mut differences = Differences::between(&old, &new);
        let mut changes = BTreeMap::new();
        while let Some(Difference { key, old, new }) = differences.next(&mut store).unwrap() {
            prop_assert_ne!(&old, &new);
            let load = |value: ValueRef, store: &mut Store| value.load(store).unwrap();
            prop_assert_eq!(old.map(|value| load(value, &mut store)), before.get(&key).cloned());
            let new = new.map(|value| load(value, &mut store));
            prop_assert_eq!(&new, &after.get(&key).cloned());
            prop_assert_eq!(changes.insert(key, new), None);
        }
        prop_assert_eq!(change(&old, &mut store, changes).root, new);
    }

    #[test]
    fn reading_begins_at_any_key(content in content(), key in prop::collection::vec(any::<u8>(), 0..6)) {
        let (root, mut store) = build(&content);
        for key in content.keys().step_by(211).chain([&key]) {
            let mut cursor = Cursor::seek(&root, key, &mut store).unwrap();
            let found = cursor.next(&mut store).unwrap().map(|(key, _)| key);
            prop_assert_eq!(found.as_ref(), content.range(key.clone()..).next().map(|(key, _)| key));
        }
    }

    #[test]
    fn strangers_nodes_are_refused_or_read(mut bytes in prop::collection::vec(any::<u8>(), 0..300), level in 0u8..3) {
        if let [version, at, ..] = &mut bytes[..] {
            (*version, *at) = (1, level);
        }
        if let Ok(node) = node::Node::decode(&bytes, level) {
            prop_assert!(node::Node::decode(&node.encode(), level).is_ok());
        }
    }
}

fn nodes(root: &MapRoot, store: &mut Store, found: &mut BTreeSet<ChunkId>) {
    let mut waiting = vec![(root.chunk, root.level)];
    while let Some((chunk, level)) = waiting.pop() {
        found.insert(chunk.id);
        for (_, item) in cursor::load_node(&chunk, level, store).unwrap().items {
            if let node::Item::Child(child) = item {
                waiting.push((child.chunk, level - 1));
            }
        }
    }
}

fn numbered(count: u32) -> Content {
    (0..count).map(|number| (format!("home/{:08}", number * 10).into_bytes(), Value::of(*b"entry"))).collect()
}

#[test]
fn one_change_of_many_keys_writes_a_node_of_each_level_and_reads_no_more() {
    let content = numbered(100_000);
    let (root, mut store) = build(&content);
    assert_eq!((root.level, root.keys), (2, 100_000));
    for number in (0..100_000u32).step_by(9973) {
        let key = format!("home/{:08}", number * 10).into_bytes();
        let changes = BTreeMap::from([(key, Some(Value::of(*b"other")))]);
        store.loads = 0;
        let edited = change(&root, &mut store, changes);
        assert_eq!((edited.written.len(), edited.dropped.len()), (3, 3));
        assert!(store.loads <= 10, "{} nodes read", store.loads);
        let mut differences = Differences::between(&root, &edited.root);
        store.loads = 0;
        assert!(differences.next(&mut store).unwrap().is_some());
        assert_eq!(differences.next(&mut store).unwrap(), None);
        assert!(store.loads <= 6, "{} nodes read", store.loads);
    }
}

#[test]
fn what_is_taken_out_in_front_moves_no_node_behind_it() {
    let content = numbered(100_000);
    let (root, mut store) = build(&content);
    let changes: BTreeMap<_, _> = content.keys().take(5000).map(|key| (key.clone(), None)).collect();
    let edited = change(&root, &mut store, changes);
    for (old, new) in [(&root, &edited.root), (&edited.root, &root)] {
        let mut differences = Differences::between(old, new);
        store.loads = 0;
        let mut count = 0;
        while differences.next(&mut store).unwrap().is_some() {
            count += 1;
        }
        assert_eq!((count, store.loads), (5000, edited.dropped.len() + edited.written.len()));
    }
}

#[test]
fn a_change_that_changes_nothing_writes_nothing() {
    let content = numbered(5000);
    let (root, mut store) = build(&content);
    let changes = BTreeMap::from([
        (b"home/00000010".to_vec(), Some(Value::of(*b"entry"))),
        (b"home/00000011".to_vec(), None),
    ]);
    store.loads = 0;
    let edited = change(&root, &mut store, changes);
    assert_eq!(edited, Edited { root, written: Vec::new(), dropped: Vec::new(), needs: Needs::new() });
    assert_eq!(store.loads, 2, "the nodes above are not made again");
}

#[test]
fn a_node_that_an_edit_made_again_is_neither_written_nor_left_over() {
    let content = numbered(5000);
    let (root, mut store) = build(&content);
    let changes = BTreeMap::from([
        (b"home/00000010".to_vec(), Some(Value::of(*b"entry"))),
        (b"home/00049990".to_vec(), Some(Value::of(*b"other"))),
    ]);
    let edited = change(&root, &mut store, changes);
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    nodes(&root, &mut store, &mut before);
    nodes(&edited.root, &mut store, &mut after);
    let ids = |chunks: &[ChunkRef]| chunks.iter().map(|chunk| chunk.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(&edited.dropped), before.difference(&after).copied().collect());
    assert_eq!(ids(&edited.written), after.difference(&before).copied().collect());
}

#[test]
fn a_map_can_be_emptied_and_filled_again() {
    let content = numbered(3000);
    let (root, mut store) = build(&content);
    let none = content.keys().map(|key| (key.clone(), None)).collect();
    let empty = change(&root, &mut store, none);
    assert_eq!(empty.root, build(&Content::new()).0);
    let all = content.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    assert_eq!(change(&empty.root, &mut store, all).root, root);
}

#[test]
fn versions_that_share_are_read_once() {
    let content = numbered(50_000);
    let (root, mut store) = build(&content);
    let changes = BTreeMap::from([(b"home/00000010".to_vec(), None)]);
    let edited = change(&root, &mut store, changes);
    let mut reach = Reach::new();
    reach.add(&root, &mut store, |_| ()).unwrap();
    store.loads = 0;
    let mut more = Vec::new();
    reach.add(&edited.root, &mut store, |chunk| more.push(chunk.id)).unwrap();
    assert!(store.loads <= 4, "{} nodes read", store.loads);
    assert_eq!(more.len(), edited.written.len());
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut writer = ChunkWriter::new(Store::default());
    let mut builder = MapBuilder::new();
    let long = vec![0; MAX_KEY_LEN + 1];
    assert_eq!(builder.push(&mut writer, long, Value::default()), Err(MapError::KeyTooLong(MAX_KEY_LEN + 1)));
    builder.push(&mut writer, b"b".to_vec(), Value::default()).unwrap();
    assert_eq!(builder.push(&mut writer, b"b".to_vec(), Value::default()), Err(MapError::Order));
    let huge = Value::of(vec![0; MAX_VALUE_LEN + 1]);
    assert!(matches!(builder.push(&mut writer, b"c".to_vec(), huge), Err(MapError::ValueTooLong(_))));
}

#[test]
fn a_parent_that_lies_about_its_child_is_found_out() {
    let content = numbered(2000);
    let (root, mut store) = build(&content);
    let top = cursor::load_node(&root.chunk, root.level, &mut store).unwrap();
    let mut lying = |change: &dyn Fn(&mut node::Node)| {
        let mut node = top.clone();
        change(&mut node);
        let encoded = node.encode();
        let chunk = reference(&encoded);
        store.chunks.insert(chunk.id, encoded.into());
        let mut cursor = Cursor::new(&MapRoot { chunk, keys: node.keys(), ..root });
        loop {
            match cursor.next(&mut store) {
                Ok(Some(_)) => {}
                other => break other.map(drop),
            }
        }
    };
    assert_eq!(lying(&|_| ()), Ok(()));
    let malformed = |result: Result<(), MapError<_>>| matches!(result, Err(MapError::Malformed(_)));
    assert!(malformed(lying(&|node| node.items[1].0.push(b'x'))));
    assert!(malformed(lying(&|node| {
        let (second, third) = (node.items[1].1.clone(), node.items[2].1.clone());
        (node.items[1].1, node.items[2].1) = (third, second);
    })));
    assert!(malformed(lying(&|node| {
        if let node::Item::Child(child) = &mut node.items[0].1 {
            child.keys += 1;
        }
    })));
}
