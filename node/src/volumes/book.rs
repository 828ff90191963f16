//! The volumes that this daemon knows, and what it keeps of them, on disk.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chordage_api::volume::{Capability, PETNAME_MAX};
use chordage_dht::Held;
use chordage_storage::ChunkId;
use chordage_storage::rows::{Change, Rows, Table};
use serde::{Deserialize, Serialize};

use super::VolumesError;
use super::keys::{VolumeId, VolumeKeys};
use crate::put::PutError;

/// The directory and its file.
pub(crate) const VOLUMES_FILE: &str = "volumes/volumes.redb";
const DIRECTORY: &str = "volumes";
const FILE: &str = "volumes.redb";
const KNOWN: Table = Table("known");
const SEEN: Table = Table("seen");
const KEPT: Table = Table("kept");
const HOME: Table = Table("home");
/// The one key of that table.
const HOME_KEY: &[u8] = b"home";
/// Longest of what makes a petname another, characters: `-1000`.
const SUFFIX_MAX: usize = 5;
/// Volumes of one daemon at most.
const VOLUMES_MAX: usize = 1000;

/// A volume that is known here.
#[derive(Clone)]
pub(crate) struct KnownVolume {
    pub(super) petname: String,
    pub(super) created: u64,
    pub(super) keys: VolumeKeys,
}

/// As what something is kept for a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KeptAs {
    /// The nodes of a state of its map.
    Map,
    /// A tree of files.
    Tree,
}

/// Something that this daemon keeps for a volume, by its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptFor {
    pub(super) volume: [u8; 32],
    pub(super) kind: KeptAs,
    /// Since when, or since when nothing needs it any more: seconds since 1970.
    pub(super) since: u64,
    pub(super) needed: bool,
    /// What it is, of a tree.
    pub(super) tree: Option<TreeRow>,
}

/// A tree that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TreeRow {
    /// Reference of its root, its level and how many keys it has.
    pub(super) root: (Vec<u8>, u8, u64),
    pub(super) files: u64,
    pub(super) dirs: u64,
    pub(super) others: u64,
    pub(super) bytes: u64,
    /// Nobody can drop it before then, seconds since 1970; 0: at any time.
    pub(super) retained_until: u64,
    /// A snapshot was made of it.
    pub(super) named: bool,
}

#[derive(Serialize, Deserialize)]
struct KnownRow {
    capability: String,
    created: u64,
}

/// See the module's description.
pub(crate) struct VolumeBook {
    rows: Rows,
    known: Mutex<BTreeMap<String, KnownVolume>>,
    seen: Mutex<BTreeMap<VolumeId, Held>>,
    home: Mutex<Option<VolumeId>>,
}

fn row_of(volume: &KnownVolume) -> io::Result<Vec<u8>> {
    let capability = volume.keys.writing().unwrap_or_else(|| volume.keys.reading());
    let row = KnownRow { capability: capability.to_string(), created: volume.created };
    postcard::to_allocvec(&row).map_err(io::Error::other)
}

