//! Which snapshots a command is about: those of some hosts, with some tags, of some paths.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use chordage_api::types::SnapshotInfo;
use clap::Args;

/// Some tags, which a snapshot has to have all of. Written with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tags(Vec<String>);

impl Tags {
    /// Whether a snapshot has all of them. The empty tag stands for a snapshot without tags.
    pub(crate) fn are_on(&self, snapshot: &SnapshotInfo) -> bool {
        let untagged = snapshot.tags.is_empty() && self.0.iter().any(String::is_empty);
        untagged || self.0.iter().all(|tag| snapshot.tags.contains(tag))
    }

    /// The words themselves.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0.join(", "))
    }
}

/// `a,b` as clap reads it.
pub(crate) fn tags(text: &str) -> Result<Tags, String> {
    let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
    match words.len() > 1 && words.iter().any(String::is_empty) {
        true => Err("there is nothing between two commas".to_owned()),
        false => Ok(Tags(words)),
    }
}

/// Flags that say which snapshots a command is about.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FilterArgs {
    /// Only those of this host; may be given again
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<String>,
    /// Only those with this tag; may be given again
    ///
    /// TAG,TAG: with all of them; '': without tags.
    #[arg(long, value_name = "TAG[,TAG]", value_parser = tags)]
    pub(crate) tag: Vec<Tags>,
    /// Only those of this path; again: of all of them
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Vec<PathBuf>,
}

impl FilterArgs {
    /// Whether it lets everything through.
    pub(crate) fn is_empty(&self) -> bool {
        self.host.is_empty() && self.tag.is_empty() && self.path.is_empty()
    }

    /// Whether it lets a snapshot through.
    pub(crate) fn takes(&self, snapshot: &SnapshotInfo) -> bool {
        let host = self.host.is_empty() || self.host.contains(&snapshot.host);
        let tag = self.tag.is_empty() || self.tag.iter().any(|tags| tags.are_on(snapshot));
        host && tag && self.path.iter().all(|path| is_of(snapshot, path))
    }
}

/// Whether a path is one of those that were backed up. It may be written through symbolic links.
fn is_of(snapshot: &SnapshotInfo, path: &Path) -> bool {
    [plain(path), real(path)].iter().any(|path| snapshot.paths.iter().any(|of| Path::new(of) == path))
}

/// A path as snapshots have it: absolute, and without symbolic links above what it names, as it is packed. Where there
/// is no such file any more, as it is written.
pub(crate) fn real(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = match (whole.parent(), whole.file_name()) {
        // Behind a slash a symbolic link stands for what it leads to.
        (Some(above), Some(name)) if !path.as_os_str().as_bytes().ends_with(b"/") => {
            std::fs::canonicalize(above).map(|above| above.join(name))
        }
        _ => std::fs::canonicalize(&whole),
    };
    real.unwrap_or_else(|_| plain(path))
}

/// The path, absolute and without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    // Fails only for an empty path or without a current directory.
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    /// A snapshot of /home by `host`, as far as these tests need one.
    pub(crate) fn snapshot(id: &str, time: i64, host: &str, tags: &[&str]) -> SnapshotInfo {
        SnapshotInfo {
            id: id.to_owned(),
            entered: 0,
            time,
            host: host.to_owned(),
            user: "u".to_owned(),
            paths: vec!["/home".to_owned()],
            tags: tags.iter().map(ToString::to_string).collect(),
            files: 1,
            dirs: 1,
            others: 0,
            bytes: 1,
            unreadable: 0,
            locked_until: None,
            forgotten: None,
        }
    }

    #[test]
    fn hosts_and_tags_are_alternatives_and_paths_are_not() {
        let mut taken = snapshot("a", 0, "one", &["x", "y"]);
        taken.paths.push("/etc".to_owned());
        let of = |host: &[&str], tag: &[&str], path: &[&str]| FilterArgs {
            host: host.iter().map(ToString::to_string).collect(),
            tag: tag.iter().map(|text| tags(text).unwrap()).collect(),
            path: path.iter().map(PathBuf::from).collect(),
        };
        for (filter, takes) in [
            (of(&[], &[], &[]), true),
            (of(&["two", "one"], &[], &[]), true),
            (of(&["two"], &[], &[]), false),
            (of(&[], &["z", "x"], &[]), true),
            (of(&[], &["x,y"], &[]), true),
            (of(&[], &["x,z"], &[]), false),
            (of(&[], &[""], &[]), false),
            (of(&[], &[], &["/home", "/etc"]), true),
            (of(&[], &[], &["/home/./u/.."]), true),
            (of(&[], &[], &["/home", "/var"]), false),
            (of(&["one"], &["z"], &[]), false),
        ] {
            assert_eq!(filter.takes(&taken), takes, "{filter:?}");
        }
        assert!(of(&[], &[""], &[]).takes(&snapshot("b", 0, "one", &[])));
        assert!(tags("a,,b").is_err());
    }
}
