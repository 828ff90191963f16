//! Whom to ask: anybody of those who are known, so that nobody can arrange to be asked, and not several of one subnet
//! where there are others.

use std::collections::BTreeSet;

use chordage_dht::{NodeId, Peer};

use crate::address::{dial_order, is_relayed, net_group};
use crate::driver::View;

/// Peers in an order of chance.
pub(super) struct Shuffle(Vec<Peer>);

/// All members that a daemon knows, that are wanted, and that others reach without a relay.
pub(super) fn members_of(view: &View, wanted: impl Fn(&Peer) -> bool) -> Shuffle {
    let leaves = view.leaf_set.iter().map(|finger| &finger.peer);
    let fingers = view.rows.iter().flat_map(|row| &row.fingers).map(|finger| &finger.peer);
    let listed = view.listed.iter().map(|member| &member.peer);
    let mut ids = BTreeSet::new();
    let peers = leaves
        .chain(fingers)
        .chain(listed)
        .filter(|peer| is_direct(peer) && wanted(peer) && ids.insert(peer.id()))
        .cloned()
        .collect();
    Shuffle::of(peers)
}

fn is_direct(peer: &Peer) -> bool {
    dial_order(peer).iter().any(|addr| !is_relayed(addr))
}

impl Shuffle {
    /// In an order that lasts as long as they do, and is another one for each `local`.
    pub(super) fn by_rank(mut self, local: &NodeId) -> Vec<Peer> {
        self.0.sort_by_cached_key(|peer| {
            *blake3::keyed_hash(local.as_bytes(), peer.id().as_bytes()).as_bytes()
        });
        self.0
    }

    fn of(peers: Vec<Peer>) -> Self {
        let mut seed = [0; 32];
        // Without randomness the order is that of the ids' hashes with nothing, which is an order too.
        let _ = getrandom::fill(&mut seed);
        let mut drawn: Vec<([u8; 32], Peer)> = peers
            .into_iter()
            .map(|peer| (*blake3::keyed_hash(&seed, peer.id().as_bytes()).as_bytes(), peer))
            .collect();
        drawn.sort_unstable_by_key(|(draw, _)| *draw);
        Shuffle(drawn.into_iter().map(|(_, peer)| peer).collect())
    }

    /// One of each subnet first, then the others.
    pub(super) fn by_subnet(self) -> Vec<Peer> {
        let mut subnets = BTreeSet::new();
        let (first, others): (Vec<Peer>, Vec<Peer>) =
            self.0.into_iter().partition(|peer| match net_group(peer).subnet {
                // On this machine or site: each is its own.
                0 => true,
                subnet => subnets.insert(subnet),
            });
        first.into_iter().chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chordage_dht::{Address, PeerInfo};

    use super::*;

    fn peer(number: u8, addr: &str) -> Peer {
        let addr: libp2p::Multiaddr = addr.parse().expect("valid");
        let addr = Address::new(&addr.to_vec()).expect("short");
        Arc::new(PeerInfo::new([number; 32], vec![addr], 1).expect("one address"))
    }

    #[test]
    fn one_of_each_subnet_comes_first_and_nobody_is_left_out() {
        let addrs = ["/ip4/198.51.100.1/tcp/1", "/ip4/203.0.113.1/tcp/1", "/ip4/192.168.0.1/tcp/1"];
        let peers: Vec<Peer> = (0..30).map(|number| peer(number, addrs[usize::from(number) % 3])).collect();
        let chosen = Shuffle::of(peers.clone()).by_subnet();
        assert_eq!(chosen.len(), 30);
        let public = |peers: &[Peer]| peers.iter().filter(|peer| net_group(peer).subnet != 0).count();
        // The ten at home, and one of each public subnet.
        assert_eq!(public(&chosen[..12]), 2);
        let orders: BTreeSet<Vec<[u8; 32]>> = (0..8)
            .map(|_| Shuffle::of(peers.clone()).by_subnet().iter().map(|peer| *peer.public_key()).collect())
            .collect();
        assert!(orders.len() > 1, "chance decides");
    }
}
