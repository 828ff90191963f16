//! Backups by restic itself, through daemons of a network: kept in volumes, also while daemons die, and from two
//! daemons at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use chordage_api::client::VolumeAccess;
use chordage_api::types::{ResticStatus, VolumeImport};
use chordage_testnet::{Plan, Testnet};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::{Net, PROGRAM, chordage, finish, random_bytes, shown};
use crate::tours::runs_as_it_stands;

/// How long restic may take: it tries again by itself for a quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whether restic is installed; says so where it is not.
fn is_installed() -> bool {
    has("restic", "version")
}

fn has(program: &str, asked: &str) -> bool {
    let is_there = std::process::Command::new(program).arg(asked).output().is_ok();
    if !is_there {
        println!("skipped: {program} is not installed (apt-get install {program})");
    }
    is_there
}

/// A network whose daemons all serve restic.
async fn network(nodes: usize, more: &[&str]) -> Net {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(PROGRAM, dir.path().join("net"), nodes);
    let args = ["--restic", "127.0.0.1:0"].iter().chain(more);
    plan.daemon_args = args.map(ToString::to_string).collect();
    let net = Testnet::start(plan).await.unwrap();
    net.wait_settled(crate::harness::PATIENCE).await.unwrap();
    Net::of(net, dir)
}

async fn served(net: &Net, node: usize) -> ResticStatus {
    net.net.status(node).await.unwrap().gateways.restic.unwrap()
}

/// restic with a cache of its own, at one daemon.
struct Restic {
    repository: String,
    home: PathBuf,
}

