//! What follows from what others found out: whether this daemon is a member or a client, and when to ask again. Pure.
//!
//! One test proves little. The daemon that makes it may be mistaken, may lie, or may be let in only because something
//! was sent to it before: then a newcomer would not get in. So three are asked, of different subnets where there are
//! such, and two have to agree. An address that exists only because the daemon sends something from there (a hole in a
//! NAT) is believed only if somebody gets in who has had nothing to do with the daemon before. Once a member, one
//! daemon is asked from time to time; if it finds the way closed, again three, twice, before the daemon draws the
//! conclusion.

use std::time::Duration;

use libp2p::Multiaddr;
use tokio::time::Instant;

use super::candidates::{Between, Candidate, Kind};

/// Daemons that are asked to have it tested in one round. Two have to agree.
pub(super) const ASKED: usize = 3;
const AGREEING: usize = 2;
/// How often a member asks one daemon whether the way is still open, unless strangers come anyway. Design: it is out of
/// the lists of members within a minute after the way has closed.
const CHECK_EVERY: Duration = Duration::from_secs(25);
/// How long after a round in which something else was found than before the next one is made, which has to confirm it.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);
/// How long after nobody could be asked the next attempt is made.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// The same where it is known already how the daemon is reached.
const AGAIN_LATER: Duration = Duration::from_secs(15);
/// How long a client waits after each round that found it unreachable, the last one from then on.
const CLIENT_PAUSES: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(30), Duration::from_secs(60), Duration::from_secs(300)];
/// Which of these comes after it has been a member: a way that opens and closes is not to make it come and go.
const AFTER_LOSS: usize = 2;

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// One daemon, about the addresses that are announced.
    Check,
    /// Several, about all that might be.
    Round,
}

/// What one daemon found out.
#[derive(Clone, Debug)]
pub(super) struct Test {
    /// Whether something had been sent to whoever dialled, lately.
    pub(super) acquainted: bool,
    /// The addresses that were dialled, and whether this daemon answered there.
    pub(super) outcomes: Vec<(Multiaddr, bool)>,
}

/// What several found out.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    pub(super) candidates: Vec<Candidate>,
    pub(super) between: Option<Between>,
    pub(super) tests: Vec<Test>,
    /// Daemons that there were to ask.
    pub(super) askable: usize,
}

/// What a daemon is at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A client that does not know yet.
    Unknown,
    /// Others reach it there.
    Reached(Vec<Candidate>),
    /// Others do not reach it.
    Unreached(Option<Between>),
}

/// See the module's description.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    standing: Standing,
    /// What the last round found that is not believed yet.
    pending: Option<Vec<Candidate>>,
    /// Rounds in a row that found a client unreachable.
    in_vain: usize,
    due: Instant,
    scale: Scale,
}

