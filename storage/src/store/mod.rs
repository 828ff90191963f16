//! The shard store: shards on disk.
//!
//! Payloads are appended to segment files, and a redb index says which shard lies where. A batch of puts is
//! appended, synced once, entered in the index, and only then acknowledged. The index itself is made durable only
//! at checkpoints (every 64 MiB): what was appended since is found again by reading the end of the log, because
//! every record in a segment describes and checks itself. So a batch costs one sync, a start reads at most the
//! last 64 MiB, and a lost index can be built again from the segments.
//!
//! | after a crash | because |
//! |---|---|
//! | every acknowledged shard is there | its record was synced before |
//! | no shard is half there | a record counts only if its payload has the hash that its descriptor names |
//! | an unacknowledged shard may be there, whole | its record happened to reach the disk |
//! | an acknowledged deletion stays | the index is made durable with every batch of deletions |
//!
//! Deleting punches holes into the segment where the file system can, and removes segments in which nothing
//! lives; [`compact`](ShardStore::compact) does the rest.

mod compact;
mod delete;
mod get;
mod index;
mod lost;
mod put;
mod record;
mod recover;
mod scan;
mod scrub;
mod types;
mod unmended;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub use crate::files::{Files, OsFiles, Removed, Reserve, StoreFile, is_removed};
pub use lost::Recovered;
pub use scrub::Scrubbed;
pub use types::{
    ChangeError, Compacted, GetError, Held, InvalidShard, OpenError, PutError, PutOutcome, ShardKey,
    ShardPut, StoreConfig, StoredShard, Usage,
};

use crate::database::is_damaged;
use index::{Index, SegmentStats, State};

/// Segment files that are kept open for reading.
const MAX_OPEN_SEGMENTS: usize = 64;

/// The index is made durable each time this many shards were stored, even small ones: it bounds what a checkpoint
/// writes, a page of 4 KiB for each when their ids are far apart.
const MAX_UNCHECKPOINTED_RECORDS: u64 = 4096;

/// Keeps shards on disk. All methods may be called from several threads: readers do not wait for writers, writers
/// wait for each other.
pub struct ShardStore {
    files: Box<dyn Files>,
    config: StoreConfig,
    /// The quota: at first the configured one, later what [`set_quota`](Self::set_quota) was given.
    quota_bytes: AtomicU64,
    /// `None` only when reopening it failed.
    index: RwLock<Option<Index>>,
    writer: Mutex<Writer>,
    open_segments: Mutex<BTreeMap<u32, Arc<dyn StoreFile>>>,
    /// Shards found damaged that are still in the index. They are not held.
    quarantine: Mutex<BTreeSet<ShardKey>>,
    any_quarantined: AtomicBool,
    /// The index was found damaged: it must be built again.
    damaged: AtomicBool,
    usage: Mutex<Usage>,
    /// What opening found, until somebody asks.
    recovered: Mutex<Recovered>,
}

/// What a writer needs to know, changed only after the index was.
#[derive(Default)]
struct Writer {
    active: Option<Active>,
    next_segment: u32,
    segments: BTreeMap<u32, SegmentStats>,
    shards: u64,
    payload_bytes: u64,
    uncheckpointed: Uncheckpointed,
    /// A change of the index failed: it must be opened anew.
    broken: bool,
}

/// What was appended since the index was durable.
#[derive(Clone, Copy, Default)]
struct Uncheckpointed {
    bytes: u64,
    records: u64,
}

impl Uncheckpointed {
    fn is_due(self, config: &StoreConfig) -> bool {
        self.bytes >= config.checkpoint_bytes || self.records >= MAX_UNCHECKPOINTED_RECORDS
    }
}

/// The segment that is appended to.
#[derive(Clone)]
struct Active {
    segment: u32,
    file: Arc<dyn StoreFile>,
    /// Where the next record goes.
    tail: u64,
}

