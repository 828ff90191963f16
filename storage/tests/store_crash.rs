//! The shard store on a disk that loses power, fills up and fails, against a model.
//!
//! The rule: an acknowledged shard is there and whole; a shard that was never acknowledged is there whole or not at
//! all; an acknowledged deletion stays.

#![allow(clippy::unwrap_used)]

#[path = "harness/disk.rs"]
#[allow(dead_code, unreachable_pub)]
mod disk;
mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chordage_storage::{
    Coder, EncodeParams, Pack, PutError, PutOutcome, ShardKey, ShardPut, ShardStore, StoreConfig,
    encode_chunk,
};
use disk::Disk;
use harness::{noise, secret};
use proptest::prelude::*;

/// Shards to put: of many lengths, among them several of one chunk, and ones below and above a block.
static SHARDS: LazyLock<Vec<ShardPut>> = LazyLock::new(|| {
    let mut coder = Coder::new();
    let mut all = vec![];
    for (seed, (redundancy, len)) in
        (0..).zip([("1/1", 100), ("1/1", 5_000), ("2/4", 30_000), ("1/1", 40_000), ("3/6", 9_000)].repeat(8))
    {
        let params = EncodeParams::new(redundancy.parse().unwrap(), secret());
        let chunk = encode_chunk(Pack::from(noise(len, seed)), &params, &mut coder).unwrap();
        let descriptor = chunk.descriptor.encode();
        for (index, payload) in (0u8..).zip(chunk.shards) {
            let (chunk, descriptor) = (chunk.reference.id, descriptor.clone());
            all.push(ShardPut { chunk, descriptor, index, payload });
        }
    }
    all
});

fn shard(number: u8) -> &'static ShardPut {
    &SHARDS[usize::from(number) % SHARDS.len()]
}

fn key(put: &ShardPut) -> ShardKey {
    ShardKey { chunk: put.chunk, index: put.index }
}

/// Small limits, so that segments roll and checkpoints come all the time.
fn config() -> StoreConfig {
    StoreConfig {
        quota_bytes: u64::MAX,
        segment_bytes: 128 << 10,
        checkpoint_bytes: 200 << 10,
        index_cache_bytes: 1 << 20,
    }
}

#[derive(Clone, Debug)]
enum Action {
    Put(Vec<u8>),
    Delete(Vec<u8>),
    Get(u8),
    Compact,
    Checkpoint,
    Reopen,
    PowerFailure,
}

fn action() -> impl Strategy<Value = Action> {
    let some = || prop::collection::vec(any::<u8>(), 1..12);
    prop_oneof![
        8 => some().prop_map(Action::Put),
        4 => some().prop_map(Action::Delete),
        2 => any::<u8>().prop_map(Action::Get),
        2 => Just(Action::Compact),
        1 => Just(Action::Checkpoint),
        1 => Just(Action::Reopen),
        1 => Just(Action::PowerFailure),
    ]
}

/// What the store has promised.
#[derive(Default)]
struct Model {
    held: BTreeSet<ShardKey>,
    /// Shards of which a call that failed may or may not have changed the state.
    unknown: BTreeSet<ShardKey>,
}

impl Model {
    fn put(&mut self, store: &ShardStore, puts: &[ShardPut]) -> bool {
        let mut failed = false;
        for (put, result) in puts.iter().zip(store.put_batch(puts)) {
            let key = key(put);
            match result {
                Ok(outcome) => {
                    if outcome == PutOutcome::Stored {
                        assert!(!self.held.contains(&key), "stored twice");
                    } else {
                        assert!(
                            self.held.contains(&key) || self.unknown.contains(&key),
                            "claims to hold what was never put"
                        );
                    }
                    self.held.insert(key);
                    self.unknown.remove(&key);
                }
                Err(PutError::Invalid(error)) => panic!("{error}"),
                Err(_) => {
                    failed = true;
                    if !self.held.contains(&key) {
                        self.unknown.insert(key);
                    }
                }
            }
        }
        failed
    }

