//! `chordage cat`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use chordage_api::range::ByteRange;
use clap::Args;
use tokio::io::AsyncWriteExt;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::interrupt::Interrupt;
use crate::link;
use crate::printer::{Printer, output_error};

/// Write a file to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
Bytes are checked before they are written. When something fails in the middle, what was written is a correct prefix and the \
exit code says that it is not the whole.

Examples:
  chordage cat chord1r... > copy
  chordage cat chord1r... --range 0-99          the first hundred bytes
  chordage cat chord1r... --range 1000-         from byte 1000 on
  chordage cat chord1r... --range=-10           the last ten bytes
  chordage cat chord1r... --path docs/a.txt     a file of a directory")]
pub(crate) struct CatArgs {
    /// The link, or - to read it from standard input
    #[arg(value_name = "LINK")]
    link: String,
    /// File inside a directory link
    #[arg(long, value_name = "PATH")]
    path: Option<OsString>,
    /// Bytes to write: A-B with both included, as in HTTP, A- or -N
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    range: Option<ByteRange>,
}

/// Runs the command.
pub(crate) async fn run(
    args: CatArgs,
    global: &GlobalArgs,
    _printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let mut interrupt = Interrupt::listen()?;
    let link = link::parse_read(&link::argument(&args.link)?)?;
    let client = connect::client(global)?;
    let path = args.path.as_ref().map(|path| path.as_bytes());
    let writing = async {
        let mut download = client.content(&link.to_string(), path, args.range).await?;
        // Not through the printer: a reader that pauses must not keep us from hearing Ctrl-C.
        let mut out = tokio::io::stdout();
        while let Some(bytes) = download.chunk().await? {
            out.write_all(&bytes).await.map_err(|error| output_error(&error))?;
        }
        out.flush().await.map_err(|error| output_error(&error))?;
        Ok(ExitStatus::Success)
    };
    tokio::select! {
        outcome = writing => outcome,
        () = interrupt.wait() => {
            Err(CliError::interrupted("what was written until now is a correct prefix of the file"))
        }
    }
}
