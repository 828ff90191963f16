//! A loaded manifest.

use std::ops::Range;

use bytes::Bytes;

use super::entry::{Entry, EntryKind, FileEntry, Record, RecordKind};
use super::extents::decode_extent;
use super::order::Order;
use super::root::{ObjectKind, Root, Stream, Summary};
use crate::chunk::ChunkRef;
use crate::path::EntryPath;
use crate::varint::{Malformed, Reader};

/// What an object consists of. It keeps the encoded form, checked once as a whole, and decodes as it is asked:
/// its memory is the length of the encoding. A clone shares it.
#[derive(Clone, Debug)]
pub struct Manifest {
    root: ChunkRef,
    kind: ObjectKind,
    summary: Summary,
    table: Bytes,
    entries: Bytes,
    streams: Vec<ChunkRef>,
}

/// A run of bytes inside a data chunk's plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The chunk.
    pub chunk: ChunkRef,
    /// Where in its plaintext the run begins.
    pub offset: u32,
    /// Length of the run; not 0.
    pub len: u32,
}

impl Manifest {
    /// Checks everything that a reader relies on later.
    pub(crate) fn new(
        root: ChunkRef,
        decoded: &Root,
        table: Bytes,
        entries: Bytes,
    ) -> Result<Self, Malformed> {
        let streams = [&decoded.table, &decoded.entries].into_iter().flat_map(|stream| match stream {
            Stream::Inline(_) => [].iter(),
            Stream::Chunks(chunks) => chunks.iter(),
        });
        let streams = streams.copied().collect();
        let manifest = Self { root, kind: decoded.kind, summary: decoded.summary, table, entries, streams };
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), Malformed> {
        let table = self.table.as_chunks::<{ ChunkRef::ENCODED_LEN }>();
        if !table.1.is_empty() || table.0.len() != self.summary.chunks as usize {
            return Err(Malformed("the table has not the length it should have"));
        }
        let mut lens = Vec::with_capacity(table.0.len());
        for encoded in table.0 {
            let chunk = ChunkRef::decode(encoded).ok_or(Malformed("a reference to a chunk is impossible"))?;
            lens.push(chunk.plain_len);
        }

        let mut found = Summary { chunks: self.summary.chunks, ..Summary::default() };
        let mut order = Order::default();
        let mut reader = Reader { rest: &self.entries };
        while !reader.rest.is_empty() {
            let record = Record::decode(&mut reader)?;
            let admitted = match record.depth {
                0 => order.root(record.is_directory()),
                depth => order.admit(depth, record.name, record.is_directory()),
            };
            admitted.map_err(|_| Malformed("its entries are out of order"))?;
            let path_len: usize = order.components().iter().map(|name| name.len() + 1).sum();
            if path_len > 4097 {
                return Err(Malformed("a path is too long"));
            }
            match record.kind {
                RecordKind::Directory => found.directories += u64::from(record.depth > 0),
                RecordKind::Symlink { .. } => found.symlinks += 1,
                RecordKind::File { size, extent_count, extents } => {
                    found.files += 1;
                    found.bytes = found.bytes.checked_add(size).ok_or(Malformed("it is too large"))?;
                    check_places(extents, extent_count, &lens)?;
                }
            }
            let root_is_file = record.depth == 0 && matches!(record.kind, RecordKind::File { .. });
            let root_is_tree = record.depth == 0 && record.is_directory();
            let fits = match self.kind {
                ObjectKind::File => root_is_file,
                ObjectKind::Tree => record.depth > 0 || root_is_tree,
            };
            if !fits {
                return Err(Malformed("its entries do not fit its kind"));
            }
        }
        if self.entries.is_empty() || found != self.summary {
            return Err(Malformed("its summary is wrong"));
        }
        Ok(())
    }

