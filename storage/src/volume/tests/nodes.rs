//! Nodes and values of strangers: what the format does not allow is refused.

use super::super::node::{Child, Item, Node};
use super::*;
use crate::varint::Malformed;

fn value(len: usize, chunks: u8) -> Value {
    Value { bytes: vec![5; len], chunks: (0..chunks).map(|number| reference(&[number])).collect() }
}

fn inline(len: usize, chunks: u8) -> Item {
    Item::Value(ValueRef::Inline(value(len, chunks)))
}

fn spilled(len: u32, chunks: u8) -> Item {
    Item::Value(ValueRef::Spilled { len, chunks: value(0, chunks).chunks })
}

fn child(keys: u64) -> Item {
    Item::Child(Child { chunk: reference(b"child"), keys })
}

fn node(level: u8, items: Vec<(&[u8], Item)>) -> Node {
    Node { level, items: items.into_iter().map(|(key, item)| (key.to_vec(), item)).collect() }
}

/// Leaves with `count` keys, each as long as any may be, that differ in their last bytes.
fn long_keys(count: u32) -> Node {
    let key = |number: u32| [vec![b'k'; MAX_KEY_LEN - 4], number.to_be_bytes().to_vec()].concat();
    Node { level: 0, items: (0..count).map(|number| (key(number), inline(0, 0))).collect() }
}

fn read(node: &Node) -> Result<Node, Malformed> {
    Node::decode(&node.encode(), node.level)
}

#[track_caller]
fn refused(node: &Node, why: &str) {
    let error = read(node).unwrap_err();
    assert!(error.0.contains(why), "{error:?}, and not {why}");
}

#[test]
fn nodes_up_to_their_limits_are_read() {
    let longest = vec![b'k'; MAX_KEY_LEN];
    let keys: Vec<[u8; 4]> = (0..2048u32).map(u32::to_be_bytes).collect();
    for node in [
        node(0, vec![]),
        node(
            0,
            vec![(b"", inline(1024, 8)), (b"b", spilled(MAX_VALUE_LEN as u32, 64)), (&longest, inline(0, 1))],
        ),
        node(8, vec![(b"a", child(u64::MAX - 1)), (b"b", child(1))]),
        node(0, keys.iter().map(|key| (&key[..], inline(0, 0))).collect()),
        long_keys(512),
    ] {
        assert_eq!(read(&node).as_ref(), Ok(&node));
    }
}

#[test]
fn a_node_beyond_a_limit_is_refused() {
    let longest = vec![b'k'; MAX_KEY_LEN];
    let longer = [&longest[..], b"k"].concat();
    refused(&node(9, vec![(b"a", child(1))]), "another level");
    refused(&node(0, vec![(&longer, inline(0, 0))]), "a key is too long");
    refused(&node(0, vec![(&longest, inline(0, 0)), (&longer, inline(0, 0))]), "a key is too long");
    refused(&node(0, vec![(b"a", inline(1025, 0))]), "a value is too long");
    refused(&node(0, vec![(b"a", spilled(MAX_VALUE_LEN as u32 + 1, 1))]), "a value is too long");
    refused(&node(0, vec![(b"a", inline(0, 9))]), "too many chunks");
    refused(&node(0, vec![(b"a", spilled(1, 65))]), "too many chunks");
    refused(&node(1, vec![(b"a", child(u64::MAX)), (b"b", child(1))]), "too many keys");
    let keys: Vec<[u8; 4]> = (0..2049u32).map(u32::to_be_bytes).collect();
    refused(&node(0, keys.iter().map(|key| (&key[..], inline(0, 0))).collect()), "more keys than any");
}

#[test]
fn a_short_node_that_stands_for_much_is_refused() {
    let short = long_keys(1000);
    assert!(short.encode().len() < 20_000);
    refused(&short, "longer than any");
    let keys: Vec<[u8; 4]> = (0..2000u32).map(u32::to_be_bytes).collect();
    let chunks = keys.iter().map(|key| (&key[..], spilled(1, 64)));
    refused(&node(0, chunks.collect()), "longer than any");
}

