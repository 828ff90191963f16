//! The shard store on real files.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use chordage_storage::{
    ChunkId, Coder, EncodeParams, Held, InvalidShard, OpenError, Pack, PutError, PutOutcome, Recovered,
    Redundancy, ShardError, ShardKey, ShardPut, ShardStore, StoreConfig, encode_chunk,
};
use harness::{noise, secret};

/// The shards of a chunk of random bytes.
fn shards(len: usize, seed: u64, redundancy: &str) -> Vec<ShardPut> {
    let redundancy: Redundancy = redundancy.parse().unwrap();
    let params = EncodeParams::new(redundancy, secret());
    let chunk = encode_chunk(Pack::from(noise(len, seed)), &params, &mut Coder::new()).unwrap();
    let descriptor = chunk.descriptor.encode();
    let put = |(index, payload)| ShardPut {
        chunk: chunk.reference.id,
        descriptor: descriptor.clone(),
        index,
        payload,
    };
    (0u8..).zip(chunk.shards).map(put).collect()
}

/// One shard each of `count` chunks.
fn singles(count: u64, len: usize) -> Vec<ShardPut> {
    (0..count).map(|seed| shards(len, seed, "1/1").remove(0)).collect()
}

fn config() -> StoreConfig {
    StoreConfig { segment_bytes: 1 << 20, ..StoreConfig::with_quota(1 << 30) }
}

fn open(directory: &Path) -> ShardStore {
    ShardStore::open(directory, config()).unwrap()
}

fn key(put: &ShardPut) -> ShardKey {
    ShardKey { chunk: put.chunk, index: put.index }
}

fn put_all(store: &ShardStore, puts: &[ShardPut]) {
    for result in store.put_batch(puts) {
        assert_eq!(result.unwrap(), PutOutcome::Stored);
    }
}

fn assert_holds(store: &ShardStore, put: &ShardPut) {
    let held = store.get(&put.chunk).unwrap();
    assert_eq!(held.corrupt, vec![]);
    let shard = held.shards.iter().find(|shard| shard.index == put.index).unwrap();
    assert_eq!((&shard.payload, &shard.descriptor), (&put.payload, &put.descriptor));
}

/// Bytes that the directory really takes.
fn disk_usage(directory: &Path) -> u64 {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
}

fn segments(directory: &Path) -> Vec<std::path::PathBuf> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> =
        names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("segment-")).collect();
    names.sort();
    names
}

/// New shards are not written where those lay that went with the end of a file: dropping the old ones later would harm
/// them.
#[test]
fn a_segment_that_lost_its_end_is_not_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let old = singles(8, 60_000);
    put_all(&store, &old);
    drop(store);
    let [segment] = &segments(directory.path())[..] else { panic!("one segment holds them") };
    let file = fs::File::options().write(true).open(segment).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();

    // It is told once, and what is lost is not held from the start.
    let store = open(directory.path());
    let told = store.take_recovered();
    assert_eq!(told.short, [segment.file_name().unwrap().to_str().unwrap()]);
    assert_eq!((store.unmended().unwrap(), told.missing.len()), (told.shards, 0));
    assert_eq!(store.usage().shards + told.shards, 8);
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.take_recovered(), Recovered::default());
    let new: Vec<ShardPut> = (20..28).map(|seed| shards(70_000, seed, "1/1").remove(0)).collect();
    put_all(&store, &new);
    let lost = |put: &&ShardPut| store.has(&[put.chunk]).unwrap()[0].is_empty();
    let lost: Vec<&ShardPut> = old.iter().filter(lost).collect();
    assert!((3..=5).contains(&lost.len()), "{} of {} are lost", lost.len(), old.len());
    let mut missed: Vec<ShardKey> = lost.iter().map(|put| key(put)).collect();
    missed.sort_unstable();
    assert_eq!(store.list_unmended(None, 100).unwrap(), missed);
    // They may come back.
    for put in lost {
        put_all(&store, std::slice::from_ref(put));
    }
    assert_eq!(store.unmended().unwrap(), 0);
    drop(store);
    let store = open(directory.path());
    for put in old.iter().chain(&new) {
        assert_holds(&store, put);
    }
}

