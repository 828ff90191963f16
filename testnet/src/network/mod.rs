//! A network of real daemons on this machine.

mod start;

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use chordage_api::client::{Client, ClientError, Timeouts};
use chordage_api::endpoint::{EndpointError, Located};
use chordage_api::types::{MemberStatus, NodeId, PeerStatus, Status};
use rustix::process::Signal;
use tokio::time::Instant;

pub use self::start::StartError;
use crate::launch::Lifetime;
use crate::logs::tail;
use crate::plan::Plan;
use crate::process::{Activity, ProcessId, SignalError};
use crate::state::{NodeState, Places, State, StateError};
use crate::wait::wait_until;

/// How long a killed process may take to disappear. The kernel needs milliseconds; a machine that
/// swaps, longer.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// A daemon on this machine that takes longer than this for its own status is frozen or badly overloaded.
pub(crate) const STATUS_TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(10),
    stall: Duration::from_secs(10),
};

/// Why a node said nothing of itself.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Its data directory does not tell where its API is; most likely it does not run.
    #[error(transparent)]
    NoApi(#[from] EndpointError),
    /// Its API did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A network of daemons. What this handle has started ends when it is dropped, also in a panic, unless it is
/// [detached](Testnet::detach); what it found running ([`attach`](Testnet::attach)) goes on.
#[derive(Debug)]
pub struct Testnet {
    pub(crate) places: Places,
    pub(crate) plan: Plan,
    pub(crate) members: Vec<Member>,
    /// Held by those that may change the network.
    lock: Option<File>,
}

#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) state: NodeState,
    pub(crate) listen: Vec<String>,
    /// Present when this handle started the process.
    pub(crate) child: Option<Child>,
}

impl Member {
    fn running(&self) -> Option<ProcessId> {
        self.state.process.filter(|process| !process.is_gone())
    }

    /// Collects the exit status of a child that has ended. Without this it would stay a zombie.
    fn reap(&mut self) -> Option<String> {
        let child = self.child.as_mut()?;
        let status = child.try_wait().ok()??;
        self.child = None;
        Some(status.to_string())
    }
}

impl Testnet {
    /// Starts a new network and waits until every daemon has joined it.
    pub async fn start(mut plan: Plan) -> Result<Self, StartError> {
        let places = Places::new(&plan.dir)?;
        let lock = places.prepare()?;
        if plan.daemon_args.iter().all(|arg| arg != "--network") {
            // Ports are used again. A name of its own keeps a network from talking to a stranger that has
            // got the port of a daemon that is no more.
            let name = format!("test-{:016x}", RandomState::new().hash_one(&plan.dir));
            plan.daemon_args.extend(["--network".into(), name]);
        }
        let mut network = Self { places, plan, members: Vec::new(), lock: Some(lock) };
        network.grow(network.plan.nodes).await?;
        Ok(network)
    }

    /// Finds the network in a directory, whatever of it still runs. No other command can change it meanwhile.
    pub fn attach(program: impl Into<PathBuf>, dir: &Path) -> Result<Self, StateError> {
        let places = Places::new(dir)?;
        if !places.has_network() {
            return Err(StateError::NoNetwork(places.dir().to_path_buf()));
        }
        let lock = places.lock()?;
        Self::found(program.into(), places, Some(lock))
    }

    /// Finds the network in a directory only to look at it, even while another command changes it.
    pub fn observe(dir: &Path) -> Result<Self, StateError> {
        Self::found(PathBuf::new(), Places::new(dir)?, None)
    }

    fn found(program: PathBuf, places: Places, lock: Option<File>) -> Result<Self, StateError> {
        let state = places.load()?;
        let mut plan = Plan::new(program, places.dir(), state.nodes.len());
        plan.lifetime = Lifetime::Detachable;
        plan.daemon_args = state.daemon_args;
        plan.zones = state.zones;
        let member = |state| Member { state, ..Member::default() };
        let members = state.nodes.into_iter().map(member).collect();
        Ok(Self { places, plan, members, lock })
    }

    /// Whether a network has been made in this directory.
    pub fn exists(dir: &Path) -> bool {
        Places::new(dir).is_ok_and(|places| places.has_network())
    }

