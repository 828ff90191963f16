//! A daemon that is not run for a while, as on a laptop that is shut, while nothing is wrong with the others.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use crate::harness::{Net, PATIENCE, chordage, json_of, random_bytes, shown};

/// Longer than a holder may take to acknowledge a shard.
const SLEEP: Duration = Duration::from_secs(20);
const BYTES: usize = 24 << 20;

#[tokio::test]
async fn a_daemon_that_slept_during_a_put_does_not_count_that_against_others() {
    let net = Net::start(8).await;
    let content = random_bytes(BYTES, 41);
    let before = net.put(0, "4/8", &net.random_file("before", 1 << 20, 42)).await;
    let mut putting = chordage(["put", "--json", "--redundancy", "4/8", "-", "--api"]);
    putting.arg(net.net.data_dir(0)).stdin(std::process::Stdio::piped());
    let mut putting = putting.spawn().unwrap();
    let mut input = putting.stdin.take().unwrap();
    let fed = content.clone();
    let feeding = tokio::spawn(async move {
        input.write_all(&fed).await.unwrap();
        drop(input);
    });
    let some_sent = async {
        while net.net.status(1).await.unwrap().store.stored_bytes < 2 << 20 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, some_sent).await.expect("the put has begun");
    net.net.freeze(0).unwrap();
    // Time itself is what is tested.
    sleep(SLEEP).await;
    net.net.thaw(0).unwrap();
    assert!(net.get(0, &before, "before-again").await == random_bytes(1 << 20, 42));
    let put = timeout(PATIENCE, putting.wait_with_output()).await.expect("the put ends").unwrap();
    assert!(put.status.success(), "{}", shown(&put));
    feeding.await.unwrap();
    let link = json_of(&put)["link"].as_str().unwrap().to_owned();
    assert!(net.get(3, &link, "again").await == content);
}
