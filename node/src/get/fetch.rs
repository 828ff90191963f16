//! Fetching one chunk: the fastest of its likely holders are asked, as many as are needed (two more where somebody
//! waits for just this chunk); who fails is replaced at once, who is late is joined by another, and whoever is still
//! busy when there are enough is not waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chordage_dht::{NodeId, Peer};
use chordage_storage::{ChunkId, ChunkRef, DecodeError, Descriptor, Redundancy, ShardSet, decode_chunk};
use futures::stream::{self, FuturesUnordered, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::again::Again;
use super::asking::Asking;
use super::totals::count;
use super::{GetError, Reader};
use crate::awake;
use crate::holders::{Scores, limits};
use crate::placement::Freshness;
use crate::shards::{CallError, Fetched};

/// How long one chunk may take in all. Leaves room within 20 s to say what is missing.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(12);
/// How long a chunk that somebody waits for may wait for memory. Everyone who has some gives it back within seconds, so
/// that whoever waits longer does better to come again.
const MEMORY_WITHIN: Duration = Duration::from_secs(10);
/// Of so many candidates of a root the fastest are asked first; the smallest code in use has as many shards.
const LIKELY_OF_ROOT: u8 = 3;
/// Holders asked beyond those needed when the reader waits. When chunks are fetched ahead these would only cost
/// bandwidth: there the time of one chunk hides behind that of others.
const SPARES: usize = 2;

/// Whether the reader waits for this very chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hurry {
    /// It does.
    Now,
    /// It is still busy with what comes before.
    Ahead,
}

/// A chunk's plain bytes, from the network or from the local store, and how it is coded. It holds a part of the memory
/// budget while it asks, and has to be polled until it ends.
pub(super) async fn fetch(
    reader: &Reader,
    chunk: &ChunkRef,
    hurry: Hurry,
) -> Result<(Bytes, Redundancy), GetError> {
    let mut memory = take_memory(reader, chunk, hurry).await?;
    let deadline = Instant::now() + CHUNK_TIMEOUT;
    let mut again = Again::begin(reader.placement.driver.size());
    loop {
        let mut fetching = Fetching::new(reader, chunk, hurry);
        let timed = awake::timeout_at(deadline, fetching.run()).await;
        let fetched = timed.unwrap_or(Err(GetError::TimedOut { best: fetching.best(), k: fetching.k }));
        // Others may have it while this waits.
        drop((memory, fetching));
        match fetched {
            Ok(fetched) => return Ok(fetched),
            Err(error) => again.or(error).await?,
        }
        let taking = awake::timeout_at(deadline, take_memory(reader, chunk, hurry)).await;
        memory = taking.unwrap_or(Err(GetError::NoMemory))?;
    }
}

/// A chunk's plain bytes, for whoever reads structures rather than files; `ahead`: nobody waits for it yet.
pub(crate) async fn fetch_plain(reader: &Reader, chunk: &ChunkRef, ahead: bool) -> Result<Bytes, GetError> {
    let hurry = if ahead { Hurry::Ahead } else { Hurry::Now };
    Ok(fetch(reader, chunk, hurry).await?.0)
}

/// What a chunk takes while it is fetched: its shards and its plain bytes.
async fn take_memory(
    reader: &Reader,
    chunk: &ChunkRef,
    hurry: Hurry,
) -> Result<OwnedSemaphorePermit, GetError> {
    let bytes = 2 * plain_len(chunk);
    let memory = match hurry {
        Hurry::Now => {
            let taking = reader.budget.take_first(bytes);
            tokio::time::timeout(MEMORY_WITHIN, taking).await.map_err(|_| GetError::NoMemory)?
        }
        Hurry::Ahead => reader.budget.take(bytes).await,
    };
    memory.ok_or(GetError::Interrupted)
}

/// Holders that are asked together how a chunk is coded.
const ASKED_FOR_CODE: usize = 4;

/// How a chunk is coded, as the first of its holders says that answers. That needs no key.
pub(super) async fn code_of(reader: &Reader, id: ChunkId) -> Result<Redundancy, GetError> {
    let mut again = Again::begin(reader.placement.driver.size());
    loop {
        match ask_for_code(reader, id).await {
            Ok(code) => return Ok(code),
            Err(error) => again.or(error).await?,
        }
    }
}

