//! The keys of this daemon's names, with the petnames that only this daemon knows them by, and what it has seen of
//! names: the newest version of each, so that nobody can show it an older one later.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chordage_api::name::{LABEL_MAX, NameKey};
use chordage_dht::{Held, Key};
use chordage_storage::rows::{Change, Rows, Table};
use libp2p::identity::ed25519;
use serde::{Deserialize, Serialize};

/// The directory and its file.
pub(crate) const NAMES_FILE: &str = "names/names.redb";
const DIRECTORY: &str = "names";
const FILE: &str = "names.redb";
const KEYS: Table = Table("keys");
const SEEN: Table = Table("seen");
const HISTORY: Table = Table("history");
/// Keys of one daemon at most.
pub(crate) const KEYS_MAX: usize = 10_000;
/// Longest of what makes a petname another, characters: `-10000`.
const SUFFIX_MAX: usize = 6;
/// Names of which the newest version is remembered; of more, any.
const SEEN_MAX: usize = 100_000;
/// Versions of a name that are remembered.
const VERSIONS_MAX: usize = 32;

/// A key with its petname.
#[derive(Clone)]
pub(crate) struct OwnKey {
    pub(crate) petname: String,
    pub(crate) created: u64,
    pub(crate) pair: ed25519::Keypair,
}

#[derive(Serialize, Deserialize)]
struct KeyRow {
    secret: [u8; 32],
    created: u64,
}

/// Why a key was not made or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyringError {
    /// There is one.
    #[error("there is a key with the petname `{0}` already")]
    Exists(String),
    /// There is none.
    #[error("there is no key with the petname `{0}`")]
    Unknown(String),
    /// The key is there under another petname.
    #[error("this key is in the keyring already, with the petname `{0}`")]
    Known(String),
    /// There are too many.
    #[error("the keyring has {KEYS_MAX} keys, which is the most it takes")]
    Full,
    /// The disk.
    #[error("the keyring cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// See the module's description.
pub(crate) struct Keyring {
    rows: Rows,
    keys: Mutex<BTreeMap<String, OwnKey>>,
    seen: Mutex<BTreeMap<Key, Held>>,
}

impl OwnKey {
    /// The name for everybody.
    pub(crate) fn public(&self) -> NameKey {
        NameKey(self.pair.public().to_bytes())
    }
}

