//! The daemon as its API sees it.

mod doctor;
mod keeping;
mod network;
mod status;

use std::io::Read;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chordage_api::operation::OperationId;
use chordage_api::types::{
    DrainStatus, Explanation, FoundAtStart, MemberStatus, ObjectStat, PeerStatus, PutReport, ResticStatus,
    ScrubStatus, SuperPeerStatus, TraceHop, TraceReport, WebStatus, WebdavStatus,
};
use chordage_dht::{Confirm, Key, Lookup, LookupOptions};
use chordage_storage::{ConvergenceSecret, Fingerprint, Link};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::keeping::KeepObjectError;
pub(crate) use self::network::{NetworkError, NetworkOf};
use crate::address::{api_id, api_key, peer_id};
use crate::dns::DnsServer;
use crate::driver::FindError;
use crate::get::{self, GetError, Known, OpenObject, Reader};
use crate::home::Home;
use crate::leases::Leases;
use crate::members;
use crate::names::Names;
use crate::neighbourhood;
use crate::put::{self, ObjectFormat, PutError, PutRequest, Putter};
use crate::reachability::Reachability;
use crate::repair::Repairer;
use crate::scrub::Scrubber;
use crate::services::Services;
use crate::shards::TrafficCounters;
use crate::tasks::Tasks;
use crate::topics::Topics;
use crate::volumes::Volumes;

/// A running daemon. Cheap to clone.
#[derive(Clone)]
pub struct NodeHandle {
    pub(crate) inner: Arc<Inner>,
    /// What it is used for.
    pub(crate) operation: Option<OperationId>,
}

/// Tells what was served by WebDAV.
type WebdavStatusOf = Box<dyn Fn() -> WebdavStatus + Send + Sync>;

/// Tells what browsers were served.
type WebStatusOf = Box<dyn Fn() -> WebStatus + Send + Sync>;

/// Tells what repositories for restic have done.
type ResticStatusOf = Box<dyn Fn() -> ResticStatus + Send + Sync>;

/// What is served in this process as a client of the daemon.
#[derive(Default)]
pub(crate) struct Gateways {
    /// Set when somebody serves restic beside the daemon.
    restic: OnceLock<ResticStatusOf>,
    /// Set when somebody serves WebDAV beside the daemon.
    webdav: OnceLock<WebdavStatusOf>,
    /// Set when somebody serves browsers beside the daemon.
    web: OnceLock<WebStatusOf>,
}

/// It has many fields because each room that requests go to is one.
pub(crate) struct Inner {
    pub(crate) reader: Arc<Reader>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) putter: Arc<Putter>,
    pub(crate) traffic: Arc<TrafficCounters>,
    pub(crate) repairer: Repairer,
    pub(crate) reachability: Reachability,
    pub(crate) scrubber: Scrubber,
    pub(crate) secret: ConvergenceSecret,
    pub(crate) metric: chordage_dht::AnyMetric,
    pub(crate) started: Instant,
    pub(crate) leaving: CancellationToken,
    pub(crate) tasks: Tasks,
    pub(crate) names: Names,
    pub(crate) services: Services,
    pub(crate) topics: Topics,
    pub(crate) volumes: Volumes,
    pub(crate) home: Home,
    /// Present if it was asked for.
    pub(crate) dns: Option<DnsServer>,
    pub(crate) network: NetworkOf,
    pub(crate) gateways: Gateways,
    pub(crate) found_at_start: Vec<FoundAtStart>,
}

impl NodeHandle {
    pub(crate) fn new(inner: Inner) -> Self {
        NodeHandle { inner: Arc::new(inner), operation: None }
    }

    /// The same, used for one operation of a client: whoever is asked for its sake writes its name into the log.
    pub(crate) fn of(&self, operation: OperationId) -> Self {
        NodeHandle { inner: self.inner.clone(), operation: Some(operation) }
    }

    fn reader(&self) -> Arc<Reader> {
        let reader = &self.inner.reader;
        self.operation.map_or_else(|| reader.clone(), |operation| reader.of(operation))
    }

