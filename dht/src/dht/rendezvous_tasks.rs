//! Tasks at places: finding those who keep a place, asking them, and hearing what they say.

use alloc::vec::Vec;

use super::{Dht, Turn, rendezvous_state::Role};
use crate::{
    Distance, NodeId,
    calls::Purpose,
    lookup::Owner,
    message::Request,
    metric::Metric,
    peer::Peer,
    records::{REGION, region_digest},
    rendezvous::{ItemId, Next, RendezvousRequest, RendezvousResponse, Task, Work},
};

impl<M: Metric> Dht<M> {
    /// Begins a task. It may be over when this returns.
    pub(super) fn start_task(&mut self, turn: &mut Turn<'_>, role: Role, task: Task) {
        let serial = self.rendezvous_mut().add(role, task);
        self.locate_place(turn, serial);
    }

    /// Finds those who keep the place of a task: by what this node knows, or has looked up a moment ago; else by
    /// asking.
    pub(super) fn locate_place(&mut self, turn: &mut Turn<'_>, serial: u32) {
        let Some(place) = self.rendezvous_mut().get_mut(serial).map(|task| task.place) else { return };
        if let Some(region) = self.region_at_hand(&place) {
            return self.place_located(turn, serial, region);
        }
        if let Some(region) = self.rendezvous_mut().remembered(&place, turn.now) {
            let region = region.to_vec();
            let region = region.into_iter().map(|peer| self.with_distance(peer, &place)).collect();
            return self.place_located(turn, serial, region);
        }
        self.look_region_up(turn, Owner::Rendezvous(serial), place);
    }

    /// The nodes nearest to the place of a task are these, or none could be found.
    pub(super) fn place_found(&mut self, turn: &mut Turn<'_>, serial: u32, closest: Vec<Peer>) {
        let now = turn.now;
        let Some(place) = self.rendezvous_mut().get_mut(serial).map(|task| task.place) else { return };
        self.rendezvous_mut().remember(place, closest.clone(), now);
        let region = closest.into_iter().map(|peer| self.with_distance(peer, &place)).collect();
        self.place_located(turn, serial, region);
    }

    fn place_located(&mut self, turn: &mut Turn<'_>, serial: u32, region: Vec<(Peer, Distance)>) {
        if let Some(task) = self.rendezvous_mut().get_mut(serial) {
            task.begin(region);
        }
        self.task_on(turn, serial);
    }

    /// Does what a task wants to be done, until it waits.
    fn task_on(&mut self, turn: &mut Turn<'_>, serial: u32) {
        let Some((role, mut task)) = self.rendezvous_mut().take(serial) else { return };
        loop {
            let (peer, request) = match task.next(turn.now) {
                Next::Wait => return self.rendezvous_mut().put_back(serial, role, task),
                Next::Done => return self.task_over(role, &task),
                Next::Kept(outcome) => {
                    self.item_kept(turn, role, outcome);
                    continue;
                }
                Next::Found(outcome) => {
                    self.task_over(role, &task);
                    return self.place_surveyed(turn, role, outcome);
                }
                Next::Keep(peer) => (peer, keep(&task)),
                Next::Renew(peer) => (peer, renew(&task)),
                Next::Ask(peer, after) => (peer, survey(&task, after)),
                Next::Fetch(peer, wanted) => {
                    let Work::Survey(survey) = &task.work else { continue };
                    let request = RendezvousRequest::Fetch { place: task.place, kind: survey.kind, wanted };
                    (peer, Some(request))
                }
            };
            let Some(request) = request else { continue };
            if peer.id_ref() != self.own_id() {
                let purpose = Purpose::Rendezvous(serial, task.round);
                self.ask(turn, &peer, Request::Rendezvous(request), purpose);
                continue;
            }
            match self.rendezvous_asked(turn, &peer, &request) {
                Some(response) => self.take_answer(turn, &mut task, &peer, response),
                None => task.silent(peer.id_ref()),
            }
        }
    }

    fn take_answer(&self, turn: &Turn<'_>, task: &mut Task, from: &Peer, response: RendezvousResponse) {
        let named = response.region().iter().filter(|peer| peer.is_reachable()).take(REGION);
        let region: Vec<(Peer, Distance)> =
            named.map(|peer| self.with_distance(peer.clone(), &task.place)).collect();
        task.answered(from.id_ref(), response, &region, turn.now);
    }

    /// One of those who keep a place has answered.
    pub(super) fn place_answered(
        &mut self,
        turn: &mut Turn<'_>,
        serial: u32,
        round: u8,
        from: &Peer,
        response: RendezvousResponse,
    ) {
        let Some((role, mut task)) = self.rendezvous_mut().take(serial) else { return };
        if task.round == round {
            self.take_answer(turn, &mut task, from, response);
        }
        self.rendezvous_mut().put_back(serial, role, task);
        self.task_on(turn, serial);
    }

    /// One of them does not answer.
    pub(super) fn place_silent(&mut self, turn: &mut Turn<'_>, serial: u32, round: u8, peer: &NodeId) {
        let Some(task) = self.rendezvous_mut().get_mut(serial) else { return };
        if task.round == round {
            task.silent(peer);
            self.task_on(turn, serial);
        }
    }

    /// Tasks whose deadline has passed end; others begin another round, or stop waiting for stragglers.
    pub(super) fn wake_tasks(&mut self, turn: &mut Turn<'_>) {
        while let Some((serial, role, mut task)) =
            self.rendezvous.as_mut().and_then(|rendezvous| rendezvous.pop_woken(turn.now))
        {
            if task.deadline <= turn.now {
                let outcome = task.out_of_time();
                self.task_over(role, &task);
                match outcome {
                    Some(Next::Kept(outcome)) => self.item_kept(turn, role, outcome),
                    Some(Next::Found(outcome)) => self.place_surveyed(turn, role, outcome),
                    _ => {}
                }
                continue;
            }
            let again = task.woken();
            self.rendezvous_mut().put_back(serial, role, task);
            if again { self.locate_place(turn, serial) } else { self.task_on(turn, serial) }
        }
    }

    /// A task has ended, or is given up for a new one: what it has learnt stays.
    pub(super) fn task_over(&mut self, role: Role, task: &Task) {
        let rendezvous = self.rendezvous_mut();
        rendezvous.learn(task);
        if let (Role::Register(id), Work::Spread(spread)) = (role, &task.work)
            && let Some(registration) = rendezvous.registrations.get_mut(&id)
        {
            registration.known.clone_from(&spread.known);
            registration.holders = task.region();
        }
    }
}

fn keep(task: &Task) -> Option<RendezvousRequest> {
    let Work::Spread(spread) = &task.work else { return None };
    Some(RendezvousRequest::Keep { item: spread.item.clone(), region: region_digest(task.region_ids()) })
}

fn renew(task: &Task) -> Option<RendezvousRequest> {
    let Work::Spread(spread) = &task.work else { return None };
    let (place, id) = (task.place, spread.item.id());
    let region = region_digest(task.region_ids());
    Some(RendezvousRequest::Renew { place, number: id.number, seq: id.seq, region })
}

fn survey(task: &Task, after: Option<ItemId>) -> Option<RendezvousRequest> {
    let Work::Survey(survey) = &task.work else { return None };
    let (place, kind, watch) = (task.place, survey.kind, survey.watch);
    let region = region_digest(task.region_ids());
    Some(RendezvousRequest::Survey { place, kind, after, watch, region })
}
