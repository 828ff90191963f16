//! What a daemon that serves says of itself in one line.

use std::path::Path;

use chordage_api::types::{DaemonRole, DaemonState, ReachState, Status};

use crate::error::shell_word;

/// What is said of a daemon that serves.
struct Told {
    /// Who it is and what it does.
    does: String,
    /// How far it is with its network.
    standing: String,
    /// What to do next.
    next: String,
}

/// One line: who it is, how far it is with its network, and what to do next. `bootstrap`: whom it was told to join
/// through.
pub(super) fn ready(status: &Status, dir: &Path, bootstrap: &str) -> String {
    let Told { does, standing, next } = told(status, dir, bootstrap);
    format!("ready: {does}; {standing}; next: {next}")
}

/// The same for a service manager, which shows it beside what it knows itself and may cut it off.
pub(super) fn standing(status: &Status, dir: &Path, bootstrap: &str) -> String {
    let Told { does, standing, .. } = told(status, dir, bootstrap);
    format!("{standing}; {does}")
}

fn told(status: &Status, dir: &Path, bootstrap: &str) -> Told {
    let data_dir = shell_word(dir);
    let id = &status.identity.id;
    let is_client = status.membership.role == DaemonRole::Client;
    let does = if status.membership.reachability.state == ReachState::Unknown {
        "finds out whether others reach it, and is a client until then".to_owned()
    } else if is_client {
        "is a client and holds nothing".to_owned()
    } else {
        format!("listens on {}", status.membership.listen.join(" "))
    };
    let alone = !is_client && status.overlay.network_nodes <= 1;
    let (standing, next) = match (status.membership.state, status.membership.listen.first()) {
        (DaemonState::Joined, _) if alone && status.membership.lan.is_some() => (
            "alone in its network until the LAN shows others".to_owned(),
            "chordage daemon --lan (on another machine there)".to_owned(),
        ),
        (DaemonState::Joined, Some(address)) if alone => (
            "alone in its network".to_owned(),
            format!("chordage daemon --data-dir OTHER_DIR --bootstrap {address}"),
        ),
        (DaemonState::Draining, _) => (
            "hands over what it holds".to_owned(),
            format!("chordage drain --data-dir {data_dir} (until it says that the daemon can be stopped)"),
        ),
        (DaemonState::Leaving, _) => ("leaves its network".to_owned(), "wait for its end".to_owned()),
        (DaemonState::Joined, _) => {
            ("joined its network".to_owned(), format!("chordage put FILE --data-dir {data_dir}"))
        }
        _ => {
            let standing = match &status.membership.join_problem {
                Some(problem) => format!("not joined yet: {problem}"),
                None if bootstrap.is_empty() => "still looking for the peers of its last run".to_owned(),
                None => format!("still joining through {bootstrap}"),
            };
            (standing, format!("chordage status --data-dir {data_dir}"))
        }
    };
    let mut serves = String::new();
    if let Some(restic) = &status.gateways.restic {
        serves.push_str(&format!("; restic at rest:http://{}/", restic.listen));
    }
    if let Some(webdav) = &status.gateways.webdav {
        serves.push_str(&format!("; WebDAV at http://{}/", webdav.listen));
    }
    if let Some(web) = &status.gateways.web {
        serves.push_str(&format!("; links in a browser at http://{}/", web.listen));
    }
    Told { does: format!("{id} {does}{serves}"), standing, next }
}
