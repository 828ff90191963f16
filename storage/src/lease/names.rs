//! Under which names an object was put. They are for its user, stay in the book and are sent to nobody.

use std::io;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::keeps::Keeps;
use crate::database::failed;
use crate::ids::ChunkId;
use crate::repair::Moment;

/// Bytes of a name: those that a file's name can have.
pub const NAME_MAX: usize = 255;
/// Names of one object that are remembered; those under which it was put last.
const NAMES_MAX: usize = 16;

/// From root chunk id and name to when it was put under that name last.
const NAMES: TableDefinition<'static, (&'static [u8; 32], &'static str), u64> = TableDefinition::new("names");

impl Keeps {
    /// Notes that an object was put under a name at `at`. A crash may take the name, since nobody should wait for a
    /// label. One that is too long is cut.
    pub fn name(&self, root: ChunkId, name: &str, at: Moment) -> io::Result<()> {
        let end = (0..=name.len().min(NAME_MAX)).rev().find(|end| name.is_char_boundary(*end));
        let name = &name[..end.unwrap_or(0)];
        self.db.change(false, |txn| {
            let mut names = txn.open_table(NAMES).map_err(failed)?;
            names.insert((&root.0, name), at.0).map_err(failed)?;
            let known = names_of(&names, root)?;
            for (_, old) in &known[..known.len().saturating_sub(NAMES_MAX)] {
                names.remove((&root.0, old.as_str())).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// The names under which an object was put, the last one last. None for what an earlier version put.
    pub fn names(&self, root: ChunkId) -> io::Result<Vec<String>> {
        self.db.read(|txn| {
            let names = names_of(&txn.open_table(NAMES).map_err(failed)?, root)?;
            Ok(names.into_iter().map(|(_, name)| name).collect())
        })
    }
}

pub(super) fn prepare(txn: &WriteTransaction) -> io::Result<()> {
    txn.open_table(NAMES).map_err(failed).map(drop)
}

/// Forgets the names of an object.
pub(super) fn remove(txn: &WriteTransaction, root: ChunkId) -> io::Result<()> {
    let mut names = txn.open_table(NAMES).map_err(failed)?;
    for (_, name) in names_of(&names, root)? {
        names.remove((&root.0, name.as_str())).map_err(failed)?;
    }
    Ok(())
}

/// The oldest first.
fn names_of(
    names: &impl ReadableTable<(&'static [u8; 32], &'static str), u64>,
    root: ChunkId,
) -> io::Result<Vec<(u64, String)>> {
    let mut found = Vec::new();
    for row in names.range::<(&[u8; 32], &str)>((&root.0, "")..).map_err(failed)? {
        let (key, at) = row.map_err(failed)?;
        let (of, name) = key.value();
        if *of != root.0 {
            break;
        }
        found.push((at.value(), name.to_owned()));
    }
    found.sort();
    Ok(found)
}
