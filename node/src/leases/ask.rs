//! Asking the holders of many chunks at once: one question per holder (and per 1,024 chunks), not one per chunk.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use chordage_dht::Peer;
use chordage_storage::lease::{Claim, Rejected};
use chordage_storage::{ChunkId, Redundancy, ShardSet};
use futures::StreamExt;
use tokio::time::timeout;

use super::Leases;
use crate::holders::{ByPeer, Holders, limits};
use crate::placement::{Arcs, Placement};
use crate::shards::Refusal;

/// How long the others are waited for, where enough have answered and somebody waits.
const MOMENT: Duration = Duration::from_millis(500);
/// A lease that every holder grants: earlier versions granted 90 days at the most, and asked for so many.
const GRANTED_BY_ALL: u32 = 30 * 24 * 60 * 60;

/// A chunk, its n, and the nodes that may hold it, in rendezvous order.
pub(crate) type Window = (ChunkId, u8, Vec<Peer>);

/// What to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// Which shards are held?
    Has,
    /// Keep what is held of them; which shards are that? `soon`: somebody waits, so that once there are as many shards
    /// of each chunk as a put waits for, nobody is waited for longer than a moment.
    Claim { claim: Claim, said: u64, soon: bool },
}

/// What was found of one chunk.
#[derive(Default)]
struct Found {
    indices: BTreeSet<u8>,
    holders: u8,
}

impl Found {
    /// Shards on holders of their own.
    fn shards(&self) -> u8 {
        u8::try_from(self.indices.len()).unwrap_or(u8::MAX).min(self.holders)
    }
}

/// Finds windows of chunks that come in the order of their addresses.
pub(crate) struct Windows<'a> {
    placement: &'a Placement,
    arcs: Arcs,
}

impl<'a> Windows<'a> {
    /// `None` once the daemon has stopped.
    pub(crate) async fn new(leases: &'a Leases) -> Option<Self> {
        let placement = &leases.placement;
        Some(Windows { placement, arcs: placement.arcs().await? })
    }

    /// Those of some chunks with their n; `None` if nobody is found.
    pub(crate) async fn of(&mut self, chunks: &[(ChunkId, u8)]) -> Option<Vec<Window>> {
        let mut windows = Vec::with_capacity(chunks.len());
        for (chunk, n) in chunks {
            // Another k changes no more than who is asked first where there are zones.
            let code = likely_code(*n)?;
            windows.push((*chunk, *n, self.arcs.window(self.placement, *chunk, code).await?));
        }
        Some(windows)
    }
}

/// Asks first those who should hold the chunks, then, about what is not complete, the others in the window. How many
/// holders have a shard of their own of each chunk.
pub(crate) async fn ask_holders(
    holders: &Holders,
    windows: Vec<Window>,
    question: Question,
) -> BTreeMap<ChunkId, u8> {
    let mut found: BTreeMap<ChunkId, Found> =
        windows.iter().map(|(chunk, _, _)| (*chunk, Found::default())).collect();
    for first in [true, false] {
        let mut questions = ByPeer::default();
        for (chunk, n, window) in &windows {
            let split = window.len().min(usize::from(*n));
            let (nearest, others) = window.split_at(split);
            let complete = found.get(chunk).is_some_and(|found| found.shards() >= *n);
            for peer in if first { nearest } else { others } {
                if !complete {
                    questions.add(peer, *chunk);
                }
            }
        }
        if questions.is_empty() {
            break;
        }
        let mut answers = pin!(questions.ask(|(peer, chunks)| async move {
            let held = ask_one(holders, &peer, &chunks, question).await;
            (chunks, held)
        }));
        loop {
            let soon = matches!(question, Question::Claim { soon: true, .. })
                && windows
                    .iter()
                    .all(|(chunk, n, _)| found.get(chunk).is_some_and(|it| it.shards() >= enough(*n)));
            let answer = match soon {
                true => timeout(MOMENT, answers.next()).await.unwrap_or(None),
                false => answers.next().await,
            };
            let Some((chunks, held)) = answer else { break };
            for (chunk, set) in chunks.iter().zip(held) {
                let mut indices = set.iter().peekable();
                if let (Some(found), true) = (found.get_mut(chunk), indices.peek().is_some()) {
                    found.holders = found.holders.saturating_add(1);
                    found.indices.extend(indices);
                }
            }
        }
    }
    found.into_iter().map(|(chunk, found)| (chunk, found.shards())).collect()
}

/// The code that a put chooses by itself with so many shards: the book knows n only. `None` if there is none with that
/// many.
fn likely_code(n: u8) -> Option<Redundancy> {
    Redundancy::new(n.saturating_mul(2).div_ceil(5).max(1), n).ok()
}

/// As many shards as a put waits for.
pub(super) fn enough(n: u8) -> u8 {
    likely_code(n).map_or(n, Redundancy::write_quorum)
}

/// What one node answers; nothing when it is silent or refuses.
async fn ask_one(holders: &Holders, peer: &Peer, chunks: &[ChunkId], question: Question) -> Vec<ShardSet> {
    let (claim, said) = match question {
        Question::Has => return holders.held(peer, chunks, limits::HELD_FOR_PUT).await,
        Question::Claim { claim, said, .. } => (claim, said),
    };
    let mut granted = holders.claim(peer, claim, said, chunks, limits::CLAIMS).await;
    if let Ok(Err(Refusal::Claim(Rejected::LeaseTooLong))) = granted
        && claim.lease_seconds > GRANTED_BY_ALL
    {
        let shorter = Claim { lease_seconds: GRANTED_BY_ALL, ..claim };
        granted = holders.claim(peer, shorter, said, chunks, limits::CLAIMS).await;
    }
    match granted {
        Ok(Ok(held)) => held,
        Ok(Err(refusal)) => {
            tracing::debug!(peer = %peer.id(), %refusal, "a holder refused to keep chunks");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}
