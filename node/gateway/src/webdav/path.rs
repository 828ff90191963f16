//! Where a file or a directory is, and under which key of the map. Whatever is not exactly such a path names nothing,
//! so that no request leads out of the files.

use std::fmt;

use dav_server::davpath::DavPath;
use dav_server::fs::FsError;

/// What the keys of all files and directories begin with.
pub(crate) const FILES: &str = "files/";
/// Longest path, bytes: its key has a few more, and a key of a volume has 1,024 at most.
const PATH_BYTES_MAX: usize = 960;

/// What the longest of them has, bytes.
pub(crate) const KEY_BYTES_MAX: u32 = (FILES.len() + 1 + PATH_BYTES_MAX) as u32;

/// A path without a slash at either end; that of the root is empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Path(String);

/// There can be no such path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// It has parts that no name can have.
    #[error("a path is UTF-8, and has no control characters and no parts that are empty, `.` or `..`")]
    Form,
    /// It is too long.
    #[error("a path has at most {PATH_BYTES_MAX} bytes")]
    TooLong,
}

impl From<PathError> for FsError {
    fn from(error: PathError) -> Self {
        match error {
            // There is none that would say it better.
            PathError::Form => FsError::Forbidden,
            PathError::TooLong => FsError::PathTooLong,
        }
    }
}

impl Path {
    /// From a path without percent signs that has been brought into its shortest form.
    pub(crate) fn new(text: &str) -> Result<Self, PathError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let is_name = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.chars().any(|c| c.is_control() || is_no_xml(c))
        };
        if text.is_empty() || text.split('/').all(is_name) {
            Ok(Path(text.to_owned()))
        } else {
            Err(PathError::Form)
        }
    }

    /// What a request means.
    pub(crate) fn of(path: &DavPath) -> Result<Self, PathError> {
        let text = std::str::from_utf8(path.as_bytes()).map_err(|_| PathError::Form)?;
        // What `dav-server` takes for the directory above `/a` has no slash.
        let inside = if text.is_empty() { text } else { text.strip_prefix('/').ok_or(PathError::Form)? };
        Path::new(inside.strip_suffix('/').unwrap_or(inside))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory it lies in; `None` for the root.
    pub(crate) fn parent(&self) -> Option<Path> {
        match self.0.rsplit_once('/') {
            Some((parent, _)) => Some(Path(parent.to_owned())),
            None => (!self.is_root()).then(Path::default),
        }
    }

    /// What it is called in its directory.
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// Whether it is this directory or lies somewhere below it.
    pub(crate) fn is_within(&self, other: &Path) -> bool {
        self == other || self.0.starts_with(&other.beginning())
    }

    /// What the paths of all begin with that lie below it.
    pub(crate) fn beginning(&self) -> String {
        if self.is_root() { String::new() } else { format!("{}/", self.0) }
    }

    /// Its key in the map; the root has none. What lies in a directory stands behind two slashes, so that it can be
    /// listed without all that lies deeper.
    pub(crate) fn key(&self) -> String {
        let parent = self.parent().unwrap_or_default();
        format!("{FILES}{}/{}", parent.beginning(), self.name())
    }

    /// What the keys of all begin with that lie in this directory itself.
    pub(crate) fn children(&self) -> String {
        format!("{FILES}{}/", self.beginning())
    }

    /// What the keys of all begin with that lie somewhere below it.
    pub(crate) fn below(&self) -> String {
        format!("{FILES}{}", self.beginning())
    }

    /// The path of a key, if it is one of ours.
    pub(crate) fn of_key(key: &str) -> Option<Path> {
        let inside = key.strip_prefix(FILES)?;
        let (parent, name) = match inside.strip_prefix('/') {
            Some(name) => ("", name),
            None => inside.split_once("//")?,
        };
        let text = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        Path::new(&text).ok().filter(|path| !path.is_root() && path.key() == key)
    }
}

/// Characters that no document of XML can show.
fn is_no_xml(c: char) -> bool {
    matches!(u32::from(c), 0xfffe | 0xffff)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    #[test]
    fn what_lies_in_a_directory_is_listed_without_what_lies_deeper() {
        for (text, key) in [("a", "files//a"), ("a/b", "files/a//b"), ("a/b/c d", "files/a/b//c d")] {
            assert_eq!(path(text).key(), key);
            assert_eq!(Path::of_key(key), Some(path(text)));
        }
        assert!(path("a/b").key().starts_with(&path("a").children()));
        assert!(!path("a/b/c").key().starts_with(&path("a").children()));
        assert!(!path("ab/c").key().starts_with(&path("a").below()));
        assert!(path("a/b/c").key().starts_with(&path("a").below()));
        assert_eq!((path("").children(), path("").below()), ("files//".to_owned(), "files/".to_owned()));
        for key in
            ["files/", "files//", "files/a", "files/a/b", "files///a", "files/a//", "files/a//b//c", "x"]
        {
            assert_eq!(Path::of_key(key), None, "{key}");
        }
    }

    #[test]
    fn what_lies_below_is_moved_by_its_beginning_and_the_longest_path_has_the_longest_key() {
        for below in ["b", "b/c", "b/c/d e"] {
            let key = path(&format!("a/{below}")).key();
            let moved = key.replacen(&path("a").below(), &path("x/y").below(), 1);
            assert_eq!(Path::of_key(&moved), Some(path(&format!("x/y/{below}"))));
        }
        assert!(
            !path("ab").key().starts_with(&path("a").below())
                && !path("a").key().starts_with(&path("a").below())
        );
        for longest in ["x".repeat(PATH_BYTES_MAX), format!("a/{}", "x".repeat(PATH_BYTES_MAX - 2))] {
            assert_eq!(path(&longest).key().len(), KEY_BYTES_MAX as usize);
        }
    }

    proptest! {
        #[test]
        fn whatever_strangers_ask_for_lies_among_the_files(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let escaped: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
            let plain = String::from_utf8_lossy(&bytes);
            for asked in [format!("/{escaped}"), plain.to_string(), format!("/{plain}"), format!("/a/../{escaped}/..")] {
                let Ok(dav) = DavPath::new(&asked) else { continue };
                let Ok(path) = Path::of(&dav) else { continue };
                prop_assert!(path.as_str().len() <= PATH_BYTES_MAX);
                if !path.is_root() {
                    prop_assert!(path.key().starts_with(FILES) && path.key().len() <= 1024);
                    prop_assert_eq!(Path::of_key(&path.key()), Some(path));
                }
            }
        }

        #[test]
        fn steps_up_lead_nowhere(parts in prop::collection::vec("\\.\\.|\\.|%2e%2e|%2F|%00|a|%ff|\u{e9}|\\\\|//", 0..40)) {
            let asked = format!("/{}", parts.join("/"));
            if let Ok(path) = DavPath::new(&asked).map_err(drop).and_then(|dav| Path::of(&dav).map_err(drop)) {
                prop_assert!(path.as_str().split('/').all(|part| part != ".." && part != "."));
            }
        }
    }
}
