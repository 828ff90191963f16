//! Serving restic beside the daemon: in the same process, as a client of the daemon's own API.

use std::time::Duration;

use chordage_api::client::Client;
use chordage_gateway::restic::{ResticError, ResticListener, ResticServer, ResticSettings};
use chordage_node::{Daemon, ResticConfig, descriptors};

use crate::error::CliError;
use crate::exit::ExitStatus;

/// How long uploads may take to finish when the daemon is to leave.
const DRAIN: Duration = Duration::from_secs(10);

/// Takes the address, if the settings name one.
pub(super) async fn bind(config: &ResticConfig) -> Result<Option<ResticListener>, CliError> {
    let Some(listen) = config.listen else { return Ok(None) };
    let settings = ResticSettings {
        listen,
        users: config.users.clone(),
        append_only: config.append_only,
        keep_deleted: Duration::from_secs(config.keep_deleted_seconds),
        connections_max: descriptors::restic_connections(),
    };
    ResticListener::bind(settings).await.map(Some).map_err(|error| refused(&error))
}

/// Serves it as a client of the daemon, whose status tells of it from then on.
pub(super) fn serve(bound: ResticListener, daemon: &Daemon) -> Result<ResticServer, CliError> {
    let server = bound.serve(Client::find(&daemon.api_address())?);
    let status = server.status();
    daemon.handle().tell_of_restic(move || status());
    Ok(server)
}

/// Lets what is under way finish.
pub(super) async fn drain(server: Option<ResticServer>) {
    if let Some(server) = server {
        server.drain(DRAIN).await;
    }
}

fn refused(error: &ResticError) -> CliError {
    let (status, code, hint) = match error {
        ResticError::InUse(_) => (
            ExitStatus::InUse,
            "port_in_use",
            "choose another port for --restic, or port 0 to let the system choose",
        ),
        ResticError::Refused { .. } => (
            ExitStatus::Usage,
            "listen",
            "give --restic an address of this machine, such as 127.0.0.1:8017, or port 0",
        ),
        ResticError::NeedsUsers(_) => (
            ExitStatus::Usage,
            "usage",
            "make a file of users with `chordage restic-user NAME >> FILE` and give it with --restic-users FILE, or listen on \
             127.0.0.1",
        ),
        ResticError::Users(_) => (
            ExitStatus::LocalFile,
            "restic_users",
            "a line is NAME:HASH, and `chordage restic-user NAME >> FILE` adds one",
        ),
    };
    CliError::new(status, code, error).state("no daemon was started").hint(hint)
}
