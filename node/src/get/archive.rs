//! An object as an archive, made while it is sent.

use bytes::Bytes;
use chordage_storage::{Entry, EntryKind, EntryPath, Manifest};
use futures::stream::Stream;

use super::{GetError, OpenObject, Part, Parts, Unread};
use crate::archive::{END, Head, Kind, Mtime, head_bytes, padding};

/// Streams the tree of `object`, or what lies at `path` in it, with names relative to that. A file comes under its own name.
/// The first `skip_files` regular files are left out: whoever asks has them.
pub(crate) fn emit(
    object: &OpenObject,
    path: Option<&[u8]>,
    skip_files: u64,
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
        let mut skip_files = skip_files;
        for entry in manifest.entries() {
            match relative(&base, entry.path.as_bytes()) {
                Some(name) => {
                    found = true;
                    if skip_files > 0 && matches!(entry.kind, EntryKind::File(_)) {
                        skip_files -= 1;
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
