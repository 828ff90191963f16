//! Where packs go: each is coded and placed by a task of its own, as many at a time as memory allows.

use std::sync::Arc;

use chordage_storage::catalog::{KnownChunk, KnownFile, KnownPiece, PieceInfo};
use chordage_storage::{ChunkRef, ChunkSink, EncodeParams, Fingerprint, Pack, Place, encode_chunk};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::asking::Asking;
use super::place::{Placed, place};
use super::recall::Recall;
use super::record::{Note, Recorder};
use super::{PutError, Putter};
use crate::leases::Promise;

/// The network as a sink of packs. Used from a blocking thread.
pub(crate) struct NetworkSink {
    putter: Arc<Putter>,
    params: EncodeParams,
    allow_degraded: bool,
    promise: Arc<Promise>,
    cancelled: CancellationToken,
    runtime: Handle,
    /// `None` when nothing from before is to be used.
    recall: Option<Recall>,
    recorder: Recorder,
    asking: Arc<Asking>,
    references: Vec<oneshot::Receiver<ChunkRef>>,
    placements: Placements,
}

/// The placements of one put. Dropping it ends those that still run.
pub(super) struct Placements {
    running: JoinSet<Result<Placed, PutError>>,
    done: Placed,
}

impl Placements {
    fn count(
        &mut self,
        joined: Result<Result<Placed, PutError>, tokio::task::JoinError>,
    ) -> Result<(), PutError> {
        self.done.add(joined.map_err(|_| PutError::Interrupted)??);
        Ok(())
    }

    /// Waits for the last acknowledgement.
    pub(super) async fn wait(mut self) -> Result<Placed, PutError> {
        while let Some(joined) = self.running.join_next().await {
            self.count(joined)?;
        }
        Ok(self.done)
    }
}

impl NetworkSink {
    /// Has to be called on the runtime that is to place the chunks.
    pub(super) fn new(
        putter: Arc<Putter>,
        params: EncodeParams,
        allow_degraded: bool,
        promise: Arc<Promise>,
        recall: Option<Recall>,
        recorder: Recorder,
        cancelled: CancellationToken,
    ) -> Self {
        NetworkSink {
            putter,
            params,
            allow_degraded,
            promise,
            recall,
            recorder,
            asking: Arc::default(),
            cancelled,
            runtime: Handle::current(),
            references: Vec::new(),
            placements: Placements { running: JoinSet::new(), done: Placed::none() },
        }
    }

    pub(super) fn into_placements(self) -> Placements {
        self.placements
    }

    /// A file from before, if all of it is still stored.
    pub(crate) fn find_file(&mut self, fingerprint: &Fingerprint) -> Option<KnownFile> {
        let recall = self.recall.as_mut()?;
        let file = recall.file(fingerprint)?;
        if !file.extents.iter().all(|extent| recall.is_stored(&extent.chunk)) {
            return None;
        }
        if file.ageing {
            self.recorder.note_blocking(Note::KeepFile(*fingerprint));
        }
        Some(file)
    }

    /// Holders that have to keep a chunk.
    fn needed(&self) -> u8 {
        let redundancy = self.params.redundancy;
        if self.allow_degraded { redundancy.k() } else { redundancy.write_quorum() }
    }

    /// What is stored uses a chunk from before.
    fn rely_on(&mut self, chunk: &KnownChunk) {
        let redundancy = self.params.redundancy;
        // When the put ends its holders are asked to keep it for this object too.
        self.promise.rely_on(chunk.reference.id, redundancy, self.needed());
        // It was asked about a moment ago; if that is forgotten, it was enough.
        let lately = self.putter.leases.recent.lately(&chunk.reference.id);
        let shards = lately.unwrap_or(redundancy.write_quorum()).min(redundancy.n());
        let shard_len = u64::from(chunk.sealed_len.div_ceil(redundancy.k().into()));
        self.placements.done.add(Placed {
            chunks: 1,
            new_chunks: 0,
            stored_bytes: u64::from(shards) * shard_len,
            sent_bytes: 0,
            acks_min: shards,
        });
    }

    /// What is stored also needs a chunk that is not written now: its holders are asked to keep it as well.
    pub(crate) fn need(&mut self, chunk: &ChunkRef) {
        let redundancy = chunk.redundancy.unwrap_or(self.params.redundancy);
        // It may have lost holders since: whoever repairs it sees to that.
        self.promise.rely_on(chunk.id, redundancy, redundancy.k());
    }

    /// A pack is sealed and coded where it lies. (One that is compressed is in memory twice, but only while a coding
    /// thread has it.)
    fn cost(&self, plain: usize) -> usize {
        let (k, n) = (usize::from(self.params.redundancy.k()), usize::from(self.params.redundancy.n()));
        let distinct = if k == 1 { 1 } else { n };
        plain.div_ceil(k) * distinct
    }
}

