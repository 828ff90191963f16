//! Who may connect: a plan of seats, one for each peer. That a peer has two connections, because both sides dialled at
//! once, takes no second seat.
//!
//! Neighbours and fast fingers *keep* their seats. Other peers in our tables are *known* and may have to give theirs up
//! when all are taken. Strangers are in no table, and may yet have good reasons: a newcomer that looks for its place,
//! somebody who asks for a shard. Anybody can be as many strangers as it likes, so those who come get a share of the
//! seats only, and when that is full the most crowded subnet gives one up, the oldest first: a flood from one place
//! pushes itself out, one from many places other strangers, and none of them a neighbour.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use libp2p::PeerId;

use crate::address::is_near;

/// How many there are of each kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeatLimits {
    /// Peers in all.
    pub(crate) max: usize,
    /// Strangers who came by themselves.
    pub(crate) strangers_max: usize,
    /// The same from one public address.
    pub(crate) per_ip_max: usize,
}

/// What a peer is to us, the dearest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// In none of our tables.
    Stranger,
    /// In a table.
    Known,
    /// Neighbour or fast finger.
    Kept,
}

/// Seats taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// By those who keep theirs.
    pub(crate) kept: usize,
    /// By everybody else.
    pub(crate) others: usize,
    /// Of the others, by strangers who came by themselves.
    pub(crate) strangers: usize,
}

/// Who began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Began {
    /// We did.
    Here,
    /// The peer did.
    There,
}

/// Why a connection is refused. Nothing else changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The address has as many as one may have.
    #[error("too many connections from this address")]
    Address,
    /// Every seat is taken by somebody who may keep it.
    #[error("all connections are taken")]
    Full,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    began: Began,
    ip: Option<IpAddr>,
    /// When it was taken: later ones have greater numbers.
    number: u64,
    /// Connections of the peer.
    connections: usize,
}

/// See the module's description.
pub(crate) struct Seats {
    limits: SeatLimits,
    /// Everybody who is not a stranger.
    standings: BTreeMap<PeerId, Standing>,
    seats: BTreeMap<PeerId, Seat>,
    /// Seats taken so far.
    count: u64,
}

impl Seats {
    pub(crate) fn new(limits: SeatLimits) -> Self {
        Seats { limits, standings: BTreeMap::new(), seats: BTreeMap::new(), count: 0 }
    }

    /// What peers are to us from now on; those not named are strangers.
    pub(crate) fn set_standings(&mut self, standings: BTreeMap<PeerId, Standing>) {
        self.standings = standings;
    }

    /// A peer has become a neighbour.
    pub(crate) fn keep(&mut self, peer: PeerId) {
        self.standings.insert(peer, Standing::Kept);
    }

    pub(crate) fn max(&self) -> usize {
        self.limits.max
    }

    pub(crate) fn taken(&self) -> Taken {
        let kept = self.seats.keys().filter(|peer| self.standing(peer) == Standing::Kept).count();
        Taken { kept, others: self.seats.len() - kept, strangers: self.visitors() }
    }

    /// Whether a connection to `peer` may be, and who has to go for it. Takes no seat yet. `ip` is where the peer is,
    /// if the connection tells: one through a relay does not.
    pub(crate) fn admit(
        &self,
        peer: &PeerId,
        began: Began,
        ip: Option<IpAddr>,
    ) -> Result<Option<PeerId>, Refused> {
        if let Some(seat) = self.seats.get(peer) {
            // Whoever came through a relay first has shown no address yet, and is counted when it does.
            let shows_it = seat.ip.is_none() && self.is_visitor(peer, seat);
            let too_many = shows_it && self.visitors_from(ip) >= self.limits.per_ip_max;
            return if too_many { Err(Refused::Address) } else { Ok(None) };
        }
        let visitor = || self.expendable(|peer, seat| self.is_visitor(peer, seat));
        if began == Began::There && self.standing(peer) == Standing::Stranger {
            if self.visitors_from(ip) >= self.limits.per_ip_max {
                return Err(Refused::Address);
            }
            if self.visitors() >= self.limits.strangers_max {
                return visitor().map(Some).ok_or(Refused::Full);
            }
        }
        if self.seats.len() < self.limits.max {
            return Ok(None);
        }
        let of = |standing| self.expendable(|peer, _| self.standing(peer) == standing);
        let goes = visitor().or_else(|| of(Standing::Stranger)).or_else(|| of(Standing::Known));
        goes.map(Some).ok_or(Refused::Full)
    }

