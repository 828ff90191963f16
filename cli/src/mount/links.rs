//! How many names files have. Only a walk through the whole snapshot tells, so there is one for each snapshot in which
//! somebody looks at such a file, and whoever asks meanwhile waits a moment and is then told the least that it can be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::source::{Source, Trouble};

/// Whoever asks waits for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Snapshots whose names have been counted and are remembered.
const KEPT_MAX: usize = 64;
/// Files with several names in a snapshot at most. Of one with more nothing is remembered.
const GROUPS_MAX: usize = 1_000_000;
/// Names of a file that has several, at least.
pub(super) const SEVERAL: u32 = 2;

/// Names, by the number of the file.
pub(super) type Counts = Arc<BTreeMap<u64, u32>>;

/// `None` while they are counted.
type Counting = watch::Receiver<Option<Counts>>;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Links {
    source: Arc<Source>,
    runtime: Handle,
    kept: Mutex<BTreeMap<Arc<str>, Counting>>,
}

impl Links {
    pub(super) fn new(source: Arc<Source>, runtime: Handle) -> Self {
        Links { source, runtime, kept: Mutex::default() }
    }

    /// The names of files in a snapshot, if they are known or can be counted soon.
    pub(super) async fn of(self: &Arc<Self>, snapshot: &Arc<str>) -> Option<Counts> {
        let mut counting = self.begun(snapshot);
        let counted = tokio::time::timeout(PATIENCE, counting.wait_for(Option::is_some)).await.ok()?.ok()?;
        counted.clone()
    }

    fn begun(self: &Arc<Self>, snapshot: &Arc<str>) -> Counting {
        let mut kept = self.lock();
        if let Some(counting) = kept.get(snapshot) {
            return counting.clone();
        }
        if kept.len() >= KEPT_MAX {
            // Any will do: it is counted again if somebody asks.
            kept.pop_first();
        }
        let (sender, receiver) = watch::channel(None);
        kept.insert(snapshot.clone(), receiver.clone());
        let (links, snapshot) = (self.clone(), snapshot.clone());
        self.runtime.spawn(async move {
            match links.count(&snapshot).await {
                Ok(counts) => {
                    // Nobody may wait any more.
                    let _ = sender.send(Some(Arc::new(counts)));
                }
                // Whoever asks next begins again.
                Err(_) => drop(links.lock().remove(&snapshot)),
            }
        });
        receiver
    }

    async fn count(&self, snapshot: &str) -> Result<BTreeMap<u64, u32>, Trouble> {
        let (_permit, mut lines) = self.source.links(snapshot).await?;
        let mut counts = BTreeMap::new();
        while let Some(entry) = lines.entry().await? {
            let Some(group) = entry.link_group else { continue };
            *counts.entry(group).or_insert(0u32) += 1;
            if counts.len() > GROUPS_MAX {
                return Ok(BTreeMap::new());
            }
        }
        Ok(counts)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Counting>> {
        // Each change leaves it whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
