//! What is above the snapshots: directories in which they are found by id, time, host and tag.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chordage_api::types::SnapshotInfo;

use super::inodes::below;
use crate::backup::calendar::Calendar;
use crate::backup::choice::{LATEST, short};

/// Longest name that a directory can show.
const NAME_BYTES_MAX: usize = 255;

/// What is at a path above the snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A directory.
    Directory,
    /// A symbolic link to a snapshot of this time.
    Link { target: Vec<u8>, time: i64 },
    /// The root of a snapshot.
    Snapshot { id: Arc<str>, time: i64 },
}

/// See the module's description.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    directories: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Node>>,
    newest: i64,
}

impl View {
    /// That of so many snapshots, the oldest first.
    pub(super) fn of(snapshots: &[SnapshotInfo], calendar: &Calendar) -> Self {
        let newest = snapshots.iter().map(|snapshot| snapshot.time).max().unwrap_or_default();
        let mut view = View { directories: BTreeMap::new(), newest };
        for section in ["ids", "snapshots", "hosts", "tags"] {
            view.directory(section.as_bytes());
        }
        let (mut ids, mut times) = (BTreeSet::new(), BTreeSet::new());
        for snapshot in snapshots {
            let id = shortest(&snapshot.id, &ids);
            let time = dated(snapshot.time, calendar, &times);
            view.enter(snapshot, &id, &time);
            ids.insert(id);
            times.insert(time);
        }
        view
    }

    fn enter(&mut self, snapshot: &SnapshotInfo, id: &str, time: &str) {
        let root = Node::Snapshot { id: snapshot.id.as_str().into(), time: snapshot.time };
        self.directory(b"ids").insert(id.as_bytes().to_vec(), root);
        let mut places = vec![(b"snapshots".to_vec(), "..")];
        places.push((below(b"hosts", &name(&snapshot.host)), "../.."));
        places.extend(snapshot.tags.iter().map(|tag| (below(b"tags", &name(tag)), "../..")));
        for (path, up) in places {
            let target = format!("{up}/ids/{id}").into_bytes();
            let entries = self.directory(&path);
            entries.insert(time.as_bytes().to_vec(), Node::Link { target, time: snapshot.time });
            // The oldest comes first, so the last one to say so is the newest.
            let newest = Node::Link { target: time.as_bytes().to_vec(), time: snapshot.time };
            entries.insert(LATEST.as_bytes().to_vec(), newest);
        }
    }

    /// The directory at a path, which has one level or two; makes it if it is not there.
    fn directory(&mut self, path: &[u8]) -> &mut BTreeMap<Vec<u8>, Node> {
        let (parent, name) = match path.iter().position(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], path),
        };
        self.directories.entry(parent.to_vec()).or_default().insert(name.to_vec(), Node::Directory);
        self.directories.entry(path.to_vec()).or_default()
    }

    /// What is in the directory at a path.
    pub(super) fn entries(&self, path: &[u8]) -> Option<&BTreeMap<Vec<u8>, Node>> {
        self.directories.get(path)
    }

    /// When the newest snapshot was made.
    pub(super) fn newest(&self) -> i64 {
        self.newest
    }
}

/// The beginning of an id that no older snapshot has.
fn shortest(id: &str, taken: &BTreeSet<String>) -> String {
    let lengths = short(id).len()..id.len();
    let free = lengths.filter_map(|length| id.get(..length)).find(|part| !taken.contains(*part));
    free.unwrap_or(id).to_owned()
}

/// A time as restic writes it. Of the snapshots of one second, the second and the following ones have a number behind
/// it.
fn dated(seconds: i64, calendar: &Calendar, taken: &BTreeSet<String>) -> String {
    let text = calendar.stamp(seconds);
    if !taken.contains(&text) {
        return text;
    }
    (1u64..).map(|number| format!("{text}-{number}")).find(|name| !taken.contains(name)).unwrap_or(text)
}

/// A host or tag as a name. Whoever writes to the volume chose it.
fn name(text: &str) -> Vec<u8> {
    let mut name: Vec<u8> =
        text.bytes().map(|byte| if matches!(byte, b'/' | 0) { b'_' } else { byte }).collect();
    let mut length = name.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    name.truncate(length);
    match &name[..] {
        b"" | b"." | b".." => [b"_", &name[..]].concat(),
        _ => name,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::backup::filter::tests::snapshot;

    fn shown(view: &View, path: &str) -> Vec<String> {
        let entries = view.entries(path.as_bytes()).unwrap();
        let shown = entries.iter().map(|(name, node)| {
            let name = String::from_utf8_lossy(name);
            match node {
                Node::Link { target, .. } => format!("{name} -> {}", String::from_utf8_lossy(target)),
                _ => name.into_owned(),
            }
        });
        shown.collect()
    }

    #[test]
    fn snapshots_are_found_by_id_time_host_and_tag() {
        let all = [
            snapshot("aaaaaaaa1", 0, "one", &["x/y"]),
            snapshot("aaaaaaaa2", 60, "..", &["x/y", ""]),
            snapshot("bbbbbbbb3", 60, "one", &[]),
        ];
        let view = View::of(&all, &Calendar::of("UTC"));
        assert_eq!(shown(&view, ""), ["hosts", "ids", "snapshots", "tags"]);
        assert_eq!(shown(&view, "ids"), ["aaaaaaaa", "aaaaaaaa2", "bbbbbbbb"]);
        assert_eq!(
            shown(&view, "snapshots"),
            [
                "1970-01-01T00:00:00Z -> ../ids/aaaaaaaa",
                "1970-01-01T00:01:00Z -> ../ids/aaaaaaaa2",
                "1970-01-01T00:01:00Z-1 -> ../ids/bbbbbbbb",
                "latest -> 1970-01-01T00:01:00Z-1",
            ]
        );
        assert_eq!(shown(&view, "hosts"), ["_..", "one"]);
        assert_eq!(
            shown(&view, "hosts/one"),
            [
                "1970-01-01T00:00:00Z -> ../../ids/aaaaaaaa",
                "1970-01-01T00:01:00Z-1 -> ../../ids/bbbbbbbb",
                "latest -> 1970-01-01T00:01:00Z-1",
            ]
        );
        assert_eq!(shown(&view, "tags"), ["_", "x_y"]);
        assert_eq!(shown(&view, "tags/x_y").len(), 3);
        assert_eq!(view.newest(), 60);
        assert_eq!(shown(&View::of(&[], &Calendar::of("UTC")), "tags"), [""; 0]);
    }

    #[test]
    fn names_of_others_stay_names() {
        assert_eq!(name("a\0b/c"), b"a_b_c");
        assert_eq!(name("."), b"_.");
        let long = "\u{e9}".repeat(200);
        assert_eq!(name(&long), "\u{e9}".repeat(127).as_bytes());
    }
}
