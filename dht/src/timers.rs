//! The recurring things a node does, one moment for each.

use crate::Time;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Try (again) to join.
    Join,
    /// Stop waiting for neighbours and call the join complete.
    Settle,
    /// Exchange leaf sets.
    Stabilise,
    /// Probe the next neighbour.
    Probe,
    /// Probe suspects again, or give them up.
    Suspects,
    /// Look our own place up again.
    Check,
    /// Look for a row to refresh.
    Refresh,
    /// Try somebody we have lost.
    Former,
}

const COUNT: usize = 8;
const ALL: [Timer; COUNT] = [
    Timer::Join,
    Timer::Settle,
    Timer::Stabilise,
    Timer::Probe,
    Timer::Suspects,
    Timer::Check,
    Timer::Refresh,
    Timer::Former,
];

/// The end of time marks a timer that is not set; that keeps the array at 8 bytes each.
#[derive(Debug, Clone)]
pub(crate) struct Timers([Time; COUNT]);

const NEVER: Time = Time::from_micros(u64::MAX);

impl Default for Timers {
    fn default() -> Self {
        Self([NEVER; COUNT])
    }
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Time) {
        self.0[timer as usize] = at;
    }

    /// Sets it, unless it is already set to an earlier moment.
    pub(crate) fn set_no_later(&mut self, timer: Timer, at: Time) {
        let slot = &mut self.0[timer as usize];
        *slot = at.min(*slot);
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = NEVER;
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize] != NEVER
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.0.iter().copied().min().filter(|at| *at != NEVER)
    }

    /// Takes out one timer whose time has come; it is not set any more.
    pub(crate) fn pop_expired(&mut self, now: Time) -> Option<Timer> {
        let timer = ALL.into_iter().find(|timer| self.0[*timer as usize] <= now && self.is_set(*timer))?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_timer_runs_out_once_when_its_time_has_come_and_no_other_with_it() {
        for timer in ALL {
            let mut timers = Timers::default();
            assert_eq!(timers.next(), None);
            assert_eq!(timers.pop_expired(at(1_000_000)), None, "none is set");
            timers.set(timer, at(5));
            assert!(ALL.into_iter().all(|other| timers.is_set(other) == (other == timer)));
            assert_eq!(timers.next(), Some(at(5)));
            assert_eq!(timers.pop_expired(at(4)), None);
            assert_eq!(timers.pop_expired(at(5)), Some(timer));
            assert_eq!((timers.pop_expired(at(5)), timers.next()), (None, None));
        }
    }

    #[test]
    fn what_is_set_no_later_never_moves_away() {
        for (before, no_later, after) in [(None, 5, 5), (Some(3), 5, 3), (Some(8), 5, 5)] {
            let mut timers = Timers::default();
            if let Some(before) = before {
                timers.set(Timer::Probe, at(before));
            }
            timers.set_no_later(Timer::Probe, at(no_later));
            assert_eq!(timers.next(), Some(at(after)), "{before:?}");
        }
    }

    #[test]
    fn a_timer_set_again_forgets_its_earlier_moment_and_a_stopped_one_both() {
        let mut timers = Timers::default();
        timers.set(Timer::Probe, at(3));
        timers.set(Timer::Probe, at(8));
        timers.set(Timer::Join, at(9));
        assert_eq!(timers.next(), Some(at(8)));
        timers.stop(Timer::Probe);
        assert_eq!(timers.next(), Some(at(9)));
    }
}
