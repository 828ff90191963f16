//! A limit on threads: a daemon that gets too few does not start, and one that says it is ready works.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Output, Stdio};

use chordage_testnet::wait_until;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::harness::{PATIENCE, PROGRAM, chordage, finish, random_bytes, shown};

/// A user of whom nothing else runs here: limits do not count for root.
const NOBODY: u32 = 61_234;

#[tokio::test]
async fn with_few_threads_a_daemon_works_or_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap_or_default();
    let mut allowed = limited(1000);
    let allowed = allowed.arg("true").status().await.is_ok_and(|status| status.success());
    if !allowed {
        eprintln!("skipped: this user may not start a program as another one (setpriv, prlimit)");
        return;
    }
    // What other tests left in the build directory may not be open to others.
    let program = dir.path().join("chordage");
    fs::copy(PROGRAM, &program).unwrap();
    let file = dir.path().join("file");
    fs::write(&file, random_bytes(3_000_000, 1)).unwrap();
    let mut started = 0;
    for threads in 1.. {
        assert!(threads < 60, "it never started");
        match with_threads(dir.path(), threads, &file).await {
            Ok(()) => started += 1,
            Err(output) => {
                assert_eq!((output.status.code(), started), (Some(1), 0), "{threads}: {}", shown(&output));
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.contains("threads") && said.contains("ulimit -u"), "{threads}: {said}");
                assert!(!said.contains("panicked"), "{threads}: {said}");
            }
        }
        if started == 3 {
            return;
        }
    }
}

/// Puts and gets through a daemon that may have so many threads; or the end of one that did not start.
async fn with_threads(dir: &Path, threads: usize, file: &Path) -> Result<(), Output> {
    let data = dir.join(format!("data-{threads}"));
    let mut command = limited(threads);
    command.arg(dir.join("chordage")).args(["daemon", "--data-dir"]).arg(&data);
    let mut child = command.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).await.unwrap();
    if !ready.starts_with("ready: ") {
        return Err(child.wait_with_output().await.unwrap());
    }
    let joined = || async {
        let mut status = chordage(["status", "--json", "--api"]);
        status.arg(&data);
        let output = finish(status).await;
        if String::from_utf8_lossy(&output.stdout).contains("\"state\":\"joined\"") {
            Ok(())
        } else {
            Err(shown(&output))
        }
    };
    wait_until("it has joined", PATIENCE, joined).await.unwrap();
    let putting = (0..3).map(|_| {
        let mut put = chordage(["put", "--quiet", "--redundancy", "1/1"]);
        put.arg(file).arg("--api").arg(&data);
        finish(put)
    });
    for put in futures::future::join_all(putting).await {
        assert!(put.status.success(), "{threads}: {}", shown(&put));
        let link = String::from_utf8_lossy(&put.stdout).trim().to_owned();
        let mut get = chordage(["cat", &link, "--api"]);
        get.arg(&data);
        let came = finish(get).await;
        assert!(came.stdout == fs::read(file).unwrap(), "{threads}: {}", shown(&came));
    }
    child.kill().await.unwrap();
    Ok(())
}

/// The beginning of a command of a user who may have so many threads.
fn limited(threads: usize) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string(), "--clear-groups"]);
    command.args(["prlimit", &format!("--nproc={threads}")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
