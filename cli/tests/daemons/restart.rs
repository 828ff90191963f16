//! What a daemon has acknowledged survives it.

use crate::harness::{Net, PATIENCE, json_of, random_bytes, shown};

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

/// Right after everybody has started again the lists and estimates of the network's size are young.
#[tokio::test]
async fn puts_after_a_restart_get_what_they_got_before_or_say_so() {
    let mut net = Net::start(12).await;
    net.net.wait_listed(PATIENCE).await.unwrap();
    let all: Vec<usize> = (0..12).collect();
    let file = net.random_file("file", 200_000, 4);
    for node in 0..12 {
        let report = json_of(&net.run(node, ["put", "--json"], [&file]).await);
        assert_eq!((&report["k"], &report["n"]), (&4.into(), &10.into()), "daemon {node}: {report}");
        assert!(report.get("less_than_before").is_none() && report["only_here"] == false, "{report}");
    }
    net.net.kill(&all).unwrap();
    net.net.restart(&all).await.unwrap();
    for node in 0..12 {
        let report = json_of(&net.run(node, ["put", "--json"], [&file]).await);
        let as_before = report["n"].as_u64().unwrap() >= 10;
        assert!(as_before || report["less_than_before"] == "4/10", "daemon {node}: {report}");
    }
    // And where all are listed their number counts.
    net.net.wait_listed(PATIENCE).await.unwrap();
    for node in 0..12 {
        let status = net.net.status(node).await.unwrap();
        assert_eq!(
            (status.overlay.network_nodes, status.puts.default_redundancy.as_str()),
            (12, "4/10"),
            "daemon {node}"
        );
    }
}

#[tokio::test]
async fn a_put_through_a_daemon_that_is_alone_says_so() {
    let net = Net::start(1).await;
    let file = net.random_file("file", 1000, 5);
    let output = net.run(0, ["put"], [&file]).await;
    assert!(output.status.success() && shown(&output).contains("the only copy is on this machine"));
    assert_eq!(json_of(&net.run(0, ["put", "--json"], [&file]).await)["only_here"], true);
}
