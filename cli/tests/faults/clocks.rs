//! Clocks that are wrong: nothing that must not go wrong follows them.

use std::fs;

use crate::harness::{LONG, Net, PATIENCE, random_bytes};

const MB: usize = 1_000_000;
const YEAR: i64 = 365 * 24 * 60 * 60;

/// Has daemons start with a clock that is off, and every later one too until it is called again.
fn set_clock(net: &Net, seconds: i64) {
    fs::write(net.path("settings.toml"), format!("debug_clock_seconds = {seconds}\n{LONG}")).unwrap();
}

impl Net {
    async fn restart_with_clock(&mut self, node: usize, seconds: i64) {
        set_clock(self, seconds);
        self.net.kill(&[node]).unwrap();
        self.net.restart(&[node]).await.unwrap();
        self.net.wait_settled(PATIENCE).await.unwrap();
    }
}

/// The writer's clock is a year ahead while it puts, and right when it forgets; and the other way round.
#[tokio::test]
async fn what_was_put_with_a_wrong_clock_is_freed_when_it_is_forgotten_with_another() {
    let mut net = Net::with_settings(5, LONG).await;
    for (seed, [put, forget]) in [[YEAR, 0], [0, -YEAR], [-30 * YEAR, 3 * YEAR]].into_iter().enumerate() {
        net.restart_with_clock(0, put).await;
        let link = net.put(0, "2/4", &net.random_file("doomed", MB, seed as u64)).await;
        net.restart_with_clock(0, forget).await;
        net.forget(0, &link).await;
        net.wait_stored("it is freed", |bytes| bytes == 0).await;
    }
}

/// Holders' clocks jump by a century, in either direction: nothing that is kept ends.
#[tokio::test]
async fn no_clock_of_a_holder_ends_what_is_kept() {
    let mut net = Net::with_settings(5, LONG).await;
    let link = net.put(0, "2/4", &net.random_file("kept", MB, 1)).await;
    net.wait_whole(0, &link).await;
    let before = net.stored().await;
    for (node, years) in [(1, 100), (2, -40), (3, 100), (4, -40)] {
        net.restart_with_clock(node, years * YEAR).await;
    }
    assert!(net.get(4, &link, "kept again").await == random_bytes(MB, 1));
    assert_eq!(net.stored().await, before, "no holder has freed anything");
}

/// A daemon starts with a clock that is ahead, and then with a right one, at another address: it is found there.
#[tokio::test]
async fn a_daemon_whose_clock_was_ahead_is_found_at_its_new_address() {
    let mut net = Net::with_settings(4, LONG).await;
    net.restart_with_clock(3, YEAR).await;
    set_clock(&net, 0);
    net.net.kill(&[3]).unwrap();
    fs::remove_file(net.net.data_dir(3).join("listen")).unwrap();
    net.net.restart(&[3]).await.unwrap();
    // Every leaf set has it, at the address where it is.
    net.net.wait_settled(PATIENCE).await.unwrap();
    let link = net.put(0, "1/4", &net.random_file("file", MB, 1)).await;
    net.wait_whole(0, &link).await;
    assert!(net.get(3, &link, "again").await == random_bytes(MB, 1));
}
