//! Who is a super-peer: a lottery that everybody can check and nobody has to hold.
//!
//! A node's life is cut into epochs, and its id and the number of the epoch together decide by a hash whether it has a
//! seat in it. So who may be a super-peer follows from ids and the time alone; whoever has one's record can tell, and
//! nobody is asked or elected. Every id's epochs begin at another moment, so that seats change hands one by one.

use crate::{NodeId, Time};

/// How long a seat is held, seconds. Design: long beside the time it takes to fetch a list, short beside what refilling
/// seats may take when all that hold one die at once.
const EPOCH: u64 = 4 * 3600;
/// One node of so many has a seat. Design: with 10^4 nodes 300 are too many to be watched by one attacker, and a list
/// of super-peers still takes few bytes.
pub(crate) const NODES_PER_SEAT: u64 = 32;
/// By how much clocks may differ, seconds: a seat counts from so long before its epoch until so long after it. Design.
const SKEW: u64 = 600;

/// The lottery, and where its clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lottery {
    /// Seconds since 1970 at [`Time::ZERO`].
    pub(crate) unix_at_zero: u64,
}

impl Lottery {
    fn unix(&self, now: Time) -> u64 {
        self.unix_at_zero.saturating_add(now.seconds().into())
    }

    /// Whether the node has a seat now, by a clock that may be a little wrong.
    pub(crate) fn holds_seat(&self, id: &NodeId, now: Time) -> bool {
        self.ticket(id, now).is_some()
    }

    /// With what the node has drawn its seat, by a clock that may be a little wrong: the lower, the better. Nothing if
    /// it has none.
    pub(crate) fn ticket(&self, id: &NodeId, now: Time) -> Option<u64> {
        let unix = self.unix(now);
        let [early, late] = [unix.saturating_sub(SKEW), unix + SKEW].map(|at| epoch(id, at));
        [early, late].into_iter().map(|epoch| drawn(id, epoch)).filter(|ticket| wins(*ticket)).min()
    }

    /// Whether the node has a seat by this clock: its own view.
    pub(crate) fn draws(&self, id: &NodeId, now: Time) -> bool {
        wins(drawn(id, epoch(id, self.unix(now))))
    }

    /// Seconds until the node's next epoch begins.
    pub(crate) fn epoch_ends_in(&self, id: &NodeId, now: Time) -> u64 {
        EPOCH - (self.unix(now).saturating_add(shift(id))) % EPOCH
    }
}

/// By how many seconds this id's epochs begin earlier than those of an id without a shift.
fn shift(id: &NodeId) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&id.as_bytes()[8..16]);
    u64::from_be_bytes(first) % EPOCH
}

fn epoch(id: &NodeId, unix: u64) -> u64 {
    unix.saturating_add(shift(id)) / EPOCH
}

fn wins(ticket: u64) -> bool {
    ticket < u64::MAX / NODES_PER_SEAT
}

fn drawn(id: &NodeId, epoch: u64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("chordage 2026 super-peer lottery");
    hasher.update(id.as_bytes());
    hasher.update(&epoch.to_be_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn id(number: u32) -> NodeId {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        NodeId::from_public_key(&key)
    }

    #[test]
    fn one_of_thirty_two_has_a_seat_at_any_time_and_seats_change_hands_one_by_one() {
        let lottery = Lottery { unix_at_zero: 1_800_000_000 };
        let holders = |hour: u64| -> Vec<u32> {
            let now = Time::from_micros(hour * 3_600_000_000);
            (0..32_000).filter(|number| lottery.draws(&id(*number), now)).collect()
        };
        let (first, next, later) = (holders(0), holders(1), holders(4));
        for holders in [&first, &next, &later] {
            assert!((900..1100).contains(&holders.len()), "{}", holders.len());
        }
        let stay = |holders: &[u32]| first.iter().filter(|number| holders.contains(number)).count();
        // A quarter of the seats changes hands in a quarter of an epoch, and hardly anybody is drawn twice in a row.
        assert!((650..850).contains(&stay(&next)), "{}", stay(&next));
        assert!(stay(&later) < 80, "{}", stay(&later));
    }

    #[test]
    fn clocks_may_differ_by_ten_minutes() {
        let (exact, slow) =
            (Lottery { unix_at_zero: 1_800_000_000 }, Lottery { unix_at_zero: 1_799_999_500 });
        for number in 0..3_000 {
            let (id, now) = (id(number), Time::from_micros(0));
            assert!(!exact.draws(&id, now) || slow.holds_seat(&id, now));
        }
    }

    #[test]
    fn an_epoch_ends_when_it_says() {
        let lottery = Lottery { unix_at_zero: 1_800_000_000 };
        for number in 0..100 {
            let (id, unix) = (id(number), 1_800_000_000);
            let left = lottery.epoch_ends_in(&id, Time::ZERO);
            assert_eq!(epoch(&id, unix + left - 1), epoch(&id, unix));
            assert_eq!(epoch(&id, unix + left), epoch(&id, unix) + 1);
        }
    }
}
