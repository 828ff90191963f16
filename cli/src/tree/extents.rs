//! Where a sparse file has data.

use std::fs::{File, Metadata};
use std::io::{self, Seek};
use std::os::unix::fs::MetadataExt;

use chordage_node::archive::{SEGMENTS_MAX, Segment, SparseMap};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Whether a file may have holes, as far as can be told without opening it: it takes less room than it is long.
/// (Compression has the same look, and holes that blocks behind the file's end make up for are missed: they are stored
/// as zeros.)
pub(crate) fn may_have_holes(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.blocks().saturating_mul(512) < metadata.len()
}

/// The map of a file of which the system says this, if it has holes, and if its file system tells where. Leaves the
/// file at its start.
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

/// Segments in order, not more than an archive holds: the smallest holes are filled with their zeros if there are too
/// many.
#[derive(Default)]
struct Segments {
    list: Vec<Segment>,
}

impl Segments {
    fn push(&mut self, begin: u64, end: u64) {
        self.list.push(Segment { offset: begin, len: end - begin });
        if self.list.len() > SEGMENTS_MAX {
            // Down to half, so that this is not done for each one that follows.
            self.fill_holes(self.list.len() - SEGMENTS_MAX / 2);
        }
    }

    /// Makes so many holes, the smallest ones, part of the data around them.
    fn fill_holes(&mut self, count: usize) {
        let hole = |pair: &[Segment]| pair[1].offset - (pair[0].offset + pair[0].len);
        let mut holes: Vec<(u64, usize)> =
            self.list.windows(2).enumerate().map(|(at, pair)| (hole(pair), at + 1)).collect();
        holes.sort_unstable();
        let mut is_filled = vec![false; self.list.len()];
        for (_, behind) in holes.into_iter().take(count) {
            is_filled[behind] = true;
        }
        let mut fewer: Vec<Segment> = Vec::with_capacity(self.list.len() - count);
        for (segment, is_filled) in self.list.drain(..).zip(is_filled) {
            match fewer.last_mut().filter(|_| is_filled) {
                Some(before) => before.len = segment.offset + segment.len - before.offset,
                None => fewer.push(segment),
            }
        }
        self.list = fewer;
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
        // Every seventh hole is large.
        let offset = |at: u64| at * 100_000 + at / 7 * 10_000_000;
        let all: Vec<u64> = (0..SEGMENTS_MAX as u64 * 2).map(offset).collect();
        for offset in &all {
            segments.push(*offset, offset + 4096);
        }
        assert!((SEGMENTS_MAX / 2..=SEGMENTS_MAX).contains(&segments.list.len()), "{}", segments.list.len());
        let mut list = segments.list.iter().peekable();
        for offset in &all {
            while list.next_if(|segment| segment.offset + segment.len <= *offset).is_some() {}
            let segment = list.peek().unwrap();
            assert!(segment.offset <= *offset && offset + 4096 <= segment.offset + segment.len);
        }
        let largest = segments.list.iter().map(|segment| segment.len).max();
        assert_eq!(largest, Some(6 * 100_000 + 4096), "no large hole was filled");
    }
}
