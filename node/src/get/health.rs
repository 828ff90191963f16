//! Asking who holds what right now, for a whole object at once.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use chordage_api::types::{Health, HolderCount};
use chordage_dht::NodeId;
use chordage_storage::{ChunkId, ChunkRef, Redundancy};
use futures::stream::StreamExt;

use super::{GetError, Reader};
use crate::address::api_id;
use crate::holders::{ByPeer, limits};
use crate::placement::Freshness;
use crate::store::CHUNKS_MAX;

/// Chunks asked for in one round, which bounds memory for objects of any size.
const ROUND: usize = CHUNKS_MAX;

/// The error that says what is missing, if anything is.
pub(super) fn shortage(health: &Health) -> Option<GetError> {
    (health.unreadable > 0).then_some(GetError::Unavailable {
        chunks: health.chunks,
        unreadable: health.unreadable,
        best: health.best_unreadable,
        k: health.k_unreadable,
    })
}

/// What was found of one chunk.
#[derive(Default)]
struct Found {
    indices: BTreeSet<u8>,
    holders: BTreeSet<NodeId>,
}

/// Asks the candidates of every one of `chunks` what they hold. `None` if the overlay cannot be asked.
pub(crate) async fn survey(reader: &Reader, chunks: &[ChunkRef]) -> Option<Health> {
    let mut health = Health { shards_min: u8::MAX, ..Health::default() };
    let mut holders = BTreeMap::<NodeId, u64>::new();
    for round in chunks.chunks(ROUND) {
        let mut asked = ByPeer::default();
        for chunk in round {
            let redundancy = chunk.redundancy.unwrap_or(Redundancy::ASSUMED);
            for peer in reader.placement.candidates(chunk.id, redundancy, Freshness::Known).await.ok()? {
                asked.add(&peer, chunk.id);
            }
        }
        let mut answers = pin!(asked.ask(|(peer, chunks)| async move {
            let held = reader.holders.held(&peer, &chunks, limits::HELD_FOR_USER).await;
            (peer.id(), chunks, held)
        }));
        let mut found = BTreeMap::<ChunkId, Found>::new();
        while let Some((peer, chunks, held)) = answers.next().await {
            for (chunk, set) in chunks.into_iter().zip(held) {
                let shards = set.iter().count() as u64;
                if shards > 0 {
                    *holders.entry(peer).or_default() += shards;
                    let found = found.entry(chunk).or_default();
                    found.indices.extend(set.iter());
                    found.holders.insert(peer);
                }
            }
        }
        for chunk in round {
            let found = found.remove(&chunk.id).unwrap_or_default();
            let live = u8::try_from(found.indices.len()).unwrap_or(u8::MAX);
            if live < health.shards_min {
                health.weakest_holders = found.holders.iter().copied().map(api_id).collect();
            }
            count(&mut health, chunk, live);
        }
    }
    health.holders = holders.into_iter().map(|(id, shards)| HolderCount { id: api_id(id), shards }).collect();
    Some(health)
}

fn count(health: &mut Health, chunk: &ChunkRef, live: u8) {
    let (k, n) = chunk.redundancy.map_or((1, 1), |r| (r.k(), r.n()));
    health.chunks += 1;
    health.shards_min = health.shards_min.min(live);
    if live < k {
        health.unreadable += 1;
        if live >= health.best_unreadable {
            health.best_unreadable = live;
            health.k_unreadable = k;
        }
    } else if live < n {
        health.degraded += 1;
    } else {
        health.full += 1;
    }
}
