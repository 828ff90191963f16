//! Backups that are killed with SIGKILL at random points, by seed.
//!
//! At each point `backup create`, `forget`, `prune` or `restore`, in turn, runs for a random part of the time that it
//! takes undisturbed; then it, or the daemon that it talks to, is killed, and the daemon comes back. The rules:
//!
//! - `backup verify` finds nothing damaged and nothing missing.
//! - What was killed is done or it is not: a snapshot is there and whole, or there is none; all are forgotten, or none.
//!   A restore leaves whole files, and no directory that looks as if all were in it.
//! - What had ended well before is done.
//! - The same command again ends well.
//! - Every snapshot that is listed comes back byte for byte.
//!
//! `CHORDAGE_CRASH_POINTS` and `CHORDAGE_CRASH_SEED` make it longer, and another story.

mod home;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use chordage_testnet::wait_until;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use tokio::process::Child;

use self::home::Home;
use crate::harness::{Net, PATIENCE, chordage, finish, shown};
use crate::walked::{Tree, differences, walk};

/// Points of a usual run.
const POINTS: u32 = 12;
/// Daemons of the network. The first one is talked to.
const NODES: usize = 5;
/// Snapshots that `forget` keeps.
const KEPT: usize = 2;
/// Among so many points one where everything is read.
const READ_EVERY: u32 = 3;
/// From so many points on it is also seen that nothing is kept for ever.
const LONG: u32 = 40;
/// How a command may end when its daemon dies, besides well: no daemon, data that is not there now, too few nodes, a
/// deadline.
const TYPED: [i32; 5] = [3, 4, 6, 8, 11];
/// Where a restore says that it is not done.
const UNFINISHED: &str = ".chordage-unfinished";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Create,
    Forget,
    Prune,
    Restore,
}

const ALL: [What; 4] = [What::Create, What::Forget, What::Prune, What::Restore];

/// What happened.
#[derive(Debug, Default)]
struct Tally {
    clients: u32,
    daemons: u32,
    /// Killed before it had ended.
    under_way: u32,
    /// Of those that were under way: what they were to do was done all the same.
    done: u32,
    /// Restores that left a part.
    parts: u32,
    /// Snapshots that came back, and times that all was read.
    restored: u32,
    read: u32,
}

struct Story {
    net: Net,
    rng: ChaCha8Rng,
    home: Home,
    /// All snapshots that are to be listed, the oldest first, with what they hold.
    kept: Vec<(String, Tree)>,
    /// How long each takes.
    took: [Duration; 4],
    tally: Tally,
}

/// A random number below `limit`.
fn below(rng: &mut ChaCha8Rng, limit: u32) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(limit)) >> 32) as u32
}

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[tokio::test]
async fn whatever_is_killed_in_a_backup_everything_acknowledged_is_whole_and_it_goes_on() {
    let points = number_in("CHORDAGE_CRASH_POINTS").map_or(POINTS, |points| points.try_into().unwrap());
    let seed = number_in("CHORDAGE_CRASH_SEED").unwrap_or(19);
    let begun = Instant::now();
    let mut story = Story::begin(seed).await;
    println!("undisturbed: {:?}", ALL.iter().zip(story.took).collect::<Vec<_>>());
    for point in 0..points {
        let what = ALL[point as usize % ALL.len()];
        if let Err(why) = story.point(what, point % READ_EVERY == 0).await {
            panic!(
                "point {point} of seed {seed}, {what:?}: {why}\n\
                 again: CHORDAGE_CRASH_POINTS={} CHORDAGE_CRASH_SEED={seed} \
                 cargo test --workspace --test volumes -- killed",
                point + 1
            );
        }
        if points > POINTS && point % 10 == 9 {
            println!("{} points in {:.0?}: {:?}", point + 1, begun.elapsed(), story.tally);
        }
    }
    println!("{points} points of seed {seed} in {:.0?}: {:?}", begun.elapsed(), story.tally);
    assert_eq!(story.tally.clients + story.tally.daemons, points);
    if points >= LONG {
        story.nothing_is_kept_for_ever().await;
    }
}

impl Story {
    /// A network with a volume and as many snapshots as `forget` leaves, and how long everything takes.
    async fn begin(seed: u64) -> Self {
        let net = Net::start(NODES).await;
        let home = Home::make(&net.path("home"), seed);
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let took = [Duration::ZERO; 4];
        let mut story = Self { net, rng, home, kept: Vec::new(), took, tally: Tally::default() };
        story.run(&["init", "--quiet"]).await.unwrap();
        for _ in 0..=KEPT {
            story.home.edit(&mut story.rng);
            story.measured(What::Create).await;
        }
        for what in [What::Forget, What::Prune, What::Restore] {
            story.measured(what).await;
        }
        story
    }

    async fn measured(&mut self, what: What) {
        let begun = Instant::now();
        self.again(what).await.unwrap();
        self.took[what as usize] = begun.elapsed();
    }

    fn target(&self) -> PathBuf {
        self.net.path("back")
    }

