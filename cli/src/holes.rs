//! Files in which runs of zeros take no room on disk.
//!
//! Archives and objects hold zeros where a sparse file had holes; what is written from them would take all the room
//! that the file never took.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Zeros that become a hole. Fewer save little, and a file in many pieces is slow to read.
const HOLE: usize = 64 << 10;
/// Zeros are looked for in pieces of the file of so many bytes, which is a block of most file systems.
const STEP: usize = 4 << 10;
static ZEROS: [u8; HOLE] = [0; HOLE];

/// A file that is written in order from where it stands, and has nothing behind that.
#[derive(Debug)]
pub(crate) struct Sparse {
    file: File,
    /// Where the next byte belongs.
    at: u64,
    /// So many zeros before it have only been counted.
    pending: u64,
}

impl Sparse {
    /// Goes on at `at`, which is the file's length.
    pub(crate) fn new(mut file: File, at: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(at))?;
        Ok(Sparse { file, at, pending: 0 })
    }

    /// Writes the next bytes.
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let begin = self.at;
        let mut from = 0;
        let mut next = 0;
        while next < bytes.len() {
            let zeros = zeros(&bytes[next..], begin + next as u64);
            let at_an_end = next == 0 || next + zeros == bytes.len();
            // Those in the middle are whole here; those at an end may go on before or after.
            if zeros >= HOLE || (zeros > 0 && at_an_end) {
                self.data(&bytes[from..next])?;
                self.pending += zeros as u64;
                self.at += zeros as u64;
                from = next + zeros;
            }
            next += if zeros > 0 { zeros } else { piece(&bytes[next..], begin + next as u64).len() };
        }
        self.data(&bytes[from..])
    }

    fn data(&mut self, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        match ZEROS.get(..usize::try_from(self.pending).unwrap_or(usize::MAX)) {
            Some(few) => self.file.write_all(few)?,
            None => drop(self.file.seek(SeekFrom::Start(self.at))?),
        }
        self.pending = 0;
        self.file.write_all(data)?;
        self.at += data.len() as u64;
        Ok(())
    }

    /// Has the file end behind what was written.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.pending > 0 {
            self.file.set_len(self.at)?;
            self.file.seek(SeekFrom::Start(self.at))?;
            self.pending = 0;
        }
        Ok(())
    }

    /// The file, which ends behind what was written.
    pub(crate) fn into_file(mut self) -> io::Result<File> {
        self.end()?;
        Ok(self.file)
    }
}

/// The part of `bytes`, which belong at `at`, in the first block.
fn piece(bytes: &[u8], at: u64) -> &[u8] {
    let to_boundary = STEP - (at % STEP as u64) as usize;
    &bytes[..to_boundary.min(bytes.len())]
}

/// How many of the first bytes are blocks, or parts of them, of zeros alone.
fn zeros(bytes: &[u8], at: u64) -> usize {
    let mut count = 0;
    loop {
        let piece = piece(&bytes[count..], at + count as u64);
        if piece.is_empty() || *piece != ZEROS[..piece.len()] {
            return count;
        }
        count += piece.len();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use proptest::prelude::*;

    use super::*;

    /// Runs of one byte, some of them long.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let length = prop_oneof![1..300_usize, STEP..5 * STEP, HOLE - 2..HOLE + 2, 2 * HOLE..5 * HOLE];
        let runs = prop::collection::vec((prop::bool::ANY, length), 0..6);
        runs.prop_map(|runs| {
            runs.into_iter().flat_map(|(zero, length)| vec![u8::from(!zero); length]).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_is_written_is_what_is_read(before in 0..3 * HOLE, content in content(), piece in 1..3 * HOLE) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![7; before]).unwrap();
            let mut sparse = Sparse::new(file, before as u64).unwrap();
            for piece in content.chunks(piece) {
                sparse.write_all(piece).unwrap();
            }
            sparse.end().unwrap();
            sparse.write_all(b"end").unwrap();
            let mut file = sparse.into_file().unwrap();
            file.rewind().unwrap();
            let mut read = Vec::new();
            io::Read::read_to_end(&mut file, &mut read).unwrap();
            prop_assert!(read == [&vec![7; before], &content[..], b"end"].concat());
        }
    }

    #[test]
    fn zeros_take_no_room() {
        let mut sparse = Sparse::new(tempfile::tempfile().unwrap(), 0).unwrap();
        sparse.write_all(b"begin").unwrap();
        for _ in 0..1000 {
            sparse.write_all(&[0; 50_001]).unwrap();
        }
        sparse.write_all(b"middle").unwrap();
        for _ in 0..1000 {
            sparse.write_all(&[0; 50_001]).unwrap();
        }
        let data = sparse.into_file().unwrap().metadata().unwrap();
        assert_eq!(data.len(), 100_002_011);
        assert!(data.blocks() * 512 <= 4 * HOLE as u64, "{} blocks", data.blocks());
    }
}
