//! Backups by restic and rustic: repositories behind restic's REST protocol, versions 1 and 2.
//!
//! ```text
//!  restic ──HTTP──▶ front ─────────▶ files, list, upload, deleted ──▶ Repository ──▶ volumes ──▶ the daemon's API
//!                   who may, how many what is asked for               a map with conditional
//!                   at a time                                          changes, and objects
//! ```
//!
//! A repository is a map from keys to values, which a volume keeps. What is small lies in the map itself, packs and
//! indexes are objects. What a client deletes goes from its key at once, to a key from which it can be brought back
//! until its grace is over.
//!
//! Two rules stand above all others, because a client deletes what it takes for unneeded: what cannot be listed for
//! certain is an error and never absence, and a success is said only when the map has changed.

mod answer;
mod claims;
mod deleted;
mod files;
mod list;
mod path;
mod repository;
mod requests;
mod state;
mod sweep;
#[cfg(test)]
mod tests;
mod upload;
mod volume;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chordage_api::client::Client;
use chordage_api::types::ResticStatus;

use self::state::Shared;
use self::volume::Volumes;
use crate::front::{Behind, Gate, ListenError, Listener, Running, Server};

/// What those are told who are not let in.
const BEHIND: Behind =
    Behind { realm: "chordage restic", programs: "backup programs", flag: "--restic-users" };

/// How to serve.
#[derive(Clone, Debug)]
pub struct ResticSettings {
    /// Where to listen; with port 0 the system chooses one.
    pub listen: SocketAddr,
    /// The file with the users and their passwords. Without it everybody who reaches the address may do everything.
    pub users: Option<PathBuf>,
    /// Nothing can be deleted but locks.
    pub append_only: bool,
    /// How long what was deleted can be brought back.
    pub keep_deleted: Duration,
    /// Connections at a time.
    pub connections_max: usize,
}

/// An address that is taken, and not served yet.
pub struct ResticListener {
    bound: Listener,
    settings: ResticSettings,
}

impl ResticListener {
    /// Takes the address and reads the users.
    pub async fn bind(settings: ResticSettings) -> Result<Self, ListenError> {
        let users = settings.users.as_deref();
        let bound = Listener::bind(settings.listen, users, "restic", "delete every backup").await?;
        Ok(ResticListener { bound, settings })
    }

    #[cfg(test)]
    fn address(&self) -> SocketAddr {
        self.bound.address
    }

    /// Serves it as a client of a daemon.
    pub fn serve(self, client: Client) -> ResticServer {
        self.serve_from(Volumes::new(client))
    }

    /// Serves these repositories.
    fn serve_from<V: repository::Repositories>(self, repositories: V) -> ResticServer {
        let ResticListener { bound: Listener { listener, address, users }, settings } = self;
        let shared = Arc::new(Shared::new(repositories, Gate::new(users, BEHIND), address, &settings));
        let told = Arc::clone(&shared);
        let running = Running {
            router: Router::new().fallback(requests::answer::<V>).with_state(Arc::clone(&shared)),
            connections_max: settings.connections_max,
            turns_wanted: shared.turns.wanted().clone(),
            counters: Arc::clone(&shared.counters),
            changes: shared.changes.clone(),
            status: Arc::new(move || told.status()),
        };
        Server::start(listener, running, sweep::for_ever(shared))
    }
}

/// The running server.
pub type ResticServer = Server<ResticStatus>;
