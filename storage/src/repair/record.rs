//! What a holder knows of the other shards of a chunk.

use std::fmt;
use std::time::Duration;

use super::moment::Moment;
use super::need::Patience;
use crate::redundancy::Redundancy;
use crate::shard_set::ShardSet;

/// The beginning of a node's id: enough to tell the few hundred nodes near a key apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(pub [u8; 8]);

impl fmt::Display for Holder {
    /// The 8 bytes in lower-case hex.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// What one node said about one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who was asked.
    pub holder: Holder,
    /// The shards it holds; `None` if it did not answer.
    pub held: Option<ShardSet>,
}

/// The last that was seen of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nobody has been seen with it yet, since so long.
    Never(Moment),
    /// A node showed it in the last survey that asked for it.
    Held(Holder),
    /// A node had it and does not show it any more.
    Missing {
        /// Which.
        by: Holder,
        /// When it was missed first, or when the node was seen to go.
        since: Moment,
        /// The node lives and says that it has it not: its disk lost it, or it was told to drop it.
        denied: bool,
    },
}

/// Whether a shard can be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShardState {
    /// It was there when last asked for.
    Present,
    /// Missing for a short while: most likely its node restarts.
    Silent,
    /// Missing for longer. Counts half.
    Suspect,
    /// Missing for so long that it is not expected back, or its node says that it has it no more.
    Lost,
}

/// How many shards are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// See [`ShardState::Present`].
    pub present: u8,
    /// See [`ShardState::Silent`].
    pub silent: u8,
    /// See [`ShardState::Suspect`].
    pub suspect: u8,
    /// See [`ShardState::Lost`].
    pub lost: u8,
}

/// What a holder knows of a chunk: how it is coded, and the last that was seen of each shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRecord {
    redundancy: Redundancy,
    shard_len: u32,
    surveyed: Moment,
    sights: Vec<Sight>,
}

const VERSION: u8 = 1;
const HEADER_LEN: usize = 15;
const SIGHT_LEN: usize = 17;
/// Stands where no holder belongs.
const NOBODY: Holder = Holder([0; 8]);

impl ChunkRecord {
    /// A chunk of which nothing is known yet.
    pub fn new(redundancy: Redundancy, shard_len: u32, now: Moment) -> Self {
        let sights = vec![Sight::Never(now); usize::from(redundancy.n())];
        Self { redundancy, shard_len, surveyed: Moment(0), sights }
    }

    /// How the chunk is coded.
    pub fn redundancy(&self) -> Redundancy {
        self.redundancy
    }

    /// Bytes of each shard.
    pub fn shard_len(&self) -> u32 {
        self.shard_len
    }

    /// When the holders were asked last; 0 for never.
    pub fn surveyed(&self) -> Moment {
        self.surveyed
    }

    /// The last that was seen of each shard, by index.
    pub fn sights(&self) -> &[Sight] {
        &self.sights
    }

