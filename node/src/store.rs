//! The shard store behind threads: one writer that commits in groups, a few readers, no disk on the network's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chordage_storage::possession::prove;
use chordage_storage::{
    ChunkId, Descriptor, PutError, PutOutcome, Scrubbed, ShardKey, ShardPut, ShardStore, StoredShard,
};
use tokio::sync::{mpsc, oneshot};

use crate::pool::Pool;
use crate::shards::ShardSet;

/// Shards that may wait for the writer. With the largest shards this is what bounds its memory.
const QUEUE_MAX: usize = 32;
/// Shards that share one commit at most.
const BATCH_MAX: usize = 64;
/// Bytes that share one commit at most: beyond, the fsync is no longer what costs.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// Reads under way at a time.
const READERS: usize = 4;
/// Damaged shards that may wait for repair to hear of them; the next scrub finds further ones again.
const DAMAGE_MAX: usize = 1024;

/// Why the store did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// Quota or disk are used up. Nothing was kept.
    #[error("the store is full")]
    Full,
    /// The shard does not match its descriptor or address. Nothing was kept.
    #[error("the shard does not match its address")]
    Invalid,
    /// The held shard is damaged; it will not be handed out again.
    #[error("the shard is damaged")]
    Damaged,
    /// The disk failed, or the store is closed. Whether a shard was kept is unknown.
    #[error("the disk failed")]
    Disk,
}

struct Job {
    put: ShardPut,
    reply: oneshot::Sender<Result<bool, StoreError>>,
}

/// The store, as async code sees it. Cheap to clone; the writer thread ends with the last clone.
#[derive(Clone)]
pub(crate) struct Store {
    shards: Arc<ShardStore>,
    jobs: mpsc::Sender<Job>,
    readers: Pool<()>,
    damaged: Arc<AtomicU64>,
    damage: mpsc::Sender<ShardKey>,
}

impl Store {
    /// Starts the writer thread. The receiver tells which shards are found damaged.
    pub(crate) fn start(shards: ShardStore) -> std::io::Result<(Store, mpsc::Receiver<ShardKey>)> {
        let shards = Arc::new(shards);
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let writer = shards.clone();
        std::thread::Builder::new().name("shard-writer".to_owned()).spawn(move || write(&writer, queue))?;
        let (damage, found) = mpsc::channel(DAMAGE_MAX);
        let readers = Pool::new("shard-reader", READERS);
        Ok((Store { shards, jobs, readers, damaged: Arc::default(), damage }, found))
    }

