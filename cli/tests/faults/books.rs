//! What a daemon says when it starts with files that were damaged, cut off or lost.

use std::fs;
use std::path::{Path, PathBuf};

use chordage_api::types::{StartState, StartedWith};
use chordage_testnet::wait_until;

use crate::harness::{
    IMPATIENT, Net, PATIENCE, chordage, files_below, finish, flip_bytes, last_json, random_bytes, shown,
};

#[tokio::test]
async fn a_flipped_byte_in_a_secret_keeps_the_daemon_from_starting_as_somebody_else() {
    let mut net = Net::start(1).await;
    let before = net.net.status(0).await.unwrap().identity.id;
    net.net.stop(&[0], PATIENCE).await.unwrap();
    let data_dir = net.net.data_dir(0);
    for (name, byte) in [("key", 5), ("secret", 31)] {
        let good = fs::read(data_dir.join(name)).unwrap();
        let mut bad = good.clone();
        bad[byte] ^= 1;
        fs::write(data_dir.join(name), &bad).unwrap();

        let mut command = chordage(["daemon", "--json", "--data-dir"]);
        command.arg(&data_dir);
        let output = finish(command).await;
        assert_eq!(output.status.code(), Some(7), "{}", shown(&output));
        let problem = last_json(&output.stderr);
        assert_eq!(problem["code"], "data_dir");
        for (field, part) in
            [("message", format!("{name} is damaged")), ("hint", "restore this file from a copy".into())]
        {
            assert!(problem[field].as_str().unwrap().contains(&part), "{problem}");
        }
        assert_eq!(fs::read(data_dir.join(name)).unwrap(), bad, "it is left for whoever looks into it");
        fs::write(data_dir.join(name), good).unwrap();
    }
    net.net.restart(&[0]).await.unwrap();
    assert_eq!(net.net.status(0).await.unwrap().identity.id, before);
}

