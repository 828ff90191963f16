//! Extended records (POSIX.1-2001, "pax Interchange Format"): lines of `LENGTH key=value\n`, where the length counts
//! itself.

use std::collections::BTreeMap;

use chordage_storage::Fingerprint;

use super::metadata::{XATTR_BYTES_MAX, Xattr};
use super::{Detail, Mtime};

/// Keys of our own.
pub(super) const FINGERPRINT: &str = "CHORDAGE.fingerprint";
pub(super) const UNCHANGED: &str = "CHORDAGE.unchanged";
pub(super) const LINK_GROUP: &str = "CHORDAGE.linkgroup";
/// Those of extended attributes, which star has introduced.
pub(super) const XATTR_PREFIX: &str = "SCHILY.xattr.";

/// What extended records can say, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<Mtime>,
    /// The data is a map of holes; GNU tar marks it with keys of this prefix.
    pub(super) sparse: bool,
    /// What to catalog the file under.
    pub(super) fingerprint: Option<Fingerprint>,
    /// What the receiver knows the file by, whose content is left out.
    pub(super) unchanged: Option<Fingerprint>,
    /// What only those who want full detail look at.
    pub(super) full: Option<Box<FullRecords>>,
}

/// Records of which there are none without [`Detail::Full`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FullRecords {
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    pub(super) device_major: Option<u64>,
    pub(super) device_minor: Option<u64>,
    pub(super) of_file: OfFile,
}

/// Those of them that mean nothing for more than one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OfFile {
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What these cost together.
    xattr_bytes: usize,
    /// There were more of them than an entry may have; what came after is not kept.
    pub(super) too_many_xattrs: bool,
    pub(super) link_group: Option<u64>,
    /// Major and minor version of the map of holes.
    pub(super) sparse_version: (Option<u64>, Option<u64>),
    pub(super) sparse_name: Option<Vec<u8>>,
    pub(super) sparse_size: Option<u64>,
}

/// The records are not well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Appends one record.
pub(super) fn push(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    push_bytes(records, key.as_bytes(), value);
}

/// Appends one record whose key need not be text.
pub(super) fn push_bytes(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The space, the equals sign and the line end.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// The name of an extended attribute as it stands in a key, which ends at the first equals sign: as GNU tar writes it
/// since version 1.29, with `%3D` for that sign and `%25` for a percent sign.
pub(super) fn xattr_keyword(name: &[u8]) -> Vec<u8> {
    let mut keyword = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'=' => keyword.extend_from_slice(b"%3D"),
            b'%' => keyword.extend_from_slice(b"%25"),
            byte => keyword.push(*byte),
        }
    }
    keyword
}

/// The same the other way round. Other percent signs are of writers that do not know this, and stay.
fn xattr_name(mut keyword: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(keyword.len());
    loop {
        keyword = match keyword {
            [b'%', b'3', b'D', rest @ ..] => {
                name.push(b'=');
                rest
            }
            [b'%', b'2', b'5', rest @ ..] => {
                name.push(b'%');
                rest
            }
            [byte, rest @ ..] => {
                name.push(*byte);
                rest
            }
            [] => return name,
        }
    }
}

impl Records {
    /// None so far; those that this detail does not need are not kept.
    pub(super) fn new(detail: Detail) -> Self {
        let full = (detail == Detail::Full).then(Box::default);
        Records { full, ..Records::default() }
    }

    /// Forgets what means nothing for more than one entry.
    pub(super) fn forget_file(&mut self) {
        if let Some(full) = &mut self.full {
            full.of_file = OfFile::default();
        }
    }

    /// Reads records on top of what is known already; an empty value takes a key back.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or(Malformed)?;
            let length: usize = ascii(&bytes[..space]).and_then(|text| text.parse().ok()).ok_or(Malformed)?;
            if length <= space + 1 || length > bytes.len() {
                return Err(Malformed);
            }
            let (record, rest) = bytes.split_at(length);
            let record = record[space + 1..].strip_suffix(b"\n").ok_or(Malformed)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(Malformed)?;
            self.set(&record[..equals], &record[equals + 1..])?;
            bytes = rest;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let given = !value.is_empty();
        match key {
            b"path" => self.path = given.then(|| value.to_vec()),
            b"linkpath" => self.linkpath = given.then(|| value.to_vec()),
            b"size" => self.size = number(value)?,
            b"mtime" => self.mtime = if given { Some(time(value).ok_or(Malformed)?) } else { None },
            key if key == FINGERPRINT.as_bytes() => self.fingerprint = fingerprint(value)?,
            key if key == UNCHANGED.as_bytes() => self.unchanged = fingerprint(value)?,
            key => {
                self.sparse |= key.starts_with(b"GNU.sparse.");
                if let Some(full) = &mut self.full {
                    full.set(key, value)?;
                }
            }
        }
        Ok(())
    }
}

