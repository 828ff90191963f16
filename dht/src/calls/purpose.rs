//! What each question is asked for, and what it means if nobody answers.
//!
//! | purpose | question | answer that it waits for | sent again | a miss | hearsay |
//! |---|---|---|---|---|---|
//! | lookup | `Closest` | `Closest` | twice | yes | no |
//! | probe | `Ping` | `Pong` | no | yes | no |
//! | leaves | `Leaves` | `Leaves`, `LeavesChanged`, `LeavesUnchanged` | no | yes | no |
//! | row | `Closest`, `Ping` | `Closest`, `Pong` | no | yes | no |
//! | meet | `Ping` | `Pong` | once, if it would be a neighbour | no | yes |
//! | revive | `Ping` | `Pong` | no | no | yes |
//! | reach for another | `Ping` | `Pong` | no | no | no |
//! | reach through another | `Reach` | `Reached` | no | no | no |
//! | compare | `Compare`, then `Records` | `Differences`, then `Records` | no | no | yes |
//! | link, home | `Ping` | `Pong` | no | no | yes |
//! | record, record upkeep | `Record` | `Record` of the same kind | twice | yes | no |
//! | rendezvous | `Rendezvous` | `Rendezvous` of the same kind | twice | yes | no |
//!
//! *A miss*: silence is held against the peer, as [`Suspicion`](crate::leaf_set::suspicion::Suspicion) counts it.
//! *Hearsay*: the address came from others, so that an address which does not work says nothing about the peer.

use crate::{CallId, NodeId, peer::Peer};

/// How often a question is sent again before its peer counts as not answering. Design: with 5 % of messages lost, one
/// peer in a thousand is missed; a dead one costs four time-outs, in which others are asked.
const REPEATS_MAX: u8 = 2;

/// What an answer is for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// A step of the lookup with this serial number.
    Lookup(u32),
    /// Is a neighbour alive?
    Probe,
    /// Does a peer we were told of exist? Its answer alone admits it.
    Meet,
    /// Is somebody we lost alive after all?
    Revive,
    /// What is its leaf set?
    Leaves,
    /// Whom does it know in a row of ours?
    Row,
    /// Somebody else wants to know whether it is alive.
    ReachFor(Peer, CallId),
    /// Whether it can reach a neighbour that does not answer us.
    ReachThrough(NodeId),
    /// How does its list of members differ from ours?
    Compare,
    /// Is somebody there that news are exchanged with?
    Link,
    /// Is a super-peer there, and how far away?
    Home,
    /// A step of the operation on a record with this serial number, in this round.
    Record(u32, u8),
    /// Keeping records where they belong.
    RecordUpkeep,
    /// A step of the task at a place with this serial number, in this round.
    Rendezvous(u32, u8),
}

impl Purpose {
    /// How often the question is sent again.
    pub(crate) fn repeats(&self, would_be_neighbour: bool) -> u8 {
        match self {
            // Late, not lost: others are asked meanwhile. And what is written twice is written once.
            Self::Lookup(_) | Self::Record(..) | Self::RecordUpkeep | Self::Rendezvous(..) => REPEATS_MAX,
            // Nor may a neighbour be missed because a message was lost.
            Self::Meet => u8::from(would_be_neighbour),
            Self::Probe | Self::Leaves | Self::Row => 0,
            Self::Revive | Self::ReachFor(..) | Self::ReachThrough(_) => 0,
            Self::Compare | Self::Link | Self::Home => 0,
        }
    }

    /// Whether silence is held against the peer.
    pub(crate) fn silence_is_a_miss(&self) -> bool {
        match self {
            Self::Lookup(_) | Self::Record(..) | Self::RecordUpkeep | Self::Rendezvous(..) => true,
            Self::Probe | Self::Leaves | Self::Row => true,
            Self::Meet | Self::Revive | Self::ReachFor(..) | Self::ReachThrough(_) => false,
            Self::Compare | Self::Link | Self::Home => false,
        }
    }

    /// Whether the question went to an address that only others have told.
    pub(crate) fn is_by_hearsay(&self) -> bool {
        matches!(self, Self::Meet | Self::Revive | Self::Compare | Self::Link | Self::Home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_on_which_others_wait_are_sent_again_and_the_rest_are_asked_anew_in_time() {
        for (purpose, stranger, neighbour) in [
            (Purpose::Lookup(1), 2, 2),
            (Purpose::Record(1, 1), 2, 2),
            (Purpose::RecordUpkeep, 2, 2),
            (Purpose::Rendezvous(1, 1), 2, 2),
            (Purpose::Meet, 0, 1),
            (Purpose::Probe, 0, 0),
            (Purpose::Leaves, 0, 0),
            (Purpose::Home, 0, 0),
        ] {
            assert_eq!((purpose.repeats(false), purpose.repeats(true)), (stranger, neighbour), "{purpose:?}");
        }
    }

    #[test]
    fn silence_at_an_address_that_others_have_told_is_not_held_against_the_peer() {
        let by_hearsay = [Purpose::Meet, Purpose::Revive, Purpose::Compare, Purpose::Link, Purpose::Home];
        for purpose in by_hearsay {
            assert!(purpose.is_by_hearsay() && !purpose.silence_is_a_miss(), "{purpose:?}");
        }
        for purpose in
            [Purpose::Lookup(1), Purpose::Probe, Purpose::Leaves, Purpose::Row, Purpose::RecordUpkeep]
        {
            assert!(!purpose.is_by_hearsay() && purpose.silence_is_a_miss(), "{purpose:?}");
        }
        // Helpers are asked about another, and are silent when that one is.
        let through = Purpose::ReachThrough(NodeId::from_bytes([1; 32]));
        assert!(!through.is_by_hearsay() && !through.silence_is_a_miss());
    }
}
