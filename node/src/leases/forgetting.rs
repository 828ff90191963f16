//! Dropping the chunks of what is forgotten, as far as nothing else that is kept needs them. It goes on after a
//! restart, and whoever was absent is told when it is there again.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use chordage_dht::NodeId;
use chordage_storage::ChunkId;
use chordage_storage::lease::{Keeps, KeptState};
use futures::stream::StreamExt;
use tokio::time::{Instant, sleep};

use super::{Leases, Windows};
use crate::clock::wall_clock;
use crate::holders::{ByPeer, limits};
use crate::store::CHUNKS_MAX;

/// After a failure.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// How long a daemon that has just started may take to be part of its network.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// Objects that are looked at together.
const PAGE: usize = 256;
/// How often it is looked whether somebody is there who was absent.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is forgotten is remembered for so long: longer than any holder grants a lease by default.
pub(super) const REMEMBERED: Duration = Duration::from_secs(430 * 24 * 60 * 60);

/// Who has been told everything that is forgotten, in this run of the daemon.
#[derive(Default)]
struct Told {
    peers: BTreeSet<NodeId>,
}

/// What came of telling holders.
#[derive(Default)]
struct Telling {
    /// Claims that they dropped.
    dropped: u64,
    /// Those that did not answer.
    silent: BTreeSet<NodeId>,
    /// Of some chunks it could not be found out who holds them.
    unfound: bool,
}

