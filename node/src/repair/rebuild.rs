//! One repair: look again, fetch k shards, make all that is missing from one decoding, give each to a node of its own.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use chordage_dht::Peer;
use chordage_storage::lease::ORPHAN;
use chordage_storage::repair::{Answer, ChunkRecord, Job, Moment};
use chordage_storage::{ChunkId, Descriptor, RebuildError, Redundancy, ShardSet, rebuild_shards};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use super::choice::{self, Candidate, heard, holding};
use super::inherit::inherited;
use super::short::holder;
use super::survey::Questions;
use super::{Inner, now};
use crate::coding::FETCH_MAX;
use crate::holders::{Handing, limits};
use crate::placement::Freshness;
use crate::shards::{Fetched, ReceivedShard};
use crate::store::Parcel;

/// Shards that are made at once take at most so much memory; the rest is made by the next job.
const MADE_BYTES_MAX: usize = 32 << 20;

/// What a repair did.
pub(super) struct Rebuilt {
    pub(super) shards: u8,
    pub(super) fetched: u64,
    pub(super) sent: u64,
    /// The least that had to move: k shards in, less those held here, and the made ones out.
    pub(super) needed: u64,
}

/// Why nothing was repaired. Nothing is worse than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(super) enum Unrepaired {
    /// Somebody else did it, or the shards are back.
    #[error("nothing is missing any more")]
    NotNeeded,
    /// The overlay names nobody.
    #[error("nobody near the chunk is known")]
    NobodyToAsk,
    /// Fewer than k good shards came.
    #[error("fewer than the needed shards came")]
    TooFewShards,
    /// Every node near the chunk has a shard that no other has, or took none.
    #[error("no node took a shard")]
    NoPlace,
    /// The stripe was made wrong by its writer: no repair will ever do.
    #[error("the shards do not belong together")]
    Inconsistent,
    /// The daemon ends.
    #[error("the daemon ends")]
    Interrupted,
}

/// The bytes that a failed repair fetched come with its reason.
pub(super) async fn rebuild(inner: &Inner, job: &Job) -> Result<Rebuilt, (Unrepaired, u64)> {
    let chunk = job.chunk;
    let unmoved = |reason| (reason, 0);
    let mut record = match inner.ledger(move |ledger| ledger.get(&chunk)).await {
        Some(record) => record,
        None => return Err(unmoved(Unrepaired::Interrupted)),
    };
    let redundancy = record.as_ref().map_or(Redundancy::ASSUMED, ChunkRecord::redundancy);
    let candidates = inner
        .placement
        .candidates(chunk, redundancy, Freshness::Known)
        .await
        .map_err(|_| unmoved(Unrepaired::NobodyToAsk))?;
    let mut answers = ask(inner, chunk, &candidates).await;

    // Looking again also keeps those that acted on the same news from doing it twice.
    let now = now();
    let wanted = choice::wanted(job.damaged, record.as_mut(), &answers, now, &inner.patience);
    let free = free_to_take(inner, chunk, redundancy, candidates, &answers, now);
    if wanted.is_empty() {
        save(inner, chunk, record).await;
        return Err(unmoved(Unrepaired::NotNeeded));
    }
    if free.is_empty() {
        save(inner, chunk, record).await;
        return Err(unmoved(Unrepaired::NoPlace));
    }

    let sources: VecDeque<Peer> = holding(&answers).into();
    // New holders have to know for whom they keep it, and for how long.
    let Some(asked) = inherited(inner, chunk, sources.iter()).await else {
        save(inner, chunk, record).await;
        return Err(unmoved(Unrepaired::NotNeeded));
    };
    let gathered = gather(inner, chunk, record.as_ref().map(|record| record.redundancy().k()), sources).await;
    let Gathered { descriptor, shards, fetched, _memory } = gathered?;
    let redundancy = descriptor.redundancy();
    let shard_len = descriptor.shard_len();
    let most = (MADE_BYTES_MAX / shard_len.max(1)).max(1).min(free.len());
    let wanted: Vec<u8> = wanted.into_iter().filter(|index| *index < redundancy.n()).take(most).collect();
    let local = shards.iter().filter(|shard| shard.local).count();
    let encoded = descriptor.encode();
    let made = make(inner, descriptor, shards, wanted).await.map_err(|reason| (reason, fetched))?;
    let parcels = made.into_iter().map(|(index, payload)| {
        let (descriptor, asked) = (encoded.clone(), asked.clone());
        Parcel { chunk, index, descriptor, payload, asked }
    });
    let placed = place(inner, parcels, free).await;
    let sent_out = placed.iter().filter(|(_, peer)| !inner.placement.is_local(peer)).count();
    for (index, peer) in &placed {
        for (_, answer) in answers.iter_mut().filter(|(other, _)| other.id() == peer.id()) {
            answer.held.get_or_insert_default().insert(*index);
        }
    }
    let mut record = record
        .unwrap_or_else(|| ChunkRecord::new(redundancy, u32::try_from(shard_len).unwrap_or(u32::MAX), now));
    record.observe(now, &heard(&answers), |_| None);
    save(inner, chunk, Some(record)).await;
    if placed.is_empty() {
        return Err((Unrepaired::NoPlace, fetched));
    }
    let needed = (usize::from(redundancy.k()).saturating_sub(local) + sent_out) * shard_len;
    Ok(Rebuilt {
        shards: u8::try_from(placed.len()).unwrap_or(u8::MAX),
        fetched,
        sent: (sent_out * shard_len) as u64,
        needed: needed as u64,
    })
}