    fn putter(&self) -> Arc<Putter> {
        let putter = &self.inner.putter;
        self.operation.map_or_else(|| putter.clone(), |operation| putter.of(operation))
    }

    /// What reads and publishes names.
    pub(crate) fn names(&self) -> &Names {
        &self.inner.names
    }

    /// What registers and finds services.
    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    /// What publishes messages and listens to those of others.
    pub(crate) fn topics(&self) -> &Topics {
        &self.inner.topics
    }

    /// What keeps what changes, with its history.
    pub(crate) fn volumes(&self) -> &Volumes {
        &self.inner.volumes
    }

    /// What a recovery phrase brings back.
    pub(crate) fn home(&self) -> &Home {
        &self.inner.home
    }

    /// Changes how much the daemon holds for its network at most. What it holds already it keeps.
    pub fn set_quota(&self, bytes: u64) {
        self.inner.reader.holders.store.shards().set_quota(bytes);
    }

    /// Has the status tell of repositories for restic, which are served in this process as a client of the daemon.
    /// Once.
    pub fn tell_of_restic(&self, status: impl Fn() -> ResticStatus + Send + Sync + 'static) {
        // Whoever comes second is not told of.
        let _ = self.inner.gateways.restic.set(Box::new(status));
    }

    /// Has the status tell of files by WebDAV, which are served in this process as a client of the daemon. Once.
    pub fn tell_of_webdav(&self, status: impl Fn() -> WebdavStatus + Send + Sync + 'static) {
        // Whoever comes second is not told of.
        let _ = self.inner.gateways.webdav.set(Box::new(status));
    }

    /// Has the status tell of browsers, which are served in this process as clients of the daemon. Once.
    pub fn tell_of_web(&self, status: impl Fn() -> WebStatus + Send + Sync + 'static) {
        // Whoever comes second is not told of.
        let _ = self.inner.gateways.web.set(Box::new(status));
    }

    /// Stores what `body` gives, which is read on a thread of its own. Dropping the future ends the put.
    pub async fn put(
        &self,
        body: Box<dyn Read + Send>,
        format: ObjectFormat,
        request: PutRequest,
    ) -> Result<PutReport, PutError> {
        let put = put::put(self.putter(), self.inner.secret.clone(), body, format, request);
        // Leaving waits a while for transfers, then cuts them off: see the daemon's shutdown.
        put.await.map_err(|error| error.beside(self.inner.reader.placement.driver.twin().as_ref()))
    }

    /// For each file whether a put like `request` can do without its content: it was put with that fingerprint, and all
    /// of it is stored now as well as the put would store it. At most 65,536 at a time.
    pub async fn unchanged(
        &self,
        fingerprints: Vec<Fingerprint>,
        request: PutRequest,
    ) -> Result<Vec<bool>, PutError> {
        put::unchanged(&self.inner.putter, fingerprints, request).await
    }

    /// Fetches the manifest of `link`.
    pub async fn open(&self, link: &Link) -> Result<OpenObject, GetError> {
        let opened = get::open(self.reader(), link).await;
        opened.map_err(|error| match (error, self.inner.reader.placement.driver.cut_off_by()) {
            (error @ (GetError::NotReadable | GetError::Manifest(_)), _) | (error, None) => error,
            (_, Some(twin)) => GetError::Twin(twin.message()),
        })
    }

    /// What `link` stands for, also if it cannot read.
    async fn known(&self, link: &Link) -> Result<Known, GetError> {
        match link {
            Link::Read { .. } => Ok(Known::of(&self.open(link).await?)),
            Link::Verify { id } => Known::sealed(&self.inner.reader, *id).await,
        }
    }

    /// What `link` stands for in numbers; with `check` also who holds what of it right now.
    pub async fn stat(&self, link: &Link, check: bool) -> Result<ObjectStat, GetError> {
        let Known { chunks, mut stat, .. } = self.known(link).await?;
        if check {
            let health = get::survey(&self.inner.reader, &chunks).await;
            stat.health = Some(health.ok_or(GetError::Interrupted)?);
        }
        Ok(stat)
    }

