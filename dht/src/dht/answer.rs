//! Answering others.

use alloc::vec::Vec;

use super::{Dht, Turn};
use crate::{
    CallId, Distance, Key, NodeId,
    calls::Purpose,
    message::{Message, Reach, Request, Response},
    metric::Metric,
    nearest,
    origin::Origin,
    params::MESSAGE_PEERS_MAX,
    peer::Peer,
    rtt::Rtt,
    short_ids::ShortIds,
};

/// While this many questions are open, none is asked on behalf of others. Design.
const CALLS_FOR_OTHERS: usize = 1024;

impl<M: Metric> Dht<M> {
    pub(super) fn answer(&mut self, turn: &mut Turn<'_>, from: &Peer, call: CallId, request: &Request) {
        let response = match *request {
            Request::Ping => Response::Pong,
            Request::Closest { key, count } => {
                let count = usize::from(count).min(MESSAGE_PEERS_MAX);
                let covered = self.covers(&key, 1);
                let peers = if covered {
                    self.nearest_others(&key, count, from.id_ref())
                } else {
                    self.helpful_others(turn, &key, count.min(self.config.reply_peers.into()), from.id_ref())
                };
                Response::Closest { peers, covered }
            }
            Request::Leaves { known, ref have } => match (self.leaves.digest(), have) {
                (digest, _) if digest == known => Response::LeavesUnchanged,
                (_, None) => Response::LeavesChanged,
                (digest, Some(have)) => self.leaves_beside(digest, have, from.id_ref()),
            },
            Request::Compare { scope, ref digests } => self.compare_asked(scope, digests),
            Request::Records { ref wanted } => self.records_asked(wanted),
            Request::Record(ref request) => match self.record_asked(turn, from, call, request) {
                Some(response) => Response::Record(response),
                None => return,
            },
            Request::Rendezvous(ref request) => match self.rendezvous_asked(turn, from, request) {
                Some(response) => Response::Rendezvous(response),
                None => return,
            },
            // A client never asks for help with a suspect. Helping one would let anybody make us call whom they like.
            Request::Reach { .. } if !from.is_reachable() => return,
            Request::Reach { peer } => {
                let known = if self.calls.len() < CALLS_FOR_OTHERS { self.known(&peer) } else { None };
                // Who does not know it has nothing to say about it.
                let Some(known) = known else { return };
                self.ask(turn, &known, Request::Ping, Purpose::ReachFor(from.clone(), call));
                return;
            }
        };
        turn.send(from, Message::Response(call, response));
    }

    /// The members of the leaf set that the asker does not have and may want, and which of its own are among them.
    fn leaves_beside(&self, digest: u32, have: &ShortIds, asker: &NodeId) -> Response {
        let (mut shared, mut peers) = (0, Vec::new());
        let wanted = self.leaves.wanted_at(&self.origin.metric, asker.key());
        for leaf in self.leaves.as_slice().iter().filter(|leaf| leaf.peer.id_ref() != asker) {
            match have.position(leaf.peer.id_ref()) {
                Some(position) => shared |= 1 << position.min(63),
                None if wanted.contains(self.origin.metric.offset(asker.key(), leaf.peer.id_ref().key())) => {
                    peers.push(leaf.peer.clone());
                }
                None => {}
            }
        }
        // Who has not joined knows what it has been told, and nobody tells it yet.
        let reach = match self.leaves.reach(&self.origin) {
            _ if !self.is_member() => [Reach(0); 2],
            None => [Reach(u64::MAX); 2],
            Some(reach) => reach.map(Reach::up_to),
        };
        Response::Leaves { digest, reach, shared, peers }
    }

    /// Whether this node certainly knows the `count` nodes nearest to a key. Who is still looking for its place does
    /// not know what it does not know. Nor does a new member while it meets the neighbours it has been told of: a leaf
    /// set that is not full shows the whole network only to those who have met everybody.
    pub(super) fn covers(&self, key: &Key, count: usize) -> bool {
        self.is_member() && self.leaves.covers(&self.origin, key, count)
    }

    /// The nearest peers this node knows, nearest first, without the one who asks. Those that have missed a probe are
    /// not named.
    pub(super) fn nearest_others(&self, key: &Key, count: usize, asker: &NodeId) -> Vec<Peer> {
        let near = self.near(key, count, asker, Distance::MAX, Hearsay::Ignored);
        near.into_iter().map(|near| near.peer.clone()).collect()
    }

