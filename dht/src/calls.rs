//! Questions under way.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{
    CallId, NodeId, Time,
    message::{Request, Response},
    peer::Peer,
};

/// What an answer is for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// A step of the lookup with this serial number.
    Lookup(u32),
    /// Is a neighbour alive?
    Probe,
    /// Does a peer we were told of exist? Its answer alone admits it.
    Meet,
    /// Is somebody we lost alive after all?
    Revive,
    /// What is its leaf set?
    Leaves,
    /// Whom does it know in a row of ours?
    Row,
    /// Somebody else wants to know whether it is alive.
    ReachFor(Peer, CallId),
    /// Whether it can reach a neighbour that does not answer us.
    ReachThrough(NodeId),
    /// How does its list of members differ from ours?
    Compare,
    /// Is somebody there that news are exchanged with?
    Link,
    /// Is a super-peer there, and how far away?
    Home,
}

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
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
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
        self.deadlines.insert((deadline, id));
        CallId(id)
    }

    pub(crate) fn start_ids_at(&mut self, first: u32) {
        self.next = first;
    }

    /// Ends the call that this is the answer to. An answer of another kind, or from somebody else, answers nothing.
    pub(crate) fn close(&mut self, id: CallId, from: &NodeId, response: &Response) -> Option<Call> {
        let call = self.open.get(&id.0)?;
        let fits = matches!(
            (&call.request, response),
            (Request::Ping, Response::Pong)
                | (Request::Closest { .. }, Response::Closest { .. })
                | (
                    Request::Leaves { .. },
                    Response::Leaves { .. } | Response::LeavesUnchanged | Response::LeavesChanged
                )
                | (Request::Reach { .. }, Response::Reached(_))
                | (Request::Compare { .. }, Response::Differences { .. })
                | (Request::Records { .. }, Response::Records { .. })
        );
        if !fits || call.peer.id_ref() != from {
            return None;
        }
        let call = self.open.remove(&id.0)?;
        self.deadlines.remove(&(call.deadline, id.0));
        Some(call)
    }

    /// Takes out one call whose time is up.
    pub(crate) fn pop_expired(&mut self, now: Time) -> Option<(CallId, Call)> {
        let (deadline, id) = *self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.deadlines.remove(&(deadline, id));
        self.open.remove(&id).map(|call| (CallId(id), call))
    }

    /// Gives every call that is overdue until `deadline`.
    pub(crate) fn postpone(&mut self, now: Time, deadline: Time) {
        while let Some((overdue, id)) = self.deadlines.first().copied()
            && overdue <= now
        {
            self.deadlines.remove(&(overdue, id));
            if let Some(call) = self.open.get_mut(&id) {
                call.deadline = deadline;
                self.deadlines.insert((deadline, id));
            }
        }
    }

    /// Puts a call back that is sent once more.
    pub(crate) fn repeat(&mut self, id: CallId, mut call: Call, deadline: Time) {
        call.repeats += 1;
        call.deadline = deadline;
        self.deadlines.insert((deadline, id.0));
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
                self.deadlines.remove(&(call.deadline, id));
                Some(call)
            })
            .collect()
    }

    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.deadlines.clear();
    }
}
