//! An object opened by its link, and its bytes in order.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chordage_api::types::{ObjectForm, ObjectStat};
use chordage_storage::{
    ChunkId, ChunkRef, EntryKind, EntryPath, FileEntry, Link, Manifest, ManifestError, ManifestLoader,
    ObjectKind, Redundancy, Step,
};
use futures::stream::{self, Stream, StreamExt};

use super::Reader;
use super::assemble::Part;
use super::chunks::{Chunks, forgotten_or};
use super::fetch::{Hurry, fetch};
use super::{GetError, JOIN_PATIENCE};

/// Chunks of a manifest that are fetched at a time.
const MANIFEST_PARALLEL: usize = 8;

/// An object with its manifest. Cheap to clone.
#[derive(Clone)]
pub struct OpenObject {
    inner: Arc<Inner>,
}

struct Inner {
    chunks: Arc<Chunks>,
    manifest: Manifest,
    /// The root's own, which speaks for an object without data chunks.
    redundancy: Redundancy,
}

/// Fetches the manifest of `link`, unless it was read a moment ago.
pub(crate) async fn open(reader: Arc<Reader>, link: &Link) -> Result<OpenObject, GetError> {
    if !reader.placement.driver.joined_unless_problem(JOIN_PATIENCE).await {
        return Err(GetError::NotJoined);
    }
    let mut loader = ManifestLoader::new(link).map_err(|error| match error {
        ManifestError::NoKey => GetError::NotReadable,
        error => GetError::Manifest(error),
    })?;
    if let Some((manifest, redundancy)) = reader.recent.get(link) {
        return Ok(OpenObject::new(reader, manifest, link.id(), redundancy));
    }
    let mut redundancy = None;
    loop {
        match loader.step() {
            Step::Ready(manifest) => {
                let redundancy = redundancy.ok_or(GetError::Interrupted)?;
                reader.recent.add(link, &manifest, redundancy);
                return Ok(OpenObject::new(reader, manifest, link.id(), redundancy));
            }
            Step::Fetch(references) => {
                let reader = &reader;
                let mut fetched =
                    stream::iter(references)
                        .map(|reference| async move {
                            (reference.id, fetch(reader, &reference, Hurry::Now).await)
                        })
                        .buffered(MANIFEST_PARALLEL);
                while let Some((id, fetched)) = fetched.next().await {
                    let (plain, found) = match fetched {
                        Ok(fetched) => fetched,
                        Err(error) => return Err(forgotten_or(reader, link.id(), error).await),
                    };
                    redundancy.get_or_insert(found);
                    loader.provide(&id, plain).map_err(GetError::Manifest)?;
                }
            }
        }
    }
}

impl OpenObject {
    fn new(reader: Arc<Reader>, manifest: Manifest, root: ChunkId, redundancy: Redundancy) -> Self {
        let listed = manifest.clone();
        let all = move || distinct_chunks(&listed, redundancy);
        let chunks = Arc::new(Chunks::new(reader, root, all));
        OpenObject { inner: Arc::new(Inner { chunks, manifest, redundancy }) }
    }

    /// What the object consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// Its chunks, as they are read.
    pub(super) fn chunks(&self) -> &Arc<Chunks> {
        &self.inner.chunks
    }

    /// The object in numbers.
    pub fn stat(&self) -> ObjectStat {
        let manifest = self.manifest();
        let summary = manifest.summary();
        let redundancy = self.inner.redundancy;
        ObjectStat {
            kind: match manifest.kind() {
                ObjectKind::File => ObjectForm::File,
                ObjectKind::Tree => ObjectForm::Tree,
            },
            unknown: None,
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

    /// Every chunk once, in the order of their addresses, manifest included.
    pub fn distinct_chunks(&self) -> Vec<ChunkRef> {
        distinct_chunks(self.manifest(), self.redundancy())
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
        let manifest = self.manifest().clone();
        Ok(self.chunks().assemble(move |parts| {
            manifest.extents(&file, range).try_for_each(|extent| parts.push(Part::Extent(extent)))
        }))
    }
}

fn distinct_chunks(manifest: &Manifest, redundancy: Redundancy) -> Vec<ChunkRef> {
    let mut chunks: Vec<ChunkRef> = manifest.chunks().collect();
    // Only the root's reference does not carry its redundancy.
    chunks.iter_mut().for_each(|chunk| chunk.redundancy = chunk.redundancy.or(Some(redundancy)));
    chunks.sort_unstable_by_key(|chunk| chunk.id);
    chunks.dedup_by_key(|chunk| chunk.id);
    chunks
}
