//! Writing an object: files in, a link out.

use crate::catalog::{KnownChunk, KnownFile, KnownPiece, MAX_EXTENTS, PieceInfo};
use crate::chunk::{ChunkRef, Pack};
use crate::ids::Fingerprint;
use crate::link::Link;
use crate::manifest::{
    MAX_INLINE_LEN, MAX_MANIFEST_LEN, Metadata, ObjectKind, Order, OrderError, Record, RecordKind, Root,
    STREAM_CHUNK_LEN, Stream, Summary, encode_extent, is_target,
};
use crate::pack::{Packer, Place};
use crate::path::EntryPath;
use crate::secret::ConvergenceSecret;
use crate::table::Table;

/// Where packs go to become chunks. An implementation may encode and send them on other threads; the writer never
/// looks at a chunk again.
pub trait ChunkSink {
    /// Why it can take no more.
    type Error;

    /// Takes the plaintext of the next chunk. It may wait, which is how a slow network slows down the reading of
    /// files.
    fn submit(&mut self, pack: Pack) -> Result<(), Self::Error>;

    /// Waits until every submitted chunk is encoded, and returns the references of all those since the last
    /// call, in the order of submission. Whether they are stored already is between the sink and its owner.
    fn barrier(&mut self) -> Result<Vec<ChunkRef>, Self::Error>;

    /// Where a piece was put before. Sinks without a memory know nothing.
    fn find_piece(&mut self, _piece: &PieceInfo) -> Option<KnownPiece> {
        None
    }

    /// Whether a chunk from before is still stored as well as this object wants to be.
    fn is_stored(&mut self, _chunk: &KnownChunk) -> Result<bool, Self::Error> {
        Ok(false)
    }

    /// The object uses a piece from before.
    fn use_piece(&mut self, _piece: &PieceInfo, _known: &KnownPiece) {}

    /// The object uses a chunk from before, under this number of its table. Called once for each.
    fn refer(&mut self, _chunk: &KnownChunk, _number: u32) {}

    /// A file is complete, and lies there. Chunks it lies in may not be stored yet.
    fn file_written(&mut self, _fingerprint: Fingerprint, _places: &[Place]) {}
}

/// Why an object could not be written. What was submitted so far is in the network without a root, so that nobody
/// can take it for an object; the writer is of no further use after [`Sink`](Self::Sink).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// The sink failed.
    #[error(transparent)]
    Sink(E),
    /// The sink returned fewer or more references than it was given chunks.
    #[error("the sink returned {returned} references for {submitted} chunks")]
    WrongReferences {
        /// Chunks submitted.
        submitted: usize,
        /// References returned.
        returned: usize,
    },
    /// The entry cannot follow the one before it. It was not added.
    #[error("entry cannot be added: {0}")]
    Order(#[from] OrderError),
    /// Mode, time or link target is out of range. The entry was not added.
    #[error("entry cannot be added: its mode, time or target is out of range")]
    OutOfRange,
    /// A file has to be ended first.
    #[error("a file is still open")]
    FileOpen,
    /// A file has to be begun first.
    #[error("no file is open")]
    NoFileOpen,
    /// The manifest would exceed its limit of 256 MiB: too many files or too much data for one object.
    #[error("too many files, or too much data, for one object")]
    TooLarge,
}

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

/// Writes one object, a file or a tree, in bounded memory: two packs, and 70 bytes for each chunk.
///
/// Entries of a tree come in the order of [`EntryPath`], each directory before what is in it.
pub struct ObjectWriter<S> {
    sink: S,
    packer: Packer,
    kind: ObjectKind,
    order: Order,
    summary: Summary,
    table: Table,
    packed_bytes: u64,
    reused_bytes: u64,
    /// Entries not yet submitted.
    entries: Vec<u8>,
    entries_len: u64,
    /// For each chunk submitted, what it holds.
    submitted: Vec<Content>,
    open: Option<OpenFile>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Data,
    Entries,
    Table,
}

/// The file being written.
struct OpenFile {
    depth: usize,
    name: Vec<u8>,
    metadata: Metadata,
    size: u64,
    extents: Vec<u8>,
    extent_count: u64,
    /// Chunk of the last encoded extent.
    previous: u32,
    /// Extent that may still grow.
    growing: Option<Place>,
    /// For the catalog: as what the file will be asked for again, and its extents so far.
    catalogued: Option<(Fingerprint, Vec<Place>)>,
}

impl OpenFile {
    fn new(depth: usize, path: &EntryPath, metadata: Metadata) -> Self {
        Self {
            depth,
            name: path.name().unwrap_or_default().to_vec(),
            metadata,
            size: 0,
            extents: Vec::new(),
            extent_count: 0,
            previous: 0,
            growing: None,
            catalogued: None,
        }
    }

