//! What a forget says: what is kept and why, and what is not.

use chordage_api::types::{PruneReport, SnapshotInfo};
use serde::Serialize;

use super::named;
use crate::backup::calendar::Calendar;
use crate::backup::groups::Group;
use crate::backup::retention::Verdict;
use crate::human;
use crate::name::shown;

/// What becomes of the snapshots of a group.
#[derive(Debug, Serialize)]
pub(super) struct GroupReport {
    #[serde(flatten)]
    group: Group,
    keep: Vec<Kept>,
    remove: Vec<SnapshotInfo>,
}

/// One that is kept, and why.
#[derive(Debug, Serialize)]
struct Kept {
    #[serde(flatten)]
    snapshot: SnapshotInfo,
    reasons: Vec<String>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    dry_run: bool,
    /// Snapshots that are kept, of those that the policy was about.
    kept: u64,
    /// Snapshots that were forgotten, or would be.
    removed: u64,
    groups: Vec<GroupReport>,
    /// What was pruned then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pruned: Option<PruneReport>,
}

impl Outcome {
    pub(super) fn new(dry_run: bool, groups: Vec<GroupReport>, pruned: Option<PruneReport>) -> Self {
        let kept = groups.iter().map(|group| group.keep.len() as u64).sum();
        let removed = groups.iter().map(|group| group.remove.len() as u64).sum();
        Outcome { dry_run, kept, removed, groups, pruned }
    }
}

impl GroupReport {
    /// What a policy says of it.
    pub(super) fn new(group: Group, verdicts: &[Verdict<'_>]) -> Self {
        let (keep, remove): (Vec<&Verdict<'_>>, Vec<_>) =
            verdicts.iter().partition(|verdict| verdict.keeps());
        let kept = |verdict: &Verdict<'_>| Kept {
            snapshot: verdict.snapshot.clone(),
            reasons: verdict.reasons.clone(),
        };
        GroupReport {
            group,
            keep: keep.into_iter().map(kept).collect(),
            remove: remove.into_iter().map(|verdict| verdict.snapshot.clone()).collect(),
        }
    }

    /// What was named is forgotten.
    pub(super) fn of_named(group: Group, snapshots: &[&SnapshotInfo]) -> Self {
        GroupReport {
            group,
            keep: Vec::new(),
            remove: snapshots.iter().map(|snapshot| (*snapshot).clone()).collect(),
        }
    }

    /// Ids of those that are forgotten.
    pub(super) fn forgotten(&self) -> impl Iterator<Item = &str> {
        self.remove.iter().map(|snapshot| snapshot.id.as_str())
    }

    /// For people.
    pub(super) fn lines(&self, dry_run: bool, calendar: &Calendar) -> Vec<String> {
        let snapshots = |number: usize| human::count(number as u64, "snapshot", "snapshots");
        let mut lines = Vec::new();
        if !self.keep.is_empty() {
            let group = shown(self.group.describe().as_bytes());
            lines.push(format!("{group}: keep {}", snapshots(self.keep.len())));
        }
        for kept in &self.keep {
            let reasons = shown(kept.reasons.join(", ").as_bytes());
            lines.push(format!("  {}  {reasons}", named(&kept.snapshot, calendar)));
        }
        if !self.remove.is_empty() {
            let verb = if dry_run { "would forget" } else { "forgotten:" };
            lines.push(format!("{verb} {}", snapshots(self.remove.len())));
        }
        lines.extend(self.remove.iter().map(|snapshot| format!("  {}", named(snapshot, calendar))));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_why_a_snapshot_is_kept() {
        let snapshot = |id: &str, time| SnapshotInfo {
            id: id.repeat(32),
            entered: 0,
            time,
            host: "laptop".to_owned(),
            user: "me".to_owned(),
            paths: vec!["/home/me".to_owned()],
            tags: Vec::new(),
            files: 1,
            dirs: 1,
            others: 0,
            bytes: 1,
            unreadable: 0,
            locked_until: None,
            forgotten: None,
        };
        let (newer, older) = (snapshot("ab", 86_400), snapshot("cd", 0));
        let verdicts = [
            Verdict {
                snapshot: &newer,
                reasons: vec!["last snapshot".to_owned(), "has tags [\u{202e}]".to_owned()],
            },
            Verdict { snapshot: &older, reasons: Vec::new() },
        ];
        let group = Group { host: Some("laptop".to_owned()), paths: Some(newer.paths.clone()), tags: None };
        let report = GroupReport::new(group, &verdicts);
        assert_eq!(
            report.lines(false, &Calendar::of("UTC")),
            [
                "host laptop, paths [/home/me]: keep 1 snapshot",
                r"  abababab  1970-01-02 00:00:00  last snapshot, has tags [\u{202e}]",
                "forgotten: 1 snapshot",
                "  cdcdcdcd  1970-01-01 00:00:00"
            ]
        );
        assert_eq!(report.forgotten().collect::<Vec<_>>(), [older.id.as_str()]);
        let json = serde_json::to_value(Outcome::new(true, vec![report], None)).expect("it is JSON");
        assert_eq!((json["kept"].as_u64(), json["removed"].as_u64()), (Some(1), Some(1)));
        let kept = &json["groups"][0]["keep"][0];
        assert_eq!(
            (kept["id"].as_str(), kept["reasons"][0].as_str()),
            (Some(&*newer.id), Some("last snapshot"))
        );
        assert_eq!(json["groups"][0]["remove"][0]["id"].as_str(), Some(&*older.id));
        assert_eq!(json["groups"][0]["host"], "laptop");
    }
}
