//! What all requests share.

use std::net::SocketAddr;
use std::sync::Arc;

use chordage_api::client::Client;
use chordage_api::types::WebStatus;

use super::guard::Guard;
use crate::front::{Counters, Limits, Turns, Users};

/// What all requests share.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) guard: Guard,
    pub(super) counters: Arc<Counters>,
    pub(super) limits: Limits,
    pub(super) turns: Turns,
    address: SocketAddr,
}

impl Shared {
    pub(super) fn new(client: Client, users: Option<Users>, address: SocketAddr, hosts: Vec<String>) -> Self {
        Shared {
            client,
            guard: Guard::new(users, hosts),
            counters: Arc::new(Counters::of("browsers")),
            limits: Limits::default(),
            turns: Turns::default(),
            address,
        }
    }

    /// What it has done since it started.
    pub(super) fn status(&self) -> WebStatus {
        let counts = self.counters.counts();
        WebStatus {
            listen: self.address.to_string(),
            users: self.guard.users(),
            requests: counts.requests,
            failed: counts.failed,
            refused: counts.refused,
            turned_away: counts.turned_away,
            uploaded_bytes: counts.uploaded_bytes,
            downloaded_bytes: counts.downloaded_bytes,
            last_problem: counts.last_problem,
        }
    }
}
