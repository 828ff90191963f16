//! Writers that die in the middle.

use std::process::Stdio;

use chordage_testnet::wait_until;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;

use crate::harness::{Net, PATIENCE, chordage, random_bytes, shown};

/// More than the client and the daemon hold in memory, so that shards are on disks before the end is read.
const BYTES: usize = 24_000_000;

/// Starts a put of standard input, gives it everything but the end, and waits until shards have arrived.
async fn half_a_put(net: &Net, seed: u64) -> Child {
    let mut command = chordage(["put", "--json", "--redundancy", "2/3", "-"]);
    command.arg("--api").arg(net.net.data_dir(0)).stdin(Stdio::piped());
    let mut put = command.spawn().unwrap();
    let mut input = put.stdin.take().unwrap();
    input.write_all(&random_bytes(BYTES, seed)).await.unwrap();
    // Kept open: without its end the object is not whole.
    put.stdin = Some(input);
    wait_until("shards arrive", PATIENCE, async || match net.net.status(1).await {
        Ok(status) if status.store.shards > 0 => Ok(()),
        Ok(_) => Err("there are none yet".to_owned()),
        Err(error) => Err(error.to_string()),
    })
    .await
    .unwrap();
    put
}

#[tokio::test]
async fn a_killed_client_leaves_no_object_that_looks_whole() {
    let net = Net::start(3).await;
    let mut put = half_a_put(&net, 5).await;
    put.start_kill().unwrap();
    let output = put.wait_with_output().await.unwrap();
    assert!(output.stdout.is_empty(), "there is no link: {}", shown(&output));
    // What the dead writer left does not stand in the way of the next one.
    let link = net.put(1, "2/3", &net.random_file("file", BYTES, 5)).await;
    assert!(net.get(2, &link, "again").await == random_bytes(BYTES, 5));
}

#[tokio::test]
async fn a_killed_daemon_fails_the_put_and_the_next_one_succeeds() {
    let mut net = Net::start(4).await;
    let put = half_a_put(&net, 6).await;
    net.net.kill(&[0]).unwrap();
    let output = tokio::time::timeout(PATIENCE, put.wait_with_output()).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    assert!(output.stdout.is_empty(), "there is no link: {}", shown(&output));
    let link = net.put(1, "2/3", &net.random_file("file", BYTES, 6)).await;
    assert!(net.get(2, &link, "again").await == random_bytes(BYTES, 6));
}
