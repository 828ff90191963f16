//! The map of a volume while it is read or changed: what is stored, and the changes that are not stored yet.

use std::collections::{BTreeMap, VecDeque};

use chordage_storage::ChunkRef;
use chordage_storage::volume::{Change, Cursor, MapRoot, NodeSource, Value, ValueRef};

use super::VolumesError;
use crate::get::GetError;

/// Long values that the source is told of ahead.
const AHEAD: usize = 32;

/// Keys that are moved between two looks at the map.
const PAGE: usize = 1024;

/// From which prefix to which other one keys are moved.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
    /// They stay where they are too.
    pub(super) copy: bool,
}

/// See the module's description. Used from a blocking thread.
pub(super) struct View<'a> {
    root: Option<MapRoot>,
    source: &'a mut dyn NodeSource<Error = GetError>,
    changes: BTreeMap<Vec<u8>, Change>,
    /// What became of each key before it was changed once more, the last one last.
    undo: Vec<(Vec<u8>, Option<Change>)>,
}

impl<'a> View<'a> {
    /// Of what lies at `root`; `None`: nothing yet.
    pub(super) fn new(root: Option<MapRoot>, source: &'a mut dyn NodeSource<Error = GetError>) -> Self {
        View { root, source, changes: BTreeMap::new(), undo: Vec::new() }
    }

    /// The value of a key.
    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<Value>, VolumesError> {
        if let Some(change) = self.changes.get(key) {
            return Ok(change.clone());
        }
        let Some(root) = &self.root else { return Ok(None) };
        let found = root.get(key, &mut self.source)?;
        found.map(|value| value.load(&mut self.source)).transpose().map_err(VolumesError::from)
    }

    /// Gives a key a value.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Value) {
        self.change(key, Some(value));
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.change(key, None);
    }

    fn change(&mut self, key: Vec<u8>, change: Change) {
        let before = self.changes.insert(key.clone(), change);
        self.undo.push((key, before));
    }

    /// Moves all keys that begin with `from` to where they begin with `to` instead, or copies them; how many there are.
    /// Neither prefix may begin with the other. If there are more than `most`, or a key would become longer than
    /// `longest` bytes, some of them may have been moved.
    pub(super) fn move_all(
        &mut self,
        Moving { from, to, copy }: &Moving,
        most: usize,
        longest: usize,
    ) -> Result<usize, VolumesError> {
        let (mut after, mut moved): (Option<Vec<u8>>, usize) = (None, 0);
        loop {
            let page = self.list(from, after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(moved) };
            after = Some(last.clone());
            moved += page.len();
            if moved > most {
                return Err(VolumesError::BadChange(format!(
                    "at most {most} keys are moved or copied at a time"
                )));
            }
            for (key, value) in page {
                let new = [to.as_slice(), key.strip_prefix(from.as_slice()).unwrap_or_default()].concat();
                if new.len() > longest {
                    let (new, length) = (String::from_utf8_lossy(&new), new.len());
                    return Err(VolumesError::BadChange(format!(
                        "`{new}` would have {length} bytes, and {longest} are allowed"
                    )));
                }
                self.put(new, value);
                if !copy {
                    self.remove(key);
                }
            }
        }
    }

    /// At most `most` keys that begin with `prefix` and are behind `after`, with their values, in order.
    pub(super) fn list(
        &mut self,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<(Vec<u8>, Value)>, VolumesError> {
        let from = after.filter(|after| *after >= prefix).unwrap_or(prefix).to_vec();
        let wanted = |key: &[u8]| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let changed = self.changes.range(from.clone()..).take_while(|(key, _)| key.starts_with(prefix));
        let mut changed = changed.filter(|(key, _)| wanted(key)).peekable();
        let mut found = Vec::new();
        let mut stored = None;
        let mut cursor = match &self.root {
            Some(root) => Some(Cursor::seek(root, &from, &mut self.source)?),
            None => None,
        };
        while found.len() < most {
            if stored.is_none()
                && let Some(reading) = &mut cursor
            {
                stored = reading.next(&mut self.source)?;
                match &stored {
                    Some((key, _)) if !key.starts_with(prefix) => (stored, cursor) = (None, None),
                    Some((key, _)) if !wanted(key) => {
                        stored = None;
                        continue;
                    }
                    Some(_) => {}
                    None => cursor = None,
                }
            }
            match (stored.take(), changed.peek()) {
                (None, None) => break,
                (Some((key, value)), Some((changed, _))) if key < **changed => {
                    found.push((key, value));
                }
                (Some((key, value)), None) => found.push((key, value)),
                (kept, Some((changed_key, _))) => {
                    // A change stands for what is stored under its key.
                    stored = kept.filter(|(key, _)| key != *changed_key);
                    if let Some((key, Some(value))) = changed.next() {
                        found.push((key.clone(), ValueRef::Inline(value.clone())));
                    }
                }
            }
        }
        self.load_all(found)
    }

    /// The values of keys; long ones are fetched some at a time.
    fn load_all(&mut self, found: Vec<(Vec<u8>, ValueRef)>) -> Result<Vec<(Vec<u8>, Value)>, VolumesError> {
        let mut loaded = Vec::with_capacity(found.len());
        let mut following: VecDeque<ChunkRef> =
            found.iter().filter_map(|(_, value)| only_chunk(value)).collect();
        for (key, value) in found {
            if only_chunk(&value).is_some() {
                let next: Vec<ChunkRef> = following.iter().take(AHEAD).copied().collect();
                self.source.expect(&next);
                following.pop_front();
            }
            loaded.push((key, value.load(&mut self.source)?));
        }
        Ok(loaded)
    }

    /// Where the changes are now, to come back to with [`restore`](Self::restore).
    pub(super) fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Goes back to earlier changes.
    pub(super) fn restore(&mut self, mark: usize) {
        while self.undo.len() > mark
            && let Some((key, before)) = self.undo.pop()
        {
            match before {
                Some(before) => drop(self.changes.insert(key, before)),
                None => drop(self.changes.remove(&key)),
            }
        }
    }

    /// All changes.
    pub(super) fn into_changes(self) -> BTreeMap<Vec<u8>, Change> {
        self.changes
    }
}

/// The chunk in which a long value lies, if it is one.
fn only_chunk(value: &ValueRef) -> Option<ChunkRef> {
    match value {
        ValueRef::Spilled { chunks, .. } => {
            <[ChunkRef; 1]>::try_from(chunks.as_slice()).ok().map(|[chunk]| chunk)
        }
        ValueRef::Inline(_) => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
