//! Trees of files: out of an archive into a map, and back.

use std::io::Read;

use bytes::Bytes;
use chordage_api::types::TreeReport;
use chordage_storage::volume::{
    Content, Cursor, FileCounts, FileNode, FilesError, FilesWriter, MapError, MapRoot, NodeKind,
    WrittenFiles, key_of, path_of,
};
use chordage_storage::{ChunkId, ConvergenceSecret, EntryPath, Extent, Fingerprint, Metadata, WriteError};
use futures::stream::Stream;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::book::{KeptAs, KeptFor, TreeRow};
use super::source::NetworkSource;
use super::{Volumes, VolumesError, now};
use crate::archive::{
    ArchiveReader, Detail, END, FullMetadata, Head, Kind, Mtime, Quoted, ReadError, Segment, SparseMap,
    Xattr, head_bytes, padding,
};
use crate::get::{Chunks, GetError, Part, Parts, Unread};
use crate::put::{self, NetworkSink, PutError, PutRequest, Work};

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// A tree that is to be stored.
pub(crate) struct TreePut {
    /// For which volume.
    pub(crate) volume: String,
    /// An archive with all that is known of each entry.
    pub(crate) body: Box<dyn Read + Send>,
    pub(crate) request: PutRequest,
}

struct Ingested {
    root: MapRoot,
    counts: FileCounts,
    packed_bytes: u64,
    unchanged_files: u64,
    kept: KeptFor,
}

impl Volumes {
    /// Stores a tree and keeps it for a day: until then a snapshot has to name it.
    pub(crate) async fn put_tree(&self, tree: TreePut) -> Result<TreeReport, VolumesError> {
        let volume = self.book().find(&tree.volume)?;
        if volume.keys.pair().is_none() {
            return Err(VolumesError::ReadOnly);
        }
        let secret = volume.keys.convergence();
        let (key, body) = (secret.clone(), tree.body);
        let retain_seconds = tree.request.retain_seconds;
        let name = Some(format!("volume {}: files", volume.petname));
        let request = PutRequest { name, ..tree.request };
        let (book, id) = (self.book_handle(), volume.keys.id().0);
        let work = move |sink| {
            let (written, unchanged_files) = ingest(sink, &key, body)?;
            let WrittenFiles { root, counts, packed_bytes, sink, .. } = written;
            let kept = kept_for(id, &root, &counts, retain_seconds);
            book.keep_soon(root.chunk.id, &kept)?;
            let result = Ingested { root, counts, packed_bytes, unchanged_files, kept };
            Ok(Work { root: root.chunk.id, bytes: counts.bytes, sink, result })
        };
        let stored = put::store(self.putter(), secret, request, work).await?;
        let Ingested { root, counts, packed_bytes, unchanged_files, mut kept } = stored.result;
        if let Some(row) = kept.tree.as_mut() {
            row.retained_until = retained_until(retain_seconds);
        }
        self.need(root.chunk.id, kept).await?;
        Ok(TreeReport {
            tree: root.chunk.id.to_string(),
            files: counts.files,
            dirs: counts.directories,
            others: counts.others,
            bytes: counts.bytes,
            new_bytes: packed_bytes,
            sent_bytes: stored.placed.sent_bytes,
            stored_bytes: stored.placed.stored_bytes,
            chunks: stored.placed.chunks,
            new_chunks: stored.placed.new_chunks,
            unchanged_files,
            k: stored.redundancy.k(),
            n: stored.redundancy.n(),
            degraded: stored.degraded || stored.placed.acks_min < stored.redundancy.write_quorum(),
            only_here: stored.alone,
            seconds: stored.seconds,
        })
    }

    /// A snapshot, or what lies at `path` in it with names relative to that, as an archive.
    pub(crate) async fn archive(
        &self,
        name: &str,
        snapshot: &str,
        path: Option<Vec<u8>>,
    ) -> Result<impl Stream<Item = Result<Bytes, GetError>> + Send + use<>, VolumesError> {
        let root = self.snapshot(name, snapshot).await?.root;
        let base = match path {
            None => EntryPath::root(),
            Some(path) => self.entry_at(root, path).await?.0,
        };
        let mut source = self.source();
        Ok(Arc::new(self.chunks(root.chunk.id)).assemble(move |parts| emit(&root, &base, &mut source, parts)))
    }

