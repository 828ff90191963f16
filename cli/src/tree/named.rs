//! Paths that are wanted of a whole file system.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::pack::{PackError, failed};

/// Paths seen from `/`, with a NUL for each slash: so they are in the order of a walk, and what is below one follows
/// it.
#[derive(Debug, Default)]
pub(super) struct Named(BTreeSet<Vec<u8>>);

impl Named {
    /// These paths, and why others cannot be had. Symlinks above what is named are resolved, since nothing is read
    /// through one; what is named is taken as it is, unless a slash behind it says that it stands for where it leads.
    pub(super) fn new(paths: &[PathBuf]) -> (Self, Vec<PackError>) {
        let mut named = Named::default();
        let mut refused = Vec::new();
        for path in paths {
            match real(path) {
                Ok(real) => drop(named.0.insert(key(real.as_os_str().as_bytes()))),
                Err(error) => refused.push(failed("find", path)(error)),
            }
        }
        (named, refused)
    }

    /// Whether this is one of them.
    pub(super) fn has(&self, inside: &[u8]) -> bool {
        self.0.contains(&key(inside))
    }

    /// Whether one of them is below this.
    pub(super) fn is_below(&self, inside: &[u8]) -> bool {
        self.below(inside).next().is_some()
    }

    /// What is in this directory that is one of them, or leads to one.
    pub(super) fn names_below(&self, inside: &[u8]) -> Vec<Vec<u8>> {
        let first = |rest: &[u8]| rest.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let mut names: Vec<Vec<u8>> = self.below(inside).map(first).collect();
        names.dedup();
        names
    }

    /// The rest of those that are below this.
    fn below(&self, inside: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut above = key(inside);
        if !above.is_empty() {
            above.push(0);
        }
        let from = self.0.range(above.clone()..);
        from.map_while(move |key| key.strip_prefix(&above[..])).filter(|rest| !rest.is_empty())
    }
}

fn key(path: &[u8]) -> Vec<u8> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect()
}

/// An absolute path without a symlink above what it names.
fn real(path: &Path) -> io::Result<PathBuf> {
    let follows = path.as_os_str().as_bytes().ends_with(b"/");
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !follows => {
            let parent = if parent == Path::new("") { Path::new(".") } else { parent };
            Ok(fs::canonicalize(parent)?.join(name))
        }
        _ => fs::canonicalize(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_by_what_leads_to_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/file"), "").unwrap();
        std::os::unix::fs::symlink("real", root.join("link")).unwrap();
        let paths = ["link/file", "link", "link/", "real.not", "nowhere/file"].map(|path| root.join(path));
        let (named, refused) = Named::new(&paths);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].to_string().contains("nowhere/file"), "{}", refused[0]);
        let inside = |path: &str| key(root.join(path).as_os_str().as_bytes());
        let below = inside("").strip_suffix(b"\0").unwrap().to_vec();
        assert!(!named.has(&below) && named.is_below(&below));
        assert_eq!(named.names_below(&below), [&b"link"[..], b"real", b"real.not"]);
        assert!(named.has(&inside("real/file")) && named.has(&inside("real")) && named.has(&inside("link")));
        assert!(!named.is_below(&inside("real.not")) && !named.has(&inside("rea")));
        assert_eq!(named.names_below(b"").len(), 1);

        let (named, refused) = Named::new(&["/".into()]);
        assert!(refused.is_empty() && named.has(b""));
    }
}
