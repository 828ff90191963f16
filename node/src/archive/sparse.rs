//! Sparse files: what of them is data, and how that stands in front of their content ("GNU.sparse", version 1.0).
//!
//! ```text
//!   number of segments \n │ offset \n │ length \n │ offset \n │ … │ zeros up to a block │ the segments one after another
//! ```

use chordage_storage::Fingerprint;

use super::metadata::MetadataError;
use super::write::padding;

/// Most segments of a file. Their map takes a mebibyte in memory and at most 2.7 MB in an archive.
pub const SEGMENTS_MAX: usize = 1 << 16;
/// What sets apart what is known of a sparse file's segments from what is known of all its bytes.
const CONTEXT: &str = "chordage v1 sparse file fingerprint";

/// Where the content of a sparse file belongs; all else in it are zeros that take no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseMap {
    /// Bytes of the file, holes included.
    pub size: u64,
    /// What is no hole, in order. None is empty, none overlaps another, none goes beyond `size`.
    pub segments: Vec<Segment>,
}

/// A part of a file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u64,
}

impl SparseMap {
    /// Bytes of content: those of all segments.
    pub fn data_len(&self) -> u64 {
        // No sum of a checked map exceeds its size.
        self.segments.iter().fold(0, |sum: u64, segment| sum.saturating_add(segment.len))
    }

    /// What the content is known by, which are the segments one after another, of the file that is known by `of_file`.
    /// It depends on the map: a file system may turn data into a hole, or back, without touching any time of the file,
    /// and the content is another one then.
    pub fn fingerprint(&self, of_file: &Fingerprint) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&of_file.0);
        hasher.update(&self.size.to_le_bytes());
        for Segment { offset, len } in &self.segments {
            hasher.update(&offset.to_le_bytes());
            hasher.update(&len.to_le_bytes());
        }
        Fingerprint(*hasher.finalize().as_bytes())
    }

    pub(super) fn check(&self) -> Result<(), MetadataError> {
        if self.segments.len() > SEGMENTS_MAX {
            return Err(MetadataError::Segments);
        }
        let mut end = 0;
        for Segment { offset, len } in &self.segments {
            if *len == 0 || *offset < end {
                return Err(MetadataError::SparseMap);
            }
            end = offset.checked_add(*len).ok_or(MetadataError::SparseMap)?;
        }
        if end <= self.size { Ok(()) } else { Err(MetadataError::SparseMap) }
    }

    /// As it stands in an archive, filled up with zeros to whole blocks.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let end = self.segments.last().map_or(0, |last| last.offset.saturating_add(last.len));
        // GNU tar makes a file as long as where its last segment ends, even an empty one.
        let at_end = (end != self.size).then_some(Segment { offset: self.size, len: 0 });
        let mut text = format!("{}\n", self.segments.len() + usize::from(at_end.is_some()));
        for Segment { offset, len } in self.segments.iter().chain(&at_end) {
            text.push_str(&format!("{offset}\n{len}\n"));
        }
        let mut bytes = text.into_bytes();
        bytes.resize(bytes.len() + padding(bytes.len() as u64), 0);
        bytes
    }
}

/// Reads a map block by block.
#[derive(Debug, Default)]
pub(super) struct MapParser {
    /// How many numbers belong to it beside this one, as soon as it is known.
    expected: Option<usize>,
    /// The number whose digits are being read.
    number: Option<u64>,
    offset: Option<u64>,
    segments: Vec<Segment>,
    read: usize,
}

impl MapParser {
    /// Takes the next block; whether the map ends in it.
    pub(super) fn block(&mut self, block: &[u8]) -> Result<bool, MetadataError> {
        for byte in block {
            match byte {
                b'0'..=b'9' => {
                    let number = self.number.unwrap_or(0).checked_mul(10);
                    let number = number.and_then(|number| number.checked_add(u64::from(byte - b'0')));
                    self.number = Some(number.ok_or(MetadataError::SparseMap)?);
                }
                b'\n' => {
                    let number = self.number.take().ok_or(MetadataError::SparseMap)?;
                    self.take(number)?;
                    if self.expected == Some(self.read) {
                        return Ok(true);
                    }
                }
                _ => return Err(MetadataError::SparseMap),
            }
        }
        Ok(false)
    }