    /// The same with members this node has only heard of: as good as names in somebody's answer, to be asked
    /// themselves.
    pub(super) fn nearest_listed(&self, key: &Key, count: usize) -> Vec<Peer> {
        let near = self.near(key, count, self.own_id(), Distance::MAX, Hearsay::Counted);
        near.into_iter().map(|near| near.peer.clone()).collect()
    }

    /// Peers that bring a lookup nearer to a key whose neighbourhood this node does not know. Of twenty, the nearest
    /// twelve, then the four with the shortest round-trip times and four at random out of the next nearest: the
    /// nearest alone would often be the same for everybody who answers.
    fn helpful_others(&self, turn: &mut Turn<'_>, key: &Key, count: usize, asker: &NodeId) -> Vec<Peer> {
        let own = self.origin.distance(key);
        let by_distance = count - 2 * (count / 5);
        let mut near = self.near(key, 2 * count - by_distance, asker, own, Hearsay::Counted);
        if near.len() > count {
            let rest = &mut near[by_distance..];
            rest.sort_by_key(|near| near.rtt.rank());
            let rest = &mut rest[count / 5..];
            for index in 0..count / 5 {
                let other = index + (turn.rng.next_u64() % (rest.len() - index) as u64) as usize;
                rest.swap(index, other);
            }
            near.truncate(count);
        }
        near.into_iter().map(|near| near.peer.clone()).collect()
    }

    /// The nearest peers in all tables, nearest first, as far as they are nearer than `limit`.
    fn near(
        &self,
        key: &Key,
        count: usize,
        asker: &NodeId,
        limit: Distance,
        hearsay: Hearsay,
    ) -> Vec<Near<'_>> {
        let mut near = Vec::with_capacity(2 * count);
        if count == 0 {
            return near;
        }
        self.leaves.walk(&self.origin, key, &mut |distance, leaf| {
            if leaf.suspicion.missed() == 0 && leaf.peer.id_ref() != asker {
                near.push(Near { distance, peer: &leaf.peer, rtt: leaf.rtt });
            }
            near.len() < count && distance < limit
        });
        let leaves = near.len();
        self.table.walk(&self.origin, key, &mut |distance, entry| {
            if entry.missed == 0 && entry.peer.id_ref() != asker {
                near.push(Near { distance, peer: &entry.peer, rtt: entry.rtt });
            }
            near.len() - leaves < count && distance < limit
        });
        let known = near.len();
        if let Some(members) = &self.members
            && hearsay == Hearsay::Counted
        {
            // The list is sorted by id, that is by offset from zero.
            let zero = Origin::new(self.origin.metric.clone(), Key::default());
            nearest::walk(&zero, members.lists.widest().entries(), key, &mut |distance, entry| {
                let id = entry.peer().id_ref();
                if entry.missed == 0 && id != asker && id != self.own_id() {
                    near.push(Near { distance, peer: entry.peer(), rtt: Rtt::default() });
                }
                near.len() - known < count && distance < limit
            });
        }
        let (near, listed) = near.split_at(known);
        let (leaves, entries) = near.split_at(leaves);
        nearest_of([leaves, entries, listed], count, limit)
    }
}

/// Whether members count that this node has only heard of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hearsay {
    Ignored,
    Counted,
}

/// A known peer and how far it is from a key.
#[derive(Clone, Copy)]
struct Near<'a> {
    distance: Distance,
    peer: &'a Peer,
    rtt: Rtt,
}

/// The nearest peers of lists that are sorted by distance, then by id: each peer once, at most `count` and none beyond
/// `limit`. Of two entries for one peer, that whose round-trip time is known.
fn nearest_of<'a, const N: usize>(lists: [&[Near<'a>]; N], count: usize, limit: Distance) -> Vec<Near<'a>> {
    let before = |a: &Near<'_>, b: &Near<'_>| {
        let by_id = || a.peer.id_ref().cmp(b.peer.id_ref());
        a.distance.cmp(&b.distance).then_with(by_id).then_with(|| a.rtt.rank().cmp(&b.rtt.rank()))
    };
    debug_assert!(lists.iter().all(|list| list.is_sorted_by(|a, b| before(a, b).is_lt())));
    let mut lists = lists;
    let mut nearest: Vec<Near<'a>> = Vec::with_capacity(count);
    while nearest.len() < count {
        let heads = lists.iter_mut().filter(|list| !list.is_empty());
        let Some(list) = heads.min_by(|a, b| before(&a[0], &b[0])) else { break };
        let next = list[0];
        if next.distance > limit {
            break;
        }
        *list = &list[1..];
        if nearest.last().is_none_or(|last| last.peer.id_ref() != next.peer.id_ref()) {
            nearest.push(next);
        }
    }
    nearest
}
