//! Starting the daemons of a network: a few at a time, each told about some that live already.

use std::path::Path;

use chordage_api::client::Client;
use chordage_api::endpoint::Located;
use chordage_api::types::{DaemonRole, DaemonState, Status};
use tokio::task::JoinSet;

use super::{STATUS_TIMEOUTS, Testnet};
use crate::launch::{Launch, LaunchError};
use crate::logs::tail;
use crate::process::{ProcessId, SignalError};
use crate::state::StateError;
use crate::wait::{WaitError, wait_until};

/// Lines of a daemon's log that an error message carries.
const LOG_LINES: usize = 12;
/// How many living daemons a new one is told to ask.
const BOOTSTRAP_NODES: usize = 3;

/// Why daemons did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The network's directory could not be used. No daemon was started.
    #[error(transparent)]
    State(#[from] StateError),
    /// The process could not be started.
    #[error("node {index:02}: {error}")]
    Launch {
        /// Which node.
        index: usize,
        /// Why.
        error: LaunchError,
    },
    /// The daemon ended before it was ready.
    #[error("node {index:02} ended while starting ({status}); its log ends with:\n{log}")]
    Ended {
        /// Which node.
        index: usize,
        /// Its exit status, as far as it is known.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// The daemon runs but was not ready in time.
    #[error("node {index:02}: {error}; its log ends with:\n{log}")]
    NotReady {
        /// Which node.
        index: usize,
        /// What was missing.
        error: WaitError,
        /// The end of its log.
        log: String,
    },
    /// The network has no node of that number.
    #[error("the network has no node {0}")]
    NoSuchNode(usize),
    /// A daemon that should have been stopped first could not be.
    #[error(transparent)]
    Signal(#[from] SignalError),
}

impl Testnet {
    /// Starts nodes that do not run. They are told the addresses of some that live. In a network that is wholly
    /// down the first one founds it (again), and the others are told its address as soon as it listens: it may
    /// take a while until it is sure that it is alone, and they spare it that.
    pub(crate) async fn launch(&mut self, indices: &[usize]) -> Result<(), StartError> {
        self.places.close()?;
        let mut bootstrap = self.bootstrap().await;
        // Members first: clients cannot found a network.
        let (clients, members): (Vec<usize>, Vec<usize>) =
            indices.iter().copied().partition(|&index| self.is_client(index));
        let mut to_start = members.into_iter().chain(clients).peekable();
        let mut starting = JoinSet::new();
        loop {
            while starting.len() < self.plan.starting_max.max(1) && to_start.peek().is_some() {
                let Some(index) = to_start.next() else { break };
                let process = self.spawn(index, &bootstrap)?;
                let data_dir = self.data_dir(index);
                let start_wait = self.plan.start_wait;
                if bootstrap.is_empty() {
                    let listens =
                        wait_until("the daemon listens", start_wait, || listens(process, &data_dir));
                    let addresses = listens.await.map_err(|error| self.not_ready(index, error))?;
                    bootstrap.extend(addresses.into_iter().next());
                }
                starting.spawn(async move {
                    let joined = wait_until("the daemon joins", start_wait, || ready(process, &data_dir));
                    (index, joined.await)
                });
            }
            let Some(finished) = starting.join_next().await else { break };
            let (index, ready) = match finished {
                Ok(finished) => finished,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            match ready {
                Ok(Ready::Joined { api, status }) => {
                    if bootstrap.len() < BOOTSTRAP_NODES {
                        bootstrap.extend(status.membership.listen.first().cloned());
                    }
                    let member = &mut self.members[index];
                    member.state.api = Some(api);
                    member.state.id = Some(status.identity.id);
                    member.listen = status.membership.listen;
                }
                Ok(Ready::Ended) => {
                    let status = self.collect(index);
                    let log = tail(&self.log(index), LOG_LINES);
                    return Err(StartError::Ended { index, status, log });
                }
                Err(error) => return Err(self.not_ready(index, error)),
            }
        }
        self.save()?;
        Ok(())
    }

    fn not_ready(&self, index: usize, error: WaitError) -> StartError {
        StartError::NotReady { index, error, log: tail(&self.log(index), LOG_LINES) }
    }

    fn spawn(&mut self, index: usize, bootstrap: &[String]) -> Result<ProcessId, StartError> {
        let client = self.is_client(index);
        let launch = Launch {
            program: &self.plan.program,
            data_dir: &self.places.data_dir(index),
            log: &self.places.log(index),
            listen: if client { &[] } else { &self.plan.listen },
            client,
            zone: index.checked_rem(self.plan.zones),
            bootstrap,
            daemon_args: &self.plan.daemon_args,
            lifetime: self.plan.lifetime,
        };
        let (child, process) = launch.spawn().map_err(|error| StartError::Launch { index, error })?;
        let member = &mut self.members[index];
        member.child = Some(child);
        member.state.process = Some(process);
        // At once: should we be killed now, `down` still finds the daemon.
        self.save()?;
        Ok(process)
    }

    /// Addresses of a few daemons that live and have joined.
    async fn bootstrap(&self) -> Vec<String> {
        let mut addresses = Vec::new();
        for index in self.living() {
            if addresses.len() == BOOTSTRAP_NODES {
                break;
            }
            if self.is_frozen(index) {
                continue;
            }
            let known = self.members[index].listen.first().cloned();
            let asked = match known {
                Some(address) => Some(address),
                None => self
                    .status(index)
                    .await
                    .ok()
                    .and_then(|status| status.membership.listen.into_iter().next()),
            };
            addresses.extend(asked);
        }
        addresses
    }
}

enum Ready {
    Joined { api: String, status: Box<Status> },
    Ended,
}

/// Looks whether a daemon that has been started is a member of its network by now.
async fn ready(process: ProcessId, data_dir: &Path) -> Result<Ready, String> {
    if process.is_gone() {
        return Ok(Ready::Ended);
    }
    let (api, status) = ask(process, data_dir).await?;
    if status.membership.state == DaemonState::Joined
        && (status.membership.role == DaemonRole::Client || !status.membership.listen.is_empty())
    {
        return Ok(Ready::Joined { api, status: Box::new(status) });
    }
    let problem = status.membership.join_problem.as_deref().unwrap_or("no problem is known");
    Err(format!(
        "it is {} and listens on {} addresses ({problem})",
        status.membership.state,
        status.membership.listen.len()
    ))
}

/// Looks where a daemon that has been started listens; nothing when it has ended.
async fn listens(process: ProcessId, data_dir: &Path) -> Result<Vec<String>, String> {
    if process.is_gone() {
        return Ok(Vec::new());
    }
    let (_, status) = ask(process, data_dir).await?;
    if status.membership.listen.is_empty() {
        Err("it does not listen yet".into())
    } else {
        Ok(status.membership.listen)
    }
}

async fn ask(process: ProcessId, data_dir: &Path) -> Result<(String, Status), String> {
    let located = Located::in_data_dir(data_dir).map_err(|error| format!("its API is not up ({error})"))?;
    let api = located.endpoint.to_string();
    let client = Client::from(located).with_timeouts(STATUS_TIMEOUTS);
    let status = client.status().await.map_err(|error| format!("its API says nothing ({error})"))?;
    if status.identity.pid == process.pid {
        Ok((api, status))
    } else {
        Err(format!("process {} answers in its place", status.identity.pid))
    }
}