impl Policy {
    /// Of a daemon that begins as this.
    pub(super) fn new(standing: Standing, now: Instant) -> Self {
        Policy { standing, pending: None, in_vain: 0, due: now, scale: Scale::Round }
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// When to ask next, and how much.
    pub(super) fn due(&self) -> (Instant, Scale) {
        (self.due, self.scale)
    }

    /// Addresses of its own have changed, or what others see of it.
    pub(super) fn changed(&mut self, now: Instant) {
        (self.due, self.scale) = (now, Scale::Round);
    }

    /// Somebody who knew it only by what it announces came by itself, then.
    pub(super) fn visited(&mut self, at: Instant) {
        if self.scale == Scale::Check {
            self.due = self.due.max(at + CHECK_EVERY);
        }
    }

    /// Takes in what was found. Returns whether the daemon is something else now.
    pub(super) fn take(&mut self, now: Instant, found: &Findings) -> bool {
        let before = self.standing.clone();
        match (self.scale, self.judge(found)) {
            (_, None) => {
                self.due = now
                    + match (self.scale, &self.standing) {
                        (Scale::Round, Standing::Unknown) => AGAIN_AFTER,
                        _ => AGAIN_LATER,
                    };
                return false;
            }
            (Scale::Check, Some(reached)) if reached.is_empty() => self.changed(now),
            (Scale::Check, Some(_)) => self.due = now + CHECK_EVERY,
            (Scale::Round, Some(reached)) => self.conclude(now, reached, found.between),
        }
        self.standing != before
    }

    fn conclude(&mut self, now: Instant, reached: Vec<Candidate>, between: Option<Between>) {
        match &self.standing {
            Standing::Reached(believed) if *believed != reached => {
                if self.pending.as_ref() != Some(&reached) {
                    self.pending = Some(reached);
                    self.due = now + CONFIRM_AFTER;
                    return;
                }
                if reached.is_empty() {
                    self.standing = Standing::Unreached(between);
                    self.in_vain = AFTER_LOSS;
                } else {
                    self.standing = Standing::Reached(reached);
                }
            }
            Standing::Reached(_) => {}
            _ if reached.is_empty() => self.standing = Standing::Unreached(between),
            _ => self.standing = Standing::Reached(reached),
        }
        self.pending = None;
        if let Standing::Reached(_) = self.standing {
            (self.due, self.scale, self.in_vain) = (now + CHECK_EVERY, Scale::Check, 0);
        } else {
            let last = CLIENT_PAUSES.len() - 1;
            self.due = now + CLIENT_PAUSES[self.in_vain.min(last)];
            self.in_vain += 1;
        }
    }

    /// Where it is reached; `None` if too few have said something.
    fn judge(&self, found: &Findings) -> Option<Vec<Candidate>> {
        if found.tests.len() < AGREEING.min(found.askable).max(1) {
            return None;
        }
        let needed = AGREEING.min(found.tests.len());
        let believed: &[Candidate] = match &self.standing {
            Standing::Reached(believed) => believed,
            _ => &[],
        };
        let is_reached = |candidate: &&Candidate| {
            let by_strangers_only = candidate.kind == Kind::Seen && !believed.contains(candidate);
            let got_in = |test: &&Test| {
                !(test.acquainted && by_strangers_only)
                    && test.outcomes.contains(&(candidate.addr.clone(), true))
            };
            found.tests.iter().filter(got_in).count() >= needed
        };
        Some(found.candidates.iter().filter(is_reached).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "/ip4/203.0.113.5/tcp/4700";
    const HOLE: &str = "/ip4/203.0.113.5/udp/61000/quic-v1";

    fn candidate(addr: &str, kind: Kind) -> Candidate {
        Candidate { addr: addr.parse().expect("valid"), kind }
    }

    fn candidates() -> Vec<Candidate> {
        vec![candidate(TCP, Kind::Forwarded), candidate(HOLE, Kind::Seen)]
    }

    /// What each daemon found at both.
    fn found(tests: &[(bool, [bool; 2])], askable: usize) -> Findings {
        let test = |(acquainted, [tcp, hole]): &(bool, [bool; 2])| Test {
            acquainted: *acquainted,
            outcomes: vec![(TCP.parse().expect("valid"), *tcp), (HOLE.parse().expect("valid"), *hole)],
        };
        let tests = tests.iter().map(test).collect();
        Findings { candidates: candidates(), between: Some(Between::Nat), tests, askable }
    }

    fn stranger(outcomes: [bool; 2]) -> (bool, [bool; 2]) {
        (false, outcomes)
    }

    const OPEN: [bool; 2] = [true, false];
    const SHUT: [bool; 2] = [false, false];

    fn member(now: Instant) -> Policy {
        let mut policy = Policy::new(Standing::Unknown, now);
        assert!(policy.take(now, &found(&[stranger(OPEN), stranger(OPEN), stranger(SHUT)], 3)));
        policy
    }

    #[test]
    fn two_have_to_agree_where_there_are_two() {
        let now = Instant::now();
        assert_eq!(member(now).standing(), &Standing::Reached(candidates()[..1].to_vec()));
        let after = |tests: &[(bool, [bool; 2])], askable| {
            let mut policy = Policy::new(Standing::Unknown, now);
            policy.take(now, &found(tests, askable));
            policy.standing
        };
        let unreached = Standing::Unreached(Some(Between::Nat));
        assert_eq!(after(&[stranger(OPEN), stranger(SHUT), stranger(SHUT)], 3), unreached);
        assert_eq!(
            after(&[stranger(OPEN), stranger([false, true])], 3),
            unreached,
            "they do not agree on one"
        );
        assert_eq!(after(&[stranger(OPEN)], 3), Standing::Unknown, "too few have answered");
        assert_eq!(after(&[stranger(OPEN)], 1), Standing::Reached(candidates()[..1].to_vec()));
        assert_eq!(after(&[stranger(SHUT)], 1), unreached);
        assert_eq!(after(&[], 0), Standing::Unknown);
    }

    #[test]
    fn a_hole_in_a_nat_is_believed_only_after_strangers_got_in() {
        let now = Instant::now();
        let mut policy = Policy::new(Standing::Unknown, now);
        let hole = [false, true];
        policy.take(now, &found(&[(true, hole), (true, hole), stranger(hole)], 3));
        assert_eq!(policy.standing(), &Standing::Unreached(Some(Between::Nat)));
        let known = [(true, OPEN), (true, OPEN)];
        assert!(policy.take(now, &found(&known, 2)), "a forwarded port needs no strangers");
        let mut policy = Policy::new(Standing::Unknown, now);
        policy.take(now, &found(&[stranger(hole), stranger(hole), (true, hole)], 3));
        let reached = Standing::Reached(candidates()[1..].to_vec());
        assert_eq!(policy.standing(), &reached);
        policy.changed(now);
        policy.take(now, &found(&[(true, hole), (true, hole)], 3));
        assert_eq!(policy.standing(), &reached, "it is kept without strangers");
    }

    #[test]
    fn a_member_is_checked_by_one_and_given_up_after_two_rounds() {
        let begun = Instant::now();
        let mut policy = member(begun);
        assert_eq!(policy.due(), (begun + CHECK_EVERY, Scale::Check));
        let mut now = begun + CHECK_EVERY;
        assert!(!policy.take(now, &found(&[(true, OPEN)], 1)));
        assert_eq!(policy.due(), (now + CHECK_EVERY, Scale::Check));

        now += CHECK_EVERY;
        assert!(!policy.take(now, &found(&[(true, SHUT)], 1)));
        assert_eq!(policy.due(), (now, Scale::Round), "at once");
        let shut = found(&[(true, SHUT), (true, SHUT), (true, SHUT)], 3);
        assert!(!policy.take(now, &shut), "once is not enough");
        assert_eq!(policy.due(), (now + CONFIRM_AFTER, Scale::Round));
        now += CONFIRM_AFTER;
        assert!(policy.take(now, &shut));
        assert_eq!(policy.standing(), &Standing::Unreached(Some(Between::Nat)));
        // All of it, with tests that take the whole of their time, in less than a minute.
        assert!(CHECK_EVERY + CONFIRM_AFTER + 3 * Duration::from_secs(8) < Duration::from_secs(60));
    }

    #[test]
    fn one_bad_round_changes_nothing_if_the_next_is_good() {
        let now = Instant::now();
        let mut policy = member(now);
        policy.changed(now);
        assert!(!policy.take(now, &found(&[stranger(SHUT), stranger(SHUT)], 2)));
        assert!(!policy.take(now, &found(&[stranger(OPEN), stranger(OPEN)], 2)));
        assert_eq!(policy.due().1, Scale::Check);
        policy.changed(now);
        assert!(
            !policy.take(now, &found(&[stranger(SHUT), stranger(SHUT)], 2)),
            "the first does not count any more"
        );
    }

    #[test]
    fn strangers_who_come_make_checks_needless() {
        let now = Instant::now();
        let mut policy = member(now);
        let visit = now + CHECK_EVERY / 2;
        policy.visited(visit);
        assert_eq!(policy.due(), (visit + CHECK_EVERY, Scale::Check));
        policy.visited(now);
        assert_eq!(policy.due().0, visit + CHECK_EVERY, "an old visit takes nothing back");
        policy.changed(now);
        policy.visited(visit);
        assert_eq!(policy.due(), (now, Scale::Round), "what has changed is asked all the same");
    }

    #[test]
    fn a_client_asks_ever_more_seldom_and_after_a_loss_not_soon() {
        let begun = Instant::now();
        let mut policy = Policy::new(Standing::Unknown, begun);
        let shut = found(&[stranger(SHUT), stranger(SHUT)], 2);
        let mut now = begun;
        for pause in CLIENT_PAUSES.into_iter().chain([CLIENT_PAUSES[3]]) {
            policy.take(now, &shut);
            assert_eq!(policy.due(), (now + pause, Scale::Round));
            now += pause;
        }
        policy.take(now, &found(&[stranger(OPEN), stranger(OPEN)], 2));
        policy.changed(now);
        policy.take(now, &shut);
        policy.take(now, &shut);
        assert_eq!(policy.due().0, now + CLIENT_PAUSES[AFTER_LOSS]);
    }

    #[test]
    fn nobody_to_ask_is_no_verdict() {
        let now = Instant::now();
        let mut policy = member(now);
        policy.changed(now);
        for _ in 0..10 {
            assert!(!policy.take(now, &found(&[], 0)));
        }
        assert!(matches!(policy.standing(), Standing::Reached(_)));
        assert_eq!(policy.due().0, now + AGAIN_LATER);
    }
}
