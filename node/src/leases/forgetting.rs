//! Dropping the chunks of what is forgotten, as far as nothing else that is kept needs them. It goes on after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chordage_dht::{NodeId, Peer};
use chordage_storage::ChunkId;
use chordage_storage::lease::{ForgottenChunk, KeptState};
use futures::stream::{self, StreamExt};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Windows;
use crate::shards::HAS_MAX;
use crate::transfer::Transfer;

/// Holders that are told at a time.
const PARALLEL: usize = 16;
/// How long one may take. Who is silent frees when the claim ends.
const TIMEOUT: Duration = Duration::from_secs(10);
/// After a failure.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// How long a daemon that has just started may take to be part of its network.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// Objects that are looked at together.
const PAGE: usize = 256;

/// Forgets until the daemon leaves.
pub(crate) fn forget_in_background(transfer: Arc<Transfer>, leaving: CancellationToken) {
    let task = async move {
        tokio::select! {
            () = leaving.cancelled() => {}
            () = run(&transfer) => {}
        }
    };
    tokio::spawn(task);
}

async fn run(transfer: &Transfer) {
    loop {
        match pass(transfer).await {
            Ok(()) => transfer.keeping.to_forget().notified().await,
            Err(error) => {
                tracing::warn!(%error, "what is forgotten cannot be dropped now");
                sleep(TRY_AGAIN).await;
            }
        }
    }
}

/// Goes through the book once.
async fn pass(transfer: &Transfer) -> std::io::Result<()> {
    let mut after = None;
    loop {
        let page = transfer.keeping.list(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.root);
        for kept in page.iter().filter(|kept| kept.state == KeptState::Forgetting) {
            while !transfer.driver.joined_within(JOIN_PATIENCE).await {
                tracing::debug!("waits for the network in order to drop what is forgotten");
            }
            while some(transfer, kept.root).await? {}
        }
    }
}

/// Drops some chunks of an object; `false` when that was the rest.
async fn some(transfer: &Transfer, root: ChunkId) -> std::io::Result<bool> {
    let keeping = &transfer.keeping;
    let listed = keeping.book(move |book| book.forgotten_chunks(root, HAS_MAX)).await?;
    if listed.is_empty() {
        // Without chunks nothing else ends it.
        keeping.book(move |book| book.forgot(root, &[])).await?;
        return Ok(false);
    }
    // In this order: whoever relies on a chunk after the number was taken says so with a higher one, and whoever did before
    // either still does or is in the book.
    let said = keeping.said();
    let relied_on = keeping.relied_on(listed.iter().map(|part| part.chunk));
    let listed = keeping.book(move |book| book.forgotten_chunks(root, HAS_MAX)).await?;
    let free: Vec<(ChunkId, u8)> = listed
        .iter()
        .filter(|part| part.free && !relied_on.contains(&part.chunk))
        .map(|part| (part.chunk, part.n))
        .collect();
    drop_chunks(transfer, &free, said).await;
    let done: Vec<ChunkId> = listed.iter().map(|ForgottenChunk { chunk, .. }| *chunk).collect();
    keeping.book(move |book| book.forgot(root, &done)).await?;
    Ok(true)
}

/// Tells everybody in the windows of the chunks. Nobody has to be reached: claims that are not renewed end.
async fn drop_chunks(transfer: &Transfer, chunks: &[(ChunkId, u8)], said: u64) {
    chunks.iter().for_each(|(chunk, _)| transfer.standing.forget(chunk));
    let Some(mut windows) = Windows::new(transfer).await else { return };
    let Some(windows) = windows.of(chunks).await else { return };
    let mut by_peer: BTreeMap<NodeId, (Peer, Vec<ChunkId>)> = BTreeMap::new();
    for (chunk, _, window) in &windows {
        for peer in window {
            by_peer.entry(peer.id()).or_insert_with(|| (peer.clone(), Vec::new())).1.push(*chunk);
        }
    }
    let telling =
        stream::iter(by_peer.into_values()).for_each_concurrent(PARALLEL, |(peer, chunks)| async move {
            let done = if transfer.is_local(&peer) {
                transfer.store.drop_claims(transfer.keeping.writer(), said, chunks).await.ok()
            } else {
                transfer.client.drop_claims(&peer, said, &chunks, Instant::now() + TIMEOUT).await.ok()
            };
            if let Some(dropped) = done {
                tracing::debug!(peer = %peer.id(), ?dropped, "told a holder");
            } else {
                tracing::debug!(peer = %peer.id(), "a holder was not told; its claims end by themselves");
            }
        });
    telling.await;
}
