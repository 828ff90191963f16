//! A server and peers on streams in memory, many of which stand still.

use chordage_api::operation::OperationId;
use chordage_storage::{
    Coder, ConvergenceSecret, EncodeParams, Pack, Redundancy, ShardSet, ShardStore, StoreConfig, encode_chunk,
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::*;
use crate::config::LeaseConfig;
use crate::shards::link::write_call;
use crate::store::HeldLeases;
use crate::tasks::Tasks;
use crate::wire::SHARD_VERSIONS;
use crate::wire::frame::{PAYLOAD_MAX, read_shard};

/// What lies between two ends of a stream: far less than a shard.
const WINDOW: usize = 64 << 10;
/// Within this everything has to be answered: those who stand still lose their streams only later.
const SOON: Duration = Duration::from_secs(20);
/// Far more peers than are needed to take all the memory that there is.
const CROWD: u8 = 40;
/// Bytes of a shard that counts as much as is guessed.
const SHARD: usize = 1 << 20;

struct Serving {
    server: ShardServer,
    _dir: TempDir,
}

impl Serving {
    fn new() -> Serving {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = StoreConfig::with_quota(1 << 30);
        let shards = ShardStore::open(&dir.path().join("shards"), config).expect("new");
        let leases = HeldLeases::open(&dir.path().join("claims"), &LeaseConfig::default(), 0);
        let tasks = Tasks::new(CancellationToken::new(), None);
        let store = Store::start(shards, leases.expect("new").expect("ours"), &tasks).expect("a thread");
        let ledger = Arc::new(Ledger::open(dir.path(), "ledger").expect("new"));
        let server = ShardServer::new(store, CancellationToken::new(), Arc::default())
            .with_repair(ledger, CancellationToken::new());
        Serving { server, _dir: dir }
    }

    /// A stream of the peer with this number.
    fn connect(&self, number: u8) -> Caller {
        self.connect_in(number, SHARD_VERSIONS[0])
    }

    /// The same in this version of the protocol.
    fn connect_in(&self, number: u8, version: u8) -> Caller {
        let (ours, theirs) = tokio::io::duplex(WINDOW);
        let server = self.server.clone();
        tokio::spawn(server.serve_on(NodeId::from_bytes([number; 32]), theirs.compat(), version));
        Caller { stream: ours.compat(), version }
    }

    /// Waits until so little of the memory of shards is free that one of this size has to wait.
    async fn filled(&self, bytes: usize) {
        let deadline = Instant::now() + SOON;
        while self.server.intake.free_for_shards() >= bytes {
            assert!(Instant::now() < deadline, "{} bytes are free", self.server.intake.free_for_shards());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

struct Caller {
    stream: Compat<DuplexStream>,
    version: u8,
}

impl Caller {
    /// Sends a question and does not read what comes.
    async fn say(&mut self, request: Request, payload: Vec<Bytes>) {
        let call = Call { id: 7, operation: Some(OperationId::random()), request };
        let saying = async {
            write_call(&mut self.stream, self.version, call, payload).await?;
            self.stream.flush().await
        };
        timeout(SOON, saying).await.expect("taken in time").expect("open");
    }

    async fn ask(&mut self, request: Request, payload: Vec<Bytes>) -> (Reply, Bytes) {
        let said = format!("{request:?}").chars().take(20).collect::<String>();
        self.say(request, payload).await;
        let answer = timeout(SOON, read_shard(&mut self.stream)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{said} waits for those who stand still"));
        let (Answer { id: 7, reply }, payload) = answer.expect("valid").expect("open") else {
            panic!("another answer");
        };
        (reply, payload)
    }

    /// Announces a shard of so many bytes and sends none of it.
    async fn announce(&mut self, bytes: usize) {
        let call = Call { id: 1, operation: None, request: put(&shard(1, 0)).0 };
        let mut written = Vec::new();
        write_call(&mut written, self.version, call, Vec::new()).await.expect("within limits");
        let total = u32::try_from(written.len() - 6 + bytes).expect("short");
        written[..4].copy_from_slice(&total.to_be_bytes());
        let saying = self.stream.write_all(&written);
        timeout(SOON, saying).await.expect("taken in time").expect("open");
    }
}

/// A whole chunk as one shard.
fn shard(bytes: usize, seed: u64) -> (ChunkId, Vec<Bytes>) {
    let mut content = vec![0; bytes];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut content);
    let code = Redundancy::new(1, 1).expect("a code");
    let params = EncodeParams::new(code, ConvergenceSecret::new([3; 32]));
    let chunk = encode_chunk(Pack::from(content), &params, &mut Coder::new()).expect("encoded");
    (chunk.reference.id, vec![chunk.descriptor.encode(), chunk.shards[0].clone()])
}

fn put((chunk, payload): &(ChunkId, Vec<Bytes>)) -> (Request, Vec<Bytes>) {
    let descriptor_len = u32::try_from(payload[0].len()).expect("short");
    let request = Request::Put { chunk: *chunk, index: 0, descriptor_len, said: 1, claims: Vec::new() };
    (request, payload.clone())
}

#[tokio::test]
async fn every_version_is_answered() {
    let serving = Serving::new();
    for (number, version) in SHARD_VERSIONS.into_iter().enumerate() {
        let mut caller = serving.connect_in(number as u8, version);
        let shard = shard(1000, number as u64);
        let (request, payload) = put(&shard);
        let stored = caller.ask(request, payload).await;
        assert_eq!(stored, (Reply::Stored { already: false }, Bytes::new()), "version {version}");
        let fetch = Request::Fetch { chunk: shard.0, skip: ShardSet::default() };
        let (reply, payload) = caller.ask(fetch, Vec::new()).await;
        assert!(matches!(reply, Reply::Shard { index: 0, .. }), "version {version}: {reply:?}");
        assert_eq!(payload, shard.1.concat(), "version {version}");
    }
}

/// One of every kind without a shard.
fn small_requests(chunk: ChunkId) -> Vec<Request> {
    let chunks = vec![chunk; 10];
    vec![
        Request::Has { chunks: vec![chunk; CHUNKS_MAX] },
        Request::Records { chunks: vec![chunk; RECORDS_MAX] },
        Request::Prove { chunk, index: 0, leaf: 0 },
        Request::Claim { lease_seconds: 86_400, retain_seconds: 0, said: 1, chunks: chunks.clone() },
        Request::Claims { chunk },
        Request::Mine { after: None },
        Request::Drop { said: 2, chunks },
    ]
}

#[tokio::test]
async fn readers_that_stand_still_keep_no_other_peer_waiting() {
    let serving = Serving::new();
    let kept = shard(SHARD, 1);
    let (request, payload) = put(&kept);
    let mut writer = serving.connect(100);
    assert!(matches!(writer.ask(request, payload).await.0, Reply::Stored { already: false }));
    let mut still = Vec::new();
    for number in 0..8 {
        let mut reader = serving.connect(number);
        for _ in 0..CONCURRENT_MAX {
            reader.say(Request::Fetch { chunk: kept.0, skip: ShardSet::default() }, Vec::new()).await;
        }
        still.push(reader);
    }
    serving.filled(32 << 20).await;
    for number in [100, 101] {
        let mut other = serving.connect(number);
        let (reply, payload) =
            other.ask(Request::Fetch { chunk: kept.0, skip: ShardSet::default() }, Vec::new()).await;
        assert!(matches!(reply, Reply::Shard { .. }) && payload.ends_with(&kept.1[1]));
        let (request, payload) = put(&shard(4 << 20, number.into()));
        assert!(matches!(other.ask(request, payload).await.0, Reply::Stored { already: false }));
        for request in small_requests(kept.0) {
            other.ask(request, Vec::new()).await;
        }
    }
}

#[tokio::test]
async fn writers_that_stand_still_cannot_make_small_requests_wait() {
    let serving = Serving::new();
    let kept = shard(SHARD, 1);
    let (request, payload) = put(&kept);
    serving.connect(100).ask(request, payload).await;
    let mut still = Vec::new();
    for number in 0..CROWD {
        let mut writer = serving.connect(number);
        writer.announce(PAYLOAD_MAX).await;
        still.push(writer);
    }
    serving.filled(PAYLOAD_MAX).await;
    // Another peer, and one that stands still itself.
    for number in [100, 0] {
        let mut other = serving.connect(number);
        for request in small_requests(kept.0) {
            assert!(!matches!(other.ask(request, Vec::new()).await.0, Reply::Failed | Reply::Refused(_)));
        }
    }
    drop(still);
    let (request, payload) = put(&shard(4 << 20, 2));
    let reply = serving.connect(100).ask(request, payload).await.0;
    assert!(matches!(reply, Reply::Stored { already: false }), "{reply:?}");
}

#[tokio::test]
async fn who_sends_a_payload_with_a_question_that_has_none_is_not_served_on() {
    let serving = Serving::new();
    let mut caller = serving.connect(1);
    caller.say(Request::Mine { after: None }, vec![Bytes::from_static(b"x")]).await;
    let answer = timeout(SOON, read_shard::<_, Answer>(&mut caller.stream)).await.expect("in time");
    assert!(matches!(answer, Ok(None)));
}
