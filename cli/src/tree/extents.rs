//! Where a sparse file has data.

use std::fs::{File, Metadata};
use std::io::{self, Seek};
use std::os::unix::fs::MetadataExt;

use chordage_node::archive::{SEGMENTS_MAX, Segment, SparseMap};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Holes up to this size are taken for data first, when there are too many.
const SMALL_HOLE: u64 = 4 << 10;

/// Whether a file may have holes, as far as can be told without opening it: it takes less room than it is long. (Compression
/// has the same look, and holes that blocks behind the file's end make up for are missed: they are stored as zeros.)
pub(crate) fn may_have_holes(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.blocks().saturating_mul(512) < metadata.len()
}

/// The map of a file of which the system says this, if it has holes, and if its file system tells where. Leaves the file at
/// its start.
pub(crate) fn map(mut file: &File, metadata: &Metadata) -> io::Result<Option<SparseMap>> {
    if !may_have_holes(metadata) {
        return Ok(None);
    }
    let map = find(file, metadata.len());
    file.rewind()?;
    match map {
        Ok(map) => Ok((map.data_len() < map.size).then_some(map)),
        // The file system does not know holes.
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn find(file: &File, size: u64) -> Result<SparseMap, Errno> {
    let mut segments = Segments::default();
    let mut at = 0;
    while at < size {
        let begin = match seek(file, SeekFrom::Data(at)) {
            Ok(begin) if begin < size => begin,
            // Only a hole follows.
            Ok(_) | Err(Errno::NXIO) => break,
            Err(error) => return Err(error),
        };
        at = match seek(file, SeekFrom::Hole(begin)) {
            Ok(end) => end.clamp(begin, size),
            // It has become shorter, which whoever reads it will notice.
            Err(Errno::NXIO) => size,
            Err(error) => return Err(error),
        };
        if at == begin {
            return Err(Errno::INVAL);
        }
        segments.push(begin, at);
    }
    Ok(SparseMap { size, segments: segments.list })
}

/// Segments in order, not more than an archive holds: the smallest holes are filled with their zeros if there are too many.
#[derive(Default)]
struct Segments {
    list: Vec<Segment>,
    /// Holes of fewer bytes are taken for data.
    hole_min: u64,
}

impl Segments {
    fn push(&mut self, begin: u64, end: u64) {
        match self.list.last_mut() {
            Some(last) if begin - (last.offset + last.len) < self.hole_min => last.len = end - last.offset,
            _ => self.list.push(Segment { offset: begin, len: end - begin }),
        }
        // Down to half, so that this is not done for each one that follows.
        if self.list.len() > SEGMENTS_MAX {
            while self.list.len() > SEGMENTS_MAX / 2 {
                self.hole_min = (2 * self.hole_min).max(SMALL_HOLE + 1);
                for Segment { offset, len } in std::mem::take(&mut self.list) {
                    self.push(offset, offset + len);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn only_data_is_in_a_map() {
        let file = tempfile::tempfile().unwrap();
        let size = 10 << 30;
        file.set_len(size).unwrap();
        let empty = map(&file, &file.metadata().unwrap()).unwrap();
        assert_eq!(empty, Some(SparseMap { size, segments: Vec::new() }));
        for offset in [1 << 20, 1 << 30, size - 10] {
            file.write_all_at(b"0123456789", offset).unwrap();
        }
        let map = map(&file, &file.metadata().unwrap()).unwrap().unwrap();
        assert_eq!((map.size, map.segments.len()), (size, 3));
        assert!(map.data_len() <= 3 << 16, "{map:?}");
        for (segment, offset) in map.segments.iter().zip([1 << 20, 1 << 30, size - 10]) {
            assert!(segment.offset <= offset && offset + 10 <= segment.offset + segment.len, "{map:?}");
        }
    }

    #[test]
    fn a_file_without_holes_has_no_map() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(map(&file, &file.metadata().unwrap()).unwrap(), None);
        file.write_all_at(&[7; 100_000], 0).unwrap();
        assert_eq!(map(&file, &file.metadata().unwrap()).unwrap(), None);
    }

    #[test]
    fn too_many_segments_become_fewer_that_hold_the_same() {
        let mut segments = Segments::default();
        let all: Vec<(u64, u64)> =
            (0..SEGMENTS_MAX as u64 * 5).map(|at| (at * 100_000 + at % 7 * 10_000, 4096)).collect();
        for (offset, len) in &all {
            segments.push(*offset, offset + len);
        }
        assert!((2..=SEGMENTS_MAX).contains(&segments.list.len()), "{}", segments.list.len());
        let mut list = segments.list.iter().peekable();
        for (offset, len) in all {
            while list.next_if(|segment| segment.offset + segment.len <= offset).is_some() {}
            let segment = list.peek().unwrap();
            assert!(segment.offset <= offset && offset + len <= segment.offset + segment.len);
        }
    }
}
