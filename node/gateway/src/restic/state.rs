//! What all requests share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chordage_api::types::ResticStatus;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::ResticSettings;
use super::answer::Failure;
use super::claims::{Claim, Claims};
use super::counters::Counters;
use super::gate::Gate;
use super::path::{FileId, RepositoryName};

/// Uploads at a time: fewer than the puts that a daemon takes, so that others can put beside them. A client has five connections.
const UPLOADS_MAX: usize = 6;
/// Objects that are read at a time: fewer than the reads that a daemon takes.
const DOWNLOADS_MAX: usize = 24;

/// What is waited for, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long a request waits for others to end.
    pub(crate) turn: Duration,
    /// How long a body may stand still.
    pub(crate) stall: Duration,
    /// How long a body may take in all, beside a time for its length.
    pub(crate) body: Duration,
    /// The fewest bytes in a second that a body may come with.
    pub(crate) bytes_per_second_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            turn: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            body: Duration::from_secs(600),
            bytes_per_second_min: 4096,
        }
    }
}

/// What all requests share.
pub(crate) struct Shared<V> {
    pub(crate) repositories: V,
    pub(crate) gate: Gate,
    pub(crate) counters: Counters,
    /// Changes under way. They go on when whoever asked for them goes away: half of one could lose an object.
    pub(crate) changes: TaskTracker,
    pub(crate) append_only: bool,
    /// How long what was deleted can be brought back, seconds.
    pub(crate) keep_deleted: u64,
    pub(crate) limits: Limits,
    pub(crate) claims: Claims,
    uploads: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
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
            counters: Counters::default(),
            changes: TaskTracker::new(),
            append_only: settings.append_only,
            keep_deleted: settings.keep_deleted.as_secs(),
            limits: Limits::default(),
            claims: Claims::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
            fixed,
        }
    }

    /// What it has done since it started.
    pub(crate) fn status(&self) -> ResticStatus {
        self.counters.status(self.fixed.clone())
    }

    /// The right to change a file, once nobody else does.
    pub(crate) async fn claim(&self, repository: &RepositoryName, id: FileId) -> Result<Claim, Failure> {
        tokio::time::timeout(self.limits.turn, self.claims.claim(repository, id))
            .await
            .map_err(|_| Failure::busy("another request has been changing this file for too long"))
    }

    /// The right to upload.
    pub(crate) async fn upload_turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.turn(&self.uploads, "uploads").await
    }

    /// The right to read an object.
    pub(crate) async fn download_turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.turn(&self.downloads, "downloads").await
    }

    async fn turn(&self, turns: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, Failure> {
        match tokio::time::timeout(self.limits.turn, Arc::clone(turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            // Nobody closes it.
            Ok(Err(_)) | Err(_) => Err(Failure::busy(format!("too many {what} are under way"))),
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
