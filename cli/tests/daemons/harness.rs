//! A network of daemons in a directory of its own, and the program run against it.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use chordage_api::types::Health;
use chordage_testnet::{Plan, Testnet, wait_until};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use tokio::process::Command;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_chordage");
/// How long anything here may take. Far more than needed: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A network that is gone when the test is, and shows its logs when the test fails.
pub(crate) struct Net {
    pub(crate) net: Testnet,
    // After the network, so that it is removed when no daemon writes into it any more.
    dir: tempfile::TempDir,
}

impl Net {
    pub(crate) async fn start(nodes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let net = Testnet::start(Plan::new(PROGRAM, dir.path().join("net"), nodes)).await.unwrap();
        net.wait_settled(PATIENCE).await.unwrap();
        Self { net, dir }
    }

    /// A network that was started in a directory of the test's own.
    pub(crate) fn of(net: Testnet, dir: tempfile::TempDir) -> Self {
        Self { net, dir }
    }

    /// A network that was started with settings of its own inside of `dir`.
    pub(crate) fn around(net: Testnet, dir: tempfile::TempDir) -> Self {
        Self { net, dir }
    }

    /// A path in the test's own directory, beside the network.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of random bytes, which are the same for the same seed.
    pub(crate) fn random_file(&self, name: &str, bytes: usize, seed: u64) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, random_bytes(bytes, seed)).unwrap();
        path
    }

    /// Stores a path through a node and returns the link.
    pub(crate) async fn put(&self, node: usize, redundancy: &str, path: &Path) -> String {
        let output = self.run(node, ["put", "--json", "--redundancy", redundancy], [path]).await;
        json_of(&output)["link"].as_str().unwrap().to_owned()
    }

    /// Fetches a link through a node into a new file and returns what came.
    pub(crate) async fn get(&self, node: usize, link: &str, name: &str) -> Vec<u8> {
        let path = self.path(name);
        let output = self.run(node, ["get", "--json", link, "-o"], [&path]).await;
        assert!(output.status.success(), "{}", shown(&output));
        fs::read(path).unwrap()
    }

    /// `chordage --api NODE FIRST... REST...`
    pub(crate) async fn run<'a, R: AsRef<OsStr>>(
        &self,
        node: usize,
        first: impl IntoIterator<Item = &'a str>,
        rest: impl IntoIterator<Item = R>,
    ) -> Output {
        let mut command = chordage(first);
        command.args(rest).arg("--api").arg(self.net.data_dir(node));
        finish(command).await
    }

    /// Shards that a node found damaged since it started.
    pub(crate) async fn damaged(&self, node: usize) -> u64 {
        self.net.status(node).await.unwrap().damage.damaged_shards
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.net.log_tails(20));
        }
    }
}

/// The program with arguments, nothing of the caller's environment, and an end when the test ends.
pub(crate) fn chordage<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(PROGRAM);
    for variable in
        ["CHORDAGE_API", "CHORDAGE_API_TOKEN", "CHORDAGE_DATA_DIR", "CHORDAGE_LOG", "CHORDAGE_VOLUME"]
    {
        command.env_remove(variable);
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command to its end, which has to come.
pub(crate) async fn finish(mut command: Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap()
}

/// The last line of a successful command's standard output.
pub(crate) fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", shown(output));
    last_json(&output.stdout)
}

/// The last line of a stream.
pub(crate) fn last_json(stream: &[u8]) -> Value {
    let text = String::from_utf8_lossy(stream);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

/// An ended command for a failure report.
pub(crate) fn shown(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|stream| String::from_utf8_lossy(stream));
    format!("{}\nstandard output:\n{out}\nstandard error:\n{err}", output.status)
}

pub(crate) fn random_bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; count];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Processes whose command line names a directory: daemons of a network there.
pub(crate) fn processes_of(dir: &Path) -> Vec<u32> {
    let dir = dir.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // Empty for zombies, which do not run any more; unreadable for those that end while we look.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if let Some(pid) = pid
            && line.windows(dir.len()).any(|part| part == dir)
        {
            found.push(pid);
        }
    }
    found
}

/// Seconds where a network of real life has hours and days.
pub(crate) const IMPATIENT: &str = "\
[repair]
survey_seconds = 1
suspect_seconds = 1
lost_seconds = 3
restore_seconds = 1
turn_seconds = 20
bytes_per_second = 50000000
brake_percent = 100
";

