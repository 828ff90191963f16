//! The rules of the house, as tests: who may use whom, what the pure crates may not touch, how long a file
//! may be, which licences may come in, whether the documentation points at things that exist.
//!
//! They are ratchets: a rule that is hard to keep everywhere at once lists its exceptions by name, and the
//! list may only get shorter.

#![allow(clippy::unwrap_used)]

mod book;
mod crates;
mod documents;
mod files;
mod fuzz;
mod licences;
mod modules;
mod mutations;
mod purity;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

/// The folders of all crates.
const CRATES: [&str; 8] = ["cli", "dht", "node", "node/api", "node/gateway", "sim", "storage", "testnet"];

/// The top of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every file below `dir` with this extension, hidden and built things left out, in a fixed order.
fn files_below(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A path as it is named in messages.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Fails with everything that is wrong at once.
#[track_caller]
fn no_complaints(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}
