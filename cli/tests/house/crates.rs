//! Which crates may use which.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{CRATES, no_complaints, root};

/// Every allowed edge between crates of the house. Tests and build scripts obey them too.
const EDGES: [(&str, &[&str]); 8] = [
    ("chordage-dht", &[]),
    ("chordage-storage", &[]),
    ("chordage-api", &["chordage-storage"]),
    ("chordage-gateway", &["chordage-api"]),
    ("chordage-node", &["chordage-api", "chordage-dht", "chordage-storage"]),
    ("chordage-sim", &["chordage-dht", "chordage-storage"]),
    ("chordage-testnet", &["chordage-api", "chordage-node"]),
    (
        "chordage-cli",
        &["chordage-api", "chordage-gateway", "chordage-node", "chordage-testnet", "chordage-sim"],
    ),
];

/// What the pure crates may not contain, not even through others: anything that waits or talks.
const WORLDLY: [&str; 9] =
    ["async-std", "axum", "futures-executor", "hyper", "libp2p", "mio", "quinn", "socket2", "tokio"];

/// Dependencies of the pure crates that contain `getrandom` for uses of their own: `ring` for key generation,
/// `reed-solomon-erasure` for the seed of a hash map. Neither is asked for randomness by us.
const MAY_CONTAIN_GETRANDOM: [&str; 2] = ["reed-solomon-erasure", "ring"];

/// What `cargo metadata` says about the workspace and, for this platform, everything below it.
fn metadata() -> Value {
    let rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("-vV")
        .output()
        .unwrap();
    let version = String::from_utf8(rustc.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().unwrap()
}

#[test]
fn crates_use_only_those_below_them() {
    let metadata = metadata();
    let members: BTreeSet<&str> =
        list(&metadata, "workspace_members").iter().map(|id| id.as_str().unwrap()).collect();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.into();
    let mut complaints = Vec::new();
    let mut seen = BTreeSet::new();
    for package in list(&metadata, "packages").iter().filter(|package| members.contains(text(package, "id")))
    {
        let name = text(package, "name");
        seen.insert(name);
        let Some(allowed) = allowed.get(name) else {
            complaints.push(format!("{name} is new: say in EDGES what it may use"));
            continue;
        };
        for dependency in list(package, "dependencies") {
            let used = text(dependency, "name");
            if used.starts_with("chordage") && !allowed.contains(&used) {
                complaints.push(format!("{name} uses {used}"));
            }
        }
    }
    for name in allowed.keys().filter(|name| !seen.contains(*name)) {
        complaints.push(format!("{name} is gone: take it out of EDGES"));
    }
    no_complaints("crates may use only those below them", &complaints);
}

#[test]
fn pure_crates_contain_nothing_that_waits_or_talks() {
    let metadata = metadata();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").iter().map(|node| (text(node, "id"), node)).collect();
    let names: BTreeMap<&str, &str> = list(&metadata, "packages")
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let mut complaints = Vec::new();
    for pure in ["chordage-dht", "chordage-storage"] {
        let start = *names.iter().find(|(_, name)| **name == pure).unwrap().0;
        let mut seen = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(id) = open.pop() {
            for dependency in list(nodes[id], "deps") {
                let normal = list(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null());
                let used = text(dependency, "pkg");
                if !normal || !seen.insert(used) {
                    continue;
                }
                let name = names[used];
                let worldly = WORLDLY.contains(&name) || name.starts_with("libp2p-");
                if worldly || name == "getrandom" {
                    complaints.push(format!("{pure} contains {name}, through {}", names[id]));
                }
                if !MAY_CONTAIN_GETRANDOM.contains(&name) {
                    open.push(used);
                }
            }
        }
    }
    no_complaints("dht and storage have no network, no clock of others and no randomness", &complaints);
}

#[test]
fn every_crate_obeys_the_lints_of_the_workspace() {
    let complaints: Vec<String> = CRATES
        .into_iter()
        .filter(|name| {
            let manifest = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
            !manifest.replace(' ', "").contains("[lints]\nworkspace=true")
        })
        .map(|name| format!("{name}/Cargo.toml lacks [lints] workspace = true"))
        .collect();
    no_complaints("lints are the workspace's", &complaints);
}
