//! What this daemon keeps for volumes, and when it stops.

use std::collections::BTreeSet;
use std::time::Duration;

use chordage_storage::ChunkId;
use chordage_storage::lease::KeptState;

use super::book::{KeptAs, KeptFor, KnownVolume};
use super::keys::VolumeId;
use super::snapshot::roots_of;
use super::{Volumes, VolumesError, now, on_disk};
use crate::leases::ForgetError;

/// The nodes of an old state are kept for so long after they were replaced, for those who still read them.
const OLD_STATE_SECONDS: u64 = 120;
/// A tree that no snapshot names is kept for so long: its snapshot may still be on the way.
const NEW_TREE_SECONDS: u64 = 24 * 3600;
/// How often it is looked what is not needed any more.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked which trees no snapshot names any more: another daemon may have forgotten them.
const LOOK_SECONDS: u64 = 3600;

/// Whether it is time to stop keeping something: a tree after so many seconds, an old state when nobody reads it any
/// more.
fn is_due(kept: &KeptFor, seconds: u64, now: u64) -> bool {
    let seconds = match kept.kind {
        KeptAs::Map => OLD_STATE_SECONDS,
        KeptAs::Tree => seconds,
    };
    !kept.needed && now.saturating_sub(kept.since) >= seconds
}

/// Whether it is a tree whose snapshot would have come by now, or was there.
fn is_tree_without_snapshot(kept: &KeptFor, now: u64) -> bool {
    let named = kept.tree.as_ref().is_some_and(|tree| tree.named);
    let is_old = named || now.saturating_sub(kept.since) >= NEW_TREE_SECONDS;
    kept.kind == KeptAs::Tree && kept.needed && is_old
}

/// Whether it is a state of a map that a head would have named by now.
fn is_map_without_head(kept: &KeptFor, now: u64) -> bool {
    kept.kind == KeptAs::Map && kept.needed && now.saturating_sub(kept.since) >= LOOK_SECONDS
}

impl Volumes {
    /// Notes that something which was just stored is needed. Fails if it is being freed already, because it was stored
    /// before and not needed any more.
    pub(super) async fn need(&self, root: ChunkId, kept: KeptFor) -> Result<(), VolumesError> {
        let _deciding = self.inner.deciding.lock().await;
        let book = self.book_handle();
        let noted = move || match book.kept(root)? {
            // As it was noted before it was kept.
            Some(noted) if noted == kept => Ok(()),
            _ => book.keep(root, &kept),
        };
        on_disk(noted).await??;
        if self.is_kept(root).await? { Ok(()) } else { Err(VolumesError::Freed) }
    }

    /// Whether this daemon keeps it in the network.
    pub(super) async fn is_kept(&self, root: ChunkId) -> Result<bool, VolumesError> {
        let now = self.inner.putter.leases.keeping.get(root).await?;
        Ok(now.is_some_and(|kept| kept.state == KeptState::Kept))
    }

    /// Notes that something is not needed any more. It is kept a while longer.
    pub(super) async fn unneed(&self, root: ChunkId) {
        let book = self.book_handle();
        let noted = on_disk(move || match book.kept(root)? {
            Some(kept) => book.keep(root, &KeptFor { needed: false, since: now(), ..kept }),
            None => Ok(()),
        });
        if let Ok(Err(error)) = noted.await {
            tracing::warn!(%error, "it cannot be noted that a part of a volume is not needed any more");
        }
    }

    /// The same for everything of a volume.
    pub(super) async fn unneed_all_of(&self, volume: VolumeId) -> Result<(), VolumesError> {
        let book = self.book_handle();
        let all = on_disk(move || book.all_kept()).await??;
        for (root, _) in all.into_iter().filter(|(_, kept)| kept.volume == volume.0) {
            self.unneed(root).await;
        }
        Ok(())
    }

