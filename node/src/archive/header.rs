//! The 512-byte header block: where its fields are and how numbers stand in them.
//!
//! ```text
//!   0 name 100 │ mode 8 │ uid 8 │ gid 8 │ size 12 │ mtime 12 │ checksum 8 │ type 1 │ link 100 │ "ustar\0" "00"
//! 265 user 32 │ group 32 │ device major 8 │ minor 8 │ prefix 155
//! ```

use std::ops::Range;

use super::BLOCK;

pub(super) const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
pub(super) const USER: Range<usize> = 265..297;
pub(super) const GROUP: Range<usize> = 297..329;
const DEVICE_MAJOR: Range<usize> = 329..337;
const DEVICE_MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;

/// POSIX: the magic with its NUL, and version `00`.
const USTAR: &[u8; 8] = b"ustar\x0000";
/// Largest number in eleven octal digits.
pub(super) const OCTAL_11_MAX: u64 = 0o77_777_777_777;
/// Largest number in seven.
pub(super) const OCTAL_7_MAX: u32 = 0o7_777_777;

/// One header block.
#[derive(Clone)]
pub(super) struct Block(pub(super) [u8; BLOCK]);

impl Block {
    /// A ustar block with what every entry has; the caller fills in the name.
    pub(super) fn new(kind: u8, mode: u32, size: u64, mtime: u64) -> Self {
        let mut block = Block([0; BLOCK]);
        block.octal(MODE, u64::from(mode & 0o7777));
        // Of nobody in particular, unless it is said: numbers mean something on the machine alone that wrote them.
        block.octal(UID, 0);
        block.octal(GID, 0);
        block.octal(SIZE, size.min(OCTAL_11_MAX));
        block.octal(MTIME, mtime.min(OCTAL_11_MAX));
        block.0[TYPE] = kind;
        block.0[MAGIC].copy_from_slice(USTAR);
        block
    }

    /// Fills the owner in; names and numbers that do not fit stand in extended records.
    pub(super) fn owner(&mut self, uid: u32, gid: u32, user: &[u8], group: &[u8]) {
        self.octal(UID, uid.min(OCTAL_7_MAX).into());
        self.octal(GID, gid.min(OCTAL_7_MAX).into());
        for (field, name) in [(USER, user), (GROUP, group)] {
            // With a NUL behind it.
            self.set(field.clone(), &name[..name.len().min(field.len() - 1)]);
        }
    }

    /// Fills the numbers of a device in.
    pub(super) fn device(&mut self, major: u32, minor: u32) {
        self.octal(DEVICE_MAJOR, major.min(OCTAL_7_MAX).into());
        self.octal(DEVICE_MINOR, minor.min(OCTAL_7_MAX).into());
    }

    pub(super) fn set(&mut self, field: Range<usize>, bytes: &[u8]) {
        let length = bytes.len().min(field.len());
        self.0[field.start..field.start + length].copy_from_slice(&bytes[..length]);
    }

    /// Fills the checksum in; the last thing to do.
    pub(super) fn finish(mut self) -> [u8; BLOCK] {
        let sum = self.sum();
        // Six digits, a NUL and a space: the one field that is written differently.
        self.octal(CHECKSUM.start..CHECKSUM.end - 1, sum.into());
        self.0[CHECKSUM.end - 1] = b' ';
        self.0
    }

    fn octal(&mut self, field: Range<usize>, value: u64) {
        // By hand, since a tree of small files consists of these fields. The last byte stays a NUL.
        let mut rest = value;
        for digit in self.0[field.start..field.end - 1].iter_mut().rev() {
            *digit = b'0' + (rest & 7) as u8;
            rest >>= 3;
        }
    }

    /// The sum of all bytes, those of the checksum field counted as spaces.
    fn sum(&self) -> u32 {
        let all: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        let own: u32 = self.0[CHECKSUM].iter().map(|byte| u32::from(*byte)).sum();
        all - own + 8 * u32::from(b' ')
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub(super) fn checksum_ok(&self) -> bool {
        number(&self.0[CHECKSUM]) == Some(u64::from(self.sum()))
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[TYPE]
    }

    pub(super) fn size(&self) -> Option<u64> {
        number(&self.0[SIZE])
    }

    pub(super) fn mode(&self) -> Option<u32> {
        Some((number(&self.0[MODE])? & 0o7777) as u32)
    }

    pub(super) fn mtime(&self) -> Option<i64> {
        signed(&self.0[MTIME])
    }

    pub(super) fn uid(&self) -> Option<u64> {
        number(&self.0[UID])
    }

    pub(super) fn gid(&self) -> Option<u64> {
        number(&self.0[GID])
    }

    pub(super) fn user(&self) -> &[u8] {
        if self.has_posix_fields() { until_nul(&self.0[USER]) } else { &[] }
    }

    pub(super) fn group(&self) -> &[u8] {
        if self.has_posix_fields() { until_nul(&self.0[GROUP]) } else { &[] }
    }

    pub(super) fn device_major(&self) -> Option<u64> {
        number(&self.0[DEVICE_MAJOR])
    }

    pub(super) fn device_minor(&self) -> Option<u64> {
        number(&self.0[DEVICE_MINOR])
    }

    /// Names of owners are where POSIX and GNU have them. In headers from before, anything may stand there.
    fn has_posix_fields(&self) -> bool {
        self.0[MAGIC].starts_with(b"ustar")
    }

    pub(super) fn link(&self) -> &[u8] {
        until_nul(&self.0[LINK])
    }

    /// The path from name and, in POSIX headers, prefix. (GNU headers use those bytes for other things.)
    pub(super) fn path(&self) -> Vec<u8> {
        let name = until_nul(&self.0[NAME]);
        let prefix = if self.0[MAGIC] == *USTAR { until_nul(&self.0[PREFIX]) } else { &[] };
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..end]
}

/// Octal digits between optional spaces and NULs; or, with the first bit set, a big-endian number (GNU's extension).
fn signed(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        return base256(field);
    }
    let text = until_nul(field).trim_ascii();
    if text.is_empty() {
        return Some(0);
    }
    let text = std::str::from_utf8(text).ok()?;
    i64::from_str_radix(text, 8).ok().filter(|_| !text.starts_with('+'))
}

fn number(field: &[u8]) -> Option<u64> {
    signed(field).and_then(|value| u64::try_from(value).ok())
}

fn base256(field: &[u8]) -> Option<i64> {
    // 0x80 begins a positive number, 0xff a negative one in two's complement.
    let start: i128 = match field[0] {
        0x80 => 0,
        0xff => -1,
        _ => return None,
    };
    let mut value = start;
    for byte in &field[1..] {
        value = value.checked_mul(256)?.checked_add(i128::from(*byte))?;
    }
    i64::try_from(value).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_their_clothes() {
        assert_eq!(signed(b"0000644\0"), Some(0o644));
        assert_eq!(signed(b"  644 \0\0"), Some(0o644));
        assert_eq!(signed(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(signed(b"0000649\0"), None);
        assert_eq!(signed(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]), Some(1 << 33));
        assert_eq!(signed(&[0xff; 12]), Some(-1));
        assert_eq!(signed(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]), None);
        assert_eq!(number(&[0xff; 12]), None);
    }
}
