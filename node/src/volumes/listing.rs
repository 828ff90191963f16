//! What is in snapshots, and how two of them differ, line by line.

use bytes::Bytes;
use chordage_api::types::{VolumeDifference, VolumeEntryDetail};
use chordage_storage::volume::{
    Content, Cursor, Difference, Differences, FileNode, MapRoot, NodeKind, Value, ValueRef, key_of,
};
use chordage_storage::{ChunkId, EntryPath};
use futures::stream::Stream;
use serde::Serialize;
use tokio::sync::mpsc;

use super::described::{content_tag, described, detailed};
use super::files::is_below;
use super::source::NetworkSource;
use super::{Volumes, VolumesError};
use crate::get::GetError;

/// Lines that wait for the reader.
const LINES_AHEAD: usize = 64;
/// Bytes of lines that are handed on together.
const TOGETHER: usize = 32 << 10;

/// A listing on its way.
pub(crate) type Listing = Result<Bytes, GetError>;

/// Lines of JSON, some at a time.
struct Lines {
    sender: mpsc::Sender<Listing>,
    open: Vec<u8>,
}

/// Nobody reads any more.
struct Unread;

impl Lines {
    fn push(&mut self, line: &impl Serialize) -> Result<(), Unread> {
        // These types can always be encoded.
        let _ = serde_json::to_writer(&mut self.open, line);
        self.open.push(b'\n');
        if self.open.len() >= TOGETHER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Unread> {
        let bytes = std::mem::take(&mut self.open);
        if bytes.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Ok(bytes.into())).map_err(|_| Unread)
    }
}

/// Which entries below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those of one level.
    Here,
    /// All.
    Below,
    /// All that are one of several names of a file.
    Linked,
}

impl Volumes {
    /// The entries of a snapshot below the directory `path`; of a file itself.
    pub(crate) async fn entries(
        &self,
        name: &str,
        snapshot: &str,
        path: Option<Vec<u8>>,
        which: Which,
    ) -> Result<impl Stream<Item = Listing> + Send + use<>, VolumesError> {
        let root = self.snapshot(name, snapshot).await?.root;
        let (base, is_directory) = match path {
            None => (EntryPath::root(), true),
            Some(path) => {
                let (path, node) = self.entry_at(root, path).await?;
                (path, node.kind == NodeKind::Directory)
            }
        };
        let mut source = self.source();
        Ok(lines(move |lines| entries(&root, &base, is_directory, which, &mut source, lines)))
    }

    /// How two snapshots differ.
    pub(crate) async fn diff(
        &self,
        name: &str,
        old: &str,
        new: &str,
    ) -> Result<impl Stream<Item = Listing> + Send + use<>, VolumesError> {
        let (old, new) = (self.snapshot(name, old).await?.root, self.snapshot(name, new).await?.root);
        let mut source = self.source();
        Ok(lines(move |lines| {
            let mut differences = Differences::between(&old, &new);
            while let Some(Difference { key, old, new }) = differences.next(&mut source)? {
                let mut entry = |value: Option<ValueRef>| match value {
                    Some(value) => described(&key, &value.load(&mut source)?).map(Some),
                    None => Ok(None),
                };
                let (old, new) = (entry(old)?, entry(new)?);
                // A hash by place may differ where nothing else does.
                let path = old.as_ref().or(new.as_ref()).map(|entry| entry.path.clone()).unwrap_or_default();
                if lines.push(&VolumeDifference { path, old, new }).is_err() {
                    break;
                }
            }
            Ok(())
        }))
    }

    /// The entry at a path of a tree.
    pub(super) async fn entry_at(
        &self,
        root: MapRoot,
        path: Vec<u8>,
    ) -> Result<(EntryPath, FileNode), VolumesError> {
        let shown = String::from_utf8_lossy(&path).into_owned();
        let none = || VolumesError::Read(GetError::NoSuchPath(shown.clone()));
        let path = EntryPath::new(path).map_err(|_| none())?;
        let (key, mut source) = (key_of(&path), self.source());
        let found = tokio::task::spawn_blocking(move || -> Result<Option<Value>, VolumesError> {
            let found = root.get(&key, &mut source)?;
            Ok(found.map(|value| value.load(&mut source)).transpose()?)
        });
        let value = found.await.map_err(|_| VolumesError::Stopped)??.ok_or_else(none)?;
        let node =
            FileNode::from_value(&value).map_err(|error| VolumesError::Malformed(error.to_string()))?;
        Ok((path, node))
    }

