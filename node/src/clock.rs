//! The wall clock of the daemon. Anybody can set it at any time, so that nothing that must not go wrong depends on it;
//! how that is kept to is tested with daemons whose clock is off.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chordage_storage::repair::Moment;

/// What this process adds to the system's clock, in seconds. Only tests set it, once, before anything is read.
static OFF_BY: AtomicI64 = AtomicI64::new(0);

/// From now on the clock of this process is off by so many seconds.
pub(crate) fn set_off_by(seconds: i64) {
    OFF_BY.store(seconds, Relaxed);
}

/// What the clock shows.
pub(crate) fn wall_time() -> SystemTime {
    shifted(SystemTime::now(), OFF_BY.load(Relaxed))
}

/// The same in milliseconds since 1970: for what outlives the process.
pub(crate) fn wall_clock() -> Moment {
    let since = wall_time().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A clock does not show what it cannot.
fn shifted(time: SystemTime, seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    shifted.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_in_either_direction() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(shifted(at(1000), 0), at(1000));
        assert_eq!(shifted(at(1000), 50), at(1050));
        assert_eq!(shifted(at(1000), -50), at(950));
        assert_eq!(shifted(at(1000), i64::MAX), at(1000));
    }
}
