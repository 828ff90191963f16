//! Looking after volumes together: every daemon that may write to a volume keeps all of it, whoever of them has put it,
//! and signs its head anew in time. So a backup outlives the machine that made it for as long as another one of its
//! owner runs.

use std::time::Duration;

use chordage_dht::Held;
use chordage_storage::volume::{MapRoot, Reach};
use chordage_storage::{ChunkId, ChunkRef, Redundancy};

use super::book::{KeptAs, KeptFor, KnownVolume, TreeRow};
use super::snapshot::{Snapshot, with_forgotten};
use super::store::{is_gone, kept_as_map, needs_beside, new_object, step_to};
use super::{Volumes, VolumesError, head, now, on_disk};
use crate::leases::{KeepError, Promise, Promised};

/// How long after its start a daemon looks first: some run for less than an hour at a time.
const FIRST_LOOK: Duration = Duration::from_secs(300);
/// How often it is looked what others have made.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// A head is signed anew when it holds for less than this, seconds: it holds for three years at first.
const HEAD_LEFT_SECONDS: u64 = 2 * 365 * 24 * 3600;

/// Whether a head that holds until then is signed anew.
fn is_due(valid_until: u64, now: u64) -> bool {
    valid_until.saturating_sub(now) < HEAD_LEFT_SECONDS
}

/// It has to be asked for: it is there already, as well as whoever repairs it sees to.
fn rely_on(promise: &Promise, chunk: &ChunkRef) {
    let redundancy = chunk.redundancy.unwrap_or(Redundancy::ASSUMED);
    promise.rely_on(chunk.id, redundancy, redundancy.k());
}

impl Volumes {
    /// Looks at once what others have made.
    pub(crate) fn keep_soon(&self) {
        self.inner.keep_soon.notify_one();
    }

    /// Keeps what others have made, for ever.
    pub(crate) async fn keep_together(self) {
        let mut pause = FIRST_LOOK;
        loop {
            // What is looked for at once has been taken in just now.
            let _ = tokio::time::timeout(pause, self.inner.keep_soon.notified()).await;
            pause = LOOK_EVERY;
            for volume in self.book().all().into_iter().filter(|volume| volume.keys.pair().is_some()) {
                if let Err(error) = self.keep_all_of(&volume).await {
                    tracing::info!(%error, volume = volume.petname, "not all of a volume can be kept from here now; it is tried again");
                }
            }
        }
    }

