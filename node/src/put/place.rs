//! Placing one chunk: each shard on a node of its own, durable there before it counts.

use std::collections::BTreeSet;
use std::time::Duration;

use chordage_dht::Peer;
use chordage_storage::{ChunkId, EncodedChunk, Redundancy, ShardSet};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use super::{PutError, Putter};
use crate::awake;
use crate::holders::{Handing, limits};
use crate::leases::{Leases, Promise};
use crate::placement::{Freshness, spread};
use crate::shards::{CallError, Refusal};
use crate::store::Parcel;

/// How long placing a chunk may take in all.
const PLACE_TIMEOUT: Duration = Duration::from_secs(45);

/// What became of one chunk, or (added up) of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) chunks: u64,
    pub(crate) new_chunks: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) acks_min: u8,
}

impl Placed {
    pub(crate) fn none() -> Self {
        Placed { chunks: 0, new_chunks: 0, stored_bytes: 0, sent_bytes: 0, acks_min: u8::MAX }
    }

    pub(crate) fn add(&mut self, other: Placed) {
        self.chunks += other.chunks;
        self.new_chunks += other.new_chunks;
        self.stored_bytes += other.stored_bytes;
        self.sent_bytes += other.sent_bytes;
        self.acks_min = self.acks_min.min(other.acks_min);
    }
}

/// Places `chunk`, which `promise` relies on; `ask_first` about shards that its holders may have. Succeeds with at
/// least a write quorum of acknowledgements, or, if `allow_degraded`, with enough to read it.
pub(super) async fn place(
    putter: &Putter,
    chunk: EncodedChunk,
    promise: &Promise,
    allow_degraded: bool,
    ask_first: bool,
) -> Result<Placed, PutError> {
    let deadline = Deadline::after(PLACE_TIMEOUT);
    let redundancy = chunk.descriptor.redundancy();
    let (id, n) = (chunk.reference.id, redundancy.n());
    let needed = if allow_degraded { redundancy.k() } else { redundancy.write_quorum() };
    let descriptor = chunk.descriptor.encode();
    let shard_len = chunk.descriptor.shard_len() as u64;

    let (held, free) = find(putter, id, redundancy, promise, ask_first).await?;
    let mut acked: BTreeSet<u8> = held.iter().collect();
    let found = acked.len();
    let mut handing = Handing::new((0..n).filter(|index| !held.contains(*index)), free);
    let (mut sent_bytes, mut refusal) = (0, None);
    let mut sending = FuturesUnordered::new();
    loop {
        while let Some((index, peer)) = handing.next() {
            let Some(payload) = chunk.shards.get(usize::from(index)).cloned() else { break };
            let (descriptor, asked) = (descriptor.clone(), promise.asked());
            let parcel = Parcel { chunk: id, index, descriptor, payload, asked };
            sending.push(send(putter, peer, parcel, deadline));
        }
        match sending.next().await {
            Some((index, _, Ok(already))) => {
                acked.insert(index);
                sent_bytes += if already { 0 } else { shard_len };
            }
            Some((index, _, Err(Some(reason)))) => {
                refusal = refusal.or(Some(reason));
                handing.refused(index);
            }
            Some((index, peer, Err(None))) => handing.unanswered(index, peer),
            None if acked.len() < needed.into() && handing.once_more() => {}
            None => break,
        }
    }

    let acks = u8::try_from(acked.len()).unwrap_or(u8::MAX);
    if acks < needed {
        return Err(PutError::NotDurable { acks, needed, n, refusal });
    }
    promise.is_claimed(id);
    Ok(Placed {
        chunks: 1,
        new_chunks: u64::from(acked.len() > found),
        stored_bytes: u64::from(acks) * shard_len,
        sent_bytes,
        acks_min: acks,
    })
}

