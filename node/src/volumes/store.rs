//! Storing the nodes of a map, and keeping what the newest state needs.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use bytes::Bytes;
use chordage_dht::Held;
use chordage_storage::volume::{ChunkWriter, MapBuilder, MapError, MapRoot, NodeSource, Reach, edit};
use chordage_storage::{ChunkId, ChunkRef};

use super::book::{KeptAs, KeptFor, KnownVolume};
use super::source::NetworkSource;
use super::{Changes, Volumes, VolumesError, now};
use crate::put::{self, PutError, PutRequest, Work};

/// The chunks of the state of a map.
pub(super) type MapChunks = BTreeMap<ChunkId, ChunkRef>;

/// A state of a map that was stored, and that no head may name yet.
pub(super) struct MapStored {
    pub(super) root: MapRoot,
    chunks: MapChunks,
}

/// Reads nodes while others are put.
struct WhilePutting(NetworkSource);

impl NodeSource for WhilePutting {
    type Error = PutError;

    fn load(&mut self, chunk: &ChunkRef) -> Result<Bytes, PutError> {
        Ok(self.0.load(chunk)?)
    }

    fn expect(&mut self, chunks: &[ChunkRef]) {
        self.0.expect(chunks);
    }
}

impl Volumes {
    /// Stores what changes make of a map, and keeps it from here.
    pub(super) async fn store_map(
        &self,
        volume: &KnownVolume,
        root: Option<MapRoot>,
        changes: Changes,
    ) -> Result<MapStored, VolumesError> {
        let known = root.and_then(|root| self.chunks_of(volume, &root));
        let mut source = WhilePutting(self.source());
        let (book, id) = (self.book_handle(), volume.keys.id().0);
        let work = move |sink| {
            let mut writer = ChunkWriter::new(sink);
            let (new, mut chunks) = match root {
                None => {
                    let new = build(changes, &mut writer)?;
                    (new.0, new.1)
                }
                Some(root) => {
                    let mut chunks = match known {
                        Some(known) => known,
                        None => reach(&root, &mut source).map_err(failed)?,
                    };
                    let edited = edit(&root, changes, &mut source, &mut writer).map_err(failed)?;
                    for chunk in &edited.dropped {
                        chunks.remove(&chunk.id);
                    }
                    (edited.root, merged(chunks, edited.written))
                }
            };
            let mut sink = writer.into_sink();
            chunks.entry(new.chunk.id).or_insert(new.chunk);
            // What is written now is claimed as it is sent; the rest is there already.
            chunks.values().for_each(|chunk| sink.need(chunk));
            let kept = KeptFor { volume: id, kind: KeptAs::Map, since: now(), needed: true, tree: None };
            book.keep_soon(new.chunk.id, &kept)?;
            Ok(Work { root: new.chunk.id, bytes: 0, sink, result: (new, chunks, kept) })
        };
        let name = Some(format!("volume {}: its map", volume.petname));
        let request = PutRequest { name, ..PutRequest::default() };
        let stored = put::store(self.putter(), volume.keys.convergence(), request, work).await?;
        let (root, chunks, kept) = stored.result;
        self.need(root.chunk.id, kept).await?;
        Ok(MapStored { root, chunks })
    }

    /// The chunks of a map, if they are remembered.
    fn chunks_of(&self, volume: &KnownVolume, root: &MapRoot) -> Option<MapChunks> {
        let maps = self.maps().lock().unwrap_or_else(PoisonError::into_inner);
        let (known, chunks) = maps.get(&volume.keys.id())?;
        (known == root).then(|| chunks.clone())
    }

    /// The map of a volume is this one from now on; `before` is not needed any more.
    pub(super) async fn map_is(&self, volume: &KnownVolume, stored: &MapStored, before: Option<MapRoot>) {
        self.remember_map(volume, stored);
        let unneeded = before.map(|before| before.chunk.id).filter(|before| *before != stored.root.chunk.id);
        if let Some(unneeded) = unneeded {
            self.unneed(unneeded).await;
        }
    }

    fn remember_map(&self, volume: &KnownVolume, stored: &MapStored) {
        let mut maps = self.maps().lock().unwrap_or_else(PoisonError::into_inner);
        maps.insert(volume.keys.id(), (stored.root, stored.chunks.clone()));
    }

    /// A map that was stored has not become that of the volume, unless `held` names it.
    pub(super) async fn map_is_not(&self, volume: &KnownVolume, stored: &MapStored, held: Option<&Held>) {
        let current = self.root_of(volume, held).ok().flatten();
        if current.is_none_or(|current| current.chunk.id != stored.root.chunk.id) {
            self.unneed(stored.root.chunk.id).await;
        }
    }
}

fn merged(mut chunks: MapChunks, more: Vec<ChunkRef>) -> MapChunks {
    chunks.extend(more.into_iter().map(|chunk| (chunk.id, chunk)));
    chunks
}

/// A new map.
fn build(
    changes: Changes,
    writer: &mut ChunkWriter<put::NetworkSink>,
) -> Result<(MapRoot, MapChunks), PutError> {
    let mut builder = MapBuilder::new();
    for (key, change) in changes {
        if let Some(value) = change {
            builder.push(writer, key, value).map_err(failed)?;
        }
    }
    let root = builder.finish(writer).map_err(failed)?;
    Ok((root, writer.references().map(|chunk| (chunk.id, chunk)).collect()))
}

/// All chunks of a map.
fn reach(root: &MapRoot, source: &mut WhilePutting) -> Result<MapChunks, MapError<PutError>> {
    let mut chunks = MapChunks::new();
    Reach::new().add(root, source, |chunk| {
        chunks.insert(chunk.id, *chunk);
    })?;
    Ok(chunks)
}

fn failed(error: MapError<PutError>) -> PutError {
    match error {
        MapError::Chunk(error) => error,
        error => PutError::Limit(error.to_string()),
    }
}
