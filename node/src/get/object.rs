//! An object opened by its link, and its bytes in order.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chordage_storage::{
    ChunkId, ChunkRef, EntryKind, EntryPath, Extent, FileEntry, Link, Manifest, ManifestError,
    ManifestLoader, ObjectKind, Redundancy, Step,
};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};

use super::fetch::fetch;
use super::health::survey;
use super::{GetError, JOIN_PATIENCE};
use crate::api::types::ObjectStat;
use crate::transfer::Transfer;

/// Chunks of a manifest that are fetched at a time.
const MANIFEST_PARALLEL: usize = 8;
/// Chunks that are fetched ahead of the reader.
const READ_AHEAD: usize = 6;
/// Decoded chunks kept in case the next extent is in one of them.
const KEPT_CHUNKS: usize = 3;

/// An object with its manifest. Cheap to clone.
#[derive(Clone)]
pub struct OpenObject {
    inner: Arc<Inner>,
}

struct Inner {
    transfer: Arc<Transfer>,
    manifest: Manifest,
    /// The root's own, which speaks for an object without data chunks.
    redundancy: Redundancy,
    kept: Mutex<VecDeque<(ChunkId, Bytes)>>,
}

/// Fetches the manifest of `link`.
pub(crate) async fn open(transfer: Arc<Transfer>, link: &Link) -> Result<OpenObject, GetError> {
    if !transfer.driver.joined_within(JOIN_PATIENCE).await {
        return Err(GetError::NotJoined);
    }
    let mut loader = ManifestLoader::new(link).map_err(|error| match error {
        ManifestError::NoKey => GetError::NotReadable,
        error => GetError::Manifest(error),
    })?;
    let mut redundancy = None;
    loop {
        match loader.step() {
            Step::Ready(manifest) => {
                let (kept, redundancy) = (Mutex::default(), redundancy.ok_or(GetError::Interrupted)?);
                return Ok(OpenObject { inner: Arc::new(Inner { transfer, manifest, redundancy, kept }) });
            }
            Step::Fetch(references) => {
                let transfer = &transfer;
                let mut fetched = stream::iter(references)
                    .map(|reference| async move { (reference.id, fetch(transfer, &reference).await) })
                    .buffered(MANIFEST_PARALLEL);
                while let Some((id, fetched)) = fetched.next().await {
                    let (plain, found) = fetched?;
                    redundancy.get_or_insert(found);
                    loader.provide(&id, plain).map_err(GetError::Manifest)?;
                }
            }
        }
    }
}

impl OpenObject {
    /// What the object consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// The object in numbers.
    pub fn stat(&self) -> ObjectStat {
        let manifest = self.manifest();
        let summary = manifest.summary();
        let redundancy = self.inner.redundancy;
        ObjectStat {
            kind: match manifest.kind() {
                ObjectKind::File => "file".to_owned(),
                ObjectKind::Tree => "tree".to_owned(),
            },
            bytes: summary.bytes,
            files: summary.files,
            dirs: summary.directories,
            symlinks: summary.symlinks,
            chunks: manifest.chunks().count() as u64,
            k: redundancy.k(),
            n: redundancy.n(),
            health: None,
        }
    }

    /// The file at `path`, or the file that the object is.
    pub fn file(&self, path: Option<&[u8]>) -> Result<FileEntry, GetError> {
        let Some(path) = path else {
            return self.manifest().file().ok_or_else(|| GetError::NotAFile(String::new()));
        };
        let shown = || String::from_utf8_lossy(path).into_owned();
        let path = EntryPath::new(path).map_err(|_| GetError::NoSuchPath(shown()))?;
        match self.manifest().entry(&path).map(|entry| entry.kind) {
            Some(EntryKind::File(file)) => Ok(file),
            Some(_) => Err(GetError::NotAFile(shown())),
            None => Err(GetError::NoSuchPath(shown())),
        }
    }

    /// The redundancy the object was written with.
    pub fn redundancy(&self) -> Redundancy {
        self.inner.redundancy
    }

    /// The bytes of one file, in order, verified, fetched ahead of the reader. `path` is `None` for an object
    /// that is a bare file.
    pub fn read(
        &self,
        path: Option<&[u8]>,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, GetError>> + Send + 'static, GetError> {
        let file = self.file(path)?;
        if range.start > range.end || range.end > file.size() {
            return Err(GetError::Range { bytes: file.size() });
        }
        let extents = self.manifest().extents(&file, range);
        Ok(self.read_extents(extents.collect()))
    }

    /// The bytes of `extents`, in order. Extents of one chunk that follow each other fetch it once.
    pub fn read_extents(
        &self,
        extents: Vec<Extent>,
    ) -> impl Stream<Item = Result<Bytes, GetError>> + Send + 'static {
        let object = self.clone();
        stream::iter(runs(extents))
            .map(move |run| {
                let object = object.clone();
                async move {
                    let plain = object.chunk(&run.chunk).await?;
                    let slices: Vec<_> =
                        run.slices.into_iter().map(move |range| Ok(plain.slice(range))).collect();
                    Ok::<_, GetError>(stream::iter(slices))
                }
            })
            .buffered(READ_AHEAD)
            .try_flatten()
    }

    async fn chunk(&self, reference: &ChunkRef) -> Result<Bytes, GetError> {
        let kept = |kept: &VecDeque<(ChunkId, Bytes)>| {
            kept.iter().find(|(id, _)| *id == reference.id).map(|(_, plain)| plain.clone())
        };
        if let Some(plain) = kept(&self.kept()) {
            return Ok(plain);
        }
        match fetch(&self.inner.transfer, reference).await {
            Ok((plain, _)) => {
                let mut kept = self.kept();
                kept.truncate(KEPT_CHUNKS - 1);
                kept.push_front((reference.id, plain.clone()));
                Ok(plain)
            }
            // Said once for the whole object: the reader wants to know how much is missing, not just where it
            // stumbled.
            Err(error @ (GetError::Unavailable { .. } | GetError::TimedOut { .. })) => {
                Err(survey(&self.inner.transfer, self).await.and_then(|h| h.shortage()).unwrap_or(error))
            }
            Err(error) => Err(error),
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<(ChunkId, Bytes)>> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Consecutive slices of one chunk.
struct Run {
    chunk: ChunkRef,
    slices: Vec<Range<usize>>,
}

fn runs(extents: Vec<Extent>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for Extent { chunk, offset, len } in extents {
        let slice = offset as usize..offset as usize + len as usize;
        match runs.last_mut() {
            Some(run) if run.chunk.id == chunk.id => run.slices.push(slice),
            _ => runs.push(Run { chunk, slices: vec![slice] }),
        }
    }
    runs
}
