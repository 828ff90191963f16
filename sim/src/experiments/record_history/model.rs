//! What one record may have become, judged by what writers and readers were told.
//!
//! Versions that were acknowledged, or that a reader of a majority was told, lie on one chain, each naming the one
//! before it; and nobody who asks a majority is told less than what was known when it asked. That is all that matters
//! of a linearizable register with compare-and-set, and it can be judged while it runs.

use std::collections::BTreeMap;

use chordage_dht::{Held, RecordHash};

/// A version that somebody has been told of, so that nobody may see less later. The hash is not known after a
/// partition, in which both sides went on: then only the number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Floor {
    pub(super) seq: u64,
    pub(super) hash: Option<RecordHash>,
}

/// All that was ever written of one record.
#[derive(Debug, Default)]
pub(super) struct Versions {
    all: BTreeMap<RecordHash, (u64, Option<RecordHash>)>,
}

/// Why a history is impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("version {found} was told where version {known} had been known")]
    Backwards { found: u64, known: u64 },
    #[error("two versions have the number {seq}, and both were told")]
    Fork { seq: u64 },
    #[error("version {later} does not follow from version {earlier}, which had been known")]
    Lost { earlier: u64, later: u64 },
    #[error("nobody has written version {seq}")]
    Invented { seq: u64 },
    #[error("version {seq} names another version before it than the writer was told of")]
    Broken { seq: u64 },
}

impl Floor {
    pub(super) fn of(held: Option<&Held>) -> Self {
        held.map_or(Self::default(), |held| Self { seq: held.record.seq(), hash: Some(held.record.hash()) })
    }

    /// After a partition.
    pub(super) fn number(seq: u64) -> Self {
        Self { seq, hash: None }
    }
}

impl Versions {
    /// A writer will write this after what it was told of.
    pub(super) fn write(&mut self, seq: u64, hash: RecordHash, previous: Option<RecordHash>) {
        self.all.insert(hash, (seq, previous));
    }

    /// Somebody was told this; it must be one that was written, as it was written.
    pub(super) fn check_written(&self, held: Option<&Held>) -> Result<(), Violation> {
        let Some(record) = held.map(|held| &held.record) else { return Ok(()) };
        let seq = record.seq();
        let (number, previous) = self.all.get(&record.hash()).ok_or(Violation::Invented { seq })?;
        let before = previous.map_or(Some(0), |hash| self.all.get(&hash).map(|(seq, _)| *seq));
        if *number != seq || *previous != record.statement().previous || before != Some(seq - 1) {
            return Err(Violation::Broken { seq });
        }
        Ok(())
    }

    /// Whether what was told is at least what had been known, and follows from it.
    pub(super) fn check_follows(&self, told: Floor, known: Floor) -> Result<(), Violation> {
        if told.seq < known.seq {
            return Err(Violation::Backwards { found: told.seq, known: known.seq });
        }
        self.check_one_chain(told, known)
    }

    /// Whether both lie on one chain.
    pub(super) fn check_one_chain(&self, a: Floor, b: Floor) -> Result<(), Violation> {
        let (later, earlier) = if a.seq >= b.seq { (a, b) } else { (b, a) };
        let (Some(mut at), Some(sought)) = (later.hash, earlier.hash) else { return Ok(()) };
        if later.seq == earlier.seq {
            return if at == sought { Ok(()) } else { Err(Violation::Fork { seq: later.seq }) };
        }
        while let Some((seq, previous)) = self.all.get(&at) {
            if at == sought {
                return Ok(());
            }
            match previous {
                Some(previous) if *seq > earlier.seq => at = *previous,
                _ => break,
            }
        }
        Err(Violation::Lost { earlier: earlier.seq, later: later.seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> RecordHash {
        RecordHash([n; 32])
    }

    fn floor(seq: u64, n: u8) -> Floor {
        Floor { seq, hash: Some(hash(n)) }
    }

    /// 1 ← 2 ← 3, and 1 ← 4 ← 5 beside it.
    fn versions() -> Versions {
        let mut versions = Versions::default();
        versions.write(1, hash(1), None);
        versions.write(2, hash(2), Some(hash(1)));
        versions.write(3, hash(3), Some(hash(2)));
        versions.write(2, hash(4), Some(hash(1)));
        versions.write(3, hash(5), Some(hash(4)));
        versions
    }

    #[test]
    fn what_follows_is_let_pass_and_everything_else_is_found() {
        let versions = versions();
        let check = |told, known| versions.check_follows(told, known);
        assert_eq!(check(floor(3, 3), floor(1, 1)), Ok(()));
        assert_eq!(check(floor(3, 3), floor(3, 3)), Ok(()));
        assert_eq!(check(floor(3, 3), Floor::default()), Ok(()));
        assert_eq!(check(floor(1, 1), floor(2, 2)), Err(Violation::Backwards { found: 1, known: 2 }));
        assert_eq!(check(floor(3, 5), floor(3, 3)), Err(Violation::Fork { seq: 3 }));
        assert_eq!(check(floor(3, 5), floor(2, 2)), Err(Violation::Lost { earlier: 2, later: 3 }));
        assert_eq!(check(floor(3, 5), Floor::number(2)), Ok(()), "after a partition the number counts");
        assert_eq!(check(floor(1, 1), Floor::number(2)), Err(Violation::Backwards { found: 1, known: 2 }));
        assert_eq!(versions.check_one_chain(floor(1, 1), floor(3, 5)), Ok(()));
    }
}
