//! Daemons inside one process, with real libp2p between them and real stores below: what goes in comes out.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::time::{Duration, Instant};

use chordage_api::client::{Client, ClientError, GetBytesError};
use chordage_api::types::ProblemCode;
use chordage_node::{Config, Daemon, GetError, NodeHandle, ObjectFormat, PutError, PutRequest};
use chordage_storage::{Link, Redundancy};
use futures::TryStreamExt;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

struct Network {
    daemons: Vec<Daemon>,
    dirs: Vec<TempDir>,
}

impl Network {
    async fn start(nodes: usize) -> Network {
        let mut network = Network { daemons: Vec::new(), dirs: Vec::new() };
        for _ in 0..nodes {
            network.add().await;
        }
        network.wait_for(nodes).await;
        network
    }

    async fn add(&mut self) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut config =
            Config { listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("valid")], ..Config::default() };
        if let Some(first) = self.daemons.first() {
            let status = first.handle().status().await.expect("running");
            config.bootstrap =
                status.membership.listen.iter().map(|addr| addr.parse().expect("valid")).collect();
        }
        self.daemons.push(Daemon::start(dir.path(), config).await.expect("starts"));
        self.dirs.push(dir);
    }

    async fn wait_for(&self, nodes: usize) {
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            for daemon in &self.daemons {
                while daemon.handle().status().await.expect("running").overlay.network_nodes != nodes as u64 {
                    tokio::task::yield_now().await;
                }
            }
        });
        waited.await.expect("everybody knows everybody within 60 s");
    }

    fn node(&self, index: usize) -> &NodeHandle {
        self.daemons[index].handle()
    }

    async fn leave(&mut self, index: usize) {
        self.daemons.remove(index).leave().await.expect("leaves in good order");
        self.dirs.remove(index);
    }
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn asking_for(redundancy: &str) -> PutRequest {
    PutRequest { redundancy: Some(redundancy.parse().expect("valid")), ..PutRequest::default() }
}

async fn read(node: &NodeHandle, link: &Link, range: Range<u64>) -> Result<Vec<u8>, GetError> {
    let object = node.open(link).await?;
    let parts: Vec<bytes::Bytes> = object.read(None, range)?.try_collect().await?;
    Ok(parts.concat())
}

#[tokio::test]
async fn what_one_node_stores_every_other_can_read_and_storing_it_again_sends_nothing() {
    let network = Network::start(7).await;
    let content = bytes(1, 9 << 20);
    let body = || Box::new(Cursor::new(content.clone())) as Box<dyn Read + Send>;
    let report = network.node(0).put(body(), ObjectFormat::File, asking_for("3/6")).await.expect("stored");
    assert_eq!((report.k, report.n, report.acks_min, report.degraded), (3, 6, 6, false));
    assert_eq!(report.bytes, content.len() as u64);
    assert_eq!(report.new_chunks, report.chunks);

    let link: Link = report.link.parse().expect("a link");
    for index in 0..7 {
        let read = read(network.node(index), &link, 0..content.len() as u64).await.expect("readable");
        assert!(read == content, "node {index} read something else");
    }
    let middle = read(network.node(3), &link, 5_000_000..5_000_100).await.expect("readable");
    assert_eq!(middle, content[5_000_000..5_000_100]);

    // Another node, same owner's secret or not, must not be able to tell; the same node finds all of it there.
    let again = network.node(0).put(body(), ObjectFormat::File, asking_for("3/6")).await.expect("stored");
    assert_eq!((again.link, again.new_chunks, again.sent_bytes), (report.link, 0, 0));
    let stat = network.node(5).stat(&link, true).await.expect("surveyed");
    let health = stat.health.expect("asked for");
    assert_eq!((health.full, health.degraded, health.unreadable), (report.chunks, 0, 0));
    assert_eq!(health.holders.iter().map(|h| h.shards).sum::<u64>(), report.chunks * 6);
}

