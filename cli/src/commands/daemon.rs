//! `chordage daemon`.

mod flags;
mod gateways;
pub(crate) mod log;
mod ready;
mod reload;

use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chordage_api::OpenError;
use chordage_api::types::Status;
use chordage_node::access::AccessError;
use chordage_node::descriptors;
use chordage_node::lines::Lines;
use chordage_node::server::ServeError;
use chordage_node::{Config, Daemon, DnsError, Fault, ListenError, Role, StartError};
use clap::Args;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use self::log::Log;
use self::ready::{ready, standing};
use self::reload::Settings;
use crate::connect::data_dir;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human::parse_bytes;
use crate::interrupt::Interrupt;
use crate::manager::Manager;
use crate::printer::Printer;
use crate::{datadir, settings, threads};

/// How long the end waits for whoever reads what is said.
const LAST_LINES: Duration = Duration::from_secs(2);

/// How long the line that says the daemon is ready waits for it to join, so that it can say so.
const READY_PATIENCE: Duration = Duration::from_secs(1);

/// Stands below the flags in short.
const EXAMPLES: &str = "\
Examples:
  chordage daemon                               the first of a network
  chordage daemon --listen /ip4/0.0.0.0/tcp/4700         reachable for others
  chordage daemon --bootstrap /ip4/192.0.2.7/tcp/4700    join through another
  chordage daemon --lan                         find others on the LAN

`chordage daemon --help` has more flags, all settings and more examples.";

/// Stands below the flags.
const ENDING_AND_EXAMPLES: &str = "\
Ctrl-C, SIGTERM, or the end of its terminal (SIGHUP; not under nohup) makes it leave the network in good order; a second one ends it at once. Killing it loses nothing that it \
acknowledged. Without a terminal, or under nohup, SIGHUP has it read its settings again: it takes over quota_bytes and log, and says what needs a restart.

Examples:
  chordage daemon                                      the first of a network, on this machine
  chordage daemon --listen /ip4/0.0.0.0/tcp/4700       reachable for others
  chordage daemon --bootstrap /ip4/192.0.2.7/tcp/4700  join through another
  chordage daemon --lan                                find others on the LAN, and be found
  chordage daemon --role client --bootstrap ADDRESS    stores and fetches, holds nothing, whether others reach it or not
  chordage daemon --dns 127.0.0.1:5354                 dig @127.0.0.1 -p 5354 notes.team.chord.alt TXT
  chordage daemon --restic 127.0.0.1:8017              restic -r rest:http://127.0.0.1:8017/ init
  chordage daemon --gateway 127.0.0.1:8020             http://127.0.0.1:8020/LINK in a browser
  chordage daemon --webdav 127.0.0.1:8019              rclone copy DIR :webdav: --webdav-url http://127.0.0.1:8019/
  chordage daemon --zone attic                         fails together with all others in the zone `attic`
  chordage daemon --data-dir /tmp/second --bootstrap ADDRESS_FROM_STATUS
  CHORDAGE_LOG=debug chordage daemon";

