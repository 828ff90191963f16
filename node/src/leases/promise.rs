//! Keeping something new: from the first claim until it is in the book.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_storage::lease::{Claim, Keeps, Kept, KeptState};
use chordage_storage::repair::Moment;
use chordage_storage::{ChunkId, Redundancy};

use tokio::time::sleep;

use super::confirming::{claim, confirm};
use super::{Keeping, Leases};
use crate::clock::wall_clock;
use crate::store::Asked;

/// Why something is not kept. What was claimed for it ends by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// A chunk from before is not held well enough any more.
    #[error("chunk {chunk} has {held} shards on holders that keep it, {needed} are needed")]
    Missing {
        /// Which.
        chunk: ChunkId,
        /// Shards found.
        held: u8,
        /// Shards needed.
        needed: u8,
    },
    /// The overlay names nobody.
    #[error("no holders could be found")]
    NobodyToAsk,
    /// The book cannot be written.
    #[error("the book of what is kept failed: {0}")]
    Book(std::io::Error),
}

/// A chunk of it.
#[derive(Clone, Copy, Debug)]
struct Part {
    redundancy: Redundancy,
    /// Shards that holders have to claim for it; 0 when they have acknowledged that.
    unclaimed: u8,
}

/// What an object is, for the book.
#[derive(Clone, Debug)]
pub(crate) struct Promised {
    pub(crate) root: ChunkId,
    pub(crate) bytes: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) put: bool,
    /// For its user, who sees it in the list of what is kept.
    pub(crate) name: Option<String>,
}

/// What the book had of an object that was kept already.
#[derive(Clone, Debug)]
pub(crate) struct KeptBefore {
    pub(crate) since: Moment,
    pub(crate) names: Vec<String>,
}

/// As long as it is there, none of its chunks is dropped by this daemon, whatever else is forgotten meanwhile.
pub(crate) struct Promise {
    keeping: Keeping,
    retain_seconds: u32,
    parts: Mutex<BTreeMap<ChunkId, Part>>,
}

impl Promise {
    pub(super) fn new(keeping: Keeping, retain_seconds: u32) -> Self {
        Promise { keeping, retain_seconds, parts: Mutex::default() }
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<ChunkId, Part>> {
        // Each change is one step, so that a thread that panicked left it whole.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Relies on a chunk from now on. Has to come before the claims on it are sent.
    pub(crate) fn rely_on(&self, chunk: ChunkId, redundancy: Redundancy, unclaimed: u8) {
        let mut parts = self.parts();
        if let std::collections::btree_map::Entry::Vacant(entry) = parts.entry(chunk) {
            entry.insert(Part { redundancy, unclaimed });
            self.keeping.rely_on(chunk);
        }
    }

    /// Enough holders have acknowledged that they keep the chunk.
    pub(crate) fn is_claimed(&self, chunk: ChunkId) {
        if let Some(part) = self.parts().get_mut(&chunk) {
            part.unclaimed = 0;
        }
    }

    /// What to say to holders, now: to keep it for as long as it may take until it is finished.
    pub(crate) fn claim(&self) -> (Claim, u64) {
        (self.keeping.claim_until_finished(), self.keeping.said())
    }

    /// The same, to go with a shard.
    pub(crate) fn asked(&self) -> Asked {
        let (claim, said) = self.claim();
        Asked { said, claims: vec![claim] }
    }

    /// Renews what is claimed so far, for as long as it is polled: something may take longer than its first claims
    /// last.
    pub(crate) async fn hold(&self, leases: &Leases) -> Infallible {
        let period = Duration::from_secs(self.keeping.config().unfinished().into()) / 4;
        loop {
            sleep(period).await;
            let parts: Vec<(ChunkId, u8)> =
                self.parts().iter().map(|(chunk, part)| (*chunk, part.redundancy.n())).collect();
            if claim(leases, self.keeping.claim_until_finished(), &parts, false).await.is_none() {
                tracing::debug!(
                    "the chunks of what is not finished yet could not be renewed; it is tried again"
                );
            }
        }
    }

    /// Claims at their holders those chunks that were there before, enters the object into the book, and asks the
    /// holders to keep it for a whole lease from then on. After this it is kept until it is forgotten. Says whether it
    /// was kept already.
    pub(crate) async fn fulfil(
        &self,
        leases: &Leases,
        object: Promised,
    ) -> Result<Option<KeptBefore>, KeepError> {
        let parts = self.parts().clone();
        let all: Vec<(ChunkId, u8)> =
            parts.iter().map(|(chunk, part)| (*chunk, part.redundancy.n())).collect();
        let open: Vec<(ChunkId, u8)> = parts
            .iter()
            .filter(|(_, part)| part.unclaimed > 0)
            .map(|(chunk, part)| (*chunk, part.redundancy.n()))
            .collect();
        // Mostly everything was claimed when it was sent, and there is nobody to look for.
        let claimed = claim(leases, self.keeping.claim_until_finished(), &open, true).await;
        let claimed = claimed.ok_or(KeepError::NobodyToAsk)?;
        check(leases, &claimed, |chunk| parts.get(chunk).map_or(0, |part| part.unclaimed))?;
        let Promised { root, bytes, stored_bytes, put, name } = object;
        let kept = Kept {
            root,
            state: KeptState::Kept,
            put,
            since: wall_clock(),
            bytes,
            stored_bytes,
            until: None::<Moment>,
            retained_until: Keeping::retained_until(self.retain_seconds),
            chunks: parts.len() as u64,
            confirmed: false,
        };
        let entered = all.clone();
        let enter = move |book: &Keeps| {
            let before = book.get(root)?.filter(|before| before.state == KeptState::Kept);
            let before = match before {
                Some(kept) => Some(KeptBefore { since: kept.since, names: book.names(root)? }),
                None => None,
            };
            book.keep(&kept, &entered)?;
            if let Some(name) = name {
                book.name(root, &name, kept.since)?;
            }
            Ok(before)
        };
        let before = self.keeping.book(enter).await.map_err(KeepError::Book)?;
        let Some(held) = confirm(leases, root, self.retain_seconds, &all).await else { return Ok(before) };
        // This machine may have slept for so long that holders have given up what was sent first.
        let there = check(leases, &held, |chunk| parts.get(chunk).map_or(0, |part| part.redundancy.k()));
        if there.is_err() && before.is_none() {
            self.keeping.book(move |book| book.begin_forgetting(root)).await.map_err(KeepError::Book)?;
            self.keeping.to_forget().notify_one();
        }
        there.map(|()| before)
    }
}

/// Whether of each chunk as many shards are kept as are `needed`.
fn check(
    leases: &Leases,
    held: &BTreeMap<ChunkId, u8>,
    needed: impl Fn(&ChunkId) -> u8,
) -> Result<(), KeepError> {
    let mut short = None;
    for (&chunk, &held) in held {
        let needed = needed(&chunk);
        if held < needed {
            // What was believed of it is wrong.
            leases.recent.forget(&chunk);
            short = short.or(Some(KeepError::Missing { chunk, held, needed }));
        }
    }
    short.map_or(Ok(()), Err)
}

impl Drop for Promise {
    fn drop(&mut self) {
        let parts = self.parts();
        self.keeping.rely_no_more(parts.keys());
    }
}