    /// Stops keeping what is not needed any more, for ever.
    pub(crate) async fn sweep(self) {
        let mut looked = now();
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.inner.recent_chunks.drop_old();
            if now().saturating_sub(looked) >= LOOK_SECONDS {
                looked = now();
                for volume in self.book().all() {
                    let looking = async {
                        self.unneed_trees(&volume.petname).await?;
                        self.unneed_maps(&volume).await
                    };
                    if let Err(error) = looking.await {
                        tracing::debug!(%error, volume = volume.petname, "it cannot be looked what is needed of a volume");
                    }
                }
            }
            if let Err(error) = self.release_old(OLD_STATE_SECONDS).await {
                tracing::warn!(%error, "what volumes do not need any more cannot be freed now");
            }
        }
    }

    /// Stops keeping trees that have not been needed for so many seconds, and old states; says how many trees that
    /// were.
    pub(super) async fn release_old(&self, seconds: u64) -> Result<u64, VolumesError> {
        let book = self.book_handle();
        let all = on_disk(move || book.all_kept()).await??;
        let mut released = 0;
        for (root, kept) in all.into_iter().filter(|(_, kept)| is_due(kept, seconds, now())) {
            let done = self.release(root).await?;
            released += u64::from(done && kept.kind == KeptAs::Tree);
        }
        Ok(released)
    }

    async fn release(&self, root: ChunkId) -> Result<bool, VolumesError> {
        let _deciding = self.inner.deciding.lock().await;
        // It may be needed again by now.
        let book = self.book_handle();
        if on_disk(move || book.kept(root)).await??.is_none_or(|kept| kept.needed) {
            return Ok(false);
        }
        match self.inner.putter.leases.keeping.forget(root).await {
            Ok(_) | Err(ForgetError::NotKept) => {}
            // Its holders would not let go of it: it is tried again.
            Err(ForgetError::Retained { .. }) => return Ok(false),
            Err(ForgetError::Book(error)) => return Err(error.into()),
        }
        let book = self.book_handle();
        on_disk(move || book.release(root)).await??;
        Ok(true)
    }

    /// Notes which trees of a volume are not needed any more, because no snapshot names them.
    pub(super) async fn unneed_trees(&self, name: &str) -> Result<(), VolumesError> {
        let volume = self.book().find(name)?;
        // The book is read before the map: a tree that was named by then is in the map, or was taken out.
        let book = self.book_handle();
        let all = on_disk(move || book.all_kept()).await??;
        let (_, snapshots) = self.read(name, roots_of).await?;
        let needed: BTreeSet<ChunkId> = snapshots.into_iter().collect();
        for (root, kept) in all {
            let ours = kept.volume == volume.keys.id().0;
            if ours && !needed.contains(&root) && is_tree_without_snapshot(&kept, now()) {
                self.unneed_as(root, kept).await?;
            }
        }
        Ok(())
    }

    /// The same for what is still as it was when it was seen that nothing needs it: it may have been stored once more
    /// since then, for a snapshot that is on the way.
    async fn unneed_as(&self, root: ChunkId, seen: KeptFor) -> Result<(), VolumesError> {
        let _deciding = self.inner.deciding.lock().await;
        let book = self.book_handle();
        let noted = move || match book.kept(root)? {
            Some(kept) if kept == seen => book.keep(root, &KeptFor { needed: false, since: now(), ..kept }),
            _ => Ok(()),
        };
        Ok(on_disk(noted).await??)
    }

    /// Notes which parts of a map are not needed any more, because what is kept is the state that the head names: a
    /// crash leaves such.
    async fn unneed_maps(&self, volume: &KnownVolume) -> Result<(), VolumesError> {
        let head = self.read_head(volume).await?;
        let Some(current) = self.root_of(volume, head.as_ref())? else { return Ok(()) };
        let Some(kept) = self.kept_state(volume).await?.filter(|kept| kept.root == current) else {
            return Ok(());
        };
        let book = self.book_handle();
        let all = on_disk(move || book.all_kept()).await??;
        for (root, noted) in all {
            let ours = noted.volume == volume.keys.id().0;
            if ours && root != kept.kept.object && is_map_without_head(&noted, now()) {
                self.unneed(root).await;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
