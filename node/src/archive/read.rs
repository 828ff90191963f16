//! Reading archives, from strangers too: every size is checked before it is believed.

use std::fmt;
use std::io::{self, Read};

use chordage_storage::Fingerprint;

use super::header::Block;
use super::name::{NameError, check_path};
use super::pax::Records;
use super::shown::Quoted;
use super::write::padding;
use super::{BLOCK, Head, Kind, Mtime};

/// Largest extended header. Longest path and target together are 8 KiB; the rest leaves room for attributes.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;
/// Longest target of a symlink, as in Linux.
const TARGET_BYTES_MAX: usize = 4096;

/// Why an archive cannot be read on. Entries before this point were whole.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It ends inside an entry or without its end mark, so it was probably cut.
    #[error("the archive ends early, {}", After(.after))]
    Truncated {
        /// The last entry whose head was read.
        after: Vec<u8>,
    },
    /// A header is damaged, or this is no tar archive.
    #[error("not a tar header ({what}), {}", After(.after))]
    Header {
        /// In which way.
        what: &'static str,
        /// The last entry whose head was read.
        after: Vec<u8>,
    },
    /// A path that must not be followed.
    #[error("entry {}: {reason}", Quoted(.path))]
    Path {
        /// The path as the archive has it.
        path: Vec<u8>,
        /// What is wrong with it.
        reason: NameError,
    },
    /// An entry that a tree cannot hold: a device, a fifo, a hard link, a sparse file.
    #[error("entry {} is a {what}, which cannot be stored", Quoted(.path))]
    Unsupported {
        /// The path.
        path: Vec<u8>,
        /// What it is.
        what: &'static str,
    },
    /// The source failed.
    #[error("cannot read the archive: {0}")]
    Io(#[from] io::Error),
}

struct After<'a>(&'a [u8]);

impl fmt::Display for After<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("at its beginning")
        } else {
            write!(f, "after {}", Quoted(self.0))
        }
    }
}

/// Reads an archive entry by entry.
#[derive(Debug)]
pub struct ArchiveReader<R> {
    source: R,
    /// Content of the current file that nobody has read yet, and the zeros behind it.
    unread: u64,
    padding: usize,
    /// Records that hold for the whole archive.
    global: Records,
    last: Vec<u8>,
    fingerprint: Option<Fingerprint>,
    ended: bool,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads from `source`, which should buffer.
    pub fn new(source: R) -> Self {
        ArchiveReader {
            source,
            unread: 0,
            padding: 0,
            global: Records::default(),
            last: Vec::new(),
            fingerprint: None,
            ended: false,
        }
    }

