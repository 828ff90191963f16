//! Writing archives.

use std::io::{self, Write};

use chordage_storage::Fingerprint;

use super::header::{Block, GROUP, LINK, NAME, OCTAL_7_MAX, OCTAL_11_MAX, USER};
use super::metadata::{FullMetadata, Xattr};
use super::sparse::SparseMap;
use super::{BLOCK, Head, Kind, Mtime, pax};

/// The head of an entry as archive bytes, extended records included, and the map of a file with holes. The content of a
/// file and [`padding`] follow it.
pub(crate) fn head_bytes(head: &Head) -> Vec<u8> {
    catalogued_head_bytes(head, None)
}

/// The same, with what the receiver is to catalog the file under.
fn catalogued_head_bytes(head: &Head, fingerprint: Option<&Fingerprint>) -> Vec<u8> {
    let mut path = if head.path.is_empty() { b".".to_vec() } else { head.path.clone() };
    let (kind, content, target): (u8, u64, &[u8]) = match &head.kind {
        Kind::File { size } => (b'0', *size, b""),
        Kind::Dir => {
            path.push(b'/');
            (b'5', 0, b"")
        }
        Kind::Symlink { target } => (b'2', 0, target),
        Kind::Unchanged { .. } => (b'0', 0, b""),
        Kind::Fifo => (b'6', 0, b""),
        Kind::CharDevice { .. } => (b'3', 0, b""),
        Kind::BlockDevice { .. } => (b'4', 0, b""),
        Kind::HardLink { target } => (b'1', 0, target),
    };
    let map = head.sparse().map(SparseMap::to_bytes).unwrap_or_default();
    let size = content + map.len() as u64;

    let mut records = Extended::default();
    match head.sparse() {
        Some(map) => {
            records.push("GNU.sparse.major", b"1");
            records.push("GNU.sparse.minor", b"0");
            records.push_name("GNU.sparse.name", &path);
            records.push("GNU.sparse.realsize", map.size.to_string().as_bytes());
            path = name_of_map(&path);
        }
        None if path.len() > NAME.len() => records.push_name("path", &path),
        None => {}
    }
    if target.len() > LINK.len() {
        records.push_name("linkpath", target);
    }
    if let Some(fingerprint) = fingerprint {
        records.push(pax::FINGERPRINT, fingerprint.to_string().as_bytes());
    }
    if let Kind::Unchanged { fingerprint } = &head.kind {
        records.push(pax::UNCHANGED, fingerprint.to_string().as_bytes());
    }
    if size > OCTAL_11_MAX {
        records.push("size", size.to_string().as_bytes());
    }
    let Mtime { seconds, nanos } = head.mtime;
    let whole = u64::try_from(seconds).ok().filter(|seconds| *seconds <= OCTAL_11_MAX);
    if nanos != 0 || whole.is_none() {
        records.push("mtime", pax::time_text(head.mtime).as_bytes());
    }
    let mut block = Block::new(kind, head.mode, size, whole.unwrap_or(0));
    block.set(NAME, &path);
    block.set(LINK, target);
    if let Some(full) = &head.full {
        records.full(full);
        block.owner(full.uid, full.gid, &full.user, &full.group);
    }
    if let Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } = head.kind {
        records.device(major, minor);
        block.device(major, minor);
    }

    let mut bytes = records.into_header();
    bytes.extend_from_slice(&block.finish());
    bytes.extend_from_slice(&map);
    bytes
}

/// A name for those who take the map of a sparse file for its content, so that it does not get into the way of the
/// file: the one that GNU tar has for it.
fn name_of_map(path: &[u8]) -> Vec<u8> {
    let name = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    [&path[..name], b"GNUSparseFile.0/", &path[name..]].concat()
}

/// Extended records of an entry.
#[derive(Default)]
struct Extended {
    records: Vec<u8>,
    charset_said: bool,
}

impl Extended {
    fn push(&mut self, key: &str, value: &[u8]) {
        pax::push(&mut self.records, key, value);
    }

