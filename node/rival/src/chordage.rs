//! Our side: whole daemons in this process, each with its data directory, started the way the program starts them.

use std::time::Duration;

use chordage_api::types::DaemonState;
use chordage_dht::{AnyMetric, Key, Lookup, LookupOptions, Metric, NodeId};
use chordage_node::{Config, Daemon};
use tempfile::TempDir;

/// Peers a leaf set holds where there are enough nodes.
const LEAF_SET: usize = chordage_dht::params::LEAF_SET;

struct Node {
    id: NodeId,
    daemon: Daemon,
    _dir: TempDir,
}

/// A network of daemons.
pub(crate) struct ChordageNetwork {
    nodes: Vec<Node>,
    metric: AnyMetric,
}

impl ChordageNetwork {
    /// Starts `count` daemons on loopback (TCP) that join through the first, and waits until leaf sets are full.
    pub(crate) async fn start(count: usize, metric: AnyMetric) -> Result<ChordageNetwork, String> {
        let mut network = ChordageNetwork { nodes: Vec::with_capacity(count), metric };
        let mut bootstrap = Vec::new();
        for _ in 0..count {
            let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
            let config = Config {
                network: "rival".to_owned(),
                metric,
                listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a valid multiaddr")],
                bootstrap: bootstrap.clone(),
                quota_bytes: 1 << 30,
                ..Config::default()
            };
            let daemon = Daemon::start(dir.path(), config).await.map_err(|error| error.to_string())?;
            let status = daemon.handle().status().await.ok_or("a daemon stopped")?;
            let id = NodeId::from_bytes(*status.identity.id.as_bytes());
            if bootstrap.is_empty() {
                bootstrap = status.membership.listen.iter().filter_map(|addr| addr.parse().ok()).collect();
            }
            network.nodes.push(Node { id, daemon, _dir: dir });
        }
        network.settled().await?;
        Ok(network)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The `count` nodes nearest `key`, as somebody who sees everything would name them.
    pub(crate) fn truly_closest(&self, key: &Key, count: usize) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        ids.sort_unstable_by(|a, b| self.metric.closer(key, a, b));
        ids.truncate(count);
        ids
    }

    pub(crate) fn id(&self, node: usize) -> NodeId {
        self.nodes[node].id
    }

    pub(crate) async fn lookup(&self, node: usize, key: Key, options: LookupOptions) -> Option<Lookup> {
        self.nodes[node].daemon.handle().lookup(key, options).await.ok()
    }

    async fn settled(&self) -> Result<(), String> {
        let neighbours = LEAF_SET.min(self.nodes.len() - 1) as u64;
        for _ in 0..480 {
            let mut ready = 0;
            for node in &self.nodes {
                let status = node.daemon.handle().status().await.ok_or("a daemon stopped")?;
                let joined = status.membership.state == DaemonState::Joined;
                ready += usize::from(joined && status.overlay.leaf_set == neighbours);
            }
            if ready == self.nodes.len() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err("chordage: leaf sets are not full after two minutes".to_owned())
    }
}
