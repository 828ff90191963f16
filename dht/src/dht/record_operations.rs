//! Reading and changing records, wherever they are kept.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::time::Duration;

use super::{Dht, Phase, Turn, record_state::OPERATIONS_MAX, record_writes::Waiting};
use crate::{
    Distance, Key, NodeId,
    calls::Purpose,
    io::Output,
    lookup::{Owner, Progress, State},
    message::Request,
    metric::Metric,
    peer::Peer,
    records::{
        Goal, Held, Next, Operation, OperationError, OperationId, Outcome, REGION, Record, RecordRequest,
        RecordResponse, Refusal, Taken, Write, region_digest,
    },
};

/// Nodes that are looked for: the region, and some more in case a part of it is gone.
const WANTED: usize = REGION + 3;
/// How many of the nearest must answer where the region has to be looked up.
const CONFIRMED: usize = 3;

impl<M: Metric> Dht<M> {
    pub(super) fn start_operation(
        &mut self,
        turn: &mut Turn<'_>,
        id: OperationId,
        address: Key,
        goal: Goal,
        deadline: Duration,
    ) {
        let fail =
            |turn: &mut Turn<'_>, error| turn.out.push(Output::OperationFinished { id, outcome: Err(error) });
        if self.phase == Phase::Left || (!self.is_member() && self.knows_nobody()) {
            return fail(turn, OperationError::NotJoined);
        }
        if self.records_mut().operations() >= OPERATIONS_MAX {
            return fail(turn, OperationError::Busy);
        }
        let operation = Operation::new(id, address, goal, turn.now, turn.now + deadline);
        let serial = self.records_mut().add(operation);
        self.locate(turn, serial);
    }

    pub(super) fn cancel_operation(&mut self, id: OperationId) {
        self.records_mut().watches.remove(&id);
        if let Some(serial) = self.records_mut().find(id) {
            self.records_mut().take(serial);
        }
    }

    /// The caller has decided what follows what is held.
    pub(super) fn decided(&mut self, turn: &mut Turn<'_>, id: OperationId, record: Option<Arc<Record>>) {
        let Some(serial) = self.records_mut().find(id) else { return };
        if let Some(operation) = self.records_mut().get_mut(serial) {
            // A record of another address would be written to nodes that are not to keep it.
            let record = record.filter(|record| *record.address() == operation.address);
            operation.decided(record);
        }
        self.go_on(turn, serial);
    }

    /// Finds the region: by what this node knows, if that shows it for certain or if it knows everybody; else by
    /// asking.
    pub(super) fn locate(&mut self, turn: &mut Turn<'_>, serial: u32) {
        let Some(address) = self.records_mut().get_mut(serial).map(|operation| operation.address) else {
            return;
        };
        match self.region_at_hand(&address) {
            Some(region) => self.located(turn, serial, region),
            None => self.look_region_up(turn, Owner::Record(serial), address),
        }
    }

    /// The region of an address, and some more, if this node knows it without asking.
    pub(super) fn region_at_hand(&self, address: &Key) -> Option<Vec<(Peer, Distance)>> {
        if self.covers(address, REGION) {
            return Some(self.region_of(address));
        }
        self.members.is_some().then(|| self.known_near(address))
    }

    /// Asks others for it.
    pub(super) fn look_region_up(&mut self, turn: &mut Turn<'_>, owner: Owner, address: Key) {
        let deadline = turn.now + crate::params::LOOKUP_DEADLINE;
        let parallel = self.config.parallel.into();
        let mut progress = Progress::new(owner, address, WANTED, CONFIRMED, parallel, turn.now, deadline)
            .for_onlooker(self.is_client());
        if self.is_member() {
            let state = if self.covers(&address, 1) { State::Here } else { State::HereUnsure };
            progress.add(&self.origin.metric, &self.local, state, None);
        }
        for peer in self.nearest_others(&address, self.config.reply_peers.into(), self.own_id()) {
            progress.add(&self.origin.metric, &peer, State::Named, None);
        }
        self.run_lookup(turn, progress);
    }