    /// Asks how safe the object is and what repair will do about it; details of the `most` worst chunks.
    pub async fn explain(&self, link: &Link, most: usize) -> Result<Explanation, GetError> {
        let Known { chunks, redundancy, stat } = self.known(link).await?;
        let explanation = self.inner.repairer.explain(chunks, redundancy, most).await?;
        // The log says why the book cannot be read.
        let kept = self.inner.leases.keeping.get(link.id()).await.ok().flatten();
        let kept = match kept {
            Some(kept) => Some(self.describe_one(kept).await),
            None => None,
        };
        let unknown = stat.unknown;
        Ok(Explanation { unknown, kept, found_at_start: self.inner.found_at_start.clone(), ..explanation })
    }

    /// Finds the nodes nearest `key` and tells what it cost. Nothing is stored or fetched; [`LookupOptions`] say how
    /// many nodes to name and how many of them must have answered. Ends by the options' deadline at the latest.
    pub async fn lookup(&self, key: Key, options: LookupOptions) -> Result<Lookup, FindError> {
        self.inner.reader.placement.driver.lookup(key, options).await
    }

    /// Looks `key` up and tells every hop.
    pub async fn trace(&self, key: Key) -> Result<TraceReport, FindError> {
        let started = Instant::now();
        let options = LookupOptions { confirm: Confirm::Answered(1), want: 1, ..LookupOptions::default() };
        let Lookup { closest, hops, messages, trace, .. } = self.lookup(key, options).await?;
        let local = self.inner.reader.placement.local;
        let owner = closest.first().map_or(local, |peer| peer.id());
        let name = |peer: &chordage_dht::Peer| {
            peer_id(peer.public_key()).map(|id| id.to_string()).unwrap_or_default()
        };
        Ok(TraceReport {
            key: api_key(key),
            owner: api_id(owner),
            owner_is_self: owner == local,
            hops: trace
                .iter()
                .map(|hop| TraceHop {
                    id: api_id(hop.peer.id()),
                    peer_id: name(&hop.peer),
                    rtt_ms: Some(hop.rtt.as_secs_f64() * 1e3),
                    distance_bits: hop.distance_bits,
                    depth: hop.depth,
                    named_by: hop.named_by.map(api_id),
                })
                .collect(),
            depth: hops,
            messages,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Begins to read everything held against its hashes, now and as fast as the disk allows.
    pub fn scrub(&self) -> ScrubStatus {
        self.inner.scrubber.begin()
    }

    /// Begins to hand over everything held, so that the daemon can be stopped for good.
    pub fn drain(&self) -> DrainStatus {
        self.inner.repairer.drain()
    }

    /// Waits up to `patience` for the daemon to be part of its network, or for it to know why it is not; whether it is.
    pub async fn joined_within(&self, patience: Duration) -> bool {
        self.inner.reader.placement.driver.joined_unless_problem(patience).await
    }

    /// Changes every second for as long as the loop goes round on which everything here depends; the sender is gone
    /// when the daemon has stopped. Whoever restarts daemons that hang watches this.
    pub fn beats(&self) -> watch::Receiver<()> {
        self.inner.reader.placement.driver.beats()
    }

    /// Who is in the network, as far as this daemon knows; `None` once it has stopped.
    pub async fn members(&self) -> Option<Vec<MemberStatus>> {
        let view = self.inner.reader.placement.driver.view().await?;
        Some(members::members(&view, self.inner.started.elapsed().as_secs_f64()))
    }

    /// The super-peers it knows; `None` once it has stopped.
    pub async fn super_peers(&self) -> Option<Vec<SuperPeerStatus>> {
        let view = self.inner.reader.placement.driver.view().await?;
        Some(members::super_peers(&view))
    }

    /// The peers this daemon knows at first hand, nearest first; `None` once it has stopped.
    pub async fn peers(&self) -> Option<Vec<PeerStatus>> {
        let view = self.inner.reader.placement.driver.view().await?;
        Some(neighbourhood::peers(&view, self.inner.metric))
    }
}
