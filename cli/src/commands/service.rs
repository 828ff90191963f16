//! `chordage service`.

use chordage_api::client::Client;
use chordage_api::service::{Attrs, read_attrs};
use chordage_api::types::{
    OwnService, PublishState, ServiceChange, ServiceInfo, ServiceReport, ServiceRequest, WithdrawRequest,
};
use clap::{Args, Subcommand};

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::interrupt::until_interrupted;
use crate::name::shown;
use crate::printer::Printer;

/// Say where a live service listens, and find those of others
///
/// A daemon that registers a service keeps it alive, also when it is started again: those who look for the name find
/// the address while the daemon runs, and do not find it any more at once when it is stopped, or within 20 seconds when
/// it dies. Names of services are open: anybody in the network may register under any name, so check whom you talk to.
/// A name has 1 to 200 of the characters a-z 0-9 - _ . /
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage service register team/db --addr 10.0.0.5:5432 --attr role=primary
  chordage service find team/db                      who offers it now, one line each, the address first
  chordage service find team/db --near               the nearest first
  chordage service find team/db --attr role=primary --json | jq -r '.[0].addr'
  chordage service watch team/db                     a line for everything that happens to it
  chordage service list                              what this daemon registers
  chordage service withdraw team/db")]
pub(crate) struct ServiceArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Register a service, until it is withdrawn; the daemon keeps it alive
    Register(RegisterArgs),
    /// List who offers a service now
    Find(FindArgs),
    /// Print everything that happens to a service, beginning with those who offer it now, until interrupted
    Watch(WatchArgs),
    /// Register a service no longer
    Withdraw(WithdrawArgs),
    /// List what this daemon registers
    List,
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// The service; anybody may register under the same name
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it listens: an IPv4 address, an IPv6 address in brackets or a name in DNS, and a port. Nobody checks that
    /// it does
    #[arg(long, value_name = "HOST:PORT")]
    addr: String,
    /// What it is like, for those who look for it; may be given up to 16 times. Registering a service again replaces
    /// them all
    #[arg(long = "attr", value_name = "KEY=VALUE")]
    attrs: Vec<String>,
}

#[derive(Debug, Args)]
struct FindArgs {
    /// The service
    #[arg(value_name = "NAME")]
    name: String,
    /// Only those with this attribute; may be given several times
    #[arg(long = "attr", value_name = "KEY=VALUE")]
    attrs: Vec<String>,
    /// The nearest first, by round trip from this daemon to the one that registers it
    #[arg(long)]
    near: bool,
}

