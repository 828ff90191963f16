//! A process per side, so that what the system counts (CPU time, open files) belongs to one side alone. The parent says
//! on a line whose turn it is, the child answers with a line of figures.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::Args;
use crate::measure::{Sample, cpu_seconds, stretch};
use crate::work::{Network, Side, Work};

/// What the parent says.
#[derive(Serialize, Deserialize)]
pub(crate) struct Turn {
    /// What to do with how many in flight; nothing: idle.
    pub(crate) work: Option<(Work, usize)>,
    pub(crate) seconds: f64,
    pub(crate) seed: u64,
}

/// What the child answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) sample: Option<Sample>,
    pub(crate) cpu_ms_per_second: f64,
}

/// A side, as the parent has it. It ends when its input does.
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a side and waits until its network is there.
    pub(crate) fn start(args: &Args, side: Side, nodes: usize) -> Result<Process, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let name = if side == Side::Kad { "kad" } else { "chordage" };
        let mut child = Command::new(program)
            .args(["--side", name, "--nodes", &nodes.to_string(), "--seed", &args.seed.to_string()])
            .args(["--threads", &args.threads.to_string(), "--metric", &args.metric.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut process = Process { child, input, output };
        process.answer()?;
        Ok(process)
    }

    /// Gives it a turn.
    pub(crate) fn turn(&mut self, turn: &Turn) -> Result<Done, String> {
        let line = serde_json::to_string(turn).map_err(|error| error.to_string())?;
        let input = self.input.as_mut().ok_or("no pipe")?;
        writeln!(input, "{line}").and_then(|()| input.flush()).map_err(|error| error.to_string())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Done, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|_| "one side has ended early".to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        // It has nothing to say any more; how it ends no longer matters.
        let _ = self.child.wait();
    }
}

/// Is one side, until there are no more turns.
pub(crate) fn serve(args: &Args, side: Side) -> Result<(), String> {
    let nodes = *args.nodes.first().ok_or("no size")?;
    allow_open_files(nodes as u64)?;
    let runtime = match args.threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        threads => tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    };
    let runtime = runtime.map_err(|error| error.to_string())?;
    let result = runtime.block_on(turns(args, side, nodes));
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

async fn turns(args: &Args, side: Side, nodes: usize) -> Result<(), String> {
    let mut rng = ChaCha12Rng::seed_from_u64(args.seed);
    let network = Arc::new(Network::start(side, nodes, args.metric, &mut rng).await?);
    say(&Done { sample: None, cpu_ms_per_second: 0.0 })?;
    loop {
        // On a thread of its own: the network goes on meanwhile.
        let line = tokio::task::spawn_blocking(|| io::stdin().lines().next());
        let Ok(Some(Ok(line))) = line.await else { return Ok(()) };
        let Turn { work, seconds, seed } = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        let (before, time) = (cpu_seconds(), Duration::from_secs_f64(seconds));
        let sample = match work {
            Some((work, in_flight)) => {
                let mut rng = ChaCha12Rng::seed_from_u64(seed);
                Some(stretch(&network, work, in_flight, time, &mut rng).await?)
            }
            None => {
                tokio::time::sleep(time).await;
                None
            }
        };
        say(&Done { sample, cpu_ms_per_second: (cpu_seconds() - before) * 1e3 / seconds })?;
    }
}

fn say(done: &Done) -> Result<(), String> {
    let line = serde_json::to_string(done).map_err(|error| error.to_string())?;
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(|error| error.to_string())
}

/// Both ends of every connection are files of this process, and two nodes that dial each other at the same time have
/// two. Takes what the system gives without being asked to change its limits.
fn allow_open_files(nodes: u64) -> Result<(), String> {
    let wanted = nodes * nodes * 3 / 2 + 1024;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < wanted) {
        return Err(format!("{nodes} nodes need {wanted} open files, more than this system allows"));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .map_err(|error| format!("{wanted} open files are needed: {error}"))
}
