//! Daemons that are killed at random points of puts, by seed.
//!
//! At each point a file is put through a daemon, and up to three daemons (now and then all of them) get SIGKILL after a
//! random part of the time that puts have taken so far. Then they come back. The rules:
//!
//! - A put ends with a link, or with a typed error and no link; and it ends.
//! - Of a put that printed a link, at least as many shards of every chunk as it said were acknowledged are held once
//!   the killed are back and can be reached, and every byte comes back.
//! - What was put before stays whole: some older links are read after each point, all of them at the end, after all
//!   daemons were killed at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use chordage_testnet::{Plan, Testnet, wait_until};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use tokio::process::{Child, Command};

/// Daemons of the network.
const NODES: usize = 6;
/// Codes in use.
const CODES: [&str; 3] = ["2/4", "3/5", "4/6"];
/// Length of a file at most: some chunks.
const BYTES_MAX: u32 = 8 << 20;
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Older links that are read after each point.
const SAMPLE: usize = 2;
/// Exit codes with which a put may end when daemons die: no daemon, too few shards or nodes, a deadline. (Anything
/// else, such as an internal error or a panic, is a bug.)
const TYPED: [i32; 4] = [3, 4, 6, 8];

/// What happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Points at which daemons were killed.
    pub(crate) points: u32,
    /// Daemons killed.
    pub(crate) kills: u32,
    /// Of these, while the put was under way.
    pub(crate) kills_during_puts: u32,
    /// Puts that printed a link.
    pub(crate) stored: u32,
    /// Puts that ended with a typed error.
    pub(crate) refused: u32,
    /// Times that an object was read and compared.
    pub(crate) read: u32,
    /// Chunks whose acknowledged shards were counted.
    pub(crate) chunks: u64,
}

/// A rule that was broken, and where.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);

/// An object that was acknowledged.
struct Stored {
    link: String,
    seed: u64,
    bytes: usize,
    acks: u64,
}

struct Story {
    program: PathBuf,
    dir: PathBuf,
    rng: ChaCha8Rng,
    network: Testnet,
    stored: Vec<Stored>,
    put_time: Duration,
    tally: Tally,
}

/// Runs so many points; `progress` is told after each.
pub(crate) async fn run(
    program: &Path,
    dir: &Path,
    seed: u64,
    points: u32,
    mut progress: impl FnMut(&Tally),
) -> Result<Tally, Violation> {
    let network = Testnet::start(Plan::new(program, dir.join("net"), NODES)).await;
    let mut story = Story {
        program: program.to_owned(),
        dir: dir.to_owned(),
        rng: ChaCha8Rng::seed_from_u64(seed),
        network: network.map_err(|error| Violation(error.to_string()))?,
        stored: Vec::new(),
        put_time: Duration::from_millis(150),
        tally: Tally::default(),
    };
    for point in 0..points {
        let outcome = story.point().await;
        outcome.map_err(|what| story.report(&format!("point {point} of seed {seed}: {what}")))?;
        progress(&story.tally);
    }
    let all: Vec<usize> = (0..NODES).collect();
    let outcome = story.finish(&all).await;
    outcome.map_err(|what| story.report(&format!("after {points} points of seed {seed}: {what}")))?;
    Ok(story.tally)
}

impl Story {
    /// A random number below `limit`.
    fn below(&mut self, limit: u32) -> u32 {
        ((u64::from(self.rng.next_u32()) * u64::from(limit)) >> 32) as u32
    }

