//! What one hostile peer does to everybody else: latency of small puts and gets, and memory, with and without it.
//!
//! ```text
//! cargo bench -p chordage-cli --bench flood -- [--nodes 10] [--seconds 15] [--per-second 10000]
//! ```
//!
//! Ten daemons of default settings; a client puts objects of 64 KiB through the first one, one after the other, and
//! reads each back and compares it. First in peace, then while a stranger, connected to that daemon over QUIC, in turn:
//! sends pings as fast as told; claims large requests on many streams and does not finish them; sends bytes that are no
//! frames. Last a writer that puts as fast as it can through another daemon. At the end everything that was put is read
//! again.

mod stranger;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use chordage_testnet::{Plan, Testnet};
use tokio::io::AsyncWriteExt;

use self::stranger::Stranger;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

const NETWORK: &str = "flood-bench";
const OBJECT: usize = 64 << 10;
const WRITER_OBJECT: usize = 8 << 20;

struct Options {
    nodes: usize,
    seconds: u64,
    per_second: u32,
}

fn main() -> ExitCode {
    let outcome = options().and_then(|options| {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&options))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flood: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, Failure> {
    let mut options = Options { nodes: 10, seconds: 15, per_second: 10_000 };
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(flag) = args.next() {
        let number: u32 = args.next().and_then(|value| value.parse().ok()).ok_or("a number is missing")?;
        match flag.as_str() {
            "--nodes" => options.nodes = number.max(2) as usize,
            "--seconds" => options.seconds = number.into(),
            "--per-second" => options.per_second = number.clamp(100, 1_000_000),
            _ => return Err(format!("there is no {flag}").into()),
        }
    }
    Ok(options)
}

/// What a client saw during one part.
#[derive(Default)]
struct Seen {
    puts: Vec<Duration>,
    gets: Vec<Duration>,
    links: Vec<(u64, String)>,
}

async fn measure(options: &Options) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let program = env!("CARGO_BIN_EXE_chordage");
    let mut plan = Plan::new(program, dir.path().join("net"), options.nodes);
    plan.daemon_args = vec!["--network".into(), NETWORK.into()];
    let net = Testnet::start(plan).await?;
    net.wait_settled(Duration::from_secs(60)).await?;
    let address = net.status(0).await?.membership.listen.into_iter().find(|address| address.contains("quic"));
    let address = address.ok_or("the first daemon does not listen for QUIC")?.parse()?;
    let mut everything = Vec::new();
    println!(
        "{:<34} {:>7} {:>9} {:>9} {:>9} {:>9}  {:>9}  taken",
        "what else happens", "puts", "p50 ms", "p99 ms", "get p50", "get p99", "RSS MB"
    );
    for part in ["nothing", "pings", "half requests", "no frames", "a greedy writer", "nothing again"] {
        let until = Instant::now() + Duration::from_secs(options.seconds);
        let harm = async {
            match part {
                "pings" => Stranger::connect(&address, NETWORK).await?.ping(options.per_second, until).await,
                "half requests" => Stranger::connect(&address, NETWORK).await?.hoard(until).await,
                "no frames" => Stranger::connect(&address, NETWORK).await?.babble(until).await,
                "a greedy writer" => write_on(&net, until).await,
                _ => Ok(0),
            }
        };
        let first = everything.len() as u64;
        let (seen, harm) = tokio::join!(work(&net, first, until), harm);
        let (mut seen, taken) = (seen?, harm?);
        let rss = net.status(0).await?.process.rss_bytes as f64 / 1e6;
        println!(
            "{part:<34} {:>7} {:>9.1} {:>9.1} {:>9.1} {:>9.1}  {rss:>9.0}  {taken}",
            seen.puts.len(),
            quantile(&mut seen.puts, 0.5),
            quantile(&mut seen.puts, 0.99),
            quantile(&mut seen.gets, 0.5),
            quantile(&mut seen.gets, 0.99),
        );
        everything.append(&mut seen.links);
    }
    for (number, link) in &everything {
        if get(&net, 1, link).await? != content(*number, OBJECT) {
            return Err(format!("object {number} came back with other bytes").into());
        }
    }
    println!("{} objects read again through another daemon, every byte the same", everything.len());
    Ok(())
}

/// Puts and gets until the time is up.
async fn work(net: &Testnet, first: u64, until: Instant) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    while Instant::now() < until {
        let number = first + seen.links.len() as u64;
        let bytes = content(number, OBJECT);
        let began = Instant::now();
        let link = put(net, 0, bytes.clone()).await?;
        seen.puts.push(began.elapsed());
        let began = Instant::now();
        if get(net, 0, &link).await? != bytes {
            return Err(format!("object {number} came back with other bytes").into());
        }
        seen.gets.push(began.elapsed());
        seen.links.push((number, link));
    }
    Ok(seen)
}

/// Puts large objects through another daemon, one after the other.
async fn write_on(net: &Testnet, until: Instant) -> Result<u64, Failure> {
    let mut put_bytes = 0;
    while Instant::now() < until {
        let writing = put(net, 1, content((1 << 40) + put_bytes, WRITER_OBJECT));
        match tokio::time::timeout_at(until.into(), writing).await {
            Ok(link) => drop(link?),
            Err(_) => break,
        }
        put_bytes += WRITER_OBJECT as u64;
    }
    Ok(put_bytes)
}

/// The program itself, as users run it.
async fn put(net: &Testnet, node: usize, bytes: Vec<u8>) -> Result<String, Failure> {
    let output = operate(net, node, &["put", "--json", "--redundancy", "4/6", "-"], bytes).await?;
    let report: serde_json::Value = serde_json::from_slice(&output)?;
    Ok(report["link"].as_str().ok_or("no link came")?.to_owned())
}

async fn get(net: &Testnet, node: usize, link: &str) -> Result<Vec<u8>, Failure> {
    operate(net, node, &["get", link, "-o", "-"], Vec::new()).await
}

async fn operate(net: &Testnet, node: usize, args: &[&str], input: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_chordage"));
    command.args(args).arg("--api").arg(net.data_dir(node));
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    let writing = async move {
        stdin.write_all(&input).await?;
        drop(stdin);
        std::io::Result::Ok(())
    };
    let (written, output) = tokio::join!(writing, child.wait_with_output());
    let output = output?;
    written?;
    if !output.status.success() {
        return Err(format!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(output.stdout)
}

/// Bytes that nobody has put before.
fn content(number: u64, bytes: usize) -> Vec<u8> {
    use rand_core::{Rng, SeedableRng};
    let mut content = vec![0; bytes];
    rand_chacha::ChaCha8Rng::seed_from_u64(number).fill_bytes(&mut content);
    content
}

/// Milliseconds.
fn quantile(durations: &mut [Duration], share: f64) -> f64 {
    durations.sort_unstable();
    let place = (durations.len() as f64 * share) as usize;
    durations.get(place.min(durations.len().saturating_sub(1))).map_or(f64::NAN, |d| d.as_secs_f64() * 1e3)
}
