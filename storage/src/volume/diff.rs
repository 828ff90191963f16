//! What differs between two maps, without reading what they share.

use super::cursor::{Cursor, Place};
use super::needs::Needs;
use super::value::ValueRef;
use super::{MapError, MapRoot, NodeSource};

/// A key that two maps have different values for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: Vec<u8>,
    /// Its value in the older map, if it is there.
    pub old: Option<ValueRef>,
    /// Its value in the newer map, if it is there.
    pub new: Option<ValueRef>,
}

/// Steps through the differences of two maps in the order of keys. Subtrees that both have are not read.
pub struct Differences {
    old: Cursor,
    new: Cursor,
    /// Nodes that were read since they were asked for: those of the newer map once more, those of the older once less.
    nodes: Option<Needs>,
}

enum Next {
    SkipBoth,
    Descend { old: bool, new: bool },
    Emit { old: bool, new: bool },
    End,
}

impl Differences {
    /// Between two maps.
    pub fn between(old: &MapRoot, new: &MapRoot) -> Self {
        Self { old: Cursor::new(old), new: Cursor::new(new), nodes: None }
    }

    /// The same, and in which nodes they differ is counted as well. `None`: from nothing at all.
    pub(super) fn counting(old: Option<&MapRoot>, new: &MapRoot) -> Self {
        let old = old.map_or_else(Cursor::ended, Cursor::new);
        Self { old, new: Cursor::new(new), nodes: Some(Needs::new()) }
    }

    /// In which nodes they differ, as far as they were read since the last call.
    pub(super) fn take_nodes(&mut self) -> Needs {
        self.nodes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Counts a node that is about to be read because the other map has not got it.
    fn count(nodes: &mut Option<Needs>, cursor: &Cursor, times: i64) {
        if let (Some(nodes), Some(Place::Child(_, child, _))) = (nodes, cursor.here()) {
            nodes.count(&child.chunk, times);
        }
    }

    /// The next one.
    pub fn next<S: NodeSource>(&mut self, source: &mut S) -> Result<Option<Difference>, MapError<S::Error>> {
        loop {
            match next(self.old.here(), self.new.here()) {
                Next::End => return Ok(None),
                Next::SkipBoth => {
                    self.old.skip();
                    self.new.skip();
                }
                Next::Descend { old, new } => {
                    if old {
                        Self::count(&mut self.nodes, &self.old, -1);
                        self.old.descend(source)?;
                    }
                    if new {
                        Self::count(&mut self.nodes, &self.new, 1);
                        self.new.descend(source)?;
                    }
                }
                Next::Emit { old, new } => {
                    let old = if old { self.old.next(source)? } else { None };
                    let new = if new { self.new.next(source)? } else { None };
                    let key = old.as_ref().or(new.as_ref()).map(|(key, _)| key.clone()).unwrap_or_default();
                    let (old, new) = (old.map(|(_, value)| value), new.map(|(_, value)| value));
                    if old != new {
                        return Ok(Some(Difference { key, old, new }));
                    }
                }
            }
        }
    }
}

fn next(old: Option<Place<'_>>, new: Option<Place<'_>>) -> Next {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (old, new) {
        (None, None) => Next::End,
        (Some(Place::Child(..)), None) => Next::Descend { old: true, new: false },
        (None, Some(Place::Child(..))) => Next::Descend { old: false, new: true },
        (Some(_), None) => Next::Emit { old: true, new: false },
        (None, Some(_)) => Next::Emit { old: false, new: true },
        (Some(Place::Child(old_key, old, old_level)), Some(Place::Child(new_key, new, new_level))) => {
            if old == new && old_level == new_level {
                return Next::SkipBoth;
            }
            // A node that both have begins at the same key in both. So of two that do not, only the first can be gone
            // into without passing one.
            match old_key.cmp(new_key) {
                Less => Next::Descend { old: true, new: false },
                Greater => Next::Descend { old: false, new: true },
                Equal => Next::Descend { old: old_level >= new_level, new: new_level >= old_level },
            }
        }
        (Some(old @ Place::Child(..)), Some(new)) => match old.key() <= new.key() {
            true => Next::Descend { old: true, new: false },
            false => Next::Emit { old: false, new: true },
        },
        (Some(old), Some(new @ Place::Child(..))) => match new.key() <= old.key() {
            true => Next::Descend { old: false, new: true },
            false => Next::Emit { old: true, new: false },
        },
        (Some(old), Some(new)) => match old.key().cmp(new.key()) {
            Less => Next::Emit { old: true, new: false },
            Greater => Next::Emit { old: false, new: true },
            Equal => Next::Emit { old: true, new: true },
        },
    }
}