#[derive(Debug, Args)]
struct WatchArgs {
    /// The service
    #[arg(value_name = "NAME")]
    name: String,
    /// End after so many lines
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Debug, Args)]
struct WithdrawArgs {
    /// The service
    #[arg(value_name = "NAME")]
    name: String,
    /// Only what is registered with this address; otherwise all that this daemon registers under the name
    #[arg(long, value_name = "HOST:PORT")]
    addr: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(
    args: ServiceArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    match args.action {
        Action::Register(args) => register(args, global, printer).await,
        Action::Find(args) => find(args, global, printer).await,
        Action::Watch(args) => until_interrupted(watch(&connect::client(global)?, &args, printer)).await,
        Action::Withdraw(args) => withdraw(&connect::client(global)?, args, printer).await,
        Action::List => list(&connect::client(global)?, printer).await,
    }
}

fn attrs(texts: &[String]) -> Result<Attrs, CliError> {
    read_attrs(texts.iter().map(String::as_str)).map_err(|error| {
        CliError::new(ExitStatus::Usage, "bad_request", error)
            .state("nothing was asked of the network")
            .hint("give attributes as --attr KEY=VALUE, each key once")
    })
}

async fn register(
    args: RegisterArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let request = ServiceRequest { name: args.name, addr: args.addr, attrs: attrs(&args.attrs)? };
    let report: ServiceReport = connect::client(global)?.register_service(&request).await?;
    if printer.is_json() {
        printer.json(&report)?;
    } else {
        printer.line(format!("{} at {}", report.name, report.addr))?;
        let took = human::seconds(report.seconds);
        printer.tell(format!(
            "known to {} of {} in {took}; this daemon keeps it alive",
            report.stored, report.of
        ));
    }
    if report.state == PublishState::Stored {
        return Ok(ExitStatus::Success);
    }
    printer.warn(format!(
        "only {} of the {} nodes that are to know it have taken it, so that not everybody finds it yet: the daemon goes on \
         announcing it; see with `chordage service list` how far it is",
        report.stored, report.of
    ));
    Ok(ExitStatus::NotDurable)
}

async fn find(args: FindArgs, global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let attrs = attrs(&args.attrs)?;
    let found = connect::client(global)?.find_service(&args.name, &attrs, args.near).await?;
    if printer.is_json() {
        printer.json(&found)?;
        return Ok(ExitStatus::Success);
    }
    let widest = found.iter().map(|service| service.addr.len()).max().unwrap_or(0);
    for service in &found {
        printer.line(format!("{:widest$}  {}", service.addr, about(service)))?;
    }
    printer.tell(human::count(found.len() as u64, "provider", "providers"));
    Ok(ExitStatus::Success)
}

/// What is known of a service beside its address.
fn about(service: &ServiceInfo) -> String {
    let rtt = service.rtt_ms.map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms"));
    let mut text = format!(
        "{:7}  heard {} ago  {rtt}  node {}",
        service.state,
        human::seconds(service.age_seconds),
        human::short(service.provider)
    );
    for pair in written(&service.attrs) {
        text.push_str("  ");
        text.push_str(&pair);
    }
    text
}

/// Attributes that others chose, with nothing in them that could mislead an eye.
fn written(attrs: &Attrs) -> impl Iterator<Item = String> {
    attrs.iter().map(|(key, value)| format!("{key}={}", shown(value.as_bytes())))
}

async fn watch(client: &Client, args: &WatchArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let mut watch = client.watch_service(&args.name).await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(change) = watch.next().await? else { return Err(shutting_down()) };
        if printer.is_json() {
            printer.json(&change)?;
        } else {
            let ServiceChange { change, service } = &change;
            let attrs: Vec<String> = written(&service.attrs).collect();
            let line = format!(
                "{change:7}  {}  node {}  {}",
                service.addr,
                human::short(service.provider),
                attrs.join("  ")
            );
            printer.line(line.trim_end())?;
        }
        left -= 1;
    }
    Ok(ExitStatus::Success)
}

/// The daemon ended while it was listened to.
pub(super) fn shutting_down() -> CliError {
    CliError::new(ExitStatus::NoDaemon, "shutting_down", "the daemon is shutting down")
        .hint("start it again, or name another with --api")
}

async fn withdraw(client: &Client, args: WithdrawArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let request = WithdrawRequest { name: args.name, addr: args.addr };
    let withdrawn = client.withdraw_service(&request).await?;
    if printer.is_json() {
        printer.json(&withdrawn)?;
        return Ok(ExitStatus::Success);
    }
    for service in &withdrawn {
        printer.line(format!("{} at {}", service.name, service.addr))?;
        printer
            .tell(format!("not registered any more; {} of {} know it already", service.stored, service.of));
    }
    Ok(ExitStatus::Success)
}

async fn list(client: &Client, printer: &Printer) -> Result<ExitStatus, CliError> {
    let own = client.services().await?;
    if printer.is_json() {
        printer.json(&own)?;
        return Ok(ExitStatus::Success);
    }
    let widest = own.iter().map(|service| service.name.len()).max().unwrap_or(0);
    for OwnService { name, addr, attrs, stored, of, .. } in &own {
        let known = match (stored, of) {
            (Some(stored), Some(of)) => format!("known to {stored} of {of}"),
            _ => "not announced yet".to_owned(),
        };
        let attrs: Vec<String> = written(attrs).collect();
        let line = format!("{name:widest$}  {addr}  {known}  {}", attrs.join("  "));
        printer.line(line.trim_end())?;
    }
    printer.tell(human::count(own.len() as u64, "service", "services"));
    Ok(ExitStatus::Success)
}
