//! Gets that are killed in the middle, and go on there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Net, PATIENCE, chordage, json_of, random_bytes};

/// Attempts to kill a get before it is done.
const ATTEMPTS: usize = 20;

/// What lies beside the output while it is not whole.
fn leftovers(net: &Net) -> Vec<PathBuf> {
    let entries = fs::read_dir(net.path("")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().contains(".chordage-")).collect()
}

/// Gets into `out` until there is enough, and kills the client. Returns whether it was not done by then.
async fn killed_when(net: &Net, link: &str, out: &Path, enough: impl Fn(&Path) -> bool) -> bool {
    let mut get = chordage(["get", "--json", link, "-o"]);
    let mut get = get.arg(out).arg("--api").arg(net.net.data_dir(0)).spawn().unwrap();
    let killed = async {
        loop {
            if get.try_wait().unwrap().is_some() {
                return false;
            }
            let part =
                leftovers(net).into_iter().find(|path| path.extension().is_some_and(|it| it == "part"));
            if part.is_some_and(|part| enough(&part)) {
                get.start_kill().unwrap();
                get.wait().await.unwrap();
                return !out.exists();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, killed).await.expect("it is killed or done")
}

/// Gets `link` with an interruption in the middle; the report of the second attempt, and where it wrote.
async fn got_in_two_goes(net: &Net, link: &str, enough: impl Fn(&Path) -> bool) -> (Value, PathBuf) {
    for attempt in 0..ATTEMPTS {
        let out = net.path(&format!("out-{attempt}"));
        if killed_when(net, link, &out, &enough).await {
            let before = net.net.status(0).await.unwrap().transfers.reads;
            let mut report = json_of(&net.run(0, ["get", "--json", link, "-o"], [&out]).await);
            let after = net.net.status(0).await.unwrap().transfers.reads;
            report["fetched"] = (after.shard_bytes - before.shard_bytes).into();
            assert_eq!(leftovers(net), Vec::<PathBuf>::new());
            return (report, out);
        }
    }
    panic!("{ATTEMPTS} gets were done before they could be killed");
}

#[tokio::test]
async fn a_file_is_not_fetched_again_as_far_as_it_lies_there() {
    const BYTES: usize = 64_000_000;
    let net = Net::start(4).await;
    let link = net.put(0, "2/4", &net.random_file("file", BYTES, 21)).await;
    let enough = |part: &Path| fs::metadata(part).is_ok_and(|data| data.len() > 24_000_000);
    let (report, out) = got_in_two_goes(&net, &link, enough).await;
    assert!(fs::read(out).unwrap() == random_bytes(BYTES, 21));
    let [resumed, fetched] = ["resumed_bytes", "fetched"].map(|field| report[field].as_u64().unwrap());
    assert!(resumed >= 20_000_000, "{report}");
    // Root, chunks at the edge, and shards that came beyond those needed.
    assert!(fetched < BYTES as u64 - resumed + 14_000_000, "{report}");
    assert_eq!(report["bytes"], BYTES);
}

#[tokio::test]
async fn files_of_a_tree_are_not_fetched_again_and_changed_ones_are() {
    const FILES: usize = 400;
    const FILE_BYTES: usize = 100_000;
    let net = Net::start(4).await;
    let tree = net.path("tree");
    let bytes = random_bytes(FILES * FILE_BYTES, 22);
    for (number, content) in bytes.chunks(FILE_BYTES).enumerate() {
        let folder = tree.join(format!("folder {}", number / 100));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("file {number:03}")), content).unwrap();
    }
    let link = net.put(0, "2/4", &tree).await;
    let enough = |part: &Path| part.join("folder 1/file 150").exists();
    let (report, out) = got_in_two_goes(&net, &link, enough).await;
    let resumed = report["resumed_bytes"].as_u64().unwrap();
    assert!(resumed >= 10_000_000, "{report}");
    assert_eq!(report["files"], FILES, "{report}");
    for (number, content) in bytes.chunks(FILE_BYTES).enumerate() {
        let path = out.join(format!("folder {}/file {number:03}", number / 100));
        assert!(fs::read(&path).unwrap() == content, "{}", path.display());
    }
    assert!(report["fetched"].as_u64().unwrap() < bytes.len() as u64 - resumed + 14_000_000, "{report}");
}
