//! Snapshots: trees of files with what is to be known about them, in the map of a volume.
//!
//! | key | value |
//! |---|---|
//! | `snapshots/ID` | a document in JSON, and the root of its tree |
//! | `forgotten/ID` | the same, with the time when it was forgotten |

use chordage_api::types::{PruneReport, SnapshotInfo, SnapshotRequest, SnapshotSelection};
use chordage_storage::volume::{MapRoot, Value};
use chordage_storage::{ChunkId, ChunkRef};
use serde::{Deserialize, Serialize};
use std::time::Instant;

use super::book::{KeptAs, KeptFor, TreeRow};
use super::recent::RecentSnapshots;
use super::view::View;
use super::{Volumes, VolumesError, now, on_disk};
use crate::clock::wall_clock;

/// Keys of snapshots begin with this …
pub(super) const KEPT: &str = "snapshots/";
/// … and those of forgotten ones with this.
pub(super) const FORGOTTEN: &str = "forgotten/";
/// Domain of the hash that names a snapshot.
const ID_CONTEXT: &str = "chordage 2026 snapshot id";
/// Snapshots of a volume at most.
const SNAPSHOTS_MAX: usize = 100_000;
/// Longest document, bytes.
const DOCUMENT_MAX: usize = 256 << 10;
/// Snapshots that are forgotten or taken back at a time.
const SELECTED_MAX: usize = 1000;
/// Forgotten snapshots are there to be taken back for so long, seconds.
pub(crate) const GRACE_SECONDS: u64 = 7 * 24 * 3600;

/// What is stored of a snapshot. Documents gain fields in newer versions and lose none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Document {
    time: i64,
    /// Milliseconds since 1970.
    #[serde(default)]
    entered: u64,
    host: String,
    user: String,
    paths: Vec<String>,
    tags: Vec<String>,
    files: u64,
    dirs: u64,
    others: u64,
    bytes: u64,
    unreadable: u64,
    /// Of the tree: the level of its root, and how many keys it has.
    level: u8,
    keys: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locked_until: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forgotten: Option<u64>,
}

/// A snapshot, and where its tree begins.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) info: SnapshotInfo,
    pub(super) root: MapRoot,
}

impl Document {
    fn value(&self, tree: ChunkRef) -> Result<Value, VolumesError> {
        let bytes = serde_json::to_vec(self).map_err(|error| VolumesError::Malformed(error.to_string()))?;
        if bytes.len() > DOCUMENT_MAX {
            let what = format!("what a snapshot says about itself has at most {DOCUMENT_MAX} bytes");
            return Err(VolumesError::BadChange(what));
        }
        Ok(Value { bytes, chunks: vec![tree] })
    }

    fn of(value: &Value) -> Result<(Self, ChunkRef), VolumesError> {
        let document = serde_json::from_slice(&value.bytes).ok().zip(value.chunks.first().copied());
        document.ok_or_else(|| VolumesError::Malformed("a snapshot makes no sense".to_owned()))
    }

    fn info(self, id: String) -> SnapshotInfo {
        SnapshotInfo {
            id,
            time: self.time,
            entered: self.entered,
            host: self.host,
            user: self.user,
            paths: self.paths,
            tags: self.tags,
            files: self.files,
            dirs: self.dirs,
            others: self.others,
            bytes: self.bytes,
            unreadable: self.unreadable,
            locked_until: self.locked_until,
            forgotten: self.forgotten,
        }
    }
}

/// All snapshots below a prefix.
fn all(view: &mut View<'_>, prefix: &str) -> Result<Vec<Snapshot>, VolumesError> {
    let found = view.list(prefix.as_bytes(), None, SNAPSHOTS_MAX + 1)?;
    if found.len() > SNAPSHOTS_MAX {
        // What is not listed is needed all the same.
        let what =
            format!("the volume has more than {SNAPSHOTS_MAX} snapshots, which is the most that are listed");
        return Err(VolumesError::Conflict(what));
    }
    let snapshot = |(key, value): (Vec<u8>, Value)| {
        let (document, chunk) = Document::of(&value)?;
        let root = MapRoot { chunk, level: document.level, keys: document.keys };
        let id = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
        Ok(Snapshot { info: document.info(id), root })
    };
    found.into_iter().map(snapshot).collect()
}

/// All snapshots, those that can be taken back among them.
pub(super) fn with_forgotten(view: &mut View<'_>) -> Result<Vec<Snapshot>, VolumesError> {
    let mut snapshots = all(view, KEPT)?;
    snapshots.extend(all(view, FORGOTTEN)?);
    Ok(snapshots)
}

