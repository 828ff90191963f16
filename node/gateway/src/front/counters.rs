//! What was asked and answered since the start.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Longest text of a problem that is kept, characters.
const PROBLEM_CHARS_MAX: usize = 300;

/// What was asked and answered since the start.
pub(crate) struct Counters {
    /// Whose requests they are.
    programs: &'static str,
    requests: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    turned_away: AtomicU64,
    uploaded_bytes: AtomicU64,
    downloaded_bytes: AtomicU64,
    last_problem: Mutex<Option<String>>,
}

/// The same as numbers.
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
    pub(crate) turned_away: u64,
    pub(crate) uploaded_bytes: u64,
    pub(crate) downloaded_bytes: u64,
    pub(crate) last_problem: Option<String>,
}

impl Counters {
    /// Of the requests of such programs.
    pub(crate) fn of(programs: &'static str) -> Self {
        Counters {
            programs,
            requests: AtomicU64::default(),
            failed: AtomicU64::default(),
            refused: AtomicU64::default(),
            turned_away: AtomicU64::default(),
            uploaded_bytes: AtomicU64::default(),
            downloaded_bytes: AtomicU64::default(),
            last_problem: Mutex::default(),
        }
    }

    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Somebody did not say who they are, or may not do what they want.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn turned_away(&self) {
        self.turned_away.fetch_add(1, Relaxed);
    }

    pub(crate) fn uploaded(&self, bytes: u64) {
        self.uploaded_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn downloaded(&self, bytes: u64) {
        self.downloaded_bytes.fetch_add(bytes, Relaxed);
    }

    /// A request failed for this reason, which is not the client's doing. Clients show a status and no text, and ask
    /// again for a quarter of an hour, so that the log gets the same reason once and not a hundred times.
    pub(crate) fn failed(&self, problem: &str) {
        self.failed.fetch_add(1, Relaxed);
        let problem: String = problem.chars().take(PROBLEM_CHARS_MAX).collect();
        let mut last = self.last_problem.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() != Some(&problem) {
            tracing::warn!(problem, "a request of {} failed", self.programs);
            *last = Some(problem);
        }
    }

    /// All of it.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            requests: self.requests.load(Relaxed),
            failed: self.failed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            turned_away: self.turned_away.load(Relaxed),
            uploaded_bytes: self.uploaded_bytes.load(Relaxed),
            downloaded_bytes: self.downloaded_bytes.load(Relaxed),
            last_problem: self.last_problem.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
