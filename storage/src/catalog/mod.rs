//! The catalog: what was put from here before, so that the next put need not send it again.
//!
//! It knows *pieces*, by keyed hash, and *files*, by a fingerprint of what the system says of them (never by their
//! content), and in which chunk each lies. It is a cache and nothing else: nobody needs it in order to read, it may
//! be deleted at any time, and every row carries a keyed checksum, so that a damaged row is an unknown one. What it
//! says about a chunk is true of the day it was written: whoever uses it first asks the holders whether the chunk
//! is still there.
//!
//! It is bounded by forgetting in generations: rows go into the current one, and those of the previous one that
//! are used are copied over. When the current one is full, the previous one is dropped and its place taken.

mod rows;
mod snapshot;
mod write;

use std::io;
use std::path::Path;

use crate::chunk::ChunkRef;
use crate::files::{Files, OsFiles};
use crate::ids::Fingerprint;
pub use crate::piece::PieceInfo;
use crate::redundancy::Redundancy;
use crate::reopening::Reopening;
use crate::secret::ConvergenceSecret;

use rows::Keys;
pub use snapshot::Snapshot;
pub use write::Changes;

const FILE: &str = "catalog.redb";
/// Rows of one generation, with the extents of files: some 100 bytes each, so that two generations take at most
/// 400 MB. That is a million files, or a tebibyte of large ones.
const GENERATION_ROWS: u64 = 1 << 21;
/// A file in more extents than these (some 30 GiB) is not catalogued as a whole; its pieces are.
pub(crate) const MAX_EXTENTS: usize = 1 << 14;

/// A chunk that was stored. Chunks have numbers in the order in which they were put, so that those that follow each
/// other in a file, or a tree, have numbers that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownChunk {
    /// Its number.
    pub number: u64,
    /// Where it is and what opens it.
    pub reference: ChunkRef,
    /// Bytes of the sealed chunk: what one copy costs.
    pub sealed_len: u32,
}

/// Where a piece lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPiece {
    /// In which chunk.
    pub chunk: KnownChunk,
    /// Where in its plaintext.
    pub offset: u32,
    /// How many bytes.
    pub len: u32,
    /// It will be forgotten next, unless it is [kept](Changes::keep_piece).
    pub ageing: bool,
}

/// Where a file lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFile {
    /// Its length.
    pub size: u64,
    /// Its content, in order.
    pub extents: Vec<KnownExtent>,
    /// It will be forgotten next, unless it is [kept](Changes::keep_file).
    pub ageing: bool,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownExtent {
    /// In which chunk.
    pub chunk: KnownChunk,
    /// Where in its plaintext.
    pub offset: u32,
    /// How many bytes.
    pub len: u32,
}

/// See the module's description. Calls may come from several threads; readers do not wait for writers.
pub struct Catalog {
    db: Reopening,
    keys: Keys,
    generation_rows: u64,
}

impl Catalog {
    /// Opens the catalog in `directory`, or creates it there; one that is damaged is begun anew. `None` if another
    /// process has it open.
    pub fn open(directory: &Path, secret: &ConvergenceSecret) -> io::Result<Option<Self>> {
        match OsFiles::lock(directory)? {
            Some(files) => Self::open_files(Box::new(files), secret).map(Some),
            None => Ok(None),
        }
    }

    /// Opens the catalog in files of any kind.
    pub fn open_files(files: Box<dyn Files>, secret: &ConvergenceSecret) -> io::Result<Self> {
        Ok(Self {
            db: Reopening::open(files, FILE, write::prepare)?,
            keys: Keys::new(secret),
            generation_rows: GENERATION_ROWS,
        })
    }

    /// The same with another bound: so many rows a generation.
    pub fn with_generation_rows(mut self, rows: u64) -> Self {
        self.generation_rows = rows.max(1);
        self
    }

    /// How often it was found damaged and begun anew since it was opened: then nothing was known.
    pub fn begun_anew(&self) -> u64 {
        self.db.begun_anew()
    }

    /// What is known at this moment. Do not hold on to it for long: its pages cannot be reused meanwhile.
    pub fn snapshot(&self) -> io::Result<Snapshot> {
        self.db.read(|txn| Snapshot::new(&txn, self.keys.clone()))
    }

    /// Enters what was stored. A durable change survives a crash, and so do all before it; another is seen at
    /// once, but a crash may lose it. After an error nothing of it is seen.
    pub fn change<T>(
        &self,
        durable: bool,
        change: impl FnOnce(&mut Changes<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.db.change(durable, |txn| write::change(txn, &self.keys, self.generation_rows, change))
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").field("db", &self.db).finish_non_exhaustive()
    }
}

/// A chunk to be entered.
#[derive(Clone, Debug)]
pub struct NewChunk<'a> {
    /// Where it is and what opens it. Its redundancy has to be known.
    pub reference: ChunkRef,
    /// Bytes of the sealed chunk.
    pub sealed_len: u32,
    /// What lies in it, from its beginning on.
    pub pieces: &'a [PieceInfo],
}

/// A file to be entered.
#[derive(Clone, Debug)]
pub struct NewFile<'a> {
    /// As what it will be asked for.
    pub fingerprint: Fingerprint,
    /// How all its chunks are coded.
    pub redundancy: Redundancy,
    /// Its content, in order: number of the chunk, offset in it, length.
    pub extents: &'a [(u64, u32, u32)],
}

#[cfg(test)]
mod tests;
