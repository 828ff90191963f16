//! What the rest of the daemon may ask of the driver.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chordage_dht::{
    Event, Goal, Held, KeptBy, Key, Listing, Lookup, LookupError, LookupOptions, NodeId, OperationError,
    Outcome, Peer, RendezvousError, Seen, Status, TopicMessage,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::addresses::Announced;
use super::contacts::Acquaintances;
use super::records::{Decision, Wanted};
use super::relaying::Relays;
use super::rendezvous::{ListedWatch, PlaceCommand};
use super::size::NetworkSize;
use super::told::Told;
use super::view::{View, nodes};
use crate::twin::Twin;
use crate::wire::{Class, OpenError, OpenReply, Spoken};

/// Commands that may wait for the driver.
pub(super) const COMMANDS_MAX: usize = 256;

/// One wish.
pub(super) enum Command {
    Lookup {
        key: Key,
        options: LookupOptions,
        reply: oneshot::Sender<Result<Lookup, LookupError>>,
    },
    OpenStream {
        peer: Peer,
        class: Class,
        reply: OpenReply,
    },
    /// These may not be connected any more, and those are no part of the network either.
    ShutOut {
        ended: Vec<[u8; 32]>,
        revoked: Vec<[u8; 32]>,
    },
    /// These may only be clients, whatever they say of themselves, and no others are held to it.
    ClientsOnly(BTreeSet<NodeId>),
    /// Others are told to dial it there from now on.
    Announce(Announced),
    /// Ask these to relay.
    Relays(Relays),
    Acquaintances(oneshot::Sender<Acquaintances>),
    View(oneshot::Sender<View>),
    Status(oneshot::Sender<Status>),
    /// Read or change a record.
    Operate(Wanted),
    /// Watch the record at this address for as long as somebody listens.
    Watch(Key, watch::Sender<Option<Held>>),
    /// Something about a service or topic.
    Place(PlaceCommand),
    /// The round trips to these nodes, as far as they are known.
    RoundTrips(Vec<NodeId>, oneshot::Sender<Vec<Option<Duration>>>),
    Leave(oneshot::Sender<()>),
}

/// Why a lookup brought nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FindError {
    /// The overlay found nothing certain.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The driver has stopped.
    #[error("the daemon is shutting down")]
    Stopped,
}

/// How far the node is with becoming part of the network; changes are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    Joining,
    Joined,
    Leaving,
}

/// The driver, as others see it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DriverHandle {
    commands: mpsc::Sender<Command>,
    membership: watch::Receiver<Membership>,
    join_problem: watch::Receiver<Option<String>>,
    twin: watch::Receiver<Option<Twin>>,
    size: watch::Receiver<NetworkSize>,
    news: broadcast::Sender<Event>,
    beats: watch::Receiver<()>,
}

impl DriverHandle {
    pub(super) fn new(commands: mpsc::Sender<Command>, told: &Told) -> Self {
        DriverHandle {
            commands,
            membership: told.membership.subscribe(),
            join_problem: told.join_problem.subscribe(),
            twin: told.twin.subscribe(),
            size: told.size.subscribe(),
            news: told.news.clone(),
            beats: told.beats.subscribe(),
        }
    }

    /// What happens to the neighbourhood from now on.
    pub(crate) fn news(&self) -> broadcast::Receiver<Event> {
        self.news.subscribe()
    }

    /// Changes every second for as long as the driver's loop goes round; the sender is gone when the driver is.
    pub(crate) fn beats(&self) -> watch::Receiver<()> {
        let mut beats = self.beats.clone();
        beats.mark_unchanged();
        beats
    }

