//! Writing a tree of files as a map.

use std::collections::{BTreeMap, VecDeque};

use super::build::MapBuilder;
use super::entry::{Content, FileNode, FileNodeError, NodeKind, Piece, key_of};
use super::{MapError, MapRoot};
use crate::catalog::KnownFile;
use crate::content::{ContentWriter, Ended};
use crate::ids::Fingerprint;
use crate::manifest::{Order, OrderError};
use crate::pack::Place;
use crate::path::EntryPath;
use crate::secret::ConvergenceSecret;
use crate::sink::ChunkSink;
use crate::submitted::{ChunkWriter, SubmitError};
use crate::write_error::WriteError;

/// Entries that wait for the references of their chunks before they are asked for.
const WAITING: usize = 4096;
/// So many entries wait at most: then the open pack ends, however short it is.
const WAITING_MAX: usize = 1 << 16;

/// What was written.
#[derive(Debug)]
pub struct WrittenFiles<S> {
    /// The map.
    pub root: MapRoot,
    /// Files, directories and so on in numbers.
    pub counts: FileCounts,
    /// Data bytes that were submitted: what is left of the files after deduplication.
    pub packed_bytes: u64,
    /// Bytes that lie in chunks from before.
    pub reused_bytes: u64,
    /// The sink, to wait for and ask about storage.
    pub sink: S,
}

/// A tree of files in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FileCounts {
    /// Regular files; a file with several names counts once for each.
    pub files: u64,
    /// Directories, the root left out.
    pub directories: u64,
    /// Symbolic links, pipes and devices.
    pub others: u64,
    /// Lengths of all files together, holes included, a file with several names once.
    pub bytes: u64,
}