    /// Bytes that it keeps in memory.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.table.len() + self.entries.len() + self.streams.len() * size_of::<ChunkRef>()
    }

    /// Whether it is one file or a tree.
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The object in numbers.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// All entries, each directory before what is in it; the first is the object itself.
    pub fn entries(&self) -> Entries<'_> {
        Entries { all: &self.entries, reader: Reader { rest: &self.entries }, stack: Vec::new() }
    }

    /// The entry at `path`. This looks through the entries from the first.
    pub fn entry(&self, path: &EntryPath) -> Option<Entry> {
        self.entries().find(|entry| entry.path >= *path).filter(|entry| entry.path == *path)
    }

    /// The file that the object is, if it is one.
    pub fn file(&self) -> Option<FileEntry> {
        match self.entries().next()?.kind {
            EntryKind::File(file) => Some(file),
            _ => None,
        }
    }

    /// Reference of data chunk `index`.
    pub fn data_chunk(&self, index: u32) -> Option<ChunkRef> {
        let table = self.table.as_chunks::<{ ChunkRef::ENCODED_LEN }>().0;
        ChunkRef::decode(table.get(index as usize)?)
    }

    /// Every chunk of the object: the root, the chunks that hold the rest of the manifest, then the data. The
    /// root's redundancy is not known here; a chunk may occur more than once.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkRef> + '_ {
        let data = (0..self.summary.chunks).filter_map(|index| self.data_chunk(index));
        std::iter::once(self.root).chain(self.streams.iter().copied()).chain(data)
    }

    /// Where the bytes `range` of a file of this manifest lie, in order. The range is cut off at the file's end.
    pub fn extents(&self, file: &FileEntry, range: Range<u64>) -> impl Iterator<Item = Extent> + '_ {
        let mut reader = Reader { rest: self.entries.get(file.extents_at..).unwrap_or_default() };
        let (mut at, mut chunk) = (0u64, 0u32);
        (0..file.extent_count)
            .map_while(move |_| {
                let place = decode_extent(&mut reader, chunk).ok()?;
                chunk = place.chunk;
                let start = at;
                at = at.checked_add(place.len.into())?;
                Some((start, place))
            })
            .skip_while(move |(start, place)| start + u64::from(place.len) <= range.start)
            .take_while(move |(start, _)| *start < range.end)
            .filter_map(move |(start, place)| {
                // What is cut off at either end is less than the extent's length, which is a u32.
                let before = range.start.saturating_sub(start);
                let after = (start + u64::from(place.len)).saturating_sub(range.end);
                let len = u64::from(place.len).saturating_sub(before + after) as u32;
                let chunk = self.data_chunk(place.chunk)?;
                (len > 0).then(|| Extent { chunk, offset: place.offset + before as u32, len })
            })
    }
}

/// Every extent lies inside its chunk.
fn check_places(extents: &[u8], count: u64, lens: &[u32]) -> Result<(), Malformed> {
    let mut reader = Reader { rest: extents };
    let mut previous = 0;
    for _ in 0..count {
        let place = decode_extent(&mut reader, previous)?;
        let end = place.offset.checked_add(place.len);
        let len = lens.get(place.chunk as usize);
        if !matches!((end, len), (Some(end), Some(len)) if end <= *len) {
            return Err(Malformed("an extent lies outside of its chunk"));
        }
        previous = place.chunk;
    }
    Ok(())
}

/// Iterates over the entries of a [`Manifest`].
#[derive(Clone)]
pub struct Entries<'a> {
    all: &'a [u8],
    reader: Reader<'a>,
    /// Paths of the last entry's directories and of itself, from the top.
    stack: Vec<EntryPath>,
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.reader.rest.is_empty() {
            return None;
        }
        // The manifest was checked as a whole when it was loaded.
        let record = Record::decode(&mut self.reader).ok()?;
        let path = if record.depth == 0 {
            EntryPath::root()
        } else {
            self.stack.truncate(record.depth);
            self.stack.last()?.join(record.name).ok()?
        };
        self.stack.push(path.clone());
        let kind = match record.kind {
            RecordKind::Directory => EntryKind::Directory,
            RecordKind::Symlink { target } => EntryKind::Symlink { target: target.to_vec() },
            RecordKind::File { size, extent_count, extents } => {
                // A file's extents are the end of its record.
                let extents_at = self.all.len() - self.reader.rest.len() - extents.len();
                EntryKind::File(FileEntry::new(size, extent_count, extents_at))
            }
        };
        Some(Entry { path, metadata: record.metadata, kind })
    }
}
