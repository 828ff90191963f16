use std::io;

use libp2p::core::ConnectedPoint;
use libp2p::relay::outbound::hop::ReserveError;
use libp2p::swarm::ConnectionId;

use super::*;

type Event = SwarmEvent<()>;

/// A policy with candidates `0..relays`, and what becomes of its wishes.
struct World {
    reservations: Reservations,
    relays: Vec<PeerId>,
    listeners: BTreeMap<PeerId, ListenerId>,
    now: Instant,
}

impl World {
    fn of(relays: usize) -> World {
        let mut reservations = Reservations::new(PeerId::random());
        reservations.wanted(true);
        let relays: Vec<PeerId> = (0..relays).map(|_| PeerId::random()).collect();
        let mut world = World { reservations, relays, listeners: BTreeMap::new(), now: Instant::now() };
        let all: Vec<usize> = (0..world.relays.len()).collect();
        world.offer(&all);
        world
    }

    fn offer(&mut self, relays: &[usize]) {
        let candidates = relays.iter().map(|number| (self.relays[*number], addrs(*number))).collect();
        self.reservations.candidates(candidates);
    }

    /// Lets `seconds` pass. Returns who is asked and who is stopped now.
    fn after(&mut self, seconds: u64) -> (Vec<usize>, Vec<usize>) {
        self.now += Duration::from_secs(seconds);
        let (mut asked, mut stopped) = (Vec::new(), Vec::new());
        for step in self.reservations.poll(self.now) {
            let number = |relay| self.relays.iter().position(|other| *other == relay).expect("a relay");
            match step {
                Step::Listen { relay, .. } => {
                    asked.push(number(relay));
                    let listener = ListenerId::next();
                    self.listeners.insert(relay, listener);
                    self.reservations.listening(relay, Some(listener));
                }
                Step::Stop { relay, listener } => {
                    assert_eq!(self.listeners.get(&relay), Some(&listener));
                    stopped.push(number(relay));
                }
            }
        }
        assert!(self.reservations.asked.len() <= ASKED_MAX);
        (asked, stopped)
    }

    fn stands(&mut self, number: usize) {
        let (listener_id, address) = (self.listeners[&self.relays[number]], Multiaddr::empty());
        self.reservations.event(&Event::NewListenAddr { listener_id, address });
    }

    fn closes(&mut self, number: usize, error: Option<ReserveError>) {
        let reason = error.map_or(Ok(()), |error| Err(io::Error::other(error)));
        let listener_id = self.listeners[&self.relays[number]];
        self.reservations.event(&Event::ListenerClosed { listener_id, addresses: Vec::new(), reason });
    }

    fn disconnects(&mut self, number: usize, num_established: u32) {
        self.reservations.event(&Event::ConnectionClosed {
            peer_id: self.relays[number],
            connection_id: ConnectionId::new_unchecked(1),
            endpoint: ConnectedPoint::Listener {
                local_addr: Multiaddr::empty(),
                send_back_addr: Multiaddr::empty(),
            },
            num_established,
            cause: None,
        });
    }

    /// The relays through which it is reached.
    fn through(&self) -> Vec<usize> {
        let addresses = self.reservations.addresses();
        let leads =
            |relay: &PeerId| addresses.iter().any(|addr| addr.to_string().contains(&relay.to_string()));
        (0..self.relays.len()).filter(|number| leads(&self.relays[*number])).collect()
    }
}

fn addrs(number: usize) -> Vec<Multiaddr> {
    [format!("/ip4/192.0.2.{number}/tcp/1"), format!("/ip4/192.0.2.{number}/udp/1/quic-v1")]
        .map(|addr| addr.parse().expect("valid"))
        .to_vec()
}

/// Two of `relays` reserved at.
fn settled(relays: usize) -> World {
    let mut world = World::of(relays);
    assert_eq!(world.after(0), (vec![0, 1], vec![]));
    world.stands(0);
    world.stands(1);
    assert_eq!(world.after(1), (vec![], vec![]));
    world
}

#[test]
fn nothing_is_asked_for_that_is_not_wanted() {
    let mut world = World::of(3);
    world.reservations.wanted(false);
    assert_eq!(world.after(0), (vec![], vec![]));
    world.reservations.wanted(true);
    assert_eq!(world.after(0), (vec![0, 1], vec![]));
    world.stands(0);
    world.reservations.wanted(false);
    assert_eq!(world.after(1), (vec![], vec![0]), "what is only asked for comes to its end first");
    world.stands(1);
    assert_eq!(world.after(1), (vec![], vec![1]));
    assert!(world.through().is_empty());
}

#[test]
fn it_is_reached_by_the_addresses_it_knows_the_relay_by() {
    let mut world = World::of(1);
    let [step] = &world.reservations.poll(world.now)[..] else { panic!("one relay") };
    let (relay, me) = (world.relays[0], world.reservations.me);
    let quic: Multiaddr =
        format!("/ip4/192.0.2.0/udp/1/quic-v1/p2p/{relay}/p2p-circuit").parse().expect("valid");
    assert_eq!(*step, Step::Listen { relay, addr: quic });
    assert!(world.reservations.addresses().is_empty());
    let listener_id = ListenerId::next();
    world.reservations.listening(relay, Some(listener_id));
    // Whatever the relay says of itself.
    let address = "/ip4/198.51.100.66/tcp/25".parse().expect("valid");
    world.reservations.event(&Event::NewListenAddr { listener_id, address });
    let expected = ["tcp/1", "udp/1/quic-v1"]
        .map(|end| format!("/ip4/192.0.2.0/{end}/p2p/{relay}/p2p-circuit/p2p/{me}").parse().expect("valid"));
    assert_eq!(world.reservations.addresses(), expected);
}

