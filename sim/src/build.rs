//! Networks built by the protocol's own joins.

use std::time::Duration;

use crate::world::{Occurrence, World};

/// Members that a joining node is told of.
pub(crate) const SEEDS: usize = 3;
/// Between two batches of newcomers.
const TICK: Duration = Duration::from_millis(100);
/// Newcomers per second and member. A network that doubles every 14 s is in a greater hurry than any real one.
const GROWTH_PER_SECOND: f64 = 0.05;

/// How building a network went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// Nodes that are members.
    pub members: usize,
    /// Virtual time it took.
    pub took: Duration,
}

impl World {
    /// Lets `count` nodes join, ever more at a time, waits up to two minutes for the last ones, and then `settle`.
    pub fn build_by_joins(&mut self, count: usize, settle: Duration) -> Built {
        let start = self.now();
        let mut added = 0;
        let mut members = 0;
        let mut debt = 1.0;
        while added < count {
            while debt >= 1.0 && added < count {
                let node = self.add();
                self.join_by_random(node, SEEDS);
                added += 1;
                debt -= 1.0;
            }
            members += self.count_joins(TICK, usize::MAX);
            // Growth goes by members: who is still joining brings nobody.
            debt += (members as f64 * GROWTH_PER_SECOND).max(2.0) * TICK.as_secs_f64();
        }
        members += self.count_joins(Duration::from_secs(120), count - members);
        self.run(settle);
        Built { members, took: self.now().since(start) }
    }

    /// Runs for a while, or until `enough` nodes have joined.
    fn count_joins(&mut self, duration: Duration, enough: usize) -> usize {
        let until = self.now() + duration;
        let mut joined = 0;
        while joined < enough {
            match self.next(until) {
                Some(Occurrence::Joined(_)) => joined += 1,
                Some(_) => {}
                None => break,
            }
        }
        joined
    }
}