    fn take(&mut self, number: u64) -> Result<(), MetadataError> {
        if self.expected.is_none() {
            let count = usize::try_from(number).unwrap_or(usize::MAX);
            // One more, which is empty and stands for the end of the file.
            if count > SEGMENTS_MAX + 1 {
                return Err(MetadataError::Segments);
            }
            self.expected = Some(2 * count);
            return Ok(());
        }
        self.read += 1;
        match self.offset.take() {
            None => self.offset = Some(number),
            Some(_) if number == 0 => {}
            Some(offset) => self.segments.push(Segment { offset, len: number }),
        }
        Ok(())
    }

    /// The map of a file of so many bytes.
    pub(super) fn finish(self, size: u64) -> Result<SparseMap, MetadataError> {
        let map = SparseMap { size, segments: self.segments };
        map.check()?;
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8], size: u64) -> Result<SparseMap, MetadataError> {
        let mut parser = MapParser::default();
        for block in bytes.chunks(512) {
            if parser.block(block)? {
                return parser.finish(size);
            }
        }
        Err(MetadataError::SparseMap)
    }

    fn map(size: u64, segments: &[(u64, u64)]) -> SparseMap {
        let segments = segments.iter().map(|(offset, len)| Segment { offset: *offset, len: *len }).collect();
        SparseMap { size, segments }
    }

    #[test]
    fn maps_go_both_ways() {
        let many: Vec<(u64, u64)> = (0..1000).map(|at| (at * 1_000_000, at + 1)).collect();
        for map in [
            map(0, &[]),
            map(10 << 30, &[]),
            map(10 << 30, &[(4096, 8192), (1 << 30, 1)]),
            map(5, &[(0, 5)]),
            map(u64::MAX, &[(u64::MAX - 1, 1)]),
            map(1 << 40, &many),
        ] {
            let bytes = map.to_bytes();
            assert_eq!(bytes.len() % 512, 0);
            assert_eq!(parse(&bytes, map.size), Ok(map));
        }
    }

    #[test]
    fn an_impossible_map_is_refused() {
        let cases: [&[u8]; 10] = [
            b"2\n0\n10\n5\n10\n",                  // overlaps
            b"2\n50\n10\n0\n10\n",                 // out of order
            b"1\n95\n10\n",                        // beyond the end
            b"1\n18446744073709551615\n2\n",       // beyond every end
            b"1\n99999999999999999999999999\n1\n", // no number
            b"\n",                                 // no number either
            b"1\n-1\n5\n",                         // nor this
            b"1\n0\n",                             // ends early
            b"x",
            &[0; 512],
        ];
        for bytes in cases {
            assert_eq!(parse(bytes, 100), Err(MetadataError::SparseMap), "{}", bytes.escape_ascii());
        }
        assert_eq!(parse(b"65538\n", 100), Err(MetadataError::Segments));
        assert_eq!(parse(b"18446744073709551615\n", 100), Err(MetadataError::Segments));
        assert_eq!(map(10, &[(2, 0)]).check(), Err(MetadataError::SparseMap));
    }

    #[test]
    fn content_of_segments_is_not_known_as_that_of_the_file_or_of_other_segments() {
        let of_file = Fingerprint([7; 32]);
        let known = |map: SparseMap| map.fingerprint(&of_file);
        let all = [
            of_file,
            known(map(100, &[])),
            known(map(100, &[(0, 100)])),
            known(map(100, &[(0, 50), (50, 50)])),
            known(map(101, &[(0, 100)])),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one));
        }
        assert_eq!(known(map(100, &[(1, 2)])), known(map(100, &[(1, 2)])));
    }
}
