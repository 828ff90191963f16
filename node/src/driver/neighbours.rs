//! The neighbours, remembered in the data directory for the next start. One task at a time writes, and the last state
//! lands last.

use std::sync::Arc;

use chordage_dht::Peer;
use tokio::task::JoinHandle;

use super::bootstrap::remember;
use crate::datadir::DataDir;

/// The file in the data directory with the neighbours of the last run.
pub(crate) const PEERS_FILE: &str = "peers";

/// See the module's description.
pub(super) struct Neighbours {
    dir: Arc<DataDir>,
    /// As it was read, or is being written.
    text: String,
    writing: Option<JoinHandle<()>>,
}

impl Neighbours {
    /// Those of the last run. A damaged list is a missing one.
    pub(super) fn of_the_last_run(dir: Arc<DataDir>) -> Self {
        let text = dir.read(PEERS_FILE).ok().flatten().unwrap_or_default();
        Neighbours { dir, text: String::from_utf8_lossy(&text).into_owned(), writing: None }
    }

    /// The file's text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Writes these down, if they are others than before and nothing is being written. Nobody is no news.
    pub(super) fn remember<'a>(&mut self, peers: impl Iterator<Item = &'a Peer>) {
        let text = remember(peers);
        let writing = self.writing.as_ref().is_some_and(|task| !task.is_finished());
        if writing || text.is_empty() || text == self.text {
            return;
        }
        self.text.clone_from(&text);
        let dir = self.dir.clone();
        // Off the loop, because it syncs.
        self.writing = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = dir.write(PEERS_FILE, text.as_bytes()) {
                tracing::warn!(%error, "the neighbours cannot be remembered");
            }
        }));
    }

    /// Writes these down, behind what is being written, and waits for it.
    pub(super) async fn remember_last<'a>(&mut self, peers: impl Iterator<Item = &'a Peer>) {
        self.written().await;
        self.remember(peers);
        self.written().await;
    }

    async fn written(&mut self) {
        if let Some(task) = self.writing.take() {
            // It reports its own failure.
            let _ = task.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use chordage_dht::PeerInfo;
    use libp2p::identity::Keypair;

    use super::*;
    use crate::address::{public_key, to_address};

    fn peer() -> Peer {
        let id = Keypair::generate_ed25519().public().to_peer_id();
        let addr = "/ip4/127.0.0.1/tcp/4700".parse().ok().and_then(|addr| to_address(&addr)).expect("valid");
        Arc::new(PeerInfo::new(public_key(&id).expect("it is in the id"), vec![addr], 1).expect("valid"))
    }

    #[tokio::test]
    async fn the_last_state_lands_last() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let dir = Arc::new(DataDir::open(temp.path()).expect("new"));
        let mut neighbours = Neighbours::of_the_last_run(dir.clone());
        for _ in 0..20 {
            let [first, last] = [peer(), peer()];
            neighbours.remember([&first].into_iter());
            neighbours.remember_last([&last].into_iter()).await;
            let text = dir.read(PEERS_FILE).expect("readable").expect("written");
            assert_eq!(String::from_utf8_lossy(&text), remember([&last].into_iter()));
        }
        assert_eq!(Neighbours::of_the_last_run(dir).text(), neighbours.text());
    }
}
