//! Paths inside an object.

use std::cmp::Ordering;
use std::fmt;

/// A relative path of raw bytes, checked: its components are not empty, `.` or `..`, at most 255 bytes long and
/// free of `/` and NUL; altogether it has at most 4,096 bytes. The empty path is the root of the object.
///
/// Paths order by component, not by byte: first a directory, then all that is in it, then its next sibling.
/// This is the order in which an object holds its entries.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct EntryPath(Vec<u8>);

/// Longest path in bytes (Linux: PATH_MAX).
const MAX_PATH_LEN: usize = 4096;
/// Longest component in bytes (Linux: NAME_MAX).
const MAX_NAME_LEN: usize = 255;

/// Why bytes are not a path that an object may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing between two slashes, or at either end.
    #[error("a path has an empty component")]
    EmptyComponent,
    /// A component is `.` or `..`.
    #[error("a path has a component . or ..")]
    DotComponent,
    /// A component has a NUL or (where a single name is meant) a slash.
    #[error("a file name contains a NUL or a slash")]
    ForbiddenByte,
    /// The path or one of its components is too long.
    #[error("a path of {0} bytes is too long, or one of its components is")]
    TooLong(usize),
}

/// Checks one component.
pub(crate) fn check_name(name: &[u8]) -> Result<(), PathError> {
    match name {
        [] => Err(PathError::EmptyComponent),
        b"." | b".." => Err(PathError::DotComponent),
        _ if name.len() > MAX_NAME_LEN => Err(PathError::TooLong(name.len())),
        _ if name.iter().any(|byte| matches!(byte, 0 | b'/')) => Err(PathError::ForbiddenByte),
        _ => Ok(()),
    }
}

impl EntryPath {
    /// The root of an object.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Checks a path given as bytes with slashes.
    pub fn new(path: impl Into<Vec<u8>>) -> Result<Self, PathError> {
        let path = path.into();
        if path.is_empty() {
            return Ok(Self(path));
        }
        if path.len() > MAX_PATH_LEN {
            return Err(PathError::TooLong(path.len()));
        }
        path.split(|byte| *byte == b'/').try_for_each(check_name)?;
        Ok(Self(path))
    }

    /// The path of `name` in this directory.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        check_name(name)?;
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        if path.len() > MAX_PATH_LEN {
            return Err(PathError::TooLong(path.len()));
        }
        Ok(Self(path))
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, with slashes between components.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// The last component.
    pub fn name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// Whether this is `directory` or lies somewhere in it.
    pub fn is_in(&self, directory: &Self) -> bool {
        match self.0.strip_prefix(&directory.0[..]) {
            Some(rest) => rest.is_empty() || directory.is_root() || rest[0] == b'/',
            None => false,
        }
    }
}

impl Ord for EntryPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for EntryPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for EntryPath {
    /// As text, with U+FFFD for what is not UTF-8. Control characters come as they are: escape them for a
    /// terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_lead_elsewhere_are_refused() {
        for (bad, why) in [
            (&b"/etc/passwd"[..], PathError::EmptyComponent),
            (b"a//b", PathError::EmptyComponent),
            (b"a/", PathError::EmptyComponent),
            (b"..", PathError::DotComponent),
            (b"a/../b", PathError::DotComponent),
            (b"a/.", PathError::DotComponent),
            (b"a\0b", PathError::ForbiddenByte),
            (&[b'x'; 256], PathError::TooLong(256)),
            (&b"ab/".repeat(2000), PathError::TooLong(6000)),
        ] {
            assert_eq!(EntryPath::new(bad), Err(why));
        }
        assert!(EntryPath::new(*b"...").is_ok());
        assert!(EntryPath::new(*b"a b/\xff\xfe/\n").is_ok());
        assert_eq!(EntryPath::root().join(b"a/b"), Err(PathError::ForbiddenByte));
    }

    #[test]
    fn order_is_that_of_a_walk() {
        let walk = ["", "a", "a/b", "a/b/c", "a/z", "a-b", "b"];
        let paths: Vec<_> = walk.iter().map(|path| EntryPath::new(*path).unwrap()).collect();
        assert!(paths.is_sorted());
        assert!(paths[2].is_in(&paths[1]) && paths[1].is_in(&paths[0]) && !paths[5].is_in(&paths[1]));
    }
}