/// One segment is gone, one is empty: the shards in them are told at once, each once, and may come back.
#[test]
fn a_segment_that_is_gone_is_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let puts = singles(100, 60_000);
    put_all(&store, &puts);
    drop(store);
    let files = segments(directory.path());
    assert!(files.len() > 3, "there are some that are not appended to");
    fs::remove_file(&files[0]).unwrap();
    fs::File::options().write(true).open(&files[1]).unwrap().set_len(0).unwrap();

    let store = open(directory.path());
    let told = store.take_recovered();
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!((&told.missing[..], &told.short[..]), (&[name(&files[0])][..], &[name(&files[1])][..]));
    let mut lost: Vec<ShardKey> =
        puts.iter().filter(|put| store.has(&[put.chunk]).unwrap()[0].is_empty()).map(key).collect();
    lost.sort();
    assert!(!lost.is_empty() && lost.len() < puts.len());
    assert_eq!(store.list_unmended(None, 100).unwrap(), lost);
    assert_eq!(store.usage().shards, (puts.len() - lost.len()) as u64);
    drop(store);

    let store = open(directory.path());
    assert_eq!(store.take_recovered(), Recovered::default(), "the next start does not tell it again");
    for put in puts.iter().filter(|put| lost.contains(&key(put))) {
        put_all(&store, std::slice::from_ref(put));
    }
    puts.iter().for_each(|put| assert_holds(&store, put));
}

#[test]
fn shards_come_back_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let chunk = shards(100_000, 1, "4/10");
    let more = singles(40, 60_000);
    {
        let store = open(directory.path());
        put_all(&store, &chunk[2..5]);
        put_all(&store, &more);
        assert_eq!(store.put_batch(&chunk[2..3])[0].clone().unwrap(), PutOutcome::AlreadyHeld);
        assert_eq!(store.has(&[chunk[0].chunk, ChunkId([0; 32])]).unwrap(), vec![vec![2, 3, 4], vec![]]);
        assert_eq!(
            store.get_shard(key(&chunk[3])).unwrap().shards,
            store.get(&chunk[0].chunk).unwrap().shards[1..2]
        );
        assert_eq!(store.get_shard(key(&chunk[9])).unwrap(), Held::default());
    }
    assert!(segments(directory.path()).len() > 1);
    let store = open(directory.path());
    chunk[2..5].iter().chain(&more).for_each(|put| assert_holds(&store, put));
    assert_eq!(store.get(&ChunkId([9; 32])).unwrap(), Held::default());
    let usage = store.usage();
    assert_eq!(usage.shards, 43);
    let payload: usize = chunk[2..5].iter().chain(&more).map(|put| put.payload.len()).sum();
    assert_eq!(usage.payload_bytes, payload as u64);
    assert!(usage.disk_bytes >= usage.payload_bytes);

    let mut listed = vec![];
    let mut after = None;
    loop {
        let page = store.iterate(after, 10).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.0);
        listed.extend(page.into_iter().map(|(key, _)| key));
    }
    assert_eq!(listed.len(), 43);
    assert!(listed.is_sorted());
}

#[test]
fn what_is_not_the_shard_is_refused_and_the_rest_of_the_batch_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let good = shards(5000, 1, "2/3");
    let other = shards(5000, 2, "2/3");
    let mut flipped = good[1].clone();
    let mut bytes = flipped.payload.to_vec();
    bytes[100] ^= 4;
    flipped.payload = bytes.into();
    let foreign = ShardPut { descriptor: other[0].descriptor.clone(), ..good[0].clone() };
    let garbage = ShardPut { descriptor: vec![1, 2, 3].into(), ..good[0].clone() };
    let batch = [flipped, good[0].clone(), foreign, garbage, good[0].clone()];
    let results = store.put_batch(&batch);
    assert!(matches!(results[0], Err(PutError::Invalid(InvalidShard::Shard(ShardError::WrongHash)))));
    assert!(matches!(results[1], Ok(PutOutcome::Stored)));
    assert!(matches!(results[2], Err(PutError::Invalid(InvalidShard::WrongChunk))));
    assert!(matches!(results[3], Err(PutError::Invalid(InvalidShard::Descriptor(_)))));
    assert!(matches!(results[4], Ok(PutOutcome::AlreadyHeld)));
    assert_eq!(store.usage().shards, 1);
}

