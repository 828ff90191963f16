//! Peers that may not be connected any more, because their certificates do not count.

use chordage_dht::{Input, NodeId};

use super::Driver;
use crate::address::peer_id;

impl Driver {
    /// Disconnects all of these, and excludes those that were revoked from the overlay.
    pub(super) fn shut_out(&mut self, ended: &[[u8; 32]], revoked: &[[u8; 32]]) {
        if !revoked.is_empty() {
            let ids = revoked.iter().map(NodeId::from_public_key).collect();
            self.input(Input::Exclude(ids));
        }
        for key in ended.iter().chain(revoked) {
            self.peers.links.end(&NodeId::from_public_key(key));
            if let Some(peer) = peer_id(key) {
                // It may not be connected.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }
}
