//! An object as an archive, made while it is sent.

use bytes::Bytes;
use chordage_storage::{Entry, EntryKind, EntryPath};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;

use super::write::{END, head_bytes, padding};
use super::{Head, Kind, Mtime};
use crate::get::{GetError, OpenObject};

/// Entries that are looked up ahead of the reader.
const ENTRIES_AHEAD: usize = 16;

/// Streams the tree of `object`, or what lies at `path` in it, with names relative to that. A file comes under its own name.
pub(crate) fn emit(
    object: OpenObject,
    path: Option<&[u8]>,
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

    let (sender, receiver) = mpsc::channel(ENTRIES_AHEAD);
    let walked = object.clone();
    // Entries borrow the manifest, so a thread walks and hands them over one by one.
    tokio::task::spawn_blocking(move || {
        let mut found = false;
        for entry in walked.manifest().entries() {
            match relative(&base, entry.path.as_bytes()) {
                Some(name) => {
                    found = true;
                    if sender.blocking_send((name, entry)).is_err() {
                        return;
                    }
                }
                // What lies below one path follows each other.
                None if found => return,
                None => {}
            }
        }
    });
    let entries = stream::unfold(receiver, |mut receiver| async {
        let item = receiver.recv().await?;
        Some((item, receiver))
    });
    let files = entries.flat_map(move |(name, entry)| one(&object, name, &entry));
    Ok(files.chain(stream::iter([Ok(Bytes::from_static(&END))])))
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
fn one(
    object: &OpenObject,
    mut name: Vec<u8>,
    entry: &Entry,
) -> stream::BoxStream<'static, Result<Bytes, GetError>> {
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
    let head = head_bytes(&Head { path: name, kind, mode: metadata.mode, mtime });
    let head = stream::iter([Ok(Bytes::from(head))]);
    match &entry.kind {
        EntryKind::File(file) if file.size() > 0 => {
            let extents = object.manifest().extents(file, 0..file.size()).collect();
            let zeros = stream::iter([Ok(Bytes::from(vec![0; padding(file.size())]))]);
            head.chain(object.read_extents(extents)).chain(zeros).boxed()
        }
        _ => head.boxed(),
    }
}
