//! `chordage forget`.

use std::time::Duration;

use chordage_api::client::{Client, ClientError};
use chordage_api::types::KeepState;
use clap::Args;
use tokio::time::{Instant, sleep};

use super::put::human_names;
use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::link;
use crate::printer::Printer;

/// How often the daemon is asked whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After so long it is said that it is not. The daemon goes on.
const PATIENCE: Duration = Duration::from_secs(300);

/// Stop keeping an object, so that its space is freed
///
/// The daemon tells the holders that it does not need the object any more, as far as nothing else that it keeps has the
/// same content. They free what nobody else keeps, and then the object cannot be read any more, by anybody. There is no
/// way back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage forget chord1r...
  chordage keeps --json | jq -r '.[].verify_link'      what there is to forget")]
pub(crate) struct ForgetArgs {
    /// The read or verify link, or - to read it from standard input
    #[arg(value_name = "LINK")]
    link: String,
}

/// Runs the command.
pub(crate) async fn run(
    args: ForgetArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let link = link::parse(&link::argument(&args.link)?)?.to_verify().to_string();
    let client = connect::client(global)?;
    let forgotten = client.forget(&link).await?;
    let begun = Instant::now();
    while is_there(&client, &link).await? {
        if begun.elapsed() > PATIENCE {
            return Err(CliError::new(
                ExitStatus::Deadline,
                "timed_out",
                "not all holders have been told yet",
            )
            .state("the object is not kept any more; the daemon goes on telling its holders")
            .hint("`chordage keeps` lists it as long as that takes"));
        }
        sleep(LOOK_EVERY).await;
    }
    if printer.is_json() {
        printer.json(&forgotten)?;
    } else {
        printer.line(format!(
            "forgotten: {}{}; its holders free what nobody else keeps",
            human::bytes(forgotten.bytes),
            if forgotten.names.is_empty() {
                String::new()
            } else {
                format!(", put as {}", human_names(&forgotten.names))
            }
        ))?;
    }
    Ok(ExitStatus::Success)
}

/// Whether the daemon is not done with the object.
async fn is_there(client: &Client, link: &str) -> Result<bool, ClientError> {
    let mut after: Option<String> = None;
    loop {
        let page = client.keeps(after.as_deref()).await?;
        if let Some(kept) = page.iter().find(|kept| kept.verify_link == link) {
            return Ok(kept.state == KeepState::Forgetting);
        }
        let Some(last) = page.last() else { return Ok(false) };
        after = Some(last.verify_link.clone());
    }
}
