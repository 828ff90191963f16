//! Trees of files: what is written comes back, in order only, and nothing half.

use super::*;
use crate::manifest::{Metadata, OrderError};
use crate::path::EntryPath;
use crate::secret::ConvergenceSecret;
use crate::write_error::WriteError;

type FileContent = super::super::Content;
type Outcome<T = ()> = Result<T, FilesError<&'static str>>;

fn writer() -> FilesWriter<Store> {
    let mut writer = FilesWriter::new(Store::default(), &ConvergenceSecret::new([9; 32]));
    writer.add(&path(""), entry(NodeKind::Directory)).unwrap();
    writer
}

fn path(path: &str) -> EntryPath {
    EntryPath::new(path).unwrap()
}

fn entry(kind: NodeKind) -> FileNode {
    FileNode {
        kind,
        metadata: Metadata { mode: 0o644, mtime_s: 5, mtime_ns: 6 },
        uid: 1,
        gid: 2,
        user: Vec::new(),
        group: Vec::new(),
        xattrs: Vec::new(),
        link_group: 0,
    }
}

fn in_group(link_group: u64) -> FileNode {
    FileNode { link_group, ..entry(NodeKind::File(FileContent::default())) }
}

fn sparse(size: u64, segments: &[(u64, u64)]) -> FileNode {
    let content = FileContent { size, segments: Some(segments.to_vec()), pieces: Vec::new() };
    entry(NodeKind::File(content))
}

fn put(writer: &mut FilesWriter<Store>, at: &str, node: FileNode, data: &[u8]) -> Outcome {
    writer.begin_file(&path(at), node)?;
    writer.write(data)?;
    writer.end_file()
}

/// The data of a file of a tree, and its entry.
fn file(written: &mut WrittenFiles<Store>, at: &str) -> (Vec<u8>, FileNode) {
    let store = &mut written.sink;
    let value = written.root.get(&key_of(&path(at)), store).unwrap().unwrap().load(store).unwrap();
    let node = FileNode::from_value(&value).unwrap();
    let NodeKind::File(content) = &node.kind else { panic!("{at} is no file") };
    let mut data = Vec::new();
    for Piece { chunk, offset, len } in &content.pieces {
        data.extend_from_slice(&store.load(chunk).unwrap()[*offset as usize..][..*len as usize]);
    }
    (data, node)
}

#[test]
fn a_tree_comes_back_and_is_counted() {
    let mut writer = writer();
    writer.add(&path("a"), entry(NodeKind::Directory)).unwrap();
    put(&mut writer, "a/first", in_group(7), b"content").unwrap();
    put(&mut writer, "a/holes", sparse(100, &[(5, 3), (20, 2)]), b"abcde").unwrap();
    put(&mut writer, "a/same", in_group(0), b"content").unwrap();
    writer.link(&path("a/second"), in_group(7)).unwrap();
    writer.add(&path("pipe"), entry(NodeKind::Fifo)).unwrap();
    let mut written = writer.finish().unwrap();
    assert_eq!(written.counts, FileCounts { files: 4, directories: 1, others: 1, bytes: 7 + 100 + 7 });
    assert_eq!((written.root.keys, written.packed_bytes), (7, 12), "equal data is stored once");
    for at in ["a/first", "a/same", "a/second"] {
        assert_eq!(file(&mut written, at).0, b"content");
    }
    let (first, second) = (file(&mut written, "a/first").1, file(&mut written, "a/second").1);
    assert_eq!((first.link_group, first), (7, second));
    let (data, holes) = file(&mut written, "a/holes");
    let NodeKind::File(content) = holes.kind else { unreachable!() };
    assert_eq!((data, content.size), (b"abcde".to_vec(), 100));
    assert_eq!(content.segments, Some(vec![(5, 3), (20, 2)]));
}

#[test]
fn entries_come_in_order_each_in_its_directory() {
    let mut writer = writer();
    let refused = |outcome: Outcome, why: OrderError| {
        assert_eq!(outcome, Err(FilesError::Content(WriteError::Order(why))));
    };
    refused(put(&mut writer, "a/b", in_group(0), b""), OrderError::NoParent);
    put(&mut writer, "b", in_group(1), b"").unwrap();
    refused(writer.add(&path("a"), entry(NodeKind::Directory)), OrderError::OutOfOrder);
    refused(writer.link(&path("b"), in_group(1)), OrderError::OutOfOrder);
    refused(writer.add(&path("b/c"), entry(NodeKind::Fifo)), OrderError::NoParent);
    let root = writer.finish().unwrap().root;
    assert_eq!(root.keys, 2, "what was refused was not added");
}

#[test]
fn a_file_is_ended_before_anything_else_comes() {
    let mut writer = writer();
    let open = |outcome: Outcome| assert_eq!(outcome, Err(FilesError::Content(WriteError::FileOpen)));
    let none = |outcome: Outcome| assert_eq!(outcome, Err(FilesError::Content(WriteError::NoFileOpen)));
    none(writer.write(b"a"));
    none(writer.end_file());
    put(&mut writer, "a", in_group(1), b"").unwrap();
    writer.begin_file(&path("b"), in_group(0)).unwrap();
    open(writer.begin_file(&path("c"), in_group(0)));
    open(writer.add(&path("c"), entry(NodeKind::Fifo)));
    open(writer.link(&path("c"), in_group(1)));
    open(writer.finish().map(drop));
}

#[test]
fn what_no_volume_can_hold_is_refused() {
    let mut writer = writer();
    assert_eq!(writer.link(&path("a"), in_group(1)), Err(FilesError::NoSuchGroup));
    let bad = FileNode { xattrs: vec![(Vec::new(), Vec::new())], ..entry(NodeKind::Fifo) };
    assert!(matches!(writer.add(&path("a"), bad), Err(FilesError::Node(FileNodeError::Malformed(_)))));
    for data in [&b"abc"[..], b"abcde"] {
        let outcome = put(&mut writer, std::str::from_utf8(data).unwrap(), sparse(9, &[(0, 4)]), data);
        let why = "a sparse file has another length than its segments";
        assert_eq!(outcome, Err(FilesError::Node(FileNodeError::Malformed(why))));
    }
    put(&mut writer, "b", sparse(3, &[(0, 4)]), b"abcd").unwrap();
    assert!(matches!(writer.finish(), Err(FilesError::Node(FileNodeError::Malformed(_)))));
}
