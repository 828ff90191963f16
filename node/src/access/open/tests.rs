use futures::StreamExt;
use libp2p::identity::{Keypair, ed25519};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::super::trying::pair_of;
use super::super::{Belongs, JoinedAs, PAPERS_FILE, Trying, found, found_open, join};
use super::*;
use crate::address::peer_id;
use crate::config::ConnectionConfig;
use crate::driver::PEERS_FILE;
use crate::network::kept::Kept;
use crate::wire::{NetworkSwarm, Protocols, RelaySettings, build};

/// Two of three keys lack this.
const BITS: u8 = 2;

struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Machine {
        Machine { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    fn founder(bits: u8) -> Machine {
        let machine = Machine::new();
        found_open(machine.dir.path(), "square", bits, &Trying::default()).expect("an empty directory");
        machine
    }

    fn data(&self) -> Arc<DataDir> {
        Arc::new(DataDir::open(self.dir.path()).expect("nobody else has it"))
    }

    fn loaded(&self, config: &Config) -> Result<Belongs, AccessError> {
        Belongs::load(&self.data(), config)
    }

    fn open(&self) -> Open {
        let belongs = self.loaded(&Config::default()).expect("readable");
        belongs.open().expect("it belongs to an open network").clone()
    }

    /// Has its daemon's key replaced by one that lacks the work, or has it.
    fn with_key(self, sound: bool) -> Machine {
        let data = self.data();
        let Ok(Some(bytes)) = data.read(PAPERS_FILE) else { panic!("it belongs to a network") };
        let work = Kept::decode(&bytes).expect("sound").genesis().work();
        let is_wanted = |seed: &[u8; 32]| {
            let pair = pair_of(seed).expect("32 bytes");
            work.is_shown_by(&pair.public().to_bytes()) == sound
        };
        let secret = (0..=255).map(|seed| [seed; 32]).find(is_wanted).expect("among so many");
        data.set_secret("key", &secret).expect("room");
        self
    }
}

fn line(open: &Open) -> String {
    let addresses = vec!["/ip4/192.0.2.7/tcp/4700".parse().expect("an address")];
    open.invite(addresses).expect("it has one").to_string()
}

/// Keys with the work and without.
fn keys(work: IdWork) -> (Vec<[u8; 32]>, Vec<[u8; 32]>) {
    let key = |seed: u8| pair_of(&[seed; 32]).expect("32 bytes").public().to_bytes();
    (0..32).map(key).partition(|key| work.is_shown_by(key))
}

#[test]
fn a_founder_has_a_key_with_the_work_and_the_directory_decides() {
    let machine = Machine::founder(BITS);
    let open = machine.open();
    assert!(open.is_founder() && open.work() == IdWork::of(BITS) && open.inner.keeper.is_sound);
    let belongs = Belongs::Open(open);
    let adapted = |network: &str| {
        let config = Config { network: network.to_owned(), ..Config::default() };
        belongs.adapt(config, machine.dir.path())
    };
    for network in ["main", "square"] {
        assert_eq!(adapted(network).expect("it is not contradicted").network, "square");
    }
    assert!(matches!(adapted("other"), Err(AccessError::Belongs { network, .. }) if network == "square"));
    // Networks of one name are different ones, and one without a genesis is another one too.
    let other = Belongs::Open(Machine::founder(BITS).open());
    let config = adapted("square").expect("as before");
    assert_ne!(belongs.fingerprint(&config), other.fingerprint(&config));
    assert_ne!(belongs.spoken(&config), other.spoken(&config));
    assert_ne!(belongs.fingerprint(&config), Belongs::Named.fingerprint(&config));
    assert_ne!(belongs.spoken(&config), Belongs::Named.spoken(&config));
}

#[tokio::test]
async fn whoever_joins_has_a_key_with_the_work_and_knows_somebody() {
    let founder = Machine::founder(6).open();
    let guest = Machine::new();
    let trying = Arc::new(Trying::default());
    let joined = join(guest.dir.path(), &line(&founder), &trying).await.expect("an empty directory");
    assert_eq!((joined.by, joined.renewed), (JoinedAs::Worked { id_bits: 6 }, false));
    let open = guest.open();
    assert_eq!((open.fingerprint(), open.is_founder()), (founder.fingerprint(), false));
    assert!(open.inner.keeper.is_sound && open.inner.own != founder.inner.own);
    let known = |machine: &Machine| {
        let known = machine.data().read(PEERS_FILE).expect("readable").expect("somebody is known");
        String::from_utf8(known).expect("text")
    };
    let peer = peer_id(&founder.inner.own).expect("a key");
    assert_eq!(known(&guest), format!("/ip4/192.0.2.7/tcp/4700/p2p/{peer}\n"));
    // Again: the key stays, and an address more is known.
    let again = open.invite(vec!["/ip4/192.0.2.8/tcp/1".parse().expect("valid")]).expect("it has one");
    let joined = join(guest.dir.path(), &again.to_string(), &trying).await.expect("the same network");
    assert!(joined.renewed);
    assert_eq!(guest.open().inner.own, open.inner.own);
    assert!(known(&guest).contains("192.0.2.8") && known(&guest).contains("192.0.2.7"));
}

#[tokio::test]
async fn a_directory_of_one_network_takes_no_line_of_another() {
    let open = Machine::founder(0);
    let private = Machine::new();
    found(private.dir.path(), "family").expect("an empty directory");
    let elsewhere = line(&Machine::founder(0).open());
    for machine in [&open, &private] {
        let before = machine.data().read(PAPERS_FILE).expect("readable");
        let refused = join(machine.dir.path(), &elsewhere, &Arc::default()).await;
        assert!(matches!(refused, Err(AccessError::Belongs { .. })), "{refused:?}");
        let again = found_open(machine.dir.path(), "square", 0, &Trying::default());
        assert!(matches!(again, Err(AccessError::Belongs { .. })), "{again:?}");
        assert_eq!(machine.data().read(PAPERS_FILE).expect("readable"), before);
    }
    let busy = Machine::new();
    busy.data().write(PEERS_FILE, b"/ip4/192.0.2.7/tcp/1\n").expect("room");
    let refused = join(busy.dir.path(), &elsewhere, &Arc::default()).await;
    assert!(matches!(refused, Err(AccessError::Open { .. })), "{refused:?}");
}

#[test]
fn what_is_stopped_leaves_nothing_behind() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().join("new");
    let trying = Trying::default();
    trying.stop();
    let stopped = found_open(&dir, "square", 32, &trying);
    assert!(matches!(stopped, Err(AccessError::Stopped)), "{stopped:?}");
    assert!(!dir.exists());
    std::fs::create_dir(&dir).expect("room");
    let stopped = found_open(&dir, "square", 32, &trying);
    assert!(matches!(stopped, Err(AccessError::Stopped)), "{stopped:?}");
    for name in ["key", KEY_FILE, PAPERS_FILE] {
        assert!(!dir.join(name).exists(), "{name}");
    }
    let many = found_open(&dir, "square", 33, &Trying::default());
    assert!(matches!(many, Err(AccessError::BadBits(_))), "{many:?}");
}

