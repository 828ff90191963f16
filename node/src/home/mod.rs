//! The home of a person: a volume whose secret comes from a recovery phrase, in which their daemons enter what opens
//! all the rest, their volumes and the keys of their names. Who has lost a machine brings it all back on another with
//! the phrase alone.
//!
//! ```text
//!  twelve words ──Argon2id──▶ secret of the home volume ──▶ its head, a record ──▶ volumes/…, names/…
//! ```
//!
//! Entering goes one way: what a daemon has and the home has not is entered. Taking out of the home happens when
//! somebody recovers. See decision 23.

mod entries;
mod error;
mod keys;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_api::name::check_label;
use chordage_api::phrase::{ENTROPY_LEN, RecoveryPhrase};
use chordage_api::types::{
    HomeChecked, HomeCreated, HomeRecovered, HomeStatus, PublishState, VolumeChange, VolumeChanges,
    VolumeInfo, VolumeValue,
};
use chordage_api::volume::Capability;

use self::entries::{HOME, HomeEntry, NAMES, NameEntry, VERSION, VOLUMES, VolumeEntry};
pub(crate) use self::error::HomeError;
use crate::clock::wall_clock;
use crate::names::Names;
use crate::volumes::{Volumes, VolumesError};

/// How often it is looked whether there is something to enter.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long it is not tried again after the network did not take it.
const PAUSE: Duration = Duration::from_secs(30);
/// Entries that are made at a time.
const TOGETHER: usize = 500;
/// What the volume is called at the daemons of its owner.
const PETNAME: &str = "home";

/// What the home has, as far as this daemon has seen: values by key, in base64.
type Seen = BTreeMap<String, String>;

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Home {
    inner: Arc<Inner>,
}

struct Inner {
    volumes: Volumes,
    names: Names,
    seen: Mutex<Option<Seen>>,
    /// Held while a home is made or recovered, and while a phrase is worked on: each takes 64 MiB.
    turn: tokio::sync::Mutex<()>,
}

impl Home {
    /// Enters these volumes and the keys of these names.
    pub(crate) fn new(volumes: Volumes, names: Names) -> Self {
        let inner = Inner { volumes, names, seen: Mutex::default(), turn: tokio::sync::Mutex::default() };
        Home { inner: Arc::new(inner) }
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        // Each change leaves it whole.
        self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a home and enters everything that this daemon has. Only this answer has the phrase.
    pub(crate) async fn create(&self) -> Result<HomeCreated, HomeError> {
        let _turn = self.inner.turn.lock().await;
        if self.inner.volumes.home().is_some() {
            return Err(HomeError::Exists);
        }
        let mut entropy = [0; ENTROPY_LEN];
        getrandom::fill(&mut entropy).map_err(|_| HomeError::NoRandomness)?;
        let phrase = RecoveryPhrase::of(&entropy).ok_or(HomeError::NoRandomness)?;
        // The home itself is not one of them.
        let mut all = self.all();
        let (volume, _) = self.open(&phrase).await?;
        let entry = HomeEntry { version: VERSION, created: wall_clock().0 / 1000 };
        all.insert(0, entries::entered(HOME.to_owned(), &entry));
        if let Err(error) = self.enter(&volume.volume, &all).await {
            // The phrase is told to nobody, so that it opens nothing.
            self.inner.volumes.remove(&volume.volume).await?;
            *self.seen() = None;
            return Err(error);
        }
        self.inner.volumes.set_home(&volume.volume).await?;
        Ok(HomeCreated { phrase: phrase.to_string(), home: self.status() })
    }

    /// Takes in what a phrase opens and this daemon does not have yet; it looks after it from then on.
    pub(crate) async fn recover(&self, phrase: &str) -> Result<HomeRecovered, HomeError> {
        let phrase: RecoveryPhrase = phrase.parse()?;
        let _turn = self.inner.turn.lock().await;
        let before = self.inner.volumes.home();
        let (volume, is_new) = self.open(&phrase).await?;
        let found = match before.filter(|before| *before != volume.volume) {
            Some(_) => Err(HomeError::Exists),
            None => self.read(&volume.volume).await,
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                if is_new {
                    self.inner.volumes.remove(&volume.volume).await?;
                }
                return Err(error);
            }
        };
        self.inner.volumes.set_home(&volume.volume).await?;
        let mut recovered = HomeRecovered {
            home: volume.volume,
            volumes: Vec::new(),
            names: Vec::new(),
            known: 0,
            not_understood: 0,
        };
        for (key, value) in &found {
            self.take_in(key, value, &mut recovered).await?;
        }
        *self.seen() = Some(found);
        self.inner.volumes.keep_soon();
        Ok(recovered)
    }

    /// Whether a phrase is that of this daemon's home.
    pub(crate) async fn check(&self, phrase: &str) -> Result<HomeChecked, HomeError> {
        let phrase: RecoveryPhrase = phrase.parse()?;
        let home = self.inner.volumes.home().ok_or(HomeError::None)?;
        let _turn = self.inner.turn.lock().await;
        let capability = self.capability(&phrase).await?;
        Ok(HomeChecked { opens: Volumes::name_of(&capability).is_some_and(|name| name == home) })
    }

    /// What is entered.
    pub(crate) fn status(&self) -> HomeStatus {
        let volume = self.inner.volumes.home();
        let waiting = if volume.is_some() { self.missing().len() as u64 } else { 0 };
        let seen = self.seen();
        let count = |prefix: &str| {
            let keys = seen.iter().flat_map(BTreeMap::keys);
            keys.filter(|key| key.starts_with(prefix)).count() as u64
        };
        HomeStatus { volume, volumes: count(VOLUMES), names: count(NAMES), waiting }
    }

