//! Looking again at what was restored: whether the disk gives back what was written to it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use chordage_node::archive::{Head, Kind, PATH_BYTES_MAX, SEGMENTS_MAX, Segment};

use crate::tree::unpack::open_below;

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;
/// Files that are named; the others are only counted.
const NAMED_MAX: usize = 100;

/// What files have to hold, in a temporary file: of millions of them it does not fit into memory.
pub(crate) struct Notes {
    file: BufWriter<File>,
    count: u64,
    /// The one that is being written: its hash so far.
    hasher: blake3::Hasher,
}

/// What one file has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    path: Vec<u8>,
    /// Length of the file, holes included.
    len: u64,
    /// Where its content lies in it.
    segments: Vec<Segment>,
    /// Hash of that.
    hash: [u8; 32],
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Files that hold what they should.
    pub(crate) files: u64,
    /// Files that do not.
    pub(crate) wrong: u64,
    /// The first of these.
    pub(crate) named: Vec<Vec<u8>>,
}

impl Notes {
    /// None so far. They are kept in a file without a name in `place`.
    pub(crate) fn new(place: &Path) -> io::Result<Self> {
        let file = BufWriter::new(tempfile::tempfile_in(place)?);
        Ok(Notes { file, count: 0, hasher: blake3::Hasher::new() })
    }

    /// A file begins.
    pub(crate) fn begin(&mut self, head: &Head) -> io::Result<()> {
        let Kind::File { size } = head.kind else { return Ok(()) };
        let whole = [Segment { offset: 0, len: size }];
        let (len, segments) = match head.full.as_ref().and_then(|full| full.sparse.as_ref()) {
            Some(map) => (map.size, &map.segments[..]),
            None => (size, &whole[..]),
        };
        self.count += 1;
        self.hasher.reset();
        self.number(head.path.len() as u64)?;
        self.file.write_all(&head.path)?;
        self.number(len)?;
        self.number(segments.len() as u64)?;
        for segment in segments {
            self.number(segment.offset)?;
            self.number(segment.len)?;
        }
        Ok(())
    }

    /// The next bytes of its content.
    pub(crate) fn content(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// It is over.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let hash = self.hasher.finalize();
        self.file.write_all(hash.as_bytes())
    }

    fn number(&mut self, number: u64) -> io::Result<()> {
        self.file.write_all(&number.to_le_bytes())
    }

    /// Reads all files again, below `dir`. `progress` is told bytes of content. What cannot be read does not hold what
    /// it should.
    pub(crate) fn verify(self, dir: &Path, progress: &dyn Fn(u64)) -> io::Result<Verified> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let mut notes = BufReader::new(file);
        let mut verified = Verified::default();
        let mut buffer = vec![0; BUFFER];
        for _ in 0..self.count {
            let note = Note::read(&mut notes)?;
            if note.holds(dir, &mut buffer, progress).unwrap_or(false) {
                verified.files += 1;
                continue;
            }
            verified.wrong += 1;
            if verified.named.len() < NAMED_MAX {
                verified.named.push(note.path);
            }
        }
        Ok(verified)
    }
}

impl Note {
    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut number = || {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes).map(|()| u64::from_le_bytes(bytes))
        };
        let path_len = bounded(number()?, PATH_BYTES_MAX)?;
        let mut path = vec![0; path_len];
        from.read_exact(&mut path)?;
        let mut number = || {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes).map(|()| u64::from_le_bytes(bytes))
        };
        let len = number()?;
        let count = bounded(number()?, SEGMENTS_MAX)?;
        let segments = (0..count)
            .map(|_| Ok(Segment { offset: number()?, len: number()? }))
            .collect::<io::Result<Vec<_>>>()?;
        let mut hash = [0; 32];
        from.read_exact(&mut hash)?;
        Ok(Note { path, len, segments, hash })
    }

    fn holds(&self, dir: &Path, buffer: &mut [u8], progress: &dyn Fn(u64)) -> io::Result<bool> {
        let file = open_below(dir, &self.path)?;
        if file.metadata()?.len() != self.len {
            return Ok(false);
        }
        let mut hasher = blake3::Hasher::new();
        for segment in &self.segments {
            let (mut at, mut left) = (segment.offset, segment.len);
            while left > 0 {
                let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                file.read_exact_at(&mut buffer[..length], at)?;
                hasher.update(&buffer[..length]);
                progress(length as u64);
                at += length as u64;
                left -= length as u64;
            }
        }
        Ok(*hasher.finalize().as_bytes() == self.hash)
    }
}

fn bounded(number: u64, max: usize) -> io::Result<usize> {
    usize::try_from(number)
        .ok()
        .filter(|number| *number <= max)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a note is damaged"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chordage_node::archive::{FullMetadata, Mtime, SparseMap};

    use super::*;

    fn head(path: &str, size: u64, sparse: Option<SparseMap>) -> Head {
        let full = Some(Box::new(FullMetadata { sparse, ..FullMetadata::default() }));
        let mtime = Mtime { seconds: 0, nanos: 0 };
        Head { path: path.into(), kind: Kind::File { size }, mode: 0o644, mtime, full }
    }

    #[test]
    fn what_the_disk_does_not_give_back_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut notes = Notes::new(dir.path()).unwrap();
        let below = dir.path().join("restored");
        std::fs::create_dir_all(below.join("a")).unwrap();
        for (path, content, on_disk) in [
            ("a/same", &b"content"[..], Some(&b"content"[..])),
            ("a/other", b"content", Some(b"c0ntent")),
            ("a/longer", b"content", Some(b"content!")),
            ("a/absent", b"content", None),
            ("empty", b"", Some(b"")),
        ] {
            notes.begin(&head(path, content.len() as u64, None)).unwrap();
            content.chunks(3).for_each(|some| notes.content(some));
            notes.end().unwrap();
            if let Some(bytes) = on_disk {
                std::fs::write(below.join(path), bytes).unwrap();
            }
        }
        let segments = vec![Segment { offset: 10, len: 3 }, Segment { offset: 1000, len: 2 }];
        notes.begin(&head("sparse", 5, Some(SparseMap { size: 5000, segments }))).unwrap();
        notes.content(b"abcde");
        notes.end().unwrap();
        let file = File::create(below.join("sparse")).unwrap();
        file.set_len(5000).unwrap();
        file.write_all_at(b"abc", 10).unwrap();
        file.write_all_at(b"de", 1000).unwrap();

        let read = std::cell::Cell::new(0);
        let verified = notes.verify(&below, &|bytes| read.set(read.get() + bytes)).unwrap();
        assert_eq!((verified.files, verified.wrong), (3, 3));
        assert_eq!(verified.named, [&b"a/other"[..], b"a/longer", b"a/absent"]);
        assert_eq!(read.get(), 7 + 7 + 5);
    }
}