async fn ask_for_code(reader: &Reader, id: ChunkId) -> Result<Redundancy, GetError> {
    let assumed = Redundancy::ASSUMED;
    let candidates =
        reader.placement.candidates(id, assumed, Freshness::Asked).await.map_err(GetError::Find)?;
    let mut answers =
        stream::iter(candidates).map(|peer| fetch_from(reader, peer, id)).buffer_unordered(ASKED_FOR_CODE);
    let said = async {
        while let Some((_, answer)) = answers.next().await {
            let Ok(Fetched::Shard(shard)) = answer else { continue };
            if let Ok(descriptor) = Descriptor::decode(&shard.descriptor)
                && descriptor.id() == id
            {
                return Ok(descriptor.redundancy());
            }
        }
        Err(GetError::Unavailable { chunks: 1, unreadable: 1, best: 0, k: assumed.k() })
    };
    let timed = tokio::time::timeout(CHUNK_TIMEOUT, said).await;
    timed.unwrap_or(Err(GetError::TimedOut { best: 0, k: assumed.k() }))
}

/// A root's length is not known beforehand.
fn plain_len(chunk: &ChunkRef) -> usize {
    if chunk.plain_len == 0 { chordage_storage::MAX_CHUNK_LEN } else { chunk.plain_len as usize }
}

struct Fetching<'a> {
    reader: &'a Reader,
    chunk: &'a ChunkRef,
    k: u8,
    spares: usize,
    descriptor: Option<Descriptor>,
    /// Shards as they came. Several may claim to be the same one: only their hashes tell which is.
    received: Vec<Received>,
    /// Those that match their hashes.
    good: BTreeMap<u8, Bytes>,
    calls: Calls<'a>,
}

struct Received {
    from: NodeId,
    index: u8,
    payload: Bytes,
}

impl<'a> Fetching<'a> {
    fn new(reader: &'a Reader, chunk: &'a ChunkRef, hurry: Hurry) -> Self {
        Fetching {
            reader,
            chunk,
            k: chunk.redundancy.unwrap_or(Redundancy::ASSUMED).k(),
            spares: if hurry == Hurry::Now { SPARES } else { 0 },
            descriptor: None,
            received: Vec::new(),
            good: BTreeMap::new(),
            calls: Calls { scores: &reader.holders.scores, asking: Asking::default() },
        }
    }

    async fn run(&mut self) -> Result<(Bytes, Redundancy), GetError> {
        // First those we know of; if they do not have enough, those that the overlay finds afresh.
        for freshness in [Freshness::Known, Freshness::Asked] {
            let redundancy = self.chunk.redundancy.unwrap_or(Redundancy::ASSUMED);
            count(&self.reader.totals.lookups, 1);
            let candidates = self
                .reader
                .placement
                .candidates(self.chunk.id, redundancy, freshness)
                .await
                .map_err(GetError::Find)?;
            let likely = self.chunk.redundancy.map_or(LIKELY_OF_ROOT, |r| r.n());
            let candidates = self.reader.holders.scores.order(candidates, likely, Instant::now());
            self.calls.asking.go_on_with(candidates);
            if let Some(found) = self.ask().await? {
                return Ok(found);
            }
        }
        Err(GetError::Unavailable { chunks: 1, unreadable: 1, best: self.best(), k: self.k })
    }

    /// Asks until the chunk is whole (its bytes) or nobody is left to ask (`None`).
    async fn ask(&mut self) -> Result<Option<(Bytes, Redundancy)>, GetError> {
        let reader = self.reader;
        let mut answers = FuturesUnordered::new();
        loop {
            let wanted = usize::from(self.k) + self.spares;
            while let Some(peer) = self.calls.asking.next(wanted, self.best().into()) {
                self.calls.begin(peer.id());
                count(&reader.totals.shards_asked, 1);
                answers.push(fetch_from(reader, peer, self.chunk.id));
            }
            if answers.is_empty() {
                return Ok(None);
            }
            let patience_ends = self.calls.asking.patience_ends();
            tokio::select! {
                Some((peer, result)) = answers.next() => {
                    self.calls.end(peer.id(), &result);
                    self.receive(&peer, result);
                    if self.best() >= self.k && let Some(found) = self.decode().await? {
                        return Ok(Some(found));
                    }
                }
                () = sleep_until(patience_ends.unwrap_or_else(Instant::now)), if patience_ends.is_some() => {
                    count(&reader.totals.late, self.calls.give_up());
                }
            }
        }
    }

    /// Different shards there are, as far as is known.
    fn best(&self) -> u8 {
        let received = self.received.iter().map(|shard| shard.index);
        let indices: ShardSet = self.good.keys().copied().chain(received).collect();
        u8::try_from(indices.len()).unwrap_or(u8::MAX)
    }

