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
                if let Some(earlier) = self.operations.places.registered.insert(key, id) {
                    self.operations.places.registering.remove(&earlier);
                }
                self.operations.places.registering.insert(id, reply);
                RendezvousInput::Register { id, listing, withdrawal }
            }
            PlaceCommand::Withdraw { place, number, reply } => {
                let Some(registered) = self.operations.places.registered.remove(&(place, number)) else {
                    return;
                };
                self.operations.places.withdrawing.retain(|_, reply| !reply.is_closed());
                self.operations.places.withdrawing.insert(registered, reply);
                RendezvousInput::Withdraw(registered)
            }
            PlaceCommand::Find { place, deadline, reply } => {
                self.operations.places.finding.insert(id, reply);
                RendezvousInput::FindListings { id, place, deadline }
            }
            PlaceCommand::Publish { message, deadline, reply } => {
                self.operations.places.publishing.insert(id, reply);
                RendezvousInput::Publish { id, message, deadline }
            }
            PlaceCommand::Watch { place, reply } => {
                let (listed, receiver) = watch::channel(None);
                self.operations.places.watches.insert(id, listed);
                self.begin(RendezvousInput::WatchListings { id, place }, reply, receiver);
                return;
            }
            PlaceCommand::Subscribe { place, last, reply } => {
                let (messages, receiver) = mpsc::channel(MESSAGES_MAX);
                self.operations.places.subscriptions.insert(id, messages);
                self.begin(RendezvousInput::Subscribe { id, place, last }, reply, receiver);
                return;
            }
        };
        self.input(Input::Rendezvous(input));
    }

    /// Begins a watch or a subscription, which the overlay refuses at once or not at all.
    fn begin<T>(&mut self, input: RendezvousInput, reply: Reply<T>, receiver: T) {
        self.operations.places.not_begun = None;
        self.input(Input::Rendezvous(input));
        let outcome = self.operations.places.not_begun.take().map_or(Ok(receiver), Err);
        // Whoever asked may have stopped waiting.
        let _ = reply.send(outcome);
    }
}

fn answer<T>(reply: Option<Reply<T>>, outcome: Result<T, RendezvousError>) {
    if let Some(reply) = reply {
        let _ = reply.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use chordage_dht::{ListingStatement, Signature, TopicStatement};

    use super::*;

    const ID: OperationId = OperationId(7);

    #[test]
    fn a_subscription_that_is_not_listened_to_ends_and_nothing_before_is_missing() {
        let (sender, mut receiver) = mpsc::channel(MESSAGES_MAX);
        let mut places = Places::default();
        places.subscriptions.insert(ID, sender);
        let message = |seq: u64| {
            let place = Key::from_bytes([0; 32]);
            let statement = TopicStatement { place, publisher: [1; 32], seq, body: Vec::new() };
            Arc::new(statement.signed(Signature([0; 64])).expect("short"))
        };
        let last = MESSAGES_MAX as u64;
        for seq in 0..=last {
            assert!(places.abandoned().is_empty());
            places.tell(RendezvousOutput::TopicMessage { id: ID, message: message(seq) });
        }
        assert_eq!(places.abandoned(), [ID]);
        assert!(places.abandoned().is_empty(), "the overlay is told once");
        let heard: Vec<u64> =
            std::iter::from_fn(|| receiver.try_recv().ok()).map(|said| said.seq()).collect();
        assert_eq!(heard, (0..last).collect::<Vec<_>>());
        assert!(receiver.is_closed());
    }

    #[test]
    fn a_watch_sees_the_last_state_of_everything() {
        let (sender, receiver) = watch::channel(None);
        let mut places = Places::default();
        places.watches.insert(ID, sender);
        assert!(receiver.borrow().is_none(), "nothing is known yet");
        let seen = |number: u16, suspect: bool| {
            let id = ListingId { provider: [1; 32], number };
            let place = Key::from_bytes([0; 32]);
            let statement = ListingStatement { place, id, seq: 1, valid_until: 1, body: vec![1] };
            let listing = Arc::new(statement.signed(Signature([0; 64])).expect("short"));
            Seen { listing, age: Duration::ZERO, suspect }
        };
        let mut tell = |changed, gone: &[u16]| {
            let gone = gone.iter().map(|number| ListingId { provider: [1; 32], number: *number }).collect();
            places.tell(RendezvousOutput::ListingsChanged { id: ID, changed, gone });
            let listed = receiver.borrow().clone().expect("it is known");
            listed.values().map(|(seen, _)| (seen.listing.id().number, seen.suspect)).collect::<Vec<_>>()
        };
        assert_eq!(tell(vec![], &[]), [], "nothing is there");
        assert_eq!(tell(vec![seen(1, false), seen(2, false)], &[]), [(1, false), (2, false)]);
        assert_eq!(tell(vec![seen(2, true), seen(3, false)], &[1]), [(2, true), (3, false)]);
        drop(receiver);
        assert_eq!(places.abandoned(), [ID]);
    }

    #[test]
    fn what_was_not_begun_says_why_and_is_not_kept() {
        let (sender, receiver) = watch::channel(None);
        let mut places = Places::default();
        places.watches.insert(ID, sender);
        places.tell(RendezvousOutput::NotBegun { id: ID, why: RendezvousError::Busy });
        assert_eq!(places.not_begun, Some(RendezvousError::Busy));
        assert!(receiver.has_changed().is_err(), "nobody tells it anything any more");
    }
}
