//! Snapshots of one thing over time: those of the same host and paths, unless somebody wants it otherwise.

use std::collections::BTreeMap;
use std::str::FromStr;

use chordage_api::types::SnapshotInfo;
use serde::Serialize;

/// By what snapshots are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupBy {
    host: bool,
    paths: bool,
    tags: bool,
}

impl Default for GroupBy {
    fn default() -> Self {
        GroupBy { host: true, paths: true, tags: false }
    }
}

impl FromStr for GroupBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut by = GroupBy { host: false, paths: false, tags: false };
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "host" | "hosts" => by.host = true,
                "path" | "paths" => by.paths = true,
                "tag" | "tags" => by.tags = true,
                _ => return Err(format!("`{word}` is none of host, paths and tags")),
            }
        }
        Ok(by)
    }
}

/// What the snapshots of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Group {
    /// Their host, if they are grouped by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// Their paths, sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) paths: Option<Vec<String>>,
    /// Their tags, sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<Vec<String>>,
}

impl Group {
    /// For a heading.
    pub(crate) fn describe(&self) -> String {
        let list = |what: &str, words: &[String]| format!("{what} [{}]", words.join(", "));
        let parts = [
            self.host.as_ref().map(|host| format!("host {host}")),
            self.paths.as_ref().map(|paths| list("paths", paths)),
            self.tags.as_ref().map(|tags| list("tags", tags)),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "all".to_owned() } else { parts.join(", ") }
    }
}

/// The groups of some snapshots, each with the newest first.
pub(crate) fn grouped(snapshots: &[SnapshotInfo], by: GroupBy) -> BTreeMap<Group, Vec<&SnapshotInfo>> {
    let sorted = |words: &[String]| {
        let mut words = words.to_vec();
        words.sort_unstable();
        words
    };
    let mut groups: BTreeMap<Group, Vec<&SnapshotInfo>> = BTreeMap::new();
    for snapshot in snapshots {
        let group = Group {
            host: by.host.then(|| snapshot.host.clone()),
            paths: by.paths.then(|| sorted(&snapshot.paths)),
            tags: by.tags.then(|| sorted(&snapshot.tags)),
        };
        groups.entry(group).or_default().push(snapshot);
    }
    for group in groups.values_mut() {
        newest_first(group);
    }
    groups
}

/// In the order in which a policy looks at them.
pub(crate) fn newest_first(snapshots: &mut [&SnapshotInfo]) {
    snapshots.sort_unstable_by(|a, b| b.in_time(a));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::filter::tests::snapshot;
    use super::*;

    #[test]
    fn what_is_of_one_host_and_the_same_paths_is_a_group() {
        let mut other = snapshot("d", 4, "one", &["x"]);
        other.paths = vec!["/etc".to_owned(), "/boot".to_owned()];
        let all = [
            snapshot("a", 1, "one", &[]),
            snapshot("b", 2, "two", &["x"]),
            snapshot("c", 3, "one", &["x"]),
            other,
        ];
        let ids = |by: &str| -> Vec<(String, String)> {
            let groups = grouped(&all, by.parse().unwrap());
            let ids = |group: &[&SnapshotInfo]| group.iter().map(|snapshot| snapshot.id.as_str()).collect();
            groups.iter().map(|(group, snapshots)| (group.describe(), ids(snapshots))).collect()
        };
        let text = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
        };
        assert_eq!(
            ids("host,paths"),
            text(&[
                ("host one, paths [/boot, /etc]", "d"),
                ("host one, paths [/home]", "ca"),
                ("host two, paths [/home]", "b")
            ])
        );
        assert_eq!(ids("host"), text(&[("host one", "dca"), ("host two", "b")]));
        assert_eq!(ids("tags"), text(&[("tags []", "a"), ("tags [x]", "dcb")]));
        assert_eq!(ids(""), text(&[("all", "dcba")]));
        assert!("host,size".parse::<GroupBy>().is_err());
    }

    #[test]
    fn of_one_second_the_last_that_was_entered_is_the_newest() {
        let mut all =
            [snapshot("c", 1, "one", &[]), snapshot("a", 1, "one", &[]), snapshot("b", 1, "one", &[])];
        for (snapshot, entered) in all.iter_mut().zip([1, 2, 2]) {
            snapshot.entered = entered;
        }
        let mut sorted: Vec<&SnapshotInfo> = all.iter().collect();
        newest_first(&mut sorted);
        let ids: String = sorted.iter().map(|snapshot| snapshot.id.as_str()).collect();
        assert_eq!(ids, "bac");
    }
}
