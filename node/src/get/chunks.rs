//! The chunks of something that is read: fetched at most once, as long as they are among those used last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chordage_storage::{ChunkId, ChunkRef};
use tokio::sync::OnceCell;

use super::assemble::READ_AHEAD;
use super::fetch::{Hurry, fetch};
use super::health::{shortage, survey};
use super::{GetError, Reader};

/// Decoded chunks kept, or being fetched, in case a later extent is in one of them: those ahead, and the one that is
/// being read. They are most of a reader's memory.
const KEPT_CHUNKS: usize = READ_AHEAD + 1;

type Listed = Box<dyn Fn() -> Vec<ChunkRef> + Send + Sync>;

/// See the module's description.
pub(crate) struct Chunks {
    reader: Arc<Reader>,
    /// What is kept or forgotten as a whole.
    root: ChunkId,
    /// All chunks, to say how many are missing.
    all: Listed,
    kept: Mutex<VecDeque<(ChunkId, Arc<OnceCell<Bytes>>)>>,
}

impl Chunks {
    /// Those of what `root` stands for; `all` lists them.
    pub(crate) fn new(
        reader: Arc<Reader>,
        root: ChunkId,
        all: impl Fn() -> Vec<ChunkRef> + Send + Sync + 'static,
    ) -> Self {
        Chunks { reader, root, all: Box::new(all), kept: Mutex::default() }
    }

    /// The plain bytes of a chunk.
    pub(super) async fn chunk(&self, reference: &ChunkRef, hurry: Hurry) -> Result<Bytes, GetError> {
        let cell = self.kept(reference.id);
        let plain = cell.get_or_try_init(|| async {
            match fetch(&self.reader, reference, hurry).await {
                Ok((plain, _)) => Ok(plain),
                // Said once for the whole object: the reader wants to know how much is missing, not just where it
                // stumbled.
                Err(error @ (GetError::Unavailable { .. } | GetError::TimedOut { .. })) => {
                    let health = survey(&self.reader, &(self.all)()).await;
                    let error = health.as_ref().and_then(shortage).unwrap_or(error);
                    Err(forgotten_or(&self.reader, self.root, error).await)
                }
                Err(error) => Err(error),
            }
        });
        plain.await.cloned()
    }

    /// The place of a chunk among those used last.
    fn kept(&self, id: ChunkId) -> Arc<OnceCell<Bytes>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|(known, _)| *known == id).and_then(|place| kept.remove(place));
        let cell = known.map_or_else(Arc::default, |(_, cell)| cell);
        kept.push_front((id, cell.clone()));
        kept.truncate(KEPT_CHUNKS);
        cell
    }
}

/// Why something of an object is missing: this daemon may have forgotten the object.
pub(super) async fn forgotten_or(reader: &Reader, root: ChunkId, error: GetError) -> GetError {
    if !matches!(error, GetError::Unavailable { .. } | GetError::TimedOut { .. }) {
        return error;
    }
    // The log says why the book cannot be read.
    match reader.keeping.forgotten(root).await {
        Ok(Some(ago)) => GetError::Forgotten { ago },
        Ok(None) | Err(_) => error,
    }
}
