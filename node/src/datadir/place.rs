//! What a data directory is known by, and which directories may become one.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use chordage_storage::private::check_owner;

use super::secret::{CHECKSUM_LEN, SECRET_LEN};
use super::{DataDir, DataDirError};

/// Everything at the top of a data directory, and what the file system itself puts into one of its own.
const NAMES: [&str; 26] = [
    "api",
    "api.sock",
    "api.token",
    "catalog",
    "claims",
    "config.toml",
    "format",
    "holders.redb",
    "invites",
    "keeps",
    "key",
    "listen",
    "lock",
    "lost+found",
    "names",
    "network",
    "network.key",
    "opened",
    "peers",
    "record",
    "records",
    "renewed",
    "reserve",
    "scrub",
    "secret",
    "services",
];
/// Directories of a data directory that may be on another disk, by a symlink.
pub(super) const FOLDERS: [&str; 4] = ["shards", "catalog", "claims", "keeps"];
/// Longest `format`.
const FORMAT_LEN_MAX: u64 = 16;

impl DataDir {
    /// Whether a directory is the data directory of a daemon, that runs or not: it says its format, and has a key or a
    /// secret.
    pub fn is_at(path: &Path) -> bool {
        let has = |name: &str, fits: fn(u64) -> bool| {
            fs::symlink_metadata(path.join(name)).is_ok_and(|file| file.is_file() && fits(file.len()))
        };
        // First what few others have: this is asked about every directory that is stored.
        has("format", |len| len <= FORMAT_LEN_MAX)
            && ["key", "secret"].iter().any(|name| {
                has(name, |len| {
                    [SECRET_LEN, SECRET_LEN + CHECKSUM_LEN].iter().any(|fits| *fits as u64 == len)
                })
            })
            && fs::read_to_string(path.join("format")).is_ok_and(|text| text.trim().parse::<u32>().is_ok())
    }
}

/// Whether a daemon may have its data in a directory. Changes nothing.
pub(super) fn check(path: &Path) -> Result<(), DataDirError> {
    check_name(path)?;
    check_owner(path)?;
    let io = |source| DataDirError::Io { path: path.to_owned(), source };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    if DataDir::is_at(path) {
        return Ok(());
    }
    // A first start that was cut off leaves less than that, and whoever prepares a start its settings.
    for entry in entries {
        let name = entry.map_err(io)?.file_name();
        if !name.to_str().is_some_and(is_own) {
            return Err(DataDirError::InUse { path: path.to_owned(), name });
        }
    }
    Ok(())
}

/// Clients find a daemon by a line of text.
fn check_name(path: &Path) -> Result<(), DataDirError> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let problem = match absolute.to_str() {
        None => "it is not UTF-8",
        Some(text) if text.contains(['\n', '\r']) => "it has a line break",
        Some(_) => return Ok(()),
    };
    Err(DataDirError::Name { path: path.to_owned(), problem })
}

/// Whether a daemon makes something of that name, for good or for a moment.
fn is_own(name: &str) -> bool {
    let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new")).unwrap_or(name);
    NAMES.contains(&name) || FOLDERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_known_by_its_own_files() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).expect("writable");
        assert!(!DataDir::is_at(dir.path()));
        write("format", b"1\n");
        assert!(!DataDir::is_at(dir.path()), "that is not enough");
        write("key", b"a short key");
        assert!(!DataDir::is_at(dir.path()), "no key of ours");
        write("secret", &[7; 32]);
        assert!(DataDir::is_at(dir.path()), "a damaged key does not make it another's");
        write("format", b"PNG\n");
        assert!(!DataDir::is_at(dir.path()));
    }

    #[test]
    fn only_what_is_empty_or_ours_is_taken() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).expect("writable");
        check(dir.path()).expect("it is empty");
        check(&dir.path().join("new")).expect("it is not there yet");
        for name in ["config.toml", "lock", ".format.new"] {
            write(name, b"");
        }
        check(dir.path()).expect("a start was prepared, or cut off");
        write("notes", b"");
        match check(dir.path()) {
            Err(DataDirError::InUse { name, .. }) => assert_eq!(name, "notes"),
            other => panic!("{other:?}"),
        }
        write("format", b"1\n");
        write("secret", &[7; 40]);
        check(dir.path()).expect("a data directory, with something beside it");
    }
}
