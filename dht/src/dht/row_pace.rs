//! How fast rows are filled: slower while most of the names that others give are dead.

use core::time::Duration;

/// Length of a step in sixteenths of the configured one, while names are alive. Design.
const FASTEST: u8 = 16;
/// The same while most of them are dead. Design.
const SLOWEST: u8 = 128;

/// Length of a step, in sixteenths of [`Config::refresh_step`](crate::Config::refresh_step).
#[derive(Debug, Clone, Copy)]
pub(super) struct RowPace(u8);

impl Default for RowPace {
    fn default() -> Self {
        Self(FASTEST)
    }
}

impl RowPace {
    /// A name was alive.
    pub(super) fn alive(&mut self) {
        self.0 = (self.0 - self.0 / 8).max(FASTEST);
    }

    /// A name was dead.
    pub(super) fn dead(&mut self) {
        self.0 = self.0.saturating_mul(2).min(SLOWEST);
    }

    /// Until the next step, if `step` is configured.
    pub(super) fn wait(self, step: Duration) -> Duration {
        step * u32::from(self.0) / u32::from(FASTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_names_double_the_step_up_to_eight_and_living_ones_bring_it_back() {
        let (second, mut pace) = (Duration::from_secs(1), RowPace::default());
        pace.alive();
        assert_eq!(pace.wait(second), second, "never faster than configured");
        for factor in [2, 4, 8, 8] {
            pace.dead();
            assert_eq!(pace.wait(second), factor * second);
        }
        pace.alive();
        assert_eq!(pace.wait(second), 7 * second, "an eighth at a time");
        (0..20).for_each(|_| pace.alive());
        assert_eq!(pace.wait(second), second);
    }
}
