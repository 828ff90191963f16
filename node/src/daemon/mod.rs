//! A daemon from start to end: what is opened in which order, and what is closed in which.

mod books;
mod error;
mod ground;
mod presence;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chordage_dht::NodeId;
use chordage_storage::catalog::Catalog;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::books::Books;
pub use self::error::StartError;
use self::ground::Ground;
use self::presence::Presence;
use crate::awake;
use crate::clock::set_off_by;
use crate::coding::{Budget, coders};
use crate::config::{Config, Role};
use crate::datadir::DataDir;
use crate::descriptors;
use crate::disk::watch_in_background;
use crate::dns::{DnsError, DnsServer};
use crate::driver::{
    Acceptor, Acceptors, Driver, DriverHandle, DriverParts, PEERS_FILE, RecordParts, Signer, Visit, WaysIn,
};
use crate::get::Reader;
use crate::handle::{Gateways, Inner, NetworkOf, NodeHandle};
use crate::holders::Holders;
use crate::home::Home;
use crate::lan::Lan;
use crate::leases::{Keeping, Leases, start as start_leases};
use crate::names::{Keyring, Names};
use crate::network::NetworkFingerprint;
use crate::placement::Placement;
use crate::put::{Putter, Usual};
use crate::reachability::{Others, Reachability, Start, Visits};
use crate::recordbook::{RECORDS_FILE, RecordBook};
use crate::repair::Repairer;
use crate::resolver::Resolver;
use crate::scrub::Scrubber;
use crate::server::ApiServer;
use crate::services::{ServiceBook, Services};
use crate::shards::{ShardClient, ShardServer, TrafficCounters};
use crate::store::Store;
use crate::tasks::{Fault, Tasks};
use crate::topics::Topics;
use crate::volumes::{VolumeBook, Volumes};

/// How long a daemon that was asked to leave waits for requests under way.
const DRAIN: Duration = Duration::from_secs(10);

/// A running daemon.
pub struct Daemon {
    handle: NodeHandle,
    driver: DriverHandle,
    running: JoinHandle<()>,
    api: ApiServer,
    lan: Option<Lan>,
}

impl Daemon {
    /// Starts a daemon on the data directory at `path`. It serves its API when this returns and goes on joining
    /// its network in the background.
    pub async fn start(path: &Path, config: Config) -> Result<Daemon, StartError> {
        Box::pin(Daemon::start_serving(path, config, |server| server)).await
    }

    /// Like [`start`](Self::start), but others are served by what `serving` makes of the server.
    pub(crate) async fn start_serving(
        path: &Path,
        config: Config,
        serving: impl FnOnce(ShardServer) -> ShardServer,
    ) -> Result<Daemon, StartError> {
        config.check()?;
        set_off_by(config.debug_clock_seconds);
        let limit = allowed_by_the_system()?;
        let leaving = CancellationToken::new();
        let tasks = begin_tasks(&leaving, &config);
        let dir = Arc::new(DataDir::open(path)?);
        let ground = Ground::of(&dir, config)?;
        let (config, network) = (ground.config.clone(), ground.network);
        let books = Books::open(&dir, &ground, &tasks)?;
        warn_of_what_a_client_holds(&config, &books.store);
        let others = Others::of(&config, &dir.read(PEERS_FILE)?.unwrap_or_default());
        let presence = Presence::begin(&dir, books.identity, &ground, &others).await?;
        let (local, signer) = (presence.local.id(), presence.signer.clone());
        let (draining, traffic) = (CancellationToken::new(), Arc::<TrafficCounters>::default());
        let (part, visits) = (presence.start.part(), Visits::default());
        let server = shard_server(&books.store, &leaving, &traffic).with_part(part.clone());
        let server = serving(server.with_repair(books.ledger.clone(), draining.clone()));
        let lan = look_around(&presence, &ground, &tasks);
        let (driver, driver_handle, start) =
            drive(presence, &dir, &ground, (server, visits.acceptor()), books.records, lan.as_ref(), &tasks)?;
        ground.start(&driver_handle, &tasks);
        let reachability = Reachability::begin(&driver_handle, local, &dir, start, visits, &tasks);
        let placement = Placement { driver: driver_handle.clone(), local, metric: config.metric };
        let client = ShardClient::new(driver_handle.clone(), traffic.clone());
        let holders = Arc::new(Holders::new(local, books.store.clone(), client));
        let (keeping, usual) =
            (Keeping::new(books.keeps, local, config.leases), Arc::new(Usual::load(dir.clone())));
        let Pipelines { reader, leases, putter } =
            Pipelines::new(placement, holders, keeping, books.catalog, usual, config.transfer_memory_bytes)?;
        let repairer = Repairer::start(&reader, config.repair, books.ledger, tasks.clone(), (draining, part));
        let scrubber = Scrubber::start(books.store.clone(), dir.clone(), config.scrub, &tasks);
        watch_in_background(books.store, books.reserve, &tasks);
        start_leases(&leases, &dir, others.known, &tasks);
        let (names, topics) = publishers(&driver_handle, &signer, &ground, books.keyring);
        let services = start_services(&driver_handle, &signer, network, books.services, (&tasks, &leaving));
        let (volumes, home) = start_volumes(&reader, &putter, books.volumes, &names, network, &tasks);
        let dns = start_dns(&config, limit, &names, &services, &tasks).await?;
        let handle = NodeHandle::new(Inner {
            reader,
            leases,
            putter,
            traffic,
            repairer,
            reachability,
            scrubber,
            secret: books.secret,
            metric: config.metric,
            started: Instant::now(),
            leaving,
            tasks: tasks.clone(),
            names,
            services,
            topics,
            volumes,
            home,
            dns,
            network: NetworkOf {
                name: config.network.clone(),
                fingerprint: network,
                belongs: ground.belongs,
            },
            gateways: Gateways::default(),
            found_at_start: books.found.into_all(),
        });
        let places = descriptors::api_share(limit, config.api_connections_max as usize);
        let api = ApiServer::start(handle.clone(), &dir, config.api_listen, places).await?;
        dir.remember_opened();
        let running = tokio::spawn(tasks.essential("driver", driver.run()));
        Ok(Daemon { handle, driver: driver_handle, running, api, lan })
    }

