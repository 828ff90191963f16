//! The state machine: one node of the overlay.

mod answer;
mod client;
mod exclusion;
mod former;
mod join;
mod meetings;
mod membership;
mod neighbours;
mod outcome;
mod pace;
mod preload;
mod probe;
mod query;
mod record_operations;
mod record_region;
mod record_state;
mod record_upkeep;
mod record_watches;
mod record_writes;
mod records;
mod refresh;
mod rendezvous;
mod rendezvous_own;
mod rendezvous_state;
mod rendezvous_tasks;
mod row_pace;
mod superpeer;
mod twin;
mod version;
mod views;

use alloc::{boxed::Box, collections::VecDeque, sync::Arc, vec::Vec};
use core::{fmt, time::Duration};

use rand_core::Rng;

use meetings::Meetings;
use pace::Pace;
use record_state::Records;
use rendezvous_state::Rendezvous;
use row_pace::RowPace;

use crate::{
    Config, NodeId, Time,
    calls::{Calls, Purpose},
    gone::Gone,
    io::{DownReason, Event, Input, Output},
    leaf_set::LeafSet,
    lookup::under_way::Lookups,
    members::{Members, lottery::Lottery},
    message::{Message, Notice, Request},
    metric::{AnyMetric, Metric},
    origin::Origin,
    params::ADDRESSES_MAX,
    peer::{Address, Grouping, Peer},
    rtt::Rtt,
    table::Table,
    timers::{Timer, Timers},
    timing::Timing,
};

/// How late [`Input::Timeout`] may come before this node thinks that it was asleep. Design.
const OVERSLEPT: Duration = Duration::from_millis(300);

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Created, and not told to join yet. It answers questions and learns from them.
    Idle,
    /// Looking for its place.
    Joining {
        /// Attempts that have failed.
        failed: u32,
    },
    /// Has found its place and is meeting its neighbours.
    Settling {
        /// Whether the nearest has told whom it knows, and the others are being asked for the rest.
        last: bool,
    },
    /// Part of the network.
    Joined,
    /// Gone.
    Left,
}

/// One node of the overlay.
///
/// Feed it with [`Dht::handle`]; it answers with [`Output`]s. Call it with [`Input::Timeout`] when the moment that
/// [`Dht::next_timeout`] names has come; that moment may change with every input. The same inputs with the same random
/// numbers give the same outputs.
///
/// It has many fields because every part of the protocol has one, and a message may concern several; the rules of each
/// part are its own type's.
#[derive(Clone)]
pub struct Dht<M: Metric = AnyMetric> {
    /// Its own record, as others see it.
    local: Peer,
    /// Where it stands.
    origin: Origin<M>,
    config: Config,
    phase: Phase,
    /// Through whom it joins, until it has.
    seeds: Vec<Peer>,
    leaves: LeafSet,
    table: Table,
    calls: Calls,
    lookups: Lookups,
    timers: Timers,
    gone: Gone,
    former: VecDeque<former::Former>,
    /// The list of all members, in a network that is small enough.
    members: Option<Box<Members>>,
    /// Who has a seat as a super-peer, and when.
    lottery: Lottery,
    /// Peers that are being met.
    meetings: Meetings,
    /// Exchanges of leaf sets under way.
    exchanges: u16,
    /// How long answers are waited for.
    timing: Timing,
    /// Where the round of probes stands.
    probe_turn: u8,
    /// How many own-place checks have run since joining.
    checks: u8,
    /// When the leaf set last changed.
    changed: Time,
    /// When leaf sets were last exchanged, and how many rounds of it followed each other closely.
    pace: Pace,
    /// How fast rows are filled.
    row_pace: RowPace,
    /// Whether ids of calls have got their random start.
    seeded: bool,
    /// Signed records, kept here or being read and changed elsewhere.
    records: Option<Box<Records>>,
    /// Places where programs meet, kept here or used by this node's program.
    rendezvous: Option<Box<Rendezvous>>,
    /// Since when this node keeps places.
    at_places_since: Time,
    /// Whether the node has been away without noticing, and what it knows may be old.
    slept: bool,
}