#[test]
fn a_flipped_byte_is_found_reported_and_can_be_put_right() {
    let directory = tempfile::tempdir().unwrap();
    let chunk = shards(50_000, 1, "2/3");
    let store = open(directory.path());
    put_all(&store, &chunk);
    let segment = fs::File::options().write(true).open(&segments(directory.path())[0]).unwrap();
    segment.write_all_at(b"!", 30_000).unwrap(); // in the payload of shard 1
    let held = store.get(&chunk[0].chunk).unwrap();
    assert_eq!(held.corrupt, vec![1]);
    assert_eq!(held.shards.iter().map(|shard| shard.index).collect::<Vec<_>>(), vec![0, 2]);
    assert_eq!(store.has(&[chunk[0].chunk]).unwrap(), vec![vec![0, 2]]);
    assert_eq!(store.get(&chunk[0].chunk).unwrap().corrupt, vec![]);
    assert_eq!(store.unmended().unwrap(), 1);
    assert_eq!(store.list_unmended(None, 10).unwrap(), vec![key(&chunk[1])]);
    assert_eq!(store.list_unmended(Some(key(&chunk[1])), 10).unwrap(), vec![]);
    assert_eq!(store.put_batch(&chunk[1..2])[0].clone().unwrap(), PutOutcome::Stored);
    assert_eq!((store.usage().shards, store.unmended().unwrap()), (3, 0));
    drop(store);
    let store = open(directory.path());
    chunk.iter().for_each(|put| assert_holds(&store, put));
}

#[test]
fn what_was_lost_is_remembered_until_it_is_made_good() {
    let directory = tempfile::tempdir().unwrap();
    let chunk = shards(50_000, 1, "2/3");
    let store = open(directory.path());
    put_all(&store, &chunk);
    let segment = fs::File::options().write(true).open(&segments(directory.path())[0]).unwrap();
    segment.write_all_at(b"!", 30_000).unwrap(); // in the payload of shard 1
    assert_eq!(store.scrub(None, u64::MAX).unwrap().damaged, vec![key(&chunk[1])]);
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.list_unmended(None, 10).unwrap(), vec![key(&chunk[1])]);
    assert_eq!(store.scrub(None, u64::MAX).unwrap().damaged, vec![]);
    // What is deleted because nobody wants it is not missed.
    store.delete(&[key(&chunk[0])]).unwrap();
    assert_eq!(store.unmended().unwrap(), 1);
    store.made_good(&[key(&chunk[1])]).unwrap();
    assert_eq!(store.unmended().unwrap(), 0);
}

#[test]
fn the_quota_always_holds_and_deleting_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let quota = 12 << 20;
    let store = ShardStore::open(directory.path(), StoreConfig { quota_bytes: quota, ..config() }).unwrap();
    let puts = singles(600, 30_000);
    let mut stored = vec![];
    for batch in puts.chunks(16) {
        for (put, result) in batch.iter().zip(store.put_batch(batch)) {
            match result {
                Ok(_) => stored.push(put),
                Err(PutError::Quota { used, quota, .. }) => assert!(used <= quota),
                Err(error) => panic!("{error}"),
            }
            assert!(store.usage().disk_bytes <= quota);
        }
        assert!(disk_usage(directory.path()) <= quota, "{} bytes", disk_usage(directory.path()));
    }
    assert!((300..420).contains(&stored.len()), "{}", stored.len());
    let (gone, kept) = stored.split_at(stored.len() / 2);
    let keys: Vec<_> = gone.iter().map(|put| key(put)).collect();
    let before = disk_usage(directory.path());
    assert_eq!(store.delete(&keys).unwrap(), gone.len());
    let after = disk_usage(directory.path());
    assert!(after + 3_000_000 < before, "{before} to {after} bytes");
    assert!(store.usage().disk_bytes + 3_000_000 < before);
    let again: Vec<_> = gone.iter().map(|put| (*put).clone()).collect();
    let back = store.put_batch(&again).iter().filter(|result| result.is_ok()).count();
    assert!(back > gone.len() / 2, "{back} of {}", gone.len());
    assert!(disk_usage(directory.path()) <= quota);
    kept.iter().for_each(|put| assert_holds(&store, put));
}