#[test]
fn a_daemon_whose_key_lacks_the_work_does_not_start() {
    let machine = Machine::founder(BITS).with_key(false);
    let why = machine.loaded(&Config::default()).err().expect("nobody would talk to it").to_string();
    assert!(why.contains("lacks the work") && why.contains("square"), "{why}");
    let anyway = Config { debug_id_without_work: true, ..Config::default() };
    assert!(!machine.loaded(&anyway).expect("for tests").open().expect("open").inner.keeper.is_sound);
    let machine = machine.with_key(true);
    assert!(machine.loaded(&Config::default()).is_ok());
    machine.data().remove("key");
    assert!(matches!(machine.loaded(&Config::default()), Err(AccessError::KeyLost(_))));
}

#[test]
fn keys_with_the_work_pass_at_sight_and_others_are_told_why_not() {
    let open = Machine::founder(BITS).open();
    let keeper = &open.inner.keeper;
    let (with, without) = keys(open.work());
    assert!(!with.is_empty() && !without.is_empty());
    for key in with {
        let peer = peer_id(&key).expect("a key");
        assert_eq!(
            [true, false].map(|dialled| keeper.at_sight(&peer, dialled)),
            [Some(Ok(())), Some(Ok(()))]
        );
    }
    let stranger = peer_id(&without[0]).expect("a key");
    let Some(Err(Refusal(why))) = keeper.at_sight(&stranger, true) else { panic!("it lacks the work") };
    assert!(why.contains("lacks the work"), "{why}");
    assert_eq!(keeper.at_sight(&stranger, false), None, "it is told in an answer");
    let verdict = keeper.judge(&stranger, b"");
    assert!(!verdict.enters);
    // What the stranger makes of it.
    let lacking = Keeper { work: open.work(), is_sound: false, refused: Mutex::default() };
    let founder = peer_id(&open.inner.own).expect("a key");
    assert_eq!(lacking.at_sight(&founder, true), None, "it asks");
    assert_eq!(lacking.papers(&founder), b"");
    let refusal = lacking.judge_answer(&founder, &verdict.answer).expect_err("it is told why");
    assert!(refusal.0.contains("2 bits") && refusal.0.contains("chordage join"), "{refusal}");
    assert_eq!(*lacking.refused.lock().expect("no panic"), Some(refusal.0));
    let welcome = lacking.judge_answer(&founder, &Answer::Granted(Vec::new()).encode());
    assert!(welcome.is_err(), "nobody is let in by an answer");
}

