//! The time by which leases expire.

use std::time::Duration;

use crate::repair::Moment;

/// Time as a holder counts it for leases: it goes on while the holder runs, as fast as a clock that nobody can set, and
/// stands still while the holder is down.
///
/// So no clock that is set ahead frees anything, and no outage does, however long: nobody could renew a claim at a
/// holder that was not there. Lease time may only ever be behind true time, which keeps data longer.
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
    /// Goes on from the last reading. How long ago that was does not matter.
    pub fn resume(last: Reading) -> Self {
        Self { began: last.lease }
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

    #[test]
    fn an_outage_of_any_length_counts_nothing() {
        let last = Reading { lease: Moment(5000), wall: Moment(1_000_000) };
        let clock = LeaseClock::resume(last);
        assert_eq!(clock.now(Duration::ZERO), Moment(5000));
        assert_eq!(clock.now(Duration::from_millis(20)), Moment(5020));
    }

    proptest! {
        /// However the wall clock jumps between runs, lease time is the time for which the holder ran.
        #[test]
        fn lease_time_is_running_time(runs in prop::collection::vec((any::<u64>(), 0u64..10_000_000), 1..20)) {
            let mut reading = Reading::default();
            let mut ran = Moment(0);
            for (wall, running) in runs {
                let running = Duration::from_millis(running);
                ran = ran.after(running);
                let lease = LeaseClock::resume(reading).now(running);
                prop_assert_eq!(lease, ran);
                reading = Reading { lease, wall: Moment(wall) };
            }
        }
    }
}
