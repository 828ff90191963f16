//! What lies in the directory, and whether it is what was brought.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use chordage_api::hex;
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::record::{FileRecord, Record, Stamp};
use crate::tree::dirs::Dirs;

/// Later changes of a file show in its times if the last one is so long ago, whatever the file system keeps of them.
const SETTLED_SECONDS: i64 = 2;

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    /// What it is.
    pub(crate) place: Place,
    /// What the system says of it.
    pub(crate) stamp: Stamp,
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// What was brought, unchanged.
    Brought(Record),
    /// A directory.
    Dir,
    /// Something that was not brought, or was changed.
    Other,
}

/// Looks at paths. `known` has what may have been brought there, of the last version and of one that was being
/// switched to.
pub(crate) fn look<'a>(
    tree: &mut Dirs,
    known: &[&BTreeMap<Vec<u8>, Record>],
    paths: impl Iterator<Item = &'a [u8]>,
) -> Result<BTreeMap<Vec<u8>, Local>, (Vec<u8>, io::Error)> {
    let mut found = BTreeMap::new();
    for path in paths {
        let records = known.iter().filter_map(|known| known.get(path));
        match look_at(tree, path, records) {
            Ok(Some(local)) => drop(found.insert(path.to_vec(), local)),
            Ok(None) => {}
            Err(error) => return Err((path.to_vec(), error)),
        }
    }
    Ok(found)
}

fn look_at<'a>(
    tree: &mut Dirs,
    path: &[u8],
    records: impl Iterator<Item = &'a Record>,
) -> io::Result<Option<Local>> {
    let stat = tree
        .place(path)
        .and_then(|(parent, name)| rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW));
    let stat = match stat {
        Ok(stat) => stat,
        // Also where something else lies in place of a directory above it.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stamp = Stamp::of(&stat);
    let place = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Place::Dir,
        FileType::Symlink => {
            let (parent, name) = tree.place(path)?;
            let target = hex(rustix::fs::readlinkat(parent, name, Vec::new())?.as_bytes());
            let is = Record::Symlink { target };
            records.into_iter().find(|record| **record == is).cloned().map_or(Place::Other, Place::Brought)
        }
        FileType::RegularFile => same_file(tree, path, stamp, records)?,
        _ => Place::Other,
    };
    Ok(Some(Local { place, stamp }))
}

/// Whether a file is as it was brought: if the system says so, or else by its content.
fn same_file<'a>(
    tree: &mut Dirs,
    path: &[u8],
    stamp: Stamp,
    records: impl Iterator<Item = &'a Record>,
) -> io::Result<Place> {
    let files: Vec<&FileRecord> = records
        .filter_map(|record| match record {
            Record::File(file) if file.stamp.size == stamp.size => Some(file),
            _ => None,
        })
        .collect();
    if let Some(same) = files.iter().find(|file| file.sure && file.stamp == stamp) {
        return Ok(Place::Brought(Record::File((*same).clone())));
    }
    if files.is_empty() {
        return Ok(Place::Other);
    }
    let sure = is_settled(&stamp);
    let mut file = tree.open_to_read(path)?;
    let hash = hash_of(&mut file)?;
    // Of what was written to meanwhile nothing is known.
    if Stamp::of(&rustix::fs::fstat(&file)?) != stamp {
        return Ok(Place::Other);
    }
    let same = files.into_iter().find(|file| file.hash == hash);
    Ok(same.map_or(Place::Other, |same| {
        Place::Brought(Record::File(FileRecord { stamp, sure, ..same.clone() }))
    }))
}

/// Whether any later change will show.
pub(crate) fn is_settled(stamp: &Stamp) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    now.saturating_sub(stamp.ctime.0) > SETTLED_SECONDS
}

/// BLAKE3 of what is in a file, from where it stands, in hexadecimal digits.
pub(crate) fn hash_of(file: &mut File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    io::copy(file, &mut hasher)?;
    Ok(hex(hasher.finalize().as_bytes()))
}