/// Why a tree cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilesError<E> {
    /// The content of a file.
    #[error(transparent)]
    Content(#[from] WriteError<E>),
    /// The map.
    #[error(transparent)]
    Map(#[from] MapError<E>),
    /// An entry that no volume can hold. It was not added.
    #[error(transparent)]
    Node(#[from] FileNodeError),
    /// A hard link to a file that has not come yet. It was not added.
    #[error("a hard link leads to a file that has not come before it")]
    NoSuchGroup,
}

/// Writes a tree. Entries come in the order of [`EntryPath`], each directory before what is in it.
pub struct FilesWriter<S> {
    contents: ContentWriter<S>,
    map: MapBuilder,
    order: Order,
    counts: FileCounts,
    waiting: VecDeque<Waiting>,
    /// Contents of files with several names.
    groups: BTreeMap<u64, (Content, Vec<Place>)>,
    open: Option<(Vec<u8>, FileNode)>,
}

/// An entry whose content may lie in chunks that have no references yet.
struct Waiting {
    key: Vec<u8>,
    node: FileNode,
    places: Vec<Place>,
}

impl<S: ChunkSink> FilesWriter<S> {
    /// An empty tree so far. `secret`: whose equal data is stored once.
    pub fn new(sink: S, secret: &ConvergenceSecret) -> Self {
        Self {
            contents: ContentWriter::new(ChunkWriter::remembering(sink, secret), secret),
            map: MapBuilder::new(),
            order: Order::default(),
            counts: FileCounts::default(),
            waiting: VecDeque::new(),
            groups: BTreeMap::new(),
            open: None,
        }
    }

    /// The sink, to ask it what it knows.
    pub fn sink_mut(&mut self) -> &mut S {
        self.contents.chunks.sink_mut()
    }

    /// Adds an entry that is no file.
    pub fn add(&mut self, path: &EntryPath, node: FileNode) -> Result<(), FilesError<S::Error>> {
        self.admit(path, &node)?;
        match node.kind {
            NodeKind::Directory => self.counts.directories += u64::from(!path.is_root()),
            _ => self.counts.others += 1,
        }
        self.push(Waiting { key: key_of(path), node, places: Vec::new() })
    }

    /// Begins a file: its data follows, without the holes. Only the size and the segments of its content count.
    pub fn begin_file(&mut self, path: &EntryPath, node: FileNode) -> Result<(), FilesError<S::Error>> {
        self.admit(path, &node)?;
        self.contents.begin();
        self.open = Some((key_of(path), node));
        Ok(())
    }

    /// When the open file ends, the sink is to be [told](ChunkSink::file_written) where its data lies. To be called
    /// before its first byte.
    pub fn catalog_as(&mut self, fingerprint: Fingerprint) -> Result<(), FilesError<S::Error>> {
        Ok(self.contents.catalog_as(fingerprint)?)
    }

    /// Takes over data that was put before as the next bytes. Its chunks have to be stored.
    pub fn take_over(&mut self, file: &KnownFile) -> Result<(), FilesError<S::Error>> {
        Ok(self.contents.take_over(file)?)
    }

    /// Appends data to the open file.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FilesError<S::Error>> {
        Ok(self.contents.write(bytes)?)
    }

    /// Ends the open file.
    pub fn end_file(&mut self) -> Result<(), FilesError<S::Error>> {
        let (key, mut node) = self.open.take().ok_or(WriteError::NoFileOpen)?;
        let Ended { size, places } = self.contents.end()?;
        let NodeKind::File(content) = &mut node.kind else { return Err(WriteError::NoFileOpen.into()) };
        content.pieces = Vec::new();
        if content.segments.is_none() {
            content.size = size;
        }
        if size != content.data_len() {
            return Err(FileNodeError::Malformed("a sparse file has another length than its segments").into());
        }
        self.counts.files += 1;
        self.counts.bytes += content.size;
        if node.link_group > 0 {
            self.groups.insert(node.link_group, (content.clone(), places.clone()));
        }
        self.push(Waiting { key, node, places })
    }

    /// Adds another name of a file that has come before, which has the same group. Its content is that file's.
    pub fn link(&mut self, path: &EntryPath, mut node: FileNode) -> Result<(), FilesError<S::Error>> {
        let (content, places) = self.groups.get(&node.link_group).cloned().ok_or(FilesError::NoSuchGroup)?;
        node.kind = NodeKind::File(content);
        self.admit(path, &node)?;
        self.counts.files += 1;
        self.push(Waiting { key: key_of(path), node, places })
    }

    /// Submits what is left. The tree exists once the sink has stored all of it.
    pub fn finish(mut self) -> Result<WrittenFiles<S>, FilesError<S::Error>> {
        if self.open.is_some() {
            return Err(WriteError::FileOpen.into());
        }
        self.contents.flush()?;
        self.settle()?;
        if !self.waiting.is_empty() {
            return Err(MapError::WrongReferences.into());
        }
        let root = self.map.finish(&mut self.contents.chunks)?;
        Ok(WrittenFiles {
            root,
            counts: self.counts,
            packed_bytes: self.contents.packed_bytes(),
            reused_bytes: self.contents.reused_bytes(),
            sink: self.contents.chunks.into_sink(),
        })
    }

    /// Checks that an entry may come next.
    fn admit(&mut self, path: &EntryPath, node: &FileNode) -> Result<(), FilesError<S::Error>> {
        if self.open.is_some() {
            return Err(WriteError::FileOpen.into());
        }
        // The pieces of a file are not there yet, and cannot be wrong.
        if !matches!(node.kind, NodeKind::File(_)) {
            node.check()?;
        }
        let is_directory = matches!(node.kind, NodeKind::Directory);
        let admitted = self.order.admit_path(path, is_directory);
        admitted.map(drop).map_err(|error: OrderError| WriteError::Order(error).into())
    }

    fn push(&mut self, entry: Waiting) -> Result<(), FilesError<S::Error>> {
        self.waiting.push_back(entry);
        if !self.waiting.len().is_multiple_of(WAITING) {
            return Ok(());
        }
        if self.waiting.len() >= WAITING_MAX {
            self.contents.flush()?;
        }
        self.settle()
    }

    /// Moves entries whose chunks all have references into the map.
    fn settle(&mut self) -> Result<(), FilesError<S::Error>> {
        self.contents.chunks.settle().map_err(MapError::from)?;
        while let Some(Waiting { places, .. }) = self.waiting.front() {
            let piece = |place: &Place| {
                let chunk = self.contents.reference(place.chunk)?;
                Some(Piece { chunk, offset: place.offset, len: place.len })
            };
            let Some(pieces) = places.iter().map(piece).collect::<Option<Vec<_>>>() else { return Ok(()) };
            let Some(Waiting { key, mut node, .. }) = self.waiting.pop_front() else { return Ok(()) };
            if let NodeKind::File(content) = &mut node.kind {
                content.pieces = pieces;
            }
            node.check()?;
            self.map.push(&mut self.contents.chunks, key, node.to_value())?;
        }
        Ok(())
    }
}

impl<E> From<SubmitError<E>> for MapError<E> {
    fn from(error: SubmitError<E>) -> Self {
        match error {
            SubmitError::Sink(error) => Self::Chunk(error),
            SubmitError::WrongReferences { .. } => Self::WrongReferences,
        }
    }
}
