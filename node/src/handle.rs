//! The daemon as its API sees it.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chordage_api::types::{
    DaemonRole, DaemonState, DrainStatus, Explanation, FoundAtStart, KeepState, KeptObject, LeaseStatus,
    MemberStatus, ObjectStat, PeerStatus, PutReport, ScrubStatus, Status, SuperPeerStatus, TraceHop,
    TraceReport,
};
use chordage_dht::{Confirm, Key, Lookup, LookupOptions};
use chordage_storage::lease::{Kept, KeptState, RECOVERED};
use chordage_storage::{ChunkId, ConvergenceSecret, Fingerprint, Link, Redundancy};
use tokio_util::sync::CancellationToken;

use crate::address::peer_id;
use crate::disk;
use crate::driver::{FindError, Membership};
use crate::get::{self, GetError, Known, OpenObject, Reader};
use crate::leases::{ForgetError, KeepError, Leases, Promised};
use crate::lines;
use crate::members;
use crate::neighbourhood;
use crate::process;
use crate::put::{self, ObjectFormat, PutError, PutRequest, Putter};
use crate::repair::Repairer;
use crate::scrub::Scrubber;
use crate::shards::TrafficCounters;
use crate::tasks::Tasks;

/// A running daemon. Cheap to clone.
#[derive(Clone)]
pub struct NodeHandle {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) reader: Arc<Reader>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) putter: Arc<Putter>,
    pub(crate) traffic: Arc<TrafficCounters>,
    pub(crate) repairer: Repairer,
    pub(crate) scrubber: Scrubber,
    pub(crate) secret: ConvergenceSecret,
    pub(crate) metric: chordage_dht::AnyMetric,
    pub(crate) started: Instant,
    pub(crate) leaving: CancellationToken,
    pub(crate) tasks: Tasks,
    pub(crate) connections_max: u32,
    pub(crate) found_at_start: Vec<FoundAtStart>,
}

