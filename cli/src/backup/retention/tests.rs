#![allow(clippy::unwrap_used)]

use super::super::filter::{tags, tests::snapshot};
use super::super::groups::newest_first;
use super::*;

/// When all of this is judged, unless a test says otherwise.
const NOW: &str = "2026-12-31 23:59:59";

fn berlin() -> Calendar {
    Calendar::of("Europe/Berlin")
}

fn count(every: Every, count: u32) -> Rule {
    Rule::Newest(every, Bound::Count(NonZeroU32::new(count).unwrap()))
}

fn within(every: Every, period: &str) -> Rule {
    Rule::Newest(every, Bound::Within(period.parse().unwrap()))
}

fn tagged(text: &str) -> Rule {
    Rule::Tagged(tags(text).unwrap())
}

/// Snapshots of these times; tags stand behind a `#`.
fn snapshots(times: &[&str]) -> Vec<SnapshotInfo> {
    let make = |time: &&str| {
        let (time, tags) = time.split_once('#').unwrap_or((time, ""));
        let tags: Vec<&str> = tags.split(',').filter(|tag| !tag.is_empty()).collect();
        snapshot(time.trim(), berlin().parse(time.trim()).unwrap(), "host", &tags)
    };
    times.iter().map(make).collect()
}

fn judged<'a>(snapshots: &'a [SnapshotInfo], policy: &[Rule]) -> Vec<Verdict<'a>> {
    let mut group: Vec<&SnapshotInfo> = snapshots.iter().collect();
    newest_first(&mut group);
    judge(&group, policy, berlin().parse(NOW).unwrap(), &berlin())
}

/// Checks what is kept, the newest first, and why.
#[track_caller]
fn keeps(times: &[&str], policy: &[Rule], expected: &[(&str, &str)]) {
    let snapshots = snapshots(times);
    let verdicts = judged(&snapshots, policy);
    let kept: Vec<(String, String)> = verdicts
        .iter()
        .filter(|verdict| verdict.keeps())
        .map(|verdict| (verdict.snapshot.id.clone(), verdict.reasons.join("; ")))
        .collect();
    let expected: Vec<(String, String)> =
        expected.iter().map(|(time, reasons)| (time.to_string(), reasons.to_string())).collect();
    assert_eq!(kept, expected);
}

#[test]
fn the_last_are_kept_whatever_their_times() {
    let times = ["2020-01-01 10:00", "2026-11-30 10:00", "2026-11-30 10:01", "2026-11-30 10:02"];
    keeps(
        &times,
        &[count(Every::Snapshot, 2)],
        &[("2026-11-30 10:02", "last snapshot"), ("2026-11-30 10:01", "last snapshot")],
    );
    keeps(&times[..1], &[count(Every::Snapshot, 2)], &[("2020-01-01 10:00", "last snapshot")]);
    keeps(&[], &[count(Every::Snapshot, 2)], &[]);
}

#[test]
fn nothing_is_kept_without_a_reason() {
    keeps(&["2026-11-30 10:00", "2026-11-29 10:00"], &[], &[]);
}

#[test]
fn the_newest_of_a_day_is_kept_and_days_without_one_do_not_count() {
    let times = [
        "2026-11-30 00:00",
        "2026-11-30 23:59",
        "2026-11-29 12:00",
        "2026-11-20 08:00",
        "2026-11-20 07:00",
        "2026-11-01 12:00",
        "2026-10-01 12:00",
    ];
    keeps(
        &times,
        &[count(Every::Day, 3)],
        &[
            ("2026-11-30 23:59", "daily snapshot"),
            ("2026-11-29 12:00", "daily snapshot"),
            ("2026-11-20 08:00", "daily snapshot"),
        ],
    );
}

