//! What the driver sees, for those who look from outside.

use chordage_dht::{Finger, FingerRow, Member, Peer, Status, SuperPeer};
use libp2p::Multiaddr;
use tokio::time::Instant;

use super::connections::Connections;
use super::roster::Roster;
use super::{Driver, named};
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
}

impl Driver {
    pub(super) fn view(&self) -> View {
        View {
            local: self.dht.local().clone(),
            status: self.dht.status(),
            leaf_set: self.dht.neighbours(),
            rows: self.dht.fingers(),
            listed: self.dht.members(),
            super_peers: self.dht.super_peers(self.time.now()),
            listed_since: self.time.started(),
            digit_bits: self.dht.config().digit_bits.into(),
            listen: listening(&self.swarm).iter().map(|addr| named(addr, self.local_peer)).collect(),
            connections: self.connections(),
            roster: self.roster.clone(),
            join_problem: self.told.join_problem.borrow().clone(),
        }
    }
}