    /// The bytes of a file of a snapshot, or `range` of it.
    pub(super) fn content(
        &self,
        root: ChunkId,
        content: Content,
        range: std::ops::Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, GetError>> + Send + use<> {
        let chunks = self.inner.recent_chunks.of(root, || self.chunks(root));
        chunks.assemble(move |parts| slice(&content, range, parts))
    }

    fn chunks(&self, root: ChunkId) -> Chunks {
        Chunks::new(self.reader().clone(), root, Vec::new)
    }
}

/// As what a tree is kept. A snapshot has to name it within a day, whatever named it before.
fn kept_for(volume: [u8; 32], root: &MapRoot, counts: &FileCounts, retain_seconds: u32) -> KeptFor {
    let row = TreeRow {
        root: (root.chunk.encode().to_vec(), root.level, root.keys),
        files: counts.files,
        dirs: counts.directories,
        others: counts.others,
        bytes: counts.bytes,
        retained_until: retained_until(retain_seconds),
        named: false,
    };
    KeptFor { volume, kind: KeptAs::Tree, since: now(), needed: true, tree: Some(row) }
}

fn retained_until(retain_seconds: u32) -> u64 {
    if retain_seconds > 0 { now() + u64::from(retain_seconds) } else { 0 }
}

fn ingest(
    sink: NetworkSink,
    secret: &ConvergenceSecret,
    body: Box<dyn Read + Send>,
) -> Result<(WrittenFiles<NetworkSink>, u64), PutError> {
    let source = std::io::BufReader::with_capacity(BUFFER, body);
    let mut archive = ArchiveReader::with_detail(source, Detail::Full);
    let mut writer = FilesWriter::new(sink, secret);
    let mut buffer = vec![0; BUFFER];
    let mut unchanged_files = 0;
    let mut first = true;
    while let Some(head) = archive.next_entry().map_err(unreadable)? {
        if std::mem::take(&mut first) && !head.path.is_empty() {
            writer.add(&EntryPath::root(), root_node()).map_err(|error| failed(error, b""))?;
        }
        unchanged_files += u64::from(entry(&mut writer, &mut archive, &head, &mut buffer)?);
    }
    if first {
        writer.add(&EntryPath::root(), root_node()).map_err(|error| failed(error, b""))?;
    }
    let written = writer.finish().map_err(|error| failed(error, b""))?;
    Ok((written, unchanged_files))
}

/// Writes one entry; returns whether it was a file that was not sent.
fn entry<R: Read>(
    writer: &mut FilesWriter<NetworkSink>,
    archive: &mut ArchiveReader<R>,
    head: &Head,
    buffer: &mut [u8],
) -> Result<bool, PutError> {
    let failed = |error| failed(error, &head.path);
    let path = EntryPath::new(head.path.clone())
        .map_err(|error| PutError::Archive(format!("entry {}: {error}", Quoted(&head.path))))?;
    let node = node_of(head);
    match &head.kind {
        Kind::HardLink { .. } => writer.link(&path, node).map_err(failed)?,
        Kind::Unchanged { fingerprint } => {
            writer.begin_file(&path, node).map_err(failed)?;
            take_over(writer, fingerprint, &head.path)?;
            writer.end_file().map_err(failed)?;
            return Ok(true);
        }
        Kind::File { .. } => {
            writer.begin_file(&path, node).map_err(failed)?;
            if let Some(fingerprint) = archive.fingerprint() {
                writer.catalog_as(fingerprint).map_err(failed)?;
            }
            loop {
                match archive.read(buffer).map_err(unreadable)? {
                    0 => break,
                    len => writer.write(&buffer[..len]).map_err(failed)?,
                }
            }
            writer.end_file().map_err(failed)?;
        }
        _ => writer.add(&path, node).map_err(failed)?,
    }
    Ok(false)
}

fn take_over(
    writer: &mut FilesWriter<NetworkSink>,
    fingerprint: &Fingerprint,
    path: &[u8],
) -> Result<(), PutError> {
    let known = writer.sink_mut().find_file(fingerprint);
    let known = known.ok_or_else(|| PutError::Forgotten(path.to_vec()))?;
    writer.take_over(&known).map_err(|error| failed(error, path))
}

/// The root of an archive that does not mention it.
fn root_node() -> FileNode {
    FileNode {
        kind: NodeKind::Directory,
        metadata: Metadata { mode: 0o755, mtime_s: 0, mtime_ns: 0 },
        uid: 0,
        gid: 0,
        user: Vec::new(),
        group: Vec::new(),
        xattrs: Vec::new(),
        link_group: 0,
    }
}

/// What a volume keeps of an entry of an archive; the content is not there yet.
fn node_of(head: &Head) -> FileNode {
    let full = head.full.as_deref().cloned().unwrap_or_default();
    let content = match full.sparse {
        Some(SparseMap { size, segments }) => {
            let segments = segments.into_iter().map(|Segment { offset, len }| (offset, len)).collect();
            Content { size, segments: Some(segments), pieces: Vec::new() }
        }
        None => Content::default(),
    };
    let kind = match &head.kind {
        Kind::File { .. } | Kind::Unchanged { .. } | Kind::HardLink { .. } => NodeKind::File(content),
        Kind::Dir => NodeKind::Directory,
        Kind::Symlink { target } => NodeKind::Symlink(target.clone()),
        Kind::Fifo => NodeKind::Fifo,
        Kind::CharDevice { major, minor } => NodeKind::CharDevice { major: *major, minor: *minor },
        Kind::BlockDevice { major, minor } => NodeKind::BlockDevice { major: *major, minor: *minor },
    };
    FileNode {
        kind,
        metadata: Metadata { mode: head.mode, mtime_s: head.mtime.seconds, mtime_ns: head.mtime.nanos },
        uid: full.uid,
        gid: full.gid,
        user: full.user,
        group: full.group,
        xattrs: full.xattrs.into_iter().map(|Xattr { name, value }| (name, value)).collect(),
        link_group: full.link_group.unwrap_or(0),
    }
}

/// Leaves everything below `base` as an archive.
fn emit(
    root: &MapRoot,
    base: &EntryPath,
    source: &mut NetworkSource,
    parts: &mut Parts,
) -> Result<(), Unread> {
    let below = key_of(base);
    let mut cursor = match Cursor::seek(root, &below, source) {
        Ok(cursor) => cursor,
        Err(error) => return parts.push(Part::Failed(as_get(error))),
    };
    // Under which name the first of each group has come.
    let mut groups: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    loop {
        let next = cursor
            .next(source)
            .and_then(|found| found.map(|(key, value)| Ok((key, value.load(source)?))).transpose());
        let (key, value) = match next {
            Ok(Some((key, value))) if is_below(&below, &key) => (key, value),
            Ok(_) => return parts.push(Part::Bytes(Bytes::from_static(&END))),
            Err(error) => return parts.push(Part::Failed(as_get(error))),
        };
        let read = path_of(&key).ok().zip(FileNode::from_value(&value).ok());
        let Some((path, node)) = read else {
            return parts.push(Part::Failed(malformed("an entry makes no sense, or is of a newer version")));
        };
        one(base, &path, node, &mut groups, parts)?;
    }
}

pub(super) fn is_below(base: &[u8], key: &[u8]) -> bool {
    base.is_empty() || key.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest[0] == 0)
}