    fn add(&mut self, place: Place) {
        self.size += u64::from(place.len);
        if let Some(growing) = &mut self.growing
            && growing.chunk == place.chunk
            && growing.offset + growing.len == place.offset
        {
            growing.len += place.len;
            return;
        }
        self.flush();
        self.growing = Some(place);
    }

    fn flush(&mut self) {
        if let Some(place) = self.growing.take() {
            encode_extent(&mut self.extents, self.previous, place);
            self.extent_count += 1;
            self.previous = place.chunk;
            match &mut self.catalogued {
                Some((_, places)) if places.len() < MAX_EXTENTS => places.push(place),
                _ => self.catalogued = None,
            }
        }
    }
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
            sink,
            packer: Packer::new(secret),
            kind,
            order: Order::default(),
            summary: Summary::default(),
            table: Table::default(),
            packed_bytes: 0,
            reused_bytes: 0,
            entries: Vec::new(),
            entries_len: 0,
            submitted: Vec::new(),
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
        self.open = Some(OpenFile::new(depth, path, metadata));
        Ok(())
    }

    /// When the open file ends, the sink is to be [told](ChunkSink::file_written) where it lies. To be called before
    /// its first byte.
    pub fn catalog_as(&mut self, fingerprint: Fingerprint) -> Result<(), WriteError<S::Error>> {
        let open = self.open.as_mut().ok_or(WriteError::NoFileOpen)?;
        open.catalogued = Some((fingerprint, Vec::new()));
        Ok(())
    }

    /// Takes over the content of a file that was put before, as the open file's next bytes. Its chunks have to be
    /// stored.
    pub fn take_over(&mut self, file: &KnownFile) -> Result<(), WriteError<S::Error>> {
        // What was written before it ends here: a piece does not reach into bytes that are not at hand.
        self.cut(true)?;
        let Some(open) = &mut self.open else { return Err(WriteError::NoFileOpen) };
        self.table.grow(file.size);
        self.reused_bytes += file.size;
        for extent in &file.extents {
            let (number, first) = self.table.refer(&extent.chunk);
            if first {
                self.sink.refer(&extent.chunk, number);
            }
            open.add(Place { chunk: number, offset: extent.offset, len: extent.len });
        }
        self.check_len()
    }

    /// Appends to the open file.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), WriteError<S::Error>> {
        if self.open.is_none() {
            return Err(WriteError::NoFileOpen);
        }
        while !bytes.is_empty() {
            let taken = self.packer.append(bytes);
            bytes = &bytes[taken..];
            self.cut(false)?;
        }
        Ok(())
    }

    /// The sink, to ask it what it knows.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Ends the open file.
    pub fn end_file(&mut self) -> Result<(), WriteError<S::Error>> {
        self.cut(true)?;
        let mut file = self.open.take().ok_or(WriteError::NoFileOpen)?;
        file.flush();
        let kind =
            RecordKind::File { size: file.size, extent_count: file.extent_count, extents: &file.extents };
        let record = Record { depth: file.depth, name: &file.name, metadata: file.metadata, kind };
        self.push_record(&record)?;
        self.summary.files += 1;
        self.summary.bytes += file.size;
        if let Some((fingerprint, places)) = &file.catalogued {
            self.sink.file_written(*fingerprint, places);
        }
        Ok(())
    }

    /// Submits what is left and the manifest. The object exists once the sink has stored all of it.
    pub fn finish(mut self) -> Result<Written<S>, WriteError<S::Error>> {
        match (self.kind, &self.open) {
            (ObjectKind::File, Some(_)) => self.end_file()?,
            (ObjectKind::Tree, Some(_)) => return Err(WriteError::FileOpen),
            (_, None) => {}
        }
        if let Some(pack) = self.packer.take() {
            self.submit_data(pack)?;
        }
        self.check_len()?;
        self.summary.chunks = self.table.len();
        let entries_len = u32::try_from(self.entries_len).map_err(|_| WriteError::TooLarge)?;
        let inline_entries = self.entries_len <= MAX_INLINE_LEN as u64;
        if !inline_entries && !self.entries.is_empty() {
            let rest = std::mem::take(&mut self.entries);
            self.submit(rest.into(), Content::Entries)?;
        }
        let refs = self.barrier()?;
        let of = |content: Content| {
            let tagged = refs.iter().filter(move |(tag, _)| *tag == content);
            tagged.map(|(_, chunk)| *chunk)
        };
        let table: Vec<u8> =
            self.table.references(of(Content::Data)).iter().flat_map(ChunkRef::encode).collect();
        let entries = if inline_entries {
            Stream::Inline(std::mem::take(&mut self.entries).into())
        } else {
            Stream::Chunks(of(Content::Entries).collect())
        };
        let table = if table.len() <= MAX_INLINE_LEN {
            Stream::Inline(table.into())
        } else {
            for chunk in table.chunks(STREAM_CHUNK_LEN) {
                self.submit(chunk.to_vec().into(), Content::Table)?;
            }
            Stream::Chunks(self.barrier()?.into_iter().map(|(_, chunk)| chunk).collect())
        };
        let streams = [&table, &entries].map(|stream| match stream {
            Stream::Inline(_) => 0,
            Stream::Chunks(chunks) => chunks.len() as u32, // at most MAX_MANIFEST_LEN / STREAM_CHUNK_LEN each
        });
        let root = Root { kind: self.kind, summary: self.summary, entries_len, table, entries };
        self.submit(root.encode().into(), Content::Table)?;
        let root = self.barrier()?;
        let Some((_, ChunkRef { id, key, .. })) = root.first() else {
            return Err(WriteError::WrongReferences { submitted: 1, returned: 0 });
        };
        Ok(Written {
            link: Link::Read { id: *id, key: *key },
            summary: self.summary,
            packed_bytes: self.packed_bytes,
            reused_bytes: self.reused_bytes,
            manifest_chunks: 1 + streams[0] + streams[1],
            sink: self.sink,
        })
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
            self.submit(chunk.into(), Content::Entries)?;
        }
        Ok(())
    }

    /// Cuts what can be cut off the open file's bytes.
    fn cut(&mut self, end_of_file: bool) -> Result<(), WriteError<S::Error>> {
        while let Some(piece) = self.packer.next_piece(end_of_file) {
            self.table.grow(piece.len.into());
            let known = match self.packer.seen(&piece) {
                None => self.recall(&piece)?,
                seen => seen,
            };
            let place = match known {
                Some(place) => {
                    self.packer.leave_out(&piece);
                    place
                }
                None => self.packer.pack(piece, &mut self.table),
            };
            self.open.as_mut().ok_or(WriteError::NoFileOpen)?.add(place);
            if let Some(pack) = self.packer.take_full() {
                self.submit_data(pack)?;
            }
        }
        Ok(())
    }

    /// Where a piece was put before, if it may be used from there.
    fn recall(&mut self, piece: &PieceInfo) -> Result<Option<Place>, WriteError<S::Error>> {
        let Some(known) = self.sink.find_piece(piece) else { return Ok(None) };
        if known.len != piece.len
            || !self.table.admits(&known.chunk)
            || !self.sink.is_stored(&known.chunk).map_err(WriteError::Sink)?
        {
            return Ok(None);
        }
        let (number, first) = self.table.refer(&known.chunk);
        if first {
            self.sink.refer(&known.chunk, number);
        }
        self.sink.use_piece(piece, &known);
        self.reused_bytes += u64::from(piece.len);
        Ok(Some(Place { chunk: number, offset: known.offset, len: known.len }))
    }

    fn submit_data(&mut self, pack: Pack) -> Result<(), WriteError<S::Error>> {
        self.packed_bytes += pack.len() as u64;
        self.check_len()?;
        self.submit(pack, Content::Data)
    }

    /// The table grows with the data chunks, entries with files and extents; a file's own extents count when it
    /// ends.
    fn check_len(&self) -> Result<(), WriteError<S::Error>> {
        let table = u64::from(self.table.len()) * ChunkRef::ENCODED_LEN as u64;
        if table + self.entries_len > MAX_MANIFEST_LEN { Err(WriteError::TooLarge) } else { Ok(()) }
    }

    fn submit(&mut self, pack: Pack, content: Content) -> Result<(), WriteError<S::Error>> {
        self.submitted.push(content);
        self.sink.submit(pack).map_err(WriteError::Sink)
    }

    fn barrier(&mut self) -> Result<Vec<(Content, ChunkRef)>, WriteError<S::Error>> {
        let refs = self.sink.barrier().map_err(WriteError::Sink)?;
        let tags = std::mem::take(&mut self.submitted);
        if refs.len() != tags.len() {
            return Err(WriteError::WrongReferences { submitted: tags.len(), returned: refs.len() });
        }
        Ok(tags.into_iter().zip(refs).collect())
    }
}

impl<S> std::fmt::Debug for ObjectWriter<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectWriter").field("summary", &self.summary).finish_non_exhaustive()
    }
}
