//! The map of a volume while it is read or changed: what is stored, and the changes that are not stored yet.

use std::collections::BTreeMap;

use chordage_storage::volume::{Change, Cursor, MapRoot, NodeSource, Value};

use super::VolumesError;
use crate::get::GetError;

/// See the module's description. Used from a blocking thread.
pub(super) struct View<'a> {
    root: Option<MapRoot>,
    source: &'a mut dyn NodeSource<Error = GetError>,
    changes: BTreeMap<Vec<u8>, Change>,
}

impl<'a> View<'a> {
    /// Of what lies at `root`; `None`: nothing yet.
    pub(super) fn new(root: Option<MapRoot>, source: &'a mut dyn NodeSource<Error = GetError>) -> Self {
        View { root, source, changes: BTreeMap::new() }
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
        self.changes.insert(key, Some(value));
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
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
                    found.push((key, value.load(&mut self.source)?));
                }
                (Some((key, value)), None) => found.push((key, value.load(&mut self.source)?)),
                (kept, Some((changed_key, _))) => {
                    // A change stands for what is stored under its key.
                    stored = kept.filter(|(key, _)| key != *changed_key);
                    if let Some((key, Some(value))) = changed.next() {
                        found.push((key.clone(), value.clone()));
                    }
                }
            }
        }
        Ok(found)
    }

    /// What the changes are now, to come back to with [`restore`](Self::restore).
    pub(super) fn changes(&self) -> BTreeMap<Vec<u8>, Change> {
        self.changes.clone()
    }

    /// Goes back to earlier changes.
    pub(super) fn restore(&mut self, changes: BTreeMap<Vec<u8>, Change>) {
        self.changes = changes;
    }

    /// All changes.
    pub(super) fn into_changes(self) -> BTreeMap<Vec<u8>, Change> {
        self.changes
    }
}

#[cfg(test)]
pub(super) mod tests;
