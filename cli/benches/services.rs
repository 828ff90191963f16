//! How soon a service is gone whose daemon dies or stops, and whether those who live are ever missed.
//!
//! ```text
//! cargo bench -p chordage-cli --bench services -- [--nodes 12] [--rounds 20]
//! ```
//!
//! Every daemon registers the service; one of them watches it, another is asked again and again who offers it. In every
//! round a third one is killed (SIGKILL), started again, told to stop (SIGTERM), and started again. Printed is how long
//! it took until the watch told that it is gone, and until it was found no more; and how often anybody else was
//! suspected or gone.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use chordage_api::client::Client;
use chordage_api::service::Attrs;
use chordage_api::service_watch::ServiceWatch;
use chordage_api::types::{ChangeKind, NodeId, ServiceRequest};
use chordage_testnet::{Plan, Testnet};
use tokio::time::{sleep, timeout};

type Failure = Box<dyn std::error::Error>;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two questions who offers the service.
const EVERY: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let run = || -> Result<(), Failure> {
        let (mut nodes, mut rounds) = (12, 20);
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?.parse()?;
            match name.as_str() {
                "--nodes" => nodes = value,
                "--rounds" => rounds = value,
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(nodes, rounds))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(nodes: usize, rounds: usize) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let plan = Plan::new(env!("CARGO_BIN_EXE_chordage"), dir.path().join("net"), nodes);
    let mut net = Testnet::start(plan).await?;
    net.wait_listed(PATIENCE).await?;
    for node in 0..nodes {
        let addr = format!("127.0.0.1:{}", 7000 + node);
        let request = ServiceRequest { name: "bench".to_owned(), addr, attrs: Attrs::new() };
        net.client(node)?.register_service(&request).await?;
    }
    let asked = net.client(1)?;
    let mut watch = net.client(0)?.watch_service("bench").await?;
    let mut wrong = 0;
    wait_for(&mut watch, &asked, nodes, ChangeKind::Up, None, &mut wrong).await?;
    let (mut killed, mut stopped) = ([vec![], vec![]], [vec![], vec![]]);
    for round in 0..rounds {
        let node = 2 + round % (nodes - 2);
        let victim = [node];
        let id = net.id(node).ok_or("the daemon has no id")?;
        for (kill, times) in [(true, &mut killed), (false, &mut stopped)] {
            let begun = Instant::now();
            let (told, found) = if kill {
                net.kill(&victim)?;
                wait_for(&mut watch, &asked, nodes - 1, ChangeKind::Gone, Some(id), &mut wrong).await?
            } else {
                let gone = wait_for(&mut watch, &asked, nodes - 1, ChangeKind::Gone, Some(id), &mut wrong);
                let (gone, stop) = tokio::join!(gone, net.stop(&victim, PATIENCE));
                stop?;
                gone?
            };
            times[0].push(told - begun);
            times[1].push(found - begun);
            net.restart(&victim).await?;
            wait_for(&mut watch, &asked, nodes, ChangeKind::Up, Some(id), &mut wrong).await?;
        }
    }
    println!("{nodes} daemons, {rounds} rounds");
    for (what, [told, found]) in [("killed", killed), ("stopped", stopped)] {
        print(&format!("{what}, watch"), told);
        print(&format!("{what}, find"), found);
    }
    println!("others suspected or gone: {wrong}");
    net.down(Duration::from_secs(10)).await?;
    Ok(())
}

/// Waits until the watch has told this of that provider, and so many are found. Returns when each was so; counts what
/// is told of others that it should not be.
async fn wait_for(
    watch: &mut ServiceWatch,
    asked: &Client,
    count: usize,
    what: ChangeKind,
    whom: Option<NodeId>,
    wrong: &mut usize,
) -> Result<(Instant, Instant), Failure> {
    let mut left = if whom.is_some() { 1 } else { count };
    let told = async {
        while left > 0 {
            let change = watch.next().await?.ok_or("the watch has ended")?;
            let meant = whom.is_none_or(|whom| whom == change.service.provider);
            left -= usize::from(meant && change.change == what);
            *wrong += usize::from(!meant && matches!(change.change, ChangeKind::Suspect | ChangeKind::Gone));
        }
        Ok::<_, Failure>(Instant::now())
    };
    let found = async {
        while asked.find_service("bench", &Attrs::new(), false).await?.len() != count {
            sleep(EVERY).await;
        }
        Ok::<_, Failure>(Instant::now())
    };
    timeout(PATIENCE, async { tokio::try_join!(told, found) }).await?
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64();
    println!("{what:15} p50 {:6.2} s  p95 {:6.2} s  most {:6.2} s", at(50), at(95), at(100));
}