    fn push_name(&mut self, key: &str, name: &[u8]) {
        // Readers take record values for UTF-8 unless told otherwise.
        if !self.charset_said && std::str::from_utf8(name).is_err() {
            self.push("hdrcharset", b"BINARY");
            self.charset_said = true;
        }
        self.push(key, name);
    }

    /// What of these metadata no header has room for.
    fn full(&mut self, full: &FullMetadata) {
        for (key, number) in [("uid", full.uid), ("gid", full.gid)] {
            if number > OCTAL_7_MAX {
                self.push(key, number.to_string().as_bytes());
            }
        }
        for (key, name, field) in [("uname", &full.user, USER), ("gname", &full.group, GROUP)] {
            if name.len() >= field.len() {
                self.push_name(key, name);
            }
        }
        if let Some(group) = full.link_group {
            self.push(pax::LINK_GROUP, group.to_string().as_bytes());
        }
        for Xattr { name, value } in &full.xattrs {
            let key = [pax::XATTR_PREFIX.as_bytes(), &pax::xattr_keyword(name)].concat();
            pax::push_bytes(&mut self.records, &key, value);
        }
    }

    fn device(&mut self, major: u32, minor: u32) {
        for (key, number) in [("SCHILY.devmajor", major), ("SCHILY.devminor", minor)] {
            if number > OCTAL_7_MAX {
                self.push(key, number.to_string().as_bytes());
            }
        }
    }

    /// All of them with a header of their own, if there are any.
    fn into_header(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(3 * BLOCK);
        if !self.records.is_empty() {
            let mut block = Block::new(b'x', 0o644, self.records.len() as u64, 0);
            block.set(NAME, b"PaxHeader");
            bytes.extend_from_slice(&block.finish());
            bytes.extend_from_slice(&self.records);
            bytes.resize(bytes.len() + padding(self.records.len() as u64), 0);
        }
        bytes
    }
}

/// Zeros between the end of so much content and the next block.
pub(crate) fn padding(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize;
    if over == 0 { 0 } else { BLOCK - over }
}

/// What ends an archive: two blocks of zeros.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Writes an archive entry by entry.
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    out: W,
    /// Content still owed to the current file.
    owed: u64,
    padding: usize,
}

impl<W: Write> ArchiveWriter<W> {
    /// Writes to `out`, which should buffer.
    pub fn new(out: W) -> Self {
        ArchiveWriter { out, owed: 0, padding: 0 }
    }

    /// Begins an entry. The content of a file follows through [`data`](Self::data).
    ///
    /// # Panics
    /// When the previous file has not got all the bytes it announced: the archive would be garbage from there on.
    pub fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.begin_catalogued(head, None)
    }

    /// Begins a file that the receiver is to catalog.
    ///
    /// # Panics
    /// As [`begin`](Self::begin).
    pub fn begin_catalogued(&mut self, head: &Head, fingerprint: Option<&Fingerprint>) -> io::Result<()> {
        assert_eq!(self.owed, 0, "the previous file is not complete");
        self.out.write_all(&catalogued_head_bytes(head, fingerprint))?;
        if let Kind::File { size } = head.kind {
            self.owed = size;
            self.padding = padding(size);
        }
        Ok(())
    }

    /// Content of the current file.
    ///
    /// # Panics
    /// When it is more than the file announced.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        self.owed = self.owed.checked_sub(length).expect("more content than announced");
        self.out.write_all(bytes)?;
        if self.owed == 0 {
            self.out.write_all(&[0; BLOCK][..std::mem::take(&mut self.padding)])?;
        }
        Ok(())
    }

    /// Ends the archive and gives `out` back.
    ///
    /// # Panics
    /// When the last file is not complete.
    pub fn finish(mut self) -> io::Result<W> {
        assert_eq!(self.owed, 0, "the last file is not complete");
        self.out.write_all(&END)?;
        Ok(self.out)
    }
}
