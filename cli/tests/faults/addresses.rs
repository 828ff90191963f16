//! Where daemons are found again after everybody was killed.

use chordage_testnet::{Plan, Testnet};

use crate::harness::{Net, PATIENCE, PROGRAM, random_bytes};

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