    /// Finds the nodes nearest `key`. Ends by the options' deadline at the latest.
    pub(crate) async fn lookup(&self, key: Key, options: LookupOptions) -> Result<Lookup, FindError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Lookup { key, options, reply }).await?;
        Ok(answer.await.map_err(|_| FindError::Stopped)??)
    }

    /// Reads or changes the record at `address`, which takes `deadline` at most; `decision` says what is to follow what
    /// is held, for an update. `None` once the driver has stopped.
    pub(crate) async fn operate(
        &self,
        address: Key,
        goal: Goal,
        deadline: Duration,
        decision: Option<Decision>,
    ) -> Option<Result<Outcome, OperationError>> {
        let (reply, answer) = oneshot::channel();
        let wanted = Wanted { address, goal, deadline, decision, reply };
        self.send(Command::Operate(wanted)).await.ok()?;
        answer.await.ok()
    }

    /// The newest version of the record at `address` that a majority holds, each time there is one, for as long as the
    /// receiver lives. `None` once the driver has stopped.
    pub(crate) async fn watch(&self, address: Key) -> Option<watch::Receiver<Option<Held>>> {
        let (told, receiver) = watch::channel(None);
        self.send(Command::Watch(address, told)).await.ok()?;
        Some(receiver)
    }

    /// Lists `listing` until it is withdrawn, taken over by a later one of the same place and number, or expires;
    /// `withdrawal` is what takes it back. `None` once the driver has stopped, here and below.
    pub(crate) async fn register(
        &self,
        listing: Arc<Listing>,
        withdrawal: Arc<Listing>,
    ) -> Option<Result<KeptBy, RendezvousError>> {
        self.ask_place(|reply| PlaceCommand::Register { listing, withdrawal, reply }).await
    }

    /// Takes a listing back, and says how many know it; also `None` if there is no such listing.
    pub(crate) async fn withdraw(&self, place: Key, number: u16) -> Option<KeptBy> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Place(PlaceCommand::Withdraw { place, number, reply })).await.ok()?;
        answer.await.ok()
    }

    /// What is listed at a place, which takes `deadline` at most.
    pub(crate) async fn find_listings(
        &self,
        place: Key,
        deadline: Duration,
    ) -> Option<Result<Vec<Seen>, RendezvousError>> {
        self.ask_place(|reply| PlaceCommand::Find { place, deadline, reply }).await
    }

    /// What is listed at a place, for as long as the receiver lives.
    pub(crate) async fn watch_listings(&self, place: Key) -> Option<Result<ListedWatch, RendezvousError>> {
        self.ask_place(|reply| PlaceCommand::Watch { place, reply }).await
    }

    /// Hands a message to those who keep its topic, which takes `deadline` at most.
    pub(crate) async fn publish(
        &self,
        message: Arc<TopicMessage>,
        deadline: Duration,
    ) -> Option<Result<KeptBy, RendezvousError>> {
        self.ask_place(|reply| PlaceCommand::Publish { message, deadline, reply }).await
    }

    /// The messages of a topic, and before them at most the `last` of those that are kept. They end when the receiver
    /// takes them too slowly.
    pub(crate) async fn subscribe(
        &self,
        place: Key,
        last: u16,
    ) -> Option<Result<mpsc::Receiver<Arc<TopicMessage>>, RendezvousError>> {
        self.ask_place(|reply| PlaceCommand::Subscribe { place, last, reply }).await
    }

    async fn ask_place<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, RendezvousError>>) -> PlaceCommand,
    ) -> Option<Result<T, RendezvousError>> {
        // While it joins, a daemon may know a part of the network, and would take it for all.
        if self.membership() == Membership::Joining {
            return Some(Err(RendezvousError::NotJoined));
        }
        let (reply, answer) = oneshot::channel();
        self.send(Command::Place(command(reply))).await.ok()?;
        answer.await.ok()
    }

    /// The round trips to these nodes, as far as they are known.
    pub(crate) async fn round_trips(&self, ids: Vec<NodeId>) -> Option<Vec<Option<Duration>>> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::RoundTrips(ids, reply)).await.ok()?;
        answer.await.ok()
    }

    /// Opens a shard stream to `peer`, dialling where needed.
    pub(crate) async fn open_shard_stream(&self, peer: Peer) -> Result<Spoken, OpenError> {
        self.open_stream(peer, Class::Shard).await
    }

    /// Disconnects some peers, and excludes others from the overlay for as long as this daemon runs. Does not wait for
    /// it.
    pub(crate) async fn shut_out(&self, ended: Vec<[u8; 32]>, revoked: Vec<[u8; 32]>) {
        // A driver that has stopped is connected to nobody.
        let _ = self.send(Command::ShutOut { ended, revoked }).await;
    }

    /// Has the overlay take these for no more than clients, and no others. Does not wait for it.
    pub(crate) async fn hold_to_clients(&self, ids: BTreeSet<NodeId>) {
        // A driver that has stopped has nobody in a table.
        let _ = self.send(Command::ClientsOnly(ids)).await;
    }

    /// Others are told to dial this daemon there from now on: nowhere makes it a client, anywhere else a member. Does
    /// not wait for it.
    pub(crate) async fn announce(&self, announced: Announced) {
        // A driver that has stopped announces nothing.
        let _ = self.send(Command::Announce(announced)).await;
    }

    /// Asks these to relay what others say to this daemon, or nobody any more. Does not wait for it.
    pub(crate) async fn use_relays(&self, relays: Relays) {
        // A driver that has stopped needs none.
        let _ = self.send(Command::Relays(relays)).await;
    }

    /// Whom this daemon has had to do with lately; nobody, once the driver has stopped.
    pub(crate) async fn acquaintances(&self) -> Acquaintances {
        let (reply, answer) = oneshot::channel();
        match self.send(Command::Acquaintances(reply)).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => Acquaintances::default(),
        }
    }

    /// Opens a stream to `peer`, dialling where needed; one without addresses is not dialled.
    pub(crate) async fn open_stream(&self, peer: Peer, class: Class) -> Result<Spoken, OpenError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::OpenStream { peer, class, reply }).await.map_err(|_| OpenError::Closed)?;
        answer.await.unwrap_or(Err(OpenError::Closed))
    }

    /// What the driver sees now; `None` once it has stopped.
    pub(crate) async fn view(&self) -> Option<View> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::View(reply)).await.ok()?;
        answer.await.ok()
    }

    /// How the overlay is, without the lists of a [`View`]; `None` once the driver has stopped.
    pub(crate) async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Status(reply)).await.ok()?;
        answer.await.ok()
    }

    /// About how many daemons the network has, at least one.
    pub(crate) async fn nodes(&self) -> Option<u64> {
        Some(nodes(&self.status().await?))
    }

    /// The size of the network and whether it was larger lately, to be watched.
    pub(crate) fn size(&self) -> watch::Receiver<NetworkSize> {
        self.size.clone()
    }

    /// Says goodbye to the neighbours and stops the driver.
    pub(crate) async fn leave(&self) {
        let (reply, answer) = oneshot::channel();
        if self.send(Command::Leave(reply)).await.is_ok() {
            // A driver that stopped by itself has nobody left to say goodbye to.
            let _ = answer.await;
        }
    }

    /// A second daemon with this one's key, as long as there is one.
    pub(crate) fn twin(&self) -> Option<Twin> {
        self.twin.borrow().clone()
    }

    /// A second daemon with this one's key that leaves this one no part in the network.
    pub(crate) fn cut_off_by(&self) -> Option<Twin> {
        self.twin().filter(|twin| twin.has_place)
    }

    /// How far joining is.
    pub(crate) fn membership(&self) -> Membership {
        *self.membership.borrow()
    }

    /// Waits up to `patience` for the node to be part of a network; tells whether it is.
    pub(crate) async fn joined_within(&self, patience: Duration) -> bool {
        let mut membership = self.membership.clone();
        tokio::time::timeout(patience, membership.wait_for(|m| *m == Membership::Joined))
            .await
            .is_ok_and(|changed| changed.is_ok())
    }

    /// Waits up to `patience` for the node to be part of a network, as long as nothing speaks against it: once it is
    /// known why joining does not succeed, whoever asked is better off with that at once. Tells whether the node is.
    pub(crate) async fn joined_unless_problem(&self, patience: Duration) -> bool {
        let mut problem = self.join_problem.clone();
        tokio::select! {
            biased;
            joined = self.joined_within(patience) => joined,
            _ = problem.wait_for(Option::is_some) => self.membership() == Membership::Joined,
        }
    }

    async fn send(&self, command: Command) -> Result<(), FindError> {
        self.commands.send(command).await.map_err(|_| FindError::Stopped)
    }
}
