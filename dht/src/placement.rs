//! Which of the nodes near a key should hold its shards: rendezvous hashing (Thaler and Ravishankar 1998).
//!
//! Every candidate draws a lot from (key, its own id); the order of the lots is the order of preference. A node that
//! comes or goes changes no other node's lot, so writers and readers with slightly different views of the
//! neighbourhood still agree about nearly all of the order, and no index of holders is needed to find a shard.

use alloc::vec::Vec;

use crate::{Key, NodeId, peer::Peer};

/// Sets these hashes apart from all others of the program.
const CONTEXT: &str = "chordage 2026 placement lot";

/// `candidates` in the order in which they should be asked to hold, or asked for, shards of `key`. The order does not
/// depend on the order of the candidates.
pub fn rendezvous_order(key: &Key, candidates: &[Peer]) -> Vec<Peer> {
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
mod tests {
    use alloc::{sync::Arc, vec};

    use super::*;
    use crate::PeerInfo;

    fn peers(count: u8) -> Vec<Peer> {
        (0..count).map(|i| Arc::new(PeerInfo::new([i; 32], vec![], 0).expect("no addresses"))).collect()
    }

    #[test]
    fn the_order_is_the_keys_own_and_not_that_of_the_candidates() {
        let mut candidates = peers(30);
        let order = rendezvous_order(&Key::from_bytes([1; 32]), &candidates);
        candidates.reverse();
        assert_eq!(rendezvous_order(&Key::from_bytes([1; 32]), &candidates), order);
        assert_ne!(rendezvous_order(&Key::from_bytes([2; 32]), &candidates), order);
    }

    #[test]
    fn a_node_that_goes_changes_nobody_elses_place() {
        let candidates = peers(30);
        let key = Key::from_bytes([7; 32]);
        let mut order = rendezvous_order(&key, &candidates);
        let gone = order.remove(4);
        let rest: Vec<Peer> = candidates.into_iter().filter(|peer| peer.id() != gone.id()).collect();
        assert_eq!(rendezvous_order(&key, &rest), order);
    }

    #[test]
    fn load_is_spread_over_all_candidates() {
        let candidates = peers(20);
        let mut held = [0u32; 20];
        for chunk in 0..2000u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&chunk.to_be_bytes());
            for peer in rendezvous_order(&Key::from_bytes(key), &candidates).iter().take(5) {
                held[usize::from(peer.public_key()[0])] += 1;
            }
        }
        // 2,000 chunks of 5 shards on 20 nodes: 500 each, standard deviation about 19.
        assert!(held.iter().all(|&count| (400..600).contains(&count)), "{held:?}");
    }
}
