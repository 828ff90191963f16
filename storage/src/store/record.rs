//! Segment files and the records in them.
//!
//! ```text
//!  segment:  header, 64 │ record │ record │ …                         each record begins at a multiple of 64
//!
//!  header:   "chordseg" │ version u32 │ segment u32 │ checksum, 16 │ zeros, 32
//!
//!  record:   0      4         5       6                8             12         44             60      64
//!            ┌──────┬─────────┬───────┬────────────────┬─────────────┬──────────┬──────────────┬───────┬────────────┬─────────┬─────┐
//!            │"chsr"│ version │ index │ descriptor_len │ payload_len │ chunk id │ checksum, 16 │ state │ descriptor │ payload │ pad │
//!            │      │    1    │  u8   │      u16       │     u32     │    32    │              │  u32  │            │         │     │
//!            └──────┴─────────┴───────┴────────────────┴─────────────┴──────────┴──────────────┴───────┴────────────┴─────────┴─────┘
//! ```
//! Numbers are little endian. A record's checksum covers the 44 bytes before it, the descriptor, and the
//! record's own place, so that a copy of a record somewhere else (an old one, or one inside a payload) is not
//! taken for it. The payload needs no checksum here: the descriptor has its hash. `state` is 0 for a live record
//! and is overwritten in place when the shard is deleted. Reading a shard and looking whether it is there check it,
//! since a crash can leave a record dead that the index still has. Reading the log again skips dead records.

use crate::ids::ChunkId;

/// Records begin at multiples of this.
pub(super) const ALIGNMENT: u64 = 64;
pub(super) const SEGMENT_HEADER_LEN: u64 = 64;
pub(super) const RECORD_HEADER_LEN: usize = 64;
/// Where in a record its state is, and what it is once dead.
pub(super) const STATE_AT: u64 = 60;
pub(super) const DEAD: [u8; 4] = *b"dead";

const SEGMENT_MAGIC: [u8; 8] = *b"chordseg";
const SEGMENT_VERSION: u32 = 1;
const RECORD_MAGIC: [u8; 4] = *b"chsr";
const RECORD_VERSION: u8 = 1;
const SUMMED_LEN: usize = 44;
const CHECKSUM_LEN: usize = 16;

/// A record's place in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) descriptor_len: u16,
    pub(super) payload_len: u32,
}

impl Location {
    pub(super) const ENCODED_LEN: usize = 14;

    pub(super) fn encode(self) -> [u8; Self::ENCODED_LEN] {
        let mut out = [0u8; Self::ENCODED_LEN];
        out[..4].copy_from_slice(&self.segment.to_le_bytes());
        out[4..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..10].copy_from_slice(&self.descriptor_len.to_le_bytes());
        out[10..].copy_from_slice(&self.payload_len.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8; Self::ENCODED_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = *bytes;
        Self {
            segment: u32::from_le_bytes([a, b, c, d]),
            offset: u32::from_le_bytes([e, f, g, h]),
            descriptor_len: u16::from_le_bytes([i, j]),
            payload_len: u32::from_le_bytes([k, l, m, n]),
        }
    }

    /// Bytes of the record without padding.
    pub(super) fn bare_len(self) -> usize {
        RECORD_HEADER_LEN + usize::from(self.descriptor_len) + self.payload_len as usize
    }

    /// Bytes that the record takes in its segment.
    pub(super) fn record_len(self) -> u64 {
        (self.bare_len() as u64).next_multiple_of(ALIGNMENT)
    }
}

/// What a valid record header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) chunk: ChunkId,
    pub(super) index: u8,
    pub(super) location: Location,
    pub(super) dead: bool,
}

/// The name of a segment's file.
pub(super) fn segment_name(segment: u32) -> String {
    format!("segment-{segment:08x}")
}

/// The segment of a file name, if it is one's.
pub(super) fn segment_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("segment-")?;
    let segment = u32::from_str_radix(digits, 16).ok()?;
    (segment_name(segment) == name).then_some(segment)
}

