//! The rival: nodes that run `libp2p-kad` with its own defaults, each in a task that owns its swarm.
//!
//! What it is given on top: every node knows every other from the start, so that buckets are as full as they can ever
//! be and nothing depends on how well it joins; connections stay open; nothing runs periodically.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, GetRecordOk, KBucketKey, Mode, QueryId, QueryResult, Quorum, Record, RecordKey};
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, noise, tcp, yamux};
use tokio::sync::{mpsc, oneshot};

/// Longer than any run: connections that were opened stay open, as the other side's do.
const IDLE: Duration = Duration::from_secs(3600);
const COMMANDS_MAX: usize = 256;

/// What a query found, and how many requests it sent.
pub(crate) struct Found<T> {
    /// `None`: it failed.
    pub(crate) value: Option<T>,
    pub(crate) requests: u32,
}

/// One wish and where its answer goes.
enum Command {
    Closest(Vec<u8>, oneshot::Sender<Found<Vec<PeerId>>>),
    Get(RecordKey, oneshot::Sender<Found<Vec<u8>>>),
    Put(Record, oneshot::Sender<bool>),
}

enum Waiting {
    Closest(oneshot::Sender<Found<Vec<PeerId>>>),
    Get(oneshot::Sender<Found<Vec<u8>>>),
    Put(oneshot::Sender<bool>),
}

struct Node {
    peer: PeerId,
    commands: mpsc::Sender<Command>,
}

/// A network of such nodes.
pub(crate) struct KadNetwork {
    nodes: Vec<Node>,
    bootstraps: Arc<AtomicU64>,
}

impl KadNetwork {
    /// Starts `count` nodes on loopback and waits until they have looked around.
    pub(crate) async fn start(count: usize) -> Result<KadNetwork, String> {
        let mut swarms = Vec::with_capacity(count);
        for _ in 0..count {
            swarms.push(listening().await?);
        }
        let addrs: Vec<(PeerId, Multiaddr)> =
            swarms.iter().map(|(swarm, addr)| (*swarm.local_peer_id(), addr.clone())).collect();
        let bootstraps = Arc::new(AtomicU64::new(0));
        let mut nodes = Vec::with_capacity(count);
        for (index, (mut swarm, _)) in swarms.into_iter().enumerate() {
            // Each begins with another peer, so that full buckets do not all hold the same ones.
            for (peer, addr) in addrs[index + 1..].iter().chain(&addrs[..index]) {
                swarm.behaviour_mut().add_address(peer, addr.clone());
            }
            swarm.behaviour_mut().bootstrap().map_err(|error| error.to_string())?;
            let (commands, queue) = mpsc::channel(COMMANDS_MAX);
            nodes.push(Node { peer: addrs[index].0, commands });
            tokio::spawn(run(swarm, queue, bootstraps.clone()));
        }
        let network = KadNetwork { nodes, bootstraps };
        network.settled().await?;
        Ok(network)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The `count` nodes nearest `key` but for node `except`, as somebody who sees everything would name them.
    pub(crate) fn truly_closest(&self, key: &[u8], except: Option<usize>, count: usize) -> Vec<PeerId> {
        let target = KBucketKey::new(key.to_vec());
        let mut peers: Vec<(kad::KBucketDistance, PeerId)> = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != except)
            .map(|(_, node)| (target.distance(&KBucketKey::from(node.peer)), node.peer))
            .collect();
        peers.sort_unstable();
        peers.into_iter().take(count).map(|(_, peer)| peer).collect()
    }

    pub(crate) fn peer(&self, node: usize) -> PeerId {
        self.nodes[node].peer
    }

    /// Kademlia's own lookup: the 20 nearest nodes, each of which has answered.
    pub(crate) async fn closest(&self, node: usize, key: &[u8]) -> Option<Found<Vec<PeerId>>> {
        let (reply, answer) = oneshot::channel();
        self.nodes[node].commands.send(Command::Closest(key.to_vec(), reply)).await.ok()?;
        answer.await.ok()
    }

    /// Fetches a record; ends with the first copy.
    pub(crate) async fn get(&self, node: usize, key: &[u8]) -> Option<Found<Vec<u8>>> {
        let (reply, answer) = oneshot::channel();
        self.nodes[node].commands.send(Command::Get(RecordKey::new(&key), reply)).await.ok()?;
        answer.await.ok()
    }

