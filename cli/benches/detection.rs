//! How soon everybody knows who died, and whether anybody is taken for dead who is not: real daemons.
//!
//! ```text
//! cargo bench -p chordage-cli --bench detection -- [--nodes 50] [--kill 10] [--rounds 20] [--sleep-seconds 5] [--members-max 0]
//! ```
//!
//! In each round `--kill` daemons get SIGKILL at once, and it is measured when each survivor has ceased to list any of
//! them as alive or suspect; then one daemon is frozen for a while and thawed, and it is measured when everybody lists
//! it as alive again; then the killed are started again. All the time, every daemon's list is searched for live ones
//! that it calls dead.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chordage_api::types::{MemberState, NodeId};
use chordage_testnet::{Plan, Testnet};

type Failure = Box<dyn std::error::Error>;

/// How long anything may take before the round counts as failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Within which everybody is to know; of rounds that take longer it is told who was the last.
const PROMISED: Duration = Duration::from_secs(20);
/// Between two looks at everybody.
const LOOK_EVERY: Duration = Duration::from_millis(100);

struct Options {
    nodes: usize,
    kill: usize,
    rounds: usize,
    sleep: Duration,
    /// Largest network of which daemons list all members; 0: they list none.
    members_max: usize,
}

fn main() -> ExitCode {
    let outcome = options().and_then(|options| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(measure(&options))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("detection: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, Failure> {
    let mut options =
        Options { nodes: 50, kill: 10, rounds: 20, sleep: Duration::from_secs(5), members_max: 0 };
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(flag) = args.next() {
        let number = args.next().and_then(|value| value.parse::<usize>().ok());
        let number = number.ok_or_else(|| format!("{flag} takes a number"))?;
        match flag.as_str() {
            "--nodes" => options.nodes = number,
            "--kill" => options.kill = number,
            "--rounds" => options.rounds = number,
            "--members-max" => options.members_max = number,
            "--sleep-seconds" => options.sleep = Duration::from_secs(number as u64),
            _ => return Err(format!("there is no {flag}").into()),
        }
    }
    if options.kill + 2 > options.nodes {
        return Err("at least two daemons have to survive".into());
    }
    Ok(options)
}

/// What everybody says at one moment.
#[derive(Default)]
struct Look {
    /// Daemons that list somebody who was killed as alive or suspect, with what they say.
    unaware: Vec<String>,
    /// Daemons that suspect somebody alive.
    suspecting: usize,
    /// Live daemons that somebody calls dead.
    false_deaths: BTreeSet<NodeId>,
}

async fn look(net: &Testnet, killed: &BTreeSet<NodeId>, frozen: Option<usize>) -> Result<Look, Failure> {
    let mut look = Look::default();
    for index in net.living().into_iter().filter(|&index| Some(index) != frozen) {
        let members = net.members(index).await?;
        let here = |state| matches!(state, MemberState::Alive | MemberState::Suspect);
        let unaware = members.iter().find(|m| here(m.state) && killed.contains(&m.id));
        look.unaware.extend(unaware.map(|m| format!("node {index} says {m:?}")));
        look.suspecting +=
            usize::from(members.iter().any(|m| m.state == MemberState::Suspect && !killed.contains(&m.id)));
        let wrong = members.iter().filter(|m| m.state == MemberState::Dead && !killed.contains(&m.id));
        look.false_deaths.extend(wrong.map(|m| m.id));
    }
    Ok(look)
}

/// Waits until everybody knows its neighbours, and everybody else where that is listed: who has just come back and has
/// not been heard of everywhere is no false death.
async fn settled(net: &Testnet, options: &Options) -> Result<(), Failure> {
    net.wait_settled(PATIENCE).await?;
    if options.members_max >= options.nodes {
        net.wait_listed(PATIENCE).await?;
    }
    Ok(())
}

async fn measure(options: &Options) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let settings = dir.path().join("settings.toml");
    std::fs::write(&settings, format!("[overlay]\nmembers_max = {}\n", options.members_max))?;
    let mut plan = Plan::new(env!("CARGO_BIN_EXE_chordage"), dir.path().join("net"), options.nodes);
    plan.daemon_args = vec!["--config".into(), settings.display().to_string()];
    let mut net = Testnet::start(plan).await?;
    settled(&net, options).await?;
    let (mut detections, mut refutations, mut false_deaths) = (Vec::new(), Vec::new(), 0);
    for round in 0..options.rounds {
        let victims: Vec<usize> =
            (0..options.kill).map(|n| (round + n * options.nodes / options.kill) % options.nodes).collect();
        let killed: BTreeSet<NodeId> = victims.iter().filter_map(|&index| net.id(index)).collect();
        let mut wrong = BTreeSet::new();

        let since = Instant::now();
        net.kill(&victims)?;
        let (mut last, mut most) = (String::new(), Duration::ZERO);
        let detected = loop {
            let seen = look(&net, &killed, None).await?;
            wrong.extend(seen.false_deaths);
            if seen.unaware.is_empty() {
                break since.elapsed();
            }
            (last, most) = (seen.unaware.join("; "), since.elapsed());
            if since.elapsed() > PATIENCE {
                return Err(format!("round {round}: after {PATIENCE:?} {}", seen.unaware.join("; ")).into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };

        let living = net.living();
        let sleeper = living[round % living.len()];
        net.freeze(sleeper)?;
        let (since, mut suspected) = (Instant::now(), false);
        while since.elapsed() < options.sleep {
            let seen = look(&net, &killed, Some(sleeper)).await?;
            wrong.extend(seen.false_deaths);
            suspected |= seen.suspecting > 0;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        net.thaw(sleeper)?;
        let since = Instant::now();
        let refuted = loop {
            let seen = look(&net, &killed, None).await?;
            wrong.extend(seen.false_deaths);
            if seen.suspecting == 0 {
                break since.elapsed();
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("round {round}: still suspected after {PATIENCE:?}").into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        if most > PROMISED {
            println!("round {:>2}: after {:.1} s {last}", round + 1, most.as_secs_f64());
        }
        println!(
            "round {:>2}: {} killed, known to all {} survivors after {:>5.1} s; one frozen for {} s, suspected: {}, alive for all {:>4.1} s after; {} false deaths",
            round + 1,
            options.kill,
            living.len(),
            detected.as_secs_f64(),
            options.sleep.as_secs(),
            if suspected { "yes" } else { "no" },
            refuted.as_secs_f64(),
            wrong.len()
        );
        detections.push(detected);
        refutations.push(refuted);
        false_deaths += wrong.len();
        net.restart(&victims).await?;
        settled(&net, options).await?;
    }
    detections.sort_unstable();
    refutations.sort_unstable();
    let shown = |times: &[Duration]| {
        let at = |index: usize| times.get(index).map_or(0.0, Duration::as_secs_f64);
        format!("median {:.1} s, worst {:.1} s", at(times.len() / 2), at(times.len() - 1))
    };
    println!(
        "known to all: {}; alive again: {}; false deaths: {false_deaths}",
        shown(&detections),
        shown(&refutations)
    );
    Ok(())
}
