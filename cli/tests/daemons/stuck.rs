//! Repairs for which there seems to be no place.

use std::fs;

use chordage_api::types::HeldBackReason;
use chordage_testnet::wait_until;

use crate::harness::{IMPATIENT, Net, PATIENCE, random_bytes};

/// Two daemons came to hold the same shards, because one of them was away when the other got them. When another daemon
/// is lost then, there are as many daemons as shards, and each of them holds some.
#[tokio::test]
async fn a_daemon_with_a_spare_copy_takes_what_nobody_else_can() {
    const BYTES: usize = 3_000_000;
    // Whoever is not the first in a chunk's order queues what the first repairs, and has to see that it is done.
    let settings = IMPATIENT.replace("turn_seconds = 20", "turn_seconds = 600");
    let mut net = Net::with_settings(5, &settings).await;
    let link = net.put(0, "2/5", &net.random_file("file", BYTES, 31)).await;
    net.wait_whole(0, &link).await;
    net.net.kill(&[4]).unwrap();
    net.net.grow(6).await.unwrap();
    net.wait_whole(0, &link).await;
    net.net.restart(&[4]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();

    net.net.kill(&[3]).unwrap();
    net.wait_whole(0, &link).await;
    let quiet = async || {
        for node in net.net.living() {
            let repair = net.net.status(node).await.map_err(|error| error.to_string())?.duties.repair;
            let waiting = repair.queued + repair.running + repair.degraded + repair.homeless;
            if waiting > 0 || !repair.held_back.is_empty() {
                return Err(format!("daemon {node}: {repair:?}"));
            }
        }
        Ok(())
    };
    wait_until("nobody has anything to repair any more", PATIENCE, quiet).await.unwrap();
    // Two more may be lost, also those two that had the same.
    net.net.kill(&[4, 5]).unwrap();
    assert!(net.get(0, &link, "after it all").await == random_bytes(BYTES, 31));
}

/// The only daemon that has no shard takes none.
#[tokio::test]
async fn what_cannot_be_repaired_now_is_said_once_and_done_when_somebody_comes() {
    let mut net = Net::with_settings(6, IMPATIENT).await;
    net.net.client(5).unwrap().drain().await.unwrap();
    let link = net.put(0, "2/5", &net.random_file("file", 1_500_000, 32)).await;
    net.wait_whole(0, &link).await;
    net.net.kill(&[4]).unwrap();

    let tried = async || {
        let mut told = Vec::new();
        for node in net.net.living() {
            let repair = net.net.status(node).await.map_err(|error| error.to_string())?.duties.repair;
            let held_back: u64 = repair.held_back.iter().map(|part| part.chunks).sum();
            let no_place = repair.held_back.iter().all(|part| part.why == HeldBackReason::NoPlace);
            // More often than there are chunks: some were tried again.
            if held_back > 0 && no_place && repair.failed >= 3 * held_back {
                return Ok(node);
            }
            told.push(format!("daemon {node}: {repair:?}"));
        }
        Err(told.join("\n"))
    };
    let node = wait_until("some repairs were tried again and again", PATIENCE, tried).await.unwrap();
    let status = String::from_utf8(net.run(node, ["status"], [] as [&str; 0]).await.stdout).unwrap();
    assert!(status.contains("could not be repaired yet: no daemon took a shard"), "{status}");
    let log = fs::read_to_string(net.net.log(node)).unwrap();
    let mut warned: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("not repaired"))
        .map(|line| line.split("chunk=").nth(1).unwrap().split(' ').next().unwrap())
        .collect();
    let warnings = warned.len();
    warned.sort_unstable();
    warned.dedup();
    assert!(warnings > 0 && warnings == warned.len(), "{warnings} warnings of {} chunks", warned.len());

    net.net.grow(7).await.unwrap();
    net.wait_whole(0, &link).await;
}
