//! The time by which leases expire.

use std::time::Duration;

use crate::repair::Moment;

/// Time as a holder counts it for leases: while it runs it goes as fast as a clock that nobody can set, and a time for
/// which the holder was down counts by the wall clock, but never as more than a fixed span per start.
///
/// So a wall clock that jumps ahead, by a year or by a century, frees nothing; and nobody's lease runs out because the
/// holder was away, when nobody could renew it there. It may only ever be behind true time, which keeps data longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseClock {
    began: Moment,
}

/// What is written down of the clock: its time, and what the wall clock showed then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Lease time.
    pub lease: Moment,
    /// Wall time.
    pub wall: Moment,
}

impl LeaseClock {
    /// Goes on from the last reading: so long after it as the wall clock says, but at most `downtime_max`.
    pub fn resume(last: Reading, wall: Moment, downtime_max: Duration) -> Self {
        // Without a reading there is nothing from before that could expire.
        let away =
            if last == Reading::default() { Duration::ZERO } else { wall.since(last.wall).min(downtime_max) };
        Self { began: last.lease.after(away) }
    }

    /// Lease time, so long after the clock was resumed.
    pub fn now(&self, running: Duration) -> Moment {
        self.began.after(running)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_jump_of_the_wall_clock_counts_as_one_day_at_most() {
        let last = Reading { lease: Moment(5000), wall: Moment(1_000_000) };
        let century = Moment(1_000_000).after(DAY * 36_500);
        assert_eq!(LeaseClock::resume(last, century, DAY).now(Duration::ZERO), Moment(5000).after(DAY));
        assert_eq!(LeaseClock::resume(last, Moment(7), DAY).now(Duration::ZERO), Moment(5000));
        let short = LeaseClock::resume(last, Moment(1_000_500), DAY);
        assert_eq!(short.now(Duration::from_millis(20)), Moment(5520));
    }

    proptest! {
        /// However the wall clock jumps, lease time never overtakes running time and a day per start, and never goes back.
        #[test]
        fn lease_time_never_overtakes(walls in prop::collection::vec((any::<u64>(), 0u64..10_000_000), 1..20)) {
            let mut reading = Reading { lease: Moment(1), wall: Moment(1) };
            let mut most = Moment(1);
            for (wall, running) in walls {
                let before = reading.lease;
                let running = Duration::from_millis(running);
                let now = LeaseClock::resume(reading, Moment(wall), DAY).now(running);
                most = most.after(DAY).after(running);
                prop_assert!(before <= now && now <= most);
                reading = Reading { lease: now, wall: Moment(wall) };
            }
        }
    }
}
