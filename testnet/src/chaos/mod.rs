//! Chaos: daemons are killed, frozen, drained, cut off and their disks filled and damaged while clients put, get, keep
//! and forget, and a checker knows every byte that was acknowledged, and what must be gone.
//!
//! A run is a sequence of storms. In each, faults hit random daemons, but no more of them than every acknowledged
//! object can bear: one that was acknowledged has a write quorum of shards, so that all but k of these may be hit. Then
//! what was frozen goes on, what was killed is started again or replaced by a new and empty daemon, and the network has
//! to make every object whole without being told; what only daemons kept that are gone for good, another is told to
//! keep. Last, every object is read and compared, everything is forgotten, and then nothing may be stored any more.
//!
//! The seed decides which faults hit whom, in which order, and what clients store and read; how these meet is left to
//! the machine.

mod client;
mod damage;
mod disks;
mod end;
mod keepers;
mod links;
mod report;
pub mod seclusion;
mod storm;
mod twin;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_api::client::Client;
use chordage_api::endpoint::Located;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::report::ChaosReport;
use crate::network::{STATUS_TIMEOUTS, StartError, Testnet};
use crate::process::SignalError;
use crate::wait::{WaitError, wait_until};

/// Settings under which a network notices and repairs within seconds what takes a real one hours and days.
pub const IMPATIENT: &str = "\
[repair]
survey_seconds = 1
suspect_seconds = 2
lost_seconds = 5
restore_seconds = 1
turn_seconds = 20
bytes_per_second = 50000000
brake_percent = 100

[scrub]
period_seconds = 5

[leases]
lease_seconds = 90
unfinished_seconds = 15
renew_seconds = 3
orphan_seconds = 90
";

/// The longest lease under [`IMPATIENT`]: what was kept by a daemon that is gone for good ends after so long.
const LEASE: Duration = Duration::from_secs(90);

/// How long a network may take to make everything whole after a storm.
const HEAL_WAIT: Duration = Duration::from_secs(180);

/// What can happen to a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// SIGKILL. It is started again after the storm, or replaced by a new one.
    Kill,
    /// SIGSTOP: it keeps its connections and answers nothing, until the storm is over.
    Stop,
    /// Bytes of its segment files are flipped while it runs.
    Corrupt,
    /// Everybody is killed at once, and started again.
    Blackout,
    /// It is killed, one of its books is removed, cut short or flipped, and it is started again.
    Books,
    /// It is killed, and started again with a clock that is off by up to some years.
    Clock,
    /// A copy of its data directory runs beside it for some seconds.
    Twin,
    /// It hands on what it holds, leaves for good, and a new one takes its place.
    Drain,
    /// A segment file of it is cut short while it runs.
    Cut,
    /// Its answers come late: it stands still for most of the time.
    Slow,
    /// Its disk is full.
    Fill,
    /// No packet goes to it or comes from it.
    Isolate,
    /// No packet goes to it; what it says is heard.
    OneWay,
    /// One in ten of its packets is lost.
    Loss,
    /// Its packets are lost when they are large.
    Narrow,
    /// Its TCP is lost, and QUIC is not.
    NoTcp,
    /// Its QUIC is lost, and TCP is not.
    NoQuic,
}

impl Fault {
    /// Whether it needs a network and a view of the file systems of its own, see [`seclusion`].
    pub fn needs_seclusion(self) -> bool {
        use Fault::*;
        matches!(self, Fill | Isolate | OneWay | Loss | Narrow | NoTcp | NoQuic)
    }
}

/// What to do to a network, and for how long.
#[derive(Clone, Debug)]
pub struct ChaosPlan {
    /// Decides everything that the machine does not.
    pub seed: u64,
    /// No storm begins after this.
    pub duration: Duration,
    /// Which faults occur; each is as likely as the others.
    pub faults: Vec<Fault>,
    /// Shards needed and shards made of what clients put, `K/N`.
    pub redundancy: String,
    /// Daemons that may be hit in one storm.
    pub hits_max: usize,
    /// Clients that put and get at the same time.
    pub clients: usize,
    /// The daemons' settings, as [`IMPATIENT`], which a daemon reads when it starts.
    pub settings: PathBuf,
    /// Bytes of the largest object.
    pub object_bytes_max: usize,
    /// Whether this process runs in a [`seclusion`], which some faults need.
    pub secluded: bool,
}

