//! What puts and gets share: the overlay, the shard client, the local store, coders and the memory budget.

use std::sync::Arc;
use std::time::Duration;

use chordage_dht::{Confirm, Key, Lookup, LookupOptions, NodeId, Peer, Spread};
use chordage_storage::catalog::Catalog;
use chordage_storage::{ChunkId, Redundancy};

use crate::address::net_group;
use crate::coding::{Budget, Coders};
use crate::driver::{DriverHandle, FindError};
use crate::get::{Holders, Totals};
use crate::leases::Keeping;
use crate::put::{Planned, Standing, Usual, Waits};
use crate::shards::{ShardClient, TrafficCounters};
use crate::store::Store;

/// Nodes that are candidates for the shards of one chunk: this many times n, as far as the overlay allows.
const WINDOW_FACTOR: usize = 3;
/// Candidates at most: what one lookup returns.
pub(crate) const WINDOW_MAX: usize = 64;
/// How long finding candidates may take.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(6);

/// See the module's description.
pub(crate) struct Transfer {
    pub(crate) driver: DriverHandle,
    pub(crate) client: ShardClient,
    pub(crate) store: Store,
    pub(crate) coders: Coders,
    pub(crate) budget: Budget,
    /// What reading has taught about holders.
    pub(crate) holders: Holders,
    pub(crate) read_totals: Totals,
    pub(crate) traffic: Arc<TrafficCounters>,
    pub(crate) local: NodeId,
    /// What was put from here before; `None` if it cannot be opened, and then nothing is known.
    pub(crate) catalog: Option<Arc<Catalog>>,
    /// What is kept from here.
    pub(crate) keeping: Keeping,
    /// What holders said lately about chunks from before.
    pub(crate) standing: Standing,
    /// Files that a put will say are unchanged.
    pub(crate) planned: Planned,
    /// For whom puts wait.
    pub(crate) waits: Waits,
    /// The redundancy that puts got by default.
    pub(crate) usual: Arc<Usual>,
}

/// How sure the candidates have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// What our own leaf set shows, if it covers the key.
    Known,
    /// Nodes near the key have to answer.
    Asked,
}

impl Transfer {
    /// The nodes that may hold shards of `chunk`, in the order in which to ask them.
    pub(crate) async fn candidates(
        &self,
        chunk: ChunkId,
        redundancy: Redundancy,
        freshness: Freshness,
    ) -> Result<Vec<Peer>, FindError> {
        let key = ring_key(chunk);
        let closest = self.near(key, window(redundancy.n()), freshness).await?;
        Ok(spread(redundancy).order(&key, &closest))
    }

    /// The `want` nodes nearest to `key`, nearest first.
    pub(crate) async fn near(
        &self,
        key: Key,
        want: usize,
        freshness: Freshness,
    ) -> Result<Vec<Peer>, FindError> {
        let options = LookupOptions {
            want,
            confirm: match freshness {
                Freshness::Known => Confirm::Known,
                Freshness::Asked => Confirm::Answered(3),
            },
            deadline: LOOKUP_DEADLINE,
            ..LookupOptions::default()
        };
        match self.driver.lookup(key, options).await {
            Ok(Lookup { closest, .. }) => Ok(closest),
            // Part of the neighbourhood is better than none: whoever does not answer is passed over.
            Err(FindError::Lookup(error)) => match error.partial() {
                Some(lookup) if !lookup.closest.is_empty() => Ok(lookup.closest.clone()),
                _ => Err(error.into()),
            },
            Err(error) => Err(error),
        }
    }

    pub(crate) fn is_local(&self, peer: &Peer) -> bool {
        peer.id() == self.local
    }
}

/// How many of the nodes nearest a chunk may hold its shards.
pub(crate) fn window(n: u8) -> usize {
    (usize::from(n) * WINDOW_FACTOR).min(WINDOW_MAX)
}

/// How the shards of a chunk of this code are spread over failure domains.
pub(crate) fn spread(redundancy: Redundancy) -> Spread {
    Spread::new(net_group, redundancy.tolerates())
}

/// The place of a chunk on the ring is its address.
pub(crate) fn ring_key(chunk: ChunkId) -> Key {
    Key::from_bytes(*chunk.as_bytes())
}
