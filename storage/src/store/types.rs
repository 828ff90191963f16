//! What goes into a store, what comes out, and what can go wrong.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::descriptor::{DescriptorError, ShardError};
use crate::files::is_removed;
use crate::ids::ChunkId;

/// How a store behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The store never takes more space than this on disk, index included. What would exceed it is refused, and so is
    /// what would take the room on the disk that has to stay free: see [`Files::room`](super::Files::room).
    pub quota_bytes: u64,
    /// A segment file is closed when it would exceed this; between 64 KiB and 1 GiB (values outside are brought
    /// inside). Whole files are given back when nothing in them lives; small ones sooner, but there are more.
    pub segment_bytes: u64,
    /// The index is made durable each time this many bytes were appended. This is also how much a start after a
    /// crash has to read again.
    pub checkpoint_bytes: u64,
    /// Memory for the index's cache, in bytes.
    pub index_cache_bytes: usize,
}

impl StoreConfig {
    /// A configuration with this quota. The other values are those that measured well.
    pub const fn with_quota(quota_bytes: u64) -> Self {
        Self {
            quota_bytes,
            segment_bytes: 256 << 20,
            checkpoint_bytes: 64 << 20,
            index_cache_bytes: 16 << 20,
        }
    }
}

/// A shard to be stored.
#[derive(Clone, Debug)]
pub struct ShardPut {
    /// The chunk that it is a shard of.
    pub chunk: ChunkId,
    /// The chunk's encoded descriptor.
    pub descriptor: Bytes,
    /// Which shard it is.
    pub index: u8,
    /// Its bytes.
    pub payload: Bytes,
}

/// What became of a shard. Either way it is durable now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// It was written.
    Stored,
    /// It was here already.
    AlreadyHeld,
}

/// Why a shard was not stored. No shard that the store held before is lost by that. After [`Io`](Self::Io) or
/// [`NoSpace`](Self::NoSpace) the refused shard may turn out to be held after all, if its record had reached the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PutError {
    /// It would exceed the quota.
    #[error("a shard of {needed} bytes does not fit: {used} of {quota} bytes are in use")]
    Quota {
        /// Bytes that it would take.
        needed: u64,
        /// Bytes in use, with what is kept free for the index.
        used: u64,
        /// Bytes allowed.
        quota: u64,
    },
    /// The disk is full, or as full as shards may make it, though the quota is not.
    #[error("no space left on the disk")]
    NoSpace,
    /// It is not the shard that it is said to be.
    #[error(transparent)]
    Invalid(#[from] InvalidShard),
    /// The store's directory was removed or replaced: nothing that is written now would last.
    #[error("{0}")]
    Removed(Arc<io::Error>),
    /// Reading or writing failed.
    #[error("the shard could not be written: {0}")]
    Io(Arc<io::Error>),
}

impl From<io::Error> for PutError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ if is_removed(&error) => Self::Removed(Arc::new(error)),
            _ => Self::Io(Arc::new(error)),
        }
    }
}

/// Why bytes are not the shard that they are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShard {
    /// The descriptor cannot be read.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The descriptor is another chunk's.
    #[error("the descriptor is not the one of the chunk")]
    WrongChunk,
    /// The bytes are not those that the descriptor names.
    #[error(transparent)]
    Shard(#[from] ShardError),
}

/// A shard from the store, verified against its descriptor, and that against the chunk's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredShard {
    /// Which shard it is.
    pub index: u8,
    /// The chunk's encoded descriptor.
    pub descriptor: Bytes,
    /// Its bytes.
    pub payload: Bytes,
}

/// What the store holds of one chunk.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Held {
    /// Its good shards, by index.
    pub shards: Vec<StoredShard>,
    /// Indices of shards that were found damaged just now. The store no longer counts them as held; they can be
    /// put again.
    pub corrupt: Vec<u8>,
}

/// Why a read failed. Nothing is known to be lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GetError {
    /// Reading failed.
    #[error("the store could not be read: {0}")]
    Io(Arc<io::Error>),
}

impl From<io::Error> for GetError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// Why a change of the store (a deletion, a compaction or a checkpoint) failed. Shards that were to be deleted may or
/// may not be gone.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChangeError {
    /// The disk is full.
    #[error("no space left on the disk")]
    NoSpace,
    /// Reading or writing failed.
    #[error("the store could not be changed: {0}")]
    Io(Arc<io::Error>),
}

impl From<io::Error> for ChangeError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Io(Arc::new(error)),
        }
    }
}

/// Why a store could not be opened. [`Locked`](Self::Locked), [`NewerFormat`](Self::NewerFormat) and
/// [`NotAStore`](Self::NotAStore) leave the store unchanged. After [`Io`](Self::Io) recovery may have begun: the index
/// may have been removed or brought up to date, and what a crash left behind the end of the log may have been cut off.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, has it open.
    #[error("the store is in use by another process")]
    Locked,
    /// Written by a newer version of this program.
    #[error("the store has format {found}, this program knows up to {supported}")]
    NewerFormat {
        /// Its format.
        found: u32,
        /// The newest format known here.
        supported: u32,
    },
    /// Its format file cannot be read: the directory is not a store, or is damaged.
    #[error("the directory is not a store: its format file is damaged")]
    NotAStore,
    /// Reading or writing failed.
    #[error("the store could not be opened: {0}")]
    Io(#[from] io::Error),
}

/// What a store holds and takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// Shards held.
    pub shards: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Bytes taken on disk: segments without their holes, and the index.
    pub disk_bytes: u64,
    /// Bytes allowed on disk: the quota, or less where the disk has no room for it now.
    pub quota_bytes: u64,
    /// Times that files or the directory were made durable since the store was opened.
    pub syncs: u64,
}

/// A shard, as listed by [`ShardStore::iterate`](super::ShardStore::iterate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShardKey {
    /// The chunk.
    pub chunk: ChunkId,
    /// Which of its shards.
    pub index: u8,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Segment files removed: 0 when no segment is worth it.
    pub segments: u32,
    /// Bytes of shards that moved.
    pub moved_bytes: u64,
    /// Bytes given back to the file system.
    pub freed_bytes: u64,
}
