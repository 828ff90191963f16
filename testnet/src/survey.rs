//! What a network looks like from outside: one row per node, for people and for `--json`.

use chordage_api::types::NodeId;
use serde::Serialize;

use crate::network::Testnet;

/// A network at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// The network's directory.
    pub dir: String,
    /// How many of the processes run.
    pub running: usize,
    /// Every node, dead ones included, by index.
    pub nodes: Vec<NodeSurvey>,
}

/// A node at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct NodeSurvey {
    /// Its number in this network.
    pub index: usize,
    /// Its process, when it runs.
    pub pid: Option<u32>,
    /// Its node id, once it has told it.
    pub id: Option<NodeId>,
    /// Its API address.
    pub api: Option<String>,
    /// Where it listens (multiaddr with peer id).
    pub listen: Vec<String>,
    /// `joining`, `joined`, `leaving`; `dead`, `frozen`, or `silent` when it runs and its API says nothing.
    pub state: String,
    /// Resident memory, bytes; 0 when dead.
    pub rss_bytes: u64,
    /// Shards it holds, when it can be asked.
    pub shards: Option<u64>,
    /// Bytes of shards it holds, when it can be asked.
    pub stored_bytes: Option<u64>,
    /// Nodes it sees in the network, when it can be asked.
    pub network_nodes: Option<u64>,
    /// Its data directory.
    pub data_dir: String,
    /// Its log.
    pub log: String,
}

impl Testnet {
    /// Asks every living node.
    pub async fn survey(&self) -> Survey {
        let mut nodes = Vec::with_capacity(self.len());
        for index in 0..self.len() {
            nodes.push(self.survey_node(index).await);
        }
        let running = nodes.iter().filter(|node| node.pid.is_some()).count();
        Survey { dir: self.dir().display().to_string(), running, nodes }
    }

    async fn survey_node(&self, index: usize) -> NodeSurvey {
        let process = self.process(index);
        let mut node = NodeSurvey {
            index,
            pid: process.map(|process| process.pid),
            id: self.id(index),
            api: self.api(index).map(str::to_string),
            listen: Vec::new(),
            state: "dead".into(),
            rss_bytes: process.and_then(|process| process.rss_bytes()).unwrap_or(0),
            shards: None,
            stored_bytes: None,
            network_nodes: None,
            data_dir: self.data_dir(index).display().to_string(),
            log: self.log(index).display().to_string(),
        };
        if process.is_none() {
            return node;
        }
        if self.is_frozen(index) {
            node.state = "frozen".into();
            return node;
        }
        match self.status(index).await {
            Ok(status) => {
                node.state = status.membership.state.to_string();
                node.listen = status.membership.listen;
                node.shards = Some(status.store.shards);
                node.stored_bytes = Some(status.store.stored_bytes);
                node.network_nodes = Some(status.overlay.network_nodes);
            }
            Err(_) => node.state = "silent".into(),
        }
        node
    }
}