#[test]
fn hours_are_those_of_the_clock_on_the_wall() {
    // 00:30 UTC is 01:30 in Berlin and of the next day already.
    let times = [
        "2026-11-30 10:00",
        "2026-11-30 10:59",
        "2026-11-30 09:59:59",
        "2026-11-29T23:30:00Z",
        "2026-11-29 23:59",
    ];
    keeps(
        &times,
        &[count(Every::Hour, 2)],
        &[("2026-11-30 10:59", "hourly snapshot"), ("2026-11-30 09:59:59", "hourly snapshot")],
    );
    keeps(
        &times,
        &[count(Every::Day, 2)],
        &[("2026-11-30 10:59", "daily snapshot"), ("2026-11-29 23:59", "daily snapshot")],
    );
}

#[test]
fn weeks_begin_on_monday_and_cross_the_year() {
    // 2026-12-28 is the Monday of week 53 of 2026, to which the first days of 2027 belong.
    let times = [
        "2026-12-31 10:00",
        "2026-12-28 00:00",
        "2026-12-27 23:59",
        "2026-12-21 10:00",
        "2021-01-03 10:00",
        "2020-12-28 10:00",
    ];
    keeps(
        &times,
        &[count(Every::Week, 3)],
        &[
            ("2026-12-31 10:00", "weekly snapshot"),
            ("2026-12-27 23:59", "weekly snapshot"),
            ("2021-01-03 10:00", "weekly snapshot"),
        ],
    );
}

#[test]
fn months_and_years_are_those_of_the_calendar() {
    let times = [
        "2026-11-01 00:00",
        "2026-10-31 23:59",
        "2026-10-01 10:00",
        "2025-11-30 10:00",
        "2025-01-01 10:00",
        "2024-12-31 10:00",
    ];
    keeps(
        &times,
        &[count(Every::Month, 3)],
        &[
            ("2026-11-01 00:00", "monthly snapshot"),
            ("2026-10-31 23:59", "monthly snapshot"),
            ("2025-11-30 10:00", "monthly snapshot"),
        ],
    );
    keeps(
        &times,
        &[count(Every::Year, 2)],
        &[("2026-11-01 00:00", "yearly snapshot"), ("2025-11-30 10:00", "yearly snapshot")],
    );
}

#[test]
fn the_oldest_is_kept_while_a_count_is_not_used_up() {
    let times = ["2026-11-30 10:00", "2026-11-30 09:00", "2026-11-30 08:00"];
    keeps(
        &times,
        &[count(Every::Day, 2)],
        &[("2026-11-30 10:00", "daily snapshot"), ("2026-11-30 08:00", "oldest daily snapshot")],
    );
    keeps(&times, &[count(Every::Day, 1)], &[("2026-11-30 10:00", "daily snapshot")]);
    let oldest_within = ["2026-11-30 10:00", "2026-11-30 09:00"];
    keeps(&oldest_within, &[within(Every::Day, "7d")], &[("2026-11-30 10:00", "daily within 7d")]);
}

#[test]
fn all_of_a_kind_can_be_kept() {
    let times = ["2026-11-30 10:00", "2026-11-30 09:00", "2026-11-01 10:00", "2025-11-01 10:00"];
    keeps(
        &times,
        &[Rule::Newest(Every::Month, Bound::Unlimited)],
        &[("2026-11-30 10:00", "monthly snapshot"), ("2025-11-01 10:00", "monthly snapshot")],
    );
}

#[test]
fn within_counts_from_the_newest_and_not_from_now() {
    let times = ["2021-05-10 12:00:00", "2021-05-03 12:00:01", "2021-05-03 12:00:00", "2021-04-01 12:00"];
    keeps(
        &times,
        &[within(Every::Snapshot, "7d")],
        &[("2021-05-10 12:00:00", "within 7d"), ("2021-05-03 12:00:01", "within 7d")],
    );
    keeps(
        &times,
        &[within(Every::Month, "2m")],
        &[("2021-05-10 12:00:00", "monthly within 2m"), ("2021-04-01 12:00", "monthly within 2m")],
    );
}