    fn delete(&mut self, store: &ShardStore, keys: &[ShardKey]) -> bool {
        let result = store.delete(keys);
        for key in keys {
            let was_held = self.held.remove(key);
            match &result {
                Ok(_) => drop(self.unknown.remove(key)),
                Err(_) if was_held => drop(self.unknown.insert(*key)),
                Err(_) => {}
            }
        }
        result.is_err()
    }

    /// Compares everything; what was unknown is known afterwards.
    fn check(&mut self, store: &ShardStore) {
        let mut by_chunk: BTreeMap<_, Vec<&ShardPut>> = BTreeMap::new();
        SHARDS.iter().for_each(|put| by_chunk.entry(put.chunk).or_default().push(put));
        let mut shards = 0;
        for (chunk, puts) in by_chunk {
            let held = store.get(&chunk).unwrap();
            for index in &held.corrupt {
                // Only a deletion on a full disk may be seen half done.
                let key = ShardKey { chunk, index: *index };
                assert!(self.unknown.contains(&key), "{key:?} was damaged");
            }
            assert_eq!(store.has(&[chunk]).unwrap()[0].len(), held.shards.len());
            shards += held.shards.len() as u64;
            for put in puts {
                let key = key(put);
                match held.shards.iter().find(|shard| shard.index == put.index) {
                    Some(shard) => {
                        assert!(shard.payload == put.payload && shard.descriptor == put.descriptor);
                        let expected = self.held.contains(&key) || self.unknown.contains(&key);
                        assert!(expected, "{key:?} came back");
                        self.held.insert(key);
                    }
                    None => assert!(!self.held.contains(&key), "{key:?} was acknowledged and is lost"),
                }
            }
        }
        self.unknown.clear();
        // What was found damaged is dropped for good with the next change.
        store.checkpoint().unwrap();
        assert_eq!(store.usage().shards, shards);
        let payload: usize = self.held.iter().map(|key| payload_len(*key)).sum();
        assert_eq!(store.usage().payload_bytes, payload as u64);
        let listed = store.iterate(None, usize::MAX).unwrap();
        assert!(listed.iter().map(|(key, _)| key).eq(self.held.iter()));
    }
}

fn payload_len(wanted: ShardKey) -> usize {
    SHARDS.iter().find(|put| key(put) == wanted).unwrap().payload.len()
}

fn open(disk: &Disk) -> Option<ShardStore> {
    ShardStore::open_files(Box::new(disk.clone()), config()).ok()
}

/// Runs actions; whenever the power is out, turns it on again and checks.
fn run(disk: &Disk, actions: &[Action], mut before_each: impl FnMut(&Disk, usize)) {
    let mut model = Model::default();
    let mut store = open(disk);
    for (i, action) in actions.iter().enumerate() {
        before_each(disk, i);
        if let Some(open_store) = &store {
            let pick =
                |numbers: &[u8]| -> Vec<ShardPut> { numbers.iter().map(|n| shard(*n).clone()).collect() };
            match action {
                Action::Put(indices) => drop(model.put(open_store, &pick(indices))),
                Action::Delete(indices) => {
                    let keys: Vec<_> = pick(indices).iter().map(key).collect();
                    model.delete(open_store, &keys);
                }
                Action::Get(index) => {
                    let put = shard(*index);
                    if let Ok(held) = open_store.get(&put.chunk) {
                        for shard in held.shards {
                            let shard = ShardKey { chunk: put.chunk, index: shard.index };
                            assert!(model.held.contains(&shard) || model.unknown.contains(&shard));
                        }
                        for index in held.corrupt {
                            assert!(model.unknown.contains(&ShardKey { chunk: put.chunk, index }));
                        }
                    }
                }
                Action::Compact => drop(open_store.compact()),
                Action::Checkpoint => drop(open_store.checkpoint()),
                Action::Reopen => store = None,
                Action::PowerFailure => disk.fail_power_after(0),
            }
        }
        if matches!(action, Action::PowerFailure) || disk.is_off() || store.is_none() {
            let power_failed = matches!(action, Action::PowerFailure) || disk.is_off();
            drop(store.take());
            if power_failed {
                disk.power_cycle();
            }
            // A failure may be due while the store is opened; the check that follows is not what is tested.
            store = open(disk);
            disk.disarm();
            if store.is_none() || disk.is_off() {
                drop(store.take());
                disk.power_cycle();
                store = open(disk);
            }
            model.check(store.as_ref().expect("nothing fails any more"));
        }
    }
    drop(store);
    disk.power_cycle();
    disk.set_capacity(u64::MAX);
    model.check(&open(disk).expect("nothing fails any more"));
}

