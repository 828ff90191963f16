//! The acts of the demo, on real daemons.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chordage_api::types::{Health, HolderCount, PutReport};
use chordage_testnet::{Lifetime, Plan, Testnet};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::client_command::ClientCommand;
use super::compare::compare;
use super::outcome::Outcome;
use super::ring::{Mark, Place};
use super::story::Story;
use super::{Options, sample, victims};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::printer::Printer;

/// How long a network may take until every daemon has found its neighbours. It takes seconds; a loaded machine, longer.
const SETTLE_WAIT: Duration = Duration::from_secs(60);
/// Lookups that are traced from each daemon, and in all.
const TRACES_PER_NODE: usize = 16;
const TRACES_MAX: usize = 256;

/// A network, something to store in it, and what has been found so far.
pub(super) struct Stage<'a> {
    options: &'a Options,
    story: Story<'a>,
    program: PathBuf,
    source: PathBuf,
    restored: PathBuf,
    network: Testnet,
    before: Health,
    outcome: Outcome,
}

impl<'a> Stage<'a> {
    /// Starts the daemons and prepares what they shall store.
    pub(super) async fn open(
        options: &'a Options,
        printer: &'a Printer,
        dir: &Path,
    ) -> Result<Self, CliError> {
        let program = std::env::current_exe().map_err(|error| {
            CliError::new(ExitStatus::Internal, "internal", format!("cannot find myself: {error}"))
        })?;
        let story = Story::new(printer);
        let source = match &options.path {
            Some(path) => path.clone(),
            None => {
                let source = dir.join("source");
                let (root, seed, bytes) = (source.clone(), options.seed, options.size);
                blocking(move || sample::make(&root, seed, bytes))
                    .await?
                    .map_err(|error| CliError::file("make a tree at", &source, &error))?;
                source
            }
        };
        story.opens(options);
        let started = Instant::now();
        let mut plan = Plan::new(&program, dir.join("net"), options.nodes);
        if options.keep {
            plan.lifetime = Lifetime::Detachable;
        }
        let network = Testnet::start(plan).await?;
        settle(&network).await?;
        story.network_is_up(options.nodes, started.elapsed());
        let outcome = Outcome { nodes: options.nodes, ..Outcome::default() };
        let restored = dir.join("restored");
        Ok(Self { options, story, program, source, restored, network, before: Health::default(), outcome })
    }

