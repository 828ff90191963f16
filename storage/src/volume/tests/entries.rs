//! Entries of trees of files: they come back, and what none can be is refused.

use super::*;
use crate::manifest::Metadata;
use crate::path::EntryPath;

type FileContent = super::super::Content;

fn entry(kind: NodeKind) -> FileNode {
    FileNode {
        kind,
        metadata: Metadata { mode: 0o4755, mtime_s: -1, mtime_ns: 999_999_999 },
        uid: 1000,
        gid: u32::MAX,
        user: b"ada".to_vec(),
        group: vec![b'g'; 255],
        xattrs: vec![(b"user.a".to_vec(), Vec::new()), (b"user.b".to_vec(), vec![0, 255])],
        link_group: u64::MAX,
    }
}

fn piece(chunk: &[u8], offset: u32, len: u32) -> Piece {
    Piece { chunk: reference(chunk), offset, len }
}

/// Holes at its begin and its end and within, and a chunk that is used twice.
fn sparse() -> FileContent {
    FileContent {
        size: 100,
        segments: Some(vec![(10, 5), (15, 1), (50, 4)]),
        pieces: vec![piece(b"one chunk", 1, 8), piece(b"other", 4, 1), piece(b"one chunk", 0, 1)],
    }
}

fn file(change: impl FnOnce(&mut FileContent)) -> FileNode {
    let mut content = sparse();
    change(&mut content);
    entry(NodeKind::File(content))
}

#[test]
fn entries_of_every_kind_come_back() {
    let hole = FileContent { size: 1 << 40, segments: Some(Vec::new()), pieces: Vec::new() };
    let whole = FileContent { size: 5, segments: None, pieces: vec![piece(b"other", 0, 5)] };
    for kind in [
        NodeKind::Directory,
        NodeKind::File(FileContent::default()),
        NodeKind::File(hole),
        NodeKind::File(whole),
        NodeKind::File(sparse()),
        NodeKind::Symlink(vec![b'/'; 4096]),
        NodeKind::Fifo,
        NodeKind::CharDevice { major: 4, minor: u32::MAX },
        NodeKind::BlockDevice { major: 8, minor: 1 },
    ] {
        let node = entry(kind);
        let value = node.to_value();
        assert_eq!(FileNode::from_value(&value).as_ref(), Ok(&node));
        for end in 0..value.bytes.len() {
            let cut = Value { bytes: value.bytes[..end].to_vec(), ..value.clone() };
            assert!(FileNode::from_value(&cut).is_err(), "{end} bytes of {node:?}");
        }
        let longer = Value { bytes: [&value.bytes[..], &[0]].concat(), ..value.clone() };
        assert_eq!(FileNode::from_value(&longer), Err(FileNodeError::Malformed("something follows its end")));
    }
    assert_eq!(file(|_| ()).to_value().chunks.len(), 2, "each chunk is named once");
}

#[test]
fn what_no_entry_can_be_is_refused() {
    let directory = || entry(NodeKind::Directory);
    let name = |name: &[u8]| (name.to_vec(), Vec::new());
    for (node, why) in [
        (
            FileNode { metadata: Metadata { mode: 0o10000, mtime_s: 0, mtime_ns: 0 }, ..directory() },
            "mode or time",
        ),
        (FileNode { user: vec![b'u'; 256], ..directory() }, "owner is too long"),
        (FileNode { group: vec![b'u'; 256], ..directory() }, "owner is too long"),
        (FileNode { xattrs: vec![(b"a".to_vec(), vec![0; 1 << 20])], ..directory() }, "too many extended"),
        (FileNode { xattrs: vec![name(b"b"), name(b"a")], ..directory() }, "out of order"),
        (FileNode { xattrs: vec![name(b"a"), name(b"a")], ..directory() }, "out of order"),
        (FileNode { xattrs: vec![name(b"")], ..directory() }, "out of order"),
        (entry(NodeKind::Symlink(Vec::new())), "impossible target"),
        (entry(NodeKind::Symlink(b"a\0".to_vec())), "impossible target"),
        (entry(NodeKind::Symlink(vec![b'a'; 4097])), "impossible target"),
        (file(|content| content.segments = Some(vec![(10, 10), (50, 0)])), "out of order"),
        (file(|content| content.size = 53), "behind its end"),
        (file(|content| content.pieces[0].len += 1), "outside of its chunk"),
        (file(|content| content.pieces[0].offset = u32::MAX), "outside of its chunk"),
        (file(|content| content.pieces[1].len = 0), "outside of its chunk"),
        (file(|content| content.pieces.truncate(2)), "do not add up"),
        (file(|content| content.segments = None), "do not add up"),
    ] {
        let refused = FileNodeError::Malformed(match node.check() {
            Err(FileNodeError::Malformed(what)) => what,
            other => panic!("{other:?}, and not {why}"),
        });
        assert!(refused.to_string().contains(why), "{refused}, and not {why}");
        assert_eq!(FileNode::from_value(&node.to_value()), Err(refused));
    }
    // These cannot even be written.
    let overlapping = file(|content| content.segments = Some(vec![(10, 9), (18, 1)]));
    assert_eq!(
        overlapping.check(),
        Err(FileNodeError::Malformed("the data of a sparse file is out of order"))
    );
    let endless = file(|content| content.segments = Some(vec![(10, 9), (u64::MAX, 1)]));
    assert_eq!(endless.check(), Err(FileNodeError::Malformed("a file is too large")));
}

#[test]
fn an_entry_of_another_version_or_kind_or_without_its_chunks_is_refused() {
    let value = file(|_| ()).to_value();
    let with = |at: usize, byte: u8| {
        let mut bytes = value.bytes.clone();
        bytes[at] = byte;
        FileNode::from_value(&Value { bytes, ..value.clone() })
    };
    assert_eq!(with(0, 2), Err(FileNodeError::Version(2)));
    assert_eq!(with(0, 0), Err(FileNodeError::Version(0)));
    assert_eq!(with(1, 6), Err(FileNodeError::Malformed("it is of no known kind")));
    let without = Value { chunks: value.chunks[..1].to_vec(), ..value };
    assert_eq!(FileNode::from_value(&without), Err(FileNodeError::Malformed("a piece lies in no chunk")));
}

#[test]
fn keys_order_as_paths_do_and_lead_back() {
    let mut paths: Vec<EntryPath> =
        ["", "a", "a/b", "a/b/c", "a/c", "a b", "a!", "a-", "a.b", "ab", "\u{1}", "b"]
            .map(|path| EntryPath::new(path).unwrap())
            .to_vec();
    paths.sort();
    let keys: Vec<Vec<u8>> = paths.iter().map(key_of).collect();
    assert!(keys.is_sorted());
    assert_eq!(keys.iter().map(|key| path_of(key).unwrap()).collect::<Vec<_>>(), paths);
    for key in [&b"a/b"[..], b"a\0", b"\0a", b"a\0\0b", b"a\0..", b"."] {
        assert!(path_of(key).is_err(), "{key:?}");
    }
}