impl Writer {
    /// Counters, with the checkpoint at the end of the log.
    fn state(&self) -> State {
        let (checkpoint_segment, checkpoint_offset) =
            self.active.as_ref().map_or((self.next_segment, 0), |active| (active.segment, active.tail));
        State {
            checkpoint_segment,
            checkpoint_offset,
            next_segment: self.next_segment,
            shards: self.shards,
            payload_bytes: self.payload_bytes,
        }
    }

    fn segment_bytes(&self) -> u64 {
        self.segments.values().fold(0, |sum, stats| sum.saturating_add(stats.disk_bytes()))
    }
}

impl ShardStore {
    /// Opens the store in `directory`, or creates it there. This takes milliseconds, unless the index was lost and
    /// every segment has to be read.
    pub fn open(directory: &Path, config: StoreConfig) -> Result<Self, OpenError> {
        let files = OsFiles::lock(directory)?.ok_or(OpenError::Locked)?;
        Self::open_files(Box::new(files), config)
    }

    /// Opens the store in files of any kind.
    pub fn open_files(files: Box<dyn Files>, config: StoreConfig) -> Result<Self, OpenError> {
        let segment_bytes = config.segment_bytes.clamp(64 << 10, 1 << 30);
        let config = StoreConfig { segment_bytes, ..config };
        recover::check_format(&*files)?;
        let recover::Opened { index, writer, suspects, rebuilt } = recover::recover(&*files, &config)?;
        let store = Self {
            files,
            config,
            quota_bytes: AtomicU64::new(config.quota_bytes),
            index: RwLock::new(Some(index)),
            writer: Mutex::new(writer),
            open_segments: Mutex::default(),
            quarantine: Mutex::default(),
            any_quarantined: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            usage: Mutex::default(),
            recovered: Mutex::new(Recovered { index_rebuilt: rebuilt, ..Recovered::default() }),
        };
        let mut writer = store.lock_writer();
        store.drop_lost(&mut writer, &suspects)?;
        store.give_space_back(&mut writer)?;
        store.update_usage(&writer)?;
        drop(writer);
        Ok(store)
    }

    /// What is held and what it takes.
    pub fn usage(&self) -> Usage {
        let usage = *locked(&self.usage);
        let quota_bytes = self.quota().min(usage.disk_bytes.saturating_add(self.room().unwrap_or(u64::MAX)));
        Usage { syncs: self.files.syncs(), quota_bytes, ..usage }
    }

    /// The most space that the store may take on disk. A put that would exceed it is refused.
    fn quota(&self) -> u64 {
        self.quota_bytes.load(Ordering::Relaxed)
    }

    /// Changes the quota. What is held stays, also where that is more than the new one.
    pub fn set_quota(&self, quota_bytes: u64) {
        self.quota_bytes.store(quota_bytes, Ordering::Relaxed);
    }

    /// Bytes that the disk has room for, whatever the quota is: see [`Files::room`].
    pub fn room(&self) -> io::Result<u64> {
        self.files.room()
    }

    /// Whether the store still is where it was opened. If not, what it has open can be read until it is closed,
    /// but nothing of it lasts: see [`Files::check_in_place`].
    pub fn check_in_place(&self) -> io::Result<()> {
        self.files.check_in_place()
    }

    /// Makes the index durable, so that the next start has nothing to read again. Dropping the store does this
    /// too, but cannot report an error.
    pub fn checkpoint(&self) -> Result<(), ChangeError> {
        let mut writer = self.lock_writer();
        self.mend(&mut writer)?;
        if writer.uncheckpointed.records > 0 {
            let state = writer.state();
            self.change_index(&mut writer.broken, true, |tables| tables.set_state(state))?;
            writer.uncheckpointed = Uncheckpointed::default();
        }
        self.update_usage(&writer)?;
        Ok(())
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        locked(&self.writer)
    }