    /// The next entry, after skipping what is left of the current file; `None` at the end mark.
    pub fn next_entry(&mut self) -> Result<Option<Head>, ReadError> {
        self.skip_content()?;
        let mut local = self.global.clone();
        let mut long_path: Option<Vec<u8>> = None;
        let mut long_target: Option<Vec<u8>> = None;
        while let Some(block) = self.block()? {
            let size = block.size().ok_or_else(|| self.header("size"))?;
            match block.kind() {
                b'x' => {
                    let records = self.extension(size)?;
                    local.read(&records).map_err(|_| self.header("extended records"))?;
                }
                b'g' => {
                    let records = self.extension(size)?;
                    self.global.read(&records).map_err(|_| self.header("extended records"))?;
                    local = self.global.clone();
                }
                b'L' => long_path = Some(without_nul(self.extension(size)?)),
                b'K' => long_target = Some(without_nul(self.extension(size)?)),
                kind => {
                    let path = local.path.take().or(long_path).unwrap_or_else(|| block.path());
                    let target =
                        local.linkpath.take().or(long_target).unwrap_or_else(|| block.link().to_vec());
                    return self.entry(&block, kind, path, target, &local).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// What the current file is to be catalogued under, if its sender said so.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Content of the current file; 0 at its end. Fails when the archive ends first.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let wanted = usize::try_from(self.unread).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        loop {
            match self.source.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(self.truncated()),
                Ok(length) => {
                    self.unread -= length as u64;
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn entry(
        &mut self,
        block: &Block,
        kind: u8,
        path: Vec<u8>,
        target: Vec<u8>,
        records: &Records,
    ) -> Result<Head, ReadError> {
        let unsupported = |what| Err(ReadError::Unsupported { path: path.clone(), what });
        if records.sparse {
            return unsupported("sparse file");
        }
        let plain = check_path(&path).map_err(|reason| ReadError::Path { path: path.clone(), reason })?;
        let size = match records.size {
            Some(size) => size,
            None => block.size().ok_or_else(|| self.header("size"))?,
        };
        let kind = match kind {
            // Before POSIX, a directory was a file whose name ends in a slash.
            b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Dir,
            b'0' | 0 | b'7' => match records.unchanged {
                Some(_) if size > 0 => {
                    return unsupported("file that is said to be unchanged and yet has content");
                }
                Some(fingerprint) => Kind::Unchanged { fingerprint },
                None => Kind::File { size },
            },
            b'5' => Kind::Dir,
            b'2' => {
                if target.is_empty() || target.len() > TARGET_BYTES_MAX || target.contains(&0) {
                    return unsupported("symlink without a possible target");
                }
                Kind::Symlink { target }
            }
            b'1' => return unsupported("hard link"),
            b'3' => return unsupported("character device"),
            b'4' => return unsupported("block device"),
            b'6' => return unsupported("named pipe"),
            b'S' => return unsupported("sparse file"),
            _ => return unsupported("kind of entry that is not known here"),
        };
        if plain.is_empty() && kind != Kind::Dir {
            return unsupported("root that is not a directory");
        }
        // Directories and symlinks may announce a size in old archives, which then has no content behind it.
        self.unread = if let Kind::File { size } = kind { size } else { 0 };
        self.padding = padding(self.unread);
        let mode = block.mode().ok_or_else(|| self.header("mode"))?;
        let mtime = match records.mtime {
            Some(mtime) => mtime,
            None => Mtime { seconds: block.mtime().ok_or_else(|| self.header("time"))?, nanos: 0 },
        };
        self.last = path;
        self.fingerprint = records.fingerprint;
        Ok(Head { path: plain, kind, mode, mtime })
    }

    /// The next header block; `None` at the end mark.
    fn block(&mut self) -> Result<Option<Block>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        let block = self.raw_block()?;
        if block.is_zero() {
            if !self.raw_block()?.is_zero() {
                return Err(self.header("a block of zeros in the middle"));
            }
            self.ended = true;
            self.drain()?;
            return Ok(None);
        }
        if !block.checksum_ok() {
            return Err(self.header("checksum"));
        }
        Ok(Some(block))
    }

    fn raw_block(&mut self) -> Result<Block, ReadError> {
        let mut bytes = [0; BLOCK];
        self.fill(&mut bytes)?;
        Ok(Block(bytes))
    }

    /// Reads what stands behind the end mark: tar pads to 10 KiB, and a sender that is not listened to would fail.
    fn drain(&mut self) -> Result<(), ReadError> {
        io::copy(&mut self.source, &mut io::sink())?;
        Ok(())
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ReadError> {
        if size > EXTENSION_BYTES_MAX {
            return Err(self.header("an extended header of more than 1 MiB"));
        }
        let mut bytes = vec![0; size as usize + padding(size)];
        self.fill(&mut bytes)?;
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    fn skip_content(&mut self) -> Result<(), ReadError> {
        let owed = self.unread + std::mem::take(&mut self.padding) as u64;
        self.unread = 0;
        let skipped = io::copy(&mut self.source.by_ref().take(owed), &mut io::sink())?;
        if skipped < owed { Err(self.truncated()) } else { Ok(()) }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.source.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.truncated(),
            _ => error.into(),
        })
    }

    fn truncated(&self) -> ReadError {
        ReadError::Truncated { after: self.last.clone() }
    }

    fn header(&self, what: &'static str) -> ReadError {
        ReadError::Header { what, after: self.last.clone() }
    }
}

/// GNU's long names end with a NUL.
fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    name.truncate(end);
    name
}