impl<M: Metric> fmt::Debug for Dht<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dht")
            .field("id", self.local.id_ref())
            .field("phase", &self.phase)
            .field("leaves", &self.leaves.len())
            .field("table", &self.table.as_slice().len())
            .finish_non_exhaustive()
    }
}

/// What every step of one call to [`Dht::handle`] needs.
struct Turn<'a> {
    now: Time,
    rng: &'a mut dyn Rng,
    out: &'a mut Vec<Output>,
}

impl Turn<'_> {
    fn event(&mut self, event: Event) {
        self.out.push(Output::Event(event));
    }

    fn send(&mut self, to: &Peer, message: Message) {
        self.out.push(Output::Send { to: to.clone(), message });
    }

    /// The duration, up to a tenth longer or shorter, so that nodes started together do not act together.
    fn around(&mut self, duration: Duration) -> Duration {
        let per_mille = 900 + (self.rng.next_u64() % 201) as u32;
        duration * per_mille / 1000
    }
}

impl<M: Metric> Dht<M> {
    /// A node that knows nobody. Values of `config` outside their documented range are brought into it.
    pub fn new(local: impl Into<Peer>, metric: M, config: Config) -> Self {
        let config = config.bounded();
        let local: Peer = local.into();
        Self {
            origin: Origin::new(metric, *local.id_ref().key()),
            local,
            phase: Phase::Idle,
            seeds: Vec::new(),
            leaves: LeafSet::new(config.leaf_set),
            table: Table::new(config.digit_bits, config.row_active, config.row_cache),
            calls: Calls::default(),
            lookups: Lookups::default(),
            timers: Timers::default(),
            gone: Gone::default(),
            former: VecDeque::new(),
            members: None,
            lottery: Lottery::default(),
            meetings: Meetings::default(),
            exchanges: 0,
            timing: Timing::default(),
            probe_turn: 0,
            checks: 0,
            changed: Time::ZERO,
            pace: Pace::default(),
            row_pace: RowPace::default(),
            seeded: false,
            records: None,
            rendezvous: None,
            at_places_since: Time::ZERO,
            slept: false,
            config,
        }
    }

    /// Bounds how many entries of the table may come from one subnet or provider, as found by `grouping`: 2 and 4 of a
    /// row, 10 per subnet in all. The leaf set is not bounded; it has to be exact. Of those listed as super-peers one
    /// may come from a subnet and 16 from a provider. Without this there is no bound.
    pub fn set_grouping(&mut self, grouping: Grouping) {
        self.table.set_grouping(grouping);
        if let Some(members) = &mut self.members {
            members.lists.seats.set_grouping(grouping);
        }
    }

    /// Takes in one thing that happened and appends what is to be done about it to `out`.
    pub fn handle<R: Rng + ?Sized>(&mut self, now: Time, rng: &mut R, input: Input, out: &mut Vec<Output>) {
        // A reference to the generator is itself a generator, and sized, so it can become a trait object.
        let mut rng = rng;
        let mut turn = Turn { now, rng: &mut rng, out };
        let turn = &mut turn;
        if !self.seeded {
            self.seeded = true;
            self.calls.start_ids_at(turn.rng.next_u32());
        }
        // A node that is awake has a timer every few seconds: one that is long overdue means that the node slept, and
        // that what it knows of records and places may be old. This comes before the node answers anything.
        let late = self.timers.next().is_some_and(|due| turn.now.since(due) > superpeer::SLEPT);
        if core::mem::take(&mut self.slept) | late {
            self.records_may_be_old(turn);
            self.places_may_be_old(turn.now);
        }
        match input {
            Input::Join { seeds } => self.start_joining(turn, seeds),
            Input::Meet { peer } => self.meet(turn, &peer),
            Input::Message { from, message } => self.receive(turn, &from, message),
            Input::Unreachable { peer } => self.unreachable(turn, &peer),
            Input::Timeout => {}
            Input::StartLookup { id, key, options } => self.start_lookup(turn, id, key, &options),
            Input::CancelLookup(id) => self.cancel_lookup(id),
            Input::SetAddresses(addrs) => self.set_addresses(turn, addrs),
            Input::Signed { seq, signature } => self.signed(turn, seq, signature),
            Input::Exclude(ids) => self.exclude(turn, &ids),
            Input::ClientsOnly(ids) => self.hold_to_clients(turn, ids),
            Input::Outlive { above } => self.outlive(turn, above),
            Input::StartOperation { id, address, goal, deadline } => {
                self.start_operation(turn, id, address, goal, deadline);
            }
            Input::StartWatch { id, address } => self.start_watch(turn, id, address),
            Input::Decided { id, record } => self.decided(turn, id, record),
            Input::Rendezvous(input) => self.rendezvous_input(turn, input),
            Input::CancelOperation(id) => {
                self.cancel_operation(id);
                self.cancel_at_places(id);
            }
            Input::RecordKept { write, kept } => self.record_kept(turn, write, kept),
            Input::Leave => self.leave(turn),
        }
        self.run_timers(turn);
        self.finish_settling(turn);
    }

