//! Asking holders what they keep for this daemon, and keeping what its book does not know of: a book may have been
//! lost, or the data directory may be an older copy.
//!
//! Holders know chunks, and only who can read them knows of which object they are. So what is recovered is kept as one
//! object of its own, until its user has kept the objects again by their links.

use std::collections::BTreeSet;
use std::time::Duration;

use chordage_dht::{NodeId, Peer};
use chordage_storage::lease::RECOVERED;
use chordage_storage::{ChunkId, Writer};
use tokio::time::{Instant, sleep};

use super::Leases;
use super::{Question, Windows, ask_holders};
use crate::clock::wall_clock;
use crate::holders::limits;
use crate::store::Mine;

/// How often it is looked whether somebody is there who was not asked yet.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// After so long all are asked again, if some did not answer: earlier versions do not know the question, and end the
/// stream.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// How long a daemon that has just started may take to be part of its network.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions: the holder has more to do.
const PAUSE: Duration = Duration::from_millis(20);
/// Chunks that are recovered at most.
const RECOVERED_MAX: u64 = 1 << 20;
/// Holders, of this daemon's own choice, that have to show a shard of what is recovered. A single one may have made it
/// up.
const WITNESSES: u8 = 2;

/// Recovers as long as the daemon is there.
pub(super) async fn run(leases: &Leases) {
    let period = Duration::from_secs(leases.keeping.config().renew_seconds.into());
    let mut asked: BTreeSet<NodeId> = BTreeSet::new();
    let mut all_again = Instant::now() + period;
    loop {
        if all_again <= Instant::now() {
            asked.clear();
            all_again = Instant::now() + period;
        }
        while !leases.placement.driver.joined_within(JOIN_PATIENCE).await {
            tracing::debug!("waits for the network in order to ask what it keeps for this daemon");
        }
        let Some(members) = members(leases).await else { return };
        for peer in members.into_iter().filter(|peer| !asked.contains(&peer.id())).collect::<Vec<_>>() {
            asked.insert(peer.id());
            if let Err(error) = recover_from(leases, &peer).await {
                tracing::debug!(peer = %peer.id(), %error, "a holder did not say what it keeps for this daemon");
                all_again = all_again.min(Instant::now() + TRY_AGAIN);
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Everybody whom this daemon knows, itself included. `None` once it has stopped.
async fn members(leases: &Leases) -> Option<Vec<Peer>> {
    let view = leases.placement.driver.view().await?;
    let mut members = vec![view.local];
    members.extend(view.listed.iter().map(|member| member.peer.clone()));
    members.extend(view.leaf_set.iter().map(|finger| finger.peer.clone()));
    members.sort_by_key(|peer| peer.id());
    members.dedup_by_key(|peer| peer.id());
    Some(members)
}

/// Goes through all that a holder keeps for this daemon.
async fn recover_from(leases: &Leases, peer: &Peer) -> std::io::Result<()> {
    let keeping = &leases.keeping;
    let writer: Writer = keeping.writer();
    let mut after = None;
    loop {
        let (kept, next) = leases.holders.kept_for(peer, writer, after, limits::CLAIMS).await?;
        if let Some(highest) = kept.iter().map(|mine| mine.said).max() {
            keeping.raise_said(highest).await?;
        }
        take_in(leases, kept).await?;
        let Some(next) = next else { return Ok(()) };
        after = Some(next);
        sleep(PAUSE).await;
    }
}

/// Keeps those of some chunks that no object in the book has, kept or forgotten, and that others hold too.
async fn take_in(leases: &Leases, kept: Vec<Mine>) -> std::io::Result<()> {
    let keeping = &leases.keeping;
    // What is claimed for no longer than a put takes is of one that is under way, or broke off.
    let unfinished = keeping.config().unfinished();
    let finished = kept.into_iter().filter(|mine| mine.lease_seconds > unfinished && mine.n > 0);
    let finished: Vec<(ChunkId, u8)> = finished.map(|mine| (mine.chunk, mine.n)).collect();
    let asked: Vec<ChunkId> = finished.iter().map(|(chunk, _)| *chunk).collect();
    // In this order: what a put relied on is in the book when it does not any more.
    let relied_on = keeping.relied_on(asked.iter().copied());
    let unknown = keeping.book(move |book| book.unknown(&asked)).await?;
    let mut lost = finished;
    lost.retain(|(chunk, _)| unknown.contains(chunk) && !relied_on.contains(chunk));
    let recovered = keeping.book(|book| book.get(RECOVERED)).await?.map_or(0, |object| object.chunks);
    lost.truncate(usize::try_from(RECOVERED_MAX.saturating_sub(recovered)).unwrap_or(usize::MAX));
    if lost.is_empty() {
        return Ok(());
    }
    let nobody = || std::io::Error::other("nobody could be asked whether it is there");
    let mut windows = Windows::new(leases).await.ok_or_else(nobody)?;
    let windows = windows.of(&lost).await.ok_or_else(nobody)?;
    let shown = ask_holders(&leases.holders, windows, Question::Has).await;
    lost.retain(|(chunk, n)| shown.get(chunk).is_some_and(|shards| *shards >= WITNESSES.min(*n)));
    if lost.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        chunks = lost.len(),
        "holders keep chunks for this daemon that are of no object in its book, which may have been lost or be an older \
         copy: they are kept on; keep their objects again by their links, or forget what was recovered (chordage keeps)"
    );
    keeping.book(move |book| book.recover(wall_clock(), &lost)).await
}
