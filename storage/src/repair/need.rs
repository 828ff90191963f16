//! Whether a chunk needs repair, and how soon.

use std::time::Duration;

use super::moment::Moment;
use super::record::{ChunkRecord, ShardState};

/// How long missing shards are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A shard missing for longer is suspect.
    pub suspect_after: Duration,
    /// A shard missing for longer is lost.
    pub lost_after: Duration,
    /// A chunk that is not in need otherwise gets its lost shards back when one has been lost for longer than this.
    /// The longer, the more losses share one rebuild.
    pub restore_after: Duration,
}

/// How pressing a repair is; the first is the most pressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Few shards are left: suspects count as lost, the byte budget may be overdrawn, the brake does not hold.
    Urgent,
    /// The threshold is reached.
    Normal,
    /// Nothing presses; what has been lost for long is put back.
    Restore,
}

/// What a chunk needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Every shard is present.
    Nothing,
    /// Something is missing and is waited for. The answer may be another one from this moment on.
    Wait(Moment),
    /// These shards should be made again.
    Repair {
        /// How pressing.
        lane: Lane,
        /// Their indices, in order; never empty.
        wanted: Vec<u8>,
    },
    /// Fewer than k shards are present: nothing can be made until some come back.
    Unreadable,
    /// The holders have never been asked: whether anything is missing is not known.
    Unknown,
}

/// What the chunk of `record` needs at `now`. Bounded: it looks at each shard a fixed number of times.
///
/// | | condition (m = n − k, T = k + ⌈m/2⌉) | what is rebuilt |
/// |---|---|---|
/// | urgent | something suspect or lost, and present + silent ≤ max(k, min(k + ⌈m/4⌉, T − 1)) | suspect and lost |
/// | normal | something lost, and present + silent + suspect/2 ≤ T | lost |
/// | restore | something lost for `restore_after` or longer | lost |
///
/// The first row that applies counts. A repair always rebuilds all shards of its row at once: decoding costs k shards
/// of traffic, however many shards are made from it.
pub fn assess(record: &ChunkRecord, now: Moment, patience: &Patience) -> Need {
    let redundancy = record.redundancy();
    let (k, n, threshold) = (redundancy.k(), redundancy.n(), redundancy.repair_threshold());
    let census = record.census(now, patience);
    if record.surveyed() == Moment(0) {
        return Need::Unknown;
    }
    if census.present == n {
        return Need::Nothing;
    }
    if census.present < k {
        return Need::Unreadable;
    }
    let in_state = |wanted: &[ShardState]| -> Vec<u8> {
        (0..n).filter(|index| wanted.contains(&record.state(*index, now, patience))).collect()
    };
    let hopeful = census.present + census.silent;
    if census.suspect + census.lost > 0 && hopeful <= redundancy.urgent_threshold() {
        let wanted = in_state(&[ShardState::Suspect, ShardState::Lost]);
        return Need::Repair { lane: Lane::Urgent, wanted };
    }
    if census.lost > 0 {
        let wanted = in_state(&[ShardState::Lost]);
        if 2 * u16::from(hopeful) + u16::from(census.suspect) <= 2 * u16::from(threshold) {
            return Need::Repair { lane: Lane::Normal, wanted };
        }
        let lost_for = |index: &u8| record.lost_for(*index, now, patience);
        if wanted.iter().filter_map(lost_for).any(|time| time >= patience.restore_after) {
            return Need::Repair { lane: Lane::Restore, wanted };
        }
    }
    Need::Wait(next_change(record, now, patience))
}

/// Whether more than half of the shards that the chunk of `record` can spare are not on live holders, whatever is done
/// about it; what cannot be read is. False for what was never surveyed.
pub fn is_at_risk(record: &ChunkRecord, now: Moment, patience: &Patience) -> bool {
    let present = record.census(now, patience).present;
    record.surveyed() != Moment(0) && present < record.redundancy().repair_threshold()
}

