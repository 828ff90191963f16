//! Which ways to talk to a peer have failed of late, so that those that work are tried first.
//!
//! A network may drop one transport, or large packets, without a word, and only between some. So what is remembered is
//! remembered of each peer. It is a doubt for some minutes and no verdict: after that the usual order counts again.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionError, DialError};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::address::is_relayed;

/// How long a transport comes behind the other after it has failed.
pub(super) const DOUBT: Duration = Duration::from_secs(180);
/// Peers remembered; the doubt that ends first makes way.
const PEERS_MAX: usize = 1024;

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Quic,
    /// A circuit through a relay, whatever carries it there. It is a last resort and never doubted: that it fails or
    /// stalls says nothing about the ways to the peer itself.
    Relayed,
}

impl Transport {
    pub(super) fn of(addr: &Multiaddr) -> Self {
        let tcp = addr.iter().any(|part| matches!(part, Protocol::Tcp(_)));
        match () {
            () if is_relayed(addr) => Transport::Relayed,
            () if tcp => Transport::Tcp,
            () => Transport::Quic,
        }
    }

    /// What carries a connection that was opened or accepted. Of one that came through a relay only this end's address
    /// says so.
    pub(super) fn of_connection(point: &ConnectedPoint) -> Self {
        if point.is_relayed() { Transport::Relayed } else { Transport::of(point.get_remote_address()) }
    }

    pub(super) fn is_direct(self) -> bool {
        self != Transport::Relayed
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Paths {
    doubts: BTreeMap<PeerId, Doubts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Doubts {
    tcp: Option<Instant>,
    quic: Option<Instant>,
}

impl Doubts {
    fn until(&mut self, transport: Transport) -> Option<&mut Option<Instant>> {
        match transport {
            Transport::Tcp => Some(&mut self.tcp),
            Transport::Quic => Some(&mut self.quic),
            Transport::Relayed => None,
        }
    }

    fn doubts(&mut self, transport: Transport, now: Instant) -> bool {
        self.until(transport).is_some_and(|until| until.is_some_and(|until| now < until))
    }
}

impl Paths {
    /// Puts addresses, which come in the usual order, into the order in which to dial them now: transports that are not
    /// doubted first, and of several addresses no two in turn by the same transport, so that no long list of one keeps
    /// the other waiting. Those through relays come last, doubts or not.
    pub(super) fn order(&self, peer: &PeerId, addrs: Vec<Multiaddr>, now: Instant) -> Vec<Multiaddr> {
        let mut doubts = self.doubts.get(peer).copied().unwrap_or_default();
        let mut doubted = |addr: &Multiaddr| doubts.doubts(Transport::of(addr), now);
        let (direct, relayed): (Vec<_>, Vec<_>) =
            addrs.into_iter().partition(|addr| Transport::of(addr).is_direct());
        let Some(first) = direct.iter().find(|addr| !doubted(addr)).or(direct.first()).map(Transport::of)
        else {
            return relayed;
        };
        let (preferred, others): (Vec<_>, Vec<_>) =
            direct.into_iter().partition(|addr| Transport::of(addr) == first);
        let mut order = Vec::with_capacity(preferred.len() + others.len() + relayed.len());
        let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
        loop {
            let turn = [preferred.next(), others.next()];
            if turn.iter().all(Option::is_none) {
                order.extend(relayed);
                return order;
            }
            order.extend(turn.into_iter().flatten());
        }
    }

    /// Whether the transport has failed of late with this peer.
    pub(super) fn doubts(&self, peer: &PeerId, transport: Transport, now: Instant) -> bool {
        self.doubts.get(peer).copied().unwrap_or_default().doubts(transport, now)
    }

    /// Nothing gets through to the peer by this transport any more, or another was faster by far.
    pub(super) fn failed(&mut self, peer: PeerId, transport: Transport, now: Instant) {
        if !transport.is_direct() {
            return;
        }
        self.doubts.retain(|_, doubts| [doubts.tcp, doubts.quic].iter().flatten().any(|until| now < *until));
        if self.doubts.len() >= PEERS_MAX
            && !self.doubts.contains_key(&peer)
            && let Some(first) = self.doubts.iter().min_by_key(|(_, doubts)| doubts.tcp.max(doubts.quic))
        {
            let first = *first.0;
            self.doubts.remove(&first);
        }
        if let Some(until) = self.doubts.entry(peer).or_default().until(transport) {
            *until = Some(now + DOUBT);
        }
    }

    /// The peer answers by no transport at all: then it is the peer or the network, and none of them is worse.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.doubts.remove(peer);
    }
}

/// Whether a connection ended because nothing got through any more, and not by the will of either end.
pub(super) fn is_stalled(cause: &ConnectionError) -> bool {
    let ConnectionError::IO(error) = cause else { return false };
    causes(error).any(|error| match error.downcast_ref::<io::Error>() {
        Some(error) => error.kind() == io::ErrorKind::TimedOut,
        None => matches!(
            error.downcast_ref::<libp2p::quic::Error>(),
            Some(libp2p::quic::Error::Connection(lost)) if lost.to_string() == QUIC_TIMED_OUT
        ),
    })
}

/// An error and all that it was caused by, the first cause last.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        // The error inside of an error of the system's kind is not its source, but what it wraps.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inside) => Some(inside),
            None => error.source(),
        }
    })
}

/// Whether every address of a dial was refused by the system there.
pub(super) fn is_refused(error: &DialError) -> bool {
    let DialError::Transport(failed) = error else { return false };
    // The types in which transports wrap the system's error show it in no other way.
    !failed.is_empty() && failed.iter().all(|(_, error)| format!("{error:?}").contains("ConnectionRefused"))
}

