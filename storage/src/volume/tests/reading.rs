//! Reading: what lies between two leaves, who is told ahead, what is needed, and parents that lie.

use super::super::node::{Child, Item, Node};
use super::*;

/// Puts a node into the store; returns it as the child of another.
fn put(store: &mut Store, node: &Node) -> (Vec<u8>, Item) {
    let encoded = node.encode();
    let chunk = reference(&encoded);
    store.chunks.insert(chunk.id, encoded.into());
    (node.items[0].0.clone(), Item::Child(Child { chunk, keys: node.keys() }))
}

fn leaf(store: &mut Store, keys: &[&[u8]]) -> (Vec<u8>, Item) {
    let value = || Item::Value(ValueRef::Inline(Value::default()));
    put(store, &Node { level: 0, items: keys.iter().map(|key| (key.to_vec(), value())).collect() })
}

/// Reads all keys below some nodes of a level.
fn read_below(
    store: &mut Store,
    level: u8,
    items: Vec<(Vec<u8>, Item)>,
) -> Result<Vec<Vec<u8>>, MapError<&'static str>> {
    let top = Node { level: level + 1, items };
    let (_, Item::Child(Child { chunk, keys })) = put(store, &top) else { unreachable!() };
    let mut cursor = Cursor::new(&MapRoot { chunk, level: level + 1, keys });
    let mut found = Vec::new();
    while let Some((key, _)) = cursor.next(store)? {
        found.push(key);
    }
    Ok(found)
}

#[test]
fn a_leaf_that_reaches_into_the_next_is_refused() {
    let mut store = Store::default();
    let overlap = |result| {
        let why = MapError::Malformed("a node goes on behind the beginning of the next");
        assert_eq!(result, Err(why));
    };
    let second = leaf(&mut store, &[b"c", b"d"]);
    let fits = leaf(&mut store, &[b"a", b"b"]);
    assert_eq!(read_below(&mut store, 0, vec![fits, second.clone()]).unwrap().len(), 4);
    for last in [b"c", b"e"] {
        let first = leaf(&mut store, &[b"a", last]);
        overlap(read_below(&mut store, 0, vec![first.clone(), second.clone()]));
        // The same when the next is below another parent.
        let parents =
            [first, second.clone()].map(|leaf| put(&mut store, &Node { level: 1, items: vec![leaf] }));
        overlap(read_below(&mut store, 1, parents.to_vec()));
    }
}

#[test]
fn a_key_behind_all_of_a_leaf_leads_to_the_next() {
    let content = numbered(5000);
    let (root, mut store) = build(&content);
    for key in content.keys() {
        let behind = [&key[..], &[0]].concat();
        let next = content.range(behind.clone()..).next().map(|(key, _)| key.clone());
        let mut cursor = Cursor::seek(&root, &behind, &mut store).unwrap();
        assert_eq!(cursor.next(&mut store).unwrap().map(|(key, _)| key), next);
        assert_eq!(root.get(&behind, &mut store).unwrap(), None);
    }
}

#[test]
fn whoever_reads_on_is_helped_ahead_and_whoever_reads_one_key_is_not() {
    let content = numbered(5000);
    let (root, mut store) = build(&content);
    root.get(b"home/00000010", &mut store).unwrap().unwrap();
    assert_eq!((store.loads, store.expected), (2, 0));
    assert_eq!(read(&root, &mut store).len(), 5000);
    assert!(store.expected > 5);
}