/// Seconds where a network of real life has weeks. Repair stays out of it.
pub(crate) const SHORT: &str = "\
[leases]
lease_seconds = 20
renew_seconds = 2
orphan_seconds = 20
expire = true
[repair]
enabled = false
";

/// Claims that do not end in the time of a test, unless a put is not finished or nobody's claim was dropped.
pub(crate) const LONG: &str = "\
[leases]
lease_seconds = 6000
unfinished_seconds = 8
renew_seconds = 2
orphan_seconds = 6000
[repair]
enabled = false
";

impl Net {
    /// A network whose daemons have settings of their own.
    pub(crate) async fn with_settings(nodes: usize, settings: &str) -> Self {
        Self::in_zones(nodes, 0, settings).await
    }

    /// The same, with daemons in so many failure domains, in turn.
    pub(crate) async fn in_zones(nodes: usize, zones: usize, settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("settings.toml");
        fs::write(&file, settings).unwrap();
        let mut plan = Plan::new(PROGRAM, dir.path().join("net"), nodes);
        plan.zones = zones;
        plan.daemon_args = vec!["--config".into(), file.display().to_string()];
        let net = Testnet::start(plan).await.unwrap();
        net.wait_settled(PATIENCE).await.unwrap();
        Self::of(net, dir)
    }

    pub(crate) async fn explain(&self, node: usize, link: &str) -> Value {
        json_of(&self.run(node, ["explain", "--json"], [link]).await)
    }

    pub(crate) async fn health(&self, node: usize, link: &str) -> Health {
        self.net.client(node).unwrap().stat(link, true).await.unwrap().health.expect("asked for")
    }

    /// Waits until every shard of an object is on a live node.
    pub(crate) async fn wait_whole(&self, node: usize, link: &str) {
        let whole = async || {
            let health = self.health(node, link).await;
            if health.full == health.chunks {
                Ok(())
            } else {
                Err(format!("{} of {} chunks are whole", health.full, health.chunks))
            }
        };
        wait_until("every shard is there", PATIENCE, whole).await.unwrap();
    }

    /// The daemons that hold shards of an object, which is all there is in the network and is whole: those with most of
    /// them first. The first daemon is not among them. Which daemons get a chunk's shards is chance where there are
    /// more daemons than shards.
    pub(crate) async fn holders(&self, link: &str) -> Vec<usize> {
        self.wait_whole(0, link).await;
        let mut held = Vec::new();
        for node in self.net.living() {
            let shards = self.net.status(node).await.unwrap().store.shards;
            if node != 0 && shards > 0 {
                held.push((Reverse(shards), node));
            }
        }
        held.sort_unstable();
        held.into_iter().map(|(_, node)| node).collect()
    }

    pub(crate) async fn forget(&self, node: usize, link: &str) -> Value {
        json_of(&self.run(node, ["forget", "--json"], [link]).await)
    }

    /// Bytes of shards on all living daemons.
    pub(crate) async fn stored(&self) -> u64 {
        let mut bytes = 0;
        for node in self.net.living() {
            bytes += self.net.status(node).await.unwrap().store.stored_bytes;
        }
        bytes
    }

    pub(crate) async fn wait_stored(&self, what: &str, right: impl Fn(u64) -> bool) {
        let look = async || match self.stored().await {
            bytes if right(bytes) => Ok(()),
            bytes => Err(format!("{bytes} bytes are stored")),
        };
        wait_until(what, PATIENCE, look).await.unwrap();
    }

    /// What a daemon keeps.
    pub(crate) async fn keeps(&self, node: usize) -> Vec<Value> {
        let keeps = json_of(&self.run(node, ["keeps", "--json"], [] as [&str; 0]).await);
        keeps.as_array().unwrap().clone()
    }
}

/// Flips a byte in so many of the larger files below a directory, the beginnings left alone.
pub(crate) fn flip_bytes(dir: &Path, every: usize) -> usize {
    let mut flipped = 0;
    for path in files_below(dir) {
        let mut bytes = fs::read(&path).unwrap();
        // The index is small, and rebuilt from the segments if it is damaged; the segments hold the shards.
        if path.extension().is_some_and(|extension| extension == "redb") || bytes.len() < 100_000 {
            continue;
        }
        for position in (25_000..bytes.len()).step_by(every) {
            bytes[position] ^= 0x40;
            flipped += 1;
        }
        fs::write(&path, bytes).unwrap();
    }
    flipped
}

pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}
