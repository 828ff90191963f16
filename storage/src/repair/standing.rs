//! What audits have taught about holders: whose word counts, and which shards they only claim to have.

use std::collections::BTreeMap;
use std::time::Duration;

use super::moment::Moment;
use super::record::Holder;
use crate::ids::ChunkId;
use crate::shard_set::ShardSet;

/// Holders remembered; the one that was audited longest ago makes room.
const HOLDERS_MAX: usize = 1024;
/// Shards remembered as claimed only; the one noted first makes room.
const DISPROVED_MAX: usize = 4096;
/// Failures after which the share of them counts: one may be a disk that fails at this moment.
const FAILURES_MIN: u32 = 2;
/// A holder that fails more than this share of its audits is not believed. One that has dropped 5 % of its shards fails
/// at least one of 50 audits with probability 0.92, and two, which distrust takes ([`FAILURES_MIN`]), with 0.72.
const FAILURES_PERCENT: u32 = 3;
/// Questions left open in a row that count as a failure, when other questions are answered meanwhile.
const SILENCE_MAX: u32 = 4;
/// How long a holder is not believed after its last failure.
const DISTRUST: Duration = Duration::from_secs(30 * 24 * 3600);
/// Audits that are weighed; then both counts are halved, so that what was long ago counts less.
const WEIGHED_MAX: u32 = 1000;

/// How one question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It proved that it has the shard.
    Passed,
    /// It says that it has the shard no more, or that its disk has damaged it. Honest: the shard is lost, nothing else.
    Admitted,
    /// It sent something that proves nothing.
    Failed,
    /// It did not answer in time.
    Silent,
}

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    passed: u32,
    failed: u32,
    silent: u32,
    audited: Moment,
    failed_at: Moment,
}

/// What is known of every holder that was audited. Bounded; forgotten when the daemon ends.
#[derive(Clone, Debug, Default)]
pub struct Standings {
    holders: BTreeMap<Holder, Standing>,
    disproved: BTreeMap<(ChunkId, Holder), (ShardSet, Moment)>,
}

impl Standings {
    /// When a holder was audited last; 0 for never.
    pub fn audited(&self, holder: Holder) -> Moment {
        self.holders.get(&holder).map_or(Moment(0), |standing| standing.audited)
    }

    /// Holders that have been audited.
    pub fn len(&self) -> usize {
        self.holders.len()
    }

    /// Whether nobody has been audited.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// Records how an audit of shard `index` ended. Returns whether the shard is to be made again: its holder admits
    /// that it has lost it, failed to prove it, or has left too many questions in a row without an answer.
    pub fn judge(
        &mut self,
        holder: Holder,
        chunk: ChunkId,
        index: u8,
        verdict: Verdict,
        now: Moment,
    ) -> bool {
        if !self.holders.contains_key(&holder) && self.holders.len() >= HOLDERS_MAX {
            let oldest =
                self.holders.iter().min_by_key(|(_, standing)| standing.audited).map(|(who, _)| *who);
            oldest.map(|oldest| self.holders.remove(&oldest));
        }
        let standing = self.holders.entry(holder).or_default();
        standing.audited = now;
        let failed = match verdict {
            Verdict::Passed => {
                standing.passed += 1;
                standing.silent = 0;
                if let Some((indices, _)) = self.disproved.get_mut(&(chunk, holder)) {
                    *indices -= ShardSet::of(index);
                    if indices.is_empty() {
                        self.disproved.remove(&(chunk, holder));
                    }
                }
                false
            }
            Verdict::Admitted => {
                standing.silent = 0;
                return true;
            }
            Verdict::Failed => true,
            Verdict::Silent => {
                standing.silent += 1;
                standing.silent >= SILENCE_MAX
            }
        };
        if failed {
            standing.silent = 0;
            standing.failed += 1;
            standing.failed_at = now;
        }
        if standing.passed + standing.failed > WEIGHED_MAX {
            standing.passed /= 2;
            standing.failed /= 2;
        }
        if failed {
            if self.disproved.len() >= DISPROVED_MAX {
                let oldest = self.disproved.iter().min_by_key(|(_, (_, since))| *since).map(|(key, _)| *key);
                oldest.map(|oldest| self.disproved.remove(&oldest));
            }
            self.disproved.entry((chunk, holder)).or_insert((ShardSet::EMPTY, now)).0.insert(index);
        }
        failed
    }

    /// Whether what a holder says it has counts for nothing.
    pub fn distrusts(&self, holder: Holder, now: Moment) -> bool {
        self.holders.get(&holder).is_some_and(|standing| {
            let audits = standing.passed + standing.failed;
            standing.failed >= FAILURES_MIN
                && standing.failed * 100 > audits * FAILURES_PERCENT
                && now.since(standing.failed_at) < DISTRUST
        })
    }

    /// Holders whose word counts for nothing now.
    pub fn distrusted(&self, now: Moment) -> usize {
        self.holders.keys().filter(|holder| self.distrusts(**holder, now)).count()
    }

