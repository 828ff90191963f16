//! What a daemon has acknowledged survives it.

use crate::harness::{Net, PATIENCE, random_bytes};

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