/// Which shards of a chunk holders have already, each on one of its own, and keep from now on; and who is free to take
/// another, in the order in which to ask.
async fn find(
    putter: &Putter,
    chunk: ChunkId,
    redundancy: Redundancy,
    promise: &Promise,
    ask_first: bool,
) -> Result<(ShardSet, Vec<Peer>), PutError> {
    let mut nearest = putter.leases.placement.candidates(chunk, redundancy, Freshness::Known).await?;
    let others = nearest.split_off(nearest.len().min(redundancy.n().into()));
    // Whoever holds a shard of this chunk is asked to keep it: equal data is not sent again.
    let asked = if ask_first {
        ask(putter, chunk, promise, nearest).await
    } else {
        nearest.into_iter().map(|peer| (peer, ShardSet::default())).collect()
    };
    let mut held = ShardSet::default();
    let (mut holders, mut free) = (Vec::new(), Vec::new());
    for (peer, set) in asked {
        match set.iter().find(|index| *index < redundancy.n() && !held.contains(*index)) {
            Some(index) => {
                held.insert(index);
                holders.push(peer);
            }
            None => free.push(peer),
        }
    }
    free.extend(others);
    // What lies in a failure domain already counts for it.
    let free = if holders.is_empty() { free } else { spread(redundancy).beside(&holders, free) };
    Ok((held, free))
}

/// Asks `peers` to keep the shards of `chunk` that they hold, all at once; which those are. Keeps their order; the
/// unreachable are last, so that they are tried only when nobody else is left.
async fn ask(putter: &Putter, chunk: ChunkId, promise: &Promise, peers: Vec<Peer>) -> Vec<(Peer, ShardSet)> {
    let (claim, said) = promise.claim();
    let holders = &putter.leases.holders;
    let asked = peers.into_iter().map(|peer| async move {
        let held = holders.claim(&peer, claim, said, &[chunk], limits::HELD_FOR_PUT).await;
        let held = held.ok().and_then(Result::ok);
        (peer, held.and_then(|sets| sets.first().copied()))
    });
    let answers = futures::future::join_all(asked).await;
    let (reached, silent): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, held)| held.is_some());
    reached.into_iter().chain(silent).map(|(peer, held)| (peer, held.unwrap_or_default())).collect()
}

/// Gives one shard to one holder. The error carries its reason, if it gave one.
async fn send(
    putter: &Putter,
    peer: Peer,
    parcel: Parcel,
    deadline: Deadline,
) -> (u8, Peer, Result<bool, Option<Refusal>>) {
    let index = parcel.index;
    // What this daemon writes itself is no wait for others.
    let _wait = (!putter.leases.placement.is_local(&peer)).then(|| putter.waits.begin(peer.id()));
    let result = match give(putter, &peer, parcel, deadline).await {
        Ok(Ok(already)) => Ok(already),
        Ok(Err(refusal)) => Err(Some(refusal)),
        Err(error) => {
            tracing::debug!(peer = %peer.id(), %error, "a holder did not take a shard");
            Err(None)
        }
    };
    (index, peer, result)
}

/// Sends it again when this daemon slept meanwhile: the peer has given up on a connection of which nothing came.
async fn give(
    putter: &Putter,
    peer: &Peer,
    parcel: Parcel,
    deadline: Deadline,
) -> Result<Result<bool, Refusal>, CallError> {
    loop {
        let slept = awake::slept().times;
        let within = deadline.left().min(limits::SHARD_OF_PUT);
        let Leases { holders, keeping, .. } = &*putter.leases;
        match holders.give(peer, keeping.writer(), parcel.clone(), within).await {
            Err(_) if awake::slept().times > slept => {}
            outcome => return outcome,
        }
    }
}

/// An end that a sleep of this daemon puts off.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    slept: Duration,
}

impl Deadline {
    fn after(limit: Duration) -> Self {
        Deadline { at: Instant::now() + limit, slept: awake::slept().counted }
    }

    fn left(self) -> Duration {
        (self.at + (awake::slept().counted - self.slept)).saturating_duration_since(Instant::now())
    }
}