impl Keyring {
    /// Opens or makes it below `dir`.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let rows = Rows::open(&dir.join(DIRECTORY), FILE, b"names")?;
        let rows = rows.ok_or_else(|| io::Error::other("the keyring is in use"))?;
        let mut keys = BTreeMap::new();
        for (petname, bytes) in rows.all(KEYS)? {
            let key = String::from_utf8(petname).ok().zip(postcard::from_bytes(&bytes).ok());
            let key = key.and_then(|(petname, KeyRow { mut secret, created })| {
                let secret = ed25519::SecretKey::try_from_bytes(&mut secret).ok()?;
                Some(OwnKey { petname, created, pair: secret.into() })
            });
            keys.extend(key.map(|key| (key.petname.clone(), key)));
        }
        let seen = rows.all(SEEN)?;
        let seen = seen.iter().filter_map(|(_, bytes)| postcard::from_bytes::<Held>(bytes).ok());
        let seen = seen.map(|held| (*held.record.address(), held)).collect();
        Ok(Self { rows, keys: Mutex::new(keys), seen: Mutex::new(seen) })
    }

    /// Whether it was damaged, and begun anew.
    pub(crate) fn begun_anew(&self) -> bool {
        self.rows.begun_anew() > 0
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<String, OwnKey>> {
        // Whoever panicked while holding it left whole entries behind.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All keys, by petname.
    pub(crate) fn all(&self) -> Vec<OwnKey> {
        self.keys().values().cloned().collect()
    }

    /// The key with this petname.
    pub(crate) fn by_petname(&self, petname: &str) -> Option<OwnKey> {
        self.keys().get(petname).cloned()
    }

    /// The key pair of a public key, if it is one of this daemon's.
    pub(crate) fn by_key(&self, key: NameKey) -> Option<OwnKey> {
        self.keys().values().find(|own| own.public() == key).cloned()
    }

    /// Makes a key. Durable when this returns.
    pub(crate) fn create(&self, petname: &str, now: u64) -> Result<OwnKey, KeyringError> {
        self.insert(petname, ed25519::Keypair::generate(), now)
    }

    /// Takes a key in. Durable when this returns.
    pub(crate) fn insert(
        &self,
        petname: &str,
        pair: ed25519::Keypair,
        now: u64,
    ) -> Result<OwnKey, KeyringError> {
        let mut keys = self.keys();
        if keys.contains_key(petname) {
            return Err(KeyringError::Exists(petname.to_owned()));
        }
        if keys.len() >= KEYS_MAX {
            return Err(KeyringError::Full);
        }
        let public = pair.public();
        if let Some(known) = keys.values().find(|own| own.pair.public() == public) {
            return Err(KeyringError::Known(known.petname.clone()));
        }
        let mut secret = [0; 32];
        secret.copy_from_slice(pair.secret().as_ref());
        let row = postcard::to_allocvec(&KeyRow { secret, created: now }).map_err(io::Error::other)?;
        self.rows.change(true, &[Change { table: KEYS, key: petname.into(), value: Some(row) }])?;
        let key = OwnKey { petname: petname.to_owned(), created: now, pair };
        keys.insert(petname.to_owned(), key.clone());
        Ok(key)
    }

    /// Takes a key in under `petname`, or one like it that is free. `None`: it is there already. Durable when this
    /// returns.
    pub(crate) fn take_in(
        &self,
        petname: &str,
        pair: &ed25519::Keypair,
        now: u64,
    ) -> Result<Option<OwnKey>, KeyringError> {
        let base = petname.get(..LABEL_MAX - SUFFIX_MAX).unwrap_or(petname);
        let numbered = (2..=KEYS_MAX).map(|number| format!("{base}-{number}"));
        for petname in std::iter::once(petname.to_owned()).chain(numbered) {
            return match self.insert(&petname, pair.clone(), now) {
                // It is looked for the petname first: the key may be that one's.
                Err(KeyringError::Exists(_)) if !self.has(pair) => continue,
                Err(KeyringError::Exists(_) | KeyringError::Known(_)) => Ok(None),
                Err(error) => Err(error),
                Ok(own) => Ok(Some(own)),
            };
        }
        Err(KeyringError::Full)
    }

    fn has(&self, pair: &ed25519::Keypair) -> bool {
        self.by_key(NameKey(pair.public().to_bytes())).is_some()
    }

    /// Forgets a key for good.
    pub(crate) fn delete(&self, petname: &str) -> Result<(), KeyringError> {
        let mut keys = self.keys();
        if !keys.contains_key(petname) {
            return Err(KeyringError::Unknown(petname.to_owned()));
        }
        self.rows.change(true, &[Change { table: KEYS, key: petname.into(), value: None }])?;
        keys.remove(petname);
        Ok(())
    }

    /// The newest version of a record that was seen here.
    pub(crate) fn seen(&self, address: &Key) -> Option<Held> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned()
    }

    /// Remembers a version, if it is newer. `durable`: a version of our own, whose number must not be given again.
    pub(crate) fn remember(&self, held: &Held, durable: bool) {
        let address = *held.record.address();
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.get(&address).is_some_and(|known| known.record.seq() >= held.record.seq()) {
                return;
            }
            if seen.len() >= SEEN_MAX && !seen.contains_key(&address) {
                return;
            }
            seen.insert(address, held.clone());
        }
        let Ok(value) = postcard::to_allocvec(held) else { return };
        let history = [&address.as_bytes()[..], &held.record.seq().to_be_bytes()].concat();
        let mut changes = vec![
            Change { table: SEEN, key: address.as_bytes().to_vec(), value: Some(value.clone()) },
            Change { table: HISTORY, key: history, value: Some(value) },
        ];
        let old = held.record.seq().checked_sub(VERSIONS_MAX as u64);
        changes.extend(old.map(|seq| Change {
            table: HISTORY,
            key: [&address.as_bytes()[..], &seq.to_be_bytes()].concat(),
            value: None,
        }));
        if let Err(error) = self.rows.change(durable, &changes) {
            tracing::warn!(%error, "what was seen of a name cannot be written down; after a restart an older version may be believed");
        }
    }

    /// The versions of a record that were seen here, the newest first.
    pub(crate) fn history(&self, address: &Key) -> io::Result<Vec<Held>> {
        let newest = self.seen(address).map_or(0, |held| held.record.seq());
        let mut versions = Vec::new();
        for seq in (newest.saturating_sub(VERSIONS_MAX as u64)..=newest).rev() {
            let key = [&address.as_bytes()[..], &seq.to_be_bytes()].concat();
            let row = self.rows.get(HISTORY, &key)?;
            versions.extend(row.and_then(|bytes| postcard::from_bytes(&bytes).ok()));
        }
        Ok(versions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_there_after_a_restart_and_no_petname_is_given_twice() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let keyring = Keyring::open(dir.path()).expect("new");
        let team = keyring.create("team", 7).expect("new").public();
        assert!(matches!(keyring.create("team", 8), Err(KeyringError::Exists(_))));
        keyring.create("other", 9).expect("new");
        keyring.delete("other").expect("there");
        assert!(matches!(keyring.delete("other"), Err(KeyringError::Unknown(_))));
        drop(keyring);
        let keyring = Keyring::open(dir.path()).expect("there");
        let all = keyring.all();
        assert_eq!(all.iter().map(|key| (&*key.petname, key.created)).collect::<Vec<_>>(), [("team", 7)]);
        assert_eq!(all[0].public(), team);
        assert!(keyring.by_key(team).is_some() && keyring.by_key(NameKey([0; 32])).is_none());
    }
}