/// The roots of the trees of all snapshots, those that can be taken back among them.
pub(super) fn roots_of(view: &mut View<'_>) -> Result<Vec<ChunkId>, VolumesError> {
    Ok(with_forgotten(view)?.into_iter().map(|snapshot| snapshot.root.chunk.id).collect())
}

/// A snapshot that is forgotten at this time, if it can be.
fn forget_at(id: &str, document: &mut Document, now: u64) -> Result<(), VolumesError> {
    if let Some(until) = document.locked_until.filter(|until| *until > now) {
        return Err(VolumesError::Locked { id: id.to_owned(), until });
    }
    document.forgotten = Some(now);
    Ok(())
}

/// Changes snapshots and moves them from one prefix to another.
fn moved(
    view: &mut View<'_>,
    ids: &[String],
    (from, to): (&str, &str),
    change: impl Fn(&str, &mut Document) -> Result<(), VolumesError>,
) -> Result<Vec<SnapshotInfo>, VolumesError> {
    let mut moved = Vec::new();
    for id in ids {
        let key = format!("{from}{id}").into_bytes();
        let Some(value) = view.get(&key)? else {
            return Err(VolumesError::NoSuchSnapshot(match from {
                KEPT => format!("the volume has no snapshot `{id}`"),
                _ => format!("the volume has no forgotten snapshot `{id}`: it was never there, or is pruned"),
            }));
        };
        let (mut document, tree) = Document::of(&value)?;
        change(id, &mut document)?;
        view.remove(key);
        view.put(format!("{to}{id}").into_bytes(), document.value(tree)?);
        moved.push(document.info(id.clone()));
    }
    Ok(moved)
}

/// Takes out what was forgotten for at least `grace` seconds; says how many that were, how many wait, and how many are
/// kept.
fn pruned(view: &mut View<'_>, grace: u64, now: u64) -> Result<(u64, u64, u64), VolumesError> {
    let (mut pruned, mut waiting) = (0, 0);
    for snapshot in all(view, FORGOTTEN)? {
        let age = now.saturating_sub(snapshot.info.forgotten.unwrap_or_default());
        let locked = snapshot.info.locked_until.is_some_and(|until| until > now);
        if age < grace || locked {
            waiting += 1;
            continue;
        }
        view.remove(format!("{FORGOTTEN}{}", snapshot.info.id).into_bytes());
        pruned += 1;
    }
    Ok((pruned, waiting, all(view, KEPT)?.len() as u64))
}

impl Volumes {
    /// Enters a tree into a volume as a snapshot.
    pub(crate) async fn create_snapshot(
        &self,
        request: SnapshotRequest,
    ) -> Result<SnapshotInfo, VolumesError> {
        let volume = self.book().find(&request.volume)?;
        let no_such_tree = || VolumesError::NoSuchTree(request.tree.clone());
        let tree = ChunkId::from_hex(&request.tree).ok_or_else(no_such_tree)?;
        let book = self.book_handle();
        let kept = on_disk(move || book.kept(tree)).await??;
        let kept =
            kept.filter(|kept| kept.volume == volume.keys.id().0 && kept.kind == KeptAs::Tree && kept.needed);
        let kept = kept.ok_or_else(no_such_tree)?;
        // It is noted before it is kept, and may never have come so far.
        if !self.is_kept(tree).await? {
            return Err(no_such_tree());
        }
        let row = kept.tree.clone().ok_or_else(no_such_tree)?;
        let TreeRow { root: (root, level, keys), files, dirs, others, bytes, retained_until, .. } =
            row.clone();
        let chunk = root.as_slice().try_into().ok().and_then(ChunkRef::decode).ok_or_else(no_such_tree)?;
        // Rounded up: a lock that ended before what the tree is retained for would be forgotten, and not freed.
        let locked_until = Some(now() + 1 + request.lock_seconds).filter(|_| request.lock_seconds > 0);
        if locked_until.is_some_and(|until| until > retained_until + 60) {
            let what = "a snapshot can be locked for no longer than its tree was stored for";
            return Err(VolumesError::BadChange(what.to_owned()));
        }
        let document = Document {
            time: request.time,
            entered: wall_clock().0,
            host: request.host,
            user: request.user,
            paths: request.paths,
            tags: request.tags,
            files,
            dirs,
            others,
            bytes,
            unreadable: request.unreadable,
            level,
            keys,
            locked_until,
            forgotten: None,
        };
        let value = document.value(chunk)?;
        let mut hasher = blake3::Hasher::new_derive_key(ID_CONTEXT);
        hasher.update(&volume.keys.id().0).update(&chunk.encode()).update(&value.bytes);
        let id = hasher.finalize().to_hex().to_string();
        let key = format!("{KEPT}{id}").into_bytes();
        self.commit(&volume, move |view| {
            view.put(key.clone(), value.clone());
            Ok(())
        })
        .await?;
        let book = self.book_handle();
        let named = KeptFor { tree: Some(TreeRow { named: true, ..row }), ..kept };
        on_disk(move || book.keep(tree, &named)).await??;
        Ok(document.info(id))
    }

