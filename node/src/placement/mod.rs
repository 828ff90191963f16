//! Where shards belong: the nodes nearest a chunk's address, spread over zones and subnets.

mod arcs;

use std::time::Duration;

use chordage_dht::{AnyMetric, Confirm, Key, Lookup, LookupOptions, NodeId, Peer, Spread};
use chordage_storage::{ChunkId, Redundancy};

pub(crate) use self::arcs::Arcs;
use crate::address::net_group;
use crate::driver::{DriverHandle, FindError};

/// Nodes that are candidates for the shards of one chunk: this many times n, as far as the overlay allows.
const WINDOW_FACTOR: usize = 3;
/// Candidates at most: what one lookup returns.
const WINDOW_MAX: usize = 64;
/// How long finding candidates may take.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(6);

/// Finds places in the network. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Placement {
    pub(crate) driver: DriverHandle,
    /// This daemon.
    pub(crate) local: NodeId,
    pub(crate) metric: AnyMetric,
}

/// How sure the candidates have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// What our own leaf set shows, if it covers the key.
    Known,
    /// Nodes near the key have to answer.
    Asked,
}

impl Placement {
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
    async fn near(&self, key: Key, want: usize, freshness: Freshness) -> Result<Vec<Peer>, FindError> {
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

    /// Finds candidates of many chunks, in the order of their addresses; `None` once the daemon has stopped.
    pub(crate) async fn arcs(&self) -> Option<Arcs> {
        Some(Arcs::new(self.metric, self.driver.nodes().await?))
    }

    /// Whether a peer is this daemon.
    pub(crate) fn is_local(&self, peer: &Peer) -> bool {
        peer.id() == self.local
    }
}

/// How many of the nodes nearest a chunk may hold its shards.
fn window(n: u8) -> usize {
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