    /// Keeps a shard; durable when it returns. Tells whether it was there before.
    pub(crate) async fn put(
        &self,
        chunk: ChunkId,
        index: u8,
        descriptor: Bytes,
        payload: Bytes,
    ) -> Result<bool, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job { put: ShardPut { chunk, descriptor, index, payload }, reply };
        self.jobs.send(job).await.map_err(|_| StoreError::Disk)?;
        answer.await.unwrap_or(Err(StoreError::Disk))
    }

    /// One shard of `chunk` that is not in `skip`.
    pub(crate) async fn get(
        &self,
        chunk: ChunkId,
        skip: ShardSet,
    ) -> Result<Option<StoredShard>, StoreError> {
        let noting = self.noting_damage();
        self.read(move |shards| {
            let held = shards.get(&chunk).map_err(|error| unreadable(chunk, &error))?;
            noting(chunk, &held.corrupt);
            match held.shards.into_iter().find(|shard| !skip.contains(shard.index)) {
                None if !held.corrupt.is_empty() => Err(StoreError::Damaged),
                shard => Ok(shard),
            }
        })
        .await
    }

    /// The proof that a shard is held, by one leaf of it; `None` if it is not, or has no such leaf. The shard is read whole
    /// against its hash.
    pub(crate) async fn prove(&self, shard: ShardKey, leaf: u32) -> Result<Option<Bytes>, StoreError> {
        let noting = self.noting_damage();
        self.read(move |shards| {
            let held = shards.get_shard(shard).map_err(|error| unreadable(shard.chunk, &error))?;
            noting(shard.chunk, &held.corrupt);
            match held.shards.first() {
                None if !held.corrupt.is_empty() => Err(StoreError::Damaged),
                found => Ok(found.and_then(|found| prove(&found.payload, leaf)).map(Bytes::from)),
            }
        })
        .await
    }

    /// Reads about so many bytes of shards behind `after` against their hashes, and drops the damaged ones.
    pub(crate) async fn scrub(&self, after: Option<ShardKey>, bytes: u64) -> Result<Scrubbed, StoreError> {
        let noting = self.noting_damage();
        self.read(move |shards| {
            let done = shards.scrub(after, bytes).map_err(|error| {
                tracing::error!(%error, "a scrub cannot read the store");
                StoreError::Disk
            })?;
            for ShardKey { chunk, index } in &done.damaged {
                noting(*chunk, &[*index]);
            }
            Ok(done)
        })
        .await
    }

    /// At most `limit` shards behind `after` in the order of their keys, with the lengths of their payloads.
    pub(crate) async fn list(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<(ShardKey, u32)>, StoreError> {
        self.read(move |shards| shards.iterate(after, limit).map_err(|_| StoreError::Disk)).await
    }

    /// The descriptors of chunks of which a shard is held, in order.
    pub(crate) async fn descriptors(
        &self,
        chunks: Vec<ChunkId>,
    ) -> Result<Vec<Option<Descriptor>>, StoreError> {
        self.read(move |shards| {
            chunks.iter().map(|chunk| shards.descriptor(chunk).map_err(|_| StoreError::Disk)).collect()
        })
        .await
    }

    /// Which shards of each chunk are held.
    pub(crate) async fn has(&self, chunks: Vec<ChunkId>) -> Result<Vec<ShardSet>, StoreError> {
        self.read(move |shards| {
            let held = shards.has(&chunks).map_err(|_| StoreError::Disk)?;
            Ok(held.into_iter().map(|indices| indices.into_iter().collect()).collect())
        })
        .await
    }

    /// Shards found damaged since the start.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// The store itself, for what does not wait on the disk.
    pub(crate) fn shards(&self) -> &ShardStore {
        &self.shards
    }

    /// Counts shards that were found damaged, and tells repair.
    fn noting_damage(&self) -> impl Fn(ChunkId, &[u8]) + Send + 'static {
        let (damaged, damage) = (self.damaged.clone(), self.damage.clone());
        move |chunk, indices| {
            if indices.is_empty() {
                return;
            }
            damaged.fetch_add(indices.len() as u64, Ordering::Relaxed);
            tracing::warn!(%chunk, ?indices, "found shards damaged");
            for &index in indices {
                // A full queue means that much is being repaired already.
                let _ = damage.try_send(ShardKey { chunk, index });
            }
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ShardStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shards = self.shards.clone();
        self.readers.run(move |()| work(&shards)).await.unwrap_or(Err(StoreError::Disk))
    }
}

fn unreadable(chunk: ChunkId, error: &chordage_storage::GetError) -> StoreError {
    tracing::error!(%chunk, %error, "cannot read a shard");
    StoreError::Disk
}

/// Works off the queue, everything that waits (up to a limit) in one commit.
fn write(shards: &ShardStore, mut queue: mpsc::Receiver<Job>) {
    let mut puts = Vec::with_capacity(BATCH_MAX);
    let mut replies = Vec::with_capacity(BATCH_MAX);
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = first.put.payload.len();
        puts.push(first.put);
        replies.push(first.reply);
        while puts.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(job) = queue.try_recv() else { break };
            bytes += job.put.payload.len();
            puts.push(job.put);
            replies.push(job.reply);
        }
        let outcomes = shards.put_batch(&puts);
        puts.clear();
        for (outcome, reply) in outcomes.into_iter().zip(replies.drain(..)) {
            // The peer that asked may have gone; the shard is kept all the same.
            let _ = reply.send(match outcome {
                Ok(PutOutcome::Stored) => Ok(false),
                Ok(PutOutcome::AlreadyHeld) => Ok(true),
                Err(PutError::Quota { .. } | PutError::NoSpace) => Err(StoreError::Full),
                Err(PutError::Invalid(_)) => Err(StoreError::Invalid),
                Err(error) => {
                    tracing::error!(%error, "cannot keep a shard");
                    Err(StoreError::Disk)
                }
            });
        }
    }
}
