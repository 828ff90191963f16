//! Things break in one way after the other, and the doctor names each, and says what to type.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use chordage_testnet::{ProcessId, wait_until};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{IMPATIENT, Net, PATIENCE, PROGRAM, chordage, finish, flip_bytes, random_bytes};
use crate::namespaces::Running;

/// What the doctor says of the daemon at a data directory, and how it ends.
async fn doctor(api: &Path, quick: bool) -> (Value, Option<i32>) {
    let mut command = chordage(["doctor", "--json"]);
    command.args(quick.then_some("--quick")).arg("--api").arg(api);
    let output = finish(command).await;
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    });
    (said, output.status.code())
}

fn state(said: &Value, check: &str) -> (String, String) {
    let found = said.as_array().unwrap().iter().find(|found| found["check"] == check);
    let found = found.unwrap_or_else(|| panic!("{check} is not there: {said}"));
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("state"), text("remedy"))
}

/// Waits until the doctor finds this, and says to do that.
async fn finds(api: &Path, check: &str, wanted: &str, remedy: &str) {
    let found = async || {
        let (said, code) = doctor(api, true).await;
        if said[0]["state"] == "fault" && check != "daemon" {
            return Err(format!("it does not answer yet: {said}"));
        }
        let (state, to_do) = state(&said, check);
        if state != wanted {
            return Err(format!("{check} is {state}: {said}"));
        }
        assert!(to_do.contains(remedy), "{check}: {said}");
        assert_eq!(code, Some(if said.to_string().contains("\"fault\"") { 10 } else { 0 }), "{said}");
        Ok(())
    };
    wait_until(&format!("{check} is {wanted}"), PATIENCE, found).await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_daemon_alone_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("daemon");
    let args = ["--network", "broken"];

    // Never started, then killed, and then stopped in the middle of everything.
    let mut command = chordage(["doctor", "--json", "--data-dir"]);
    command.arg(&at);
    let output = finish(command).await;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((state(&said, "daemon").0.as_str(), output.status.code()), ("fault", Some(3)), "{said}");
    assert!(state(&said, "daemon").1.contains("chordage daemon"), "{said}");

    let running = Running::here(at.clone(), &args);
    running.joined(1).await;
    let (said, code) = doctor(&at, false).await;
    assert_eq!((state(&said, "trial").0.as_str(), code), ("ok", Some(0)), "{said}");
    let process = ProcessId::of(running.process()).unwrap();
    process.signal(Signal::STOP).unwrap();
    let (said, code) = doctor(&at, true).await;
    assert_eq!((state(&said, "daemon").0.as_str(), code), ("fault", Some(8)), "{said}");
    process.signal(Signal::CONT).unwrap();
    process.signal(Signal::KILL).unwrap();
    drop(running);
    let (said, code) = doctor(&at, true).await;
    assert_eq!((state(&said, "daemon").0.as_str(), code), ("fault", Some(3)), "{said}");

    // One thing after the other that its settings, its system and its disk can do to it.
    fs::write(at.join("config.toml"), "[repair]\nenabled = false\n").unwrap();
    let running = Running::here(at.clone(), &args);
    finds(&at, "repair", "warning", "enabled = true").await;
    running.leave().await;

    fs::write(at.join("config.toml"), "quota_bytes = 20000000\n").unwrap();
    let running = Running::here(at.clone(), &args);
    running.joined(1).await;
    let file = dir.path().join("file");
    // Until it is full, and something is refused.
    for seed in 0.. {
        fs::write(&file, random_bytes(300_000, seed)).unwrap();
        let put = running.run(&["put", "--quiet", "--redundancy", "1/1", file.to_str().unwrap()]).await;
        if !put.status.success() {
            break;
        }
        assert!(seed < 100, "more than the quota allows was taken");
    }
    finds(&at, "room", "warning", "quota_bytes").await;
    running.leave().await;

    fs::write(at.join("config.toml"), "").unwrap();
    assert!(flip_bytes(&at.join("shards"), 50_000) > 0);
    let running = Running::here(at.clone(), &args);
    running.joined(1).await;
    let scrubbed = running.run(&["scrub"]).await;
    assert!(scrubbed.status.success());
    finds(&at, "data", "warning", "chordage scrub").await;
    running.leave().await;

    let limited = dir.path().join("limited");
    fs::write(&limited, format!("#!/bin/sh\nulimit -n 200\nexec {PROGRAM} \"$@\"\n")).unwrap();
    fs::set_permissions(&limited, fs::Permissions::from_mode(0o755)).unwrap();
    let running = Running::by(Command::new(&limited), dir.path().join("few"), &args);
    finds(&dir.path().join("few"), "descriptors", "warning", "ulimit -n").await;
    running.leave().await;

    let lost = Running::here(
        dir.path().join("lost"),
        &["--network", "broken", "--bootstrap", "/ip4/127.0.0.1/tcp/9"],
    );
    finds(&dir.path().join("lost"), "network", "fault", "--bootstrap").await;
    lost.leave().await;
}

#[tokio::test]
async fn what_is_wrong_in_a_network_is_named() {
    let mut net = Net::in_zones(4, 0, IMPATIENT).await;
    let asked = net.net.data_dir(0);
    for seed in 0..4 {
        let link = net.put(0, "2/4", &net.random_file(&format!("file {seed}"), 100_000, seed)).await;
        net.wait_whole(0, &link).await;
    }
    finds(&asked, "shards", "ok", "").await;
    net.net.kill(&[3]).unwrap();
    // There are three left for four shards.
    finds(&asked, "repair", "warning", "add daemons").await;
    net.net.kill(&[2]).unwrap();
    finds(&asked, "shards", "warning", "chordage members").await;
    net.net.kill(&[1]).unwrap();
    finds(&asked, "shards", "fault", "chordage members").await;
    let (said, code) = doctor(&asked, false).await;
    assert_eq!(code, Some(10), "{said}");
}

#[tokio::test]
async fn a_daemon_that_names_no_zone_among_others_that_do_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let listen = ["--network", "zones", "--listen", "/ip4/127.0.0.1/tcp/0"];
    let first = Running::here(dir.path().join("first"), &[&listen[..], &["--zone", "attic"]].concat());
    let status = first.joined(1).await;
    let bootstrap = ["--bootstrap", status["listen"][0].as_str().unwrap()];
    let second = Running::here(dir.path().join("second"), &[&listen[..], &bootstrap].concat());
    second.joined(2).await;
    finds(&dir.path().join("second"), "zones", "warning", "--zone").await;
    finds(&dir.path().join("first"), "zones", "ok", "").await;
}