/// Why a run could not be carried through. What was learnt until then is lost; the network's logs are kept.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// A daemon did not start again.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A signal could not be sent.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// The network did not become whole in time.
    #[error("the network did not heal: {0}")]
    NotHealed(#[from] WaitError),
    /// A daemon did not hand on what it holds.
    #[error("daemon {index} could not be drained: {problem}")]
    NotDrained {
        /// Which.
        index: usize,
        /// Why.
        problem: String,
    },
    /// The settings could not be written.
    #[error("cannot write {}: {error}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Packets could not be made to be lost.
    #[error("cannot change which packets are lost: {problem}")]
    Links {
        /// What the system said.
        problem: String,
    },
    /// A disk could not be damaged.
    #[error("cannot damage {}: {error}", path.display())]
    Damage {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// What clients share with the one who breaks things.
struct World {
    program: PathBuf,
    plan: ChaosPlan,
    state: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Data directories of daemons that should answer.
    usable: Vec<PathBuf>,
    objects: Vec<Object>,
    /// Those that were forgotten, with the keepers that could not be told yet.
    to_forget: Vec<Object>,
    /// Data directories of daemons whose disks are small.
    small_disks: BTreeMap<usize, PathBuf>,
    report: ChaosReport,
    over: bool,
}

/// An acknowledged object. Its bytes follow from its number and its length.
#[derive(Clone, Debug)]
struct Object {
    number: u64,
    bytes: usize,
    link: String,
    /// Data directories of the daemons that keep it.
    keepers: Vec<PathBuf>,
}

impl World {
    fn state(&self) -> MutexGuard<'_, Shared> {
        // Each change is one step, so that a thread that panicked left it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an object was not forgotten.
    fn keeps(&self, number: u64) -> bool {
        self.state().objects.iter().any(|object| object.number == number)
    }
}

/// What a storm leaves to be mended.
#[derive(Default)]
struct Harm {
    killed: Vec<usize>,
    /// These are not started again.
    drained: Vec<usize>,
    slow: Vec<links::Slow>,
    /// Those with full disks.
    full: Vec<usize>,
    /// Packets are lost.
    links: bool,
}

/// Lets chaos loose on a network that has settled and whose daemons have settings like [`IMPATIENT`]. The network ends
/// with it; its directory stays.
pub async fn run(mut net: Testnet, program: &Path, plan: ChaosPlan) -> Result<ChaosReport, ChaosError> {
    let report = ChaosReport { seed: plan.seed, ..ChaosReport::default() };
    let state = Mutex::new(Shared { report, ..Shared::default() });
    let world = Arc::new(World { program: program.to_owned(), plan, state });
    let outcome = storms(&mut net, &world).await;
    drop(net);
    disks::take_back(world.state().small_disks.values())?;
    outcome
}

async fn storms(net: &mut Testnet, world: &Arc<World>) -> Result<ChaosReport, ChaosError> {
    let mut random = ChaCha8Rng::seed_from_u64(world.plan.seed);
    if world.plan.secluded {
        disks::give(net, world, &net.living()).await?;
        net.wait_settled(HEAL_WAIT).await?;
    }
    let started = Instant::now();
    note_usable(net, world);
    let mut working = JoinSet::new();
    for number in 0..world.plan.clients {
        working.spawn(client::work(world.clone(), number as u64));
    }
    while started.elapsed() < world.plan.duration {
        let harm = storm::storm(net, world, &mut random).await?;
        heal(net, world, &mut random, harm).await?;
        world.state().report.storms += 1;
    }
    world.state().over = true;
    while let Some(ended) = working.join_next().await {
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    client::read_everything(world).await;
    end::forget_everything(net, world).await;
    let mut report = std::mem::take(&mut world.state().report);
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

fn note_usable(net: &Testnet, world: &World) {
    let usable = net.living().into_iter().filter(|&index| !net.is_frozen(index));
    world.state().usable = usable.map(|index| net.data_dir(index)).collect();
}

/// Ends the storm, and waits until every acknowledged object is whole.
async fn heal(
    net: &mut Testnet,
    world: &World,
    random: &mut ChaCha8Rng,
    harm: Harm,
) -> Result<(), ChaosError> {
    for slow in harm.slow {
        slow.end().await;
    }
    for index in net.living() {
        net.thaw(index)?;
    }
    if harm.links {
        let lost = seclusion::clear_rules().map_err(|problem| ChaosError::Links { problem })?;
        world.state().report.lost_packets += lost;
    }
    for index in harm.full {
        let dir = net.data_dir(index);
        damage::make_room(&dir).map_err(|error| ChaosError::Damage { path: dir, error })?;
    }
    let (mut replaced, restarted): (Vec<usize>, Vec<usize>) =
        harm.killed.iter().partition(|_| below(random, 2) == 0);
    replaced.extend(&harm.drained);
    net.restart(&restarted).await?;
    if !replaced.is_empty() {
        let first = net.len();
        net.grow(first + replaced.len()).await?;
        if world.plan.secluded {
            let new: Vec<usize> = (first..net.len()).collect();
            disks::give(net, world, &new).await?;
        }
        world.state().report.replaced += replaced.len() as u64;
    }
    net.wait_settled(HEAL_WAIT).await?;
    note_usable(net, world);
    keepers::find_new_ones(net, world, random).await;
    keepers::forget_again(net, world).await;
    let began = Instant::now();
    let (objects, through) = {
        let state = world.state();
        (state.objects.clone(), state.usable.clone())
    };
    for (position, object) in objects.iter().enumerate() {
        let through = &through[position % through.len()];
        let left = HEAL_WAIT.saturating_sub(began.elapsed());
        let is_whole = async || match world.keeps(object.number) {
            true => whole(through, object).await,
            // A client has forgotten it.
            false => Ok(()),
        };
        wait_until("every object is whole", left, is_whole).await?;
    }
    let mut state = world.state();
    state.report.heal_seconds_max = state.report.heal_seconds_max.max(began.elapsed().as_secs_f64());
    Ok(())
}

/// Whether every shard of an object is on a live daemon; otherwise what is missing.
async fn whole(through: &Path, object: &Object) -> Result<(), String> {
    let located = Located::in_data_dir(through).map_err(|error| error.to_string())?;
    let client = Client::from(located).with_timeouts(STATUS_TIMEOUTS);
    let explained = client.explain(&object.link, 1).await.map_err(|error| error.to_string())?;
    if explained.whole == explained.chunks {
        return Ok(());
    }
    let worst = explained.worst.first();
    Err(format!(
        "object {}: {} of {} chunks are whole; the worst: {worst:?}",
        object.number, explained.whole, explained.chunks
    ))
}

/// A number below `end`, which is not 0.
fn below(random: &mut ChaCha8Rng, end: usize) -> usize {
    (random.next_u64() % end as u64) as usize
}
