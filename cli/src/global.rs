//! Flags that every command takes.

use std::path::PathBuf;

use clap::Args;

/// Flags that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct GlobalArgs {
    /// Daemon to talk to: unix:/path, http://127.0.0.1:PORT, a socket or a data directory
    ///
    /// By default what CHORDAGE_API says, or else the daemon of the data directory.
    #[arg(long, global = true, value_name = "ADDR")]
    pub(crate) api: Option<String>,
    /// File with the bearer token of an http:// address; or set CHORDAGE_API_TOKEN
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub(crate) api_token_file: Option<PathBuf>,
    /// Data directory of the daemon
    ///
    /// By default what CHORDAGE_DATA_DIR says, or else $XDG_DATA_HOME/chordage, or ~/.local/share/chordage.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print results as JSON on standard output, and errors as one JSON object on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}
