//! An object as an archive, made while it is sent.

use std::ops::RangeInclusive;

use bytes::Bytes;
use chordage_storage::{Entry, EntryKind, EntryPath, Manifest};
use futures::stream::Stream;

use super::{GetError, OpenObject, Part, Parts, Unread};
use crate::archive::{END, Head, Kind, Mtime, head_bytes, padding};

/// What of a tree is wanted. Regular files are counted from 0, in the order of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All but the first so many regular files: whoever asks has them.
    From(u64),
    /// These regular files and nothing else: ranges in order that do not meet.
    Only(Vec<RangeInclusive<u64>>),
}

impl Wanted {
    fn wants(&self, kind: &EntryKind, file: u64) -> bool {
        match (self, kind) {
            (Wanted::From(first), EntryKind::File(_)) => file >= *first,
            (Wanted::From(_), _) => true,
            (Wanted::Only(ranges), EntryKind::File(_)) => {
                let at = ranges.partition_point(|range| *range.end() < file);
                ranges.get(at).is_some_and(|range| range.contains(&file))
            }
            (Wanted::Only(_), _) => false,
        }
    }
}

/// Streams the tree of `object`, or what lies at `path` in it, with names relative to that. A file comes under its own
/// name.
pub(crate) fn emit(
    object: &OpenObject,
    path: Option<&[u8]>,
    wanted: Wanted,
) -> Result<impl Stream<Item = Result<Bytes, GetError>> + Send + 'static, GetError> {
    let base = path.unwrap_or_default().to_vec();
    if !base.is_empty() {
        let shown = || String::from_utf8_lossy(&base).into_owned();
        let known = EntryPath::new(base.clone()).ok().and_then(|path| object.manifest().entry(&path));
        known.ok_or_else(|| GetError::NoSuchPath(shown()))?;
    } else if object.manifest().file().is_some() {
        // A bare file has no name to stand in an archive.
        return Err(GetError::NoSuchPath("(the link stands for a file; read its content)".to_owned()));
    }

    let manifest = object.manifest().clone();
    Ok(object.chunks().assemble(move |parts| {
        let mut found = false;
        let mut files = 0;
        for entry in manifest.entries() {
            match relative(&base, entry.path.as_bytes()) {
                Some(name) => {
                    found = true;
                    let file = files;
                    files += u64::from(matches!(entry.kind, EntryKind::File(_)));
                    if !wanted.wants(&entry.kind, file) {
                        continue;
                    }
                    one(&manifest, name, &entry, parts)?;
                }
                // What lies below one path follows each other.
                None if found => break,
                None => {}
            }
        }
        parts.push(Part::Bytes(Bytes::from_static(&END)))
    }))
}

/// The name of `path` in an archive of `base`; `None` when it does not lie below it.
fn relative(base: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    if base.is_empty() {
        return Some(path.to_vec());
    }
    match path.strip_prefix(base)? {
        [] => Some(Vec::new()),
        [b'/', rest @ ..] => Some(rest.to_vec()),
        _ => None,
    }
}

/// Head, content and padding of one entry.
fn one(manifest: &Manifest, mut name: Vec<u8>, entry: &Entry, parts: &mut Parts) -> Result<(), Unread> {
    let kind = match &entry.kind {
        EntryKind::Directory => Kind::Dir,
        EntryKind::File(file) => Kind::File { size: file.size() },
        EntryKind::Symlink { target } => Kind::Symlink { target: target.clone() },
    };
    if name.is_empty() && kind != Kind::Dir {
        name = entry.path.name().unwrap_or(b"file").to_vec();
    }
    let metadata = entry.metadata;
    let mtime = Mtime { seconds: metadata.mtime_s, nanos: metadata.mtime_ns };
    parts.push(Part::Bytes(
        head_bytes(&Head { path: name, kind, mode: metadata.mode, mtime, full: None }).into(),
    ))?;
    if let EntryKind::File(file) = &entry.kind {
        for extent in manifest.extents(file, 0..file.size()) {
            parts.push(Part::Extent(extent))?;
        }
        parts.push(Part::Bytes(vec![0; padding(file.size())].into()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chordage_storage::EntryKind;

    use super::*;

    #[test]
    fn only_the_files_that_are_wanted_are() {
        let symlink = EntryKind::Symlink { target: b"x".to_vec() };
        assert!(Wanted::From(3).wants(&symlink, 0) && Wanted::From(3).wants(&EntryKind::Directory, 0));
        let some = Wanted::Only(vec![0..=0, 3..=5]);
        assert!(!some.wants(&symlink, 0) && !some.wants(&EntryKind::Directory, 4));
    }
}
