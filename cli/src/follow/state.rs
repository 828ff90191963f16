//! What was brought, on disk: a line that says of what it is, and one for each entry.
//!
//! It is written beside and renamed, so that it is whole whatever happens.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chordage_api::{hex, unhex};
use chordage_node::archive::check_path;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::record::Record;

/// The format that is written and read.
const FORMAT: u32 = 1;
/// The longest state that is read; a million entries take less.
const BYTES_MAX: u64 = 1 << 30;
/// The longest line: a path and a target, both in hexadecimal.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A version that was brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// Its number.
    pub(crate) seq: u64,
    /// The verify link of what it stood for.
    pub(crate) address: String,
    /// Regular files.
    pub(crate) files: u64,
    /// Bytes in them.
    pub(crate) bytes: u64,
}

/// What was brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// The name that is followed.
    pub(crate) name: String,
    /// The version that the directory was switched to last.
    pub(crate) version: Option<Version>,
    /// What was brought, by its path.
    pub(crate) records: BTreeMap<Vec<u8>, Record>,
}

/// Why a state cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The system said so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is none, or damaged.
    #[error("line {0} of it is damaged")]
    Damaged(u64),
    /// It is of a newer version.
    #[error("it has format {0}, and this program knows format {FORMAT}")]
    Newer(u32),
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    name: String,
    version: Option<Version>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    #[serde(flatten)]
    record: Record,
}

impl Line {
    fn path(&self) -> Option<Vec<u8>> {
        let path = match (&self.path, &self.path_hex) {
            (Some(path), None) => path.as_bytes().to_vec(),
            (None, Some(digits)) => unhex(digits)?,
            _ => return None,
        };
        // Whoever wrote it: what it says is removed and renamed in the directory, and nowhere else.
        (!path.is_empty() && check_path(&path).ok().as_ref() == Some(&path)).then_some(path)
    }
}

impl State {
    /// Reads it; `None` if there is none.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, StateError> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let file = match File::options().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        State::read(BufReader::new(file.take(BYTES_MAX))).map(Some)
    }

    fn read(mut reader: impl BufRead) -> Result<Self, StateError> {
        let mut text = Vec::new();
        let mut number = 0;
        let mut state: Option<State> = None;
        loop {
            text.clear();
            number += 1;
            let damaged = || StateError::Damaged(number);
            let length = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut text)?;
            let Some(state) = &mut state else {
                let format: serde_json::Value = serde_json::from_slice(&text).map_err(|_| damaged())?;
                match format["format"].as_u64() {
                    Some(format) if format == u64::from(FORMAT) => {}
                    Some(format) => return Err(StateError::Newer(format.try_into().unwrap_or(u32::MAX))),
                    None => return Err(damaged()),
                }
                let header: Header = serde_json::from_value(format).map_err(|_| damaged())?;
                state = Some(State { name: header.name, version: header.version, records: BTreeMap::new() });
                continue;
            };
            if length == 0 {
                return Ok(std::mem::take(state));
            }
            if text.last() != Some(&b'\n') {
                return Err(damaged());
            }
            let line: Line = serde_json::from_slice(&text).map_err(|_| damaged())?;
            let path = line.path().ok_or_else(damaged)?;
            state.records.insert(path, line.record);
        }
    }

    /// Writes it as `path`, in one step.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        let mut writer = BufWriter::new(file);
        self.write(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let header = Header { format: FORMAT, name: self.name.clone(), version: self.version.clone() };
        serde_json::to_writer(&mut *out, &header)?;
        out.write_all(b"\n")?;
        for (path, record) in &self.records {
            let (path, path_hex) = match std::str::from_utf8(path) {
                Ok(text) => (Some(text.to_owned()), None),
                Err(_) => (None, Some(hex(path))),
            };
            serde_json::to_writer(&mut *out, &Line { path, path_hex, record: record.clone() })?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::{FileRecord, Metadata, Stamp};
    use super::*;

    fn state() -> State {
        let stamp = Stamp { ino: u64::MAX, size: 3, mtime: (-5, 999_999_999), ctime: (7, 0) };
        let file = FileRecord {
            content: "c".to_owned(),
            hash: "h".to_owned(),
            metadata: Metadata { mode: 0o644, mtime: (-5, 1) },
            stamp,
            sure: true,
            adopted: true,
        };
        let version = Version { seq: 4, address: "chord1v".to_owned(), files: 1, bytes: 3 };
        State {
            name: "team/notes".to_owned(),
            version: Some(version),
            records: BTreeMap::from([
                (b"dir".to_vec(), Record::Dir),
                (b"dir/caf\xe9".to_vec(), Record::File(file)),
                ("lin\nk".as_bytes().to_vec(), Record::Symlink { target: "ff".to_owned() }),
            ]),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert_eq!(State::load(&path).unwrap(), None);
        for state in [State::default(), state()] {
            state.save(&path).unwrap();
            assert_eq!(State::load(&path).unwrap(), Some(state));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_but_a_state_is_taken_for_one_and_none_leads_out() {
        let mut whole = Vec::new();
        state().write(&mut whole).unwrap();
        for cut in 0..whole.len() {
            match State::read(&whole[..cut]) {
                Ok(read) => assert!(read.records.len() < 3 && whole[cut - 1] == b'\n' || whole[cut] == b'\n'),
                Err(StateError::Damaged(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let newer = State::read(&b"{\"format\":2}\n"[..]).unwrap_err();
        assert!(matches!(newer, StateError::Newer(2)));
        for path in ["../x", "/etc/passwd", "", "a/../../b"] {
            let text = format!(
                "{{\"format\":1,\"name\":\"n\",\"version\":null}}\n{{\"path\":\"{path}\",\"kind\":\"dir\"}}\n"
            );
            assert!(matches!(State::read(text.as_bytes()), Err(StateError::Damaged(2))), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = State::read(&bytes[..]);
            let behind = [b"{\"format\":1,\"name\":\"n\",\"version\":null}\n", &bytes[..]].concat();
            let _ = State::read(&behind[..]);
        }
    }
}
