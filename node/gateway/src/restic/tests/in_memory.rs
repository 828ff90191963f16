//! Repositories in memory, which can be told to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::stream;

use crate::kept::{Changed, Error, Expect, Forgotten, ObjectBody, ObjectBytes};
use crate::restic::path::RepositoryName;
use crate::restic::repository::{Change, Repositories, Repository, Stored};

/// Bytes of an object that are handed over at a time.
const PIECE: usize = 64 << 10;

/// What is wrong with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    /// Opening a repository fails so.
    pub(super) open: Option<Error>,
    /// Reading a key fails so.
    pub(super) get: Option<Error>,
    /// Listing fails so.
    pub(super) list: Option<Error>,
    /// Changing a key fails so.
    pub(super) change: Option<Error>,
    /// Storing an object fails so, before its body is read.
    pub(super) put: Option<Error>,
    /// Reading an object breaks off after so many bytes.
    pub(super) read_breaks_off: Option<usize>,
    /// Somebody else enters this under a key just before it is changed.
    pub(super) first: Option<(String, Stored)>,
    /// Objects that another daemon keeps.
    pub(super) elsewhere: BTreeSet<String>,
}

#[derive(Default)]
struct State {
    maps: BTreeMap<RepositoryName, BTreeMap<String, Stored>>,
    objects: BTreeMap<String, Bytes>,
    trouble: Trouble,
}

/// Repositories in memory. All clones are the same.
#[derive(Clone, Default)]
pub(super) struct InMemory(Arc<Mutex<State>>);

/// One of them.
pub(super) struct One(InMemory, RepositoryName);

impl InMemory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on this is wrong with it.
    pub(super) fn trouble(&self, trouble: Trouble) {
        self.lock().trouble = trouble;
    }

    /// The keys of the repository whose volume has this petname.
    pub(super) fn keys(&self, name: &str) -> Vec<String> {
        let name = RepositoryName::of_petname(name).unwrap();
        self.lock().maps.get(&name).into_iter().flat_map(|map| map.keys().cloned()).collect()
    }

    /// The value of a key.
    pub(super) fn value(&self, name: &str, key: &str) -> Option<Stored> {
        let name = RepositoryName::of_petname(name).unwrap();
        self.lock().maps.get(&name)?.get(key).cloned()
    }

    /// Enters a value.
    pub(super) fn enter(&self, name: &str, key: &str, value: Stored) {
        let name = RepositoryName::of_petname(name).unwrap();
        self.lock().maps.get_mut(&name).unwrap().insert(key.to_owned(), value);
    }

    /// The links of all objects that are kept.
    pub(super) fn objects(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }
}

impl Repositories for InMemory {
    type Repository = One;

    async fn open(&self, name: &RepositoryName) -> Result<Option<One>, Error> {
        let state = self.lock();
        match &state.trouble.open {
            Some(error) => Err(error.clone()),
            None => Ok(state.maps.contains_key(name).then(|| One(self.clone(), name.clone()))),
        }
    }

    async fn create(&self, name: &RepositoryName) -> Result<(), Error> {
        self.lock().maps.entry(name.clone()).or_default();
        Ok(())
    }

    async fn names(&self) -> Result<Vec<RepositoryName>, Error> {
        Ok(self.lock().maps.keys().cloned().collect())
    }
}

impl Repository for One {
    async fn get(&self, key: &str) -> Result<Option<Stored>, Error> {
        let state = self.0.lock();
        match &state.trouble.get {
            Some(error) => Err(error.clone()),
            None => Ok(state.maps[&self.1].get(key).cloned()),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, Error> {
        let state = self.0.lock();
        if let Some(error) = &state.trouble.list {
            return Err(error.clone());
        }
        let entries = state.maps[&self.1].iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(entries.map(|(key, stored)| (key.clone(), stored.size())).collect())
    }

    async fn change(&self, changes: Vec<Change>) -> Result<Changed, Error> {
        let mut state = self.0.lock();
        if let Some(error) = &state.trouble.change {
            return Err(error.clone());
        }
        let first = state.trouble.first.take_if(|(of, _)| changes.iter().any(|change| change.key == *of));
        let map = state.maps.get_mut(&self.1).unwrap();
        map.extend(first);
        let is_met = |change: &Change| match change.expect {
            Expect::Any => true,
            Expect::Absent => !map.contains_key(&change.key),
            Expect::Present => map.contains_key(&change.key),
        };
        if !changes.iter().all(is_met) {
            return Ok(Changed::Unmet);
        }
        for Change { key, new, .. } in changes {
            match new {
                Some(stored) => map.insert(key, stored),
                None => map.remove(&key),
            };
        }
        Ok(Changed::Done)
    }

    async fn put_object(&self, mut body: ObjectBody, length: u64) -> Result<String, Error> {
        if let Some(error) = self.0.lock().trouble.put.clone() {
            return Err(error);
        }
        let mut content = Vec::new();
        while let Some(bytes) = body.next().await.map_err(|cut| Error::Incomplete(cut.to_string()))? {
            content.extend_from_slice(&bytes);
        }
        assert_eq!(content.len() as u64, length);
        // The same content is the same object, as it is in the network.
        let link = blake3::hash(&content).to_string();
        self.0.lock().objects.insert(link.clone(), content.into());
        Ok(link)
    }

    async fn read_object(&self, link: &str, range: Range<u64>) -> Result<ObjectBytes, Error> {
        let state = self.0.lock();
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
        let mut state = self.0.lock();
        if state.trouble.elsewhere.contains(link) {
            return Ok(Forgotten::KeptElsewhere);
        }
        state.objects.remove(link).map(|_| Forgotten::Done).ok_or_else(|| Error::Other("not kept".to_owned()))
    }
}
