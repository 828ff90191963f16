//! Writing an object: files in, a link out.

use crate::catalog::KnownFile;
use crate::chunk::ChunkRef;
use crate::content::{ContentWriter, Ended};
use crate::ids::Fingerprint;
use crate::link::Link;
use crate::manifest::{
    MAX_INLINE_LEN, MAX_MANIFEST_LEN, Metadata, ObjectKind, Order, Record, RecordKind, Root,
    STREAM_CHUNK_LEN, Stream, Summary, encode_extent, is_target,
};
use crate::path::EntryPath;
use crate::secret::ConvergenceSecret;
use crate::sink::ChunkSink;
use crate::submitted::{ChunkWriter, Ticket};
use crate::write_error::WriteError;

/// A written object.
#[derive(Debug)]
pub struct Written<S> {
    /// Reads it.
    pub link: Link,
    /// What it consists of.
    pub summary: Summary,
    /// Data bytes that were submitted: what is left of [`Summary::bytes`] after deduplication.
    pub packed_bytes: u64,
    /// Bytes that lie in chunks from before.
    pub reused_bytes: u64,
    /// Chunks of the manifest, besides the data chunks.
    pub manifest_chunks: u32,
    /// The sink, to wait for and ask about storage.
    pub sink: S,
}

/// Writes one object, a file or a tree, in bounded memory: two packs, and 170 bytes for each chunk.
///
/// Entries of a tree come in the order of [`EntryPath`], each directory before what is in it.
pub struct ObjectWriter<S> {
    contents: ContentWriter<S>,
    kind: ObjectKind,
    order: Order,
    summary: Summary,
    /// Entries not yet submitted.
    entries: Vec<u8>,
    entries_len: u64,
    /// Chunks of entries that were submitted.
    entry_chunks: Vec<Ticket>,
    open: Option<OpenFile>,
}

/// The file being written.
struct OpenFile {
    depth: usize,
    name: Vec<u8>,
    metadata: Metadata,
}

impl<S: ChunkSink> ObjectWriter<S> {
    /// An object that is one file. Write its bytes, then finish.
    pub fn file(
        sink: S,
        secret: &ConvergenceSecret,
        metadata: Metadata,
    ) -> Result<Self, WriteError<S::Error>> {
        let mut writer = Self::new(sink, secret, ObjectKind::File);
        writer.begin_file(&EntryPath::root(), metadata)?;
        Ok(writer)
    }

    /// An object that is a directory with this metadata. Add what is in it, then finish.
    pub fn tree(
        sink: S,
        secret: &ConvergenceSecret,
        metadata: Metadata,
    ) -> Result<Self, WriteError<S::Error>> {
        let mut writer = Self::new(sink, secret, ObjectKind::Tree);
        writer.add(&EntryPath::root(), metadata, RecordKind::Directory)?;
        Ok(writer)
    }

    fn new(sink: S, secret: &ConvergenceSecret, kind: ObjectKind) -> Self {
        Self {
            contents: ContentWriter::new(ChunkWriter::new(sink), secret),
            kind,
            order: Order::default(),
            summary: Summary::default(),
            entries: Vec::new(),
            entries_len: 0,
            entry_chunks: Vec::new(),
            open: None,
        }
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &EntryPath, metadata: Metadata) -> Result<(), WriteError<S::Error>> {
        self.add(path, metadata, RecordKind::Directory)?;
        self.summary.directories += 1;
        Ok(())
    }

    /// Adds a symbolic link to any bytes without NUL, 1 to 4,096 of them.
    pub fn symlink(
        &mut self,
        path: &EntryPath,
        target: &[u8],
        metadata: Metadata,
    ) -> Result<(), WriteError<S::Error>> {
        if !is_target(target) {
            return Err(WriteError::OutOfRange);
        }
        self.add(path, metadata, RecordKind::Symlink { target })?;
        self.summary.symlinks += 1;
        Ok(())
    }

    /// Begins a file: its bytes follow.
    pub fn begin_file(&mut self, path: &EntryPath, metadata: Metadata) -> Result<(), WriteError<S::Error>> {
        let depth = self.admit(path, metadata, false)?;
        let name = path.name().unwrap_or_default().to_vec();
        self.open = Some(OpenFile { depth, name, metadata });
        self.contents.begin();
        Ok(())
    }

    /// When the open file ends, the sink is to be [told](ChunkSink::file_written) where it lies. To be called before
    /// its first byte.
    pub fn catalog_as(&mut self, fingerprint: Fingerprint) -> Result<(), WriteError<S::Error>> {
        self.contents.catalog_as(fingerprint)
    }

    /// Takes over the content of a file that was put before, as the open file's next bytes. Its chunks have to be
    /// stored.
    pub fn take_over(&mut self, file: &KnownFile) -> Result<(), WriteError<S::Error>> {
        self.contents.take_over(file)?;
        self.check_len()
    }