/// Head, content and padding of one entry.
fn one(
    base: &EntryPath,
    path: &EntryPath,
    node: FileNode,
    groups: &mut BTreeMap<u64, Vec<u8>>,
    parts: &mut Parts,
) -> Result<(), Unread> {
    let rest = path.as_bytes().get(base.as_bytes().len()..).unwrap_or_default();
    let mut name = rest.strip_prefix(b"/").unwrap_or(rest).to_vec();
    if name.is_empty() && node.kind != NodeKind::Directory {
        name = path.name().unwrap_or(b"file").to_vec();
    }
    let earlier = match node.link_group {
        0 => None,
        group => groups.get(&group).cloned(),
    };
    if node.link_group > 0 && earlier.is_none() {
        groups.insert(node.link_group, name.clone());
    }
    let (head, content) = head_of(name, node, earlier);
    let size = match &head.kind {
        Kind::File { size } => *size,
        _ => 0,
    };
    parts.push(Part::Bytes(head_bytes(&head).into()))?;
    let Some(content) = content else { return Ok(()) };
    for piece in &content.pieces {
        parts.push(Part::Extent(Extent { chunk: piece.chunk, offset: piece.offset, len: piece.len }))?;
    }
    parts.push(Part::Bytes(vec![0; padding(size)].into()))
}

