//! Books of what is kept that were lost, and data directories that are older copies: the holders know what they keep.

use std::fs;
use std::path::Path;

use chordage_testnet::wait_until;

use crate::harness::{LONG, Net, PATIENCE, json_of, random_bytes};

const MB: usize = 1_000_000;

impl Net {
    /// Waits until so many chunks are recovered; the link by which they can be forgotten.
    async fn wait_recovered(&self, node: usize, chunks: u64) -> String {
        let look = async || {
            let keeps = self.keeps(node).await;
            let recovered = keeps.iter().find(|kept| kept["state"] == "recovered");
            match recovered.filter(|kept| kept["chunks"] == chunks) {
                Some(kept) => Ok(kept["verify_link"].as_str().unwrap().to_owned()),
                None => Err(format!("it keeps {keeps:?}")),
            }
        };
        wait_until("what holders keep is recovered", PATIENCE, look).await.unwrap()
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else if from.is_file() {
            fs::copy(from, to).unwrap();
        }
    }
}

/// The book of what is kept is lost: what it kept stays, is known again as far as holders can say, and can be
/// forgotten.
#[tokio::test]
async fn what_a_lost_book_kept_stays_and_can_be_forgotten() {
    let mut net = Net::with_settings(5, LONG).await;
    let link = net.put(0, "2/4", &net.random_file("kept", MB, 1)).await;
    let others = net.put(1, "2/4", &net.random_file("of another", MB, 2)).await;
    let [kept] = &net.keeps(0).await[..] else { panic!("one object is kept") };
    let chunks = kept["chunks"].as_u64().unwrap();
    net.net.kill(&[0]).unwrap();
    fs::remove_file(net.net.data_dir(0).join("keeps/keeps.redb")).unwrap();
    net.net.restart(&[0]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    let recovered = net.wait_recovered(0, chunks).await;
    let explained = net.explain(0, &link).await;
    let found = explained["found_at_start"].as_array().unwrap();
    assert_eq!((found.len(), &found[0]["what"]), (1, &"keeps".into()), "a kill damages nothing: {explained}");
    // Whoever has the link makes an object of it again, and then what was recovered is not needed.
    json_of(&net.run(0, ["keep", "--json"], [&link]).await);
    net.forget(0, &recovered).await;
    assert!(net.get(3, &link, "kept again").await == random_bytes(MB, 1));
    let both = net.stored().await;
    net.forget(0, &link).await;
    net.wait_stored("it is freed", |bytes| bytes < both - 3 * MB as u64 / 2).await;
    assert!(net.get(3, &others, "another's again").await == random_bytes(MB, 2));
}

/// A data directory is put back from a copy that is older than some puts: they are kept on, and can be forgotten,
/// although the copy counts what it says to holders from lower numbers.
#[tokio::test]
async fn what_was_put_after_a_copy_was_made_stays_and_can_be_forgotten() {
    let mut net = Net::with_settings(5, LONG).await;
    let (data, older) = (net.net.data_dir(0), net.path("older"));
    let first = net.put(0, "2/4", &net.random_file("first", MB, 1)).await;
    net.net.kill(&[0]).unwrap();
    copy(&data, &older);
    for _ in 0..2 {
        net.net.restart(&[0]).await.unwrap();
        net.net.kill(&[0]).unwrap();
    }
    net.net.restart(&[0]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    let second = net.put(0, "2/4", &net.random_file("second", MB, 2)).await;
    let chunks = net.keeps(0).await.iter().map(|kept| kept["chunks"].as_u64().unwrap()).sum::<u64>();
    net.net.kill(&[0]).unwrap();
    fs::remove_dir_all(&data).unwrap();
    copy(&older, &data);
    net.net.restart(&[0]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    let recovered = net.wait_recovered(0, chunks / 2).await;
    assert!(net.get(3, &second, "second again").await == random_bytes(MB, 2));
    net.forget(0, &recovered).await;
    net.forget(0, &first).await;
    net.wait_stored("all of it is freed", |bytes| bytes == 0).await;
}