impl ChunkSink for NetworkSink {
    type Error = PutError;

    fn submit(&mut self, mut pack: Pack) -> Result<(), PutError> {
        // A chunk that failed makes the put fail: no use in reading on.
        while let Some(joined) = self.placements.running.try_join_next() {
            self.placements.count(joined)?;
        }
        let memory = self.runtime.block_on(async {
            tokio::select! {
                memory = self.putter.budget.take_for_pack(self.cost(pack.len())) => memory,
                () = self.cancelled.cancelled() => None,
            }
        });
        let memory = memory.ok_or(PutError::Interrupted)?;
        let (told, reference) = oneshot::channel();
        self.references.push(reference);
        let (putter, params, allow_degraded) =
            (self.putter.clone(), self.params.clone(), self.allow_degraded);
        let (asking, promise) = (self.asking.clone(), self.promise.clone());
        let needed = self.needed();
        let redundancy = self.params.redundancy;
        let (recorder, number, pieces) = (self.recorder.clone(), pack.number(), pack.take_pieces());
        let task = async move {
            let encoded = putter
                .coders
                .run(move |coder| encode_chunk(pack, &params, coder))
                .await
                .ok_or(PutError::Interrupted)?
                .map_err(|error| PutError::Limit(error.to_string()))?;
            // Nobody waits for it only when the put has already failed.
            let reference = encoded.reference;
            let _ = told.send(reference);
            let sealed_len = encoded.sealed_len as u32; // at most MAX_SEALED_LEN
            // Of the manifest's chunks there are few, and they are often there.
            let ask_first = number.is_none() || asking.is_worthwhile();
            promise.rely_on(reference.id, redundancy, needed);
            let placed = place(&putter, encoded, &promise, allow_degraded, ask_first).await?;
            drop(memory);
            putter.leases.recent.remember(reference.id, placed.acks_min);
            if number.is_some() {
                asking.tell(placed.sent_bytes < placed.stored_bytes);
            }
            if number.is_some() || !pieces.is_empty() {
                recorder.note(Note::Stored { table: number, reference, sealed_len, pieces }).await;
            }
            Ok(placed)
        };
        self.placements.running.spawn_on(task, &self.runtime);
        Ok(())
    }

    fn barrier(&mut self) -> Result<Vec<ChunkRef>, PutError> {
        let references = std::mem::take(&mut self.references);
        let waited = self.runtime.block_on(async {
            tokio::select! {
                references = futures::future::try_join_all(references) => references.ok(),
                () = self.cancelled.cancelled() => None,
            }
        });
        match waited {
            Some(references) => Ok(references),
            // A task ended without telling its reference: its error says why.
            None => {
                let runtime = self.runtime.clone();
                let placements = std::mem::replace(
                    &mut self.placements,
                    Placements { running: JoinSet::new(), done: Placed::none() },
                );
                if self.cancelled.is_cancelled() {
                    return Err(PutError::Interrupted);
                }
                Err(runtime.block_on(placements.wait()).err().unwrap_or(PutError::Interrupted))
            }
        }
    }
    fn find_piece(&mut self, piece: &PieceInfo) -> Option<KnownPiece> {
        self.recall.as_mut()?.piece(piece)
    }

    fn is_stored(&mut self, chunk: &KnownChunk) -> Result<bool, PutError> {
        if self.cancelled.is_cancelled() {
            return Err(PutError::Interrupted);
        }
        Ok(self.recall.as_mut().is_some_and(|recall| recall.is_stored(chunk)))
    }

    fn refer(&mut self, chunk: &KnownChunk, number: u32) {
        self.rely_on(chunk);
        self.recorder.note_blocking(Note::Used { table: number, number: chunk.number });
    }

    fn find_node(&mut self, node: &PieceInfo) -> Result<Option<ChunkRef>, PutError> {
        let Some(known) = self.find_piece(node) else { return Ok(None) };
        let reference = known.chunk.reference;
        let is_whole = known.offset == 0 && known.len == node.len && reference.plain_len == node.len;
        if !is_whole || !self.is_stored(&known.chunk)? {
            return Ok(None);
        }
        self.rely_on(&known.chunk);
        self.use_piece(node, &known);
        Ok(Some(reference))
    }

    fn use_piece(&mut self, piece: &PieceInfo, known: &KnownPiece) {
        if known.ageing {
            self.recorder.note_blocking(Note::KeepPiece(piece.hash));
        }
    }

    fn file_written(&mut self, fingerprint: Fingerprint, places: &[Place]) {
        self.recorder.note_blocking(Note::File { fingerprint, places: places.to_vec() });
    }
}