/// With tiny shards the index takes as much as the data, and has to be counted.
#[test]
fn the_quota_holds_for_tiny_shards_too() {
    let directory = tempfile::tempdir().unwrap();
    let quota = 6 << 20;
    let config = StoreConfig { quota_bytes: quota, checkpoint_bytes: 1 << 20, ..config() };
    let store = ShardStore::open(directory.path(), config).unwrap();
    let puts = singles(20_000, 64);
    let mut stored = 0;
    for batch in puts.chunks(100) {
        stored += store.put_batch(batch).iter().filter(|result| result.is_ok()).count();
        let (counted, real) = (store.usage().disk_bytes, disk_usage(directory.path()));
        assert!(counted <= quota && real <= quota + 8192, "{counted} counted, {real} really, of {quota}");
    }
    assert!(stored > 8_000, "{stored}");
    // Deleting a few of a full store must not exceed it either, nor must closing it.
    let few: Vec<_> = puts[..8_000].iter().step_by(20).map(key).collect();
    store.delete(&few).unwrap();
    assert!(disk_usage(directory.path()) <= quota + 8192);
    drop(store);
    assert!(disk_usage(directory.path()) <= quota + 8192);
}

#[test]
fn deleted_shards_stay_deleted_and_dead_segments_go() {
    let directory = tempfile::tempdir().unwrap();
    let puts = singles(200, 50_000);
    {
        let store = open(directory.path());
        put_all(&store, &puts);
        let keys: Vec<_> = puts[..180].iter().map(key).collect();
        assert_eq!(store.delete(&keys).unwrap(), 180);
        assert_eq!(store.delete(&keys).unwrap(), 0);
    }
    let store = open(directory.path());
    assert_eq!(store.usage().shards, 20);
    let chunks: Vec<_> = puts.iter().map(|put| put.chunk).collect();
    let held = store.has(&chunks).unwrap();
    assert!(held[..180].iter().all(Vec::is_empty) && held[180..].iter().all(|held| held == &[0]));
    assert!(segments(directory.path()).len() <= 3);
    puts[180..].iter().for_each(|put| assert_holds(&store, put));
}

#[test]
fn a_lost_or_damaged_index_is_built_again_from_the_segments() {
    let directory = tempfile::tempdir().unwrap();
    let puts = singles(100, 40_000);
    let index = directory.path().join("index.redb");
    {
        let store = open(directory.path());
        put_all(&store, &puts);
        store.delete(&puts[..30].iter().map(key).collect::<Vec<_>>()).unwrap();
    }
    for damage in [true, false] {
        if damage {
            fs::write(&index, b"this is not an index").unwrap();
        } else {
            fs::remove_file(&index).unwrap();
        }
        let store = open(directory.path());
        assert!(store.take_recovered().index_rebuilt);
        puts[30..].iter().for_each(|put| assert_holds(&store, put));
        assert_eq!(store.usage().shards, 70, "deleted shards must not come back");
    }
}

/// Bits flip in the index file too. It is built again from the segments then, and nothing is lost.
#[test]
fn a_damaged_index_loses_nothing_and_never_panics() {
    let directory = tempfile::tempdir().unwrap();
    let puts = singles(60, 2_000);
    let other = &singles(61, 2_000)[60..];
    {
        let store = open(directory.path());
        put_all(&store, &puts);
    }
    let index = directory.path().join("index.redb");
    let good = fs::read(&index).unwrap();
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    for seed in 0..100 {
        let mut bad = good.clone();
        for die in noise(8 * 8, seed).chunks(8).take(1 + seed as usize % 8) {
            let at = u64::from_le_bytes(die.try_into().unwrap()) as usize;
            bad[at % used] ^= die[0] | 1;
        }
        fs::write(&index, &bad).unwrap();
        let store = open(directory.path());
        puts.iter().for_each(|put| assert_holds(&store, put));
        put_all(&store, other);
        assert_eq!(store.delete(&[key(&other[0])]).unwrap(), 1, "seed {seed}");
        assert_eq!(store.usage().shards, 60);
    }
}

