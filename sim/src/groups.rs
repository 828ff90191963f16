//! Which nodes share a network, as their addresses tell.

use chordage_dht::{NetGroup, PeerInfo};

/// The /24 and the /16 of a peer's first address, which is always `/ip4/…` here.
pub(crate) fn group_of(peer: &PeerInfo) -> NetGroup {
    match peer.addrs().first().map(|addr| addr.as_bytes()) {
        Some([4, a, b, c, ..]) => NetGroup {
            subnet: u32::from_be_bytes([1, *a, *b, *c]),
            // One more, so that no /16 has the tag that stands for none.
            site: 1 + u32::from_be_bytes([0, 0, *a, *b]),
        },
        _ => NetGroup::default(),
    }
}
