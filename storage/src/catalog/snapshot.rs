//! Asking the catalog.

use std::cell::Cell;
use std::io;

use redb::{Key, ReadOnlyTable, ReadTransaction, TableDefinition, TableError, Value};

use super::rows::{CHUNKS, ChunkRow, FILES, Keys, PIECES, Part, STATE};
use super::{KnownChunk, KnownExtent, KnownFile, KnownPiece};
use crate::database::{failed, guarded};
use crate::ids::{Fingerprint, PieceHash};
use crate::redundancy::Redundancy;

/// A table of both generations, the current one first. One that was never written to is not there.
type Both<K, V> = [Option<ReadOnlyTable<K, V>>; 2];

/// The catalog as it was at one moment.
pub struct Snapshot {
    keys: Keys,
    chunks: Both<u64, &'static [u8; 90]>,
    pieces: Both<&'static [u8; 32], &'static [u8; 32]>,
    files: Both<&'static [u8; 32], &'static [u8]>,
    /// The chunk that was found last.
    last: Cell<Option<KnownChunk>>,
}

impl Snapshot {
    pub(super) fn new(txn: &ReadTransaction, keys: Keys) -> io::Result<Self> {
        let state = open(txn, STATE)?;
        let current = match &state {
            Some(state) => state.get(()).map_err(failed)?.map_or(0, |row| row.value().1),
            None => 0,
        };
        let order = if current == 0 { [0, 1] } else { [1, 0] };
        Ok(Self {
            keys,
            chunks: [open(txn, CHUNKS[order[0]])?, open(txn, CHUNKS[order[1]])?],
            pieces: [open(txn, PIECES[order[0]])?, open(txn, PIECES[order[1]])?],
            files: [open(txn, FILES[order[0]])?, open(txn, FILES[order[1]])?],
            last: Cell::new(None),
        })
    }

    /// Where a piece lies in a chunk of this redundancy, as far as is known. Whether the chunk still exists is for
    /// the caller to find out.
    pub fn piece(&self, redundancy: Redundancy, hash: &PieceHash) -> io::Result<Option<KnownPiece>> {
        let key = self.keys.piece(redundancy, hash);
        guarded(|| {
            for (table, ageing) in self.pieces.iter().zip([false, true]) {
                let Some(table) = table else { continue };
                let Some(row) = table.get(&key).map_err(failed)? else { continue };
                let Some(part) = self.keys.decode_piece(&key, row.value()) else { continue };
                let Some(chunk) = self.find_chunk(part.chunk)? else { continue };
                if part.fits(&chunk.reference) && chunk.reference.redundancy == Some(redundancy) {
                    let Part { offset, len, .. } = part;
                    return Ok(Some(KnownPiece { chunk, offset, len, ageing }));
                }
            }
            Ok(None)
        })
    }

    /// Where a file lies, all of it in chunks of this redundancy, as far as is known.
    pub fn file(&self, redundancy: Redundancy, fingerprint: &Fingerprint) -> io::Result<Option<KnownFile>> {
        let key = self.keys.file(redundancy, fingerprint);
        guarded(|| {
            for (table, ageing) in self.files.iter().zip([false, true]) {
                let Some(table) = table else { continue };
                let Some(row) = table.get(&key).map_err(failed)? else { continue };
                let Some(parts) = self.keys.decode_file(&key, row.value()) else { continue };
                if let Some((size, extents)) = self.extents(redundancy, &parts)? {
                    return Ok(Some(KnownFile { size, extents, ageing }));
                }
            }
            Ok(None)
        })
    }

    /// At most `limit` chunks from number `first` on: those that were put after each other.
    pub fn chunks_from(&self, first: u64, limit: usize) -> io::Result<Vec<KnownChunk>> {
        guarded(|| {
            let mut found = Vec::new();
            for table in self.chunks.iter().flatten() {
                for row in table.range(first..).map_err(failed)?.take(limit) {
                    let (number, row) = row.map_err(failed)?;
                    let number = number.value();
                    found.extend(self.keys.decode_chunk(number, row.value()).map(|row| known(number, row)));
                }
            }
            // One that was kept is in both.
            found.sort_unstable_by_key(|chunk| chunk.number);
            found.dedup_by_key(|chunk| chunk.number);
            found.truncate(limit);
            Ok(found)
        })
    }

    fn extents(&self, redundancy: Redundancy, parts: &[Part]) -> io::Result<Option<(u64, Vec<KnownExtent>)>> {
        let mut size = 0;
        let mut extents: Vec<KnownExtent> = Vec::with_capacity(parts.len());
        for part in parts {
            let last = extents.last().map(|extent| extent.chunk).filter(|chunk| chunk.number == part.chunk);
            let chunk = match last {
                Some(chunk) => Some(chunk),
                None => self.find_chunk(part.chunk)?,
            };
            let Some(chunk) = chunk else { return Ok(None) };
            if !part.fits(&chunk.reference) || chunk.reference.redundancy != Some(redundancy) {
                return Ok(None);
            }
            size += u64::from(part.len);
            extents.push(KnownExtent { chunk, offset: part.offset, len: part.len });
        }
        Ok(Some((size, extents)))
    }

    fn find_chunk(&self, number: u64) -> io::Result<Option<KnownChunk>> {
        // Small files that follow each other lie in the same chunk.
        if let Some(last) = self.last.get().filter(|last| last.number == number) {
            return Ok(Some(last));
        }
        for table in self.chunks.iter().flatten() {
            if let Some(row) = table.get(number).map_err(failed)?
                && let Some(row) = self.keys.decode_chunk(number, row.value())
            {
                self.last.set(Some(known(number, row)));
                return Ok(self.last.get());
            }
        }
        Ok(None)
    }
}

fn known(number: u64, row: ChunkRow) -> KnownChunk {
    KnownChunk { number, reference: row.reference, sealed_len: row.sealed_len }
}

fn open<K: Key, V: Value>(
    txn: &ReadTransaction,
    table: TableDefinition<'static, K, V>,
) -> io::Result<Option<ReadOnlyTable<K, V>>> {
    match txn.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}