    /// Everything from the put to the verdict.
    pub(super) async fn play(&mut self) -> Result<(), CliError> {
        let put = self.put().await?;
        self.look_up().await?;
        let before = self.network.client(0)?.stat(&put.link, true).await?.health.unwrap_or_default();
        self.outcome.shards_before = shards(&before);
        // What the weakest chunk can lose: n - k, unless a holder failed during the put.
        let tolerated = usize::from(before.shards_min.min(put.n).saturating_sub(put.k));
        let kill = self.options.kill.unwrap_or(tolerated.min(self.options.nodes - 1));
        self.before = before;
        let killed = self.kill(kill).await?;
        let reader = self.add_reader().await?;
        let health = self.survey(reader, &put.link).await?;
        if let Some(health) = &health {
            self.outcome.degraded_chunks = health.degraded;
            self.outcome.unreadable_chunks = health.unreadable;
            self.outcome.shards_min = health.shards_min;
            self.outcome.shards_after = shards(health);
        }
        self.story.damage(&self.outcome, health.as_ref());
        let read = self.read_back(reader, &put).await;
        self.picture(&killed, health.as_ref());
        match read {
            Ok(()) => self.verdict(),
            Err(error) if error.status() == ExitStatus::Unavailable && kill > tolerated => {
                let message = format!(
                    "{kill} of {} daemons were killed, {} more than {}-of-{} tolerates, and the file is not readable: {}",
                    self.outcome.nodes,
                    kill - tolerated,
                    put.k,
                    put.n,
                    error.message
                );
                Err(CliError::new(ExitStatus::Unavailable, "unavailable", message)
                    .state("nothing came back; what the killed daemons held is still on their disks")
                    .hint(format!("with --kill {tolerated} or fewer, every byte comes back")))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub(super) fn into_network(self) -> Testnet {
        self.network
    }

    async fn put(&mut self) -> Result<PutReport, CliError> {
        self.story.begins("put");
        let mut command = ClientCommand::new(&self.program, "put", &self.network.data_dir(0));
        if let Some(redundancy) = self.options.redundancy {
            command = command.arg("--redundancy").arg(redundancy.to_string());
        }
        let report: PutReport = command.arg("--").arg(&self.source).run().await?;
        self.outcome.k = report.k;
        self.outcome.n = report.n;
        self.outcome.object_bytes = report.bytes;
        self.outcome.stored_bytes = report.stored_bytes;
        self.outcome.files = report.files;
        self.outcome.chunks = report.chunks;
        self.outcome.put_seconds = report.seconds;
        let rss: Vec<u64> =
            (0..self.network.len()).filter_map(|index| self.network.process(index)?.rss_bytes()).collect();
        self.outcome.rss_bytes_mean = rss.iter().sum::<u64>() / rss.len().max(1) as u64;
        self.story.stored(&report, self.outcome.rss_bytes_mean);
        Ok(report)
    }

    /// Looks random keys up from every daemon and takes the mean length of the way.
    async fn look_up(&mut self) -> Result<(), CliError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
        let (mut depths, mut seconds, mut lookups) = (0.0, 0.0, 0);
        let per_node = TRACES_PER_NODE.min(TRACES_MAX.div_ceil(self.network.len()));
        for index in 0..self.network.len() {
            let client = self.network.client(index)?;
            for _ in 0..per_node {
                let mut key = [0; 32];
                rng.fill_bytes(&mut key);
                let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
                let trace = client.trace(&key).await?;
                depths += f64::from(trace.depth);
                seconds += trace.seconds;
                lookups += 1;
            }
        }
        let count = f64::from(lookups).max(1.0);
        self.outcome.lookups = lookups as usize;
        self.outcome.lookup_hops_mean = depths / count;
        self.story.looked_up(lookups, depths / count, seconds / count);
        Ok(())
    }

    async fn kill(&mut self, count: usize) -> Result<Vec<usize>, CliError> {
        let network = &self.network;
        let index_of = |id| network.index_of(id);
        let victims = victims::choose(&self.before, index_of, self.options.nodes, count);
        self.network.kill(&victims)?;
        self.outcome.killed = victims.len();
        self.story.killed(&victims, &self.outcome);
        Ok(victims)
    }

    async fn add_reader(&mut self) -> Result<usize, CliError> {
        let started = Instant::now();
        let reader = self.network.add().await?;
        self.story.reader_joined(reader, started.elapsed());
        Ok(reader)
    }

    /// Who still holds what, as the new daemon sees it; nothing when not even the manifest can be read.
    async fn survey(&self, reader: usize, link: &str) -> Result<Option<Health>, CliError> {
        match self.network.client(reader)?.stat(link, true).await.map_err(CliError::from) {
            Ok(stat) => Ok(stat.health),
            Err(error) if error.status() == ExitStatus::Unavailable => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read_back(&mut self, reader: usize, put: &PutReport) -> Result<(), CliError> {
        self.story.begins("get");
        let started = Instant::now();
        let command = ClientCommand::new(&self.program, "get", &self.network.data_dir(reader));
        let _: serde_json::Value = command.arg(&put.link).arg("-o").arg(&self.restored).run().await?;
        self.outcome.get_seconds = started.elapsed().as_secs_f64();
        self.story.restored(put.bytes, self.outcome.get_seconds);
        let (source, restored) = (self.source.clone(), self.restored.clone());
        let found = blocking(move || compare(&source, &restored))
            .await?
            .map_err(|error| CliError::file("compare", &self.source, &error))?;
        self.outcome.intact = found.is_equal();
        self.story.compared(&found);
        self.outcome.differences = found.differences;
        Ok(())
    }

    fn verdict(&self) -> Result<(), CliError> {
        if self.outcome.intact {
            self.story.ends_well(&self.outcome);
            return Ok(());
        }
        Err(CliError::new(ExitStatus::Internal, "not_intact", "what came back is not what was stored")
            .state(self.outcome.differences.join("; "))
            .hint("this is a bug: repeat it with --keep --seed and report what it left behind"))
    }

    /// The ring before and after, in order of the ids.
    fn picture(&self, killed: &[usize], after: Option<&Health>) {
        let mut order: Vec<usize> = (0..self.network.len()).collect();
        order.sort_by_key(|&index| self.network.id(index));
        let held = |holders: &[HolderCount], index: usize| {
            let id = self.network.id(index);
            holders.iter().find(|holder| Some(holder.id) == id).map_or(0, |holder| holder.shards)
        };
        let place = |index: usize, mark: Mark| Place { index, mark };
        let before = order.iter().map(|&index| {
            place(
                index,
                if index < self.options.nodes {
                    Mark::Holds(held(&self.before.holders, index))
                } else {
                    Mark::Absent
                },
            )
        });
        let after = order.iter().map(|&index| {
            let mark = if killed.contains(&index) {
                Mark::Dead
            } else if index >= self.options.nodes {
                Mark::Reader
            } else {
                Mark::Holds(held(after.map_or(&[], |health| &health.holders), index))
            };
            place(index, mark)
        });
        self.story.ring(&before.collect::<Vec<_>>(), &after.collect::<Vec<_>>());
    }
}

async fn settle(network: &Testnet) -> Result<(), CliError> {
    network.wait_settled(SETTLE_WAIT).await.map_err(|error| {
        CliError::new(ExitStatus::Deadline, "not_settled", error)
            .state("the daemons ran but did not all find each other; they are stopped")
            .hint("try again when the machine is less busy, or with fewer --nodes")
    })
}

fn shards(health: &Health) -> u64 {
    health.holders.iter().map(|holder| holder.shards).sum()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CliError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| CliError::new(ExitStatus::Internal, "internal", error))
}
