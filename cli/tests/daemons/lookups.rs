//! Everybody finds everybody.

use chordage_testnet::{Plan, Testnet};

use crate::harness::{PATIENCE, PROGRAM};

/// Both metrics, in networks that are small enough for everybody to know everybody.
#[tokio::test]
async fn every_node_finds_every_other_by_its_id() {
    for metric in ["ring", "xor"] {
        let dir = tempfile::tempdir().unwrap();
        let mut plan = Plan::new(PROGRAM, dir.path().join("net"), 6);
        plan.daemon_args = vec!["--metric".into(), metric.into()];
        let net = Testnet::start(plan).await.unwrap();
        net.wait_settled(PATIENCE).await.unwrap();
        for from in 0..net.len() {
            let client = net.client(from).unwrap();
            for to in 0..net.len() {
                let id = net.id(to).unwrap();
                let trace = client.trace(&id.to_string()).await.unwrap();
                assert_eq!(trace.owner, id, "{metric}: from {from} to {to}");
                assert_eq!(trace.owner_is_self, from == to);
            }
        }
    }
}