/// Why the daemon does not keep an object that it was asked to keep.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepObjectError {
    /// A verify link does for what is kept already only.
    #[error(
        "this daemon does not keep the object, and a verify link does not say which chunks it consists of"
    )]
    Sealed,
    /// The list of its chunks cannot be read.
    #[error(transparent)]
    Open(#[from] GetError),
    /// Its holders were asked, and that is not enough.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The book of what is kept cannot be read, or has lost it again.
    #[error(transparent)]
    Kept(#[from] ForgetError),
}

impl NodeHandle {
    /// Stores what `body` gives, which is read on a thread of its own. Dropping the future ends the put.
    pub async fn put(
        &self,
        body: Box<dyn Read + Send>,
        format: ObjectFormat,
        request: PutRequest,
    ) -> Result<PutReport, PutError> {
        let put = put::put(self.inner.putter.clone(), self.inner.secret.clone(), body, format, request);
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
        let opened = get::open(self.inner.reader.clone(), link).await;
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

    /// Has the holders of an object keep it for this daemon, from now on until it is forgotten. A verify link does for what
    /// is kept already: of anything else it does not say which chunks there are.
    pub(crate) async fn keep(&self, link: &Link) -> Result<KeptObject, KeepObjectError> {
        let leases = &self.inner.leases;
        if let Link::Verify { id } = link {
            let kept = leases.keeping.get(*id).await.map_err(ForgetError::Book)?;
            return match kept.filter(|kept| kept.state == KeptState::Kept) {
                Some(kept) => Ok(self.describe_one(kept).await),
                None => Err(KeepObjectError::Sealed),
            };
        }
        let object = self.open(link).await?;
        let promise = leases.keeping.promise(0);
        for chunk in object.distinct_chunks() {
            let redundancy = chunk.redundancy.unwrap_or(object.redundancy());
            promise.rely_on(chunk.id, redundancy, redundancy.k());
        }
        let bytes = object.manifest().summary().bytes;
        let promised = Promised { root: link.id(), bytes, stored_bytes: 0, put: false, name: None };
        promise.fulfil(leases, promised).await?;
        let kept = leases.keeping.get(link.id()).await.map_err(ForgetError::Book);
        Ok(self.describe_one(kept?.ok_or(ForgetError::NotKept)?).await)
    }

    /// Stops keeping an object.
    pub(crate) async fn forget(&self, link: &Link) -> Result<KeptObject, ForgetError> {
        let keeping = &self.inner.leases.keeping;
        // Before they are forgotten with it.
        let names = keeping.names(vec![link.id()]).await.map_err(ForgetError::Book)?.pop();
        let forgotten = keeping.forget(link.id()).await?;
        Ok(self.described(forgotten, names.unwrap_or_default()))
    }

    /// At most `most` kept objects behind `after`.
    pub(crate) async fn keeps(
        &self,
        after: Option<ChunkId>,
        most: usize,
    ) -> Result<Vec<KeptObject>, ForgetError> {
        let kept = self.inner.leases.keeping.list(after, most).await.map_err(ForgetError::Book)?;
        Ok(self.describe(kept).await)
    }

    /// With their names, as far as the book can be read.
    async fn describe(&self, kept: Vec<Kept>) -> Vec<KeptObject> {
        let roots = kept.iter().map(|kept| kept.root).collect();
        let names = self.inner.leases.keeping.names(roots).await.unwrap_or_default();
        let names = names.into_iter().chain(std::iter::repeat(Vec::new()));
        kept.into_iter().zip(names).map(|(kept, names)| self.described(kept, names)).collect()
    }

    async fn describe_one(&self, kept: Kept) -> KeptObject {
        let names = self.inner.leases.keeping.names(vec![kept.root]).await.unwrap_or_default().pop();
        self.described(kept, names.unwrap_or_default())
    }

    fn described(&self, kept: Kept, names: Vec<String>) -> KeptObject {
        let (renewed, until) = self.inner.leases.keeping.renewed(&kept);
        KeptObject {
            verify_link: Link::Verify { id: kept.root }.to_string(),
            names,
            state: match kept.state {
                KeptState::Kept if kept.root == RECOVERED => KeepState::Recovered,
                KeptState::Kept => KeepState::Kept,
                KeptState::Forgetting | KeptState::Forgotten => KeepState::Forgetting,
            },
            put: kept.put,
            since: kept.since.0 / 1000,
            bytes: kept.bytes,
            stored_bytes: kept.stored_bytes,
            chunks: kept.chunks,
            renewed,
            until,
            retained_until: Some(kept.retained_until.0 / 1000).filter(|until| *until > 0),
        }
    }

    async fn lease_status(&self) -> LeaseStatus {
        let leases = &self.inner.leases;
        // The log says why there are no figures.
        let claimed = leases.holders.store.claimed().await.unwrap_or_default();
        let (kept_objects, kept_chunks) = leases.keeping.totals().await.unwrap_or_default();
        let (freed_shards, freed_bytes) = leases.holders.store.freeing().freed();
        LeaseStatus {
            claims: claimed.all.claims,
            nobodys_claims: claimed.nobodys.claims,
            freeing_chunks: claimed.freeing.claims,
            freeing_bytes: claimed.freeing.bytes,
            freed_shards,
            freed_bytes,
            expire: leases.keeping.expires(),
            kept_objects,
            kept_chunks,
            unrenewed_chunks: leases.keeping.unrenewed(),
        }
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
            key: key.to_string(),
            owner: owner.to_string(),
            owner_is_self: owner == local,
            hops: trace
                .iter()
                .map(|hop| TraceHop {
                    id: hop.peer.id().to_string(),
                    peer_id: name(&hop.peer),
                    rtt_ms: Some(hop.rtt.as_secs_f64() * 1e3),
                    distance_bits: hop.distance_bits,
                    depth: hop.depth,
                    named_by: hop.named_by.map(|id| id.to_string()),
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

    /// What the daemon says of itself; `None` once it has stopped.
    pub async fn status(&self) -> Option<Status> {
        let view = self.inner.reader.placement.driver.view().await?;
        let store = self.inner.reader.holders.store.shards().usage();
        let usage = process::usage();
        let nodes = view.status.size.nodes.round().max(1.0) as u64;
        let state = match self.inner.reader.placement.driver.membership() {
            _ if self.inner.leaving.is_cancelled() => DaemonState::Leaving,
            Membership::Joining => DaemonState::Joining,
            Membership::Joined if self.inner.repairer.drain_status().is_some() => DaemonState::Draining,
            Membership::Joined => DaemonState::Joined,
            Membership::Leaving => DaemonState::Leaving,
        };
        Some(Status {
            id: view.local.id().to_string(),
            peer_id: peer_id(view.local.public_key()).map(|id| id.to_string()).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state,
            role: if view.status.client { DaemonRole::Client } else { DaemonRole::Member },
            zone: view.local.zone().map(ToString::to_string),
            join_problem: view.join_problem,
            twin: self.inner.reader.placement.driver.twin().map(|twin| twin.status()),
            listen: view.listen.iter().map(ToString::to_string).collect(),
            metric: self.inner.metric.to_string(),
            uptime_seconds: self.inner.started.elapsed().as_secs_f64(),
            network_nodes: nodes,
            network_nodes_exact: view.status.size.exact,
            leaf_set: view.status.leaf_set as u64,
            members_listed: view.status.members as u64,
            fingers: view.status.table_entries as u64,
            connections: (view.connections.taken.kept + view.connections.taken.others) as u64,
            connections_warm: view.connections.taken.kept as u64,
            connections_cold: view.connections.taken.others as u64,
            connections_strangers: view.connections.taken.strangers as u64,
            connections_max: self.inner.connections_max.into(),
            dialling: view.connections.dialling as u64,
            shards: store.shards,
            stored_bytes: store.payload_bytes,
            disk_bytes: store.disk_bytes,
            quota_bytes: store.quota_bytes,
            rss_bytes: usage.rss_bytes,
            rss_peak_bytes: usage.rss_peak_bytes,
            cpu_seconds: usage.cpu_seconds,
            disk_problem: disk::problem(self.inner.reader.holders.store.shards()),
            damaged_shards: self.inner.reader.holders.store.damaged(),
            // A disk that does not say it shows in `disk_problem`.
            unmended_shards: self.inner.reader.holders.store.unmended().await.unwrap_or_default(),
            found_at_start: self.inner.found_at_start.clone(),
            lost_log_lines: lines::lost(),
            restarted_tasks: self.inner.tasks.restarted(),
            puts_wait_for: self.inner.putter.waits.long(),
            repair: self.inner.repairer.status(),
            drain: self.inner.repairer.drain_status(),
            scrub: self.inner.scrubber.status(),
            default_redundancy: Redundancy::for_network(usize::try_from(nodes).unwrap_or(usize::MAX))
                .to_string(),
            leases: self.lease_status().await,
            reads: self.inner.reader.totals.now(),
            traffic: self.inner.traffic.now(),
            store_syncs: store.syncs,
        })
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
