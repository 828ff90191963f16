//! The shard store behind threads: one writer that commits in groups, a few readers, no disk on the network's thread.

mod asked;
mod freeing;
mod held;
mod mine;
mod parcel;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chordage_storage::lease::{Claim, Dropped, Limits};
use chordage_storage::possession::prove;
use chordage_storage::{
    ChangeError, ChunkId, Descriptor, PutError, PutOutcome, Scrubbed, ShardKey, ShardPut, ShardSet,
    ShardStore, StoredShard, Writer,
};
use tokio::sync::{Notify, mpsc, oneshot};

pub(crate) use self::asked::Asked;
pub(crate) use self::freeing::Freeing;
use self::held::Put;
pub(crate) use self::held::{Claimed, Freed, HeldLeases};
pub(crate) use self::mine::Mine;
pub(crate) use self::parcel::Parcel;
use crate::pool::Pool;
use crate::tasks::Tasks;

/// The thread that alone changes what is held.
const WRITER: &str = "shard-writer";
/// Shards that may wait for the writer. With the largest shards this is what bounds its memory.
const QUEUE_MAX: usize = 32;
/// Shards that share one commit at most.
const BATCH_MAX: usize = 64;
/// Bytes that share one commit at most: beyond, the fsync is no longer what costs.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// Reads under way at a time.
const READERS: usize = 4;

/// Chunks that are asked about, or listed, at a time.
pub(crate) const CHUNKS_MAX: usize = 1024;

/// Why the store did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// Quota or disk are used up. Nothing was kept.
    #[error("the store is full")]
    Full,
    /// The shard does not match its descriptor or address. Nothing was kept.
    #[error("the shard does not match its address")]
    Invalid,
    /// As many writers as may claim the chunk do so already.
    #[error("the chunk has no place for another writer")]
    Crowded,
    /// The held shard is damaged; it will not be handed out again.
    #[error("the shard is damaged")]
    Damaged,
    /// The disk failed, or the store is closed. Whether a shard was kept is unknown.
    #[error("the disk failed")]
    Disk,
}

/// A shard to be kept.
struct NewShard {
    put: ShardPut,
    by: Writer,
    asked: Asked,
    reply: oneshot::Sender<Result<bool, StoreError>>,
}

type Change = Box<dyn FnOnce(&ShardStore, &HeldLeases) + Send>;

/// What the writer thread does: it alone changes shards and the claims on them.
enum Job {
    Put(NewShard),
    Change(Change),
}

/// The store, as async code sees it. Cheap to clone; the writer thread ends with the last clone.
#[derive(Clone)]
pub(crate) struct Store {
    shards: Arc<ShardStore>,
    leases: Arc<HeldLeases>,
    freeing: Freeing,
    jobs: mpsc::Sender<Job>,
    readers: Pool<()>,
    damaged: Arc<AtomicU64>,
    /// Shards were found damaged.
    damage: Arc<Notify>,
}

impl Store {
    /// Starts the writer thread.
    pub(crate) fn start(shards: ShardStore, leases: HeldLeases, tasks: &Tasks) -> std::io::Result<Store> {
        let (shards, leases) = (Arc::new(shards), Arc::new(leases));
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let freeing = Freeing::default();
        let (writer, claims, entered) = (shards.clone(), leases.clone(), freeing.clone());
        let tasks = tasks.clone();
        let work = move || tasks.essential_thread(WRITER, || write(&writer, &claims, &entered, queue));
        std::thread::Builder::new().name(WRITER.to_owned()).spawn(work)?;
        let readers = Pool::new("shard-reader", READERS)?;
        let (damaged, damage) = (Arc::default(), Arc::default());
        Ok(Store { shards, leases, freeing, jobs, readers, damaged, damage })
    }

    /// Keeps a shard for those who want it, as `by` says; durable when it returns. Tells whether it was there before.
    pub(crate) async fn put(&self, by: Writer, parcel: Parcel) -> Result<bool, StoreError> {
        let (reply, answer) = oneshot::channel();
        let Parcel { chunk, index, descriptor, payload, asked } = parcel;
        let put = ShardPut { chunk, descriptor, index, payload };
        let job = Job::Put(NewShard { put, by, asked, reply });
        self.jobs.send(job).await.map_err(|_| StoreError::Disk)?;
        answer.await.unwrap_or(Err(StoreError::Disk))
    }

    /// Keeps what is held of `chunks` for a writer that asks in person, durably; which shards that is.
    pub(crate) async fn claim(
        &self,
        claim: Claim,
        said: u64,
        chunks: Vec<ChunkId>,
    ) -> Result<Vec<ShardSet>, StoreError> {
        let held = self.change(move |shards, leases| leases.renew(shards, claim, said, &chunks)).await?;
        Ok(held.into_iter().map(|indices| indices.into_iter().collect()).collect())
    }

    /// Drops a writer's claims, durably. What nobody else claims is freed soon.
    pub(crate) async fn drop_claims(
        &self,
        writer: Writer,
        said: u64,
        chunks: Vec<ChunkId>,
    ) -> Result<Dropped, StoreError> {
        let dropped = self.change(move |_, leases| leases.drop_claims(writer, said, &chunks)).await?;
        self.freeing.hurry();
        Ok(dropped)
    }

