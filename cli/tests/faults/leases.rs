//! What nobody keeps is freed, and nothing else is.

use std::process::{Output, Stdio};
use std::time::Duration;

use chordage_testnet::wait_until;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin};

use crate::harness::{IMPATIENT, LONG, Net, PATIENCE, SHORT, chordage, json_of, random_bytes, shown};

const MB: usize = 1_000_000;

/// Waits until the holders of all that a daemon keeps were asked for a whole lease: then they have written their claims
/// down.
async fn claims_are_durable(net: &Net, node: usize) {
    const LEASE: u64 = 400 * 24 * 60 * 60;
    let seconds = |kept: &Value, field: &str| kept[field].as_u64().unwrap();
    let look = async || match net.keeps(node).await {
        all if all.iter().all(|kept| seconds(kept, "until") - seconds(kept, "since") >= LEASE) => Ok(()),
        all => Err(format!("it keeps {all:?}")),
    };
    wait_until("a whole lease is given", PATIENCE, look).await.unwrap();
}

#[tokio::test]
async fn what_is_forgotten_is_freed_and_what_others_keep_is_not() {
    let mut net = Net::with_settings(6, SHORT).await;
    let doomed = net.put(0, "2/4", &net.random_file("doomed", 12 * MB, 1)).await;
    let own = net.put(0, "2/4", &net.random_file("own", 3 * MB, 2)).await;
    let shared = net.put(0, "2/4", &net.random_file("shared", 3 * MB, 3)).await;
    // Kept by another daemon, too.
    json_of(&net.run(1, ["keep", "--json"], [&shared]).await);
    let before = net.stored().await;

    // A daemon that is not one of its keepers cannot forget it, nor does it know what it is.
    let refused = net.run(2, ["forget", "--json"], [&shared]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
    net.forget(0, &shared).await;
    net.forget(0, &doomed).await;
    // It goes on after a restart, and counts what it has.
    net.net.kill(&[3]).unwrap();
    net.net.restart(&[3]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    net.wait_stored("the space is back", |bytes| bytes < before - 20 * MB as u64).await;

    assert!(net.get(4, &shared, "shared again").await == random_bytes(3 * MB, 3));
    assert!(net.get(5, &own, "own again").await == random_bytes(3 * MB, 2));
    let gone = net.run(4, ["stat", "--json"], [&doomed]).await;
    assert_eq!(gone.status.code(), Some(4), "{}", shown(&gone));
    let keeps = json_of(&net.run(0, ["keeps", "--json"], [] as [&str; 0]).await);
    assert_eq!(keeps.as_array().unwrap().len(), 1, "{keeps}");

    // The same content can be stored again, although this daemon believes to know its chunks.
    let again = net.put(0, "2/4", &net.path("doomed")).await;
    assert!(net.get(2, &again, "doomed again").await == random_bytes(12 * MB, 1));
}

#[tokio::test]
async fn what_repair_made_again_is_kept_for_its_writer_and_freed_when_forgotten() {
    // Nothing ends by itself here: a shard whose new holder was not told for whom it keeps it would stay for ever.
    let mut net = Net::with_settings(8, IMPATIENT).await;
    let kept = net.put(0, "2/5", &net.random_file("kept", 3 * MB, 1)).await;
    let doomed = net.put(0, "2/5", &net.random_file("doomed", 12 * MB, 2)).await;
    net.wait_whole(0, &doomed).await;
    net.net.kill(&[5, 6, 7]).unwrap();
    net.wait_whole(0, &doomed).await;
    net.wait_whole(0, &kept).await;
    let before = net.stored().await;

    net.forget(0, &doomed).await;
    net.wait_stored("all shards are freed", |bytes| bytes < before - 28 * MB as u64).await;
    net.wait_whole(0, &kept).await;
    assert!(net.get(4, &kept, "kept again").await == random_bytes(3 * MB, 1));
}

/// All daemons but one are killed, are off for longer than a lease, and start again: nobody could renew anywhere
/// meanwhile, neither at those that were off nor at the one that was alone.
#[tokio::test]
async fn an_outage_that_is_longer_than_a_lease_ends_nothing() {
    let mut net = Net::with_settings(5, SHORT).await;
    let mut links = Vec::new();
    for seed in 0..3 {
        let file = net.random_file(&format!("kept {seed}"), MB, seed);
        links.push(net.put(seed as usize, "2/4", &file).await);
    }
    for link in &links {
        net.wait_whole(0, link).await;
    }
    let before = net.stored().await;
    let most = [0, 1, 2, 3];
    net.net.kill(&most).unwrap();
    // The time itself is the fault: much more than the lease, and than the other needs to see that it is alone.
    tokio::time::sleep(Duration::from_secs(40)).await;
    net.net.restart(&most).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    for (seed, link) in links.iter().enumerate() {
        let name = format!("kept {seed} again");
        assert!(net.get(4, link, &name).await == random_bytes(MB, seed as u64), "object {seed}");
    }
    assert_eq!(net.stored().await, before, "no holder has freed anything");
}

/// All daemons are killed at the end of a put, with claims that were not durable yet: what is forgotten afterwards is
/// freed all the same.
#[tokio::test]
async fn what_was_put_shortly_before_everybody_was_killed_can_be_forgotten() {
    let mut net = Net::with_settings(5, LONG).await;
    let mut links = Vec::new();
    for seed in 0..5 {
        let file = net.random_file(&format!("doomed {seed}"), MB, seed);
        links.push(net.put(0, "2/4", &file).await);
    }
    let all = [0, 1, 2, 3, 4];
    net.net.kill(&all).unwrap();
    net.net.restart(&all).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    for link in &links {
        net.forget(0, link).await;
    }
    net.wait_stored("every shard is freed", |bytes| bytes == 0).await;
    for link in &links {
        let gone = net.run(1, ["stat", "--json"], [link]).await;
        assert_eq!(gone.status.code(), Some(4), "{}", shown(&gone));
    }
}

/// Waits until those that are there have freed an object, its root among it.
async fn wait_forgotten(net: &Net, link: &str) {
    let gone = async || match net.run(1, ["stat", "--json"], [link]).await.status.code() {
        Some(4) => Ok(()),
        code => Err(format!("stat exits with {code:?}")),
    };
    wait_until("nobody has its root any more", PATIENCE, gone).await.unwrap();
}

/// Holders that were off while something was forgotten are told when they are back: nothing of it stays, and no repair
/// makes it whole again.
#[tokio::test]
async fn what_was_forgotten_while_holders_were_off_is_freed_when_they_return() {
    let mut net = Net::with_settings(8, IMPATIENT).await;
    let doomed = net.put(0, "1/8", &net.random_file("doomed", 2 * MB, 1)).await;
    let kept = net.put(0, "2/6", &net.random_file("kept", MB / 10, 2)).await;
    claims_are_durable(&net, 0).await;
    let absent = [4, 5, 6, 7];
    net.net.kill(&absent).unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    net.forget(0, &doomed).await;
    wait_forgotten(&net, &doomed).await;
    // The writer was away as well meanwhile.
    net.net.kill(&[0]).unwrap();
    net.net.restart(&[0, 4, 5, 6, 7]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    net.wait_whole(0, &kept).await;
    // What is kept has a shard of 50 kB on each daemon at the most; a daemon had 2 MB of the other.
    net.wait_stored("all of it is freed", |bytes| bytes < MB as u64 / 2).await;
    // The root is so small that the bytes do not show when it goes.
    wait_forgotten(&net, &doomed).await;
    let again = net.run(0, ["forget", "--json"], [&doomed]).await;
    assert_eq!(again.status.code(), Some(2), "it is not kept: {}", shown(&again));
    assert!(net.get(6, &kept, "kept again").await == random_bytes(MB / 10, 2));
}

/// What was sent by puts that broke off is freed by itself, and what was finished at the same time is not.
#[tokio::test]
async fn what_was_never_finished_is_freed_by_itself() {
    // Nothing is renewed in time: the put itself has to ask for a whole lease.
    let net = Net::with_settings(5, &LONG.replace("renew_seconds = 2", "renew_seconds = 3000")).await;
    let file = net.random_file("broken off", 200 * MB, 1);
    let mut put = chordage(["put", "--redundancy", "2/4"]);
    let mut put = put.arg(&file).arg("--api").arg(net.net.data_dir(0)).spawn().unwrap();
    net.wait_stored("some of it is stored", |bytes| bytes > 20 * MB as u64).await;
    let finished = net.put(1, "2/4", &net.random_file("finished", MB, 2)).await;
    assert!(put.try_wait().unwrap().is_none(), "it goes on");
    put.start_kill().unwrap();
    put.wait().await.unwrap();
    net.wait_stored("it is freed", |bytes| bytes < 3 * MB as u64).await;
    assert!(net.get(3, &finished, "finished again").await == random_bytes(MB, 2));
    let keeps = json_of(&net.run(0, ["keeps", "--json"], [] as [&str; 0]).await);
    assert_eq!(keeps.as_array().unwrap().len(), 0, "{keeps}");
    // Its holders keep the other for a whole lease if they do not hear of its writer again.
    let keeps = json_of(&net.run(1, ["keeps", "--json"], [] as [&str; 0]).await);
    let [since, until] = ["since", "until"].map(|field| keeps[0][field].as_u64().unwrap());
    assert!(until >= since + 6000, "{keeps}");
    assert_eq!(net.explain(1, &finished).await["kept"], keeps[0]);
    assert!(net.explain(0, &finished).await["kept"].is_null());
}

/// Everybody is killed in the middle of a put, with claims that were not durable yet: what was sent is freed by itself,
/// and nobody has to know of it.
#[tokio::test]
async fn what_was_sent_before_everybody_was_killed_is_freed_by_itself() {
    let mut net = Net::with_settings(5, LONG).await;
    let file = net.random_file("broken off", 200 * MB, 1);
    let mut put = chordage(["put", "--redundancy", "2/4"]);
    let mut put = put.arg(&file).arg("--api").arg(net.net.data_dir(0)).stderr(Stdio::null()).spawn().unwrap();
    net.wait_stored("some of it is stored", |bytes| bytes > 20 * MB as u64).await;
    let all = [0, 1, 2, 3, 4];
    net.net.kill(&all).unwrap();
    assert!(!put.wait().await.unwrap().success());
    net.net.restart(&all).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    net.wait_stored("it is freed", |bytes| bytes == 0).await;
}

/// A put from standard input that waits for its end.
struct SlowPut {
    put: Child,
    input: ChildStdin,
}

impl SlowPut {
    async fn begin(net: &Net, node: usize, first: &[u8]) -> Self {
        let mut put = chordage(["put", "--json", "--redundancy", "2/4", "-"]);
        put.arg("--api").arg(net.net.data_dir(node)).stdin(Stdio::piped());
        let mut put = put.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = put.stdin.take().unwrap();
        input.write_all(first).await.unwrap();
        SlowPut { put, input }
    }

    async fn end(mut self, rest: &[u8]) -> Output {
        self.input.write_all(rest).await.unwrap();
        drop(self.input);
        self.put.wait_with_output().await.unwrap()
    }
}

/// A put may take longer than the shards of an unfinished one are kept.
#[tokio::test]
async fn a_put_that_takes_longer_than_its_first_claims_loses_nothing() {
    let net = Net::with_settings(5, LONG).await;
    let content = random_bytes(40 * MB, 3);
    let put = SlowPut::begin(&net, 0, &content[..30 * MB]).await;
    net.wait_stored("most of it is stored", |bytes| bytes > 30 * MB as u64).await;
    // The time itself is the fault: twice as long as the claims last.
    tokio::time::sleep(Duration::from_secs(16)).await;
    let report = json_of(&put.end(&content[30 * MB..]).await);
    let link = report["link"].as_str().unwrap();
    assert!(net.get(3, link, "slow again").await == content);
}

/// The writer's machine sleeps in the middle of a put until its holders have given up what was sent: the put says so,
/// and is not acknowledged.
#[tokio::test]
async fn a_put_that_slept_until_its_shards_were_freed_is_not_acknowledged() {
    let net = Net::with_settings(6, LONG).await;
    let content = random_bytes(40 * MB, 4);
    let put = SlowPut::begin(&net, 0, &content[..30 * MB]).await;
    net.wait_stored("most of it is stored", |bytes| bytes > 30 * MB as u64).await;
    net.net.freeze(0).unwrap();
    let freed = async || {
        let mut bytes = 0;
        for node in 1..6 {
            bytes += net.net.status(node).await.unwrap().store.stored_bytes;
        }
        if bytes == 0 { Ok(()) } else { Err(format!("{bytes} bytes are stored")) }
    };
    wait_until("it is freed", PATIENCE, freed).await.unwrap();
    net.net.thaw(0).unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    let refused = put.end(&content[30 * MB..]).await;
    assert_eq!(refused.status.code(), Some(6), "{}", shown(&refused));
    let keeps = net.keeps(0).await;
    assert!(keeps.iter().all(|kept| kept["state"] == "forgetting"), "{keeps:?}");
    let link = net.put(0, "2/4", &net.random_file("again", 40 * MB, 4)).await;
    assert!(net.get(3, &link, "after sleep").await == content);
}
