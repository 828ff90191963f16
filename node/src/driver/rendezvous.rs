//! Live services and topics: what is registered here, and what somebody waits for, watches or listens to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chordage_dht::{
    Input, KeptBy, Key, Listing, ListingId, OperationId, RendezvousError, RendezvousInput, RendezvousOutput,
    Seen, TopicMessage,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::Driver;

/// Messages that may wait for a subscriber; one that takes them more slowly is left alone.
const MESSAGES_MAX: usize = 256;

/// To whom an outcome goes.
type Reply<T> = oneshot::Sender<Result<T, RendezvousError>>;

/// What is listed at a watched place, with the time at which that was said.
pub(crate) type Listed = BTreeMap<ListingId, (Seen, Instant)>;

/// What is watched: nothing until it is known for the first time.
pub(crate) type ListedWatch = watch::Receiver<Option<Listed>>;

/// One wish.
pub(super) enum PlaceCommand {
    Register { listing: Arc<Listing>, withdrawal: Arc<Listing>, reply: Reply<KeptBy> },
    Withdraw { place: Key, number: u16, reply: oneshot::Sender<KeptBy> },
    Find { place: Key, deadline: Duration, reply: Reply<Vec<Seen>> },
    Watch { place: Key, reply: Reply<ListedWatch> },
    Publish { message: Arc<TopicMessage>, deadline: Duration, reply: Reply<KeptBy> },
    Subscribe { place: Key, last: u16, reply: Reply<mpsc::Receiver<Arc<TopicMessage>>> },
}

/// Those under way. Bounded by the overlay, which refuses more than it can do.
#[derive(Default)]
pub(super) struct Places {
    /// What is registered, by place and number.
    registered: BTreeMap<(Key, u16), OperationId>,
    registering: BTreeMap<OperationId, Reply<KeptBy>>,
    withdrawing: BTreeMap<OperationId, oneshot::Sender<KeptBy>>,
    finding: BTreeMap<OperationId, Reply<Vec<Seen>>>,
    watches: BTreeMap<OperationId, watch::Sender<Option<Listed>>>,
    publishing: BTreeMap<OperationId, Reply<KeptBy>>,
    subscriptions: BTreeMap<OperationId, mpsc::Sender<Arc<TopicMessage>>>,
    /// Subscriptions that ended here, of which the overlay has to be told.
    ended: Vec<OperationId>,
    /// Why the watch or subscription that was asked for last was not begun.
    not_begun: Option<RendezvousError>,
}

impl Places {
    /// What the overlay has to say.
    pub(super) fn tell(&mut self, output: RendezvousOutput) {
        match output {
            RendezvousOutput::Registered { id, outcome } => {
                if matches!(outcome, Err(RendezvousError::Busy | RendezvousError::NotJoined)) {
                    self.registered.retain(|_, registered| *registered != id);
                }
                answer(self.registering.remove(&id), outcome);
            }
            RendezvousOutput::Withdrawn { id, told } => {
                if let Some(reply) = self.withdrawing.remove(&id) {
                    // Whoever asked may have stopped waiting, here and below.
                    let _ = reply.send(told);
                }
            }
            RendezvousOutput::ListingsFound { id, outcome } => answer(self.finding.remove(&id), outcome),
            RendezvousOutput::Published { id, outcome } => answer(self.publishing.remove(&id), outcome),
            RendezvousOutput::ListingsChanged { id, changed, gone } => {
                if let Some(listed) = self.watches.get(&id) {
                    let now = Instant::now();
                    listed.send_modify(|listed| {
                        let listed = listed.get_or_insert_default();
                        listed.retain(|id, _| !gone.contains(id));
                        listed.extend(changed.into_iter().map(|seen| (seen.listing.id(), (seen, now))));
                    });
                }
            }
            RendezvousOutput::TopicMessage { id, message } => {
                if self.subscriptions.get(&id).is_some_and(|messages| messages.try_send(message).is_err()) {
                    // Better an end that is noticed than a message that is missing.
                    self.subscriptions.remove(&id);
                    self.ended.push(id);
                }
            }
            RendezvousOutput::NotBegun { id, why } => {
                self.watches.remove(&id);
                self.subscriptions.remove(&id);
                self.not_begun = Some(why);
            }
        }
    }

    /// Watches and subscriptions that nobody hears any more, and questions for whose answer nobody waits.
    pub(super) fn abandoned(&mut self) -> Vec<OperationId> {
        let mut gone = std::mem::take(&mut self.ended);
        let mut end = |id: &OperationId, is_gone: bool| {
            if is_gone {
                gone.push(*id);
            }
            !is_gone
        };
        self.finding.retain(|id, reply| end(id, reply.is_closed()));
        self.publishing.retain(|id, reply| end(id, reply.is_closed()));
        self.watches.retain(|id, listed| end(id, listed.is_closed()));
        self.subscriptions.retain(|id, messages| end(id, messages.is_closed()));
        gone
    }
}

impl Driver {
    pub(super) fn place_command(&mut self, command: PlaceCommand) {
        self.cancel_abandoned();
        let id = self.operations.next_id();
        let input = match command {
            PlaceCommand::Register { listing, withdrawal, reply } => {
                let key = (*listing.place(), listing.id().number);
                if let Some(earlier) = self.places.registered.insert(key, id) {
                    self.places.registering.remove(&earlier);
                }
                self.places.registering.insert(id, reply);
                RendezvousInput::Register { id, listing, withdrawal }
            }
            PlaceCommand::Withdraw { place, number, reply } => {
                let Some(registered) = self.places.registered.remove(&(place, number)) else { return };
                self.places.withdrawing.retain(|_, reply| !reply.is_closed());
                self.places.withdrawing.insert(registered, reply);
                RendezvousInput::Withdraw(registered)
            }
            PlaceCommand::Find { place, deadline, reply } => {
                self.places.finding.insert(id, reply);
                RendezvousInput::FindListings { id, place, deadline }
            }
            PlaceCommand::Publish { message, deadline, reply } => {
                self.places.publishing.insert(id, reply);
                RendezvousInput::Publish { id, message, deadline }
            }
            PlaceCommand::Watch { place, reply } => {
                let (listed, receiver) = watch::channel(None);
                self.places.watches.insert(id, listed);
                self.begin(RendezvousInput::WatchListings { id, place }, reply, receiver);
                return;
            }
            PlaceCommand::Subscribe { place, last, reply } => {
                let (messages, receiver) = mpsc::channel(MESSAGES_MAX);
                self.places.subscriptions.insert(id, messages);
                self.begin(RendezvousInput::Subscribe { id, place, last }, reply, receiver);
                return;
            }
        };
        self.input(Input::Rendezvous(input));
    }

    /// Begins a watch or a subscription, which the overlay refuses at once or not at all.
    fn begin<T>(&mut self, input: RendezvousInput, reply: Reply<T>, receiver: T) {
        self.places.not_begun = None;
        self.input(Input::Rendezvous(input));
        let outcome = self.places.not_begun.take().map_or(Ok(receiver), Err);
        // Whoever asked may have stopped waiting.
        let _ = reply.send(outcome);
    }
}

fn answer<T>(reply: Option<Reply<T>>, outcome: Result<T, RendezvousError>) {
    if let Some(reply) = reply {
        let _ = reply.send(outcome);
    }
}
