//! Whether everything that snapshots need is there.

use std::collections::BTreeMap;
use std::time::Instant;

use chordage_api::types::VerifyReport;
use chordage_storage::volume::{FileNode, MapError, NodeKind, Reach, path_of};
use chordage_storage::{ChunkId, ChunkRef};
use futures::stream::{self, StreamExt};

use super::snapshot::Snapshot;
use super::{Volumes, VolumesError};
use crate::get::{GetError, fetch_plain, survey};

/// Chunks that are read at a time.
const READ_PARALLEL: usize = 4;
/// Chunks whose holders are asked together.
const SURVEYED: usize = 512;
/// Files that are named.
const NAMED_MAX: usize = 100;

/// What is known of the chunks of a volume.
#[derive(Default)]
struct Found {
    chunks: BTreeMap<ChunkId, ChunkRef>,
    bad: BTreeMap<ChunkId, bool>,
    at_risk: u64,
}

impl Volumes {
    /// Looks whether all chunks of a snapshot, or of all, are there; with `read_data` every one is read.
    pub(crate) async fn verify(
        &self,
        name: &str,
        snapshot: Option<String>,
        read_data: bool,
    ) -> Result<VerifyReport, VolumesError> {
        let begun = Instant::now();
        let snapshots = match snapshot {
            Some(snapshot) => vec![self.snapshot(name, &snapshot).await?],
            None => self.all_snapshots(name).await?,
        };
        let mut found = Found { chunks: self.gather(&snapshots).await?, ..Found::default() };
        self.look(&mut found).await?;
        if read_data {
            self.read_all(&mut found).await;
        }
        let files =
            if found.bad.is_empty() { Vec::new() } else { self.name_files(&snapshots, &found).await? };
        let damaged = found.bad.values().filter(|damaged| **damaged).count() as u64;
        Ok(VerifyReport {
            snapshots: snapshots.len() as u64,
            chunks: found.chunks.len() as u64,
            damaged,
            missing: found.bad.len() as u64 - damaged,
            at_risk: found.at_risk,
            files,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// Every chunk that the snapshots need, with its reference.
    async fn gather(&self, snapshots: &[Snapshot]) -> Result<BTreeMap<ChunkId, ChunkRef>, VolumesError> {
        let roots: Vec<_> = snapshots.iter().map(|snapshot| snapshot.root).collect();
        let mut source = self.source();
        let gathered = tokio::task::spawn_blocking(move || -> Result<_, VolumesError> {
            let (mut reach, mut chunks) = (Reach::new(), BTreeMap::new());
            for root in roots {
                reach.add(&root, &mut source, |chunk| {
                    chunks.insert(chunk.id, *chunk);
                })?;
            }
            Ok(chunks)
        });
        gathered.await.map_err(|_| VolumesError::Stopped)?
    }

    /// Asks who holds what.
    async fn look(&self, found: &mut Found) -> Result<(), VolumesError> {
        let all: Vec<ChunkRef> = found.chunks.values().copied().collect();
        for some in all.chunks(SURVEYED) {
            let health = survey(self.reader(), some).await.ok_or(GetError::Interrupted)?;
            found.at_risk += health.degraded;
            if health.unreadable == 0 {
                continue;
            }
            // Which of them they are is asked again, a few at a time.
            for chunk in some {
                let health = survey(self.reader(), std::slice::from_ref(chunk)).await;
                if health.is_some_and(|health| health.unreadable > 0) {
                    found.bad.insert(chunk.id, false);
                }
            }
        }
        Ok(())
    }

    async fn read_all(&self, found: &mut Found) {
        let unread: Vec<ChunkRef> =
            found.chunks.values().filter(|chunk| !found.bad.contains_key(&chunk.id)).copied().collect();
        let reader = self.reader().clone();
        let mut reading = stream::iter(unread)
            .map(|chunk| {
                let reader = reader.clone();
                async move { (chunk.id, fetch_plain(&reader, &chunk, true).await) }
            })
            .buffer_unordered(READ_PARALLEL);
        while let Some((id, read)) = reading.next().await {
            match read {
                Ok(_) => {}
                Err(GetError::Decode { .. }) => drop(found.bad.insert(id, true)),
                Err(_) => drop(found.bad.insert(id, false)),
            }
        }
    }

    /// The files that need chunks which are not there.
    async fn name_files(&self, snapshots: &[Snapshot], found: &Found) -> Result<Vec<String>, VolumesError> {
        let snapshots = snapshots.to_vec();
        let bad: Vec<ChunkId> = found.bad.keys().copied().collect();
        let mut source = self.source();
        let named = tokio::task::spawn_blocking(move || {
            let mut files = Vec::new();
            for snapshot in snapshots {
                let id = snapshot.info.id.get(..8).unwrap_or_default().to_owned();
                let mut reach = Reach::new();
                let walked = reach.add_each(&snapshot.root, &mut source, &mut |_| (), |key, value, _| {
                    let is_bad = value.chunks.iter().any(|chunk| bad.binary_search(&chunk.id).is_ok());
                    if is_bad && files.len() < NAMED_MAX && is_file(value) {
                        let path = path_of(key).map(|path| path.as_bytes().to_vec()).unwrap_or_default();
                        files.push(format!("{id}:{}", String::from_utf8_lossy(&path)));
                    }
                    Ok(())
                });
                // What cannot be walked cannot be read either.
                if let Err(MapError::Chunk(_)) = walked
                    && files.len() < NAMED_MAX
                {
                    files.push(format!("{id}: a part of its list of files cannot be read"));
                }
            }
            files
        });
        named.await.map_err(|_| VolumesError::Stopped)
    }
}

fn is_file(value: &chordage_storage::volume::Value) -> bool {
    FileNode::from_value(value).is_ok_and(|node| matches!(node.kind, NodeKind::File(_)))
}