    /// The nearest of all that this node has heard of, itself among them.
    fn known_near(&self, address: &Key) -> Vec<(Peer, Distance)> {
        let mut near: Vec<Peer> = self.nearest_listed(address, WANTED);
        if self.is_member() {
            near.push(self.local.clone());
        }
        near.into_iter().map(|peer| self.with_distance(peer, address)).collect()
    }

    pub(super) fn with_distance(&self, peer: Peer, address: &Key) -> (Peer, Distance) {
        let distance = self.origin.metric.distance(peer.id_ref().key(), address);
        (peer, distance)
    }

    /// The nodes nearest to the record of an operation are these, or none could be found.
    pub(super) fn region_found(&mut self, turn: &mut Turn<'_>, serial: u32, closest: Vec<Peer>) {
        let Some(address) = self.records_mut().get_mut(serial).map(|operation| operation.address) else {
            return;
        };
        let region = closest.into_iter().map(|peer| self.with_distance(peer, &address)).collect();
        self.located(turn, serial, region);
    }

    fn located(&mut self, turn: &mut Turn<'_>, serial: u32, region: Vec<(Peer, Distance)>) {
        let drawn = turn.rng.next_u32();
        if let Some(operation) = self.records_mut().get_mut(serial) {
            operation.begin(drawn, region.into_iter());
        }
        self.go_on(turn, serial);
    }

    /// Does what an operation wants to be done, until it waits.
    fn go_on(&mut self, turn: &mut Turn<'_>, serial: u32) {
        let Some(mut operation) = self.records_mut().take(serial) else { return };
        loop {
            match operation.next(turn.now) {
                Next::Ask(peer, ballot) => self.ask_for_record(turn, serial, &mut operation, &peer, ballot),
                Next::Write(peer, held, write) => {
                    self.write_record(turn, serial, &mut operation, &peer, held, write);
                }
                Next::Decide(current) => turn.out.push(Output::Decide { id: operation.id, current }),
                Next::Tell(outcome) => self.tell_outcome(turn, operation.id, outcome),
                Next::Wait => return self.records_mut().put_back(serial, operation),
                Next::Done => return,
            }
        }
    }

    fn ask_for_record(
        &mut self,
        turn: &mut Turn<'_>,
        serial: u32,
        operation: &mut Operation,
        peer: &Peer,
        prepare: Option<crate::records::Ballot>,
    ) {
        let address = operation.address;
        if peer.id_ref() == self.own_id() {
            if !self.config.records || !self.is_member() {
                return operation.silent(peer.id_ref());
            }
            let (ready, promised, held) = self.read_here(turn.now, &address, prepare);
            return operation.heard(peer.id_ref(), ready, promised, held);
        }
        let region = region_digest(operation.region_ids());
        let request = match prepare {
            None if operation.is_watch() => RecordRequest::Watch { address, region },
            _ => RecordRequest::Read { address, prepare, region },
        };
        self.ask(turn, peer, Request::Record(request), Purpose::Record(serial, operation.round));
    }

    fn write_record(
        &mut self,
        turn: &mut Turn<'_>,
        serial: u32,
        operation: &mut Operation,
        peer: &Peer,
        held: Held,
        write: Write,
    ) {
        if peer.id_ref() == self.own_id() {
            // What this node writes itself has no limit but those for all.
            let waiting = Waiting::Operation(serial, operation.round);
            return match self.write_here(turn, &held, write, 0, waiting) {
                Ok(Some(Taken::Older(held))) => operation.newer(peer.id_ref(), held),
                Ok(Some(_)) => operation.stored(peer.id_ref()),
                Ok(None) => {}
                Err(why) => operation.refused(peer.id_ref(), why),
            };
        }
        let region = region_digest(operation.region_ids());
        let request = RecordRequest::Write { record: held.record, write, region };
        self.ask(turn, peer, Request::Record(request), Purpose::Record(serial, operation.round));
    }