/// Stories of each kind. `PROPTEST_CASES=10000 cargo test --release -p chordage-storage --test store_crash` tells more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    /// The power fails at any operation, also while recovering from the last time.
    #[test]
    fn power_failures_lose_nothing_that_was_acknowledged(
        seed: u64,
        actions in prop::collection::vec(action(), 1..40),
        failures in prop::collection::vec((0usize..40, 0u64..400), 0..6),
        holes: bool,
    ) {
        let disk = Disk::new(seed);
        disk.set_holes(holes);
        let failures: BTreeMap<usize, u64> =
            failures.into_iter().map(|(i, after)| (i % actions.len(), after)).collect();
        run(&disk, &actions, |disk, i| {
            if let Some(after) = failures.get(&i) {
                disk.fail_power_after(*after);
            }
        });
    }

    /// Single operations fail and the process goes on; now and then the power fails too.
    #[test]
    fn failing_operations_lose_nothing_and_are_got_over(
        seed: u64,
        actions in prop::collection::vec(action(), 1..40),
        failures in prop::collection::vec((0usize..40, 0u64..60), 1..12),
    ) {
        let disk = Disk::new(seed);
        let failures: BTreeMap<usize, u64> =
            failures.into_iter().map(|(i, after)| (i % actions.len(), after)).collect();
        run(&disk, &actions, |disk, i| {
            if let Some(after) = failures.get(&i) {
                disk.fail_once_after(*after);
            }
        });
    }

    /// The disk fills up at any point and later has room again.
    #[test]
    fn a_full_disk_loses_nothing(
        seed: u64,
        actions in prop::collection::vec(action(), 1..40),
        limits in prop::collection::vec((0usize..40, prop_oneof![0u64..2_000_000, Just(u64::MAX)]), 1..6),
    ) {
        let disk = Disk::new(seed);
        let limits: BTreeMap<usize, u64> =
            limits.into_iter().map(|(i, bytes)| (i % actions.len(), bytes)).collect();
        run(&disk, &actions, |disk, i| {
            // Recovery may need room, and its checks are not what is tested here.
            disk.set_capacity(u64::MAX);
            if let Some(bytes) = limits.get(&i) && matches!(actions[i], Action::Put(_) | Action::Delete(_) | Action::Compact) {
                disk.set_capacity(*bytes);
            }
        });
    }
}

/// A disk without a free byte: shards can be read, none can be put, and deleting some makes room again.
#[test]
fn deleting_works_on_a_disk_without_any_room() {
    let disk = Disk::new(1);
    let store = open(&disk).unwrap();
    let mut model = Model::default();
    model.put(&store, &SHARDS[..60]);
    store.checkpoint().unwrap();
    disk.set_capacity(disk.used());
    assert!(store.put_batch(&SHARDS[60..61])[0].is_err());
    let keys: Vec<_> = SHARDS[..30].iter().map(key).collect();
    assert!(!model.delete(&store, &keys), "a full disk must not keep its owner from making room");
    assert!(!model.put(&store, &SHARDS[60..62]));
    model.check(&store);
}

/// Shards stop before the disk is full, so that there is room for the books beside them.
#[test]
fn shards_leave_room_on_the_disk_and_the_quota_follows_it() {
    let disk = Disk::new(1);
    let store = open(&disk).unwrap();
    let mut model = Model::default();
    model.put(&store, &SHARDS[..4]);
    disk.set_room(0);
    let used = store.usage().disk_bytes;
    assert_eq!(store.usage().quota_bytes, used);
    assert!(matches!(store.put_batch(&SHARDS[4..5])[0], Err(PutError::NoSpace)));
    // What is held already takes no more room.
    assert!(matches!(store.put_batch(&SHARDS[..1])[0], Ok(PutOutcome::AlreadyHeld)));
    disk.set_room(8 << 20);
    assert_eq!(store.usage().quota_bytes, config().quota_bytes.min(used + (8 << 20)));
    assert!(!model.put(&store, &SHARDS[4..5]));
    model.check(&store);
}