/// The first moment after `now` at which a missing shard enters another state or is due to be restored.
fn next_change(record: &ChunkRecord, now: Moment, patience: &Patience) -> Moment {
    use super::record::Sight;
    let mut next = Moment(u64::MAX);
    for sight in record.sights() {
        let changes = match *sight {
            Sight::Held(_) => continue,
            Sight::Missing { since, denied: true, .. } => [since.after(patience.restore_after); 3],
            Sight::Missing { since, .. } | Sight::Never(since) => {
                let lost = since.after(patience.lost_after);
                [since.after(patience.suspect_after), lost, lost.after(patience.restore_after)]
            }
        };
        for change in changes.into_iter().filter(|change| *change > now) {
            next = next.min(change);
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::{Answer, Holder};
    use super::*;
    use crate::redundancy::Redundancy;
    use crate::shard_set::ShardSet;

    const PATIENCE: Patience = Patience {
        suspect_after: Duration::from_millis(10),
        lost_after: Duration::from_millis(100),
        restore_after: Duration::from_millis(1000),
    };

    /// A chunk all of whose shards were there at 0, and of which so many are shown since 1.
    fn left(k: u8, n: u8, live: u8) -> ChunkRecord {
        let mut record = ChunkRecord::new(Redundancy::new(k, n).unwrap(), 100, Moment(0));
        let shown = |index: u8| Answer { holder: Holder([index; 8]), held: Some(ShardSet::of(index)) };
        let all: Vec<Answer> = (0..n).map(shown).collect();
        record.observe(Moment(0), &all, |_| None);
        record.observe(Moment(1), &all[..live.into()], |_| None);
        record
    }

    fn lane(k: u8, n: u8, live: u8, now: u64) -> Option<Lane> {
        match assess(&left(k, n, live), Moment(now), &PATIENCE) {
            Need::Repair { lane, .. } => Some(lane),
            _ => None,
        }
    }

    #[test]
    fn before_anybody_was_asked_nothing_is_known_to_be_lost() {
        let record = ChunkRecord::new(Redundancy::new(8, 20).unwrap(), 100, Moment(5));
        assert_eq!(assess(&record, Moment(5000), &PATIENCE), Need::Unknown);
    }

    #[test]
    fn the_lanes_of_8_of_20() {
        assert_eq!(assess(&left(8, 20, 20), Moment(1), &PATIENCE), Need::Nothing);
        assert_eq!(assess(&left(8, 20, 7), Moment(5000), &PATIENCE), Need::Unreadable);
        // Silent: nothing, however many.
        assert_eq!(lane(8, 20, 8, 5), None);
        // Suspect: only what is urgent.
        assert_eq!(lane(8, 20, 11, 50), Some(Lane::Urgent));
        assert_eq!(lane(8, 20, 12, 50), None);
        // Lost: up to the threshold, and later the rest.
        assert_eq!(lane(8, 20, 14, 200), Some(Lane::Normal));
        assert_eq!(lane(8, 20, 15, 200), None);
        assert_eq!(lane(8, 20, 15, 1200), Some(Lane::Restore));
    }

    #[test]
    fn more_than_half_of_what_can_be_spared_is_a_risk() {
        let is = |k, n, live| is_at_risk(&left(k, n, live), Moment(5), &PATIENCE);
        assert!(!is(8, 20, 14) && is(8, 20, 13) && is(8, 20, 7));
        assert!(!is(3, 6, 5) && is(3, 6, 4), "an odd number");
        assert!(!is(1, 1, 1) && is(1, 1, 0), "nothing can be spared");
        let unknown = ChunkRecord::new(Redundancy::new(8, 20).unwrap(), 100, Moment(5));
        assert!(!is_at_risk(&unknown, Moment(5000), &PATIENCE));
    }

    #[test]
    fn waiting_ends_when_something_changes() {
        let record = left(8, 20, 15);
        assert_eq!(assess(&record, Moment(5), &PATIENCE), Need::Wait(Moment(11)));
        assert_eq!(assess(&record, Moment(50), &PATIENCE), Need::Wait(Moment(101)));
        assert_eq!(assess(&record, Moment(150), &PATIENCE), Need::Wait(Moment(1101)));
    }

    proptest! {
        #[test]
        fn what_is_wanted_is_missing_and_more_loss_never_waits_longer(
            k in 1u8..20, more in 0u8..20, live in 0u8..40, now in 1u64..3000,
        ) {
            let n = k + more;
            let live = live.min(n);
            match assess(&left(k, n, live), Moment(now), &PATIENCE) {
                Need::Nothing => prop_assert_eq!(live, n),
                Need::Unknown => prop_assert!(false, "it was surveyed"),
                Need::Unreadable => prop_assert!(live < k),
                Need::Wait(until) => prop_assert!(until > Moment(now)),
                Need::Repair { lane, wanted } => {
                    prop_assert!(!wanted.is_empty() && wanted.iter().all(|index| *index >= live && *index < n));
                    // One shard less: at least as pressing, or beyond help.
                    if live > k {
                        prop_assert!(self::lane(k, n, live - 1, now).is_some_and(|worse| worse <= lane));
                    }
                }
            }
        }
    }
}
