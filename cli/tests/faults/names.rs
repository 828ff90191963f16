//! Names while those who keep them die, freeze, and are replaced.

use std::time::Duration;

use chordage_api::client::Client;
use chordage_api::types::{PublishReport, PublishRequest, PublishState};
use chordage_testnet::Testnet;

use crate::harness::{Net, PATIENCE};

const NAMES: usize = 100;

async fn publish(client: &Client, name: &str, target: &str) -> PublishReport {
    let request = PublishRequest {
        name: name.to_owned(),
        target: Some(target.to_owned()),
        ttl_seconds: 60,
        valid_seconds: 3600,
        expect_seq: None,
        delegate: false,
    };
    client.publish_name(&request).await.unwrap()
}

/// Publishes through the first daemon; returns the keys.
async fn published(net: &Testnet) -> Vec<String> {
    let client = net.client(0).unwrap();
    let mut keys = Vec::new();
    for index in 0..NAMES {
        let petname = format!("name-{index}");
        keys.push(client.create_name(&petname).await.unwrap().key);
        let report = publish(&client, &petname, &format!("value {index}")).await;
        assert_eq!(report.state, PublishState::Stored, "{report:?}");
    }
    keys
}

/// How many of the names cannot be resolved at a daemon, with the first error.
async fn missing(net: &Testnet, node: usize, keys: &[String], quorum: bool) -> Vec<String> {
    let client = net.client(node).unwrap();
    let mut missing = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        match client.resolve_name(key, quorum, None).await {
            Ok(found) if found.target == format!("value {index}") && !found.stale => {}
            other => missing.push(format!("{key}: {other:?}")),
        }
    }
    missing
}

/// Nobody publishes again: the publisher is the first to die, and no daemon of the beginning is left in the end.
#[tokio::test]
async fn names_outlive_their_publisher_and_all_who_kept_them() {
    let mut net = Net::start(9).await;
    let keys = published(&net.net).await;
    for round in 0..3 {
        net.net.grow(9 + 3 * (round + 1)).await.unwrap();
        net.net.wait_listed(PATIENCE).await.unwrap();
        let victims: Vec<usize> = (3 * round..3 * round + 3).collect();
        net.net.kill(&victims).unwrap();
        net.net.wait_listed(PATIENCE).await.unwrap();
        // With every round there is somebody new who is to keep them, and has to know all before the next one dies.
        let newest = 9 + 3 * round + 2;
        let missing = missing(&net.net, newest, &keys, true).await;
        assert!(missing.is_empty(), "round {round}: {} of {NAMES}: {}", missing.len(), missing[0]);
    }
    assert_eq!(net.net.living(), (9..18).collect::<Vec<_>>());
}

/// A fifth stands still, keeps its connections and answers nothing.
#[tokio::test]
async fn names_are_published_and_found_while_some_of_their_keepers_stand_still() {
    let net = Net::start(10).await;
    let keys = published(&net.net).await;
    net.net.freeze(3).unwrap();
    net.net.freeze(7).unwrap();
    let lost = missing(&net.net, 5, &keys, false).await;
    assert!(lost.is_empty(), "{} of {NAMES}: {}", lost.len(), lost[0]);
    let client = net.net.client(0).unwrap();
    let within = tokio::time::timeout(Duration::from_secs(60), publish(&client, "name-0", "changed"));
    assert_eq!(within.await.expect("it ends").state, PublishState::Stored);
    net.net.thaw(3).unwrap();
    net.net.thaw(7).unwrap();
    net.net.wait_listed(PATIENCE).await.unwrap();
    // Who slept has compared with the others before it is believed that it knows.
    let found = net.net.client(3).unwrap().resolve_name(&keys[0], true, None).await.unwrap();
    assert_eq!((&*found.target, found.seq), ("changed", 2));
}
