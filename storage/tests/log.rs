//! The log that shards are appended to: where it ends, and where it goes on after something went wrong.

#![allow(clippy::unwrap_used)]

#[path = "harness/disk.rs"]
#[allow(dead_code, unreachable_pub)]
mod disk;
mod harness;

use chordage_storage::store::Files;
use chordage_storage::{
    Coder, EncodeParams, Pack, PutError, PutOutcome, ShardPut, ShardStore, StoreConfig, encode_chunk,
};
use disk::Disk;
use harness::{noise, secret};

/// One shard each of many chunks.
fn puts(count: u64, len: usize) -> Vec<ShardPut> {
    let params = EncodeParams::new("1/1".parse().unwrap(), secret());
    let mut coder = Coder::new();
    let put = |seed| {
        let chunk = encode_chunk(Pack::from(noise(len, seed)), &params, &mut coder).unwrap();
        let descriptor = chunk.descriptor.encode();
        ShardPut { chunk: chunk.reference.id, descriptor, index: 0, payload: chunk.shards[0].clone() }
    };
    (0..count).map(put).collect()
}

fn open(disk: &Disk) -> ShardStore {
    ShardStore::open_files(Box::new(disk.clone()), StoreConfig::with_quota(1 << 30)).unwrap()
}

fn put_all(store: &ShardStore, puts: &[ShardPut]) {
    for result in store.put_batch(puts) {
        assert_eq!(result.unwrap(), PutOutcome::Stored);
    }
}

fn segments(disk: &Disk) -> Vec<String> {
    disk.names().unwrap().into_iter().filter(|name| name.starts_with("segment-")).collect()
}

/// It was never acknowledged, and nothing counts the room that it takes.
#[test]
fn what_a_crash_left_behind_the_last_whole_shard_is_cut_off() {
    let disk = Disk::new(1);
    let store = open(&disk);
    let puts = puts(3, 20_000);
    put_all(&store, &puts[..2]);
    drop(store);
    let [name] = &segments(&disk)[..] else { panic!("one segment holds them") };
    let segment = disk.open(name).unwrap().unwrap();
    let whole = segment.size().unwrap();
    segment.write_all_at(&[&noise(10_000, 7)], whole).unwrap();
    let store = open(&disk);
    assert_eq!(segment.size().unwrap(), whole);
    put_all(&store, &puts[2..]);
    drop(store);
    let store = open(&disk);
    for put in &puts {
        assert_eq!(store.get(&put.chunk).unwrap().shards[0].payload, put.payload);
    }
}

/// Nobody knows what the disk has of the old one's end.
#[test]
fn after_a_sync_that_failed_a_new_segment_is_begun() {
    let disk = Disk::new(1);
    let store = open(&disk);
    let puts = puts(2, 20_000);
    put_all(&store, &puts[..1]);
    disk.fail_next_sync();
    assert!(matches!(store.put_batch(&puts[1..])[0], Err(PutError::Io(_))));
    assert_eq!(segments(&disk), ["segment-00000000"]);
    put_all(&store, &puts[1..]);
    assert_eq!(segments(&disk), ["segment-00000000", "segment-00000001"]);
    drop(store);
    disk.power_cycle();
    let store = open(&disk);
    for put in &puts {
        assert_eq!(store.get(&put.chunk).unwrap().shards[0].payload, put.payload);
    }
}

#[test]
fn no_segment_exceeds_its_limit_unless_one_shard_does() {
    let disk = Disk::new(1);
    let config = StoreConfig { segment_bytes: 128 << 10, ..StoreConfig::with_quota(1 << 30) };
    let store = ShardStore::open_files(Box::new(disk.clone()), config).unwrap();
    put_all(&store, &puts(10, 40_000));
    let size = |name: &String| disk.open(name).unwrap().unwrap().size().unwrap();
    let sizes: Vec<u64> = segments(&disk).iter().map(size).collect();
    assert!(sizes.len() == 4 && sizes.iter().all(|size| *size <= 128 << 10), "{sizes:?}");
    put_all(&store, &puts(2, 200_000));
    assert_eq!(segments(&disk).len(), 6);
}

#[test]
fn a_limit_of_segments_that_is_too_low_is_brought_inside() {
    let disk = Disk::new(1);
    let config = StoreConfig { segment_bytes: 0, ..StoreConfig::with_quota(1 << 30) };
    let store = ShardStore::open_files(Box::new(disk.clone()), config).unwrap();
    put_all(&store, &puts(10, 1000));
    assert_eq!(segments(&disk).len(), 1);
}
