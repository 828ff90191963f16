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
