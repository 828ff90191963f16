//! What the daemon is asked: a few requests at a time, which nobody else has to wait for.

use std::sync::Arc;
use std::time::Duration;

use chordage_api::client::{Client, ClientError, Download, Lines, SnapshotPath};
use chordage_api::range::ByteRange;
use chordage_api::types::{ProblemCode, SnapshotInfo, VolumeEntry, VolumeEntryDetail};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests that a program waits for, at a time. The daemon answers 32 reads at a time, and others want some of them.
const REQUESTS_MAX: usize = 12;
/// Requests that read ahead, at a time. Nobody waits for one to begin.
const AHEAD_MAX: usize = 4;
/// Whole snapshots that are gone through at a time.
const WALKS_MAX: usize = 2;
/// After so long a daemon that was busy is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Why the daemon did not give what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no such thing.
    Gone,
    /// It cannot be had now.
    Failed(String),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Problem(problem)
                if matches!(
                    problem.code,
                    ProblemCode::NoSuchPath | ProblemCode::NoSuchSnapshot | ProblemCode::NoSuchVolume
                ) =>
            {
                Trouble::Gone
            }
            _ => Trouble::Failed(error.to_string()),
        }
    }
}

/// The daemon, and the volume that it is asked about.
#[derive(Debug)]
pub(super) struct Source {
    client: Client,
    volume: String,
    requests: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
    walks: Arc<Semaphore>,
}

/// The right to ask.
pub(super) type Permit = OwnedSemaphorePermit;

impl Source {
    pub(super) fn new(client: Client, volume: String) -> Self {
        let [requests, ahead, walks] =
            [REQUESTS_MAX, AHEAD_MAX, WALKS_MAX].map(|most| Arc::new(Semaphore::new(most)));
        Source { client, volume, requests, ahead, walks }
    }

    /// Waits until something may be asked.
    pub(super) async fn permit(&self) -> Permit {
        taken(&self.requests).await
    }

    /// The right to read ahead, if there is one.
    pub(super) fn permit_ahead(&self) -> Option<Permit> {
        self.ahead.clone().try_acquire_owned().ok()
    }

    /// The snapshots that are kept.
    pub(super) async fn snapshots(&self) -> Result<Vec<SnapshotInfo>, ClientError> {
        patiently(|| self.client.snapshots(&self.volume, false)).await
    }

    /// The entries of a directory, as they come.
    pub(super) async fn entries(&self, snapshot: &str, path: &[u8]) -> Result<Lines<VolumeEntry>, Trouble> {
        let of = self.at(snapshot, path);
        Ok(patiently(|| self.client.snapshot_entries(&of, false)).await?)
    }

    /// All that is known of one entry.
    pub(super) async fn entry(&self, snapshot: &str, path: &[u8]) -> Result<VolumeEntryDetail, Trouble> {
        let _permit = self.permit().await;
        let of = self.at(snapshot, path);
        Ok(patiently(|| self.client.snapshot_entry(&of)).await?)
    }

    /// The bytes of a part of a file, as they come.
    pub(super) async fn content(
        &self,
        snapshot: &str,
        path: &[u8],
        bytes: std::ops::Range<u64>,
    ) -> Result<Download, Trouble> {
        let of = self.at(snapshot, path);
        let range = ByteRange::Between { start: bytes.start, last: bytes.end.saturating_sub(1) };
        Ok(patiently(|| self.client.snapshot_content(&of, Some(range))).await?)
    }

    /// The names of files that have several, in the whole snapshot, as they come; with the right to ask for them.
    pub(super) async fn links(&self, snapshot: &str) -> Result<(Permit, Lines<VolumeEntry>), Trouble> {
        let permit = taken(&self.walks).await;
        Ok((permit, patiently(|| self.client.snapshot_links(&self.volume, snapshot)).await?))
    }

    fn at<'a>(&'a self, snapshot: &'a str, path: &'a [u8]) -> SnapshotPath<'a> {
        SnapshotPath { volume: &self.volume, snapshot, path: Some(path).filter(|path| !path.is_empty()) }
    }
}

async fn taken(semaphore: &Arc<Semaphore>) -> Permit {
    match semaphore.clone().acquire_owned().await {
        Ok(permit) => permit,
        // Nobody closes it.
        Err(_) => std::future::pending().await,
    }
}

/// Asks again while the daemon is busy. Whoever asks has a deadline.
async fn patiently<T, F: Future<Output = Result<T, ClientError>>>(
    ask: impl Fn() -> F,
) -> Result<T, ClientError> {
    loop {
        match ask().await {
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Busy => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            answer => return answer,
        }
    }
}