impl FullRecords {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let name = (!value.is_empty()).then(|| value.to_vec());
        let file = &mut self.of_file;
        match key {
            b"uid" => self.uid = number(value)?,
            b"gid" => self.gid = number(value)?,
            b"uname" => self.user = name,
            b"gname" => self.group = name,
            b"SCHILY.devmajor" => self.device_major = number(value)?,
            b"SCHILY.devminor" => self.device_minor = number(value)?,
            b"GNU.sparse.major" => file.sparse_version.0 = number(value)?,
            b"GNU.sparse.minor" => file.sparse_version.1 = number(value)?,
            b"GNU.sparse.name" => file.sparse_name = name,
            b"GNU.sparse.realsize" => file.sparse_size = number(value)?,
            key if key == LINK_GROUP.as_bytes() => file.link_group = number(value)?,
            key => {
                // POSIX has an empty value take a record back. Here it is an attribute with an empty value, as in GNU
                // tar.
                if let Some(keyword) = key.strip_prefix(XATTR_PREFIX.as_bytes()) {
                    file.xattr(Xattr { name: xattr_name(keyword), value: value.to_vec() });
                }
            }
        }
        Ok(())
    }
}

impl OfFile {
    fn xattr(&mut self, xattr: Xattr) {
        self.xattr_bytes += xattr.cost();
        self.too_many_xattrs |= self.xattr_bytes > XATTR_BYTES_MAX;
        if !self.too_many_xattrs {
            self.xattrs.insert(xattr.name, xattr.value);
        }
    }
}

fn number(value: &[u8]) -> Result<Option<u64>, Malformed> {
    if value.is_empty() {
        return Ok(None);
    }
    ascii(value).and_then(|text| text.parse().ok()).map(Some).ok_or(Malformed)
}

fn fingerprint(value: &[u8]) -> Result<Option<Fingerprint>, Malformed> {
    if value.is_empty() {
        return Ok(None);
    }
    ascii(value).and_then(Fingerprint::from_hex).map(Some).ok_or(Malformed)
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    bytes.is_ascii().then(|| std::str::from_utf8(bytes).ok()).flatten()
}

/// A time as decimal seconds with an optional fraction, of which nine digits count.
fn time(value: &[u8]) -> Option<Mtime> {
    let text = ascii(value)?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |sum: u32, digit| sum * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanos) {
        (false, nanos) => Mtime { seconds, nanos },
        (true, 0) => Mtime { seconds: -seconds, nanos: 0 },
        // -1.25 is three quarters of a second after -2.
        (true, nanos) => Mtime { seconds: (-seconds).checked_sub(1)?, nanos: 1_000_000_000 - nanos },
    })
}

/// The same the other way round.
pub(super) fn time_text(mtime: Mtime) -> String {
    let (negative, seconds, nanos) = match mtime {
        Mtime { seconds, nanos } if seconds >= 0 => (false, seconds.unsigned_abs(), nanos),
        Mtime { seconds, nanos: 0 } => (true, seconds.unsigned_abs(), 0),
        Mtime { seconds, nanos } => (true, (seconds + 1).unsigned_abs(), 1_000_000_000 - nanos),
    };
    let sign = if negative { "-" } else { "" };
    let mut text = format!("{sign}{seconds}");
    if nanos != 0 {
        text.push_str(format!(".{nanos:09}").trim_end_matches('0'));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_length_counts_itself() {
        let mut records = Vec::new();
        push(&mut records, "path", b"abc");
        assert_eq!(records, b"12 path=abc\n");
        for length in 80..110 {
            let mut records = Vec::new();
            push(&mut records, "path", &vec![b'x'; length]);
            let space = records.iter().position(|byte| *byte == b' ').unwrap();
            let said: usize = std::str::from_utf8(&records[..space]).unwrap().parse().unwrap();
            assert_eq!(said, records.len());
        }
    }

    #[test]
    fn times_go_both_ways() {
        let cases = [
            ("0", 0, 0),
            ("1.5", 1, 500_000_000),
            ("1700000000.000000001", 1_700_000_000, 1),
            ("-1", -1, 0),
            ("-0.25", -1, 750_000_000),
            ("-1.25", -2, 750_000_000),
        ];
        for (text, seconds, nanos) in cases {
            let mtime = Mtime { seconds, nanos };
            assert_eq!(time(text.as_bytes()), Some(mtime), "{text}");
            assert_eq!(time_text(mtime), text);
        }
        for text in ["", "-", ".5", "1e3", "+1", "--1", "1.-5", "99999999999999999999"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn names_of_attributes_go_both_ways() {
        for name in [&b"user.a"[..], b"user.a=b", b"user.100%", b"user.%3D%25=%", b"user.\xff\n ", b""] {
            let keyword = xattr_keyword(name);
            assert!(!keyword.contains(&b'='));
            assert_eq!(xattr_name(&keyword), name);
        }
        assert_eq!(xattr_name(b"user.100%"), b"user.100%");
    }

    #[test]
    fn malformed_records_are_refused() {
        for text in
            [&b"x"[..], b"5 a=b", b"99 a=b\n", b"0 a=b\n", b"6 abc\n", b"3 \n", b"6 a=bX", b"11 size=-1\n"]
        {
            assert_eq!(Records::default().read(text), Err(Malformed), "{text:?}");
        }
    }
}
