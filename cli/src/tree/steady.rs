//! Reading one state of a file that others may write to.
//!
//! Every write sets the time of change, which no program can set otherwise. So content is of one state if that time
//! (with the others, inode and size) is the same before the first byte and after the last. The exception are writes
//! through a memory map, which the system notices late or not at all.

use std::fs::{File, Metadata};
use std::io::{self, Seek};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chordage_api::fingerprint;

/// The system stamps files with the time of its last clock tick (1 to 10 ms apart). A write in the same tick as the one
/// before leaves the times as they are; so a file is read only when the tick of its last change is over for certain.
const TICK: Duration = Duration::from_millis(20);
/// The same for file systems that keep whole seconds, or two (FAT).
const COARSE_TICK: Duration = Duration::from_secs(2);
/// How long we wait for a tick in which nobody writes.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the system says of a file before it is read from its start, when any later write will show. Waits as long as
/// the last one is too recent; `None` when writes do not pause.
pub(crate) fn settled(file: &File) -> io::Result<Option<Metadata>> {
    let started = Instant::now();
    loop {
        let metadata = file.metadata()?;
        let tick = unsettled(&metadata, SystemTime::now());
        if tick.is_none() {
            await_write(file)?;
            if is_still(file, &metadata)? {
                return Ok(Some(metadata));
            }
        }
        let tick = tick.unwrap_or_default();
        if started.elapsed() > PATIENCE + tick {
            return Ok(None);
        }
        std::thread::sleep(tick);
    }
}

/// Waits for the end of a write that is under way, and goes back to the start. A write has the time of its beginning
/// and may last long (a gigabyte at once, on a busy disk), and readers of most Linux file systems see its halves; but
/// to look for holes they take the lock that it holds.
fn await_write(mut file: &File) -> io::Result<()> {
    // Refused for an empty file, and by file systems that know no holes.
    let _ = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(0));
    file.rewind()
}

/// Whether the open file is still as it was `before` its content was read.
pub(crate) fn is_still(file: &File, before: &Metadata) -> io::Result<bool> {
    Ok(fingerprint(&file.metadata()?) == fingerprint(before))
}

/// How long to wait until a further write would show, if it would not now.
fn unsettled(metadata: &Metadata, now: SystemTime) -> Option<Duration> {
    let tick = if metadata.ctime_nsec() == 0 { COARSE_TICK } else { TICK };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128;
    let age = now - (i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()));
    // A time in the future is from a clock that was set back since. A write moves it to now, which shows.
    (0..tick.as_nanos() as i128).contains(&age).then_some(tick)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn any_write_to_a_settled_file_shows() {
        let mut file = tempfile::tempfile().unwrap();
        for _ in 0..50 {
            file.write_all(b"state").unwrap();
            let before = settled(&file).unwrap().unwrap();
            assert!(is_still(&file, &before).unwrap());
            std::os::unix::fs::FileExt::write_all_at(&file, b"other", 0).unwrap();
            assert!(!is_still(&file, &before).unwrap());
        }
    }

    #[test]
    fn a_file_is_unsettled_for_as_long_as_a_tick_may_last() {
        let file = tempfile::tempfile().unwrap();
        let metadata = file.metadata().unwrap();
        let at = |after: Duration| {
            UNIX_EPOCH + Duration::new(metadata.ctime() as u64, metadata.ctime_nsec() as u32) + after
        };
        assert!(unsettled(&metadata, at(Duration::ZERO)).is_some());
        assert!(unsettled(&metadata, at(TICK - Duration::from_nanos(1))).is_some());
        assert!(unsettled(&metadata, at(COARSE_TICK)).is_none());
        assert!(unsettled(&metadata, at(Duration::ZERO) - Duration::from_secs(1)).is_none());
    }
}
