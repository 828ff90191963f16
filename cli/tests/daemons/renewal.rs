//! Certificates of a private network end, and are renewed before that. Twelve seconds stand for ninety days.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use chordage_testnet::wait_until;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::harness::{PATIENCE, PROGRAM, chordage, finish, json_of, random_bytes};

/// A daemon of a private network.
struct Friend {
    dir: PathBuf,
    child: Option<Child>,
}

impl Friend {
    /// Runs a command of this daemon's.
    async fn ask(&self, args: &[&str]) -> Value {
        let mut command = chordage(args.iter().copied().chain(["--json", "--data-dir"]));
        command.arg(&self.dir);
        json_of(&finish(command).await)
    }

    /// The same, with what cannot be had left out.
    async fn tries(&self, args: &[&str]) -> Option<Value> {
        let mut command = chordage(args.iter().copied().chain(["--json", "--data-dir"]));
        command.arg(&self.dir);
        let output = finish(command).await;
        output.status.success().then(|| json_of(&output))
    }

    async fn start(&mut self) {
        let mut command = Command::new(PROGRAM);
        command.arg("daemon").arg("--data-dir").arg(&self.dir).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let joined = async || match self.tries(&["status"]).await {
            Some(status) if status["state"] == "joined" => Ok(()),
            status => Err(format!("{status:?}")),
        };
        wait_until("it has joined", PATIENCE, joined).await.unwrap();
    }

    async fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().await.unwrap();
    }

    async fn serial(&self) -> String {
        self.ask(&["network", "show"]).await["certificate"]["serial"].as_str().unwrap().to_owned()
    }

    /// Whether its certificate has ended.
    async fn has_ended(&self) -> Result<(), String> {
        let not_after = self.ask(&["network", "show"]).await["certificate"]["not_after"].as_u64().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        if now >= not_after { Ok(()) } else { Err(format!("{} seconds are left", not_after - now)) }
    }

    /// Waits until so many daemons are alive for this one.
    async fn sees(&self, count: usize) {
        let seen = async || {
            let members = self.ask(&["members"]).await;
            let alive =
                members.as_array().unwrap().iter().filter(|member| member["state"] == "alive").count();
            if alive == count { Ok(()) } else { Err(members.to_string()) }
        };
        wait_until("it sees who is there", PATIENCE, seen).await.unwrap();
    }
}

/// Joins the network of `founder` in a new directory, and starts.
async fn joined(founder: &Friend, dir: &Path, name: &str) -> Friend {
    let mut friend = Friend { dir: dir.join(name), child: None };
    let invite = founder.ask(&["invite"]).await["invite"].as_str().unwrap().to_owned();
    friend.ask(&["join", &invite]).await;
    friend.start().await;
    friend
}

#[tokio::test]
async fn certificates_are_renewed_unnoticed_and_whoever_has_none_is_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut founder = Friend { dir: dir.path().join("founder"), child: None };
    founder.ask(&["network", "create", "friends"]).await;
    fs::write(founder.dir.join("config.toml"), "debug_certificate_seconds = 12\n").unwrap();
    founder.start().await;
    let mut one = joined(&founder, dir.path(), "one").await;
    let other = joined(&founder, dir.path(), "other").await;
    one.sees(3).await;
    other.sees(3).await;

    // Three certificates later nothing has failed.
    let (mut serials, mut round) = (vec![one.serial().await], 0);
    while serials.len() < 4 {
        let (file, copy) = (dir.path().join("file"), dir.path().join("copy"));
        fs::write(&file, random_bytes(50_000, round)).unwrap();
        let link = one.ask(&["put", file.to_str().unwrap()]).await["link"].as_str().unwrap().to_owned();
        other.ask(&["get", &link, "-o", copy.to_str().unwrap(), "--force"]).await;
        assert!(fs::read(&file).unwrap() == fs::read(&copy).unwrap(), "round {round}");
        round += 1;
        let serial = one.serial().await;
        if serials.last() != Some(&serial) {
            serials.push(serial);
        }
    }
    assert_eq!(founder.ask(&["network", "show"]).await["founder"], true);
    one.sees(3).await;

    // Nobody is left who signs: when the certificates have ended, nobody lets anybody in.
    founder.kill().await;
    one.sees(1).await;
    other.sees(1).await;
    for friend in [&one, &other] {
        wait_until("the certificate has ended", PATIENCE, async || friend.has_ended().await).await.unwrap();
    }
    founder.start().await;
    founder.sees(1).await;
    let told = async || match one.ask(&["status"]).await["join_problem"].as_str() {
        Some(problem) if problem.contains("has ended") => Ok(()),
        problem => Err(format!("{problem:?}")),
    };
    wait_until("it says why it is alone", PATIENCE, told).await.unwrap();
    // A new invite brings it back, as itself.
    let id = one.ask(&["status"]).await["id"].clone();
    one.kill().await;
    let invite = founder.ask(&["invite"]).await["invite"].as_str().unwrap().to_owned();
    assert_eq!(one.ask(&["join", &invite]).await["renewed"], true);
    one.start().await;
    founder.sees(2).await;
    assert_eq!(one.ask(&["status"]).await["id"], id);
}