    /// Appends to the open file.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError<S::Error>> {
        self.contents.write(bytes)?;
        self.check_len()
    }

    /// The sink, to ask it what it knows.
    pub fn sink_mut(&mut self) -> &mut S {
        self.contents.chunks.sink_mut()
    }

    /// Ends the open file.
    pub fn end_file(&mut self) -> Result<(), WriteError<S::Error>> {
        let OpenFile { depth, name, metadata } = self.open.take().ok_or(WriteError::NoFileOpen)?;
        let Ended { size, places } = self.contents.end()?;
        let (mut extents, mut previous) = (Vec::new(), 0);
        for place in &places {
            encode_extent(&mut extents, previous, *place);
            previous = place.chunk;
        }
        let kind = RecordKind::File { size, extent_count: places.len() as u64, extents: &extents };
        self.push_record(&Record { depth, name: &name, metadata, kind })?;
        self.summary.files += 1;
        self.summary.bytes += size;
        Ok(())
    }

    /// Submits what is left and the manifest. The object exists once the sink has stored all of it.
    pub fn finish(mut self) -> Result<Written<S>, WriteError<S::Error>> {
        match (self.kind, &self.open) {
            (ObjectKind::File, Some(_)) => self.end_file()?,
            (ObjectKind::Tree, Some(_)) => return Err(WriteError::FileOpen),
            (_, None) => {}
        }
        self.contents.flush()?;
        self.check_len()?;
        self.summary.chunks = self.contents.table_len();
        let entries_len = u32::try_from(self.entries_len).map_err(|_| WriteError::TooLarge)?;
        let inline_entries = self.entries_len <= MAX_INLINE_LEN as u64;
        let rest = std::mem::take(&mut self.entries);
        if !inline_entries && !rest.is_empty() {
            self.entry_chunks.push(self.contents.chunks.submit(rest.clone().into())?);
        }
        self.contents.chunks.settle()?;
        let table: Vec<u8> = (0..self.summary.chunks)
            .filter_map(|number| self.contents.reference(number))
            .flat_map(|chunk| chunk.encode())
            .collect();
        let entries = if inline_entries {
            Stream::Inline(rest.into())
        } else {
            Stream::Chunks(self.references(&self.entry_chunks))
        };
        let table = if table.len() <= MAX_INLINE_LEN {
            Stream::Inline(table.into())
        } else {
            let mut tickets = Vec::new();
            for chunk in table.chunks(STREAM_CHUNK_LEN) {
                tickets.push(self.contents.chunks.submit(chunk.to_vec().into())?);
            }
            self.contents.chunks.settle()?;
            Stream::Chunks(self.references(&tickets))
        };
        let streams = [&table, &entries].map(|stream| match stream {
            Stream::Inline(_) => 0,
            Stream::Chunks(chunks) => chunks.len() as u32, // at most MAX_MANIFEST_LEN / STREAM_CHUNK_LEN each
        });
        let root = Root { kind: self.kind, summary: self.summary, entries_len, table, entries };
        let root = self.contents.chunks.submit(root.encode().into())?;
        self.contents.chunks.settle()?;
        let Some(ChunkRef { id, key, .. }) = self.contents.chunks.reference(root) else {
            return Err(WriteError::WrongReferences { submitted: 1, returned: 0 });
        };
        Ok(Written {
            link: Link::Read { id, key },
            summary: self.summary,
            packed_bytes: self.contents.packed_bytes(),
            reused_bytes: self.contents.reused_bytes(),
            manifest_chunks: 1 + streams[0] + streams[1],
            sink: self.contents.chunks.into_sink(),
        })
    }

    fn references(&self, tickets: &[Ticket]) -> Vec<ChunkRef> {
        tickets.iter().filter_map(|ticket| self.contents.chunks.reference(*ticket)).collect()
    }

    /// Adds an entry that is complete.
    fn add(
        &mut self,
        path: &EntryPath,
        metadata: Metadata,
        kind: RecordKind<'_>,
    ) -> Result<(), WriteError<S::Error>> {
        let depth = self.admit(path, metadata, matches!(kind, RecordKind::Directory))?;
        let name = path.name().unwrap_or_default();
        self.push_record(&Record { depth, name, metadata, kind })
    }

    /// Checks that an entry may come next; returns its depth.
    fn admit(
        &mut self,
        path: &EntryPath,
        metadata: Metadata,
        is_directory: bool,
    ) -> Result<usize, WriteError<S::Error>> {
        if self.open.is_some() {
            return Err(WriteError::FileOpen);
        }
        if !metadata.is_valid() {
            return Err(WriteError::OutOfRange);
        }
        Ok(self.order.admit_path(path, is_directory)?)
    }

    fn push_record(&mut self, record: &Record<'_>) -> Result<(), WriteError<S::Error>> {
        let before = self.entries.len();
        record.encode(&mut self.entries);
        self.entries_len += (self.entries.len() - before) as u64;
        self.check_len()?;
        while self.entries.len() >= STREAM_CHUNK_LEN {
            let rest = self.entries.split_off(STREAM_CHUNK_LEN);
            let chunk = std::mem::replace(&mut self.entries, rest);
            self.entry_chunks.push(self.contents.chunks.submit(chunk.into())?);
        }
        Ok(())
    }

    /// The table grows with the data chunks, entries with files and extents; a file's own extents count when it
    /// ends.
    fn check_len(&self) -> Result<(), WriteError<S::Error>> {
        let table = u64::from(self.contents.table_len()) * ChunkRef::ENCODED_LEN as u64;
        if table + self.entries_len > MAX_MANIFEST_LEN { Err(WriteError::TooLarge) } else { Ok(()) }
    }
}

impl<S> std::fmt::Debug for ObjectWriter<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectWriter").field("summary", &self.summary).finish_non_exhaustive()
    }
}
