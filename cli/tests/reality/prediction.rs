//! The same network in virtual time and as real daemons: lookups take as many hops and as many messages.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chordage_api::client::Client;
use chordage_api::types::{RingKey, TraceReport};
use chordage_sim::AnyMetric;
use chordage_sim::experiments::lookups::{self, BuiltBy, Lookups};
use chordage_sim::faults::Faults;
use chordage_sim::latency::Latency;
use chordage_sim::world::Setup;
use chordage_testnet::{Plan, Testnet};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::{PATIENCE, PROGRAM, alone};

/// Daemons; CHORDAGE_TEST_NODES says otherwise.
const NODES: usize = 50;
/// Random keys that every daemon is asked for.
const KEYS: usize = 20;
/// Simulated networks: ids are drawn anew in each, as those of the daemons are.
const SEEDS: std::ops::Range<u64> = 1..6;
/// By how much reality may differ from the prediction.
const TOLERANCE: f64 = 0.10;

fn nodes() -> usize {
    std::env::var("CHORDAGE_TEST_NODES").map_or(NODES, |nodes| nodes.parse().unwrap())
}

/// Sums, and then means, over lookups.
#[derive(Debug, Default)]
struct Found {
    lookups: usize,
    hops: f64,
    messages: f64,
    latency_ms: f64,
    fingers: f64,
    by_hops: BTreeMap<u32, usize>,
}

impl Found {
    fn add(&mut self, traces: Vec<TraceReport>) {
        for trace in traces {
            self.lookups += 1;
            self.hops += f64::from(trace.depth);
            self.messages += f64::from(trace.messages);
            self.latency_ms += trace.seconds * 1e3;
            *self.by_hops.entry(trace.depth).or_default() += 1;
        }
    }

    fn shown(&self, name: &str) -> String {
        let mut line = format!(
            "{name:<10} {:>6} lookups: {:.3} hops, {:.3} messages, {:>6.1} ms, {:.1} fingers; by hops",
            self.lookups, self.hops, self.messages, self.latency_ms, self.fingers
        );
        for (hops, lookups) in &self.by_hops {
            write!(line, " {hops}: {:.1} %", 100.0 * *lookups as f64 / self.lookups as f64).unwrap();
        }
        line
    }
}

fn simulated(latency: &Latency) -> Found {
    let mut found = Found::default();
    let mut hops_of: Vec<f64> = Vec::new();
    for seed in SEEDS {
        let mut setup = Setup::new(seed, AnyMetric::Ring);
        setup.latency = latency.clone();
        setup.faults = Faults::NONE;
        // All daemons have one address, which no rule about subnets may forbid.
        setup.diverse = false;
        let plan = Lookups {
            built_by: BuiltBy::Joins,
            // What `trace` asks for: the owner's own answer.
            want: 1,
            confirm: 1,
            gap: Duration::from_millis(20),
            settle: Duration::from_secs(30),
            ..Lookups::new(setup, nodes(), nodes() * KEYS)
        };
        let report = lookups::run(&plan);
        assert_eq!(report.success_rate, 1.0, "seed {seed}");
        hops_of.push(report.hops_mean);
        found.lookups += report.lookups;
        found.hops += report.hops_mean;
        found.messages += report.messages_mean;
        found.latency_ms += report.latency_ms_mean;
        found.fingers += report.table_entries_mean;
        for (hops, lookups) in report.hops_shape {
            *found.by_hops.entry(hops).or_default() += lookups;
        }
    }
    println!("simulated networks, mean hops of each: {hops_of:?}");
    for mean in [&mut found.hops, &mut found.messages, &mut found.latency_ms, &mut found.fingers] {
        *mean /= hops_of.len() as f64;
    }
    found
}

