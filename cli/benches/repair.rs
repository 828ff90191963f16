//! Redundancy that comes back: real daemons, the `chordage` program, files on disk.
//!
//! ```text
//! cargo bench -p chordage-cli --bench repair -- [--nodes 30] [--redundancy 8/20] [--mib 2048] [--kill 12]
//!                                               [--lost-seconds 30] [--budget-mib 16]
//! ```
//!
//! Puts a random file, kills `--kill` daemons at once, reads it, starts as many new ones, waits until every shard of
//! every chunk is on a live daemon again without giving any command, kills as many of the old ones once more, and reads
//! again. Printed are the time, the bytes that repair moved against the least that it had to move, and the busiest
//! daemon's rate against its budget. The least is, for each chunk that misses d shards, k − 1 + d shards: whoever
//! repairs has one, fetches the others, and sends what it made.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use chordage_api::types::Explanation;
use chordage_testnet::{Plan, Testnet};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

type Failure = Box<dyn std::error::Error>;

/// How long everything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(420);

struct Options {
    nodes: usize,
    redundancy: String,
    mib: u64,
    kill: usize,
    lost_seconds: u64,
    budget_mib: u64,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match options().and_then(|options| runtime.block_on(run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        nodes: 30,
        redundancy: "8/20".into(),
        mib: 2048,
        kill: 12,
        lost_seconds: 30,
        budget_mib: 16,
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        if name == "--bench" {
            continue; // cargo adds it
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--nodes" => options.nodes = value.parse()?,
            "--redundancy" => options.redundancy = value,
            "--mib" => options.mib = value.parse()?,
            "--kill" => options.kill = value.parse()?,
            "--lost-seconds" => options.lost_seconds = value.parse()?,
            "--budget-mib" => options.budget_mib = value.parse()?,
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    if options.kill * 2 >= options.nodes {
        return Err("--kill: less than half of the nodes, because it happens twice".into());
    }
    Ok(options)
}

async fn run(options: &Options) -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let settings = scratch.path().join("settings.toml");
    // Suspects are not yet acted upon, so that new daemons can come before everything is rebuilt on the old ones.
    let text = format!(
        "[repair]\nsurvey_seconds = 2\nsuspect_seconds = {lost}\nlost_seconds = {lost}\nrestore_seconds = 1\n\
         turn_seconds = 600\nbytes_per_second = {budget}\nbrake_percent = 100\n",
        lost = options.lost_seconds,
        budget = options.budget_mib << 20,
    );
    std::fs::write(&settings, text)?;
    let object = random_file(scratch.path(), options.mib)?;
    let mut plan = Plan::new(env!("CARGO_BIN_EXE_chordage"), scratch.path().join("net"), options.nodes);
    plan.daemon_args = vec!["--config".into(), settings.display().to_string()];
    let started = Instant::now();
    let mut net = Testnet::start(plan).await?;
    net.wait_settled(PATIENCE).await?;
    println!("{} daemons settled after {:.1} s", options.nodes, started.elapsed().as_secs_f64());

    let started = Instant::now();
    let put = chordage(&net, 0, &["put", "--json", "--redundancy", &options.redundancy], &object)?;
    let report: serde_json::Value = serde_json::from_slice(&put)?;
    let link = report["link"].as_str().ok_or("no link")?.to_owned();
    println!(
        "put {} MiB at {} in {:.1} s: {} chunks, at least {} shards of each acknowledged",
        options.mib,
        options.redundancy,
        started.elapsed().as_secs_f64(),
        report["chunks"],
        report["acks_min"]
    );
    let stored = report["stored_bytes"].as_u64().ok_or("no bytes")?;

    let blow: Vec<usize> = (options.nodes - options.kill..options.nodes).collect();
    let killed = Instant::now();
    net.kill(&blow)?;
    println!("killed {} of {} daemons at once", options.kill, options.nodes);
    read_back(&net, &link, &object, scratch.path())?;
    let harmed = explain(&net, &link).await?;
    net.grow(options.nodes + options.kill).await?;
    println!("started {} new ones, {:.1} s after the kill", options.kill, killed.elapsed().as_secs_f64());

    let shards: u64 = harmed.worst.iter().map(|chunk| u64::from(chunk.n)).sum();
    let shard_bytes = stored as f64 / shards as f64;
    let missing: u64 = harmed.worst.iter().map(|chunk| u64::from(chunk.n - chunk.present)).sum();
    let least: f64 = harmed
        .worst
        .iter()
        .filter(|chunk| chunk.present < chunk.n)
        .map(|chunk| f64::from(chunk.k - 1 + chunk.n - chunk.present) * shard_bytes)
        .sum();
    let fewest = harmed.worst.iter().map(|chunk| chunk.present).min().unwrap_or(0);
    println!(
        "{missing} of {shards} shards are missing; the weakest of {} chunks has {fewest}",
        harmed.chunks
    );

    let mut first_repair = None;
    loop {
        let now = explain(&net, &link).await?;
        if first_repair.is_none() && moved(&net).await?.0 > 0 {
            first_repair = Some(Instant::now());
        }
        if now.whole == now.chunks {
            break;
        }
        if killed.elapsed() > PATIENCE {
            return Err(
                format!("only {} of {} chunks are whole after {PATIENCE:?}", now.whole, now.chunks).into()
            );
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let repairing = first_repair.map_or(0.0, |at| at.elapsed().as_secs_f64());
    let (total, busiest, repaired) = moved(&net).await?;
    println!(
        "whole again {:.1} s after the kill, {repairing:.1} s after the first repair was seen, without a command",
        killed.elapsed().as_secs_f64()
    );
    println!(
        "{repaired} shards made; moved {:.0} MiB, least {:.0} MiB, ratio {:.3}",
        total as f64 / 1048576.0,
        least / 1048576.0,
        total as f64 / least
    );
    // A burst of ten seconds may go out at once.
    let allowed = (options.budget_mib << 20) as f64 * (repairing + 10.0);
    println!(
        "busiest daemon moved {:.1} MiB; its budget allowed {:.1} MiB",
        busiest as f64 / 1048576.0,
        allowed / 1048576.0
    );

    let second: Vec<usize> = (1..=options.kill).collect();
    net.kill(&second)?;
    println!("killed another {} of those that were there from the start", options.kill);
    read_back(&net, &link, &object, scratch.path())?;
    Ok(())
}

/// Bytes that repair has moved in all, by the busiest daemon, and shards made.
async fn moved(net: &Testnet) -> Result<(u64, u64, u64), Failure> {
    let (mut total, mut busiest, mut shards) = (0, 0, 0);
    for node in net.living() {
        let repair = net.status(node).await?.duties.repair;
        let bytes = repair.fetched_bytes + repair.sent_bytes;
        total += bytes;
        busiest = busiest.max(bytes);
        shards += repair.repaired_shards;
    }
    Ok((total, busiest, shards))
}

async fn explain(net: &Testnet, link: &str) -> Result<Explanation, Failure> {
    Ok(net.client(0)?.explain(link, u16::MAX).await?)
}

fn read_back(net: &Testnet, link: &str, object: &Path, scratch: &Path) -> Result<(), Failure> {
    let output = scratch.join("again");
    let started = Instant::now();
    chordage(net, 0, &["get", "--json", link, "-o"], &output)?;
    let seconds = started.elapsed().as_secs_f64();
    if !same(object, &output)? {
        return Err("what was read is not what was written".into());
    }
    std::fs::remove_file(&output)?;
    println!("read everything back in {seconds:.1} s, every byte the same");
    Ok(())
}

fn chordage(net: &Testnet, node: usize, args: &[&str], last: &Path) -> Result<Vec<u8>, Failure> {
    let output = Command::new(env!("CARGO_BIN_EXE_chordage"))
        .args(args)
        .arg(last)
        .arg("--api")
        .arg(net.data_dir(node))
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn random_file(dir: &Path, mib: u64) -> Result<PathBuf, Failure> {
    let path = dir.join("random.bin");
    let mut file = File::create(&path)?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut block = vec![0; 1 << 20];
    for _ in 0..mib {
        random.fill_bytes(&mut block);
        file.write_all(&block)?;
    }
    Ok(path)
}

fn same(a: &Path, b: &Path) -> Result<bool, Failure> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let length = a.read(&mut left)?;
        b.read_exact(&mut right[..length])?;
        if length == 0 || left[..length] != right[..length] {
            return Ok(length == 0);
        }
    }
}
