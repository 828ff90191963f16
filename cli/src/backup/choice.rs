//! Snapshots as people name them: by the beginning of an id, or `latest`, and a path in one behind a colon.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use chordage_api::types::SnapshotInfo;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::filter::FilterArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;

/// The word for the newest one.
pub(crate) const LATEST: &str = "latest";
/// Digits of an id that are shown where there is little room, as restic does.
const SHORT: usize = 8;

/// The beginning of an id, which tells snapshots apart.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

/// `SNAPSHOT[:PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The snapshot, as it was typed.
    pub(crate) snapshot: String,
    /// The path in it, without slashes at its ends; `None`: all of it.
    pub(crate) path: Option<Vec<u8>>,
}

/// `SNAPSHOT[:PATH]` as clap reads it.
pub(crate) fn parser() -> impl TypedValueParser<Value = Place> {
    OsStringValueParser::new().try_map(place)
}

fn place(text: OsString) -> Result<Place, String> {
    let mut snapshot = text.into_vec();
    let colon = snapshot.iter().position(|byte| *byte == b':');
    let path = colon.map(|colon| snapshot.split_off(colon));
    let snapshot = String::from_utf8(snapshot).map_err(|_| "this is no id of a snapshot".to_owned())?;
    let path = path.and_then(|path| inside(OsStr::from_bytes(path.get(1..).unwrap_or_default())));
    Ok(Place { snapshot, path })
}

/// A path as snapshots have it: seen from `/`. `None` is `/` itself.
pub(crate) fn inside(path: &OsStr) -> Option<Vec<u8>> {
    let parts = path.as_bytes().split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let path = parts.collect::<Vec<_>>().join(&b'/');
    (!path.is_empty()).then_some(path)
}

/// The snapshot that is named so. `latest` is the newest of those that the filter lets through.
pub(crate) fn find<'a>(
    snapshots: &'a [SnapshotInfo],
    name: &str,
    filter: &FilterArgs,
) -> Result<&'a SnapshotInfo, CliError> {
    let nothing = |message: String| {
        CliError::new(ExitStatus::Unavailable, "no_such_snapshot", message).state("nothing was done")
    };
    if name == LATEST {
        let newest = snapshots.iter().filter(|snapshot| filter.takes(snapshot));
        return newest.max_by(|a, b| a.in_time(b)).ok_or_else(|| {
            let of =
                if filter.is_empty() { "the volume has no snapshot" } else { "no snapshot is like that" };
            nothing(of.to_owned()).hint("`chordage backup list` shows all of them")
        });
    }
    let digits = name.to_ascii_lowercase();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(CliError::new(
            ExitStatus::Usage,
            "bad_snapshot",
            format!("`{}` is neither the beginning of a snapshot's id nor `latest`", name.escape_debug()),
        )
        .state("nothing was done")
        .hint("`chordage backup list` shows all ids"));
    }
    let found: Vec<&SnapshotInfo> =
        snapshots.iter().filter(|snapshot| snapshot.id.starts_with(&digits)).collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(nothing(format!("the volume has no snapshot whose id begins with {digits}")).hint(
            "`chordage backup list` shows all of them, with --forgotten also those that can be taken back",
        )),
        [..] => Err(nothing(format!(
            "{} have ids that begin with {digits}",
            human::count(found.len() as u64, "snapshot", "snapshots")
        ))
        .hint("give more digits; `chordage backup list --json` shows whole ids")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::filter::tests::snapshot;
    use super::*;

    #[test]
    fn a_path_stands_behind_a_colon() {
        for (text, snapshot, path) in [
            ("latest", "latest", None),
            ("ab12:", "ab12", None),
            ("ab12:/", "ab12", None),
            ("ab12:/home//me/./a:b/", "ab12", Some("home/me/a:b")),
            (":etc", "", Some("etc")),
        ] {
            let place = place(text.into()).unwrap();
            assert_eq!(
                (place.snapshot.as_str(), place.path),
                (snapshot, path.map(|path| path.as_bytes().to_vec()))
            );
        }
        assert!(place(OsString::from_vec(vec![0xff])).is_err());
        assert_eq!(place(OsString::from_vec(b"a:\xff".to_vec())).unwrap().path, Some(vec![0xff]));
    }

    #[test]
    fn snapshots_are_found_by_what_tells_them_apart() {
        let all = [
            snapshot("ab11", 1, "one", &[]),
            snapshot("ab22", 3, "two", &[]),
            snapshot("cd33", 2, "one", &[]),
        ];
        let any = FilterArgs::default();
        let found = |name| find(&all, name, &any).map(|snapshot| snapshot.id.as_str());
        assert_eq!(found("latest").unwrap(), "ab22");
        assert_eq!(found("AB1").unwrap(), "ab11");
        assert_eq!(found("c").unwrap(), "cd33");
        for (name, code) in [
            ("ab", "no_such_snapshot"),
            ("ee", "no_such_snapshot"),
            ("x", "bad_snapshot"),
            ("", "bad_snapshot"),
        ] {
            assert_eq!(found(name).unwrap_err().code, code, "{name}");
        }
        let of = |host: &str| FilterArgs { host: vec![host.to_owned()], ..FilterArgs::default() };
        assert_eq!(find(&all, "latest", &of("one")).unwrap().id, "cd33");
        assert_eq!(find(&all, "latest", &of("three")).unwrap_err().code, "no_such_snapshot");
        assert_eq!(find(&[], "latest", &any).unwrap_err().code, "no_such_snapshot");
    }
}
