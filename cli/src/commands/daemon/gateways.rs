//! Other ways into the daemon, served beside it: in the same process, as clients of the daemon's own API.

use std::time::Duration;

use chordage_api::client::Client;
use chordage_gateway::front::ListenError;
use chordage_gateway::restic::{ResticListener, ResticServer, ResticSettings};
use chordage_gateway::web::{WebListener, WebServer, WebSettings};
use chordage_gateway::webdav::{WebdavListener, WebdavServer, WebdavSettings};
use chordage_node::{Config, Daemon, descriptors};

use crate::error::CliError;
use crate::exit::ExitStatus;

/// How long uploads may take to finish when the daemon is to leave.
const DRAIN: Duration = Duration::from_secs(10);

/// Addresses that are taken, and not served yet.
pub(super) struct Bound {
    restic: Option<ResticListener>,
    webdav: Option<WebdavListener>,
    web: Option<WebListener>,
}

/// What is served.
pub(super) struct Gateways {
    restic: Option<ResticServer>,
    webdav: Option<WebdavServer>,
    web: Option<WebServer>,
}

/// Takes the addresses that the settings name.
pub(super) async fn bind(config: &Config) -> Result<Bound, CliError> {
    let mut bound = Bound { restic: None, webdav: None, web: None };
    if let Some(listen) = config.restic.listen {
        let settings = ResticSettings {
            listen,
            users: config.restic.users.clone(),
            append_only: config.restic.append_only,
            keep_deleted: Duration::from_secs(config.restic.keep_deleted_seconds),
            connections_max: descriptors::gateway_connections(),
        };
        let taken = ResticListener::bind(settings).await;
        bound.restic = Some(taken.map_err(|error| refused(&error, "restic", 8017))?);
    }
    if let Some(listen) = config.webdav.listen {
        let settings = WebdavSettings {
            listen,
            volume: config.webdav.volume.clone(),
            users: config.webdav.users.clone(),
            keep_deleted: Duration::from_secs(config.webdav.keep_deleted_seconds),
            connections_max: descriptors::gateway_connections(),
        };
        let taken = WebdavListener::bind(settings).await;
        bound.webdav = Some(taken.map_err(|error| refused(&error, "webdav", 8019))?);
    }
    if let Some(listen) = config.gateway.listen {
        let settings = WebSettings {
            listen,
            hosts: config.gateway.hosts.clone(),
            users: config.gateway.users.clone(),
            connections_max: descriptors::gateway_connections(),
        };
        bound.web =
            Some(WebListener::bind(settings).await.map_err(|error| refused(&error, "gateway", 8020))?);
    }
    Ok(bound)
}

/// Serves them as clients of the daemon, whose status tells of them from then on.
pub(super) fn serve(bound: Bound, daemon: &Daemon) -> Result<Gateways, CliError> {
    let mut gateways = Gateways { restic: None, webdav: None, web: None };
    if let Some(bound) = bound.restic {
        let server = bound.serve(Client::find(&daemon.api_address())?);
        let status = server.status();
        daemon.handle().tell_of_restic(move || status());
        gateways.restic = Some(server);
    }
    if let Some(bound) = bound.webdav {
        let server = bound.serve(Client::find(&daemon.api_address())?);
        let status = server.status();
        daemon.handle().tell_of_webdav(move || status());
        gateways.webdav = Some(server);
    }
    if let Some(bound) = bound.web {
        let server = bound.serve(Client::find(&daemon.api_address())?);
        let status = server.status();
        daemon.handle().tell_of_web(move || status());
        gateways.web = Some(server);
    }
    Ok(gateways)
}

impl Gateways {
    /// Lets what is under way finish.
    pub(super) async fn drain(self) {
        let restic = async {
            if let Some(server) = self.restic {
                server.drain(DRAIN).await;
            }
        };
        let webdav = async {
            if let Some(server) = self.webdav {
                server.drain(DRAIN).await;
            }
        };
        let web = async {
            if let Some(server) = self.web {
                server.drain(DRAIN).await;
            }
        };
        tokio::join!(restic, webdav, web);
    }
}

/// Why the start ends. `what` and `port`: as the flags are called, and a port as an example.
fn refused(error: &ListenError, what: &str, port: u16) -> CliError {
    let (status, code, hint) = match error {
        ListenError::InUse { .. } => (
            ExitStatus::InUse,
            "port_in_use".to_owned(),
            format!("choose another port for --{what}, or port 0 to let the system choose"),
        ),
        ListenError::Refused { .. } => (
            ExitStatus::Usage,
            "listen".to_owned(),
            format!("give --{what} an address of this machine, such as 127.0.0.1:{port}, or port 0"),
        ),
        ListenError::NeedsUsers { .. } => (
            ExitStatus::Usage,
            "usage".to_owned(),
            format!(
                "make a file of users with `chordage restic-user NAME >> FILE` and give it with --{what}-users FILE, or listen on \
                 127.0.0.1"
            ),
        ),
        ListenError::Users(_) => (
            ExitStatus::LocalFile,
            format!("{what}_users"),
            "a line is NAME:HASH, and `chordage restic-user NAME >> FILE` adds one".to_owned(),
        ),
    };
    CliError::new(status, &code, error).state("no daemon was started").hint(hint)
}
