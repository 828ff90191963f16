//! The one loop that owns the swarm, the overlay and the clock. It translates and holds no policy: events of the
//! swarm become inputs of the overlay, its outputs become messages, and commands become either.

mod acceptor;
mod addresses;
mod attempts;
mod bootstrap;
mod command;
mod connections;
mod contacts;
mod digging;
mod joining;
mod links;
mod lookups;
mod namesakes;
mod nearby;
mod neighbours;
mod overlay;
mod pace;
mod peers;
mod records;
mod relaying;
mod rendezvous;
mod roster;
mod round_trips;
mod shut_out;
mod signature;
mod size;
#[cfg(test)]
mod tests;
mod time;
mod told;
mod twin;
mod view;
mod warmth;

use std::sync::Arc;
use std::time::Duration;

use chordage_dht::{AnyMetric, Config, Dht, DownReason, Event, Input, NodeId, Output, Peer, PeerInfo};
use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId};
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

pub(crate) use self::acceptor::{Acceptor, Acceptors, Visit};
pub(crate) use self::addresses::Announced;
pub(crate) use self::attempts::why as why_not_dialled;
use self::bootstrap::Bootstrap;
pub use self::command::FindError;
use self::command::{COMMANDS_MAX, Command};
pub(crate) use self::command::{DriverHandle, Membership};
pub(crate) use self::contacts::Acquaintances;
use self::joining::Joining;
pub(crate) use self::joining::WaysIn;
use self::links::{LinkEvent, LinkNews, Links};
use self::lookups::Lookups;
use self::nearby::Nearby;
use self::neighbours::Neighbours;
pub(crate) use self::neighbours::PEERS_FILE;
use self::overlay::Overlay;
use self::peers::Peers;
use self::records::Operations;
pub(crate) use self::records::{Decision, RecordParts};
pub(crate) use self::relaying::Relays;
pub(crate) use self::rendezvous::{Listed, ListedWatch};
pub(crate) use self::roster::Departed;
pub(crate) use self::signature::Signer;
use self::signature::{Credence, OwnRecord};
pub(crate) use self::size::NetworkSize;
use self::size::UsualSize;
use self::time::unix_time;
use self::told::Told;
use self::twin::Twins;
pub(crate) use self::view::View;
use crate::address::{dial_order, net_group, peer_id, public_key, split};
use crate::config::{ConnectionConfig, OverlayConfig};
use crate::datadir::DataDir;
use crate::record::Versions;
use crate::recordbook::RecordChange;
use crate::wire::{Class, MakesWay, NetworkSwarm, WireEvent};

/// Link events that may wait for the driver; readers of streams wait when it is full.
const EVENTS_MAX: usize = 1024;
/// How often the neighbours are written down for the next start: soon after this one, then ever more seldom.
const REMEMBER_FIRST: Duration = Duration::from_millis(500);
const REMEMBER_EVERY: Duration = Duration::from_secs(15);
/// How often addresses without a peer id are dialled again while nobody is known by name.
const REDIAL_EVERY: Duration = Duration::from_secs(3);
/// How often connections are reviewed, and how often the loop shows that it goes round.
const REVIEW_EVERY: Duration = Duration::from_secs(1);
/// A first node (nobody configured to join through) that finds none of its old peers is a network of one.
const ALONE_AFTER_ATTEMPTS: u32 = 2;
/// How long goodbyes may take to leave the machine.
const GOODBYE: Duration = Duration::from_millis(300);

/// See the module's description.
pub(crate) struct Driver {
    swarm: NetworkSwarm,
    overlay: Overlay,
    peers: Peers,
    joining: Joining,
    twins: Twins,
    inbox: Inbox,
    lookups: Lookups,
    operations: Operations,
    record: OwnRecord,
    told: Told,
    usual_size: UsualSize,
    neighbours: Neighbours,
    acceptors: Acceptors,
    announced: Announced,
    local_peer: PeerId,
}

/// What waits for the driver.
struct Inbox {
    commands: mpsc::Receiver<Command>,
    links: mpsc::Receiver<LinkNews>,
    /// The other end, for links that begin.
    links_in: mpsc::Sender<LinkNews>,
}

