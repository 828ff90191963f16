//! How soon a change of the leaf set is followed by an exchange of leaf sets.
//!
//! The first few changes after a quiet time are followed at once: somebody has joined or died, and the others want to
//! know. When changes do not end, they wait for each other ever longer and share one exchange, so that exchanging costs
//! about the same however short sessions are.

use core::time::Duration;

use crate::Time;

/// Rounds that may follow each other without waiting longer. Design.
const FREE: u32 = 3;
/// Longest wait, as a power of two of the shortest. Design: 8 s for half a second.
const LONGEST: u32 = 4;

/// The rounds of the recent past.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    last: Time,
    /// The last one in which everything was exchanged.
    whole: Time,
    /// Rounds that are not forgotten yet.
    rounds: u8,
}

impl Pace {
    /// A round begins. One earlier round is forgotten in every `period` that has passed.
    pub(super) fn round(&mut self, now: Time, period: Duration) {
        let forgotten = now.since(self.last).as_micros() / period.as_micros().max(1);
        let forgotten = u8::try_from(forgotten).unwrap_or(u8::MAX);
        self.rounds = self.rounds.saturating_sub(forgotten).saturating_add(1).min((FREE + LONGEST) as u8);
        self.last = now;
    }

    /// Whether it is time for a round in which everything is exchanged: `period` after the last one.
    pub(super) fn is_due(&mut self, now: Time, period: Duration) -> bool {
        let due = now.since(self.whole) >= period;
        if due {
            self.whole = now;
        }
        due
    }

    /// How long a change that happens now waits, at least `shortest`.
    pub(super) fn wait(&self, shortest: Duration) -> Duration {
        shortest * (1 << u32::from(self.rounds).saturating_sub(FREE).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_while_changes_go_on_and_shrink_when_they_end() {
        let (period, shortest) = (Duration::from_secs(8), Duration::from_millis(500));
        let (mut pace, mut now) = (Pace::default(), Time::ZERO);
        let mut waits = [Duration::ZERO; 8];
        for wait in &mut waits {
            now += pace.wait(shortest);
            pace.round(now, period);
            *wait = pace.wait(shortest);
        }
        assert_eq!(waits.map(|wait| wait.as_millis()), [500, 500, 500, 1000, 2000, 4000, 8000, 8000]);
        now += Duration::from_secs(60);
        pace.round(now, period);
        assert_eq!(pace.wait(shortest), shortest);
    }
}
