//! What a daemon has acknowledged survives it.

use chordage_testnet::{Plan, Testnet};

use crate::harness::{Net, PATIENCE, PROGRAM, random_bytes};

#[tokio::test]
async fn daemons_killed_and_started_again_serve_their_old_shards() {
    let mut net = Net::start(4).await;
    let link = net.put(0, "2/4", &net.random_file("file", 3_000_000, 1)).await;
    net.net.kill(&[1, 2]).unwrap();
    net.net.restart(&[1, 2]).await.unwrap();
    // Of four shards two are enough, and only the two that were killed are left.
    net.net.kill(&[0, 3]).unwrap();
    assert!(net.get(1, &link, "again").await == random_bytes(3_000_000, 1));
}

#[tokio::test]
async fn an_object_survives_the_restart_of_everybody_at_once() {
    let mut net = Net::start(4).await;
    let link = net.put(0, "2/4", &net.random_file("file", 3_000_000, 2)).await;
    net.net.kill(&[0, 1, 2, 3]).unwrap();
    net.net.restart(&[0, 1, 2, 3]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    for node in 0..4 {
        assert!(net.get(node, &link, &format!("through {node}")).await == random_bytes(3_000_000, 2));
    }
}

#[tokio::test]
async fn a_frozen_daemon_does_not_hold_up_a_get() {
    let net = Net::start(4).await;
    let link = net.put(0, "2/4", &net.random_file("file", 1_000_000, 3)).await;
    net.net.freeze(3).unwrap();
    assert!(net.get(0, &link, "while one sleeps").await == random_bytes(1_000_000, 3));
    net.net.thaw(3).unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
}

/// Wildcards, beside addresses that are named: everybody has the same ports again, so that others find it.
#[tokio::test]
async fn daemons_that_listen_on_all_interfaces_keep_their_ports() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(PROGRAM, dir.path().join("net"), 3);
    plan.listen = ["/ip4/0.0.0.0/tcp/0", "/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"]
        .map(str::to_owned)
        .to_vec();
    let mut net = Net::of(Testnet::start(plan).await.unwrap(), dir);
    net.net.wait_settled(PATIENCE).await.unwrap();
    let link = net.put(0, "1/3", &net.random_file("file", 300_000, 4)).await;
    let mut before = Vec::new();
    for node in 0..3 {
        before.push(net.net.status(node).await.unwrap().listen);
    }
    for _ in 0..2 {
        net.net.kill(&[0, 1, 2]).unwrap();
        net.net.restart(&[0, 1, 2]).await.unwrap();
        net.net.wait_settled(PATIENCE).await.unwrap();
        for (node, before) in before.iter().enumerate() {
            let mut now = net.net.status(node).await.unwrap().listen;
            let mut before = before.clone();
            now.sort();
            before.sort();
            assert_eq!(now, before, "daemon {node}");
        }
    }
    assert!(net.get(2, &link, "again").await == random_bytes(300_000, 4));
}
