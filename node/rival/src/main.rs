//! Chordage's lookups beside those of `libp2p-kad`, fairly: the same number of nodes, on the same kind of runtime, over
//! the same transport (loopback TCP, noise, yamux), in turns of a second or two. All nodes of a side live in one
//! process, and while one side has its turn the other only idles.
//!
//! Both are warm: tables are filled and connections open before anything is counted. kad's tables are filled by hand,
//! as full as they can be; ours are what joining made of them.

mod chordage;
mod kad;
mod measure;
mod process;
mod report;
mod work;

use std::process::ExitCode;

use chordage_dht::AnyMetric;
use clap::Parser;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::process::{Process, Turn};
use crate::report::{Idle, Part, Report};
use crate::work::{ALL, Side, Work};

/// Compares lookups of Chordage and of libp2p-kad.
#[derive(Parser)]
pub(crate) struct Args {
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
    /// Be one side: what this program starts itself with.
    #[arg(long, hide = true)]
    side: Option<Side>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(side) = args.side {
        return process::serve(&args, side).map_or_else(|problem| failed(&problem), |()| ExitCode::SUCCESS);
    }
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
    if args.nodes.iter().any(|nodes| *nodes < 25) || args.in_flight.contains(&0) || args.rounds == 0 {
        return Err(
            "at least 25 nodes (some have to be without a record), one in flight and one round".into()
        );
    }
    let load_before = load();
    let mut parts = Vec::new();
    for nodes in &args.nodes {
        parts.extend(one_size(args, *nodes)?);
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

/// All figures of networks of `nodes` nodes.
fn one_size(args: &Args, nodes: usize) -> Result<Vec<Part>, String> {
    let mut rng = ChaCha12Rng::seed_from_u64(args.seed);
    eprintln!("starting {nodes} nodes of each");
    let mut kad = Process::start(args, Side::Kad, nodes)?;
    let mut chordage = Process::start(args, Side::Chordage, nodes)?;
    let mut turn = |work: Option<(Work, usize)>, side: Side| {
        let process = if side == Side::Kad { &mut kad } else { &mut chordage };
        process.turn(&Turn { work, seconds: args.seconds, seed: rng.next_u64() })
    };
    for work in ALL {
        // Opens the connections that joining left closed, and is not counted.
        turn(Some((work, 16)), work.side())?;
    }
    let mut parts = Vec::new();
    for in_flight in &args.in_flight {
        let idle = Idle {
            kad_cpu_ms_per_second: turn(None, Side::Kad)?.cpu_ms_per_second,
            chordage_cpu_ms_per_second: turn(None, Side::Chordage)?.cpu_ms_per_second,
        };
        let mut rounds = Vec::with_capacity(args.rounds);
        for round in 0..args.rounds {
            let mut samples = Vec::with_capacity(ALL.len());
            for work in ALL {
                let done = turn(Some((work, *in_flight)), work.side())?;
                samples.push(done.sample.ok_or("no figures came back")?);
            }
            eprintln!("{nodes} nodes, {in_flight} in flight: round {} of {}", round + 1, args.rounds);
            rounds.push(samples);
        }
        parts.push(Part::new(nodes, *in_flight, idle, &rounds));
    }
    Ok(parts)
}

/// Load average over the last minute.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}
