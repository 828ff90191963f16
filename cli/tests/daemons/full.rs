//! Daemons that have no more room.

use std::fs;

use chordage_testnet::{Plan, Testnet};

use crate::harness::{Net, PATIENCE, json_of, last_json, random_bytes, shown};

const MB: usize = 1_000_000;

#[tokio::test]
async fn a_quota_that_is_reached_fails_the_put_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(crate::harness::PROGRAM, dir.path().join("net"), 4);
    plan.daemon_args = ["--quota", "24M"].map(str::to_owned).into();
    let net = Net::around(Testnet::start(plan).await.unwrap(), dir);
    net.net.wait_settled(PATIENCE).await.unwrap();

    // Each takes 10 MB of every daemon.
    let mut links = Vec::new();
    let refused = loop {
        let seed = links.len() as u64;
        let file = net.random_file("file", 20 * MB, seed);
        let output = net.run(0, ["put", "--json", "--redundancy", "2/4"], [&file]).await;
        if !output.status.success() {
            break output;
        }
        links.push(json_of(&output)["link"].as_str().unwrap().to_owned());
        assert!(links.len() < 4, "four times as much as the quota allows was taken");
    };
    assert_eq!(refused.status.code(), Some(6), "{}", shown(&refused));
    let problem = last_json(&refused.stderr);
    assert_eq!(problem["code"], "not_durable", "{problem}");
    assert!(problem["message"].as_str().unwrap().contains("full"), "{problem}");
    assert!(!problem["hint"].as_str().unwrap().is_empty(), "{problem}");
    assert!(!links.is_empty(), "there was room for one");

    for node in 0..4 {
        let status = net.net.status(node).await.expect("it lives on");
        assert!(
            status.store.stored_bytes <= status.store.quota_bytes,
            "{} bytes are stored",
            status.store.stored_bytes
        );
    }
    for (seed, link) in links.iter().enumerate() {
        let name = format!("again-{seed}");
        assert!(net.get(seed % 4, link, &name).await == random_bytes(20 * MB, seed as u64));
    }
}

#[tokio::test]
async fn who_is_full_is_passed_over() {
    let mut net = Net::start(6).await;
    net.net.stop(&[1], PATIENCE).await.unwrap();
    fs::write(net.net.data_dir(1).join("config.toml"), "quota_bytes = 2000000\n").unwrap();
    net.net.restart(&[1]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();

    // Of 12 MB, coded 2 of 4 over 6 daemons, each would get about 4 MB.
    let link = net.put(0, "2/4", &net.random_file("file", 12 * MB, 9)).await;
    let output = net.run(0, ["stat", "--check", "--json"], [&link]).await;
    let health = json_of(&output)["health"].clone();
    assert_eq!(health["full"], health["chunks"], "others took what it could not: {health}");
    assert!(net.net.status(1).await.unwrap().store.stored_bytes <= 2_000_000);
    assert!(net.get(1, &link, "again").await == random_bytes(12 * MB, 9));
}
