use std::sync::Mutex;

use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::sync::oneshot;

use super::*;
use crate::config::ConnectionConfig;
use crate::wire::{Class, NetworkSwarm, OpenError, Protocols, RelaySettings, build};

/// Lets in whoever says one of these words, and says the first itself.
struct Word {
    known: Vec<&'static str>,
    heard: Mutex<Vec<Vec<u8>>>,
}

impl Word {
    fn of(known: &[&'static str]) -> Arc<Word> {
        Arc::new(Word { known: known.to_vec(), heard: Mutex::default() })
    }

    fn knows(&self, word: &[u8]) -> bool {
        self.heard.lock().expect("no panic").push(word.to_vec());
        self.known.iter().any(|known| known.as_bytes() == word)
    }
}

impl Doorkeeper for Word {
    fn papers(&self, _: &PeerId) -> Vec<u8> {
        self.known[0].into()
    }

    fn judge(&self, _: &PeerId, papers: &[u8]) -> Verdict {
        let enters = self.knows(papers);
        Verdict { answer: if enters { self.known[0].into() } else { b"go away".to_vec() }, enters }
    }

    fn judge_answer(&self, _: &PeerId, answer: &[u8]) -> Result<(), Refusal> {
        if self.knows(answer) { Ok(()) } else { Err(Refusal(String::from_utf8_lossy(answer).into_owned())) }
    }
}

fn swarm(network: &str, gate: Gate) -> NetworkSwarm {
    let protocols = Protocols::new(network, "ring");
    build(
        Keypair::generate_ed25519(),
        protocols,
        gate,
        &ConnectionConfig::default(),
        &RelaySettings::default(),
    )
    .expect("a valid key")
}

/// Starts somebody who listens by TCP and QUIC. Returns its addresses and whether anybody was let in.
async fn listener(gate: Gate) -> (Vec<Multiaddr>, oneshot::Receiver<PeerId>) {
    let mut swarm = swarm("n", gate);
    for addr in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        swarm.listen_on(addr.parse().expect("valid")).expect("loopback");
    }
    let mut addrs = Vec::new();
    while addrs.len() < 2 {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            addrs.push(address);
        }
    }
    let addrs = addrs.into_iter().map(|addr| addr.with(Protocol::P2p(*swarm.local_peer_id()))).collect();
    let (entered_in, entered) = oneshot::channel();
    drop(tokio::spawn(async move {
        let mut entered_in = Some(entered_in);
        loop {
            if let SwarmEvent::ConnectionEstablished { peer_id, .. } = swarm.select_next_some().await
                && let Some(entered) = entered_in.take()
            {
                let _ = entered.send(peer_id);
            }
        }
    }));
    (addrs, entered)
}

