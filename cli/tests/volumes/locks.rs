//! Snapshots that are locked: nobody can forget them before their time, and then everybody can.

use std::fs;
use std::process::Output;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chordage_api::client::VolumeAccess;
use chordage_api::types::VolumeImport;
use chordage_testnet::wait_until;
use serde_json::Value;

use crate::harness::{Net, PATIENCE, json_of, random_bytes, shown};

/// How long the snapshot is locked: longer than it takes to try everything that is refused until then.
const LOCKED: Duration = Duration::from_secs(20);
const BYTES: usize = 3_000_000;
/// The writer, and another machine that can write to the volume.
const MACHINES: [usize; 2] = [0, 2];

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn backup(net: &Net, node: usize, args: &str) -> Output {
    net.run(node, ["backup", "--json"], args.split(' ')).await
}

async fn listed(net: &Net, args: &str) -> Vec<Value> {
    let output = backup(net, 0, args).await;
    assert!(output.status.success(), "{}", shown(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "{}", shown(output));
}

#[tokio::test]
async fn a_locked_snapshot_outlasts_whoever_has_its_key_until_its_time() {
    let net = Net::start(4).await;
    let (writer, other) = (net.net.client(0).unwrap(), net.net.client(MACHINES[1]).unwrap());
    writer.create_volume("backup").await.unwrap();
    let opened = writer.export_volume("backup", VolumeAccess::Write).await.unwrap();
    let import = VolumeImport { petname: "backup".to_owned(), capability: opened.capability };
    assert!(other.import_volume(&import).await.unwrap().writable);
    let home = net.path("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("file"), random_bytes(BYTES, 1)).unwrap();
    let home = fs::canonicalize(home).unwrap();
    let create = format!("create {}", home.display());
    let locked = json_of(&backup(&net, 0, &format!("{create} --lock {}s", LOCKED.as_secs())).await);
    let locked = locked["snapshot"].as_str().unwrap();
    let until = listed(&net, "list").await[0]["locked_until"].as_u64().unwrap();
    fs::write(home.join("file"), random_bytes(BYTES, 2)).unwrap();
    let free = json_of(&backup(&net, 0, &create).await);
    let free = free["snapshot"].as_str().unwrap();

    // By its name, by policies, with others, by whoever has the key of the volume, and where it is kept.
    for node in MACHINES {
        is_refused(&backup(&net, node, &format!("forget {locked}")).await, "locked");
        is_refused(
            &backup(&net, node, &format!("forget {free} {locked} --prune --grace 0s")).await,
            "locked",
        );
        let kept = json_of(&backup(&net, node, "forget --keep-last 1 --prune --grace 0s").await);
        let reason = kept["groups"][0]["keep"][1]["reasons"][0].as_str().unwrap_or_default();
        assert!(reason.starts_with("locked until ") && kept["removed"] == 0, "{kept}");
        let none = "forget --keep-tag none --unsafe-allow-remove-all --dry-run --path";
        assert_eq!(json_of(&backup(&net, node, &format!("{none} {}", home.display())).await)["removed"], 1);
        let pruned = json_of(&backup(&net, node, "prune --grace 0s").await);
        assert_eq!((&pruned["pruned"], &pruned["kept"]), (&0.into(), &2.into()), "{pruned}");
    }
    let mut retained = net.keeps(0).await;
    retained.retain(|kept| !kept["retained_until"].is_null());
    assert_eq!(retained.len(), 1, "its tree alone: {retained:#?}");
    let link = retained[0]["verify_link"].as_str().unwrap();
    is_refused(&net.run(0, ["forget"], [link]).await, "retained");
    let ids: Vec<Value> = listed(&net, "list").await.iter().map(|snapshot| snapshot["id"].clone()).collect();
    assert_eq!(ids, [locked, free]);
    let whole = json_of(&backup(&net, 0, "verify --read-data").await);
    assert_eq!((&whole["damaged"], &whole["missing"]), (&0.into(), &0.into()), "{whole}");
    assert!(seconds() < until, "this machine is too slow for a lock of {LOCKED:?}");
    let before = net.stored().await;

    let forgotten = async || {
        let output = backup(&net, MACHINES[1], &format!("forget {locked}")).await;
        match output.status.success() {
            true => Ok(seconds()),
            false => Err(shown(&output)),
        }
    };
    let at = wait_until("a lock ends", LOCKED + PATIENCE, forgotten).await.unwrap();
    assert!(at >= until, "{until} is its time, and at {at} it was forgotten");
    let pruned = json_of(&backup(&net, 0, "prune --grace 0s").await);
    assert_eq!((&pruned["pruned"], &pruned["kept"]), (&1.into(), &1.into()), "{pruned}");
    net.wait_stored("what was locked is freed", |bytes| bytes < before * 3 / 4).await;
    assert_eq!(listed(&net, "list --forgotten").await.len(), 1);
    let whole = json_of(&backup(&net, MACHINES[1], "verify --read-data").await);
    assert_eq!((&whole["damaged"], &whole["missing"]), (&0.into(), &0.into()), "{whole}");
}
