//! Real daemons over loopback. One announces itself as a member and has a certificate for a client only, which its own
//! settings would keep it from: it has started with another one.

use std::io::{Cursor, Read};
use std::time::Duration;

use chordage_storage::Redundancy;
use futures::TryStreamExt;
use libp2p::Multiaddr;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::access::issuing::issuer;
use crate::daemon::Daemon;
use crate::placement::Freshness;
use crate::put::{ObjectFormat, PutRequest};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the first certificates are valid for: less than what comes after them.
const FIRST_SECONDS: u64 = 3600;

/// A daemon of a private network.
struct Friend {
    daemon: Daemon,
    id: NodeId,
    _dir: TempDir,
}

impl Friend {
    async fn start(machine: Machine, bootstrap: Vec<Multiaddr>) -> Friend {
        let Machine { dir, data } = machine;
        drop(data);
        let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("valid")];
        let debug_certificate_seconds = std::num::NonZeroU64::new(FIRST_SECONDS);
        let config = Config { listen, bootstrap, debug_certificate_seconds, ..Config::default() };
        let daemon = Box::pin(Daemon::start(dir.path(), config)).await.expect("started");
        let id = daemon.handle().inner.reader.placement.local;
        Friend { daemon, id, _dir: dir }
    }

    fn access(&self) -> Access {
        self.daemon.handle().inner.network.belongs.access().cloned().expect("a private network")
    }

    fn driver(&self) -> &crate::driver::DriverHandle {
        &self.daemon.handle().inner.reader.placement.driver
    }

    async fn addresses(&self) -> Vec<Multiaddr> {
        let status = self.daemon.handle().status().await.expect("it runs");
        status.membership.listen.iter().map(|address| address.parse().expect("valid")).collect()
    }

    /// Whom it has in its lists and tables, besides itself.
    async fn knows(&self) -> BTreeSet<NodeId> {
        let view = self.driver().view().await.expect("it runs");
        let rows = view.rows.iter().flat_map(|row| &row.fingers);
        let known = view.leaf_set.iter().chain(rows).map(|finger| finger.peer.id());
        let listed = view.listed.iter().map(|member| member.peer.id());
        known.chain(listed).filter(|id| *id != self.id).collect()
    }

    /// Waits until it knows these and nobody else.
    async fn comes_to_know(&self, ids: &[NodeId]) {
        let (ids, deadline) = (BTreeSet::from_iter(ids.iter().copied()), Instant::now() + PATIENCE);
        loop {
            let known = self.knows().await;
            if known == ids {
                return;
            }
            assert!(Instant::now() < deadline, "{} knows {known:?}", self.id);
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn put(&self, content: &[u8]) -> String {
        let body: Box<dyn Read + Send> = Box::new(Cursor::new(content.to_vec()));
        let redundancy = Some(Redundancy::new(1, 2).expect("a code"));
        let request = PutRequest { redundancy, ..PutRequest::default() };
        let put = self.daemon.handle().put(body, ObjectFormat::File, request);
        timeout(PATIENCE, put).await.expect("stored in time").expect("stored").link
    }

    async fn get(&self, link: &str) -> Vec<u8> {
        let link = link.parse().expect("a link");
        let reading = async {
            let object = self.daemon.handle().open(&link).await.expect("opened");
            let size = object.file(None).expect("a file").size();
            let parts: Vec<_> =
                object.read(None, 0..size).expect("in range").try_collect().await.expect("read");
            parts.concat()
        };
        timeout(PATIENCE, reading).await.expect("read in time")
    }

    /// Who might hold the shards of an object.
    async fn candidates(&self, link: &str) -> BTreeSet<NodeId> {
        let link = link.parse().expect("a link");
        let object = self.daemon.handle().open(&link).await.expect("opened");
        let mut all = BTreeSet::new();
        for chunk in object.distinct_chunks() {
            let redundancy = Redundancy::new(1, 2).expect("a code");
            let placement = &self.daemon.handle().inner.reader.placement;
            let found = placement.candidates(chunk.id, redundancy, Freshness::Known).await.expect("found");
            all.extend(found.iter().map(|peer| peer.id()));
        }
        all
    }
}

/// Signs a certificate with these rights for a daemon that runs, and has it show that to everybody.
async fn certify(founder: &Friend, friend: &Friend, role: Role, seconds: u64) {
    let access = founder.access();
    let chain = {
        let (state, key) = (access.state(), friend.access().own_key());
        let issuer = issuer(&access.inner, &state).expect("the founder");
        issuer.issue(&key, Rights { role, delegate: false }, (now(), seconds), 7).expect("it may")
    };
    assert!(friend.access().take(friend.driver(), chain).await, "it ends later than the one before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_only_be_a_client_is_in_nobodys_tables_though_it_announces_itself() {
    let founder = Friend::start(Machine::founder(), Vec::new()).await;
    let addresses = founder.addresses().await;
    let one = Friend::start(Machine::joined(&founder.access(), MEMBER), addresses.clone()).await;
    let liar = Friend::start(Machine::joined(&founder.access(), MEMBER), addresses.clone()).await;
    founder.comes_to_know(&[one.id, liar.id]).await;
    one.comes_to_know(&[founder.id, liar.id]).await;
    liar.comes_to_know(&[founder.id, one.id]).await;

    certify(&founder, &liar, Role::Client, 2 * FIRST_SECONDS).await;
    founder.comes_to_know(&[one.id]).await;
    one.comes_to_know(&[founder.id]).await;
    // Somebody who comes through it, and sees its certificate at the gate.
    let both = [liar.addresses().await, addresses].concat();
    let late = Friend::start(Machine::joined(&founder.access(), MEMBER), both).await;
    late.comes_to_know(&[founder.id, one.id]).await;
    founder.comes_to_know(&[one.id, late.id]).await;

    // It is served as a client is, and goes on saying that it is more.
    let view = liar.driver().view().await.expect("it runs");
    assert!(view.local.is_reachable(), "it says where it can be reached");
    let content = vec![7; 100_000];
    let link = liar.put(&content).await;
    assert!(late.get(&link).await == content && liar.get(&one.put(b"short").await).await == b"short");
    for friend in [&founder, &one, &late] {
        assert!(!friend.candidates(&link).await.contains(&liar.id));
        assert!(!friend.knows().await.contains(&liar.id), "it has spoken with all of them by now");
        let found = friend.driver().lookup(*liar.id.key(), Default::default()).await.expect("found");
        assert!(found.closest.iter().all(|peer| peer.id() != liar.id));
    }

    // With a better certificate it is a member.
    certify(&founder, &liar, Role::Member, 3 * FIRST_SECONDS).await;
    founder.comes_to_know(&[one.id, late.id, liar.id]).await;
    late.comes_to_know(&[one.id, founder.id, liar.id]).await;
}
