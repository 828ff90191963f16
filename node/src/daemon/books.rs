//! What lies in the data directory, opened in the order in which one needs the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chordage_storage::catalog::Catalog;
use chordage_storage::lease::Keeps;
use chordage_storage::repair::Ledger;
use chordage_storage::store::Reserve;
use chordage_storage::{ConvergenceSecret, ShardStore, StoreConfig};

use super::StartError;
use super::ground::Ground;
use crate::config::Config;
use crate::datadir::DataDir;
use crate::disk::reserve_bytes;
use crate::found::Found;
use crate::identity::Identity;
use crate::names::{Keyring, NAMES_FILE};
use crate::recordbook::{RECORDS_FILE, RecordBook};
use crate::repair::LEDGER_FILE;
use crate::services::{SERVICES_FILE, ServiceBook};
use crate::store::{HeldLeases, Store};
use crate::tasks::Tasks;
use crate::volumes::{VOLUMES_FILE, VolumeBook};

/// All of it.
pub(super) struct Books {
    pub(super) identity: Identity,
    pub(super) secret: ConvergenceSecret,
    pub(super) store: Store,
    pub(super) keeps: Keeps,
    pub(super) ledger: Arc<Ledger>,
    pub(super) catalog: Option<Arc<Catalog>>,
    pub(super) records: RecordBook,
    pub(super) keyring: Keyring,
    pub(super) services: ServiceBook,
    pub(super) volumes: VolumeBook,
    /// Room that is kept for the books when the disk is full.
    pub(super) reserve: Reserve,
    /// What was damaged or missing.
    pub(super) found: Found,
}

impl Books {
    /// Opens or makes everything. The store's writer is one of `tasks`.
    pub(super) fn open(
        dir: &DataDir,
        Ground { config, network, .. }: &Ground,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        let reserve = Reserve::new(dir.path(), reserve_bytes(config.quota_bytes));
        if reserve.give_back_if_full() {
            tracing::warn!("the disk is full: the books are written into the room that was kept in reserve");
        }
        let mut found = Found::new(dir.lost());
        let identity = Identity::load(dir)?;
        found.opened("key", false);
        let secret = ConvergenceSecret::new(dir.secret("secret")?.bytes);
        found.opened("secret", false);
        if identity.is_new {
            tracing::info!(path = %dir.join("key").display(), "made a new key: to all others this daemon is a new one");
        }
        let store = open_store(dir, config, &mut found, tasks)?;
        let keeps = open_keeps(dir)?;
        found.opened("keeps/keeps.redb", keeps.begun_anew() > 0);
        let ledger =
            Ledger::open(dir.path(), LEDGER_FILE).map_err(|error| StartError::System(error.to_string()))?;
        found.opened(LEDGER_FILE, ledger.begun_anew());
        let records = RecordBook::open(dir.path(), *network)
            .map_err(|error| StartError::System(format!("cannot open {RECORDS_FILE}: {error}")))?;
        found.opened(RECORDS_FILE, records.begun_anew());
        let keyring = Keyring::open(dir.path())
            .map_err(|error| StartError::System(format!("cannot open {NAMES_FILE}: {error}")))?;
        found.opened(NAMES_FILE, keyring.begun_anew());
        let services = ServiceBook::open(dir.path())
            .map_err(|error| StartError::System(format!("cannot open {SERVICES_FILE}: {error}")))?;
        found.opened(SERVICES_FILE, services.begun_anew());
        let volumes = VolumeBook::open(dir.path())
            .map_err(|error| StartError::System(format!("cannot open {VOLUMES_FILE}: {error}")))?;
        found.opened(VOLUMES_FILE, volumes.begun_anew());
        let catalog = open_catalog(dir, &secret);
        found
            .opened("catalog/catalog.redb", catalog.as_ref().is_some_and(|catalog| catalog.begun_anew() > 0));
        Ok(Books {
            identity,
            secret,
            store,
            keeps,
            ledger: Arc::new(ledger),
            catalog,
            records,
            keyring,
            services,
            volumes,
            reserve,
            found,
        })
    }
}

/// Puts work without it, and send more.
fn open_catalog(dir: &DataDir, secret: &ConvergenceSecret) -> Option<Arc<Catalog>> {
    let path = dir.join("catalog");
    match Catalog::open(&path, secret) {
        Ok(Some(catalog)) => Some(Arc::new(catalog)),
        Ok(None) => {
            tracing::warn!(path = %path.display(), "the catalog of earlier puts is in use; puts will send everything");
            None
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the catalog of earlier puts cannot be opened; puts will send everything");
            None
        }
    }
}

fn open_keeps(dir: &DataDir) -> Result<Keeps, StartError> {
    let path = dir.join("keeps");
    book(&path, Keeps::open(&path))
}

fn book<T>(path: &Path, opened: std::io::Result<Option<T>>) -> Result<T, StartError> {
    let failed = |problem: String| StartError::Leases { path: path.to_owned(), problem };
    opened.map_err(|error| failed(error.to_string()))?.ok_or_else(|| failed("it is in use".to_owned()))
}

fn open_store(dir: &DataDir, config: &Config, found: &mut Found, tasks: &Tasks) -> Result<Store, StartError> {
    let path = dir.join("shards");
    let shards = ShardStore::open(&path, StoreConfig::with_quota(config.quota_bytes))
        .map_err(|source| StartError::Store { path, source })?;
    let recovered = shards.take_recovered();
    found.opened("shards/format", false);
    found.recovered(&recovered);
    let path = dir.join("claims");
    let leases = book(&path, HeldLeases::open(&path, &config.leases, shards.usage().shards))?;
    found.opened("claims/claims.redb", leases.begun_anew());
    if config.debug_lease_seconds > 0 {
        let passed = Duration::from_secs(config.debug_lease_seconds.into());
        leases
            .pass(passed)
            .map_err(|error| StartError::System(format!("cannot write the claims: {error}")))?;
    }
    let store = Store::start(shards, leases, tasks).map_err(StartError::Threads)?;
    store.lost_before(recovered.shards);
    Ok(store)
}
