//! A limit on open files: clients cannot take the last one, and with too few a daemon does not start.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use chordage_testnet::wait_until;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{PATIENCE, PROGRAM, chordage, finish, last_json, random_bytes, shown};

#[tokio::test]
async fn whoever_looks_is_answered_however_many_clients_hold_connections() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("file");
    fs::write(&file, random_bytes(3_000_000, 1)).unwrap();
    let mut daemon = start("60:60", &data).await;

    let held: Vec<UnixStream> =
        (0..100).map(|_| UnixStream::connect(data.join("api.sock")).unwrap()).collect();
    let answered = || async {
        let mut status = chordage(["status", "--json", "--api"]);
        status.arg(&data);
        let output = finish(status).await;
        if output.status.success() { Ok(()) } else { Err(shown(&output)) }
    };
    wait_until("status is answered", PATIENCE, answered).await.unwrap();
    let mut put = chordage(["put", "--json", "-", "--api"]);
    put.arg(&data);
    let refused = finish(put).await;
    assert_eq!(refused.status.code(), Some(3), "{}", shown(&refused));
    assert_eq!(last_json(&refused.stderr)["code"], "busy", "{}", shown(&refused));

    drop(held);
    let mut put = chordage(["put", "--quiet", "--redundancy", "1/1"]);
    put.arg(&file).arg("--api").arg(&data);
    let put = finish(put).await;
    assert!(put.status.success(), "{}", shown(&put));
    let mut get = chordage(["cat", String::from_utf8_lossy(&put.stdout).trim(), "--api"]);
    get.arg(&data);
    let came = finish(get).await;
    assert!(came.stdout == random_bytes(3_000_000, 1), "{}", String::from_utf8_lossy(&came.stderr));
    daemon.kill().await.unwrap();
}

#[tokio::test]
async fn a_daemon_takes_what_it_may_have_and_does_not_start_with_too_little() {
    let dir = tempfile::tempdir().unwrap();
    let output = limited("40:40", &dir.path().join("few")).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("40 files") && said.contains("ulimit -n") && !said.contains("panicked"), "{said}");

    let mut daemon = start("60:700", &dir.path().join("more")).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.id().unwrap())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().filter(|word| *word == "700").count(), 2, "{files}");
    daemon.kill().await.unwrap();
}

/// A daemon that is ready.
async fn start(files: &str, data: &Path) -> Child {
    let mut child = limited(files, data).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).await.unwrap();
    assert!(ready.starts_with("ready: "), "{ready}");
    child
}

/// A daemon that may have so many open files (SOFT:HARD).
fn limited(files: &str, data: &Path) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={files}")).arg(PROGRAM).args(["daemon", "--data-dir"]).arg(data);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
