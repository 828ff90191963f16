//! Chordage's lookups beside those of `libp2p-kad`, fairly: the same number of nodes in the same process on the same
//! runtime, over the same transport (loopback TCP, noise, yamux), taking turns.
//!
//! Both are warm: tables are filled and connections open before anything is counted. kad's tables are filled by hand, as
//! full as they can be; ours are what joining made of them.

mod chordage;
mod kad;
mod measure;
mod report;
mod work;

use std::process::ExitCode;
use std::time::Duration;

use chordage_dht::AnyMetric;
use clap::Parser;
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::measure::{cpu_seconds, stretch};
use crate::report::{Part, Report};
use crate::work::{ALL, Networks};

/// Both ends of every connection of both networks are files of this process.
const OPEN_FILES_PER_NODE_PAIR: u64 = 6;

/// Compares lookups of Chordage and of libp2p-kad.
#[derive(Parser)]
struct Args {
    /// Sizes of the networks.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 100])]
    nodes: Vec<usize>,
    /// Lookups in flight.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    in_flight: Vec<usize>,
    /// Rounds; in each, every kind of lookup has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of a turn.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Worker threads of the runtime that all nodes share; 1 is the single-threaded runtime.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Our metric: ring or xor.
    #[arg(long, default_value = "ring")]
    metric: AnyMetric,
    /// Decides who asks for what.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match measured(&args) {
        Ok(report) if args.json => match serde_json::to_string_pretty(&report) {
            Ok(json) => println!("{json}"),
            Err(error) => return failed(&error.to_string()),
        },
        Ok(report) => print!("{report}"),
        Err(problem) => return failed(&problem),
    }
    ExitCode::SUCCESS
}

fn failed(problem: &str) -> ExitCode {
    eprintln!("rival: {problem}");
    ExitCode::FAILURE
}

fn measured(args: &Args) -> Result<Report, String> {
    let most = args.nodes.iter().copied().max().unwrap_or(0) as u64;
    if args.nodes.iter().any(|nodes| *nodes < 25) || args.in_flight.contains(&0) || args.rounds == 0 {
        return Err(
            "at least 25 nodes (some have to be without a record), one in flight and one round".into()
        );
    }
    raise_open_files(most * most * OPEN_FILES_PER_NODE_PAIR / 2 + 1024)?;
    let load_before = load();
    let mut parts = Vec::new();
    for nodes in &args.nodes {
        // A runtime per size: nothing of the smaller networks is left when the larger ones are measured.
        let runtime = match args.threads {
            0 | 1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
            threads => {
                tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
            }
        };
        let runtime = runtime.map_err(|error| error.to_string())?;
        parts.extend(runtime.block_on(one_size(args, *nodes))?);
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
    Ok(Report {
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads: args.threads.max(1),
        metric: args.metric.to_string(),
        rounds: args.rounds,
        seconds_per_stretch: args.seconds,
        seed: args.seed,
        load_before,
        load_after: load(),
        parts,
    })
}

async fn one_size(args: &Args, nodes: usize) -> Result<Vec<Part>, String> {
    let mut rng = ChaCha12Rng::seed_from_u64(args.seed);
    let time = Duration::from_secs_f64(args.seconds);
    eprintln!("starting {nodes} nodes of each");
    let networks = Networks::start(nodes, args.metric, &mut rng).await?;
    for work in ALL {
        // Opens the connections that joining left closed, and is not counted.
        let warm = stretch(&networks, work, 16, time, &mut rng).await?;
        eprintln!("warming up: {}: {:.0} lookups/s", work.title(), warm.lookups_per_second);
    }
    let mut parts = Vec::new();
    for in_flight in &args.in_flight {
        let before = cpu_seconds();
        tokio::time::sleep(time).await;
        let idle = (cpu_seconds() - before) * 1e3 / time.as_secs_f64();
        let mut rounds = Vec::with_capacity(args.rounds);
        for round in 0..args.rounds {
            let mut samples = Vec::with_capacity(ALL.len());
            for work in ALL {
                samples.push(stretch(&networks, work, *in_flight, time, &mut rng).await?);
            }
            eprintln!("{nodes} nodes, {in_flight} in flight: round {} of {}", round + 1, args.rounds);
            rounds.push(samples);
        }
        parts.push(Part::new(nodes, *in_flight, idle, &rounds));
    }
    Ok(parts)
}

/// Allows so many open files, if the system lets us.
fn raise_open_files(wanted: u64) -> Result<(), String> {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = now.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).map_err(|error| {
        format!("{wanted} open files are needed and not allowed ({error}): raise `ulimit -n`")
    })
}

/// Load average over the last minute.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}
