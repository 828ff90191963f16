//! Drivers over real libp2p on loopback.

use std::time::Duration;

use chordage_dht::{Confirm, LookupOptions};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::address::to_address;
use crate::clock::wall_time;
use crate::identity::Identity;
use crate::lan::{Hint, Seen};
use crate::listen::listen;
use crate::network::NetworkFingerprint;
use crate::recordbook::RecordBook;
use crate::tasks::Tasks;
use crate::wire::{Gate, Protocols, RelaySettings, build};

struct Running {
    handle: DriverHandle,
    task: JoinHandle<()>,
    addr: Multiaddr,
    _dir: TempDir,
}

async fn start(network: &str, bootstrap: Vec<Multiaddr>) -> Running {
    start_looking(network, bootstrap, None).await
}

async fn start_looking(
    network: &str,
    bootstrap: Vec<Multiaddr>,
    lan: Option<watch::Receiver<Seen>>,
) -> Running {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = Arc::new(DataDir::open(temporary.path()).expect("new"));
    let identity = Identity::load(&dir).expect("new");
    let protocols = Protocols::new(network, "ring");
    let signer = Signer::new(identity.keypair.clone());
    let mut swarm = build(
        identity.keypair,
        protocols,
        Gate::default(),
        &ConnectionConfig::default(),
        &RelaySettings::default(),
    )
    .expect("a valid key");
    listen(&mut swarm, &["/ip4/127.0.0.1/tcp/0".parse().expect("valid")], "").await.expect("loopback");
    let addrs = swarm.listeners().filter_map(to_address).collect();
    let addr = named(swarm.listeners().next().expect("bound"), *swarm.local_peer_id());
    let (version, versions) = Versions::begin(dir.clone(), wall_time()).expect("writable");
    let fingerprint = NetworkFingerprint::of(network, AnyMetric::Ring);
    let records = RecordBook::open(temporary.path(), fingerprint).expect("new");
    let record_disk = records.start(&Tasks::new(CancellationToken::new(), None)).expect("a thread");
    let (driver, handle) = Driver::new(DriverParts {
        swarm,
        local: PeerInfo::new(identity.public_key, addrs, version).expect("valid"),
        versions,
        signer,
        network: network.to_owned(),
        metric: AnyMetric::Ring,
        seed: identity.public_key,
        ways_in: WaysIn { bootstrap, lan },
        announced: Announced::Listened,
        dir,
        delay: Duration::ZERO,
        connections: ConnectionConfig::default(),
        overlay: crate::config::OverlayConfig::default(),
        acceptors: Acceptors { shards: Box::new(|_| ()), papers: None, reach: Box::new(|_| ()) },
        records: RecordParts {
            network: fingerprint,
            work: crate::network::work::IdWork::default(),
            kept: Vec::new(),
            disk: record_disk,
        },
    });
    Running { handle, task: tokio::spawn(driver.run()), addr, _dir: temporary }
}

async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "waited 30 s for {what}");
}

async fn neighbours(node: &Running) -> usize {
    node.handle.view().await.map_or(0, |view| view.leaf_set.len())
}

#[tokio::test]
async fn nodes_that_start_together_find_each_other_and_agree_on_owners() {
    let first = start("test", vec![]).await;
    let mut nodes = vec![first];
    for _ in 1..8 {
        let bootstrap = vec![nodes[0].addr.clone()];
        nodes.push(start("test", bootstrap).await);
    }
    for node in &nodes {
        assert!(node.handle.joined_within(Duration::from_secs(30)).await);
        wait_for("everybody to know everybody", async || neighbours(node).await == 7).await;
    }
    let key = chordage_dht::Key::from_bytes([7; 32]);
    let options = LookupOptions { want: 3, confirm: Confirm::Answered(3), ..LookupOptions::default() };
    let mut owners = Vec::new();
    for node in &nodes {
        let lookup = node.handle.lookup(key, options).await.expect("found");
        owners.push(lookup.closest.first().expect("somebody").id());
    }
    owners.dedup();
    assert_eq!(owners.len(), 1, "{owners:?}");
}

#[tokio::test]
async fn a_node_that_leaves_is_gone_at_once_and_one_that_dies_soon() {
    let first = start("test", vec![]).await;
    let second = start("test", vec![first.addr.clone()]).await;
    let third = start("test", vec![first.addr.clone()]).await;
    for node in [&first, &second, &third] {
        wait_for("three nodes", async || neighbours(node).await == 2).await;
    }
    second.handle.leave().await;
    wait_for("the goodbye", async || neighbours(&first).await == 1).await;
    third.task.abort();
    wait_for("the loss", async || neighbours(&first).await == 0).await;
}

#[tokio::test]
async fn a_loop_that_goes_round_shows_it_again_and_again() {
    let node = start("test", vec![]).await;
    let mut beats = node.handle.beats();
    for beat in 1..=3 {
        let beaten = tokio::time::timeout(Duration::from_secs(30), beats.changed()).await;
        assert!(matches!(beaten, Ok(Ok(()))), "beat {beat}: {beaten:?}");
    }
    node.handle.leave().await;
    let ended =
        tokio::time::timeout(Duration::from_secs(30), async { while beats.changed().await.is_ok() {} });
    assert!(ended.await.is_ok(), "a loop that has ended shows nothing");
}

#[tokio::test]
async fn an_address_without_a_peer_id_is_enough_to_join() {
    let first = start("test", vec![]).await;
    let bare = split(first.addr.clone()).0;
    let second = start("test", vec![bare]).await;
    assert!(second.handle.joined_within(Duration::from_secs(30)).await);
    wait_for("the newcomer", async || neighbours(&first).await == 1).await;
}

#[tokio::test]
async fn another_network_is_not_joined() {
    let first = start("test", vec![]).await;
    let stranger = start("other", vec![first.addr.clone()]).await;
    wait_for("a reason", async || {
        stranger.handle.view().await.is_some_and(|view| view.join_problem.is_some())
    })
    .await;
    assert_eq!(stranger.handle.membership(), Membership::Joining);
    assert_eq!(neighbours(&first).await, 0);
}

/// What the LAN shows of a node.
fn shown(node: &Running) -> Seen {
    let (addr, peer) = split(node.addr.clone());
    let hints = vec![Hint { peer: peer.expect("named"), addrs: vec![addr] }];
    Seen { hints, ..Seen::default() }
}

#[tokio::test]
async fn nodes_that_were_networks_of_their_own_become_one_when_the_lan_shows_them() {
    let (lan, seen) = watch::channel(Seen::default());
    let first = start_looking("test", vec![], Some(seen)).await;
    let others = [start("test", vec![]).await, start("other", vec![]).await];
    for node in [&first, &others[0], &others[1]] {
        assert!(node.handle.joined_within(Duration::from_secs(30)).await);
    }
    // It says that it is of the network and is not.
    lan.send_replace(shown(&others[1]));
    wait_for("the stranger", async || {
        first.handle.view().await.and_then(|view| view.lan).is_some_and(|lan| lan.found == 1)
    })
    .await;
    assert_eq!(neighbours(&first).await, 0);
    lan.send_replace(shown(&others[0]));
    wait_for("one network", async || neighbours(&first).await == 1 && neighbours(&others[0]).await == 1)
        .await;
    let status = first.handle.view().await.and_then(|view| view.lan).expect("it looks");
    assert_eq!((status.found, status.met), (1, 1));
    assert_eq!(neighbours(&others[1]).await, 0);
}
