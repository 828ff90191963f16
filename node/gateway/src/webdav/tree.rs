//! What one request sees of the files, and what it wants to change: made in one change of the map, or not at all.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::deleted;
use super::entry::{Entry, Grave, Kind};
use super::path::{KEY_BYTES_MAX, Path};
use crate::kept::{Change, Error, Expect, Move};

/// What one request sees, and what it wants to change.
#[derive(Default)]
pub(crate) struct Tree {
    /// What the volume said, also that something is not there.
    known: BTreeMap<Path, Option<Entry>>,
    /// Directories of which everything is known that lies in them.
    listed: Vec<Path>,
    /// Directories of which everything is known that lies somewhere below them.
    whole: Vec<Path>,
    /// What shall be there, or not.
    wanted: BTreeMap<Path, Option<Entry>>,
    /// All that lies below one directory shall lie below another, and nobody looks at it.
    moves: Vec<(Path, Path)>,
    /// All that lies below one directory shall lie below another too.
    copied: Option<(Path, Path)>,
}

impl Tree {
    /// What is to be found there; `None`: the volume has to be asked.
    pub(crate) fn find(&self, path: &Path) -> Option<Option<Entry>> {
        if path.is_root() {
            let root = Entry { created: 0, modified: 0, ..Entry::new(Kind::Directory) };
            return Some(Some(root));
        }
        if let Some(found) = self.wanted.get(path).or_else(|| self.known.get(path)) {
            return Some(found.clone());
        }
        let parent = path.parent().unwrap_or_default();
        let is_known = self.listed.contains(&parent) || self.whole.iter().any(|top| parent.is_within(top));
        is_known.then_some(None)
    }

    /// The volume said so.
    pub(crate) fn learn(&mut self, path: Path, found: Option<Entry>) {
        self.known.insert(path, found);
    }

    /// All that lies in a directory has been learnt.
    pub(crate) fn listed(&mut self, directory: Path) {
        self.listed.push(directory);
    }

    /// All that lies below a directory has been learnt.
    pub(crate) fn whole(&mut self, directory: Path) {
        self.whole.push(directory);
    }

    /// Whether all that lies in a directory is known.
    pub(crate) fn knows_children(&self, directory: &Path) -> bool {
        self.listed.contains(directory) || self.whole.iter().any(|top| directory.is_within(top))
    }

    /// All that is known to lie somewhere below.
    pub(crate) fn below(&self, directory: &Path) -> Vec<(Path, Entry)> {
        let beginning = directory.beginning();
        let from = (Bound::Excluded(directory.clone()), Bound::Unbounded);
        let within = |path: &Path| path.as_str().starts_with(&beginning);
        let mut found: BTreeMap<&Path, &Option<Entry>> = BTreeMap::new();
        for map in [&self.known, &self.wanted] {
            // Between a path and what lies below it others may stand, such as `a-b` between `a` and `a/b`.
            let some = map.range::<Path, _>(from.clone());
            found.extend(some.filter(|(path, _)| within(path)));
        }
        let there = found.into_iter().filter_map(|(path, entry)| Some((path.clone(), entry.clone()?)));
        there.collect()
    }

    /// All that is known to lie in a directory.
    pub(crate) fn children(&self, directory: &Path) -> Vec<(Path, Entry)> {
        let mut found = self.below(directory);
        found.retain(|(path, _)| path.parent().as_ref() == Some(directory));
        found
    }

    /// This shall be there, or not.
    pub(crate) fn want(&mut self, path: Path, entry: Option<Entry>) {
        self.wanted.insert(path, entry);
    }

    /// All that lies below one directory shall lie below another instead, which has nothing then.
    pub(crate) fn want_moved(&mut self, from: Path, to: Path) {
        self.moves.push((from, to));
    }

    /// All that lies below the first directory shall lie below the second too, which has nothing then; if there are
    /// two.
    pub(crate) fn want_copied(&mut self, copied: Option<(Path, Path)>) {
        self.copied = copied;
    }

    /// Whether all that lies below is copied as a whole.
    pub(crate) fn copies(&self, directory: &Path) -> bool {
        self.copied.as_ref().is_some_and(|(from, _)| from == directory)
    }

    /// Nothing shall be left where something is to be moved or copied. Files without a directory may lie there, which
    /// nobody saw.
    pub(crate) fn clear_targets(&mut self) {
        let targets: Vec<Path> = self.moves.iter().chain(&self.copied).map(|(_, to)| to.clone()).collect();
        for (left, _) in targets.iter().flat_map(|target| self.below(target)).collect::<Vec<_>>() {
            self.want(left, None);
        }
    }

    /// What is to be moved and copied once all changes are made.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let moving = |(from, to): &(Path, Path), copy| {
            let (from, to) = (from.below(), to.below());
            Move { from, to, copy, longest: KEY_BYTES_MAX }
        };
        let moves = self.moves.iter().map(|pair| moving(pair, false));
        moves.chain(self.copied.iter().map(|pair| moving(pair, true))).collect()
    }

    /// Bytes of all that shall be there.
    pub(crate) fn wanted_bytes(&self) -> u64 {
        self.wanted.values().flatten().map(|entry| entry.size).sum()
    }

    /// How to make it so. What is not to be found any more afterwards gets a grave, as of `now` (seconds), from which
    /// its object is forgotten later.
    pub(crate) fn changes(&self, now: u64) -> Result<Vec<Vec<Change<Vec<u8>>>>, Error> {
        let mut gained: BTreeMap<&str, usize> = BTreeMap::new();
        for (path, entry) in &self.wanted {
            let link = entry.as_ref().and_then(|entry| entry.link.as_deref());
            if link != self.link_before(path)
                && let Some(link) = link
            {
                *gained.entry(link).or_default() += 1;
            }
        }
        let mut all = Vec::new();
        // What lies deeper comes first, so that no part of them leaves a file without its directory.
        for (path, entry) in self.wanted.iter().rev() {
            let before = self.known.get(path).and_then(Option::as_ref);
            if before == entry.as_ref() {
                continue;
            }
            let expect = if before.is_some() { Expect::Present } else { Expect::Absent };
            let key = path.key();
            let mut some = vec![match entry {
                Some(entry) => Change::enter(&key, entry.encode()?, expect),
                None => Change::take_out(&key, expect),
            }];
            let is_lost = before.and_then(|before| before.link.as_deref()).filter(|link| {
                let stays = entry.as_ref().and_then(|entry| entry.link.as_deref()) == Some(*link);
                !stays && !take_one(&mut gained, link)
            });
            if let (Some(_), Some(before)) = (is_lost, before) {
                let grave = Grave::encode(path, before)?;
                some.push(Change::enter(&deleted::key(now)?, grave, Expect::Absent));
            }
            all.push(some);
        }
        Ok(all)
    }

    fn link_before(&self, path: &Path) -> Option<&str> {
        self.known.get(path)?.as_ref()?.link.as_deref()
    }
}

/// Whether something that is gained is the same object.
fn take_one(gained: &mut BTreeMap<&str, usize>, link: &str) -> bool {
    match gained.get_mut(link) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}
