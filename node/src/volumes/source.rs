//! Nodes of volumes, out of the network: those that were read lately stay in memory, those that are read next are
//! fetched ahead.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chordage_storage::volume::NodeSource;
use chordage_storage::{ChunkId, ChunkRef};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::get::{GetError, Reader, fetch_plain};

/// Plain bytes of nodes that are kept.
const KEPT_BYTES: usize = 24 << 20;
/// Nodes that are fetched ahead.
const AHEAD: usize = 12;

/// Nodes that were read lately.
#[derive(Default)]
pub(super) struct NodeCache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    nodes: BTreeMap<ChunkId, Bytes>,
    oldest_first: VecDeque<ChunkId>,
    bytes: usize,
}

impl NodeCache {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, chunk: &ChunkId) -> Option<Bytes> {
        self.kept().nodes.get(chunk).cloned()
    }

    fn add(&self, chunk: ChunkId, plain: &Bytes) {
        let mut kept = self.kept();
        if kept.nodes.insert(chunk, plain.clone()).is_some() {
            return;
        }
        kept.bytes += plain.len();
        kept.oldest_first.push_back(chunk);
        while kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.oldest_first.pop_front() else { break };
            let gone = kept.nodes.remove(&oldest).map_or(0, |plain| plain.len());
            kept.bytes -= gone;
        }
    }
}

type Fetching = AbortOnDropHandle<Result<Bytes, GetError>>;

/// See the module's description. Used from a blocking thread.
pub(super) struct NetworkSource {
    reader: Arc<Reader>,
    cache: Arc<NodeCache>,
    runtime: Handle,
    ahead: BTreeMap<ChunkId, Fetching>,
}

impl NetworkSource {
    /// Has to be called on the runtime that is to fetch.
    pub(super) fn new(reader: Arc<Reader>, cache: Arc<NodeCache>) -> Self {
        NetworkSource { reader, cache, runtime: Handle::current(), ahead: BTreeMap::new() }
    }
}

impl NodeSource for NetworkSource {
    type Error = GetError;

    fn load(&mut self, chunk: &ChunkRef) -> Result<Bytes, GetError> {
        if let Some(plain) = self.cache.get(&chunk.id) {
            return Ok(plain);
        }
        let fetched = match self.ahead.remove(&chunk.id) {
            Some(fetching) => self.runtime.block_on(fetching).unwrap_or(Err(GetError::Interrupted)),
            None => self.runtime.block_on(fetch_plain(&self.reader, chunk, false)),
        };
        let plain = fetched?;
        self.cache.add(chunk.id, &plain);
        Ok(plain)
    }

    fn made(&mut self, chunk: &ChunkRef, plain: Bytes) {
        self.cache.add(chunk.id, &plain);
    }

    fn expect(&mut self, chunks: &[ChunkRef]) {
        // What is not wanted any more makes room for what is.
        self.ahead.retain(|id, _| chunks.iter().any(|chunk| chunk.id == *id));
        for chunk in chunks {
            if self.ahead.len() >= AHEAD {
                break;
            }
            if self.ahead.contains_key(&chunk.id) || self.cache.get(&chunk.id).is_some() {
                continue;
            }
            let (reader, chunk) = (self.reader.clone(), *chunk);
            let fetching = self.runtime.spawn(async move { fetch_plain(&reader, &chunk, true).await });
            self.ahead.insert(chunk.id, AbortOnDropHandle::new(fetching));
        }
    }
}