    async fn keep_all_of(&self, volume: &KnownVolume) -> Result<(), VolumesError> {
        let Some(held) = self.read_head(volume).await? else { return Ok(()) };
        if is_due(held.record.statement().valid_until, now()) {
            self.sign_anew(volume, held).await?;
        }
        let mut failed = self.keep_newest(volume).await.err();
        let (_, snapshots) = self.read(&volume.petname, with_forgotten).await?;
        for snapshot in snapshots {
            if self.is_not_kept(snapshot.root.chunk.id).await?
                && let Err(error) = self.keep_snapshot(&snapshot, volume).await
            {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Keeps the newest state of a volume's map: of what is kept already, nothing is asked for again.
    async fn keep_newest(&self, volume: &KnownVolume) -> Result<(), VolumesError> {
        // Whoever changes the volume from here meanwhile would be overtaken by what is older.
        let queue = self.queue(volume.keys.id());
        let _turn = queue.turn().await;
        let head = self.read_head(volume).await?;
        let Some(root) = self.root_of(volume, head.as_ref())? else { return Ok(()) };
        let mut from = self.kept_state(volume).await?;
        if from.as_ref().is_some_and(|from| from.root == root) {
            return Ok(());
        }
        let promise = self.putter().leases.keeping.promise(0);
        let mut source = self.source();
        let compared = tokio::task::spawn_blocking(move || -> Result<_, VolumesError> {
            let needs = needs_beside(&mut from, &root, &mut source, is_gone)?;
            needs.more().for_each(|(chunk, _)| rely_on(&promise, chunk));
            Ok((promise, needs, from.map(|from| from.kept)))
        });
        let (promise, needs, from) = compared.await.map_err(|_| VolumesError::Stopped)??;
        let exchange = new_object()?;
        self.keep_promised(exchange, promise, volume, kept_as_map(volume)).await?;
        self.go_on(volume, step_to(volume, from, &root, &needs, exchange)?).await
    }

    async fn is_not_kept(&self, root: ChunkId) -> Result<bool, VolumesError> {
        let book = self.book_handle();
        let noted = on_disk(move || book.kept(root)).await??.is_some_and(|kept| kept.needed);
        Ok(!noted || !self.is_kept(root).await?)
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot, volume: &KnownVolume) -> Result<(), VolumesError> {
        let Snapshot { info, root } = snapshot;
        let row = TreeRow {
            root: (root.chunk.encode().to_vec(), root.level, root.keys),
            files: info.files,
            dirs: info.dirs,
            others: info.others,
            bytes: info.bytes,
            retained_until: info.locked_until.unwrap_or(0),
            named: true,
        };
        let kept = KeptFor {
            volume: volume.keys.id().0,
            kind: KeptAs::Tree,
            since: now(),
            needed: true,
            tree: Some(row),
        };
        self.keep_tree(root, volume, kept).await
    }

    /// Has the holders of all chunks of a tree keep them for this daemon.
    async fn keep_tree(
        &self,
        root: &MapRoot,
        volume: &KnownVolume,
        kept: KeptFor,
    ) -> Result<(), VolumesError> {
        let promise = self.putter().leases.keeping.promise(0);
        let (mut source, root) = (self.source(), *root);
        let gathered = tokio::task::spawn_blocking(move || -> Result<_, VolumesError> {
            Reach::new().add(&root, &mut source, |chunk| rely_on(&promise, chunk))?;
            Ok(promise)
        });
        let promise = gathered.await.map_err(|_| VolumesError::Stopped)??;
        self.keep_promised(root.chunk.id, promise, volume, kept).await
    }

    /// Has the holders of what was promised keep it for this daemon, as `object`.
    async fn keep_promised(
        &self,
        object: ChunkId,
        promise: Promise,
        volume: &KnownVolume,
        kept: KeptFor,
    ) -> Result<(), VolumesError> {
        // A daemon that is killed in between finds it in its book.
        let (book, noted) = (self.book_handle(), kept.clone());
        on_disk(move || book.keep(object, &noted)).await??;
        let (bytes, what) = match &kept.tree {
            Some(tree) => (tree.bytes, "files"),
            None => (0, "its map"),
        };
        let name = Some(format!("volume {}: {what}", volume.petname));
        let promised = Promised { root: object, bytes, stored_bytes: 0, put: false, name };
        promise.fulfil(&self.putter().leases, promised).await.map_err(|error| match error {
            KeepError::Book(error) => VolumesError::from(error),
            KeepError::Missing { .. } | KeepError::NobodyToAsk => VolumesError::Incomplete(error.to_string()),
        })?;
        self.need(object, kept).await
    }

    /// Publishes a head once more that says the same for longer.
    async fn sign_anew(&self, volume: &KnownVolume, held: Held) -> Result<(), VolumesError> {
        let root = head::open(&volume.keys, &held).ok_or(VolumesError::NotUnderstood)?;
        // Whoever was faster has signed another one.
        self.publish_same(volume, held, &root).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_signed_anew_a_year_after_it_was_signed() {
        let (day, signed) = (24 * 3600, 1_800_000_000);
        let valid_until = signed + head::VALID_SECONDS;
        assert!(!is_due(valid_until, signed + 364 * day));
        assert!(is_due(valid_until, signed + 366 * day));
        assert!(is_due(valid_until, valid_until + day), "one that has ended as well");
    }
}
