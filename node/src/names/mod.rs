//! Names: what a key says it stands for, as a signed record at the nodes nearest to it.
//!
//! A name is a key, or a petname of one that only this daemon knows, and a path below it. The record of a key lists its
//! paths; a path may be delegated, with everything below it, to another key, and a name may stand for another name. So
//! resolving takes as many reads as there are keys on the way, and shows each with whoever vouches for it.

mod anchor;
mod content;
mod error;
mod keyring;
mod publish;
mod resolve;
mod sealed;
mod watch;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chordage_api::name::{Name, NameKey, Root, check_label};
use chordage_api::types::{NameEntry, NameInfo, NameVersion, SealedKey};
use chordage_dht::{Namespace, RecordName};
use libp2p::identity::ed25519;

pub(crate) use self::anchor::AnchorError;
use self::content::{Content, Target};
pub(crate) use self::error::NamesError;
pub(crate) use self::keyring::KeyringError;
pub(crate) use self::keyring::{Keyring, NAMES_FILE, OwnKey};
pub(crate) use self::resolve::Trail;
use crate::clock::wall_clock;
use crate::driver::DriverHandle;
use crate::network::NetworkFingerprint;
use crate::resolver::Resolver;

/// How long reading or changing one record may take.
const RECORD_WITHIN: Duration = Duration::from_secs(15);

/// Reads and publishes names. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Names {
    driver: DriverHandle,
    keyring: Arc<Keyring>,
    network: NetworkFingerprint,
    resolver: Resolver,
    /// Held while a passphrase is being worked on.
    sealing: Arc<tokio::sync::Mutex<()>>,
}

impl Names {
    /// `resolver`: whom to ask for the keys of domains.
    pub(crate) fn new(
        driver: DriverHandle,
        keyring: Keyring,
        network: NetworkFingerprint,
        resolver: Resolver,
    ) -> Self {
        Names { driver, keyring: Arc::new(keyring), network, resolver, sealing: Arc::default() }
    }

    /// Makes a key and calls it `petname`.
    pub(crate) async fn create(&self, petname: &str) -> Result<NameInfo, NamesError> {
        check_label(petname)?;
        let (keyring, petname) = (self.keyring.clone(), petname.to_owned());
        let made = on_disk(move || keyring.create(&petname, now())).await?;
        let made = made?;
        Ok(NameInfo { key: made.public().to_string(), petname: made.petname, created: made.created, seq: 0 })
    }

    /// The keys of this daemon, with their secret halves.
    pub(crate) fn keys(&self) -> Vec<OwnKey> {
        self.keyring.all()
    }

    /// Takes a key in under `petname`, or one like it that is free. `None`: it was known already.
    pub(crate) async fn take_in(
        &self,
        petname: &str,
        pair: ed25519::Keypair,
        created: u64,
    ) -> Result<Option<NameInfo>, NamesError> {
        check_label(petname)?;
        let (keyring, petname) = (self.keyring.clone(), petname.to_owned());
        let taken = on_disk(move || keyring.take_in(&petname, &pair, created)).await??;
        Ok(taken.map(|own| self.info(own)))
    }

    /// The keys of this daemon.
    pub(crate) fn list(&self) -> Vec<NameInfo> {
        self.keyring.all().into_iter().map(|own| self.info(own)).collect()
    }

    fn info(&self, own: OwnKey) -> NameInfo {
        NameInfo {
            key: own.public().to_string(),
            seq: self.keyring.seen(&record_of(own.public()).address()).map_or(0, |held| held.record.seq()),
            created: own.created,
            petname: own.petname,
        }
    }

    /// Forgets a key for good; nobody can publish under it any more. What is published stays until it ends.
    pub(crate) async fn delete(&self, petname: &str) -> Result<(), NamesError> {
        let (keyring, petname) = (self.keyring.clone(), petname.to_owned());
        on_disk(move || keyring.delete(&petname)).await?.map_err(NamesError::from)
    }

    /// The key of a name, sealed under a passphrase.
    pub(crate) async fn export(&self, petname: &str, passphrase: String) -> Result<SealedKey, NamesError> {
        let unknown = || KeyringError::Unknown(petname.to_owned());
        let own = self.keyring.by_petname(petname).ok_or_else(unknown)?;
        let key = own.public().to_string();
        // One at a time: each takes 64 MiB.
        let _turn = self.sealing.lock().await;
        let sealed = on_disk(move || sealed::seal(&own.pair, &passphrase)).await??;
        Ok(SealedKey { petname: petname.to_owned(), key, sealed })
    }

    /// Takes a key in that was sealed, and calls it `petname`. The newest version that the network has of it is looked
    /// for with the next publication, as always.
    pub(crate) async fn import(
        &self,
        petname: &str,
        sealed: String,
        passphrase: String,
    ) -> Result<NameInfo, NamesError> {
        check_label(petname)?;
        let _turn = self.sealing.lock().await;
        let (keyring, name) = (self.keyring.clone(), petname.to_owned());
        let made = on_disk(move || {
            let pair = sealed::open(&sealed, &passphrase)?;
            keyring.insert(&name, pair, now()).map_err(NamesError::from)
        });
        let made = made.await??;
        Ok(self.info(made))
    }

    /// The versions of a name that this daemon has published or seen, the newest first.
    pub(crate) async fn history(&self, name: &str) -> Result<Vec<NameVersion>, NamesError> {
        let key = self.key_of(&name.parse()?).await?;
        let (keyring, address) = (self.keyring.clone(), record_of(key).address());
        let held = on_disk(move || keyring.history(&address)).await?.map_err(KeyringError::from)?;
        let version = |held: &chordage_dht::Held| NameVersion {
            seq: held.record.seq(),
            valid_until: held.record.statement().valid_until,
            entries: Content::decode(&held.record.statement().value).map(entries).unwrap_or_default(),
        };
        Ok(held.iter().map(version).collect())
    }

    /// Whether it is a name, whose petname is known here if it begins with one.
    pub(crate) fn check(&self, name: &str) -> Result<(), NamesError> {
        match name.parse::<Name>()?.root {
            Root::Petname(petname) => self.of_petname(&petname).map(drop),
            Root::Key(_) | Root::Domain(_) => Ok(()),
        }
    }

    /// The key at which a name begins.
    async fn key_of(&self, name: &Name) -> Result<NameKey, NamesError> {
        match &name.root {
            Root::Key(key) => Ok(*key),
            Root::Petname(petname) => self.of_petname(petname),
            Root::Domain(domain) => Ok(self.anchor(domain).await?.key),
        }
    }

    fn of_petname(&self, petname: &str) -> Result<NameKey, NamesError> {
        let own = self.keyring.by_petname(petname);
        own.map(|own| own.public()).ok_or_else(|| KeyringError::Unknown(petname.to_owned()).into())
    }
}

fn entries(content: Content) -> Vec<NameEntry> {
    let entry = |(path, target): (String, Target)| NameEntry {
        path,
        target: target.text(),
        delegated: matches!(target, Target::Delegate(_)),
    };
    content.entries.into_iter().map(entry).collect()
}

/// The record in which a key says what it stands for.
fn record_of(key: NameKey) -> RecordName {
    RecordName::without_salt(Namespace::NAMES, key.0)
}

/// Seconds since 1970.
fn now() -> u64 {
    wall_clock().0 / 1000
}

/// Lets the disk keep only this request waiting.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NamesError> {
    let panicked = |error: tokio::task::JoinError| KeyringError::Io(io::Error::other(error));
    tokio::task::spawn_blocking(work).await.map_err(|error| panicked(error).into())
}
