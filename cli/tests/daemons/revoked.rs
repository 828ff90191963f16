//! Somebody is put out of a private network of twelve, while it writes and while somebody else cannot hear of it.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chordage_testnet::{Activity, ProcessId, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::harness::{IMPATIENT, PATIENCE, json_of, random_bytes, shown};
use crate::namespaces::Running;
use crate::private::{SOON, id, invite, json, on, soon};

const DAEMONS: usize = 12;
/// Who is revoked, and who is frozen meanwhile. The founder is the first.
const REVOKED: usize = 7;
const FROZEN: usize = 4;
/// Who puts what before.
const PUTS: [(usize, u64); 3] = [(0, 71), (3, 72), (9, 73)];
/// Who reads it afterwards.
const READER: usize = 11;
const BYTES: usize = 1_000_000;
/// Of a file that is written while its writer is revoked.
const WRITTEN: usize = 200_000;
/// Longer than a daemon waits for a reply about papers, so that all have given up on the frozen one.
const FROZEN_FOR: Duration = Duration::from_secs(25);

struct Friends {
    daemons: Vec<Running>,
    ids: Vec<String>,
    // After the daemons, so that it is removed when none of them writes into it any more.
    dir: tempfile::TempDir,
}

impl Friends {
    /// A founder, and all others by one invite.
    async fn start() -> Friends {
        let dir = tempfile::tempdir().unwrap();
        let settings = dir.path().join("settings.toml");
        fs::write(&settings, IMPATIENT).unwrap();
        let args = ["--config", settings.to_str().unwrap()];
        let at = |daemon: usize| dir.path().join(daemon.to_string());
        json_of(&on(&at(0), &["network", "create", "friends"]).await);
        let founder = Running::here(at(0), &args);
        founder.joined(1).await;
        let invite = invite(&founder, &["--uses", &(DAEMONS - 1).to_string()]).await;
        let mut joining = JoinSet::new();
        for daemon in 1..DAEMONS {
            let (dir, invite) = (at(daemon), invite.clone());
            joining.spawn(async move { json_of(&on(&dir, &["join", &invite]).await) });
        }
        joining.join_all().await;
        let mut daemons = vec![founder];
        daemons.extend((1..DAEMONS).map(|daemon| Running::here(at(daemon), &args)));
        let mut ids = Vec::new();
        for daemon in &daemons {
            daemon.joined(DAEMONS).await;
            ids.push(id(daemon).await);
        }
        Friends { daemons, ids, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn json(&self, daemon: usize, args: &[&str]) -> Value {
        json(&self.daemons[daemon], args).await
    }

    /// Waits until every shard of an object is on a daemon that belongs to the network, as `daemon` sees it.
    async fn wait_whole(&self, daemon: usize, link: &str) {
        let whole = async || {
            let health = self.json(daemon, &["stat", "--check", link]).await["health"].clone();
            if health["full"] == health["chunks"] { Ok(()) } else { Err(health.to_string()) }
        };
        wait_until("every shard is there", PATIENCE, whole).await.unwrap();
    }

    /// Whether a daemon knows that one is revoked, and that it is not there any more.
    async fn knows(&self, daemon: usize) -> Result<(), String> {
        let network = self.json(daemon, &["network", "show"]).await;
        if network["seq"] != 1 || network["revoked"][0]["subject"] != self.ids[REVOKED].as_str() {
            return Err(format!("{daemon} has not heard of it: {network}"));
        }
        let members = self.json(daemon, &["members"]).await;
        let here = |member: &&Value| ["alive", "suspect"].iter().any(|state| member["state"] == *state);
        let mut here = members.as_array().unwrap().iter().filter(here);
        match here.find(|member| member["id"] == self.ids[REVOKED].as_str()) {
            None => Ok(()),
            Some(member) => Err(format!("{daemon} still sees {member}")),
        }
    }

    fn signal(&self, daemon: usize, signal: Signal) -> ProcessId {
        let process = ProcessId::of(self.daemons[daemon].process()).unwrap();
        process.signal(signal).unwrap();
        process
    }

    /// Puts one file after the other through the daemon that will be revoked, and notes those that were acknowledged.
    async fn write(&self, acknowledged: &RefCell<Vec<String>>) {
        let path = self.path("written");
        for seed in 1000.. {
            fs::write(&path, random_bytes(WRITTEN, seed)).unwrap();
            loop {
                let put = ["put", "--json", "--redundancy", "3/6", path.to_str().unwrap()];
                let output = self.daemons[REVOKED].run(&put).await;
                if output.status.success() {
                    acknowledged.borrow_mut().push(json_of(&output)["link"].as_str().unwrap().to_owned());
                    break;
                }
            }
        }
    }

    /// Reads an object at a daemon that has not put it.
    async fn read(&self, link: &str, to: &Path) -> Vec<u8> {
        let args = ["get", "--json", "--force", link, "-o", to.to_str().unwrap()];
        let output = self.daemons[READER].run(&args).await;
        assert!(output.status.success(), "{}\n{}", shown(&output), self.daemons[READER].log());
        fs::read(to).unwrap()
    }
}

#[tokio::test]
async fn all_hear_of_a_revocation_and_what_the_revoked_one_held_is_made_again() {
    let friends = Friends::start().await;
    let mut links = Vec::new();
    for (daemon, seed) in PUTS {
        let file = friends.path("file");
        fs::write(&file, random_bytes(BYTES, seed)).unwrap();
        links.push(friends.daemons[daemon].put("3/6", &file).await);
    }
    for link in &links {
        friends.wait_whole(0, link).await;
    }
    let held = friends.json(REVOKED, &["status"]).await["shards"].as_u64().unwrap();
    assert!(held > 0, "it holds something that is to be made again");

    let acknowledged = RefCell::new(Vec::new());
    let story = async {
        let writes = async || if acknowledged.borrow().is_empty() { Err("nothing yet") } else { Ok(()) };
        wait_until("it writes", PATIENCE, writes).await.unwrap();
        let frozen = friends.signal(FROZEN, Signal::STOP);
        let stopped =
            async || if frozen.activity() == Activity::Frozen { Ok(()) } else { Err("it still runs") };
        wait_until("it is frozen", PATIENCE, stopped).await.unwrap();

        let before = acknowledged.borrow().len();
        let revoked = Instant::now();
        friends.json(0, &["network", "revoke", &friends.ids[REVOKED], "--reason", "laptop stolen"]).await;
        let all_know = async || {
            for daemon in (0..DAEMONS).filter(|daemon| ![REVOKED, FROZEN].contains(daemon)) {
                friends.knows(daemon).await?;
            }
            Ok::<_, String>(())
        };
        wait_until("all who run know of it", SOON, all_know).await.unwrap();
        let told = |status: &Value| {
            status["join_problem"].as_str().is_some_and(|problem| problem.contains("revoked: laptop stolen"))
        };
        soon(&friends.daemons[REVOKED], told).await;
        sleep_until(revoked + FROZEN_FOR).await;
        (frozen, before)
    };
    let (frozen, before) = tokio::select! {
        () = friends.write(&acknowledged) => unreachable!("it writes for as long as it is asked to"),
        told = story => told,
    };

    frozen.signal(Signal::CONT).unwrap();
    wait_until("the frozen one hears of it", SOON, async || friends.knows(FROZEN).await).await.unwrap();

    let copy = friends.path("copy");
    for (link, (_, seed)) in links.iter().zip(PUTS) {
        friends.wait_whole(READER, link).await;
        // A leader learns of it at its own next look, and whoever slept is silent to some until then.
        let explained_whole = async || {
            let explained = friends.json(READER, &["explain", link]).await;
            if explained["whole"] == explained["chunks"] { Ok(()) } else { Err(explained.to_string()) }
        };
        wait_until("its leaders say so too", PATIENCE, explained_whole).await.unwrap();
        assert!(friends.read(link, &copy).await == random_bytes(BYTES, seed));
    }
    // What the revoked one had written before is not lost either.
    let acknowledged = acknowledged.borrow()[..before].to_vec();
    for (link, seed) in acknowledged.iter().zip(1000..) {
        friends.wait_whole(READER, link).await;
        assert!(friends.read(link, &copy).await == random_bytes(WRITTEN, seed));
    }
    let mut made = 0;
    for daemon in (0..DAEMONS).filter(|daemon| *daemon != REVOKED) {
        let status = friends.json(daemon, &["status"]).await;
        made += status["repair"]["repaired_shards"].as_u64().unwrap();
    }
    assert!(made > 0, "somebody has made shards again");
}
