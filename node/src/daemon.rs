//! A daemon from start to end: what is opened in which order, and what is closed in which.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chordage_dht::PeerInfo;
use chordage_storage::catalog::Catalog;
use chordage_storage::lease::Keeps;
use chordage_storage::repair::Ledger;
use chordage_storage::store::Reserve;
use chordage_storage::{ConvergenceSecret, OpenError, ShardStore, StoreConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::address::to_address;
use crate::awake;
use crate::clock::{set_off_by, wall_time};
use crate::coding::{Budget, coders};
use crate::config::RepairConfig;
use crate::config::{Config, ConfigError, Role};
use crate::datadir::{DataDir, DataDirError};
use crate::descriptors;
use crate::disk::{reserve_bytes, watch_in_background};
use crate::driver::{Driver, DriverHandle, DriverParts, PEERS_FILE, Signer};
use crate::found::Found;
use crate::get::{Reader, Totals};
use crate::handle::{Inner, NodeHandle};
use crate::holders::Holders;
use crate::identity::Identity;
use crate::leases::{Keeping, Leases, RecentAnswers, start as start_leases};
use crate::listen::{LISTEN_FILE, ListenError, listen, remember};
use crate::placement::Placement;
use crate::put::{Planned, Putter, Usual, Waits};
use crate::record::Versions;
use crate::repair::{LEDGER_FILE, Repairer};
use crate::scrub::Scrubber;
use crate::server::{ApiServer, ServeError};
use crate::shards::{ShardClient, ShardServer, TrafficCounters};
use crate::store::HeldLeases;
use crate::store::Store;
use crate::tasks::{Fault, Tasks};
use crate::wire::{Protocols, build, listening};

/// How long a daemon that was asked to leave waits for requests under way.
const DRAIN: Duration = Duration::from_secs(10);

/// Why a daemon did not start. Nothing runs, and nothing in the data directory was lost.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The shard store cannot be opened.
    #[error("the shard store in {path} cannot be opened: {source}")]
    Store {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: OpenError,
    },
    /// A book of leases cannot be opened. Without it nobody knows what is still wanted.
    #[error("the book of leases in {path} cannot be opened: {problem}")]
    Leases {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// A port is taken, or the system refused.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The API cannot be served.
    #[error(transparent)]
    Api(#[from] ServeError),
    /// The system does not give a thread that a daemon needs.
    #[error("the system does not give as many threads as a daemon needs: {0}")]
    Threads(std::io::Error),
    /// The system does not give as many file descriptors as a daemon needs.
    #[error("the system lets this process open {limit} files and sockets, and a daemon needs {needed}", needed = descriptors::NEEDED)]
    Descriptors {
        /// What it gives.
        limit: u64,
    },
    /// The system refused something else.
    #[error("{0}")]
    System(String),
}

/// A running daemon.
pub struct Daemon {
    handle: NodeHandle,
    driver: DriverHandle,
    running: JoinHandle<()>,
    api: ApiServer,
}

impl Daemon {
    /// Starts a daemon on the data directory at `path`. It serves its API when this returns and goes on joining
    /// its network in the background.
    pub async fn start(path: &Path, config: Config) -> Result<Daemon, StartError> {
        Daemon::start_serving(path, config, |server| server).await
    }

    /// Like [`start`](Self::start), but others are served by what `serving` makes of the server.
    pub(crate) async fn start_serving(
        path: &Path,
        config: Config,
        serving: impl FnOnce(ShardServer) -> ShardServer,
    ) -> Result<Daemon, StartError> {
        config.check()?;
        let limit = descriptors::limit();
        if limit < descriptors::NEEDED {
            return Err(StartError::Descriptors { limit });
        }
        let leaving = CancellationToken::new();
        let tasks = Tasks::new(leaving.clone(), config.debug_panic_task.clone());
        set_off_by(config.debug_clock_seconds);
        if std::env::var_os("SSLKEYLOGFILE").is_some() {
            // QUIC's TLS would write the session keys of every connection there.
            return Err(StartError::System(
                "SSLKEYLOGFILE is set: it would write the keys of every connection to a file; unset it"
                    .to_owned(),
            ));
        }
        let dir = Arc::new(DataDir::open(path)?);
        let reserve = Reserve::new(dir.path(), reserve_bytes(config.quota_bytes));
        if reserve.give_back_if_full() {
            tracing::warn!("the disk is full: the books are written into the room that was kept in reserve");
        }
        let mut found = Found::new(dir.lost());
        let identity = Identity::load(&dir)?;
        found.opened("key", false);
        let secret = ConvergenceSecret::new(dir.secret("secret")?.bytes);
        found.opened("secret", false);
        if identity.is_new {
            tracing::info!(path = %dir.join("key").display(), "made a new key: to all others this daemon is a new one");
        }
        let store = open_store(&dir, &config, &mut found, &tasks)?;
        let keeps = open_keeps(&dir)?;
        found.opened("keeps/keeps.redb", keeps.begun_anew() > 0);
        let ledger =
            Ledger::open(&dir.join(LEDGER_FILE)).map_err(|error| StartError::System(error.to_string()))?;
        found.opened(LEDGER_FILE, ledger.begun_anew());
        let ledger = Arc::new(ledger);
        let catalog = open_catalog(&dir, &secret);
        found
            .opened("catalog/catalog.redb", catalog.as_ref().is_some_and(|catalog| catalog.begun_anew() > 0));

        let metric = config.metric;
        let protocols = Protocols::new(&config.network, &metric.to_string());
        let signer = Signer::new(identity.keypair.clone());
        let mut swarm = build(identity.keypair, protocols, &config.connections)
            .map_err(|error| StartError::System(error.to_string()))?;
        let is_client = config.overlay.role == Role::Client;
        let mut announced = config.announce.clone();
        if !is_client {
            let last = dir.read(LISTEN_FILE)?.unwrap_or_default();
            let bound = listen(&mut swarm, &config.listen, &String::from_utf8_lossy(&last)).await?;
            remember(&dir, bound.iter())?;
            let listened = listening(&swarm);
            if announced.is_empty() {
                announced = listened;
            }
        } else if store.shards().usage().shards > 0 {
            tracing::warn!(
                shards = store.shards().usage().shards,
                "as a client it holds shards of its time as a member that nobody will ask for: start it as a member and \
                 drain it first"
            );
        }
        // A record without addresses is what makes a client.
        let addrs = announced.iter().filter_map(to_address).take(8).collect();
        let (version, versions) = Versions::begin(dir.clone(), wall_time())?;
        let local = PeerInfo::new(identity.public_key, addrs, version)
            .map_err(|error| StartError::System(error.to_string()))?
            .in_zone(config.zone.clone());
        let local_id = local.id();

        let draining = CancellationToken::new();
        let traffic = Arc::new(TrafficCounters::default());
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| StartError::System(error.to_string()))?;
        let met = dir.read(PEERS_FILE)?.is_some_and(|peers| !peers.is_empty());
        let knows_others = met || !config.bootstrap.is_empty();
        let server = serving(
            ShardServer::new(store.clone(), leaving.clone(), traffic.clone())
                .with_repair(ledger.clone(), draining.clone())
                .with_role(config.overlay.role),
        );
        let (driver, driver_handle) = Driver::new(DriverParts {
            swarm,
            local,
            versions,
            signer,
            network: config.network.clone(),
            metric,
            seed,
            bootstrap: config.bootstrap.clone(),
            announce: config.announce.clone(),
            dir: dir.clone(),
            delay: Duration::from_millis(config.debug_delay_ms.into()),
            connections: config.connections.clone(),
            overlay: config.overlay.clone(),
            accept_shards: Box::new(move |peer, stream| {
                drop(tokio::spawn(server.clone().serve(peer, stream)));
            }),
        });
        let placement = Placement { driver: driver_handle.clone(), local: local_id, metric };
        let client = ShardClient::new(driver_handle.clone(), traffic.clone());
        let holders = Arc::new(Holders::new(local_id, store.clone(), client));
        let coders = coders().map_err(StartError::Threads)?;
        let budget = Budget::new(config.transfer_memory_bytes);
        let keeping = Keeping::new(keeps, local_id, config.leases);
        let reader = Arc::new(Reader {
            placement: placement.clone(),
            holders: holders.clone(),
            coders: coders.clone(),
            budget: budget.clone(),
            keeping: keeping.clone(),
            totals: Totals::default(),
        });
        let leases = Arc::new(Leases { placement, holders, keeping, recent: RecentAnswers::default() });
        let putter = Arc::new(Putter {
            leases: leases.clone(),
            coders,
            budget,
            catalog,
            planned: Planned::default(),
            waits: Waits::default(),
            usual: Arc::new(Usual::load(dir.clone())),
        });
        // Who holds nothing looks after nothing.
        let repair = RepairConfig { enabled: config.repair.enabled && !is_client, ..config.repair };
        let repairer = Repairer::start(&reader, repair, ledger, tasks.clone(), draining);
        let scrubber = Scrubber::start(store.clone(), dir.clone(), config.scrub, &tasks);
        watch_in_background(store, reserve, &tasks);
        tasks.background("awake", awake::keep_watch);
        start_leases(&leases, &dir, knows_others, &tasks);
        let handle = NodeHandle {
            inner: Arc::new(Inner {
                reader,
                leases,
                putter,
                traffic,
                repairer,
                scrubber,
                secret,
                metric,
                started: Instant::now(),
                leaving,
                tasks: tasks.clone(),
                connections_max: config.connections.max,
                found_at_start: found.into_all(),
            }),
        };
        let places = descriptors::api_share(limit, config.api_connections_max as usize);
        let api = ApiServer::start(handle.clone(), &dir, config.api_listen, places).await?;
        dir.remember_opened();
        let running = tokio::spawn(tasks.essential("driver", driver.run()));
        Ok(Daemon { handle, driver: driver_handle, running, api })
    }

    /// The daemon, for requests.
    pub fn handle(&self) -> &NodeHandle {
        &self.handle
    }

    /// Where the API is, as `--api` takes it.
    pub fn api_address(&self) -> String {
        self.api.address()
    }

    /// Waits until something without which there is no daemon has ended. What was acknowledged is durable; drop it, and start
    /// another.
    pub async fn failed(&self) -> Fault {
        self.handle.inner.tasks.failed().await
    }

    /// Leaves the network: refuses new work, waits a bounded time for requests under way, says goodbye. Fails if
    /// something without which there is no daemon has ended before it was asked to.
    pub async fn leave(self) -> Result<(), Fault> {
        self.handle.inner.leaving.cancel();
        self.api.drain(DRAIN).await;
        self.driver.leave().await;
        // The driver stops after its goodbyes; a panic in it is told below.
        let _ = self.running.await;
        self.handle.inner.reader.holders.store.flush_leases().await;
        if let Err(error) = self.handle.inner.reader.holders.store.shards().checkpoint() {
            tracing::error!(%error, "the shard store did not close cleanly; the next start checks its tail");
        }
        self.handle.inner.tasks.fault().map_or(Ok(()), Err)
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
    let store = Store::start(shards, leases, tasks).map_err(StartError::Threads)?;
    store.lost_before(recovered.shards);
    Ok(store)
}