/// Who can take a shard and is trusted with one, in the order in which to ask.
pub(super) fn free_to_take(
    inner: &Inner,
    chunk: ChunkId,
    redundancy: Redundancy,
    candidates: Vec<Peer>,
    answers: &[(Peer, Answer)],
    now: Moment,
) -> Vec<Peer> {
    let state = inner.state();
    let candidates = candidates.into_iter().map(|peer| Candidate {
        trusted: state.standings.may_take(holder(&peer), chunk, now),
        local: inner.placement.is_local(&peer),
        peer,
    });
    choice::free_to_take(redundancy, candidates, answers)
}

/// Makes shards out of others.
async fn make(
    inner: &Inner,
    descriptor: Descriptor,
    shards: Vec<Shard>,
    wanted: Vec<u8>,
) -> Result<Vec<(u8, Bytes)>, Unrepaired> {
    let shards: Vec<(u8, Bytes)> = shards.into_iter().map(|shard| (shard.index, shard.payload)).collect();
    let work =
        move |coder: &mut chordage_storage::Coder| rebuild_shards(&descriptor, &shards, &wanted, coder);
    let made = inner.coders.run(work).await.ok_or(Unrepaired::Interrupted)?;
    made.map_err(|error| match error {
        RebuildError::Inconsistent { .. } => Unrepaired::Inconsistent,
        RebuildError::Shards(_) => Unrepaired::TooFewShards,
    })
}

async fn ask(inner: &Inner, chunk: ChunkId, candidates: &[Peer]) -> Vec<(Peer, Answer)> {
    let mut questions = Questions::default();
    candidates.iter().for_each(|peer| questions.add(peer, chunk));
    questions.ask(inner).await.remove(&chunk).unwrap_or_default()
}

async fn save(inner: &Inner, chunk: ChunkId, record: Option<ChunkRecord>) {
    // Only what is held is kept account of; what was forgotten here is learnt again by the next round.
    if let Some(record) = record {
        inner.ledger(move |ledger| ledger.write([(&chunk, Some(&record))])).await;
    }
}

struct Shard {
    index: u8,
    payload: Bytes,
    local: bool,
}

struct Gathered {
    descriptor: Descriptor,
    shards: Vec<Shard>,
    fetched: u64,
    /// What transfers may have in memory counts these shards too, as long as they are there.
    _memory: tokio::sync::OwnedSemaphorePermit,
}

