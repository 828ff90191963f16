//! A machine is lost, its directory with it: twelve words and one address of anybody bring every snapshot back, at once
//! and when a year has passed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chordage_testnet::{Plan, Testnet, wait_until};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;

use crate::harness::{IMPATIENT, Net, PATIENCE, PROGRAM, chordage, json_of, random_bytes, shown};
use crate::walked::assert_same;

const DAY: u64 = 24 * 60 * 60;
const MB: usize = 1_000_000;
/// What the name says.
const SAYS: &str = "it is still me";

/// The clock of whoever starts from now on shows so many days more than the system's, and to holders so many have
/// passed since they were stopped. Claims are those of a real network.
fn set_days(settings: &Path, clock: u64, passed: u64) {
    let [clock, passed] = [clock, passed].map(|days| days * DAY);
    let text = format!("debug_clock_seconds = {clock}\ndebug_lease_seconds = {passed}\n{IMPATIENT}");
    fs::write(settings, text).unwrap();
}

/// A machine of somebody's, which was told one address.
struct Machine {
    data: PathBuf,
    daemon: Child,
}

impl Machine {
    async fn start(world: &World, name: &str) -> Self {
        let data = world.net.path(name);
        let holder = world.net.net.living()[0];
        let address = world.net.net.status(holder).await.unwrap().membership.listen[0].clone();
        let log = fs::File::create(world.net.path(&format!("{name}.log"))).unwrap();
        let mut command = chordage(["daemon", "--listen", "/ip4/127.0.0.1/tcp/0", "--bootstrap", &address]);
        command.args(&world.args).arg("--data-dir").arg(&data).stdout(Stdio::null()).stderr(log);
        let machine = Self { data, daemon: command.spawn().unwrap() };
        let joined = async || {
            let output = machine.output(&["status"], "").await;
            match output.status.success().then(|| json_of(&output)) {
                Some(status) if status["state"] == "joined" => Ok(()),
                _ => Err(shown(&output)),
            }
        };
        wait_until("the machine joins", PATIENCE, joined).await.unwrap();
        machine
    }

    async fn output(&self, args: &[&str], input: &str) -> std::process::Output {
        let mut command = chordage(args.iter().copied().chain(["--json", "--api"]));
        command.arg(&self.data).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Most do not read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap()
    }

    async fn run(&self, args: &[&str]) -> Value {
        json_of(&self.output(args, "").await)
    }

