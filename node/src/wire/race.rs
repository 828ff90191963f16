//! Dials of one peer: its addresses one after the other, each with a head start on the next.
//!
//! The first address usually answers, and then nothing else is dialled. One that has not answered when its head start
//! is over may be dead without a word, so the next is dialled beside it; whichever answers first is taken.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::handler::Open;
use super::paths::{Paths, Transport};

/// How long an address is dialled before the next one is too. Longer than a handshake takes between most places,
/// because two cost more than one.
pub(super) const HEAD_START: Duration = Duration::from_millis(500);

/// The race to one peer, and who waits for its end.
pub(super) struct Race {
    pub(super) waiting: Vec<Open>,
    left: VecDeque<Multiaddr>,
    next_at: Instant,
    /// What has failed in this race.
    failed: Vec<Transport>,
}

/// A dial that is under way. It may outlast the race.
struct Dial {
    peer: PeerId,
    transport: Transport,
    /// The dial of the same race that was faster.
    lost_to: Option<(ConnectionId, Transport)>,
}

/// What a failed dial means.
pub(super) enum Failed {
    /// Others are under way, or it was too late to matter.
    Nothing,
    /// The next address is to be dialled.
    Next,
    /// It was the last one; these have waited.
    Over(Vec<Open>),
}

/// See the module's description.
#[derive(Default)]
pub(super) struct Races {
    races: BTreeMap<PeerId, Race>,
    dials: BTreeMap<ConnectionId, Dial>,
    paths: Paths,
}

impl Races {
    /// Races that are not decided.
    pub(super) fn len(&self) -> usize {
        self.races.len()
    }

    /// Dials under way, those included whose race is decided.
    pub(super) fn dials(&self) -> usize {
        self.dials.len()
    }

    pub(super) fn get(&mut self, peer: &PeerId) -> Option<&mut Race> {
        self.races.get_mut(peer)
    }

    /// Begins a race; the first address is to be dialled at once.
    pub(super) fn begin(&mut self, peer: PeerId, addrs: Vec<Multiaddr>, open: Open, now: Instant) {
        let left = self.paths.order(&peer, addrs, now).into();
        self.races.insert(peer, Race { waiting: vec![open], left, next_at: now, failed: Vec::new() });
    }

    /// The next address to dial, unless there is none.
    pub(super) fn next(&mut self, peer: &PeerId, now: Instant) -> Option<Multiaddr> {
        let race = self.races.get_mut(peer)?;
        race.next_at = now + HEAD_START;
        race.left.pop_front()
    }

    /// A dial has begun.
    pub(super) fn dialled(&mut self, connection: ConnectionId, peer: PeerId, addr: &Multiaddr) {
        self.dials.insert(connection, Dial { peer, transport: Transport::of(addr), lost_to: None });
    }

    /// Peers of which another address is to be dialled by now.
    pub(super) fn due(&self, now: Instant) -> Vec<PeerId> {
        let due = self.races.iter().filter(|(_, race)| race.next_at <= now && !race.left.is_empty());
        due.map(|(peer, _)| *peer).collect()
    }