    /// When [`Input::Timeout`] is due.
    pub fn next_timeout(&self) -> Option<Time> {
        let lookups = self.lookups.next_deadline();
        let records = self.records_timeout();
        let places = self.rendezvous_timeout();
        [self.calls.next_deadline(), self.timers.next(), lookups, self.membership_timeout(), records, places]
            .into_iter()
            .flatten()
            .min()
    }

    fn run_timers(&mut self, turn: &mut Turn<'_>) {
        // A node that was asleep finds all its questions overdue, and the answers still unread: it waits once more
        // before it blames anybody.
        if self.calls.next_deadline().is_some_and(|deadline| turn.now.since(deadline) > OVERSLEPT) {
            self.timing.health.doubtful();
            let grace = self.timing.health.stretch(OVERSLEPT);
            self.calls.postpone(turn.now, turn.now + grace);
        }
        while let Some((id, call)) = self.calls.pop_expired(turn.now) {
            self.expired(turn, id, call);
        }
        self.expire_lookups(turn);
        self.run_membership(turn);
        self.wake_operations(turn);
        self.renew_watches(turn);
        self.keep_records_up(turn);
        self.run_rendezvous(turn);
        while let Some(timer) = self.timers.pop_expired(turn.now) {
            match timer {
                Timer::Join => self.try_joining(turn),
                Timer::Settle => self.joined(turn),
                Timer::Stabilise => self.stabilise(turn),
                Timer::Probe => self.probe_next(turn),
                Timer::Suspects => self.probe_suspects(turn),
                Timer::Check => self.check_own_place(turn),
                Timer::Refresh => self.refresh(turn),
                Timer::Former => self.try_former(turn),
            }
        }
    }

    fn receive(&mut self, turn: &mut Turn<'_>, from: &Peer, message: Message) {
        let is_ignored = from.id_ref() == self.local.id_ref() || self.gone.excludes(from.id_ref());
        if self.phase == Phase::Left || is_ignored {
            return;
        }
        let from = &self.as_it_may_be(from);
        self.overtake_former_life(turn, &message);
        match message {
            Message::Request(call, request) => {
                self.heard(turn, from, None);
                self.answer(turn, from, call, &request);
            }
            Message::Response(id, response) => {
                let Some(call) = self.calls.close(id, from.id_ref(), &response) else {
                    self.heard(turn, from, None);
                    return;
                };
                let rtt = (call.repeats == 0).then(|| turn.now.since(call.sent));
                self.heard(turn, from, rtt);
                self.answered(turn, from, call, response);
            }
            Message::Notice(notice) => self.noticed(turn, from, notice),
        }
    }