/// What a driver starts from.
pub(crate) struct DriverParts {
    pub(crate) swarm: NetworkSwarm,
    pub(crate) local: PeerInfo,
    /// Those of our record.
    pub(crate) versions: Versions,
    pub(crate) signer: Signer,
    pub(crate) network: String,
    pub(crate) metric: AnyMetric,
    pub(crate) seed: [u8; 32],
    pub(crate) ways_in: WaysIn,
    pub(crate) announced: Announced,
    pub(crate) dir: Arc<DataDir>,
    /// How long overlay messages are held back before they are sent.
    pub(crate) delay: Duration,
    pub(crate) connections: ConnectionConfig,
    pub(crate) overlay: OverlayConfig,
    /// Who serves the streams of others.
    pub(crate) acceptors: Acceptors,
    pub(crate) records: RecordParts,
}

impl Driver {
    /// A driver and its handle.
    pub(crate) fn new(parts: DriverParts) -> (Driver, DriverHandle) {
        let (commands_in, commands) = mpsc::channel(COMMANDS_MAX);
        let (link_events_in, link_events) = mpsc::channel(EVENTS_MAX);
        let told = Told::joining();
        let handle = DriverHandle::new(commands_in, &told);
        let neighbours = Neighbours::of_the_last_run(parts.dir);
        let config = Config {
            members: parts.overlay.members_max,
            superpeer: parts.overlay.superpeer,
            records: true,
            ..Config::default()
        };
        let mut dht = Dht::new(parts.local, parts.metric, config);
        dht.set_unix_time(unix_time(Duration::ZERO));
        dht.set_grouping(net_group);
        dht.load_records(parts.records.kept);
        let driver = Driver {
            peers: Peers::new(
                Links::new(dht.local(), link_events_in.clone(), parts.delay),
                &parts.connections,
                *parts.swarm.local_peer_id(),
            ),
            record: OwnRecord { versions: parts.versions, signer: parts.signer },
            local_peer: *parts.swarm.local_peer_id(),
            swarm: parts.swarm,
            overlay: Overlay::new(dht, ChaCha12Rng::from_seed(parts.seed)),
            inbox: Inbox { commands, links: link_events, links_in: link_events_in },
            lookups: Lookups::default(),
            operations: Operations::new(
                Credence { network: parts.records.network, work: parts.records.work },
                parts.records.disk,
            ),
            joining: Joining::new(
                Bootstrap::new(&parts.ways_in.bootstrap, neighbours.text()),
                Nearby::new(parts.ways_in.lan),
                format!("`{}` (metric {})", parts.network, parts.metric),
            ),
            told,
            usual_size: UsualSize::default(),
            twins: Twins::default(),
            acceptors: parts.acceptors,
            neighbours,
            announced: parts.announced,
        };
        (driver, handle)
    }

