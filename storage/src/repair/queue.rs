//! Repairs that wait, the riskiest first.

use std::collections::{BTreeMap, BTreeSet};

use super::moment::Moment;
use super::need::Lane;
use crate::ids::ChunkId;
use crate::shard_set::ShardSet;

/// One repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Of which chunk.
    pub chunk: ChunkId,
    /// How pressing.
    pub lane: Lane,
    /// Shards that can be lost before the chunk is: present − k.
    pub margin: u8,
    /// Not before this: the nodes that come first in the chunk's order get a head start.
    pub not_before: Moment,
    /// What it will move, in bytes, as far as is known.
    pub bytes: u64,
    /// Shards of which this node itself had one that it found damaged: they are made again however
    /// many others there are.
    pub damaged: ShardSet,
}

type Order = (Lane, u8, Moment, ChunkId);

impl Job {
    fn order(&self) -> Order {
        (self.lane, self.margin, self.not_before, self.chunk)
    }
}

/// A bounded queue with at most one job per chunk. What does not fit is found again by the next survey.
#[derive(Debug)]
pub struct Queue {
    capacity: usize,
    order: BTreeSet<Order>,
    jobs: BTreeMap<ChunkId, Job>,
}

impl Queue {
    /// An empty queue for so many jobs.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, order: BTreeSet::new(), jobs: BTreeMap::new() }
    }

    /// Adds a job, or brings the chunk's job up to date: its turn stays what it was if that came sooner, and damage
    /// adds up. If there is no room, the least pressing job is dropped.
    pub fn offer(&mut self, mut job: Job) {
        if let Some(old) = self.remove(&job.chunk) {
            job.not_before = job.not_before.min(old.not_before);
            job.damaged |= old.damaged;
            if !old.damaged.is_empty() {
                job.lane = job.lane.min(old.lane);
            }
        }
        self.order.insert(job.order());
        self.jobs.insert(job.chunk, job);
        if self.jobs.len() > self.capacity
            && let Some((.., chunk)) = self.order.pop_last()
        {
            self.jobs.remove(&chunk);
        }
    }

    /// Takes the most pressing job of those whose turn has come and whose lane `may` run.
    pub fn next(&mut self, now: Moment, may: impl Fn(Lane) -> bool) -> Option<Job> {
        let found = self.order.iter().find(|(lane, _, not_before, _)| *not_before <= now && may(*lane));
        let chunk = found?.3;
        self.remove(&chunk)
    }

    /// When the next job's turn comes, of those whose lane `may` run.
    pub fn next_turn(&self, may: impl Fn(Lane) -> bool) -> Option<Moment> {
        self.order.iter().filter(|(lane, ..)| may(*lane)).map(|(_, _, not_before, _)| *not_before).min()
    }

    /// Takes a chunk's job out, if it has one.
    pub fn remove(&mut self, chunk: &ChunkId) -> Option<Job> {
        let job = self.jobs.remove(chunk)?;
        self.order.remove(&job.order());
        Some(job)
    }

    /// Nothing of a chunk is missed, as far as its holders say: its job is taken out, unless it is about damage that
    /// was found.
    pub fn settle(&mut self, chunk: &ChunkId) {
        if self.jobs.get(chunk).is_some_and(|job| job.damaged.is_empty()) {
            self.remove(chunk);
        }
    }

    /// A chunk's job.
    pub fn get(&self, chunk: &ChunkId) -> Option<&Job> {
        self.jobs.get(chunk)
    }

    /// Jobs that wait.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Jobs that wait in a lane.
    pub fn len_of(&self, lane: Lane) -> usize {
        self.order.iter().filter(|(found, ..)| *found == lane).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(chunk: u8, lane: Lane, margin: u8, not_before: u64) -> Job {
        let not_before = Moment(not_before);
        Job { chunk: ChunkId([chunk; 32]), lane, margin, not_before, bytes: 1, damaged: ShardSet::EMPTY }
    }

    #[test]
    fn the_riskiest_goes_first_and_nobody_before_its_turn() {
        let mut queue = Queue::new(10);
        queue.offer(job(1, Lane::Restore, 0, 0));
        queue.offer(job(2, Lane::Normal, 3, 0));
        queue.offer(job(3, Lane::Normal, 1, 0));
        queue.offer(job(4, Lane::Urgent, 0, 50));
        let mut order = Vec::new();
        while let Some(job) = queue.next(Moment(10), |_| true) {
            order.push(job.chunk.0[0]);
        }
        assert_eq!(order, [3, 2, 1]);
        assert_eq!(queue.next_turn(|_| true), Some(Moment(50)));
        assert_eq!(queue.next(Moment(50), |lane| lane != Lane::Urgent), None);
        assert!(queue.next(Moment(50), |_| true).is_some() && queue.is_empty());
    }

    #[test]
    fn news_does_not_move_a_job_back_and_damage_adds_up() {
        let mut queue = Queue::new(10);
        queue.offer(Job { damaged: ShardSet::of(0), ..job(1, Lane::Normal, 5, 10) });
        queue.offer(Job { damaged: ShardSet::of(2), ..job(1, Lane::Restore, 4, 90) });
        let found = queue.next(Moment(10), |_| true).unwrap();
        assert_eq!((found.damaged, found.lane, found.margin), (ShardSet::from_iter([0, 2]), Lane::Normal, 4));
    }

    #[test]
    fn what_is_settled_waits_no_more_but_damage_does() {
        let mut queue = Queue::new(10);
        queue.offer(job(1, Lane::Restore, 5, 90));
        queue.offer(Job { damaged: ShardSet::of(0), ..job(2, Lane::Normal, 5, 90) });
        (0..3).for_each(|chunk| queue.settle(&ChunkId([chunk; 32])));
        assert_eq!((queue.len(), queue.next_turn(|_| true)), (1, Some(Moment(90))));
        assert!(queue.get(&ChunkId([2; 32])).is_some());
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_keeps_the_most_pressing(
            jobs in prop::collection::vec((any::<u8>(), 0u8..3, 0u8..20), 0..200),
        ) {
            let mut queue = Queue::new(16);
            let mut model = BTreeMap::new();
            for (chunk, lane, margin) in jobs {
                let lane = [Lane::Urgent, Lane::Normal, Lane::Restore][usize::from(lane)];
                // Each chunk once, so that the model stays a set.
                if model.insert(chunk, (lane, margin, Moment(0), ChunkId([chunk; 32]))).is_none() {
                    queue.offer(job(chunk, lane, margin, 0));
                } else {
                    model.remove(&chunk);
                    queue.remove(&ChunkId([chunk; 32]));
                }
                prop_assert!(queue.len() <= 16);
                if model.len() > 16 {
                    let worst = *model.values().max().unwrap();
                    model.retain(|_, order| *order != worst);
                }
            }
            let mut expected: Vec<_> = model.into_values().collect();
            expected.sort();
            let mut found = Vec::new();
            while let Some(job) = queue.next(Moment(0), |_| true) {
                found.push(job.order());
            }
            prop_assert_eq!(found, expected);
        }
    }
}
