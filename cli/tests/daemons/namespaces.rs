//! Network namespaces, and daemons in them.
//!
//! The namespaces have no names: each lasts as long as the processes in it, and those end when the test does, however
//! it ends.

use std::fs;
use std::future::ready;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chordage_testnet::wait_until;
use serde_json::Value;

use crate::harness::{PATIENCE, PROGRAM, chordage, finish, json_of, shown};

/// A process that ends with this value.
pub(crate) struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace: that of a process which only waits for its standard input to end.
pub(crate) struct Namespace(Owned);

impl Namespace {
    pub(crate) fn new() -> Result<Self, String> {
        let mut command = Command::new("unshare");
        command.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let namespace =
            Namespace(Owned(command.spawn().map_err(|error| format!("unshare cannot be run: {error}"))?));
        let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let (ours, process) = (network("self"), namespace.process());
        let started = Instant::now();
        // Before that, whatever is run there would be run here.
        while network(&process).is_none_or(|theirs| Some(theirs) == ours) {
            let ended = fs::read_link(format!("/proc/{process}/exe")).is_err();
            if ended || started.elapsed() > Duration::from_secs(20) {
                return Err("no network namespace can be made (root is needed)".to_owned());
            }
            std::thread::yield_now();
        }
        namespace.run("ip link set lo up")?;
        Ok(namespace)
    }

    pub(crate) fn process(&self) -> String {
        self.0.0.id().to_string()
    }

    /// A command that will run in this namespace.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.process(), program]);
        command
    }

    /// Has a program run for as long as what is returned lives.
    pub(crate) fn keep(&self, program: &str, args: &[&str]) -> Result<Owned, String> {
        let mut command = self.command(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Owned).map_err(|error| format!("nsenter cannot be run: {error}"))
    }

    /// Runs a command of plain words.
    pub(crate) fn run(&self, line: &str) -> Result<(), String> {
        self.said_by(line).map(drop)
    }

    /// The same; returns what it says.
    pub(crate) fn said_by(&self, line: &str) -> Result<String, String> {
        let mut words = line.split_whitespace();
        let output = self
            .command(words.next().unwrap_or_default())
            .args(words)
            .output()
            .map_err(|error| format!("nsenter cannot be run: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("`{line}`: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// Says why a test is skipped. Not by a macro that prints: what those write is shown only of tests that fail.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

/// A daemon, in a namespace or in none.
pub(crate) struct Running {
    process: Owned,
    dir: PathBuf,
}

impl Running {
    pub(crate) fn start(namespace: &Namespace, dir: PathBuf, args: &[&str]) -> Self {
        Running::by(namespace.command(PROGRAM), dir, args)
    }

    /// One in no namespace but our own.
    pub(crate) fn here(dir: PathBuf, args: &[&str]) -> Self {
        Running::by(Command::new(PROGRAM), dir, args)
    }

    pub(crate) fn by(mut command: Command, dir: PathBuf, args: &[&str]) -> Self {
        let log = || fs::File::options().create(true).append(true).open(dir.with_extension("log")).unwrap();
        command.args(["daemon", "--exit-on-stdin-close", "--data-dir"]).arg(&dir).args(args);
        for variable in ["CHORDAGE_API", "CHORDAGE_API_TOKEN", "CHORDAGE_DATA_DIR", "SSLKEYLOGFILE"] {
            command.env_remove(variable);
        }
        let child = command.stdin(Stdio::piped()).stdout(log()).stderr(log()).spawn().unwrap();
        Running { process: Owned(child), dir }
    }

    /// Its process, to send signals to.
    pub(crate) fn process(&self) -> u32 {
        self.process.0.id()
    }

    pub(crate) async fn run(&self, args: &[&str]) -> std::process::Output {
        let mut command = chordage(args.iter().copied());
        command.arg("--api").arg(&self.dir);
        finish(command).await
    }

    /// Its status, once it knows so many members.
    pub(crate) async fn joined(&self, members: usize) -> Value {
        self.status(|status| status["state"] == "joined" && status["network_nodes"] == members).await
    }

    /// Its status, once it is as wanted.
    pub(crate) async fn status(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let as_wanted = async || {
            let output = self.run(&["status", "--json"]).await;
            let status = if output.status.success() { json_of(&output) } else { Value::Null };
            match wanted(&status) {
                true => Ok(status),
                false => Err(format!("{}\n{}", shown(&output), self.log())),
            }
        };
        wait_until("the daemon is as wanted", PATIENCE, as_wanted).await.unwrap()
    }

    /// Asks it to leave, and waits until its process has ended.
    pub(crate) async fn leave(mut self) {
        drop(self.process.0.stdin.take());
        let ended = || ready(self.process.0.try_wait().ok().flatten().ok_or("it runs"));
        assert!(wait_until("the daemon leaves", PATIENCE, ended).await.unwrap().success());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    pub(crate) async fn put(&self, redundancy: &str, path: &Path) -> String {
        let output = self.run(&["put", "--json", "--redundancy", redundancy, path.to_str().unwrap()]).await;
        json_of(&output)["link"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, link: &str, path: &Path) -> Vec<u8> {
        let output = self.run(&["get", "--json", link, "-o", path.to_str().unwrap()]).await;
        assert!(output.status.success(), "{}\n{}", shown(&output), self.log());
        fs::read(path).unwrap()
    }
}
