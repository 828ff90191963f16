//! Answering others.

use alloc::vec::Vec;

use super::{Dht, Turn};
use crate::{
    CallId, Key, NodeId,
    calls::Purpose,
    message::{Message, Request, Response},
    metric::Metric,
    nearest,
    params::MESSAGE_PEERS_MAX,
    peer::Peer,
};

impl<M: Metric> Dht<M> {
    pub(super) fn answer(&mut self, turn: &mut Turn<'_>, from: &Peer, call: CallId, request: Request) {
        let response = match request {
            Request::Ping => Response::Pong,
            Request::Closest { key, count } => {
                let count = usize::from(count).min(MESSAGE_PEERS_MAX);
                let covered = self.leaves.covers(&self.metric, self.local.id_ref().key(), &key, 1);
                // Only what is complete may be longer than an ordinary reply.
                let count = if covered { count } else { count.min(self.config.reply_peers.into()) };
                Response::Closest { peers: self.nearest_others(&key, count, from.id_ref()), covered }
            }
            Request::Leaves { known } => {
                let digest = self.leaves.digest();
                if known == digest {
                    Response::LeavesUnchanged
                } else {
                    let named = |leaf: &&crate::leaf_set::Leaf| leaf.peer.id_ref() != from.id_ref();
                    let peers =
                        self.leaves.as_slice().iter().filter(named).map(|leaf| leaf.peer.clone()).collect();
                    Response::Leaves { digest, peers }
                }
            }
            Request::Reach { peer } => {
                let Some(known) = self.known(&peer) else {
                    turn.send(from, Message::Response(call, Response::Reached(false)));
                    return;
                };
                self.ask(turn, &known, Request::Ping, Purpose::ReachFor(from.clone(), call));
                return;
            }
        };
        turn.send(from, Message::Response(call, response));
    }

    /// The nearest peers this node knows, nearest first, without the one who asks. Those that have missed a probe are
    /// not named.
    pub(super) fn nearest_others(&self, key: &Key, count: usize, asker: &NodeId) -> Vec<Peer> {
        let me = self.local.id_ref().key();
        let mut near = Vec::with_capacity(2 * count);
        let mut left = count;
        if count == 0 {
            return Vec::new();
        }
        nearest::walk(&self.metric, me, self.leaves.as_slice(), key, &mut |distance, leaf| {
            if leaf.missed == 0 && leaf.peer.id_ref() != asker {
                near.push((distance, &leaf.peer));
                left -= 1;
            }
            left > 0
        });
        let mut left = count;
        nearest::walk(&self.metric, me, self.table.as_slice(), key, &mut |distance, entry| {
            if entry.missed == 0 && entry.peer.id_ref() != asker {
                near.push((distance, &entry.peer));
                left -= 1;
            }
            left > 0
        });
        near.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.id_ref().cmp(b.1.id_ref())));
        near.dedup_by(|a, b| a.1.id_ref() == b.1.id_ref());
        near.truncate(count);
        near.into_iter().map(|(_, peer)| peer.clone()).collect()
    }
}
