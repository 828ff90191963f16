//! Asking the holders of what was finished to keep it for a whole lease: until then they keep it for as long as a put
//! takes that may never be finished.
//!
//! The book knows what is not confirmed yet, so that it is asked for again after a failure and after a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use chordage_storage::ChunkId;
use chordage_storage::lease::{Claim, KeptState};
use tokio::time::sleep;

use super::Leases;
use super::ask::enough;
use super::renewal::left;
use super::{Keeping, Question, Windows, ask_holders};
use crate::clock::wall_clock;
use crate::store::CHUNKS_MAX;

/// After a failure; twice as long after each further one, up to a quarter of the time that is left.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How long a daemon that has just started may take to be part of its network.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// Objects that are looked at together.
const PAGE: usize = 256;

/// Asks the holders of chunks (each with its n) to keep what they hold; how many holders do of each chunk. `None` if
/// nobody could be found. `soon`: somebody waits for it.
pub(super) async fn claim(
    leases: &Leases,
    claim: Claim,
    chunks: &[(ChunkId, u8)],
    soon: bool,
) -> Option<BTreeMap<ChunkId, u8>> {
    let mut held = BTreeMap::new();
    for some in chunks.chunks(CHUNKS_MAX) {
        let said = leases.keeping.said();
        let question = Question::Claim { claim, said, soon };
        let windows = Windows::new(leases).await?.of(some).await?;
        held.extend(ask_holders(&leases.holders, windows, question).await);
    }
    Some(held)
}

/// Asks for a whole lease on all chunks (each with its n) of an object that was just entered into the book; how many
/// shards its holders keep of each. Who does not answer soon is asked in the background.
pub(super) async fn confirm(
    leases: &Leases,
    root: ChunkId,
    retain_seconds: u32,
    chunks: &[(ChunkId, u8)],
) -> Option<BTreeMap<ChunkId, u8>> {
    let held = claim(leases, leases.keeping.claim(retain_seconds), chunks, true).await;
    let all = |held: &BTreeMap<ChunkId, u8>| {
        chunks.iter().all(|(chunk, n)| held.get(chunk).is_some_and(|held| held >= n))
    };
    if held.as_ref().is_some_and(all) {
        // Nobody has to wait for it: what a crash takes of it is only asked for once more.
        let keeping = leases.keeping.clone();
        tokio::spawn(async move {
            if note(&keeping, root).await.is_err() {
                keeping.to_confirm().notify_one();
            }
        });
    } else {
        leases.keeping.to_confirm().notify_one();
    }
    held
}

/// Confirms what is not confirmed yet, for ever.
pub(super) async fn run(leases: &Leases) {
    let longest = Duration::from_secs(leases.keeping.config().unfinished().into()) / 4;
    let mut wait = TRY_AGAIN;
    loop {
        let done = pass(leases).await;
        if let Err(error) = &done {
            tracing::warn!(%error, "the book does not say what holders have to be asked for");
        }
        if done.is_ok_and(|all| all) {
            wait = TRY_AGAIN;
            leases.keeping.to_confirm().notified().await;
        } else {
            sleep(wait.min(longest)).await;
            wait = (wait * 2).min(longest.max(TRY_AGAIN));
        }
    }
}

/// Goes through what is not confirmed once; whether nothing is left.
async fn pass(leases: &Leases) -> std::io::Result<bool> {
    let keeping = &leases.keeping;
    let (mut after, mut all) = (None, true);
    loop {
        let page = keeping.book(move |book| book.unconfirmed(after, PAGE)).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(*last);
        for root in page {
            while !leases.placement.driver.joined_within(JOIN_PATIENCE).await {
                tracing::debug!("waits for the network in order to have what was put kept for a whole lease");
            }
            if object_is_claimed(leases, root).await? {
                note(keeping, root).await?;
            } else {
                all = false;
                tracing::debug!(%root, "too few holders answered that they keep an object for a whole lease");
            }
        }
    }
}

async fn object_is_claimed(leases: &Leases, root: ChunkId) -> std::io::Result<bool> {
    let keeping = &leases.keeping;
    let Some(kept) = keeping.get(root).await?.filter(|kept| kept.state == KeptState::Kept) else {
        // It was forgotten meanwhile.
        return Ok(true);
    };
    let (mut after, mut all) = (None, true);
    loop {
        let listed = keeping.book(move |book| book.chunks_of(root, after, CHUNKS_MAX)).await?;
        let Some(last) = listed.last() else { return Ok(all) };
        after = Some(last.chunk);
        let chunks: Vec<(ChunkId, u8)> = listed.iter().map(|part| (part.chunk, part.n)).collect();
        let retain_seconds = left(kept.retained_until, wall_clock());
        all &= is_claimed(leases, retain_seconds, &chunks).await;
    }
}

/// Asks for a whole lease; whether enough holders of each chunk gave it.
async fn is_claimed(leases: &Leases, retain_seconds: u32, chunks: &[(ChunkId, u8)]) -> bool {
    let asked = leases.keeping.claim(retain_seconds);
    let Some(held) = claim(leases, asked, chunks, false).await else { return false };
    chunks.iter().all(|(chunk, n)| held.get(chunk).is_some_and(|held| *held >= enough(*n)))
}

async fn note(keeping: &Keeping, root: ChunkId) -> std::io::Result<()> {
    keeping.book(move |book| book.confirmed(root)).await
}