/// Run a daemon
///
/// Holds shards for the network, and serves the commands of this machine's user through a Unix socket in its data
/// directory. Everything here can stand in config.toml in the data directory too, with more that --help lists; flags
/// win.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = EXAMPLES,
    after_long_help = format!("{ENDING_AND_EXAMPLES}\n\n{}", settings::listed())
)]
pub(crate) struct DaemonArgs {
    /// Address to listen on; may be given again
    ///
    /// By default loopback, or with --lan all interfaces; TCP and QUIC, ports kept over restarts.
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
    /// Address to announce instead of those listened on
    ///
    /// For a daemon behind a forwarded port, for example.
    #[arg(long, value_name = "MULTIADDR", hide_short_help = true)]
    announce: Vec<String>,
    /// Daemon to join through; may be given again
    ///
    /// An address such as /ip4/192.0.2.7/tcp/4700 or a name such as /dns4/home.example/tcp/4700, with or without
    /// /p2p/ID.
    #[arg(long, value_name = "MULTIADDR")]
    bootstrap: Vec<String>,
    /// Find daemons on the LAN, and be found
    ///
    /// Without an address, by multicast DNS: it joins those of the same network whenever there are some. Everybody on
    /// the LAN then sees this daemon's peer id and ports, and without --listen it listens on all interfaces.
    #[arg(long)]
    lan: bool,
    /// member, client or auto [default: auto]
    ///
    /// What it is to others: client for one that they cannot reach (behind NAT) and that stores and fetches but holds
    /// nothing, auto for whichever of these fits, after others were asked whether they get through.
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// What it fails together with, such as a house
    ///
    /// A short name of a house, a rack or a provider, the same for all daemons there. The shards of a chunk are spread
    /// over zones. By default it names none.
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
    /// Name of the network [default: main]
    ///
    /// Daemons of other networks are not understood.
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// Metric of the network, ring or xor [default: ring]
    ///
    /// The same for all its daemons.
    #[arg(long, value_name = "METRIC", hide_short_help = true)]
    metric: Option<String>,
    /// Most bytes to hold for the network, such as 500M or 2T [default: 100G]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    quota: Option<u64>,
    /// Serve the API on this loopback address too
    ///
    /// With a bearer token, such as 127.0.0.1:0.
    #[arg(long, value_name = "ADDR", hide_short_help = true)]
    api_listen: Option<SocketAddr>,
    /// Answer DNS for names below chord.alt here
    ///
    /// A loopback address, such as 127.0.0.1:5354.
    #[arg(long, value_name = "ADDR")]
    dns: Option<SocketAddr>,
    /// Serve repositories to restic and rustic here
    ///
    /// Such as 127.0.0.1:8017 (port 0: the system chooses, `chordage status` shows it). A repository is at /, /NAME/ or
    /// /USER/NAME/: restic -r rest:http://127.0.0.1:8017/laptop/ init
    #[arg(long, value_name = "ADDR")]
    restic: Option<SocketAddr>,
    /// Ask who uses restic here
    ///
    /// FILE has a line for each user, which `chordage restic-user NAME` prints. Each sees what is below /USER/ alone.
    /// Without it the address has to be a loopback one, and everybody on this machine may do everything.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    restic_users: Option<PathBuf>,
    /// Let restic delete nothing but locks
    ///
    /// Whoever takes over a machine cannot delete its backups then.
    #[arg(long, hide_short_help = true)]
    restic_append_only: bool,
    /// Serve links and names to browsers here
    ///
    /// Such as 127.0.0.1:8020 (port 0: the system chooses, `chordage status` shows it): http://127.0.0.1:8020/LINK/path
    #[arg(long, value_name = "ADDR")]
    gateway: Option<SocketAddr>,
    /// Ask who uses the gateway
    ///
    /// FILE has a line for each user, which `chordage restic-user NAME` prints. Needed for an address that other
    /// machines reach.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    gateway_users: Option<PathBuf>,
    /// Serve files of a volume by WebDAV here
    ///
    /// Such as 127.0.0.1:8019 (port 0: the system chooses, `chordage status` shows it), to read and to write: rclone,
    /// davfs2, Finder and Explorer know how.
    #[arg(long, value_name = "ADDR")]
    webdav: Option<SocketAddr>,
    /// The volume that WebDAV shows [default: webdav]
    ///
    /// By its petname. It is made when it is used first, unless there is one.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    webdav_volume: Option<String>,
    /// Ask who uses WebDAV here
    ///
    /// FILE has a line for each user, which `chordage restic-user NAME` prints. All of them may do everything. Without
    /// it the address has to be a loopback one, and everybody on this machine may do everything.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    webdav_users: Option<PathBuf>,
    /// Settings file [default: config.toml in the data directory]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leave when standard input ends: for programs that start daemons and may be killed
    #[arg(long, hide_short_help = true)]
    exit_on_stdin_close: bool,
}

/// Runs the command. All that it says goes through a queue, so that nobody who does not read can keep it from its work.
pub(crate) fn run(args: DaemonArgs, global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let lines = Lines::start().map_err(|error| threads::refused(&error))?;
    let _last = LastLines(lines.clone());
    let printer = printer.through(&lines);
    let status = run_saying(args, global, &printer, &lines).unwrap_or_else(|error| {
        printer.error(&error);
        error.status()
    });
    Ok(status)
}

/// Has what was said written at the end, whichever end that is.
struct LastLines(Lines);

