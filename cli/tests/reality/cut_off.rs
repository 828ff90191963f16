//! A daemon that loses the whole network for a while and finds it again: who asks it for an object meanwhile waits for
//! that, and not longer than a get may take.

use std::fs;
use std::process::Output;
use std::time::{Duration, Instant};

use chordage_testnet::{Testnet, wait_until};
use tempfile::TempDir;

use crate::harness::{chordage, finish, json_of, last_json, random_bytes, shown};
use crate::partition::{Cable, ids, sees, start};
use crate::{PATIENCE, alone};

/// Daemons that the one is cut off from. They hold what it asks for.
const OTHERS: usize = 8;
const BYTES: usize = 300_000;
/// How long the cut lasts after everybody has given everybody up; CHORDAGE_TEST_CUT_SECONDS says otherwise.
const CUT: Duration = Duration::from_secs(20);
/// So long before the cut ends somebody asks.
const BEGUN_BEFORE: Duration = Duration::from_secs(2);
/// How long a get may take in which nothing moves.
const PROMISED: Duration = Duration::from_secs(20);
/// How soon a get of what is nowhere fails in a whole network: without waiting for the network. Measured alone: under a
/// second.
const SOON: Duration = Duration::from_secs(15);
/// What a loaded machine may add to a promise.
const LOADED: Duration = Duration::from_secs(20);
/// How soon a daemon knows everybody again.
const BACK: Duration = Duration::from_secs(60);

/// A link to what nobody has here.
const NOTHING: &str = "\
chord1rkdujv7kqhge5gxubbk7sobqsg6uzhf465cetgpt4aqfpxz5i3ykoodogitponppep66lyhwilo6vjuld6x2yqi44qgpjgk457mi3tmaqirc4g";

/// One daemon, all others, and the cable between them.
struct Story {
    others: Testnet,
    lone: Testnet,
    cable: Cable,
    dir: TempDir,
}

impl Story {
    /// `None` where the system does not allow it.
    async fn begin() -> Option<Self> {
        let cable = match Cable::lay() {
            Ok(cable) => cable,
            Err(reason) => {
                println!("skipped: no network namespaces here ({reason})");
                return None;
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let others = start(&cable, 0, OTHERS, dir.path(), &[]).await;
        let way_in = others.status(0).await.unwrap().membership.listen[0].clone();
        let lone = start(&cable, 1, 1, dir.path(), &["--bootstrap".into(), way_in]).await;
        let story = Story { others, lone, cable, dir };
        story.wait_whole(PATIENCE).await;
        Some(story)
    }

    async fn wait_whole(&self, within: Duration) {
        let all = ids(&self.others).union(&ids(&self.lone)).cloned().collect();
        let whole = async || {
            sees(&self.others, &all).await?;
            sees(&self.lone, &all).await
        };
        wait_until("all daemons know each other", within, whole).await.unwrap();
    }

    /// Cuts the cable and waits until both sides have given each other up.
    async fn cut(&self) {
        self.cable.cut();
        let apart = async || {
            sees(&self.others, &ids(&self.others)).await?;
            sees(&self.lone, &ids(&self.lone)).await
        };
        wait_until("both sides have given each other up", PATIENCE, apart).await.unwrap();
    }

    /// Stores something through one of the others.
    async fn put(&self, seed: u64) -> String {
        let file = self.dir.path().join(format!("file-{seed}"));
        fs::write(&file, random_bytes(BYTES, seed)).unwrap();
        let mut put = chordage(["put", "--json", "--redundancy", "3/6"]);
        put.arg(&file).arg("--api").arg(self.others.data_dir(0));
        json_of(&finish(put).await)["link"].as_str().unwrap().to_owned()
    }

    /// Fetches through the lone daemon.
    async fn get(&self, link: &str, name: &str) -> (Output, Duration) {
        let since = Instant::now();
        let mut get = chordage(["get", "--json", link, "-o"]);
        get.arg(self.dir.path().join(name)).arg("--api").arg(self.lone.data_dir(0));
        (finish(get).await, since.elapsed())
    }

    /// The same of something that is there.
    async fn get_it(&self, link: &str, seed: u64, name: &str) -> Duration {
        let (output, took) = self.get(link, name).await;
        assert!(output.status.success(), "{name}, after {took:?}: {}", shown(&output));
        assert!(
            fs::read(self.dir.path().join(name)).unwrap() == random_bytes(BYTES, seed),
            "{name}: other bytes"
        );
        println!("{name}: {:.1} s", took.as_secs_f64());
        took
    }

    /// The same of something that cannot be had: in time, and with a word for it.
    async fn get_fails(&self, link: &str, name: &str, within: Duration) {
        let (output, took) = self.get(link, name).await;
        assert_eq!(last_json(&output.stderr)["code"], "unavailable", "{name}: {}", shown(&output));
        println!("{name}: unavailable after {:.1} s", took.as_secs_f64());
        assert!(took < within, "{name}: {took:?}");
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}{}", self.others.log_tails(20), self.lone.log_tails(60));
        }
    }
}

#[tokio::test]
async fn gets_wait_for_a_network_that_comes_back() {
    let _alone = alone().await;
    let Some(story) = Story::begin().await else { return };
    let cut = match std::env::var("CHORDAGE_TEST_CUT_SECONDS") {
        Ok(seconds) => Duration::from_secs(seconds.parse().unwrap()),
        Err(_) => CUT,
    };
    let mut links = Vec::new();
    for seed in 0..6 {
        links.push(story.put(seed).await);
    }
    story.get_it(&links[0], 0, "before").await;
    story.get_fails(NOTHING, "nothing there", SOON).await;

    story.cut().await;
    let healed = tokio::time::Instant::now() + cut;
    story.get_fails(&links[1], "while it is cut off", PROMISED + LOADED).await;
    tokio::time::sleep_until(healed).await;

    let since = Instant::now();
    let heal = async {
        tokio::time::sleep(BEGUN_BEFORE).await;
        story.cable.join();
    };
    tokio::join!(story.get_it(&links[1], 1, "begun while it was cut off"), heal);
    for (seed, link) in links.iter().enumerate().skip(2) {
        story.get_it(link, seed as u64, &format!("after-{seed}")).await;
    }
    println!("healed: read after {:.1} s", since.elapsed().as_secs_f64());
    story.wait_whole(BACK).await;
    println!("healed: whole after {:.1} s", since.elapsed().as_secs_f64());
    story.get_fails(NOTHING, "nothing there, all back", SOON).await;
}
