//! Trees of files as snapshots: stored once, read anywhere, forgotten, taken back and freed.

use chordage_api::client::{Client, SnapshotPath, VolumeAccess};
use chordage_api::types::{
    PutQuery, SnapshotInfo, SnapshotRequest, SnapshotSelection, TreeReport, VolumeEntryKind, VolumeImport,
};
use chordage_api::upload::upload;
use chordage_node::archive::{ArchiveReader, ArchiveWriter, Detail, FullMetadata, Head, Kind, Mtime};
use chordage_testnet::wait_until;

use crate::harness::{Net, PATIENCE, random_bytes};

const NAME: &str = "trees";

/// Some files with their contents: one large, many small, one with two names.
fn files(seed: u64) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = vec![("a/large".to_owned(), random_bytes(5_000_000, seed))];
    for number in 0..700 {
        files.push((format!("b/{number:03}"), random_bytes(100 + number, number as u64)));
    }
    files
}

fn head(path: &str, kind: Kind, group: Option<u64>) -> Head {
    let full = FullMetadata {
        uid: 1000,
        gid: 100,
        user: b"ada".to_vec(),
        link_group: group,
        ..FullMetadata::default()
    };
    let mtime = Mtime { seconds: -5, nanos: 7 };
    Head { path: path.as_bytes().to_vec(), kind, mode: 0o640, mtime, full: Some(Box::new(full)) }
}

fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    writer.begin(&head("", Kind::Dir, None)).unwrap();
    let mut dir = "";
    for (path, content) in files {
        let parent = path.split_once('/').map_or("", |(parent, _)| parent);
        if parent != dir {
            writer.begin(&head(parent, Kind::Dir, None)).unwrap();
            dir = parent;
        }
        let group = (path == "a/large").then_some(1);
        writer.begin(&head(path, Kind::File { size: content.len() as u64 }, group)).unwrap();
        writer.data(content).unwrap();
    }
    writer.begin(&head("c", Kind::HardLink { target: b"a/large".to_vec() }, Some(1))).unwrap();
    writer.begin(&head("d", Kind::Fifo, None)).unwrap();
    writer.finish().unwrap()
}

async fn put(client: &Client, archive: Vec<u8>) -> TreeReport {
    let (mut sink, body) = upload();
    let writing = tokio::task::spawn_blocking(move || {
        use std::io::Write;
        sink.write_all(&archive).unwrap();
        sink.finish().unwrap();
    });
    let report = client.put_tree(NAME, body, &PutQuery::default(), 0).await.unwrap();
    writing.await.unwrap();
    report
}

async fn snapshot(client: &Client, tree: &TreeReport, time: i64) -> SnapshotInfo {
    let request = SnapshotRequest {
        volume: NAME.to_owned(),
        tree: tree.tree.clone(),
        time,
        host: "here".to_owned(),
        user: "ada".to_owned(),
        paths: vec!["/".to_owned()],
        tags: vec!["test".to_owned()],
        unreadable: 0,
        lock_seconds: 0,
    };
    client.create_snapshot(&request).await.unwrap()
}

fn of<'a>(snapshot: &'a str, path: Option<&'a [u8]>) -> SnapshotPath<'a> {
    SnapshotPath { volume: NAME, snapshot, path }
}

async fn restored(client: &Client, snapshot: &str, path: Option<&[u8]>) -> Vec<(Head, Vec<u8>)> {
    let mut download = client.snapshot_archive(&of(snapshot, path)).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = download.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    let mut reader = ArchiveReader::with_detail(bytes.as_slice(), Detail::Full);
    let mut found = Vec::new();
    while let Some(head) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        let mut buffer = [0; 8192];
        while let Ok(len @ 1..) = reader.read(&mut buffer) {
            content.extend_from_slice(&buffer[..len]);
        }
        found.push((head, content));
    }
    found
}

/// Bytes of shards on all daemons.
async fn stored(net: &Net) -> u64 {
    let mut bytes = 0;
    for node in net.net.living() {
        bytes += net.net.status(node).await.unwrap().store.stored_bytes;
    }
    bytes
}

