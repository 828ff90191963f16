//! What the driver sees, for those who look from outside.

use chordage_api::types::{HolesStatus, IdentityStatus, LanStatus, OverlayStatus, RelayingStatus};
use chordage_dht::{Finger, FingerRow, Member, Peer, Status, SuperPeer};
use libp2p::Multiaddr;
use tokio::time::Instant;

use super::connections::Connections;
use super::roster::Roster;
use super::{Driver, named};
use crate::address::{api_id, peer_id};
use crate::wire::listening;

/// What the driver sees, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) local: Peer,
    pub(crate) status: Status,
    pub(crate) leaf_set: Vec<Finger>,
    pub(crate) rows: Vec<FingerRow>,
    /// All members, in a network small enough for a list; their times count from `listed_since`.
    pub(crate) listed: Vec<Member>,
    pub(crate) listed_since: Instant,
    /// Those that list everybody in a network too large for everybody to do so; their times count from `listed_since`.
    pub(crate) super_peers: Vec<SuperPeer>,
    /// Bits of a digit that a row resolves.
    pub(crate) digit_bits: u32,
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) connections: Connections,
    pub(crate) roster: Roster,
    pub(crate) join_problem: Option<String>,
    /// None of a daemon that does not look there.
    pub(crate) lan: Option<LanStatus>,
    pub(crate) relaying: Option<RelayingStatus>,
    pub(crate) holes: HolesStatus,
}

impl View {
    /// About how many daemons the network has, at least one.
    pub(crate) fn nodes(&self) -> u64 {
        nodes(&self.status)
    }

    /// Who this daemon is.
    pub(crate) fn identity(&self) -> IdentityStatus {
        IdentityStatus {
            id: api_id(self.local.id()),
            peer_id: peer_id(self.local.public_key()).map(|id| id.to_string()).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
        }
    }

    /// Whom it knows and is connected with.
    pub(crate) fn overlay(&self) -> OverlayStatus {
        let taken = self.connections.taken;
        OverlayStatus {
            network_nodes: self.nodes(),
            network_nodes_exact: self.status.size.exact,
            leaf_set: self.status.leaf_set as u64,
            members_listed: self.status.members as u64,
            fingers: self.status.table_entries as u64,
            connections: (taken.kept + taken.others) as u64,
            connections_warm: taken.kept as u64,
            connections_cold: taken.others as u64,
            connections_strangers: taken.strangers as u64,
            connections_relayed: self.connections.relayed as u64,
            connections_max: self.connections.max as u64,
            dialling: self.connections.dialling as u64,
        }
    }
}

/// About how many daemons the network has, at least one.
pub(super) fn nodes(status: &Status) -> u64 {
    status.size.nodes.round().max(1.0) as u64
}

impl Driver {
    pub(super) fn view(&self) -> View {
        View {
            local: self.overlay.dht.local().clone(),
            status: self.overlay.dht.status(),
            leaf_set: self.overlay.dht.neighbours(),
            rows: self.overlay.dht.fingers(),
            listed: self.overlay.dht.members(),
            super_peers: self.overlay.dht.super_peers(self.overlay.time.now()),
            listed_since: self.overlay.time.started(),
            digit_bits: self.overlay.dht.config().digit_bits.into(),
            listen: listening(&self.swarm).iter().map(|addr| named(addr, self.local_peer)).collect(),
            connections: self.connections(),
            roster: self.peers.roster.clone(),
            join_problem: self.told.join_problem.borrow().clone(),
            lan: self.joining.nearby.seen().map(|seen| LanStatus {
                found: seen.hints.len() as u64,
                met: self.met_nearby() as u64,
                other_networks: seen.others as u64,
                problem: seen.problem,
            }),
            relaying: self.swarm.behaviour().relaying(),
            holes: self.swarm.behaviour().holes(),
        }
    }
}