    fn receive(&mut self, peer: &Peer, result: Result<Fetched, CallError>) {
        let shard = match result {
            Ok(Fetched::Shard(shard)) => shard,
            Ok(Fetched::NotHeld) => return,
            Ok(Fetched::Damaged) => {
                tracing::warn!(peer = %peer.id(), chunk = %self.chunk.id, "a holder found its shard damaged");
                return;
            }
            Err(error) => {
                tracing::debug!(peer = %peer.id(), chunk = %self.chunk.id, %error, "a holder failed");
                return;
            }
        };
        count(&self.reader.totals.shards, 1);
        count(&self.reader.totals.shard_bytes, shard.payload.len() as u64);
        let known = match &self.descriptor {
            Some(known) => known.encode() == shard.descriptor,
            None => match Descriptor::decode(&shard.descriptor) {
                Ok(descriptor) if descriptor.id() == self.chunk.id => {
                    self.k = descriptor.redundancy().k();
                    self.descriptor = Some(descriptor);
                    true
                }
                _ => false,
            },
        };
        if !known {
            self.lied(peer.id(), "a holder sent a false descriptor");
            return;
        }
        if self.descriptor.as_ref().is_some_and(|d| shard.index < d.redundancy().n()) {
            self.received.push(Received { from: peer.id(), index: shard.index, payload: shard.payload });
        } else {
            self.lied(peer.id(), "a holder sent a shard with a number that the chunk does not have");
        }
    }

    fn lied(&self, liar: NodeId, what: &str) {
        tracing::warn!(peer = %liar, chunk = %self.chunk.id, "{what}");
        count(&self.reader.totals.false_shards, 1);
        self.reader.holders.scores.lied(liar, Instant::now());
    }

    /// Verifies and decodes what is there. `None`: some shards were false and have been thrown away.
    async fn decode(&mut self) -> Result<Option<(Bytes, Redundancy)>, GetError> {
        let Some(descriptor) = self.descriptor.clone() else { return Ok(None) };
        let (received, mut good) = (std::mem::take(&mut self.received), std::mem::take(&mut self.good));
        let (reference, redundancy) = (*self.chunk, descriptor.redundancy());
        let work = move |coder: &mut chordage_storage::Coder| {
            let mut liars = Vec::new();
            for Received { from, index, payload } in received {
                if good.contains_key(&index) {
                    continue;
                }
                match descriptor.verify_shard(index, &payload) {
                    Ok(()) => drop(good.insert(index, payload)),
                    Err(_) => liars.push(from),
                }
            }
            if good.len() < usize::from(redundancy.k()) {
                return (liars, Err(good));
            }
            (liars, Ok(decode_chunk(&reference, &descriptor, good.into_iter().collect(), coder)))
        };
        let (liars, result) = self.reader.coders.run(work).await.ok_or(GetError::Interrupted)?;
        for liar in liars {
            self.lied(liar, "a holder sent a shard that does not match its hash");
        }
        match result {
            Ok(Ok(plain)) => {
                count(&self.reader.totals.chunks, 1);
                Ok(Some((plain, redundancy)))
            }
            Ok(Err(source)) => Err(self.broken(source)),
            Err(good) => {
                self.good = good;
                Ok(None)
            }
        }
    }

    fn broken(&self, source: DecodeError) -> GetError {
        GetError::Decode { chunk: self.chunk.id, source }
    }
}

/// The questions about a chunk, and what they teach about holders. What is open when this is dropped is not waited for.
struct Calls<'a> {
    scores: &'a Scores,
    asking: Asking,
}

impl Calls<'_> {
    fn begin(&mut self, id: NodeId) {
        let now = Instant::now();
        self.scores.asked(id, now);
        self.asking.begin(id, now, self.scores.patience(id));
    }

    fn end(&mut self, id: NodeId, result: &Result<Fetched, CallError>) {
        let now = Instant::now();
        let Some(took) = self.asking.end(id, now) else { return };
        match result {
            Ok(Fetched::Shard(_)) => self.scores.answered(id, took, now),
            Ok(Fetched::NotHeld | Fetched::Damaged) => self.scores.let_go(id, now),
            Err(_) => {
                self.scores.let_go(id, now);
                self.scores.disappointed(id, now);
            }
        }
    }

    /// Counts on those no longer whose time is over. Returns how many that are.
    fn give_up(&mut self) -> u64 {
        let now = Instant::now();
        let late = self.asking.give_up(now);
        late.iter().for_each(|id| self.scores.disappointed(*id, now));
        late.len() as u64
    }
}

impl Drop for Calls<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.asking.open().for_each(|id| self.scores.let_go(id, now));
    }
}

async fn fetch_from(reader: &Reader, peer: Peer, chunk: ChunkId) -> (Peer, Result<Fetched, CallError>) {
    let fetched = reader.holders.fetch(&peer, chunk, ShardSet::default(), limits::SHARD_TO_READ).await;
    (peer, fetched)
}