    fn args(&self, what: What) -> Vec<String> {
        let home = self.home.path.to_str().unwrap();
        let text = match what {
            What::Create => format!("create {home}"),
            What::Forget => format!("forget --keep-last {KEPT}"),
            What::Prune => "prune --grace 0s".to_owned(),
            What::Restore => {
                let (id, _) = self.kept.last().unwrap();
                format!("restore {id}:{home} --target {}", self.target().display())
            }
        };
        text.split(' ').map(str::to_owned).collect()
    }

    fn command(&self, args: &[impl AsRef<str>]) -> tokio::process::Command {
        let mut command = chordage(["backup", "--json"]);
        command.args(args.iter().map(AsRef::as_ref)).arg("--api").arg(self.net.net.data_dir(0));
        command
    }

    /// Runs a command that has to end well; the lines that it prints.
    async fn run(&self, args: &[impl AsRef<str>]) -> Result<Vec<Value>, String> {
        let output = finish(self.command(args)).await;
        if !output.status.success() {
            let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
            return Err(format!("`{}` failed: {}", args.join(" "), shown(&output)));
        }
        let text = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
        let lines = text.lines().map(|line| serde_json::from_str(line).map_err(|error| error.to_string()));
        lines.collect()
    }

    async fn listed(&self) -> Result<Vec<String>, String> {
        let listed = self.run(&["list"]).await?;
        Ok(listed.iter().map(|snapshot| snapshot["id"].as_str().unwrap().to_owned()).collect())
    }

    /// What is to be listed.
    fn ids(&self) -> Vec<String> {
        self.kept.iter().map(|(id, _)| id.clone()).collect()
    }

    async fn point(&mut self, what: What, read: bool) -> Result<(), String> {
        if what == What::Create {
            self.home.edit(&mut self.rng);
        }
        let output = self.kill(what).await?;
        self.verify(read).await?;
        let is_done = self.check(what, output.as_ref()).await?;
        self.again(what).await.map_err(|why| format!("again: {why}"))?;
        self.verify(read).await?;
        if what == What::Create && !is_done {
            self.adopt().await?;
        }
        self.check_all().await
    }

    /// Begins something, and kills it or its daemon. How it ended, unless it was killed itself.
    async fn kill(&mut self, what: What) -> Result<Option<Output>, String> {
        // Up to a little behind the end, because the end is a point too.
        let rng = &mut self.rng;
        let (share, of_daemon, early) = (below(rng, 1100), below(rng, 2) == 0, below(rng, 2) == 0);
        let mut child = self.command(&self.args(what)).spawn().map_err(|error| error.to_string())?;
        tokio::time::sleep(self.took[what as usize] * share / 1000).await;
        let under_way = matches!(child.try_wait(), Ok(None));
        self.tally.under_way += u32::from(under_way);
        if !of_daemon {
            self.tally.clients += 1;
            let _ = child.start_kill();
            let output = end_of(child).await?;
            return Ok(Some(output).filter(|output| output.status.success()));
        }
        self.tally.daemons += 1;
        self.net.net.kill(&[0]).map_err(|error| error.to_string())?;
        let mut child = Some(child);
        let mut output = None;
        // Some commands see their daemon come back.
        if !early && let Some(child) = child.take() {
            output = Some(end_of(child).await?);
        }
        self.net.net.restart(&[0]).await.map_err(|error| error.to_string())?;
        if let Some(child) = child {
            output = Some(end_of(child).await?);
        }
        self.net.net.wait_settled(PATIENCE).await.map_err(|error| error.to_string())?;
        let output = output.ok_or("a command has no end")?;
        match output.status.code() {
            Some(0) => Ok(Some(output)),
            Some(code) if TYPED.contains(&code) => Ok(None),
            _ => Err(format!("it ended neither well nor with a typed error: {}", shown(&output))),
        }
    }

    async fn verify(&mut self, read: bool) -> Result<(), String> {
        self.tally.read += u32::from(read);
        let args = if read { &["verify", "--read-data"][..] } else { &["verify"] };
        let verified = self.run(args).await?;
        match verified.first() {
            Some(report) if report["damaged"] == 0 && report["missing"] == 0 => Ok(()),
            report => Err(format!("not whole: {report:?}")),
        }
    }

    /// A daemon goes on with what a client has asked for that was killed: its snapshot may come a little later.
    async fn adopt(&mut self) -> Result<(), String> {
        let (known, found) = (self.ids(), self.listed().await?);
        if let Some(at) = found.iter().position(|id| !known.contains(id)) {
            self.kept.insert(at, (found[at].clone(), walk(&self.home.path)));
            self.tally.done += 1;
        }
        Ok(())
    }

