//! Storing the nodes of a map, and keeping what the newest state needs: whatever a map holds, a change of it costs what
//! it changes.
//!
//! What a new state needs beside those before is kept before its head is published, as an object of its own; after that
//! the map and this object exchange chunks, so that the object has what is left over: see [`MapStep`].

use bytes::Bytes;
use chordage_dht::Held;
use chordage_storage::lease::{KeptMap, MapStep};
use chordage_storage::volume::{ChunkWriter, Edited, MapError, MapRoot, Needs, NodeSource, create, edit};
use chordage_storage::{ChunkId, ChunkRef};

use super::book::{KeptAs, KeptFor, KnownVolume};
use super::source::NetworkSource;
use super::{Changes, Volumes, VolumesError, now, on_disk};
use crate::get::GetError;
use crate::put::{self, PutError, PutRequest, Work};

/// A state of a map that was stored, and that no head may name yet.
pub(super) struct MapStored {
    pub(super) root: MapRoot,
    step: MapStep,
}

/// The state of a map that is kept from here.
pub(super) struct KeptState {
    pub(super) kept: KeptMap,
    pub(super) root: MapRoot,
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

    fn made(&mut self, chunk: &ChunkRef, plain: Bytes) {
        self.0.made(chunk, plain);
    }
}

/// An id for what is kept that is not that of a chunk.
pub(super) fn new_object() -> Result<ChunkId, VolumesError> {
    let mut id = [0; 32];
    getrandom::fill(&mut id).map_err(|_| VolumesError::NoRandomness)?;
    Ok(ChunkId(id))
}

/// As what the chunks of a map are kept.
pub(super) fn kept_as_map(volume: &KnownVolume) -> KeptFor {
    KeptFor { volume: volume.keys.id().0, kind: KeptAs::Map, since: now(), needed: true, tree: None }
}

fn name_of(volume: &KnownVolume) -> String {
    format!("volume {}: its map", volume.petname)
}

/// The step from what is kept to a state.
pub(super) fn step_to(
    volume: &KnownVolume,
    from: Option<KeptMap>,
    root: &MapRoot,
    needs: &Needs,
    exchange: ChunkId,
) -> Result<MapStep, VolumesError> {
    let object = from.as_ref().map_or_else(new_object, |from| Ok(from.object))?;
    Ok(MapStep {
        volume: volume.keys.id().0,
        from,
        to: KeptMap { object, state: root.encode().to_vec() },
        exchange,
        more: needs.more().map(|(chunk, times)| (chunk.id, times)).collect(),
        less: needs.less().map(|(chunk, times)| (chunk.id, times)).collect(),
    })
}

/// What a state needs beside what is kept. If that cannot be read, it is not gone on from.
pub(super) fn needs_beside<S: NodeSource>(
    from: &mut Option<KeptState>,
    root: &MapRoot,
    source: &mut S,
    is_gone: impl Fn(&S::Error) -> bool,
) -> Result<Needs, MapError<S::Error>> {
    match from.as_ref().map(|from| from.root) {
        Some(same) if same == *root => return Ok(Needs::new()),
        Some(old) => match Needs::between(Some(&old), root, source) {
            Err(MapError::Chunk(error)) if is_gone(&error) => *from = None,
            needs => return needs,
        },
        None => {}
    }
    Needs::between(None, root, source)
}

/// Whether chunks are not there, rather than out of reach for other reasons.
pub(super) fn is_gone(error: &GetError) -> bool {
    matches!(error, GetError::Unavailable { .. } | GetError::Forgotten { .. })
}

impl Volumes {
    /// Stores what changes make of a map, and keeps it from here.
    pub(super) async fn store_map(
        &self,
        volume: &KnownVolume,
        root: Option<MapRoot>,
        changes: Changes,
    ) -> Result<MapStored, VolumesError> {
        // Without a head there is nothing to go on from.
        let from = self.kept_state(volume).await?.filter(|_| root.is_some());
        let (exchange, kept) = (new_object()?, kept_as_map(volume));
        let mut source = WhilePutting(self.source());
        let (book, noted) = (self.book_handle(), kept.clone());
        let work = move |sink: put::NetworkSink| {
            let mut from = from;
            let gone = |error: &PutError| matches!(error, PutError::Read(error) if is_gone(error));
            let mut needs = match &root {
                Some(root) => needs_beside(&mut from, root, &mut source, gone).map_err(failed)?,
                None => Needs::new(),
            };
            let mut writer = ChunkWriter::new(sink);
            let Edited { root: new, needs: more, .. } = match &root {
                Some(root) => edit(root, changes, &mut source, &mut writer),
                None => create(changes, &mut source, &mut writer),
            }
            .map_err(failed)?;
            needs.add(more);
            let mut sink = writer.into_sink();
            // What is written now is claimed as it is sent; the rest is there already.
            needs.more().for_each(|(chunk, _)| sink.need(chunk));
            book.keep_soon(exchange, &noted)?;
            Ok(Work { root: exchange, bytes: 0, sink, result: (new, needs, from.map(|from| from.kept)) })
        };
        let request = PutRequest { name: Some(name_of(volume)), ..PutRequest::default() };
        let stored = put::store(self.putter(), volume.keys.convergence(), request, work).await?;
        let (root, needs, from) = stored.result;
        self.need(exchange, kept).await?;
        Ok(MapStored { root, step: step_to(volume, from, &root, &needs, exchange)? })
    }

    /// The state of a volume's map that is kept from here; `None`: none, or it is not needed any more.
    pub(super) async fn kept_state(&self, volume: &KnownVolume) -> Result<Option<KeptState>, VolumesError> {
        let kept = self.putter().leases.keeping.map_of(volume.keys.id().0).await?;
        let Some(kept) = kept else { return Ok(None) };
        let (book, object) = (self.book_handle(), kept.object);
        let noted = on_disk(move || book.kept(object)).await??;
        let root = MapRoot::decode(&kept.state).filter(|_| noted.is_some_and(|noted| noted.needed));
        Ok(root.map(|root| KeptState { kept, root }))
    }

    /// The map of a volume is this one from now on; what was left over is not needed any more.
    pub(super) async fn map_is(&self, volume: &KnownVolume, stored: MapStored) {
        if let Err(error) = self.go_on(volume, stored.step).await {
            // Everything is kept until it is looked at again.
            tracing::warn!(%error, volume = volume.petname, "what is left over of a volume cannot be let go of yet");
        }
    }

    /// Goes on to another state of what is kept.
    pub(super) async fn go_on(&self, volume: &KnownVolume, step: MapStep) -> Result<(), VolumesError> {
        let (exchange, object, is_new) = (step.exchange, step.to.object, step.from.is_none());
        if is_new {
            let (book, kept) = (self.book_handle(), kept_as_map(volume));
            on_disk(move || book.keep(object, &kept)).await??;
        }
        let name = is_new.then(|| name_of(volume));
        if !self.putter().leases.keeping.step(step, name).await? {
            return Err(VolumesError::Freed);
        }
        self.unneed(exchange).await;
        Ok(())
    }

    /// A map that was stored has not become that of the volume, unless `held` names it.
    pub(super) async fn map_is_not(&self, volume: &KnownVolume, stored: MapStored, held: Option<&Held>) {
        let current = self.root_of(volume, held).ok().flatten();
        if current == Some(stored.root) {
            self.map_is(volume, stored).await;
        } else {
            self.unneed(stored.step.exchange).await;
        }
    }
}

fn failed(error: MapError<PutError>) -> PutError {
    match error {
        MapError::Chunk(error) => error,
        error => PutError::Limit(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