/// What the daemon said of its start, and whether `chordage status` says it to people, too.
async fn found(net: &Net, node: usize) -> Vec<(StartedWith, StartState)> {
    let found = net.net.status(node).await.unwrap().mishaps.found_at_start;
    let output = net.run(node, ["status"], [] as [&str; 0]).await;
    assert!(output.status.success(), "{}", shown(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    for one in &found {
        assert!(text.contains(&format!("at start   {}", one.message)), "{text}");
        let log = fs::read_to_string(net.net.log(node)).unwrap();
        assert!(log.contains(&one.message), "the log says it, too: {}", one.message);
    }
    found.into_iter().map(|found| (found.what, found.state)).collect()
}

/// What happens to a file while the daemon does not run.
type Harm = fn(&Path);

fn cut(path: &Path, len: impl FnOnce(u64) -> u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(len(file.metadata().unwrap().len())).unwrap();
}

#[tokio::test]
async fn a_book_that_is_cut_off_damaged_or_gone_is_told_of() {
    let mut net = Net::start(1).await;
    assert_eq!(found(&net, 0).await, [], "nothing is missed in a new data directory");
    net.put(0, "1/1", &net.random_file("file", 100_000, 1)).await;
    let data_dir = net.net.data_dir(0);
    let book = |name: &str| data_dir.join(name);
    let harms: [(Harm, StartState); 4] = [
        (|path| cut(path, |_| 0), StartState::Missing),
        (|path| cut(path, |len| len / 2), StartState::Damaged),
        (|path| fs::write(path, [0x5a; 9000]).unwrap(), StartState::Damaged),
        (|path| fs::remove_file(path).unwrap(), StartState::Missing),
    ];
    for (harm, state) in harms {
        net.net.stop(&[0], PATIENCE).await.unwrap();
        for name in ["claims/claims.redb", "keeps/keeps.redb", "holders.redb", "catalog/catalog.redb"] {
            harm(&book(name));
        }
        for name in
            ["records/records.redb", "names/names.redb", "services/services.redb", "volumes/volumes.redb"]
        {
            harm(&book(name));
        }
        net.net.restart(&[0]).await.unwrap();
        let all = [
            StartedWith::Claims,
            StartedWith::Keeps,
            StartedWith::Ledger,
            StartedWith::Records,
            StartedWith::Names,
            StartedWith::Services,
            StartedWith::Volumes,
            StartedWith::Catalog,
        ];
        assert_eq!(found(&net, 0).await, all.map(|what| (what, state)));
        assert_eq!(net.net.status(0).await.unwrap().damage.damaged_shards, 0);
    }
    net.net.stop(&[0], PATIENCE).await.unwrap();
    net.net.restart(&[0]).await.unwrap();
    assert_eq!(found(&net, 0).await, [], "it is told once");
    net.net.stop(&[0], PATIENCE).await.unwrap();
    fs::remove_file(book("key")).unwrap();
    fs::remove_file(book("shards/index.redb")).unwrap();
    net.net.restart(&[0]).await.unwrap();
    let (key, index) = ((StartedWith::Key, StartState::Missing), (StartedWith::Index, StartState::Damaged));
    assert_eq!(found(&net, 0).await, [key, index]);
    assert!(net.net.status(0).await.unwrap().store.shards > 0, "the index was made again");
}

#[tokio::test]
async fn a_segment_that_is_cut_off_or_gone_is_told_of_at_once_and_its_shards_are_made_again() {
    const BYTES: usize = 3_000_000;
    let mut net = Net::with_settings(3, IMPATIENT).await;
    let link = net.put(0, "2/3", &net.random_file("file", BYTES, 2)).await;
    net.wait_whole(0, &link).await;
    let held = net.net.status(1).await.unwrap().store.shards;
    assert!(held > 0);
    let harms: [(Harm, StartState); 2] = [
        (|path| cut(path, |len| len / 2), StartState::Damaged),
        (|path| fs::remove_file(path).unwrap(), StartState::Missing),
    ];
    for (harm, state) in harms {
        net.net.stop(&[1], PATIENCE).await.unwrap();
        let segments: Vec<PathBuf> = files_below(&net.net.data_dir(1).join("shards"))
            .into_iter()
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("segment-"))
            .collect();
        assert!(!segments.is_empty());
        segments.iter().for_each(|path| harm(path));
        net.net.restart(&[1]).await.unwrap();
        assert_eq!(found(&net, 1).await, [(StartedWith::Segments, state)]);
        assert!(net.damaged(1).await > 0, "nobody has read anything, and it is counted all the same");
        net.net.wait_settled(PATIENCE).await.unwrap();
        net.wait_whole(0, &link).await;
        assert_eq!(net.net.status(1).await.unwrap().store.shards, held);
    }
    assert!(net.get(2, &link, "again").await == random_bytes(BYTES, 2));
}

/// Nobody else has what this daemon lost.
#[tokio::test]
async fn a_loss_that_nobody_makes_good_is_told_of_until_it_is_not_missed() {
    let mut net = Net::with_settings(1, IMPATIENT).await;
    let link = net.put(0, "1/1", &net.random_file("file", 400_000, 3)).await;
    net.net.stop(&[0], PATIENCE).await.unwrap();
    assert!(flip_bytes(&net.net.data_dir(0).join("shards"), 100_000) > 0);
    net.net.restart(&[0]).await.unwrap();
    let get = net.run(0, ["get", "--json", "-o", "-"], [&link]).await;
    assert_eq!(get.status.code(), Some(4), "{}", shown(&get));
    // Once more after a restart.
    for _ in 0..2 {
        let told = net.run(0, ["scrub"], [] as [&str; 0]).await;
        assert!(shown(&told).contains("lost here and not made good yet"), "{}", shown(&told));
        assert!(!shown(&told).contains("all are whole"), "{}", shown(&told));
        let status = net.run(0, ["status"], [] as [&str; 0]).await;
        assert!(shown(&status).contains("not made good yet"), "{}", shown(&status));
        net.net.restart(&[0]).await.unwrap();
    }
    net.forget(0, &link).await;
    let unmissed =
        async || match net.net.status(0).await.map_err(|error| error.to_string())?.damage.unmended_shards {
            0 => Ok(()),
            missing => Err(format!("{missing} are missed")),
        };
    wait_until("what is forgotten is not missed", PATIENCE, unmissed).await.unwrap();
    let scrub = net.run(0, ["scrub"], [] as [&str; 0]).await;
    assert!(shown(&scrub).contains("all are whole"), "{}", shown(&scrub));
}
