//! Where what was fetched waits until all of a version is there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chordage_api::hex;
use rustix::fs::{OFlags, Timespec, Timestamps, UTIME_OMIT};

use super::listing::{Entry, Kind, Listing};
use super::local::hash_of;
use super::record::Metadata;
use crate::unfinished::remove;

/// What begins the name of a whole file.
const WHOLE: &str = "part-";
/// What begins the name of one that is not.
const NEW: &str = "new-";

/// Files that have come, by names that follow from what they are: whoever comes after a crash finds them.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    home: PathBuf,
    /// The hash of each whole one that was looked at, by its key.
    hashes: BTreeMap<String, String>,
}

/// The name of a file: it lies at this path and has this content.
pub(crate) fn key(entry: &Entry) -> String {
    let content = match &entry.kind {
        Kind::File { content, .. } => content.as_str(),
        Kind::Dir | Kind::Symlink(_) => "",
    };
    let mut hasher = blake3::Hasher::new_derive_key("chordage v1 staged file");
    hasher.update(content.as_bytes()).update(b"\0").update(&entry.path);
    hex(hasher.finalize().as_bytes())
}

impl Stage {
    /// In this directory.
    pub(crate) fn new(home: PathBuf) -> Self {
        Stage { home, hashes: BTreeMap::new() }
    }

    /// Where they lie.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Where a whole one lies.
    pub(crate) fn whole(&self, key: &str) -> PathBuf {
        self.home.join(format!("{WHOLE}{key}"))
    }

    /// Where one is written.
    pub(crate) fn new_file(&self, key: &str) -> PathBuf {
        self.home.join(format!("{NEW}{key}"))
    }

    /// Where the journal of a large one lies.
    pub(crate) fn journal(&self, key: &str) -> PathBuf {
        self.home.join(format!("{NEW}{key}.journal"))
    }

    /// The hash of a whole one.
    pub(crate) fn hash(&self, key: &str) -> Option<&String> {
        self.hashes.get(key)
    }

    /// Looks which of `wanted` are there, and removes everything else that was staged. What an earlier process left is
    /// read.
    pub(crate) fn look(&mut self, listing: &Listing, wanted: &[usize]) -> io::Result<()> {
        let mut keys = BTreeSet::new();
        let mut hashes = BTreeMap::new();
        for entry in wanted.iter().map(|at| &listing.entries[*at]) {
            let Kind::File { size, .. } = entry.kind else { continue };
            let key = key(entry);
            if let Some(hash) = self.known_hash(&key, size)? {
                hashes.insert(key.clone(), hash);
            }
            keys.insert(key);
        }
        self.hashes = hashes;
        self.clean(|key| keys.contains(key))
    }

    fn known_hash(&self, key: &str, size: u64) -> io::Result<Option<String>> {
        let path = self.whole(key);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() == size => {}
            // A power failure may have cut it off.
            Ok(_) => return remove(&path).map(|()| None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        match self.hashes.get(key) {
            Some(hash) => Ok(Some(hash.clone())),
            None => hash_of(&mut File::open(path)?).map(Some),
        }
    }

    /// Removes what was staged and is not wanted any more.
    pub(crate) fn clean(&self, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.home)? {
            let name = entry?.file_name();
            if is_staged(&name).is_some_and(|key| !wanted(key)) {
                remove(&self.home.join(name))?;
            }
        }
        Ok(())
    }

    /// Creates one that is to be written.
    pub(crate) fn create(&self, key: &str) -> io::Result<File> {
        let path = self.new_file(key);
        remove(&path)?;
        let flags = OFlags::NOFOLLOW.bits() as i32;
        File::options().read(true).write(true).create_new(true).mode(0o600).custom_flags(flags).open(path)
    }

    /// Has files that were written, each with its hash, count as whole, once they are on disk.
    pub(crate) fn finish(&mut self, written: Vec<(String, String)>) -> io::Result<()> {
        if written.is_empty() {
            return Ok(());
        }
        self.sync()?;
        for (key, hash) in written {
            fs::rename(self.new_file(&key), self.whole(&key))?;
            remove(&self.journal(&key))?;
            self.hashes.insert(key, hash);
        }
        Ok(())
    }

    /// Waits until all that was written is on disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(&self.home)?)?)
    }
}

/// The key in the name of something staged; also of what an earlier version staged.
fn is_staged(name: &OsStr) -> Option<&str> {
    let name = name.to_str()?;
    let key = name.strip_prefix(WHOLE).or_else(|| name.strip_prefix(NEW))?;
    Some(key.strip_suffix(".journal").unwrap_or(key))
}

/// Gives a file its mode and time; one without gets those of any new file.
pub(crate) fn give(file: &File, metadata: Option<Metadata>) -> io::Result<()> {
    let Some(metadata) = metadata else {
        return file.set_permissions(fs::Permissions::from_mode(0o644));
    };
    file.set_permissions(fs::Permissions::from_mode(metadata.mode))?;
    Ok(rustix::fs::futimens(file, &times(metadata))?)
}

/// The time of modification, and no other.
pub(crate) fn times(metadata: Metadata) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
        last_modification: Timespec { tv_sec: metadata.mtime.0, tv_nsec: metadata.mtime.1.into() },
    }
}

/// The bytes that the file system has left for this user; `None` if it does not say.
pub(crate) fn room(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}
