//! Patterns that choose among what is in a snapshot: those of a `.gitignore`, as for what a backup leaves out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::CliError;
use crate::exit::ExitStatus;

/// Some patterns, seen from `/`.
#[derive(Clone, Debug)]
pub(crate) struct Patterns(Gitignore);

impl Patterns {
    /// These; `any_case`: whether letters are large or small does not matter.
    pub(crate) fn new(patterns: &[String], any_case: bool) -> Result<Self, CliError> {
        let mut builder = GitignoreBuilder::new("");
        // Otherwise a mistyped pattern finds nothing, without a word.
        builder.allow_unclosed_class(false);
        let bad = |error: &ignore::Error| {
            CliError::new(ExitStatus::Usage, "usage", format!("a pattern is wrong: {error}"))
                .state("nothing was done")
                .hint("patterns are those of a .gitignore: *.jpg, notes/, /home/me/*.txt, **/2026/**")
        };
        builder.case_insensitive(any_case).map_err(|error| bad(&error))?;
        for pattern in patterns {
            builder.add_line(None, pattern).map_err(|error| bad(&error))?;
        }
        builder.build().map(Patterns).map_err(|error| bad(&error))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether they name the entry at this path, seen from `/`.
    pub(crate) fn name(&self, path: &[u8], is_dir: bool) -> bool {
        self.0.matched(Path::new(OsStr::from_bytes(path)), is_dir).is_ignore()
    }

    /// Whether they name that entry, or a directory that it is in.
    pub(crate) fn take(&self, path: &[u8], is_dir: bool) -> bool {
        !path.is_empty()
            && self.0.matched_path_or_any_parents(Path::new(OsStr::from_bytes(path)), is_dir).is_ignore()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn patterns(list: &[&str], any_case: bool) -> Patterns {
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        Patterns::new(&list, any_case).unwrap()
    }

    #[test]
    fn names_are_found_anywhere_and_paths_from_the_root() {
        let some = patterns(&["*.jpg", "/home/me/notes", "cache/"], false);
        for (path, is_dir, named) in [
            ("home/me/a.jpg", false, true),
            ("home/me/a.JPG", false, false),
            ("home/me/notes", true, true),
            ("srv/home/me/notes", true, false),
            ("var/cache", true, true),
            ("var/cache", false, false),
        ] {
            assert_eq!(some.name(path.as_bytes(), is_dir), named, "{path}");
        }
        assert!(patterns(&["*.jpg"], true).name(b"A.JPG", false));
        assert!(!some.name(b"\xff", false));
        assert!(patterns(&[], false).is_empty() && !some.is_empty());
        assert_eq!(Patterns::new(&["a[".to_owned()], false).unwrap_err().status(), ExitStatus::Usage);
    }

    #[test]
    fn what_is_in_a_directory_is_taken_with_it() {
        let some = patterns(&["/home/me/notes", "cache/"], false);
        assert!(some.take(b"home/me/notes/a/b", false) && some.take(b"x/cache/y", false));
        assert!(!some.take(b"home/me", true) && !some.take(b"", true) && !some.take(b"x/cache", false));
    }
}
