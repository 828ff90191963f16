//! A machine is lost, and twelve words bring back what was on it.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use chordage_testnet::wait_until;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::harness::{Net, PATIENCE, SHORT, chordage, json_of, random_bytes, shown};

async fn json(net: &Net, node: usize, args: &[&str]) -> Value {
    json_of(&net.run(node, args.iter().copied().chain(["--json"]), [] as [&str; 0]).await)
}

/// Runs a command that reads `input`.
async fn fed(net: &Net, node: usize, args: &[&str], input: &str) -> Output {
    let mut command = chordage(args.iter().copied().chain(["--json", "--api"]));
    command.arg(net.net.data_dir(node)).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever refuses early does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap()
}

fn fails(output: &Output, status: i32, code: &str) {
    assert_eq!(output.status.code(), Some(status), "{}", shown(output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(code), "{}", shown(output));
}

/// Makes a tree of files, and backs it up.
async fn back_up(net: &Net, node: usize, dir: &Path, seed: u64) -> String {
    fs::create_dir_all(dir).unwrap();
    for file in 0..10 {
        fs::write(dir.join(file.to_string()), random_bytes(200_000, seed + file)).unwrap();
    }
    let dir = fs::canonicalize(dir).unwrap().to_str().unwrap().to_owned();
    json(net, node, &["backup", "create", &dir]).await;
    dir
}

async fn comes_back(net: &Net, node: usize, dir: &str, into: &str) {
    let (target, from) = (net.path(into), format!("latest:{dir}"));
    json(net, node, &["backup", "restore", &from, "--target", target.to_str().unwrap()]).await;
    for file in fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        assert!(fs::read(file.path()).unwrap() == fs::read(target.join(file.file_name())).unwrap());
    }
}

#[tokio::test]
async fn what_the_lost_machine_kept_is_kept_on_by_the_one_that_recovers() {
    let mut net = Net::with_settings(8, SHORT).await;
    json(&net, 0, &["backup", "init"]).await;
    let created = json(&net, 0, &["home", "create"]).await;
    let phrase = created["phrase"].as_str().unwrap().to_owned();
    assert_eq!((&created["home"]["volumes"], &created["home"]["waiting"]), (&1.into(), &0.into()));
    // What comes later is entered by itself.
    let dir = back_up(&net, 0, &net.path("documents"), 1).await;
    json(&net, 0, &["name", "create", "me"]).await;
    let entered = async || match json(&net, 0, &["home", "status"]).await {
        home if home["names"] == 1 && home["waiting"] == 0 => Ok(()),
        home => Err(home.to_string()),
    };
    wait_until("the name is entered", PATIENCE, entered).await.unwrap();
    fails(&net.run(0, ["home", "create"], ["--json"]).await, 2, "conflict");

    net.net.kill(&[0]).unwrap();
    let recovered = json_of(&fed(&net, 5, &["recover"], &phrase.to_uppercase().replace(' ', "\n")).await);
    assert_eq!(recovered["volumes"][0]["petname"], "backup", "{recovered}");
    assert_eq!((&recovered["names"][0]["petname"], &recovered["known"]), (&"me".into(), &0.into()));
    let again = json_of(&fed(&net, 5, &["recover"], &phrase).await);
    assert_eq!((&again["known"], &again["volumes"]), (&2.into(), &Value::Array(Vec::new())), "{again}");
    assert_eq!(json_of(&fed(&net, 5, &["home", "check"], &phrase).await)["opens"], true);
    comes_back(&net, 5, &dir, "at once").await;

    let all_kept = async || {
        let keeps = net.keeps(5).await;
        let has = |name: &str| keeps.iter().any(|kept| kept["names"][0] == name);
        let all = ["volume backup: files", "volume backup: its map", "volume home: its map"];
        if all.iter().all(|name| has(name)) { Ok(()) } else { Err(format!("{keeps:?}")) }
    };
    wait_until("the new machine keeps everything", PATIENCE, all_kept).await.unwrap();
    // The time itself is the fault: what nobody renews has ended twice.
    tokio::time::sleep(Duration::from_secs(45)).await;
    comes_back(&net, 5, &dir, "later").await;
    // A third machine finds the home as well.
    let third = json_of(&fed(&net, 2, &["recover"], &phrase).await);
    assert_eq!(third["volumes"][0]["writable"], true, "{third}");
    // What was forgotten and pruned is given up by all who kept it.
    let snapshot = json(&net, 2, &["backup", "list"]).await["id"].as_str().unwrap().to_owned();
    json(&net, 2, &["backup", "forget", &snapshot, "--prune", "--grace", "0s"]).await;
}

#[tokio::test]
async fn a_phrase_that_opens_nothing_changes_nothing() {
    let net = Net::start(5).await;
    let of = async |node: usize| {
        let created = json(&net, node, &["home", "create"]).await;
        created["phrase"].as_str().unwrap().to_owned()
    };
    let (mine, theirs) = (of(0).await, of(1).await);
    let unknown = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    fails(&fed(&net, 2, &["recover"], unknown).await, 4, "no_such_home");
    fails(&fed(&net, 2, &["home", "check"], unknown).await, 4, "no_such_home");
    fails(&fed(&net, 2, &["recover"], "legal winner").await, 5, "bad_phrase");
    fails(&fed(&net, 2, &["recover"], &unknown.replace("sausage", "useful")).await, 5, "bad_phrase");
    fails(&fed(&net, 0, &["recover"], &theirs).await, 2, "conflict");
    fails(&fed(&net, 0, &["home", "check"], &theirs).await, 5, "other_home");
    let volumes = json(&net, 2, &["volume", "list"]).await;
    assert_eq!(volumes.as_array().unwrap().len(), 0, "{volumes}");
    // One that gave its home up can have another.
    json(&net, 0, &["volume", "remove", "home", "--yes"]).await;
    assert_eq!(json(&net, 0, &["home", "status"]).await["volume"], Value::Null);
    assert_eq!(json_of(&fed(&net, 0, &["recover"], &mine).await)["known"], 0);
}

#[tokio::test]
async fn who_is_alone_is_told_that_a_phrase_does_not_help_yet() {
    let net = Net::start(1).await;
    let output = net.run(0, ["home", "create"], [""; 0]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("alone in its network"), "{}", shown(&output));
}
