//! What a volume of many entries costs: one change, one page of a listing, and the memory of the daemon that serves it.
//!
//! `CHORDAGE_ENTRIES` says how many entries; a million takes some minutes:
//!
//! ```sh
//! CHORDAGE_ENTRIES=1000000 cargo test --workspace --test volumes -- --ignored --nocapture million
//! ```
//!
//! `CHORDAGE_PROGRAM` is another build to measure, such as one before a change.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use chordage_api::client::{Client, VolumeAccess};
use chordage_api::types::{
    PublishState, VolumeChange, VolumeChanges, VolumeExpectation, VolumeImport, VolumeValues,
};
use chordage_testnet::{Plan, Testnet};
use tokio::task::JoinSet;

use crate::harness::{Net, PATIENCE, processes_of};

const NAME: &str = "many";
const NODES: usize = 4;
/// Entries, unless `CHORDAGE_ENTRIES` says otherwise.
const ENTRIES: u64 = 100_000;
/// Changes of one request.
const TOGETHER: u64 = 1000;
/// Requests under way at a time while the volume is filled.
const PARALLEL: usize = 16;
/// Single changes that are measured.
const CHANGES: u64 = 30;
/// More than any daemon may take, whatever the volume holds, bytes.
const MEMORY_MAX: u64 = 200 << 20;

fn key(number: u64) -> String {
    format!("files/{:04}/{:03}", number / TOGETHER, number % TOGETHER)
}

fn change(number: u64, version: u64) -> VolumeChange {
    let value = format!("{{\"version\":{version},\"link\":\"{number:050}\"}}");
    let value = data_encoding::BASE64.encode(value.as_bytes());
    VolumeChange { key: key(number), value: Some(value), expect: VolumeExpectation::Any }
}

async fn make(client: &Client, changes: Vec<VolumeChange>) {
    let made = client
        .change_volume(&VolumeChanges { volume: NAME.to_owned(), changes, moves: Vec::new() })
        .await
        .unwrap();
    assert_eq!(made.state, PublishState::Stored);
}

/// Fills the volume, some requests at a time.
async fn fill(client: &Client, entries: u64) {
    let mut running = JoinSet::new();
    for first in (0..entries).step_by(TOGETHER as usize) {
        if running.len() >= PARALLEL {
            running.join_next().await.unwrap().unwrap();
        }
        let client = client.clone();
        let changes = (first..entries.min(first + TOGETHER)).map(|number| change(number, 0)).collect();
        running.spawn(async move { make(&client, changes).await });
        let done = first + TOGETHER;
        if done.is_multiple_of(100_000) {
            println!("{done} entries are on their way");
        }
    }
    running.join_all().await;
}

/// The memory of a daemon: now, and at most so far, bytes.
fn memory(dir: &Path) -> (u64, u64) {
    let pid = processes_of(dir)[0];
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn show_memory(net: &Net, when: &str) {
    let shown = (0..NODES).map(|node| {
        let (now, most) = memory(&net.net.data_dir(node));
        format!("{} ({})", now >> 20, most >> 20)
    });
    println!("memory {when}, MiB, at most: {}", shown.collect::<Vec<_>>().join(", "));
}

/// Shards and bytes of all daemons.
async fn stored(net: &Net) -> (u64, u64) {
    let (mut shards, mut bytes) = (0, 0);
    for node in net.net.living() {
        let store = net.net.status(node).await.unwrap().store;
        (shards, bytes) = (shards + store.shards, bytes + store.stored_bytes);
    }
    (shards, bytes)
}

/// The middle one and the longest.
fn shown(mut took: Vec<Duration>) -> String {
    took.sort();
    format!("{:.0?} (at most {:.0?})", took[took.len() / 2], took[took.len() - 1])
}

async fn page(client: &Client, number: u64) -> (VolumeValues, Duration) {
    let (prefix, begun) = (key(number)[..11].to_owned(), Instant::now());
    let page = client.volume_values(NAME, &prefix, None, Some(1000)).await.unwrap();
    (page, begun.elapsed())
}

/// Lists pages that were not read before, and then again.
async fn list(who: &str, client: &Client, entries: u64) {
    let pages = entries / TOGETHER;
    let numbers = (0..pages.min(10)).map(|number| number * (pages / pages.min(10)) * TOGETHER);
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for number in numbers {
        let (read, took) = page(client, number).await;
        assert_eq!((read.values.len() as u64, read.more), (TOGETHER, false), "{}", key(number));
        first.push(took);
        again.push(page(client, number).await.1);
    }
    println!("1,000 keys of a prefix, {who}: {}, again: {}", shown(first), shown(again));
}

/// Changes single entries here and there.
async fn change_some(who: &str, net: &Net, client: &Client, entries: u64, version: u64) {
    let mut took = Vec::new();
    let before = stored(net).await;
    for number in 0..CHANGES {
        let begun = Instant::now();
        make(client, vec![change(number * 7_654_321 % entries, version)]).await;
        took.push(begun.elapsed());
    }
    let after = stored(net).await;
    let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / CHANGES as f64;
    println!(
        "one change, {who}: {}, {:.1} shards and {:.0} bytes more on all daemons",
        shown(took),
        each(before.0, after.0),
        each(before.1, after.1)
    );
}

#[ignore = "takes minutes; it is run by hand, see docs/benchmarks.md"]
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_million_entries_costs_what_it_changes() {
    let entries = std::env::var("CHORDAGE_ENTRIES").map_or(ENTRIES, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let program =
        std::env::var("CHORDAGE_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_chordage").to_owned());
    let net = Testnet::start(Plan::new(program, dir.path().join("net"), NODES)).await.unwrap();
    net.wait_settled(PATIENCE).await.unwrap();
    let net = Net::of(net, dir);
    let client = net.net.client(0).unwrap();
    client.create_volume(NAME).await.unwrap();
    let redundancy = net.net.status(0).await.unwrap().puts.default_redundancy;
    println!("{entries} entries, {NODES} daemons, {redundancy}");
    show_memory(&net, "before");
    let begun = Instant::now();
    fill(&client, entries).await;
    println!("filled in {:.0?}", begun.elapsed());
    let (shards, bytes) = stored(&net).await;
    println!("{shards} shards and {bytes} bytes on all daemons");
    show_memory(&net, "after it was filled");
    change_some("where it was filled", &net, &client, entries, 1).await;
    list("where it was filled", &client, entries).await;

    let other = net.net.client(1).unwrap();
    let opened = client.export_volume(NAME, VolumeAccess::Write).await.unwrap();
    let import = VolumeImport { petname: NAME.to_owned(), capability: opened.capability };
    other.import_volume(&import).await.unwrap();
    list("at another daemon", &other, entries).await;
    let begun = Instant::now();
    make(&other, vec![change(entries / 2, 2)]).await;
    println!("first change at another daemon: {:.0?}", begun.elapsed());
    change_some("at another daemon", &net, &other, entries, 3).await;
    change_some("where it was filled, once more", &net, &client, entries, 4).await;
    show_memory(&net, "at the end");
    for node in 0..2 {
        let (_, most) = memory(&net.net.data_dir(node));
        assert!(most < MEMORY_MAX, "daemon {node} took {} MiB", most >> 20);
    }
}
