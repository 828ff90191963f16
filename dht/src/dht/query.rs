//! Running lookups.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use super::{
    Dht, Phase, Turn,
    join::{CHECK_NAMES, JOIN_NAMES},
};
use crate::{
    Key, NodeId,
    calls::Purpose,
    io::{Confirm, LookupError, LookupId, LookupOptions, Output},
    lookup::{Owner, Progress, State, Step, under_way::Serial},
    members::homes::HOMES_ASKED,
    message::Request,
    metric::Metric,
    params::{LOOKUP_WANT_MAX, MESSAGE_PEERS_MAX},
    peer::Peer,
};

/// What [`Confirm::Known`] asks for when the leaf set does not suffice.
const KNOWN_OTHERWISE: usize = 3;

impl<M: Metric> Dht<M> {
    pub(super) fn start_lookup(
        &mut self,
        turn: &mut Turn<'_>,
        id: LookupId,
        key: Key,
        options: &LookupOptions,
    ) {
        let finish = |turn: &mut Turn<'_>, outcome| turn.out.push(Output::LookupFinished { id, outcome });
        let want = options.want.clamp(1, LOOKUP_WANT_MAX);
        if self.phase == Phase::Left || (!self.is_member() && self.knows_nobody()) {
            return finish(turn, Err(LookupError::NotJoined));
        }
        if self.lookups.len() >= usize::from(self.config.lookups) {
            return finish(turn, Err(LookupError::Busy));
        }
        let need = match options.confirm {
            Confirm::Answered(need) => need.min(want),
            Confirm::Known => KNOWN_OTHERWISE.min(want),
            Confirm::Covered | Confirm::Near(_) => 1,
        };
        let deadline = turn.now + options.deadline;
        let parallel = self.config.parallel.into();
        let mut progress = Progress::new(Owner::Caller(id), key, want, need, parallel, turn.now, deadline)
            .over_paths(options.paths)
            .for_onlooker(self.is_client());
        match options.confirm {
            Confirm::Covered => progress = progress.until_covered(usize::MAX),
            Confirm::Near(near) => progress = progress.until_covered(near.max(1)),
            Confirm::Answered(_) | Confirm::Known => {}
        }
        let sure = self.covers(&key, 1);
        if self.is_member() {
            let state = if sure { State::Here } else { State::HereUnsure };
            progress.add(&self.origin.metric, &self.local, state, None);
        }
        let known = match options.confirm {
            Confirm::Known => self.covers(&key, want),
            Confirm::Covered => sure,
            Confirm::Answered(_) | Confirm::Near(_) => false,
        };
        let count = want.max(self.config.reply_peers.into()).max(4 * usize::from(options.paths.min(8)));
        let peers = self.nearest_others(&key, count, self.own_id());
        for peer in &peers {
            progress.add(&self.origin.metric, peer, State::Named, None);
        }
        // Who knows all members asks the right ones at once. The others stay candidates, in case it is mistaken.
        for peer in self.nearest_listed(&key, count) {
            progress.add(&self.origin.metric, &peer, State::Named, None);
        }
        // Liars must not be on every path.
        if options.paths == 1
            && let Some(members) = &self.members
        {
            for home in members.homes.as_slice().iter().take(HOMES_ASKED) {
                progress.guide(&self.origin.metric, &home.peer);
            }
        }
        if sure {
            progress.covered(&self.origin.metric, self.own_id(), &peers);
        }
        if known {
            return finish(turn, Ok(progress.result(turn.now)));
        }
        self.run_lookup(turn, progress);
    }

    pub(super) fn run_lookup(&mut self, turn: &mut Turn<'_>, progress: Progress) {
        let serial = self.lookups.add(progress);
        self.advance(turn, serial);
    }

    pub(super) fn cancel_lookup(&mut self, id: LookupId) {
        if let Some(serial) = self.lookups.of(Owner::Caller(id)) {
            self.lookups.take(serial);
        }
    }

    /// Asks whoever is to be asked next, or ends the lookup.
    fn advance(&mut self, turn: &mut Turn<'_>, serial: Serial) {
        loop {
            let Some(lookup) = self.lookups.get_mut(serial) else { return };
            // Four paths may cost nearly twice, eight nearly three times as much as one.
            let messages_max = u32::from(self.config.lookup_messages) * (3 + lookup.paths() as u32) / 4;
            match lookup.step(messages_max) {
                Step::Ask(peer) => {
                    let names = match lookup.owner {
                        Owner::Caller(_) => lookup.want.max(self.config.reply_peers.into()),
                        Owner::Join => JOIN_NAMES.min(self.config.reply_peers.into()),
                        Owner::Check => CHECK_NAMES,
                        Owner::Record(_) | Owner::Rendezvous(_) => self.config.reply_peers.into(),
                    };
                    let count = names.min(MESSAGE_PEERS_MAX) as u8;
                    let request = Request::Closest { key: lookup.key, count };
                    self.ask(turn, &peer, request, Purpose::Lookup(serial));
                }
                Step::Wait if lookup.is_waiting() => return,
                // There is somebody to ask, and nothing left to ask with.
                Step::Wait => return self.finish_lookup(turn, serial, LookupError::Budget),
                Step::Done => return self.finish_successfully(turn, serial),
                // Everybody it began with is dead; farther peers are better than none.
                Step::NoAnswer if self.widen(serial) => {}
                Step::NoAnswer => return self.finish_lookup(turn, serial, LookupError::NoAnswer),
            }
        }
    }

