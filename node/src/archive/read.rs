//! Reading archives, from strangers too: every size is checked before it is believed.

use std::fmt;
use std::io::{self, Read};

use chordage_storage::Fingerprint;

use super::entry::{Announced, Refused};
use super::header::Block;
use super::metadata::{Detail, MetadataError};
use super::name::{NameError, check_path};
use super::pax::Records;
use super::shown::Quoted;
use super::sparse::MapParser;
use super::write::padding;
use super::{BLOCK, Head, Kind};

/// Largest extended header. Longest path and target together are 8 KiB; the rest leaves room for attributes.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

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
    /// An entry whose metadata no file system could hold.
    #[error("entry {}: {reason}", Quoted(.path))]
    Metadata {
        /// The path.
        path: Vec<u8>,
        /// What is wrong with them.
        reason: MetadataError,
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
    detail: Detail,
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
    /// Reads what an object holds from `source`, which should buffer. All else is refused, or left out where it belongs
    /// to an entry.
    pub fn new(source: R) -> Self {
        ArchiveReader::with_detail(source, Detail::Basic)
    }

    /// Reads so much of each entry.
    pub fn with_detail(source: R, detail: Detail) -> Self {
        ArchiveReader {
            source,
            detail,
            unread: 0,
            padding: 0,
            global: Records::new(detail),
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
                    self.global.forget_file();
                    local = self.global.clone();
                }
                b'L' => long_path = Some(without_nul(self.extension(size)?)),
                b'K' => long_target = Some(without_nul(self.extension(size)?)),
                _ => {
                    // The other names of a sparse file are for those who would take its map for content.
                    let real_path = local.full.as_mut().and_then(|full| full.of_file.sparse_name.take());
                    let path = real_path.or_else(|| local.path.take()).or(long_path);
                    let path = path.unwrap_or_else(|| block.path());
                    let target =
                        local.linkpath.take().or(long_target).unwrap_or_else(|| block.link().to_vec());
                    return self.entry(&block, path, target, &local).map(Some);
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
        path: Vec<u8>,
        target: Vec<u8>,
        records: &Records,
    ) -> Result<Head, ReadError> {
        let announced = Announced { block, records, path: &path, target, detail: self.detail };
        let refused = |reason| match reason {
            Refused::Header(what) => self.header(what),
            Refused::Unsupported(what) => ReadError::Unsupported { path: path.clone(), what },
            Refused::Metadata(reason) => ReadError::Metadata { path: path.clone(), reason },
            Refused::Target(path, reason) => ReadError::Path { path, reason },
        };
        let plain = check_path(&path).map_err(|reason| ReadError::Path { path: path.clone(), reason })?;
        let kind = announced.kind().map_err(refused)?;
        if plain.is_empty() && kind != Kind::Dir {
            return Err(refused(Refused::Unsupported("root that is not a directory")));
        }
        let sparse_size = announced.sparse_size();
        // Directories and symlinks may announce a size in old archives, which then has no content behind it.
        let has_content = matches!(kind, Kind::File { .. }) || sparse_size.is_some();
        let size = if has_content { announced.size().map_err(refused)? } else { 0 };
        let mode = announced.mode().map_err(refused)?;
        let mtime = announced.mtime().map_err(refused)?;
        let full = announced.full().map_err(refused)?;
        self.unread = size;
        self.padding = padding(size);
        self.last = path;
        self.fingerprint = records.fingerprint;
        let mut head = Head { path: plain, kind, mode, mtime, full };
        if let Some(size) = sparse_size {
            self.sparse(&mut head, size)?;
        }
        Ok(head)
    }

    /// Reads the map that stands in front of a sparse file's content.
    fn sparse(&mut self, head: &mut Head, size: u64) -> Result<(), ReadError> {
        let path = head.path.clone();
        let refused = |reason| ReadError::Metadata { path: path.clone(), reason };
        let mut parser = MapParser::default();
        loop {
            let left = self.unread.checked_sub(BLOCK as u64);
            self.unread = left.ok_or_else(|| refused(MetadataError::SparseMap))?;
            let block = self.raw_block()?;
            if parser.block(&block.0).map_err(refused)? {
                break;
            }
        }
        let map = parser.finish(size).map_err(refused)?;
        // What the receiver knows does not follow.
        let follows = if let Kind::File { size } = &mut head.kind {
            *size = map.data_len();
            *size
        } else {
            0
        };
        if self.unread != follows {
            return Err(refused(MetadataError::SparseMap));
        }
        if let Some(full) = &mut head.full {
            full.sparse = Some(map);
        }
        Ok(())
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
