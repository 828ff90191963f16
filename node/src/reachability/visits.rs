//! Streams of others that wait to be served.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};

use super::serve::Server;
use crate::driver::{Acceptor, Visit};

/// Streams that may wait; more are dropped, and who opened them asks somebody else.
const WAITING_MAX: usize = 32;

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Visits {
    come: mpsc::Sender<Visit>,
    waiting: Arc<Mutex<mpsc::Receiver<Visit>>>,
}

impl Default for Visits {
    fn default() -> Self {
        let (come, waiting) = mpsc::channel(WAITING_MAX);
        Visits { come, waiting: Arc::new(Mutex::new(waiting)) }
    }
}

impl Visits {
    /// What takes them over from the driver.
    pub(crate) fn acceptor(&self) -> Acceptor {
        let come = self.come.clone();
        Box::new(move |visit| drop(come.try_send(visit)))
    }

    /// Has them served, for as long as the daemon runs.
    pub(super) async fn serve(self, server: Server) {
        let mut waiting = self.waiting.lock().await;
        while let Some(visit) = waiting.recv().await {
            drop(tokio::spawn(server.clone().serve(visit)));
        }
    }
}
