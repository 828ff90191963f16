//! Lost shards come back without a command.

use std::fs;
use std::path::Path;

use chordage_api::types::DaemonState;
use chordage_testnet::wait_until;

use crate::harness::{IMPATIENT, Net, PATIENCE, files_below, flip_bytes, json_of, random_bytes};
use crate::testnet_command::open_to_others;

impl Net {
    /// Shards that living daemons have made again.
    async fn repaired(&self) -> u64 {
        let mut shards = 0;
        for node in self.net.living() {
            shards += self.net.status(node).await.unwrap().duties.repair.repaired_shards;
        }
        shards
    }
}

#[tokio::test]
async fn redundancy_comes_back_and_a_second_blow_is_survived() {
    const BYTES: usize = 3_000_000;
    let mut net = Net::with_settings(8, IMPATIENT).await;
    let link = net.put(0, "2/5", &net.random_file("file", BYTES, 6)).await;
    net.wait_whole(0, &link).await;

    net.net.kill(&[5, 6, 7]).unwrap();
    assert!(net.get(0, &link, "after the first blow").await == random_bytes(BYTES, 6));
    net.net.grow(11).await.unwrap();
    net.wait_whole(0, &link).await;
    assert!(net.repaired().await > 0);
    assert_eq!(open_to_others(net.net.dir()), Vec::<String>::new());

    // Three more of those that were there from the start: without repair, some chunk would be gone by now.
    net.net.kill(&[2, 3, 4]).unwrap();
    assert!(net.get(0, &link, "after the second").await == random_bytes(BYTES, 6));
    net.wait_whole(0, &link).await;
}

/// Surveys that not everybody had answered, or that nobody had made yet, were told as losses.
#[tokio::test]
async fn no_loss_is_told_where_all_is_well() {
    let net = Net::with_settings(12, IMPATIENT).await;
    for seed in [21, 22] {
        net.put(0, "2/5", &net.random_file(&format!("file {seed}"), 2_000_000, seed)).await;
    }
    let mut before = Vec::new();
    for node in net.net.living() {
        before.push(net.net.status(node).await.unwrap().duties.repair.rounds);
    }
    // Everybody has had its turn with every chunk after so many.
    let rounds = async || {
        let mut fewest = u64::MAX;
        for (node, before) in net.net.living().into_iter().zip(&before) {
            let repair = net.net.status(node).await.unwrap().duties.repair;
            assert_eq!((repair.degraded, repair.unreadable), (0, 0), "daemon {node}: {repair:?}");
            // Each has surveyed all that it holds by then.
            let done = repair.rounds.saturating_sub(*before);
            assert!(done < 12 || repair.not_known_yet < repair.chunks.max(1), "daemon {node}: {repair:?}");
            fewest = fewest.min(done);
        }
        if fewest >= 12 { Ok(()) } else { Err(format!("{fewest} rounds")) }
    };
    wait_until("twelve rounds of all", PATIENCE, rounds).await.unwrap();
}

#[tokio::test]
async fn a_restart_moves_nothing() {
    let settings = IMPATIENT.replace("lost_seconds = 3", "lost_seconds = 600");
    let mut net = Net::with_settings(6, &settings).await;
    let link = net.put(0, "2/5", &net.random_file("file", 2_000_000, 7)).await;
    let victim = net.holders(&link).await[0];
    net.net.kill(&[victim]).unwrap();
    // Long enough for the others to have missed it: they say so. The chunk that the dead daemon looked after gets
    // a new leader only with the next one's first survey.
    let missed = async || {
        let explained = net.explain(0, &link).await;
        let worst = explained["worst"].as_array().unwrap();
        let led = !worst.is_empty() && worst.iter().all(|chunk| chunk["leader"].is_string());
        if led && explained["waiting"].as_u64().unwrap() > 0 { Ok(explained) } else { Err(explained) }
    };
    let explained = wait_until("the dead daemon is missed", PATIENCE, missed).await.unwrap();
    let worst = &explained["worst"][0];
    assert_eq!((&worst["present"], &worst["need"]), (&4.into(), &"wait".into()), "{explained}");
    let missing =
        worst["shards"].as_array().unwrap().iter().find(|shard| shard["state"] != "present").unwrap();
    // If it was the dead daemon itself that looked after the chunk, the next one need not know whose shard that was.
    if let Some(holder) = missing["holder"].as_str() {
        assert!(net.net.id(victim).unwrap().to_string().starts_with(holder), "{explained}");
    }
    assert!(worst["changes_in_seconds"].as_f64().unwrap() > 0.0, "{explained}");

    net.net.restart(&[victim]).await.unwrap();
    net.wait_whole(0, &link).await;
    // What it tells may be as old as its last survey.
    let back = async || match net.explain(0, &link).await {
        explained if explained["whole"] == explained["chunks"] => Ok(explained),
        explained => Err(explained),
    };
    let explained = wait_until("the next survey has found all", PATIENCE, back).await.unwrap();
    assert!(explained["loss_per_year"].as_f64().unwrap() >= 1e-9, "{explained}");
    assert_eq!(net.repaired().await, 0);
}