/// The first bytes of a segment.
pub(super) fn segment_header(segment: u32) -> [u8; SEGMENT_HEADER_LEN as usize] {
    let mut out = [0u8; SEGMENT_HEADER_LEN as usize];
    out[..8].copy_from_slice(&SEGMENT_MAGIC);
    out[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&segment.to_le_bytes());
    let sum = blake3::derive_key("chordage v1 segment header", &out[..16]);
    out[16..32].copy_from_slice(&sum[..CHECKSUM_LEN]);
    out
}

fn checksum(segment: u32, offset: u32, summed: &[u8], descriptor: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut hasher = blake3::Hasher::new_derive_key("chordage v1 shard record");
    hasher.update(&segment.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(summed);
    hasher.update(descriptor);
    let mut out = [0u8; CHECKSUM_LEN];
    hasher.finalize_xof().fill(&mut out);
    out
}

/// The header of a live record at `location`.
pub(super) fn encode_header(
    chunk: &ChunkId,
    index: u8,
    location: Location,
    descriptor: &[u8],
) -> [u8; RECORD_HEADER_LEN] {
    let mut out = [0u8; RECORD_HEADER_LEN];
    out[..4].copy_from_slice(&RECORD_MAGIC);
    out[4] = RECORD_VERSION;
    out[5] = index;
    out[6..8].copy_from_slice(&location.descriptor_len.to_le_bytes());
    out[8..12].copy_from_slice(&location.payload_len.to_le_bytes());
    out[12..SUMMED_LEN].copy_from_slice(&chunk.0);
    let sum = checksum(location.segment, location.offset, &out[..SUMMED_LEN], descriptor);
    out[SUMMED_LEN..][..CHECKSUM_LEN].copy_from_slice(&sum);
    out
}

/// Whether `bytes` could be the beginning of a record; cheap.
pub(super) fn looks_like_record(bytes: &[u8]) -> bool {
    bytes.starts_with(&RECORD_MAGIC)
}

/// Reads the header of a record that stands at `offset` of `segment`; `bytes` begin there and hold at least header
/// and descriptor. `None` if there is no record.
pub(super) fn decode_header(segment: u32, offset: u32, bytes: &[u8]) -> Option<RecordHeader> {
    let header = bytes.first_chunk::<RECORD_HEADER_LEN>()?;
    if !looks_like_record(header) || header[4] != RECORD_VERSION {
        return None;
    }
    let descriptor_len = u16::from_le_bytes([header[6], header[7]]);
    let payload_len = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    let descriptor = bytes.get(RECORD_HEADER_LEN..)?.get(..usize::from(descriptor_len))?;
    let sum = checksum(segment, offset, &header[..SUMMED_LEN], descriptor);
    if header[SUMMED_LEN..][..CHECKSUM_LEN] != sum {
        return None;
    }
    let chunk = ChunkId(*header[12..].first_chunk::<32>()?);
    let location = Location { segment, offset, descriptor_len, payload_len };
    Some(RecordHeader { chunk, index: header[5], location, dead: header[60..] != [0; 4] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_only_at_its_own_place() {
        let location = Location { segment: 3, offset: 640, descriptor_len: 5, payload_len: 1000 };
        let mut bytes = encode_header(&ChunkId([9; 32]), 7, location, b"descr").to_vec();
        bytes.extend(b"descr");
        let header = decode_header(3, 640, &bytes).unwrap();
        assert_eq!((header.chunk, header.index, header.location), (ChunkId([9; 32]), 7, location));
        assert!(!header.dead);
        assert_eq!(location.record_len(), 1088);
        assert_eq!(Location::decode(&location.encode()), location);
        assert_eq!(decode_header(4, 640, &bytes), None);
        assert_eq!(decode_header(3, 704, &bytes), None);
        for len in 0..bytes.len() {
            assert_eq!(decode_header(3, 640, &bytes[..len]), None);
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let decoded = decode_header(3, 640, &bad);
            assert!(decoded.is_none() || (60..64).contains(&at) && decoded.unwrap().dead, "byte {at}");
        }
    }

    #[test]
    fn only_segment_names_name_segments() {
        assert_eq!(segment_of(&segment_name(0xabc)), Some(0xabc));
        for name in ["segment-", "segment-1", "segment-+0000001", "segment-0000000G", "index.redb", "lock"] {
            assert_eq!(segment_of(name), None, "{name}");
        }
    }
}
