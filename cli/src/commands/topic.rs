//! `chordage topic`.

use std::io::Read;

use chordage_api::types::{MESSAGE_BYTES_MAX, TopicMessage};
use clap::{Args, Subcommand};

use super::service::shutting_down;
use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::input::Stdin;
use crate::interrupt::until_interrupted;
use crate::name::shown;
use crate::printer::Printer;

/// Send small messages to whoever listens
///
/// A message of at most 4 KiB goes to the nine nodes nearest to the topic, which keep the last 64 (32 of one publisher)
/// for an hour at most and pass new ones on to all who subscribe. Topics are open: anybody in the network may publish
/// to any topic and listen to it. Each message carries the node that published it and its number. A topic has 1 to 200
/// of the characters a-z 0-9 - _ . /
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage topic publish team/news \"the build is done\"
  make 2>&1 | tail -1 | chordage topic publish team/news
  chordage topic subscribe team/news                 a line for each message
  chordage topic subscribe team/news --last 10       the last ten of those that are kept, and then new ones
  chordage topic subscribe team/news --json | jq -r 'select(.text) | .text'")]
pub(crate) struct TopicArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Send a message to whoever listens to a topic
    Publish(PublishArgs),
    /// Print every message of a topic from now on, until interrupted
    Subscribe(SubscribeArgs),
}

#[derive(Debug, Args)]
struct PublishArgs {
    /// The topic; anybody may listen to it
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// The message, at most 4 KiB; with - or without it, what stands on standard input
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    text: Option<String>,
}

#[derive(Debug, Args)]
struct SubscribeArgs {
    /// The topic; anybody may publish to it
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Print the last N messages that are kept first
    #[arg(long, value_name = "N", default_value_t = 0)]
    last: u16,
    /// End after so many lines
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Runs the command.
pub(crate) async fn run(
    args: TopicArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    match args.action {
        Action::Publish(args) => publish(args, global, printer).await,
        Action::Subscribe(args) => until_interrupted(subscribe(&args, global, printer)).await,
    }
}

async fn publish(args: PublishArgs, global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let message = match args.text {
        Some(text) if text != "-" => text.into_bytes(),
        _ => on_stdin()?,
    };
    let report = connect::client(global)?.publish_message(&args.topic, message).await?;
    if printer.is_json() {
        printer.json(&report)?;
    } else {
        printer.line(format!("{} {}", report.topic, report.seq))?;
        let took = human::seconds(report.seconds);
        printer.tell(format!("kept by {} of {} in {took}", report.stored, report.of));
    }
    Ok(ExitStatus::Success)
}

/// The message, from standard input: one byte more than may be, so that the daemon says what is wrong with it.
fn on_stdin() -> Result<Vec<u8>, CliError> {
    let mut message = Vec::new();
    Stdin::open()?.take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut message).map_err(|error| {
        let message = format!("cannot read the message on standard input: {error}");
        CliError::new(ExitStatus::LocalFile, "input", message).state("nothing was published")
    })?;
    Ok(message)
}

async fn subscribe(
    args: &SubscribeArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let mut subscription = connect::client(global)?.subscribe_topic(&args.topic, args.last).await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(message) = subscription.next().await? else { return Err(shutting_down()) };
        if printer.is_json() {
            printer.json(&message)?;
        } else {
            printer.line(line(&message))?;
        }
        left -= 1;
    }
    Ok(ExitStatus::Success)
}

/// A message on one line. Whoever wrote it must not play with the terminal; a line break at its end is not worth
/// showing.
fn line(message: &TopicMessage) -> String {
    let bytes = message.bytes().unwrap_or_default();
    shown(bytes.strip_suffix(b"\n").unwrap_or(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_says() {
        let said = |bytes: &[u8]| line(&TopicMessage::new("t", [7; 32].into(), 1, bytes.to_vec()));
        assert_eq!(said(b"hello\n"), "hello");
        assert_eq!(said(b"two\nlines"), r"two\nlines");
        assert_eq!(said(b"\x1b[2J\xff"), r"\u{1b}[2J\xFF");
        assert_eq!(said(b""), "");
    }
}