#[tokio::test]
async fn damage_on_a_disk_is_found_and_made_good() {
    const BYTES: usize = 6_000_000;
    // No survey and no lost shard: what comes back comes from the scrub alone.
    let settings = IMPATIENT.replace("survey_seconds = 1\n", "survey_seconds = 600\n");
    let mut net = Net::with_settings(6, &settings).await;
    let link = net.put(0, "2/5", &net.random_file("file", BYTES, 8)).await;
    // A put is acknowledged by its quorum: where one daemon is slow, that one may have nothing yet.
    let holders = net.holders(&link).await;
    let liars = [holders[0], holders[1]];
    net.net.stop(&liars, PATIENCE).await.unwrap();
    let flipped = flip_bytes(&net.net.data_dir(liars[0]).join("shards"), 300_000);
    assert!(flipped > 1, "there is something to damage");
    cut_short(&net.net.data_dir(liars[1]).join("shards"));
    net.net.restart(&liars).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();

    let mut read = 0;
    for node in 0..6 {
        read +=
            json_of(&net.run(node, ["scrub", "--json"], [] as [&str; 0]).await)["shards"].as_u64().unwrap();
    }
    assert!(read > 0);
    net.wait_whole(0, &link).await;
    // Some were found by repairs that wanted to read them, before the scrub came to them.
    let mut found = 0;
    for node in 0..6 {
        let damaged = net.damaged(node).await;
        assert_eq!(damaged > 0, liars.contains(&node), "node {node}: {damaged}");
        found += damaged;
    }
    // A shard is there a moment before it is counted.
    let counted = async || match net.repaired().await {
        repaired if repaired == found => Ok(()),
        repaired => Err(format!("{repaired} of {found} damaged ones were made again")),
    };
    wait_until("all repairs are counted", PATIENCE, counted).await.unwrap();
    let made_good = async || {
        for node in 0..6 {
            let missing =
                net.net.status(node).await.map_err(|error| error.to_string())?.damage.unmended_shards;
            if missing > 0 {
                return Err(format!("node {node} misses {missing}"));
            }
        }
        Ok(())
    };
    wait_until("nothing is missed any more", PATIENCE, made_good).await.unwrap();
    // With nothing but the disks that lied, and one more: every byte is right.
    let rest: Vec<usize> = (0..6).filter(|node| !liars.contains(node)).collect();
    net.net.kill(&rest[..3]).unwrap();
    assert!(net.get(liars[0], &link, "from the mended").await == random_bytes(BYTES, 8));
    for node in net.net.living() {
        let outcome = json_of(&net.run(node, ["scrub", "--json"], [] as [&str; 0]).await);
        assert_eq!(outcome["damaged"], 0, "{outcome}");
    }
}

