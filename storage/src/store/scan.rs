//! Reading a segment without the index.

use std::io;

use bytes::Bytes;

use super::record::{
    ALIGNMENT, Location, RECORD_HEADER_LEN, RecordHeader, STATE_AT, decode_header, looks_like_record,
};
use crate::descriptor::{Descriptor, MAX_DESCRIPTOR_LEN};
use crate::files::StoreFile;
use crate::seal::MAX_SEALED_LEN;

/// Bytes read at once while looking for records.
const WINDOW: usize = 1 << 20;

/// What to do after a record.
pub(super) enum Visit {
    /// It is whole: go on behind it.
    Whole,
    /// Its payload is not what it should be: what follows its header may be anything.
    Torn,
    /// Enough.
    Stop,
}

/// Walks a segment from `from` on and visits every record with a valid header. Where there is no whole record it
/// tries every multiple of 64 bytes: what a torn write or a damaged sector made unreadable must not hide the good
/// records behind it. Returns where the last whole record ends.
pub(super) fn scan(
    file: &dyn StoreFile,
    segment: u32,
    from: u64,
    mut visit: impl FnMut(&RecordHeader) -> io::Result<Visit>,
) -> io::Result<u64> {
    let size = file.size()?;
    let mut end = from;
    let mut at = from;
    let mut window = Vec::new();
    let mut window_at = at;
    while at + RECORD_HEADER_LEN as u64 <= size {
        let needed = (RECORD_HEADER_LEN + MAX_DESCRIPTOR_LEN).min((size - at) as usize);
        if at < window_at || at + needed as u64 > window_at + window.len() as u64 {
            window_at = at;
            window.resize(WINDOW.min((size - at) as usize), 0);
            file.read_exact_at(&mut window, at)?;
        }
        let bytes = &window[(at - window_at) as usize..];
        let header = if looks_like_record(bytes) {
            u32::try_from(at).ok().and_then(|offset| decode_header(segment, offset, bytes))
        } else {
            None
        };
        let visited = match header {
            Some(header) if at + header.location.bare_len() as u64 <= size => {
                Some((visit(&header)?, header.location))
            }
            _ => None,
        };
        match visited {
            Some((Visit::Whole, location)) => {
                at += location.record_len();
                end = at;
            }
            Some((Visit::Stop, _)) => break,
            Some((Visit::Torn, _)) | None => at += ALIGNMENT,
        }
    }
    Ok(end)
}

/// Reads the header of the record at a location; `None` if there is none.
pub(super) fn read_header(file: &dyn StoreFile, location: Location) -> io::Result<Option<RecordHeader>> {
    let mut bytes = vec![0u8; RECORD_HEADER_LEN + usize::from(location.descriptor_len)];
    match file.read_exact_at(&mut bytes, location.offset.into()) {
        Ok(()) => Ok(decode_header(location.segment, location.offset, &bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the bytes where a record's descriptor should be; `None` if the segment ends before them.
pub(super) fn read_descriptor(file: &dyn StoreFile, location: Location) -> io::Result<Option<Vec<u8>>> {
    if usize::from(location.descriptor_len) > MAX_DESCRIPTOR_LEN {
        return Ok(None); // no descriptor is so long: the index is damaged
    }
    let mut bytes = vec![0u8; location.descriptor_len.into()];
    match file.read_exact_at(&mut bytes, u64::from(location.offset) + RECORD_HEADER_LEN as u64) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a record's descriptor and payload. Returns `None` if they are not what the header and the hashes say, or if
/// the record is marked as dead. The index can still have a dead record: a deletion on a full disk marks the record
/// first, and a crash may come before the index is changed. Such a shard must not count as held, because the next
/// rebuild of the index would drop it.
pub(super) fn read_verified(
    file: &dyn StoreFile,
    header: &RecordHeader,
) -> io::Result<Option<(Bytes, Bytes)>> {
    let location = header.location;
    if usize::from(location.descriptor_len) > MAX_DESCRIPTOR_LEN
        || location.payload_len as usize > MAX_SEALED_LEN
    {
        return Ok(None); // no shard is so long: the index or the log is damaged
    }
    let mut record = vec![0u8; location.bare_len()];
    match file.read_exact_at(&mut record, location.offset.into()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    if record.get(STATE_AT as usize..RECORD_HEADER_LEN) != Some(&[0; 4][..]) {
        return Ok(None);
    }
    let record = Bytes::from(record);
    let payload_at = RECORD_HEADER_LEN + usize::from(location.descriptor_len);
    let (descriptor, payload) = (record.slice(RECORD_HEADER_LEN..payload_at), record.slice(payload_at..));
    let good = Descriptor::id_of(&descriptor) == header.chunk
        && Descriptor::decode(&descriptor)
            .is_ok_and(|descriptor| descriptor.verify_shard(header.index, &payload).is_ok());
    Ok(good.then_some((descriptor, payload)))
}
