//! What reading asks of others, and what it does when they do not answer.

use crate::harness::{Net, random_bytes, shown};

const BYTES: usize = 12_000_000;

#[tokio::test]
async fn a_range_costs_the_root_and_the_chunk_it_lies_in() {
    let net = Net::start(5).await;
    let link = net.put(0, "2/4", &net.random_file("file", BYTES, 11)).await;
    let before = net.net.status(1).await.unwrap().transfers.reads;
    let output = net.run(1, ["cat", "--range", "6000000-6000099"], [&link]).await;
    assert!(output.status.success(), "{}", shown(&output));
    assert_eq!(output.stdout, random_bytes(BYTES, 11)[6_000_000..6_000_100]);
    let after = net.net.status(1).await.unwrap().transfers.reads;
    assert_eq!(after.chunks - before.chunks, 2, "{after:?}");
    assert_eq!(after.lookups - before.lookups, 2, "{after:?}");
}

#[tokio::test]
async fn holders_that_stand_still_do_not_keep_a_read_from_its_end() {
    let net = Net::start(6).await;
    let link = net.put(0, "2/4", &net.random_file("file", BYTES, 12)).await;
    for (frozen, name) in [(1, "one"), (2, "two")] {
        net.net.freeze(frozen).unwrap();
        assert!(net.get(0, &link, name).await == random_bytes(BYTES, 12));
    }
    net.net.thaw(1).unwrap();
    net.net.thaw(2).unwrap();
    assert!(net.get(0, &link, "again").await == random_bytes(BYTES, 12));
}
