//! What is going to happen, in the order of time.
//!
//! A calendar queue (Brown 1988): the near future is divided into buckets of a millisecond, and only the bucket that
//! is being emptied is kept sorted. Putting in and taking out cost the same for ten nodes and for a million, where a
//! heap would touch twenty places far apart. Things that happen at the same moment happen in the order in which they
//! were put in.

use std::{cmp::Reverse, collections::BinaryHeap};

use chordage_dht::Time;

/// Length of a bucket as a power of two, microseconds.
const BUCKET_BITS: u32 = 10;
/// Buckets: together 67 s, more than all but a few timers wait.
const BUCKETS: u64 = 1 << 16;

/// When something happens, how many things were planned before it, and where it is kept.
type Planned = (u64, u64, u32);

/// Things to happen.
#[derive(Debug)]
pub struct Queue<T> {
    /// Things themselves; they never move, only their keys do.
    kept: Vec<Option<T>>,
    free: Vec<u32>,
    buckets: Vec<Vec<Planned>>,
    /// Number of the bucket being emptied, counted from the start of time.
    current: u64,
    /// The rest of that bucket, the next one last.
    sorted: Vec<Planned>,
    /// What was planned for that bucket after it had been sorted.
    late: BinaryHeap<Reverse<Planned>>,
    /// What lies beyond the last bucket.
    far: BinaryHeap<Reverse<Planned>>,
    serial: u64,
    length: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            free: Vec::new(),
            buckets: (0..BUCKETS).map(|_| Vec::new()).collect(),
            current: 0,
            sorted: Vec::new(),
            late: BinaryHeap::new(),
            far: BinaryHeap::new(),
            serial: 0,
            length: 0,
        }
    }
}

impl<T> Queue<T> {
    /// How many things are planned.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is going to happen.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Plans something. The past counts as the present.
    pub fn push(&mut self, at: Time, thing: T) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.kept[slot as usize] = Some(thing);
                slot
            }
            None => {
                self.kept.push(Some(thing));
                (self.kept.len() - 1) as u32
            }
        };
        self.length += 1;
        self.serial += 1;
        self.file((at.as_micros(), self.serial, slot));
    }

    fn file(&mut self, planned: Planned) {
        let bucket = planned.0 >> BUCKET_BITS;
        if bucket <= self.current {
            self.late.push(Reverse(planned));
        } else if bucket - self.current < BUCKETS {
            self.buckets[(bucket % BUCKETS) as usize].push(planned);
        } else {
            self.far.push(Reverse(planned));
        }
    }

    /// Takes out the next thing, unless it happens after `until`.
    pub fn pop(&mut self, until: Time) -> Option<(Time, T)> {
        loop {
            let late = self.late.peek().map(|Reverse(planned)| *planned);
            let next = match (self.sorted.last().copied(), late) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            if let Some(next) = next {
                if next.0 > until.as_micros() {
                    return None;
                }
                if late == Some(next) {
                    self.late.pop();
                } else {
                    self.sorted.pop();
                }
                self.length -= 1;
                self.free.push(next.2);
                let thing = self.kept[next.2 as usize].take().expect("a planned slot holds its thing");
                return Some((Time::from_micros(next.0), thing));
            }
            if self.length == 0 || self.current >= until.as_micros() >> BUCKET_BITS {
                return None;
            }
            self.turn_page();
        }
    }

    fn turn_page(&mut self) {
        self.current += 1;
        // The bucket's old memory goes back to it for the next round.
        let bucket = &mut self.buckets[(self.current % BUCKETS) as usize];
        std::mem::swap(&mut self.sorted, bucket);
        self.sorted.sort_unstable_by(|a, b| b.cmp(a));
        while let Some(Reverse(planned)) = self.far.peek().copied() {
            if (planned.0 >> BUCKET_BITS) - self.current >= BUCKETS {
                break;
            }
            self.far.pop();
            self.file(planned);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn things_come_out_in_the_order_of_time_and_of_planning(
            plans in prop::collection::vec((0u64..200_000_000, 0u64..100_000_000), 1..300)
        ) {
            // Half of the things are planned while others come out.
            let mut queue = Queue::default();
            let mut expected = Vec::new();
            let mut serial = 0;
            for (at, _) in &plans {
                queue.push(Time::from_micros(*at), (*at, serial));
                expected.push((*at, serial));
                serial += 1;
            }
            let mut later = plans.iter();
            let mut seen = Vec::new();
            while let Some((now, thing)) = queue.pop(Time::from_micros(u64::MAX >> 1)) {
                prop_assert_eq!(now.as_micros(), thing.0);
                seen.push(thing);
                if let Some((_, wait)) = later.next() {
                    let at = now.as_micros() + wait;
                    queue.push(Time::from_micros(at), (at, serial));
                    expected.push((at, serial));
                    serial += 1;
                }
            }
            expected.sort_unstable();
            prop_assert_eq!(seen, expected);
            prop_assert!(queue.is_empty());
        }
    }

    #[test]
    fn nothing_comes_out_before_its_time() {
        let mut queue = Queue::default();
        queue.push(Time::from_micros(5_000), 'b');
        queue.push(Time::from_micros(1_000), 'a');
        assert_eq!(queue.pop(Time::from_micros(999)), None);
        assert_eq!(queue.pop(Time::from_micros(4_999)), Some((Time::from_micros(1_000), 'a')));
        assert_eq!(queue.pop(Time::from_micros(4_999)), None);
        queue.push(Time::from_micros(4_999), 'c');
        assert_eq!(queue.pop(Time::from_micros(5_000)), Some((Time::from_micros(4_999), 'c')));
        assert_eq!(queue.len(), 1);
    }
}
