//! What is backed up, and how it changes.

use std::fs;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::below;
use crate::harness::random_bytes;

/// Small files, and bytes in each, besides a large one.
const FILES: u32 = 40;
const BYTES: usize = 20_000;
const LARGE: usize = 2_000_000;

pub(super) struct Home {
    pub(super) path: PathBuf,
    edits: u64,
}

fn small(home: &Path, number: u32) -> PathBuf {
    home.join(format!("{:02}/{number}", number % 5))
}

impl Home {
    pub(super) fn make(path: &Path, seed: u64) -> Self {
        fs::create_dir_all(path.join("empty")).unwrap();
        fs::write(path.join("large"), random_bytes(LARGE, seed)).unwrap();
        for number in 0..FILES {
            let file = small(path, number);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, random_bytes(BYTES, seed ^ (u64::from(number) << 32))).unwrap();
        }
        std::os::unix::fs::symlink("00/0", path.join("link")).unwrap();
        fs::hard_link(path.join("00/0"), path.join("name")).unwrap();
        Self { path: fs::canonicalize(path).unwrap(), edits: 0 }
    }

    /// Changes some files, a part of the large one, and makes and removes one.
    pub(super) fn edit(&mut self, rng: &mut ChaCha8Rng) {
        self.edits += 1;
        for _ in 0..3 {
            let bytes = 1 + below(rng, 2 * BYTES as u32) as usize;
            fs::write(small(&self.path, below(rng, FILES)), random_bytes(bytes, rng.next_u64())).unwrap();
        }
        let path = self.path.join("large");
        let mut large = fs::read(&path).unwrap();
        let at = below(rng, (LARGE - BYTES) as u32) as usize;
        large[at..at + BYTES].copy_from_slice(&random_bytes(BYTES, rng.next_u64()));
        fs::write(path, large).unwrap();
        let new = |edit: u64| self.path.join(format!("new-{edit}"));
        fs::write(new(self.edits), random_bytes(BYTES, self.edits)).unwrap();
        let _ = fs::remove_file(new(self.edits.saturating_sub(3)));
    }
}
