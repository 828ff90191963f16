//! The content of files, of one state each.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use chordage_api::{Fingerprint, fingerprint, is_settled};
use chordage_node::archive::{Segment, SparseMap};
use rustix::fs::OFlags;

use super::error::{PackError, failed, gone};
use super::{HELD_MAX, Watcher};
use crate::tree::extents;
use crate::tree::steady::{is_still, settled};

/// Bytes read at a time.
pub(super) const BUFFER: usize = 256 * 1024;
/// How often a file that is held is read when it changes each time.
pub(super) const READS_MAX: usize = 3;

/// Opens a file for reading, without waiting if it has become a pipe meanwhile.
pub(crate) fn open(path: &Path) -> Result<(File, Metadata), PackError> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed("open", path))?;
    let metadata = file.metadata().map_err(failed("read", path))?;
    if !metadata.is_file() {
        return Err(PackError::Replaced { path: path.to_owned() });
    }
    let metadata = settle(path, &file)?;
    Ok((file, metadata))
}

/// What the system says of a file before it is read, when any later write will show.
pub(super) fn settle(path: &Path, file: &File) -> Result<Metadata, PackError> {
    let settled = settled(file).map_err(failed("read", path))?;
    settled.ok_or_else(|| PackError::Changes { path: path.to_owned() })
}

/// Reads a file until it did not change meanwhile, and gives what the system says of that state and what it may be
/// remembered under.
pub(super) fn hold(
    path: &Path,
    file: &mut File,
    buffer: &mut Vec<u8>,
) -> Result<(Metadata, Option<Fingerprint>), PackError> {
    for _ in 0..READS_MAX {
        let before = settle(path, file)?;
        let known_as = catalogued_as(&before);
        buffer.clear();
        // One more, so that growth shows.
        file.take(before.len().min(HELD_MAX) + 1).read_to_end(buffer).map_err(failed("read", path))?;
        let still = is_still(file, &before).map_err(failed("read", path))?;
        if still && buffer.len() as u64 == before.len() {
            return Ok((before, known_as));
        }
    }
    Err(PackError::Changes { path: path.to_owned() })
}

/// Copies all of a file, and makes sure that it stays as it was `before`.
pub(crate) fn copy_steadily(
    path: &Path,
    file: &mut File,
    before: &Metadata,
    watcher: &impl Watcher,
    mut out: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), PackError> {
    let midway = |error| PackError::Midway(Box::new(error));
    let refused = |error: io::Error| midway(failed("read", path)(error));
    let changes = || midway(PackError::Changes { path: path.to_owned() });
    let mut buffer = vec![0; BUFFER];
    let mut left = before.len();
    loop {
        let length = match file.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(refused(error)),
        };
        match (length, left) {
            (0, 0) if is_still(file, before).map_err(refused)? => return Ok(()),
            (0, _) => return Err(changes()),
            (length, left) if length as u64 > left => return Err(changes()),
            _ => {}
        }
        left -= length as u64;
        out(&buffer[..length]).map_err(gone)?;
        watcher.advance(length as u64);
    }
}

/// What content that is read from now on may be remembered under, if any: see [`is_settled`].
pub(crate) fn catalogued_as(metadata: &Metadata) -> Option<Fingerprint> {
    is_settled(metadata, SystemTime::now()).then(|| fingerprint(metadata))
}

/// A state of a file, and how certain it is that all its content is of it.
pub(super) struct State {
    /// What the system said of it before it was read.
    pub(super) metadata: Metadata,
    /// Where it has data, if it has holes.
    pub(super) map: Option<SparseMap>,
    /// What all its bytes may be remembered under.
    pub(super) known_as: Option<Fingerprint>,
    /// Nobody has written to it so far.
    pub(super) steady: bool,
}

/// The state in which a file is, after waiting for writes to pause if they do.
pub(super) fn state_now(path: &Path, file: &File) -> Result<State, PackError> {
    let settled = settled(file).map_err(failed("read", path))?;
    let steady = settled.is_some();
    let metadata = match settled {
        Some(metadata) => metadata,
        None => file.metadata().map_err(failed("read", path))?,
    };
    let known_as = if steady { catalogued_as(&metadata) } else { None };
    let map = extents::map(file, &metadata).map_err(failed("read", path))?;
    Ok(State { metadata, map, known_as, steady })
}

/// Reads a file, several times if it changes meanwhile, and gives the state that was read last. `None` if it is too
/// large by now.
pub(super) fn hold_state(
    path: &Path,
    file: &mut File,
    buffer: &mut Vec<u8>,
) -> Result<Option<State>, PackError> {
    let mut reads = 0;
    loop {
        let mut state = state_now(path, file)?;
        let (before, map) = (&state.metadata, state.map.as_ref());
        if before.len() > HELD_MAX && map.is_none_or(|map| map.data_len() > HELD_MAX) {
            return Ok(None);
        }
        let whole = match map {
            None => read_all(file, before.len(), buffer),
            Some(map) => {
                buffer.clear();
                let mut piece = vec![0; BUFFER];
                read_parts(file, before.len(), Some(map), &mut piece, |bytes| {
                    buffer.extend_from_slice(bytes?);
                    Ok(())
                })
            }
        };
        let whole = whole.map_err(failed("read", path))?;
        let still = is_still(file, before).map_err(failed("read", path))?;
        reads += 1;
        if still && whole && state.steady {
            return Ok(Some(state));
        }
        // Writes that do not pause were waited for long enough already.
        if reads == READS_MAX || !state.steady {
            state.steady = false;
            state.known_as = None;
            return Ok(Some(state));
        }
    }
}

/// Reads as many bytes as a file is said to have; whether it has so many.
fn read_all(file: &mut File, size: u64, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.clear();
    // One more, so that growth shows.
    file.take(size + 1).read_to_end(buffer)?;
    let whole = buffer.len() as u64 == size;
    buffer.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    Ok(whole)
}

/// Reads the data of a file of so many bytes piece by piece, and zeros where it ends early; whether it did not.
pub(super) fn read_parts<E>(
    file: &File,
    size: u64,
    map: Option<&SparseMap>,
    buffer: &mut [u8],
    mut out: impl FnMut(io::Result<&[u8]>) -> Result<(), E>,
) -> Result<bool, E> {
    let all = [Segment { offset: 0, len: size }];
    let mut whole = true;
    for Segment { offset, len } in map.map_or(&all[..], |map| &map.segments) {
        let end = offset + len;
        let mut at = *offset;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let length = match file.read_at(&mut buffer[..wanted], at) {
                Ok(0) => {
                    whole = false;
                    buffer[..wanted].fill(0);
                    wanted
                }
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    out(Err(error))?;
                    return Ok(false);
                }
            };
            out(Ok(&buffer[..length]))?;
            at += length as u64;
        }
    }
    Ok(whole)
}