#[tokio::test]
async fn audits_find_what_a_holder_only_says_it_has() {
    const BYTES: usize = 3_000_000;
    // Surveys ask for words only, so that the damaged daemon goes on saying that it has everything; no scrub is due.
    let settings = format!("{IMPATIENT}audit_seconds = 1\n");
    let mut net = Net::with_settings(6, &settings).await;
    let link = net.put(0, "2/5", &net.random_file("file", BYTES, 10)).await;
    let liar = net.holders(&link).await[0];
    net.net.stop(&[liar], PATIENCE).await.unwrap();
    let flipped = flip_bytes(&net.net.data_dir(liar).join("shards"), 20_000);
    assert!(flipped > 1, "there is something to damage");
    net.net.restart(&[liar]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();

    let found = async || {
        let damaged = net.damaged(liar).await;
        let mut failed = 0;
        for node in net.net.living() {
            failed += net.net.status(node).await.unwrap().duties.repair.audits_failed;
        }
        let repaired = net.repaired().await;
        let state = format!("{damaged} found damaged, {failed} audits failed, {repaired} made again");
        if damaged > 0 && failed > 0 && repaired >= damaged { Ok(()) } else { Err(state) }
    };
    wait_until("an audit finds damage", PATIENCE, found).await.unwrap();
    net.wait_whole(0, &link).await;
    // Whoever admits that it has lost something keeps its standing.
    for node in net.net.living() {
        let repair = net.net.status(node).await.unwrap().duties.repair;
        assert_eq!(repair.distrusted, 0, "{repair:?}");
    }
    assert!(net.get(liar, &link, "after the audits").await == random_bytes(BYTES, 10));
}

#[tokio::test]
async fn a_drained_daemon_can_be_stopped_for_good() {
    const BYTES: usize = 6_000_000;
    // What comes to be elsewhere is handed over, not made again.
    let mut net = Net::with_settings(7, "[repair]\nenabled = false\n").await;
    let link = net.put(0, "2/5", &net.random_file("file", BYTES, 9)).await;
    net.wait_whole(0, &link).await;
    let held = net.net.status(3).await.unwrap().store.shards;
    let outcome = json_of(&net.run(3, ["drain", "--json"], [] as [&str; 0]).await);
    assert_eq!((&outcome["done"], &outcome["covered"]), (&true.into(), &held.into()), "{outcome}");
    assert_eq!(outcome["handed"], held, "{outcome}");
    // What `drain` says, `status` says too.
    let told =
        async |command| String::from_utf8(net.run(3, [command], [] as [&str; 0]).await.stdout).unwrap();
    let (status, drained) = (told("status").await, told("drain").await);
    assert!(status.contains("state      draining") && status.contains(drained.trim()), "{status}\n{drained}");
    assert!(drained.contains("can be stopped for good"), "{drained}");
    assert!(net.get(1, &link, "while it still serves").await == random_bytes(BYTES, 9));
    net.net.stop(&[3], PATIENCE).await.unwrap();
    net.wait_whole(0, &link).await;

    // A second one leaves as many as there are shards of each chunk, and a third has nobody to hand over to.
    json_of(&net.run(4, ["drain", "--json"], [] as [&str; 0]).await);
    net.net.stop(&[4], PATIENCE).await.unwrap();
    net.wait_whole(0, &link).await;
    net.net.client(5).unwrap().drain().await.unwrap();
    let stuck = async || {
        let drain = net.net.status(5).await.unwrap().duties.drain.unwrap();
        if drain.homeless > 0 { Ok(drain) } else { Err(format!("{drain:?}")) }
    };
    let drain = wait_until("it finds no taker", PATIENCE, stuck).await.unwrap();
    assert!(!drain.done, "{drain:?}");
    assert_eq!(net.net.status(5).await.unwrap().membership.state, DaemonState::Draining);
    let status = String::from_utf8(net.run(5, ["status"], [] as [&str; 0]).await.stdout).unwrap();
    assert!(status.contains("draining   ") && status.contains("found no daemon that takes"), "{status}");
    assert!(net.get(5, &link, "nothing is lost").await == random_bytes(BYTES, 9));
}

/// Cuts the end off the largest segment below a directory.
fn cut_short(dir: &Path) {
    let segments = files_below(dir);
    let segments = segments.iter().filter(|path| path.extension().is_none_or(|end| end != "redb"));
    let largest = segments.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let file = fs::File::options().write(true).open(largest).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}
