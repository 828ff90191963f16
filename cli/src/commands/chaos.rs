//! `chordage testnet chaos`.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chordage_testnet::chaos::{self, ChaosPlan, ChaosReport, Fault, IMPATIENT, seclusion};
use chordage_testnet::{Plan, Testnet};
use clap::{Args, ValueEnum};

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::printer::Printer;

/// How long the network may take until every daemon has found its neighbours.
const SETTLE_WAIT: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 0: nothing that was acknowledged was lost or altered, every operation ended in time with a success or an error that says why, and \
when everything was forgotten nothing was stored any more. 1: something was; the report says what, and the network stays in --dir to be looked at.

Examples:
  chordage testnet chaos --seed 3 --minutes 5
  chordage testnet chaos --nodes 24 --redundancy 4/10 --hits 4 --faults kill,corrupt --json")]
pub(crate) struct ChaosArgs {
    /// Decides which faults hit whom, and what is put and read; the same seed gives the same storms
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// No storm begins after so many minutes
    #[arg(long, value_name = "M", default_value_t = 1.0)]
    minutes: f64,
    /// What happens to daemons [default: everything that this system allows]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    faults: Vec<FaultName>,
    /// How many daemons
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(2..=200))]
    nodes: u16,
    /// Redundancy of what is put
    #[arg(long, value_name = "K/N", default_value = "3/8")]
    redundancy: String,
    /// Daemons hit in one storm at most; more than the write quorum less K can lose what was acknowledged, rightly
    #[arg(long, value_name = "N", default_value_t = 3)]
    hits: usize,
    /// Clients that put and get at the same time
    #[arg(long, value_name = "N", default_value_t = 2)]
    clients: usize,
    /// Directory for the network [default: a temporary one, removed unless something was wrong]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Says that this process runs in a network and a view of the file systems of its own
    #[arg(long, hide = true)]
    secluded: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FaultName {
    /// SIGKILL
    Kill,
    /// SIGSTOP
    Stop,
    /// Flipped bytes on disk
    Corrupt,
    /// SIGKILL to everybody at once, and all are started again
    Blackout,
    /// A book (what is kept, claimed, held, looked after, known) removed, cut short or flipped
    Books,
    /// A clock that is off by up to five years
    Clock,
    /// A copy of its data directory, run beside it for some seconds
    Twin,
    /// Handing on what it holds, and leaving for good
    Drain,
    /// A segment cut short while it runs
    Cut,
    /// Answers that come late: it stands still for most of the time
    Slow,
    /// A full disk
    Fill,
    /// No packet to it or from it
    Isolate,
    /// No packet to it, while what it says is heard
    OneWay,
    /// One in ten of its packets lost
    Loss,
    /// Its large packets lost
    Narrow,
    /// Its TCP lost
    NoTcp,
    /// Its QUIC lost
    NoQuic,
}

/// Runs the command. The network ends with it.
pub(crate) async fn run(
    args: ChaosArgs,
    program: PathBuf,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let faults = match choose(&args) {
        Ok(Choice::Here(faults)) => faults,
        Ok(Choice::Secluded) => return Err(seclude(&program)),
        Err(error) => return Err(error),
    };
    if args.secluded {
        let unable = |problem| CliError::new(ExitStatus::Internal, "no_seclusion", problem);
        seclusion::prepare().map_err(unable)?;
    } else if args.faults.is_empty() {
        printer.tell("without full disks and lost packets, which this system does not let its users have");
    }
    let place = |path: &std::path::Path, error: &std::io::Error| CliError::file("create", path, error);
    let temporary = tempfile::Builder::new().prefix("chordage-chaos-").tempdir();
    let temporary = temporary.map_err(|error| place(&std::env::temp_dir(), &error))?;
    let base = args.dir.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    std::fs::create_dir_all(&base).map_err(|error| place(&base, &error))?;
    let settings = base.join("settings.toml");
    std::fs::write(&settings, IMPATIENT).map_err(|error| place(&settings, &error))?;
    let mut plan = Plan::new(&program, base.join("net"), args.nodes.into());
    plan.daemon_args = vec!["--config".into(), settings.display().to_string()];
    printer.tell(format!(
        "seed {}: starting {}",
        args.seed,
        human::count(args.nodes.into(), "daemon", "daemons")
    ));
    let net = Testnet::start(plan).await?;
    let settled = net.wait_settled(SETTLE_WAIT).await;
    settled.map_err(|error| CliError::new(ExitStatus::Deadline, "not_settled", error))?;
    let chaos = ChaosPlan {
        seed: args.seed,
        duration: Duration::from_secs_f64((args.minutes * 60.0).clamp(0.0, 1e6)),
        faults,
        redundancy: args.redundancy.clone(),
        hits_max: args.hits.min(usize::from(args.nodes) - 1),
        clients: args.clients.clamp(1, 64),
        settings,
        object_bytes_max: 3 << 20,
        secluded: args.secluded,
    };
    let outcome = chaos::run(net, &program, chaos).await;
    let again = format!("chordage testnet chaos --seed {} (with the same flags)", args.seed);
    let kept = |error: CliError| error.state(format!("what is left is in {}", base.display())).hint(&again);
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            keep(temporary, args.dir.is_none());
            return Err(kept(CliError::new(ExitStatus::Internal, "chaos", error)));
        }
    };
    if printer.is_json() {
        printer.json(&report)?;
    } else {
        for line in describe(&report) {
            printer.line(line)?;
        }
    }
    if report.is_good() {
        return Ok(ExitStatus::Success);
    }
    keep(temporary, args.dir.is_none());
    Err(kept(CliError::new(ExitStatus::Internal, "chaos", "not everything was as it has to be")))
}