#[tokio::test]
async fn an_object_outlives_the_holders_its_code_can_spare_and_no_more() {
    let mut network = Network::start(6).await;
    let content = bytes(2, 3 << 20);
    let report = network
        .node(0)
        .put(Box::new(Cursor::new(content.clone())), ObjectFormat::File, asking_for("4/6"))
        .await
        .expect("stored");
    let link: Link = report.link.parse().expect("a link");
    network.leave(5).await;
    network.leave(4).await;
    let len = content.len() as u64;
    assert!(read(network.node(1), &link, 0..len).await.expect("4 of 6 are left") == content);

    network.leave(3).await;
    let started = Instant::now();
    match read(network.node(1), &link, 0..len).await {
        Err(GetError::Unavailable { unreadable, best, k, .. }) => {
            assert!(unreadable >= 1);
            assert_eq!((best, k), (3, 4));
        }
        other => panic!("{:?}", other.map(|bytes| bytes.len())),
    }
    assert!(started.elapsed() < Duration::from_secs(60), "took {:?}", started.elapsed());
}

#[tokio::test]
async fn fewer_nodes_than_shards_are_refused_unless_the_user_accepts_less() {
    let network = Network::start(3).await;
    let content = bytes(3, 100_000);
    let body = || Box::new(Cursor::new(content.clone())) as Box<dyn Read + Send>;
    match network.node(0).put(body(), ObjectFormat::File, asking_for("2/5")).await {
        Err(PutError::TooFewNodes { nodes, possible, .. }) => {
            assert_eq!((nodes, possible), (3, Redundancy::new(2, 3).expect("valid")));
        }
        other => panic!("{other:?}"),
    }
    let request = PutRequest { allow_degraded: true, ..asking_for("2/5") };
    let report = network.node(0).put(body(), ObjectFormat::File, request).await.expect("stored");
    assert_eq!((report.k, report.n, report.degraded), (2, 3, true));
    let link: Link = report.link.parse().expect("a link");
    assert!(read(network.node(2), &link, 0..100_000).await.expect("readable") == content);
}

#[tokio::test]
async fn a_link_that_leads_nowhere_or_may_not_read_is_told_so() {
    let network = Network::start(3).await;
    let content = bytes(4, 1000);
    let report = network
        .node(0)
        .put(Box::new(Cursor::new(content)), ObjectFormat::File, PutRequest::default())
        .await
        .expect("stored");
    let link: Link = report.link.parse().expect("a link");
    assert!(matches!(read(network.node(1), &link.to_verify(), 0..1).await, Err(GetError::NotReadable)));
    let Link::Read { key, .. } = link else { panic!("a put gives a read link") };
    let nowhere = Link::Read { id: [9; 32].into(), key };
    assert!(matches!(
        read(network.node(1), &nowhere, 0..1).await,
        Err(GetError::Unavailable { best: 0, .. })
    ));
    assert!(matches!(read(network.node(1), &link, 0..1001).await, Err(GetError::Range { bytes: 1000 })));
}

#[tokio::test]
async fn an_input_that_breaks_off_leaves_no_object() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::Error::other("the writer was killed"));
            }
            let len = buffer.len().min(self.0);
            self.0 -= len;
            buffer[..len].fill(7);
            Ok(len)
        }
    }
    let network = Network::start(3).await;
    let broken = Box::new(Broken(10 << 20));
    let result = network.node(0).put(broken, ObjectFormat::File, PutRequest::default()).await;
    assert!(matches!(result, Err(PutError::Input(_))), "{result:?}");
}

#[tokio::test]
async fn an_application_puts_bytes_at_one_daemon_and_gets_them_at_another() {
    let network = Network::start(3).await;
    let dirs: Vec<&str> = network.dirs.iter().map(|dir| dir.path().to_str().expect("text")).collect();
    let [first, second, third] = [0, 1, 2].map(|index| Client::find(dirs[index]).expect("it runs"));
    // Nothing, a little, and more than waits for the connection at a time.
    for len in [0, 1000, 5 << 20] {
        let content = bytes(5, len);
        let report = first.put_bytes(&content).await.expect("stored");
        assert_eq!(report.bytes, len as u64);
        assert!(second.get_bytes(&report.link, len).await.expect("readable") == content, "{len} bytes");
        if let Some(less) = len.checked_sub(1) {
            let answer = third.get_bytes(&report.link, less).await.map(|bytes| bytes.len());
            assert!(matches!(answer, Err(GetBytesError::TooLong { max }) if max == less), "{answer:?}");
        }
    }
    match third.get_bytes("no link", 1000).await {
        Err(GetBytesError::Failed(ClientError::Problem(problem))) => {
            assert_eq!(problem.code, ProblemCode::BadLink);
        }
        other => panic!("{other:?}"),
    }
}
