//! A copy of a data directory that runs beside the original: both say so, and when one is gone the other goes on alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use chordage_api::types::MemberState;
use chordage_testnet::{Plan, ProcessId, Testnet, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Child;

use crate::harness::{Net, PATIENCE, PROGRAM, chordage, finish, json_of, random_bytes, shown};
use crate::recovered::copy;

const NETWORK: [&str; 2] = ["--network", "twins"];

/// A network of which the first daemon has a copy that runs too.
struct Twins {
    net: Net,
    copy: PathBuf,
    daemon: Child,
}

impl Twins {
    async fn start(nodes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut plan = Plan::new(PROGRAM, dir.path().join("net"), nodes);
        plan.daemon_args = NETWORK.map(String::from).to_vec();
        let mut net = Net::of(Testnet::start(plan).await.unwrap(), dir);
        net.net.wait_settled(PATIENCE).await.unwrap();
        let to = net.path("copy");
        net.net.kill(&[0]).unwrap();
        copy(&net.net.data_dir(0), &to);
        net.net.restart(&[0]).await.unwrap();
        net.net.wait_settled(PATIENCE).await.unwrap();
        // As if the original had been copied while it ran.
        fs::copy(net.net.data_dir(0).join("record"), to.join("record")).unwrap();
        for name in ["lock", "listen", "api", "api.sock"] {
            let _ = fs::remove_file(to.join(name));
        }
        let bootstrap = net.net.status(1).await.unwrap().membership.listen[0].clone();
        let log = fs::File::create(net.path("copy.log")).unwrap();
        let mut daemon = chordage(["daemon", "--listen", "/ip4/127.0.0.1/tcp/0", "--bootstrap", &bootstrap]);
        daemon.args(NETWORK).arg("--data-dir").arg(&to).stdout(Stdio::null()).stderr(log);
        Self { net, copy: to, daemon: daemon.spawn().unwrap() }
    }

    fn original(&self) -> PathBuf {
        self.net.net.data_dir(0)
    }

    /// Ends the copy, which says goodbye.
    async fn stop_copy(&mut self) {
        let process = ProcessId::of(self.daemon.id().unwrap()).unwrap();
        process.signal(Signal::TERM).unwrap();
        tokio::time::timeout(PATIENCE, self.daemon.wait()).await.unwrap().unwrap();
    }

    /// Waits until a daemon says that it has a twin, or that it has none.
    async fn wait_twin(&self, data: &Path, there: bool) -> Value {
        let look = async || {
            let output = run(data, ["status", "--json"]).await;
            match output.status.success().then(|| json_of(&output)) {
                Some(status) if status["twin"].is_object() == there => Ok(status["twin"].clone()),
                Some(status) => Err(format!("it says {}", status["twin"])),
                None => Err(shown(&output)),
            }
        };
        wait_until("the twin is known", PATIENCE, look).await.unwrap()
    }

    /// In which state the others list the two.
    async fn listed(&self) -> Vec<Option<MemberState>> {
        let (id, mut states) = (self.net.net.id(0).unwrap(), Vec::new());
        for node in 1..self.net.net.len() {
            let members = self.net.net.members(node).await.unwrap();
            let state = members.iter().find(|member| member.id == id).map(|member| member.state);
            states.push(state);
        }
        states
    }
}

async fn run<'a>(data: &Path, args: impl IntoIterator<Item = &'a str>) -> Output {
    let mut command = chordage(args);
    command.arg("--api").arg(data);
    finish(command).await
}

