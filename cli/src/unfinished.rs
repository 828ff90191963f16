//! What of an unfinished get lies on disk, so that the next one goes on there.
//!
//! Beside what a get writes lies a journal: for each block of a file, or each file of a tree, that has been written,
//! its length and hash. Whoever goes on reads all of it against the hashes, so that neither a power failure nor
//! somebody who meddled with it gets into the result; the first thing that does not match ends what is kept.
//!
//! ```text
//! journal:  "chordage unfinished get, format 1\n" │ record │ record │ …
//! record:   length of path u32 │ path (empty for a bare file) │ length u64 │ BLAKE3, 32           little endian
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;

use crate::holes::Sparse;

/// Bytes of a bare file that a record stands for.
pub(crate) const BLOCK: usize = 4 << 20;
/// What is gathered before it is written to the journal.
const GATHERED_BYTES: u64 = 1 << 20;
/// Less than this is not worth keeping when a get fails.
pub(crate) const WORTH_KEEPING: u64 = BLOCK as u64;
const MAGIC: &[u8] = b"chordage unfinished get, format 1\n";
/// Longer paths than the system allows are in no record.
const PATH_MAX: usize = 1 << 16;

/// The journal, locked for one process.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    pending: Vec<u8>,
    pending_bytes: u64,
    noted: Arc<AtomicU64>,
    /// It cannot be written; the get does without.
    broken: bool,
}

struct Record {
    path: Vec<u8>,
    len: u64,
    hash: [u8; 32],
}

/// What a tree has of an earlier attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// Regular files: the first so many of the tree.
    pub(crate) files: u64,
    /// Bytes in them.
    pub(crate) bytes: u64,
    /// The path of the last.
    pub(crate) last: Vec<u8>,
}

impl Journal {
    /// Opens or creates it. `None` if it is somebody else's, or the file system cannot lock it; `WouldBlock` if another
    /// process writes it.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let mut options = File::options();
        let flags = OFlags::NOFOLLOW.bits() as i32;
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if is_symlink(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !is_ours(&file.metadata()?) {
            return Ok(None);
        }
        match file.try_lock() {
            // Whoever had it was done with it after we opened it.
            Ok(()) if file.metadata()?.nlink() == 0 => return Err(io::ErrorKind::WouldBlock.into()),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(_)) => return Ok(None),
        }
        // What it says to be there counts until it is looked at: a get that ends before must not remove it.
        let noted = Arc::new(AtomicU64::new(claimed(&file)));
        Ok(Some(Journal { file, pending: Vec::new(), pending_bytes: 0, noted, broken: false }))
    }

    /// Counts the bytes that are written down, also when the journal is elsewhere.
    pub(crate) fn noted(&self) -> Arc<AtomicU64> {
        self.noted.clone()
    }

    /// Writes down that so many bytes lie there. A journal that cannot be written is no reason for a get to fail.
    pub(crate) fn note(&mut self, path: &[u8], len: u64, hash: &blake3::Hash) {
        if self.broken {
            return;
        }
        let path_len = u32::try_from(path.len()).unwrap_or(u32::MAX);
        self.pending.extend_from_slice(&path_len.to_le_bytes());
        self.pending.extend_from_slice(path);
        self.pending.extend_from_slice(&len.to_le_bytes());
        self.pending.extend_from_slice(hash.as_bytes());
        self.pending_bytes += len;
        if self.pending_bytes >= GATHERED_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        match self.file.write_all(&std::mem::take(&mut self.pending)) {
            Ok(()) => drop(self.noted.fetch_add(std::mem::take(&mut self.pending_bytes), Ordering::Relaxed)),
            Err(_) => self.broken = true,
        }
    }

    /// Reads the records for as long as what they say is so, and forgets the others.
    fn keep_while(&mut self, mut holds: impl FnMut(&Record) -> io::Result<bool>) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::new(&self.file);
        let mut kept = 0;
        let mut bytes = 0;
        let mut magic = [0; MAGIC.len()];
        if reader.read_exact(&mut magic).is_ok() && magic == MAGIC {
            kept = MAGIC.len() as u64;
            while let Some(record) = read_record(&mut reader) {
                if !holds(&record)? {
                    break;
                }
                kept += 4 + record.path.len() as u64 + 8 + 32;
                bytes += record.len;
            }
        }
        self.file.set_len(kept)?;
        self.file.seek(SeekFrom::Start(kept))?;
        if kept == 0 {
            self.file.write_all(MAGIC)?;
        }
        self.noted.store(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.broken {
            self.flush();
        }
    }
}

