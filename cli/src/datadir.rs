//! A data directory that cannot be used: how the program ends, and what to do about it.

use std::path::Path;

use chordage_node::DataDirError;

use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;

/// The error for people. `nothing`: what is true now, such as "no daemon was started".
pub(crate) fn refused(error: &DataDirError, dir: &Path, nothing: &str) -> CliError {
    let failed = |status, code: &str| CliError::new(status, code, error).state(nothing);
    let unusable = || failed(ExitStatus::LocalFile, "data_dir");
    match error {
        DataDirError::Locked { .. } => failed(ExitStatus::InUse, "locked").hint(locked_hint(dir)),
        DataDirError::Newer { .. } => failed(ExitStatus::InUse, "newer_version").hint(NEWER),
        DataDirError::Damaged { path, .. } => unusable().hint(damaged_hint(path)),
        DataDirError::InUse { .. } => {
            unusable().state(format!("{nothing}, and nothing in it was changed")).hint(format!(
                "name a directory that is new or empty: --data-dir {}",
                shell_word(&dir.join("chordage"))
            ))
        }
        DataDirError::Name { .. } => unusable()
            .state(format!("{nothing}, and nothing was changed"))
            .hint("take another --data-dir, or start the daemon below a directory of another name"),
        DataDirError::NotPrivate(_) => unusable().hint(
            "what is in a data directory is for one user: start the daemon as the user who owns it, or take another \
             --data-dir that is yours, on a file system that keeps permissions",
        ),
        DataDirError::Io { .. } => unusable().hint(CANNOT_WRITE),
    }
}

/// What to do about a directory on which a daemon runs.
pub(crate) fn locked_hint(dir: &Path) -> String {
    format!(
        "talk to that daemon with `chordage status --data-dir {}`, or give this one another --data-dir",
        shell_word(dir)
    )
}

/// What to do about a directory that a newer program wrote.
pub(crate) const NEWER: &str =
    "run the version of chordage that wrote it, or a newer one, or take another --data-dir";
/// What to do where the system refuses.
pub(crate) const CANNOT_WRITE: &str = "check its permissions and the free space, or take another --data-dir";

/// What to do about a damaged file of the data directory, and what starting without it would cost.
fn damaged_hint(path: &Path) -> &'static str {
    match path.file_name().and_then(|name| name.to_str()) {
        Some("key") => {
            "restore this file from a copy. If there is none, move it away: the next start makes a new key, and the \
             daemon is a new one to all others. It still has its shards, but the claims of the old one end with their leases"
        }
        Some("secret") => {
            "restore this file from a copy. If there is none, move it away: the next start makes a new secret. All \
             links still read, but what is put from then on shares nothing with what was put before"
        }
        _ => "restore this file from a copy, or take another --data-dir",
    }
}