    /// Stores a record at the 20 nodes nearest `key`; whether all of them have it.
    pub(crate) async fn put(&self, node: usize, key: &[u8], value: Vec<u8>) -> bool {
        let (reply, answer) = oneshot::channel();
        let record = Record::new(RecordKey::new(&key), value);
        self.nodes[node].commands.send(Command::Put(record, reply)).await.is_ok()
            && answer.await.unwrap_or(false)
    }

    /// Every node has ended its first look around, and none has started another for a while.
    async fn settled(&self) -> Result<(), String> {
        let (mut seen, mut quiet) = (0, 0);
        for _ in 0..1200 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let now = self.bootstraps.load(Ordering::Relaxed);
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
            if quiet >= 8 && seen >= self.nodes.len() as u64 {
                return Ok(());
            }
        }
        Err(format!("kad: only {seen} bootstraps have ended after five minutes"))
    }
}

async fn listening() -> Result<(Swarm<kad::Behaviour<MemoryStore>>, Multiaddr), String> {
    let builder = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .map_err(|error| error.to_string())?;
    let Ok(builder) = builder.with_behaviour(|key| {
        let peer = key.public().to_peer_id();
        let mut config = kad::Config::new(StreamProtocol::new("/rival/kad/1.0.0"));
        config.set_periodic_bootstrap_interval(None);
        config.set_replication_interval(None);
        config.set_publication_interval(None);
        config.set_provider_publication_interval(None);
        let mut behaviour = kad::Behaviour::with_config(peer, MemoryStore::new(peer), config);
        behaviour.set_mode(Some(Mode::Server));
        behaviour
    });
    let mut swarm = builder.with_swarm_config(|config| config.with_idle_connection_timeout(IDLE)).build();
    let any = "/ip4/127.0.0.1/tcp/0".parse().expect("a valid multiaddr");
    swarm.listen_on(any).map_err(|error| error.to_string())?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok((swarm, address));
        }
    }
}

async fn run(
    mut swarm: Swarm<kad::Behaviour<MemoryStore>>,
    mut commands: mpsc::Receiver<Command>,
    bootstraps: Arc<AtomicU64>,
) {
    let mut waiting: HashMap<QueryId, Waiting> = HashMap::new();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed { id, result, stats, step }) = event
                else { continue };
                match result {
                    QueryResult::Bootstrap(_) if step.last => {
                        bootstraps.fetch_add(1, Ordering::Relaxed);
                    }
                    QueryResult::GetClosestPeers(found) => {
                        if let Some(Waiting::Closest(reply)) = waiting.remove(&id) {
                            let value = found.ok().map(|ok| ok.peers.into_iter().map(|p| p.peer_id).collect());
                            let _ = reply.send(Found { value, requests: stats.num_requests() });
                        }
                    }
                    QueryResult::GetRecord(found) => {
                        if let Some(Waiting::Get(reply)) = waiting.remove(&id) {
                            let value = match found {
                                Ok(GetRecordOk::FoundRecord(found)) => Some(found.record.value),
                                _ => None,
                            };
                            let _ = reply.send(Found { value, requests: stats.num_requests() });
                            // One copy is enough.
                            if let Some(mut query) = swarm.behaviour_mut().query_mut(&id) {
                                query.finish();
                            }
                        }
                    }
                    QueryResult::PutRecord(stored) => {
                        if let Some(Waiting::Put(reply)) = waiting.remove(&id) {
                            let _ = reply.send(stored.is_ok());
                        }
                    }
                    _ => {}
                }
            }
            command = commands.recv() => {
                let behaviour = swarm.behaviour_mut();
                match command {
                    Some(Command::Closest(key, reply)) => {
                        waiting.insert(behaviour.get_closest_peers(key), Waiting::Closest(reply));
                    }
                    Some(Command::Get(key, reply)) => {
                        waiting.insert(behaviour.get_record(key), Waiting::Get(reply));
                    }
                    Some(Command::Put(record, reply)) => match behaviour.put_record(record, Quorum::All) {
                        Ok(id) => drop(waiting.insert(id, Waiting::Put(reply))),
                        Err(_) => drop(reply.send(false)),
                    },
                    None => return,
                }
            }
        }
    }
}
