//! The tree that the demo stores when it is not given one: one large file, hundreds of small ones, and the
//! names, modes and times that programs of this kind get wrong. The same seed gives the same tree.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Small files of a full-sized tree.
const SMALL_FILES: u64 = 400;
/// The large file's part of the whole, in quarters.
const LARGE_QUARTERS: u64 = 3;
/// 2001-09-09 01:46:40 UTC; every time in the tree is counted from here.
const EPOCH_SECONDS: u64 = 1_000_000_000;
/// Words of the text files, which compress as text does.
const WORDS: [&str; 24] = [
    "ring", "finger", "leaf", "shard", "chunk", "node", "lookup", "join", "leave", "link", "key", "hash",
    "parity", "manifest", "holder", "segment", "network", "daemon", "the", "of", "and", "near", "lost",
    "found",
];

/// Makes the tree below `root`, which must not exist. `bytes` is its size, give or take a few per cent.
pub(crate) fn make(root: &Path, seed: u64, bytes: u64) -> io::Result<()> {
    let mut maker = Maker { rng: ChaCha8Rng::seed_from_u64(seed), dirs: Vec::new() };
    maker.dir(root, 0o755)?;
    let large = bytes / 4 * LARGE_QUARTERS;
    maker.random_file(&root.join("large.bin"), large)?;
    maker.small_files(&root.join("notes"), bytes - large)?;
    maker.awkward(&root.join("awkward"))?;
    maker.finish()
}

struct Maker {
    rng: ChaCha8Rng,
    /// Directories with the mode they end up with; set last, since writing into one changes its time.
    dirs: Vec<(PathBuf, u32)>,
}

impl Maker {
    fn dir(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        fs::create_dir(path)?;
        self.dirs.push((path.to_path_buf(), mode));
        Ok(())
    }

    /// A file that does not compress.
    fn random_file(&mut self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut file = BufWriter::new(File::create_new(path)?);
        let mut block = [0; 64 * 1024];
        let mut left = bytes;
        while left > 0 {
            self.rng.fill_bytes(&mut block);
            let take = left.min(block.len() as u64);
            file.write_all(&block[..take as usize])?;
            left -= take;
        }
        self.seal(file, 0o644)
    }

    fn text_file(&mut self, path: &Path, bytes: u64, mode: u32) -> io::Result<()> {
        let mut file = BufWriter::new(File::create_new(path)?);
        let mut written = 0;
        while written < bytes {
            let word = WORDS[self.below(WORDS.len() as u64) as usize];
            let end = if self.below(12) == 0 { '\n' } else { ' ' };
            write!(file, "{word}{end}")?;
            written += word.len() as u64 + 1;
        }
        self.seal(file, mode)
    }

    fn small_files(&mut self, root: &Path, bytes: u64) -> io::Result<()> {
        self.dir(root, 0o755)?;
        let mean = (bytes / SMALL_FILES).max(1);
        let mut left = bytes;
        let mut number = 0;
        let mut dir = root.to_path_buf();
        while left > 0 {
            if number % 40 == 0 {
                dir = root.join(format!("{:03}", number / 40));
                self.dir(&dir, 0o755)?;
            }
            let size = (1 + self.below(2 * mean)).min(left);
            let path = dir.join(format!("note-{number:04}"));
            if number % 4 == 3 {
                self.random_file(&path, size)?;
            } else {
                self.text_file(&path, size, 0o644)?;
            }
            left -= size;
            number += 1;
        }
        Ok(())
    }

    fn awkward(&mut self, root: &Path) -> io::Result<()> {
        self.dir(root, 0o755)?;
        let long = "long-".repeat(51);
        let names: [&[u8]; 16] = [
            b"name with spaces",
            b" leading and trailing ",
            b"line\nbreak",
            b"tab\tand\x07bell",
            b"-rf",
            b"--help",
            b".hidden",
            b"...",
            b"quotes \" ' and \\ backslash",
            b"*?[glob]{a,b}$HOME`id`",
            b"not utf-8 caf\xe9 \xff\xfe",
            "na\u{ef}ve \u{65e5}\u{672c}\u{8a9e} \u{1f980}".as_bytes(),
            // The same letter composed and decomposed: two names, unless somebody normalises.
            "\u{e9}".as_bytes(),
            "e\u{301}".as_bytes(),
            long.as_bytes(),
            b"con.txt",
        ];
        for name in names {
            let size = 100 + self.below(5_000);
            self.text_file(&root.join(OsStr::from_bytes(name)), size, 0o644)?;
        }
        self.text_file(&root.join("executable"), 200, 0o755)?;
        self.text_file(&root.join("private"), 200, 0o600)?;
        self.text_file(&root.join("read-only"), 200, 0o444)?;
        self.text_file(&root.join("empty"), 0, 0o644)?;
        self.dir(&root.join("empty-dir"), 0o755)?;
        self.dir(&root.join("read-only-dir"), 0o555)?;
        self.dir(&root.join("private-dir"), 0o700)?;
        self.text_file(&root.join("private-dir/inside"), 300, 0o640)?;
        let mut deep = root.join("deep");
        self.dir(&deep, 0o755)?;
        for level in 0..12 {
            deep = deep.join(format!("level-{level:02}-of-a-path-that-no-old-archive-format-holds"));
            self.dir(&deep, 0o755)?;
        }
        self.text_file(&deep.join("bottom"), 1_000, 0o644)?;
        symlink("empty", root.join("link to a file"))?;
        symlink("../notes", root.join("link to a directory"))?;
        symlink("nowhere/at all", root.join("dangling link"))?;
        symlink(OsStr::from_bytes(b"caf\xe9"), root.join("link to a name that is not utf-8"))
    }

    /// Closes a file with a mode and a time of its own.
    fn seal(&mut self, file: BufWriter<File>, mode: u32) -> io::Result<()> {
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.set_modified(self.time())
    }

    fn finish(mut self) -> io::Result<()> {
        // Children before parents.
        for (path, mode) in std::mem::take(&mut self.dirs).into_iter().rev() {
            let dir = File::open(&path)?;
            dir.set_permissions(Permissions::from_mode(mode))?;
            dir.set_modified(self.time())?;
        }
        Ok(())
    }

    /// A time to the nanosecond, up to about the year 2065: neither whole seconds nor 32 bits suffice.
    fn time(&mut self) -> SystemTime {
        let seconds = EPOCH_SECONDS + self.below(2_000_000_000);
        let nanos = self.below(1_000_000_000) as u32;
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    /// A number below `bound`, which is small here, so that the remainder's bias does not matter.
    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::compare::compare;

    #[test]
    fn the_same_seed_makes_the_same_tree_and_another_one_another() {
        let dir = tempfile::tempdir().expect("tempdir");
        let [one, two, other] = ["one", "two", "other"].map(|name| dir.path().join(name));
        make(&one, 7, 300_000).expect("make");
        make(&two, 7, 300_000).expect("make");
        make(&other, 8, 300_000).expect("make");
        let same = compare(&one, &two).expect("compare");
        assert!(same.is_equal(), "{:?}", same.differences);
        assert!(same.files > 100 && same.symlinks == 4, "{same:?}");
        assert!((280_000..480_000).contains(&same.bytes), "{}", same.bytes);
        assert!(!compare(&one, &other).expect("compare").is_equal());
    }
}