    /// Enters what is new, for ever.
    pub(crate) async fn look_after(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(home) = self.inner.volumes.home() else { continue };
            if let Err(error) = self.enter_missing(&home).await {
                tracing::debug!(%error, "what is new cannot be entered into the home now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn enter_missing(&self, home: &str) -> Result<(), HomeError> {
        if self.seen().is_none() {
            let found = self.read(home).await?;
            *self.seen() = Some(found);
        }
        let missing = self.missing();
        if missing.is_empty() { Ok(()) } else { self.enter(home, &missing).await }
    }

    async fn capability(&self, phrase: &RecoveryPhrase) -> Result<Capability, HomeError> {
        let phrase = phrase.clone();
        let secret = tokio::task::spawn_blocking(move || keys::secret_of(&phrase)).await;
        let secret = secret.ok().flatten().ok_or(HomeError::NoMemory)?;
        Ok(Capability::Write { secret })
    }

    /// The home volume of a phrase, and whether this daemon did not know it before.
    async fn open(&self, phrase: &RecoveryPhrase) -> Result<(VolumeInfo, bool), HomeError> {
        let capability = self.capability(phrase).await?;
        Ok(self.inner.volumes.take_in(PETNAME, capability).await?)
    }

    /// All entries of a home.
    async fn read(&self, home: &str) -> Result<Seen, HomeError> {
        let (mut found, mut after) = (Seen::new(), None);
        loop {
            let page = self.inner.volumes.values(home, String::new(), after.take(), None).await?;
            if page.seq == 0 {
                return Err(HomeError::NotFound);
            }
            after = page.values.last().map(|last| last.key.clone()).filter(|_| page.more);
            found.extend(page.values.into_iter().map(|VolumeValue { key, value }| (key, value)));
            if after.is_none() {
                break;
            }
        }
        let entry: Option<HomeEntry> = found.get(HOME).and_then(|value| entries::read(value));
        match entry {
            Some(HomeEntry { version: VERSION, .. }) => Ok(found),
            Some(HomeEntry { version, .. }) => Err(HomeError::Newer(version)),
            None => Err(HomeError::NotFound),
        }
    }

    /// What this daemon has.
    fn all(&self) -> Vec<VolumeChange> {
        let volumes = self.inner.volumes.opened().into_iter().map(|(name, petname, capability)| {
            let entry = VolumeEntry { petname, capability: capability.to_string() };
            entries::entered(format!("{VOLUMES}{name}"), &entry)
        });
        let names = self.inner.names.keys().into_iter().map(|own| {
            let key = format!("{NAMES}{}", chordage_api::hex(&own.public().0));
            entries::entered(key, &NameEntry::new(own.petname, &own.pair, own.created))
        });
        volumes.chain(names).collect()
    }

    /// Of that, what the home has not. Petnames that another daemon chose stay.
    fn missing(&self) -> Vec<VolumeChange> {
        let all = self.all();
        let seen = self.seen();
        let is_missing = |change: &VolumeChange| match seen.as_ref().and_then(|seen| seen.get(&change.key)) {
            None => true,
            Some(there) => writes(change.value.as_deref().unwrap_or_default()) && !writes(there),
        };
        all.into_iter().filter(is_missing).collect()
    }

    /// Enters these, which a majority has stored then.
    async fn enter(&self, home: &str, changes: &[VolumeChange]) -> Result<(), HomeError> {
        for some in changes.chunks(TOGETHER) {
            let request =
                VolumeChanges { volume: home.to_owned(), changes: some.to_vec(), moves: Vec::new() };
            let changed = self.inner.volumes.change(request).await?;
            if changed.state == PublishState::Unknown {
                return Err(HomeError::Unknown);
            }
            let mut seen = self.seen();
            let seen = seen.get_or_insert_default();
            let entered = some.iter().filter_map(|change| Some((change.key.clone(), change.value.clone()?)));
            seen.extend(entered);
        }
        Ok(())
    }

    /// Takes in what an entry stands for.
    async fn take_in(&self, key: &str, value: &str, into: &mut HomeRecovered) -> Result<(), HomeError> {
        if key.starts_with(VOLUMES) {
            let entry: Option<VolumeEntry> = entries::read(value);
            let capability = entry.and_then(|entry| Some((entry.petname, entry.capability.parse().ok()?)));
            let Some((petname, capability)) = capability else {
                into.not_understood += 1;
                return Ok(());
            };
            match self.inner.volumes.take_in(&petname, capability).await {
                Ok((info, true)) => into.volumes.push(info),
                Ok((_, false)) => into.known += 1,
                // Newer versions may allow more.
                Err(VolumesError::BadPetname(_)) => into.not_understood += 1,
                Err(error) => return Err(error.into()),
            }
        } else if key.starts_with(NAMES) {
            let entry: Option<NameEntry> = entries::read(value);
            let entry = entry.filter(|entry| check_label(&entry.petname).is_ok());
            let Some((entry, pair)) = entry.and_then(|entry| Some((entry.clone(), entry.pair()?))) else {
                into.not_understood += 1;
                return Ok(());
            };
            match self.inner.names.take_in(&entry.petname, pair, entry.created).await? {
                Some(info) => into.names.push(info),
                None => into.known += 1,
            }
        } else if key != HOME {
            into.not_understood += 1;
        }
        Ok(())
    }
}

/// Whether the entry of a volume lets its reader write.
fn writes(value: &str) -> bool {
    let entry: Option<VolumeEntry> = entries::read(value);
    let capability = entry.and_then(|entry| entry.capability.parse::<Capability>().ok());
    matches!(capability, Some(Capability::Write { .. }))
}
