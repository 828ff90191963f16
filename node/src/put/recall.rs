//! What this daemon put before, as one put asks for it: the catalog says where, the holders say whether still.

use std::sync::Arc;

use chordage_storage::catalog::{Catalog, KnownChunk, KnownFile, KnownPiece, PieceInfo, Snapshot};
use chordage_storage::{Fingerprint, Redundancy};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Putter;
use crate::leases::ask_recent;

/// Questions to one snapshot of the catalog; then a new one is taken, so that old pages can be used again.
const SNAPSHOT_USES: u32 = 1024;
/// Chunks whose holders are asked about when one is to be used: those that were put after it are probably next. Few
/// at first, then more.
const AHEAD_FIRST: usize = 16;
const AHEAD_MAX: usize = 512;

/// See the module's description. Used from a blocking thread.
pub(super) struct Recall {
    putter: Arc<Putter>,
    redundancy: Redundancy,
    runtime: Handle,
    snapshot: Option<Snapshot>,
    uses: u32,
    ahead: usize,
}

impl Recall {
    /// Knows only chunks of this redundancy. Has to be called on the runtime that is to ask the holders.
    pub(super) fn new(putter: Arc<Putter>, redundancy: Redundancy) -> Self {
        let runtime = Handle::current();
        Recall { putter, redundancy, runtime, snapshot: None, uses: 0, ahead: AHEAD_FIRST }
    }

    /// Where a piece was put.
    pub(super) fn piece(&mut self, piece: &PieceInfo) -> Option<KnownPiece> {
        let redundancy = self.redundancy;
        self.look(|snapshot| snapshot.piece(redundancy, &piece.hash))
    }

    /// Where a file was put.
    pub(super) fn file(&mut self, fingerprint: &Fingerprint) -> Option<KnownFile> {
        let redundancy = self.redundancy;
        let planned = self.putter.planned.take(Instant::now(), redundancy, fingerprint);
        planned.or_else(|| self.look(|snapshot| snapshot.file(redundancy, fingerprint)))
    }

    /// Whether enough holders still have a shard of `chunk`: as many as a put waits for.
    pub(super) fn is_stored(&mut self, chunk: &KnownChunk) -> bool {
        let id = chunk.reference.id;
        let mut shards = self.putter.leases.recent.lately(&id);
        if shards.is_none() {
            let (redundancy, ahead) = (self.redundancy, self.ahead);
            self.ahead = (self.ahead * 4).min(AHEAD_MAX);
            let following = self.look(|snapshot| snapshot.chunks_from(chunk.number, ahead).map(Some));
            let mut asked = vec![chunk.reference];
            asked.extend(following.into_iter().flatten().map(|chunk| chunk.reference));
            asked.retain(|reference| reference.redundancy == Some(redundancy));
            self.runtime.block_on(ask_recent(&self.putter.leases, &asked));
            shards = self.putter.leases.recent.lately(&id);
        }
        shards.is_some_and(|shards| shards >= self.redundancy.write_quorum())
    }

    fn look<T>(&mut self, ask: impl FnOnce(&Snapshot) -> std::io::Result<Option<T>>) -> Option<T> {
        let catalog = self.putter.catalog.as_deref()?;
        if self.uses == 0 {
            self.snapshot = None;
        }
        if self.snapshot.is_none() {
            self.snapshot = open(catalog);
        }
        self.uses = (self.uses + 1) % SNAPSHOT_USES;
        match ask(self.snapshot.as_ref()?) {
            Ok(found) => found,
            Err(error) => {
                // What is not known is sent again.
                tracing::warn!(%error, "the catalog of earlier puts cannot be read");
                self.snapshot = None;
                None
            }
        }
    }
}

fn open(catalog: &Catalog) -> Option<Snapshot> {
    let snapshot = catalog.snapshot();
    if let Err(error) = &snapshot {
        tracing::warn!(%error, "the catalog of earlier puts cannot be read");
    }
    snapshot.ok()
}