    /// What was killed is done, or it is not, which it returns; if it had ended well, it is done.
    async fn check(&mut self, what: What, ended_well: Option<&Output>) -> Result<bool, String> {
        let (before, found) = (self.ids(), self.listed().await?);
        let is_done = match what {
            What::Create => match found.strip_prefix(&before[..]) {
                Some([]) => false,
                Some([new]) => {
                    self.kept.push((new.clone(), walk(&self.home.path)));
                    true
                }
                _ => return Err(format!("there were {before:?}, and are {found:?}")),
            },
            What::Forget => {
                let left = before.len().saturating_sub(KEPT);
                let is_done = found == before[left..];
                if !is_done && found != before {
                    return Err(format!("of {before:?} only some were forgotten: {found:?}"));
                }
                if is_done {
                    self.kept.drain(..left);
                }
                is_done
            }
            What::Prune => ended_well.is_some(),
            What::Restore => self.check_part()?,
        };
        if found != self.ids() {
            return Err(format!("there were {before:?}, and are {found:?}"));
        }
        if let Some(output) = ended_well
            && !is_done
        {
            return Err(format!("it ended well, and nothing is done: {}", shown(output)));
        }
        self.tally.done += u32::from(is_done && ended_well.is_none());
        Ok(is_done)
    }

    /// Whether a killed restore has restored everything. If it has not, it says so, and what is there is whole.
    fn check_part(&mut self) -> Result<bool, String> {
        let (target, (_, expected)) = (self.target(), self.kept.last().unwrap());
        if !target.exists() {
            return Ok(false);
        }
        let found = walk(&target);
        if !found.contains_key(UNFINISHED.as_bytes()) {
            let differing = differences(expected, &found);
            return match (found.is_empty(), differing.is_empty()) {
                (true, _) => Ok(false),
                // Into what is whole nothing is restored again.
                (_, true) => fs::remove_dir_all(target).map_err(|error| error.to_string()).map(|()| true),
                _ => Err(format!("a part looks like the whole: {differing:#?}")),
            };
        }
        let own = found.iter().filter(|(path, _)| !path.starts_with(UNFINISHED.as_bytes()));
        let is_file = |mode: u32| mode & 0o170_000 == 0o100_000;
        for (path, entry) in own.filter(|(_, entry)| is_file(entry.0)) {
            if expected.get(path) != Some(entry) {
                return Err(format!("{} is not whole", String::from_utf8_lossy(path)));
            }
        }
        self.tally.parts += 1;
        Ok(false)
    }

    /// Runs it undisturbed, and looks at what it has done.
    async fn again(&mut self, what: What) -> Result<(), String> {
        let report = self.run(&self.args(what)).await?.pop().ok_or("it said nothing")?;
        match what {
            What::Create => {
                let id = report["snapshot"].as_str().ok_or("no snapshot")?.to_owned();
                self.kept.push((id, walk(&self.home.path)));
            }
            What::Forget => {
                let left = self.kept.len().saturating_sub(KEPT);
                self.kept.drain(..left);
            }
            What::Prune => {
                let all = self.run(&["list", "--forgotten"]).await?;
                if all.len() != self.kept.len() {
                    return Err(format!("forgotten snapshots are left: {all:?}"));
                }
            }
            What::Restore => {
                let (id, expected) = self.kept.last().unwrap();
                compare(id, expected, &self.target())?;
            }
        }
        Ok(())
    }

    /// All snapshots are listed and come back.
    async fn check_all(&mut self) -> Result<(), String> {
        let found = self.listed().await?;
        if found != self.ids() {
            return Err(format!("to be listed are {:?}, and are {found:?}", self.ids()));
        }
        for (id, expected) in &self.kept {
            let target = self.net.path("check");
            let from = format!("{id}:{}", self.home.path.display());
            self.run(&["restore", &from, "--target", target.to_str().unwrap()]).await?;
            compare(id, expected, &target)?;
            self.tally.restored += 1;
        }
        Ok(())
    }

    /// When the volume is removed, its daemon lets go of everything that was ever stored for it, whatever was killed.
    async fn nothing_is_kept_for_ever(&self) {
        let removed = self.net.run(0, ["volume", "remove", "backup", "--yes"], [] as [&str; 0]).await;
        assert!(removed.status.success(), "{}", shown(&removed));
        let looking = async || {
            let mut kept = self.net.keeps(0).await;
            // What holders say that no book has: it is shown to the user, who decides about it.
            kept.retain(|kept| kept["state"] != "recovered");
            if kept.is_empty() { Ok(()) } else { Err(format!("{} are kept, as {}", kept.len(), kept[0])) }
        };
        wait_until("nothing is kept of a volume that is gone", 4 * PATIENCE, looking).await.unwrap();
    }
}

/// What came back is what was there; then it is removed.
fn compare(id: &str, expected: &Tree, target: &Path) -> Result<(), String> {
    let differing = differences(expected, &walk(target));
    if !differing.is_empty() {
        return Err(format!("snapshot {id} came back in another way: {differing:#?}"));
    }
    fs::remove_dir_all(target).map_err(|error| error.to_string())
}

async fn end_of(child: Child) -> Result<Output, String> {
    match tokio::time::timeout(PATIENCE, child.wait_with_output()).await {
        Ok(output) => output.map_err(|error| error.to_string()),
        Err(_) => Err(format!("a command did not end within {PATIENCE:?}")),
    }
}