impl Restic {
    async fn at(net: &Net, node: usize, path: &str) -> Self {
        let repository = format!("rest:http://{}{path}", served(net, node).await.listen);
        let home = net.path(&format!("restic-{node}"));
        fs::create_dir_all(&home).unwrap();
        Restic { repository, home }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("restic");
        command.args(["--repo", &self.repository, "--cache-dir"]).arg(self.home.join("cache")).args(args);
        command.env("RESTIC_PASSWORD", "a password").env_remove("RESTIC_REPOSITORY");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn output(&self, args: &[&str]) -> Output {
        let running = self.command(args).output();
        tokio::time::timeout(PATIENCE, running).await.expect("restic ends").unwrap()
    }

    async fn runs(&self, args: &[&str]) -> String {
        let output = self.output(args).await;
        assert!(output.status.success(), "restic {args:?}: {}", shown(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Backs a directory up under a name that does not depend on where it is.
    async fn backs_up(&self, source: &Path) {
        let mut command = self.command(&["backup", "."]);
        let output = command.current_dir(source).output();
        let output = tokio::time::timeout(PATIENCE, output).await.expect("restic ends").unwrap();
        assert!(output.status.success(), "restic backup: {}", shown(&output));
    }

    /// Restores the last backup and compares it with what it was made of.
    async fn restores(&self, source: &Path, into: &str) {
        let target = self.home.join(into);
        self.runs(&["restore", "latest", "--target", target.to_str().unwrap()]).await;
        same(source, &target);
    }
}

fn same(one: &Path, other: &Path) {
    let diff = std::process::Command::new("diff").arg("-r").args([one, other]).output().unwrap();
    assert!(diff.status.success(), "{}", shown(&diff));
}

/// A directory with small and large files, another one in every round.
fn fill(net: &Net, round: u64) -> PathBuf {
    let dir = net.path("source");
    fs::create_dir_all(dir.join("deep/er")).unwrap();
    for number in 0..30 {
        let path = dir.join(format!("deep/er/{number}"));
        fs::write(path, random_bytes(700 * number as usize, round * 100 + number)).unwrap();
    }
    fs::write(dir.join(format!("large-{round}")), random_bytes(12_000_000, round)).unwrap();
    dir
}

#[tokio::test]
async fn restic_backs_up_checks_prunes_and_restores() {
    if !is_installed() {
        return;
    }
    let net = network(4, &[]).await;
    let restic = Restic::at(&net, 0, "/alice/laptop/").await;
    restic.runs(&["init"]).await;
    assert!(!restic.output(&["init"]).await.status.success(), "there is one already");
    for round in 0..3 {
        restic.backs_up(&fill(&net, round)).await;
    }
    assert!(restic.runs(&["snapshots"]).await.contains("3 snapshots"));
    restic.runs(&["check", "--read-data"]).await;
    let source = net.path("source");
    fs::remove_file(source.join("large-0")).unwrap();
    restic.backs_up(&source).await;
    restic.runs(&["forget", "--keep-last", "1", "--prune"]).await;
    restic.runs(&["check", "--read-data"]).await;
    restic.restores(&source, "restored").await;
    let new = net.path("new-password");
    fs::write(&new, "another password").unwrap();
    restic.runs(&["key", "add", "--new-password-file", new.to_str().unwrap()]).await;
    restic.runs(&["--password-file", new.to_str().unwrap(), "snapshots"]).await;
    let status = served(&net, 0).await;
    assert_eq!((status.failed, status.last_problem), (0, None));
    let said = String::from_utf8(net.run(0, ["status"], [""; 0]).await.stdout).unwrap();
    assert!(said.contains(&format!("rest:http://{}/", status.listen)), "{said}");
}

#[tokio::test]
async fn two_daemons_die_between_backup_and_restore() {
    if !is_installed() {
        return;
    }
    let mut net = network(8, &[]).await;
    let restic = Restic::at(&net, 0, "/").await;
    restic.runs(&["init"]).await;
    restic.backs_up(&fill(&net, 1)).await;
    net.net.kill(&[3, 5]).unwrap();
    restic.restores(&net.path("source"), "restored").await;
    restic.backs_up(&fill(&net, 2)).await;
    restic.runs(&["check", "--read-data"]).await;
    restic.restores(&net.path("source"), "again").await;
}

#[tokio::test]
async fn two_daemons_serve_one_repository() {
    if !is_installed() {
        return;
    }
    let mut net = network(6, &[]).await;
    let one = Restic::at(&net, 0, "/alice/laptop/").await;
    one.runs(&["init"]).await;
    let (first, second) = (net.net.client(0).unwrap(), net.net.client(1).unwrap());
    let petname = "restic.alice.laptop".to_owned();
    let capability = first.export_volume(&petname, VolumeAccess::Write).await.unwrap().capability;
    second.import_volume(&VolumeImport { petname, capability }).await.unwrap();

    let other = Restic::at(&net, 1, "/alice/laptop/").await;
    let (a, b) = (fill(&net, 1), net.path("other-source"));
    fs::create_dir(&b).unwrap();
    fs::write(b.join("large"), random_bytes(9_000_000, 77)).unwrap();
    tokio::join!(one.backs_up(&a), other.backs_up(&b));
    for at in [&one, &other] {
        assert!(at.runs(&["snapshots"]).await.contains("2 snapshots"));
    }
    // Each sees the locks of the other at once: nobody prunes while somebody backs up.
    let mut backup = one.command(&["backup", "--stdin"]);
    let mut backup = backup.stdin(Stdio::piped()).spawn().unwrap();
    let locks = async || other.runs(&["list", "--no-lock", "locks"]).await.lines().count();
    while locks().await == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = other.output(&["prune"]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("lock"), "{}", shown(&refused));
    backup.stdin.take().unwrap().write_all(b"said at last").await.unwrap();
    let output = backup.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    other.runs(&["forget", "--keep-last", "1", "--group-by", "paths", "--prune"]).await;
    one.runs(&["check", "--read-data"]).await;

    // Whoever loses one daemon goes on with the other.
    net.net.kill(&[0]).unwrap();
    other.runs(&["check", "--read-data"]).await;
    other.backs_up(&a).await;
    other.restores(&a, "restored").await;
}

#[tokio::test]
async fn a_backup_that_was_cut_off_is_made_again_and_a_restart_finds_everything() {
    if !is_installed() {
        return;
    }
    let mut net = network(4, &[]).await;
    let restic = Restic::at(&net, 0, "/laptop/").await;
    restic.runs(&["init"]).await;
    let source = fill(&net, 1);
    let mut cut_off = restic.command(&["backup", "."]);
    let mut cut_off = cut_off.current_dir(&source).spawn().unwrap();
    while served(&net, 0).await.uploaded_bytes < 1_000_000 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    net.net.kill(&[0]).unwrap();
    cut_off.kill().await.unwrap();
    net.net.restart(&[0]).await.unwrap();
    let restic = Restic::at(&net, 0, "/laptop/").await;
    restic.runs(&["unlock"]).await;
    restic.backs_up(&source).await;
    restic.runs(&["check", "--read-data"]).await;
    restic.restores(&source, "restored").await;
}

#[tokio::test]
async fn users_have_repositories_of_their_own_and_can_only_add() {
    if !is_installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    let mut lines = String::new();
    for (name, password) in [("alice", "alice has a secret"), ("bob", "bob has one as well")] {
        let mut command = chordage(["restic-user", name]);
        command.env("CHORDAGE_PASSPHRASE", password);
        let output = finish(command).await;
        assert!(output.status.success(), "{}", shown(&output));
        lines.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    fs::write(&users, lines).unwrap();
    let net = network(3, &["--restic-users", users.to_str().unwrap(), "--restic-append-only"]).await;
    let listen = served(&net, 0).await.listen;
    let at = |user: &str, password: &str, path: &str| Restic {
        repository: format!("rest:http://{user}:{password}@{listen}{path}"),
        home: net.path("restic-home"),
    };
    let alice = at("alice", "alice%20has%20a%20secret", "/alice/laptop/");
    alice.runs(&["init"]).await;
    alice.backs_up(&fill(&net, 1)).await;
    for wrong in
        [at("bob", "bob%20has%20one%20as%20well", "/alice/laptop/"), at("alice", "wrong", "/alice/laptop/")]
    {
        assert!(!wrong.output(&["snapshots"]).await.status.success(), "{}", wrong.repository);
    }
    // Older versions try for most of a minute.
    let forgetting = alice.output(&["forget", "--keep-tag", "none"]);
    let forgotten = tokio::time::timeout(Duration::from_secs(3), forgetting).await;
    assert!(forgotten.as_ref().map_or(true, |output| !output.status.success()), "{forgotten:?}");
    alice.runs(&["unlock", "--remove-all"]).await;
    assert!(alice.runs(&["snapshots"]).await.contains("1 snapshots"));
    alice.restores(&net.path("source"), "restored").await;
}

/// The commands of the tour, one block after the other, as they stand there.
#[tokio::test]
async fn the_tour_is_true() {
    if !is_installed() || !has("curl", "--version") {
        return;
    }
    let output = runs_as_it_stands("restic").await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("no errors were found") && said.contains("\"restored\":"), "{}", shown(&output));
}