/// Bytes that a journal says to be there.
fn claimed(journal: &File) -> u64 {
    let mut reader = BufReader::new(journal);
    let mut magic = [0; MAGIC.len()];
    if reader.read_exact(&mut magic).is_err() || magic != MAGIC {
        return 0;
    }
    std::iter::from_fn(|| read_record(&mut reader)).fold(0, |sum, record| sum.saturating_add(record.len))
}

/// The next record; `None` at the end, also one that a crash made.
fn read_record(reader: &mut impl Read) -> Option<Record> {
    let mut path_len = [0; 4];
    reader.read_exact(&mut path_len).ok()?;
    let path_len = u32::from_le_bytes(path_len) as usize;
    if path_len > PATH_MAX {
        return None;
    }
    let mut path = vec![0; path_len];
    reader.read_exact(&mut path).ok()?;
    let (mut len, mut hash) = ([0; 8], [0; 32]);
    reader.read_exact(&mut len).ok()?;
    reader.read_exact(&mut hash).ok()?;
    Some(Record { path, len: u64::from_le_bytes(len), hash })
}

/// A bare file that is written in order, and noted block by block.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: Sparse,
    journal: Option<Journal>,
    hasher: blake3::Hasher,
    /// Bytes of the block that is not complete.
    begun: usize,
}

impl Blocks {
    /// Opens the file at `path` behind what is good of an earlier attempt, or creates it; returns how much that is.
    pub(crate) fn open(path: &Path, mut journal: Option<Journal>) -> io::Result<(Self, u64)> {
        let flags = OFlags::NOFOLLOW.bits() as i32;
        let old = match &journal {
            Some(_) => File::options().read(true).write(true).custom_flags(flags).open(path).ok(),
            None => None,
        };
        let old = old.filter(|file| file.metadata().is_ok_and(|data| data.is_file() && is_ours(&data)));
        let mut good = 0;
        let file = match old {
            Some(old) => old,
            None => {
                remove(path)?;
                File::options().read(true).write(true).create_new(true).mode(0o600).open(path)?
            }
        };
        if let Some(journal) = &mut journal {
            let mut reader = &file;
            journal.keep_while(|record| {
                let holds = record.path.is_empty() && matches(&mut reader, record)?;
                good += if holds { record.len } else { 0 };
                Ok(holds)
            })?;
        }
        // Nobody else reads what is not whole, whatever an earlier attempt made of it.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.set_len(good)?;
        Ok((
            Blocks { file: Sparse::new(file, good)?, journal, hasher: blake3::Hasher::new(), begun: 0 },
            good,
        ))
    }

    /// Writes the next bytes.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Some(journal) = &mut self.journal else { return self.file.write_all(bytes) };
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.begun));
            self.file.write_all(now)?;
            self.hasher.update(now);
            self.begun += now.len();
            if self.begun == BLOCK {
                self.file.end()?;
                journal.note(b"", BLOCK as u64, &self.hasher.finalize());
                self.hasher.reset();
                self.begun = 0;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Has the file end behind what was written.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.file.end()
    }
}