#[test]
fn what_is_lost_is_replaced_elsewhere_and_the_rest_stays() {
    let mut world = settled(3);
    world.closes(0, None);
    assert_eq!(world.through(), [1]);
    assert_eq!(world.after(0), (vec![2], vec![]));
    world.stands(2);
    assert_eq!(world.through(), [1, 2]);
    // A connection that closes tells as much, if it was the last.
    world.disconnects(1, 1);
    assert_eq!(world.after(1), (vec![], vec![]));
    world.disconnects(1, 0);
    assert_eq!(world.through(), [2]);
    // The first has had its pause, and is asked again.
    assert_eq!(world.after(2), (vec![0], vec![]));
    // That the listener closes as well is no news.
    world.closes(1, None);
    assert_eq!(world.after(1), (vec![], vec![]));
}

#[test]
fn an_address_that_expires_is_a_loss() {
    let mut world = settled(3);
    let (listener_id, address) = (world.listeners[&world.relays[0]], Multiaddr::empty());
    world.reservations.event(&Event::ExpiredListenAddr { listener_id, address });
    assert_eq!(world.after(0), (vec![2], vec![]));
}

#[test]
fn a_relay_that_fails_again_and_again_is_asked_ever_more_seldom() {
    let mut world = World::of(1);
    let mut asked = Vec::new();
    for second in 0..1000 {
        if !world.after(1).0.is_empty() {
            asked.push(second);
            world.closes(0, None);
        }
    }
    let pauses: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..4], [3, 5, 9, 17], "the pause, and the second in which it is noticed");
    assert!(pauses.last().is_some_and(|last| (256..=301).contains(last)), "{pauses:?}");
}

#[test]
fn a_reservation_that_has_lasted_is_no_failure_when_it_ends() {
    let mut world = World::of(1);
    for _ in 0..3 {
        assert_eq!(world.after(40).0, [0]);
        world.closes(0, None);
        world.after(0);
    }
    assert_eq!(world.after(40).0, [0]);
    world.stands(0);
    world.after(60);
    world.closes(0, None);
    world.after(0);
    assert_eq!(world.after(2).0, [0], "the shortest pause");
}

#[test]
fn whoever_is_no_relay_is_left_alone_for_long_and_whoever_is_full_is_not() {
    let mut world = settled(2);
    world.closes(0, Some(ReserveError::Unsupported));
    world.closes(1, Some(ReserveError::ResourceLimitExceeded));
    assert_eq!(world.after(0), (vec![], vec![]));
    assert_eq!(world.after(2), (vec![1], vec![]));
    world.stands(1);
    assert_eq!(world.after(300).0, Vec::<usize>::new());
    assert_eq!(world.after(300).0, [0]);
}

#[test]
fn a_relay_that_does_not_answer_is_not_waited_for() {
    let mut world = World::of(4);
    assert_eq!(world.after(0), (vec![0, 1], vec![]));
    world.stands(0);
    assert_eq!(world.after(4), (vec![], vec![]));
    assert_eq!(world.after(1), (vec![2], vec![]));
    assert_eq!(world.after(5), (vec![], vec![]), "three at a time");
    // It answers after all: three are held until one is lost.
    world.stands(2);
    world.stands(1);
    assert_eq!(world.after(1), (vec![], vec![]));
    world.closes(0, None);
    assert_eq!(world.after(0), (vec![], vec![]));
    // One that never answers is given up.
    let mut world = World::of(1);
    world.after(0);
    assert_eq!(world.after(89), (vec![], vec![]));
    assert_eq!(world.after(1), (vec![], vec![0]));
}

#[test]
fn a_relay_that_is_no_candidate_any_more_stays_until_there_are_two_others() {
    let mut world = settled(3);
    world.offer(&[1, 2]);
    assert_eq!(world.after(1), (vec![2], vec![]));
    assert_eq!(world.through(), [0, 1]);
    world.stands(2);
    assert_eq!(world.after(0), (vec![], vec![0]));
    assert_eq!(world.through(), [1, 2]);
    // Without candidates what there is is kept.
    world.offer(&[]);
    assert_eq!(world.after(1), (vec![], vec![]));
    assert_eq!(world.through(), [1, 2]);
}

#[test]
fn neither_circuits_nor_this_daemon_itself_are_ways_to_a_relay() {
    let mut reservations = Reservations::new(PeerId::random());
    reservations.wanted(true);
    let circuit = through(&addrs(0)[0], PeerId::random());
    reservations.candidates(vec![(PeerId::random(), vec![circuit]), (reservations.me, addrs(1))]);
    assert!(reservations.poll(Instant::now()).is_empty());
}

#[test]
fn what_the_swarm_cannot_do_counts_as_a_failure() {
    let mut world = World::of(2);
    let now = world.now;
    for step in world.reservations.poll(now) {
        let Step::Listen { relay, .. } = step else { panic!("nothing to stop") };
        world.reservations.listening(relay, None);
    }
    assert_eq!(world.after(0), (vec![], vec![]));
    assert_eq!(world.after(2), (vec![0, 1], vec![]));
}
