//! A map and objects in memory, which can be told to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::stream;

use crate::kept::{Change, Changed, Error, Expect, Forgotten, Move, ObjectBody, ObjectBytes};
use crate::webdav::store::Store;

/// Bytes of an object that are handed over at a time.
const PIECE: usize = 64 << 10;

/// What is wrong with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    pub(super) get: Option<Error>,
    pub(super) list: Option<Error>,
    pub(super) change: Option<Error>,
    /// Storing an object fails so, before its body is read.
    pub(super) put: Option<Error>,
    /// Reading an object breaks off after so many bytes.
    pub(super) read_breaks_off: Option<usize>,
    /// Objects that another daemon keeps.
    pub(super) elsewhere: BTreeSet<String>,
    /// Somebody else enters this just before something is changed.
    pub(super) first: Option<(String, Vec<u8>)>,
}

#[derive(Default)]
struct State {
    map: BTreeMap<String, Vec<u8>>,
    objects: BTreeMap<String, Bytes>,
    trouble: Trouble,
    changes: Vec<usize>,
    reads: Vec<Range<u64>>,
    gets: usize,
}

impl State {
    /// Moves keys as a volume does; what came of it if that was not done.
    fn make(&mut self, Move { from, to, copy, longest }: &Move) -> Option<Result<Changed, Error>> {
        assert!(!from.starts_with(to) && !to.starts_with(from));
        if self.map.keys().any(|key| key.starts_with(to)) {
            return Some(Ok(Changed::Unmet));
        }
        let some = self.map.iter().filter(|(key, _)| key.starts_with(from));
        let some: Vec<_> = some.map(|(key, value)| (key.clone(), value.clone())).collect();
        for (key, value) in some {
            let new = key.replacen(from, to, 1);
            if new.len() > *longest as usize {
                return Some(Err(Error::Full("a key would be too long".to_owned())));
            }
            self.map.insert(new, value);
            if !copy {
                self.map.remove(&key);
            }
        }
        None
    }
}

/// All clones are the same.
#[derive(Clone, Default)]
pub(super) struct InMemory(Arc<Mutex<State>>);

impl InMemory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn trouble(&self, trouble: Trouble) {
        self.lock().trouble = trouble;
    }

    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        self.lock().map.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    pub(super) fn remove(&self, key: &str) {
        assert!(self.lock().map.remove(key).is_some());
    }

    pub(super) fn objects(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// How many keys each change has changed until now.
    pub(super) fn changes(&self) -> Vec<usize> {
        self.lock().changes.clone()
    }

    /// What was read of objects.
    pub(super) fn reads(&self) -> Vec<Range<u64>> {
        self.lock().reads.clone()
    }

    /// How often a key or a list was asked for.
    pub(super) fn gets(&self) -> usize {
        self.lock().gets
    }
}

impl Store for InMemory {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut state = self.lock();
        state.gets += 1;
        state.trouble.get.clone().map_or_else(|| Ok(state.map.get(key).cloned()), Err)
    }

    async fn list(&self, prefix: &str, most: usize) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut state = self.lock();
        state.gets += 1;
        if let Some(error) = &state.trouble.list {
            return Err(error.clone());
        }
        let some = state.map.iter().filter(|(key, _)| key.starts_with(prefix));
        let found: Vec<_> = some.map(|(key, value)| (key.clone(), value.clone())).collect();
        if found.len() > most { Err(Error::Full("too many".to_owned())) } else { Ok(found) }
    }

    async fn change(&self, changes: Vec<Change<Vec<u8>>>, moves: Vec<Move>) -> Result<Changed, Error> {
        let mut state = self.lock();
        // All or nothing.
        let before = state.map.clone();
        if let Some(error) = &state.trouble.change {
            return Err(error.clone());
        }
        let first = state.trouble.first.take();
        state.map.extend(first);
        let is_met = |change: &Change<Vec<u8>>| match change.expect {
            Expect::Any => true,
            Expect::Absent => !state.map.contains_key(&change.key),
            Expect::Present => state.map.contains_key(&change.key),
        };
        if !changes.iter().all(is_met) {
            return Ok(Changed::Unmet);
        }
        assert!(changes.len() <= 1000, "the daemon takes no more");
        state.changes.push(changes.len());
        for Change { key, new, .. } in changes {
            assert!(key.len() <= 1024);
            match new {
                Some(value) => {
                    assert!(value.len() <= 4096);
                    state.map.insert(key, value)
                }
                None => state.map.remove(&key),
            };
        }
        for moving in &moves {
            if let Some(outcome) = state.make(moving) {
                state.map = before;
                return outcome;
            }
        }
        Ok(Changed::Done)
    }

    async fn put_object(&self, mut body: ObjectBody) -> Result<String, Error> {
        if let Some(error) = self.lock().trouble.put.clone() {
            return Err(error);
        }
        let mut content = Vec::new();
        while let Some(bytes) = body.next().await.map_err(|cut| Error::Incomplete(cut.to_string()))? {
            content.extend_from_slice(&bytes);
        }
        // The same content is the same object, as it is in the network.
        let link = blake3::hash(&content).to_string();
        self.lock().objects.insert(link.clone(), content.into());
        Ok(link)
    }

    async fn read_object(&self, link: &str, range: Range<u64>) -> Result<ObjectBytes, Error> {
        let mut state = self.lock();
        state.reads.push(range.clone());
        let gone = || Error::Incomplete("2 of 3 chunks have too few shards".to_owned());
        let content = state.objects.get(link).ok_or_else(gone)?;
        let content = content.slice(range.start as usize..range.end as usize);
        let end = state.trouble.read_breaks_off.unwrap_or(content.len()).min(content.len());
        let mut pieces: Vec<Result<Bytes, Error>> =
            content[..end].chunks(PIECE).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        if end < content.len() {
            pieces.push(Err(gone()));
        }
        Ok(Box::pin(stream::iter(pieces)))
    }

    async fn forget_object(&self, link: &str) -> Result<Forgotten, Error> {
        let mut state = self.lock();
        if state.trouble.elsewhere.contains(link) {
            return Ok(Forgotten::KeptElsewhere);
        }
        state.objects.remove(link).map(|_| Forgotten::Done).ok_or_else(|| Error::Other("not kept".to_owned()))
    }
}