#[test]
fn a_node_in_disorder_is_refused() {
    for (first, second) in [(b"b", b"b"), (b"b", b"a")] {
        refused(&node(0, vec![(first, inline(0, 0)), (second, inline(0, 0))]), "do not ascend");
        refused(&node(1, vec![(first, child(1)), (second, child(1))]), "do not ascend");
    }
    refused(&node(1, vec![]), "no children");
    let good = node(0, vec![(b"a", inline(3, 1)), (b"ab", spilled(2, 2))]).encode();
    assert!(Node::decode(&good, 0).is_ok());
    for end in 0..good.len() {
        assert!(Node::decode(&good[..end], 0).is_err(), "{end} bytes of it");
    }
    let why = |bytes: &[u8], level: u8| Node::decode(bytes, level).unwrap_err().0;
    assert_eq!(why(&[&good[..], &[0]].concat(), 0), "something follows the end of a node");
    assert_eq!(why(&good, 1), "a node is of another level than its parent says");
    for version in [0, 2] {
        let other = [&[version], &good[1..]].concat();
        assert_eq!(why(&other, 0), "a node is of a version that is not known");
    }
    // No references, one key: shares a byte with nothing.
    assert_eq!(why(&[1, 0, 0, 1, 1, 1, b'a', 0, 0, 0], 0), "a key shares more than there is");
    // The value names the first chunk of none.
    let unlisted = [1, 0, 0, 1, 0, 1, b'a', 0, 0, 1, 0];
    assert_eq!(why(&unlisted, 0), "a value names a chunk that its leaf does not list");
    let impossible = [&[1, 0, 1][..], &[0; 70], &[0]].concat();
    assert_eq!(why(&impossible, 0), "a node refers to an impossible chunk");
}

#[test]
fn a_leaf_lists_a_chunk_once_and_takes_references_as_a_whole() {
    let once = node(0, vec![(b"a", inline(0, 1)), (b"b", inline(0, 1))]);
    assert_eq!(read(&once).as_ref(), Ok(&once));
    assert!(once.encode().len() < 2 * ChunkRef::ENCODED_LEN);
    let [mut one, mut other] = [value(0, 1), value(0, 1)];
    one.chunks[0].key = ChunkKey([8; 32]);
    other.chunks[0].plain_len += 1;
    let item = |value| Item::Value(ValueRef::Inline(value));
    let differing = node(0, vec![(b"a", item(one)), (b"b", item(other)), (b"c", inline(0, 1))]);
    assert_eq!(read(&differing).as_ref(), Ok(&differing));
}

#[test]
fn values_stand_in_their_leaf_up_to_a_limit() {
    for (bytes, chunks, fits) in [(1024, 8, true), (1025, 0, false), (0, 9, false)] {
        let content = Content::from([(b"key".to_vec(), value(bytes, chunks))]);
        let (root, mut store) = build(&content);
        let found = root.get(b"key", &mut store).unwrap().unwrap();
        assert_eq!(matches!(found, ValueRef::Inline(_)), fits, "{bytes} bytes, {chunks} chunks");
        assert_eq!(found.load(&mut store), Ok(value(bytes, chunks)));
    }
}

#[test]
fn a_long_value_is_exactly_what_its_leaf_says() {
    let encoded = value(10, 2).spill();
    let load = |encoded: &[u8], len: usize| {
        let mut store = Store::default();
        let parts = encoded.chunks(encoded.len().div_ceil(3)).map(|part| {
            let chunk = reference(part);
            store.chunks.insert(chunk.id, Bytes::copy_from_slice(part));
            chunk
        });
        let chunks = parts.collect();
        (ValueRef::Spilled { len: len as u32, chunks }.load(&mut store), store.loads)
    };
    let third = encoded.len().div_ceil(3);
    assert_eq!(load(&encoded, encoded.len()), (Ok(value(10, 2)), 3));
    assert_eq!(load(&encoded, 2 * third - 1).1, 2, "nothing is read behind its end");
    let refused = |encoded: &[u8], len: usize| matches!(load(encoded, len).0, Err(MapError::Malformed(_)));
    for len in [0, 2 * third, encoded.len() - 1, encoded.len() + 1] {
        assert!(refused(&encoded, len), "{len} bytes, and there are {}", encoded.len());
    }
    let longer = [&encoded[..], &[0]].concat();
    assert!(refused(&longer, longer.len()));
    let mut impossible = encoded.clone();
    impossible[encoded.len() - 2..].fill(0);
    assert!(refused(&impossible, impossible.len()));
    assert!(refused(&[11, 1, 2], 3));
}

#[test]
fn roots_come_back_and_impossible_ones_are_refused() {
    let root = MapRoot { chunk: reference(b"root"), level: MAX_HEIGHT, keys: u64::MAX };
    let encoded = root.encode();
    assert_eq!(MapRoot::decode(&encoded), Some(root));
    assert_eq!(MapRoot::decode(&encoded[1..]), None);
    assert_eq!(MapRoot::decode(&[&encoded[..], &[0]].concat()), None);
    let higher = MapRoot { level: MAX_HEIGHT + 1, ..root };
    assert_eq!(MapRoot::decode(&higher.encode()), None);
}