/// Which faults to let loose, and where.
enum Choice {
    Here(Vec<Fault>),
    /// By this command again, in a seclusion.
    Secluded,
}

fn choose(args: &ChaosArgs) -> Result<Choice, CliError> {
    let named = args.faults.iter().map(|fault| Fault::from(*fault));
    let all = FaultName::value_variants().iter().map(|fault| Fault::from(*fault));
    let faults: Vec<Fault> = if args.faults.is_empty() { all.collect() } else { named.collect() };
    if args.secluded || !faults.iter().any(|fault| fault.needs_seclusion()) {
        return Ok(Choice::Here(faults));
    }
    match seclusion::available() {
        Ok(()) => Ok(Choice::Secluded),
        Err(_) if args.faults.is_empty() => {
            Ok(Choice::Here(faults.into_iter().filter(|fault| !fault.needs_seclusion()).collect()))
        }
        Err(problem) => Err(CliError::new(
            ExitStatus::Usage,
            "no_seclusion",
            format!("some of these faults need a network and file systems of one's own: {problem}"),
        )
        .state("nothing was started")
        .hint("install util-linux, iproute2 and nftables, allow user namespaces, or name other --faults")),
    }
}

/// Becomes this command in a seclusion; returns why that failed.
fn seclude(program: &Path) -> CliError {
    let mut command = seclusion::unshare();
    command.arg(program).args(std::env::args_os().skip(1)).arg("--secluded");
    CliError::new(ExitStatus::Internal, "no_seclusion", command.exec())
}

fn keep(temporary: tempfile::TempDir, used: bool) {
    if used {
        let _path = temporary.keep();
    }
}

impl From<FaultName> for Fault {
    fn from(name: FaultName) -> Fault {
        match name {
            FaultName::Kill => Fault::Kill,
            FaultName::Stop => Fault::Stop,
            FaultName::Corrupt => Fault::Corrupt,
            FaultName::Blackout => Fault::Blackout,
            FaultName::Books => Fault::Books,
            FaultName::Clock => Fault::Clock,
            FaultName::Twin => Fault::Twin,
            FaultName::Drain => Fault::Drain,
            FaultName::Cut => Fault::Cut,
            FaultName::Slow => Fault::Slow,
            FaultName::Fill => Fault::Fill,
            FaultName::Isolate => Fault::Isolate,
            FaultName::OneWay => Fault::OneWay,
            FaultName::Loss => Fault::Loss,
            FaultName::Narrow => Fault::Narrow,
            FaultName::NoTcp => Fault::NoTcp,
            FaultName::NoQuic => Fault::NoQuic,
        }
    }
}

fn describe(report: &ChaosReport) -> Vec<String> {
    let faults: Vec<String> =
        report.faults.iter().map(|(fault, count)| format!("{count} {fault:?}").to_lowercase()).collect();
    let refused: Vec<String> = report.refused.iter().map(|(code, count)| format!("{count} {code}")).collect();
    let mut lines = vec![
        format!(
            "storms     {} in {}: {}; {} lost, {} replaced by new ones",
            report.storms,
            human::seconds(report.seconds),
            faults.join(", "),
            human::count(report.lost_packets, "packet", "packets"),
            human::count(report.replaced, "daemon", "daemons")
        ),
        format!(
            "healed     every object whole at most {} after a storm",
            human::seconds(report.heal_seconds_max)
        ),
        format!(
            "clients    {} acknowledged ({}), {} of them forgotten; {} brought every byte; the slowest took {}",
            human::count(report.objects, "object", "objects"),
            human::bytes(report.object_bytes),
            report.forgotten,
            human::count(report.gets, "get", "gets"),
            human::seconds(report.operation_seconds_max)
        ),
        format!(
            "wrong      {} altered, {} lost, {} late, {} without a reason; {} at the end",
            report.altered,
            report.lost,
            report.late,
            report.unexplained,
            if report.left == 0 { "nothing is stored" } else { "SOMETHING IS STORED THAT NOBODY KEEPS" }
        ),
    ];
    if !refused.is_empty() {
        lines.insert(3, format!("refused    with a reason: {}", refused.join(", ")));
    }
    lines.extend(report.findings.iter().map(|finding| format!("           {finding}")));
    lines
}