    fn noticed(&mut self, turn: &mut Turn<'_>, from: &Peer, notice: Notice) {
        match notice {
            Notice::Record(record) => {
                // Nobody speaks for another.
                if record.id_ref() == from.id_ref() {
                    let record = self.as_it_may_be(&Arc::new(record));
                    self.heard(turn, &record, None);
                } else if record.id_ref() == self.local.id_ref() {
                    self.heard(turn, from, None);
                    self.told_of_twin(turn, record);
                }
            }
            // A client is in nobody's tables: it has no place to leave, and nobody believes what it says of others.
            Notice::Leaving | Notice::Gossip(_) | Notice::Down(_) if !from.is_reachable() => {
                self.heard(turn, from, None);
            }
            Notice::Leaving if self.is_outdated(from) => {}
            Notice::Leaving => self.goodbye_from(turn, from, DownReason::Left),
            Notice::Gossip(gossip) => {
                self.heard(turn, from, None);
                self.gossip(turn, from, gossip);
            }
            Notice::RecordChanged(held) => {
                self.heard(turn, from, None);
                self.record_news(turn.now, &held);
            }
            Notice::Rendezvous(notice) => {
                self.heard(turn, from, None);
                self.rendezvous_noticed(turn, notice);
            }
            Notice::Down(peer) => {
                self.heard(turn, from, None);
                self.told_down(turn, &peer);
            }
        }
    }

    /// Sends a question and keeps it open until its time-out.
    fn ask(&mut self, turn: &mut Turn<'_>, to: &Peer, request: Request, purpose: Purpose) {
        let deadline = turn.now + self.timeout_of(to.id_ref());
        let id = self.calls.open(to.clone(), request.clone(), purpose, turn.now, deadline);
        turn.send(to, Message::Request(id, request));
    }

    fn timeout_of(&self, peer: &NodeId) -> Duration {
        self.timing.timeout(self.rtt_of(peer))
    }

    fn rtt_of(&self, peer: &NodeId) -> Rtt {
        match self.leaves.get(&self.origin, peer) {
            Some(leaf) => leaf.rtt,
            None => self.table.get(&self.origin, peer).map_or(Rtt::default(), |entry| entry.rtt),
        }
    }

    /// The peer with this id, if it is in a table.
    fn known(&self, id: &NodeId) -> Option<Peer> {
        let leaf = self.leaves.get(&self.origin, id).map(|leaf| leaf.peer.clone());
        leaf.or_else(|| self.table.get(&self.origin, id).map(|entry| entry.peer.clone()))
    }

    fn set_addresses(&mut self, turn: &mut Turn<'_>, mut addrs: Vec<Address>) {
        addrs.truncate(ADDRESSES_MAX);
        if addrs.is_empty() != self.is_client() {
            return self.change_role(turn, addrs);
        }
        if let Ok(local) = self.local.with_addresses(addrs, self.next_version()) {
            self.local = Arc::new(local);
        }
        if self.phase == Phase::Left || self.is_client() {
            return;
        }
        self.tell_neighbours_record(turn);
        if let Some(members) = &mut self.members {
            members.announcing.record_changed(turn.now);
        }
    }

    fn leave(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Left {
            return;
        }
        // Nobody has a client in a table.
        if !self.is_client() {
            self.tell_all(turn, &Notice::Leaving);
        }
        self.fail_lookups(turn);
        self.fail_operations(turn);
        self.leave_places(turn);
        self.calls.clear();
        self.meetings.clear();
        self.exchanges = 0;
        self.timers = Timers::default();
        self.members = None;
        self.phase = Phase::Left;
        turn.event(Event::Left);
    }

    /// Says something to everybody who may have this node in a table.
    fn tell_all(&self, turn: &mut Turn<'_>, notice: &Notice) {
        let me = self.origin.key();
        for leaf in self.leaves.as_slice() {
            turn.send(&leaf.peer, Message::Notice(notice.clone()));
        }
        for entry in self.table.as_slice() {
            if self.leaves.get(&self.origin, entry.peer.id_ref()).is_none() {
                turn.send(&entry.peer, Message::Notice(notice.clone()));
            }
        }
        // A node that has this one as its neighbour need not be a neighbour of this one.
        for peer in self.nearest_listed(me, 2 * usize::from(self.config.leaf_set)) {
            if self.known(peer.id_ref()).is_none() {
                turn.send(&peer, Message::Notice(notice.clone()));
            }
        }
    }

    fn goodbye_from(&mut self, turn: &mut Turn<'_>, peer: &Peer, why: DownReason) {
        self.gone.left(peer, turn.now);
        self.drop_peer(turn, peer.id_ref(), why);
    }
}

#[cfg(test)]
mod tests;
