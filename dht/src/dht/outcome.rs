//! What becomes of questions: answers, time-outs, peers that the transport gives up.

use alloc::vec::Vec;

use super::{Dht, Turn};
use crate::{
    CallId,
    calls::{Call, Purpose},
    message::{Message, Request, Response},
    metric::Metric,
    params::MESSAGE_PEERS_MAX,
    peer::Peer,
};

/// How often a question of a lookup is sent again before its peer counts as not answering. Design: with 5 % of messages
/// lost, one peer in a thousand is missed; a dead one costs four time-outs, in which others are asked.
const REPEATS_MAX: u8 = 2;

impl<M: Metric> Dht<M> {
    pub(super) fn answered(&mut self, turn: &mut Turn<'_>, from: &Peer, call: Call, response: Response) {
        self.settle_call(&call);
        match (call.purpose, response) {
            (Purpose::Lookup(serial), Response::Closest { peers, covered }) => {
                self.lookup_answered(turn, serial, from, &peers, covered, turn.now.since(call.sent));
            }
            (Purpose::Leaves, Response::Leaves { digest, reach, shared, peers }) => {
                let have = match call.request {
                    Request::Leaves { have, .. } => have,
                    _ => None,
                };
                let theirs = self.their_leaves(have.as_ref(), shared, &peers);
                self.leaves_received(turn, from, digest, reach, &theirs, &peers);
            }
            (Purpose::Leaves, Response::LeavesChanged) => {
                if matches!(call.request, Request::Leaves { have: None, .. }) {
                    self.exchange_leaves(turn, from, true);
                }
            }
            (Purpose::Compare, Response::Differences { kept, arcs, more }) => {
                self.compared(turn, from, kept, &arcs, more);
            }
            (Purpose::Compare, Response::Records { records }) => {
                self.records_received(turn, from, &records);
            }
            (Purpose::Row, Response::Closest { peers, .. }) => {
                self.consider_all(turn, &peers[..peers.len().min(MESSAGE_PEERS_MAX)]);
            }
            (Purpose::Meet, Response::Pong) => {
                self.all_met();
                self.row_went_well();
            }
            (Purpose::ReachFor(asker, id), Response::Pong) => {
                turn.send(&asker, Message::Response(id, Response::Reached(true)));
            }
            (Purpose::Revive, Response::Pong) => self.former_is_back(turn, from),
            (Purpose::ReachThrough(suspect), Response::Reached(reached)) => {
                self.told_reach(&suspect, reached);
            }
            (Purpose::Home, Response::Pong) => self.home_answered(turn, from, turn.now.since(call.sent)),
            (Purpose::Probe, _) => self.health.good(),
            (Purpose::Record(serial, round), Response::Record(response)) => {
                self.record_answered(turn, serial, round, from, response);
            }
            (Purpose::RecordUpkeep, Response::Record(response)) => {
                if let Request::Record(request) = &call.request {
                    self.upkeep_answered(turn, from, request, response);
                }
            }
            (Purpose::Rendezvous(serial, round), Response::Rendezvous(response)) => {
                self.place_answered(turn, serial, round, from, response);
            }
            // That it answered was all we wanted.
            _ => {}
        }
    }

    /// Books a call as over, whichever way it ended.
    fn settle_call(&mut self, call: &Call) {
        match call.purpose {
            Purpose::Meet => self.meeting.retain(|id| id != call.peer.id_ref()),
            Purpose::Leaves => self.exchanges = self.exchanges.saturating_sub(1),
            Purpose::Probe => {
                if let Some(leaf) =
                    self.leaves.get_mut(&self.metric, self.local.id_ref().key(), call.peer.id_ref())
                {
                    leaf.suspicion.end_probe();
                }
            }
            Purpose::Lookup(_)
            | Purpose::Row
            | Purpose::Revive
            | Purpose::ReachFor(..)
            | Purpose::ReachThrough(_)
            | Purpose::Compare
            | Purpose::Link
            | Purpose::Home
            | Purpose::Record(..)
            | Purpose::RecordUpkeep
            | Purpose::Rendezvous(..) => {}
        }
    }