    /// The next time to look for those.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.races.values().filter(|race| !race.left.is_empty()).map(|race| race.next_at).min()
    }

    /// There is no room for more dials; the others get a longer head start.
    pub(super) fn postpone(&mut self, peer: &PeerId, now: Instant) {
        if let Some(race) = self.races.get_mut(peer) {
            race.next_at = now + HEAD_START;
        }
    }

    /// Whom a dial under way leads to.
    pub(super) fn peer_of(&self, connection: ConnectionId) -> Option<PeerId> {
        Some(self.dials.get(&connection)?.peer)
    }

    /// The connection that was faster than this one, if it comes too late.
    pub(super) fn lost_to(&self, connection: ConnectionId) -> Option<ConnectionId> {
        Some(self.dials.get(&connection)?.lost_to?.0)
    }

    /// There is a connection, by one of our dials or by the peer's own; these have waited for it.
    pub(super) fn won(&mut self, peer: PeerId, connection: ConnectionId, now: Instant) -> Vec<Open> {
        let race = self.races.remove(&peer);
        if let Some(winner) = self.dials.remove(&connection) {
            let direct = winner.transport.is_direct();
            // A direct connection is welcome however late, when all there is goes through a relay.
            let losers = self.dials.values_mut().filter(|dial| dial.peer == peer);
            for loser in losers.filter(|loser| direct || !loser.transport.is_direct()) {
                loser.lost_to = Some((connection, winner.transport));
            }
            // That only a relay leads there makes no direct way worse than another.
            let failed = race.iter().filter(|_| direct).flat_map(|race| &race.failed);
            for transport in failed.filter(|transport| **transport != winner.transport) {
                self.paths.failed(peer, *transport, now);
            }
        }
        race.map(|race| race.waiting).unwrap_or_default()
    }

    /// A dial has failed; `excused` tells that this says nothing about the way, as when we did not want it.
    pub(super) fn failed(&mut self, connection: ConnectionId, excused: bool, now: Instant) -> Failed {
        let Some(Dial { peer, transport, lost_to }) = self.dials.remove(&connection) else {
            return Failed::Nothing;
        };
        if let Some((_, winner)) = lost_to
            && winner != transport
            && !excused
        {
            self.paths.failed(peer, transport, now);
        }
        let under_way = self.dials.values().any(|dial| dial.peer == peer);
        let Some(race) = self.races.get_mut(&peer) else { return Failed::Nothing };
        if !excused {
            race.failed.push(transport);
        }
        if !race.left.is_empty() {
            return Failed::Next;
        }
        if under_way {
            return Failed::Nothing;
        }
        self.paths.forget(&peer);
        Failed::Over(self.races.remove(&peer).map(|race| race.waiting).unwrap_or_default())
    }

    /// Whether the transport has failed of late with this peer.
    pub(super) fn doubts(&self, peer: &PeerId, transport: Transport, now: Instant) -> bool {
        self.paths.doubts(peer, transport, now)
    }

    /// A connection has ended because nothing got through any more.
    pub(super) fn stalled(&mut self, peer: PeerId, transport: Transport, now: Instant) {
        self.paths.failed(peer, transport, now);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::super::handler::Class;
    use super::*;

    const TCP: &str = "/ip4/10.0.0.1/tcp/1";
    const QUIC: &str = "/ip4/10.0.0.1/udp/1/quic-v1";

    fn begin(races: &mut Races, peer: PeerId, now: Instant) {
        let addrs = [TCP, QUIC].map(|addr| addr.parse().expect("valid")).to_vec();
        races.begin(peer, addrs, Open { class: Class::Dht, reply: oneshot::channel().0 }, now);
    }

    /// Dials the next address, and tells which it was.
    fn dial(races: &mut Races, number: usize, peer: PeerId, now: Instant) -> Option<String> {
        let addr = races.next(&peer, now)?;
        races.dialled(ConnectionId::new_unchecked(number), peer, &addr);
        Some(addr.to_string())
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn the_second_address_is_dialled_when_the_first_is_silent() {
        let (mut races, peer, now) = (Races::default(), PeerId::random(), Instant::now());
        begin(&mut races, peer, now);
        assert_eq!(dial(&mut races, 1, peer, now).as_deref(), Some(TCP));
        assert!(races.due(now).is_empty());
        assert_eq!(races.next_due(), Some(now + HEAD_START));
        let later = now + HEAD_START;
        assert_eq!(races.due(later), [peer]);
        assert_eq!(dial(&mut races, 2, peer, later).as_deref(), Some(QUIC));
        assert_eq!(races.next_due(), None);

        // It answers first, so the other comes too late, and has failed in the end.
        assert_eq!(races.won(peer, id(2), later).len(), 1);
        assert_eq!((races.len(), races.dials()), (0, 1));
        assert_eq!(races.lost_to(id(1)), Some(id(2)));
        assert!(matches!(races.failed(id(1), false, later), Failed::Nothing));
        begin(&mut races, peer, later);
        assert_eq!(dial(&mut races, 3, peer, later).as_deref(), Some(QUIC));
    }

    #[test]
    fn an_address_that_fails_at_once_has_no_head_start() {
        let (mut races, peer, now) = (Races::default(), PeerId::random(), Instant::now());
        begin(&mut races, peer, now);
        dial(&mut races, 1, peer, now);
        assert!(matches!(races.failed(id(1), false, now), Failed::Next));
        dial(&mut races, 2, peer, now);
        races.won(peer, id(2), now);
        begin(&mut races, peer, now);
        assert_eq!(dial(&mut races, 3, peer, now).as_deref(), Some(QUIC), "remembered");
    }

    #[test]
    fn whoever_answers_nowhere_is_unreachable_and_nothing_is_remembered() {
        let (mut races, peer, now) = (Races::default(), PeerId::random(), Instant::now());
        races.stalled(peer, Transport::Tcp, now);
        begin(&mut races, peer, now);
        assert_eq!(dial(&mut races, 1, peer, now).as_deref(), Some(QUIC));
        assert!(matches!(races.failed(id(1), false, now), Failed::Next));
        assert_eq!(dial(&mut races, 2, peer, now).as_deref(), Some(TCP));
        let Failed::Over(waiting) = races.failed(id(2), false, now) else { panic!("nothing is left") };
        assert_eq!(waiting.len(), 1);
        begin(&mut races, peer, now);
        assert_eq!(dial(&mut races, 3, peer, now).as_deref(), Some(TCP));
    }

    #[test]
    fn a_circuit_that_wins_raises_no_doubt_and_refuses_no_direct_connection() {
        let (mut races, peer, now) = (Races::default(), PeerId::random(), Instant::now());
        let relayed = format!("/ip4/10.0.0.9/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
        let addrs = [&relayed, TCP, QUIC].map(|addr| addr.parse().expect("valid")).to_vec();
        races.begin(peer, addrs, Open { class: Class::Dht, reply: oneshot::channel().0 }, now);
        assert_eq!(dial(&mut races, 1, peer, now).as_deref(), Some(TCP));
        assert!(matches!(races.failed(id(1), false, now), Failed::Next));
        assert_eq!(dial(&mut races, 2, peer, now).as_deref(), Some(QUIC));
        assert_eq!(dial(&mut races, 3, peer, now + HEAD_START).as_deref(), Some(relayed.as_str()));
        assert_eq!(races.won(peer, id(3), now).len(), 1);
        assert_eq!(races.lost_to(id(2)), None, "it may still come");
        assert!(!races.doubts(&peer, Transport::Tcp, now), "TCP is no worse than QUIC for that");
        // The other way round the circuit comes too late.
        begin(&mut races, peer, now);
        dial(&mut races, 4, peer, now);
        races.dialled(id(5), peer, &relayed.parse().expect("valid"));
        races.won(peer, id(4), now);
        assert_eq!(races.lost_to(id(5)), Some(id(4)));
    }

    #[test]
    fn what_we_refuse_and_what_is_only_slow_raises_no_doubt() {
        let (mut races, peer, now) = (Races::default(), PeerId::random(), Instant::now());
        begin(&mut races, peer, now);
        dial(&mut races, 1, peer, now);
        dial(&mut races, 2, peer, now + HEAD_START);
        races.won(peer, id(2), now);
        races.failed(id(1), true, now);
        // And a connection that the peer began says nothing about our dials.
        begin(&mut races, peer, now);
        assert_eq!(dial(&mut races, 3, peer, now).as_deref(), Some(TCP));
        assert_eq!(races.won(peer, id(9), now).len(), 1);
        assert_eq!(races.lost_to(id(3)), None);
    }
}
