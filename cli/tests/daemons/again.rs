//! Putting again what was put before, wholly or in part.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use chordage_testnet::wait_until;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::harness::{Net, PATIENCE, chordage, json_of, random_bytes};

const FILES: usize = 120;
const FILE_BYTES: usize = 40_000;

/// Makes a tree of files that do not compress.
fn make_tree(dir: &Path, seed: u64) {
    let bytes = random_bytes(FILES * FILE_BYTES, seed);
    for (number, content) in bytes.chunks(FILE_BYTES).enumerate() {
        let folder = dir.join(format!("folder {}", number % 7));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("file {number:03}")), content).unwrap();
    }
}

/// Names and contents of all files below a directory.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(folder) = stack.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                stack.push(path);
            } else {
                found.push((path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

async fn put(net: &Net, path: &Path) -> Value {
    put_with(net, path, &[]).await
}

async fn put_with(net: &Net, path: &Path, options: &[&str]) -> Value {
    let first = ["put", "--json", "--redundancy", "2/3"].into_iter().chain(options.iter().copied());
    json_of(&net.run(0, first, [path]).await)
}

/// Puts a tree until its files are old enough for their times to prove that they are unchanged.
async fn put_until_trusted(net: &Net, path: &Path) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = put(net, path).await;
        if number(&report, "unchanged_files") == number(&report, "files") {
            return report;
        }
        assert!(Instant::now() < deadline, "its files are never taken for unchanged: {report}");
    }
}

fn number(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("{field} in {report}"))
}

/// What comes back through another daemon is what lies in `tree`.
async fn assert_comes_back(net: &Net, node: usize, report: &Value, tree: &Path, name: &str) {
    let out = net.path(name);
    let link = report["link"].as_str().unwrap();
    json_of(&net.run(node, ["get", "--json", link, "-o"], [&out]).await);
    assert!(contents(&out) == contents(tree), "{name} is not what was put");
}

#[tokio::test]
async fn the_second_put_of_a_tree_reads_and_sends_nothing_and_a_changed_one_little() {
    let net = Net::start(4).await;
    let tree = net.path("tree");
    make_tree(&tree, 11);
    let bytes = (FILES * FILE_BYTES) as u64;
    let first = put(&net, &tree).await;
    assert_eq!((number(&first, "bytes"), number(&first, "unchanged_files")), (bytes, 0));
    assert!(number(&first, "sent_bytes") > bytes * 5 / 4, "{first}");

    // Whether or not it is read again: nothing is sent.
    let second = put(&net, &tree).await;
    assert_eq!((number(&second, "sent_bytes"), number(&second, "new_chunks")), (0, 0), "{second}");
    assert_eq!((number(&second, "reused_bytes"), &second["link"]), (bytes, &first["link"]), "{second}");
    let third = put_until_trusted(&net, &tree).await;
    assert_eq!((number(&third, "unchanged_bytes"), number(&third, "sent_bytes")), (bytes, 0), "{third}");
    assert_eq!(third["link"], first["link"]);
    assert_eq!(
        (number(&third, "chunks"), &third["acks_min"]),
        (number(&first, "chunks"), &first["acks_min"])
    );

    // One file grows, one shrinks, one is new, one is gone.
    let folder = tree.join("folder 3");
    let grown = [fs::read(folder.join("file 003")).unwrap(), b"more".to_vec()].concat();
    fs::write(folder.join("file 003"), &grown).unwrap();
    fs::write(folder.join("file 010"), &grown[..9999]).unwrap();
    fs::write(folder.join("new"), random_bytes(5000, 12)).unwrap();
    fs::remove_file(folder.join("file 017")).unwrap();
    let changed = put(&net, &tree).await;
    assert_eq!(number(&changed, "unchanged_files"), number(&changed, "files") - 3, "{changed}");
    assert!(number(&changed, "sent_bytes") < 200_000, "{changed}");
    assert_comes_back(&net, 2, &changed, &tree, "changed").await;

    // A copy has other inodes, so it is read; but none of its bytes are new.
    let copy = net.path("copy");
    make_tree(&copy, 11);
    let copied = put(&net, &copy).await;
    assert_eq!((number(&copied, "unchanged_files"), number(&copied, "reused_bytes")), (0, bytes), "{copied}");
    assert!(number(&copied, "sent_bytes") < 100_000, "only the manifest differs: {copied}");
    assert_comes_back(&net, 1, &copied, &copy, "copied").await;

    // Whoever does not trust all that has everything read.
    let reread = put_with(&net, &tree, &["--reread"]).await;
    assert_eq!((number(&reread, "unchanged_files"), number(&reread, "reused_bytes")), (0, 0), "{reread}");
    assert_comes_back(&net, 3, &reread, &tree, "reread").await;
}