/// Fetches k good shards, those on this disk first.
async fn gather(
    inner: &Inner,
    chunk: ChunkId,
    k: Option<u8>,
    mut sources: VecDeque<Peer>,
) -> Result<Gathered, (Unrepaired, u64)> {
    let memory = inner.budget.take(FETCH_MAX).await.ok_or((Unrepaired::Interrupted, 0))?;
    // Its own shards first, and those of liars last.
    let scores = &inner.holders.scores;
    let last = |peer: &Peer| (!inner.placement.is_local(peer), scores.is_liar(peer.id(), Instant::now()));
    sources.make_contiguous().sort_by_key(last);
    let mut k = usize::from(k.unwrap_or(1));
    let mut descriptor: Option<Descriptor> = None;
    let mut shards: BTreeMap<u8, Shard> = BTreeMap::new();
    let mut fetched = 0;
    let mut fetching = FuturesUnordered::new();
    loop {
        while fetching.len() + shards.len() < k {
            let Some(peer) = sources.pop_front() else { break };
            let skip: ShardSet = shards.keys().copied().collect();
            fetching.push(fetch(inner, chunk, peer, skip));
        }
        let Some((peer, got)) = fetching.next().await else {
            return Err((Unrepaired::TooFewShards, fetched));
        };
        let Some(ReceivedShard { index, descriptor: encoded, payload }) = got else { continue };
        let local = inner.placement.is_local(&peer);
        if !local {
            fetched += payload.len() as u64;
        }
        let lied = |what: &str| {
            tracing::warn!(peer = %peer.id(), %chunk, index, "{what}");
            inner.holders.scores.lied(peer.id(), Instant::now());
        };
        if descriptor.is_none() {
            descriptor = Descriptor::decode(&encoded).ok().filter(|descriptor| descriptor.id() == chunk);
        }
        let Some(known) = descriptor.clone() else {
            lied("a holder sent a false descriptor");
            continue;
        };
        k = known.redundancy().k().into();
        let checked = {
            let (known, payload) = (known.clone(), payload.clone());
            inner.coders.run(move |_| known.verify_shard(index, &payload).is_ok()).await
        };
        match checked {
            Some(true) => drop(shards.entry(index).or_insert(Shard { index, payload, local })),
            Some(false) => lied("a holder sent a shard that does not match its hash"),
            None => return Err((Unrepaired::Interrupted, fetched)),
        }
        if shards.len() >= k {
            let shards = shards.into_values().collect();
            return Ok(Gathered { descriptor: known, shards, fetched, _memory: memory });
        }
    }
}

/// One shard of a holder; none of it is verified.
async fn fetch(inner: &Inner, chunk: ChunkId, peer: Peer, skip: ShardSet) -> (Peer, Option<ReceivedShard>) {
    let fetched = inner.holders.fetch(&peer, chunk, skip, limits::SHARD_TO_REPAIR).await;
    let shard = match fetched {
        Ok(Fetched::Shard(shard)) => Some(shard),
        Ok(Fetched::NotHeld | Fetched::Damaged) | Err(_) => None,
    };
    (peer, shard)
}

/// Gives each shard to a node that is free for one; who does not take one is passed over.
async fn place(inner: &Inner, made: impl Iterator<Item = Parcel>, free: Vec<Peer>) -> Vec<(u8, Peer)> {
    let parcels: BTreeMap<u8, Parcel> = made.map(|parcel| (parcel.index, parcel)).collect();
    let mut handing = Handing::new(parcels.keys().copied(), free);
    let mut placing = FuturesUnordered::new();
    let mut placed = Vec::new();
    loop {
        while let Some((index, peer)) = handing.next() {
            placing.extend(parcels.get(&index).map(|parcel| give(inner, parcel.clone(), peer)));
        }
        match placing.next().await {
            Some((index, peer, true)) => placed.push((index, peer)),
            Some((index, _, false)) => handing.refused(index),
            None => return placed,
        }
    }
}

async fn give(inner: &Inner, parcel: Parcel, peer: Peer) -> (u8, Peer, bool) {
    let Parcel { chunk, index, .. } = parcel;
    // Even of this daemon's own claims it is hearsay that they still stand.
    let given = inner.holders.give(&peer, ORPHAN, parcel, limits::SHARD_OF_REPAIR).await;
    let taken = matches!(given, Ok(Ok(_)));
    if !taken {
        tracing::debug!(peer = %peer.id(), holder = ?holder(&peer), %chunk, index, "a node took no shard");
    }
    (index, peer, taken)
}
