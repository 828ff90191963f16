//! The content of files, one after the other, as packs: cut, deduplicated, submitted.

use crate::catalog::{KnownFile, MAX_EXTENTS};
use crate::chunk::{ChunkRef, Pack};
use crate::ids::Fingerprint;
use crate::pack::{Packer, Place};
use crate::piece::PieceInfo;
use crate::secret::ConvergenceSecret;
use crate::sink::ChunkSink;
use crate::submitted::{ChunkWriter, Ticket};
use crate::table::Table;
use crate::write_error::WriteError;

/// Writes contents in bounded memory: two packs, and 170 bytes for each chunk.
pub(crate) struct ContentWriter<S> {
    pub(crate) chunks: ChunkWriter<S>,
    packer: Packer,
    table: Table,
    /// The packs that were submitted, in order.
    packs: Vec<Ticket>,
    packed_bytes: u64,
    reused_bytes: u64,
    open: Option<Open>,
}

/// The content that is being written.
#[derive(Default)]
struct Open {
    size: u64,
    places: Vec<Place>,
    catalogued: Option<Fingerprint>,
}

/// A content that was written.
pub(crate) struct Ended {
    pub(crate) size: u64,
    /// Where it lies, in order, as few runs as possible.
    pub(crate) places: Vec<Place>,
}

impl Open {
    fn add(&mut self, place: Place) {
        self.size += u64::from(place.len);
        match self.places.last_mut() {
            Some(last) if last.chunk == place.chunk && last.offset + last.len == place.offset => {
                last.len += place.len;
            }
            _ => self.places.push(place),
        }
    }
}

impl<S: ChunkSink> ContentWriter<S> {
    pub(crate) fn new(chunks: ChunkWriter<S>, secret: &ConvergenceSecret) -> Self {
        Self {
            chunks,
            packer: Packer::new(secret),
            table: Table::default(),
            packs: Vec::new(),
            packed_bytes: 0,
            reused_bytes: 0,
            open: None,
        }
    }

    /// Bytes that were packed.
    pub(crate) fn packed_bytes(&self) -> u64 {
        self.packed_bytes
    }

    /// Bytes that lie in chunks from before.
    pub(crate) fn reused_bytes(&self) -> u64 {
        self.reused_bytes
    }

    /// Chunks so far.
    pub(crate) fn table_len(&self) -> u32 {
        self.table.len()
    }

    /// Begins a content.
    pub(crate) fn begin(&mut self) {
        self.open = Some(Open::default());
    }

    /// When the open content ends, the sink is to be told where it lies.
    pub(crate) fn catalog_as(&mut self, fingerprint: Fingerprint) -> Result<(), WriteError<S::Error>> {
        self.open.as_mut().ok_or(WriteError::NoFileOpen)?.catalogued = Some(fingerprint);
        Ok(())
    }

    /// Takes over what was put before as the next bytes. Its chunks have to be stored.
    pub(crate) fn take_over(&mut self, file: &KnownFile) -> Result<(), WriteError<S::Error>> {
        // What was written before it ends here: a piece does not reach into bytes that are not at hand.
        self.cut(true)?;
        let Some(open) = &mut self.open else { return Err(WriteError::NoFileOpen) };
        self.table.grow(file.size);
        self.reused_bytes += file.size;
        for extent in &file.extents {
            let (number, first) = self.table.refer(&extent.chunk);
            if first {
                self.chunks.sink_mut().refer(&extent.chunk, number);
            }
            open.add(Place { chunk: number, offset: extent.offset, len: extent.len });
        }
        Ok(())
    }

    /// Appends to the open content.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), WriteError<S::Error>> {
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

    /// Ends the open content.
    pub(crate) fn end(&mut self) -> Result<Ended, WriteError<S::Error>> {
        self.cut(true)?;
        let Open { size, places, catalogued } = self.open.take().ok_or(WriteError::NoFileOpen)?;
        if let Some(fingerprint) = catalogued.filter(|_| places.len() <= MAX_EXTENTS) {
            self.chunks.sink_mut().file_written(fingerprint, &places);
        }
        Ok(Ended { size, places })
    }

    /// Submits the pack that is open.
    pub(crate) fn flush(&mut self) -> Result<(), WriteError<S::Error>> {
        match self.packer.take() {
            Some(pack) => self.submit_data(pack),
            None => Ok(()),
        }
    }

    /// The reference of the chunk of this number, if it is known by now.
    pub(crate) fn reference(&self, number: u32) -> Option<ChunkRef> {
        self.table.reference(number, |pack| self.chunks.reference(*self.packs.get(pack as usize)?))
    }

    /// Cuts what can be cut off the open content's bytes.
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
        let sink = self.chunks.sink_mut();
        let Some(known) = sink.find_piece(piece) else { return Ok(None) };
        if known.len != piece.len
            || !self.table.admits(&known.chunk)
            || !sink.is_stored(&known.chunk).map_err(WriteError::Sink)?
        {
            return Ok(None);
        }
        let (number, first) = self.table.refer(&known.chunk);
        if first {
            sink.refer(&known.chunk, number);
        }
        sink.use_piece(piece, &known);
        self.reused_bytes += u64::from(piece.len);
        Ok(Some(Place { chunk: number, offset: known.offset, len: known.len }))
    }

    fn submit_data(&mut self, pack: Pack) -> Result<(), WriteError<S::Error>> {
        self.packed_bytes += pack.len() as u64;
        let ticket = self.chunks.submit(pack)?;
        self.packs.push(ticket);
        Ok(())
    }
}