    /// The daemon, for requests.
    pub fn handle(&self) -> &NodeHandle {
        &self.handle
    }

    /// Where the API is, as `--api` takes it.
    pub fn api_address(&self) -> String {
        self.api.address()
    }

    /// Waits until something without which there is no daemon has ended. What was acknowledged is durable; drop it, and
    /// start another.
    pub async fn failed(&self) -> Fault {
        self.handle.inner.tasks.failed().await
    }

    /// Leaves the network: refuses new work, waits a bounded time for requests under way, says goodbye. Fails if
    /// something without which there is no daemon has ended before it was asked to.
    pub async fn leave(self) -> Result<(), Fault> {
        self.handle.inner.leaving.cancel();
        self.handle.inner.services.leave().await;
        self.api.drain(DRAIN).await;
        self.driver.leave().await;
        // The driver stops after its goodbyes; a panic in it is told below.
        let _ = self.running.await;
        self.handle.inner.reachability.leave().await;
        if let Some(lan) = self.lan {
            lan.left().await;
        }
        self.handle.inner.reader.holders.store.flush_leases().await;
        if let Err(error) = self.handle.inner.reader.holders.store.shards().checkpoint() {
            tracing::error!(%error, "the shard store did not close cleanly; the next start checks its tail");
        }
        self.handle.inner.tasks.fault().map_or(Ok(()), Err)
    }
}

/// How many file descriptors it may have, if the system is one on which a daemon can run.
fn allowed_by_the_system() -> Result<u64, StartError> {
    if std::env::var_os("SSLKEYLOGFILE").is_some() {
        // QUIC's TLS would write the session keys of every connection there.
        return Err(StartError::System(
            "SSLKEYLOGFILE is set: it would write the keys of every connection to a file; unset it"
                .to_owned(),
        ));
    }
    let limit = descriptors::limit();
    if limit < descriptors::NEEDED { Err(StartError::Descriptors { limit }) } else { Ok(limit) }
}

/// What runs in the background; that the machine slept is noticed from now on.
fn begin_tasks(leaving: &CancellationToken, config: &Config) -> Tasks {
    let tasks = Tasks::new(leaving.clone(), config.debug_panic_task.clone());
    tasks.background("awake", awake::keep_watch);
    tasks
}

/// What it held as a member is of no use to anybody.
fn warn_of_what_a_client_holds(config: &Config, store: &Store) {
    let shards = store.shards().usage().shards;
    if config.overlay.role == Role::Client && shards > 0 {
        tracing::warn!(
            shards,
            "as a client it holds shards of its time as a member that nobody will ask for: start it as a member and \
             drain it first"
        );
    }
}

/// What tells others something under the keys of this daemon.
fn publishers(
    driver: &DriverHandle,
    signer: &Signer,
    &Ground { ref config, network, .. }: &Ground,
    keyring: Keyring,
) -> (Names, Topics) {
    let resolver = Resolver::new(config.dns.resolvers.clone());
    let names = Names::new(driver.clone(), keyring, network, resolver);
    (names, Topics::new(driver.clone(), signer.clone(), network))
}

/// What registers services and keeps them alive.
fn start_services(
    driver: &DriverHandle,
    signer: &Signer,
    network: NetworkFingerprint,
    book: ServiceBook,
    (tasks, leaving): (&Tasks, &CancellationToken),
) -> Services {
    let services = Services::new(driver.clone(), signer.clone(), network, book);
    services.start(tasks, leaving.clone());
    services
}

