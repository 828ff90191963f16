//! Small things that a daemon remembers, as rows of bytes in named tables of one file: signed records that it keeps for
//! others, keys and what it has seen of names. What the bytes mean is their owner's business.
//!
//! | table | key | value |
//! |---|---|---|
//! | each named table | at most 512 bytes | a checksum of 8 bytes, then at most 64 KiB |
//! | `format` | nothing | version u32, and what the file is for |
//!
//! Callers are meant to keep to these lengths; nothing here checks them. A row whose checksum does not match was
//! changed by the disk and counts as missing.

use std::io;
use std::path::Path;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::database::{damaged, failed};
use crate::files::{Files, OsFiles};
use crate::reopening::Reopening;

const VERSION: u32 = 1;
const FORMAT: TableDefinition<'static, (), (u32, &[u8])> = TableDefinition::new("format");

/// A table of such a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table(pub &'static str);

impl Table {
    fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.0)
    }
}

/// One change of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which table.
    pub table: Table,
    /// Of which row.
    pub key: Vec<u8>,
    /// What it holds from now on; `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// See the module's description.
#[derive(Debug)]
pub struct Rows {
    db: Reopening,
}

impl Rows {
    /// Opens or creates the file `name` in `directory`. `purpose`: what it is for; a file for another purpose, or a
    /// damaged one, is begun anew. `None` if another process has the directory open.
    pub fn open(directory: &Path, name: &'static str, purpose: &[u8]) -> io::Result<Option<Self>> {
        match OsFiles::lock(directory)? {
            Some(files) => Self::open_files(Box::new(files), name, purpose).map(Some),
            None => Ok(None),
        }
    }

    /// Opens it in files of any kind.
    pub fn open_files(files: Box<dyn Files>, name: &'static str, purpose: &[u8]) -> io::Result<Self> {
        let rows = Self { db: Reopening::open(files, name, prepare)? };
        let known = rows.db.read(|txn| {
            let table = txn.open_table(FORMAT).map_err(failed)?;
            Ok(table.get(()).map_err(failed)?.map(|row| row.value().1.to_vec()))
        })?;
        if known.as_deref().is_some_and(|known| known != purpose) {
            rows.clear()?;
        }
        rows.db.change(true, |txn| {
            let mut table = txn.open_table(FORMAT).map_err(failed)?;
            table.insert((), (VERSION, purpose)).map_err(failed)?;
            Ok(())
        })?;
        Ok(rows)
    }

    /// How often the file was found damaged and begun anew since it was opened.
    pub fn begun_anew(&self) -> u64 {
        self.db.begun_anew()
    }

    /// What a row holds.
    pub fn get(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.db.read(|txn| match txn.open_table(table.definition()) {
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(failed(error)),
            Ok(rows) => {
                Ok(rows.get(key).map_err(failed)?.and_then(|row| unsealed(row.value()).map(<[u8]>::to_vec)))
            }
        })
    }

    /// All rows of a table, in the order of their keys.
    pub fn all(&self, table: Table) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.db.read(|txn| {
            let rows = match txn.open_table(table.definition()) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                rows => rows.map_err(failed)?,
            };
            let mut all = Vec::new();
            for row in rows.iter().map_err(failed)? {
                let (key, value) = row.map_err(failed)?;
                all.extend(unsealed(value.value()).map(|value| (key.value().to_vec(), value.to_vec())));
            }
            Ok(all)
        })
    }

    /// Makes all of these changes or none. Durable ones survive a crash, and so do all before them; others are seen at
    /// once, but a crash may take them back.
    pub fn change(&self, durable: bool, changes: &[Change]) -> io::Result<()> {
        self.db.change(durable, |txn| {
            for Change { table, key, value } in changes {
                let mut rows = txn.open_table(table.definition()).map_err(failed)?;
                match value {
                    Some(value) => rows.insert(&key[..], &sealed(value)[..]).map_err(failed)?,
                    None => rows.remove(&key[..]).map_err(failed)?,
                };
            }
            Ok(())
        })
    }

    fn clear(&self) -> io::Result<()> {
        self.db.change(true, |txn| {
            let tables: Vec<_> = txn.list_tables().map_err(failed)?.collect();
            for table in tables {
                txn.delete_table(table).map_err(failed)?;
            }
            Ok(())
        })
    }
}

fn sum(value: &[u8]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(value).as_bytes();
    [a, b, c, d, e, f, g, h]
}

fn sealed(value: &[u8]) -> Vec<u8> {
    [&sum(value)[..], value].concat()
}

fn unsealed(row: &[u8]) -> Option<&[u8]> {
    let (told, value) = row.split_first_chunk::<8>()?;
    (*told == sum(value)).then_some(value)
}

fn prepare(txn: &WriteTransaction) -> io::Result<()> {
    let format = txn.open_table(FORMAT).map_err(failed)?;
    match format.get(()).map_err(failed)?.map(|row| row.value().0) {
        None | Some(VERSION) => Ok(()),
        Some(other) => Err(damaged(format!("the file is of version {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Table = Table("a");
    const B: Table = Table("b");

    fn change(table: Table, key: &[u8], value: Option<&[u8]>) -> Change {
        Change { table, key: key.to_vec(), value: value.map(<[u8]>::to_vec) }
    }

    #[test]
    fn rows_are_there_after_the_file_was_closed_and_in_their_own_table_only() {
        let dir = tempfile::tempdir().unwrap();
        let rows = Rows::open(dir.path(), "rows.redb", b"test").unwrap().unwrap();
        assert_eq!(rows.get(A, b"k").unwrap(), None);
        rows.change(true, &[change(A, b"k", Some(b"v")), change(A, b"gone", Some(b""))]).unwrap();
        rows.change(true, &[change(A, b"gone", None)]).unwrap();
        assert!(Rows::open(dir.path(), "rows.redb", b"test").unwrap().is_none(), "it is in use");
        drop(rows);
        let rows = Rows::open(dir.path(), "rows.redb", b"test").unwrap().unwrap();
        assert_eq!(rows.get(A, b"k").unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(rows.all(A).unwrap(), [(b"k".to_vec(), b"v".to_vec())]);
        assert!(rows.all(B).unwrap().is_empty());
        drop(rows);
        let other = Rows::open(dir.path(), "rows.redb", b"another purpose").unwrap().unwrap();
        assert!(other.all(A).unwrap().is_empty(), "what is for another purpose is not taken for it");
    }

    #[test]
    fn a_row_that_the_disk_has_changed_counts_as_missing() {
        let mut row = sealed(b"value");
        assert_eq!(unsealed(&row), Some(&b"value"[..]));
        row[10] ^= 1;
        assert_eq!(unsealed(&row), None);
        assert_eq!(unsealed(b"short"), None);
    }
}
