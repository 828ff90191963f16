//! Which daemon a command talks to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chordage_api::client::Client;
use chordage_api::endpoint::{EndpointError, Located, read_short};

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;

/// Variable with the address of the daemon to talk to.
const API_VARIABLE: &str = "CHORDAGE_API";
/// Variable with the data directory.
const DATA_DIR_VARIABLE: &str = "CHORDAGE_DATA_DIR";
/// Variable with the bearer token of a TCP endpoint.
const TOKEN_VARIABLE: &str = "CHORDAGE_API_TOKEN";

/// The client that the flags and variables ask for; by default the daemon of the default data directory. A flag beats
/// every variable, so that `--data-dir` means what it says in a shell that has CHORDAGE_API set.
pub(crate) fn client(args: &GlobalArgs) -> Result<Client, CliError> {
    let located = match (&args.api, &args.data_dir, variable(API_VARIABLE)) {
        (Some(api), ..) => Located::find(api)?,
        (None, Some(dir), _) => Located::in_data_dir(dir)?,
        (None, None, Some(api)) => Located::find(&api.to_string_lossy())?,
        (None, None, None) => Located::in_data_dir(&data_dir(None)?)?,
    };
    let client = Client::from(located);
    if let Some(path) = &args.api_token_file {
        let token = read_short(path).map_err(|error| match error {
            EndpointError::Unreadable { source, .. } => {
                CliError::file("read the token in", path, &source).state("nothing was asked of the network")
            }
            other => other.into(),
        })?;
        return Ok(client.with_token(token));
    }
    match variable(TOKEN_VARIABLE) {
        Some(token) => Ok(client.with_token(token.to_string_lossy())),
        None => Ok(client),
    }
}

/// An environment variable; an empty one counts as none.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The data directory: as given, or what the variable says, or `$XDG_DATA_HOME/chordage`, or `~/.local/share/chordage`.
pub(crate) fn data_dir(given: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(dir) = given.map(PathBuf::from).or_else(|| variable(DATA_DIR_VARIABLE).map(PathBuf::from)) {
        return Ok(dir);
    }
    // The XDG base directory specification: a relative path there is to be ignored.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    match base {
        Some(base) => Ok(base.join("chordage")),
        None => Err(CliError::new(
            ExitStatus::Usage,
            "no_data_dir",
            "there is no default data directory, because neither XDG_DATA_HOME nor HOME is an absolute path",
        )
        .hint("name one with --data-dir DIR")),
    }
}