    /// All that is known of one entry of a snapshot.
    pub(crate) async fn entry(
        &self,
        name: &str,
        snapshot: &str,
        path: Option<Vec<u8>>,
    ) -> Result<VolumeEntryDetail, VolumesError> {
        let root = self.snapshot(name, snapshot).await?.root;
        let (path, node) = self.entry_at(root, path.unwrap_or_default()).await?;
        Ok(detailed(&path, &node))
    }

    /// A file of a snapshot, to read it: its content, and the root of its tree.
    pub(crate) async fn file(
        &self,
        name: &str,
        snapshot: &str,
        path: Vec<u8>,
    ) -> Result<SnapshotFile, VolumesError> {
        let root = self.snapshot(name, snapshot).await?.root;
        let shown = String::from_utf8_lossy(&path).into_owned();
        let (_, node) = self.entry_at(root, path).await?;
        match node.kind {
            NodeKind::File(content) => {
                Ok(SnapshotFile { volumes: self.clone(), tree: root.chunk.id, content })
            }
            _ => Err(VolumesError::Read(GetError::NotAFile(shown))),
        }
    }
}

/// A file of a snapshot.
pub(crate) struct SnapshotFile {
    volumes: Volumes,
    tree: ChunkId,
    content: Content,
}

impl SnapshotFile {
    /// Its length, holes included.
    pub(crate) fn size(&self) -> u64 {
        self.content.size
    }

    /// What tells whether it is the same content.
    pub(crate) fn tag(&self) -> String {
        content_tag(&self.content)
    }

    /// The bytes of a range, which lies inside the file.
    pub(crate) fn read(
        &self,
        range: std::ops::Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, GetError>> + Send + use<> {
        self.volumes.content(self.tree, self.content.clone(), range)
    }
}

/// Runs `list` on a thread of its own.
fn lines(
    list: impl FnOnce(&mut Lines) -> Result<(), VolumesError> + Send + 'static,
) -> impl Stream<Item = Listing> + Send {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut lines = Lines { sender, open: Vec::new() };
        let listed = list(&mut lines);
        if lines.flush().is_ok()
            && let Err(error) = listed
        {
            let error = match error {
                VolumesError::Read(error) => error,
                error => GetError::Volume(error.to_string()),
            };
            let _ = lines.sender.blocking_send(Err(error));
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async {
        let next = receiver.recv().await?;
        Some((next, receiver))
    })
}

fn entries(
    root: &MapRoot,
    base: &EntryPath,
    is_directory: bool,
    which: Which,
    source: &mut NetworkSource,
    lines: &mut Lines,
) -> Result<(), VolumesError> {
    let below = key_of(base);
    let mut cursor = Cursor::seek(root, &below, source)?;
    while let Some((key, value)) = cursor.next(source)? {
        if !is_below(&below, &key) {
            break;
        }
        // The directory itself is not in it.
        if is_directory && key == below {
            continue;
        }
        let rest = key.get(below.len()..).unwrap_or_default();
        let rest = rest.strip_prefix(&[0]).unwrap_or(rest);
        if which == Which::Here
            && let Some(end) = rest.iter().position(|byte| *byte == 0)
        {
            // What lies in its directories is passed over at once: behind the last key that begins so.
            let mut behind = key[..key.len() - rest.len() + end].to_vec();
            behind.push(1);
            cursor = Cursor::seek(root, &behind, source)?;
            continue;
        }
        let entry = described(&key, &value.load(source)?)?;
        if which == Which::Linked && entry.link_group.is_none() {
            // Whoever has gone is noticed also where there is nothing to say.
            match lines.sender.is_closed() {
                true => break,
                false => continue,
            }
        }
        if lines.push(&entry).is_err() {
            break;
        }
    }
    Ok(())
}
