//! `chordage status`.

use chordage_node::api::types::Status;
use clap::Args;

use crate::args::GlobalArgs;
use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::printer::Printer;

/// Say how the daemon is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage status
  chordage status --json | jq -r '.listen[]'     what others give to --bootstrap")]
pub(crate) struct StatusArgs {}

/// Runs the command.
pub(crate) async fn run(
    _args: StatusArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let status = connect::client(global)?.status().await?;
    if printer.is_json() {
        printer.json(&status)?;
    } else {
        printer.line(describe(&status))?;
    }
    Ok(ExitStatus::Success)
}

fn describe(status: &Status) -> String {
    let about = if status.network_nodes_exact { "" } else { "about " };
    let mut lines = vec![
        format!("state      {}, for {}", status.state, human::seconds(status.uptime_seconds)),
        format!("id         {}", status.id),
        format!(
            "network    {about}{}, metric {}; a put gets {} unless told otherwise",
            human::count(status.network_nodes, "node", "nodes"),
            status.metric,
            status.default_redundancy
        ),
        format!(
            "peers      {} connected, {} in the leaf set, {} fingers",
            status.connections, status.leaf_set, status.fingers
        ),
        format!(
            "holds      {} of {}, in {}",
            human::bytes(status.stored_bytes),
            human::bytes(status.quota_bytes),
            human::count(status.shards, "shard", "shards")
        ),
        format!(
            "process    {} (version {}), {} memory, {} at most, {} CPU",
            status.pid,
            status.version,
            human::bytes(status.rss_bytes),
            human::bytes(status.rss_peak_bytes),
            human::seconds(status.cpu_seconds)
        ),
    ];
    if let Some(problem) = &status.join_problem {
        lines.insert(1, format!("problem    {problem}"));
    }
    if status.damaged_shards > 0 {
        lines.push(format!(
            "damaged    {} found on this disk since it started; others cover for them",
            human::count(status.damaged_shards, "shard", "shards")
        ));
    }
    lines.extend(status.listen.iter().map(|address| format!("listens    {address}")));
    lines.join("\n")
}
