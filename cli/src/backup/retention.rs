//! Which snapshots a policy keeps, and why. The rules are those of restic's `forget`, which people have in their
//! scripts.
//!
//! Pure: the snapshots of one group, the policy, the time and the calendar go in; for each snapshot the reasons to keep
//! it come out. Snapshots are looked at from the newest to the oldest. Every rule that counts keeps the newest of each
//! hour, day, week ... in which there is one, until its count is used up; units without a snapshot use nothing up. So
//! `--keep-daily 7` keeps snapshots of the last seven days that have any.

#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use chordage_api::types::SnapshotInfo;

use super::calendar::{Calendar, Period};
use super::filter::Tags;

/// A unit of the calendar of which the newest snapshot is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Every {
    /// No unit: each snapshot is one of its own.
    Snapshot,
    Hour,
    Day,
    /// From Monday to Sunday, as ISO 8601 counts them.
    Week,
    Month,
    Year,
}

impl Every {
    fn word(self) -> &'static str {
        match self {
            Every::Snapshot => "last",
            Every::Hour => "hourly",
            Every::Day => "daily",
            Every::Week => "weekly",
            Every::Month => "monthly",
            Every::Year => "yearly",
        }
    }

    /// What moments of one unit have in common and others have not. `place` is that of the snapshot.
    fn unit(self, seconds: i64, place: usize, calendar: &Calendar) -> Unit {
        let date = match (self, calendar.date(seconds)) {
            // A time beyond all calendars is a unit of its own: nothing is forgotten because of it.
            (Every::Snapshot, _) | (_, None) => return Unit::Itself(place),
            (_, Some(date)) => date,
        };
        match self {
            Every::Week => {
                let week = date.iso_week_date();
                Unit::Of(week.year(), week.week(), 0, 0)
            }
            Every::Year => Unit::Of(date.year(), 0, 0, 0),
            Every::Month => Unit::Of(date.year(), date.month(), 0, 0),
            Every::Day => Unit::Of(date.year(), date.month(), date.day(), 0),
            _ => Unit::Of(date.year(), date.month(), date.day(), date.hour()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Itself(usize),
    Of(i16, i8, i8, i8),
}

/// How many of its kind a rule keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// So many.
    Count(NonZeroU32),
    /// All.
    Unlimited,
    /// All that are less old than that, seen from the newest snapshot of the group and not from now: a machine that is
    /// off for a year loses nothing by it.
    Within(Period),
}

/// A reason to keep snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The newest of every unit, within a bound.
    Newest(Every, Bound),
    /// Those with all of these tags.
    Tagged(Tags),
}

/// What becomes of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict<'a> {
    /// The snapshot.
    pub(crate) snapshot: &'a SnapshotInfo,
    /// Why it is kept; if there is no reason, it is not.
    pub(crate) reasons: Vec<String>,
}

impl Verdict<'_> {
    /// Whether it is kept.
    pub(crate) fn keeps(&self) -> bool {
        !self.reasons.is_empty()
    }
}

/// What is left of a rule when some snapshots have been looked at.
struct State<'a> {
    rule: &'a Rule,
    /// Snapshots that it may still keep; `None`: any number.
    left: Option<u32>,
    /// The unit of the last one that it has kept.
    unit: Option<Unit>,
    /// Only what is newer; `None`: any.
    after: Option<i64>,
}

/// Judges the snapshots of a group, which come with the newest first. `now` is seconds since 1970.
pub(crate) fn judge<'a>(
    group: &[&'a SnapshotInfo],
    policy: &[Rule],
    now: i64,
    calendar: &Calendar,
) -> Vec<Verdict<'a>> {
    // One from a clock that was ahead must not make all others look old.
    let newest = group.iter().map(|snapshot| snapshot.time).filter(|time| *time <= now).max();
    let mut states: Vec<State<'_>> = policy.iter().map(|rule| State::new(rule, newest, calendar)).collect();
    let verdicts = group.iter().enumerate().map(|(place, snapshot)| {
        let is_oldest = place + 1 == group.len();
        let mut reasons: Vec<String> = states
            .iter_mut()
            .filter_map(|state| state.reason(snapshot, place, is_oldest, calendar))
            .collect();
        let until = snapshot.locked_until.map(|until| i64::try_from(until).unwrap_or(i64::MAX));
        if let Some(until) = until.filter(|until| *until > now) {
            reasons.push(format!("locked until {}", calendar.show(until)));
        }
        Verdict { snapshot, reasons }
    });
    verdicts.collect()
}

impl<'a> State<'a> {
    fn new(rule: &'a Rule, newest: Option<i64>, calendar: &Calendar) -> Self {
        let (left, after) = match rule {
            Rule::Newest(_, Bound::Count(count)) => (Some(count.get()), None),
            Rule::Newest(_, Bound::Within(period)) => {
                (None, newest.map(|newest| calendar.before(newest, *period)))
            }
            _ => (None, None),
        };
        State { rule, left, unit: None, after }
    }

    /// Why the rule keeps the snapshot, if it does.
    fn reason(
        &mut self,
        snapshot: &SnapshotInfo,
        place: usize,
        is_oldest: bool,
        calendar: &Calendar,
    ) -> Option<String> {
        let (every, bound) = match self.rule {
            Rule::Tagged(tags) => return tags.are_on(snapshot).then(|| format!("has tags {tags}")),
            Rule::Newest(every, bound) => (*every, *bound),
        };
        if self.left == Some(0) || self.after.is_some_and(|after| snapshot.time <= after) {
            return None;
        }
        let unit = every.unit(snapshot.time, place, calendar);
        let word = every.word();
        let reason = match (self.unit == Some(unit), bound) {
            (false, Bound::Within(period)) if every == Every::Snapshot => format!("within {period}"),
            (false, Bound::Within(period)) => format!("{word} within {period}"),
            (false, _) => format!("{word} snapshot"),
            // While a count is not used up, the oldest snapshot is kept as well: it will be that of its unit one day.
            (true, Bound::Count(_)) if is_oldest => format!("oldest {word} snapshot"),
            (true, _) => return None,
        };
        self.unit = Some(unit);
        self.left = self.left.map(|left| left - 1);
        Some(reason)
    }
}