/// The original hears nothing more: it says why, in the log, in its status and when it is to store something. The copy
/// says it too. When the copy has said goodbye, nobody takes the original for gone, and it is a member as before.
#[tokio::test]
async fn both_say_that_a_copy_runs_and_the_original_outlives_it() {
    let mut twins = Twins::start(5).await;
    let (original, copy) = (twins.original(), twins.copy.clone());
    let said_by_copy = twins.wait_twin(&copy, true).await;
    assert_eq!(said_by_copy["has_place"], false, "{said_by_copy}");
    let own: Value = json_of(&run(&copy, ["status", "--json"]).await)["listen"][0].clone();
    let said = twins.wait_twin(&original, true).await;
    assert_eq!(said["has_place"], true, "{said}");
    assert!(own.as_str().unwrap().starts_with(said["addresses"][0].as_str().unwrap()), "{own} {said}");
    let name = json_of(&run(&original, ["status", "--json"]).await)["peer_id"].clone();
    for part in [name.as_str().unwrap(), said["addresses"][0].as_str().unwrap(), "remove `key`"] {
        assert!(said["message"].as_str().unwrap().contains(part), "{said}");
    }

    let shows = run(&original, ["status"]).await;
    assert!(shown(&shows).contains("problem    A second daemon with the same key"), "{}", shown(&shows));
    for log in [twins.net.net.log(0), twins.net.path("copy.log")] {
        let log = fs::read_to_string(log).unwrap();
        let said = log.lines().filter(|line| line.contains("A second daemon with the same key")).count();
        assert_eq!(said, 1, "{log}");
    }
    let file = twins.net.random_file("file", 300_000, 1);
    let refused = twins.net.run(0, ["put", "--redundancy", "1/3"], [&file]).await;
    let refused_text = shown(&refused);
    assert!(!refused.status.success(), "{refused_text}");
    for part in ["A second daemon with the same key", said["addresses"][0].as_str().unwrap(), "remove `key`"]
    {
        assert!(refused_text.contains(part), "{refused_text}");
    }

    // The copy has the place and can put; if something else is wrong, it says this as well.
    let mut put = chordage(["put", "--redundancy", "1/100"]);
    put.arg(&file).arg("--api").arg(&copy);
    let failed = shown(&finish(put).await);
    for part in ["needs 100 live nodes", "A second daemon with the same key", "remove `key`"] {
        assert!(failed.contains(part), "{failed}");
    }

    // The original may still read, or says why it cannot.
    let mut put = chordage(["put", "--json", "--redundancy", "1/3"]);
    put.arg(&file).arg("--api").arg(&copy);
    let link = json_of(&finish(put).await)["link"].as_str().unwrap().to_owned();
    let read = twins.net.run(0, ["cat", &link], [] as [&str; 0]).await;
    assert!(
        read.stdout == random_bytes(300_000, 1) || shown(&read).contains("A second daemon with the same key"),
        "{}",
        shown(&read)
    );

    twins.stop_copy().await;
    let back = async || match twins.listed().await {
        states if states.iter().all(|state| *state == Some(MemberState::Alive)) => Ok(()),
        states => Err(format!("it is listed as {states:?}")),
    };
    let taken = Duration::from_secs(20);
    wait_until("the original is listed again", taken, back).await.unwrap();
    twins.wait_twin(&original, false).await;
    twins.net.net.wait_settled(PATIENCE).await.unwrap();
    let link = twins.net.put(0, "1/3", &file).await;
    assert!(twins.net.get(3, &link, "again").await == random_bytes(300_000, 1));
}

/// The original is stopped: its goodbye is not that of the copy, which has the place and goes on.
#[tokio::test]
async fn the_goodbye_of_the_original_does_not_remove_the_copy() {
    let mut twins = Twins::start(5).await;
    let copy = twins.copy.clone();
    twins.wait_twin(&copy, true).await;
    twins.net.net.stop(&[0], PATIENCE).await.unwrap();
    twins.wait_twin(&copy, false).await;
    let states = twins.listed().await;
    assert!(states.iter().all(|state| *state == Some(MemberState::Alive)), "{states:?}");
    let file = twins.net.random_file("file", 300_000, 1);
    let mut put = chordage(["put", "--json", "--redundancy", "1/3"]);
    put.arg(&file).arg("--api").arg(&copy);
    let link = json_of(&finish(put).await)["link"].as_str().unwrap().to_owned();
    assert!(twins.net.get(2, &link, "again").await == random_bytes(300_000, 1));
}