/// What QUIC says of a connection that has been silent for too long; its own type for this is private.
const QUIC_TIMED_OUT: &str = "timed out";

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "/ip4/10.0.0.1/tcp/1";
    const TCP_TOO: &str = "/ip4/10.0.1.1/tcp/1";
    const QUIC: &str = "/ip4/10.0.0.1/udp/1/quic-v1";

    fn order(paths: &Paths, peer: &PeerId, addrs: &[&str], now: Instant) -> Vec<String> {
        let addrs = addrs.iter().map(|addr| addr.parse().expect("valid")).collect();
        paths.order(peer, addrs, now).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_failed_comes_behind_what_did_not_for_some_minutes() {
        let (mut paths, peer, now) = (Paths::default(), PeerId::random(), Instant::now());
        assert_eq!(order(&paths, &peer, &[TCP, QUIC], now), [TCP, QUIC]);
        paths.failed(peer, Transport::Tcp, now);
        assert_eq!(order(&paths, &peer, &[TCP, QUIC], now), [QUIC, TCP]);
        assert_eq!(order(&paths, &PeerId::random(), &[TCP, QUIC], now), [TCP, QUIC], "another peer");
        assert_eq!(order(&paths, &peer, &[TCP], now), [TCP], "there is nothing else");
        assert_eq!(order(&paths, &peer, &[TCP, QUIC], now + DOUBT), [TCP, QUIC], "tried again");
        paths.failed(peer, Transport::Quic, now);
        assert_eq!(order(&paths, &peer, &[TCP, QUIC], now), [TCP, QUIC], "neither is better");
    }

    #[test]
    fn a_peer_that_answers_by_nothing_tells_nothing() {
        let (mut paths, peer, now) = (Paths::default(), PeerId::random(), Instant::now());
        paths.failed(peer, Transport::Tcp, now);
        paths.forget(&peer);
        assert_eq!(order(&paths, &peer, &[TCP, QUIC], now), [TCP, QUIC]);
    }

    #[test]
    fn transports_take_turns() {
        let (paths, peer, now) = (Paths::default(), PeerId::random(), Instant::now());
        assert_eq!(order(&paths, &peer, &[TCP, TCP_TOO, QUIC], now), [TCP, QUIC, TCP_TOO]);
        assert!(order(&paths, &peer, &[], now).is_empty());
    }

    #[test]
    fn ways_through_relays_come_last_and_are_never_doubted() {
        let (mut paths, peer, now) = (Paths::default(), PeerId::random(), Instant::now());
        let relayed = format!("/ip4/10.0.0.9/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
        assert_eq!(Transport::of(&relayed.parse().expect("valid")), Transport::Relayed);
        assert_eq!(order(&paths, &peer, &[&relayed, TCP, QUIC], now), [TCP, QUIC, &relayed]);
        assert_eq!(order(&paths, &peer, &[&relayed], now), [relayed.as_str()]);
        paths.failed(peer, Transport::Relayed, now);
        assert!(paths.doubts.is_empty(), "a circuit that stalls says nothing");
        paths.failed(peer, Transport::Tcp, now);
        paths.failed(peer, Transport::Quic, now);
        assert!(!paths.doubts(&peer, Transport::Relayed, now));
        assert_eq!(order(&paths, &peer, &[&relayed, TCP], now), [TCP, &relayed], "doubts or not");
    }

    #[test]
    fn whoever_came_through_a_relay_is_known_by_the_address_it_came_to() {
        let relayed = format!("/ip4/10.0.0.9/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
        let came = ConnectedPoint::Listener {
            local_addr: relayed.parse().expect("valid"),
            send_back_addr: format!("/p2p/{}", PeerId::random()).parse().expect("valid"),
        };
        assert_eq!(Transport::of_connection(&came), Transport::Relayed);
    }

    #[test]
    fn no_more_peers_are_remembered_than_there_is_room_for() {
        let (mut paths, now) = (Paths::default(), Instant::now());
        let first = PeerId::random();
        paths.failed(first, Transport::Tcp, now);
        for _ in 0..PEERS_MAX {
            paths.failed(PeerId::random(), Transport::Tcp, now + Duration::from_secs(1));
        }
        assert_eq!(paths.doubts.len(), PEERS_MAX);
        assert!(!paths.doubts.contains_key(&first));
        paths.failed(first, Transport::Quic, now + Duration::from_secs(1) + DOUBT);
        assert_eq!(paths.doubts.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn only_silence_is_a_stall() {
        let io = |kind: io::ErrorKind| ConnectionError::IO(io::Error::from(kind));
        assert!(is_stalled(&io(io::ErrorKind::TimedOut)));
        let wrapped = io::Error::other(io::Error::other(io::Error::from(io::ErrorKind::TimedOut)));
        assert!(is_stalled(&ConnectionError::IO(wrapped)));
        assert!(!is_stalled(&io(io::ErrorKind::ConnectionReset)));
        assert!(!is_stalled(&ConnectionError::KeepAliveTimeout));
    }

    #[test]
    fn a_refusal_is_told_from_silence() {
        use libp2p::core::transport::TransportError;
        let dial = |kind: io::ErrorKind| {
            let error = io::Error::other(io::Error::other(io::Error::from(kind)));
            DialError::Transport(vec![(TCP.parse().expect("valid"), TransportError::Other(error))])
        };
        assert!(is_refused(&dial(io::ErrorKind::ConnectionRefused)));
        assert!(!is_refused(&dial(io::ErrorKind::TimedOut)));
        assert!(!is_refused(&DialError::Aborted) && !is_refused(&DialError::Transport(Vec::new())));
    }
}
