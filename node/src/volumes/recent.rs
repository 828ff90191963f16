//! Snapshots that were read lately: whoever reads one file after the other names the same snapshot every time, and what an
//! id stands for never changes. Only whether it is still kept does, so nothing here is old.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::keys::VolumeId;
use super::snapshot::Snapshot;

/// For so long a snapshot is found here. Another daemon's forget is seen that much later by whoever names a whole id.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// So many at most.
const KEPT_MAX: usize = 256;
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