/// What serves shards to others.
fn shard_server(store: &Store, leaving: &CancellationToken, traffic: &Arc<TrafficCounters>) -> ShardServer {
    ShardServer::new(store.clone(), leaving.clone(), traffic.clone())
}

/// What keeps what changes, and frees in the background what it does not need any more; and what has all of it come
/// back.
fn start_volumes(
    reader: &Arc<Reader>,
    putter: &Arc<Putter>,
    book: VolumeBook,
    names: &Names,
    network: NetworkFingerprint,
    tasks: &Tasks,
) -> (Volumes, Home) {
    let volumes = Volumes::new(reader.clone(), putter.clone(), book, network);
    let swept = volumes.clone();
    tasks.background("volumes", move || swept.clone().sweep());
    let kept = volumes.clone();
    tasks.background("volumes of others", move || kept.clone().keep_together());
    let home = Home::new(volumes.clone(), names.clone());
    let entering = home.clone();
    tasks.background("home", move || entering.clone().look_after());
    (volumes, home)
}

/// Answers DNS, if the settings want that.
async fn start_dns(
    config: &Config,
    limit: u64,
    names: &Names,
    services: &Services,
    tasks: &Tasks,
) -> Result<Option<DnsServer>, DnsError> {
    let Some(at) = config.dns.listen else { return Ok(None) };
    let places = descriptors::dns_share(limit);
    DnsServer::start(at, places, names.clone(), services.clone(), tasks).await.map(Some)
}

/// Looks for others on the LAN, if it is to.
fn look_around(
    presence: &Presence,
    &Ground { ref config, network, .. }: &Ground,
    tasks: &Tasks,
) -> Option<Lan> {
    let own = *presence.swarm.local_peer_id();
    config.lan.enabled.then(|| Lan::start(network, own, &presence.bound, tasks))
}

/// The driver, which hands shard streams to `server`, and its handle.
fn drive(
    Presence { swarm, signer, local, versions, start, .. }: Presence,
    dir: &Arc<DataDir>,
    &Ground { ref config, network, ref belongs }: &Ground,
    (server, reach): (ShardServer, Acceptor),
    records: RecordBook,
    lan: Option<&Lan>,
    tasks: &Tasks,
) -> Result<(Driver, DriverHandle, Start), StartError> {
    let kept =
        records.load().map_err(|error| StartError::System(format!("cannot read {RECORDS_FILE}: {error}")))?;
    let record_disk = records.start(tasks).map_err(StartError::Threads)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::System(error.to_string()))?;
    let (driver, handle) = Driver::new(DriverParts {
        swarm,
        local,
        versions,
        signer,
        network: config.network.clone(),
        metric: config.metric,
        seed,
        ways_in: WaysIn { bootstrap: config.bootstrap.clone(), lan: lan.map(Lan::seen) },
        announced: start.first.clone(),
        dir: dir.clone(),
        delay: Duration::from_millis(config.debug_delay_ms.into()),
        connections: config.connections.clone(),
        overlay: config.overlay.clone(),
        acceptors: Acceptors {
            shards: Box::new(move |Visit { key, stream, .. }| {
                drop(tokio::spawn(server.clone().serve(NodeId::from_public_key(&key), stream)));
            }),
            papers: belongs.access().cloned().map(|access| {
                let accept = move |Visit { key, stream, .. }| {
                    drop(tokio::spawn(access.clone().serve(key, stream)));
                };
                Box::new(accept) as Acceptor
            }),
            reach,
        },
        records: RecordParts { network, work: belongs.work(), kept, disk: record_disk },
    });
    Ok((driver, handle, start))
}

/// What serves requests.
struct Pipelines {
    reader: Arc<Reader>,
    leases: Arc<Leases>,
    putter: Arc<Putter>,
}

impl Pipelines {
    /// `memory_bytes`: what puts and gets may have in memory at a time.
    fn new(
        placement: Placement,
        holders: Arc<Holders>,
        keeping: Keeping,
        catalog: Option<Arc<Catalog>>,
        usual: Arc<Usual>,
        memory_bytes: u64,
    ) -> Result<Self, StartError> {
        let coders = coders().map_err(StartError::Threads)?;
        let budget = Budget::new(memory_bytes);
        let reader = Arc::new(Reader {
            placement: placement.clone(),
            holders: holders.clone(),
            coders: coders.clone(),
            budget: budget.clone(),
            keeping: keeping.clone(),
            totals: Arc::default(),
            recent: Arc::default(),
        });
        let leases = Arc::new(Leases { placement, holders, keeping, recent: Arc::default() });
        let (planned, waits) = (Arc::default(), Arc::default());
        let putter = Putter { leases: leases.clone(), coders, budget, catalog, planned, waits, usual };
        Ok(Pipelines { reader, leases, putter: Arc::new(putter) })
    }
}
