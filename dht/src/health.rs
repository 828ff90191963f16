//! How far this node should doubt itself rather than others.
//!
//! Lifeguard (Dadgar, Phillips and Currey 2017): a node that is slow, starved of CPU or behind a bad link sees
//! everybody else fail. Signs that the fault is its own raise a counter, successes lower it, and every time-out is
//! stretched by it.

use core::time::Duration;

/// Highest count. Lifeguard's S.
const WORST: u8 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Health(u8);

impl Health {
    /// A probe of ours has been answered in time.
    pub(crate) fn good(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    /// Another node has reached a peer that we suspect, or our own clock woke us late.
    pub(crate) fn doubtful(&mut self) {
        self.0 = (self.0 + 1).min(WORST);
    }

    /// Whether it had better not be relied on.
    pub(crate) fn is_poor(self) -> bool {
        self.0 >= WORST / 2
    }

    /// A time-out, stretched to three times at worst.
    pub(crate) fn stretch(self, timeout: Duration) -> Duration {
        timeout * (4 + u32::from(self.0)) / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_between_once_and_three_times() {
        let mut health = Health::default();
        let second = Duration::from_secs(1);
        assert_eq!(health.stretch(second), second);
        for _ in 0..100 {
            health.doubtful();
        }
        assert_eq!(health.stretch(second), 3 * second);
        for _ in 0..8 {
            health.good();
        }
        assert_eq!(health.stretch(second), second);
    }
}
