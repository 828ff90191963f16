//! Whom daemons stay connected with: their neighbours and the fastest fingers, and nobody else for long.

use std::collections::BTreeSet;
use std::fs;

use chordage_node::api::types::PeerStatus;
use chordage_testnet::{Plan, Testnet, wait_until};

use crate::{PATIENCE, PROGRAM, alone};

/// More daemons than connections that one may have.
const NODES: usize = 52;
const MAX: u64 = 48;
const WARM_FINGERS: usize = 2;
const SETTINGS: &str = "\
[connections]
max = 48
strangers_max = 8
warm_fingers = 2
idle_seconds = 4
";

async fn peers_of_all(net: &Testnet) -> Result<Vec<Vec<PeerStatus>>, String> {
    let mut all = Vec::with_capacity(net.len());
    for index in 0..net.len() {
        all.push(net.peers(index).await.map_err(|error| format!("node {index}: {error}"))?);
    }
    Ok(all)
}

/// Looks a key near every other node up, by which connections open that nobody keeps. Nobody has more than it may meanwhile.
async fn many_ask_everywhere(net: &Testnet) {
    let mut most = 0;
    for index in 0..net.len() {
        let client = net.client(index).unwrap();
        for to in (0..net.len()).filter(|_| index % 4 == 0) {
            let trace = client.trace(net.id(to).unwrap()).await.unwrap();
            assert_eq!(trace.owner, net.id(to).unwrap(), "node {index} asks for {to}");
        }
        let status = net.status(index).await.unwrap();
        assert_eq!(status.connections_max, MAX);
        assert_eq!(status.connections, status.connections_warm + status.connections_cold);
        most = most.max(status.connections);
    }
    assert!(most <= MAX, "{most} connections");
    println!("while many ask everywhere: at most {most} connected");
}

/// Every leaf is connected and kept, and so are a few fingers; whoever is connected is kept by one side or the other.
async fn only_the_warm_are_left(net: &Testnet) -> Result<(), String> {
    let all = peers_of_all(net).await?;
    let ids: Vec<&str> = (0..net.len()).map(|index| net.id(index).unwrap()).collect();
    let mut kept = BTreeSet::new();
    for (me, peers) in ids.iter().zip(&all) {
        let warm = peers.iter().filter(|peer| peer.warm);
        kept.extend(warm.map(|peer| (*me, peer.id.as_str())));
        if let Some(cold) = peers.iter().find(|peer| peer.leaf && !peer.warm) {
            return Err(format!("the leaf {} of {me} is not kept", cold.id));
        }
        let fingers = peers.iter().filter(|peer| peer.warm && !peer.leaf).count();
        if fingers > WARM_FINGERS {
            return Err(format!("{me} keeps {fingers} fingers"));
        }
    }
    let mut open = 0;
    for (index, (me, peers)) in ids.iter().zip(&all).enumerate() {
        for peer in peers.iter().filter(|peer| peer.connected) {
            open += 1;
            if !kept.contains(&(*me, peer.id.as_str())) && !kept.contains(&(peer.id.as_str(), *me)) {
                return Err(format!("{me} is still connected to {}, and neither keeps it", peer.id));
            }
        }
        let status = net.status(index).await.map_err(|error| error.to_string())?;
        if status.connections > MAX || status.connections_strangers > 8 {
            return Err(format!("node {index} has {} connections", status.connections));
        }
    }
    println!(
        "idle: {:.1} peers connected on average, all kept by one side or the other",
        open as f64 / ids.len() as f64
    );
    Ok(())
}

#[tokio::test]
async fn neighbours_stay_connected_and_everybody_else_not_for_long() {
    let _alone = alone().await;
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("settings.toml");
    fs::write(&settings, SETTINGS).unwrap();
    let mut plan = Plan::new(PROGRAM, dir.path().join("net"), NODES);
    plan.daemon_args = vec!["--config".into(), settings.display().to_string()];
    let net = Testnet::start(plan).await.unwrap();
    net.wait_settled(PATIENCE).await.unwrap();
    many_ask_everywhere(&net).await;
    wait_until("only the warm are left", PATIENCE, || only_the_warm_are_left(&net)).await.unwrap();
    net.wait_settled(PATIENCE).await.unwrap();
}
