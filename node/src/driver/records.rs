//! Signed records: operations that somebody waits for, and the way to the disk for what is kept here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chordage_dht::{Goal, Held, Input, Key, OperationError, OperationId, Outcome, Record};
use tokio::sync::{oneshot, watch};

use super::Driver;
use super::rendezvous::Places;
use super::signature::Credence;
use crate::network::NetworkFingerprint;
use crate::network::work::IdWork;
use crate::recordbook::{RecordChange, RecordDisk};

/// Says what follows what is held; called once per operation, by the driver: it must be quick.
pub(crate) type Decision = Box<dyn FnOnce(Option<&Held>) -> Option<Arc<Record>> + Send>;

/// An operation that somebody wants.
pub(super) struct Wanted {
    pub(super) address: Key,
    pub(super) goal: Goal,
    /// How long it may take.
    pub(super) deadline: Duration,
    /// For updates.
    pub(super) decision: Option<Decision>,
    pub(super) reply: Reply,
}

/// To whom an outcome goes.
type Reply = oneshot::Sender<Result<Outcome, OperationError>>;

/// What a driver needs to keep records.
pub(crate) struct RecordParts {
    /// Which network they have to be signed for.
    pub(crate) network: NetworkFingerprint,
    /// What the network asks of the keys of daemons.
    pub(crate) work: IdWork,
    /// Those that are kept here already, each with the subnet that brought it.
    pub(crate) kept: Vec<(Held, u32)>,
    /// Where they are written.
    pub(crate) disk: RecordDisk,
}

/// Those under way. Bounded by the overlay, which refuses more than it can do.
pub(super) struct Operations {
    waiting: BTreeMap<OperationId, (Option<Decision>, Reply)>,
    watches: BTreeMap<OperationId, watch::Sender<Option<Held>>>,
    /// Those on services and topics.
    pub(super) places: Places,
    next: u64,
    /// What is believed of what others tell.
    pub(super) credence: Credence,
    pub(super) disk: RecordDisk,
}

impl Operations {
    pub(super) fn new(credence: Credence, disk: RecordDisk) -> Self {
        let (waiting, watches) = (BTreeMap::new(), BTreeMap::new());
        Self { waiting, watches, places: Places::default(), next: 0, credence, disk }
    }

    /// A name for another operation of any kind.
    pub(super) fn next_id(&mut self) -> OperationId {
        let id = OperationId(self.next);
        self.next += 1;
        id
    }

    fn begin(&mut self, wanted: Wanted) -> (OperationId, Input) {
        let id = self.next_id();
        self.waiting.insert(id, (wanted.decision, wanted.reply));
        let Wanted { address, goal, deadline, .. } = wanted;
        (id, Input::StartOperation { id, address, goal, deadline })
    }

    /// What whoever waits for it wants to follow `current`.
    pub(super) fn decide(&mut self, id: OperationId, current: Option<&Held>) -> Option<Arc<Record>> {
        self.waiting.get_mut(&id)?.0.take()?(current)
    }

    /// Names another watch; what it tells goes to `told`.
    fn begin_watch(&mut self, told: watch::Sender<Option<Held>>) -> OperationId {
        let id = self.next_id();
        self.watches.insert(id, told);
        id
    }

    /// A watch has news.
    pub(super) fn tell(&mut self, id: OperationId, held: Held) {
        if let Some(told) = self.watches.get(&id) {
            told.send_replace(Some(held));
        }
    }

    /// One has ended.
    pub(super) fn end(&mut self, id: OperationId, outcome: Result<Outcome, OperationError>) {
        if let Some((_, reply)) = self.waiting.remove(&id) {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(outcome);
        }
    }

    /// Those for which nobody waits any more.
    fn abandoned(&mut self) -> Vec<OperationId> {
        let mut gone: Vec<OperationId> =
            self.waiting.iter().filter(|(_, (_, reply))| reply.is_closed()).map(|(id, _)| *id).collect();
        let unheard: Vec<OperationId> =
            self.watches.iter().filter(|(_, told)| told.is_closed()).map(|(id, _)| *id).collect();
        for id in gone.iter().chain(&unheard) {
            self.waiting.remove(id);
            self.watches.remove(id);
        }
        gone.extend(unheard);
        gone
    }
}

impl Driver {
    pub(super) fn operate(&mut self, wanted: Wanted) {
        self.cancel_abandoned();
        let (_, input) = self.operations.begin(wanted);
        self.input(input);
    }

    /// Watches a record until nobody listens any more.
    pub(super) fn watch(&mut self, address: Key, told: watch::Sender<Option<Held>>) {
        self.cancel_abandoned();
        let id = self.operations.begin_watch(told);
        self.input(Input::StartWatch { id, address });
    }

    /// Ends what nobody waits for any more.
    pub(super) fn cancel_abandoned(&mut self) {
        let abandoned = [self.operations.abandoned(), self.operations.places.abandoned()].concat();
        for id in abandoned {
            self.input(Input::CancelOperation(id));
        }
    }

    /// Gives the disk something to write. If it cannot take it now, whoever waits for it is told at once.
    pub(super) fn write_record(&mut self, change: RecordChange) {
        let refused = self.operations.disk.changes.try_send(change).err();
        if let Some(RecordChange::Keep(.., write)) =
            refused.map(tokio::sync::mpsc::error::TrySendError::into_inner)
        {
            self.overlay.answer(Input::RecordKept { write, kept: false });
        }
    }
}
