//! The overlay's time: it begins with the daemon, is that of the news, never goes back, and stands still while the
//! process is not run.

use std::time::{Duration, UNIX_EPOCH};

use chordage_dht::Time;
use tokio::time::Instant;

use crate::awake::{self, Slept};
use crate::clock::wall_time;

/// Turns moments into the overlay's and back.
pub(super) struct OverlayTime {
    /// When it was zero.
    started: Instant,
    /// The latest moment that the overlay knows of.
    latest: Instant,
    /// How this process had slept when that was last looked at.
    slept: Slept,
}

impl OverlayTime {
    /// From now on.
    pub(super) fn begin() -> Self {
        let started = Instant::now();
        OverlayTime { started, latest: started, slept: awake::slept() }
    }

    /// When it was zero.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The overlay's time when something happens at `at`.
    pub(super) fn of_news(&mut self, at: Instant) -> Time {
        self.latest = self.latest.max(at);
        time(self.latest.duration_since(self.started))
    }

    /// This moment.
    pub(super) fn now(&self) -> Time {
        time(self.started.elapsed())
    }

    /// The moment at which it will be `time`.
    pub(super) fn moment(&self, time: Time) -> Instant {
        self.started + Duration::from_micros(time.as_micros())
    }

    /// Leaves out what the process has slept: who did not answer meanwhile was not heard. The seconds since 1970 at the
    /// new zero, if there was anything.
    pub(super) fn leave_out_sleep(&mut self) -> Option<u64> {
        let slept = awake::slept();
        if slept.times <= self.slept.times {
            return None;
        }
        let more = slept.counted.saturating_sub(self.slept.counted);
        self.slept = slept;
        self.started += more;
        self.latest += more;
        Some(unix_time(self.started.elapsed()))
    }
}

fn time(since: Duration) -> Time {
    Time::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Seconds since 1970, so long ago. A clock before 1970 draws other super-peers than everybody else's, and is believed
/// by nobody.
pub(super) fn unix_time(ago: Duration) -> u64 {
    wall_time().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(ago).as_secs()
}
