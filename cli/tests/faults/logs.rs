//! Logs that cannot be written: a full disk, a pipe that nobody reads, a pipe whose reader is gone. Lines are lost, and
//! nothing else is.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use chordage_testnet::{Plan, Testnet, wait_until};

use crate::harness::{LONG, Net, PATIENCE, PROGRAM, json_of, random_bytes, shown};

/// Daemons whose standard error and output are a full disk, a pipe whose reader is gone, and one that nobody reads.
const FULL_DISK: usize = 1;
const CLOSED_PIPE: usize = 2;
const FULL_PIPE: usize = 3;

#[tokio::test]
async fn daemons_that_cannot_write_their_logs_do_all_their_work() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/dev/full", written_by(dir.path(), FULL_DISK)).unwrap();
    let closed = pipe(&written_by(dir.path(), CLOSED_PIPE));
    let full = pipe(&written_by(dir.path(), FULL_PIPE));
    fill(&full);
    let settings = dir.path().join("settings.toml");
    fs::write(&settings, LONG).unwrap();
    let mut plan = Plan::new(redirected(dir.path()), dir.path().join("net"), 6);
    plan.daemon_args = vec!["--config".into(), settings.display().to_string()];
    let net = Testnet::start(plan).await.unwrap();
    // Whoever read the pipe is gone from here on.
    drop(closed);
    let mut net = Net::of(net, dir);
    net.net.wait_settled(PATIENCE).await.unwrap();
    let kept = net.put(FULL_DISK, "2/4", &net.random_file("kept", 400_000, 1)).await;
    let forgotten = net.put(CLOSED_PIPE, "2/4", &net.random_file("forgotten", 400_000, 2)).await;
    let both = net.stored().await;
    // Each neighbour has something to say of the one that leaves, and of what it frees.
    assert_eq!(net.net.stop(&[5], PATIENCE).await.unwrap(), [0; 0], "it left in good order");
    wait_until("all noticed that a neighbour left", PATIENCE, || all_see(&net, 5)).await.unwrap();
    net.forget(CLOSED_PIPE, &forgotten).await;
    net.wait_stored("what is forgotten is freed", |bytes| bytes < both * 6 / 10).await;
    for node in net.net.living() {
        let came = net.get(node, &kept, &format!("from-{node}")).await;
        assert!(came == random_bytes(400_000, 1), "node {node}");
    }
    let more = net.random_file("more", 100_000, 3);
    for node in [FULL_DISK, CLOSED_PIPE, FULL_PIPE] {
        net.put(node, "2/4", &more).await;
    }

    for node in [FULL_DISK, CLOSED_PIPE] {
        let status = json_of(&net.run(node, ["status", "--json"], [] as [&str; 0]).await);
        assert!(status["lost_log_lines"].as_u64().unwrap() > 0, "node {node}: {status}");
        let text = net.run(node, ["status"], [] as [&str; 0]).await;
        assert!(String::from_utf8_lossy(&text.stdout).contains("could not be written"), "{}", shown(&text));
    }
    let status = json_of(&net.run(0, ["status", "--json"], [] as [&str; 0]).await);
    assert_eq!(status.get("lost_log_lines"), None, "{status}");
    // What cannot be said at the end keeps nobody from ending.
    let stubborn = net.net.stop(&[FULL_DISK, CLOSED_PIPE, FULL_PIPE], PATIENCE).await.unwrap();
    assert_eq!(stubborn, [0; 0]);
    drop(full);
}

async fn all_see(net: &Net, members: u64) -> Result<(), String> {
    for node in net.net.living() {
        let status = net.net.status(node).await.map_err(|error| error.to_string())?;
        if status.overlay.members_listed != members {
            return Err(format!("node {node} lists {} members", status.overlay.members_listed));
        }
    }
    Ok(())
}

/// Where a daemon's standard error and output go instead of into its log, if there is such a file.
fn written_by(dir: &Path, node: usize) -> PathBuf {
    dir.join(format!("written-by-{node:02}"))
}

/// The program, for data directories that are numbered.
fn redirected(dir: &Path) -> PathBuf {
    let path = dir.join("redirected");
    let script = format!(
        "#!/bin/sh\n# daemon --data-dir .../NN ...\nto={}/written-by-$(basename \"$3\")\n\
         if [ -e \"$to\" ]; then exec {PROGRAM} \"$@\" >\"$to\" 2>&1; fi\nexec {PROGRAM} \"$@\"\n",
        dir.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A named pipe, and its reading end, from which nobody reads.
fn pipe(path: &Path) -> File {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path).unwrap()
}

/// Writes until there is no room for another byte.
fn fill(mut pipe: &File) {
    loop {
        match pipe.write(&[b'\n'; 1]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}