#[test]
fn a_clock_that_was_ahead_makes_no_snapshot_old() {
    let times = ["2030-01-01 10:00", "2026-11-30 10:00", "2026-11-25 10:00", "2026-11-01 10:00"];
    keeps(
        &times,
        &[within(Every::Snapshot, "7d")],
        &[
            ("2030-01-01 10:00", "within 7d"),
            ("2026-11-30 10:00", "within 7d"),
            ("2026-11-25 10:00", "within 7d"),
        ],
    );
    // If all are in the future nobody knows what is old.
    keeps(
        &["2031-01-01 10:00", "2030-01-01 10:00"],
        &[within(Every::Snapshot, "1d")],
        &[("2031-01-01 10:00", "within 1d"), ("2030-01-01 10:00", "within 1d")],
    );
}

#[test]
fn tags_keep_whatever_else_is_said() {
    let times = ["2026-11-30 10:00#a", "2026-11-29 10:00#a,b", "2026-11-28 10:00", "2026-11-27 10:00#c"];
    keeps(
        &times,
        &[tagged("a,b"), tagged("c"), count(Every::Snapshot, 1)],
        &[
            ("2026-11-30 10:00", "last snapshot"),
            ("2026-11-29 10:00", "has tags [a, b]"),
            ("2026-11-27 10:00", "has tags [c]"),
        ],
    );
    keeps(&times, &[tagged("")], &[("2026-11-28 10:00", "has tags []")]);
}

#[test]
fn a_snapshot_can_have_several_reasons() {
    let times = ["2026-11-30 10:00", "2026-11-29 10:00", "2026-10-31 10:00", "2025-12-31 10:00"];
    let policy = [
        count(Every::Snapshot, 1),
        count(Every::Day, 2),
        count(Every::Month, 2),
        count(Every::Year, 2),
        within(Every::Snapshot, "12h"),
    ];
    keeps(
        &times,
        &policy,
        &[
            (
                "2026-11-30 10:00",
                "last snapshot; daily snapshot; monthly snapshot; yearly snapshot; within 12h",
            ),
            ("2026-11-29 10:00", "daily snapshot"),
            ("2026-10-31 10:00", "monthly snapshot"),
            ("2025-12-31 10:00", "yearly snapshot"),
        ],
    );
}

#[test]
fn what_is_locked_is_kept_as_long_as_it_is() {
    let mut snapshots = snapshots(&["2026-11-30 10:00", "2026-11-29 10:00", "2026-11-28 10:00"]);
    let at = |text| u64::try_from(berlin().parse(text).unwrap()).unwrap();
    snapshots[1].locked_until = Some(at("2027-01-15 10:00"));
    snapshots[2].locked_until = Some(at(NOW));
    let verdicts = judged(&snapshots, &[count(Every::Snapshot, 1)]);
    let reasons: Vec<&[String]> = verdicts.iter().map(|verdict| &verdict.reasons[..]).collect();
    assert_eq!(
        reasons,
        [&["last snapshot".to_owned()][..], &["locked until 2027-01-15 10:00:00".to_owned()], &[]]
    );
}

#[test]
fn times_that_no_calendar_has_are_kept_as_units_of_their_own() {
    let snapshots = [
        snapshot("a", i64::MAX, "h", &[]),
        snapshot("b", i64::MAX, "h", &[]),
        snapshot("c", i64::MIN, "h", &[]),
    ];
    let verdicts = judged(&snapshots, &[Rule::Newest(Every::Year, Bound::Unlimited)]);
    assert!(verdicts.iter().all(Verdict::keeps), "{verdicts:?}");
}

#[test]
fn clocks_that_are_set_back_give_one_hour_and_not_two() {
    // The hour from two to three comes twice.
    let times = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"];
    keeps(
        &times,
        &[count(Every::Hour, 2)],
        &[("2026-10-25T02:30:00Z", "hourly snapshot"), ("2026-10-25T01:30:00Z", "hourly snapshot")],
    );
}
