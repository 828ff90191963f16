//! Our own jobs: a network of daemons, and the program as a user runs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chordage_api::types::{ReadTotals, Status};
use chordage_testnet::{Plan, Testnet};
use serde_json::Value;

use crate::Failure;
use crate::meter::{Step, disk_use, expect_same, timed};
use crate::options::{Job, Options};
use crate::workload::{Workload, bytes_of};

const SYSTEM: &str = "chordage";
/// Leaves time for a machine that is busy with something else.
const SETTLE: Duration = Duration::from_secs(60);

/// Runs one job on a new network in `dir`.
pub(crate) async fn run(
    options: &Options,
    job: Job,
    work: &Workload,
    dir: &Path,
) -> Result<Vec<Step>, Failure> {
    let network = Testnet::start(Plan::new(&options.program, dir.join("net"), options.nodes)).await?;
    network.wait_settled(SETTLE).await?;
    let mut bench = Bench { options, network, dir: dir.to_owned(), job: job.name(), steps: Vec::new() };
    match job {
        Job::W1 => bench.large(&work.w1).await?,
        Job::W2 => bench.tree(work).await?,
        Job::Range => bench.range(&work.w1).await?,
        Job::Stall => bench.stall(&work.w1).await?,
    }
    bench.network.down(Duration::from_secs(10)).await?;
    Ok(bench.steps)
}

struct Bench<'a> {
    options: &'a Options,
    network: Testnet,
    dir: PathBuf,
    job: &'static str,
    steps: Vec<Step>,
}

/// What the daemons have used until now.
#[derive(Default)]
struct Used {
    cpu: f64,
    rss_peak: u64,
    wire: u64,
    syncs: u64,
    reads: ReadTotals,
}

impl Bench<'_> {
    async fn large(&mut self, object: &Path) -> Result<(), Failure> {
        let link = self.put("put", object).await?;
        self.put("put again", object).await?;
        self.get("get", &link, object).await?;
        if self.options.kill > 0 {
            // Never the one that is asked.
            let victims: Vec<usize> = (1..=self.options.kill).collect();
            self.network.kill(&victims)?;
            self.get("get, some killed", &link, object).await?;
        }
        Ok(())
    }

    async fn tree(&mut self, work: &Workload) -> Result<(), Failure> {
        let link = self.put("put", &work.w2).await?;
        self.put("put again", &work.w2).await?;
        let changed = self.put("put changed", &work.w3).await?;
        self.get("get", &link, &work.w2).await?;
        self.get("get changed", &changed, &work.w3).await
    }

    /// A hundred bytes from the middle, asked of a daemon that has not read anything yet.
    async fn range(&mut self, object: &Path) -> Result<(), Failure> {
        let link = self.put("put", object).await?;
        let middle = bytes_of(object) / 2;
        let range = format!("{middle}-{}", middle + 99);
        self.measured("cat --range", 100, 1, &["cat", &link, "--range", &range]).await?;
        self.measured("cat --range again", 100, 1, &["cat", &link, "--range", &range]).await?;
        Ok(())
    }

    /// Holders stand still (SIGSTOP) before and while an object is read.
    async fn stall(&mut self, object: &Path) -> Result<(), Failure> {
        let link = self.put("put", object).await?;
        self.get("get", &link, object).await?;
        self.network.freeze(1)?;
        self.get("get, one stands still", &link, object).await?;
        self.get("get, it still does", &link, object).await?;
        self.network.freeze(2)?;
        self.get("get, another does too", &link, object).await?;
        self.network.thaw(1)?;
        self.network.thaw(2)?;
        self.get("get, all go on", &link, object).await
    }

    async fn put(&mut self, step: &'static str, object: &Path) -> Result<String, Failure> {
        let shown = object.to_string_lossy().into_owned();
        let args = ["put", "--json", "--redundancy", &self.options.redundancy, &shown];
        let answer = self.measured(step, bytes_of(object), 0, &args).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let stored: u64 = (0..self.network.len()).map(|node| disk_use(&self.network.data_dir(node))).sum();
        if let Some(last) = self.steps.last_mut() {
            for name in ["sent_bytes", "new_chunks", "chunks"] {
                last.figures.push((name, answer[name].as_f64().unwrap_or(f64::NAN)));
            }
            last.figures.push(("disk_bytes", stored as f64));
        }
        Ok(answer["link"].as_str().ok_or("put gave no link")?.to_owned())
    }

    async fn get(&mut self, step: &'static str, link: &str, object: &Path) -> Result<(), Failure> {
        let out = self.dir.join("out");
        let shown = out.to_string_lossy().into_owned();
        self.measured(step, bytes_of(object), 0, &["get", "--json", link, "-o", &shown]).await?;
        expect_same(object, &out)?;
        if out.is_dir() {
            std::fs::remove_dir_all(&out)?;
        } else {
            std::fs::remove_file(&out)?;
        }
        Ok(())
    }

    /// Runs the program against one daemon and notes what it cost everybody.
    async fn measured(
        &mut self,
        step: &'static str,
        bytes: u64,
        node: usize,
        args: &[&str],
    ) -> Result<Vec<u8>, Failure> {
        let api = self.network.api(node).ok_or("the daemon has no API")?.to_owned();
        let before = self.used(node).await?;
        let mut command = Command::new(&self.options.program);
        command.args(args).args(["--quiet", "--api", &api]);
        let cost = timed(&mut command)?;
        let after = self.used(node).await?;
        let reads = |of: fn(&ReadTotals) -> u64| of(&after.reads).saturating_sub(of(&before.reads)) as f64;
        self.steps.push(
            Step::new(SYSTEM, self.job, step, bytes)
                .with_cost(&cost)
                .with("servers_cpu_seconds", after.cpu - before.cpu)
                .with("server_rss_peak_bytes", after.rss_peak as f64)
                .with("wire_bytes", after.wire.saturating_sub(before.wire) as f64)
                .with("syncs", after.syncs.saturating_sub(before.syncs) as f64)
                .with("lookups", reads(|totals| totals.lookups))
                .with("chunks_read", reads(|totals| totals.chunks))
                .with("shards_asked", reads(|totals| totals.shards_asked))
                .with("shard_bytes_read", reads(|totals| totals.shard_bytes))
                .with("shards_late", reads(|totals| totals.late)),
        );
        Ok(cost.stdout)
    }

    /// Adds up all that can answer; reads are those of one daemon.
    async fn used(&self, node: usize) -> Result<Used, Failure> {
        let mut used = Used::default();
        for index in self.network.living() {
            if self.network.is_frozen(index) {
                continue;
            }
            let status: Status = self.network.status(index).await?;
            used.cpu += status.process.cpu_seconds;
            used.rss_peak = used.rss_peak.max(status.process.rss_peak_bytes);
            used.wire += status.transfers.traffic.received_bytes;
            used.syncs += status.transfers.store_syncs;
            if index == node {
                used.reads = status.transfers.reads;
            }
        }
        Ok(used)
    }
}
