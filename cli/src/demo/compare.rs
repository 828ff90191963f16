//! Whether two trees are the same, to the byte: names, kinds, contents, modes, times, link targets.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Differences that are described; more are only counted.
const DESCRIBED_MAX: usize = 10;
/// The bits that chmod(2) sets.
const MODE_BITS: u32 = 0o7777;

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    /// Regular files in the first tree.
    pub(crate) files: u64,
    /// Directories in the first tree, its root included.
    pub(crate) dirs: u64,
    /// Symbolic links in the first tree.
    pub(crate) symlinks: u64,
    /// Bytes of file content in the first tree.
    pub(crate) bytes: u64,
    /// How many things differ.
    pub(crate) differing: u64,
    /// The first few of them, for people.
    pub(crate) differences: Vec<String>,
}

impl Comparison {
    /// Whether nothing differs.
    pub(crate) fn is_equal(&self) -> bool {
        self.differing == 0
    }

    fn differ(&mut self, path: &Path, what: &str) {
        self.differing += 1;
        if self.differences.len() < DESCRIBED_MAX {
            self.differences.push(format!("{path:?}: {what}"));
        }
    }
}

/// Compares what lies at two paths. Times of symbolic links are left out: many file systems and tools cannot
/// set them.
pub(crate) fn compare(first: &Path, second: &Path) -> io::Result<Comparison> {
    let mut comparison = Comparison::default();
    let mut pairs = vec![(first.to_path_buf(), second.to_path_buf())];
    while let Some((one, two)) = pairs.pop() {
        let meta = fs::symlink_metadata(&one)?;
        count(&mut comparison, &meta);
        let Ok(other) = fs::symlink_metadata(&two) else {
            comparison.differ(&one, "is missing");
            continue;
        };
        if meta.file_type() != other.file_type() {
            comparison.differ(&one, "is another kind of file");
            continue;
        }
        if meta.is_symlink() {
            if fs::read_link(&one)? != fs::read_link(&two)? {
                comparison.differ(&one, "points elsewhere");
            }
            continue;
        }
        if meta.mode() & MODE_BITS != other.mode() & MODE_BITS {
            let modes = format!("mode {:o} became {:o}", meta.mode() & MODE_BITS, other.mode() & MODE_BITS);
            comparison.differ(&one, &modes);
        }
        if (meta.mtime(), meta.mtime_nsec()) != (other.mtime(), other.mtime_nsec()) {
            let times = format!(
                "time {}.{:09} became {}.{:09}",
                meta.mtime(),
                meta.mtime_nsec(),
                other.mtime(),
                other.mtime_nsec()
            );
            comparison.differ(&one, &times);
        }
        if meta.is_file() && (meta.len() != other.len() || !same_bytes(&one, &two)?) {
            comparison.differ(&one, "has other content");
        }
        if meta.is_dir() {
            let (names, others) = (names(&one)?, names(&two)?);
            for name in others.iter().filter(|name| names.binary_search(name).is_err()) {
                comparison.differ(&one.join(name), "was not there before");
            }
            pairs.extend(names.iter().map(|name| (one.join(name), two.join(name))));
        }
    }
    Ok(comparison)
}

fn count(comparison: &mut Comparison, meta: &Metadata) {
    if meta.is_dir() {
        comparison.dirs += 1;
    } else if meta.is_symlink() {
        comparison.symlinks += 1;
    } else {
        comparison.files += 1;
        comparison.bytes += meta.len();
    }
}

fn names(dir: &Path) -> io::Result<Vec<OsString>> {
    let mut names = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn same_bytes(one: &Path, two: &Path) -> io::Result<bool> {
    let (mut one, mut two) = (File::open(one)?, File::open(two)?);
    let (mut left, mut right) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
    loop {
        let read = one.read(&mut left)?;
        if read == 0 {
            return Ok(two.read(&mut right)? == 0);
        }
        match two.read_exact(&mut right[..read]) {
            Ok(()) if left[..read] == right[..read] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::sample;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    /// Two equal trees; `change` spoils the second, and exactly one difference must be seen.
    fn sees(what: &str, change: impl FnOnce(&Path) -> io::Result<()>) {
        let dir = tempfile::tempdir().expect("tempdir");
        let [one, two]: [PathBuf; 2] = ["one", "two"].map(|name| dir.path().join(name));
        sample::make(&one, 3, 20_000).expect("make");
        sample::make(&two, 3, 20_000).expect("make");
        let root_time = fs::metadata(&two).and_then(|meta| meta.modified()).expect("time");
        change(&two).expect("change");
        File::open(&two).and_then(|root| root.set_modified(root_time)).expect("keep the root's time");
        let found = compare(&one, &two).expect("compare");
        assert_eq!(found.differing, 1, "{what}: {:?}", found.differences);
        assert!(found.differences[0].contains(what), "{what}: {:?}", found.differences);
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        sees("other content", |root| {
            let path = root.join("large.bin");
            let time = fs::metadata(&path)?.modified()?;
            let mut bytes = fs::read(&path)?;
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(&path, bytes)?;
            File::options().write(true).open(&path)?.set_modified(time)
        });
        sees("mode 644 became 600", |root| {
            fs::set_permissions(root.join("large.bin"), Permissions::from_mode(0o600))
        });
        sees("time ", |root| {
            let file = File::options().write(true).open(root.join("large.bin"))?;
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(5))
        });
        sees("is missing", |root| fs::remove_file(root.join("large.bin")));
        sees("was not there before", |root| fs::write(root.join("new"), ""));
        sees("is another kind of file", |root| {
            fs::remove_file(root.join("large.bin"))?;
            symlink("x", root.join("large.bin"))
        });
    }
}
