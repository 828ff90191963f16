//! Whom daemons stay connected with: their neighbours and the fastest fingers, and nobody else for long.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;

use chordage_api::types::{NodeId, PeerStatus};
use chordage_testnet::{Plan, Testnet, wait_until};

use crate::{PATIENCE, PROGRAM, alone};

/// One node, and another that it is connected to.
type Pair = (NodeId, NodeId);

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

/// Looks a key near every other node up, by which connections open that nobody keeps. Nobody has more than it may
/// meanwhile.
async fn many_ask_everywhere(net: &Testnet) {
    let mut most = 0;
    for index in 0..net.len() {
        let client = net.client(index).unwrap();
        for to in (0..net.len()).filter(|_| index % 4 == 0) {
            let id = net.id(to).unwrap();
            // All have fewer seats than there are daemons: one that has none free cannot answer at that moment.
            let found = async || match client.trace(&id.to_string()).await {
                Ok(trace) if trace.owner == id => Ok(()),
                Ok(trace) => Err(format!("{} is said to be nearest", trace.owner)),
                Err(error) => Err(error.to_string()),
            };
            let what = format!("node {index} finds {to}");
            wait_until(&what, PATIENCE, found).await.unwrap();
        }
        let status = net.status(index).await.unwrap();
        assert_eq!(status.overlay.connections_max, MAX);
        assert_eq!(
            status.overlay.connections,
            status.overlay.connections_warm + status.overlay.connections_cold
        );
        most = most.max(status.overlay.connections);
    }
    assert!(most <= MAX, "{most} connections");
    println!("while many ask everywhere: at most {most} connected");
}

/// Every leaf is connected and kept, and so are a few fingers. Whoever else was connected (`cold`, which this fills
/// when it is `None`) has been let go since, but for a few. Upkeep opens new connections now and then, so that some are
/// always there.
async fn the_cold_have_closed(net: &Testnet, cold: &Mutex<Option<BTreeSet<Pair>>>) -> Result<(), String> {
    let all = peers_of_all(net).await?;
    let ids: Vec<NodeId> = (0..net.len()).map(|index| net.id(index).unwrap()).collect();
    let mut kept = BTreeSet::new();
    for (me, peers) in ids.iter().zip(&all) {
        let warm = peers.iter().filter(|peer| peer.warm);
        kept.extend(warm.map(|peer| (*me, peer.id)));
        if let Some(cold) = peers.iter().find(|peer| peer.leaf && !peer.warm) {
            return Err(format!("the leaf {} of {me} is not kept", cold.id));
        }
        let fingers = peers.iter().filter(|peer| peer.warm && !peer.leaf).count();
        if fingers > WARM_FINGERS {
            return Err(format!("{me} keeps {fingers} fingers"));
        }
    }
    let mut open = BTreeSet::new();
    let mut connected = 0;
    for (index, (me, peers)) in ids.iter().zip(&all).enumerate() {
        for peer in peers.iter().filter(|peer| peer.connected) {
            connected += 1;
            if !kept.contains(&(*me, peer.id)) && !kept.contains(&(peer.id, *me)) {
                open.insert((*me, peer.id));
            }
        }
        let status = net.status(index).await.map_err(|error| error.to_string())?;
        if status.overlay.connections > MAX || status.overlay.connections_strangers > 8 {
            return Err(format!("node {index} has {} connections", status.overlay.connections));
        }
    }
    let mut cold = cold.lock().unwrap();
    let before = cold.get_or_insert_with(|| open.clone());
    before.retain(|pair| open.contains(pair));
    // A pair that upkeep makes talk more often than the idle time stays connected, cold or not.
    if let Some((me, peer)) = before.first().filter(|_| before.len() > NODES / 4) {
        let more = before.len() - 1;
        return Err(format!(
            "{me} is still connected to {peer}, which neither keeps, and {more} more such pairs"
        ));
    }
    println!(
        "idle: {:.1} peers connected on average, {:.1} of them kept by neither side",
        connected as f64 / ids.len() as f64,
        open.len() as f64 / ids.len() as f64
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
    let cold = Mutex::new(None);
    wait_until("the cold have closed", PATIENCE, || the_cold_have_closed(&net, &cold)).await.unwrap();
    net.wait_settled(PATIENCE).await.unwrap();
}
