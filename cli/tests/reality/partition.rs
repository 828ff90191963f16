//! Real daemons in two halves that lose each other for a while: two rings, and then one again.
//!
//! Each half lives in a network namespace of its own; a bridge in a third one joins them, and pulling the plug there
//! loses packets without a word, as a cut cable does.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chordage_api::types::NodeId;
use chordage_testnet::{Plan, Testnet, wait_until};

use crate::{PATIENCE, PROGRAM, alone};

/// Daemons in each half.
const HALF: usize = 10;
/// How long the network stays cut after both halves have noticed; CHORDAGE_TEST_CUT_SECONDS says otherwise.
const CUT: Duration = Duration::from_secs(20);
/// How soon there has to be one ring again.
const HEAL: Duration = Duration::from_secs(60);

/// Two namespaces and what lies between them. Gone when dropped.
pub(crate) struct Cable {
    names: [String; 3],
}

impl Cable {
    /// The reason, where the system allows no namespaces.
    pub(crate) fn lay() -> Result<Self, String> {
        let names = ["a", "b", "m"].map(|side| format!("chordage-{}-{side}", std::process::id()));
        let cable = Cable { names };
        let [_, _, middle] = &cable.names;
        for name in &cable.names {
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&["-n", middle, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", middle, "link", "set", "bridge", "up"])?;
        for (side, plug) in [(0, "plug-a"), (1, "plug-b")] {
            let name = &cable.names[side];
            ip(&["-n", name, "link", "add", "eth", "type", "veth", "peer", "name", plug, "netns", middle])?;
            ip(&["-n", name, "addr", "add", &format!("{}/24", address(side)), "dev", "eth"])?;
            ip(&["-n", name, "link", "set", "eth", "up"])?;
            ip(&["-n", middle, "link", "set", plug, "master", "bridge", "up"])?;
        }
        Ok(cable)
    }

    pub(crate) fn cut(&self) {
        ip(&["-n", &self.names[2], "link", "set", "plug-b", "nomaster"]).unwrap();
    }

    pub(crate) fn join(&self) {
        ip(&["-n", &self.names[2], "link", "set", "plug-b", "master", "bridge"]).unwrap();
    }

    /// A program that is `chordage` in one of the namespaces.
    fn program(&self, side: usize, dir: &Path) -> PathBuf {
        let path = dir.join(format!("side-{side}"));
        let script = format!("#!/bin/sh\nexec ip netns exec {} {PROGRAM} \"$@\"\n", self.names[side]);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            // Not all of them exist when laying failed.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn address(side: usize) -> String {
    format!("10.77.0.{}", side + 1)
}

pub(crate) fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("ip cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Starts so many daemons on one side.
pub(crate) async fn start(cable: &Cable, side: usize, nodes: usize, dir: &Path, more: &[String]) -> Testnet {
    let mut plan = Plan::new(cable.program(side, dir), dir.join(format!("net-{side}")), nodes);
    plan.listen =
        vec![format!("/ip4/{}/tcp/0", address(side)), format!("/ip4/{}/udp/0/quic-v1", address(side))];
    plan.daemon_args = ["--network", "split"].map(String::from).to_vec();
    plan.daemon_args.extend_from_slice(more);
    Testnet::start(plan).await.unwrap()
}

pub(crate) fn ids(net: &Testnet) -> BTreeSet<NodeId> {
    (0..net.len()).map(|index| net.id(index).unwrap()).collect()
}

/// Whether every leaf set of `net` is `expected` without the daemon itself.
pub(crate) async fn sees(net: &Testnet, expected: &BTreeSet<NodeId>) -> Result<(), String> {
    for index in 0..net.len() {
        let me = net.id(index).unwrap();
        let peers = net.peers(index).await.map_err(|error| format!("node {index}: {error}"))?;
        let mut found: BTreeSet<NodeId> =
            peers.into_iter().filter(|peer| peer.leaf).map(|peer| peer.id).collect();
        found.insert(me);
        if found != *expected {
            let (missing, extra) = (expected.difference(&found).count(), found.difference(expected).count());
            return Err(format!(
                "node {index} of {}: {missing} missing, {extra} too much",
                net.dir().display()
            ));
        }
    }
    Ok(())
}

/// Whether all daemons find the same owner of a key.
async fn agree(nets: [&Testnet; 2], key: &str) -> bool {
    let mut owners = BTreeSet::new();
    for net in nets {
        for index in 0..net.len() {
            owners.insert(net.client(index).unwrap().trace(key).await.unwrap().owner);
        }
    }
    owners.len() == 1
}

#[tokio::test]
async fn twenty_daemons_cut_in_half_are_one_ring_again_within_a_minute() {
    let _alone = alone().await;
    let cable = match Cable::lay() {
        Ok(cable) => cable,
        Err(reason) => {
            println!("skipped: no network namespaces here ({reason})");
            return;
        }
    };
    let cut = match std::env::var("CHORDAGE_TEST_CUT_SECONDS") {
        Ok(seconds) => Duration::from_secs(seconds.parse().unwrap()),
        Err(_) => CUT,
    };
    let dir = tempfile::tempdir().unwrap();
    let left = start(&cable, 0, HALF, dir.path(), &[]).await;
    let way_in = left.status(0).await.unwrap().membership.listen[0].clone();
    let right = start(&cable, 1, HALF, dir.path(), &["--bootstrap".into(), way_in]).await;
    let (left_ids, right_ids) = (ids(&left), ids(&right));
    let all: BTreeSet<NodeId> = left_ids.union(&right_ids).cloned().collect();
    let both = async |left_sees: &BTreeSet<NodeId>, right_sees: &BTreeSet<NodeId>| {
        sees(&left, left_sees).await?;
        sees(&right, right_sees).await
    };
    let one_ring = async || both(&all, &all).await;
    let two_rings = async || both(&left_ids, &right_ids).await;
    wait_until("twenty daemons are one ring", PATIENCE, one_ring).await.unwrap();

    cable.cut();
    let since = Instant::now();
    wait_until("each half is a ring of its own", PATIENCE, two_rings).await.unwrap();
    println!("cut: two rings after {:.1} s", since.elapsed().as_secs_f64());
    let until = Instant::now() + cut;
    while Instant::now() < until {
        two_rings().await.unwrap();
    }

    cable.join();
    let since = Instant::now();
    wait_until("there is one ring again", HEAL, one_ring).await.unwrap();
    println!("healed: one ring after {:.1} s", since.elapsed().as_secs_f64());
    for key in ["00", "5a", "c3"] {
        assert!(agree([&left, &right], &key.repeat(32)).await, "owner of {key}...");
    }
}
