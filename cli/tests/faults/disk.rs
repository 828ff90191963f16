//! Disks that fail in other ways than by flipping bits.

use std::fs;
use std::io::Write;
use std::path::Path;

use chordage_testnet::wait_until;

use crate::harness::{Net, PATIENCE, json_of, last_json, random_bytes, shown};

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
    assert_eq!(net.net.status(2).await.unwrap().damage.disk_problem, None);
    fs::remove_dir_all(net.net.data_dir(2).join("shards")).unwrap();
    let problem = net.net.status(2).await.unwrap().damage.disk_problem.unwrap();
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

/// Says to the test below that it runs where it may mount a file system.
const MAY_MOUNT: &str = "CHORDAGE_TEST_MAY_MOUNT";

/// Runs the test below in a namespace of its own, in which anybody may mount a small file system.
#[tokio::test]
async fn daemons_on_a_full_disk_start_serve_and_forget() {
    let unshare = |rest: &[&std::ffi::OsStr]| {
        let mut command = tokio::process::Command::new("unshare");
        command.arg("-rm").args(rest).kill_on_drop(true);
        command
    };
    let allowed = unshare(&["true".as_ref()]).status().await.is_ok_and(|status| status.success());
    if !allowed {
        eprintln!("skipped: this system does not let its users mount a file system in a namespace");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let args = ["disk::on_a_small_file_system", "--exact", "--ignored", "--nocapture"].map(str::as_ref);
    let mut command = unshare(&[&[this.as_os_str()], &args[..]].concat());
    command.env(MAY_MOUNT, "1");
    let output = crate::harness::finish(command).await;
    assert!(output.status.success(), "{}", shown(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{}", shown(&output));
}

#[tokio::test]
#[ignore = "runs within daemons_on_a_full_disk_start_serve_and_forget"]
async fn on_a_small_file_system() {
    if std::env::var_os(MAY_MOUNT).is_none() {
        return;
    }
    const ALL: [usize; 4] = [0, 1, 2, 3];
    // A reserve of 2 MiB each: together less than shards leave free.
    const QUOTA: u64 = 128 << 20;
    let mut net = Net::start(4).await;
    net.net.stop(&ALL, PATIENCE).await.unwrap();
    let nodes = net.net.data_dir(0).parent().unwrap().to_owned();
    let before = net.path("before");
    fs::rename(&nodes, &before).unwrap();
    fs::create_dir(&nodes).unwrap();
    system("mount", &["-t", "tmpfs", "-o", "size=192m", "chordage-test", nodes.to_str().unwrap()]);
    system("cp", &["-a", &format!("{}/.", before.display()), nodes.to_str().unwrap()]);
    for node in ALL {
        fs::write(net.net.data_dir(node).join("config.toml"), format!("quota_bytes = {QUOTA}\n")).unwrap();
    }
    net.net.restart(&ALL).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    let files = [1, 2].map(|seed| net.random_file(&format!("file-{seed}"), 4_000_000, seed));
    let links = [net.put(0, "2/4", &files[0]).await, net.put(1, "2/4", &files[1]).await];
    // A drop is durable at once, and with it all claims before it: those of the two objects survive the kill.
    let third = net.put(0, "2/4", &net.random_file("third", 1_000_000, 4)).await;
    let stored = net.net.status(3).await.unwrap().store.stored_bytes;
    assert!(net.run(0, ["forget"], [&third]).await.status.success());
    wait_freed(&net, stored * 19 / 20).await;
    let reserve = |node: usize| nodes.join(format!("{node:02}/reserve"));
    let filled = || async {
        let missing = ALL.into_iter().find(|node| !reserve(*node).exists());
        missing.map_or(Ok(()), |node| Err(format!("daemon {node} has no reserve")))
    };
    wait_until("all have a reserve", PATIENCE, filled).await.unwrap();

    // Somebody else fills the disk to the last byte, and all daemons are killed.
    let filler = nodes.join("filler");
    fill(&filler);
    net.net.kill(&ALL).unwrap();
    net.net.restart(&ALL).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    for (seed, link) in (1..).zip(&links) {
        assert!(net.get(2, link, &format!("again-{seed}")).await == random_bytes(4_000_000, seed));
    }
    let status = net.net.status(0).await.unwrap();
    let problem = status.damage.disk_problem.unwrap();
    assert!(problem.contains("full"), "{problem}");
    assert!(status.store.quota_bytes < QUOTA / 2, "{} bytes on a full disk", status.store.quota_bytes);
    let more = net.random_file("more", 1_000_000, 3);
    let refused = net.run(0, ["put", "--json", "--redundancy", "2/4"], [&more]).await;
    assert_eq!(refused.status.code(), Some(6), "{}", shown(&refused));
    assert!(last_json(&refused.stderr)["message"].as_str().unwrap().contains("full"), "{}", shown(&refused));

    // Forgetting works and frees.
    let stored = net.net.status(3).await.unwrap().store.stored_bytes;
    let forgotten = net.run(0, ["forget"], [&links[0]]).await;
    assert!(forgotten.status.success(), "{}", shown(&forgotten));
    wait_freed(&net, stored * 2 / 3).await;
    assert!(net.get(2, &links[1], "once-more").await == random_bytes(4_000_000, 2));

    fs::remove_file(&filler).unwrap();
    wait_until("all have a reserve again", PATIENCE, filled).await.unwrap();
    assert_eq!(net.net.status(0).await.unwrap().damage.disk_problem, None);
    net.put(0, "2/4", &more).await;
}

/// Until no daemon holds more than `bytes`.
async fn wait_freed(net: &Net, bytes: u64) {
    let freed = || async {
        for node in net.net.living() {
            let now = net.net.status(node).await.map_err(|error| error.to_string())?.store.stored_bytes;
            if now > bytes {
                return Err(format!("daemon {node} holds {now} bytes, more than {bytes}"));
            }
        }
        Ok(())
    };
    wait_until("what is forgotten is freed", PATIENCE, freed).await.unwrap();
}

fn system(program: &str, args: &[&str]) {
    let status = std::process::Command::new(program).args(args).status().unwrap();
    assert!(status.success(), "{program} {args:?}: {status}");
}

/// Appends to a file until there is no room for another byte.
fn fill(path: &Path) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut block = vec![7; 1 << 20];
    while !block.is_empty() {
        match file.write(&block) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => block.truncate(block.len() / 2),
            Err(error) => panic!("{error}"),
        }
    }
}
