//! What was read lately.
//!
//! Snapshots: whoever reads one file after the other names the same snapshot every time, and what an id stands for
//! never changes. Only whether it is still kept does, so nothing here is old.
//!
//! Chunks of contents: many small files lie in one chunk, and whoever reads one after the other has it fetched and
//! decoded once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chordage_storage::ChunkId;

use super::keys::VolumeId;
use super::snapshot::Snapshot;
use crate::get::Chunks;

/// For so long a snapshot is found here. Another daemon's forget is seen that much later by whoever names a whole id.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// So many at most.
const KEPT_MAX: usize = 256;
/// Chunks that nobody has read from for so long take no memory any more.
const CHUNKS_FOR: Duration = Duration::from_secs(60);
/// Digits of a whole id.
const ID_DIGITS: usize = 64;

/// See the module's description.
#[derive(Default)]
pub(super) struct RecentSnapshots(Mutex<BTreeMap<(VolumeId, String), (Snapshot, Instant)>>);

impl RecentSnapshots {
    /// Whether a name is a whole id, which stands for one thing only.
    pub(super) fn is_whole(name: &str) -> bool {
        name.len() == ID_DIGITS
    }

    /// The snapshot with this id, if it was read lately.
    pub(super) fn get(&self, volume: VolumeId, id: &str) -> Option<Snapshot> {
        let kept = self.kept();
        let (snapshot, since) = kept.get(&(volume, id.to_owned()))?;
        (since.elapsed() < KEPT_FOR).then(|| snapshot.clone())
    }

    /// Keeps one that has been read.
    pub(super) fn add(&self, volume: VolumeId, snapshot: &Snapshot) {
        let mut kept = self.kept();
        kept.retain(|_, (_, since)| since.elapsed() < KEPT_FOR);
        if kept.len() < KEPT_MAX {
            kept.insert((volume, snapshot.info.id.clone()), (snapshot.clone(), Instant::now()));
        }
    }

    /// Drops all: what is kept has changed.
    pub(super) fn clear(&self) {
        self.kept().clear();
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<(VolumeId, String), (Snapshot, Instant)>> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The chunks of the tree that was read from last. It keeps as many as one reader does.
#[derive(Default)]
pub(super) struct RecentChunks(Mutex<Option<(ChunkId, Arc<Chunks>, Instant)>>);

impl RecentChunks {
    /// Those of a tree, which are made if another one was read from last.
    pub(super) fn of(&self, root: ChunkId, make: impl FnOnce() -> Chunks) -> Arc<Chunks> {
        let mut last = self.last();
        let known = last.take().filter(|(known, _, _)| *known == root);
        let chunks = known.map_or_else(|| Arc::new(make()), |(_, chunks, _)| chunks);
        *last = Some((root, chunks.clone(), Instant::now()));
        chunks
    }

    /// Drops what nobody has read from for a while.
    pub(super) fn drop_old(&self) {
        let mut last = self.last();
        if last.as_ref().is_some_and(|(_, _, since)| since.elapsed() >= CHUNKS_FOR) {
            *last = None;
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<(ChunkId, Arc<Chunks>, Instant)>> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
