//! Data directories of daemons, of which nothing is stored: with the keys in them, whoever has the link could be the
//! daemon, and what they hold is in the network already.

use std::fs;
use std::path::Path;

use chordage_node::DataDir;

use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;
use crate::name::quoted;

/// What is said of one that is left out.
pub(crate) const LEFT_OUT: &str = "the data directory of a daemon";

/// Whether a directory is one, of whatever daemon.
pub(crate) fn is_data_dir(path: &Path) -> bool {
    DataDir::is_at(path)
}

/// Refuses to store one, or what is in one.
pub(crate) fn refuse(path: &Path) -> Result<(), CliError> {
    // Also through a symlink. Whatever has no such path is refused for that.
    let Ok(real) = fs::canonicalize(path) else { return Ok(()) };
    let Some(data) = real.ancestors().find(|above| is_data_dir(above)) else { return Ok(()) };
    let is = if data == real { "is" } else { "is inside of" };
    Err(CliError::new(
        ExitStatus::LocalFile,
        "data_dir",
        format!("{} {is} the data directory of a daemon, which is not stored: it has the daemon's keys", quoted(path)),
    )
    .state("nothing was stored")
    .hint(format!(
        "put something else; to keep a copy of a data directory, stop its daemon and copy {} to a disk of yours",
        shell_word(data)
    )))
}
