//! No shard takes space that is not there, and what is deleted gives its space back, also where files cannot have
//! holes.

#![allow(clippy::unwrap_used)]

#[path = "harness/disk.rs"]
#[allow(dead_code, unreachable_pub)]
mod disk;
mod harness;

use chordage_storage::{
    Coder, EncodeParams, Pack, PutError, PutOutcome, ShardKey, ShardPut, ShardStore, StoreConfig,
    encode_chunk,
};
use disk::Disk;
use harness::{noise, secret};

const LEN: usize = 20_000;

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

fn key(put: &ShardPut) -> ShardKey {
    ShardKey { chunk: put.chunk, index: put.index }
}

fn open(disk: &Disk) -> ShardStore {
    ShardStore::open_files(Box::new(disk.clone()), StoreConfig::with_quota(1 << 30)).unwrap()
}

/// A disk without holes, and a store on it whose one segment has all of these.
fn filled(puts: &[ShardPut]) -> (Disk, ShardStore) {
    let disk = Disk::new(1);
    disk.set_holes(false);
    let store = open(&disk);
    for result in store.put_batch(puts) {
        assert_eq!(result.unwrap(), PutOutcome::Stored);
    }
    (disk, store)
}

/// Compacts until there is nothing left to do; how many segments that was.
fn compact(store: &ShardStore) -> u32 {
    let steps = (0..1000).map(|_| store.compact().unwrap().segments).take_while(|segments| *segments > 0);
    let segments = steps.sum();
    assert!(segments < 1000, "it compacts for ever");
    segments
}

#[test]
fn the_segment_that_is_appended_to_gives_its_space_back_without_holes() {
    let puts = puts(200, LEN);
    let (disk, store) = filled(&puts);
    let (kept, gone) = puts.split_at(4);
    store.delete(&gone.iter().map(key).collect::<Vec<_>>()).unwrap();
    assert!(store.usage().disk_bytes > 200 * LEN as u64, "what is taken is told, not only what lives");
    assert!(compact(&store) > 0);
    let live = 4 * LEN as u64;
    let index = 256 << 10;
    assert!(store.usage().disk_bytes < 2 * live + index, "{:?}", store.usage());
    // What was put meanwhile is there after the next start, and so is what moved.
    store.put_batch(&gone[..2]);
    assert_eq!(compact(&store), 0);
    drop(store);
    disk.power_cycle(); // removed files count until then
    assert!(disk.used() < 3 * live + index, "{} bytes are in use", disk.used());
    let store = open(&disk);
    assert_eq!(store.usage().shards, 6);
    for put in kept.iter().chain(&gone[..2]) {
        assert_eq!(store.get(&put.chunk).unwrap().shards[0].payload, put.payload);
    }
}

#[test]
fn nothing_is_left_of_a_store_from_which_all_was_deleted() {
    let puts = puts(50, LEN);
    let (disk, store) = filled(&puts);
    store.delete(&puts.iter().map(key).collect::<Vec<_>>()).unwrap();
    assert_eq!(compact(&store), 1);
    drop(store);
    disk.power_cycle(); // removed files count until then
    assert!(disk.used() < 256 << 10, "{} bytes are in use", disk.used());
    let store = open(&disk);
    store.put_batch(&puts[..1]);
    drop(store);
    assert_eq!(open(&disk).get(&puts[0].chunk).unwrap().shards.len(), 1);
}

/// A shard smaller than a block wastes the rest of it wherever it lies.
#[test]
fn moving_a_shard_that_gains_nothing_ends() {
    let puts = puts(3, 100);
    let (_, store) = filled(&puts);
    store.delete(&[key(&puts[0])]).unwrap();
    assert_eq!(compact(&store), 0);
}

/// Three of these and a half are what the quota has room for, beside what it keeps free for the index.
#[test]
fn the_quota_counts_the_shard_itself() {
    for len in [1 << 20, 2 << 20, 4 << 20] {
        let quota_bytes = (3 * len as u64 + len as u64 / 2 + (256 << 10)) * 16 / 15;
        let config = StoreConfig::with_quota(quota_bytes);
        let store = ShardStore::open_files(Box::new(Disk::new(1)), config).unwrap();
        let puts = puts(4, len);
        for put in &puts[..3] {
            assert_eq!(store.put_batch(std::slice::from_ref(put))[0].clone().unwrap(), PutOutcome::Stored);
        }
        let result = &store.put_batch(&puts[3..])[0];
        assert!(matches!(result, Err(PutError::Quota { .. })), "{result:?} for {len} bytes");
        assert!(store.usage().disk_bytes <= quota_bytes);
    }
}

#[test]
fn a_quota_changes_while_the_store_is_open_and_what_is_held_stays() {
    let config = StoreConfig::with_quota(3 << 20);
    let store = ShardStore::open_files(Box::new(Disk::new(1)), config).unwrap();
    let puts = puts(4, 1 << 20);
    let put = |store: &ShardStore, at: usize| store.put_batch(&puts[at..=at])[0].clone();
    put(&store, 0).unwrap();
    store.set_quota(1 << 19);
    assert!(matches!(put(&store, 1), Err(PutError::Quota { quota, .. }) if quota == 1 << 19));
    assert_eq!((store.usage().quota_bytes, store.usage().shards), (1 << 19, 1));
    store.set_quota(64 << 20);
    put(&store, 1).unwrap();
    put(&store, 2).unwrap();
    put(&store, 3).unwrap();
}

#[test]
fn a_shard_that_the_disk_has_no_room_for_is_refused_before_it_is_written() {
    let disk = Disk::new(1);
    let store = open(&disk);
    let puts = puts(2, 1 << 20);
    store.put_batch(&puts[..1]);
    disk.set_room(1 << 19);
    assert!(matches!(store.put_batch(&puts[1..])[0], Err(PutError::NoSpace)));
    disk.set_room(3 << 19);
    assert!(matches!(store.put_batch(&puts[1..])[0], Ok(PutOutcome::Stored)));
}

/// Moving what lives takes room before it gives any.
#[test]
fn nothing_is_moved_that_there_is_no_room_for() {
    let puts = puts(100, LEN);
    let (disk, store) = filled(&puts);
    store.delete(&puts[..80].iter().map(key).collect::<Vec<_>>()).unwrap();
    disk.set_room(19 * LEN as u64);
    assert_eq!(compact(&store), 0);
    disk.set_room(u64::MAX);
    let taken = store.usage().disk_bytes;
    drop(store);
    let full = StoreConfig::with_quota(taken + 19 * LEN as u64);
    let store = ShardStore::open_files(Box::new(disk.clone()), full).unwrap();
    assert_eq!(compact(&store), 0);
    drop(store);
    assert_eq!(compact(&open(&disk)), 1);
}