    fn pick(&mut self, count: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..NODES).collect();
        (0..count).map(|_| left.swap_remove(self.rng.next_u32() as usize % left.len())).collect()
    }

    async fn point(&mut self) -> Result<(), String> {
        let count = if self.below(8) == 0 { NODES } else { 1 + self.below(3) as usize };
        let victims = self.pick(count);
        let gateway = self.below(NODES as u32) as usize;
        let code = CODES[self.below(3) as usize];
        let (bytes, seed) = (1 + self.below(BYTES_MAX) as usize, self.rng.next_u64());
        // Up to a little behind the end, because the end is a point too.
        let share = self.below(1200);
        let early = self.below(4) == 0;

        let file = self.dir.join("file");
        fs::write(&file, content(bytes, seed)).map_err(|error| error.to_string())?;
        let started = Instant::now();
        let mut command = self.chordage(gateway, &["put", "--json", "--redundancy", code]);
        let mut put = command.arg(&file).spawn().map_err(|error| error.to_string())?;
        tokio::time::sleep(self.put_time * share / 1000).await;
        let under_way = matches!(put.try_wait(), Ok(None));
        self.network.kill(&victims).map_err(|error| error.to_string())?;
        self.tally.points += 1;
        self.tally.kills += victims.len() as u32;
        self.tally.kills_during_puts += if under_way { victims.len() as u32 } else { 0 };
        if early {
            self.network.restart(&victims).await.map_err(|error| error.to_string())?;
        }
        let output = end_of(put).await?;
        let took = started.elapsed();
        if !early {
            self.network.restart(&victims).await.map_err(|error| error.to_string())?;
        }
        self.network.wait_settled(PATIENCE).await.map_err(|error| error.to_string())?;

        if output.status.success() {
            if !under_way {
                self.put_time = (self.put_time * 7 + took.min(Duration::from_secs(2))) / 8;
            }
            let answer = json(&output)?;
            let link = answer["link"].as_str().ok_or("a put that succeeded gave no link")?.to_owned();
            let acks = answer["acks_min"].as_u64().ok_or("a put did not say how many acknowledged")?;
            self.stored.push(Stored { link, seed, bytes, acks });
            self.tally.stored += 1;
            self.check(self.stored.len() - 1).await?;
        } else {
            if !output.status.code().is_some_and(|code| TYPED.contains(&code)) || !output.stdout.is_empty() {
                return Err(format!("a put ended neither well nor with a typed error: {}", shown(&output)));
            }
            self.tally.refused += 1;
        }
        for _ in 0..SAMPLE.min(self.stored.len()) {
            let older = self.below(self.stored.len() as u32) as usize;
            self.check(older).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, all: &[usize]) -> Result<(), String> {
        self.network.kill(all).map_err(|error| error.to_string())?;
        self.network.restart(all).await.map_err(|error| error.to_string())?;
        self.network.wait_settled(PATIENCE).await.map_err(|error| error.to_string())?;
        for number in 0..self.stored.len() {
            self.check(number).await?;
        }
        let stopped = self.network.down(Duration::from_secs(20)).await;
        stopped.map(drop).map_err(|error| error.to_string())
    }

    /// What was acknowledged is held, and every byte comes back.
    async fn check(&mut self, number: usize) -> Result<(), String> {
        let Stored { link, seed, bytes, acks } = &self.stored[number];
        let node = number % NODES;
        // Who has just come back may take a moment to be reached by everybody.
        let held = async || {
            let stat = self.chordage(node, &["stat", "--check", "--json", link]).spawn();
            let stat = json(&end_of(stat.map_err(|error| error.to_string())?).await?)?;
            let health = &stat["health"];
            match health["shards_min"].as_u64() {
                Some(shards) if shards >= *acks => Ok(health["chunks"].as_u64().unwrap_or(0)),
                _ => Err(format!(
                    "object {number}: {acks} shards of each chunk were acknowledged, held are {health}"
                )),
            }
        };
        let chunks = wait_until("what was acknowledged is there", PATIENCE, held).await;
        self.tally.chunks += chunks.map_err(|error| error.to_string())?;
        let cat = self.chordage(node, &["cat", link]).spawn().map_err(|error| error.to_string())?;
        let output = end_of(cat).await?;
        if !output.status.success() || output.stdout != content(*bytes, *seed) {
            let read = output.stdout.len();
            return Err(format!(
                "object {number} of {bytes} bytes came back as {read} bytes: {}",
                output.status
            ));
        }
        self.tally.read += 1;
        Ok(())
    }

    fn chordage(&self, node: usize, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for variable in ["CHORDAGE_API", "CHORDAGE_API_TOKEN", "CHORDAGE_DATA_DIR"] {
            command.env_remove(variable);
        }
        command.args(args).arg("--api").arg(self.network.data_dir(node));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    fn report(&self, what: &str) -> Violation {
        Violation(format!("{what}\n{}", self.network.log_tails(15)))
    }
}

async fn end_of(child: Child) -> Result<Output, String> {
    match tokio::time::timeout(PATIENCE, child.wait_with_output()).await {
        Ok(output) => output.map_err(|error| error.to_string()),
        Err(_) => Err(format!("a command did not end within {PATIENCE:?}")),
    }
}

fn json(output: &Output) -> Result<Value, String> {
    if !output.status.success() {
        return Err(shown(output));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {}", shown(output)))
}

fn shown(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|stream| String::from_utf8_lossy(stream));
    format!("{}: {out} {err}", output.status)
}

fn content(bytes: usize, seed: u64) -> Vec<u8> {
    let mut content = vec![0; bytes];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut content);
    content
}