/// What becomes of a dial.
async fn dial(swarm: &mut NetworkSwarm, addr: &Multiaddr) -> Result<PeerId, String> {
    swarm.dial(addr.clone()).expect("it can be dialled");
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => return Ok(peer_id),
            SwarmEvent::OutgoingConnectionError { error: DialError::Transport(failed), .. } => {
                return Err(format!("{failed:?}"));
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn whoever_shows_what_is_asked_for_enters_by_every_transport() {
    for index in 0..2 {
        let keeper = Word::of(&["friend"]);
        let (addrs, entered) = listener(Gate::kept_by(keeper.clone())).await;
        let mut guest = swarm("n", Gate::kept_by(Word::of(&["friend"])));
        let peer = dial(&mut guest, &addrs[index]).await.expect("let in");
        assert!(addrs[index].to_string().ends_with(&peer.to_string()));
        drop(tokio::spawn(async move { while guest.next().await.is_some() {} }));
        entered.await.expect("it is told of too");
        assert_eq!(*keeper.heard.lock().expect("no panic"), [b"friend".to_vec()]);
    }
}

#[tokio::test]
async fn whoever_shows_something_else_is_told_why_it_does_not_enter() {
    for index in 0..2 {
        let (addrs, mut entered) = listener(Gate::kept_by(Word::of(&["friend"]))).await;
        let guest_keeper = Word::of(&["stranger"]);
        let mut guest = swarm("n", Gate::kept_by(guest_keeper.clone()));
        let error = dial(&mut guest, &addrs[index]).await.expect_err("not let in");
        assert!(error.contains("go away"), "{error}");
        assert!(entered.try_recv().is_err(), "the swarm never hears of it");
        assert_eq!(*guest_keeper.heard.lock().expect("no panic"), [b"go away".to_vec()]);
    }
}

#[tokio::test]
async fn whoever_dialled_judges_too() {
    for index in 0..2 {
        // The listener knows the word of the guest, but shows one that the guest does not know.
        let (addrs, _entered) = listener(Gate::kept_by(Word::of(&["other", "friend"]))).await;
        let mut guest = swarm("n", Gate::kept_by(Word::of(&["friend"])));
        let error = dial(&mut guest, &addrs[index]).await.expect_err("not let in");
        assert!(error.contains("other"), "{error}");
    }
}

#[tokio::test]
async fn somebody_who_knows_of_no_gate_learns_that_this_is_another_network() {
    for index in 0..2 {
        let (addrs, mut entered) = listener(Gate::kept_by(Word::of(&["friend"]))).await;
        let mut stranger = swarm("n", Gate::default());
        let peer = dial(&mut stranger, &addrs[index]).await.expect("a transport without a gate");
        let (reply, opened) = oneshot::channel();
        stranger.behaviour_mut().streams.open(peer, vec![addrs[index].clone()], Class::Dht, reply);
        drop(tokio::spawn(async move { while stranger.next().await.is_some() {} }));
        let opened = opened.await.expect("answered");
        assert!(matches!(opened, Err(OpenError::OtherNetwork)), "{opened:?}");
        assert!(entered.try_recv().is_err(), "the swarm never hears of it");
    }
}

#[tokio::test]
async fn a_guest_finds_that_there_is_no_gate() {
    for index in 0..2 {
        let (addrs, _entered) = listener(Gate::default()).await;
        let mut guest = swarm("n", Gate::kept_by(Word::of(&["friend"])));
        dial(&mut guest, &addrs[index]).await.expect_err("nobody judged it");
    }
}

/// A way through which nothing comes but what is said here, and then silence.
struct Slow {
    bytes: Vec<u8>,
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        buffer[0] = self.bytes.remove(0);
        Poll::Ready(Ok(1))
    }
}

#[tokio::test]
async fn a_frame_may_come_byte_by_byte_but_is_never_longer_than_allowed() {
    let read = |bytes: Vec<u8>| async move { read_frame(&mut Slow { bytes }).await };
    let mut bytes = 3_u32.to_be_bytes().to_vec();
    bytes.extend_from_slice(b"abc");
    assert!(matches!(read(bytes.clone()).await, Ok(Frame::Papers(papers)) if papers == b"abc"));
    for cut in 0..bytes.len() {
        let error = read(bytes[..cut].to_vec()).await.err().expect("incomplete");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
    let long = (FRAME_MAX as u32 + 1).to_be_bytes().to_vec();
    let error = read(long).await.err().expect("too long, said before it is read");
    assert!(error.to_string().contains("too long"), "{error}");
    assert!(matches!(read(b"\x13/multistream".to_vec()).await, Ok(Frame::Negotiation)));
}

#[tokio::test(start_paused = true)]
async fn somebody_who_says_nothing_is_not_waited_for() {
    let began = tokio::time::Instant::now();
    let gate = Gate::kept_by(Word::of(&["friend"]));
    let (_far, near) = tokio::io::duplex(1 << 10);
    let config = libp2p::yamux::Config::default();
    let near = tokio_util::compat::TokioAsyncReadCompatExt::compat(near);
    let muxer =
        libp2p::core::upgrade::InboundConnectionUpgrade::upgrade_inbound(config, near, "/yamux/1.0.0");
    let muxer = StreamMuxerBox::new(muxer.await.expect("nothing to negotiate"));
    let passed = gate.pass((PeerId::random(), muxer), Endpoint::Listener).await;
    assert!(passed.expect_err("it showed nothing").to_string().contains("in time"));
    assert!(began.elapsed() <= TIME + Duration::from_secs(1));
}
