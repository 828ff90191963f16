//! Peers that only ask, because others cannot reach them (behind NAT, say): clients.
//!
//! A client is a node whose record has no addresses. It finds the network, keeps a table and looks things up as
//! everybody does, but it is in nobody's table, is named to nobody, and nobody notices when it goes. So that its own
//! tables cost others little, it looks after them less often; lookups never rest on its leaf set alone. In a network
//! too large for everybody to list it, it lists the super-peers as others do, and asks them first.

use alloc::{sync::Arc, vec::Vec};

use super::{Dht, Phase, Turn};
use crate::{
    io::DownReason,
    message::Notice,
    metric::Metric,
    params::CLIENT_PATIENCE,
    peer::{Address, Peer},
};

impl<M: Metric> Dht<M> {
    /// Whether this node is a client.
    pub(super) fn is_client(&self) -> bool {
        !self.local.is_reachable()
    }

    pub(super) fn knows_nobody(&self) -> bool {
        self.leaves.is_empty() && self.table.as_slice().is_empty()
    }

    /// By how much the periods of maintenance are longer than configured.
    pub(super) fn patience(&self) -> u32 {
        if self.is_client() { CLIENT_PATIENCE } else { 1 }
    }

    /// A client has spoken. It enters no table. If a table holds an older record of it, it was a member until now, and
    /// this counts as its goodbye.
    pub(super) fn heard_client(&mut self, turn: &mut Turn<'_>, client: &Peer) {
        if self.known(client.id_ref()).is_some_and(|known| known.seq() < client.seq()) {
            self.goodbye_from(turn, client, DownReason::Client);
        }
    }

    /// Becomes a client, or a member again.
    pub(super) fn change_role(&mut self, turn: &mut Turn<'_>, addrs: Vec<Address>) {
        let Ok(local) = self.local.with_addresses(addrs, self.next_version()) else { return };
        self.local = Arc::new(local);
        if self.is_client() {
            // Whoever hears it drops us from its tables.
            if self.phase != Phase::Left {
                self.tell_all(turn, &Notice::Record((*self.local).clone()));
            }
            self.members = None;
        } else if self.phase == Phase::Joined {
            // What it knows of its place it knows as an onlooker; now it has to be known there.
            let seeds = core::mem::take(&mut self.seeds);
            self.phase = Phase::Idle;
            self.start_joining(turn, seeds);
        }
    }
}