/// The head of an entry, and the content that follows it. `earlier`: another name of the same file, which came before.
fn head_of(path: Vec<u8>, node: FileNode, earlier: Option<Vec<u8>>) -> (Head, Option<Content>) {
    let mut full = FullMetadata {
        uid: node.uid,
        gid: node.gid,
        user: node.user,
        group: node.group,
        xattrs: node.xattrs.into_iter().map(|(name, value)| Xattr { name, value }).collect(),
        link_group: Some(node.link_group).filter(|group| *group > 0),
        sparse: None,
    };
    let mut following = None;
    let kind = match (node.kind, earlier) {
        (NodeKind::File(_), Some(target)) => Kind::HardLink { target },
        (NodeKind::File(content), None) => {
            let size = content.data_len();
            let segments = content.segments.as_ref().map(|segments| {
                segments.iter().map(|(offset, len)| Segment { offset: *offset, len: *len }).collect()
            });
            full.sparse = segments.map(|segments| SparseMap { size: content.size, segments });
            following = Some(content);
            Kind::File { size }
        }
        (NodeKind::Directory, _) => Kind::Dir,
        (NodeKind::Symlink(target), _) => Kind::Symlink { target },
        (NodeKind::Fifo, _) => Kind::Fifo,
        (NodeKind::CharDevice { major, minor }, _) => Kind::CharDevice { major, minor },
        (NodeKind::BlockDevice { major, minor }, _) => Kind::BlockDevice { major, minor },
    };
    let mtime = Mtime { seconds: node.metadata.mtime_s, nanos: node.metadata.mtime_ns };
    (Head { path, kind, mode: node.metadata.mode, mtime, full: Some(Box::new(full)) }, following)
}

/// Zeros that stand for holes, at a time.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Leaves a range of a file: data and holes.
fn slice(content: &Content, range: std::ops::Range<u64>, parts: &mut Parts) -> Result<(), Unread> {
    let whole = [(0, content.size)];
    let segments = content.segments.as_deref().unwrap_or(&whole);
    let (mut at, mut data) = (range.start, 0u64);
    for (offset, len) in segments {
        let (start, end) = ((*offset).max(range.start), (offset + len).min(range.end));
        if start < end {
            zeros(start.saturating_sub(at), parts)?;
            pieces(content, data + (start - offset)..data + (end - offset), parts)?;
            at = end;
        }
        data += len;
    }
    zeros(range.end.saturating_sub(at), parts)
}

fn zeros(mut count: u64, parts: &mut Parts) -> Result<(), Unread> {
    while count > 0 {
        let len = count.min(ZEROS.len() as u64);
        parts.push(Part::Bytes(Bytes::from_static(&ZEROS[..len as usize])))?;
        count -= len;
    }
    Ok(())
}

/// A range of the data of a file.
fn pieces(content: &Content, range: std::ops::Range<u64>, parts: &mut Parts) -> Result<(), Unread> {
    let mut at = 0u64;
    for piece in &content.pieces {
        let (start, end) = (range.start.max(at), range.end.min(at + u64::from(piece.len)));
        if start < end {
            // Both lie inside the piece, whose length is a u32.
            let (before, len) = ((start - at) as u32, (end - start) as u32);
            parts.push(Part::Extent(Extent { chunk: piece.chunk, offset: piece.offset + before, len }))?;
        }
        at += u64::from(piece.len);
        if at >= range.end {
            break;
        }
    }
    Ok(())
}

fn as_get(error: MapError<GetError>) -> GetError {
    match error {
        MapError::Chunk(error) => error,
        error => malformed_text(error.to_string()),
    }
}

fn malformed(what: &str) -> GetError {
    malformed_text(what.to_owned())
}

fn malformed_text(what: String) -> GetError {
    GetError::Volume(what)
}

fn unreadable(error: ReadError) -> PutError {
    match error {
        ReadError::Io(error) => PutError::Input(error),
        error => PutError::Archive(error.to_string()),
    }
}

fn failed(error: FilesError<PutError>, name: &[u8]) -> PutError {
    match error {
        FilesError::Content(WriteError::Sink(error)) | FilesError::Map(MapError::Chunk(error)) => error,
        FilesError::Map(error) => PutError::Limit(error.to_string()),
        error => PutError::Archive(format!("entry {}: {error}", Quoted(name))),
    }
}
