//! The main job as a user runs it: real daemons, the `chordage` program, files on disk.
//!
//! ```text
//! cargo bench -p chordage-cli --bench whole_job -- [--nodes 10] [--redundancy 4/6] [--mib 256] [--runs 3] [--kill 2]
//!                                                  [--path FILE-OR-DIRECTORY]
//! ```
//!
//! Every run starts its own network, puts the object, puts it again, gets it, kills `--kill` daemons and gets it
//! once more. Printed are medians: seconds of wall time, MB/s of user data, CPU seconds of client and daemons,
//! the largest resident set of any daemon, and bytes on the holders' disks. Whole-process times on a shared
//! machine drift: compare figures of one run only.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use chordage_testnet::{Plan, Testnet};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

type Failure = Box<dyn std::error::Error>;

struct Options {
    nodes: usize,
    redundancy: String,
    mib: u64,
    runs: usize,
    kill: usize,
    path: Option<PathBuf>,
}

/// What one command of the client cost.
#[derive(Clone, Copy, Default)]
struct Cost {
    seconds: f64,
    client_cpu: f64,
    client_rss: u64,
    daemons_cpu: f64,
}

#[derive(Default)]
struct Run {
    put: Cost,
    again: Cost,
    get: Cost,
    get_harmed: Option<Cost>,
    daemon_rss: u64,
    stored: u64,
    bytes: u64,
    new_chunks_again: u64,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match options().and_then(|options| runtime.block_on(all_runs(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, Failure> {
    let mut options = Options { nodes: 10, redundancy: "4/6".into(), mib: 256, runs: 3, kill: 2, path: None };
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
            "--runs" => options.runs = value.parse::<usize>()?.max(1),
            "--kill" => options.kill = value.parse()?,
            "--path" => options.path = Some(value.into()),
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(options)
}

async fn all_runs(options: &Options) -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let object = match &options.path {
        Some(path) => path.clone(),
        None => random_file(scratch.path(), options.mib)?,
    };
    let mut runs = Vec::new();
    for number in 0..options.runs {
        let dir = scratch.path().join(format!("run-{number}"));
        runs.push(one_run(options, &object, &dir).await?);
        std::fs::remove_dir_all(&dir)?;
    }
    report(options, &runs);
    Ok(())
}

fn random_file(dir: &Path, mib: u64) -> Result<PathBuf, Failure> {
    use std::io::Write;
    let path = dir.join("random.bin");
    let mut file = std::fs::File::create(&path)?;
    let mut rng = ChaCha8Rng::seed_from_u64(20_261_122);
    let mut block = vec![0; 1 << 20];
    for _ in 0..mib {
        rng.fill_bytes(&mut block);
        file.write_all(&block)?;
    }
    file.sync_all()?;
    Ok(path)
}

async fn one_run(options: &Options, object: &Path, dir: &Path) -> Result<Run, Failure> {
    let plan = Plan::new(env!("CARGO_BIN_EXE_chordage"), dir.join("net"), options.nodes);
    let mut network = Testnet::start(plan).await?;
    network.wait_settled(Duration::from_secs(60)).await?;
    let mut run = Run::default();

    let path = object.to_string_lossy().into_owned();
    let put = ["put", "--json", "--redundancy", &options.redundancy, &path];
    let (cost, answer) = timed(&network, &put).await?;
    run.put = cost;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let link = answer["link"].as_str().ok_or("put gave no link")?.to_owned();
    run.bytes = answer["bytes"].as_u64().unwrap_or(0);
    run.stored = answer["stored_bytes"].as_u64().unwrap_or(0);
    let (cost, answer) = timed(&network, &put).await?;
    run.again = cost;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    run.new_chunks_again = answer["new_chunks"].as_u64().unwrap_or(u64::MAX);

    let out = dir.join("out");
    run.get = fetch(&network, &link, &out, object).await?;
    for index in network.living() {
        run.daemon_rss = run.daemon_rss.max(network.status(index).await?.rss_peak_bytes);
    }
    if options.kill > 0 {
        // Never the one that is asked.
        let victims: Vec<usize> = (1..=options.kill).collect();
        network.kill(&victims)?;
        run.get_harmed = Some(fetch(&network, &link, &dir.join("out-harmed"), object).await?);
    }
    network.down(Duration::from_secs(10)).await?;
    Ok(run)
}

async fn fetch(network: &Testnet, link: &str, out: &Path, object: &Path) -> Result<Cost, Failure> {
    let to = out.to_string_lossy().into_owned();
    let (cost, _) = timed(network, &["get", "--json", link, "-o", &to]).await?;
    let same = Command::new("diff").arg("-rq").arg(object).arg(out).stdout(Stdio::null()).status()?;
    if !same.success() {
        return Err("what came back is not what was put".into());
    }
    Ok(cost)
}

async fn timed(network: &Testnet, args: &[&str]) -> Result<(Cost, Vec<u8>), Failure> {
    let api = network.api(0).ok_or("the first daemon has no API")?;
    let before = daemons_cpu(network).await?;
    let children = children_cpu();
    let started = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_chordage"))
        .args(args)
        .args(["--quiet", "--api", api])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let pid = child.id();
    let watching = std::thread::spawn(move || peak_rss(pid));
    let output = child.wait_with_output()?;
    let seconds = started.elapsed().as_secs_f64();
    let client_rss = watching.join().unwrap_or(0);
    if !output.status.success() {
        return Err(format!("chordage {} ended with {}", args.join(" "), output.status).into());
    }
    let cost = Cost {
        seconds,
        client_cpu: children_cpu() - children,
        client_rss,
        daemons_cpu: daemons_cpu(network).await? - before,
    };
    Ok((cost, output.stdout))
}

async fn daemons_cpu(network: &Testnet) -> Result<f64, Failure> {
    let mut sum = 0.0;
    for index in network.living() {
        sum += network.status(index).await?.cpu_seconds;
    }
    Ok(sum)
}

/// CPU time of children that have been waited for.
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields.split_whitespace().skip(13).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// The high-water mark of a process, sampled until it ends.
fn peak_rss(pid: u32) -> u64 {
    let mut peak = 0;
    while let Some(rss) = std::fs::read_to_string(format!("/proc/{pid}/status")).ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    }) {
        peak = peak.max(rss << 10);
        std::thread::sleep(Duration::from_millis(10));
    }
    peak
}

fn report(options: &Options, runs: &[Run]) {
    let bytes = runs.first().map_or(0, |run| run.bytes);
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{} daemons, {}, {megabytes:.0} MB, median of {} runs",
        options.nodes,
        options.redundancy,
        runs.len()
    );
    println!(
        "{:<22} {:>8} {:>8} {:>12} {:>13} {:>12}",
        "", "seconds", "MB/s", "client CPU-s", "daemons CPU-s", "client RSS"
    );
    let line = |name: &str, pick: &dyn Fn(&Run) -> Option<Cost>| {
        let costs: Vec<Cost> = runs.iter().filter_map(pick).collect();
        if costs.is_empty() {
            return;
        }
        let seconds = median(costs.iter().map(|c| c.seconds));
        println!(
            "{name:<22} {seconds:>8.2} {:>8.0} {:>12.2} {:>13.2} {:>9.0} MB",
            megabytes / seconds,
            median(costs.iter().map(|c| c.client_cpu)),
            median(costs.iter().map(|c| c.daemons_cpu)),
            median(costs.iter().map(|c| c.client_rss as f64)) / 1e6,
        );
    };
    line("put", &|run| Some(run.put));
    line("put again", &|run| Some(run.again));
    line("get", &|run| Some(run.get));
    line(&format!("get, {} killed", options.kill), &|run| run.get_harmed);
    println!("largest daemon RSS     {:.0} MB", median(runs.iter().map(|r| r.daemon_rss as f64)) / 1e6);
    println!("shards on holders      {:.0} MB", median(runs.iter().map(|r| r.stored as f64)) / 1e6);
    println!("new chunks, put again  {:.0}", median(runs.iter().map(|r| r.new_chunks_again as f64)));
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