    /// What a holder says it has of a chunk, as far as that counts: shards that it failed to prove are left out, and
    /// one that is not believed might as well not have answered.
    pub fn believed(
        &self,
        holder: Holder,
        chunk: ChunkId,
        held: Option<ShardSet>,
        now: Moment,
    ) -> Option<ShardSet> {
        if self.distrusts(holder, now) {
            return None;
        }
        let disproved = self.disproved.get(&(chunk, holder)).map_or(ShardSet::EMPTY, |(indices, _)| *indices);
        held.map(|held| held - disproved)
    }

    /// Whether a holder may be given shards of a chunk: not if it is distrusted or has failed to prove one.
    pub fn may_take(&self, holder: Holder, chunk: ChunkId, now: Moment) -> bool {
        !self.distrusts(holder, now) && !self.disproved.contains_key(&(chunk, holder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: ChunkId = ChunkId([1; 32]);
    const LIAR: Holder = Holder([2; 8]);

    #[test]
    fn one_failure_costs_the_shard_and_two_the_standing() {
        let mut standings = Standings::default();
        assert!(standings.judge(LIAR, CHUNK, 3, Verdict::Failed, Moment(1)));
        assert_eq!(
            standings.believed(LIAR, CHUNK, Some(ShardSet::from_bits(0b1010)), Moment(1)),
            Some(ShardSet::from_bits(0b0010))
        );
        assert!(!standings.may_take(LIAR, CHUNK, Moment(1)));
        assert!(standings.may_take(LIAR, ChunkId([9; 32]), Moment(1)));
        assert!(standings.judge(LIAR, ChunkId([9; 32]), 0, Verdict::Failed, Moment(2)));
        assert!(standings.distrusts(LIAR, Moment(2)));
        assert_eq!(standings.believed(LIAR, CHUNK, Some(ShardSet::from_bits(0b1010)), Moment(2)), None);
        assert_eq!(standings.distrusted(Moment(2)), 1);
        let later = Moment(2).after(DISTRUST);
        assert!(!standings.distrusts(LIAR, later));
    }

    #[test]
    fn who_proves_it_after_all_is_believed_again() {
        let mut standings = Standings::default();
        standings.judge(LIAR, CHUNK, 3, Verdict::Failed, Moment(1));
        assert!(!standings.judge(LIAR, CHUNK, 3, Verdict::Passed, Moment(2)));
        assert_eq!(
            standings.believed(LIAR, CHUNK, Some(ShardSet::from_bits(8)), Moment(2)),
            Some(ShardSet::from_bits(8))
        );
    }

    #[test]
    fn who_proves_a_shard_may_be_given_others_of_its_chunk_again() {
        let mut standings = Standings::default();
        standings.judge(LIAR, CHUNK, 3, Verdict::Failed, Moment(1));
        standings.judge(LIAR, CHUNK, 4, Verdict::Passed, Moment(2));
        assert!(!standings.may_take(LIAR, CHUNK, Moment(2)), "not the one that it failed to prove");
        standings.judge(LIAR, CHUNK, 3, Verdict::Passed, Moment(3));
        assert!(standings.may_take(LIAR, CHUNK, Moment(3)));
    }

    #[test]
    fn silence_that_an_answer_interrupts_is_no_failure() {
        let mut standings = Standings::default();
        for _ in 0..10 {
            for verdict in [Verdict::Silent, Verdict::Silent, Verdict::Silent, Verdict::Passed] {
                assert!(!standings.judge(LIAR, CHUNK, 0, verdict, Moment(1)));
            }
        }
    }

    #[test]
    fn a_rare_failure_among_many_audits_is_forgiven_and_a_share_of_them_is_not() {
        let mut standings = Standings::default();
        for i in 0..400u64 {
            let verdict = if i % 100 == 0 { Verdict::Failed } else { Verdict::Passed };
            standings.judge(LIAR, CHUNK, (i % 4) as u8, verdict, Moment(i));
        }
        assert!(!standings.distrusts(LIAR, Moment(400)));
        for i in 0..40u64 {
            let verdict = if i % 4 == 0 { Verdict::Failed } else { Verdict::Passed };
            standings.judge(LIAR, CHUNK, 1, verdict, Moment(400 + i));
        }
        assert!(standings.distrusts(LIAR, Moment(440)));
    }

    #[test]
    fn honesty_costs_the_shard_only_and_silence_becomes_a_failure() {
        let mut standings = Standings::default();
        for i in 0..10 {
            assert!(standings.judge(LIAR, CHUNK, i, Verdict::Admitted, Moment(1)));
        }
        assert!(!standings.distrusts(LIAR, Moment(1)));
        let failures = (0..8).filter(|_| standings.judge(LIAR, CHUNK, 0, Verdict::Silent, Moment(2))).count();
        assert_eq!(failures, 2);
        assert!(standings.distrusts(LIAR, Moment(2)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut standings = Standings::default();
        for i in 0..6000u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&i.to_be_bytes());
            standings.judge(Holder(i.to_be_bytes()), ChunkId(id), 0, Verdict::Failed, Moment(i));
        }
        assert_eq!((standings.holders.len(), standings.disproved.len()), (HOLDERS_MAX, DISPROVED_MAX));
    }
}
