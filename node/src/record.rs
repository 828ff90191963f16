//! The versions of this daemon's own record. They are counted on disk, because of two records of a daemon others
//! believe the one with the higher version: by a clock that was ahead once, they would believe the old one for ever.
//!
//! They are reserved in blocks, so that a version that was used is never used again, and hardly anything is written.
//! Who has lost the file begins at the clock, and others show it how far it had counted (`chordage_dht`).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;

use crate::datadir::{DataDir, DataDirError};

/// The last version that is reserved, as a line of text.
pub(crate) const RECORD_FILE: &str = "record";
/// Versions that are reserved at a time. A start uses up one block, which is a second of the clock: so a count goes
/// ahead of the clock only where a daemon starts more often than that for ever.
const BLOCK: u64 = 1000;
/// No count gets here; a file that says so is damaged.
const LAST: u64 = 1 << 62;

/// What is reserved, and where it is written down.
pub(crate) struct Versions {
    dir: Arc<DataDir>,
    reserved: u64,
    writing: Option<JoinHandle<()>>,
}

impl Versions {
    /// The first version of this life, and the others that are reserved for it.
    pub(crate) fn begin(dir: Arc<DataDir>, now: SystemTime) -> Result<(u64, Versions), DataDirError> {
        let last = match dir.read(RECORD_FILE)? {
            None => None,
            Some(bytes) => {
                let text = std::str::from_utf8(&bytes).ok();
                let last: Option<u64> = text.and_then(|text| text.trim().parse().ok());
                if last.is_none_or(|last| last > LAST) {
                    tracing::warn!(path = %dir.join(RECORD_FILE).display(), "not a version; it is begun anew");
                }
                last.filter(|last| *last <= LAST)
            }
        };
        let first = last.map_or_else(|| milliseconds(now), |last| last + 1);
        let reserved = first + BLOCK;
        write(&dir, reserved)?;
        Ok((first, Versions { dir, reserved, writing: None }))
    }

    /// This version is in use. More are reserved before there are none left.
    pub(crate) fn used(&mut self, version: u64) {
        let is_writing = self.writing.as_ref().is_some_and(|task| !task.is_finished());
        if version.saturating_add(BLOCK / 2) <= self.reserved || is_writing {
            return;
        }
        let reserved = version.saturating_add(BLOCK);
        self.reserved = reserved;
        let dir = self.dir.clone();
        // Off the loop, because it syncs.
        self.writing = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = write(&dir, reserved) {
                tracing::warn!(%error, "the version of the record cannot be written down");
            }
        }));
    }

    /// Waits until what is reserved is written down.
    pub(crate) async fn close(&mut self) {
        if let Some(task) = self.writing.take() {
            // It reports its own failure.
            let _ = task.await;
        }
    }
}

fn write(dir: &DataDir, reserved: u64) -> Result<(), DataDirError> {
    dir.write(RECORD_FILE, format!("{reserved}\n").as_bytes())
}

fn milliseconds(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(LAST).min(LAST)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    fn new() -> (TempDir, Arc<DataDir>) {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let dir = Arc::new(DataDir::open(temporary.path()).expect("new"));
        (temporary, dir)
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn begin(dir: &Arc<DataDir>, seconds: u64) -> (u64, Versions) {
        Versions::begin(dir.clone(), at(seconds)).expect("writable")
    }

    #[test]
    fn versions_grow_from_life_to_life_whatever_the_clock_says() {
        let (_temporary, dir) = new();
        let mut last = begin(&dir, 4_000_000_000).0;
        assert_eq!(last, 4_000_000_000_000);
        for seconds in [1_800_000_000, 0, 5_000_000_000] {
            let (first, versions) = begin(&dir, seconds);
            assert!(first > last && first < last + 2 * BLOCK, "{first} after {last}");
            last = versions.reserved;
        }
    }

    #[tokio::test]
    async fn what_was_used_is_not_used_again() {
        let (_temporary, dir) = new();
        let (first, mut versions) = begin(&dir, 1000);
        versions.used(first + 1);
        assert!(versions.writing.is_none(), "hardly anything is written");
        // One change after the other, and a leap above what was signed in a former life.
        for used in (first..first + 3 * BLOCK).chain([1 << 50]) {
            versions.used(used);
        }
        versions.close().await;
        versions.used(1 << 50);
        versions.close().await;
        assert!(begin(&dir, 1000).0 > 1 << 50);
    }

    #[test]
    fn who_has_lost_the_file_begins_at_the_clock() {
        let (_temporary, dir) = new();
        for content in ["", "many", "-1", "18446744073709551615"] {
            dir.write(RECORD_FILE, content.as_bytes()).expect("writable");
            assert_eq!(begin(&dir, 1000).0, 1_000_000, "{content:?}");
        }
        dir.remove(RECORD_FILE);
        assert_eq!(begin(&dir, 2000).0, 2_000_000);
    }
}
