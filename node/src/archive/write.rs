//! Writing archives.

use std::io::{self, Write};

use chordage_storage::Fingerprint;

use super::header::{Block, LINK, NAME};
use super::{BLOCK, Head, Kind, Mtime, pax};

/// Largest number in the size and time fields of a ustar header.
const FIELD_MAX: u64 = 0o77_777_777_777;

/// The head of an entry as archive bytes, extended records included. The content of a file and [`padding`] follow it.
pub(crate) fn head_bytes(head: &Head) -> Vec<u8> {
    catalogued_head_bytes(head, None)
}

/// The same, with what the receiver is to catalog the file under.
fn catalogued_head_bytes(head: &Head, fingerprint: Option<&Fingerprint>) -> Vec<u8> {
    let mut path = if head.path.is_empty() { b".".to_vec() } else { head.path.clone() };
    let (kind, size, target): (u8, u64, &[u8]) = match &head.kind {
        Kind::File { size } => (b'0', *size, b""),
        Kind::Dir => {
            path.push(b'/');
            (b'5', 0, b"")
        }
        Kind::Symlink { target } => (b'2', 0, target),
        Kind::Unchanged { .. } => (b'0', 0, b""),
    };

    let mut records = Vec::new();
    // Readers take record values for UTF-8 unless told otherwise.
    let mut charset_said = false;
    let mut push_name = |key, name: &[u8]| {
        if !charset_said && std::str::from_utf8(name).is_err() {
            pax::push(&mut records, "hdrcharset", b"BINARY");
            charset_said = true;
        }
        pax::push(&mut records, key, name);
    };
    if path.len() > NAME.len() {
        push_name("path", &path);
    }
    if target.len() > LINK.len() {
        push_name("linkpath", target);
    }
    if let Some(fingerprint) = fingerprint {
        pax::push(&mut records, pax::FINGERPRINT, fingerprint.to_string().as_bytes());
    }
    if let Kind::Unchanged { fingerprint } = &head.kind {
        pax::push(&mut records, pax::UNCHANGED, fingerprint.to_string().as_bytes());
    }
    if size > FIELD_MAX {
        pax::push(&mut records, "size", size.to_string().as_bytes());
    }
    let Mtime { seconds, nanos } = head.mtime;
    let whole = u64::try_from(seconds).ok().filter(|seconds| *seconds <= FIELD_MAX);
    if nanos != 0 || whole.is_none() {
        pax::push(&mut records, "mtime", pax::time_text(head.mtime).as_bytes());
    }

    let mut bytes = Vec::with_capacity(3 * BLOCK);
    if !records.is_empty() {
        let mut block = Block::new(b'x', 0o644, records.len() as u64, 0);
        block.set(NAME, b"PaxHeader");
        bytes.extend_from_slice(&block.finish());
        bytes.extend_from_slice(&records);
        bytes.resize(bytes.len() + padding(records.len() as u64), 0);
    }
    let mut block = Block::new(kind, head.mode, size, whole.unwrap_or(0));
    block.set(NAME, &path);
    block.set(LINK, target);
    bytes.extend_from_slice(&block.finish());
    bytes
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