    /// What this node itself was to keep is on disk, or cannot be.
    pub(super) fn own_write_ended(
        &mut self,
        turn: &mut Turn<'_>,
        serial: u32,
        round: u8,
        ended: Result<(), Refusal>,
    ) {
        let me = *self.own_id();
        let Some(operation) = self.operation_in(serial, round) else { return };
        match ended {
            Ok(()) => operation.stored(&me),
            Err(why) => operation.refused(&me, why),
        }
        self.go_on(turn, serial);
    }

    fn operation_in(&mut self, serial: u32, round: u8) -> Option<&mut Operation> {
        self.records_mut().get_mut(serial).filter(|operation| operation.round == round)
    }

    /// A node of the region has answered.
    pub(super) fn record_answered(
        &mut self,
        turn: &mut Turn<'_>,
        serial: u32,
        round: u8,
        from: &Peer,
        response: RecordResponse,
    ) {
        let Some(address) = self.operation_in(serial, round).map(|operation| operation.address) else {
            return;
        };
        // A record of another address is an answer to something else.
        if response.records().iter().any(|held| *held.record.address() != address) {
            return self.record_silent(turn, serial, round, from.id_ref());
        }
        let named = response.region().iter().filter(|peer| peer.is_reachable()).take(REGION);
        let region: Vec<(Peer, Distance)> =
            named.map(|peer| self.with_distance(peer.clone(), &address)).collect();
        let Some(operation) = self.operation_in(serial, round) else { return };
        operation.region_told(&region);
        match response {
            RecordResponse::State { ready, promised, held, .. } => {
                operation.heard(from.id_ref(), ready, promised, held);
            }
            RecordResponse::Stored { .. } => operation.stored(from.id_ref()),
            RecordResponse::Newer { held, .. } => operation.newer(from.id_ref(), held),
            RecordResponse::Refused { why, .. } => operation.refused(from.id_ref(), why),
            RecordResponse::Differences { .. } | RecordResponse::Taken | RecordResponse::Given(_) => {}
        }
        self.go_on(turn, serial);
    }

    /// A node of the region does not answer.
    pub(super) fn record_silent(&mut self, turn: &mut Turn<'_>, serial: u32, round: u8, peer: &NodeId) {
        let Some(operation) = self.operation_in(serial, round) else { return };
        operation.silent(peer);
        self.go_on(turn, serial);
    }

    /// Operations whose deadline has passed end; others begin another round, or stop waiting for stragglers.
    pub(super) fn wake_operations(&mut self, turn: &mut Turn<'_>) {
        while let Some((serial, mut operation)) =
            self.records.as_mut().and_then(|records| records.pop_woken(turn.now))
        {
            if operation.deadline <= turn.now {
                if let Some(outcome) = operation.out_of_time() {
                    self.tell_outcome(turn, operation.id, outcome);
                }
                continue;
            }
            let again = operation.woken();
            self.records_mut().put_back(serial, operation);
            if again { self.locate(turn, serial) } else { self.go_on(turn, serial) }
        }
    }

    fn tell_outcome(
        &mut self,
        turn: &mut Turn<'_>,
        id: OperationId,
        outcome: Result<Outcome, OperationError>,
    ) {
        if self.watch_answered(turn, id, &outcome) {
            return;
        }
        turn.out.push(Output::OperationFinished { id, outcome });
    }

    /// Ends all operations because this node is leaving.
    pub(super) fn fail_operations(&mut self, turn: &mut Turn<'_>) {
        let Some(records) = &mut self.records else { return };
        let ended: Vec<Box<Operation>> = records.take_all().collect();
        for mut operation in ended {
            if operation.out_of_time().is_some() {
                self.tell_outcome(turn, operation.id, Err(OperationError::NotJoined));
            }
        }
    }
}

#[cfg(test)]
mod tests;
