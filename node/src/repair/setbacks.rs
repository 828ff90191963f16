//! Repairs that could not be done: what is tried again without an end is tried ever less often, and told once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chordage_storage::ChunkId;
use chordage_storage::repair::Moment;

use super::rebuild::Unrepaired;

/// Before the second try; then twice as long each time.
const FIRST: Duration = Duration::from_secs(1);
/// The longest time between two tries.
const LONGEST: Duration = Duration::from_secs(300);
/// Chunks that are remembered. The one whose turn comes first makes room: it is tried next in any case.
const MAX: usize = 4096;

#[derive(Debug)]
struct Setback {
    /// Why the last try failed.
    why: Unrepaired,
    /// All that was told of this chunk.
    told: BTreeSet<Unrepaired>,
    /// Tries since the neighbourhood changed.
    tries: u32,
    /// Not before this.
    again: Moment,
}

/// The chunks whose last repair failed. Gone with the daemon.
#[derive(Debug, Default)]
pub(super) struct Setbacks {
    chunks: BTreeMap<ChunkId, Setback>,
}

impl Setbacks {
    /// A repair failed. Whether that is news: no repair of this chunk failed for this reason before.
    pub(super) fn note(&mut self, chunk: ChunkId, why: Unrepaired, now: Moment) -> bool {
        if !self.chunks.contains_key(&chunk) && self.chunks.len() >= MAX {
            let next = self.chunks.iter().min_by_key(|(_, setback)| setback.again).map(|(chunk, _)| *chunk);
            next.map(|next| self.chunks.remove(&next));
        }
        let first = || Setback { why, told: BTreeSet::new(), tries: 0, again: now };
        let setback = self.chunks.entry(chunk).or_insert_with(first);
        setback.why = why;
        setback.again = now.after(FIRST.saturating_mul(1 << setback.tries.min(16)).min(LONGEST));
        setback.tries = setback.tries.saturating_add(1);
        setback.told.insert(why)
    }

    /// Whether it is too early to try again.
    pub(super) fn hold_back(&self, chunk: &ChunkId, now: Moment) -> bool {
        self.chunks.get(chunk).is_some_and(|setback| now < setback.again)
    }

    /// The chunk was repaired, or need not be.
    pub(super) fn forget(&mut self, chunk: &ChunkId) {
        self.chunks.remove(chunk);
    }

    /// Neighbours came or went: what failed may succeed now.
    pub(super) fn try_all_again(&mut self) {
        for setback in self.chunks.values_mut() {
            setback.tries = 0;
            setback.again = Moment(0);
        }
    }

    /// How many chunks could not be repaired when this was tried last, by the reason.
    pub(super) fn by_reason(&self) -> BTreeMap<Unrepaired, u64> {
        let mut counts = BTreeMap::new();
        self.chunks.values().for_each(|setback| *counts.entry(setback.why).or_default() += 1);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: ChunkId = ChunkId([7; 32]);

    /// How long is waited after the next failure, in seconds.
    fn wait(setbacks: &mut Setbacks, now: Moment) -> u64 {
        setbacks.note(CHUNK, Unrepaired::NoPlace, now);
        let waits = |seconds: &u64| setbacks.hold_back(&CHUNK, now.after(Duration::from_secs(*seconds)));
        (0..).find(|seconds| !waits(seconds)).expect("it has an end")
    }

    #[test]
    fn what_fails_is_tried_ever_less_often_until_neighbours_come_or_go() {
        let mut setbacks = Setbacks::default();
        let now = Moment(1_000_000);
        let waits: Vec<u64> = (0..11).map(|_| wait(&mut setbacks, now)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        (0..100).for_each(|_| assert_eq!(wait(&mut setbacks, now), 300));
        setbacks.try_all_again();
        assert!(!setbacks.hold_back(&CHUNK, now));
        assert_eq!(wait(&mut setbacks, now), 1);
        setbacks.forget(&CHUNK);
        assert!(!setbacks.hold_back(&CHUNK, now) && setbacks.by_reason().is_empty());
    }

    #[test]
    fn each_reason_is_news_once() {
        let mut setbacks = Setbacks::default();
        let mut note = |why| setbacks.note(CHUNK, why, Moment(1));
        assert!(note(Unrepaired::NoPlace) && !note(Unrepaired::NoPlace));
        assert!(note(Unrepaired::TooFewShards) && !note(Unrepaired::NoPlace));
        setbacks.try_all_again();
        assert!(!setbacks.note(CHUNK, Unrepaired::NoPlace, Moment(2)), "neighbours come and go all the time");
        assert_eq!(setbacks.by_reason(), BTreeMap::from([(Unrepaired::NoPlace, 1)]));
        setbacks.forget(&CHUNK);
        assert!(setbacks.note(CHUNK, Unrepaired::NoPlace, Moment(3)), "it was repaired in between");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_waits_longest_stays() {
        let mut setbacks = Setbacks::default();
        for _ in 0..4 {
            setbacks.note(CHUNK, Unrepaired::NoPlace, Moment(5));
        }
        for number in 0..=MAX as u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            setbacks.note(ChunkId(id), Unrepaired::NoPlace, Moment(5));
        }
        assert_eq!(setbacks.chunks.len(), MAX);
        assert!(setbacks.chunks.contains_key(&CHUNK));
    }
}
