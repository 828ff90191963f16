//! Reading from real daemons over loopback, one of which lies.

use std::io::{Cursor, Read};
use std::time::Duration;

use chordage_api::types::ReadTotals;
use chordage_dht::NodeId;
use chordage_storage::{Link, Redundancy};
use futures::TryStreamExt;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::config::Config;
use crate::daemon::Daemon;
use crate::placement::Freshness;
use crate::put::{ObjectFormat, PutRequest};
use crate::shards::lies::Lie;

/// Daemons. Every one holds a shard of each chunk, and all but one are needed: the liar is asked sooner or later.
const NODES: u8 = 6;
const K: u8 = 5;
/// Some twelve chunks.
const BYTES: usize = 24 << 20;
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

struct Net {
    daemons: Vec<Daemon>,
    _dirs: Vec<TempDir>,
}

impl Net {
    /// The last one tells `lie`.
    async fn start(lie: Lie) -> Net {
        let mut net = Net { daemons: Vec::new(), _dirs: Vec::new() };
        let mut bootstrap = Vec::new();
        for number in 0..NODES {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("valid")];
            let config = Config { listen, bootstrap: bootstrap.clone(), ..Config::default() };
            let starting = Daemon::start_serving(dir.path(), config, |server| {
                if number == NODES - 1 { server.lying(lie) } else { server }
            });
            let daemon = Box::pin(starting).await.expect("started");
            if bootstrap.is_empty() {
                let listen = daemon.handle().status().await.expect("runs").membership.listen;
                bootstrap = listen.iter().map(|address| address.parse().expect("valid")).collect();
            }
            net.daemons.push(daemon);
            net._dirs.push(dir);
        }
        let deadline = Instant::now() + PATIENCE;
        while !net.is_settled().await {
            assert!(Instant::now() < deadline, "the network did not settle");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        net
    }

    /// Whether everybody knows everybody.
    async fn is_settled(&self) -> bool {
        for daemon in &self.daemons {
            let status = daemon.handle().status().await.expect("runs");
            if status.overlay.network_nodes != u64::from(NODES)
                || status.overlay.leaf_set != u64::from(NODES - 1)
            {
                return false;
            }
        }
        true
    }

    async fn put(&self, node: usize, content: &[u8]) -> Link {
        let body: Box<dyn Read + Send> = Box::new(Cursor::new(content.to_vec()));
        let redundancy = Some(Redundancy::new(K, NODES).expect("a code"));
        let request = PutRequest { redundancy, ..PutRequest::default() };
        let put = self.daemons[node].handle().put(body, ObjectFormat::File, request).await.expect("stored");
        assert_eq!(put.acks_min, NODES, "the liar keeps what it is given");
        put.link.parse().expect("a link")
    }

    async fn get(&self, node: usize, link: &Link) -> Vec<u8> {
        let reading = async {
            let object = self.daemons[node].handle().open(link).await.expect("opened");
            let size = object.file(None).expect("a file").size();
            let parts: Vec<_> =
                object.read(None, 0..size).expect("in range").try_collect().await.expect("read");
            parts.concat()
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("read in time")
    }

    fn reads(&self, node: usize) -> ReadTotals {
        self.daemons[node].handle().inner.reader.totals.now()
    }

    fn liar(&self) -> NodeId {
        self.daemons[usize::from(NODES - 1)].handle().inner.reader.placement.local
    }

    /// In which order `node` would ask the holders of each chunk now.
    async fn orders(&self, node: usize, link: &Link) -> Vec<Vec<NodeId>> {
        let reader = &self.daemons[node].handle().inner.reader;
        let object = self.daemons[node].handle().open(link).await.expect("opened");
        let mut orders = Vec::new();
        for chunk in object.distinct_chunks() {
            let found = reader
                .placement
                .candidates(chunk.id, Redundancy::new(K, NODES).expect("a code"), Freshness::Known)
                .await
                .expect("found");
            let order = reader.holders.scores.order(found, NODES, Instant::now());
            orders.push(order.iter().map(|peer| peer.id()).collect());
        }
        orders
    }
}

fn content() -> Vec<u8> {
    let mut content = vec![0; BYTES];
    ChaCha8Rng::seed_from_u64(7).fill_bytes(&mut content);
    content
}

/// Puts, and reads through a daemon that knows nothing of the liar: once, and again until `seen`, because on a busy
/// machine the liar may answer last.
async fn read_beside(lie: Lie, seen: impl Fn(ReadTotals) -> bool) -> (Net, Link) {
    let net = Net::start(lie).await;
    let content = content();
    let link = net.put(0, &content).await;
    let started = Instant::now();
    loop {
        assert!(net.get(1, &link).await == content, "{lie:?}: wrong bytes were handed out");
        let reads = net.reads(1);
        println!("{lie:?}: {:?}, {reads:?}", started.elapsed());
        if seen(reads) {
            return (net, link);
        }
        assert!(started.elapsed() < PATIENCE, "{lie:?} was never met: {reads:?}");
    }
}

/// The read is right, and from then on the liar is asked only when all others have failed.
async fn is_caught(lie: Lie) {
    let (net, link) = read_beside(lie, |reads| reads.false_shards > 0).await;
    // Others who were late on a busy machine are forgiven soon.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let orders = net.orders(1, &link).await;
        if orders.iter().all(|order| order.last() == Some(&net.liar())) {
            break;
        }
        assert!(Instant::now() < deadline, "the liar is not last everywhere: {orders:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn wrong_bytes_are_noticed_and_their_sender_is_asked_last() {
    is_caught(Lie::WrongBytes).await;
}

#[tokio::test]
async fn a_wrong_descriptor_is_noticed_and_its_sender_is_asked_last() {
    is_caught(Lie::WrongDescriptor).await;
}

#[tokio::test]
async fn a_shard_with_an_impossible_number_is_noticed_and_its_sender_is_asked_last() {
    is_caught(Lie::WrongNumber).await;
}

#[tokio::test]
async fn an_answer_to_another_question_keeps_nobody_from_reading() {
    read_beside(Lie::WrongAnswer, |_| true).await;
}

/// What a link stands for is asked for before its content, and then looked at again: it is fetched once.
#[tokio::test]
async fn a_manifest_is_fetched_once_until_its_object_is_forgotten() {
    let net = Net::start(Lie::Silence).await;
    let content = &content()[..100_000];
    let link = net.put(0, content).await;
    let handle = net.daemons[0].handle();
    let fetched = || net.reads(0).chunks;
    let stat = handle.stat(&link, true).await.expect("it is there");
    assert_eq!((stat.chunks, fetched()), (2, 1), "the manifest");
    assert!(net.get(0, &link).await == content);
    assert_eq!(fetched(), 2, "the content alone");
    handle.stat(&link, false).await.expect("it is there");
    assert_eq!(fetched(), 2);
    // Without the key nobody sees what others have read.
    assert!(handle.open(&link.to_verify()).await.is_err());
    handle.forget(&link).await.expect("it is kept here");
    let again = handle.open(&link).await;
    assert!(again.is_err() || fetched() == 3, "it is looked up anew");
}

#[tokio::test]
async fn a_holder_that_never_answers_is_not_waited_for() {
    // Somebody is asked in its stead.
    read_beside(Lie::Silence, |reads| reads.late > 0).await;
}
