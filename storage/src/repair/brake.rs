//! The brake for mass failures.

use std::collections::VecDeque;
use std::time::Duration;

use super::moment::Moment;

/// Departures that are remembered: more than the neighbours that a node has.
const MAX_REMEMBERED: usize = 256;
/// Fewer departures are never a mass failure, however small the network.
const FEWEST: usize = 3;

/// Holds back what is not urgent when a large part of the neighbours vanishes in a short time: most likely it is this
/// node that lost its network, or the network is cut in two, and then everything would be rebuilt for nothing.
#[derive(Clone, Debug)]
pub struct Brake {
    window: Duration,
    freeze: Duration,
    percent: u64,
    departures: VecDeque<Moment>,
    frozen_until: Moment,
}

impl Brake {
    /// A brake that holds for `freeze` when more than `percent` of the neighbours vanish within `window`.
    pub fn new(percent: u64, window: Duration, freeze: Duration) -> Self {
        Self { window, freeze, percent, departures: VecDeque::new(), frozen_until: Moment(0) }
    }

    /// A neighbour vanished; `neighbours` is how many there were, it included.
    pub fn vanished(&mut self, now: Moment, neighbours: usize) {
        self.departures.push_back(now);
        while self.departures.front().is_some_and(|at| now.since(*at) > self.window)
            || self.departures.len() > MAX_REMEMBERED
        {
            self.departures.pop_front();
        }
        let share = self.departures.len() as u64 * 100;
        if self.departures.len() >= FEWEST && share > self.percent * neighbours as u64 {
            self.frozen_until = self.frozen_until.max(now.after(self.freeze));
        }
    }

    /// Until when it holds, if it does.
    pub fn holds(&self, now: Moment) -> Option<Moment> {
        (self.frozen_until > now).then_some(self.frozen_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brake() -> Brake {
        Brake::new(10, Duration::from_secs(600), Duration::from_secs(1800))
    }

    #[test]
    fn a_few_departures_over_time_do_not_pull_it() {
        let mut brake = brake();
        for minute in 0..60u64 {
            brake.vanished(Moment(minute * 180_000), 40);
            assert_eq!(brake.holds(Moment(minute * 180_000)), None);
        }
        // Two at once in a network of five are no mass failure either.
        let mut small = self::brake();
        small.vanished(Moment(0), 5);
        small.vanished(Moment(1), 4);
        assert_eq!(small.holds(Moment(1)), None);
    }

    #[test]
    fn many_at_once_pull_it_and_it_lets_go() {
        let mut brake = brake();
        for _ in 0..5 {
            brake.vanished(Moment(1000), 40);
        }
        assert_eq!(brake.holds(Moment(1000)), Some(Moment(1_801_000)));
        assert_eq!(brake.holds(Moment(1_801_000)), None);
    }
}