impl Drop for LastLines {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// On a runtime of its own, because settings say how many threads it has.
fn run_saying(
    args: DaemonArgs,
    global: &GlobalArgs,
    printer: &Printer,
    lines: &Lines,
) -> Result<ExitStatus, CliError> {
    let dir = data_dir(global.data_dir.as_deref())?;
    let exit_on_stdin_close = args.exit_on_stdin_close;
    let config = flags::settings(args.clone(), &dir)?;
    let log = Log::start(lines, config.log.as_deref(), config.log_format);
    descriptors::raise();
    let runtime = threads::runtime(config.runtime_threads).map_err(|error| threads::refused(&error))?;
    let settings = Settings::new(args, dir.clone(), config.clone(), log);
    let outcome = runtime.block_on(serve(&dir, config, settings, exit_on_stdin_close, printer));
    runtime.shutdown_background();
    outcome
}

async fn serve(
    dir: &Path,
    config: Config,
    mut settings: Settings,
    exit_on_stdin_close: bool,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    // Before anything is opened: from here on a signal means an orderly end.
    let (mut interrupt, mut reload) = Interrupt::listen_of_daemon()?;
    let mut stdin =
        exit_on_stdin_close.then(watch_stdin).transpose().map_err(|error| threads::refused(&error))?;
    let bootstrap = config.bootstrap.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    // Before the daemon: nobody is to believe that it serves what it cannot.
    let bound = gateways::bind(&config).await?;
    let manager = Manager::of_this_process(printer).map_err(|error| threads::refused(&error))?;
    manager.starting();
    let daemon = Box::pin(Daemon::start(dir, config)).await.map_err(|error| cannot_start(&error, dir))?;
    let gateways = gateways::serve(bound, &daemon)?;
    daemon.handle().joined_within(READY_PATIENCE).await;
    let mut telling = JoinSet::new();
    if let Some(status) = daemon.handle().status().await {
        let (data_dir, ways_in) = (dir.to_owned(), bootstrap.clone());
        let standing = move |status: &Status| standing(status, &data_dir, &ways_in);
        manager.ready(standing(&status));
        telling = manager.keep_told(daemon.handle(), status.membership.state, standing);
        if printer.is_json() {
            printer.json(&status)?;
        } else if printer.tells() {
            // A standard output that is gone is no reason to stop.
            let _ = printer.line(ready(&status, dir, &bootstrap));
        }
    }
    loop {
        tokio::select! {
            () = interrupt.wait() => break,
            () = ended_input(stdin.as_mut()) => break,
            () = reload.wait() => settings.reload(&daemon, printer),
            fault = daemon.failed() => return Err(ended(&fault)),
        }
    }
    telling.abort_all();
    manager.leaving();
    printer.tell("leaving the network; once more to stop at once");
    let leaving = async {
        // First, because it needs the daemon for what it finishes.
        gateways.drain().await;
        daemon.leave().await
    };
    tokio::select! {
        left = leaving => left.map(|()| ExitStatus::Success).map_err(|fault| ended(&fault)),
        () = interrupt.wait() => {
            Err(CliError::interrupted("the daemon stopped at once; what it had acknowledged is on its disk"))
        }
    }
}

fn ended(fault: &Fault) -> CliError {
    CliError::new(ExitStatus::Internal, "internal", fault)
        .state("the daemon has stopped; what it had acknowledged is on its disk")
        .hint("start it again; if that happens again, report it with what its log says before this")
}

/// Waits for the end of standard input, if anybody asked for that.
async fn ended_input(stdin: Option<&mut oneshot::Receiver<()>>) {
    match stdin {
        Some(closed) => drop(closed.await),
        None => std::future::pending().await,
    }
}

/// Told when standard input has ended.
fn watch_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (ended, closed) = oneshot::channel();
    // Blocks on a read that cannot be cancelled, so it must not be a thread that the runtime waits for.
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut input = io::stdin().lock();
        let mut buffer = [0; 1024];
        while input.read(&mut buffer).is_ok_and(|length| length > 0) {}
        let _ = ended.send(());
    })?;
    Ok(closed)
}

fn cannot_start(error: &StartError, dir: &Path) -> CliError {
    let failed = |status, code, hint: &str| {
        CliError::new(status, code, error).state("no daemon was started").hint(hint)
    };
    let port = "choose another port, or port 0 to let the system choose";
    match error {
        StartError::Config(error) => flags::bad_config(error, None),
        StartError::DataDir(error) => datadir::refused(error, dir, "no daemon was started"),
        StartError::Store { source: OpenError::Locked, .. } => {
            failed(ExitStatus::InUse, "locked", &datadir::locked_hint(dir))
        }
        StartError::Store { source: OpenError::NewerFormat { .. }, .. } => {
            failed(ExitStatus::InUse, "newer_version", datadir::NEWER)
        }
        StartError::Store { .. }
        | StartError::Leases { .. }
        | StartError::Api(ServeError::DataDir(_) | ServeError::Socket { .. } | ServeError::UnsafeFolder(_)) => {
            failed(ExitStatus::LocalFile, "data_dir", datadir::CANNOT_WRITE)
        }
        StartError::Listen(ListenError::InUse(_))
        | StartError::Api(ServeError::Port { .. })
        | StartError::Dns(DnsError::InUse(_)) => failed(ExitStatus::InUse, "port_in_use", port),
        StartError::Listen(ListenError::Refused { .. }) | StartError::Dns(DnsError::Refused { .. }) => {
            failed(ExitStatus::Usage, "listen", port)
        }
        StartError::Api(ServeError::NotLoopback(_)) => failed(
            ExitStatus::Usage,
            "usage",
            "give --api-listen 127.0.0.1:0; to reach it from elsewhere, tunnel through SSH",
        ),
        StartError::Access(AccessError::LacksWork { .. } | AccessError::KeyLost(_)) => failed(
            ExitStatus::LocalFile,
            "lacks_work",
            "bring `key` back from a copy, or join with a line of `chordage invite` in an empty --data-dir: that makes a key that \
             has the work",
        ),
        StartError::Access(_) => failed(
            ExitStatus::LocalFile,
            "network",
            "leave --network out for a daemon of a private network; a file that is gone comes back from a copy, or with a \
             new invite to another --data-dir",
        ),
        StartError::Threads(_) => failed(ExitStatus::Internal, "threads", threads::HINT),
        StartError::Descriptors { .. } => failed(
            ExitStatus::Internal,
            "descriptors",
            "raise the limit on open files (ulimit -n; LimitNOFILE of a systemd service); 1024 are plenty",
        ),
        StartError::System(_) => failed(ExitStatus::Internal, "internal", "see the message"),
    }
}