    /// The connection is there.
    pub(crate) fn take(&mut self, peer: PeerId, began: Began, ip: Option<IpAddr>) {
        self.count += 1;
        let number = self.count;
        let seat = self.seats.entry(peer).or_insert(Seat { began, ip, number, connections: 0 });
        seat.connections += 1;
        seat.ip = seat.ip.or(ip);
    }

    /// A connection of the peer is closed.
    pub(crate) fn leave(&mut self, peer: &PeerId) {
        if let Some(seat) = self.seats.get_mut(peer) {
            seat.connections -= 1;
            if seat.connections == 0 {
                self.seats.remove(peer);
            }
        }
    }

    /// All connections of the peer are about to be closed.
    pub(crate) fn vacate(&mut self, peer: &PeerId) {
        self.seats.remove(peer);
    }

    fn standing(&self, peer: &PeerId) -> Standing {
        self.standings.get(peer).copied().unwrap_or(Standing::Stranger)
    }

    /// A stranger who came by itself.
    fn is_visitor(&self, peer: &PeerId, seat: &Seat) -> bool {
        seat.began == Began::There && self.standing(peer) == Standing::Stranger
    }

    fn visitors(&self) -> usize {
        self.seats.iter().filter(|(peer, seat)| self.is_visitor(peer, seat)).count()
    }

    /// Those from the same public address.
    fn visitors_from(&self, ip: Option<IpAddr>) -> usize {
        let Some(ip) = ip.filter(|ip| !is_near(*ip)) else { return 0 };
        let same = |seat: &Seat| seat.ip.is_some_and(|other| house(other) == house(ip));
        self.seats.iter().filter(|(peer, seat)| self.is_visitor(peer, seat) && same(seat)).count()
    }

    /// The oldest of the most crowded subnet among those that may be asked to go.
    fn expendable(&self, may_go: impl Fn(&PeerId, &Seat) -> bool) -> Option<PeerId> {
        struct Street {
            count: usize,
            oldest: u64,
            peer: PeerId,
        }
        let mut streets: BTreeMap<Option<IpAddr>, Street> = BTreeMap::new();
        for (peer, seat) in self.seats.iter().filter(|(peer, seat)| may_go(peer, seat)) {
            let first = Street { count: 0, oldest: seat.number, peer: *peer };
            let street = streets.entry(seat.ip.map(street)).or_insert(first);
            street.count += 1;
            if seat.number < street.oldest {
                (street.oldest, street.peer) = (seat.number, *peer);
            }
        }
        // Of equally crowded ones the one whose oldest is the oldest of all.
        let crowded = streets.into_values().max_by_key(|street| (street.count, Reverse(street.oldest)));
        crowded.map(|street| street.peer)
    }
}

/// What one subscriber has: an IPv4 address, or a /64 of IPv6.
fn house(ip: IpAddr) -> IpAddr {
    mask(ip, 32, 64)
}

/// A subnet: addresses in one are cheap to get together.
fn street(ip: IpAddr) -> IpAddr {
    mask(ip, 24, 48)
}