/// Opens the directory at `path` with what is good of an earlier attempt, or creates it. `open` gives a file in it by
/// its path, without following symlinks.
pub(crate) fn resume_dir(
    path: &Path,
    journal: Option<&mut Journal>,
    mut open: impl FnMut(&[u8]) -> io::Result<File>,
) -> io::Result<Resumed> {
    let old = fs::symlink_metadata(path).is_ok_and(|data| data.is_dir() && is_ours(&data));
    if !old || journal.is_none() {
        remove(path)?;
        // Nobody else can enter it while it fills.
        fs::DirBuilder::new().mode(0o700).create(path)?;
    } else {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    let mut resumed = Resumed::default();
    if let Some(journal) = journal {
        journal.keep_while(|record| {
            // Whatever is not as it was is fetched again.
            let holds =
                old && open(&record.path).and_then(|mut file| whole(&mut file, record)).unwrap_or(false);
            if holds {
                resumed.files += 1;
                resumed.bytes += record.len;
                resumed.last.clone_from(&record.path);
            }
            Ok(holds)
        })?;
    }
    Ok(resumed)
}

/// Whether the next bytes are those of the record.
fn matches(reader: &mut impl Read, record: &Record) -> io::Result<bool> {
    let mut hasher = blake3::Hasher::new();
    let read = io::copy(&mut reader.take(record.len), &mut hasher)?;
    Ok(read == record.len && hasher.finalize() == record.hash)
}

fn whole(file: &mut File, record: &Record) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.len() == record.len && matches(file, record)?)
}

/// Removes a file or directory that may not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// In a directory where others may write, what has the right name need not be ours.
fn is_ours(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

fn is_symlink(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn journal(dir: &Path) -> Option<Journal> {
        Journal::open(&dir.join("journal")).unwrap()
    }

    #[test]
    fn a_file_goes_on_behind_its_last_good_block() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("part");
        let content: Vec<u8> = (0..3 * BLOCK + 100).map(|at| (at / 1000) as u8).collect();
        let (mut blocks, good) = Blocks::open(&part, journal(dir.path())).unwrap();
        assert_eq!(good, 0);
        content.chunks(300_001).for_each(|some| blocks.write(some).unwrap());
        let second = Journal::open(&dir.path().join("journal"));
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::WouldBlock, "one get at a time");
        assert_eq!(fs::metadata(&part).unwrap().permissions().mode() & 0o777, 0o600);
        drop(blocks);

        let (blocks, good) = Blocks::open(&part, journal(dir.path())).unwrap();
        assert_eq!(good, 3 * BLOCK as u64, "the bytes behind the last block are not known to be good");
        drop(blocks);
        let mut damaged = fs::read(&part).unwrap();
        damaged[BLOCK + 5] ^= 1;
        fs::write(&part, &damaged).unwrap();
        let (mut blocks, good) = Blocks::open(&part, journal(dir.path())).unwrap();
        assert_eq!(good, BLOCK as u64);
        blocks.write(&content[BLOCK..]).unwrap();
        drop(blocks);
        assert!(fs::read(&part).unwrap() == content);
        assert_eq!(Blocks::open(&part, journal(dir.path())).unwrap().1, 3 * BLOCK as u64);
    }

    #[test]
    fn a_journal_that_is_none_means_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("journal"), b"chordage unfinished get, format 2\nsomething").unwrap();
        fs::write(dir.path().join("part"), b"something").unwrap();
        let (_, good) = Blocks::open(&dir.path().join("part"), journal(dir.path())).unwrap();
        assert_eq!((good, fs::read(dir.path().join("part")).unwrap().len()), (0, 0));
    }

    #[test]
    fn nothing_is_written_through_a_symlink_that_waits_there() {
        let dir = tempfile::tempdir().unwrap();
        let (part, victim) = (dir.path().join("part"), dir.path().join("victim"));
        fs::write(&victim, b"mine").unwrap();
        for name in ["part", "journal"] {
            std::os::unix::fs::symlink(&victim, dir.path().join(name)).unwrap();
        }
        assert!(journal(dir.path()).is_none());
        let (mut blocks, _) = Blocks::open(&part, None).unwrap();
        blocks.write(b"other").unwrap();
        assert_eq!(
            (fs::read(&victim).unwrap(), fs::read(&part).unwrap()),
            (b"mine".to_vec(), b"other".to_vec())
        );
    }
}
