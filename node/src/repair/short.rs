//! Short names of nodes.

use chordage_dht::Peer;
use chordage_storage::repair::Holder;

/// The short name under which records keep a node.
pub(super) fn holder(peer: &Peer) -> Holder {
    let mut short = [0; 8];
    short.copy_from_slice(&peer.id().as_bytes()[..8]);
    Holder(short)
}
