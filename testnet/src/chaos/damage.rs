//! Disks that lie, and disks that are full.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;

use super::below;

/// The beginning of a segment is left alone: what it says is needed to find what else is damaged.
const BEGINNING: u64 = 4096;

/// Fills a disk.
const FILLER: &str = "filler";

/// The books of a daemon: what it keeps, who claims what it holds, where its shards lie, who looks after which chunk,
/// what was put before.
const BOOKS: [&str; 5] =
    ["keeps/keeps.redb", "claims/claims.redb", "shards/index.redb", "holders.redb", "catalog/catalog.redb"];

/// Removes, cuts short or flips a byte of one of the books in a data directory whose daemon does not run. Returns
/// which.
pub(super) fn book(data_dir: &Path, random: &mut ChaCha8Rng) -> io::Result<&'static str> {
    let name = BOOKS[below(random, BOOKS.len())];
    let path = data_dir.join(name);
    match below(random, 3) {
        0 => fs::remove_file(path)?,
        1 => {
            let file = File::options().write(true).open(path)?;
            file.set_len(file.metadata()?.len() / 2)?;
        }
        _ => {
            let file = File::options().read(true).write(true).open(path)?;
            let place = below(random, file.metadata()?.len().max(1) as usize) as u64;
            let mut byte = [0];
            file.read_exact_at(&mut byte, place)?;
            file.write_all_at(&[byte[0] ^ 0x5a], place)?;
        }
    }
    Ok(name)
}

/// Takes up all the room that is left on the disk of a data directory.
pub(super) fn fill(data_dir: &Path) -> io::Result<()> {
    let (mut file, block) = (File::create(data_dir.join(FILLER))?, [0; 1 << 16]);
    // Until nothing more fits, not even a byte.
    for bytes in [&block[..], &block[..1]] {
        while file.write_all(bytes).is_ok() {}
    }
    Ok(())
}

/// Gives back what [`fill`] took.
pub(super) fn make_room(data_dir: &Path) -> io::Result<()> {
    fs::remove_file(data_dir.join(FILLER))
}

/// Cuts a segment file below a shard store to half of its length, while its daemon may use it.
pub(super) fn cut(shards: &Path, random: &mut ChaCha8Rng) -> io::Result<()> {
    let segments = segments(shards)?;
    if segments.is_empty() {
        return Ok(());
    }
    let (path, length) = &segments[below(random, segments.len())];
    File::options().write(true).open(path)?.set_len(length / 2)
}

/// Flips a byte at up to `count` places of the segment files below a shard store, while its daemon may use them.
/// Returns how many were flipped.
pub(super) fn flip(shards: &Path, count: usize, random: &mut ChaCha8Rng) -> io::Result<u64> {
    let segments = segments(shards)?;
    let mut flipped = 0;
    for _ in 0..count {
        if segments.is_empty() {
            break;
        }
        let (path, length) = &segments[below(random, segments.len())];
        let place = BEGINNING + below(random, (length - BEGINNING) as usize) as u64;
        let file = File::options().read(true).write(true).open(path)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, place)?;
        file.write_all_at(&[byte[0] ^ 0x5a], place)?;
        flipped += 1;
    }
    Ok(flipped)
}

/// The segment files below a shard store that hold something, with their lengths.
fn segments(shards: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut segments: Vec<(PathBuf, u64)> = Vec::new();
    for entry in fs::read_dir(shards)? {
        let entry = entry?;
        let length = entry.metadata()?.len();
        // The index is small, and made again from the segments if it is damaged.
        let index = entry.path().extension().is_some_and(|extension| extension == "redb");
        if !index && length > BEGINNING {
            segments.push((entry.path(), length));
        }
    }
    // A directory lists its files in any order.
    segments.sort();
    Ok(segments)
}
