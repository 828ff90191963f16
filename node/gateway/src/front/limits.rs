//! What is waited for, and for how long; and so many at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Failure;
use super::wanted::Wanted;

/// Uploads at a time: fewer than the puts that a daemon takes, so that others can put beside them. A client has five
/// connections.
const UPLOADS_MAX: usize = 6;
/// Objects that are read at a time: fewer than the reads that a daemon takes.
const DOWNLOADS_MAX: usize = 24;
/// Short answers beside these that are read at a time. None waits for its client.
const SHORTS_MAX: usize = 6;
/// The longest short answer, bytes: that of the daemon's API.
pub(crate) const SHORT_BYTES_MAX: u64 = 256 << 10;

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

/// So many uploads and downloads at a time.
pub(crate) struct Turns {
    uploads: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    shorts: Arc<Semaphore>,
    /// Whether somebody waits for one of the downloads: whoever takes nothing of its own leaves then.
    wanted: Wanted,
}

impl Default for Turns {
    fn default() -> Self {
        let of = |places| Arc::new(Semaphore::new(places));
        Turns {
            uploads: of(UPLOADS_MAX),
            downloads: of(DOWNLOADS_MAX),
            shorts: of(SHORTS_MAX),
            wanted: Wanted::default(),
        }
    }
}

impl Turns {
    /// The right to upload, waited for as long as the limits say.
    pub(crate) async fn upload(&self, limits: &Limits) -> Result<OwnedSemaphorePermit, Failure> {
        turn(&self.uploads, limits, "uploads").await
    }

    /// The right to read an object.
    pub(crate) async fn download(&self, limits: &Limits) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(turn) = Arc::clone(&self.downloads).try_acquire_owned() {
            return Ok(turn);
        }
        self.wanted.until(turn(&self.downloads, limits, "downloads")).await
    }

    /// Whether somebody waits to read.
    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The right to read at most [`SHORT_BYTES_MAX`] bytes of an object, all at once: clients that take their downloads
    /// slowly are not in its way.
    pub(crate) async fn short(&self, limits: &Limits) -> Result<OwnedSemaphorePermit, Failure> {
        turn(&self.shorts, limits, "short downloads").await
    }
}

async fn turn(turns: &Arc<Semaphore>, limits: &Limits, what: &str) -> Result<OwnedSemaphorePermit, Failure> {
    match tokio::time::timeout(limits.turn, Arc::clone(turns).acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        // Nobody closes it.
        Ok(Err(_)) | Err(_) => Err(Failure::busy(format!("too many {what} are under way"))),
    }
}
