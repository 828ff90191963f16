//! What all requests share.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use chordage_api::types::WebdavStatus;
use tokio_util::task::TaskTracker;

use super::claims::{Claim, Claims};
use super::entry::Entry;
use super::finder::Finder;
use super::locks::Locks;
use super::path::Path;
use super::uses::Uses;
use super::{BEHIND, WebdavSettings};
use crate::front::{Counters, Failure, Gate, Limits, Turns};

/// Objects that were stored and not entered, which are remembered to be forgotten.
const ORPHANS_MAX: usize = 10_000;

/// What all requests share.
pub(crate) struct Shared<S> {
    pub(crate) store: S,
    pub(crate) gate: Gate,
    pub(crate) counters: Arc<Counters>,
    /// Requests under way. They go on when whoever sent them goes away: half of one could lose an object.
    pub(crate) changes: TaskTracker,
    /// How long the objects of what was deleted are kept, seconds.
    pub(crate) keep_deleted: u64,
    pub(crate) limits: Limits,
    pub(crate) turns: Turns,
    pub(crate) locks: Locks,
    pub(crate) uses: Uses,
    pub(crate) finder: Finder,
    claims: Claims,
    orphans: Mutex<BTreeSet<String>>,
    fixed: WebdavStatus,
}

impl<S> Shared<S> {
    pub(crate) fn new(store: S, gate: Gate, address: SocketAddr, settings: &WebdavSettings) -> Self {
        let fixed = WebdavStatus {
            listen: address.to_string(),
            volume: settings.volume.clone(),
            users: gate.users(),
            ..WebdavStatus::default()
        };
        Shared {
            store,
            gate,
            counters: Arc::new(Counters::of(BEHIND.programs)),
            changes: TaskTracker::new(),
            keep_deleted: settings.keep_deleted.as_secs(),
            limits: Limits::default(),
            turns: Turns::default(),
            locks: Locks::default(),
            uses: Uses::default(),
            finder: Finder::default(),
            claims: Claims::default(),
            orphans: Mutex::default(),
            fixed,
        }
    }

    /// What it has done since it started.
    pub(crate) fn status(&self) -> WebdavStatus {
        let counts = self.counters.counts();
        WebdavStatus {
            requests: counts.requests,
            failed: counts.failed,
            refused: counts.refused,
            turned_away: counts.turned_away,
            uploaded_bytes: counts.uploaded_bytes,
            downloaded_bytes: counts.downloaded_bytes,
            last_problem: counts.last_problem,
            ..self.fixed.clone()
        }
    }

    /// The right to change what lies there and below, once nobody else does.
    pub(crate) async fn claim(&self, paths: Vec<Path>) -> Result<Claim, Failure> {
        tokio::time::timeout(self.limits.turn, self.claims.claim(paths))
            .await
            .map_err(|_| Failure::busy("another request has been changing this for too long"))
    }

    /// An object was stored. Until it is said to be [`entered`](Self::entered), nobody may name it.
    pub(crate) fn stored(&self, link: &str) {
        let mut orphans = self.orphans.lock().unwrap_or_else(PoisonError::into_inner);
        if orphans.len() < ORPHANS_MAX {
            orphans.insert(link.to_owned());
        }
    }

    /// The map names the object.
    pub(crate) fn entered(&self, link: &str) {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner).remove(link);
    }

    /// Objects that were stored, and of which nobody has said that the map names them.
    pub(crate) fn orphans(&self) -> BTreeSet<String> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A time of change that is later than the one before, so that other content is another version for everybody.
    pub(crate) fn later_than(&self, before: Option<&Entry>, now: u64) -> u64 {
        before.map_or(now, |before| now.max(before.modified.saturating_add(1)))
    }
}
