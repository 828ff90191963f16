//! Certificates of a private network end, and are renewed before that. Twelve seconds stand for ninety days.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chordage_api::client::{BodyFormat, Client, ClientError};
use chordage_api::types::PutQuery;
use chordage_api::upload::upload;
use chordage_testnet::wait_until;
use futures::future::join_all;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::harness::{PATIENCE, PROGRAM, chordage, finish, json_of, random_bytes};

/// How many files are put, each through one daemon, and then read through the next one.
const FILES: usize = 500;
/// Who puts and reads at a time, at each daemon.
const AT_A_TIME: usize = 2;
/// How often it is looked whether a daemon has a new certificate.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often the founder signs for itself, because it is asked to: its own certificate is for a year.
const FOUNDER_EVERY: Duration = Duration::from_secs(6);

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
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
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

    /// Beside its data directory.
    fn log(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    fn client(&self) -> Client {
        Client::find(self.dir.to_str().unwrap()).unwrap()
    }

    /// Counts how often its certificate is another one than before.
    async fn count_renewals(&self, count: &AtomicUsize) {
        let client = self.client();
        let mut held = None;
        loop {
            let serial = client.network().await.unwrap().certificate.unwrap().serial;
            if held.replace(serial.clone()).is_some_and(|held| held != serial) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            sleep(LOOK_EVERY).await;
        }
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

/// Puts a small file through one daemon and reads it through another.
async fn put_and_get(put: &Client, get: &Client, seed: u64) -> Result<(), String> {
    let content = random_bytes(1000 + seed as usize % 7 * 5000, seed);
    let (mut writer, body) = upload();
    let query = PutQuery::default();
    let sent = async {
        writer.send(Bytes::from(content.clone())).await?;
        writer.end().await
    };
    let (put, sent) = tokio::join!(put.put(body, BodyFormat::File, &query), sent);
    let link = put.map_err(|error| format!("file {seed} was not stored: {error}"))?.link;
    sent.map_err(|error| format!("file {seed} was not sent: {error}"))?;
    let read = async {
        let mut download = get.content(&link, None, None).await?;
        let mut read = Vec::new();
        while let Some(chunk) = download.chunk().await? {
            read.extend_from_slice(&chunk);
        }
        Ok::<_, ClientError>(read)
    };
    match read.await {
        Ok(read) if read == content => Ok(()),
        Ok(read) => Err(format!("file {seed} came back as {} other bytes", read.len())),
        Err(error) => Err(format!("file {seed} was not read: {error}")),
    }
}

#[tokio::test]
async fn a_thousand_operations_do_not_notice_that_certificates_are_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let mut founder = Friend { dir: dir.path().join("founder"), child: None };
    founder.ask(&["network", "create", "friends"]).await;
    fs::write(founder.dir.join("config.toml"), "debug_certificate_seconds = 12\n").unwrap();
    founder.start().await;
    let mut friends = vec![founder];
    for name in ["one", "other", "third"] {
        let friend = joined(&friends[0], dir.path(), name).await;
        friends.push(friend);
    }
    for friend in &friends {
        friend.sees(friends.len()).await;
    }

    let renewals: Vec<AtomicUsize> = friends.iter().map(|_| AtomicUsize::new(0)).collect();
    let all_renewed = || renewals.iter().all(|count| count.load(Ordering::Relaxed) > 0);
    let counting =
        join_all(friends.iter().zip(&renewals).map(|(friend, count)| friend.count_renewals(count)));
    let clients: Vec<Client> = friends.iter().map(Friend::client).collect();
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    let working = async |worker: usize| {
        let [put, get] = [worker, worker + 1].map(|daemon| &clients[daemon % clients.len()]);
        loop {
            let file = next.fetch_add(1, Ordering::Relaxed);
            if file >= FILES && (all_renewed() || start.elapsed() > PATIENCE) {
                return Ok(());
            }
            put_and_get(put, get, file as u64).await?;
        }
    };
    let founder_renews = async {
        loop {
            sleep(FOUNDER_EVERY).await;
            clients[0].renew_certificate().await.unwrap();
        }
    };
    let work = join_all((0..friends.len() * AT_A_TIME).map(working));
    let done: Vec<Result<(), String>> = tokio::select! {
        done = work => done,
        _ = counting => unreachable!("it counts for as long as it is asked to"),
        () = founder_renews => unreachable!("it renews for as long as it is asked to"),
    };
    if let Some(error) = done.into_iter().find_map(Result::err) {
        let logs = friends.iter().map(|friend| fs::read_to_string(friend.log()).unwrap());
        panic!(
            "{error}, after {:.1} s\n{}",
            start.elapsed().as_secs_f64(),
            logs.collect::<Vec<_>>().join("\n")
        );
    }
    let counts: Vec<usize> = renewals.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    println!(
        "{} files put and read in {:.1} s; meanwhile the daemons had {counts:?} new certificates",
        next.into_inner() - friends.len() * AT_A_TIME,
        start.elapsed().as_secs_f64()
    );
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}