/// A pair whose key shows this much work, or lacks it.
fn pair(work: IdWork, sound: bool) -> ed25519::Keypair {
    let mut pairs = (0..=255).map(|seed: u8| pair_of(&[seed; 32]).expect("32 bytes"));
    pairs.find(|pair| work.is_shown_by(&pair.public().to_bytes()) == sound).expect("among so many")
}

fn swarm(pair: ed25519::Keypair, gate: Gate) -> NetworkSwarm {
    let (connections, relays) = (ConnectionConfig::default(), RelaySettings::default());
    build(Keypair::from(pair), Protocols::new("square.1", "ring"), gate, &connections, &relays)
        .expect("a valid key")
}

/// Somebody who listens, and tells who has come in.
async fn listener(pair: ed25519::Keypair, gate: Gate) -> (Multiaddr, mpsc::Receiver<PeerId>) {
    let mut swarm = swarm(pair, gate);
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("valid")).expect("loopback");
    let addr = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address.with(Protocol::P2p(*swarm.local_peer_id()));
        }
    };
    let (came_in, came) = mpsc::channel(16);
    drop(tokio::spawn(async move {
        loop {
            if let SwarmEvent::ConnectionEstablished { peer_id, .. } = swarm.select_next_some().await {
                let _ = came_in.try_send(peer_id);
            }
        }
    }));
    (addr, came)
}

/// Dials, and says what became of it, once the connection is closed if there was one and `stays` is not wanted.
async fn dial(swarm: &mut NetworkSwarm, addr: &Multiaddr, stays: bool) -> Result<(), String> {
    swarm.dial(addr.clone()).expect("it can be dialled");
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } if stays => return Ok(()),
            SwarmEvent::ConnectionClosed { .. } => return Err("closed".to_owned()),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(format!("{error:?}")),
            _ => {}
        }
    }
}

#[tokio::test]
async fn only_keys_with_the_work_get_through_the_gate() {
    let work = IdWork::of(BITS);
    let open = Machine::founder(BITS).with_key(true).open();
    let (addr, mut came) = listener(pair(work, true), open.gate()).await;
    // One that knows of no gate: what it takes for a connection ends.
    let foreign = dial(&mut swarm(pair(work, false), Gate::default()), &addr, false).await;
    assert!(foreign.is_err(), "{foreign:?}");
    // One that asks.
    let lacking = Arc::new(Keeper { work, is_sound: false, refused: Mutex::default() });
    let told = dial(&mut swarm(pair(work, false), Gate::kept_by(lacking)), &addr, true).await;
    assert!(told.as_ref().is_err_and(|why| why.contains("lacks the work")), "{told:?}");
    // One that has worked is the first to come in.
    let sound = (0..=255).rev().map(|seed: u8| pair_of(&[seed; 32]).expect("32 bytes"));
    let sound =
        sound.into_iter().find(|pair| work.is_shown_by(&pair.public().to_bytes())).expect("among so many");
    let mut guest = swarm(sound, open.gate());
    assert_eq!(dial(&mut guest, &addr, true).await, Ok(()));
    let guest_peer = *guest.local_peer_id();
    drop(tokio::spawn(async move { while guest.next().await.is_some() {} }));
    assert_eq!(came.recv().await, Some(guest_peer));
    // Nor is somebody without the work taken for somebody because it was dialled.
    let (addr, _came) = listener(pair(work, false), Gate::default()).await;
    let dialled = dial(&mut swarm(pair(work, true), open.gate()), &addr, true).await;
    assert!(dialled.as_ref().is_err_and(|why| why.contains("lacks the work")), "{dialled:?}");
}