#[tokio::test]
async fn a_tree_comes_back_as_it_was_anywhere() {
    let net = Net::start(6).await;
    let client = net.net.client(0).unwrap();
    client.create_volume(NAME).await.unwrap();
    let first = put(&client, archive(&files(1))).await;
    assert_eq!((first.files, first.dirs, first.others), (702, 2, 1));
    let kept = snapshot(&client, &first, 100).await;
    // The same again is stored already, but for nothing.
    let same = put(&client, archive(&files(1))).await;
    assert_eq!((same.tree == first.tree, same.new_chunks), (true, 0), "{same:?}");
    let mut changed = files(1);
    changed[10].1 = b"another".to_vec();
    let second = put(&client, archive(&changed)).await;
    assert!(second.sent_bytes < first.sent_bytes / 20, "{second:?}");
    let newer = snapshot(&client, &second, 200).await;

    // Another daemon, that has only read it.
    let reader = net.net.client(4).unwrap();
    let opened = client.export_volume(NAME, VolumeAccess::Read).await.unwrap();
    let import = VolumeImport { petname: NAME.to_owned(), capability: opened.capability };
    reader.import_volume(&import).await.unwrap();
    let listed = reader.snapshots(NAME, false).await.unwrap();
    assert_eq!(listed, [kept.clone(), newer.clone()]);
    let found = restored(&reader, &kept.id[..10], None).await;
    assert_eq!(found.len(), 1 + 2 + 701 + 2);
    let expected = files(1);
    for (path, content) in &expected {
        let (head, read) = found.iter().find(|(head, _)| head.path == path.as_bytes()).unwrap();
        assert!(read == content, "{path}");
        assert_eq!(
            (head.mode, head.mtime, head.full.as_ref().unwrap().uid),
            (0o640, Mtime { seconds: -5, nanos: 7 }, 1000)
        );
    }
    assert!(found.iter().any(|(head, _)| head.kind == Kind::HardLink { target: b"a/large".to_vec() }));
    assert!(found.iter().any(|(head, _)| head.kind == Kind::Fifo));
    // A part of it; the other name of a file stands for it where the first is not.
    let part = restored(&reader, "latest", Some(b"c")).await;
    assert!(part.len() == 1 && part[0].1 == expected[0].1 && part[0].0.path == b"c");
    let part = restored(&reader, "latest", Some(b"b")).await;
    assert_eq!(part.len(), 701);
    let entries = reader.snapshot_entries(&of(&kept.id, None), false).await.unwrap().collect().await.unwrap();
    let names: Vec<_> = entries.iter().map(|entry| (entry.path.as_str(), entry.kind)).collect();
    let (dir, file) = (VolumeEntryKind::Directory, VolumeEntryKind::File);
    assert_eq!(names, [("a", dir), ("b", dir), ("c", file), ("d", VolumeEntryKind::Fifo)]);
    let entries =
        reader.snapshot_entries(&of(&kept.id, Some(b"b")), true).await.unwrap().collect().await.unwrap();
    assert_eq!(entries.len(), 700);
    let differences = reader.snapshot_diff(NAME, &kept.id, &newer.id).await.unwrap().collect().await.unwrap();
    assert_eq!(differences.iter().map(|d| d.path.as_str()).collect::<Vec<_>>(), ["b/009"]);
    let range = "1000000-1000009".parse().ok();
    let mut content = reader.snapshot_content(&of(&kept.id, Some(b"a/large")), range).await.unwrap();
    assert!(content.chunk().await.unwrap().unwrap() == expected[0].1[1_000_000..1_000_010]);
    let verified = reader.verify_volume(NAME, None, true).await.unwrap();
    assert_eq!((verified.snapshots, verified.damaged, verified.missing), (2, 0, 0), "{verified:?}");
}

#[tokio::test]
async fn what_is_forgotten_can_be_taken_back_and_is_freed_in_the_end() {
    let net = Net::start(5).await;
    let client = net.net.client(0).unwrap();
    client.create_volume(NAME).await.unwrap();
    let tree = put(&client, archive(&files(1))).await;
    let first = snapshot(&client, &tree, 100).await;
    let tree = put(&client, archive(&files(2))).await;
    let second = snapshot(&client, &tree, 200).await;
    let selection = |ids: &[&str]| SnapshotSelection {
        volume: NAME.to_owned(),
        snapshots: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    // All or none.
    assert!(client.forget_snapshots(&selection(&[&first.id, "nothing"])).await.is_err());
    assert_eq!(client.snapshots(NAME, false).await.unwrap().len(), 2);
    let forgotten = client.forget_snapshots(&selection(&[&first.id])).await.unwrap();
    assert!(forgotten[0].forgotten.is_some());
    let waiting = client.prune_volume(NAME, None).await.unwrap();
    assert_eq!((waiting.pruned, waiting.waiting, waiting.kept, waiting.released), (0, 1, 1, 0));
    assert_eq!(
        client.undelete_snapshots(&selection(&[&first.id])).await.unwrap(),
        std::slice::from_ref(&first)
    );
    assert_eq!(client.snapshots(NAME, true).await.unwrap(), [first.clone(), second.clone()]);
    client.forget_snapshots(&selection(&[&first.id])).await.unwrap();
    let before = stored(&net).await;
    let pruned = client.prune_volume(NAME, Some(0)).await.unwrap();
    assert_eq!((pruned.pruned, pruned.kept, pruned.released), (1, 1, 1), "{pruned:?}");
    assert!(client.undelete_snapshots(&selection(&[&first.id])).await.is_err());
    // Most of the first is freed everywhere; chunks in which small files lie are those of the second as well.
    let freed = async || match stored(&net).await {
        bytes if bytes < before * 3 / 4 => Ok(()),
        bytes => Err(format!("{bytes} bytes are stored, and there were {before}")),
    };
    wait_until("what none needs is freed", PATIENCE, freed).await.unwrap();
    let verified = client.verify_volume(NAME, None, true).await.unwrap();
    assert_eq!((verified.snapshots, verified.damaged, verified.missing), (1, 0, 0), "{verified:?}");
    assert_eq!(restored(&client, "latest", None).await.len(), 1 + 2 + 701 + 2);
}
