//! Links and names in a browser.
//!
//! ```text
//!  browser ──HTTP──▶ guard ─────────▶ place ──────▶ content ──▶ the daemon's API
//!                    named as this    what a path   a file, a
//!                    machine, by no   stands for    page about a
//!                    other page                     directory
//! ```
//!
//! What links stand for comes from strangers, and all of it comes from one address. So it is served in a sandbox: a
//! page of a link has an origin that nobody else has, reads nothing of other links, and cannot ask the daemon for
//! anything. Our own pages work without scripts, but for the one that takes files in.

mod answer;
mod content;
mod dashboard;
mod guard;
mod listing;
mod media;
mod page;
mod place;
mod requests;
mod state;
mod upload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use chordage_api::client::Client;
use chordage_api::types::WebStatus;
use tokio_util::task::TaskTracker;

use self::state::Shared;
use crate::front::{ListenError, Listener, Running, Server};

/// How to serve.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Where to listen; with port 0 the system chooses one.
    pub listen: SocketAddr,
    /// By which names it is called beside those of this machine, for whoever has it behind a proxy.
    pub hosts: Vec<String>,
    /// The file with the users and their passwords. Without it everybody who reaches the address may do everything.
    pub users: Option<PathBuf>,
    /// Connections at a time.
    pub connections_max: usize,
}

/// An address that is taken, and not served yet.
pub struct WebListener {
    bound: Listener,
    settings: WebSettings,
}

impl WebListener {
    /// Takes the address and reads the users.
    pub async fn bind(settings: WebSettings) -> Result<Self, ListenError> {
        let users = settings.users.as_deref();
        let bound = Listener::bind(settings.listen, users, "browsers", "store files here").await?;
        Ok(WebListener { bound, settings })
    }

    /// Serves it as a client of a daemon.
    pub fn serve(self, client: Client) -> WebServer {
        let WebListener { bound: Listener { listener, address, users }, settings } = self;
        let shared = Arc::new(Shared::new(client, users, address, settings.hosts));
        let told = Arc::clone(&shared);
        let running = Running {
            router: Router::new().fallback(requests::answer).with_state(Arc::clone(&shared)),
            connections_max: settings.connections_max,
            turns_wanted: shared.turns.wanted().clone(),
            counters: Arc::clone(&shared.counters),
            changes: TaskTracker::new(),
            status: Arc::new(move || told.status()),
        };
        Server::start(listener, running, std::future::pending())
    }
}

/// The running server.
pub type WebServer = Server<WebStatus>;
