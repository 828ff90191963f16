//! How much somebody may still tell: a token bucket.

use crate::Time;

/// What a link may bring per second, and at once. Design: a hundred times what a network of ten thousand needs, and a
/// tenth of it dying in one moment.
const PACE: (u32, u32) = (50, 2000);

/// How much somebody may still tell.
#[derive(Debug, Clone)]
pub(crate) struct Allowance {
    left: u32,
    refilled: Time,
}

impl Allowance {
    pub(crate) fn new(now: Time) -> Self {
        Self { left: PACE.1, refilled: now }
    }

    /// Whether so many may be told at this moment.
    pub(crate) fn admits(&mut self, count: usize, now: Time) -> bool {
        let earned = u64::from(PACE.0) * now.since(self.refilled).as_millis() as u64 / 1000;
        if earned > 0 {
            self.left = (u64::from(self.left) + earned).min(PACE.1.into()) as u32;
            self.refilled = now;
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let admitted = count <= self.left;
        if admitted {
            self.left -= count;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn two_thousand_at_once_and_fifty_a_second() {
        let start = Time::ZERO;
        let mut allowance = Allowance::new(start);
        assert!(!allowance.admits(2_001, start));
        assert!(allowance.admits(2_000, start) && !allowance.admits(1, start));
        let later = start + Duration::from_secs(2);
        assert!(allowance.admits(100, later) && !allowance.admits(1, later));
        let much_later = start + Duration::from_secs(3_600);
        assert!(
            allowance.admits(2_000, much_later) && !allowance.admits(1, much_later),
            "it does not add up"
        );
    }
}
