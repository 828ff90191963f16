//! What becomes of the overlay's time when the process is not run for a while.

use std::time::{Duration, UNIX_EPOCH};

use super::Driver;
use crate::awake;
use crate::clock::wall_time;

impl Driver {
    /// The overlay does not live on while this process sleeps: who did not answer meanwhile was not heard.
    pub(super) fn leave_out_sleep(&mut self) {
        let slept = awake::slept();
        if slept.times > self.slept.times {
            let more = slept.counted.saturating_sub(self.slept.counted);
            self.slept = slept;
            self.started += more;
            self.latest += more;
            self.dht.set_unix_time(unix_time(self.started.elapsed()));
        }
    }
}

/// Seconds since 1970, so long ago.
pub(super) fn unix_time(ago: Duration) -> u64 {
    wall_time().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(ago).as_secs()
}
