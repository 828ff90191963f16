//! What all requests share.

use std::net::SocketAddr;
use std::sync::Arc;

use chordage_api::types::ResticStatus;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::TaskTracker;

use super::claims::{Claim, Claims};
use super::path::{FileId, RepositoryName};
use super::{BEHIND, ResticSettings};
use crate::front::{Counters, Failure, Gate, Limits, Turns};

/// What all requests share.
pub(crate) struct Shared<V> {
    pub(crate) repositories: V,
    pub(crate) gate: Gate,
    pub(crate) counters: Arc<Counters>,
    /// Changes under way. They go on when whoever asked for them goes away: half of one could lose an object.
    pub(crate) changes: TaskTracker,
    pub(crate) append_only: bool,
    /// How long what was deleted can be brought back, seconds.
    pub(crate) keep_deleted: u64,
    pub(crate) limits: Limits,
    pub(crate) claims: Claims,
    pub(super) turns: Turns,
    fixed: ResticStatus,
}

impl<V> Shared<V> {
    pub(crate) fn new(repositories: V, gate: Gate, address: SocketAddr, settings: &ResticSettings) -> Self {
        let fixed = ResticStatus {
            listen: address.to_string(),
            append_only: settings.append_only,
            users: gate.users(),
            ..ResticStatus::default()
        };
        Shared {
            repositories,
            gate,
            counters: Arc::new(Counters::of(BEHIND.programs)),
            changes: TaskTracker::new(),
            append_only: settings.append_only,
            keep_deleted: settings.keep_deleted.as_secs(),
            limits: Limits::default(),
            claims: Claims::default(),
            turns: Turns::default(),
            fixed,
        }
    }

    /// What it has done since it started.
    pub(crate) fn status(&self) -> ResticStatus {
        let counts = self.counters.counts();
        ResticStatus {
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

    /// The right to change a file, once nobody else does.
    pub(crate) async fn claim(&self, repository: &RepositoryName, id: FileId) -> Result<Claim, Failure> {
        tokio::time::timeout(self.limits.turn, self.claims.claim(repository, id))
            .await
            .map_err(|_| Failure::busy("another request has been changing this file for too long"))
    }

    /// The right to upload.
    pub(crate) async fn upload_turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.turns.upload(&self.limits).await
    }

    /// The right to read an object.
    pub(crate) async fn download_turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.turns.download(&self.limits).await
    }
}