impl VolumeBook {
    /// Opens or makes it below `dir`.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let rows = Rows::open(&dir.join(DIRECTORY), FILE, b"volumes")?;
        let rows = rows.ok_or_else(|| io::Error::other("the book of volumes is in use"))?;
        let mut known = BTreeMap::new();
        for (petname, bytes) in rows.all(KNOWN)? {
            let row = String::from_utf8(petname).ok().zip(postcard::from_bytes::<KnownRow>(&bytes).ok());
            let Some((petname, KnownRow { capability, created })) = row else { continue };
            let capability = capability.parse::<Capability>().ok();
            let Some(keys) = capability.and_then(|capability| VolumeKeys::of(&capability)) else { continue };
            known.insert(petname.clone(), KnownVolume { petname, created, keys });
        }
        let seen = rows.all(SEEN)?.into_iter().filter_map(|(id, bytes)| {
            Some((VolumeId(id.try_into().ok()?), postcard::from_bytes::<Held>(&bytes).ok()?))
        });
        let seen = seen.collect();
        let home = rows.get(HOME, HOME_KEY)?.and_then(|id| id.try_into().ok()).map(VolumeId);
        Ok(Self { rows, known: Mutex::new(known), seen: Mutex::new(seen), home: Mutex::new(home) })
    }

    /// Whether it was damaged, and begun anew.
    pub(crate) fn begun_anew(&self) -> bool {
        self.rows.begun_anew() > 0
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, KnownVolume>> {
        // Whoever panicked while holding it left whole entries behind.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All volumes, by petname.
    pub(super) fn all(&self) -> Vec<KnownVolume> {
        self.known().values().cloned().collect()
    }

    /// The one that a petname, or the digits of its id, stand for.
    pub(super) fn find(&self, name: &str) -> Result<KnownVolume, VolumesError> {
        let known = self.known();
        let by_id = || known.values().find(|known| known.keys.id().to_string().eq_ignore_ascii_case(name));
        let found = known.get(name).or_else(by_id).cloned();
        found.ok_or_else(|| VolumesError::NoSuchVolume(name.to_owned()))
    }

    /// Takes a volume in. Durable when this returns. One that can only be read becomes one that can be written to.
    pub(super) fn insert(
        &self,
        petname: &str,
        keys: VolumeKeys,
        now: u64,
    ) -> Result<KnownVolume, VolumesError> {
        check_petname(petname)?;
        let mut known = self.known();
        let same = known.values().find(|known| known.keys.id() == keys.id());
        match same {
            Some(same) if same.petname != petname => return Err(VolumesError::Known(same.petname.clone())),
            Some(same) if same.keys.pair().is_some() || keys.pair().is_none() => {
                return Err(VolumesError::Exists(petname.to_owned()));
            }
            Some(_) => {}
            None if known.contains_key(petname) => return Err(VolumesError::Exists(petname.to_owned())),
            None if known.len() >= VOLUMES_MAX => return Err(VolumesError::TooMany(VOLUMES_MAX)),
            None => {}
        }
        let volume = KnownVolume { petname: petname.to_owned(), created: now, keys };
        let value = Some(row_of(&volume)?);
        self.rows.change(true, &[Change { table: KNOWN, key: petname.into(), value }])?;
        known.insert(petname.to_owned(), volume.clone());
        Ok(volume)
    }

    /// Takes a volume in under `petname`, or one like it that is free, and says whether it was not known here. One that
    /// is known keeps its petname; one that can only be read becomes one that can be written to. Durable when this
    /// returns.
    pub(super) fn take_in(
        &self,
        petname: &str,
        keys: VolumeKeys,
        now: u64,
    ) -> Result<(KnownVolume, bool), VolumesError> {
        check_petname(petname)?;
        let known = self.all().into_iter().find(|known| known.keys.id() == keys.id());
        if let Some(known) = known {
            if known.keys.pair().is_none() && keys.pair().is_some() {
                return Ok((self.insert(&known.petname, keys, known.created)?, false));
            }
            return Ok((known, false));
        }
        let base = petname.get(..PETNAME_MAX - SUFFIX_MAX).unwrap_or(petname);
        let numbered = (2..=VOLUMES_MAX).map(|number| format!("{base}-{number}"));
        for petname in std::iter::once(petname.to_owned()).chain(numbered) {
            match self.insert(&petname, keys.clone(), now) {
                Err(VolumesError::Exists(_)) => {}
                done => return Ok((done?, true)),
            }
        }
        Err(VolumesError::TooMany(VOLUMES_MAX))
    }

    /// Forgets how to open a volume.
    pub(super) fn remove(&self, petname: &str) -> Result<(), VolumesError> {
        let mut known = self.known();
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        let was_home = known.get(petname).is_some_and(|volume| Some(volume.keys.id()) == *home);
        let mut changes = vec![Change { table: KNOWN, key: petname.into(), value: None }];
        changes.extend(was_home.then(|| Change { table: HOME, key: HOME_KEY.into(), value: None }));
        self.rows.change(true, &changes)?;
        known.remove(petname);
        if was_home {
            *home = None;
        }
        Ok(())
    }

    /// The volume that a recovery phrase opens.
    pub(super) fn home(&self) -> Option<VolumeId> {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is this one from now on. Durable when this returns.
    pub(super) fn set_home(&self, volume: VolumeId) -> io::Result<()> {
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        self.rows
            .change(true, &[Change { table: HOME, key: HOME_KEY.into(), value: Some(volume.0.to_vec()) }])?;
        *home = Some(volume);
        Ok(())
    }

    /// The newest head that was seen here.
    pub(super) fn seen(&self, volume: VolumeId) -> Option<Held> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&volume).cloned()
    }

    /// Remembers a head, if it is newer.
    pub(super) fn remember(&self, volume: VolumeId, held: &Held, durable: bool) -> io::Result<()> {
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.get(&volume).is_some_and(|known| known.record.seq() >= held.record.seq()) {
                return Ok(());
            }
            seen.insert(volume, held.clone());
        }
        let value = Some(postcard::to_allocvec(held).map_err(io::Error::other)?);
        self.rows.change(durable, &[Change { table: SEEN, key: volume.0.to_vec(), value }])
    }

    /// Notes what a put is about to keep. If its daemon is killed or its client is gone before anything came of it, it
    /// is found here and let go of in time.
    pub(super) fn keep_soon(&self, root: ChunkId, kept: &KeptFor) -> Result<(), PutError> {
        self.keep(root, kept).map_err(PutError::NotKept)
    }

    /// Of what was found and what was seen before the newer one: a head that was seen is signed, and the next one has a
    /// higher number.
    pub(super) fn newest(&self, volume: VolumeId, found: Option<Held>) -> Result<Option<Held>, VolumesError> {
        match (found, self.seen(volume)) {
            (Some(found), Some(seen)) if found.record.seq() < seen.record.seq() => {
                Err(VolumesError::RolledBack { found: found.record.seq(), seen: seen.record.seq() })
            }
            (Some(found), _) => {
                self.remember(volume, &found, false)?;
                Ok(Some(found))
            }
            (None, seen) => Ok(seen),
        }
    }

    /// Notes that something is kept for a volume, or since when it is not needed any more.
    pub(super) fn keep(&self, root: ChunkId, kept: &KeptFor) -> io::Result<()> {
        let value = Some(postcard::to_allocvec(kept).map_err(io::Error::other)?);
        self.rows.change(true, &[Change { table: KEPT, key: root.0.to_vec(), value }])
    }

    /// Notes that it is not kept any more.
    pub(super) fn release(&self, root: ChunkId) -> io::Result<()> {
        self.rows.change(true, &[Change { table: KEPT, key: root.0.to_vec(), value: None }])
    }

    /// One of the things that are kept.
    pub(super) fn kept(&self, root: ChunkId) -> io::Result<Option<KeptFor>> {
        let row = self.rows.get(KEPT, &root.0)?;
        Ok(row.and_then(|row| postcard::from_bytes(&row).ok()))
    }

    /// All that is kept for volumes.
    pub(super) fn all_kept(&self) -> io::Result<Vec<(ChunkId, KeptFor)>> {
        let rows = self.rows.all(KEPT)?.into_iter();
        let read = rows.filter_map(|(root, row)| {
            Some((ChunkId(root.try_into().ok()?), postcard::from_bytes(&row).ok()?))
        });
        Ok(read.collect())
    }
}

fn check_petname(petname: &str) -> Result<(), VolumesError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if petname.is_empty() || petname.len() > PETNAME_MAX || !petname.bytes().all(fits) {
        return Err(VolumesError::BadPetname(petname.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
