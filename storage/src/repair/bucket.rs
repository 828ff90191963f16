//! A byte budget.

use std::time::Duration;

use super::moment::Moment;
use super::need::Lane;

/// How much further than others urgent repairs may go into debt: they may borrow what would come in during this many
/// bursts.
const URGENT_BURSTS: i64 = 10;

/// A token bucket: bytes come in at a fixed rate, up to what comes in during `burst`. A job may start while there is
/// anything left and takes all it needs, so that the largest job runs too and is paid off afterwards.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    bytes_per_second: u64,
    capacity: i64,
    level: i64,
    filled: Moment,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(bytes_per_second: u64, burst: Duration, now: Moment) -> Self {
        let bytes_per_second = bytes_per_second.clamp(1, 1 << 40);
        let capacity = (i128::from(bytes_per_second) * burst.as_millis() as i128 / 1000).max(1);
        let capacity = i64::try_from(capacity).unwrap_or(i64::MAX / 16).min(i64::MAX / 16);
        Self { bytes_per_second, capacity, level: capacity, filled: now }
    }

    /// Takes `bytes` if a job of this lane may start, or says how long it has to wait.
    pub fn take(&mut self, bytes: u64, lane: Lane, now: Moment) -> Result<(), Duration> {
        self.fill(now);
        let floor = if lane == Lane::Urgent { -self.capacity * URGENT_BURSTS } else { 0 };
        if self.level > floor {
            self.spend(bytes);
            return Ok(());
        }
        let short = (floor - self.level + 1).unsigned_abs();
        Err(Duration::from_millis((short.saturating_mul(1000)).div_ceil(self.bytes_per_second)))
    }

    /// Corrects what a job was thought to need by what it took: `more` may be negative.
    pub fn correct(&mut self, more: i64) {
        self.level = self.level.saturating_sub(more).min(self.capacity);
    }

    /// Bytes that came in and were not spent; negative for a debt.
    pub fn level(&mut self, now: Moment) -> i64 {
        self.fill(now);
        self.level
    }

    fn spend(&mut self, bytes: u64) {
        self.level = self.level.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn fill(&mut self, now: Moment) {
        let passed = now.since(self.filled).as_millis();
        let bytes = passed * u128::from(self.bytes_per_second) / 1000;
        if bytes > 0 || now < self.filled {
            self.level = self.level.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
            self.level = self.level.min(self.capacity);
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn over_any_stretch_no_more_goes_out_than_came_in_and_a_burst_and_a_job(
            rate in 1u64..100_000,
            jobs in prop::collection::vec((1u64..50_000, 0u64..5000), 1..60),
        ) {
            let mut bucket = TokenBucket::new(rate, Duration::from_secs(2), Moment(0));
            let (mut now, mut spent) = (Moment(0), 0);
            for (bytes, pause) in jobs {
                now = now.after(Duration::from_millis(pause));
                match bucket.take(bytes, Lane::Normal, now) {
                    Ok(()) => spent += bytes,
                    Err(wait) => {
                        // The wait that it names is enough, and not far too long.
                        let mut copy = bucket;
                        prop_assert!(copy.take(1, Lane::Normal, now.after(wait)).is_ok());
                        prop_assert!(bucket.level(now).unsigned_abs() * 1000 / rate + 2000 >= wait.as_millis() as u64);
                    }
                }
                prop_assert!(spent <= rate * 2 + rate * now.0 / 1000 + 50_000);
            }
        }
    }

    #[test]
    fn urgent_debt_ends_at_ten_bursts_and_nothing_fills_the_bucket_above_one() {
        let mut bucket = TokenBucket::new(1000, Duration::from_secs(1), Moment(0));
        let taken = (0..100).filter(|_| bucket.take(1000, Lane::Urgent, Moment(0)).is_ok()).count();
        assert_eq!(taken, 11, "the burst that was there, and ten");
        bucket.correct(-1_000_000);
        assert_eq!(bucket.level(Moment(0)), 1000);
    }

    #[test]
    fn urgent_borrows_and_a_clock_set_back_gives_nothing_away() {
        let mut bucket = TokenBucket::new(1000, Duration::from_secs(1), Moment(5000));
        assert!(bucket.take(3000, Lane::Normal, Moment(5000)).is_ok());
        assert_eq!(bucket.take(1, Lane::Normal, Moment(5000)), Err(Duration::from_millis(2001)));
        assert!(bucket.take(100, Lane::Urgent, Moment(5000)).is_ok());
        assert!(bucket.take(1, Lane::Normal, Moment(0)).is_err());
        bucket.correct(-2100);
        assert_eq!(bucket.level(Moment(0)), 0);
    }
}
