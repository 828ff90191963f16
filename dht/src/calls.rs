//! Questions under way.

mod purpose;

use alloc::collections::{BTreeMap, BTreeSet};

pub(crate) use purpose::Purpose;

use crate::{
    CallId, NodeId, Time,
    message::{Request, Response},
    peer::Peer,
};

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) peer: Peer,
    pub(crate) request: Request,
    pub(crate) purpose: Purpose,
    pub(crate) sent: Time,
    deadline: Time,
    /// How often it has been sent again. Then nobody knows which copy an answer belongs to, so it says nothing about
    /// the round-trip time (Karn and Partridge 1987).
    pub(crate) repeats: u8,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Calls {
    next: u32,
    open: BTreeMap<u32, Call>,
    deadlines: BTreeSet<(Time, u32)>,
    /// The first of them, which every event asks for.
    first: Option<Time>,
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.first
    }

    fn expect(&mut self, deadline: Time, id: u32) {
        self.deadlines.insert((deadline, id));
        self.first = Some(self.first.map_or(deadline, |first| first.min(deadline)));
    }

    fn expect_no_more(&mut self, deadline: Time, id: u32) {
        self.deadlines.remove(&(deadline, id));
        if self.first == Some(deadline) {
            self.first = self.deadlines.first().map(|(deadline, _)| *deadline);
        }
    }

    /// Starts a call. Ids count upwards from a random start; one is free again long before it comes round.
    pub(crate) fn open(
        &mut self,
        peer: Peer,
        request: Request,
        purpose: Purpose,
        sent: Time,
        deadline: Time,
    ) -> CallId {
        while self.open.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(id, Call { peer, request, purpose, sent, deadline, repeats: 0 });
        self.expect(deadline, id);
        CallId(id)
    }

    pub(crate) fn start_ids_at(&mut self, first: u32) {
        self.next = first;
    }

    /// Ends the call that this is the answer to. An answer of another kind, or from somebody else, answers nothing.
    pub(crate) fn close(&mut self, id: CallId, from: &NodeId, response: &Response) -> Option<Call> {
        let call = self.open.get(&id.0)?;
        if !response.answers(&call.request) || call.peer.id_ref() != from {
            return None;
        }
        let call = self.open.remove(&id.0)?;
        self.expect_no_more(call.deadline, id.0);
        Some(call)
    }

    /// Takes out one call whose time is up.
    pub(crate) fn pop_expired(&mut self, now: Time) -> Option<(CallId, Call)> {
        if self.first? > now {
            return None;
        }
        let (deadline, id) = *self.deadlines.first()?;
        self.expect_no_more(deadline, id);
        self.open.remove(&id).map(|call| (CallId(id), call))
    }

    /// Gives every call that is overdue until `deadline`.
    pub(crate) fn postpone(&mut self, now: Time, deadline: Time) {
        while let Some((overdue, id)) = self.deadlines.first().copied()
            && overdue <= now
        {
            self.expect_no_more(overdue, id);
            if let Some(call) = self.open.get_mut(&id) {
                call.deadline = deadline;
                self.expect(deadline, id);
            }
        }
    }

    /// Puts a call back that is sent once more.
    pub(crate) fn repeat(&mut self, id: CallId, mut call: Call, deadline: Time) {
        call.repeats += 1;
        call.deadline = deadline;
        self.expect(deadline, id.0);
        self.open.insert(id.0, call);
    }

    /// Ends every call to this peer that was made by this record or an older one.
    pub(crate) fn close_all_to(&mut self, peer: &Peer) -> alloc::vec::Vec<Call> {
        let concerned = |call: &Call| call.peer.id_ref() == peer.id_ref() && call.peer.seq() <= peer.seq();
        let ids: alloc::vec::Vec<u32> =
            self.open.iter().filter(|(_, call)| concerned(call)).map(|(id, _)| *id).collect();
        ids.into_iter()
            .filter_map(|id| {
                let call = self.open.remove(&id)?;
                self.expect_no_more(call.deadline, id);
                Some(call)
            })
            .collect()
    }

    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.deadlines.clear();
        self.first = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloc::{vec, vec::Vec};

    use super::*;
    use crate::{Key, peer::PeerInfo};

    fn peer(number: u8, seq: u64) -> Peer {
        PeerInfo::new([number; 32], Vec::new(), seq).unwrap().into()
    }

    const fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn open(calls: &mut Calls, peer: &Peer, request: Request, deadline: u64) -> CallId {
        calls.open(peer.clone(), request, Purpose::Probe, at(0), at(deadline))
    }

    #[test]
    fn an_answer_closes_only_the_call_to_whom_it_was_asked() {
        let (asked, other) = (peer(1, 1), peer(2, 1));
        let mut calls = Calls::default();
        let id = open(&mut calls, &asked, Request::Ping, 1);
        assert!(calls.close(id, other.id_ref(), &Response::Pong).is_none());
        assert!(calls.close(CallId(id.0 + 1), asked.id_ref(), &Response::Pong).is_none());
        assert_eq!(calls.len(), 1, "what strangers answer leaves the call open");
        assert!(calls.close(id, asked.id_ref(), &Response::Pong).is_some());
        assert!(calls.close(id, asked.id_ref(), &Response::Pong).is_none(), "one answer is enough");
        assert_eq!((calls.len(), calls.next_deadline()), (0, None));
    }

    #[test]
    fn an_answer_of_another_kind_closes_nothing() {
        let asked = peer(1, 1);
        let closest = || Response::Closest { peers: Vec::new(), covered: false };
        let reach = Request::Reach { peer: peer(2, 1).id() };
        for (request, fits, other) in [
            (Request::Ping, Response::Pong, closest()),
            (Request::Closest { key: Key::default(), count: 1 }, closest(), Response::Pong),
            (Request::Leaves { known: 0, have: None }, Response::LeavesChanged, Response::Reached(true)),
            (reach, Response::Reached(true), Response::Pong),
            (Request::Records { wanted: Vec::new() }, Response::Records { records: vec![] }, closest()),
        ] {
            let mut calls = Calls::default();
            let id = open(&mut calls, &asked, request.clone(), 1);
            assert!(calls.close(id, asked.id_ref(), &other).is_none(), "{other:?} to {request:?}");
            assert!(calls.close(id, asked.id_ref(), &fits).is_some(), "{fits:?} to {request:?}");
        }
    }

    #[test]
    fn an_id_in_use_is_not_given_twice() {
        let asked = peer(1, 1);
        let mut calls = Calls::default();
        calls.start_ids_at(u32::MAX);
        let first = open(&mut calls, &asked, Request::Ping, 1);
        calls.start_ids_at(u32::MAX);
        assert_ne!(open(&mut calls, &asked, Request::Ping, 1), first);
        assert_eq!(calls.len(), 2);
    }

    #[test]
    fn calls_run_out_at_their_deadline_the_earliest_first() {
        let asked = peer(1, 1);
        let mut calls = Calls::default();
        let (late, soon) =
            (open(&mut calls, &asked, Request::Ping, 2), open(&mut calls, &asked, Request::Ping, 1));
        assert_eq!(calls.next_deadline(), Some(at(1)));
        assert!(calls.pop_expired(at(0)).is_none());
        let popped: Vec<CallId> =
            core::iter::from_fn(|| calls.pop_expired(at(2))).map(|(id, _)| id).collect();
        assert_eq!(popped, [soon, late]);
        assert_eq!((calls.len(), calls.next_deadline()), (0, None));
    }

    #[test]
    fn the_first_deadline_of_those_that_are_open_is_known() {
        let asked = peer(1, 1);
        let mut calls = Calls::default();
        assert_eq!(calls.next_deadline(), None);
        let [second, first, third] =
            [2, 1, 3].map(|deadline| open(&mut calls, &asked, Request::Ping, deadline));
        let mut close = |id| {
            assert!(calls.close(id, asked.id_ref(), &Response::Pong).is_some());
            calls.next_deadline()
        };
        assert_eq!(close(first), Some(at(2)));
        assert_eq!(close(third), Some(at(2)), "a later one changes nothing");
        assert_eq!(close(second), None);
        let id = open(&mut calls, &asked, Request::Ping, 4);
        assert_eq!(calls.pop_expired(at(4)).map(|(id, _)| id), Some(id));
        assert_eq!(calls.next_deadline(), None);
        open(&mut calls, &asked, Request::Ping, 5);
        calls.postpone(at(5), at(9));
        assert_eq!(calls.next_deadline(), Some(at(9)));
        open(&mut calls, &asked, Request::Ping, 8);
        calls.clear();
        assert_eq!(calls.next_deadline(), None);
    }

    #[test]
    fn only_overdue_calls_are_postponed() {
        let asked = peer(1, 1);
        let mut calls = Calls::default();
        let overdue = open(&mut calls, &asked, Request::Ping, 1);
        let in_time = open(&mut calls, &asked, Request::Ping, 3);
        calls.postpone(at(2), at(9));
        assert_eq!(calls.pop_expired(at(8)).map(|(id, _)| id), Some(in_time));
        assert!(calls.pop_expired(at(8)).is_none(), "it was given time");
        assert_eq!(calls.pop_expired(at(9)).map(|(id, _)| id), Some(overdue));
    }

    #[test]
    fn a_call_sent_again_keeps_its_id_and_counts_how_often() {
        let asked = peer(1, 1);
        let mut calls = Calls::default();
        let id = open(&mut calls, &asked, Request::Ping, 1);
        for repeats in 0..3 {
            let (popped, call) = calls.pop_expired(at(1)).unwrap();
            assert_eq!((popped, call.repeats), (id, repeats));
            calls.repeat(id, call, at(1));
        }
        assert_eq!(calls.close(id, asked.id_ref(), &Response::Pong).map(|call| call.repeats), Some(3));
        assert_eq!(calls.next_deadline(), None);
    }

    #[test]
    fn giving_a_peer_up_ends_calls_by_this_record_or_an_older_one_only() {
        for (called, given_up, ends) in
            [((1, 1), (1, 1), true), ((1, 1), (1, 2), true), ((1, 2), (1, 1), false), ((1, 1), (2, 1), false)]
        {
            let mut calls = Calls::default();
            open(&mut calls, &peer(called.0, called.1), Request::Ping, 1);
            let ended = calls.close_all_to(&peer(given_up.0, given_up.1));
            assert_eq!(ended.len(), usize::from(ends), "{given_up:?} given up, {called:?} called");
            assert_eq!(calls.next_deadline().is_none(), ends);
        }
    }
}