    /// What is left of the claims on a chunk, for a new holder; `None` if all have ended.
    pub(crate) async fn claims(&self, chunk: ChunkId) -> Result<Option<Vec<Claim>>, StoreError> {
        let leases = self.leases.clone();
        self.read(move |shards| leases.of(chunk).map_err(|error| failed(shards, &error))).await
    }

    /// What is kept for a writer, behind `after`, and where to go on if there is more.
    pub(crate) async fn kept_for(
        &self,
        writer: Writer,
        after: Option<ChunkId>,
    ) -> Result<(Vec<Mine>, Option<ChunkId>), StoreError> {
        let leases = self.leases.clone();
        self.read(move |shards| {
            leases.kept_for(shards, writer, after).map_err(|error| failed(shards, &error))
        })
        .await
    }

    /// Gives those of `chunks` that nobody claims a claim that is nobody's; returns how many.
    pub(crate) async fn adopt(&self, chunks: Vec<(ChunkId, u64)>) -> Result<usize, StoreError> {
        self.change(move |_, leases| leases.adopt(&chunks)).await
    }

    /// Takes one step in freeing what nobody claims.
    pub(crate) async fn free(&self) -> Result<Freed, StoreError> {
        self.change(|shards, leases| leases.free(shards)).await
    }

    /// Lets lease time pass, or stand still.
    pub(crate) fn count_lease_time(&self, counts: bool) {
        self.leases.count(counts);
    }

    /// Writes down the clock of leases.
    pub(crate) async fn flush_leases(&self) {
        // The log says what went wrong; the clock is behind then, which keeps everything longer.
        let _ = self.change(|_, leases| leases.flush()).await;
    }