    /// The nodes that showed a shard when they were asked last.
    pub fn holders(&self) -> impl Iterator<Item = Holder> + '_ {
        self.sights.iter().filter_map(|sight| match sight {
            Sight::Held(holder) => Some(*holder),
            Sight::Never(_) | Sight::Missing { .. } => None,
        })
    }

    /// Takes in what nodes said just now. A holder that is not among them counts as one that did not answer. `gone`
    /// tells since when a node is known to be away, which may be earlier than this survey.
    pub fn observe(&mut self, now: Moment, answers: &[Answer], gone: impl Fn(Holder) -> Option<Moment>) {
        let first = self.surveyed == Moment(0);
        for (index, sight) in self.sights.iter_mut().enumerate() {
            let shows = |answer: &&Answer| answer.held.is_some_and(|held| held.contains(index as u8));
            // Whoever had it last first, so that surplus copies do not make records flutter.
            let last = match sight {
                Sight::Held(by) | Sight::Missing { by, .. } => Some(*by),
                Sight::Never(_) => None,
            };
            let mut shown = answers.iter().filter(shows).map(|answer| answer.holder);
            let holder = match last {
                Some(last) if shown.clone().any(|holder| holder == last) => Some(last),
                _ => shown.next(),
            };
            let answered =
                |by: Holder| answers.iter().any(|answer| answer.holder == by && answer.held.is_some());
            *sight = match (holder, *sight) {
                (Some(holder), _) => Sight::Held(holder),
                // The clock starts with the first survey: before it nobody could have been seen.
                (None, Sight::Never(since)) => Sight::Never(if first { now } else { since }),
                (None, Sight::Held(by)) => {
                    let since = gone(by).map_or(now, |since| since.min(now));
                    Sight::Missing { by, since, denied: answered(by) }
                }
                (None, Sight::Missing { by, since, denied }) => {
                    Sight::Missing { by, since, denied: denied || answered(by) }
                }
            };
        }
        self.surveyed = now;
    }

    /// What has become of a shard; `Lost` for one that the chunk does not have.
    pub fn state(&self, index: u8, now: Moment, patience: &Patience) -> ShardState {
        let missing = |since: Moment| match now.since(since) {
            age if age < patience.suspect_after => ShardState::Silent,
            age if age < patience.lost_after => ShardState::Suspect,
            _ => ShardState::Lost,
        };
        match self.sights.get(usize::from(index)) {
            Some(Sight::Held(_)) => ShardState::Present,
            Some(Sight::Missing { denied: true, .. }) | None => ShardState::Lost,
            Some(Sight::Missing { since, .. } | Sight::Never(since)) => missing(*since),
        }
    }

    /// How long a missing shard has been lost; `None` if it is not.
    pub(super) fn lost_for(&self, index: u8, now: Moment, patience: &Patience) -> Option<Duration> {
        match self.sights.get(usize::from(index))? {
            Sight::Held(_) => None,
            Sight::Missing { since, denied: true, .. } => Some(now.since(*since)),
            Sight::Missing { since, .. } | Sight::Never(since) => {
                now.since(*since).checked_sub(patience.lost_after)
            }
        }
    }

    /// The record of another node, whose clock shows `theirs` while ours shows `ours`.
    pub fn on_another_clock(mut self, theirs: Moment, ours: Moment) -> Self {
        let shift = |at: Moment| Moment(ours.0.saturating_sub(theirs.0.saturating_sub(at.0)));
        for sight in &mut self.sights {
            match sight {
                Sight::Held(_) => {}
                Sight::Never(since) | Sight::Missing { since, .. } => *since = shift(*since),
            }
        }
        if self.surveyed != Moment(0) {
            self.surveyed = shift(self.surveyed);
        }
        self
    }

    /// How many shards are in which state.
    pub fn census(&self, now: Moment, patience: &Patience) -> Census {
        let mut census = Census::default();
        for index in 0..self.redundancy.n() {
            *match self.state(index, now, patience) {
                ShardState::Present => &mut census.present,
                ShardState::Silent => &mut census.silent,
                ShardState::Suspect => &mut census.suspect,
                ShardState::Lost => &mut census.lost,
            } += 1;
        }
        census
    }

    /// As the ledger keeps it: version, k, n, shard length, time of the last survey, and 17 bytes for each shard
    /// (kind, holder, time). Numbers are little endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + SIGHT_LEN * self.sights.len());
        out.extend([VERSION, self.redundancy.k(), self.redundancy.n()]);
        out.extend(self.shard_len.to_le_bytes());
        out.extend(self.surveyed.0.to_le_bytes());
        for sight in &self.sights {
            let (kind, holder, since) = match *sight {
                Sight::Never(since) => (0, NOBODY, since),
                Sight::Held(holder) => (1, holder, Moment(0)),
                Sight::Missing { by, since, denied: false } => (2, by, since),
                Sight::Missing { by, since, denied: true } => (3, by, since),
            };
            out.push(kind);
            out.extend(holder.0);
            out.extend(since.0.to_le_bytes());
        }
        out
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` for anything else, which is then as good as no record.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, mut rest) = bytes.split_at_checked(HEADER_LEN)?;
        let redundancy = Redundancy::new(header[1], header[2]).ok()?;
        if header[0] != VERSION || rest.len() != SIGHT_LEN * usize::from(redundancy.n()) {
            return None;
        }
        let shard_len = u32::from_le_bytes(header[3..7].try_into().ok()?);
        let surveyed = Moment(u64::from_le_bytes(header[7..15].try_into().ok()?));
        let mut sights = Vec::with_capacity(redundancy.n().into());
        while let Some((sight, after)) = rest.split_at_checked(SIGHT_LEN) {
            let by = Holder(sight[1..9].try_into().ok()?);
            let since = Moment(u64::from_le_bytes(sight[9..17].try_into().ok()?));
            sights.push(match (sight[0], by, since) {
                (0, NOBODY, since) => Sight::Never(since),
                (1, by, Moment(0)) => Sight::Held(by),
                (2, by, since) => Sight::Missing { by, since, denied: false },
                (3, by, since) => Sight::Missing { by, since, denied: true },
                _ => return None,
            });
            rest = after;
        }
        Some(Self { redundancy, shard_len, surveyed, sights })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Patience = Patience {
        suspect_after: Duration::from_millis(10),
        lost_after: Duration::from_millis(100),
        restore_after: Duration::from_millis(1000),
    };

    fn holder(n: u8) -> Holder {
        Holder([n; 8])
    }

    /// A holder's answer, with the shards it shows as bits.
    fn answer(n: u8, held: Option<u128>) -> Answer {
        Answer { holder: holder(n), held: held.map(ShardSet::from_bits) }
    }

    fn record() -> ChunkRecord {
        ChunkRecord::new(Redundancy::new(2, 4).unwrap(), 100, Moment(0))
    }

    #[test]
    fn a_silent_holder_grows_suspect_and_lost_and_counts_at_once_when_it_returns() {
        let mut record = record();
        let all = [answer(1, Some(1)), answer(2, Some(2)), answer(3, Some(4)), answer(4, Some(8))];
        record.observe(Moment(5), &all, |_| None);
        assert_eq!(record.census(Moment(5), &PATIENCE).present, 4);
        record.observe(Moment(20), &[all[0], all[1], all[2], answer(4, None)], |_| None);
        for (now, state) in [(20, ShardState::Silent), (30, ShardState::Suspect), (120, ShardState::Lost)] {
            assert_eq!(record.state(3, Moment(now), &PATIENCE), state);
        }
        record.observe(Moment(500), &all, |_| None);
        assert_eq!(record.state(3, Moment(500), &PATIENCE), ShardState::Present);
    }

    /// Found by fuzzing: what has no meaning was ignored, so that other bytes passed for the same record.
    #[test]
    fn a_record_is_written_in_one_way_only() {
        let mut record = record();
        record.observe(Moment(5), &[answer(1, Some(1))], |_| None);
        let bytes = record.encode();
        assert_eq!(ChunkRecord::decode(&bytes).as_ref(), Some(&record));
        let (held, never) = (HEADER_LEN, HEADER_LEN + SIGHT_LEN);
        assert_eq!((bytes[held], bytes[never]), (1, 0));
        for without_meaning in [held + 9, never + 1] {
            let mut other = bytes.clone();
            other[without_meaning] ^= 1;
            assert_eq!(ChunkRecord::decode(&other), None, "byte {without_meaning}");
        }
    }

    #[test]
    fn another_clock_does_not_change_how_long_ago_something_was() {
        let mut record = record();
        record.observe(Moment(1000), &[answer(1, Some(1))], |_| None);
        let moved = record.on_another_clock(Moment(1050), Moment(9_000_000));
        assert_eq!(moved.surveyed(), Moment(8_999_950));
        assert_eq!(moved.state(1, Moment(9_000_000), &PATIENCE), ShardState::Suspect);
        let never = self::record().on_another_clock(Moment(1050), Moment(9_000_000));
        assert_eq!(never.surveyed(), Moment(0), "never is never on any clock");
    }

    #[test]
    fn who_lives_and_denies_has_lost_it_at_once() {
        let mut record = record();
        record.observe(Moment(1), &[answer(1, Some(0b11))], |_| None);
        record.observe(Moment(2), &[answer(1, Some(0b01))], |_| None);
        assert_eq!(record.state(1, Moment(2), &PATIENCE), ShardState::Lost);
        assert_eq!(record.state(0, Moment(2), &PATIENCE), ShardState::Present);
    }

    #[test]
    fn what_was_denied_stays_lost_while_its_holder_is_silent() {
        let mut record = record();
        record.observe(Moment(1), &[answer(1, Some(1))], |_| None);
        record.observe(Moment(2), &[answer(1, Some(0))], |_| None);
        for now in 3..6 {
            record.observe(Moment(now), &[answer(1, None)], |_| None);
            assert_eq!(record.state(0, Moment(now), &PATIENCE), ShardState::Lost);
        }
    }

    #[test]
    fn a_surplus_copy_does_not_change_whose_shard_it_is() {
        let mut record = record();
        record.observe(Moment(1), &[answer(2, Some(1))], |_| None);
        record.observe(Moment(2), &[answer(1, Some(1)), answer(2, Some(1))], |_| None);
        assert_eq!(record.sights()[0], Sight::Held(holder(2)));
        record.observe(Moment(3), &[answer(1, Some(1)), answer(2, Some(0))], |_| None);
        assert_eq!(record.sights()[0], Sight::Held(holder(1)));
    }

    #[test]
    fn what_nobody_ever_showed_is_missed_from_the_first_survey_on() {
        let mut record = record();
        record.observe(Moment(500), &[], |_| None);
        assert_eq!(record.state(0, Moment(500), &PATIENCE), ShardState::Silent);
        record.observe(Moment(509), &[], |_| None);
        assert_eq!(record.state(0, Moment(510), &PATIENCE), ShardState::Suspect);
    }

    #[test]
    fn a_departure_seen_before_the_survey_is_when_the_clock_starts() {
        let mut record = record();
        record.observe(Moment(1), &[answer(1, Some(1))], |_| None);
        record.observe(Moment(150), &[], |by| (by == holder(1)).then_some(Moment(40)));
        assert_eq!(record.state(0, Moment(150), &PATIENCE), ShardState::Lost);
        // A wrong clock elsewhere does not put it into the future.
        let mut record = self::record();
        record.observe(Moment(1), &[answer(1, Some(1))], |_| None);
        record.observe(Moment(150), &[], |_| Some(Moment(9999)));
        assert_eq!(record.state(0, Moment(150), &PATIENCE), ShardState::Silent);
    }

    proptest! {
        #[test]
        fn records_round_trip_and_damage_is_noticed_or_harmless(
            k in 1u8..20, more in 0u8..20,
            surveys in prop::collection::vec(prop::collection::vec((0u8..40, prop::option::of(any::<u128>())), 0..30), 0..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let redundancy = Redundancy::new(k, k + more).unwrap();
            let mut record = ChunkRecord::new(redundancy, 77, Moment(3));
            for (time, survey) in surveys.iter().enumerate() {
                let answers: Vec<Answer> = survey.iter().map(|(n, held)| answer(*n, *held)).collect();
                record.observe(Moment(time as u64 * 50), &answers, |_| None);
                let census = record.census(Moment(time as u64 * 50), &PATIENCE);
                let sum = census.present + census.silent + census.suspect + census.lost;
                prop_assert_eq!(sum, redundancy.n());
                // Every shard that somebody showed is present, and no other.
                for index in 0..redundancy.n() {
                    let shown = answers.iter().any(|a| a.held.is_some_and(|held| held.contains(index)));
                    let present = record.state(index, Moment(0), &PATIENCE) == ShardState::Present;
                    prop_assert_eq!(shown, present);
                }
            }
            let bytes = record.encode();
            prop_assert_eq!(ChunkRecord::decode(&bytes), Some(record));
            let cut = cut.index(bytes.len());
            prop_assert_eq!(ChunkRecord::decode(&bytes[..cut]), None);
        }
    }
}