    /// Lets the daemons run on after this handle. Meaningful for [`Lifetime::Detachable`]; daemons that are
    /// tied to this process end with it all the same.
    pub fn detach(mut self) -> Result<(), StateError> {
        for member in &mut self.members {
            member.reap();
            member.child = None;
        }
        self.save()
    }

    /// How many nodes the network has, dead ones included.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether the network has no nodes at all.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The indices of the nodes whose processes run (frozen ones included).
    pub fn living(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|&index| self.is_living(index)).collect()
    }

    /// Whether a node's process runs.
    pub fn is_living(&self, index: usize) -> bool {
        self.process(index).is_some()
    }

    /// A node's process, if it runs.
    pub fn process(&self, index: usize) -> Option<ProcessId> {
        self.members.get(index)?.running()
    }

    /// Whether a node is frozen by [`freeze`](Testnet::freeze).
    pub fn is_frozen(&self, index: usize) -> bool {
        self.process(index).is_some_and(|process| process.activity() == Activity::Frozen)
    }

    /// A node's id, once it has started for the first time.
    pub fn id(&self, index: usize) -> Option<NodeId> {
        self.members.get(index)?.state.id
    }

    /// The index of the node with this id.
    pub fn index_of(&self, id: NodeId) -> Option<usize> {
        self.members.iter().position(|member| member.state.id == Some(id))
    }

    /// A node's API address, as it wrote it itself.
    pub fn api(&self, index: usize) -> Option<&str> {
        self.members.get(index)?.state.api.as_deref()
    }

    /// A node's data directory.
    pub fn data_dir(&self, index: usize) -> PathBuf {
        self.places.data_dir(index)
    }

    /// A node's log file.
    pub fn log(&self, index: usize) -> PathBuf {
        self.places.log(index)
    }

    /// The network's directory.
    pub fn dir(&self) -> &Path {
        self.places.dir()
    }

    /// A client of a node's API.
    pub fn client(&self, index: usize) -> Result<Client, EndpointError> {
        Located::in_data_dir(&self.data_dir(index)).map(Client::from)
    }

    /// What a node says of itself.
    pub async fn status(&self, index: usize) -> Result<Status, StatusError> {
        Ok(self.client(index)?.with_timeouts(STATUS_TIMEOUTS).status().await?)
    }

    /// Who is in the network, as far as a node knows.
    pub async fn members(&self, index: usize) -> Result<Vec<MemberStatus>, StatusError> {
        Ok(self.client(index)?.with_timeouts(STATUS_TIMEOUTS).members().await?)
    }

    /// The peers that a node knows.
    pub async fn peers(&self, index: usize) -> Result<Vec<PeerStatus>, StatusError> {
        Ok(self.client(index)?.with_timeouts(STATUS_TIMEOUTS).peers().await?)
    }

    /// Adds nodes to the network until it has `nodes`, and starts them.
    pub async fn grow(&mut self, nodes: usize) -> Result<(), StartError> {
        let first = self.members.len();
        if nodes > first {
            self.members.resize_with(nodes, Member::default);
        }
        let new: Vec<usize> = (first..nodes).collect();
        self.launch(&new).await
    }

    /// Adds one node, starts it and returns its index.
    pub async fn add(&mut self) -> Result<usize, StartError> {
        let index = self.members.len();
        self.grow(index + 1).await?;
        Ok(index)
    }

    /// Adds so many clients to the network, which only store and fetch, and starts them.
    pub async fn add_clients(&mut self, count: usize) -> Result<(), StartError> {
        let first = self.members.len();
        let client =
            || Member { state: NodeState { client: true, ..NodeState::default() }, ..Member::default() };
        self.members.resize_with(first + count, client);
        let new: Vec<usize> = (first..first + count).collect();
        self.launch(&new).await
    }

    /// Whether a node is a client.
    pub fn is_client(&self, index: usize) -> bool {
        self.members.get(index).is_some_and(|member| member.state.client)
    }

    /// How many of the nodes are clients, dead ones included.
    pub fn clients(&self) -> usize {
        self.members.iter().filter(|member| member.state.client).count()
    }

    /// Starts nodes again with their old data directories. Those that still run are stopped first, gently.
    pub async fn restart(&mut self, indices: &[usize]) -> Result<(), StartError> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.members.len()) {
            return Err(StartError::NoSuchNode(index));
        }
        self.stop(indices, KILL_WAIT).await?;
        self.launch(indices).await
    }

    /// Kills nodes with SIGKILL and waits until they are gone. Dead ones stay dead.
    pub fn kill(&mut self, indices: &[usize]) -> Result<(), SignalError> {
        for &index in indices {
            self.signal(index, Signal::KILL)?;
        }
        for &index in indices {
            self.collect(index);
        }
        Ok(())
    }

    /// Freezes a node with SIGSTOP: it keeps its connections and answers nothing.
    pub fn freeze(&self, index: usize) -> Result<(), SignalError> {
        self.signal(index, Signal::STOP)
    }

    /// Lets a frozen node go on.
    pub fn thaw(&self, index: usize) -> Result<(), SignalError> {
        self.signal(index, Signal::CONT)
    }

    /// Asks nodes to leave (SIGTERM) and kills those that have not within `grace`. Returns the killed ones.
    pub async fn stop(&mut self, indices: &[usize], grace: Duration) -> Result<Vec<usize>, SignalError> {
        for &index in indices {
            self.signal(index, Signal::TERM)?;
            // A frozen process gets the signal when it goes on.
            self.signal(index, Signal::CONT)?;
        }
        let deadline = Instant::now() + grace;
        let mut stubborn = Vec::new();
        for &index in indices {
            let Some(process) = self.process(index) else { continue };
            let left = deadline.saturating_duration_since(Instant::now());
            let gone = async || if process.is_gone() { Ok(()) } else { Err("it runs") };
            if wait_until("the daemon leaves", left, gone).await.is_err() && !process.is_gone() {
                stubborn.push(index);
            }
        }
        self.kill(&stubborn)?;
        for &index in indices {
            self.collect(index);
        }
        Ok(stubborn)
    }

    /// Stops everything, gently as long as `grace` lasts. Returns the nodes that had to be killed.
    pub async fn down(&mut self, grace: Duration) -> Result<Vec<usize>, StartError> {
        let killed = self.stop(&self.living(), grace).await?;
        self.save()?;
        Ok(killed)
    }

    /// Removes everything that the network has on disk. Does nothing while a daemon runs and returns `false`.
    pub fn remove(self) -> Result<bool, StateError> {
        if self.lock.is_none() || !self.living().is_empty() {
            return Ok(false);
        }
        self.places.remove().map(|()| true)
    }

    /// The last lines of every log that has any, for a failure report.
    pub fn log_tails(&self, lines: usize) -> String {
        let mut text = String::new();
        for index in 0..self.members.len() {
            let end = tail(&self.log(index), lines);
            if !end.is_empty() {
                text.push_str(&format!("node {index:02}:\n{end}\n"));
            }
        }
        text
    }

    /// Sends a signal to a node's process; a dead one gets nothing, which is no error.
    fn signal(&self, index: usize, signal: Signal) -> Result<(), SignalError> {
        match self.process(index).map(|process| process.signal(signal)) {
            None | Some(Ok(()) | Err(SignalError::Gone(_))) => Ok(()),
            Some(Err(error)) => Err(error),
        }
    }

    /// Waits for a process that has been killed or is ending, and collects its exit status.
    pub(crate) fn collect(&mut self, index: usize) -> String {
        let member = &mut self.members[index];
        if let Some(process) = member.state.process
            && process.wait_gone(KILL_WAIT)
        {
            member.state.process = None;
        }
        member.reap().unwrap_or_else(|| "exit status unknown".into())
    }

    pub(crate) fn save(&self) -> Result<(), StateError> {
        let mut state = State::new(self.plan.daemon_args.clone(), self.plan.zones);
        state.nodes = self.members.iter().map(|member| member.state.clone()).collect();
        self.places.save(&state)
    }
}

impl Drop for Testnet {
    fn drop(&mut self) {
        // First all, then wait for each: nobody has time to notice that the others are gone.
        for member in &mut self.members {
            if let Some(child) = &mut member.child {
                let _ = child.kill();
            }
        }
        let mut ended = false;
        for member in &mut self.members {
            if let Some(mut child) = member.child.take() {
                let _ = child.wait();
                member.state.process = None;
                ended = true;
            }
        }
        // The directory may be gone already, together with the test that made it.
        if ended && self.places.has_network() {
            let _ = self.save();
        }
    }
}
