//! Two machines that back up into one volume at once, forget and prune.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use chordage_api::client::VolumeAccess;
use chordage_api::types::VolumeImport;
use serde_json::Value;

use crate::harness::{Net, json_of, random_bytes, shown};
use crate::walked::{Tree, differences, walk};

/// Times that both back up at once, unless `CHORDAGE_BACKUP_ROUNDS` says otherwise.
const ROUNDS: u64 = 4;
/// Snapshots of each that are kept.
const KEPT: usize = 3;
const FILES: u64 = 24;
const BYTES: usize = 30_000;

struct Machine {
    node: usize,
    home: PathBuf,
    /// Snapshots that it has made, the oldest first.
    made: Vec<String>,
}

impl Machine {
    fn host(&self) -> String {
        format!("machine-{}", self.node)
    }

    /// Changes some files: some are those of the other machine too, others its own.
    fn edit(&self, round: u64) {
        for number in 0..FILES {
            let of = if number % 2 == 0 { 0 } else { self.node as u64 };
            let path = self.home.join(format!("{}/{number}", number % 3));
            if round == 0 || number % 6 == round % 6 {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, random_bytes(BYTES, (of << 48) | (round << 16) | number)).unwrap();
            }
        }
        // What was there two times ago, and is stored then once more while it is freed.
        fs::write(self.home.join("again"), random_bytes(20 * BYTES, round % 3)).unwrap();
    }
}

struct Pair {
    net: Net,
    machines: [Machine; 2],
    /// What each snapshot holds.
    contents: BTreeMap<String, Tree>,
}

async fn backup(net: &Net, machine: &Machine, args: &str) -> Result<Vec<Value>, String> {
    let output = net.run(machine.node, ["backup", "--json"], args.split(' ')).await;
    if !output.status.success() {
        return Err(format!("`{args}` at {}: {}", machine.host(), shown(&output)));
    }
    let text = String::from_utf8(output.stdout).unwrap();
    Ok(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[tokio::test]
async fn two_machines_back_up_at_once_while_both_prune_and_every_snapshot_is_whole() {
    let rounds = std::env::var("CHORDAGE_BACKUP_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let begun = Instant::now();
    let mut pair = Pair::start().await;
    for round in 0..rounds {
        pair.round(round).await;
        let listed = pair.check().await;
        println!("{} of {rounds} rounds, {listed} snapshots, {:.0?}", round + 1, begun.elapsed());
    }
    pair.end().await;
}

impl Pair {
    async fn start() -> Self {
        let net = Net::start(6).await;
        let machines = [0, 3].map(|node| {
            let home = net.path(&format!("home-{node}"));
            fs::create_dir(&home).unwrap();
            Machine { node, home: fs::canonicalize(home).unwrap(), made: Vec::new() }
        });
        let [one, other] = [0, 3].map(|node| net.net.client(node).unwrap());
        one.create_volume("backup").await.unwrap();
        let opened = one.export_volume("backup", VolumeAccess::Write).await.unwrap();
        let import = VolumeImport { petname: "backup".to_owned(), capability: opened.capability };
        assert!(other.import_volume(&import).await.unwrap().writable);
        Self { net, machines, contents: BTreeMap::new() }
    }

    /// Both back up, forget and prune, all at once.
    async fn round(&mut self, round: u64) {
        self.machines.iter().for_each(|machine| machine.edit(round));
        let net = &self.net;
        let [one, other] = &self.machines;
        let create = async |machine: &Machine| {
            let args = format!("create {} --host {}", machine.home.display(), machine.host());
            let made = backup(net, machine, &args).await.unwrap().remove(0);
            made["snapshot"].as_str().unwrap().to_owned()
        };
        let forget = async |machine: &Machine| {
            let args = format!("forget --keep-last {KEPT} --prune --grace 0s");
            backup(net, machine, &args).await.unwrap();
        };
        let prune = async |machine: &Machine| drop(backup(net, machine, "prune --grace 0s").await.unwrap());
        let made =
            tokio::join!(create(one), create(other), forget(one), forget(other), prune(one), prune(other));
        for (machine, id) in self.machines.iter_mut().zip([made.0, made.1]) {
            self.contents.insert(id.clone(), walk(&machine.home));
            machine.made.push(id);
        }
    }

    /// Everything that is listed is whole, and what is to be kept is listed; returns how many snapshots there are.
    async fn check(&self) -> usize {
        let mut lists = Vec::new();
        for machine in &self.machines {
            let list = backup(&self.net, machine, "list").await.unwrap();
            let ids: Vec<String> =
                list.iter().map(|found| found["id"].as_str().unwrap().to_owned()).collect();
            lists.push(ids);
        }
        assert_eq!(lists[0], lists[1], "both see the same");
        for machine in &self.machines {
            for kept in machine.made.iter().rev().take(KEPT) {
                assert!(lists[0].contains(kept), "{kept} of {} is listed: {:?}", machine.host(), lists[0]);
            }
        }
        for (index, id) in lists[0].iter().enumerate() {
            let of = self.machines.iter().find(|machine| machine.made.contains(id)).unwrap();
            // Through the other one as well as the one that has made it.
            let at = &self.machines[index % 2];
            let target = self.net.path("back");
            let args = format!("restore {id}:{} --target {}", of.home.display(), target.display());
            backup(&self.net, at, &args).await.unwrap();
            let differing = differences(&self.contents[id], &walk(&target));
            assert!(differing.is_empty(), "{id} of {} came back: {differing:#?}", of.host());
            fs::remove_dir_all(&target).unwrap();
        }
        for machine in &self.machines {
            let whole = backup(&self.net, machine, "verify --read-data").await.unwrap().remove(0);
            assert_eq!((&whole["damaged"], &whole["missing"]), (&0.into(), &0.into()), "{whole}");
        }
        lists[0].len()
    }

    /// When all is quiet, just what is to be kept is left.
    async fn end(&self) {
        for machine in &self.machines {
            let args = format!("forget --keep-last {KEPT} --prune --grace 0s");
            backup(&self.net, machine, &args).await.unwrap();
        }
        let kept = self.machines.iter().map(|machine| machine.made.len().min(KEPT)).sum::<usize>();
        assert_eq!(self.check().await, kept);
        let all = backup(&self.net, &self.machines[0], "list --forgotten").await.unwrap();
        assert_eq!(all.len(), kept);
        // Afterwards each keeps the trees of what it has made itself and is listed, and the newest state of the map.
        let pruned = self.net.run(0, ["backup", "prune", "--json", "--grace", "0s"], [] as [&str; 0]).await;
        assert_eq!(json_of(&pruned)["released"], 0);
    }
}