    /// Runs until told to leave or until every handle is gone.
    pub(crate) async fn run(mut self) {
        self.relay_for_others();
        self.join();
        let mut remember_after = REMEMBER_FIRST;
        let mut remember_at = Instant::now() + remember_after;
        let mut redial = tokio::time::interval_at(Instant::now() + REDIAL_EVERY, REDIAL_EVERY);
        let mut review = tokio::time::interval_at(Instant::now() + REVIEW_EVERY, REVIEW_EVERY);
        review.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake = self.overlay.wake();
            tokio::select! {
                event = self.swarm.select_next_some() => self.swarm_event(event),
                Some(news) = self.inbox.links.recv() => self.link_event(news),
                command = self.inbox.commands.recv() => match command {
                    Some(Command::Leave(done)) => {
                        self.leave().await;
                        let _ = done.send(());
                        return;
                    }
                    Some(command) => {
                        self.catch_up();
                        self.command(command);
                    }
                    None => return,
                },
                Some((write, kept)) = self.operations.disk.written.recv() => {
                    self.input(Input::RecordKept { write, kept });
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.catch_up();
                    self.input(Input::Timeout);
                }
                () = sleep_until(remember_at) => {
                    self.neighbours.remember(self.overlay.dht.leaf_set());
                    remember_after = (remember_after * 2).min(REMEMBER_EVERY);
                    remember_at = Instant::now() + remember_after;
                }
                _ = redial.tick() => self.redial(),
                _ = review.tick() => {
                    self.told.beats.send_replace(());
                    self.review_connections();
                    self.keep_reservations();
                    self.dig_anew();
                    self.tell_size();
                    self.cancel_abandoned();
                    self.look_for_twin();
                    self.look_around();
                }
            }
        }
    }

    /// Takes in what came before this moment, so that no answer counts as missing only because nobody had read it.
    fn catch_up(&mut self) {
        // Bounded: what comes meanwhile can wait.
        for _ in 0..self.inbox.links.len() {
            let Ok(news) = self.inbox.links.try_recv() else { return };
            self.link_event(news);
        }
    }

    fn input(&mut self, input: Input) {
        self.input_at(Instant::now(), input);
    }

    /// Something that happened at `at`.
    fn input_at(&mut self, at: Instant, input: Input) {
        let mut outputs = self.overlay.take_in(at, input);
        for output in outputs.drain(..) {
            self.output(output);
        }
        self.overlay.give_back(outputs);
        self.record.versions.used(self.overlay.dht.local().seq());
        for answer in self.overlay.answers() {
            if matches!(answer, Input::Signed { .. }) {
                // A record that is to be signed may be a new one.
                self.peers.links.set_local(self.overlay.dht.local());
            }
            self.input(answer);
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Send { to, message } => {
                let streams = &mut self.swarm.behaviour_mut().streams;
                self.peers.links.send(&to, &message, |reply| open(streams, &to, Class::Dht, reply));
            }
            Output::LookupFinished { id, outcome } => {
                self.lookups.end(id, outcome);
            }
            Output::Sign { record, seat } => self.overlay.answer(self.record.sign(&record, seat)),
            Output::Event(event) => self.overlay_event(event),
            Output::Decide { id, current } => {
                let record = self.operations.decide(id, current.as_ref());
                self.overlay.answer(Input::Decided { id, record });
            }
            Output::Watched { id, held } => self.operations.tell(id, held),
            Output::OperationFinished { id, outcome } => self.operations.end(id, outcome),
            Output::KeepRecord { held, subnet, write } => {
                self.write_record(RecordChange::Keep(held, subnet, write));
            }
            Output::DropRecord(address) => self.write_record(RecordChange::Drop(address)),
            Output::Rendezvous(told) => self.operations.places.tell(told),
        }
    }

    fn overlay_event(&mut self, event: Event) {
        // Nobody has to listen.
        let _ = self.told.news.send(event.clone());
        match event {
            Event::Joined => {
                tracing::info!("joined the network");
                self.told.membership.send_replace(Membership::Joined);
                self.told.join_problem.send_replace(None);
                self.tell_size();
            }
            Event::JoinFailed { attempts, retry_in } => {
                tracing::debug!(attempts, ?retry_in, "an attempt to join has failed");
                if !self.may_found() {
                    self.say_why_not_joined();
                }
                self.dial_anonymous();
                if attempts >= ALONE_AFTER_ATTEMPTS && self.may_found() {
                    // Deferred: this is called while outputs of the overlay are being worked off.
                    let _ = self.inbox.links_in.try_send((Instant::now(), LinkEvent::Alone));
                }
            }
            Event::NeighbourUp(peer) => {
                tracing::debug!(peer = %peer.id(), "neighbour");
                if !self.is_client() {
                    self.keep_connected(&peer);
                }
                self.peers.roster.came(Instant::now(), &peer);
                self.tell_size();
            }
            Event::NeighbourDown { peer, why } => {
                tracing::info!(%peer, ?why, "neighbour gone");
                self.peers.roster.went(Instant::now(), peer, why);
                if matches!(why, DownReason::Left | DownReason::Client) {
                    self.usual_size.one_left();
                }
                self.tell_size();
                // One that has left may be back soon, and a connection to its former life is noticed to be dead only
                // after QUIC's idle time-out.
                if !matches!(why, DownReason::Displaced | DownReason::Client) {
                    self.distrust(&peer);
                }
            }
            Event::Twin(record) => self.told_of_twin(record, false),
            Event::FormerLife(record) => self.told_of_twin(record, true),
            Event::Left => {
                self.told.membership.send_replace(Membership::Leaving);
            }
        }
    }

    fn link_event(&mut self, (at, event): LinkNews) {
        match event {
            LinkEvent::Received { from, connection, message } => {
                if let Some(other) = self.twins.namesakes.heard(at, &from) {
                    self.tell_of_twin(&from, connection, &other);
                }
                if self.peers.links.heard(&from)
                    && let Some(peer) = peer_id(from.public_key())
                {
                    self.swarm.behaviour_mut().streams.retire_older(peer);
                }
                self.input_at(at, Input::Message { from, message });
            }
            LinkEvent::Over { peer, link, unreachable, other_network } => {
                if other_network && self.told.membership() == Membership::Joining {
                    self.joining.other_network(peer);
                    self.say_if_all_failed();
                }
                if let Some(peer) = self.peers.links.over(&peer, link).filter(|_| unreachable) {
                    self.input_at(at, Input::Unreachable { peer });
                }
            }
            LinkEvent::Alone => {
                self.input(Input::Join { seeds: Vec::new() });
                // From now on they are looked for in the background.
                self.input(Input::Join { seeds: self.joining.bootstrap.seeds() });
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Lookup { key, options, reply } => {
                let id = self.lookups.begin(reply);
                self.input(Input::StartLookup { id, key, options });
            }
            Command::OpenStream { peer, class, reply } => {
                open(&mut self.swarm.behaviour_mut().streams, &peer, class, reply);
            }
            Command::Announce(announced) => self.announce(announced),
            Command::Relays(relays) => self.use_relays(relays),
            Command::Acquaintances(reply) => {
                let ways_in = self.joining.bootstrap.seeds();
                let relayed = self.peers.relaying.reservations.addresses();
                let reservations = self.peers.relaying.reservations.made();
                let known = self.peers.contacts.now(Instant::now());
                let _ = reply.send(Acquaintances { ways_in, relayed, reservations, ..known });
            }
            Command::ClientsOnly(ids) => self.input(Input::ClientsOnly(ids)),
            Command::ShutOut { ended, revoked } => self.shut_out(&ended, &revoked),
            Command::Operate(wanted) => self.operate(wanted),
            Command::Watch(address, told) => self.watch(address, told),
            Command::Place(command) => self.place_command(command),
            Command::RoundTrips(ids, reply) => {
                let _ = reply.send(self.round_trips(&ids));
            }
            Command::Status(reply) => {
                let _ = reply.send(self.overlay.dht.status());
            }
            Command::View(reply) => {
                let _ = reply.send(self.view());
            }
            Command::Leave(_) => unreachable!("the loop handles it"),
        }
    }

    fn swarm_event(&mut self, event: SwarmEvent<WireEvent>) {
        self.note_contact(&event);
        match event {
            SwarmEvent::Behaviour(WireEvent::Streams(inbound)) => self.accept(inbound),
            SwarmEvent::Behaviour(WireEvent::Admission(MakesWay(peer))) => {
                // Ended by us: that the stream breaks says nothing about the peer.
                if let Some(key) = public_key(&peer) {
                    self.peers.links.end(&NodeId::from_public_key(&key));
                }
            }
            SwarmEvent::NewListenAddr { .. } | SwarmEvent::ExpiredListenAddr { .. } => {
                self.addresses_changed();
            }
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint: ConnectedPoint::Dialer { address, .. },
                ..
            } => {
                self.dial_answered(connection_id);
                self.leave_circuit(peer_id);
                let address = split(address).0;
                if self.joining.bootstrap.anonymous().contains(&address)
                    && self.joining.bootstrap.add(peer_id, &[address])
                {
                    self.join();
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.dial_failed(connection_id, &error);
                self.dial_to_join_failed(&error);
            }
            SwarmEvent::ConnectionEstablished { peer_id, .. } => self.connected_by_peer(peer_id),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::warn!(?addresses, ?reason, "no longer listening");
            }
            _ => {}
        }
    }

    async fn leave(&mut self) {
        self.neighbours.remember_last(self.overlay.dht.leaf_set()).await;
        self.input(Input::Leave);
        // The goodbyes are in the links' queues: let the swarm carry them out.
        let until = Instant::now() + GOODBYE;
        while tokio::time::timeout_at(until, self.swarm.select_next_some()).await.is_ok() {}
        self.record.versions.close().await;
    }
}

fn open(streams: &mut crate::wire::Behaviour, to: &Peer, class: Class, reply: crate::wire::OpenReply) {
    match peer_id(to.public_key()) {
        Some(peer) => streams.open(peer, dial_order(to), class, reply),
        None => drop(reply.send(Err(crate::wire::OpenError::Unreachable))),
    }
}

/// An address with the peer id behind it: what others need to join through it.
fn named(addr: &Multiaddr, peer: PeerId) -> Multiaddr {
    addr.clone().with_p2p(peer).unwrap_or_else(|addr| addr)
}