    /// Adds peers farther from the key to a lookup that nobody has answered. Returns whether there are any.
    fn widen(&mut self, serial: Serial) -> bool {
        let Some(lookup) = self.lookups.get(serial) else { return false };
        let count = 2 * usize::from(self.config.reply_peers);
        let peers = self.nearest_others(&lookup.key.clone(), count, self.own_id());
        let Some(lookup) = self.lookups.get_mut(serial) else { return false };
        peers.iter().filter(|peer| lookup.add(&self.origin.metric, peer, State::Named, None)).count() > 0
    }

    pub(super) fn lookup_answered(
        &mut self,
        turn: &mut Turn<'_>,
        serial: Serial,
        from: &Peer,
        names: &[Peer],
        covered: bool,
        rtt: Duration,
    ) {
        // Somebody has named a client: it holds nothing, and knows no better than we do.
        if !from.is_reachable() {
            return self.lookup_failed(turn, serial, from.id_ref());
        }
        let names = &names[..names.len().min(MESSAGE_PEERS_MAX)];
        if let Some(lookup) = self.lookups.get_mut(serial)
            && let Some((distance, namer)) = lookup.answered(&self.origin.metric, from.id_ref(), rtt)
        {
            for name in names {
                // Who does not cover the key can only help by naming somebody nearer than itself.
                let nearer =
                    covered || self.origin.metric.distance(name.id_ref().key(), &lookup.key) < distance;
                if nearer
                    && name.is_reachable()
                    && name.id_ref() != self.local.id_ref()
                    && !self.gone.ignores_name(name, turn.now)
                {
                    lookup.add(&self.origin.metric, name, State::Named, Some(namer));
                }
            }
            if covered {
                lookup.covered(&self.origin.metric, from.id_ref(), names);
            }
            self.advance(turn, serial);
        }
        self.consider_all(turn, names);
    }

    pub(super) fn lookup_late(&mut self, turn: &mut Turn<'_>, serial: Serial, peer: &NodeId) {
        if let Some(lookup) = self.lookups.get_mut(serial) {
            lookup.late(&self.origin.metric, peer);
            self.advance(turn, serial);
        }
    }

    pub(super) fn lookup_failed(&mut self, turn: &mut Turn<'_>, serial: Serial, peer: &NodeId) {
        if let Some(lookup) = self.lookups.get_mut(serial) {
            lookup.failed(&self.origin.metric, peer);
            self.advance(turn, serial);
        }
    }

    pub(super) fn expire_lookups(&mut self, turn: &mut Turn<'_>) {
        while let Some(serial) = self.lookups.overdue(turn.now) {
            self.finish_lookup(turn, serial, LookupError::Deadline);
        }
    }

    /// Ends all lookups because this node is leaving.
    pub(super) fn fail_lookups(&mut self, turn: &mut Turn<'_>) {
        for lookup in self.lookups.take_all() {
            if let Owner::Caller(id) = lookup.owner {
                turn.out.push(Output::LookupFinished { id, outcome: Err(LookupError::NotJoined) });
            }
        }
    }

    fn finish_successfully(&mut self, turn: &mut Turn<'_>, serial: Serial) {
        let Some(lookup) = self.lookups.take(serial) else { return };
        match lookup.owner {
            Owner::Caller(id) => {
                turn.out.push(Output::LookupFinished { id, outcome: Ok(lookup.result(turn.now)) });
            }
            Owner::Join => self.join_finished(turn, true),
            Owner::Check => {}
            Owner::Record(serial) => self.region_found(turn, serial, lookup.result(turn.now).closest),
            Owner::Rendezvous(serial) => {
                self.place_found(turn, serial, lookup.result(turn.now).closest);
            }
        }
    }

    fn finish_lookup(
        &mut self,
        turn: &mut Turn<'_>,
        serial: Serial,
        error: fn(Box<crate::Lookup>) -> LookupError,
    ) {
        let Some(lookup) = self.lookups.take(serial) else { return };
        match lookup.owner {
            Owner::Caller(id) => {
                let outcome = Err(error(Box::new(lookup.result(turn.now))));
                turn.out.push(Output::LookupFinished { id, outcome });
            }
            Owner::Join => self.join_finished(turn, false),
            Owner::Check => {}
            // Part of the region is better than none: it names the rest.
            Owner::Record(serial) => self.region_found(turn, serial, lookup.result(turn.now).closest),
            Owner::Rendezvous(serial) => {
                self.place_found(turn, serial, lookup.result(turn.now).closest);
            }
        }
    }

    /// The nearest nodes this node knows without asking, nearest first; itself among them once it has joined.
    pub fn nearest(&self, key: &Key, count: usize) -> Vec<Peer> {
        let mut peers = self.nearest_others(key, count, self.own_id());
        if self.is_member() {
            let place = peers
                .partition_point(|peer| self.origin.metric.closer(key, peer.id_ref(), self.own_id()).is_lt());
            peers.insert(place, self.local.clone());
            peers.truncate(count);
        }
        peers
    }
}

#[cfg(test)]
mod tests;