    pub(super) fn expired(&mut self, turn: &mut Turn<'_>, id: CallId, call: Call) {
        if let Purpose::Record(..) | Purpose::RecordUpkeep | Purpose::Rendezvous(..) = call.purpose
            && call.repeats < REPEATS_MAX
        {
            // Asked again, as for a lookup; and what is written twice is written once.
            let deadline = turn.now + self.timeout_of(call.peer.id_ref()) * (1 + u32::from(call.repeats));
            turn.send(&call.peer, Message::Request(id, call.request.clone()));
            self.calls.repeat(id, call, deadline);
            return;
        }
        if let Purpose::Lookup(serial) = call.purpose
            && call.repeats < REPEATS_MAX
        {
            // Late, not lost: others are asked meanwhile, and this one once more, in case a message was lost.
            let to = call.peer.clone();
            let deadline = turn.now + self.timeout_of(to.id_ref()) * (1 + u32::from(call.repeats));
            turn.send(&to, Message::Request(id, call.request.clone()));
            self.calls.repeat(id, call, deadline);
            self.lookup_late(turn, serial, to.id_ref());
            return;
        }
        // Nor may a neighbour be missed because a message was lost.
        if matches!(call.purpose, Purpose::Meet)
            && call.repeats == 0
            && self.leaves.wants(&self.metric, self.local.id_ref().key(), call.peer.id_ref())
        {
            let deadline = turn.now + self.timeout_of(call.peer.id_ref());
            turn.send(&call.peer, Message::Request(id, call.request.clone()));
            self.calls.repeat(id, call, deadline);
            return;
        }
        self.failed(turn, call);
    }

    /// A question will not be answered.
    fn failed(&mut self, turn: &mut Turn<'_>, call: Call) {
        self.settle_call(&call);
        let peer = call.peer.clone();
        self.membership_unanswered(turn, &peer, false);
        match call.purpose {
            Purpose::Compare => self.comparison_failed(turn),
            Purpose::Link | Purpose::Home => {}
            Purpose::Lookup(serial) => {
                self.missed(turn, &peer, false);
                self.lookup_failed(turn, serial, peer.id_ref());
            }
            Purpose::Probe | Purpose::Leaves | Purpose::Row => self.missed(turn, &peer, false),
            // It was hearsay; perhaps only the address was wrong. Unless we had it from the peer itself.
            Purpose::Meet => {
                self.row_went_badly();
                self.entry_missed(&peer);
                self.all_met();
            }
            // It was a faint hope.
            Purpose::Revive => {}
            Purpose::ReachFor(asker, id) => {
                turn.send(&asker, Message::Response(id, Response::Reached(false)));
            }
            Purpose::ReachThrough(_) => {}
            Purpose::Record(serial, round) => {
                self.missed(turn, &peer, false);
                self.record_silent(turn, serial, round, peer.id_ref());
            }
            Purpose::RecordUpkeep => {
                self.missed(turn, &peer, false);
                self.upkeep_failed(turn, peer.id_ref());
            }
            Purpose::Rendezvous(serial, round) => {
                self.missed(turn, &peer, false);
                self.place_silent(turn, serial, round, peer.id_ref());
            }
        }
    }

    /// The transport gave a peer up: every question to it has failed, together they count as one missed probe.
    pub(super) fn unreachable(&mut self, turn: &mut Turn<'_>, peer: &Peer) {
        self.membership_unanswered(turn, peer, true);
        let calls = self.calls.close_all_to(peer);
        let mut verified = calls.is_empty();
        let (mut lookups, mut operations, mut upkeep) = (Vec::new(), Vec::new(), false);
        let mut places = Vec::new();
        for call in calls {
            self.settle_call(&call);
            // A hearsay address that does not work says nothing about the peer.
            verified |= !matches!(
                call.purpose,
                Purpose::Meet | Purpose::Revive | Purpose::Compare | Purpose::Link | Purpose::Home
            );
            match call.purpose {
                Purpose::Lookup(serial) => lookups.push(serial),
                Purpose::Record(serial, round) => operations.push((serial, round)),
                Purpose::RecordUpkeep => upkeep = true,
                Purpose::Rendezvous(serial, round) => places.push((serial, round)),
                Purpose::Compare => self.comparison_failed(turn),
                Purpose::ReachFor(asker, id) => {
                    turn.send(&asker, Message::Response(id, Response::Reached(false)));
                }
                _ => {}
            }
        }
        // Only where the peer itself has said that it is: whoever tells of it may know an address that it has left, as
        // lists do after a restart, or have made one up.
        if verified
            && let Some(known) = self.known(peer.id_ref())
            && known.seq() <= peer.seq()
            && known.addrs() == peer.addrs()
        {
            self.missed(turn, &known, true);
        }
        for serial in lookups {
            self.lookup_failed(turn, serial, peer.id_ref());
        }
        for (serial, round) in operations {
            self.record_silent(turn, serial, round, peer.id_ref());
        }
        for (serial, round) in places {
            self.place_silent(turn, serial, round, peer.id_ref());
        }
        if upkeep {
            self.upkeep_failed(turn, peer.id_ref());
        }
    }
}
