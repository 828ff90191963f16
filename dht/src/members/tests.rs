//! What the rooms' tests share.

use alloc::{sync::Arc, vec};

use super::{Announcement, News, Signature};
use crate::{Address, PeerInfo, peer::Peer};

/// The record of the peer with this number.
pub(super) fn peer(number: u32, seq: u64) -> Peer {
    let mut public_key = [0; 32];
    public_key[..4].copy_from_slice(&number.to_be_bytes());
    let address = Address::new(&number.to_be_bytes()).unwrap();
    Arc::new(PeerInfo::new(public_key, vec![address], seq).unwrap())
}

pub(super) fn joined(number: u32, seq: u64) -> News {
    News::Member(Announcement::new(peer(number, seq), false, Signature([0; 64])))
}

pub(super) fn gone(number: u32, seq: u64) -> News {
    News::Gone { peer: peer(number, seq).id_ref().into(), seq }
}
