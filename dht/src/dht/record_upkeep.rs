//! Keeping records alive without their publishers: comparing with neighbours, and handing over what belongs elsewhere.

use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;

use super::{Dht, Turn};
use crate::{
    Key, NodeId, Time,
    calls::Purpose,
    io::Output,
    message::Request,
    metric::{Metric, Shape},
    peer::Peer,
    records::{
        COMPARE_EVERY, Digests, Held, RecordRequest, RecordResponse, RecordTag, Write, buckets_for,
        prefix_of, region_digest,
    },
};

/// The longest that a comparison with a new neighbour waits, so that several changes share one.
pub(super) const SOON: Duration = Duration::from_secs(2);
/// The same for a node that has just joined: nobody counts what it says before.
const AT_ONCE: Duration = Duration::from_millis(200);
/// Before a comparison that was broken off is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Before a comparison goes on whose differences did not fit into one answer. Two nodes of which one has no room would
/// go on for ever, so they do it slowly.
const GO_ON: Duration = Duration::from_secs(1);
/// Between two looks for records that are no longer to be kept here.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How long the neighbourhood must have been quiet before a record counts as belonging elsewhere.
const QUIET: Duration = Duration::from_secs(60);
/// Records handed over in one look.
const HANDED_OVER: usize = 32;

impl<M: Metric> Dht<M> {
    /// The neighbourhood has changed.
    pub(super) fn record_partners_changed(&mut self, turn: &mut Turn<'_>) {
        if !self.config.records || !self.is_member() {
            return;
        }
        let (partners, near) = (self.partners_of(self.own_id()), self.leaf_ids());
        let now = turn.now;
        let records = self.records.get_or_insert_with(Default::default);
        let mut soon = || now + random_part(turn, SOON);
        let gone = records.partners.set(&partners, &near, &mut soon);
        if records.partners.is_crowded() {
            records.partners.compare_anew(now, &near, |_| true, soon);
        } else if !gone.is_empty() {
            // With a death something comes into this node's care. On a circle those know of it who are on the same
            // side; in a tree it may be anybody.
            let origin = &self.origin;
            let ahead = |id: &NodeId| origin.shape() == Shape::Tree || !origin.offset(id.key()).bit(255);
            let whom = |id: &NodeId| gone.iter().any(|gone| ahead(gone) == ahead(id));
            records.partners.compare_anew(now, &near, whom, soon);
        }
    }

    /// The node's neighbours.
    fn leaf_ids(&self) -> BTreeSet<NodeId> {
        self.leaves.as_slice().iter().map(|leaf| leaf.peer.id()).collect()
    }

    /// The node has joined, or has slept: what it holds may be old.
    pub(super) fn records_may_be_old(&mut self, turn: &mut Turn<'_>) {
        if !self.config.records || !self.is_member() {
            return;
        }
        self.record_partners_changed(turn);
        let (now, near) = (turn.now, self.leaf_ids());
        let records = self.records_mut();
        records.partners.begin_anew(now, &near, || now + random_part(turn, AT_ONCE));
        records.tidy_at.get_or_insert(now + TIDY_EVERY);
    }

    pub(super) fn keep_records_up(&mut self, turn: &mut Turn<'_>) {
        let Some(records) = &mut self.records else { return };
        let mut due = Vec::new();
        while let Some(partner) = records.partners.pop_due(turn.now) {
            due.push(partner);
        }
        for partner in due {
            self.compare_with(turn, &partner);
        }
        if self.records.as_ref().and_then(|records| records.tidy_at).is_some_and(|at| at <= turn.now) {
            self.tidy_records(turn);
        }
    }

    fn compare_with(&mut self, turn: &mut Turn<'_>, partner: &NodeId) {
        let Some(peer) = self.leaves.get(&self.origin, partner).map(|leaf| &leaf.peer) else {
            return self.records_mut().partners.broken_off(partner, turn.now, AGAIN);
        };
        let peer = peer.clone();
        let shared = self.shared_with(&peer);
        let mut digests = Digests::empty(buckets_for(shared.len()));
        for (address, tag) in &shared {
            digests.add(address, tag.tag);
        }
        if let Some(exchange) = self.records_mut().partners.exchange(partner) {
            exchange.buckets = digests.0.len();
        }
        let around = region_digest(self.partners_of(self.own_id()).iter());
        let request = RecordRequest::Compare { digests: digests.0, around };
        self.ask(turn, &peer, Request::Record(request), Purpose::RecordUpkeep);
    }

