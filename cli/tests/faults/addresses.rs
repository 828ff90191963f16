//! Where daemons are found again after everybody was killed.

use std::fs;
use std::time::Duration;

use chordage_testnet::{Plan, Testnet};
use tokio::time::{sleep, timeout};

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
        before.push(net.net.status(node).await.unwrap().membership.listen);
    }
    for _ in 0..2 {
        net.net.kill(&[0, 1, 2]).unwrap();
        net.net.restart(&[0, 1, 2]).await.unwrap();
        net.net.wait_settled(PATIENCE).await.unwrap();
        for (node, before) in before.iter().enumerate() {
            let mut now = net.net.status(node).await.unwrap().membership.listen;
            let mut before = before.clone();
            now.sort();
            before.sort();
            assert_eq!(now, before, "daemon {node}");
        }
    }
    assert!(net.get(2, &link, "again").await == random_bytes(300_000, 4));
}

/// A version that no daemon gets to by counting: what a clock far in the future once left behind.
const FAR: u64 = 9_000_000_000_000_000;

/// Waits until a daemon has run for so long that all have listed its record, and would list another.
async fn listed_for_a_while(net: &Net, node: usize) {
    let running = async {
        while net.net.status(node).await.unwrap().membership.uptime_seconds < 15.0 {
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, running).await.expect("it runs on");
}

/// Waits until every other daemon names one at the addresses where it is now, and it counts above [`FAR`].
async fn found_by_everybody(net: &Net, node: usize) -> u64 {
    let id = net.net.id(node).unwrap();
    let settling = async {
        loop {
            let listen = net.net.status(node).await.unwrap().membership.listen;
            let own = net.net.members(node).await.unwrap();
            let version = own.iter().find(|member| member.id == id).map_or(0, |member| member.incarnation);
            let is_right = |addrs: &[String]| {
                listen.iter().all(|listen| addrs.iter().any(|addr| listen.starts_with(addr)))
            };
            let mut right = 0;
            for other in (0..net.net.len()).filter(|other| *other != node) {
                let peers = net.net.peers(other).await.unwrap();
                right += usize::from(peers.iter().any(|peer| peer.id == id && is_right(&peer.addrs)));
            }
            if right == net.net.len() - 1 && version > FAR {
                return version;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, settling).await.expect("everybody learns where it is")
}

/// Its record had a version far above what it counts now, and everybody remembers that.
#[tokio::test]
async fn a_daemon_that_lost_count_of_its_record_is_found_at_its_new_address() {
    let mut net = Net::start(4).await;
    let link = net.put(0, "2/4", &net.random_file("file", 300_000, 5)).await;
    let of = |net: &Net, name: &str| net.net.data_dir(3).join(name);
    listed_for_a_while(&net, 3).await;
    net.net.kill(&[3]).unwrap();
    fs::write(of(&net, "record"), format!("{FAR}\n")).unwrap();
    net.net.restart(&[3]).await.unwrap();
    found_by_everybody(&net, 3).await;
    listed_for_a_while(&net, 3).await;
    net.net.kill(&[3]).unwrap();
    // With the file of its ports it loses its address, too.
    fs::remove_file(of(&net, "record")).unwrap();
    fs::remove_file(of(&net, "listen")).unwrap();
    net.net.restart(&[3]).await.unwrap();
    let version = found_by_everybody(&net, 3).await;
    // It writes down what it was shown, and needs nobody the next time.
    let writing = async {
        let written = || fs::read_to_string(of(&net, "record")).unwrap().trim().parse::<u64>().unwrap();
        while written() < version {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, writing).await.expect("it is written down");
    net.net.kill(&[3]).unwrap();
    net.net.restart(&[3]).await.unwrap();
    assert!(net.get(3, &link, "again").await == random_bytes(300_000, 5));
}
