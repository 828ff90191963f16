//! What of a tree is stored, as the user says: without what patterns name, and perhaps without what cannot be read.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::name::quoted;

/// Files that are given up because they change whenever they are read; one more and the put is refused.
const GIVEN_UP_MAX: usize = 16;

/// What of a tree is stored.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    patterns: Gitignore,
    /// Further ones, for which large and small letters are the same.
    in_any_case: Gitignore,
    /// What cannot be read is left out.
    pub(crate) skip_unreadable: bool,
    /// What is mounted below is left out; the directory that it is mounted on is not.
    pub(crate) one_file_system: bool,
    given_up: BTreeSet<PathBuf>,
}

impl Selection {
    /// All but what these patterns name, and those in these files: one to a line, as in a `.gitignore` (gitignore(5)),
    /// seen from the tree's root.
    pub(crate) fn new(
        patterns: &[String],
        files: &[PathBuf],
        skip_unreadable: bool,
    ) -> Result<Self, CliError> {
        let mut lines = Vec::new();
        for file in files {
            let text = std::fs::read_to_string(file)
                .map_err(|error| CliError::file("read", file, &error).state("nothing was stored"))?;
            lines.extend(text.lines().map(|line| (Some(file.clone()), line.to_owned())));
        }
        lines.extend(patterns.iter().map(|pattern| (None, pattern.clone())));
        let patterns = matcher(&lines, false)?;
        let in_any_case = Gitignore::empty();
        let given_up = BTreeSet::new();
        Ok(Selection { patterns, in_any_case, skip_unreadable, one_file_system: false, given_up })
    }

    /// Without what these patterns name as well, however its letters are written.
    pub(crate) fn without_in_any_case(mut self, patterns: &[String]) -> Result<Self, CliError> {
        let lines: Vec<(Option<PathBuf>, String)> =
            patterns.iter().map(|pattern| (None, pattern.clone())).collect();
        self.in_any_case = matcher(&lines, true)?;
        Ok(self)
    }

    /// Whether the entry at `inside` is left out, and with it what is below.
    pub(crate) fn leaves_out(&self, inside: &[u8], is_dir: bool) -> bool {
        let path = Path::new(OsStr::from_bytes(inside));
        [&self.patterns, &self.in_any_case].iter().any(|some| some.matched(path, is_dir).is_ignore())
    }

    /// Leaves out a file that could not be read to its end, from the next attempt on; whether there is to be one.
    pub(crate) fn give_up(&mut self, path: &Path) -> bool {
        self.skip_unreadable && self.given_up.len() < GIVEN_UP_MAX && self.given_up.insert(path.to_owned())
    }

    /// Whether a file was given up.
    pub(crate) fn has_given_up(&self, path: &Path) -> bool {
        self.given_up.contains(path)
    }
}

/// Patterns as in a `.gitignore`, with the file that each is from.
fn matcher(lines: &[(Option<PathBuf>, String)], any_case: bool) -> Result<Gitignore, CliError> {
    let mut builder = GitignoreBuilder::new("");
    // Otherwise a mistyped pattern leaves out nothing, without a word.
    builder.allow_unclosed_class(false);
    let bad = |error: &ignore::Error| {
        CliError::new(ExitStatus::Usage, "usage", format!("a pattern to leave out is wrong: {error}"))
            .state("nothing was stored")
            .hint("patterns are those of a .gitignore: *.o, /build, cache/, **/tmp, !keep.o")
    };
    builder.case_insensitive(any_case).map_err(|error| bad(&error))?;
    for (file, line) in lines {
        builder.add_line(file.clone(), line).map_err(|error| bad(&error))?;
    }
    builder.build().map_err(|error| bad(&error))
}

/// What was left out of a put.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    /// Entries that patterns name; what is below them is not counted.
    pub(crate) excluded: u64,
    /// Entries that could not be read.
    pub(crate) unreadable: u64,
    /// The first of these.
    pub(crate) named: Vec<PathBuf>,
    /// Files that are stored, and were written to whenever they were read.
    pub(crate) changed: u64,
    /// Entries that are stored without their extended attributes, which could not be read.
    pub(crate) without_attributes: u64,
}

/// Entries that are named in a report; the others are only counted.
const NAMED_MAX: usize = 100;

impl LeftOut {
    /// Notes one that could not be read.
    pub(crate) fn unreadable(&mut self, path: &Path) {
        self.unreadable += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(path.to_owned());
        }
    }

    /// For the end of a put, if there is something to say.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.excluded > 0 {
            let entries = crate::human::count(self.excluded, "entry", "entries");
            lines.push(format!("left out {entries} that --exclude names"));
        }
        if let Some(first) = self.named.first() {
            let what = match self.unreadable {
                1 => format!("NOT stored, because it cannot be read: {}", quoted(first)),
                count => format!(
                    "NOT stored, because they cannot be read: {count} entries, {} is the first",
                    quoted(first)
                ),
            };
            lines.push(what);
        }
        if self.changed > 0 {
            let files = crate::human::count(self.changed, "file", "files");
            lines.push(format!(
                "stored, but perhaps of several states, because programs wrote to them all the time: {files}"
            ));
        }
        if self.without_attributes > 0 {
            let entries = crate::human::count(self.without_attributes, "entry", "entries");
            lines.push(format!(
                "stored WITHOUT extended attributes and ACLs, because they cannot be read: {entries}"
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_gitignore() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("patterns");
        std::fs::write(&file, "# objects\n*.o\n\n!keep.o\n").unwrap();
        let patterns = ["/build".to_owned(), "cache/".to_owned()];
        let selection = Selection::new(&patterns, &[file], false).unwrap();
        for (inside, is_dir, left_out) in [
            ("a.o", false, true),
            ("deep/down/a.o", false, true),
            ("keep.o", false, false),
            ("build", true, true),
            ("src/build", true, false),
            ("src/cache", true, true),
            ("src/cache", false, false),
            ("a.c", false, false),
        ] {
            assert_eq!(selection.leaves_out(inside.as_bytes(), is_dir), left_out, "{inside}");
        }
        assert!(!selection.leaves_out(b"\xff\xfe", false), "names need not be text");
    }

    #[test]
    fn letters_may_be_large_or_small_where_that_is_wanted() {
        let selection = Selection::new(&["*.o".to_owned()], &[], false).unwrap();
        let selection = selection.without_in_any_case(&["*.JPG".to_owned()]).unwrap();
        let left_out = |inside: &str| selection.leaves_out(inside.as_bytes(), false);
        assert!(left_out("a.o") && left_out("a.jpg") && left_out("A.Jpg"));
        assert!(!left_out("A.O") && !left_out("a.png"));
    }

    #[test]
    fn a_wrong_pattern_is_refused_by_name() {
        let error = Selection::new(&["a[".to_owned()], &[], false).unwrap_err();
        assert!(error.message.contains("a["), "{}", error.message);
        let error = Selection::new(&[], &["/nowhere/patterns".into()], false).unwrap_err();
        assert!(error.message.contains("/nowhere/patterns"), "{}", error.message);
    }

    #[test]
    fn only_some_files_are_given_up_and_only_if_the_user_wants_it() {
        let mut selection = Selection::new(&[], &[], false).unwrap();
        assert!(!selection.give_up(Path::new("a")));
        selection.skip_unreadable = true;
        for number in 0..GIVEN_UP_MAX {
            assert!(selection.give_up(Path::new(&number.to_string())));
        }
        assert!(selection.has_given_up(Path::new("3")) && !selection.give_up(Path::new("a")));
    }
}
