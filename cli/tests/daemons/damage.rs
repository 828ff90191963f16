//! Disks that lie.

use crate::harness::{Net, PATIENCE, flip_bytes, last_json, random_bytes, shown};

#[tokio::test]
async fn flipped_bytes_are_detected_covered_and_reported() {
    const BYTES: usize = 1_500_000;
    let mut net = Net::start(3).await;
    let link = net.put(0, "2/3", &net.random_file("file", BYTES, 4)).await;

    net.net.stop(&[1], PATIENCE).await.unwrap();
    let flipped = flip_bytes(&net.net.data_dir(1).join("shards"), 50_000);
    assert!(flipped > 0, "there is something to damage");
    net.net.restart(&[1]).await.unwrap();

    // Two shards are needed, and one of the two that are left is damaged: no byte of it may come out.
    net.net.kill(&[0]).unwrap();
    let output = net.run(2, ["get", "--json", &link, "-o"], [net.path("too few")]).await;
    assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
    assert_eq!(last_json(&output.stderr)["code"], "unavailable");
    assert!(!net.path("too few").exists(), "what cannot be read is not left behind in part");
    assert!(net.damaged(1).await > 0, "the daemon reports what it found");

    // With a whole one in its place, everything comes back.
    net.net.restart(&[0]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    assert!(net.get(1, &link, "again").await == random_bytes(BYTES, 4));
}