/// The index may use what is kept in reserve, and shards may not: they would only need more of it.
#[test]
fn the_reserve_is_for_books_alone() {
    let disk = Disk::new(1);
    let store = open(&disk).unwrap();
    let mut model = Model::default();
    model.put(&store, &SHARDS[..60]);
    disk.set_capacity(disk.used());
    disk.set_reserve(8 << 20);
    assert!(store.put_batch(&SHARDS[60..61])[0].is_err());
    assert_eq!(disk.reserve(), 8 << 20);
    store.checkpoint().unwrap();
    model.check(&store);
}

/// A daemon that was killed on a full disk reads its log again, which takes room for the index.
#[test]
fn a_store_opens_on_a_full_disk_with_its_reserve() {
    // Without memory for the index, what is read again goes to the disk at once.
    let config = StoreConfig { index_cache_bytes: 0, checkpoint_bytes: 1 << 30, ..config() };
    for reserve in [0, 8 << 20] {
        let disk = Disk::new(1);
        let store = ShardStore::open_files(Box::new(disk.clone()), config).unwrap();
        let mut model = Model::default();
        model.put(&store, &SHARDS[..60]);
        disk.fail_power_after(0);
        drop(store);
        disk.power_cycle();
        disk.set_capacity(disk.used());
        disk.set_reserve(reserve);
        let opened = ShardStore::open_files(Box::new(disk.clone()), config);
        assert_eq!(opened.is_ok(), reserve > 0, "{opened:?}");
        if let Ok(store) = opened {
            model.check(&store);
        }
    }
}

/// A deletion on a disk without a free byte marks its record as dead, cannot tell the index, and then the power fails:
/// the shard is not held, also where its record is too small for its space to be given back.
#[test]
fn a_deletion_that_a_full_disk_and_a_crash_cut_short_leaves_nothing_half_held() {
    let disk = Disk::new(0);
    let mut actions = vec![Action::Put(vec![0]); 7];
    actions.extend([
        Action::Put(vec![66, 67]),
        Action::Put(vec![119, 219, 3, 0, 0, 0, 4, 0]),
        Action::Checkpoint,
        Action::Put(vec![29, 80, 28, 16, 0]),
        Action::Delete(vec![219]),
        Action::PowerFailure,
        Action::Put(vec![219]),
    ]);
    run(&disk, &actions, |disk, i| disk.set_capacity(if i == 11 { 0 } else { u64::MAX }));
}

/// Every single operation of a fixed story is the one at which the power fails.
#[test]
fn the_power_may_fail_at_every_step_of_a_story() {
    let story = |disk: &Disk, model: &mut Model| -> u32 {
        let Some(store) = open(disk) else { return 0 };
        model.put(&store, &SHARDS[..12]);
        model.put(&store, &SHARDS[12..50]);
        // Most, but not all, of what the first segments hold.
        let some: Vec<_> = SHARDS[..36].iter().zip(0..).filter(|(_, i)| i % 5 != 0).collect();
        model.delete(&store, &some.iter().map(|(put, _)| key(put)).collect::<Vec<_>>());
        model.put(&store, &SHARDS[8..15]);
        let mut compacted = 0;
        while let Ok(done) = store.compact() {
            compacted += done.segments;
            if done.segments == 0 {
                break;
            }
        }
        model.put(&store, &SHARDS[50..60]);
        compacted
    };
    for holes in [true, false] {
        let calm = Disk::new(0);
        calm.set_holes(holes);
        let compacted = story(&calm, &mut Model::default());
        assert!(compacted > 0 || holes, "the story has a compaction");
        let steps = calm.operations();
        assert!(steps > 50, "{steps}");
        for step in 0..steps {
            let disk = Disk::new(step);
            disk.set_holes(holes);
            disk.fail_power_after(step);
            let mut model = Model::default();
            story(&disk, &mut model);
            disk.power_cycle();
            let store = open(&disk);
            model.check(&store.unwrap_or_else(|| panic!("cannot be opened after a failure at step {step}")));
        }
    }
}