/// Forgets, for ever.
pub(super) async fn run(leases: &Leases) {
    let mut told = Told::default();
    let period = Duration::from_secs(leases.keeping.config().renew_seconds.into());
    let mut all_again = Instant::now() + period;
    loop {
        // In a network that is too large to list everybody, some come and go unseen.
        if all_again <= Instant::now() {
            told.peers.clear();
            all_again = Instant::now() + period;
        }
        if let Err(error) = pass(leases, &mut told).await {
            tracing::warn!(%error, "what is forgotten cannot be dropped now");
            sleep(TRY_AGAIN).await;
            continue;
        }
        tokio::select! {
            () = leases.keeping.to_forget().notified() => {}
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

/// Goes through the book once: everybody is told what was forgotten lately, and whoever is there but was not told
/// before is told the rest.
async fn pass(leases: &Leases, told: &mut Told) -> std::io::Result<()> {
    let mut after = None;
    let mut here: Option<BTreeSet<NodeId>> = None;
    let mut sum = Telling::default();
    loop {
        let page = leases.keeping.book(move |book| book.unkept(after, PAGE)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.root);
        for object in page {
            while !leases.placement.driver.joined_within(JOIN_PATIENCE).await {
                tracing::debug!("waits for the network in order to drop what is forgotten");
            }
            let is_new = object.state == KeptState::Forgetting;
            if !is_new && object.until.is_some_and(|until| until <= wall_clock()) {
                end(leases, object.root).await?;
                continue;
            }
            if here.is_none() {
                here = members(leases).await;
            }
            let absent_before = here.as_ref().is_some_and(|here| !here.is_subset(&told.peers));
            if !is_new && !absent_before {
                continue;
            }
            // Whoever was silent once is not waited for again: others wait meanwhile.
            let mut but = sum.silent.clone();
            if !is_new {
                but.extend(&told.peers);
            }
            let done = tell(leases, object.root, &but).await?;
            sum.dropped += if is_new { 0 } else { done.dropped };
            sum.silent.extend(done.silent);
            sum.unfound |= done.unfound;
            if is_new && !done.unfound {
                let until = wall_clock().after(REMEMBERED);
                leases.keeping.book(move |book| book.told(object.root, until)).await?;
            }
        }
    }
    told.note(here, &sum);
    Ok(())
}

impl Told {
    /// Notes what came of a pass, at whose beginning those in `here` were there; `None`: nobody had to be told.
    fn note(&mut self, here: Option<BTreeSet<NodeId>>, sum: &Telling) {
        let Some(here) = here else { return };
        // Who went away misses what is forgotten until it is back.
        self.peers.retain(|peer| here.contains(peer));
        if sum.dropped > 0 {
            // Who came back with claims may have had them copied by a repair before it was told.
            self.peers.clear();
        } else if !sum.unfound {
            self.peers.extend(here);
        }
        self.peers.retain(|peer| !sum.silent.contains(peer));
    }
}

/// Everybody whom this daemon knows to be there. `None` once it has stopped.
async fn members(leases: &Leases) -> Option<BTreeSet<NodeId>> {
    let view = leases.placement.driver.view().await?;
    let listed = view.listed.iter().map(|member| member.peer.id());
    Some(listed.chain(view.leaf_set.iter().map(|finger| finger.peer.id())).collect())
}

/// Removes an object that was remembered for long enough.
async fn end(leases: &Leases, root: ChunkId) -> std::io::Result<()> {
    loop {
        let gone = move |book: &Keeps| {
            let chunks = book.chunks_of(root, None, CHUNKS_MAX)?;
            let chunks: Vec<ChunkId> = chunks.iter().map(|part| part.chunk).collect();
            book.forgot(root, &chunks)?;
            Ok(chunks.is_empty())
        };
        if leases.keeping.book(gone).await? {
            return Ok(());
        }
    }
}

/// Tells the holders of an object, but for those in `but`, to drop the chunks that nothing kept needs.
async fn tell(leases: &Leases, root: ChunkId, but: &BTreeSet<NodeId>) -> std::io::Result<Telling> {
    let keeping = &leases.keeping;
    let mut telling = Telling::default();
    let mut after = None;
    loop {
        let listed = keeping.book(move |book| book.chunks_of(root, after, CHUNKS_MAX)).await?;
        let Some(last) = listed.last() else { return Ok(telling) };
        // In this order: whoever relies on a chunk after the number was taken says so with a higher one, and whoever
        // did before either still does or is in the book.
        let said = keeping.said();
        let relied_on = keeping.relied_on(listed.iter().map(|part| part.chunk));
        let next = Some(last.chunk);
        let listed = keeping.book(move |book| book.chunks_of(root, after, CHUNKS_MAX)).await?;
        after = next;
        let free: Vec<(ChunkId, u8)> = listed
            .iter()
            .filter(|part| part.free && !relied_on.contains(&part.chunk))
            .map(|part| (part.chunk, part.n))
            .collect();
        let done = drop_chunks(leases, &free, said, but).await;
        telling.dropped += done.dropped;
        telling.silent.extend(done.silent);
        telling.unfound |= done.unfound;
    }
}

/// Tells everybody in the windows of the chunks, but for those in `but`.
async fn drop_chunks(
    leases: &Leases,
    chunks: &[(ChunkId, u8)],
    said: u64,
    but: &BTreeSet<NodeId>,
) -> Telling {
    chunks.iter().for_each(|(chunk, _)| leases.recent.forget(chunk));
    let unfound = || Telling { unfound: true, ..Telling::default() };
    let Some(mut windows) = Windows::new(leases).await else { return unfound() };
    let Some(windows) = windows.of(chunks).await else { return unfound() };
    let mut by_peer = ByPeer::default();
    for (chunk, _, window) in &windows {
        for peer in window.iter().filter(|peer| !but.contains(&peer.id())) {
            by_peer.add(peer, *chunk);
        }
    }
    let mut answers = pin!(by_peer.ask(|(peer, chunks)| async move {
        let writer = leases.keeping.writer();
        (peer.id(), leases.holders.drop_claims(&peer, writer, said, chunks, limits::CLAIMS).await)
    }));
    let mut telling = Telling::default();
    while let Some((peer, done)) = answers.next().await {
        match done {
            Some(done) => telling.dropped += u64::from(done.dropped),
            None => {
                tracing::debug!(%peer, "a holder was not told; it is told later");
                telling.silent.insert(peer);
            }
        }
    }
    telling
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(numbers: &[u8]) -> BTreeSet<NodeId> {
        numbers.iter().map(|number| NodeId::from_public_key(&[*number; 32])).collect()
    }

    #[test]
    fn who_was_absent_or_silent_is_told_and_all_are_once_a_claim_was_found() {
        let mut told = Told::default();
        told.note(Some(peers(&[1, 2, 3])), &Telling { silent: peers(&[3]), ..Telling::default() });
        assert_eq!(told.peers, peers(&[1, 2]));
        told.note(None, &Telling::default());
        assert_eq!(told.peers, peers(&[1, 2]), "nothing was forgotten");
        told.note(Some(peers(&[1, 3])), &Telling::default());
        assert_eq!(told.peers, peers(&[1, 3]), "the second went away");
        told.note(Some(peers(&[1, 2, 3])), &Telling { unfound: true, ..Telling::default() });
        assert_eq!(told.peers, peers(&[1, 3]), "it may not have been among those that were asked");
        told.note(Some(peers(&[1, 2, 3])), &Telling { dropped: 1, ..Telling::default() });
        assert_eq!(told.peers, peers(&[]));
    }
}
