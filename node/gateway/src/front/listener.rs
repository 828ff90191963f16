//! An address that is taken, and the server at it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::connections;
use super::counters::Counters;
use super::users::{Users, UsersError};
use super::wanted::Wanted;

/// Why it does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has the port.
    #[error("cannot serve {what} at {address}: the port is in use by another program")]
    InUse {
        /// What would be served.
        what: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The system refused.
    #[error("cannot serve {what} at {address}: {source}")]
    Refused {
        /// What would be served.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Others could reach it, and nobody would have to say who they are.
    #[error("{address} can be reached from other machines, and without users anybody there could {harm}")]
    NeedsUsers {
        /// The address.
        address: SocketAddr,
        /// What anybody could do.
        harm: &'static str,
    },
    /// The file with the users cannot be used.
    #[error(transparent)]
    Users(#[from] UsersError),
}

/// An address that is taken, and not served yet.
pub(crate) struct Listener {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) users: Option<Users>,
}

impl Listener {
    /// Takes the address for `what`, and reads the users. Without users anybody who reaches it could do `harm`.
    pub(crate) async fn bind(
        at: SocketAddr,
        users: Option<&Path>,
        what: &'static str,
        harm: &'static str,
    ) -> Result<Self, ListenError> {
        let users = users.map(Users::read).transpose()?;
        if users.is_none() && !at.ip().is_loopback() {
            return Err(ListenError::NeedsUsers { address: at, harm });
        }
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse { what, address: at },
            _ => ListenError::Refused { what, address: at, source },
        };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Listener { listener, address, users })
    }
}

/// What is served, and what goes on beside it.
pub(crate) struct Running<S> {
    /// Answers.
    pub(crate) router: Router,
    /// Connections at a time.
    pub(crate) connections_max: usize,
    /// Whether somebody who is connected waits to read.
    pub(crate) turns_wanted: Wanted,
    pub(crate) counters: Arc<Counters>,
    /// Changes under way, which nobody's going away may interrupt.
    pub(crate) changes: TaskTracker,
    pub(crate) status: StatusOf<S>,
}

/// What tells how it goes.
pub type StatusOf<S> = Arc<dyn Fn() -> S + Send + Sync>;

/// The running server. Dropping it stops listening; what was begun goes on as long as the runtime does.
pub struct Server<S> {
    status: StatusOf<S>,
    changes: TaskTracker,
    connections: TaskTracker,
    closing: CancellationToken,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl<S> Server<S> {
    /// Serves at what was taken. `beside` runs as long as the server does.
    pub(crate) fn start(
        listener: TcpListener,
        running: Running<S>,
        beside: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let Running { router, connections_max, turns_wanted, counters, changes, status } = running;
        let (closing, connections) = (CancellationToken::new(), TaskTracker::new());
        let serving = connections::serve(
            listener,
            router,
            counters,
            (connections_max, turns_wanted),
            connections.clone(),
            closing.clone(),
        );
        let tasks =
            [AbortOnDropHandle::new(tokio::spawn(serving)), AbortOnDropHandle::new(tokio::spawn(beside))];
        Server { status, changes, connections, closing, _tasks: tasks }
    }

    /// What it has done since it started. Can be asked as long as somebody has it.
    pub fn status(&self) -> StatusOf<S> {
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
