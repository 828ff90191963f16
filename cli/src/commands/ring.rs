//! `chordage ring`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::charset::Charset;
use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::name::quoted;
use crate::printer::Printer;
use crate::ring::{RingView, svg, text};
use crate::width;

/// Draw the ring as the daemon sees it
///
/// The daemon is at the top of the circle of ids, its leaf set outside, its fingers inside, those of
/// them that are super-peers marked. The table has a line for every scale
/// of distance: one mark for each finger, up to three rows on either side, and the median of their round trips.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage ring
  chordage ring --svg ring.svg                  a picture for a browser; replaces ring.svg
  chordage ring --svg - | rsvg-convert -o ring.png
  chordage ring --json | jq '.rows[] | {direction, level, digit, fingers: (.fingers | length)}'")]
pub(crate) struct RingArgs {
    /// Write an SVG picture to this file, or with - to standard output, instead of drawing with characters
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(
    args: RingArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let to_stdout = args.svg.as_deref() == Some(Path::new("-"));
    if to_stdout && printer.is_json() {
        return Err(CliError::new(
            ExitStatus::Usage,
            "usage",
            "standard output cannot be a picture and JSON at once",
        )
        .state("nothing was asked of the daemon")
        .hint("give --svg a file"));
    }
    let client = connect::client(global)?;
    let (status, peers) = (client.status().await?, client.peers().await?);
    let view = RingView::new(status, &peers, &client.super_peers().await?);
    match &args.svg {
        Some(_) if to_stdout => printer.raw(svg(&view).as_bytes())?,
        Some(path) => {
            std::fs::write(path, svg(&view)).map_err(|error| CliError::file("write", path, &error))?;
            printer.tell(format_args!("wrote {}", quoted(path)));
        }
        None => {}
    }
    if printer.is_json() {
        printer.json(&view)?;
    } else if args.svg.is_none() {
        let lines = text(&view, Charset::of_locale(), width::columns(io::stdout()));
        printer.raw(format!("{}\n", lines.join("\n")).as_bytes())?;
    }
    Ok(ExitStatus::Success)
}