/// Asks every daemon for keys of its own, so many daemons at a time; every answer has to be right.
async fn measured(program: PathBuf, dir: &Path, at_a_time: usize) -> Found {
    let net = Testnet::start(Plan::new(program, dir.join("net"), nodes())).await.unwrap();
    net.wait_settled(PATIENCE).await.unwrap();
    let places: Arc<Vec<u128>> =
        Arc::new((0..net.len()).map(|node| net.id(node).unwrap().first_half()).collect());
    let mut found = Found::default();
    let mut asking = JoinSet::new();
    for node in 0..net.len() {
        if asking.len() == at_a_time {
            found.add(asking.join_next().await.unwrap().unwrap());
        }
        asking.spawn(ask(net.client(node).unwrap(), node, places.clone()));
    }
    while let Some(traces) = asking.join_next().await {
        found.add(traces.unwrap());
    }
    for node in 0..net.len() {
        found.fingers += net.status(node).await.unwrap().overlay.fingers as f64 / net.len() as f64;
    }
    for mean in [&mut found.hops, &mut found.messages, &mut found.latency_ms] {
        *mean /= found.lookups as f64;
    }
    found
}

async fn ask(client: Client, node: usize, places: Arc<Vec<u128>>) -> Vec<TraceReport> {
    let mut rng = ChaCha8Rng::seed_from_u64(node as u64);
    let mut traces = Vec::new();
    for _ in 0..KEYS {
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        let key = RingKey::from(key);
        let trace = client.trace(&key.to_string()).await.unwrap();
        // The shorter way round, in either direction.
        let place = key.first_half();
        let distance = |at: &u128| at.wrapping_sub(place).min(place.wrapping_sub(*at));
        assert_eq!(
            places.iter().min_by_key(|at| distance(at)),
            Some(&trace.owner.first_half()),
            "{key} from {node}"
        );
        traces.push(trace);
    }
    traces
}

fn compare(what: &str, predicted: &Found, real: &Found) {
    let difference = |real: f64, predicted: f64| 100.0 * (real / predicted - 1.0);
    let told = format!(
        "{} nodes, {what}\n{}\n{}\n{:<10} {:+.1} % hops, {:+.1} % messages",
        nodes(),
        predicted.shown("simulated"),
        real.shown("measured"),
        "difference",
        difference(real.hops, predicted.hops),
        difference(real.messages, predicted.messages)
    );
    println!("{told}");
    for (real, predicted) in [(real.hops, predicted.hops), (real.messages, predicted.messages)] {
        assert!((real / predicted - 1.0).abs() <= TOLERANCE, "{told}");
    }
}

#[tokio::test]
async fn lookups_between_fifty_daemons_cost_what_simulation_says() {
    let _alone = alone().await;
    let dir = tempfile::tempdir().unwrap();
    let predicted = simulated(&Latency::Constant { rtt: Duration::from_millis(1) });
    let real = measured(PROGRAM.into(), dir.path(), 1).await;
    compare("one machine", &predicted, &real);
}

/// Delay of a daemon's messages, milliseconds: the round trip of two daemons is the sum of theirs.
fn delay_ms(node: usize) -> usize {
    5 + 11 * (node % 10)
}

#[tokio::test]
async fn lookups_over_a_map_of_delays_cost_what_simulation_says() {
    let _alone = alone().await;
    let dir = tempfile::tempdir().unwrap();
    let mut map = String::new();
    for a in 0..nodes() {
        for b in 0..nodes() {
            // A millisecond of the machine's own, as without a map.
            write!(map, "{} ", delay_ms(a) + delay_ms(b) + 1).unwrap();
        }
        map.push('\n');
    }
    let predicted = simulated(&Latency::Table(map.parse().unwrap()));
    let real = measured(slowed(dir.path()), dir.path(), 10).await;
    compare("round trips of 11 to 209 ms", &predicted, &real);
    // A busy machine adds its own, so nothing is said of how much longer they may take.
    let slower = real.latency_ms / predicted.latency_ms;
    assert!(slower >= 0.9, "{:.1} ms, predicted {:.1} ms", real.latency_ms, predicted.latency_ms);
}

/// The program, with the delay of its map in the settings of each daemon. The data directories are numbered.
fn slowed(dir: &Path) -> PathBuf {
    let path = dir.join("slowed");
    let script = format!(
        "#!/bin/sh\n# daemon --data-dir .../NN ...\nnode=$(basename \"$3\")\nmkdir -p \"$3\"\n\
         echo \"debug_delay_ms = $((5 + 11 * (1$node % 10)))\" > \"$3/config.toml\"\nexec {PROGRAM} \"$@\"\n"
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}