fn mask(ip: IpAddr, bits_v4: u32, bits_v6: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) & (u32::MAX << (32 - bits_v4))).into()),
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & (u128::MAX << (128 - bits_v6))).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SeatLimits = SeatLimits { max: 20, strangers_max: 8, per_ip_max: 3 };

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    /// A peer comes, and sits down where it is let.
    fn comes(seats: &mut Seats, peer: PeerId, from: &str) -> Result<Option<PeerId>, Refused> {
        let goes = seats.admit(&peer, Began::There, ip(from))?;
        if let Some(goes) = &goes {
            seats.vacate(goes);
        }
        seats.take(peer, Began::There, ip(from));
        Ok(goes)
    }

    #[test]
    fn a_flood_of_strangers_pushes_no_neighbour_out() {
        let mut seats = Seats::new(LIMITS);
        let neighbours: Vec<PeerId> = (0..12).map(|_| PeerId::random()).collect();
        seats.set_standings(neighbours.iter().map(|peer| (*peer, Standing::Kept)).collect());
        for neighbour in &neighbours {
            assert_eq!(comes(&mut seats, *neighbour, "198.51.100.1"), Ok(None));
        }
        for number in 0..1000 {
            let from = format!("203.0.{}.{}", number % 7, number % 251);
            if let Ok(Some(goes)) = comes(&mut seats, PeerId::random(), &from) {
                assert!(!neighbours.contains(&goes));
            }
            assert!(seats.taken().strangers <= LIMITS.strangers_max && seats.seats.len() <= LIMITS.max);
        }
        assert_eq!(seats.taken(), Taken { kept: 12, others: 8, strangers: 8 });
        // A neighbour that comes back gets a seat although all are taken: one of those without claims goes.
        seats.leave(&neighbours[3]);
        seats.take(PeerId::random(), Began::Here, None);
        let goes = comes(&mut seats, neighbours[3], "198.51.100.1").expect("it is known");
        assert!(goes.is_some_and(|goes| !neighbours.contains(&goes)));
    }

    #[test]
    fn a_flood_from_one_subnet_pushes_itself_out() {
        let mut seats = Seats::new(LIMITS);
        let first = PeerId::random();
        assert_eq!(comes(&mut seats, first, "192.0.2.1"), Ok(None));
        for number in 2..100 {
            let goes = comes(&mut seats, PeerId::random(), &format!("203.0.113.{number}"));
            assert_ne!(goes, Ok(Some(first)), "whoever came from elsewhere stays");
        }
        assert!(seats.seats.contains_key(&first));
    }

    #[test]
    fn one_public_address_has_few_and_this_machine_as_many_as_it_likes() {
        let mut seats = Seats::new(LIMITS);
        let mut from = |address: &str| -> usize {
            (0..5).filter(|_| comes(&mut seats, PeerId::random(), address).is_ok()).count()
        };
        assert_eq!(from("203.0.113.7"), 3);
        assert_eq!(from("2001:db8::1"), 3);
        assert_eq!(from("2001:db8::2"), 0, "the same /64");
        assert_eq!(from("127.0.0.1"), 5);
        assert_eq!(from("192.168.3.4"), 5);
    }

    #[test]
    fn who_comes_through_a_relay_counts_for_no_address_until_it_shows_one() {
        let mut seats = Seats::new(LIMITS);
        let relayed: Vec<PeerId> = (0..5).map(|_| PeerId::random()).collect();
        for peer in &relayed {
            assert_eq!(seats.admit(peer, Began::There, None), Ok(None));
            seats.take(*peer, Began::There, None);
        }
        for _ in 0..2 {
            comes(&mut seats, PeerId::random(), "203.0.113.7").expect("the address has room");
        }
        // One of them opens a direct connection, and takes the address's last place; the next does not get in by this.
        assert_eq!(comes(&mut seats, relayed[0], "203.0.113.7"), Ok(None));
        assert_eq!(seats.admit(&relayed[1], Began::There, ip("203.0.113.7")), Err(Refused::Address));
        assert_eq!(seats.admit(&PeerId::random(), Began::There, ip("203.0.113.7")), Err(Refused::Address));
        assert_eq!(seats.admit(&relayed[0], Began::There, ip("203.0.113.7")), Ok(None), "counted already");
    }

    #[test]
    fn a_flood_through_relays_pushes_itself_out() {
        let mut seats = Seats::new(LIMITS);
        let direct = PeerId::random();
        comes(&mut seats, direct, "192.0.2.1").expect("there is room");
        for _ in 0..100 {
            let peer = PeerId::random();
            let goes = seats.admit(&peer, Began::There, None).expect("somebody makes way");
            assert_ne!(goes, Some(direct));
            if let Some(goes) = goes {
                seats.vacate(&goes);
            }
            seats.take(peer, Began::There, None);
        }
    }

    #[test]
    fn when_all_seats_are_taken_strangers_go_first_and_neighbours_never() {
        let mut seats = Seats::new(SeatLimits { max: 4, strangers_max: 2, per_ip_max: 3 });
        let [neighbour, finger, dialled, visitor] = [(); 4].map(|()| PeerId::random());
        seats.set_standings(BTreeMap::from([(finger, Standing::Known)]));
        seats.keep(neighbour);
        for peer in [neighbour, finger, dialled] {
            seats.take(peer, Began::Here, ip("192.0.2.9"));
        }
        seats.take(visitor, Began::There, ip("203.0.113.1"));
        for goes in [visitor, dialled, finger] {
            let new = PeerId::random();
            assert_eq!(seats.admit(&new, Began::Here, ip("192.0.2.7")), Ok(Some(goes)));
            seats.vacate(&goes);
            seats.keep(new);
            seats.take(new, Began::Here, None);
        }
        assert_eq!(seats.admit(&PeerId::random(), Began::There, None), Err(Refused::Full));
        assert_eq!(seats.admit(&neighbour, Began::There, None), Ok(None), "its second connection");
    }

    #[test]
    fn a_seat_is_free_again_when_the_last_connection_of_its_peer_has_closed() {
        let mut seats = Seats::new(LIMITS);
        let peer = PeerId::random();
        seats.take(peer, Began::Here, None);
        seats.take(peer, Began::There, None);
        seats.leave(&peer);
        assert_eq!(seats.taken().others, 1);
        seats.leave(&peer);
        seats.leave(&peer);
        assert_eq!(seats.taken(), Taken::default());
    }
}
