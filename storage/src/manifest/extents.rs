//! Extents: where a file's bytes lie in the data.
//!
//! ```text
//!  chunk, as the zigzag difference to the chunk of the extent before │ offset │ length     (varints)
//! ```

use crate::pack::Place;
use crate::varint::{Malformed, Reader, put_varint, unzigzag, zigzag};

/// Appends an extent of a file whose extent before lies in chunk `previous` (0 for the first).
pub(crate) fn encode_extent(out: &mut Vec<u8>, previous: u32, place: Place) {
    put_varint(out, zigzag(i64::from(place.chunk) - i64::from(previous)));
    put_varint(out, place.offset.into());
    put_varint(out, place.len.into());
}

/// Reads the extent after one in chunk `previous`. Nothing about it is checked against the table.
pub(crate) fn decode_extent(reader: &mut Reader<'_>, previous: u32) -> Result<Place, Malformed> {
    let chunk = i64::from(previous)
        .checked_add(unzigzag(reader.varint()?))
        .and_then(|chunk| u32::try_from(chunk).ok())
        .ok_or(Malformed("an extent lies in no chunk"))?;
    Ok(Place { chunk, offset: reader.varint_u32()?, len: reader.varint_u32()? })
}
