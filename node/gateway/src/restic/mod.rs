//! Backups by restic and rustic: repositories behind restic's REST protocol, versions 1 and 2.
//!
//! ```text
//!  restic ──HTTP──▶ serve ──▶ gate ──▶ files, list, upload, deleted ──▶ Repository ──▶ volumes ──▶ the daemon's API
//!                   so many   who may   what is asked for               a map with conditional
//!                   at a time                                          changes, and objects
//! ```
//!
//! A repository is a map from keys to values, which a volume keeps. What is small lies in the map itself, packs and indexes are
//! objects. What a client deletes goes from its key at once, to a key from which it can be brought back until its grace is over.
//!
//! Two rules stand above all others, because a client deletes what it takes for unneeded: what cannot be listed for certain is an
//! error and never absence, and a success is said only when the map has changed.

mod answer;
mod claims;
mod counters;
mod deleted;
mod files;
mod gate;
mod list;
mod path;
mod patient;
mod repository;
mod requests;
mod serve;
mod state;
mod sweep;
#[cfg(test)]
mod tests;
mod upload;
mod users;
mod volume;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chordage_api::client::Client;
use chordage_api::types::ResticStatus;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use self::gate::Gate;
use self::state::Shared;
use self::users::Users;
pub use self::users::{LineError, UsersError, user_line};
use self::volume::Volumes;

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

/// Why it does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ResticError {
    /// Somebody else has the port.
    #[error("cannot serve restic at {0}: the port is in use by another program")]
    InUse(SocketAddr),
    /// The system refused.
    #[error("cannot serve restic at {address}: {source}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Others could reach it, and nobody would have to say who they are.
    #[error(
        "{0} can be reached from other machines, and without users anybody there could delete every backup"
    )]
    NeedsUsers(SocketAddr),
    /// The file with the users cannot be used.
    #[error(transparent)]
    Users(#[from] UsersError),
}

/// An address that is taken, and not served yet.
pub struct ResticListener {
    listener: TcpListener,
    address: SocketAddr,
    users: Option<Users>,
    settings: ResticSettings,
}

impl ResticListener {
    /// Takes the address and reads the users.
    pub async fn bind(settings: ResticSettings) -> Result<Self, ResticError> {
        let at = settings.listen;
        let users = settings.users.as_deref().map(Users::read).transpose()?;
        if users.is_none() && !at.ip().is_loopback() {
            return Err(ResticError::NeedsUsers(at));
        }
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ResticError::InUse(at),
            _ => ResticError::Refused { address: at, source },
        };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(ResticListener { listener, address, users, settings })
    }

    /// Serves it as a client of a daemon.
    pub fn serve(self, client: Client) -> ResticServer {
        self.serve_from(Volumes::new(client))
    }

    /// Serves these repositories.
    fn serve_from<V: repository::Repositories>(self, repositories: V) -> ResticServer {
        let ResticListener { listener, address, users, settings } = self;
        let shared = Arc::new(Shared::new(repositories, Gate::new(users), address, &settings));
        let (closing, connections) = (CancellationToken::new(), TaskTracker::new());
        let serving = serve::serve(
            listener,
            Arc::clone(&shared),
            settings.connections_max,
            connections.clone(),
            closing.clone(),
        );
        let tasks = [
            AbortOnDropHandle::new(tokio::spawn(serving)),
            AbortOnDropHandle::new(tokio::spawn(sweep::for_ever(Arc::clone(&shared)))),
        ];
        let told = Arc::clone(&shared);
        ResticServer {
            status: Arc::new(move || told.status()),
            changes: shared.changes.clone(),
            connections,
            closing,
            _tasks: tasks,
        }
    }
}

/// What tells how it goes.
pub type StatusOf = Arc<dyn Fn() -> ResticStatus + Send + Sync>;

/// The running server. Dropping it stops listening; what was begun goes on as long as the runtime does.
pub struct ResticServer {
    status: StatusOf,
    /// Changes under way, which nobody's going away may interrupt.
    changes: TaskTracker,
    connections: TaskTracker,
    closing: CancellationToken,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl ResticServer {
    /// What it has done since it started. Can be asked as long as somebody has it.
    pub fn status(&self) -> StatusOf {
        Arc::clone(&self.status)
    }

    /// Takes no more requests, and lets those under way finish for so long.
    pub async fn drain(self, patience: Duration) {
        self.closing.cancel();
        self.connections.close();
        self.changes.close();
        let finished = async {
            self.connections.wait().await;
            self.changes.wait().await;
        };
        // What is cut off then was acknowledged to nobody.
        let _ = tokio::time::timeout(patience, finished).await;
    }
}