    /// Makes room where deleting left gaps; whether it did, and may again. Beside the writer, which gets its turn
    /// between.
    pub(crate) async fn compact(&self) -> bool {
        let shards = self.shards.clone();
        match tokio::task::spawn_blocking(move || shards.compact()).await {
            Ok(Ok(done)) => done.segments > 0,
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot compact the store");
                false
            }
            Err(_) => false,
        }
    }

    /// What is granted to others.
    pub(crate) fn limits(&self) -> &Limits {
        self.leases.limits()
    }

    /// What was freed.
    pub(crate) fn freeing(&self) -> &Freeing {
        &self.freeing
    }

    /// What is claimed here.
    pub(crate) async fn claimed(&self) -> Result<Claimed, StoreError> {
        let leases = self.leases.clone();
        self.read(move |shards| leases.totals().map_err(|error| failed(shards, &error))).await
    }

    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&ShardStore, &HeldLeases) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Change(Box::new(move |shards, leases| {
            // Whoever asked may have gone; what was changed is changed all the same.
            let _ = reply.send(change(shards, leases).map_err(|error| failed(shards, &error)));
        }));
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
            let held = shards.get(&chunk).map_err(|error| unreadable(shards, chunk, &error))?;
            noting(chunk, &held.corrupt);
            match held.shards.into_iter().find(|shard| !skip.contains(shard.index)) {
                None if !held.corrupt.is_empty() => Err(StoreError::Damaged),
                shard => Ok(shard),
            }
        })
        .await
    }

    /// The proof that a shard is held, by one leaf of it; `None` if it is not, or has no such leaf. The shard is read
    /// whole against its hash. Others rely on a proof, so that a store whose directory was removed gives none.
    pub(crate) async fn prove(&self, shard: ShardKey, leaf: u32) -> Result<Option<Bytes>, StoreError> {
        let noting = self.noting_damage();
        self.read(move |shards| {
            shards.check_in_place().map_err(|_| StoreError::Disk)?;
            let held = shards.get_shard(shard).map_err(|error| unreadable(shards, shard.chunk, &error))?;
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

    /// Counts shards that were lost before the start.
    pub(crate) fn lost_before(&self, shards: u64) {
        self.damaged.fetch_add(shards, Ordering::Relaxed);
    }

    /// Shards that were found damaged or lost, now or in an earlier run, and are not made good.
    pub(crate) async fn unmended(&self) -> Result<u64, StoreError> {
        self.read(|shards| shards.unmended().map_err(|error| failed(shards, &error))).await
    }

    /// At most `limit` of them behind `after`, in the order of their keys.
    pub(crate) async fn list_unmended(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> Result<Vec<ShardKey>, StoreError> {
        // Not by a reader, since what was found lately is dropped first.
        let (reply, answer) = oneshot::channel();
        let list = move |shards: &ShardStore, _: &HeldLeases| {
            let _ = reply.send(shards.list_unmended(after, limit).map_err(|error| unchanged(shards, &error)));
        };
        self.jobs.send(Job::Change(Box::new(list))).await.map_err(|_| StoreError::Disk)?;
        answer.await.unwrap_or(Err(StoreError::Disk))
    }

    /// Others hold what these shards were needed for, or nobody needs them any more.
    pub(crate) async fn made_good(&self, made_good: Vec<ShardKey>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let note = move |shards: &ShardStore, _: &HeldLeases| {
            let _ = reply.send(shards.made_good(&made_good).map_err(|error| unchanged(shards, &error)));
        };
        self.jobs.send(Job::Change(Box::new(note))).await.map_err(|_| StoreError::Disk)?;
        answer.await.unwrap_or(Err(StoreError::Disk))
    }

    /// Returns when shards were found damaged, or whether they are made good is to be looked at again.
    pub(crate) async fn found_damage(&self) {
        self.damage.notified().await;
    }

    /// Whether everything is made good is to be looked at.
    pub(crate) fn look_at_damage(&self) {
        self.damage.notify_one();
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
            damage.notify_one();
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

// Of a directory that was removed, the watch over the disk says it once: here it would be said for each shard.
fn unreadable(shards: &ShardStore, chunk: ChunkId, error: &chordage_storage::GetError) -> StoreError {
    if shards.check_in_place().is_ok() {
        tracing::error!(%chunk, %error, "cannot read a shard");
    }
    StoreError::Disk
}

fn failed(shards: &ShardStore, error: &std::io::Error) -> StoreError {
    if shards.check_in_place().is_ok() {
        tracing::error!(%error, "the store or its book of claims failed");
    }
    StoreError::Disk
}

fn unchanged(shards: &ShardStore, error: &ChangeError) -> StoreError {
    if let ChangeError::Io(error) = error {
        return failed(shards, error);
    }
    StoreError::Full
}

/// Works off the queue in order, shards that wait one after the other (up to a limit) in one commit.
fn write(shards: &ShardStore, leases: &HeldLeases, freeing: &Freeing, mut queue: mpsc::Receiver<Job>) {
    let mut carried = None;
    while let Some(job) = carried.take().or_else(|| queue.blocking_recv()) {
        let first = match job {
            Job::Change(change) => {
                change(shards, leases);
                continue;
            }
            Job::Put(first) => first,
        };
        let mut bytes = first.put.payload.len();
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
            match queue.try_recv() {
                Ok(Job::Put(next)) => {
                    bytes += next.put.payload.len();
                    batch.push(next);
                }
                Ok(change) => {
                    carried = Some(change);
                    break;
                }
                Err(_) => break,
            }
        }
        keep(shards, leases, batch);
        freeing.entered();
    }
}

/// Keeps shards and enters the claims on them: first the shard, so that no claim is for something that is not there.
/// What a crash leaves without claim is adopted.
fn keep(shards: &ShardStore, leases: &HeldLeases, batch: Vec<NewShard>) {
    let mut puts = Vec::with_capacity(batch.len());
    let mut rest = Vec::with_capacity(batch.len());
    for NewShard { put, by, asked, reply } in batch {
        puts.push(put);
        rest.push((by, asked, reply));
    }
    let chunks: Vec<ChunkId> = puts.iter().map(|put| put.chunk).collect();
    let held = match shards.has(&chunks) {
        Ok(held) => held,
        Err(error) => {
            if shards.check_in_place().is_ok() {
                tracing::error!(%error, "cannot read the store");
            }
            for (_, _, reply) in rest {
                let _ = reply.send(Err(StoreError::Disk));
            }
            return;
        }
    };
    let outcomes = shards.put_batch(&puts);
    let mut kept = Vec::with_capacity(puts.len());
    let mut waiting = Vec::with_capacity(puts.len());
    for (((put, held), outcome), (by, asked, reply)) in puts.iter().zip(held).zip(outcomes).zip(rest) {
        let already = match outcome {
            Ok(PutOutcome::Stored) => false,
            Ok(PutOutcome::AlreadyHeld) => true,
            Err(error) => {
                // The peer that asked may have gone.
                let _ = reply.send(Err(match error {
                    PutError::Quota { .. } | PutError::NoSpace => StoreError::Full,
                    PutError::Invalid(_) => StoreError::Invalid,
                    // The watch over the disk says it once.
                    PutError::Removed(_) => StoreError::Disk,
                    error => {
                        tracing::error!(%error, "cannot keep a shard");
                        StoreError::Disk
                    }
                }));
                continue;
            }
        };
        let (chunk, bytes, held_before) = (put.chunk, put.payload.len() as u64, held.len());
        kept.push(Put { chunk, bytes, held_before, written: !already, by, asked });
        waiting.push((already, reply));
    }
    drop(puts);
    if kept.is_empty() {
        return;
    }
    let entered = leases.entered(&kept);
    if let Err(error) = &entered {
        tracing::error!(%error, "cannot write down who claims a shard");
    }
    for (position, (already, reply)) in waiting.into_iter().enumerate() {
        // The peer that asked may have gone; the shard is kept all the same.
        let _ = reply.send(match &entered {
            Ok(entered) if entered.get(position) == Some(&true) => Ok(already),
            Ok(_) => Err(StoreError::Crowded),
            Err(_) => Err(StoreError::Disk),
        });
    }
}
