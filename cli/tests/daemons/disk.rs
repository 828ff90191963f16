//! Disks that fail in other ways than by flipping bits.

use std::fs;

use chordage_testnet::wait_until;

use crate::harness::{Net, PATIENCE, json_of, random_bytes};

#[tokio::test]
async fn a_daemon_whose_directory_was_removed_acknowledges_nothing() {
    let net = Net::start(4).await;
    let file = net.random_file("file", 300_000, 1);
    let link = net.put(0, "2/4", &file).await;
    fs::remove_dir_all(net.net.data_dir(3)).unwrap();

    // Neither new shards nor what it still has open.
    for (path, redundancy) in [(file.clone(), "2/4"), (net.random_file("other", 300_000, 2), "2/4")] {
        let args = ["put", "--json", "--allow-degraded", "--redundancy", redundancy];
        let report = json_of(&net.run(0, args, [&path]).await);
        assert_eq!(report["acks_min"], 3, "{report}");
    }
    let health = json_of(&net.run(0, ["stat", "--check", "--json"], [&link]).await)["health"].clone();
    assert_eq!(health["full"], 0, "{health}");
    assert!(net.get(1, &link, "again").await == random_bytes(300_000, 1));
}

#[tokio::test]
async fn a_daemon_whose_shards_were_removed_says_so_once() {
    let net = Net::start(3).await;
    assert_eq!(net.net.status(2).await.unwrap().disk_problem, None);
    fs::remove_dir_all(net.net.data_dir(2).join("shards")).unwrap();
    let problem = net.net.status(2).await.unwrap().disk_problem.unwrap();
    assert!(problem.contains("removed or replaced"), "{problem}");

    let log = || fs::read_to_string(net.net.log(2)).unwrap();
    let said = || log().matches("removed or replaced").count();
    wait_until("the log says it", PATIENCE, || async {
        if said() > 0 { Ok(()) } else { Err("nothing is logged") }
    })
    .await
    .unwrap();
    for seed in 0..5 {
        let path = net.random_file("file", 100_000, seed);
        let report =
            json_of(&net.run(0, ["put", "--json", "--allow-degraded", "--redundancy", "1/3"], [&path]).await);
        assert_eq!(report["acks_min"], 2, "{report}");
    }
    assert_eq!(said(), 1, "{}", log());
}
