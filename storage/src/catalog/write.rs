//! Entering what was stored.

use std::io;

use redb::{ReadableTable, Table, WriteTransaction};

use super::rows::{CHUNKS, ChunkRow, FILES, Keys, PIECES, Part, STATE, VERSION};
use super::{MAX_EXTENTS, NewChunk, NewFile};
use crate::database::{damaged, failed};
use crate::ids::{Fingerprint, PieceHash};
use crate::redundancy::Redundancy;

/// Changes of the catalog under way.
pub struct Changes<'txn> {
    keys: &'txn Keys,
    chunks: [Table<'txn, u64, &'static [u8; 90]>; 2],
    pieces: [Table<'txn, &'static [u8; 32], &'static [u8; 32]>; 2],
    files: [Table<'txn, &'static [u8; 32], &'static [u8]>; 2],
    next_number: u64,
    /// Rows of the current generation.
    rows: u64,
}

/// Makes the tables, so that readers find them. A version that is not ours is damage: nothing in it is worth
/// reading.
pub(super) fn prepare(txn: &WriteTransaction) -> io::Result<()> {
    let mut state = txn.open_table(STATE).map_err(failed)?;
    let version = state.get(()).map_err(failed)?.map(|row| row.value().0);
    match version {
        Some(VERSION) => Ok(()),
        Some(_) => Err(damaged("its version is unknown")),
        None => state.insert((), (VERSION, 0, 0, 0)).map(drop).map_err(failed),
    }
}

pub(super) fn change<T>(
    txn: &WriteTransaction,
    keys: &Keys,
    generation_rows: u64,
    change: impl FnOnce(&mut Changes<'_>) -> io::Result<T>,
) -> io::Result<T> {
    let mut state = txn.open_table(STATE).map_err(failed)?;
    let row = state.get(()).map_err(failed)?.map(|row| row.value());
    let (_, current, next_number, mut rows) = row.unwrap_or((VERSION, 0, 0, 0));
    let mut current = (current & 1) as usize;
    if rows >= generation_rows {
        current = 1 - current;
        rows = 0;
        txn.delete_table(CHUNKS[current]).map_err(failed)?;
        txn.delete_table(PIECES[current]).map_err(failed)?;
        txn.delete_table(FILES[current]).map_err(failed)?;
    }
    let previous = 1 - current;
    let mut changes = Changes {
        keys,
        chunks: [open(txn, CHUNKS[current])?, open(txn, CHUNKS[previous])?],
        pieces: [open(txn, PIECES[current])?, open(txn, PIECES[previous])?],
        files: [open(txn, FILES[current])?, open(txn, FILES[previous])?],
        next_number,
        rows,
    };
    let value = change(&mut changes)?;
    let (next_number, rows) = (changes.next_number, changes.rows);
    drop(changes);
    state.insert((), (VERSION, current as u32, next_number, rows)).map_err(failed)?;
    Ok(value)
}

fn open<'txn, K: redb::Key + 'static, V: redb::Value + 'static>(
    txn: &'txn WriteTransaction,
    table: redb::TableDefinition<'static, K, V>,
) -> io::Result<Table<'txn, K, V>> {
    txn.open_table(table).map_err(failed)
}

impl Changes<'_> {
    /// Enters a chunk that is stored, and its pieces; returns its number. What was known of the pieces before is
    /// replaced: this is where they were seen last.
    pub fn add_chunk(&mut self, chunk: &NewChunk<'_>) -> io::Result<u64> {
        let number = self.next_number;
        let Some(redundancy) = chunk.reference.redundancy else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a chunk of unknown redundancy"));
        };
        self.next_number += 1;
        self.put_chunk(number, &ChunkRow { reference: chunk.reference, sealed_len: chunk.sealed_len })?;
        let mut offset = 0u32;
        let mut rows = Vec::with_capacity(chunk.pieces.len());
        for piece in chunk.pieces {
            rows.push((
                self.keys.piece(redundancy, &piece.hash),
                Part { chunk: number, offset, len: piece.len },
            ));
            offset = offset.saturating_add(piece.len);
        }
        // In order of keys, which is several times faster.
        rows.sort_unstable_by_key(|(key, _)| *key);
        for (key, part) in rows {
            self.put_piece(&key, part)?;
        }
        Ok(number)
    }

    /// Enters a file whose chunks are. One with too many extents is left out.
    pub fn add_file(&mut self, file: &NewFile<'_>) -> io::Result<()> {
        if file.extents.len() > MAX_EXTENTS {
            return Ok(());
        }
        let key = self.keys.file(file.redundancy, &file.fingerprint);
        let parts = file.extents.iter().map(|&(chunk, offset, len)| Part { chunk, offset, len });
        let row = self.keys.encode_file(&key, parts);
        self.put_file(&key, &row, file.extents.len())
    }

    /// Copies a piece, with its chunk, from the previous generation to the current one.
    pub fn keep_piece(&mut self, redundancy: Redundancy, hash: &PieceHash) -> io::Result<()> {
        let key = self.keys.piece(redundancy, hash);
        let row = self.pieces[1].get(&key).map_err(failed)?;
        let Some(part) = row.and_then(|row| self.keys.decode_piece(&key, row.value())) else { return Ok(()) };
        self.keep_chunk(part.chunk)?;
        self.put_piece(&key, part)
    }

    /// Copies a file, with its chunks, from the previous generation to the current one.
    pub fn keep_file(&mut self, redundancy: Redundancy, fingerprint: &Fingerprint) -> io::Result<()> {
        let key = self.keys.file(redundancy, fingerprint);
        let row = self.files[1].get(&key).map_err(failed)?.map(|row| row.value().to_vec());
        let Some(row) = row else { return Ok(()) };
        let Some(parts) = self.keys.decode_file(&key, &row) else { return Ok(()) };
        for part in &parts {
            self.keep_chunk(part.chunk)?;
        }
        self.put_file(&key, &row, parts.len())
    }

    fn keep_chunk(&mut self, number: u64) -> io::Result<()> {
        if self.chunks[0].get(number).map_err(failed)?.is_some() {
            return Ok(());
        }
        let row = self.chunks[1].get(number).map_err(failed)?;
        match row.and_then(|row| self.keys.decode_chunk(number, row.value())) {
            Some(row) => self.put_chunk(number, &row),
            None => Ok(()),
        }
    }

    fn put_chunk(&mut self, number: u64, row: &ChunkRow) -> io::Result<()> {
        let row = self.keys.encode_chunk(number, row);
        self.chunks[0].insert(number, &row).map_err(failed)?;
        self.rows += 1;
        Ok(())
    }

    fn put_piece(&mut self, key: &[u8; 32], part: Part) -> io::Result<()> {
        let row = self.keys.encode_piece(key, part);
        self.pieces[0].insert(key, &row).map_err(failed)?;
        self.rows += 1;
        Ok(())
    }

    fn put_file(&mut self, key: &[u8; 32], row: &[u8], extents: usize) -> io::Result<()> {
        self.files[0].insert(key, row).map_err(failed)?;
        self.rows += 1 + extents as u64 / 8;
        Ok(())
    }
}

impl std::fmt::Debug for Changes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("rows", &self.rows).finish_non_exhaustive()
    }
}