    /// The snapshots of a volume, the oldest first; with `forgotten` also those that can be taken back.
    pub(crate) async fn snapshots(
        &self,
        name: &str,
        forgotten: bool,
    ) -> Result<Vec<SnapshotInfo>, VolumesError> {
        let (_, found) = self
            .read(name, move |view| {
                let mut found = all(view, KEPT)?;
                if forgotten {
                    found.extend(all(view, FORGOTTEN)?);
                }
                Ok(found)
            })
            .await?;
        let mut found: Vec<SnapshotInfo> = found.into_iter().map(|snapshot| snapshot.info).collect();
        found.sort_by(SnapshotInfo::in_time);
        Ok(found)
    }

    /// The snapshots of a volume that are kept.
    pub(super) async fn all_snapshots(&self, name: &str) -> Result<Vec<Snapshot>, VolumesError> {
        Ok(self.read(name, |view| all(view, KEPT)).await?.1)
    }

    /// The snapshot that a beginning of an id, or `latest`, stands for.
    pub(super) async fn snapshot(&self, name: &str, wanted: &str) -> Result<Snapshot, VolumesError> {
        let wanted_id = wanted.to_ascii_lowercase();
        let volume = self.book().find(name)?.keys.id();
        if let Some(snapshot) = self.recent().get(volume, &wanted_id) {
            return Ok(snapshot);
        }
        let (_, mut found) = self.read(name, |view| all(view, KEPT)).await?;
        let none = || VolumesError::NoSuchSnapshot(format!("the volume has no snapshot `{wanted}`"));
        if wanted == "latest" {
            let newest = found.into_iter().max_by(|a, b| a.info.in_time(&b.info));
            return newest.ok_or_else(none);
        }
        found.retain(|snapshot| !wanted_id.is_empty() && snapshot.info.id.starts_with(&wanted_id));
        if found.len() > 1 {
            let what = format!("{} snapshots of the volume begin with `{wanted}`", found.len());
            return Err(VolumesError::NoSuchSnapshot(what));
        }
        let snapshot = found.pop().ok_or_else(none)?;
        if RecentSnapshots::is_whole(&wanted_id) {
            self.recent().add(volume, &snapshot);
        }
        Ok(snapshot)
    }

    /// Forgets snapshots, all or none: they can be taken back until they are pruned.
    pub(crate) async fn forget(
        &self,
        selection: SnapshotSelection,
    ) -> Result<Vec<SnapshotInfo>, VolumesError> {
        self.move_all(selection, KEPT, FORGOTTEN, |id, document| forget_at(id, document, now())).await
    }

    /// Takes forgotten snapshots back, all or none.
    pub(crate) async fn undelete(
        &self,
        selection: SnapshotSelection,
    ) -> Result<Vec<SnapshotInfo>, VolumesError> {
        self.move_all(selection, FORGOTTEN, KEPT, |_, document| {
            document.forgotten = None;
            Ok(())
        })
        .await
    }

    async fn move_all(
        &self,
        selection: SnapshotSelection,
        from: &'static str,
        to: &'static str,
        change: impl Fn(&str, &mut Document) -> Result<(), VolumesError> + Send + 'static,
    ) -> Result<Vec<SnapshotInfo>, VolumesError> {
        let volume = self.book().find(&selection.volume)?;
        if selection.snapshots.len() > SELECTED_MAX {
            return Err(VolumesError::BadChange(format!("at most {SELECTED_MAX} snapshots at a time")));
        }
        let (moved, _) =
            self.commit(&volume, move |view| moved(view, &selection.snapshots, (from, to), &change)).await?;
        self.recent().clear();
        Ok(moved)
    }

    /// Takes snapshots out for good that were forgotten at least `grace` seconds ago, and stops keeping what none needs
    /// any more.
    pub(crate) async fn prune(&self, name: &str, grace: Option<u64>) -> Result<PruneReport, VolumesError> {
        let begun = Instant::now();
        let volume = self.book().find(name)?;
        let grace = grace.unwrap_or(GRACE_SECONDS);
        let ((pruned, waiting, kept), _) =
            self.commit(&volume, move |view| pruned(view, grace, now())).await?;
        self.unneed_trees(name).await?;
        let released = self.release_old(0).await?;
        Ok(PruneReport { pruned, waiting, kept, released, seconds: begun.elapsed().as_secs_f64() })
    }
}

#[cfg(test)]
mod tests;
