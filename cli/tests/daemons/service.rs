//! A daemon as a service: what it tells the service manager that started it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chordage_node::Config;
use chordage_testnet::ProcessId;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::harness::{PATIENCE, PROGRAM, chordage, finish, shown};
use crate::namespaces::skipped;

/// The watchdog's time.
const WATCHDOG: Duration = Duration::from_secs(4);

/// One who starts a daemon and wants to know how it is.
struct Manager {
    dir: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        Manager { dir, socket }
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn start(&self) -> Child {
        let mut daemon = chordage(["daemon", "--quiet", "--data-dir"]);
        daemon.arg(self.data_dir());
        daemon.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        daemon.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string()).env_remove("WATCHDOG_PID");
        daemon.spawn().unwrap()
    }

    async fn next(&self) -> String {
        timeout(PATIENCE, self.told()).await.expect("something is told in time")
    }

    async fn told(&self) -> String {
        let mut buffer = [0; 8192];
        let length = self.socket.recv(&mut buffer).await.unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// What is told up to the first that begins so.
    async fn until(&self, beginning: &str) -> Vec<String> {
        let mut told = vec![self.next().await];
        while told.last().is_some_and(|last| !last.starts_with(beginning)) {
            told.push(self.next().await);
        }
        told
    }
}

fn send(daemon: &Child, signal: Signal) {
    ProcessId::of(daemon.id().unwrap()).unwrap().signal(signal).unwrap();
}

async fn run(dir: &Path, command: &str) {
    let mut command = chordage([command, "--api"]);
    command.arg(dir);
    let output = finish(command).await;
    assert!(output.status.success(), "{}", shown(&output));
}

#[tokio::test]
async fn it_says_when_it_serves_how_it_is_and_that_it_ends() {
    let manager = Manager::new();
    let mut daemon = manager.start();
    let told = manager.until("READY=1").await;
    assert_eq!(told[0], "STATUS=starts");
    assert!(told[1].starts_with("EXTEND_TIMEOUT_USEC="), "{told:?}");
    assert!(!told.iter().any(|word| word.starts_with("WATCHDOG")), "{told:?}");
    assert!(told.last().unwrap().contains("\nSTATUS=alone in its network; "), "{told:?}");
    run(&manager.data_dir(), "status").await;

    run(&manager.data_dir(), "drain").await;
    manager.until("STATUS=hands over what it holds; ").await;
    send(&daemon, Signal::TERM);
    manager.until("STOPPING=1\nSTATUS=leaves its network").await;
    assert!(timeout(PATIENCE, daemon.wait()).await.unwrap().unwrap().success());
}

/// A process that stands still stands for a loop that hangs: the watchdog's own tests have that.
#[tokio::test]
async fn a_watchdog_hears_of_it_as_long_as_it_runs_and_another_takes_its_place() {
    let manager = Manager::new();
    let mut daemon = manager.start();
    manager.until("READY=1").await;
    for _ in 0..3 {
        manager.until("WATCHDOG=1").await;
    }
    send(&daemon, Signal::STOP);
    // What was on its way.
    let mut late = Vec::new();
    while let Ok(word) = timeout(WATCHDOG, manager.told()).await {
        late.push(word);
        assert!(late.len() < 4, "it is told more: {late:?}");
    }
    send(&daemon, Signal::CONT);
    manager.until("WATCHDOG=1").await;

    // As systemd does it with one that was silent for too long.
    send(&daemon, Signal::ABORT);
    assert!(!timeout(PATIENCE, daemon.wait()).await.unwrap().unwrap().success());
    let daemon = manager.start();
    manager.until("READY=1").await;
    manager.until("WATCHDOG=1").await;
    run(&manager.data_dir(), "status").await;
    drop(daemon);
}

/// What is packed beside the program.
fn packaging(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The most that `systemd-analyze security` may have against the unit, in tenths.
const EXPOSURE_MAX: &str = "--threshold=30";

#[tokio::test]
async fn systemd_has_nothing_against_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().await.is_err() {
        return skipped("there is no systemd-analyze on this machine");
    }
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("chordage.service");
    let text = packaging("chordage.service");
    assert!(text.contains("ExecStart=/usr/bin/chordage daemon "), "{text}");
    // It asks whether there is such a program.
    fs::write(&unit, text.replace("/usr/bin/chordage", PROGRAM)).unwrap();
    for args in [["verify", "--man=no"].as_slice(), &["security", "--offline=true", EXPOSURE_MAX]] {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(args).arg(&unit);
        let output = finish(analyze).await;
        assert!(output.status.success(), "{args:?}: {}", shown(&output));
        if args[0] == "verify" {
            assert!(output.stderr.is_empty(), "{}", shown(&output));
        }
    }
}

#[test]
fn the_settings_beside_the_unit_are_accepted_as_they_are_and_without_their_comment_signs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let text = packaging("config.toml");
    fs::write(&path, &text).unwrap();
    assert_eq!(Config::load(&path).unwrap(), Config::default());
    let uncommented =
        |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).map(str::to_owned);
    let settings: Vec<String> = text.lines().filter_map(uncommented).collect();
    fs::write(&path, settings.join("\n")).unwrap();
    let config = Config::load(&path).unwrap();
    config.check().unwrap();
    assert_eq!((settings.len(), config.listen.len(), config.bootstrap.len()), (4, 2, 1));
}