    async fn lines(&self, args: &[&str]) -> Vec<Value> {
        let output = self.output(args, "").await;
        assert!(output.status.success(), "{}", shown(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Ends without a word to anybody.
    async fn kill(mut self) -> PathBuf {
        self.daemon.kill().await.unwrap();
        self.data
    }
}

/// Holders, and what somebody keeps there.
struct World {
    net: Net,
    settings: PathBuf,
    /// What every daemon is told.
    args: Vec<String>,
}

/// What a machine had that is no more.
struct Lost {
    phrase: String,
    /// Snapshots with the directory as it was then.
    snapshots: Vec<(String, PathBuf)>,
    /// What was backed up.
    dir: String,
    /// A file that was put for itself, and is in no home.
    link: String,
}

impl World {
    async fn start(holders: usize, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = dir.path().join("settings.toml");
        set_days(&settings, 0, 0);
        let network = format!("{name}-{}", std::process::id());
        let args = ["--network", &network, "--config", settings.to_str().unwrap()].map(String::from).to_vec();
        let mut plan = Plan::new(PROGRAM, dir.path().join("net"), holders);
        plan.daemon_args.clone_from(&args);
        let net = Net::of(Testnet::start(plan).await.unwrap(), dir);
        net.net.wait_settled(PATIENCE).await.unwrap();
        Self { net, settings, args }
    }

    /// So many days pass while all holders run, in which nobody renews anything.
    async fn let_pass(&mut self, days: u64, clock: u64) {
        let holders = self.net.net.living();
        self.net.net.stop(&holders, PATIENCE).await.unwrap();
        set_days(&self.settings, clock, days);
        self.net.net.restart(&holders).await.unwrap();
        set_days(&self.settings, clock, 0);
        self.net.net.wait_settled(PATIENCE).await.unwrap();
    }

    /// Takes a holder away for good, and has an empty one join.
    async fn replace(&mut self, holder: usize) {
        self.net.net.kill(&[holder]).unwrap();
        fs::remove_dir_all(self.net.net.data_dir(holder)).unwrap();
        self.net.net.add().await.unwrap();
        self.net.net.wait_settled(PATIENCE).await.unwrap();
    }

    /// Waits until nothing is missing at the holders, which have so much together then.
    async fn wait_mended(&self, bytes: u64) {
        let mended = async || {
            for node in self.net.net.living() {
                let repair = self.net.net.status(node).await.unwrap().duties.repair;
                // What is only queued may wait for its turn with a chunk that another has repaired.
                let open = repair.degraded + repair.not_known_yet + repair.unreadable + repair.running;
                if open > 0 {
                    return Err(format!("daemon {node}: {repair:?}"));
                }
            }
            match self.net.stored().await {
                stored if stored >= bytes => Ok(()),
                stored => Err(format!("{stored} of {bytes} bytes are stored")),
            }
        };
        wait_until("what the lost ones held is made again", PATIENCE, mended).await.unwrap();
    }

    /// Shards that holders have freed since their start, and chunks whose shards they are about to free.
    async fn freed(&self) -> (u64, u64) {
        let (mut freed, mut waiting) = (0, 0);
        for node in self.net.net.living() {
            let leases = self.net.net.status(node).await.unwrap().duties.leases;
            freed += leases.freed_shards;
            waiting += leases.freeing_chunks;
        }
        (freed, waiting)
    }

    /// A machine makes a home, two snapshots and a name; then it is gone.
    async fn lose_a_machine(&self) -> Lost {
        let machine = Machine::start(self, "mine").await;
        machine.run(&["backup", "init"]).await;
        let phrase = machine.run(&["home", "create"]).await["phrase"].as_str().unwrap().to_owned();
        machine.run(&["name", "create", "me"]).await;
        assert_eq!(machine.run(&["name", "publish", "me", SAYS]).await["state"], "stored");
        let dir = self.net.path("documents");
        fs::create_dir_all(dir.join("notes")).unwrap();
        for number in 0..3 {
            fs::write(dir.join(format!("film {number}")), random_bytes(3 * MB, number)).unwrap();
        }
        for number in 0..20 {
            fs::write(dir.join(format!("notes/{number}")), random_bytes(2_000, 100 + number)).unwrap();
        }
        let dir = fs::canonicalize(dir).unwrap();
        let mut snapshots = Vec::new();
        for number in 0..2 {
            let made = machine.run(&["backup", "create", dir.to_str().unwrap()]).await;
            let copy = self.net.path(&format!("as it was {number}"));
            let copied = std::process::Command::new("cp").arg("-a").args([&dir, &copy]).status().unwrap();
            assert!(copied.success());
            snapshots.push((made["snapshot"].as_str().unwrap().to_owned(), copy));
            fs::write(dir.join("film 1"), random_bytes(2 * MB, 50)).unwrap();
            fs::write(dir.join("notes/new"), "new").unwrap();
            fs::remove_file(dir.join("notes/7")).unwrap_or_default();
        }
        let alone = self.net.random_file("alone", MB, 200);
        let link = machine.run(&["put", alone.to_str().unwrap()]).await["link"].as_str().unwrap().to_owned();
        let entered = async || match machine.run(&["home", "status"]).await {
            home if home["names"] == 1 && home["waiting"] == 0 => Ok(()),
            home => Err(home.to_string()),
        };
        wait_until("the name is entered", PATIENCE, entered).await.unwrap();
        fs::remove_dir_all(machine.kill().await).unwrap();
        Lost { phrase, snapshots, dir: dir.to_str().unwrap().to_owned(), link }
    }

    /// Every snapshot is there, byte for byte.
    async fn all_comes_back(&self, machine: &Machine, lost: &Lost, into: &str) {
        let listed = machine.lines(&["backup", "list"]).await;
        let mut listed: Vec<&str> = listed.iter().map(|one| one["id"].as_str().unwrap()).collect();
        let mut made: Vec<&str> = lost.snapshots.iter().map(|(id, _)| id.as_str()).collect();
        listed.sort_unstable();
        made.sort_unstable();
        assert_eq!(listed, made);
        for (number, (id, copy)) in lost.snapshots.iter().enumerate() {
            let (target, from) = (self.net.path(&format!("{into} {number}")), format!("{id}:{}", lost.dir));
            let restored = machine
                .run(&["backup", "restore", &from, "--verify", "--target", target.to_str().unwrap()])
                .await;
            assert_eq!(restored["wrong_files"], 0, "{restored}");
            assert_same(copy, &target);
        }
    }

    /// An empty machine gets everything from the phrase.
    async fn recover(&self, lost: &Lost) -> Machine {
        let machine = Machine::start(self, "new").await;
        let recovered = json_of(&machine.output(&["recover"], &lost.phrase).await);
        assert_eq!(recovered["volumes"][0]["petname"], "backup", "{recovered}");
        assert_eq!((&recovered["names"][0]["petname"], &recovered["known"]), (&"me".into(), &0.into()));
        self.all_comes_back(&machine, lost, "back").await;
        let resolved = machine.run(&["name", "resolve", "me"]).await;
        assert_eq!((&resolved["target"], &resolved["stale"]), (&SAYS.into(), &false.into()), "{resolved}");
        // The key is back: it signs the next version.
        assert_eq!(machine.run(&["name", "publish", "me", "and again"]).await["state"], "stored");
        machine
    }
}

#[tokio::test]
async fn an_empty_machine_has_everything_at_once() {
    let world = World::start(7, "at-once").await;
    let lost = world.lose_a_machine().await;
    world.recover(&lost).await;
}

/// Claims last for 400 days. On day 360 a quarter of the holders is replaced; there are more of them than a chunk has
/// shards. What is made again at their successors lasts until the same day. What the home opens is claimed anew from
/// the recovery on.
#[tokio::test]
async fn a_year_later_everything_is_there_and_stays() {
    let mut world = World::start(8, "a-year").await;
    let lost = world.lose_a_machine().await;
    let bytes = world.net.stored().await;
    world.let_pass(360, 360).await;
    for holder in [3, 6] {
        world.replace(holder).await;
        world.wait_mended(bytes).await;
    }
    for successor in [8, 9] {
        let status = world.net.net.status(successor).await.unwrap();
        assert!(status.duties.leases.claims > 0 && status.duties.leases.nobodys_claims == 0, "{status:?}");
    }
    let machine = world.recover(&lost).await;
    let all_kept = async || {
        let keeps = machine.run(&["keeps"]).await;
        let keeps = keeps.as_array().unwrap();
        let named = |name: &str| keeps.iter().filter(|kept| kept["names"][0] == name).count();
        let all = [("volume backup: files", 2), ("volume backup: its map", 1), ("volume home: its map", 1)];
        if all.iter().all(|(name, count)| named(name) >= *count) { Ok(()) } else { Err(format!("{keeps:?}")) }
    };
    wait_until("the new machine keeps everything", PATIENCE, all_kept).await.unwrap();

    // Nobody has renewed what is in no home: it is whole on the last day, also at the successors, and gone afterwards.
    let data = machine.kill().await;
    world.let_pass(39, 399).await;
    world.net.wait_whole(0, &lost.link).await;
    assert!(world.net.get(0, &lost.link, "alone again").await == random_bytes(MB, 200));
    // It was not freed and made again either.
    assert_eq!(world.freed().await, (0, 0));
    world.let_pass(2, 401).await;
    let freed = async || match world.freed().await {
        (freed, 0) if freed > 0 => Ok(()),
        (freed, waiting) => Err(format!("{freed} shards freed, {waiting} chunks waiting")),
    };
    wait_until("what nobody has renewed is freed", PATIENCE, freed).await.unwrap();
    assert_eq!(world.net.run(0, ["get", "-o", "-"], [&lost.link]).await.status.code(), Some(4));
    let machine = Machine::start(&world, data.file_name().unwrap().to_str().unwrap()).await;
    world.all_comes_back(&machine, &lost, "later").await;
}