    /// A neighbour has answered a question of the upkeep.
    pub(super) fn upkeep_answered(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Peer,
        request: &RecordRequest,
        response: RecordResponse,
    ) {
        match response {
            RecordResponse::Differences { parts, tags, more, agreed } => {
                // Who does not see the same neighbourhood yet has left out what it does not think to be in this node's
                // care.
                if let Some(exchange) = self.records_mut().partners.exchange(from.id_ref()) {
                    exchange.void |= !agreed;
                }
                self.differences(turn, from, &parts, &tags, more);
            }
            RecordResponse::Taken => self.exchange_on(turn, from),
            RecordResponse::Given(given) => {
                let wanted = match request {
                    RecordRequest::Want(prefixes) => &prefixes[..],
                    _ => &[],
                };
                let asked = |held: &&Held| wanted.contains(&prefix_of(held.record.address()));
                let given: Vec<Held> = given.iter().filter(asked).cloned().collect();
                self.records_given(turn, from, &given);
                let came: Vec<u64> = given.iter().map(|held| prefix_of(held.record.address())).collect();
                if let Some(exchange) = self.records_mut().partners.exchange(from.id_ref()) {
                    exchange.want.retain(|prefix| !came.contains(prefix));
                    if came.is_empty() {
                        // It has none of them any more.
                        exchange.want.retain(|prefix| !wanted.contains(prefix));
                    }
                }
                self.exchange_on(turn, from);
            }
            RecordResponse::Stored { .. } | RecordResponse::Newer { .. } => {
                if let RecordRequest::Write { record, .. } = request {
                    self.handed_over(turn, record.address());
                }
            }
            RecordResponse::State { .. } | RecordResponse::Refused { .. } => {}
        }
    }

    fn differences(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Peer,
        parts: &[u8],
        tags: &[RecordTag],
        more: bool,
    ) {
        let mut own = self.shared_with(from);
        let now = turn.now;
        let partners = &mut self.records_mut().partners;
        let Some(exchange) = partners.exchange(from.id_ref()) else { return };
        if parts.is_empty() {
            return partners.compared(from.id_ref(), now, COMPARE_EVERY);
        }
        own.retain(|(address, _)| parts.contains(&(Digests::bucket(address, exchange.buckets) as u8)));
        exchange.plan(&own, tags, more);
        self.exchange_on(turn, from);
    }

    /// Gives and asks for what differs, one message at a time.
    fn exchange_on(&mut self, turn: &mut Turn<'_>, with: &Peer) {
        let Some(records) = &mut self.records else { return };
        let Some(exchange) = records.partners.exchange(with.id_ref()) else { return };
        let (mut room, mut given) = (super::records::RECORDS_BYTES, Vec::new());
        while given.len() < super::records::RECORDS_IN_MESSAGE
            && let Some(address) = exchange.give.front()
        {
            let Some(held) = records.shelf.get(address) else {
                exchange.give.pop_front();
                continue;
            };
            let Some(left) = room.checked_sub(held.record.encoded_len()) else { break };
            room = left;
            given.push(held.clone());
            exchange.give.pop_front();
        }
        let request = if !given.is_empty() {
            RecordRequest::Give(given)
        } else if !exchange.want.is_empty() {
            let count = exchange.want.len().min(super::records::RECORDS_IN_MESSAGE);
            RecordRequest::Want(exchange.want[..count].to_vec())
        } else if exchange.more {
            return records.partners.broken_off(with.id_ref(), turn.now, GO_ON);
        } else {
            return records.partners.compared(with.id_ref(), turn.now, COMPARE_EVERY);
        };
        self.ask(turn, with, Request::Record(request), Purpose::RecordUpkeep);
    }

    /// A neighbour does not answer a question of the upkeep.
    pub(super) fn upkeep_failed(&mut self, turn: &mut Turn<'_>, peer: &NodeId) {
        if let Some(records) = &mut self.records {
            records.partners.broken_off(peer, turn.now, AGAIN);
        }
    }

    /// Forgets records that ended long ago, and offers those that belong elsewhere to the nearest of their region.
    fn tidy_records(&mut self, turn: &mut Turn<'_>) {
        let wait = turn.around(TIDY_EVERY);
        let unix_seconds = self.unix_seconds(turn.now);
        let records = self.records_mut();
        records.tidy_at = Some(turn.now + wait);
        for address in records.shelf.long_expired(unix_seconds) {
            self.forget_record(turn, &address);
        }
        if !self.is_member() || turn.now.since(self.changed) < QUIET {
            return;
        }
        let care = self.care_of(self.own_id());
        let Some(records) = &self.records else { return };
        let strays: Vec<Held> = records
            .shelf
            .iter()
            .filter(|(address, _)| !self.is_in(&care, address))
            .take(HANDED_OVER)
            .map(|(_, held)| held.clone())
            .collect();
        for held in strays {
            let region = self.region_of(held.record.address());
            let Some((nearest, _)) = region.first() else { continue };
            let region = region_digest(region.iter().map(|(peer, _)| peer.id_ref()));
            let write = Write::HandOver(held.ballot);
            let request = RecordRequest::Write { record: held.record, write, region };
            let nearest = nearest.clone();
            self.ask(turn, &nearest, Request::Record(request), Purpose::RecordUpkeep);
        }
    }

    /// The nearest node to a record keeps it, or something newer.
    fn handed_over(&mut self, turn: &mut Turn<'_>, address: &Key) {
        if !self.keeps(address) {
            self.forget_record(turn, address);
        }
    }

    fn forget_record(&mut self, turn: &mut Turn<'_>, address: &Key) {
        if self.records_mut().shelf.remove(address) {
            turn.out.push(Output::DropRecord(*address));
        }
    }

    /// When the records want something to be done.
    pub(super) fn records_timeout(&self) -> Option<Time> {
        self.records.as_ref().and_then(|records| records.next_due())
    }
}

/// A random part of a duration.
fn random_part(turn: &mut Turn<'_>, most: Duration) -> Duration {
    most * (turn.rng.next_u64() % 1000) as u32 / 1000
}