#[test]
fn everything_that_a_map_needs_is_reached() {
    let chunks = |from: u8, count: u8| (from..from + count).map(|number| reference(&[number])).collect();
    let mut content = numbered(3000);
    content.insert(b"home/1".to_vec(), Value { bytes: vec![1; 10], chunks: chunks(0, 3) });
    content.insert(b"home/2".to_vec(), Value { bytes: vec![2; 10], chunks: chunks(50, 20) });
    content.insert(b"home/3".to_vec(), Value::of(vec![3; 3 << 20]));
    let (root, mut store) = build(&content);
    let mut told = BTreeSet::new();
    let mut reach = Reach::new();
    reach.add(&root, &mut store, |chunk| assert!(told.insert(chunk.id), "told twice")).unwrap();
    let needed = content.values().flat_map(|value| &value.chunks).map(|chunk| chunk.id);
    let expected: BTreeSet<ChunkId> = store.chunks.keys().copied().chain(needed).collect();
    assert_eq!(reach.chunks().copied().collect::<BTreeSet<_>>(), expected);
    assert_eq!((told, reach.len()), (expected.clone(), expected.len()));
    assert!(expected.iter().all(|chunk| reach.contains(chunk)));
    // Each value is told with its key.
    let mut inside = Content::new();
    let each = |key: &[u8], value: &Value, _: &mut Store| {
        inside.insert(key.to_vec(), value.clone());
        Ok(())
    };
    Reach::new().add_each(&root, &mut store, &mut |_| (), each).unwrap();
    assert_eq!(inside, content);
}

#[test]
fn no_key_is_longer_than_any_after_an_edit() {
    let (root, mut store) = build(&numbered(10));
    let mut writer = ChunkWriter::new(Store::default());
    let changes = BTreeMap::from([(vec![1; MAX_KEY_LEN + 1], Some(Value::default()))]);
    let edited = edit(&root, changes, &mut store, &mut writer);
    assert_eq!(edited, Err(MapError::KeyTooLong(MAX_KEY_LEN + 1)));
}

#[test]
fn a_sink_that_loses_references_is_found_out() {
    struct Losing;
    impl ChunkSink for Losing {
        type Error = &'static str;

        fn submit(&mut self, _: Pack) -> Result<(), Self::Error> {
            Ok(())
        }

        fn barrier(&mut self) -> Result<Vec<ChunkRef>, Self::Error> {
            Ok(Vec::new())
        }
    }
    let mut writer = ChunkWriter::new(Losing);
    assert_eq!(MapBuilder::new().finish(&mut writer), Err(MapError::WrongReferences));
}

#[test]
fn an_edit_does_not_follow_a_parent_that_lies() {
    let mut store = Store::default();
    let none = put(&mut store, &Node { level: 1, items: vec![leaf(&mut Store::default(), &[b"x"])] }).1;
    let empty = Node { level: 0, items: Vec::new() }.encode();
    let empty_leaf = Item::Child(Child { chunk: reference(&empty), keys: 0 });
    store.chunks.insert(reference(&empty).id, empty.into());
    let (_, first) = leaf(&mut store, &[b"a", b"b"]);
    let (_, second) = leaf(&mut store, &[b"c", b"d"]);
    let mut edited = |level: u8, items: Vec<(&[u8], Item)>| {
        let items = items.into_iter().map(|(key, item)| (key.to_vec(), item)).collect();
        let (_, Item::Child(Child { chunk, keys })) = put(&mut store, &Node { level, items }) else {
            unreachable!()
        };
        let changes = BTreeMap::from([(b"a".to_vec(), None)]);
        let mut writer = ChunkWriter::new(Store::default());
        edit(&MapRoot { chunk, level, keys }, changes, &mut store, &mut writer).map(|edited| edited.root.keys)
    };
    assert_eq!(edited(1, vec![(b"a", first.clone()), (b"c", second)]), Ok(3));
    let begins = Err(MapError::Malformed("a node begins at another key than its parent says"));
    // The same leaf, and none at all, as often as one likes.
    assert_eq!(edited(1, vec![(b"a", first.clone()), (b"b", first.clone())]), begins);
    assert_eq!(edited(1, vec![(b"a", first), (b"c", empty_leaf.clone()), (b"d", empty_leaf)]), begins);
    assert_eq!(edited(2, vec![(b"a", none)]), begins);
}