#[test]
fn a_store_in_use_or_of_a_newer_format_or_of_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert!(matches!(ShardStore::open(directory.path(), config()), Err(OpenError::Locked)));
    drop(store);
    let format = directory.path().join("format");
    assert_eq!(fs::read_to_string(&format).unwrap(), "chordage shard store, format 1\n");
    fs::write(&format, "chordage shard store, format 2\n").unwrap();
    let newer = ShardStore::open(directory.path(), config()).unwrap_err();
    assert!(matches!(newer, OpenError::NewerFormat { found: 2, supported: 1 }), "{newer}");
    fs::write(&format, "something else").unwrap();
    assert!(matches!(ShardStore::open(directory.path(), config()), Err(OpenError::NotAStore)));
}

#[test]
fn readers_and_a_writer_work_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let puts = singles(300, 20_000);
    let (first, rest) = puts.split_at(100);
    put_all(&store, first);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for batch in rest.chunks(20) {
                put_all(&store, batch);
                let keys: Vec<_> = batch[..10].iter().map(key).collect();
                store.delete(&keys).unwrap();
                store.compact().unwrap();
            }
            done.store(true, Ordering::Release);
        });
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    first.iter().for_each(|put| assert_holds(&store, put));
                    for put in rest {
                        assert_eq!(store.get(&put.chunk).unwrap().corrupt, vec![]);
                    }
                }
            });
        }
    });
    assert_eq!(store.usage().shards, 200);
}

#[test]
fn compaction_moves_what_lives_and_gives_the_rest_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    // Records smaller than a block: holes give nothing back.
    let puts = singles(3000, 1500);
    for batch in puts.chunks(200) {
        put_all(&store, batch);
    }
    let (gone, kept): (Vec<_>, Vec<_>) = puts.iter().zip(0..).partition(|(_, i)| i % 4 != 0);
    let keys: Vec<_> = gone.iter().map(|(put, _)| key(put)).collect();
    store.delete(&keys).unwrap();
    let before = store.usage().disk_bytes;
    let mut freed = 0;
    loop {
        let done = store.compact().unwrap();
        if done.segments == 0 {
            break;
        }
        freed += done.freed_bytes;
    }
    assert!(freed > 1_000_000, "{freed}");
    assert!(store.usage().disk_bytes < before);
    kept.iter().for_each(|(put, _)| assert_holds(&store, put));
    drop(store);
    let store = open(directory.path());
    kept.iter().for_each(|(put, _)| assert_holds(&store, put));
    assert_eq!(store.usage().shards, 750);
}

#[test]
fn nothing_is_acknowledged_into_a_directory_that_was_removed_or_replaced() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("store");
    let puts = singles(3, 1000);
    for replaced in [false, true] {
        let store = open(&directory);
        put_all(&store, &puts[..1]);
        store.check_in_place().unwrap();
        fs::remove_dir_all(&directory).unwrap();
        // The lock of the store that is gone does not keep another out.
        let other = replaced.then(|| open(&directory));

        // Neither what would be written nor what the index still has.
        for result in store.put_batch(&puts[..2]) {
            assert!(matches!(result, Err(PutError::Removed(_))), "{result:?}");
        }
        let error = store.has(&[puts[0].chunk]).unwrap_err();
        assert!(error.to_string().contains("removed or replaced"), "{error}");
        assert!(store.check_in_place().is_err());
        // What cannot be read is gone rather than damaged.
        assert!(replaced || store.get(&puts[0].chunk).is_err());

        if let Some(other) = other {
            put_all(&other, &puts);
            assert!(store.put_batch(&puts[2..])[0].is_err());
            drop(store);
            assert_holds(&other, &puts[2]);
        }
    }
}
