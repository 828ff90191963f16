//! Which of the nodes near a key should hold its shards: rendezvous hashing (Thaler and Ravishankar 1998), spread over
//! failure domains.
//!
//! Every candidate draws a lot from (key, its own id); the order of the lots is the order of preference. A node that
//! comes or goes changes no other node's lot, so writers and readers with slightly different views of the
//! neighbourhood still agree about nearly all of the order, and no index of holders is needed to find a shard.
//!
//! Nodes that fail together come one after the other only as far as a chunk survives it ([`Spread`]): the others of
//! their domain are moved behind those of other domains. In a network without domains the order is that of the lots.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    Key, NodeId,
    peer::{Grouping, Peer, PeerInfo},
    zone::Zone,
};

/// Sets these hashes apart from all others of the program.
const CONTEXT: &str = "chordage 2026 placement lot";

/// How many shards of one chunk may lie in one failure domain before others are preferred: one in a subnet; at one
/// provider and in one [`Zone`] a third, rounded up, of the shards that may be lost. So a chunk that survives the loss
/// of two shards or more survives that of any two providers or zones, and of any three if the number of shards is a
/// multiple of three.
///
/// Where there are too few domains for that, they get equal numbers: first in subnets and providers, which are guesses
/// from addresses, and last in zones, which people named.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    grouping: Grouping,
    /// Shards for a provider, and for a zone.
    third: usize,
}

/// How far beyond the limits a candidate would go, in the order in which limits are kept.
type Excess = (usize, usize, usize);

impl Spread {
    /// For chunks that survive the loss of `tolerates` shards.
    pub fn new(grouping: Grouping, tolerates: u8) -> Self {
        Self { grouping, third: usize::from(tolerates).div_ceil(3).max(1) }
    }

    /// `candidates` in the order in which they should be asked to hold, or asked for, shards of `key`. The order does
    /// not depend on the order of the candidates.
    pub fn order(&self, key: &Key, candidates: &[Peer]) -> Vec<Peer> {
        self.beside(&[], rendezvous_order(key, candidates))
    }

    /// `candidates`, which hold nothing yet, in the order in which they should get more shards of a chunk that
    /// `holders` have shards of. Those that are equally good stay in their order.
    pub fn beside(&self, holders: &[Peer], candidates: Vec<Peer>) -> Vec<Peer> {
        let mut taken = Taken::default();
        for holder in holders {
            self.take(&mut taken, holder);
        }
        let mut ranked: Vec<(Excess, Peer)> =
            candidates.into_iter().map(|peer| (self.take(&mut taken, &peer), peer)).collect();
        ranked.sort_by_key(|(excess, _)| *excess);
        ranked.into_iter().map(|(_, peer)| peer).collect()
    }

    fn take(&self, taken: &mut Taken, peer: &PeerInfo) -> Excess {
        let group = (self.grouping)(peer);
        let zone =
            peer.zone().map_or(0, |zone| over(taken.zones.entry(zone.clone()).or_default(), self.third));
        let mut of = |domains: fn(&mut Taken) -> &mut BTreeMap<u32, usize>, tag: u32, limit: usize| {
            if tag == 0 { 0 } else { over(domains(taken).entry(tag).or_default(), limit) }
        };
        let subnet = of(|taken| &mut taken.subnets, group.subnet, 1);
        let provider = of(|taken| &mut taken.providers, group.site, self.third);
        (zone, subnet, provider)
    }
}

/// Shards by failure domain.
#[derive(Default)]
struct Taken {
    zones: BTreeMap<Zone, usize>,
    subnets: BTreeMap<u32, usize>,
    providers: BTreeMap<u32, usize>,
}

/// Counts one more, and says how far that is beyond the limit.
fn over(count: &mut usize, limit: usize) -> usize {
    *count += 1;
    count.saturating_sub(limit)
}

fn rendezvous_order(key: &Key, candidates: &[Peer]) -> Vec<Peer> {
    let mut drawn: Vec<([u8; 32], &Peer)> =
        candidates.iter().map(|peer| (lot(key, &peer.id()), peer)).collect();
    drawn.sort_unstable_by_key(|(lot, _)| core::cmp::Reverse(*lot));
    drawn.into_iter().map(|(_, peer)| peer.clone()).collect()
}

fn lot(key: &Key, id: &NodeId) -> [u8; 32] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(key.as_bytes());
    bytes[32..].copy_from_slice(id.as_bytes());
    blake3::derive_key(CONTEXT, &bytes)
}

#[cfg(test)]
mod tests;
