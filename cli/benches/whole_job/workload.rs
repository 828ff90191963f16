//! What is stored: given, or generated from a seed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::Failure;
use crate::options::{Job, Options};

const SEED: u64 = 20_261_122;
/// The tree: files, their mean length, and those of them that change.
const FILES: u64 = 5000;
const FILE_MEAN: u64 = 30_000;
const FILES_PER_DIR: u64 = 50;
const CHANGED: u64 = FILES / 50;

/// Paths of the workloads.
pub(crate) struct Workload {
    /// One file, or whatever the user named.
    pub(crate) w1: PathBuf,
    /// A tree.
    pub(crate) w2: PathBuf,
    /// The tree with 2 % of the files changed.
    pub(crate) w3: PathBuf,
}

impl Workload {
    /// Finds or makes what the chosen jobs need.
    pub(crate) fn prepare(options: &Options, scratch: &Path) -> Result<Self, Failure> {
        if let Some(dir) = &options.work {
            return Ok(Workload { w1: dir.join("w1.bin"), w2: dir.join("w2"), w3: dir.join("w3") });
        }
        let dir = scratch.join("work");
        fs::create_dir(&dir)?;
        let made = Workload { w1: dir.join("w1.bin"), w2: dir.join("w2"), w3: dir.join("w3") };
        if options.jobs.contains(&Job::W2) {
            tree(&made)?;
        }
        match &options.path {
            Some(path) => return Ok(Workload { w1: path.clone(), ..made }),
            None => random_file(&made.w1, options.mib)?,
        }
        Ok(made)
    }
}

fn random_file(path: &Path, mib: u64) -> Result<(), Failure> {
    let mut file = fs::File::create(path)?;
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut block = vec![0; 1 << 20];
    for _ in 0..mib {
        rng.fill_bytes(&mut block);
        file.write_all(&block)?;
    }
    Ok(file.sync_all()?)
}

/// Both trees. Most files are small and a few are large; their text compresses about as well as source code.
fn tree(work: &Workload) -> Result<(), Failure> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED + 2);
    for number in 0..FILES {
        // A product of two uniform numbers: the mean is a quarter, the median less than a fifth of the largest.
        let mut part = || u64::from(rng.next_u32() >> 16);
        let len = (4 * FILE_MEAN * part() * part()) >> 32;
        let content = text(&mut rng, len as usize);
        let name = format!("{:02}/{number:04}.txt", number / FILES_PER_DIR);
        let changed = if number % (FILES / CHANGED) == 0 {
            change(&mut rng, &content, number)
        } else {
            content.clone()
        };
        for (tree, content) in [(&work.w2, &content), (&work.w3, &changed)] {
            let path = tree.join(&name);
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir)?;
            }
            let mut file = fs::File::create(path)?;
            file.write_all(content)?;
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000))?;
        }
    }
    Ok(())
}

/// Of five changed files three get something inserted, one something appended, one is new.
fn change(rng: &mut ChaCha8Rng, content: &[u8], number: u64) -> Vec<u8> {
    match number / (FILES / CHANGED) % 5 {
        0..=2 => {
            let at = rng.next_u64() as usize % (content.len() + 1);
            [&content[..at], &text(rng, 64), &content[at..]].concat()
        }
        3 => [content, &text(rng, 1024)].concat(),
        _ => text(rng, content.len()),
    }
}

fn text(rng: &mut ChaCha8Rng, len: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "let ", "fn ", "match ", "self", ".", "return ", "(", ")", " {\n", "}\n", ";\n", "    ", " = ",
        "&mut ", "value", "u64",
    ];
    let mut out = Vec::with_capacity(len + 16);
    while out.len() < len {
        let dice = rng.next_u64();
        for die in (0..64).step_by(4) {
            out.extend_from_slice(WORDS[(dice >> die & 15) as usize].as_bytes());
        }
        // A name that has not been seen before, now and then.
        if dice & 7 == 0 {
            out.extend_from_slice(format!("{:08x}", rng.next_u32()).as_bytes());
        }
    }
    out.truncate(len);
    out
}

/// Bytes of the files below a path.
pub(crate) fn bytes_of(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            fs::read_dir(path).into_iter().flatten().flatten().map(|entry| bytes_of(&entry.path())).sum()
        }
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => 0,
    }
}
