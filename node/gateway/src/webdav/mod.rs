//! Files and directories by WebDAV, classes 1 and 2, for programs and desktops.
//!
//! ```text
//!  rclone ──HTTP──▶ front ───────▶ requests ──▶ dav-server ──▶ Request ──▶ commit ──▶ a volume of the daemon's API
//!                   who may,       what it       conditions,    what it     one change
//!                   how many       may take      locks, XML     wants       of the map
//! ```
//!
//! A file or a directory is a value in the map of a volume, its key is the path, and contents are objects. A request
//! first notes what it wants, and at its end all of that is done in one change or nothing is: whoever moves a directory
//! never sees half of it, and a file that could not be stored leaves the one before.

mod body;
mod claims;
mod commit;
mod deleted;
mod entry;
mod file;
mod filesystem;
mod finder;
mod locks;
mod mtime;
mod path;
mod request;
mod requests;
mod state;
mod store;
mod sweep;
#[cfg(test)]
mod tests;
mod tree;
mod uses;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chordage_api::client::Client;
use chordage_api::types::WebdavStatus;

use self::state::Shared;
use self::store::{Live, Store};
use crate::front::{Behind, Gate, ListenError, Listener, Running, Server};

/// What those are told who are not let in.
const BEHIND: Behind =
    Behind { realm: "chordage webdav", programs: "programs that speak WebDAV", flag: "--webdav-users" };

/// How to serve.
#[derive(Clone, Debug)]
pub struct WebdavSettings {
    /// Where to listen; with port 0 the system chooses one.
    pub listen: SocketAddr,
    /// The volume whose files are shown, by its petname. It is made when it is used first, unless there is one.
    pub volume: String,
    /// The file with the users and their passwords. Without it everybody who reaches the address may do everything.
    pub users: Option<PathBuf>,
    /// How long the content of what was deleted or replaced is kept.
    pub keep_deleted: Duration,
    /// Connections at a time.
    pub connections_max: usize,
}

/// An address that is taken, and not served yet.
pub struct WebdavListener {
    bound: Listener,
    settings: WebdavSettings,
}

impl WebdavListener {
    /// Takes the address and reads the users.
    pub async fn bind(settings: WebdavSettings) -> Result<Self, ListenError> {
        let users = settings.users.as_deref();
        let bound = Listener::bind(settings.listen, users, "WebDAV", "read and delete every file").await?;
        Ok(WebdavListener { bound, settings })
    }

    #[cfg(test)]
    fn address(&self) -> SocketAddr {
        self.bound.address
    }

    /// Serves it as a client of a daemon.
    pub fn serve(self, client: Client) -> WebdavServer {
        let store = Live::new(client, self.settings.volume.clone());
        self.serve_from(store).0
    }

    /// Serves these files.
    fn serve_from<S: Store>(self, store: S) -> (WebdavServer, Arc<Shared<S>>) {
        let WebdavListener { bound: Listener { listener, address, users }, settings } = self;
        let shared = Arc::new(Shared::new(store, Gate::new(users, BEHIND), address, &settings));
        let told = Arc::clone(&shared);
        let running = Running {
            router: Router::new().fallback(requests::answer::<S>).with_state(Arc::clone(&shared)),
            connections_max: settings.connections_max,
            turns_wanted: shared.turns.wanted().clone(),
            counters: Arc::clone(&shared.counters),
            changes: shared.changes.clone(),
            status: Arc::new(move || told.status()),
        };
        (Server::start(listener, running, sweep::for_ever(Arc::clone(&shared))), shared)
    }
}

/// The running server.
pub type WebdavServer = Server<WebdavStatus>;