    /// Calls `call` with the index, and notes if the index turns out to be damaged. Does not rebuild it.
    fn with_index<T>(&self, call: impl FnOnce(&Index) -> io::Result<T>) -> io::Result<T> {
        let guard = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let result = call(guard.as_ref().ok_or_else(|| io::Error::other("the index could not be reopened"))?);
        if result.as_ref().is_err_and(is_damaged) {
            self.damaged.store(true, Ordering::Release);
        }
        result
    }

    /// Reads from the index; if it is damaged, builds it again first.
    fn read_index<T>(&self, read: impl Fn(&Index) -> io::Result<T>) -> io::Result<T> {
        match self.with_index(&read) {
            Err(error) if is_damaged(&error) => {
                self.mend(&mut self.lock_writer())?;
                self.with_index(&read)
            }
            result => result,
        }
    }

    /// Changes the index; if that fails, it is `broken` and will be opened anew before the next change.
    fn change_index<T>(
        &self,
        broken: &mut bool,
        durable: bool,
        change: impl FnOnce(&mut index::Tables<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let result = self.with_index(|index| index.write(durable, change));
        *broken |= result.is_err();
        result
    }

    /// Puts right what went wrong: opens the index anew if need be, and drops what was found damaged. A directory that
    /// was replaced is not put right: what is there now is another's.
    fn mend(&self, writer: &mut Writer) -> io::Result<()> {
        self.check_in_place()?;
        self.reopen(writer)?;
        if self.any_quarantined.load(Ordering::Acquire) {
            let damaged = locked(&self.quarantine).clone();
            self.delete_locked(writer, &Vec::from_iter(damaged.iter().copied()), delete::Why::Damaged)?;
            let mut quarantine = locked(&self.quarantine);
            quarantine.retain(|key| !damaged.contains(key));
            self.any_quarantined.store(!quarantine.is_empty(), Ordering::Release);
        }
        Ok(())
    }

    /// Opens the index anew if a change of it failed, and builds it again if it is damaged.
    fn reopen(&self, writer: &mut Writer) -> io::Result<()> {
        let damaged = self.damaged.load(Ordering::Acquire);
        if writer.broken || damaged {
            let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
            // The old one has to be gone before the file is opened again.
            *slot = None;
            if damaged {
                recover::remove_index(&*self.files)?;
                self.damaged.store(false, Ordering::Release);
            }
            // Shards that were lost meanwhile are found when they are read, or by the next start.
            let opened = recover::recover(&*self.files, &self.config)?;
            *slot = Some(opened.index);
            *writer = opened.writer;
            locked(&self.open_segments).clear();
        }
        Ok(())
    }

    /// The file of a segment, kept open for the next time; `None` if it is gone.
    fn segment_file(&self, segment: u32) -> io::Result<Option<Arc<dyn StoreFile>>> {
        if let Some(file) = locked(&self.open_segments).get(&segment) {
            return Ok(Some(Arc::clone(file)));
        }
        let Some(file) = self.files.open(&record::segment_name(segment))? else { return Ok(None) };
        let mut open = locked(&self.open_segments);
        if open.len() >= MAX_OPEN_SEGMENTS {
            open.pop_first();
        }
        open.insert(segment, Arc::clone(&file));
        Ok(Some(file))
    }

    fn forget_segment(&self, segment: u32) {
        locked(&self.open_segments).remove(&segment);
    }

    fn update_usage(&self, writer: &Writer) -> io::Result<()> {
        let index_bytes = self.with_index(Index::disk_bytes)?;
        *locked(&self.usage) = Usage {
            shards: writer.shards,
            payload_bytes: writer.payload_bytes,
            disk_bytes: writer.segment_bytes().saturating_add(index_bytes),
            quota_bytes: self.quota(),
            syncs: 0, // counted below the store: see `usage`
        };
        Ok(())
    }
}

impl Drop for ShardStore {
    fn drop(&mut self) {
        // Without it the next start has a little more to read; nothing is lost.
        let _ = self.checkpoint();
    }
}

impl std::fmt::Debug for ShardStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardStore").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

/// Locks a mutex. What it guards is changed in one step each time, so that a thread that panicked left it whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
