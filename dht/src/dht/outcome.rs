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
                self.row_pace.alive();
            }
            (Purpose::ReachFor(asker, id), Response::Pong) => {
                turn.send(&asker, Message::Response(id, Response::Reached(true)));
            }
            (Purpose::Revive, Response::Pong) => self.former_is_back(turn, from),
            (Purpose::ReachThrough(suspect), Response::Reached(reached)) => {
                self.told_reach(&suspect, reached);
            }
            (Purpose::Home, Response::Pong) => self.home_answered(turn, from, turn.now.since(call.sent)),
            (Purpose::Probe, _) => self.timing.health.good(),
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
            Purpose::Meet => self.meetings.end(call.peer.id_ref()),
            Purpose::Leaves => self.exchanges = self.exchanges.saturating_sub(1),
            Purpose::Probe => {
                if let Some(leaf) = self.leaves.get_mut(&self.origin, call.peer.id_ref()) {
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
        let would_be_neighbour = self.leaves.wants(&self.origin, call.peer.id_ref());
        if call.repeats >= call.purpose.repeats(would_be_neighbour) {
            return self.failed(turn, call);
        }
        let to = call.peer.clone();
        let deadline = turn.now + self.timeout_of(to.id_ref()) * (1 + u32::from(call.repeats));
        turn.send(&to, Message::Request(id, call.request.clone()));
        let lookup = if let Purpose::Lookup(serial) = call.purpose { Some(serial) } else { None };
        self.calls.repeat(id, call, deadline);
        if let Some(serial) = lookup {
            self.lookup_late(turn, serial, to.id_ref());
        }
    }

    /// A question will not be answered.
    fn failed(&mut self, turn: &mut Turn<'_>, call: Call) {
        self.settle_call(&call);
        let peer = call.peer.clone();
        self.membership_unanswered(turn, &peer, false);
        if call.purpose.silence_is_a_miss() {
            self.missed(turn, &peer, false);
        }
        self.goes_unanswered(turn, call.purpose, &peer);
    }

    /// Tells whoever waits for the answer that none will come.
    fn goes_unanswered(&mut self, turn: &mut Turn<'_>, purpose: Purpose, peer: &Peer) {
        match purpose {
            Purpose::Lookup(serial) => self.lookup_failed(turn, serial, peer.id_ref()),
            Purpose::Record(serial, round) => self.record_silent(turn, serial, round, peer.id_ref()),
            Purpose::RecordUpkeep => self.upkeep_failed(turn, peer.id_ref()),
            Purpose::Rendezvous(serial, round) => self.place_silent(turn, serial, round, peer.id_ref()),
            Purpose::Compare => self.comparison_failed(turn),
            Purpose::ReachFor(asker, id) => {
                turn.send(&asker, Message::Response(id, Response::Reached(false)));
            }
            // The address was hearsay and may be wrong, so this counts against the peer only if its own record names it
            // too.
            Purpose::Meet => {
                self.row_pace.dead();
                self.entry_missed(peer);
                self.all_met();
            }
            Purpose::Probe | Purpose::Leaves | Purpose::Row | Purpose::Revive => {}
            Purpose::ReachThrough(_) | Purpose::Link | Purpose::Home => {}
        }
    }

    /// The transport gave a peer up: every question to it has failed, together they count as one missed probe.
    pub(super) fn unreachable(&mut self, turn: &mut Turn<'_>, peer: &Peer) {
        self.membership_unanswered(turn, peer, true);
        let calls = self.calls.close_all_to(peer);
        let mut verified = calls.is_empty();
        let mut missed = Vec::new();
        for call in calls {
            self.settle_call(&call);
            // A hearsay address that does not work says nothing about the peer.
            verified |= !call.purpose.is_by_hearsay();
            if call.purpose.silence_is_a_miss() {
                missed.push(call.purpose);
            } else {
                self.goes_unanswered(turn, call.purpose, peer);
            }
        }
        // This counts only for the addresses that the peer itself has told us: others may name an address that it has
        // left, as lists do after a restart, or have made one up.
        if verified
            && let Some(known) = self.known(peer.id_ref())
            && known.seq() <= peer.seq()
            && known.addrs() == peer.addrs()
        {
            self.missed(turn, &known, true);
        }
        // Whoever waits asks the next; this one is not among those any more.
        for purpose in missed {
            self.goes_unanswered(turn, purpose, peer);
        }
    }
}

#[cfg(test)]
mod tests;
