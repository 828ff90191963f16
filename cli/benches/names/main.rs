//! Names that are published and resolved: real daemons, each with its own records on disk.
//!
//! ```text
//! cargo bench -p chordage-cli --bench names -- [--nodes 50] [--names 10000] [--bytes 100] [--clients 8]
//!     [--frozen 10]
//! ```
//!
//! Every client works at a daemon of its own, one operation after the other: it makes a key and publishes under it;
//! then it resolves names that another client has published, first by the first answer, then by a majority's. Then some
//! of the daemons without a client are frozen (SIGSTOP), and names are resolved once more by the first answer, at once.
//! Printed are the times of one operation, operations per second of all clients together, and how many failed.
//! `beside_opendht.py` does the same with OpenDHT, but for the freezing.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chordage_api::client::Client;
use chordage_api::types::{PublishRequest, PublishState};
use chordage_testnet::{Plan, Testnet};

type Failure = Box<dyn std::error::Error>;

/// How long the network may take to come together.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Clone, Copy)]
struct Options {
    nodes: usize,
    names: usize,
    bytes: usize,
    clients: usize,
    frozen: usize,
}

fn main() -> ExitCode {
    let run = || -> Result<(), Failure> {
        let options = options()?;
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(options))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, Failure> {
    let mut options = Options { nodes: 50, names: 10_000, bytes: 100, clients: 8, frozen: 10 };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        if name == "--bench" {
            continue; // cargo adds it
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?.parse()?;
        match name.as_str() {
            "--nodes" => options.nodes = value,
            "--names" => options.names = value,
            "--bytes" => options.bytes = value,
            "--clients" => options.clients = value,
            "--frozen" => options.frozen = value,
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(options)
}

/// What one client does with the name of a number.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    Create,
    Publish,
    Fast,
    Quorum,
    /// As `Fast`, while some daemons stand still.
    Frozen,
}

async fn run(options: Options) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let plan = Plan::new(env!("CARGO_BIN_EXE_chordage"), dir.path().join("net"), options.nodes);
    let mut net = Testnet::start(plan).await?;
    net.wait_listed(PATIENCE).await?;
    let clients: Vec<Client> = (0..options.clients).map(|node| net.client(node)).collect::<Result<_, _>>()?;
    println!(
        "{} daemons, {} names of {} bytes, {} clients",
        options.nodes, options.names, options.bytes, options.clients
    );
    for (what, work) in [
        ("create", Work::Create),
        ("publish", Work::Publish),
        ("resolve", Work::Fast),
        ("resolve, quorum", Work::Quorum),
    ] {
        measure(what, work, &clients, options).await?;
    }
    let frozen: Vec<usize> = (options.clients..options.nodes).rev().take(options.frozen).collect();
    frozen.iter().try_for_each(|node| net.freeze(*node))?;
    measure(&format!("{} frozen", frozen.len()), Work::Frozen, &clients, options).await?;
    frozen.iter().try_for_each(|node| net.thaw(*node))?;
    net.down(Duration::from_secs(10)).await?;
    Ok(())
}

async fn measure(what: &str, work: Work, clients: &[Client], options: Options) -> Result<(), Failure> {
    let keys = Arc::new(keys(clients, work).await?);
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for (number, client) in clients.iter().cloned().enumerate() {
        let (keys, count) = (keys.clone(), clients.len());
        running.spawn(async move {
            let (mut times, mut failed) = (Vec::new(), 0);
            // Names of a number belong to the client that has it left over.
            let mut name = number;
            while name < options.names {
                // One that this client has neither published nor resolved.
                let other = if work == Work::Frozen { 2 } else { 1 };
                let key = keys.get((name + other) % keys.len().max(1)).cloned().unwrap_or_default();
                let begun = Instant::now();
                match once(&client, work, name, &key, options.bytes).await {
                    true => times.push(begun.elapsed().as_secs_f64() * 1e3),
                    false => failed += 1,
                }
                name += count;
            }
            (times, failed)
        });
    }
    let (mut times, mut failed) = (Vec::new(), 0);
    while let Some(done) = running.join_next().await {
        let (some, lost) = done?;
        times.extend(some);
        failed += lost;
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{what:16} p50 {:7.2} ms  p95 {:7.2} ms  p99 {:7.2} ms  {rate:8.0} per second  {failed} failed",
        at(0.5),
        at(0.95),
        at(0.99)
    );
    Ok(())
}

/// The keys of all names, in the order of their numbers, where they are needed.
async fn keys(clients: &[Client], work: Work) -> Result<Vec<String>, Failure> {
    if matches!(work, Work::Create | Work::Publish) {
        return Ok(Vec::new());
    }
    let mut keys = Vec::new();
    for client in clients {
        for info in client.names().await? {
            let number: usize = info.petname.trim_start_matches("name-").parse()?;
            keys.push((number, info.key));
        }
    }
    keys.sort();
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

async fn once(client: &Client, work: Work, name: usize, key: &str, bytes: usize) -> bool {
    let petname = format!("name-{name}");
    match work {
        Work::Create => client.create_name(&petname).await.is_ok(),
        Work::Publish => {
            let request = PublishRequest {
                name: petname,
                target: Some("x".repeat(bytes)),
                ttl_seconds: 300,
                valid_seconds: 3600,
                expect_seq: None,
                delegate: false,
            };
            client.publish_name(&request).await.is_ok_and(|report| report.state == PublishState::Stored)
        }
        Work::Fast | Work::Quorum | Work::Frozen => {
            let found = client.resolve_name(key, work == Work::Quorum, None).await;
            found.is_ok_and(|found| found.target.len() == bytes && !found.stale)
        }
    }
}