#[tokio::test]
async fn a_single_file_is_known_again_too() {
    let net = Net::start(4).await;
    let file = net.random_file("file", 6_000_000, 13);
    let first = put(&net, &file).await;
    let again = put_until_trusted(&net, &file).await;
    assert_eq!((&again["link"], number(&again, "sent_bytes")), (&first["link"], 0), "{again}");
    assert_eq!(number(&again, "bytes"), 6_000_000);
    // Bytes in the middle: the rest is found to be the same.
    let mut bytes = random_bytes(6_000_000, 13);
    bytes.splice(3_000_000..3_000_000, *b"something else");
    fs::write(&file, &bytes).unwrap();
    let changed = put(&net, &file).await;
    assert!(
        number(&changed, "unchanged_files") == 0 && number(&changed, "sent_bytes") < 3_000_000,
        "{changed}"
    );
    assert!(net.get(2, changed["link"].as_str().unwrap(), "changed").await == bytes);
}

#[tokio::test]
async fn what_the_holders_have_lost_is_sent_again() {
    let mut net = Net::start(4).await;
    let tree = net.path("tree");
    make_tree(&tree, 14);
    let first = put(&net, &tree).await;
    put_until_trusted(&net, &tree).await;

    // Three of four lose their disks: of every chunk one shard is left at most, and two would be needed.
    net.net.kill(&[1, 2, 3]).unwrap();
    for node in [1, 2, 3] {
        fs::remove_dir_all(net.net.data_dir(node).join("shards")).unwrap();
    }
    net.net.restart(&[1, 2, 3]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    // What holders said is believed for a minute: a daemon that starts anew believes nothing.
    net.net.stop(&[0], PATIENCE).await.unwrap();
    net.net.restart(&[0]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();

    let again = put(&net, &tree).await;
    assert_eq!(number(&again, "unchanged_files"), 0, "{again}");
    assert!(number(&again, "sent_bytes") > number(&first, "sent_bytes") / 2, "{again}");
    assert_eq!(again["acks_min"], first["acks_min"]);
    assert_comes_back(&net, 3, &again, &tree, "again").await;
    // It is acknowledged with the last shard on its way, and a daemon that has just started may not answer at once.
    let full = async || {
        let stat = net.run(1, ["stat", "--json", "--check"], [again["link"].as_str().unwrap()]).await;
        let health = json_of(&stat)["health"].clone();
        if health["full"] == health["chunks"] { Ok(()) } else { Err(health.to_string()) }
    };
    wait_until("every chunk is whole", PATIENCE, full).await.unwrap();
    let trusted = put_until_trusted(&net, &tree).await;
    assert_eq!(number(&trusted, "sent_bytes"), 0, "{trusted}");
}

#[tokio::test]
async fn an_interrupted_put_goes_on_where_it_stopped() {
    const BYTES: usize = 24_000_000;
    let net = Net::start(4).await;
    let content = random_bytes(BYTES, 15);
    let mut command = chordage(["put", "--json", "--redundancy", "2/3", "-"]);
    command.arg("--api").arg(net.net.data_dir(0)).stdin(Stdio::piped());
    let mut interrupted = command.spawn().unwrap();
    let mut input = interrupted.stdin.take().unwrap();
    input.write_all(&content[..20_000_000]).await.unwrap();
    // On all of them together: which daemons get a chunk's shards is chance.
    let arrived = async || {
        let mut shards = 0;
        for node in net.net.living() {
            shards += net.net.status(node).await.map_err(|error| error.to_string())?.store.shards;
        }
        if shards >= 16 { Ok(()) } else { Err(format!("{shards} are there")) }
    };
    wait_until("shards arrive", PATIENCE, arrived).await.unwrap();
    interrupted.start_kill().unwrap();
    interrupted.wait().await.unwrap();
    drop(input);

    let file = net.path("file");
    fs::write(&file, &content).unwrap();
    let report = put(&net, &file).await;
    let whole = number(&report, "stored_bytes");
    assert!(number(&report, "sent_bytes") < whole * 3 / 4, "{report}");
    assert!(net.get(3, report["link"].as_str().unwrap(), "again").await == content);
}

#[tokio::test]
async fn a_lost_or_damaged_catalog_costs_work_and_nothing_else() {
    let mut net = Net::start(4).await;
    let tree = net.path("tree");
    make_tree(&tree, 16);
    let first = put(&net, &tree).await;
    for damage in [Some(&b"this is no catalog"[..]), None] {
        put_until_trusted(&net, &tree).await;
        net.net.stop(&[0], PATIENCE).await.unwrap();
        let catalog = net.net.data_dir(0).join("catalog");
        match damage {
            Some(bytes) => fs::write(catalog.join("catalog.redb"), bytes).unwrap(),
            None => fs::remove_dir_all(&catalog).unwrap(),
        }
        net.net.restart(&[0]).await.unwrap();
        net.net.wait_settled(PATIENCE).await.unwrap();
        let again = put(&net, &tree).await;
        // Everything is read and coded, and the holders have it already.
        assert_eq!((number(&again, "reused_bytes"), number(&again, "sent_bytes")), (0, 0), "{again}");
        assert_eq!(again["link"], first["link"]);
        if damage.is_some() {
            let log = fs::read_to_string(net.net.log(0)).unwrap();
            assert!(log.contains("catalog/catalog.redb was damaged"), "{log}");
        }
    }
    assert_comes_back(&net, 2, &first, &tree, "whole").await;
}
